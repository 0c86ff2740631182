package stats

import (
	"fmt"
	"math"
)

// Bernoulli is the block test of a rate's margin that knows a Bernoulli variance (R2): for rates above about 10 %, where Linear, which takes
// the variance as p instead of p(1-p), needs up to three times the events.
//
// Claim. The hypotheses are Linear's: side +1 tests p_c <= Rho0 p_b + Delta, side -1 tests p_c >= Rho0 p_b + Delta. For each grid point the
// expectation of e^increment, given the past and the exposures, is at most 1 under that hypothesis, for any plug-in rate q that is
// fixed before the block's outcomes: a wrong q costs power, never validity. (Each canary event is paid 1 + lambda (p - q_c) on
// average, each of the baseline 1 - s lambda (p - q), with s = Rho0 Nc/Nb and q_c = Rho0 q + Delta; by the inequality of the means the
// product is at most that of the average payment, 1 + lambda Nc (p_c - Rho0 p_b - Delta) / (Nc + Nb), to the power of all events.)
//
// When. Exact at phi = 1 for independent events, given the past and the exposures, of any probabilities, or for values in [0, 1] (Kc and Kb
// their sums; Bounded has more power there). Exact at phi > 1, too, when events come in independent units of at most phi events each in
// the block, however the events of a unit depend on each other (Hölder's inequality: a product of m <= phi payments, each to the power 1/phi, has a
// mean of at most that of independent ones). With a phi that is measured as a ratio of variances it is calibrated by
// simulation, not exact: a unit may have more events than that.
//
//	A = Delta s; B = q_c (1 + g s) - Delta s; C = q_c (g - 1); g = e^(Side x)
//	lambda = 2C / (B + sqrt(B² - 4AC)), the growth-optimal bet of a Poisson rate, times
//	(q_c + s Rho0 q) / (q_c (1-q_c) + s Rho0 q (1-q)), the ratio of the variances, kept within 95 % of what the worst outcome allows
//	increment = [Kc log1p(lambda (1-q_c)) + (Nc-Kc) log1p(-lambda q_c) + Kb log1p(-s lambda (1-q)) + (Nb-Kb) log1p(s lambda q)] / phi
//
// Cost: four logarithms, two exponentials and a root for each point; no state, no allocation.
//
// Conventions: an empty arm that the test needs says nothing (false). NaN panics in counts, margin, q and phi, and so does an infinite phi. An
// increment is finite for counts that a block can hold.
//
// Source: derived here, the proof is in the claim; block e-values with a plug-in, Turner, Ly, Grünwald (arXiv 2106.02693), for a linear null Turner,
// Grünwald (arXiv 2203.09785).
type Bernoulli struct {
	Rho0, Delta float64   // the margin: p_c against Rho0 p_b + Delta; Rho0 at least 0, Delta of any sign, not both 0
	Side        int       // +1: evidence of more than the margin; -1: of less
	Grid        []float64 // positive log ratios; read only
}

// bernoulliReach is how much of the way to losing all with one event a bet may go.
const bernoulliReach = 0.95

// Increments writes to dst, one for each grid point, the block's log e-values, and reports true. It reports false and leaves dst alone when
// the block says nothing: no exposure of the canary, or none of the baseline while Rho0 > 0, or a margin that at the plug-in rate q is no rate
// (Rho0 q + Delta outside 0 … 1). phi is the larger of the arms' dispersion factors; below 1 counts as 1. q is BaselineRate's, in (0, 1).
// It panics on counts of more events than exposures, or a q outside of (0, 1).
func (b Bernoulli) Increments(dst []float64, c Counts, q, phi float64) bool {
	c.check()
	if c.Kc > c.Nc || c.Kb > c.Nb || !(q > 0 && q < 1) {
		panic(fmt.Sprintf("stats: Bernoulli test of %+v at the rate %v", c, q))
	}
	if b.Side != 1 && b.Side != -1 || !(b.Rho0 >= 0) || b.Rho0 == 0 && !(b.Delta > 0) || math.IsNaN(b.Delta) {
		panic(fmt.Sprintf("stats: Bernoulli test of rho0 %v, delta %v, side %d", b.Rho0, b.Delta, b.Side))
	}
	qc := b.Rho0*q + b.Delta
	if c.Nc == 0 || b.Rho0 > 0 && c.Nb == 0 || !(qc > 0 && qc < 1-1e-6) {
		return false
	}
	s := 0.0
	if b.Rho0 > 0 {
		s = b.Rho0 * c.Nc / c.Nb
	}
	phi = noisier(phi)
	for j, x := range b.Grid {
		lambda := b.bet(float64(b.Side)*x, s, [2]float64{q, qc})
		gain := part(c.Kc, lambda*(1-qc)) + part(c.Nc-c.Kc, -lambda*qc)
		if s > 0 {
			gain += part(c.Kb, -s*lambda*(1-q)) + part(c.Nb-c.Kb, s*lambda*q)
		}
		dst[j] = gain / phi
	}
	return true
}

// bet is lambda for the log ratio x at the plug-in rates of the baseline and of the margin.
func (b Bernoulli) bet(x, s float64, rates [2]float64) float64 {
	q, qc := rates[0], rates[1]
	g := math.Exp(x)
	squared, linear, constant := b.Delta*s, qc*(1+g*s)-b.Delta*s, qc*math.Expm1(x)
	lambda := 2 * constant / (linear + math.Sqrt(max(0, linear*linear-4*squared*constant)))
	lambda *= (qc + s*b.Rho0*q) / (qc*(1-qc) + s*b.Rho0*q*(1-q))
	most, least := 1/qc, 1/(1-qc)
	if s > 0 {
		most, least = min(most, 1/(s*(1-q))), min(least, 1/(s*q))
	}
	return max(-bernoulliReach*least, min(bernoulliReach*most, lambda))
}

// part is k log(1 + a), 0 without events.
func part(k, a float64) float64 {
	if k == 0 {
		return 0
	}
	return k * math.Log1p(a)
}
