package windows

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"streamcanary/schemas"
)

// takePrediction classes a prediction: Other, then Late, then Duplicate, else Counted; and counts it.
func (s *Stage) takePrediction(src *source, e *schemas.Event) Class {
	r := s.byModel[string(e.Model)]
	if r == nil {
		return s.passOver(src, e)
	}
	arm, ok := r.arm(e)
	start := floorTo(e.TimeMs, r.WidthMs)
	if start < r.start {
		return s.passOver(src, e)
	}
	l := r.lanes[src.place]
	if !ok {
		s.countOther(r, l, e, start)
		return s.passOver(src, e)
	}
	id := xxhash.Sum64(e.ID)
	if start < l.serving.mark {
		s.countLate(r, l, arm, e)
		s.noteFor(r, src, placed{Event: e, id: id})
		return Late
	}
	slice := -1
	if arm == Baseline {
		slice = predictionSlice(e, id)
	}
	entry := slot{
		key:  id,
		when: packWhen(e.TimeMs, r.slot),
		what: packWhat(what{src.place, e.Attempt, arm, max(slice, 0), joins(r, e)}),
	}
	known := s.findCopies(r, src, entry)
	if known.copied {
		s.noteCopy(r, entry, known)
		s.noteFor(r, src, placed{Event: e, id: id})
		return Duplicate
	}
	o := s.window(r, &r.serving, &l.serving, start)
	p := placed{Event: e, arm: arm, id: id, slice: slice}
	if r.serving.segments != nil {
		p.segment = o.segments.id(r.serving.segments, p)
		if entry.joinable() {
			entry.setSegment(o.followed.id(r.serving.segments, p))
		}
	}
	loose := s.reach.elsewhere && lagOf(src, e.TimeMs) > s.reach.healthLatenessMin
	if loose {
		entry.what |= 1 << looseShift
	}
	s.note(entry, known)
	if loose || !entry.joinable() {
		s.noteFor(r, src, p)
	}
	if entry.joinable() {
		l.joined.count(start, &entry, p)
	}
	s.countPrediction(r, l, o, p)
	return Counted
}

// noteFor notes a prediction of a rollout for others that count a join gap: one that they would take for Other's if that rollout weren't there. If it
// stands in an entry that they can go by, that isn't needed.
func (s *Stage) noteFor(r *rollout, src *source, p placed) {
	if s.reach.elsewhere {
		s.noteElsewhere(src, p.id, p.TimeMs, r.slot)
	}
}

// joins says whether outcomes can follow a prediction: it was served, and answered.
func joins(r *rollout, e *schemas.Event) bool {
	return len(r.outcomes) > 0 && !e.Shadow && !e.Error && !e.Timeout
}

// sliceOf returns the calibration slice of a unit.
func sliceOf(unit []byte) int { return sliceOfHash(xxhash.Sum64(unit)) }

func sliceOfHash(hash uint64) int { return min(bits.TrailingZeros64(hash), Slices-1) }

func predictionSlice(e *schemas.Event, id uint64) int {
	if len(e.Unit) > 0 {
		return sliceOf(e.Unit)
	}
	return sliceOfHash(id)
}

// placed is a prediction with what was found out about it.
type placed struct {
	*schemas.Event
	arm     Arm
	id      uint64 // its hash
	slice   int    // of calibration; -1 in the canary
	segment uint16 // its id in the window
}

// countPrediction puts a prediction into its open window.
func (s *Stage) countPrediction(r *rollout, l *lane, o *openWindow, p placed) {
	rows := s.shop.rowsOf(&r.serving, o, p.arm, 0)
	rows.addPrediction(&r.serving, p)
	s.shop.reduceFull(&r.serving, o, rows)
	o.part.Traffic[p.arm].countPrediction(p.Event, p.slice)
	o.hosts[p.arm].count(p.Host, 1, 0)
	if p.arm == Canary {
		o.regions.count(p.Region, 1, 0)
		o.show(r.serving.exhibits, p)
	}
	if len(p.Unit) > 0 && !p.Shadow {
		if unit := max(xxhash.Sum64(p.Unit), 1); l.units.fresh(unit) {
			o.units.add(UnitSight{unit, p.id}, p.arm)
		}
	}
	o.counted++
	s.open[schemas.KindPrediction]++
}

// countLate counts a late prediction in the oldest open window of its partition: the one that holds the watermark.
func (s *Stage) countLate(r *rollout, l *lane, arm Arm, e *schemas.Event) {
	o := s.window(r, &r.serving, &l.serving, l.serving.mark)
	o.part.Traffic[arm].Late++
	o.hosts[arm].count(e.Host, 0, 1)
}

// copies is what is known of earlier copies of a prediction.
type copies struct {
	copied bool  // one is remembered
	until  int64 // when the last of them is forgotten
	mark   *slot // one that outcomes aren't joined to: it can serve for this copy, too. Valid until the next insertion
}

// countOther counts a prediction that is under no arm of its model's rollout in its open window, where it is another version's.
func (s *Stage) countOther(r *rollout, l *lane, e *schemas.Event, start int64) {
	if start < l.serving.mark || string(e.Version) == r.Baseline || string(e.Version) == r.Canary {
		return
	}
	o := s.window(r, &r.serving, &l.serving, start)
	o.others.count(e.Version, 1, 0)
	if len(e.Version) > 0 && len(e.Host) > 0 {
		s.shop.name = append(append(append(s.shop.name[:0], e.Version...), 0), e.Host...) // as OtherHost
		o.otherHosts.count(s.shop.name, 1, 0)
	}
}

// findCopies looks for earlier copies of a prediction in its partition. A copy is remembered until the watermark of
// the partition has passed its window and the longest `within`: any copy that was neither late nor other, not only the first one. So
// whether an event is a copy depends on the stretch of the log before it that is remembered, and on nothing before that: a
// stage that starts to read there again comes to the same answer.
func (s *Stage) findCopies(r *rollout, src *source, entry slot) copies {
	identity := entry.identity()
	known := copies{until: NoTime}
	for f := s.predictions.find(entry.key); ; {
		e := f.next()
		if e == nil {
			break
		}
		if e.identity() == identity {
			known.until = max(known.until, r.rememberedTo(e.timeMs()))
			if !e.joinable() {
				known.mark = e
			}
		}
	}
	known.copied = known.until > minus(src.high[schemas.KindPrediction], r.LatenessMs) && known.until != NoTime
	return known
}

// noteCopy notes a copy, if it is to be remembered longer than those before. No outcome is joined to it.
func (s *Stage) noteCopy(r *rollout, entry slot, known copies) {
	if r.rememberedTo(entry.timeMs()) > known.until {
		entry.what &^= 1 << joinableShift
		s.note(entry, known)
	}
}

// note remembers a prediction.
func (s *Stage) note(entry slot, known copies) {
	if known.mark != nil && !entry.joinable() {
		known.mark.when = max(known.mark.when, entry.when) // however often an id comes, it is remembered once or twice
		return
	}
	s.insert(entry)
}

// passOver notes the id of a prediction under no rollout, so that its outcomes are Other, too; unless it is late for every rollout, or the
// index is half full: then they are Unmatched.
func (s *Stage) passOver(src *source, e *schemas.Event) Class {
	if s.reach.joins > 0 {
		s.noteElsewhere(src, xxhash.Sum64(e.ID), e.TimeMs, -1)
	}
	return Other
}

// predictionStale says that an entry can be dropped: its copies would not be known by it any more, and no outcome that could still be
// classed can reach it.
func (s *Stage) predictionStale(e *slot) bool {
	if e.plan() == otherPlan {
		return e.timeMs() < s.reach.otherFloor
	}
	r := s.rollouts[e.plan()]
	if r == nil {
		return true
	}
	if e.joinable() && (e.timeMs() >= r.joinFloor || (s.reach.elsewhere && e.timeMs() >= s.reach.otherFloor)) {
		return false
	}
	watermark := minus(s.sources[e.source()].high[schemas.KindPrediction], r.LatenessMs)
	return e.timeMs()+r.WidthMs+r.withinMax <= watermark // at or above rememberedTo
}
