package stats

import (
	"fmt"
	"math"
)

// Means is what one block holds of a mean: of the canary and of the baseline the number of samples (or another size that the
// variance of a mean is inverse to) and their mean, in the units of the metric.
type Means struct{ Nc, Mc, Nb, Mb float64 }

// check panics on means that no block can hold.
func (m Means) check() {
	sizes := m.Nc >= 0 && m.Nb >= 0 && !math.IsInf(m.Nc, 1) && !math.IsInf(m.Nb, 1)
	if means := m.Mc - m.Mb; !sizes || math.IsNaN(means) || math.IsInf(means, 0) {
		panic(fmt.Sprintf("stats: means of a block are %+v", m))
	}
}

// MeanGrid is Mean's usual grid: effects from 1/500 of a standard deviation (which millions of samples show) to a quarter of one, beyond which a block
// of eight samples is bet on to the limit. Shared: callers only read it.
var MeanGrid = Grid(0.002, 0.256, 8)

// Mean is the test of a mean's margin on the contrasts of blocks: for gauges, and for values whose samples are not independent or not bounded
// tightly (the product form of R7).
//
// Claim. Side +1 tests m_c <= Rho0 m_b + Delta, side -1 tests m_c >= Rho0 m_b + Delta, for the expectations m_c, m_b of the block's means. Let
// D = Mc - Rho0 Mb - Delta. If D, given the past and the sizes, keeps the hypothesis and has a variance of at most
// variance (1/Nc + Rho0²/Nb), the expectation of e^increment is at most 1 for each grid point, whatever the law of D: skewed,
// discrete, of few samples. So mixtures over grid and starts are e-processes (Mixture).
//
// Proof. z = Side D / sd is cut off above at c = 3. With z' the same without its mean, which is at most 0, z <= z', so that
// E e^(x min(z,c)) <= E e^(x min(z',c)); min(z',c) has a mean of at most 0 and a second moment of at most 1, and (e^(xy) - 1 - xy) / y²
// rises with y: Bennett's bound, 1 + (e^(xc) - 1 - xc)/c² <= e^((e^(xc) - 1 - xc)/c²).
//
//	increment = x min(z, c) - (e^(xc) - 1 - xc)/c²,   x = min(y / sqrt(1/Nc + Rho0²/Nb), log(1+c²)/c)
//
// for a grid point y: the effect beyond the margin that it fits, in standard deviations of a sample. For small x it is the normal likelihood
// ratio x z - x²/2, less a fraction xc/3; a block adds at most 1.6 nat. A product form is what a start mixture needs: the closed
// form of R7 (NormalMixture) mixes over bets only once, so a late harm has to repay the healthy time before.
//
// When. Exact for blocks that are independent given the past and a variance known to be an upper limit. With LongRun's it is calibrated by simulation,
// not exact: gauges are autocorrelated, and the canary's noise is taken to be like the baseline's.
//
// Cost: an exponential and a root for each point; no state, no allocation.
//
// Conventions: an empty arm that the test needs says nothing (false), nor does a variance of 0 or +Inf. Means are in the metric's unit, the variance in its
// square. NaN panics, and so do infinite means; that Delta is finite isn't looked at.
//
// Source: derived here, the proof is above; Bennett (Probability inequalities for the sum of independent random variables, J. Amer. Statist. Assoc. 57,
// 1962).
type Mean struct {
	Rho0, Delta float64   // the margin: m_c against Rho0 m_b + Delta, each of any sign
	Side        int       // +1: evidence of more than the margin; -1: of less
	Grid        []float64 // positive effects in standard deviations of a sample: MeanGrid; read only
}

// meanClip is c: how many standard deviations of a block's contrast count.
const meanClip = 3.0

// meanBet is the largest bet that can pay on a contrast cut off at meanClip.
var meanBet = math.Log1p(meanClip*meanClip) / meanClip

// Increments writes to dst, one for each grid point, the block's log e-values, and reports true. It reports false and leaves dst alone when the block
// says nothing: no sample of the canary, or none of the baseline while Rho0 isn't 0, or a variance (of one sample, LongRun's) that isn't known (+Inf)
// or is 0. A gauge that never moves has variance 0: give it the square of its resolution at least, if a change of it shall be found.
// It panics on sizes and means that no block has and on a negative or NaN variance.
func (m Mean) Increments(dst []float64, c Means, variance float64) bool {
	c.check()
	if m.Side != 1 && m.Side != -1 || math.IsNaN(m.Rho0) || math.IsNaN(m.Delta) || !(variance >= 0) {
		panic(fmt.Sprintf("stats: mean test of rho0 %v, delta %v, side %d with variance %v", m.Rho0, m.Delta, m.Side, variance))
	}
	if c.Nc == 0 || m.Rho0 != 0 && c.Nb == 0 || variance == 0 || math.IsInf(variance, 1) {
		return false
	}
	inverse, d := 1/c.Nc, c.Mc-m.Delta
	if m.Rho0 != 0 {
		inverse += m.Rho0 * m.Rho0 / c.Nb
		d -= m.Rho0 * c.Mb
	}
	z := min(meanClip, float64(m.Side)*d/math.Sqrt(variance*inverse))
	for j, y := range m.Grid {
		x := min(meanBet, y/math.Sqrt(inverse))
		dst[j] = x*z - bennett(x)
	}
	return true
}

// bennett is (e^(xc) - 1 - xc) / c² for c = meanClip: what a bet x on a contrast of variance 1 must pay in advance.
func bennett(x float64) float64 {
	a := x * meanClip
	if a < 0.01 { // the difference would lose its digits
		return x * x * (1./2 + a*(1./6+a*(1./24+a*(1./120+a/720))))
	}
	return (math.Expm1(a) - a) / (meanClip * meanClip)
}
