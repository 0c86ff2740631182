package stats

import (
	"fmt"
	"math"
)

// Tilt is the one-sample test of an absolute limit: of n requests, x went beyond it.
//
// Claim. For an odds ratio w > 1 e^increment has conditional mean at most 1 as long as each request's chance to go beyond, given the past, is at most P0
// (evidence of a breach); for w < 1, as long as it is at least P0 (evidence of keeping it): each request is paid (1 + q (w-1)) / (1 + P0 (w-1)) on average,
// q its chance.
//
// When. Requests need not be independent, as only that chance matters; bursts in which it exceeds P0 are breaches. Count x exactly, not from a histogram.
//
// Cost: two logarithms for each point; no state, no allocation.
//
// Conventions: an empty block has increments of 0. NaN panics, in the share, n and x, and so do an infinite n and an x beyond it.
//
// Source: betting, Waudby-Smith, Ramdas (arXiv 2010.09686); the proof is in the claim.
type Tilt struct {
	P0   float64   // the share that may go beyond the limit, in (0, 1)
	Grid []float64 // odds ratios w: FailOdds or PassOdds; read only
}

// Increments writes to dst the log e-values of n requests of which x went beyond, one for each odds ratio:
// x log w - n log(1 - P0 + w P0). No requests, no evidence: zeros.
func (t Tilt) Increments(dst []float64, n, x float64) {
	if !(t.P0 > 0 && t.P0 < 1) || !(x >= 0 && x <= n) || math.IsInf(n, 1) {
		panic(fmt.Sprintf("stats: tilt at share %v of %v of %v requests", t.P0, x, n))
	}
	for j, w := range t.Grid {
		dst[j] = x*math.Log(w) - n*math.Log1p(t.P0*(w-1))
	}
}
