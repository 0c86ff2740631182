package analysis

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

const (
	// HighRate is the baseline's rate from which on a rate is tested with its own variance (R2): below it the two tests need the same.
	HighRate = .1
	// highRateLeast is how many exposures before the epoch must have shown it.
	highRateLeast = 100
)

// recall takes what the baseline did before the epoch: all that may be looked at to choose a test.
func (j *Judge) recall(s *stream, p *windows.Part) {
	for _, g := range s.guards {
		if of := p.Cells[windows.Baseline]; g.cell < len(of) {
			g.before.n += of[g.cell].N
			g.before.k += of[g.cell].K
		}
	}
}

// choose fixes the test of a rate for the epoch, before its first window is tested: by the baseline's rate before the canary's
// first window. Where nothing came before, and for segments, it is the one that needs to know no rate.
func (j *Judge) choose(g *guard) {
	if g.settled {
		return
	}
	g.settled = true
	rate := g.spec.Kind == schemas.RateGuardrail || g.spec.Kind == schemas.GaugeGuardrail
	n, k := float64(g.before.n), float64(g.before.k)
	if !rate || g.ofPart || !g.isContrast() || n < highRateLeast || k <= HighRate*n || k == n {
		return
	}
	phi, within := g.canary.phi, g.canary.strata
	g.canary = newHighRateTrial(g.spec, k/n, keeping{intervals: !j.options.NoIntervals})
	if g.canary.phi = phi; within != nil {
		g.canary.strata = newStrata(g.canary.shape, within.roll, g.cell)
	}
}

// highRateContrast tests a rate above about 10 %: R2 with the baseline's rate so far, insured by R1. The increments of both stand
// behind each other.
type highRateContrast struct {
	linear            *rateContrast
	any, beyond, pass stats.Bernoulli
	rates             []*stats.BaselineRate // by stratum
	seed              float64
	points            int
	scratch           *increments
}

func newHighRateTrial(g *schemas.Guardrail, seed float64, keep keeping) *trial {
	grid := highGrid(g, seed)
	linear := newRateContrast(g, gridOf(g))
	of := contrastShape(g, len(grid), keep)
	k := &highRateContrast{linear: linear, seed: seed, points: len(grid), scratch: newIncrements(of)}
	side, delta := linear.any.Side, linear.beyond.Delta
	if linear.swap { // an absolute decrease, told with the arms in their places
		side, delta = -1, -delta
	}
	k.any = stats.Bernoulli{Rho0: 1, Side: side, Grid: grid}
	k.beyond = stats.Bernoulli{Rho0: linear.beyond.Rho0, Delta: delta, Side: side, Grid: grid}
	k.pass = stats.Bernoulli{Rho0: linear.beyond.Rho0, Delta: delta, Side: -side, Grid: grid}
	of.components, of.mixture = 2*len(grid), func() mixture { return insured{stats.NewInsured(len(grid), len(grid)), len(grid)} }
	var a account = newRateAccount(keep)
	if seed > .5 && keep.intervals {
		a = &turnedAccount{newRateAccount(keep)}
	}
	return newTrial(k, a, of)
}

// turnedAccount keeps the blocks of a rate above one half, which is known beforehand: the interval of the difference is that of what did not happen, which is rarer, and so less noisy.
type turnedAccount struct{ *rateAccount }

func (a *turnedAccount) keep(b *block, c closing) {
	a.history.add(rateOf(b), c.fromMs, c.onset)
	a.batches.take(b, c, a.enter)
}

func (a *turnedAccount) enter(b *batch) {
	counts := countsOf(&b.block)
	phiC, phiB := b.phi[windows.Canary], b.phi[windows.Baseline]
	a.ratio.Add(counts, phiC, phiB)
	counts.Kc, counts.Kb = counts.Nc-counts.Kc, counts.Nb-counts.Kb
	a.difference.Add(counts, phiC, phiB)
}

func (a *turnedAccount) intervals(alpha float64) (difference, ratio interval) {
	rest, ratio := a.rateAccount.intervals(alpha)
	return interval{-rest.upper, -rest.lower}, ratio
}

func (a *turnedAccount) asked(alpha float64) (difference, ratio interval) { return a.intervals(alpha) }

// highGrid is the grid of bets on a rate that is known to be high: harm of a few points is a small part of it, which bets for rare incidents, of 5 % and more, would take for none. Where twice the margin
// is less than the least of engagement's bets the grid begins there, but never below a thousandth.
func highGrid(g *schemas.Guardrail, rate float64) []float64 {
	lo, hi, points := stats.EngagementGrid[0], stats.EngagementGrid[len(stats.EngagementGrid)-1], len(gridOf(g))
	at := rate // at the margin
	switch m := g.Margin.Value; {
	case g.Direction == schemas.Decrease && g.Margin.Relative:
		at -= m * rate
	case g.Direction == schemas.Decrease:
		at -= m
	case g.Margin.Relative:
		at += m * rate
	default:
		at += m
	}
	if twice := 2*at - rate; at > 0 && twice > 0 && twice != at {
		lo = max(.001, min(lo, math.Abs(math.Log(twice/at))))
	}
	return stats.Grid(lo, hi, points)
}

// insured takes the increments of both tests from one slice.
type insured struct {
	*stats.Insured
	points int
}

func (i insured) Step(inc []float64, weight float64) {
	i.Insured.Step(inc[:i.points], inc[i.points:], weight)
}

func (h *highRateContrast) full(b *block) bool { return h.linear.full(b) }

func (h *highRateContrast) increments(inc *increments, b *block, phi armPhi) bool {
	for len(h.rates) <= b.stratum {
		h.rates = append(h.rates, stats.NewBaselineRate(h.seed))
	}
	rate, c := h.rates[b.stratum], countsOf(b)
	q := rate.Rate()
	rate.Add(c.Nb, c.Kb)
	if !h.linear.increments(h.scratch, b, phi) {
		return false
	}
	worst := max(phi[windows.Canary], phi[windows.Baseline])
	h.put(inc.any, h.scratch.any, h.any.Increments(inc.any[:h.points], c, q, worst))
	if !inc.one() {
		h.put(inc.beyond, h.scratch.beyond, h.beyond.Increments(inc.beyond[:h.points], c, q, worst))
	}
	if inc.pass != nil {
		h.put(inc.pass, h.scratch.pass, h.pass.Increments(inc.pass[:h.points], c, q, worst))
	}
	return true
}

// put adds the insurance's increments to what the block test has said; where it said nothing, it bets on nothing.
func (h *highRateContrast) put(inc, linear []float64, said bool) {
	if !said {
		clear(inc[:h.points])
	}
	copy(inc[h.points:], linear)
}
