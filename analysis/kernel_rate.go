package analysis

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// rateContrast tests a rate (or a gauge's share above its limit) of the canary against the baseline's: R1 with
// R4's factors. An absolute decrease is tested as the baseline's rate being above the canary's by the margin: the
// arms change places.
type rateContrast struct {
	any, beyond, pass stats.Linear
	swap              bool
}

func newRateContrast(g *schemas.Guardrail, grid []float64) *rateContrast {
	side, rho0, delta, swap := +1, 1.0, g.Margin.Value, false
	switch {
	case g.Margin.Relative && g.Direction == schemas.Decrease:
		side, rho0, delta = -1, 1-g.Margin.Value, 0
	case g.Margin.Relative:
		rho0, delta = 1+g.Margin.Value, 0
	case g.Direction == schemas.Decrease:
		swap = true
	}
	return &rateContrast{
		any:    stats.Linear{Rho0: 1, Side: side, Grid: grid}.Prepared(),
		beyond: stats.Linear{Rho0: rho0, Delta: delta, Side: side, Grid: grid}.Prepared(),
		pass:   stats.Linear{Rho0: rho0, Delta: delta, Side: -side, Grid: grid}.Prepared(),
		swap:   swap,
	}
}

func (r *rateContrast) full(b *block) bool { return sizesReach(b, blockExposures) }

func (r *rateContrast) increments(inc *increments, b *block, phi armPhi) bool {
	if !sizesReach(b, 1) {
		return false
	}
	c := countsOf(b)
	if r.swap {
		c, phi = stats.Counts{Nc: c.Nb, Kc: c.Kb, Nb: c.Nc, Kb: c.Kc}, phi.swapped()
	}
	phiC, phiB := phi[windows.Canary], phi[windows.Baseline]
	r.any.Increments(inc.any, c, phiC, phiB)
	if !inc.one() {
		r.beyond.Increments(inc.beyond, c, phiC, phiB)
	}
	if inc.pass != nil {
		r.pass.Increments(inc.pass, c, phiC, phiB)
	}
	return true
}

func countsOf(b *block) stats.Counts {
	return stats.Counts{
		Nc: float64(b.n[windows.Canary]), Kc: float64(b.k[windows.Canary]),
		Nb: float64(b.n[windows.Baseline]), Kb: float64(b.k[windows.Baseline]),
	}
}

// rateAccount keeps a rate's blocks: R5 for the difference, R13 for the ratio; of a segment R5 with fewer bets.
type rateAccount struct {
	history    history[rateTally, *rateTally]
	batches    batches
	difference *stats.Difference // nil: no intervals
	ratio      *stats.Ratio      // nil: none of the ratio
	extra      *stats.Ratio      // kept for those who ask, see onDemand; nil: nothing
}

// segmentBets are those of a segment's interval.
var segmentBets = stats.Grid(.02, 3, 6)

func newRateAccount(keep keeping) *rateAccount {
	a := &rateAccount{}
	switch {
	case !keep.intervals:
	case keep.part:
		a.difference = stats.NewDifferenceOn(segmentBets)
		if keep.ratios {
			a.extra = stats.NewRatio()
		}
	default:
		a.difference, a.ratio = stats.NewDifference(), stats.NewRatio()
	}
	return a
}

func (a *rateAccount) keep(b *block, c closing) {
	a.history.add(rateOf(b), c.fromMs, c.onset)
	if a.difference != nil {
		a.batches.take(b, c, a.enter)
	}
}

func (a *rateAccount) enter(b *batch) {
	counts := countsOf(&b.block)
	phiC, phiB := b.phi[windows.Canary], b.phi[windows.Baseline]
	a.difference.Add(counts, phiC, phiB)
	for _, r := range [...]*stats.Ratio{a.ratio, a.extra} {
		if r != nil {
			r.Add(counts, phiC, phiB)
		}
	}
}

func (a *rateAccount) asked(alpha float64) (difference, ratio interval) {
	difference, ratio = a.intervals(alpha)
	if a.extra != nil {
		ratio.lower, ratio.upper = a.extra.Interval(alpha)
	}
	return difference, ratio
}

func (a *rateAccount) estimate(sinceMs int64) estimate {
	t := a.history.since(sinceMs)
	return t.estimate()
}

func (a *rateAccount) intervals(alpha float64) (difference, ratio interval) {
	if a.difference == nil {
		return unknown, unknown
	}
	difference.lower, difference.upper = a.difference.Interval(alpha)
	if a.ratio == nil {
		return difference, unknown
	}
	ratio.lower, ratio.upper = a.ratio.Interval(alpha)
	return difference, ratio
}

// unknown is the interval of nothing.
var unknown = interval{math.NaN(), math.NaN()}

// rateLimit tests one arm's rate against a fixed limit: R1 with rho0 = 0 and R4's factors.
type rateLimit struct {
	arm        windows.Arm
	fail, pass stats.Linear
}

func newRateLimit(g *schemas.Guardrail, arm windows.Arm, grid []float64) *rateLimit {
	side := +1
	if g.Direction == schemas.Below {
		side = -1
	}
	return &rateLimit{
		arm:  arm,
		fail: stats.Linear{Delta: g.Margin.Value, Side: side, Grid: grid}.Prepared(),
		pass: stats.Linear{Delta: g.Margin.Value, Side: -side, Grid: grid}.Prepared(),
	}
}

func (r *rateLimit) full(b *block) bool { return b.n[r.arm] >= blockExposures }

func (r *rateLimit) increments(inc *increments, b *block, arms armPhi) bool {
	if b.n[r.arm] == 0 {
		return false
	}
	c, phi := stats.Counts{Nc: float64(b.n[r.arm]), Kc: float64(b.k[r.arm])}, arms[r.arm]
	return r.fail.Increments(inc.any, c, phi, phi) && (inc.pass == nil || r.pass.Increments(inc.pass, c, phi, phi))
}

// rateLimitAccount keeps one arm's blocks.
type rateLimitAccount struct {
	arm     windows.Arm
	history history[rateTally, *rateTally]
	phi     float64 // the greatest so far: R4 holds for any phi not below the true one
}

func (a *rateLimitAccount) keep(b *block, c closing) {
	a.history.add(rateOf(b), c.fromMs, c.onset)
	a.phi = max(a.phi, c.phi[a.arm])
}

func (a *rateLimitAccount) estimate(sinceMs int64) estimate {
	t := a.history.since(sinceMs)
	return t.alone()
}

// intervals inverts the test itself: a limit is within while neither side proves it wrong. Its evidence is linear
// in the counts, so the epoch's totals are enough.
func (a *rateLimitAccount) intervals(alpha float64) (value, ratio interval) {
	t := a.history.since(0)
	c := stats.Counts{Nc: float64(t.n[a.arm]), Kc: float64(t.k[a.arm])}
	if c.Nc == 0 {
		return unknown, unknown
	}
	inc := make([]float64, len(stats.IntervalGrid))
	proof := math.Log(2 / alpha)
	excluded := func(limit float64, side int) bool {
		l := stats.Linear{Delta: limit, Side: side, Grid: stats.IntervalGrid}
		return l.Increments(inc, c, a.phi, a.phi) && logMean(inc) >= proof
	}
	// Evidence for "above the limit" falls as the limit grows, and that for "below it" grows.
	lower := bisect(func(x float64) bool { return !excluded(x, +1) })
	upper := bisect(func(x float64) bool { return excluded(x, -1) })
	return interval{lower, upper}, unknown
}

// rateLeast is the least share that bisect tells from 0.
const rateLeast = 1e-9

// bisect is the least x of [0, 1] at which a rising condition holds; 1 where it never does.
func bisect(holds func(x float64) bool) float64 {
	lo, hi := rateLeast, 1.0
	if holds(lo) {
		return 0
	}
	for range 50 {
		if mid := (lo + hi) / 2; holds(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// logMean is the log of the mean of e^x.
func logMean(xs []float64) float64 {
	top := math.Inf(-1)
	for _, x := range xs {
		top = max(top, x)
	}
	if math.IsInf(top, -1) {
		return top
	}
	sum := 0.0
	for _, x := range xs {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum/float64(len(xs)))
}
