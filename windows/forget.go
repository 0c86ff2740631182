package windows

import "slices"

// Room is made in sixteenths of Limits.PendingPredictions. A pass over the table takes the insertions of one; one follows the other from the 13th
// on; and one that begins at the 14th or above forgets two. So the bound is never reached, and no insertion pays for the others.
const (
	roomParts  = 16
	passAt     = 13
	forgetAt   = 14
	forgetPart = 2
)

// insert notes a prediction, unless it is as old as what is forgotten.
func (s *Stage) insert(entry slot) {
	x, bound := &s.predictions, s.limits.PendingPredictions
	s.makeRoom(x, bound)
	for x.len() >= bound { // only where a pass took out fewer than it was to
		x.advance()
		s.makeRoom(x, bound)
	}
	if entry.timeMs() < s.forgotten {
		s.stats.LostPredictions++
		return
	}
	x.insert(entry)
}

// makeRoom begins another pass if there is none and the table fills up. Where few predictions are stale, the oldest ones go with them: so it is
// the longest `within` that suffers, not the newest events. All before one time are forgotten, of all rollouts and partitions: windows
// that begin before it and aren't sealed by then carry Overflow.
func (s *Stage) makeRoom(x *index, bound int) {
	if x.pass > 0 || x.len()*roomParts < bound*passAt {
		return
	}
	if x.len()*roomParts >= bound*forgetAt {
		s.forgotten = max(s.forgotten, x.oldest(max(1, bound*forgetPart/roomParts))+1)
		x.floor = packWhen(s.forgotten, 0)
		s.values.floor = x.floor
	}
	x.beginPass(bound / roomParts)
}

// oldest returns the time of about the n-th oldest live entry: of a large table a guess from some of its entries, which the hash of the id picks.
func (x *index) oldest(n int) int64 {
	var times []int64
	every := max(1, (len(x.slots)+len(x.old)-x.moved)/(8*stalePeeks))
	for _, table := range [][]slot{x.slots, x.old[x.moved:]} {
		for at := 0; at < len(table); at += every {
			if s := &table[at]; x.isLive(s) {
				times = append(times, s.timeMs())
			}
		}
	}
	slices.Sort(times)
	if len(times) == 0 {
		return NoTime
	}
	return times[max(1, min(len(times), n*len(times)/x.len()))-1]
}
