package windows

import (
	"errors"
	"fmt"

	"streamcanary/schemas"
)

// ErrAhead is Add's error for an event that is too far ahead of its broker's clock, or of its partition: a dead letter.
var ErrAhead = errors.New("event time is ahead of its log")

// ErrUnconfirmed is an ErrAhead of an event that was held aside, and that no others confirmed.
var ErrUnconfirmed = fmt.Errorf("%w, and no others confirm it", ErrAhead)

// ErrTime is Add's error for an event whose time is no time (beyond MaxTimeMs).
var ErrTime = errors.New("event time is out of range")

// ErrPassed is SetPlan's and Restore's error when the logs have been read beyond the plan's first window: read them again from before it, with
// a new stage, or let the rollout start later.
var ErrPassed = errors.New("the logs have been read beyond the rollout's first window")

// A Stage is stage one: it takes the decoded events of every source partition, puts them into windows, joins
// outcomes to predictions, and seals parts. See the package comment for the rules. One goroutine owns a Stage.
type Stage struct {
	limits   Limits
	sources  []*source
	idle     int // sources that are idle
	rollouts []*rollout
	byModel  map[string]*rollout
	names    []outcomeName
	nameAt   map[string]int32
	reach    reach
	shop     workshop

	predictions index // by id
	outcomes    index // by id, name and event_id
	values      index // sums of outcomes' values, by prediction and outcome
	queue       queue
	joining     []int // scratch of join: slots of rollouts
	blindTo     int64 // of the predictions under no rollout before this time, some may not be remembered: Limits.PendingPredictions was half reached
	forgotten   int64 // predictions before this time are not remembered: Limits.PendingPredictions was reached
	nextOutcome int64 // the high of an outcome partition at which an outcome stream could seal

	counts      Counts
	open        [schemas.KindSample + 1]int64 // of the counted ones, those in open windows; of the matched ones alike
	stats       StageStats
	sealed      []SealedPart
	given       []SealedPart
	rejected    []Rejected
	rejectGiven []Rejected
	lastSealed  int64 // start of the part that emit saw last
	finished    bool
}

// outcomeName is an outcome's name, and what the plans that have it say of it.
type outcomeName struct {
	text       string
	plans      int
	latenessMs int64 // the greatest
	withinMs   int64 // the greatest
	reachMs    int64 // the greatest
	valued     bool  // a plan adds its values up
}

// reach is how far the rollouts that have outcomes look.
type reach struct {
	joins                              int // such rollouts
	latenessMin, latenessMax, widthMax int64
	withinMax, reachMax                int64
	stepMs                             int64 // event time between checkpoints
	otherFloor                         int64

	plans, health     int   // all rollouts, and those of them that count a join gap
	healthLatenessMin int64 // of the latter
	elsewhere         bool  // some count a join gap, and there are others
}

// StageStats is what a stage holds, and what its bounds cost.
type StageStats struct {
	Predictions       int   // remembered, those included that are not needed any more
	Outcomes          int   // remembered ids of outcomes
	Waiting           int   // outcomes that wait for their prediction
	Values            int   // sums of values: one for each prediction and outcome that has any
	Bytes             int   // of the tables of remembered ids
	LostPredictions   int64 // forgotten before their time, or not remembered: Limits.PendingPredictions was reached
	LostOutcomes      int64 // not joined: Limits.PendingOutcomes was reached
	LostValues        int64 // not added up, for the same reason
	ForgottenOutcomes int64 // ids of outcomes not remembered, for the same reason
	Outrun            int64 // events that are late because their kind was carried along: they lagged more than Limits.MaxLagMs behind others of their partition
}

// NewStage returns a stage without partitions and plans.
func NewStage(limits Limits) *Stage {
	s := &Stage{limits: limits.withDefaults(), byModel: map[string]*rollout{}, nameAt: map[string]int32{}, shop: newWorkshop()}
	s.predictions.stale, s.outcomes.stale, s.values.stale = s.predictionStale, s.outcomeStale, s.valueStale
	s.forgotten, s.blindTo, s.nextOutcome = NoTime, NoTime, forever
	s.survey()
	return s
}

// AddPartition tells the stage that a source partition carries events of these kinds, and returns the
// index by which Add knows it. Again for the same partition, it adds kinds. A kind that no partition carries holds nothing back.
// It panics beyond MaxSources.
func (s *Stage) AddPartition(at Partition, kinds ...schemas.Kind) int {
	var src *source
	for _, known := range s.sources {
		if known.at == at {
			src = known
		}
	}
	if src == nil {
		if len(s.sources) == MaxSources {
			panic(fmt.Sprintf("windows: partition %v is beyond the %d that a stage can have", at, MaxSources))
		}
		src = newSource(at, len(s.sources))
		s.sources = append(s.sources, src)
	}
	for _, k := range kinds {
		src.carries[k] = true
	}
	src.lagAt = NoTime
	for _, r := range s.rollouts {
		if r != nil {
			r.addLane(src)
		}
	}
	s.plan(src)
	return src.place
}

// SetPlan starts a rollout (or its next epoch in place of the running one). It fails if the plan's Check does, if another
// rollout has the model, or, with ErrPassed, if the logs have been read beyond the plan's first window.
func (s *Stage) SetPlan(p Plan) error {
	if err := p.Check(); err != nil {
		return err
	}
	if r := s.byModel[p.Model]; r != nil {
		if r.Rollout != p.Rollout {
			return fmt.Errorf("plan of rollout %q: model %q is under rollout %q", p.Rollout, p.Model, r.Rollout)
		}
		if r.Epoch == p.Epoch && r.hash == p.Hash() {
			return nil
		}
	}
	if err := s.passed(&p); err != nil {
		return err
	}
	s.RemovePlan(p.Rollout)
	slot := s.freeSlot()
	if slot == MaxPlans {
		return fmt.Errorf("plan of rollout %q: %d plans are there already", p.Rollout, MaxPlans)
	}
	r := newRollout(p, slot)
	for _, src := range s.sources {
		r.addLane(src)
	}
	s.rollouts[slot], s.byModel[p.Model] = r, r
	s.nameOutcomes(r)
	s.survey()
	return nil
}

// passed says whether events that the plan needs may have been read already.
func (s *Stage) passed(p *Plan) error {
	for _, src := range s.sources {
		for _, k := range kinds {
			first := p.first()
			if k == schemas.KindOutcome {
				first -= p.LatenessMs
			}
			if src.high[k] >= first {
				return fmt.Errorf("plan of rollout %q from %d: partition %v is at %d: %w", p.Rollout, p.FromMs, src.at, src.high[k], ErrPassed)
			}
		}
	}
	return nil
}

func (s *Stage) freeSlot() int {
	for slot, r := range s.rollouts {
		if r == nil {
			return slot
		}
	}
	if len(s.rollouts) < MaxPlans {
		s.rollouts = append(s.rollouts, nil)
		return len(s.rollouts) - 1
	}
	return MaxPlans
}

// RemovePlan ends a rollout: what of it is open is dropped, and its pending events are Other.
func (s *Stage) RemovePlan(rollout string) {
	for slot, r := range s.rollouts {
		if r == nil || r.Rollout != rollout {
			continue
		}
		s.rollouts[slot] = nil
		delete(s.byModel, r.Model)
		s.drop(r)
		s.disown(r)
		s.predictions.rebuild() // so that the slot can be another's
		s.values.rebuild()
		s.survey()
		s.settle()
	}
}

// drop gives up what is open in a rollout.
func (s *Stage) drop(r *rollout) {
	for _, l := range r.lanes {
		if l == nil {
			continue
		}
		for _, kind := range []schemas.Kind{schemas.KindPrediction, schemas.KindSample} {
			for _, o := range l.strand(kind).open {
				s.open[kind] -= o.counted
				s.counts.move(kind, Counted, Other, o.counted)
			}
		}
		s.dropOutcomes(r, l)
	}
	s.shop.forget(&r.serving)
	s.shop.forget(&r.resources)
}

// dropOutcomes gives up what is open in a rollout's outcomes of one partition.
func (s *Stage) dropOutcomes(r *rollout, l *lane) {
	for i := l.joined.sealed; i < len(l.joined.windows); i++ {
		for k := range r.outcomes {
			if l.joined.windows[i].start >= r.outcomes[k].mark {
				n := int64(l.joined.words(i, k)[wordMatched])
				s.open[schemas.KindOutcome] -= n
				s.counts.move(schemas.KindOutcome, Matched, Other, n)
			}
		}
	}
}

func (s *Stage) nameOutcomes(r *rollout) {
	for i, o := range r.Outcomes {
		at, known := s.nameAt[o.Name]
		if !known {
			at = int32(len(s.names))
			s.names, s.nameAt[o.Name] = append(s.names, outcomeName{text: o.Name}), at
		}
		for len(r.ordinals) <= int(at) {
			r.ordinals = append(r.ordinals, -1)
		}
		r.outcomes[i].name, r.ordinals[at] = at, int8(i)
	}
}

// survey works out anew what depends on all rollouts together.
func (s *Stage) survey() {
	s.reach = reach{latenessMin: MaxSpanMs, stepMs: 1_000, otherFloor: NoTime, healthLatenessMin: MaxSpanMs}
	for i := range s.names {
		s.names[i] = outcomeName{text: s.names[i].text}
	}
	for _, r := range s.rollouts {
		if r != nil {
			s.surveyRollout(r)
		}
	}
	s.reach.elsewhere = s.reach.health > 0 && s.reach.plans > 1
	for _, src := range s.sources {
		s.plan(src)
	}
	s.nextOutcome = NoTime
}

func (s *Stage) surveyRollout(r *rollout) {
	x := &s.reach
	x.plans++
	x.stepMs = max(x.stepMs, (3*r.withinMax+4*(r.LatenessMs+r.WidthMs))/256)
	if len(r.outcomes) == 0 {
		return
	}
	x.joins++
	if r.Health {
		x.health++
		x.healthLatenessMin = min(x.healthLatenessMin, r.LatenessMs)
	}
	x.latenessMin, x.latenessMax = min(x.latenessMin, r.LatenessMs), max(x.latenessMax, r.LatenessMs)
	x.widthMax = max(x.widthMax, r.WidthMs)
	x.withinMax, x.reachMax = max(x.withinMax, r.withinMax), max(x.reachMax, r.reachMax)
	for _, o := range r.outcomes {
		n := &s.names[o.name]
		n.plans++
		n.latenessMs, n.withinMs = max(n.latenessMs, r.LatenessMs), max(n.withinMs, o.withinMs)
		n.reachMs, n.valued = max(n.reachMs, o.reachMs), n.valued || o.cap > 0
	}
}

// Sealed returns the parts sealed since the last call. They are the caller's until the next call, when their memory is used again.
func (s *Stage) Sealed() []SealedPart {
	for i := range s.given {
		s.shop.take(s.given[i].Part)
	}
	s.given, s.sealed = s.sealed, s.given[:0]
	return s.given
}

// A Rejected event was held aside (Add said Pending) and is Invalid now.
type Rejected struct {
	Partition int
	Offset    int64
	Err       error
}

// Rejected returns the events that were held aside and not confirmed since the last call: dead letters.
// The slice is the caller's until the next call.
func (s *Stage) Rejected() []Rejected {
	s.rejectGiven, s.rejected = s.rejected, s.rejectGiven[:0]
	return s.rejectGiven
}

// Held returns how many events of partition p are held aside until others confirm them.
func (s *Stage) Held(p int) int { return len(s.sources[p].held) }

// Counts returns how many events of each kind are in each class by now: those in open windows are Pending. After a Restore, events
// that are read again are counted again.
func (s *Stage) Counts() Counts {
	c := s.counts
	c.move(schemas.KindPrediction, Counted, Pending, s.open[schemas.KindPrediction])
	c.move(schemas.KindSample, Counted, Pending, s.open[schemas.KindSample])
	c.move(schemas.KindOutcome, Matched, Pending, s.open[schemas.KindOutcome])
	return c
}

// Limits returns the stage's bounds, defaults filled in.
func (s *Stage) Limits() Limits { return s.limits }

// Stats returns what the stage holds by now.
func (s *Stage) Stats() StageStats {
	t := s.stats
	t.Predictions, t.Outcomes, t.Waiting = s.predictions.len(), s.outcomes.len(), len(s.queue)
	t.Values = s.values.len()
	t.Bytes = s.predictions.bytes() + s.outcomes.bytes() + s.values.bytes()
	t.LostPredictions += s.predictions.lost
	return t
}

// CountInvalid counts an event of a partition's record that a decoder refused; kind may be KindUnknown. It has its place among the events that Add takes.
func (s *Stage) CountInvalid(p int, kind schemas.Kind, offset int64) {
	src := s.sources[p]
	s.reread(src, offset)
	src.begin(offset, s.reach.stepMs)
	s.counts.add(kind, Invalid, 1)
	s.countBad(src, nil)
}
