package stats

import (
	"fmt"
	"math"
)

// Counts is what one block holds of a rate: exposures and events of the canary and of the baseline. Exposures are predictions, or a real amount such as
// replica-seconds or bytes: then rates are per unit of it and may exceed 1, and Linear, Ratio and NewExposureDifference's Difference are exact for
// Poisson counts. The unit doesn't matter to Linear (its Delta is in the same unit) and Ratio.
type Counts struct{ Nc, Kc, Nb, Kb float64 }

// check panics on counts that no block can hold: they come from our own reducers, so one is a bug.
func (c Counts) check() {
	for _, x := range [...]float64{c.Nc, c.Kc, c.Nb, c.Kb} {
		if !(x >= 0) || math.IsInf(x, 1) {
			panic(fmt.Sprintf("stats: counts of a block are %+v", c))
		}
	}
}

// noisier is a dispersion factor, of which below 1 counts as 1.
func noisier(phi float64) float64 {
	if !(phi < math.Inf(1)) {
		panic(fmt.Sprintf("stats: a dispersion factor is %v", phi))
	}
	return max(1, phi)
}

// Linear is the linear e-process for a rate's margin (R1), with dispersion factors (R4).
//
// Claim. Let p_c, p_b be the block's mean rates. Side +1 tests p_c <= Rho0 p_b + Delta (evidence of more than
// that), side -1 tests p_c >= Rho0 p_b + Delta. For each grid point the expectation of e^increment, given the past and the
// exposures, is at most 1 under that hypothesis, whatever p_b is and however it drifts; so products over blocks,
// and mixtures of them, are e-processes. It also holds for the average: a product bounds the bet-weighted mean excess.
//
// When. Given the past and the exposures: independent events with any probabilities; Poisson counts (equality);
// counts over-dispersed as a negative binomial with variance at most phi times the mean (equality at phi). Clumps
// and beta-binomial noise of that variance are near it by simulation, not exact.
//
// With s = Rho0 Nc/Nb, g = e^(Side x) for a grid point x, and per-arm phi,
//
//	lambda    = (g - 1) / (phiC + g s phiB)
//	increment = Kc h(lambda; phiC) + Kb h(-s lambda; phiB) - Delta lambda Nc
//	h(a; phi) = log1p(-expm1(-(phi-1) a) / (phi-1)),   log1p(a) at phi = 1
//
// This lambda is R4's for phiC = phiB, is always inside both factors' domains (lambda > -1/phiC, s lambda < 1/phiB, and
// log(phi)/(phi-1) >= 1/phi), and is the growth-optimal bet for small effects at unequal phi.
//
// Cost: two logarithms (phi = 1), else four elementary functions, for each point, and two exponentials unless it is Prepared; no state, no allocation.
//
// Conventions: an empty arm that the test needs says nothing (false). NaN panics in counts, margin and phi, and so does an infinite phi. The
// logarithms are log1p only; an increment is never -Inf. Above rates of 10 % the test stays valid and loses power (it takes the variance as p, not p(1-p)).
//
// Proof. At phi = 1 each canary event is paid 1 + lambda p <= e^(lambda p) on average, each of the baseline at most e^(-s lambda p); as s Nb = Rho0 Nc, a
// block is paid at most e^(lambda Nc (p_c - Rho0 p_b)), and Delta lambda Nc is taken off. Poisson counts pay just that. So do negative binomial ones of
// mean m and variance phi m: E z^K = (1 - (phi-1)(z-1))^(-m/(phi-1)), which at z = e^h(a; phi) is e^(a m); at the same z it rises with phi, so with less of it they
// pay less.
//
// Source: derived here. Nearest: block e-values, Turner, Ly, Grünwald (Generic e-variables for exact sequential k-sample tests, J. Statist. Plann. Inference
// 230, 2024; arXiv 2106.02693), for a linear null Turner, Grünwald (arXiv 2203.09785), of which this is the limit of rare events; at Delta = 0 and phi = 1
// the likelihood ratio of Binomial(Kc+Kb) splits.
type Linear struct {
	Rho0, Delta float64   // the margin: p_c against Rho0 p_b + Delta; both at least 0, not both 0
	Side        int       // +1: evidence of more than the margin; -1: of less
	Grid        []float64 // positive log ratios; read only
	bets        []bet     // of the grid, once it is prepared
}

// Prepared is the same test, which works out its grid's bets once and not for each block. What it says is the same to the last bit.
func (l Linear) Prepared() Linear {
	l.bets = betsAt(l.Grid, float64(l.Side))
	return l
}

// Increments writes to dst, one for each grid point, the block's log e-values, and reports true. It reports false and
// leaves dst alone when the block says nothing: no exposure of the canary, or none of the baseline while Rho0 > 0.
// phiC and phiB are the arms' dispersion factors; below 1 counts as 1.
func (l Linear) Increments(dst []float64, c Counts, phiC, phiB float64) bool {
	c.check()
	if l.Side != 1 && l.Side != -1 || !(l.Rho0 >= 0 && l.Delta >= 0 && l.Rho0+l.Delta > 0) {
		panic(fmt.Sprintf("stats: linear test of rho0 %v, delta %v, side %d", l.Rho0, l.Delta, l.Side))
	}
	if c.Nc == 0 || l.Rho0 > 0 && c.Nb == 0 {
		return false
	}
	s := 0.0
	if l.Rho0 > 0 {
		s = l.Rho0 * c.Nc / c.Nb
	}
	phiC, phiB = noisier(phiC), noisier(phiB)
	for j := range l.Grid {
		lambda := l.bet(j).on(s, phiC, phiB)
		dst[j] = factor(c.Kc, lambda, phiC) + factor(c.Kb, -s*lambda, phiB) - l.Delta*lambda*c.Nc
	}
	return true
}

func (l *Linear) bet(j int) bet {
	if l.bets != nil {
		return l.bets[j]
	}
	return betAt(float64(l.Side) * l.Grid[j])
}

// A bet is best for rates of the ratio g = e^x: gain is g - 1, by expm1, so that a small x keeps its digits.
type bet struct{ odds, gain float64 }

// betAt is the bet for the log ratio x, negative on side -1.
func betAt(x float64) bet { return bet{math.Exp(x), math.Expm1(x)} }

// betsAt are the bets for the log ratios of a grid on one side.
func betsAt(grid []float64, side float64) []bet {
	bets := make([]bet, len(grid))
	for j, x := range grid {
		bets[j] = betAt(side * x)
	}
	return bets
}

// on is lambda where a canary's exposure is s times the baseline's.
func (b bet) on(s, phiC, phiB float64) float64 { return b.gain / (phiC + b.odds*s*phiB) }

// factor is k h(a; phi): the log of what k events pay to a bet whose mean payment for an expected count m is e^(a m).
func factor(k, a, phi float64) float64 {
	if k == 0 {
		return 0
	}
	u := phi - 1
	if u < 1e-9 {
		return k * math.Log1p(a)
	}
	return k * math.Log1p(-math.Expm1(-u*a)/u)
}
