package windows

import (
	"errors"

	"streamcanary/schemas"
)

// ErrAhead is Add's error for an event that is too far ahead of its broker's clock, or of its partition: a dead letter.
var ErrAhead = errors.New("event time is ahead of its log")

// ErrTime is Add's error for an event whose time is no time (beyond MaxTimeMs).
var ErrTime = errors.New("event time is out of range")

// A Stage is stage one: it takes the decoded events of every source partition, puts them into windows, joins
// outcomes to predictions, and seals parts. See the package comment for the rules. One goroutine owns a Stage.
type Stage struct{}

// NewStage returns a stage without partitions and plans.
func NewStage(limits Limits) *Stage { return &Stage{} }

// AddPartition tells the stage that a source partition carries events of these kinds, and returns the
// index by which Add knows it. Again for the same partition, it adds kinds. A kind that no partition carries holds nothing back.
func (s *Stage) AddPartition(at Partition, kinds ...schemas.Kind) int { return 0 }

// SetPlan starts a rollout (or its next epoch in place of the running one). It fails if the plan's Check does, if another rollout has the model,
// or, with ErrPassed, if the logs have been read beyond the plan's first window.
func (s *Stage) SetPlan(p Plan) error { return nil }

// RemovePlan ends a rollout: what of it is open is dropped.
func (s *Stage) RemovePlan(rollout string) {}

// Add takes the next event of a partition. Offset never falls within a partition, and is that of the event's record; appendMs is the time at which
// the broker appended it, or 0 where it didn't say. The event's memory is the caller's again on return. The class is final, except Counted (Pending
// until its window is sealed) and Pending (an outcome that waits; an event held aside): Counts has what became of them.
// With Invalid comes an error that says why.
func (s *Stage) Add(p int, e *schemas.Event, offset, appendMs int64) (Class, error) { return 0, nil }

// CountInvalid counts an event that a decoder refused; kind may be KindUnknown.
func (s *Stage) CountInvalid(kind schemas.Kind) {}

// Idle is the ruling that a partition has nothing to read (true), so that it holds the others back no longer, or has again. It follows the slowest of the
// others then; its own events behind that are late. Adding an event to it ends the ruling.
func (s *Stage) Idle(p int, idle bool) {}

// Sealed returns the parts sealed since the last call. They are the caller's until the next call, when their memory is used again.
func (s *Stage) Sealed() []SealedPart { return nil }

// Rejected returns the events that were held aside and not confirmed since the last call: dead letters.
// The slice is the caller's until the next call.
func (s *Stage) Rejected() []Rejected { return nil }

// A Rejected event was held aside (Add said Pending) and is Invalid now.
type Rejected struct {
	Partition int
	Offset    int64
	Err       error
}

// Finish says that every partition's log has ended, so that none holds another back: all of a kind are at the greatest watermark of it. What is open
// beyond stays pending; with seal it is sealed. Only Sealed, Rejected and Counts may be called afterwards.
func (s *Stage) Finish(seal bool) {}

// Counts returns how many events of each kind are in each class by now: those in open windows are Pending.
func (s *Stage) Counts() Counts { return Counts{} }
