package windows

import (
	"errors"
	"fmt"
	"slices"
	"sort"
)

// SettleMs is how long after a serving part of the same time a part of resources or outcomes is taken to be ready (Ready): so much
// may the sparser streams lag before they hold the serving parts back.
const SettleMs = 30_000

// MaxBuffered bounds the windows that wait in a Merger. At the bound the first one is given out before its turn, whole or not, and counted.
const MaxBuffered = 1 << 17

// ErrForeign is Add's error for a part of another rollout, epoch, plan, stream or partition.
var ErrForeign = errors.New("the part belongs to another plan")

// Ready returns the time, in event time, at which a stream's window that ends at endMs is taken to be ready: parts are given out in the order of
// it. withinMs is the outcome's, 0 for other streams.
func Ready(s Stream, endMs, withinMs int64) int64 {
	switch s.Kind {
	case Resources:
		return endMs + SettleMs
	case Outcomes:
		return endMs + withinMs + SettleMs
	}
	return endMs
}

// ErrHole is Add's error for a part before which another one is missing. It isn't taken: who lost that one counts both again.
var ErrHole = errors.New("a part before it is missing")

// A Merger adds up the parts of all partitions of one plan's epoch, and gives the sums out in one canonical order, whatever order the parts of
// different partitions and streams came in: by Ready, then kind, then name. A part is given out when all partitions have
// sealed its window, and every stream has sealed all that would go before it.
// Counts are added; a routing unit is kept in the first window in which it was seen, under its smallest pick.
type Merger struct {
	plan     *Plan
	hash     string
	streams  []*mergeStream // in canonical order
	buffered int
	finished bool
	units    unitRoll
	shop     workshop
	given    *Part
	stats    MergerStats
}

// mergeStream is one stream's windows that were not given out yet.
type mergeStream struct {
	Stream
	keys     []string
	lagMs    int64 // Ready less the window's end
	exhibits int
	shown    int // how many each of them names
	places   map[Partition]int
	marks    []int64 // per partition: its windows that end by then are sealed
	windows  []*Part // ascending by start
	released int64   // others don't wait for what is ready by then
	givenTo  int64   // end of the last window given out
}

// MergerStats counts what a Merger did beside merging.
type MergerStats struct {
	Buffered int   // windows waiting
	Dropped  int64 // second records of a key
	Ahead    int64 // parts that were not taken since one before them was missing
	Forced   int64 // windows given out before their turn because MaxBuffered was reached
}

// NewMerger returns a merger that waits for all the partitions that are given: of predictions, and of samples.
func NewMerger(plan *Plan, predictions, samples []Partition) *Merger {
	m := &Merger{plan: plan, hash: plan.Hash(), shop: newWorkshop()}
	for _, s := range plan.Streams() {
		within := int64(0)
		for _, o := range plan.Outcomes {
			if s.Kind == Outcomes && o.Name == s.Name {
				within = o.WithinMs
			}
		}
		ms := &mergeStream{
			Stream: s, keys: plan.CellKeys(s), exhibits: len(plan.exhibits(s)), lagMs: Ready(s, 0, within), places: map[Partition]int{},
			released: NoTime, givenTo: NoTime, shown: MaxExemplars,
		}
		if s.Kind == Outcomes {
			ms.shown = newSampler(plan).most
		}
		partitions := predictions
		if s.Kind == Resources {
			partitions = samples
		}
		for _, at := range partitions {
			if _, twice := ms.places[at]; !twice {
				ms.places[at] = len(ms.marks)
				ms.marks = append(ms.marks, plan.first())
			}
		}
		m.streams = append(m.streams, ms)
	}
	slices.SortFunc(m.streams, func(a, b *mergeStream) int { return orderStreams(a.Stream, b.Stream) })
	return m
}

func orderStreams(a, b Stream) int {
	switch {
	case a.Kind != b.Kind:
		return int(a.Kind) - int(b.Kind)
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	}
	return 0
}

// Add takes one sealed part; parts of one partition and stream come in window order. A second record of a key is dropped and counted. The part's memory
// is the caller's again on return. The error is ErrForeign or ErrHole, or says that the part doesn't have the plan's shape.
func (m *Merger) Add(key Key, part *Part) error {
	s, place, err := m.find(&key)
	if err != nil {
		return err
	}
	if err := m.shape(s, part); err != nil {
		return err
	}
	end, known := part.StartMs+m.plan.WidthMs, max(s.marks[place], s.givenTo)
	switch {
	case end <= known:
		m.stats.Dropped++
		return nil
	case part.AfterMs > known:
		m.stats.Ahead++
		return fmt.Errorf("merge part of stream %v of %v at %d: %w: up to %d", part.Stream, key.Partition, part.StartMs, ErrHole, part.AfterMs)
	}
	s.marks[place] = end
	if !part.IsMark() {
		m.merge(s, part)
	}
	return nil
}

func (m *Merger) find(key *Key) (*mergeStream, int, error) {
	if key.Rollout != m.plan.Rollout || key.Epoch != m.plan.Epoch || key.Plan != m.hash {
		return nil, 0, fmt.Errorf("merge part of rollout %q epoch %d plan %s: %w: rollout %q epoch %d plan %s",
			key.Rollout, key.Epoch, key.Plan, ErrForeign, m.plan.Rollout, m.plan.Epoch, m.hash)
	}
	for _, s := range m.streams {
		if s.Stream != key.Stream {
			continue
		}
		if place, ok := s.places[key.Partition]; ok {
			return s, place, nil
		}
		return nil, 0, fmt.Errorf("merge part of partition %v: %w: not among its %d partitions", key.Partition, ErrForeign, len(s.places))
	}
	return nil, 0, fmt.Errorf("merge part of stream %v: %w", key.Stream, ErrForeign)
}

func (m *Merger) shape(s *mergeStream, part *Part) error {
	if part.Stream != s.Stream || floorTo(part.StartMs, m.plan.WidthMs) != part.StartMs {
		return fmt.Errorf("merge part of stream %v at %d: not a window of stream %v", part.Stream, part.StartMs, s.Stream)
	}
	for arm := range Arms {
		if len(part.Cells[arm]) != len(s.keys) {
			return fmt.Errorf("merge part of stream %v at %d: %d cells, not %d", part.Stream, part.StartMs, len(part.Cells[arm]), len(s.keys))
		}
	}
	if len(part.Segments) > 0 && m.plan.Segments == nil {
		return fmt.Errorf("merge part of stream %v at %d: it has %d segments, the plan none", part.Stream, part.StartMs, len(part.Segments))
	}
	if len(part.Exemplars) > s.exhibits {
		return fmt.Errorf("merge part of stream %v at %d: predictions for %d exhibits, the plan has %d", part.Stream, part.StartMs, len(part.Exemplars), s.exhibits)
	}
	return checkSegments(part)
}

// merge adds a part to its window.
func (m *Merger) merge(s *mergeStream, part *Part) {
	i := sort.Search(len(s.windows), func(i int) bool { return s.windows[i].StartMs >= part.StartMs })
	if i == len(s.windows) || s.windows[i].StartMs != part.StartMs {
		s.windows = slices.Insert(s.windows, i, m.shop.part(s.Stream, s.keys, part.StartMs))
		m.buffered++
	}
	s.windows[i].add(part)
	s.windows[i].addSegments(part.Segments, m.plan.Segments)
	s.windows[i].addExemplars(part.Exemplars, s.shown)
}

// add adds another part of the same window to p, but for its segments.
func (p *Part) add(q *Part) {
	p.Overflow = p.Overflow || q.Overflow
	p.Bad += q.Bad
	p.Source.add(q.Source)
	p.Others, p.OtherHosts = addHosts(p.Others, q.Others), addHosts(p.OtherHosts, q.OtherHosts)
	for arm := range Arms {
		p.Gap[arm].add(q.Gap[arm])
		for i := range q.Cells[arm] {
			p.Cells[arm][i].add(&q.Cells[arm][i])
		}
		p.Traffic[arm].add(&q.Traffic[arm])
	}
	firstSights(&p.Traffic)
}

func (c *Cell) add(d *Cell) {
	c.N += d.N
	c.K += d.K
	c.Sum += d.Sum
	c.Squares += d.Squares
	c.Hist = mergeBuckets(c.Hist, d.Hist)
	for i := range c.Slices {
		c.Slices[i].N += d.Slices[i].N
		c.Slices[i].K += d.Slices[i].K
		c.Slices[i].Sum += d.Slices[i].Sum
	}
}

func (t *Traffic) add(u *Traffic) {
	switch {
	case u.Events == 0:
	case t.Events == 0:
		t.SampledMin, t.SampledMax = u.SampledMin, u.SampledMax
	default:
		t.SampledMin, t.SampledMax = min(t.SampledMin, u.SampledMin), max(t.SampledMax, u.SampledMax)
	}
	t.Events += u.Events
	t.Served += u.Served
	t.Late += u.Late
	for i := range t.Slices {
		t.Slices[i] += u.Slices[i]
	}
	t.Hosts, t.Regions = addHosts(t.Hosts, u.Hosts), addHosts(t.Regions, u.Regions)
	t.Units = mergeSights(t.Units, u.Units)
}

// mergeSights adds two ascending lists of sights into dst's memory, and returns it: of one unit, the smallest pick stays.
func mergeSights(dst, add []UnitSight) []UnitSight {
	if len(add) == 0 {
		return dst
	}
	i, j := len(dst)-1, len(add)-1
	dst = slices.Grow(dst, len(add))[:len(dst)+len(add)]
	at := len(dst) - 1
	for ; j >= 0; at-- { // from the back, so that nothing is overwritten before it is read
		switch {
		case i >= 0 && dst[i].Unit > add[j].Unit:
			dst[at] = dst[i]
			i--
		case i >= 0 && dst[i].Unit == add[j].Unit:
			dst[at] = UnitSight{dst[i].Unit, min(dst[i].Pick, add[j].Pick)}
			i--
			j--
		default:
			dst[at] = add[j]
			j--
		}
	}
	return slices.Delete(dst, i+1, at+1) // as many as were in both
}

// firstSights keeps every unit in one arm: that of the smallest pick, the baseline if they are equal.
func firstSights(t *[Arms]Traffic) {
	base, canary := t[Baseline].Units, t[Canary].Units
	if len(base) == 0 || len(canary) == 0 {
		return
	}
	keptBase, keptCanary := base[:0], canary[:0]
	i, j := 0, 0
	for i < len(base) && j < len(canary) {
		b, c := base[i], canary[j]
		switch {
		case b.Unit < c.Unit || (b.Unit == c.Unit && b.Pick <= c.Pick):
			keptBase = append(keptBase, b)
		default:
			keptCanary = append(keptCanary, c)
		}
		if b.Unit <= c.Unit {
			i++
		}
		if c.Unit <= b.Unit {
			j++
		}
	}
	t[Baseline].Units = append(keptBase, base[i:]...)
	t[Canary].Units = append(keptCanary, canary[j:]...)
}

// Release is the ruling that other streams wait no longer for parts of this stream that would be ready by upToMs (see Ready). They still come, after
// their turn. A stream that the plan doesn't have is ignored.
func (m *Merger) Release(s Stream, upToMs int64) {
	for _, ms := range m.streams {
		if ms.Stream == s {
			ms.released = max(ms.released, upToMs)
		}
	}
}

// Finish says that no more parts will come: Next gives out every window that all partitions have sealed, and the others never.
func (m *Merger) Finish() { m.finished = true }

// Next returns the next merged part that is due, or nil. Marks are never returned. The part is the caller's until the next call of Next.
func (m *Merger) Next() *Part {
	if m.given != nil {
		m.shop.take(m.given)
		m.given = nil
	}
	first := m.firstWhole()
	if first != nil && (m.finished || m.isDue(first)) {
		return m.give(first)
	}
	if m.buffered < MaxBuffered {
		return nil
	}
	m.stats.Forced++
	if first == nil {
		first = m.first(func(s *mergeStream) bool { return len(s.windows) > 0 })
	}
	return m.give(first)
}

// firstWhole returns the stream whose first window goes before those of the others, of the windows that are complete.
func (m *Merger) firstWhole() *mergeStream {
	return m.first(func(s *mergeStream) bool {
		return len(s.windows) > 0 && s.windows[0].StartMs+m.plan.WidthMs <= s.sealedTo()
	})
}

func (m *Merger) first(eligible func(*mergeStream) bool) *mergeStream {
	var first *mergeStream
	for _, s := range m.streams { // in canonical order, so that the first of equals stays
		if eligible(s) && (first == nil || s.windows[0].StartMs+s.lagMs < first.windows[0].StartMs+first.lagMs) {
			first = s
		}
	}
	return first
}

// sealedTo returns the time up to which all partitions have sealed the stream; forever if it has none.
func (s *mergeStream) sealedTo() int64 {
	to := forever
	for _, mark := range s.marks {
		to = min(to, mark)
	}
	return to
}

// isDue says whether no stream can bring anything more that goes before this stream's first window.
func (m *Merger) isDue(of *mergeStream) bool {
	ready := of.windows[0].StartMs + m.plan.WidthMs + of.lagMs
	for _, s := range m.streams {
		if s == of {
			continue
		}
		next := max(s.sealedTo()+m.plan.WidthMs+s.lagMs, s.released+1) // the earliest that may still come
		if next < ready || (next == ready && orderStreams(s.Stream, of.Stream) < 0) {
			return false
		}
	}
	return true
}

func (m *Merger) give(s *mergeStream) *Part {
	p := s.windows[0]
	s.windows[0] = nil
	s.windows = s.windows[1:]
	m.buffered--
	s.givenTo = p.StartMs + m.plan.WidthMs
	if s.Kind == Serving {
		m.units.firstOnly(&p.Traffic)
	}
	m.given = p
	return p
}

// Stats returns what the merger counted.
func (m *Merger) Stats() MergerStats {
	t := m.stats
	t.Buffered = m.buffered
	return t
}

// A unitRoll has the units seen in windows before; bounded by MaxUnits.
type unitRoll struct {
	slots []uint64 // open addressing; 0 is free
	used  int
	full  bool
}

// firstOnly takes out the units that were seen in windows before, and notes the others. From the window with the first unit beyond
// MaxUnits on, there are none.
func (r *unitRoll) firstOnly(t *[Arms]Traffic) {
	for arm := range Arms {
		t[arm].Units = slices.DeleteFunc(t[arm].Units, func(s UnitSight) bool { return !r.add(s.Unit) })
	}
	for arm := range Arms {
		if t[arm].UnitsFull = r.full; r.full {
			t[arm].Units = t[arm].Units[:0]
		}
	}
}

// add notes a unit, and says whether it is new.
func (r *unitRoll) add(unit uint64) bool {
	if 4*r.used >= 3*len(r.slots) {
		old := r.slots
		r.slots, r.used = make([]uint64, max(1024, 2*len(old))), 0
		for _, u := range old {
			if u != 0 {
				r.add(u)
			}
		}
	}
	mask := uint64(len(r.slots) - 1)
	for i := unit & mask; ; i = (i + 1) & mask {
		switch r.slots[i] {
		case unit:
			return false
		case 0:
			if r.full = r.full || r.used == MaxUnits; !r.full {
				r.slots[i] = unit
				r.used++
			}
			return true
		}
	}
}
