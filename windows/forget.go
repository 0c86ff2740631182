package windows

import "slices"

// What insert does at Limits.PendingPredictions: it makes room for an eighth of them at once, so that this costs each insertion a few slots.
const (
	forgetPart = 8  // 1/8 of the bound is forgotten
	enoughPart = 64 // unless 1/64 of it is free without that
)

// insert notes a prediction, unless it is as old as what is forgotten. At Limits.PendingPredictions the oldest ones are forgotten for it.
func (s *Stage) insert(entry slot) {
	if entry.timeMs() >= s.forgotten && s.predictions.len() >= s.limits.PendingPredictions {
		s.makeRoom()
	}
	if entry.timeMs() < s.forgotten {
		s.stats.LostPredictions++
		return
	}
	s.predictions.insert(entry)
}

// makeRoom takes out the predictions that nobody needs, and where these are few, the oldest ones with them: so it is the longest `within`
// that suffers, not the newest events. All before one time are forgotten, of all rollouts and partitions: windows that begin before it and aren't
// sealed by then carry Overflow.
func (s *Stage) makeRoom() {
	x, bound := &s.predictions, s.limits.PendingPredictions
	x.purge()
	if x.len() <= bound-max(1, bound/enoughPart) {
		return
	}
	before := x.len()
	s.forgotten = x.oldest(max(1, bound/forgetPart)) + 1
	x.purge()
	s.stats.LostPredictions += int64(before - x.len())
}

// purge takes all stale entries out, in place where the table isn't being left.
func (x *index) purge() {
	if x.old != nil {
		x.rebuild()
		return
	}
	for at := 0; at < len(x.slots); {
		if s := &x.slots[at]; s.key != 0 && x.stale(s) {
			x.remove(at) // another entry may stand there now
			continue
		}
		at++
	}
}

// oldest returns the time of the n-th oldest entry of a purged table: of a large one a guess from some of its entries, which the hash of the id
// picks.
func (x *index) oldest(n int) int64 {
	var times []int64
	every := max(1, len(x.slots)/(8*stalePeeks))
	for at := 0; at < len(x.slots); at += every {
		if s := &x.slots[at]; s.key != 0 {
			times = append(times, s.timeMs())
		}
	}
	slices.Sort(times)
	if len(times) == 0 {
		return NoTime
	}
	return times[max(1, min(len(times), n*len(times)/x.filled))-1]
}
