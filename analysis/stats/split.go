package stats

import (
	"fmt"
	"math"
)

// SplitTilts is the number of points of SplitIncrements.
const SplitTilts = 24

// splitGrid holds the log odds ratios by which a split may be off: 0.5 % to 640 %, then the same downward.
var splitGrid = func() (tilts [SplitTilts]float64) {
	for j, x := range Grid(0.005, 2, SplitTilts/2) {
		tilts[j], tilts[SplitTilts/2+j] = x, -x
	}
	return tilts
}()

// SplitIncrements writes to dst the log e-values, one for each of SplitTilts tilts of the odds, of a block in which n routing
// units were first seen, k of them on the canary, while the plan gave it the share pi (R6: sample-ratio mismatch).
//
// Claim. For k ~ Binomial(n, pi) given the past and n, e^increment is a likelihood ratio: conditional mean exactly 1.
//
// When. Units are assigned independently. pi may be another in each block, but must be planned, not estimated: SplitChange is for a share that nobody
// planned. Count units, not events: a unit's events all go to one arm.
//
// Cost: an exponential and a logarithm for each of the 24 tilts; no state, no allocation.
//
// Conventions: an empty block has increments of 0. It panics unless pi is in (0, 1), n finite and k of 0 … n: NaN panics.
//
// Source: the likelihood ratio of two binomials, whose mean is 1 since E e^(k d) = (1 + pi (e^d - 1))^n; the tilts are chosen here, so that the plan may change.
// For one that stays, and many arms: Lindon, Malek (arXiv 2011.03567).
func SplitIncrements(dst []float64, n, k, pi float64) {
	if !(pi > 0 && pi < 1) || !(k >= 0 && k <= n) || math.IsInf(n, 1) {
		panic(fmt.Sprintf("stats: split of %v units, %v on the canary, planned share %v", n, k, pi))
	}
	for j, d := range splitGrid {
		dst[j] = k*d - n*math.Log1p(pi*math.Expm1(d))
	}
}
