package certify

import (
	"math"

	"streamcanary/analysis/stats"
)

// Cross-checks: tests that reach the bound where they apply, and apply to less.

// hypergeometric is the conditional test: exact for the claim that the odds are the same, which has no margin.
var hypergeometric = Method{
	Name:   "hypergeometric product",
	Source: "Fisher's conditional likelihood ratio (noncentral hypergeometric), mixture over odds; no margin",
	start: func(c *Case) watch {
		grid := stats.IncidentGrid
		if c.Side < 0 {
			grid = stats.EngagementGrid
		}
		return &conditionalWatch{c: c, grid: grid, logs: make([]float64, len(grid))}
	},
}

type conditionalWatch struct {
	c    *Case
	grid []float64
	logs []float64
}

func (w *conditionalWatch) see(m *Moment, alarmed []bool) {
	if w.c.Rho0 != 1 || w.c.Delta != 0 {
		return
	}
	counts, ok := w.c.counts(m)
	if !ok {
		return
	}
	addConditional(w.logs, w.grid, w.c.Side, counts)
	w.c.cross(alarmed, logMeanExp(w.logs))
}

// addConditional adds one window's log likelihood ratios, one for each log odds of the grid.
func addConditional(logs, grid []float64, side int, c stats.Counts) {
	hits := c.Kc + c.Kb
	lo, hi := max(0, hits-c.Nb), min(c.Nc, hits)
	if lo == hi {
		return
	}
	for j, x := range grid {
		logOdds := float64(side) * x
		// sums of P(y) and of P(y) w^y, relative to the term of y = Kc
		plain, tilted := 1.0, 1.0
		term, factor := 1.0, 1.0
		for y := c.Kc; y < hi; y++ {
			term *= (c.Nc - y) * (hits - y) / ((y + 1) * (c.Nb - hits + y + 1))
			factor *= math.Exp(logOdds)
			plain, tilted = plain+term, tilted+term*factor
		}
		term, factor = 1, 1
		for y := c.Kc; y > lo; y-- {
			term *= y * (c.Nb - hits + y) / ((c.Nc - y + 1) * (hits - y + 1))
			factor *= math.Exp(-logOdds)
			plain, tilted = plain+term, tilted+term*factor
		}
		logs[j] += math.Log(plain) - math.Log(tilted)
	}
}

// logMeanExp is the log of the mean of e^x.
func logMeanExp(xs []float64) float64 {
	top := math.Inf(-1)
	for _, x := range xs {
		top = max(top, x)
	}
	sum := 0.0
	for _, x := range xs {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum/float64(len(xs)))
}

// A dirichlet is the test of a split by a Dirichlet-multinomial (Lindon and Malek, arXiv 2011.03567): exact while the planned shares stay.
type dirichlet struct {
	planned  []float64
	strength float64
	counts   []float64
}

// logE takes one window's counts, and returns the log evidence that the split is not as planned.
func (s *dirichlet) logE(window []float64) float64 {
	n, log := 0.0, 0.0
	for i, theta := range s.planned {
		s.counts[i] += window[i]
		n += s.counts[i]
		log += logGamma(s.strength*theta+s.counts[i]) - logGamma(s.strength*theta) - s.counts[i]*math.Log(theta)
	}
	return log + logGamma(s.strength) - logGamma(s.strength+n)
}

func logGamma(x float64) float64 {
	y, _ := math.Lgamma(x)
	return y
}
