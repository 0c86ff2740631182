package stats

import (
	"fmt"
	"math"
)

// NormalMixture is the closed form of R7: a normal mixture over bets on the contrasts of blocks, for the confidence sequence of a mean's
// contrast, and as a cross-check of Mean. It has no starts: what a canary proves later must repay the healthy time before.
//
// Claim. e^LogE(+1) is an e-process for "the means were never above 0" (of their weighted sum), LogE(-1) for "never below", LogE(0) for "0", and the
// intervals that Interval returns after each block, for one alpha, all contain the weighted mean of the blocks' means with probability at least 1 - alpha.
//
// When. Each contrast d, given the past and the sizes, is sub-Gaussian with variance proxy at most variance around its mean. Exact for a known one;
// asymptotic, that is calibrated, for contrasts of many samples with an estimated one (LongRun's). Its scale must be fixed before the blocks that it takes:
// see MixtureScale.
//
// Cost: 32 bytes. Add takes a few additions, LogE and Interval at most five elementary functions. No allocation.
//
// Conventions: an empty block has no variance (0 or +Inf) or no weight, and is left out; of none LogE is 0. NaN panics; alpha is in (0, 1), which isn't
// looked at. Contrasts are in the metric's unit, variances in its square. Sums of disjoint blocks add in any order. Owned by one goroutine. The zero value
// is not ready; see NewNormalMixture.
//
// Sources: Robbins (Statistical methods related to the law of the iterated logarithm, Ann. Math. Statist. 41, 1970); Howard, Ramdas, McAuliffe, Sekhon (arXiv 1810.08240); for estimated, varying variances Waudby-Smith, Arbour, Sinha,
// Kennedy, Ramdas (arXiv 2103.06476).
type NormalMixture struct{ scale, sum, variance, weight float64 }

// NewNormalMixture returns the mixture before any block. scale is r² (MixtureScale), positive.
func NewNormalMixture(scale float64) *NormalMixture {
	if !(scale > 0) || math.IsInf(scale, 1) {
		panic(fmt.Sprintf("stats: normal mixture of scale %v", scale))
	}
	return &NormalMixture{scale: scale}
}

// MixtureScale is the scale of a NormalMixture.
//
// Claim. At it the interval at confidence 1 - alpha is about tightest when the sum of weight² variance has come to v; any other is as valid.
//
// When. Fix it in advance, at 10 to 30 % of the planned life, and never at fewer than 30 blocks.
//
// Cost: two logarithms; no allocation.
//
// Conventions: its unit is that of 1/v. It panics unless 0 < alpha <= 1/2 and v > 0: NaN panics. For a v of +Inf it is 0, which NewNormalMixture refuses.
//
// Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (arXiv 2103.06476).
func MixtureScale(alpha, v float64) float64 {
	if !(alpha > 0 && alpha <= 0.5 && v > 0) {
		panic(fmt.Sprintf("stats: normal mixture tuned at %v for alpha %v", v, alpha))
	}
	proof := -2 * math.Log(alpha)
	return (proof + math.Log(proof) + 1) / v
}

// Add takes one block's contrast, its variance, and the block's weight, which may depend on sizes only: n_c n_b / (n_c + n_b), or 1. A block without
// variance or weight is left out. It panics on a negative or NaN variance or weight.
func (n *NormalMixture) Add(d, variance, weight float64) {
	if !(variance >= 0 && weight >= 0) || math.IsNaN(d) || math.IsInf(d, 0) || math.IsInf(weight, 1) {
		panic(fmt.Sprintf("stats: normal mixture takes %v of variance %v and weight %v", d, variance, weight))
	}
	if variance == 0 || weight == 0 || math.IsInf(variance, 1) {
		return
	}
	n.sum += weight * d
	n.variance += weight * weight * variance
	n.weight += weight
}

// LogE is the log evidence that the mean of the contrasts is above 0 (side +1), below it (-1), or not 0 (0).
func (n *NormalMixture) LogE(side int) float64 {
	u := 1 + n.scale*n.variance
	x := math.Sqrt(n.scale/u) * n.sum
	if side == 0 {
		return x*x/2 - math.Log(u)/2
	}
	return math.Ln2 - math.Log(u)/2 + logNormalTilt(float64(side)*x)
}

// Interval returns the present bounds of the weighted mean of the contrasts at confidence 1 - alpha; -Inf and +Inf before the first block.
func (n *NormalMixture) Interval(alpha float64) (lower, upper float64) {
	if n.weight == 0 {
		return math.Inf(-1), math.Inf(1)
	}
	u := 1 + n.scale*n.variance
	center, half := n.sum/n.weight, math.Sqrt(u/n.scale*(math.Log(u)-2*math.Log(alpha)))/n.weight
	return center - half, center + half
}

// logNormalTilt is x²/2 + log Phi(x), Phi the distribution of a standard normal variable: also where Phi(x) is below the least float, and
// without the difference of two large numbers.
func logNormalTilt(x float64) float64 {
	const far = -30 // from here on four terms of the asymptotic series are exact to 1e-12
	switch {
	case x > 0:
		return x*x/2 + math.Log1p(-math.Erfc(x/math.Sqrt2)/2)
	case x > far:
		return x*x/2 + math.Log(math.Erfc(-x/math.Sqrt2)/2)
	}
	y := 1 / (x * x)
	return math.Log1p(-y*(1-y*(3-y*(15-y*105)))) - math.Log(-x) - math.Log(2*math.Pi)/2
}
