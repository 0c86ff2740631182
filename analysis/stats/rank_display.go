package stats

import (
	"math"

	"streamcanary/windows"
)

// KSDistance is the Kolmogorov-Smirnov distance of one block at its bucket edges: the largest difference of the arms' shares at or below a value, 0 to 1.
//
// Claim. Never above that of the raw values, and equal where buckets hold one value each.
//
// When. Of any block. A description, as users of other judges know it: nothing is decided by it. TopKMix is the test.
//
// Cost: one walk up both histograms; no allocation.
//
// Conventions: NaN when an arm is empty. Ties are exact: a bucket counts as one value.
//
// Sources: Kolmogorov (1933), Smirnov (1939) for two samples.
func KSDistance(canary, baseline []windows.Bucket) float64 {
	slower, faster := ksGaps(canary, baseline)
	return max(slower, faster)
}

// ksGaps are the largest F_B - F_C (the canary's values are larger) and the largest F_C - F_B, F an arm's share at or below a value.
func ksGaps(canary, baseline []windows.Bucket) (slower, faster float64) {
	n, m := float64(total(canary)), float64(total(baseline))
	if n == 0 || m == 0 {
		return math.NaN(), math.NaN()
	}
	mine, theirs := int64(0), int64(0)
	w := rankWalk{canary, baseline}
	for c, b, ok := w.next(); ok; c, b, ok = w.next() {
		mine, theirs = mine+c, theirs+b
		gap := float64(theirs)/m - float64(mine)/n
		slower, faster = max(slower, gap), max(faster, -gap)
	}
	return slower, faster
}

// RankSum is the classical Mann-Whitney test of one block: U counts the pairs in which the canary's value is the larger, ties one half; the p-values are of
// the normal approximation with ties and continuity corrected. PLarger is small when the canary's values are larger, PSmaller when they are smaller, P when
// they differ.
//
// Claim. Over independent samples of one law a p-value is at most x in about a share x of blocks.
//
// When. Both arms have many values: the approximation is no exact law. It is good for one look at one block, not for looking at each.
//
// Cost: 32 bytes; MannWhitney has that of the test.
//
// Conventions: all are NaN when an arm is empty; with no two values different the p-values are 1. A bucket's values are ties.
//
// Source: Mann, Whitney (On a test of whether one of two random variables is stochastically larger than the other, Ann. Math. Statist. 18, 1947); with ties
// as SciPy's mannwhitneyu.
type RankSum struct{ U, P, PLarger, PSmaller float64 }

// Toward is the p-value of a difference to one side: 1: the canary's values are larger, -1: smaller; 0: either.
func (r RankSum) Toward(side int) float64 {
	switch {
	case side > 0:
		return r.PLarger
	case side < 0:
		return r.PSmaller
	}
	return r.P
}

// MannWhitney describes one block as users of other judges know it.
//
// Claim. RankSum's.
//
// When. As RankSum. Nothing is decided by it: a p-value is good for one look at one block, not for looking at each; Mallows is the test.
//
// Cost: two walks up both histograms; no allocation.
//
// Conventions: NaN when an arm is empty; ties count one half, and the variance is corrected for them.
//
// Source: RankSum.
func MannWhitney(canary, baseline []windows.Bucket) RankSum {
	return mannWhitney(canary, baseline, 0.5)
}

func mannWhitney(canary, baseline []windows.Bucket, continuity float64) RankSum {
	n, m := float64(total(canary)), float64(total(baseline))
	if n == 0 || m == 0 {
		return RankSum{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	}
	requests := n + m
	excess := rankExcess(canary, baseline, 0, int64(m)) / 2
	ties := 0.0
	w := rankWalk{canary, baseline}
	for c, b, ok := w.next(); ok; c, b, ok = w.next() {
		t := float64(c + b)
		ties += t * (t*t - 1)
	}
	deviation := math.Sqrt(n * m / 12 * max(0, requests+1-ties/(requests*(requests-1))))
	r := RankSum{U: n*m/2 + excess, P: 1, PLarger: 1, PSmaller: 1}
	if deviation > 0 {
		above := func(excess float64) float64 { return math.Erfc((excess-continuity)/deviation/math.Sqrt2) / 2 }
		r.P, r.PLarger, r.PSmaller = min(1, 2*above(math.Abs(excess))), above(excess), above(-excess)
	}
	return r
}
