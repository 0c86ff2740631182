package windows

import "streamcanary/schemas"

// plan works out at which times of a source some rollout can seal its next window.
func (s *Stage) plan(src *source) {
	for _, kind := range kinds {
		src.seal[kind] = forever
	}
	for _, r := range s.rollouts {
		if r == nil || src.place >= len(r.lanes) || r.lanes[src.place] == nil {
			continue
		}
		l := r.lanes[src.place]
		next := r.WidthMs + r.LatenessMs
		src.seal[schemas.KindPrediction] = min(src.seal[schemas.KindPrediction], l.serving.mark+next)
		src.seal[schemas.KindSample] = min(src.seal[schemas.KindSample], l.samples.mark+next)
	}
}

// sealSource seals the windows of a source that its own watermark has passed: which ones those are, and what is in them, is a
// function of its log alone.
func (s *Stage) sealSource(src *source, kind schemas.Kind) {
	for _, r := range s.rollouts {
		if r == nil || src.place >= len(r.lanes) || r.lanes[src.place] == nil {
			continue
		}
		s.sealStrand(r, r.lanes[src.place], kind, r.mark(src.high[kind]))
	}
	s.plan(src)
}

// sealStrand seals the windows of one kind of event that end by a time, and marks it.
func (s *Stage) sealStrand(r *rollout, l *lane, kind schemas.Kind, to int64) {
	in, how := l.strand(kind), &r.serving
	if kind == schemas.KindSample {
		how = &r.resources
	}
	if to <= in.mark {
		return
	}
	sealed := 0
	for _, o := range in.open {
		if o.part.StartMs >= to {
			break
		}
		sealed++
		s.open[kind] -= o.counted
		o.part.Overflow = kind == schemas.KindPrediction && o.part.StartMs < s.forgotten
		known := &l.units
		if o.part.StartMs+r.WidthMs <= in.muted {
			known = nil // copies unknown to a restored stage may be in it: nothing is to be learnt from a window that isn't handed out
		}
		if how.segments != nil {
			l.joined.nameSegments(o.part.StartMs, how.segments, &o.followed)
		}
		s.emit(r, l, s.shop.seal(how, o, known), &in.muted)
	}
	last := NoTime
	if sealed > 0 {
		last = s.lastSealed
	}
	clear(in.open[:sealed])
	in.open = in.open[:copy(in.open, in.open[sealed:])]
	in.mark = to
	if last != to-r.WidthMs && (kind == schemas.KindPrediction || len(r.resources.uses) > 0) {
		s.emit(r, l, s.shop.part(Stream{Kind: how.kind}, how.keys, to-r.WidthMs), &in.muted)
	}
}

// emit hands a sealed part out, unless it ends by muted, which moves on with what is handed out.
func (s *Stage) emit(r *rollout, l *lane, p *Part, muted *int64) {
	s.lastSealed = p.StartMs
	end := p.StartMs + r.WidthMs
	if end <= *muted {
		s.shop.take(p)
		return
	}
	key := Key{Rollout: r.Rollout, Epoch: r.Epoch, Plan: r.hash, Partition: l.source.at, Stream: p.Stream, StartMs: p.StartMs}
	p.AfterMs, *muted = *muted, end
	s.sealed = append(s.sealed, SealedPart{key, p})
}

// settle does what depends on all partitions: it carries idle ones along, resolves the outcomes whose predictions must have been read by now,
// and seals the outcomes that no outcome can be added to.
func (s *Stage) settle() {
	if s.idle > 0 {
		s.carryIdle()
	}
	if s.reach.joins == 0 {
		s.resolve(forever)
		s.nextOutcome = forever
		return
	}
	predictions, outcomes := s.least(schemas.KindPrediction), s.least(schemas.KindOutcome)
	if predictions == forever {
		return // no partition carries predictions
	}
	resolved := s.resolvedTo(predictions)
	s.resolve(resolved)
	x := &s.reach
	floor := min(minus(outcomes, x.latenessMax), minus(predictions, 2*x.latenessMax+x.widthMax))
	x.otherFloor = minus(floor, x.reachMax+1)
	s.nextOutcome = forever
	for _, r := range s.rollouts {
		if r == nil || len(r.outcomes) == 0 {
			continue
		}
		r.joinFloor = minus(floor, r.reachMax+1)
		settled := min(minus(outcomes, r.LatenessMs), resolved)
		for at := range r.outcomes {
			o := &r.outcomes[at]
			if settled != NoTime {
				s.sealOutcome(r, at, floorTo(settled-o.withinMs, r.WidthMs))
			}
			s.nextOutcome = min(s.nextOutcome, o.mark+r.WidthMs+o.withinMs+r.LatenessMs)
		}
		s.dropJoined(r)
	}
}

// least returns the lowest high of a kind over all partitions that carry it: forever if none does.
func (s *Stage) least(kind schemas.Kind) int64 {
	low := forever
	for _, src := range s.sources {
		if src.carries[kind] {
			low = min(low, src.high[kind])
		}
	}
	return low
}

// resolvedTo returns the time before which every outcome can be resolved, when all partitions' predictions have been read up to a
// high: the watermark of every rollout has passed the end of the window that holds the outcome's time plus lateness. That is rounded up
// to the window's end so that it is known by what seals, not by how far the reading of each partition has come.
func (s *Stage) resolvedTo(high int64) int64 {
	if high == NoTime {
		return NoTime
	}
	to := forever
	for _, r := range s.rollouts {
		if r != nil && len(r.outcomes) > 0 {
			to = min(to, floorTo(high-r.LatenessMs, r.WidthMs)-r.LatenessMs)
		}
	}
	return to
}

// sealOutcome seals one outcome of the windows of all partitions that end by a time.
func (s *Stage) sealOutcome(r *rollout, at int, to int64) {
	o := &r.outcomes[at]
	if to <= o.mark {
		return
	}
	stream := Stream{Kind: Outcomes, Name: r.Outcomes[at].Name}
	for _, l := range r.lanes {
		if l == nil || !l.source.carries[schemas.KindPrediction] {
			continue
		}
		j, last := &l.joined, NoTime
		i, _ := j.find(o.mark)
		for ; i < len(j.windows) && j.windows[i].start < to; i++ {
			last = j.windows[i].start
			p := s.shop.part(stream, o.keys, last)
			p.Overflow = o.lostFrom < last+r.WidthMs && last <= o.lostTo || last < s.forgotten
			j.cells(i, at, p)
			s.open[schemas.KindOutcome] -= int64(j.words(i, at)[wordMatched])
			s.emit(r, l, p, &l.muted[at])
		}
		if last != to-r.WidthMs {
			s.emit(r, l, s.shop.part(stream, o.keys, to-r.WidthMs), &l.muted[at])
		}
	}
	o.mark = to
}

// dropJoined forgets the windows all of whose outcomes are sealed.
func (s *Stage) dropJoined(r *rollout) {
	done := forever
	for at := range r.outcomes {
		done = min(done, r.outcomes[at].mark)
	}
	for _, l := range r.lanes {
		if l != nil {
			l.joined.drop(done)
		}
	}
}

// Idle is the ruling that a partition has nothing to read (true), so that it holds the others back no longer, or has again. It follows the
// slowest of the others then; its own events behind that are late. Adding an event to it ends the ruling.
func (s *Stage) Idle(p int, idle bool) {
	src := s.sources[p]
	if src.idle == idle {
		return
	}
	src.idle = idle
	if idle {
		s.idle++
		s.settle()
		return
	}
	s.idle--
}

// carryIdle moves every idle partition along with the slowest active one of each of its kinds: or, where all of a kind are idle, of any kind.
func (s *Stage) carryIdle() {
	for _, kind := range kinds {
		to := s.leastActive(kind)
		if to == NoTime {
			continue
		}
		for _, src := range s.sources {
			if src.idle && src.carries[kind] {
				s.carry(src, kind, to)
			}
		}
	}
}

// leastActive returns the lowest high of a kind over the active partitions; where there are none, of all kinds; else NoTime.
func (s *Stage) leastActive(kind schemas.Kind) int64 {
	low, any := forever, forever
	for _, src := range s.sources {
		if src.idle {
			continue
		}
		for _, k := range kinds {
			if src.carries[k] {
				any = min(any, src.high[k])
			}
		}
		if src.carries[kind] {
			low = min(low, src.high[kind])
		}
	}
	switch {
	case low != forever:
		return low
	case any != forever:
		return any
	}
	return NoTime
}

// carry moves a source's watermark of a kind by ruling, and notes where in its log that was.
func (s *Stage) carry(src *source, kind schemas.Kind, to int64) {
	if len(src.held) > 0 && !s.finished {
		s.takeHeld(src, to+s.limits.MaxJumpMs)
	}
	if to <= src.high[kind] {
		return
	}
	src.high[kind] = to
	if n := len(src.rulings); n > 0 && src.rulings[n-1].Offset == src.lastOffset {
		src.rulings[n-1].HighMs = src.high
	} else {
		src.rulings = append(src.rulings, IdleRuling{src.lastOffset, src.high})
	}
	if len(src.rulings) > maxCheckpoints {
		src.rulings = append(src.rulings[:0], src.rulings[1:]...)
	}
	if kind != schemas.KindOutcome {
		s.sealSource(src, kind)
	}
}

// Finish says that every partition's log has ended, so that none holds another back: all of a kind are at the greatest watermark of it.
// What is open beyond stays pending; with seal it is sealed. Events still held aside are invalid. No event may be added afterwards.
func (s *Stage) Finish(seal bool) {
	s.finished = true
	s.endHeld()
	for _, src := range s.sources {
		if src.idle {
			s.Idle(src.place, false)
		}
	}
	for _, kind := range kinds {
		greatest := NoTime
		for _, src := range s.sources {
			greatest = max(greatest, src.high[kind])
		}
		for _, src := range s.sources {
			if src.carries[kind] {
				s.carry(src, kind, greatest)
			}
		}
	}
	s.settle()
	if seal {
		s.sealAll()
	}
}

// sealAll seals every stream of every partition up to the end of its last window with an event in any partition.
func (s *Stage) sealAll() {
	s.resolve(forever)
	for _, r := range s.rollouts {
		if r == nil {
			continue
		}
		for _, kind := range []schemas.Kind{schemas.KindPrediction, schemas.KindSample} {
			s.sealKind(r, kind)
		}
		s.sealOutcomes(r)
	}
}

// sealKind seals one kind of every partition that carries it.
func (s *Stage) sealKind(r *rollout, kind schemas.Kind) {
	to := r.last(kind)
	for _, l := range r.lanes {
		if l != nil && l.source.carries[kind] {
			s.sealStrand(r, l, kind, to)
		}
	}
}

// last is where the last window ends that any partition has an event of this kind for, or is sealed up to.
func (r *rollout) last(kind schemas.Kind) int64 {
	to := NoTime
	for _, l := range r.lanes {
		if l == nil {
			continue
		}
		in := l.strand(kind)
		to = max(to, in.mark)
		if n := len(in.open); n > 0 {
			to = max(to, in.open[n-1].part.StartMs+r.WidthMs)
		}
	}
	return to
}

// sealOutcomes seals every outcome of every window.
func (s *Stage) sealOutcomes(r *rollout) {
	to := NoTime
	for _, l := range r.lanes {
		if l != nil {
			to = max(to, l.joined.last(r.WidthMs))
		}
	}
	for at := range r.outcomes {
		s.sealOutcome(r, at, to)
	}
	s.dropJoined(r)
}
