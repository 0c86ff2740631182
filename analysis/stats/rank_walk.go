package stats

import (
	"math"

	"streamcanary/windows"
)

// A rankWalk goes up both histograms at once, the canary's values moved down by shift buckets.
type rankWalk struct {
	canary, baseline []windows.Bucket
	shift            int
}

// next is the next bucket that isn't empty: the requests of both arms in it; false at the end.
func (w *rankWalk) next() (c, b int64, ok bool) {
	mine, theirs := math.MaxInt, math.MaxInt
	if len(w.canary) > 0 {
		mine = moved(w.canary[0].Index, w.shift)
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

// rankExcess is by how much the pairs in which the moved canary's value is the larger exceed those in which it is the
// smaller: 2 U - n m, U the Mann-Whitney statistic with ties one half. Exact up to 2^53, rounded beyond. m is the baseline's total.
func rankExcess(canary, baseline []windows.Bucket, shift int, m int64) float64 {
	excess, below := 0.0, int64(0)
	w := rankWalk{canary, baseline, shift}
	for c, b, ok := w.next(); ok; c, b, ok = w.next() {
		excess += float64(c) * float64(2*below+b-m)
		below += b
	}
	return excess
}
