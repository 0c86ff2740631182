package windows

import (
	"fmt"
	"slices"

	"streamcanary/schemas"
)

// Add takes the next event of a partition. Offset never falls within a partition, and is that of the event's record; appendMs is the time
// at which the broker appended it, or 0 where it didn't say. The event's memory is the caller's again on return. The class is final,
// except Counted (Pending until its window is sealed) and Pending (an outcome that waits; an event held aside): Counts has what
// became of them. With Invalid comes an error that says why. Add panics after Finish.
func (s *Stage) Add(p int, e *schemas.Event, offset, appendMs int64) (Class, error) {
	if s.finished {
		panic(fmt.Sprintf("windows: event added to partition %d at offset %d after the end of the logs", p, offset))
	}
	src := s.sources[p]
	if len(src.restored) > 0 || src.idle {
		s.resume(src, offset)
	}
	src.begin(offset, s.reach.stepMs)
	if err := s.check(src, e, appendMs); err != nil {
		s.counts.add(e.Kind, Invalid, 1)
		s.countBad(src, e.Model)
		return Invalid, src.refusal(e, offset, err)
	}
	if appendMs == 0 && s.jumps(src, e) {
		return s.holdAside(src, e, offset)
	}
	if len(src.held) > 0 {
		if src.ordinary++; src.ordinary >= Confirming && src.ordinary > len(src.held) {
			s.reject(src)
		}
	}
	class := s.take(src, e)
	s.counts.add(e.Kind, class, 1)
	return class, nil
}

// resume ends a ruling of idleness, and applies what a recovery remembers of earlier ones.
func (s *Stage) resume(src *source, offset int64) {
	if src.idle {
		src.idle = false
		s.idle--
	}
	s.reread(src, offset)
}

// reread applies the rulings that a recovery remembers from before an offset.
func (s *Stage) reread(src *source, offset int64) {
	for len(src.restored) > 0 && src.restored[0].Offset < offset {
		ruling := src.restored[0]
		src.restored = src.restored[1:]
		for _, k := range kinds {
			s.carry(src, k, ruling.HighMs[k])
		}
	}
}

// check says why an event can't be taken at all.
func (s *Stage) check(src *source, e *schemas.Event, appendMs int64) error {
	switch {
	case e.Kind == schemas.KindUnknown || e.Kind > schemas.KindSample || !src.carries[e.Kind]:
		return fmt.Errorf("the partition carries no %s", e.Kind)
	case e.TimeMs > MaxTimeMs || e.TimeMs < -MaxTimeMs:
		return ErrTime
	case appendMs > 0 && e.TimeMs-appendMs > s.limits.MaxAheadMs:
		return ErrAhead
	}
	return nil
}

// jumps says whether an event is too far ahead of its partition, or the partition has no time yet: its first event could be one whose clock is
// wrong, and would drag the watermark with it.
func (s *Stage) jumps(src *source, e *schemas.Event) bool {
	highest := slices.Max(src.high[:])
	return highest == NoTime || e.TimeMs-highest > s.limits.MaxJumpMs
}

// holdAside keeps an event until enough of those held aside agree with it and outnumber the ordinary ones: then these are taken, in order, as if
// read now, and the rest is given up. Where MaxHeld are there and still don't agree, all of them are given up. The class and the error are this event's.
func (s *Stage) holdAside(src *source, e *schemas.Event, offset int64) (Class, error) {
	high, confirmed := src.confirmed(e.TimeMs, s.limits.MaxJumpMs)
	switch {
	case confirmed:
		s.confirm(src, high)
		if s.jumps(src, e) {
			break
		}
		class := s.take(src, e)
		s.counts.add(e.Kind, class, 1)
		return class, nil
	case len(src.held) == MaxHeld:
		s.reject(src)
		s.counts.add(e.Kind, Invalid, 1)
		s.countBad(src, e.Model)
		return Invalid, src.refusal(e, offset, ErrUnconfirmed)
	}
	src.hold(e, offset)
	s.counts.add(e.Kind, Pending, 1)
	return Pending, nil
}

// confirm takes the events held aside with times up to high, and gives up the others.
func (s *Stage) confirm(src *source, high int64) {
	s.takeHeld(src, high)
	s.reject(src)
}

// takeHeld takes the events held aside with times up to high; the others stay.
func (s *Stage) takeHeld(src *source, high int64) {
	held := src.held
	src.held = nil
	for i := range held {
		if e := &held[i].event; e.TimeMs <= high {
			s.counts.move(e.Kind, Pending, s.take(src, e), 1)
		} else {
			src.held = append(src.held, held[i])
		}
	}
}

// endHeld settles, at the end of all logs, what is still held aside: taken is what isn't ahead of what any partition has come to; where none has
// come to anything, what agrees with a partition's last event. The rest is given up.
func (s *Stage) endHeld() {
	for again := true; again; {
		again = false
		greatest := NoTime
		for _, src := range s.sources {
			greatest = max(greatest, src.high[schemas.KindUnknown])
		}
		for _, src := range s.sources {
			n := len(src.held)
			if n == 0 {
				continue
			}
			high := greatest + s.limits.MaxJumpMs
			if greatest == NoTime {
				high, _ = src.agreeing(src.held[n-1].event.TimeMs, s.limits.MaxJumpMs)
			}
			s.takeHeld(src, high)
			if again = len(src.held) < n; again {
				break
			}
		}
	}
	for _, src := range s.sources {
		s.reject(src)
	}
}

// reject gives up the events that were held aside.
func (s *Stage) reject(src *source) {
	for _, h := range src.held {
		s.counts.move(h.event.Kind, Pending, Invalid, 1)
		s.countBad(src, h.event.Model)
		s.rejected = append(s.rejected, Rejected{src.place, h.offset, src.refusal(&h.event, h.offset, ErrUnconfirmed)})
	}
	src.held = nil
}

// countBad counts an invalid event in the oldest open window of its partition: in every rollout that asks for it, but those whose model it can't be of.
// Before the partition has come to a rollout's first window, its bad events are none of the rollout's.
func (s *Stage) countBad(src *source, model []byte) {
	if !src.carries[schemas.KindPrediction] {
		return
	}
	for _, r := range s.rollouts {
		if r == nil || !r.Health || src.high[schemas.KindPrediction] < r.start || (len(model) > 0 && string(model) != r.Model) {
			continue
		}
		l := r.lanes[src.place]
		s.window(r, &r.serving, &l.serving, l.serving.mark).part.Bad++
	}
}

// take puts an event where it belongs, and moves its partition's watermark.
func (s *Stage) take(src *source, e *schemas.Event) Class {
	var class Class
	switch e.Kind {
	case schemas.KindPrediction:
		class = s.takePrediction(src, e)
	case schemas.KindOutcome:
		class = s.takeOutcome(src, e)
	default:
		class = s.takeSample(src, e)
	}
	if class == Late && src.outran[e.Kind] {
		s.stats.Outrun++
	}
	if e.TimeMs > src.high[e.Kind] {
		src.outran[e.Kind] = false
		s.rise(src, e.Kind, e.TimeMs)
	}
	if src.high[schemas.KindUnknown] = max(src.high[schemas.KindUnknown], e.TimeMs); src.high[schemas.KindUnknown] >= src.lagAt {
		s.carryLagging(src)
	}
	return class
}

// rise moves the high of a source's kind forward, and seals what that lets seal.
func (s *Stage) rise(src *source, kind schemas.Kind, ms int64) {
	before := src.high[kind]
	src.high[kind] = ms
	switch {
	case kind == schemas.KindOutcome:
		if before < s.nextOutcome && ms >= s.nextOutcome {
			s.settle()
		}
	case ms >= src.seal[kind]:
		s.sealSource(src, kind)
		s.settle()
	}
}

// lagStepMs is how finely a lagging kind is carried along.
const lagStepMs = 1_000

// carryLagging moves the kinds that a partition carries, but that haven't come for MaxLagMs of event time, along with its other events: so a
// log without samples or outcomes doesn't keep its windows waiting to its end. How far is a function of the highs alone, and so of the log.
func (s *Stage) carryLagging(src *source) {
	to := floorTo(src.high[schemas.KindUnknown]-s.limits.MaxLagMs, lagStepMs)
	src.lagAt = forever
	for _, kind := range kinds {
		if !src.carries[kind] {
			continue
		}
		if to > src.high[kind] {
			src.outran[kind] = true
			s.rise(src, kind, to)
		}
		src.lagAt = min(src.lagAt, floorTo(src.high[kind], lagStepMs)+lagStepMs+s.limits.MaxLagMs)
	}
}

// takeSample classes a sample and, if it counts, keeps its reading.
func (s *Stage) takeSample(src *source, e *schemas.Event) Class {
	r := s.byModel[string(e.Model)]
	if r == nil {
		return Other
	}
	arm, ok := r.arm(e)
	start := floorTo(e.TimeMs, r.WidthMs)
	if !ok || start < r.start {
		return Other
	}
	name := sampleName(&r.resources, e.Name)
	if name < 0 {
		return Unused
	}
	l := r.lanes[src.place]
	if start < l.samples.mark {
		return Late
	}
	o := s.window(r, &r.resources, &l.samples, start)
	slice := -1
	if arm == Baseline && r.resources.slices {
		slice = sliceOf(e.Host)
	}
	rows := s.shop.rowsOf(&r.resources, o, arm, name)
	rows.addSample(&r.resources, e, slice)
	s.shop.reduceFull(&r.resources, o, rows)
	o.counted++
	s.open[schemas.KindSample]++
	return Counted
}

func sampleName(l *layout, name []byte) int {
	for i, known := range l.names {
		if string(name) == known {
			return i
		}
	}
	return -1
}

// window returns the open window of a strand that starts at start, made if it isn't there.
func (s *Stage) window(r *rollout, l *layout, in *strand, start int64) *openWindow {
	o, place := in.open.at(start)
	if o != nil {
		return o
	}
	o = s.shop.window(Stream{Kind: l.kind}, l, start)
	in.open = append(in.open, nil)
	copy(in.open[place+1:], in.open[place:])
	in.open[place] = o
	return o
}
