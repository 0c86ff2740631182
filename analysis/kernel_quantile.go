package analysis

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// tailPPM is the share above a quantile in millionths.
func tailPPM(q float64) int64 { return int64(math.Round((1 - q) * 1e6)) }

// quantileBounds keep the interval of a quantile's effect.
type quantileBounds struct {
	scale   scale
	batches batches
	ratio   *stats.QuantileRatio
}

// newQuantileBounds are those of the tail of ppm; more are shifts that can be bounds beside those of a grid.
func newQuantileBounds(s scale, ppm int64, more ...int) *quantileBounds {
	q := &quantileBounds{scale: s, ratio: stats.NewQuantileBounds(ppm, more...)}
	if s.linear.Linear() {
		q.ratio.On(windows.LinearBuckets(s.linear))
	}
	return q
}

// boundsOf are a quantile guardrail's, its own margin among the bounds.
func boundsOf(g *schemas.Guardrail) *quantileBounds {
	beyond, pass := scaleOf(g).shifts(g)
	if g.Direction == schemas.Decrease {
		beyond, pass = pass, beyond
	}
	return newQuantileBounds(scaleOf(g), tailPPM(g.Quantile), beyond, pass)
}

func (q *quantileBounds) take(b *block, c closing) { q.batches.take(b, c, q.enter) }

func (q *quantileBounds) enter(b *batch) {
	q.ratio.Add(b.block.hist[windows.Canary].buckets, b.block.hist[windows.Baseline].buckets, b.weight, b.phi[windows.Canary])
}

func (q *quantileBounds) intervals(alpha float64) (difference, ratio interval) {
	return q.scale.interval(q.ratio.Interval(alpha))
}

// quantileAccount keeps a distribution's blocks.
type quantileAccount struct {
	q       float64
	scale   scale
	history history[distTally, *distTally]
	scratch masses
	bounds  *quantileBounds // nil: no intervals
}

func newQuantileAccount(g *schemas.Guardrail, intervals bool) *quantileAccount {
	a := &quantileAccount{q: g.Quantile, scale: scaleOf(g)}
	if intervals {
		a.bounds = boundsOf(g)
	}
	return a
}

func (a *quantileAccount) keep(b *block, c closing) {
	a.history.add(a.scratch.of(b, true), c.fromMs, c.onset)
	if a.bounds != nil {
		a.bounds.take(b, c)
	}
}

func (a *quantileAccount) estimate(sinceMs int64) estimate {
	t := a.scratch.since(&a.history, sinceMs)
	return t.estimate(a.q, a.scale)
}

func (a *quantileAccount) intervals(alpha float64) (difference, ratio interval) {
	if a.bounds == nil {
		return unknown, unknown
	}
	return a.bounds.intervals(alpha)
}

// quantileLimit tests one arm's quantile against a fixed limit: the one-sample tilt on the exact count of values
// above it, divided by the arm's phi.
type quantileLimit struct {
	arm        windows.Arm
	fail, pass stats.Tilt
}

func newQuantileLimit(g *schemas.Guardrail, arm windows.Arm) *quantileLimit {
	p0 := float64(tailPPM(g.Quantile)) / 1e6
	q := &quantileLimit{arm: arm, fail: stats.Tilt{P0: p0, Grid: stats.FailOdds}, pass: stats.Tilt{P0: p0, Grid: stats.PassOdds}}
	if g.Direction == schemas.Below {
		q.fail, q.pass = q.pass, q.fail
	}
	return q
}

func (q *quantileLimit) full(b *block) bool { return b.n[q.arm] >= blockExposures }

func (q *quantileLimit) increments(inc *increments, b *block, phi armPhi) bool {
	n, k := float64(b.n[q.arm]), float64(b.k[q.arm])
	if n == 0 {
		return false
	}
	q.fail.Increments(inc.any, n, k)
	if inc.pass != nil {
		q.pass.Increments(inc.pass, n, k)
	}
	inc.temper(phi[q.arm])
	return true
}

// quantileLimitAccount keeps one arm's blocks.
type quantileLimitAccount struct {
	arm     windows.Arm
	q       float64
	scale   scale
	history history[distTally, *distTally]
	scratch masses
	phi     float64 // the greatest so far, as of rates
}

func (a *quantileLimitAccount) keep(b *block, c closing) {
	a.history.add(a.scratch.of(b, false), c.fromMs, c.onset)
	a.phi = max(a.phi, c.phi[a.arm])
}

// estimate's events are the exact counter's: values above the limit.
func (a *quantileLimitAccount) estimate(sinceMs int64) estimate {
	t := a.scratch.since(&a.history, sinceMs)
	e := t.estimate(a.q, a.scale)
	for arm := range windows.Arms {
		e[arm].events = t.k[arm]
	}
	return e
}

// intervals inverts the test at every edge of the histogram: for a fixed limit its evidence depends on the totals
// alone. Valid as the test is: while every window's share above the quantile is what it should be.
func (a *quantileLimitAccount) intervals(alpha float64) (value, ratio interval) {
	t := a.scratch.since(&a.history, 0)
	n := float64(t.n[a.arm])
	if n == 0 {
		return unknown, unknown
	}
	p0 := float64(tailPPM(a.q)) / 1e6
	proof, inc := math.Log(2/alpha), make([]float64, len(stats.FailOdds))
	value = interval{0, math.Inf(1)}
	above := n
	for _, m := range t.hist[a.arm] {
		above -= m.weight
		stats.Tilt{P0: p0, Grid: stats.FailOdds}.Increments(inc, n, above)
		if tempered(inc, a.phi) >= proof {
			value.lower = a.scale.upper(m.index)
		}
		stats.Tilt{P0: p0, Grid: stats.PassOdds}.Increments(inc, n, above)
		if tempered(inc, a.phi) >= proof {
			value.upper = a.scale.upper(m.index)
			break
		}
	}
	return value, unknown
}

// tempered is the evidence of a mixture whose increments are divided by phi, in place.
func tempered(inc []float64, phi float64) float64 {
	divide(inc, max(1, phi))
	return logMean(inc)
}
