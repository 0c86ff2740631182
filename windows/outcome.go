package windows

import (
	"slices"

	"github.com/cespare/xxhash/v2"

	"streamcanary/schemas"
)

// takeOutcome classes an outcome as Unused, Late or Duplicate, or lets it wait until its prediction must have been read.
//
// Late and Duplicate are judged here by the longest lateness and `within` of the rollouts that name the outcome; whether it counts for a rollout is
// judged by that rollout's own, when it is resolved: so what is sealed for one rollout doesn't depend on the others. A duplicate is resolved
// like the first one: what is counted is predictions with such an outcome, and they don't become more by it. Their values would: see earlierCopy.
func (s *Stage) takeOutcome(src *source, e *schemas.Event) Class {
	name, latenessMs, withinMs := s.namedBy(e)
	if name < 0 {
		return Unused
	}
	high := src.high[schemas.KindOutcome]
	w := waiting{key: max(xxhash.Sum64(e.ID), 1), timeMs: e.TimeMs, highMs: high, value: e.Value, copyMs: NoTime, name: name, source: uint16(src.place)}
	if len(e.Model) > 0 {
		w.model = xxhash.Sum64(e.Model)
	}
	if len(e.Version) > 0 {
		w.version = xxhash.Sum64(e.Version)
	}
	if s.names[name].valued {
		w.copyMs = s.earlierCopy(src, e, &w)
	}
	if e.TimeMs < minus(high, latenessMs) {
		return Late
	}
	w.copied = s.rememberOutcome(src, e, &w, minus(high, latenessMs+withinMs))
	class := Pending
	if w.copied {
		class = Duplicate
	}
	if len(s.queue) >= s.limits.PendingOutcomes {
		s.lose(&w)
		if !w.copied {
			class = Unmatched
		}
		return class
	}
	s.queue.push(w)
	return class
}

// namedBy returns the place of an outcome's name, with the longest lateness and `within` of the rollouts that it can count for; -1 if none.
func (s *Stage) namedBy(e *schemas.Event) (name int32, latenessMs, withinMs int64) {
	at, known := s.nameAt[string(e.Name)]
	if !known || s.names[at].plans == 0 {
		return -1, 0, 0
	}
	if len(e.Model) == 0 {
		return at, s.names[at].latenessMs, s.names[at].withinMs
	}
	r := s.byModel[string(e.Model)]
	if r == nil || r.ordinal(at) < 0 {
		return -1, 0, 0
	}
	return at, r.LatenessMs, r.outcomes[r.ordinal(at)].withinMs
}

// rememberOutcome looks for an earlier copy of an outcome in its partition that happened at or after a time, and notes this one.
func (s *Stage) rememberOutcome(src *source, e *schemas.Event, w *waiting, after int64) bool {
	key := identityOf(w.key, e.Name, e.EventID)
	packed := packWhat(what{source: src.place})
	for f := s.outcomes.find(key); ; {
		known := f.next()
		if known == nil {
			break
		}
		if known.what != packed {
			continue
		}
		copied := known.timeMs() >= after
		known.when = packWhen(max(known.timeMs(), w.timeMs), 0)
		return copied
	}
	s.noteOutcome(slot{key: key, when: packWhen(w.timeMs, 0), what: packed})
	return false
}

// noteOutcome remembers an outcome's id, if there is room.
func (s *Stage) noteOutcome(entry slot) bool {
	if !s.outcomes.hasRoom(s.limits.PendingOutcomes) {
		s.stats.ForgottenOutcomes++
		return false
	}
	s.outcomes.insert(entry)
	return true
}

// hasRoom says whether a table has fewer entries than its bound, and lets those go in time that nobody needs.
func (x *index) hasRoom(bound int) bool {
	if x.pass == 0 && x.len()*roomParts >= bound*passAt {
		x.beginPass(bound / roomParts)
	}
	if x.len() >= bound {
		x.advance()
		return false
	}
	return true
}

func (s *Stage) outcomeStale(e *slot) bool {
	high := s.sources[e.source()].high[schemas.KindOutcome]
	return e.timeMs() < minus(high, s.reach.latenessMax+s.reach.withinMax)
}

// lose gives up an outcome that there is no room for: the windows in which it could have counted get Overflow.
func (s *Stage) lose(w *waiting) {
	s.stats.LostOutcomes++
	for _, r := range s.rollouts {
		if r != nil && r.ordinal(w.name) >= 0 {
			o := &r.outcomes[r.ordinal(w.name)]
			o.overflow(w.timeMs-o.withinMs, w.timeMs+r.LatenessMs)
		}
	}
}

// resolve settles the outcomes that happened before a time: everything that they could count for has been read.
func (s *Stage) resolve(before int64) {
	for len(s.queue) > 0 && s.queue[0].timeMs < before {
		w := s.queue.pop()
		class := s.join(&w)
		if w.copied {
			continue
		}
		s.counts.move(schemas.KindOutcome, Pending, class, 1)
	}
}

// join counts an outcome for its prediction in every rollout that has one, and returns its class: the first of Matched, Late,
// Outside, Other, Unmatched that holds in one of them.
func (s *Stage) join(w *waiting) Class {
	class := Unmatched
	name := &s.names[w.name]
	s.joining = s.joining[:0]
	for f := s.predictions.find(w.key); ; {
		e := f.next()
		if e == nil {
			break
		}
		after := w.timeMs - e.timeMs()
		if e.plan() != otherPlan {
			s.joining = appendNew(s.joining, e.plan())
		} else if after >= -name.latenessMs && after <= name.reachMs && e.owner() < 0 && e.lag() <= s.reach.latenessMin {
			class = Other
		}
	}
	for _, plan := range s.joining {
		r := s.rollouts[plan]
		at := r.names(w)
		if at < 0 {
			continue
		}
		c := s.joinTo(r, at, w)
		s.countGap(r, at, w, c)
		if rank(c) < rank(class) {
			class = c
		}
	}
	if s.reach.health > 0 {
		s.missGap(w)
	}
	return class
}

// missGap counts an outcome in the gap of the rollouts that have no prediction of its id.
func (s *Stage) missGap(w *waiting) {
	for plan, r := range s.rollouts {
		if at := r.names(w); at >= 0 && !slices.Contains(s.joining, plan) {
			s.countGap(r, at, w, Unmatched)
		}
	}
}

// names returns the place of an outcome that can be the rollout's in its plan, or -1.
func (r *rollout) names(w *waiting) int {
	if r == nil || (w.model != 0 && w.model != r.model) {
		return -1
	}
	return r.ordinal(w.name)
}

func appendNew(list []int, n int) []int {
	if slices.Contains(list, n) {
		return list
	}
	return append(list, n)
}

// rank orders the classes of a resolved outcome.
func rank(c Class) int {
	switch c {
	case Matched:
		return 0
	case Late:
		return 1
	case Outside:
		return 2
	case Other:
		return 3
	}
	return 4
}

// joinTo counts an outcome for its prediction in one rollout. Of the predictions in time, it is the highest attempt's; then the latest, the
// greater version's, the greater partition's.
func (s *Stage) joinTo(r *rollout, at int, w *waiting) Class {
	o := &r.outcomes[at]
	var best *slot
	class := Unmatched
	for f := s.predictions.find(w.key); ; {
		e := f.next()
		if e == nil {
			break
		}
		after := w.timeMs - e.timeMs()
		switch {
		case e.plan() != r.slot || !e.joinable() || (w.version != 0 && w.version != r.versions[e.arm()]):
		case after < -r.LatenessMs || after > o.reachMs:
		case after > o.withinMs:
			class = Outside
		case best == nil || s.before(r, best, e):
			best = e
		}
	}
	late := w.timeMs < minus(w.highMs, r.LatenessMs)
	switch {
	case late && (best != nil || class == Outside):
		return Late
	case best == nil:
		return class
	}
	return s.match(r, at, w, best)
}

// before says whether another prediction goes before the best one so far.
func (s *Stage) before(r *rollout, best, e *slot) bool {
	switch {
	case e.attempt() != best.attempt():
		return e.attempt() > best.attempt()
	case e.timeMs() != best.timeMs():
		return e.timeMs() > best.timeMs()
	case e.arm() != best.arm():
		return e.arm() == r.tieArm
	}
	a, b := s.sources[e.source()].at, s.sources[best.source()].at
	return a.Topic > b.Topic || (a.Topic == b.Topic && a.Number > b.Number)
}

// match counts an outcome in the window of its prediction.
func (s *Stage) match(r *rollout, at int, w *waiting, e *slot) Class {
	start := floorTo(e.timeMs(), r.WidthMs)
	if start < r.outcomes[at].mark {
		return Late // only where a rollout came to share an outcome's name after this was read
	}
	joined := &r.lanes[e.source()].joined
	i, found := joined.find(start)
	if !found {
		return Late
	}
	joined.match(i, at, e, w.copied)
	if r.outcomes[at].cap > 0 && !r.hasCopy(at, w) {
		s.addValue(r, at, w, matched{e, joined, i})
	}
	if !w.copied {
		s.open[schemas.KindOutcome]++
	}
	return Matched
}
