package stats

import (
	"math"
	"testing"
)

// effectOf is of blocks that all have the same means.
func effectOf(canary, baseline float64) *MeanEffect {
	e := NewMeanEffect()
	for range 50 {
		e.Add(Means{Nc: 40, Mc: canary, Nb: 60, Mb: baseline}, 1)
	}
	return e
}

// TestRatioBelowZero: of a mean below zero the interval is that of the same means with the other sign, turned round 1; of means on both sides of zero it lies around the difference in sizes of the baseline's.
func TestRatioBelowZero(t *testing.T) {
	for _, canary := range []float64{0, 1, 3, 5} {
		lower, upper := effectOf(canary, 3).Ratio(.05)
		if canary == 0 { // what may be below zero has no least ratio
			lower = -upper
		}
		low, high := effectOf(-canary, -3).Ratio(.05)
		if math.Abs(low-(2-upper)) > 1e-9 || math.Abs(high-(2-lower)) > 1e-9 {
			t.Errorf("%v of 3: %v .. %v, and below zero %v .. %v", canary, lower, upper, low, high)
		}
	}
	for _, tt := range [][3]float64{{1, -2, 2.5}, {-1, 2, -.5}} {
		lower, upper := effectOf(tt[0], tt[1]).Ratio(.05)
		if !(lower < tt[2] && upper > tt[2] && upper-lower < .5) {
			t.Errorf("%v of %v: %v .. %v, want %v within", tt[0], tt[1], lower, upper, tt[2])
		}
	}
	for _, tt := range [][2]float64{{-1, 0}, {-.01, .01}} {
		if lower, upper := effectOf(tt[0], tt[1]).Ratio(.05); !math.IsInf(lower, -1) || !math.IsInf(upper, 1) {
			t.Errorf("%v of %v: %v .. %v, want no bounds", tt[0], tt[1], lower, upper)
		}
	}
}
