package windows

// A Merger adds up the parts of all partitions of one plan's epoch, and gives them out in one canonical order, whatever order they came in.
type Merger struct{}

// NewMerger returns a merger that waits for all the partitions that are given: of predictions, and of samples.
func NewMerger(plan *Plan, predictions, samples []Partition) *Merger { return &Merger{} }

// Add takes one sealed part; parts of one partition and stream come in window order. A second record of a key is dropped and counted. The part's memory is
// the caller's again on return. An error means that the part isn't of this plan, epoch or partitions.
func (m *Merger) Add(key Key, part *Part) error { return nil }

// Next returns the next merged part that is due, or nil. Marks are never returned. The part is the caller's until the next call of Next.
func (m *Merger) Next() *Part { return nil }

// Release is the ruling that other streams wait no longer for parts of this stream that would be ready by upToMs (Ready). They still come, late.
func (m *Merger) Release(s Stream, upToMs int64) {}

// Finish says that no more parts will come: Next gives out every part that is complete. What isn't is dropped.
func (m *Merger) Finish() {}

// Stats returns what the merger counted.
func (m *Merger) Stats() MergerStats { return MergerStats{} }

// MergerStats counts what a Merger did beside merging.
type MergerStats struct {
	Buffered int   // windows waiting
	Dropped  int64 // second records of a key
	Forced   int64 // windows given out before their turn because MaxBuffered was reached
}
