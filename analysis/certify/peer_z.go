package certify

import (
	"math"

	"streamcanary/analysis/stats"
)

// What is run on dashboards: a z-test of two proportions, looked at again after every window.

// zTests are the repeated z-tests; on all counts so far, on sums of contrasts within windows, and on one window at a time.
var zTests = []Method{
	{Name: "repeated z, pooled", Source: "two-proportion z-test on all counts so far, at every window", Wrong: true, start: func(c *Case) watch { return &pooledZ{c: c} }},
	{Name: "repeated z, stratified", Source: "z of the weighted sum of contrasts within windows, at every window", start: func(c *Case) watch {
		return &stratifiedZ{c: c}
	}},
	{Name: "z per window", Source: "two-proportion z-test of one window at a time", start: func(c *Case) watch { return &windowZ{c: c} }},
}

// totals adds counts up.
type totals struct{ stats.Counts }

func (t *totals) add(c stats.Counts) {
	t.Nc, t.Kc, t.Nb, t.Kb = t.Nc+c.Nc, t.Kc+c.Kc, t.Nb+c.Nb, t.Kb+c.Kb
}

// contrast is by how much the canary's rate is beyond the claim, in the direction of harm, and the variance of that, each arm's rate
// estimated by itself; false: nothing can be said.
func (c *Case) contrast(t stats.Counts) (d, variance float64, ok bool) {
	if t.Nc == 0 || t.Nb == 0 {
		return 0, 0, false
	}
	pc, pb := t.Kc/t.Nc, t.Kb/t.Nb
	variance = pc*(1-pc)/t.Nc + c.Rho0*c.Rho0*pb*(1-pb)/t.Nb
	return float64(c.Side) * (pc - c.Rho0*pb - c.Delta), variance, variance > 0
}

// exceed sets the alarm of every alpha whose one-sided critical value z reaches.
func (c *Case) exceed(alarmed []bool, z float64) {
	for i, alpha := range c.Alphas {
		if z >= -normalQuantile(alpha) {
			alarmed[i] = true
		}
	}
}

type pooledZ struct {
	c   *Case
	sum totals
}

func (p *pooledZ) see(m *Moment, alarmed []bool) {
	counts, ok := p.c.counts(m)
	if !ok {
		return
	}
	p.sum.add(counts)
	if d, variance, ok := p.c.contrast(p.sum.Counts); ok {
		p.c.exceed(alarmed, d/math.Sqrt(variance))
	}
}

type windowZ struct{ c *Case }

func (w *windowZ) see(m *Moment, alarmed []bool) {
	counts, ok := w.c.counts(m)
	if !ok {
		return
	}
	if d, variance, ok := w.c.contrast(counts); ok {
		w.c.exceed(alarmed, d/math.Sqrt(variance))
	}
}

// A stratum sum adds up contrasts within windows, each with the weight of its sizes, and their variance.
type stratumSum struct {
	c            *Case
	all          totals
	sum, square  float64 // of weight·contrast, of weight²·variance at rate variance 1
	informations float64 // sum of the weights
}

// take adds a window, and returns z; false: nothing yet.
func (s *stratumSum) take(w stats.Counts) (z float64, ok bool) {
	s.all.add(w)
	if w.Nc > 0 && w.Nb > 0 {
		weight := w.Nc * w.Nb / (w.Nc + w.Nb)
		s.sum += weight * float64(s.c.Side) * (w.Kc/w.Nc - s.c.Rho0*w.Kb/w.Nb - s.c.Delta)
		pc, pb := s.all.Kc/s.all.Nc, s.all.Kb/s.all.Nb
		s.square += weight * weight * (pc*(1-pc)/w.Nc + s.c.Rho0*s.c.Rho0*pb*(1-pb)/w.Nb)
		s.informations += weight
	}
	if s.square <= 0 {
		return 0, false
	}
	return s.sum / math.Sqrt(s.square), true
}

type stratifiedZ struct {
	c   *Case
	sum stratumSum
}

func (s *stratifiedZ) see(m *Moment, alarmed []bool) {
	counts, ok := s.c.counts(m)
	if !ok {
		return
	}
	s.sum.c = s.c
	if z, ok := s.sum.take(counts); ok {
		s.c.exceed(alarmed, z)
	}
}
