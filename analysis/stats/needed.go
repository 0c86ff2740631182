package stats

import (
	"math"
	"slices"
)

// Needed is by how much of what each bet of an even mixture gains must be had, for the mixture to come to a log evidence: as many times the counts that gained is of, where
// evidence is in proportion to counts, as that of Linear is.
//
// Claim. The least x >= 0 with mean(e^(x gained)) >= e^need, to about 1e-9 of it; infinite where no bet gains. need must be positive.
//
// When. It is a reckoning on the counts to expect, and no test: chance makes it sooner or later.
//
// Conventions: no bets panic, NaN among them, or of need, isn't looked for. x has no unit, gained and need are natural logarithms.
//
// Cost: 60 sums over the bets. Source: the definition of a mixture; halving, between 0 and where the best bet has it alone.
func Needed(gained []float64, need float64) float64 {
	best := slices.Max(gained)
	if !(best > 0) {
		return math.Inf(1)
	}
	low, high := 0.0, (need+math.Log(float64(len(gained))))/best
	for range 60 {
		mid, sum := (low+high)/2, 0.0
		for _, x := range gained {
			sum += math.Exp(mid*x - need)
		}
		if sum < float64(len(gained)) {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}
