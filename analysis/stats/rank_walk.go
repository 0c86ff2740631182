package stats

import (
	"math"

	"streamcanary/windows"
)

// A rankWalk goes up both histograms at once.
type rankWalk struct{ canary, baseline []windows.Bucket }

// next is the next bucket that isn't empty: the requests of both arms in it; false at the end.
func (w *rankWalk) next() (c, b int64, ok bool) {
	mine, theirs := math.MaxInt, math.MaxInt
	if len(w.canary) > 0 {
		mine = int(w.canary[0].Index)
	}
	if len(w.baseline) > 0 {
		theirs = int(w.baseline[0].Index)
	}
	at := min(mine, theirs)
	if at == math.MaxInt {
		return 0, 0, false
	}
	if mine == at {
		c, w.canary = int64(w.canary[0].Count), w.canary[1:]
	}
	if theirs == at {
		b, w.baseline = int64(w.baseline[0].Count), w.baseline[1:]
	}
	return c, b, true
}

// A canaryWalk goes up the canary's histogram, its values moved down by shift buckets.
type canaryWalk struct {
	canary, baseline []windows.Bucket
	shift            int
	below            int64 // requests of the baseline below the bucket that next was at
}

// next is the canary's next bucket: its requests, and the baseline's in the same one; false at the end.
func (w *canaryWalk) next() (c, b int64, ok bool) {
	if len(w.canary) == 0 {
		return 0, 0, false
	}
	at := moved(w.canary[0].Index, w.shift)
	c, w.canary = int64(w.canary[0].Count), w.canary[1:]
	i, theirs, below := 0, w.baseline, w.below
	for i < len(theirs) && int(theirs[i].Index) < at {
		below += int64(theirs[i].Count)
		i++
	}
	w.baseline, w.below = theirs[i:], below
	if i < len(theirs) && int(theirs[i].Index) == at {
		b = int64(theirs[i].Count)
	}
	return c, b, true
}

// rankExcess is by how much the pairs in which the moved canary's value is the larger exceed those in which it is the
// smaller: 2 U - n m, U the Mann-Whitney statistic with ties one half. Exact up to 2^53, rounded beyond. m is the baseline's total.
func rankExcess(canary, baseline []windows.Bucket, shift int, m int64) float64 {
	excess := 0.0
	w := canaryWalk{canary: canary, baseline: baseline, shift: shift}
	for c, b, ok := w.next(); ok; c, b, ok = w.next() {
		excess += float64(c) * float64(2*w.below+b-m)
	}
	return excess
}
