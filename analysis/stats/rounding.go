package stats

import (
	"fmt"
	"math"
)

// RoundingOffsets says how far to move values before they are put into buckets, where producers round them to the nearest multiple of step, so that a rank
// test with a margin stays exact: the canary's by the first, the baseline's by the second. larger says which evidence the test collects: that
// the canary's values are larger (TopK with FailOdds, Mallows with Side 1), or that they are smaller.
//
// So a margin upward takes three histograms of each arm. Any harm (no margin): the values as they are, of both arms. Harm beyond the margin: the canary's
// values less step/2, the baseline's plus step/2. The margin kept: the canary's plus, the baseline's less. Downward the last two change places. The
// metrics are called `latency`, `latency-h/2` and `latency+h/2`, h the step in milliseconds.
//
// Claim. What is stochastically within the margin before rounding is so after it, rounded, moved and put into buckets.
//
// When. Producers round to the nearest multiple of step. Of producers who cut off instead, step is twice what they cut to.
//
// Why. Let C and B be the true values and C', B' the rounded ones: |C' - C| <= h/2, |B' - B| <= h/2. If C <= (1+r) B, then
//
//	C' - h/2 <= C <= (1+r) B <= (1+r) (B' + h/2)
//
// so C' - h/2, in buckets and moved down by FailShift(r), is no higher than B' + h/2 in buckets, as it would be of true values within the margin;
// if C >= (1+r) B, then C' + h/2 >= (1+r) (B' - h/2) likewise. The same of an absolute margin on linear buckets. Each of the bounds is of one request alone, so it holds
// in law, too: if the canary is stochastically within the margin, it still is. Without a margin nothing is to be done: rounding is monotone, so what
// is stochastically not larger stays so, and ties are exact.
//
// What the margin loses: about (2+r) h/2 at the value where it is tested; 2 % at 50 ms and h = 1 ms. Values of h/2 and less have no lower bound above 0, and
// go to the zero bucket, where they say nothing.
//
// Cost: constant time; no allocation.
//
// Conventions: offsets are in the unit of step, of 0 they are 0. It panics on a step that is negative, infinite or NaN.
//
// Source: derived here, the proof is above.
func RoundingOffsets(step float64, larger bool) (canary, baseline float64) {
	if !(step >= 0) || math.IsInf(step, 1) {
		panic(fmt.Sprintf("stats: values rounded to %v", step))
	}
	if larger {
		return -step / 2, step / 2
	}
	return step / 2, -step / 2
}
