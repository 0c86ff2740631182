package stats

import (
	"fmt"
	"math"
)

// Samples is what one block holds of an arm's values: how many, their sum, and the sum of their squares.
type Samples struct{ N, Sum, Squares float64 }

// check panics on what values in [0, 1] can't add up to, but for rounding.
func (s Samples) check() {
	room := 1e-6 * s.N
	if !(s.N >= 0 && s.Sum >= 0 && s.Sum <= s.N+room && s.Squares >= 0 && s.Squares <= s.Sum+room) || math.IsInf(s.N, 1) ||
		s.N > 0 && s.Squares < s.Sum*(s.Sum/s.N)-room {
		panic(fmt.Sprintf("stats: samples of a block are %+v", s))
	}
}

// around is the sum of the samples' squared distances from a value.
func (s Samples) around(x float64) float64 { return max(0, s.Squares-2*x*s.Sum+s.N*x*x) }

// turned is of 1-y for each sample y.
func (s Samples) turned() Samples { return Samples{s.N, s.N - s.Sum, s.N - 2*s.Sum + s.Squares} }

// Values is what one block holds of both arms' values.
type Values struct{ Canary, Baseline Samples }

// BoundedPoints is the number of points of Bounded.
const BoundedPoints = 16

// Bounded is the empirical-Bernstein e-process for the mean of independent values in [0, 1] (R8).
//
// Claim. With m_c, m_b the means of the block's expectations: side +1 tests m_c <= Rho0 m_b + Delta, side -1 tests m_c >= Rho0 m_b + Delta. For
// each point the expectation of e^increment, given the past and the numbers of samples, is at most 1 under that hypothesis, for any
// plug-in mean q that is fixed before the block. (Each sample is paid 1 + lambda (y - q_c), in the baseline 1 - s lambda (y - q), as
// in Bernoulli. Of the payments' logarithms a lower bound is taken that needs no more than the sums: log(1 + l x) >= l x - psi(l) x²
// for x >= -1 and 0 <= l < 1, with psi(l) = -log(1-l) - l.)
//
// When. Exact at phi = 1 for samples that are independent, given the past; at phi > 1 for independent units of at most phi samples each,
// whatever the dependence within a unit (as Bernoulli); with a phi that is measured, or that of the sizes of units (sum n² / sum n, which is below the largest), calibrated, not exact. It is not for gauges, whose samples are
// autocorrelated: there it alarms in up to six of ten healthy runs, and Mean is the test. Values are rescaled to [0, 1] by bounds
// that are fixed in advance, and clipped there: the hypothesis is about the clipped mean. Squares that were rounded should be rounded up:
// more of them is less evidence.
//
// A Rho0 below zero is its size, of 1 - y_b, with Delta + Rho0. With s = Rho0 n_c/n_b, q_c = Rho0 q + Delta and (k_c, k_b) = (q_c, 1-q) on side +1, (1-q_c, q) on side -1, the bets are
// l_j = 0.9 min(1/k_c, 1/(s k_b)) 0.6^j for j < 16, lambda = Side l_j: they fit any effect, so there is no grid to choose.
//
//	increment = [lambda sum (y_c - q_c) - psi(l_j k_c)/k_c² sum (y_c - q_c)²
//	           - s lambda sum (y_b - q) - psi(s l_j k_b)/k_b² sum (y_b - q)²] / phi
//
// Cost: two logarithms for each of the 16 points; no state, no allocation.
//
// Conventions: an empty arm that the test needs says nothing (false). NaN panics in sums, margin, q and phi, and so does an infinite phi.
//
// Sources: Fan, Grama, Liu, as Waudby-Smith, Ramdas have it (the inequality; Estimating means of bounded random variables by betting, arXiv 2010.09686); for
// two samples derived here, the proof is in the claim.
type Bounded struct {
	Rho0, Delta float64 // the margin: m_c against Rho0 m_b + Delta, each of any sign
	Side        int     // +1: evidence of more than the margin; -1: of less
}

// Increments writes to dst the block's log e-values, one for each of BoundedPoints bets, and reports true. It reports false and leaves dst
// alone when the block says nothing: no sample of the canary, or none of the baseline while Rho0 isn't 0, or a margin that at the plug-in mean
// q is outside of (0, 1). q is BaselineMean's; phi below 1 counts as 1. It panics on sums that no values in [0, 1] have, or a q outside of (0, 1).
func (b Bounded) Increments(dst []float64, v Values, q, phi float64) bool {
	v.Canary.check()
	v.Baseline.check()
	if b.Side != 1 && b.Side != -1 || math.IsNaN(b.Rho0) || math.IsNaN(b.Delta) || !(q > 0 && q < 1) {
		panic(fmt.Sprintf("stats: bounded test of rho0 %v, delta %v, side %d at the mean %v", b.Rho0, b.Delta, b.Side, q))
	}
	if b.Rho0 < 0 {
		b.Rho0, b.Delta, q, v.Baseline = -b.Rho0, b.Delta+b.Rho0, 1-q, v.Baseline.turned()
	}
	qc := b.Rho0*q + b.Delta
	if v.Canary.N == 0 || b.Rho0 > 0 && v.Baseline.N == 0 || !(qc > 0 && qc < 1) {
		return false
	}
	s := 0.0
	if b.Rho0 > 0 {
		s = b.Rho0 * v.Canary.N / v.Baseline.N
	}
	side, phi := float64(b.Side), noisier(phi)
	worstC, worstB := qc, 1-q // what the worst sample loses of a bet
	if b.Side < 0 {
		worstC, worstB = 1-qc, q
	}
	sumC, sumB := side*(v.Canary.Sum-v.Canary.N*qc), side*(v.Baseline.Sum-v.Baseline.N*q)
	squaresC, squaresB := v.Canary.around(qc)/(worstC*worstC), v.Baseline.around(q)/(worstB*worstB)
	l := 0.9 / max(worstC, s*worstB)
	for j := range BoundedPoints {
		gain := l*sumC - psi(l*worstC)*squaresC
		if s > 0 {
			gain -= s*l*sumB + psi(s*l*worstB)*squaresB
		}
		dst[j] = gain / phi
		l *= 0.6
	}
	return true
}

// psi is -log(1-l) - l, for 0 <= l < 1: about l²/2.
func psi(l float64) float64 {
	if l < 1e-3 { // the difference of the two would lose its digits
		return l * l * (1./2 + l*(1./3+l*(1./4+l*(1./5+l/6))))
	}
	return -math.Log1p(-l) - l
}
