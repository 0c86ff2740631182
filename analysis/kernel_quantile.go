package analysis

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// quantileContrast tests a quantile of the canary against the baseline's: the stratified top-K rank e-process.
type quantileContrast struct {
	ppm               int64
	any, beyond, pass stats.TopK
}

func newQuantileContrast(g *schemas.Guardrail) *quantileContrast {
	ppm := tailPPM(g.Quantile)
	q := &quantileContrast{ppm: ppm}
	if g.Direction == schemas.Decrease { // harm is a canary that is lower: the tests change places
		q.any = stats.TopK{PPM: ppm, Grid: stats.PassOdds}
		q.beyond = stats.TopK{PPM: ppm, Shift: stats.PassShift(-g.Margin.Value), Grid: stats.PassOdds}
		q.pass = stats.TopK{PPM: ppm, Shift: stats.FailShift(-g.Margin.Value), Grid: stats.FailOdds}
		return q
	}
	q.any = stats.TopK{PPM: ppm, Grid: stats.FailOdds}
	q.beyond = stats.TopK{PPM: ppm, Shift: stats.FailShift(g.Margin.Value), Grid: stats.FailOdds}
	q.pass = stats.TopK{PPM: ppm, Shift: stats.PassShift(g.Margin.Value), Grid: stats.PassOdds}
	return q
}

// tailPPM is the share above a quantile in millionths.
func tailPPM(q float64) int64 { return int64(math.Round((1 - q) * 1e6)) }

func (q *quantileContrast) full(b *block) bool {
	n := b.n[windows.Baseline] + b.n[windows.Canary]
	return n*q.ppm >= blockPPM && sizesReach(b, 1)
}

func (q *quantileContrast) increments(inc *increments, b *block, _ armPhi) bool {
	if !sizesReach(b, 1) {
		return false
	}
	canary, baseline := b.hist[windows.Canary].buckets, b.hist[windows.Baseline].buckets
	if !q.any.Increments(inc.any, canary, baseline) { // the tail rounds to no request: no other shift has one
		return false
	}
	if !inc.one() {
		q.beyond.Increments(inc.beyond, canary, baseline)
	}
	if inc.pass != nil {
		q.pass.Increments(inc.pass, canary, baseline)
	}
	return true
}

// quantileAccount keeps a distribution's blocks.
type quantileAccount struct {
	q       float64
	history history[distTally, *distTally]
	batch   batch
	ratio   *stats.QuantileRatio // nil: no intervals
}

func newQuantileAccount(g *schemas.Guardrail, intervals bool) *quantileAccount {
	a := &quantileAccount{q: g.Quantile}
	if intervals {
		margin := g.Margin.Value
		if g.Direction == schemas.Decrease {
			margin = -margin
		}
		a.ratio = stats.NewQuantileRatio(tailPPM(g.Quantile), stats.FailShift(margin), stats.PassShift(margin))
	}
	return a
}

func (a *quantileAccount) keep(b *block, c closing) {
	a.history.add(distOf(b, true), c.fromMs, c.onset)
	if a.ratio != nil {
		a.batch.take(b, c, a.enter)
	}
}

func (a *quantileAccount) enter(b *batch) {
	a.ratio.Add(b.block.hist[windows.Canary].buckets, b.block.hist[windows.Baseline].buckets, b.weight)
}

func (a *quantileAccount) estimate(sinceMs int64) estimate {
	t := a.history.since(sinceMs)
	return t.estimate(a.q)
}

func (a *quantileAccount) intervals(alpha float64) (difference, ratio interval) {
	if a.ratio == nil {
		return unknown, unknown
	}
	ratio.lower, ratio.upper = a.ratio.Interval(alpha)
	return unknown, ratio
}

// quantileLimit tests one arm's quantile against a fixed limit: the one-sample tilt on the exact count of values
// above it.
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

func (q *quantileLimit) increments(inc *increments, b *block, _ armPhi) bool {
	n, k := float64(b.n[q.arm]), float64(b.k[q.arm])
	if n == 0 {
		return false
	}
	q.fail.Increments(inc.any, n, k)
	if inc.pass != nil {
		q.pass.Increments(inc.pass, n, k)
	}
	return true
}

// quantileLimitAccount keeps one arm's blocks.
type quantileLimitAccount struct {
	arm     windows.Arm
	q       float64
	history history[distTally, *distTally]
}

func (a *quantileLimitAccount) keep(b *block, c closing) {
	a.history.add(distOf(b, false), c.fromMs, c.onset)
}

// estimate's events are the exact counter's: values above the limit.
func (a *quantileLimitAccount) estimate(sinceMs int64) estimate {
	t := a.history.since(sinceMs)
	e := t.estimate(a.q)
	for arm := range windows.Arms {
		e[arm].events = t.k[arm]
	}
	return e
}

// intervals inverts the test at every edge of the histogram: for a fixed limit its evidence depends on the totals
// alone. Valid as the test is: while every window's share above the quantile is what it should be.
func (a *quantileLimitAccount) intervals(alpha float64) (value, ratio interval) {
	t := a.history.since(0)
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
		if logMean(inc) >= proof {
			value.lower = windows.BucketUpper(m.index)
		}
		stats.Tilt{P0: p0, Grid: stats.PassOdds}.Increments(inc, n, above)
		if logMean(inc) >= proof {
			value.upper = windows.BucketUpper(m.index)
			break
		}
	}
	return value, unknown
}
