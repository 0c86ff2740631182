package windows

import (
	"streamcanary/schemas"
)

// The join gap says how many outcomes found their prediction. An outcome that happened at a time t counts in the window that holds t less `within`: that one is
// sealed when all outcomes up to its end and `within` have been read and resolved, so it is the first that can have it, and is never sealed without it. It
// counts once t lies so far behind the rollout's start that every prediction it could follow has a time from there on. Every outcome counts that isn't late for
// the rollout, copies too: what a copy is depends on what other rollouts remember. So a gap follows from the logs and the rollout's own plan.

// gapWords is matched and unmatched ones: for each arm, and of those that name no version.
const gapWords = 2 * (Arms + 1)

// gapsOf returns the gap of an outcome in window i.
func (j *joinedWindows) gapsOf(i, outcome int) []uint32 {
	from := i*j.gapStride + outcome*gapWords
	return j.gaps[from : from+gapWords]
}

// gapCells fills an outcome's part with its gap in window i.
func (j *joinedWindows) gapCells(i, outcome int, p *Part) {
	words := j.gapsOf(i, outcome)
	for arm := range Arms {
		p.Gap[arm] = JoinGap{int64(words[2*arm]), int64(words[2*arm+1])}
	}
	p.Source = JoinGap{int64(words[2*Arms]), int64(words[2*Arms+1])}
}

// countGap counts a resolved outcome, by its class in one rollout.
func (s *Stage) countGap(r *rollout, at int, w *waiting, class Class) {
	o := &r.outcomes[at]
	start := floorTo(w.timeMs-o.withinMs, r.WidthMs)
	switch {
	case !r.Health || w.timeMs-o.reachMs < r.start || w.timeMs < minus(w.highMs, r.LatenessMs) || start < o.mark:
		return
	case class == Unmatched && s.isElsewhere(r, o, w):
		return
	case class != Matched && class != Unmatched:
		return
	}
	word := 2 * Arms
	if w.version != 0 {
		arm, ours := r.armOf(w.version)
		if !ours {
			return
		}
		word = 2 * int(arm)
	}
	if class == Unmatched {
		word++
	}
	if home := r.home(s.sources, int(w.source)); home != nil {
		home.joined.gapsOf(home.joined.open(start), at)[word]++
	}
}

// armOf returns the arm of a version by its hash.
func (r *rollout) armOf(version uint64) (Arm, bool) {
	for arm := range Arms {
		if r.versions[arm] == version {
			return Arm(arm), true
		}
	}
	return 0, false
}

// home returns the lane that counts the gap of a source of outcomes: its own, if it carries predictions; else the one of the same number, as the two are
// where they are partitioned alike; else the first. Merged, it makes no difference. Nil: no source carries predictions.
func (r *rollout) home(sources []*source, place int) *lane {
	for len(r.homes) < len(sources) {
		r.homes = append(r.homes, nil)
	}
	if r.homes[place] != nil {
		return r.homes[place]
	}
	of := sources[place].at
	var best *lane
	for _, l := range r.lanes {
		if l == nil || !l.source.carries[schemas.KindPrediction] {
			continue
		}
		if best == nil || of.isNearer(l.source.at, best.source.at) {
			best = l
		}
	}
	r.homes[place] = best
	return best
}

// isNearer says whether the first of two partitions goes before the second as p's: p itself, then one of its number, then by topic and number.
func (p Partition) isNearer(a, b Partition) bool {
	rank := func(q Partition) int {
		switch {
		case q == p:
			return 0
		case q.Number == p.Number:
			return 1
		}
		return 2
	}
	if rank(a) != rank(b) {
		return rank(a) < rank(b)
	}
	return a.Topic < b.Topic || (a.Topic == b.Topic && a.Number < b.Number)
}

// isElsewhere says whether an outcome's id is that of a prediction under no arm of the rollout, which was on time by the rollout's own lateness: and so has
// been read by now, whatever the order of reading was.
func (s *Stage) isElsewhere(r *rollout, o *outcome, w *waiting) bool {
	if w.timeMs-o.reachMs < s.blindTo {
		return true
	}
	for f := s.predictions.find(w.key); ; {
		e := f.next()
		if e == nil {
			return false
		}
		after := w.timeMs - e.timeMs()
		switch {
		case after < -r.LatenessMs || after > o.reachMs:
		case e.plan() == otherPlan:
			if e.owner() != r.slot && !r.isLate(e.timeMs(), e.lag()) {
				return true
			}
		case e.plan() != r.slot && e.joinable() && !e.loose():
			return true
		}
	}
}

// isLate says whether a prediction was late for the rollout that was read so far behind its partition's high (lagOf).
func (r *rollout) isLate(ms, lag int64) bool {
	return lag > 0 && floorTo(ms, r.WidthMs)+r.WidthMs <= ms+lag-1-r.LatenessMs
}

// What an entry of otherPlan has in its second word: its lag, and one more than the plan of the rollout that it is of nevertheless.
const (
	lagBits    = 32
	ownerShift = lagBits
)

// lagOf returns one more than how far a prediction is behind the high of its partition, or 0 if it is ahead of it.
func lagOf(src *source, ms int64) int64 {
	high := src.high[schemas.KindPrediction]
	if high == NoTime || ms > high {
		return 0
	}
	return min(high-ms+1, 1<<lagBits-1)
}

func (s *slot) lag() int64 { return int64(s.what & (1<<lagBits - 1)) }

// owner returns the plan of the rollout that an entry of otherPlan is of, or -1.
func (s *slot) owner() int { return int(s.what>>ownerShift) - 1 }

func elsewhere(ms, lag int64, owner int) slot {
	return slot{when: packWhen(ms, otherPlan), what: uint64(lag) | uint64(owner+1)<<ownerShift}
}

// noteElsewhere remembers a prediction for the rollouts that it isn't counted in: for that of its own (owner), if it has one, it stands in another entry or
// doesn't count. A prediction that is late for all of them isn't remembered, and none is where the index is half full.
func (s *Stage) noteElsewhere(src *source, id uint64, ms int64, owner int) {
	lag := lagOf(src, ms)
	latest := s.reach.latenessMin
	if s.reach.health > 0 {
		latest = s.reach.latenessMax + s.reach.widthMax
	}
	switch {
	case s.reach.joins == 0 || lag > latest:
		return
	case s.predictions.len() >= s.limits.PendingPredictions/2 || ms < s.forgotten:
		s.blindTo = max(s.blindTo, ms+1)
		return
	}
	entry := elsewhere(ms, lag, owner)
	entry.key = max(id, 1)
	var oldest *slot
	others := 0
	for f := s.predictions.find(entry.key); ; {
		known := f.next()
		if known == nil {
			break
		}
		if known.plan() != otherPlan {
			continue
		}
		if known.when == entry.when && known.owner() == owner {
			known.what -= uint64(max(0, known.lag()-lag)) // the least, whichever partition is read first
			return
		}
		if others++; oldest == nil || known.when < oldest.when {
			oldest = known
		}
	}
	switch {
	case others < maxOthers:
		s.predictions.insert(entry)
	case entry.when > oldest.when:
		oldest.when, oldest.what = entry.when, entry.what
	}
}

// maxOthers bounds the times at which one id is remembered as a prediction under no rollout: beyond it, the oldest gives way.
const maxOthers = 8

// disown keeps the predictions of a rollout that ends for the others.
func (s *Stage) disown(r *rollout) {
	if s.reach.health == 0 {
		return
	}
	for _, table := range [][]slot{s.predictions.slots, s.predictions.old} {
		for i := range table {
			if e := &table[i]; e.key != 0 && e.plan() == r.slot && e.joinable() && !e.loose() {
				key := e.key
				*e = elsewhere(e.timeMs(), 0, r.slot)
				e.key = key
			}
		}
	}
}
