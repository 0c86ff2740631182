package certify

import (
	"math"
)

// Sequential tests that experiment platforms run, on all counts so far, as they do. Where they know no margin, ours is put in, as a shift of
// what they test.

// sequentialPeers are mSPRT and GrowthBook's form.
var sequentialPeers = []Method{
	{
		Name:   "mSPRT, pooled",
		Source: "Johari, Koomen, Pekelis, Walsh, Peeking at A/B tests (KDD 2017); Bernoulli form as in erik-stenberg/mixtureSPRT R/mSPRT.default.R; tau 10 % of the rate",
		start:  func(c *Case) watch { return &mixtureSPRT{c: c} },
	},
	{
		Name:   "GrowthBook's form, pooled",
		Source: "growthbook/growthbook 8f1db44 packages/stats/gbstats/frequentist/tests.py: one-sided sequential interval, N* = 5000, as safe rollouts use it",
		start:  func(c *Case) watch { return newGrowthBook(c) },
	},
}

// mixtureSPRT is the mixture sequential probability ratio test with a normal mixture over the difference: two-sided, with V the variance of the difference.
type mixtureSPRT struct {
	c   *Case
	sum totals
}

func (p *mixtureSPRT) see(m *Moment, alarmed []bool) {
	counts, ok := p.c.counts(m)
	if !ok {
		return
	}
	p.sum.add(counts)
	d, v, ok := p.c.contrast(p.sum.Counts)
	if !ok || d <= 0 {
		return
	}
	p.c.cross(alarmed, logMixtureSPRT(d, v, .1*p.c.Base))
}

// logMixtureSPRT is the log of sqrt(V/(V+tau²)) exp(tau² d²/(2V(V+tau²))). With n pairs and V = V_n/n it is the paper's.
func logMixtureSPRT(d, v, tau float64) float64 {
	return .5*math.Log(v/(v+tau*tau)) + tau*tau*d*d/(2*v*(v+tau*tau))
}

// growthBook is a one-sided asymptotic confidence sequence around the difference of the means: harm when its lower end is above 0.
type growthBook struct {
	c    *Case
	sum  totals
	rho2 []float64 // per alpha
}

func newGrowthBook(c *Case) *growthBook {
	g := &growthBook{c: c}
	for _, alpha := range c.Alphas {
		g.rho2 = append(g.rho2, growthBookRho2(alpha, 5000))
	}
	return g
}

// growthBookRho2 is the square of their rho for one-sided intervals.
func growthBookRho2(alpha, tuning float64) float64 {
	l := -2 * math.Log(2*alpha)
	return (l + math.Log(l+1)) / tuning
}

// growthBookHalf is how far the lower end is below the difference: s2 is the variance of the difference times n, n the units of both arms.
func growthBookHalf(s2, n, rho2, alpha float64) float64 {
	x := n*rho2 + 1
	return math.Sqrt(s2 * 2 * x / (n * n * rho2) * math.Log(1+math.Sqrt(x)/(2*alpha)))
}

func (g *growthBook) see(m *Moment, alarmed []bool) {
	counts, ok := g.c.counts(m)
	if !ok {
		return
	}
	g.sum.add(counts)
	d, v, ok := g.c.contrast(g.sum.Counts)
	if !ok {
		return
	}
	n := g.sum.Nc + g.sum.Nb
	for i, alpha := range g.c.Alphas {
		if d > growthBookHalf(v*n, n, g.rho2[i], alpha) {
			alarmed[i] = true
		}
	}
}
