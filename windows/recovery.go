package windows

import (
	"fmt"

	"streamcanary/schemas"
)

// A Recovery says from where a new Stage must read again so that it seals the parts that are still unsealed just as this one would
// have. It is plain data: JSON keeps it.
//
// # Why reading again gives the same parts
//
// The new stage reads every partition from a checkpoint C on: an offset, and the highs (the highest event time of each kind) before it. From
// there on its highs are those of the first reading at every offset, since a high is a maximum over what was read; so are the
// watermarks, what is held aside (nothing was, at C), what is late, and in which window a late event is counted. It remains to show
// that it knows every earlier event that matters. All events before an offset have times up to its high, so a C with a high below X
// has every event with a time from X on behind it. Let A be the end of what is sealed of a rollout: for a partition's predictions the lowest mark of its
// serving windows and of the rollout's outcomes.
//
//  1. The events of unsealed windows have times from A on.
//  2. The outcomes that can count in them have times from A - lateness on, and compete for predictions with times from
//     X = A - lateness - within on: those must be known, and be counted exactly if they were before. Let C' be a checkpoint with a high below X.
//  3. A prediction read behind C' is a duplicate if a copy before it, neither late nor other, is remembered: its window's end plus `within` is
//     above the watermark. That asks for copies with times above the high at C' less lateness, `within` and a window, and not for what
//     became of them: so the list of remembered ids needs not be kept, and no chain of copies reaches further back.
//     C is a checkpoint with a high below that.
//  4. Predictions between C and C' may be misjudged, since copies of them before C are unknown. They are in windows sealed long ago
//     (which are not sealed again: Marks), and no outcome that counts in an unsealed one looks at them.
//  5. Predictions before the rollout's start are not remembered at all, so no high needs to be below it.
//     That a join gap counts none that could follow an earlier one is why. What it counts in an unsealed window happened from A and `within` on, and
//     asks for predictions, of whatever model, from A less a quarter of `within` and a lateness on: they are behind C'. Bad events of unsealed windows
//     were read when the high was at the rollout's start or beyond A: behind C', too.
//  6. Outcomes: those with times from the lowest mark of an outcome less lateness on, and, for the class Duplicate alone, another lateness and
//     `within` before. Samples: those from their mark on.
//
// An older checkpoint serves as well, and one that served once serves for ever, since marks only grow: where none fits, as shortly after a Restore,
// it is the oldest. Where a bound of Limits was reached, the new stage may forget others than this one did: what it forgets before its time carries Overflow, too.
// Idle partitions were carried along by wall time: such rulings are kept with their place in the log.
type Recovery struct {
	Sources []SourceRecovery `json:"sources"`
	Marks   []Mark           `json:"marks"`
}

// FromStart is the Offset of a partition of which nothing was read: it is read from its start.
const FromStart = -1

// A SourceRecovery is where to read one partition from, and the times known there. Times are NoTime where nothing was read.
type SourceRecovery struct {
	Partition Partition    `json:"partition"`
	Offset    int64        `json:"offset"`  // of the first record to read again, or FromStart
	HighMs    highs        `json:"high_ms"` // highest event time by then: of each kind, and at KindUnknown of all
	Rulings   []IdleRuling `json:"rulings,omitempty"`
}

// An IdleRuling is how far an idle partition was carried along after the record at Offset was read.
type IdleRuling struct {
	Offset int64 `json:"offset"`
	HighMs highs `json:"high_ms"`
}

// A Mark says that all windows of a stream that end by UpToMs are sealed.
type Mark struct {
	Rollout   string    `json:"rollout"`
	Epoch     int64     `json:"epoch"`
	Stream    Stream    `json:"stream"`
	Partition Partition `json:"partition"`
	UpToMs    int64     `json:"up_to_ms"`
}

// Recovery returns where to start again. Store it only after every part that Sealed has returned is in the journal. It forgets the checkpoints
// that no later recovery can need.
func (s *Stage) Recovery() Recovery {
	var out Recovery
	for _, r := range s.rollouts {
		if r != nil {
			out.Marks = s.marks(out.Marks, r)
		}
	}
	for _, src := range s.sources {
		if rec, read := s.recoverSource(src); read {
			out.Sources = append(out.Sources, rec)
		}
	}
	return out
}

// marks appends how far a rollout is sealed.
func (s *Stage) marks(list []Mark, r *rollout) []Mark {
	for _, l := range r.lanes {
		if l == nil {
			continue
		}
		mark := func(stream Stream, upTo int64) {
			list = append(list, Mark{r.Rollout, r.Epoch, stream, l.source.at, upTo})
		}
		mark(Stream{Kind: Serving}, max(l.serving.mark, l.serving.muted))
		mark(Stream{Kind: Resources}, max(l.samples.mark, l.samples.muted))
		for at := range r.outcomes {
			mark(Stream{Kind: Outcomes, Name: r.Outcomes[at].Name}, max(r.outcomes[at].mark, l.muted[at]))
		}
	}
	return list
}

func (s *Stage) recoverSource(src *source) (SourceRecovery, bool) {
	if len(src.checkpoints) == 0 {
		unread := SourceRecovery{Partition: src.at, Offset: FromStart, HighMs: newSource(src.at, 0).high, Rulings: src.allRulings()}
		return unread, len(unread.Rulings) > 0
	}
	var below highs
	below[schemas.KindUnknown] = forever
	for _, k := range kinds {
		below[k] = s.neededFrom(src, k)
	}
	at := len(src.checkpoints) - 1
	for at > 0 && !isBelow(&src.checkpoints[at].high, &below) {
		at--
	}
	src.checkpoints = src.checkpoints[at:]
	c := src.checkpoints[0]
	for len(src.rulings) > 0 && src.rulings[0].Offset < c.offset {
		src.rulings = src.rulings[1:]
	}
	return SourceRecovery{src.at, c.offset, c.high, src.allRulings()}, true
}

// allRulings returns the rulings since the first checkpoint, those included that reading hasn't come to again.
func (p *source) allRulings() []IdleRuling {
	return append(append([]IdleRuling(nil), p.rulings...), p.restored...)
}

func isBelow(high, limit *highs) bool {
	for k := range high {
		if high[k] >= limit[k] {
			return false
		}
	}
	return true
}

// neededFrom returns the time below which a source's high of a kind must be where reading starts again.
func (s *Stage) neededFrom(src *source, kind schemas.Kind) int64 {
	from := forever
	if !src.carries[kind] {
		return from
	}
	for _, r := range s.rollouts {
		if r == nil {
			continue
		}
		switch kind {
		case schemas.KindPrediction:
			from = min(from, predictionsFrom(r, src))
		case schemas.KindOutcome:
			from = min(from, s.outcomesFrom(r, src))
		default:
			l := r.lanes[src.place]
			from = min(from, max(l.samples.mark, l.samples.muted))
		}
	}
	return from
}

// predictionsFrom is steps 1 to 3 and 5 of Recovery.
func predictionsFrom(r *rollout, src *source) int64 {
	l := r.lanes[src.place]
	sealed := max(l.serving.mark, l.serving.muted)
	for at := range r.outcomes {
		sealed = min(sealed, max(r.outcomes[at].mark, l.muted[at]))
	}
	if len(r.outcomes) > 0 {
		sealed -= r.LatenessMs + r.withinMax
	}
	needed := max(r.start, sealed)
	high := src.highBelow(schemas.KindPrediction, needed)
	if high < r.start {
		return needed
	}
	return max(r.start, high-r.LatenessMs-r.withinMax-r.WidthMs)
}

// outcomesFrom is step 6 of Recovery.
func (s *Stage) outcomesFrom(r *rollout, src *source) int64 {
	sealed := forever
	for at := range r.outcomes {
		mark := r.outcomes[at].mark
		for _, l := range r.lanes {
			if l != nil && l.source.carries[schemas.KindPrediction] {
				mark = max(mark, l.muted[at])
			}
		}
		sealed = min(sealed, mark-r.LatenessMs)
	}
	if sealed == forever {
		return forever
	}
	high := src.highBelow(schemas.KindOutcome, sealed)
	if high == NoTime {
		return sealed
	}
	return high - s.reach.latenessMax - s.reach.withinMax
}

// highBelow returns the high of the last checkpoint whose high of a kind is below a limit; NoTime if none is.
func (p *source) highBelow(kind schemas.Kind, limit int64) int64 {
	for i := len(p.checkpoints) - 1; i >= 0; i-- {
		if high := p.checkpoints[i].high[kind]; high < limit {
			return high
		}
	}
	return NoTime
}

// Restore makes a new stage go on from a recovery: after AddPartition and SetPlan, before the first Add. Every partition must then be
// read from its offset there (a partition that isn't in it: from its start). It fails for a partition that the stage doesn't have, and with ErrPassed for a plan that is not in
// the recovery and begins before what is read again.
func (s *Stage) Restore(rec Recovery) error {
	for i := range rec.Sources {
		if err := s.restoreSource(&rec.Sources[i]); err != nil {
			return err
		}
	}
	known := map[*rollout]bool{}
	for _, m := range rec.Marks {
		if r := s.rolloutOf(m); r != nil {
			known[r] = true
			s.restoreMark(r, m)
		}
	}
	for _, r := range s.rollouts {
		if r == nil {
			continue
		}
		if !known[r] {
			if err := s.passed(&r.Plan); err != nil {
				return err
			}
		}
		for _, l := range r.lanes {
			if l != nil {
				l.serving.mark, l.samples.mark = r.mark(l.source.high[schemas.KindPrediction]), r.mark(l.source.high[schemas.KindSample])
			}
		}
	}
	for _, src := range s.sources {
		s.plan(src)
	}
	s.settle()
	return nil
}

func (s *Stage) restoreSource(rec *SourceRecovery) error {
	for _, src := range s.sources {
		if src.at != rec.Partition {
			continue
		}
		if src.lastOffset != noOffset {
			return fmt.Errorf("restore partition %v: it has been read to offset %d already", src.at, src.lastOffset)
		}
		src.high = rec.HighMs
		src.restored = append([]IdleRuling(nil), rec.Rulings...)
		if rec.Offset != FromStart {
			src.check(rec.Offset, s.reach.stepMs)
		}
		return nil
	}
	return fmt.Errorf("restore partition %v: the stage doesn't have it", rec.Partition)
}

func (s *Stage) rolloutOf(m Mark) *rollout {
	for _, r := range s.rollouts {
		if r != nil && r.Rollout == m.Rollout && r.Epoch == m.Epoch {
			return r
		}
	}
	return nil
}

// restoreMark mutes what was sealed before.
func (s *Stage) restoreMark(r *rollout, m Mark) {
	for _, l := range r.lanes {
		if l == nil || l.source.at != m.Partition {
			continue
		}
		switch m.Stream.Kind {
		case Serving:
			l.serving.muted = m.UpToMs
		case Resources:
			l.samples.muted = m.UpToMs
		}
		for at := range r.outcomes {
			if m.Stream == (Stream{Kind: Outcomes, Name: r.Outcomes[at].Name}) {
				l.muted[at] = m.UpToMs
			}
		}
	}
}
