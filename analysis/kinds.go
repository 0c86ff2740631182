package analysis

import (
	"fmt"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// newGuard makes the tests of one guardrail, and of the same one by segment where segments are watched in its stream.
func (j *Judge) newGuard(s *stream, spec *schemas.Guardrail) *guard {
	g := j.bareGuard(s, spec)
	j.equip(s, g)
	if spec.Kind == schemas.QuantileGuardrail && !j.options.NoIntervals {
		s.recently(g.histCell)
	}
	if j.roster == nil || s.Kind == windows.Resources {
		return g
	}
	if s.strips == nil {
		s.strips = newStrips(j.roster.slots(), j.rollout)
	}
	if j.rollout.Stratify && g.isContrast() {
		j.unlisted.watched = s.strips.strata.listed
		for _, t := range g.trials() {
			t.stratify(s.strips.strata, g.cell)
		}
	}
	for slot := range j.roster.slots() {
		part := j.bareGuard(s, spec)
		part.ofPart, part.roster, part.slot = true, j.roster, slot
		part.several = g.canary.strata != nil && slot == j.roster.most
		j.equip(s, part)
		g.segments = append(g.segments, part)
	}
	return g
}

func (j *Judge) bareGuard(s *stream, spec *schemas.Guardrail) *guard {
	g := &guard{spec: spec, state: schemas.StateInsufficient, why: whyNoData, waiting: s.Kind == windows.Outcomes}
	g.cell, g.histCell = cellsOf(j.rollout, spec)
	g.display = s.displayOf(spec)
	if spec.Kind == schemas.QuantileGuardrail {
		g.rounding = stepOf(j.rollout, spec)
	}
	if edges := edgesOf(j.rollout, spec); len(edges) > 0 {
		g.edges = [2]int{cellOf(j.rollout, edges[0]), cellOf(j.rollout, edges[1])}
	}
	return g
}

// equip gives a guard its tests. Those of a segment can't pass, and keep little for people.
func (j *Judge) equip(s *stream, g *guard) {
	spec, keep := g.spec, keeping{intervals: !j.options.NoIntervals, shapes: j.options.ShapeIntervals, part: g.ofPart}
	keep.ratios = keep.part && keep.intervals && j.options.SegmentRatios
	switch {
	case spec.Kind == schemas.DistributionGuardrail:
		if g.canary, g.more = newDistribution(spec, keep); len(g.more) > 0 {
			g.mixed = &mixed{}
		}
		for _, t := range g.trials() {
			j.ranked(s, g, t, t.ppm)
		}
		if a, ok := g.canary.account.(*leanAccount); ok && a.shown != nil && (stepOf(j.rollout, spec) > 0 || spec.Buckets.Linear()) {
			a.shown.law = &histogram{}
		}
	case spec.Direction.Contrast():
		g.canary = newContrast(spec, keep)
		j.calibrated(s, g, g.canary)
	default:
		noise := levelsOf(spec)
		g.anew = func() {
			last := g.canary
			g.canary, g.baseline = newLimit(spec, windows.Canary, keep, noise), newLimit(spec, windows.Baseline, keep, noise)
			j.calibrated(s, g, g.canary)
			j.calibrated(s, g, g.baseline)
			if last != nil {
				g.canary.follow(last, g.again)
			}
		}
		g.anew()
	}
}

// calibrated gives a trial what measures its noise on the baseline's split.
func (j *Judge) calibrated(s *stream, g *guard, t *trial) {
	switch {
	case g.spec.Kind == schemas.QuantileGuardrail && g.isContrast():
		j.ranked(s, g, t, tailPPM(g.spec.Quantile))
	case g.spec.Kind == schemas.MeanGuardrail:
		t.noise = j.noise(s, g.cell, g.spec.From == schemas.KindPrediction)
		if g.ofPart {
			t.own = &partMean{}
		}
	default: // rates, those of a quantile's limit included
		t.phi = j.dispersion(s, g.cell)
		if g.ofPart {
			t.phi = s.strips.noise(g.cell, g.slot, t.phi)
		}
	}
}

// ranked gives a trial of ranks, at a tail of ppm millionths, or, of 0, of all, what measures their noise, and what counts requests that have none.
func (j *Judge) ranked(s *stream, g *guard, t *trial, ppm int64) {
	if t.ranks = j.rankNoise(s, g.spec, ppm); g.ofPart {
		t.apart = t.ranks.part(g.slot)
		return
	}
	if g.lackingCell = lackingCell(j.rollout, g.spec); g.lackingCell > 0 {
		t.kernel.(*rankContrast).lacking = newLacking(g.spec, ppm)
	}
}

// keeping says what a trial keeps beside its tests.
type keeping struct {
	intervals bool // of the effect
	shapes    bool // of a distribution's effect, too
	part      bool // it is one segment's: it can't pass, and keeps as little as it can
	ratios    bool // of a segment: the interval of the ratio, too
}

// newContrast makes the test of a guardrail that holds one arm's rate, quantile or mean against the other's; its noise is the caller's to set.
func newContrast(g *schemas.Guardrail, keep keeping) *trial {
	switch g.Kind {
	case schemas.QuantileGuardrail:
		checkMargin(g)
		ppm := tailPPM(g.Quantile)
		k := newRankContrast(g, quantileRanks(ppm, stats.FailOdds, stats.PassOdds))
		of := contrastShape(g, len(stats.FailOdds), keep)
		if keep.part {
			a := newTailAccount(g, ppm, keep)
			if keep.ratios {
				a.extra = boundsOf(g)
			}
			return newTrial(k, a, of)
		}
		return newTrial(k, newQuantileAccount(g, keep.intervals), of)
	case schemas.MeanGuardrail:
		if g.From == schemas.KindPrediction {
			return newTrial(newBoundedMean(g), newMeanAccount(g, keep.intervals && !keep.part), contrastShape(g, stats.BoundedPoints, keep))
		}
		return newTrial(newNoisyMean(g), newMeanAccount(g, keep.intervals), contrastShape(g, len(stats.MeanGrid), keep))
	}
	grid := gridOf(g)
	return newTrial(newRateContrast(g, grid), newRateAccount(keep), contrastShape(g, len(grid), keep))
}

// checkMargin panics on a margin that the buckets can't have.
func checkMargin(g *schemas.Guardrail) {
	if g.Margin.Relative == g.Buckets.Linear() && g.Margin.Value > 0 {
		panic(fmt.Sprintf("analysis: guardrail %s: a contrast of ranks with the margin %s", g.Name, g.Margin.Text))
	}
}

// newLimit makes the test of one arm against a fixed limit.
func newLimit(g *schemas.Guardrail, arm windows.Arm, keep keeping, noise levels) *trial {
	switch g.Kind {
	case schemas.QuantileGuardrail:
		var a account = &quantileLimitAccount{arm: arm, q: g.Quantile, scale: scaleOf(g)}
		if keep.part {
			a = &exceedAccount{q: g.Quantile}
		}
		return newTrial(newQuantileLimit(g, arm), a, limitShape(len(stats.FailOdds), keep))
	case schemas.MeanGuardrail:
		if isLevel(g) {
			k := newLevelMean(g, arm, noise[arm])
			return newTrial(k, &levelAccount{meanAccount: meanAccount{cap: g.Cap, counts: g.From == schemas.KindOutcome}, kernel: k}, limitShape(len(stats.MeanGrid), keep))
		}
		k := newMeanLimit(g, arm)
		return newTrial(k, newLevelAccount(g, k), limitShape(stats.BoundedPoints, keep))
	}
	grid := gridOf(g)
	return newTrial(newRateLimit(g, arm, grid), &rateLimitAccount{arm: arm}, limitShape(len(grid), keep))
}

// gridOf is the grid of bets for what a rate guardrail watches.
func gridOf(g *schemas.Guardrail) []float64 {
	if streamOf(g).Kind == windows.Outcomes {
		return stats.EngagementGrid
	}
	return stats.IncidentGrid
}

// contrastShape is that of a contrast with so many components in each direction.
func contrastShape(g *schemas.Guardrail, components int, keep keeping) shape {
	of := shape{components: components, one: g.Margin.Value == 0, passes: g.Margin.Value > 0 && !keep.part}
	directions := 1
	if g.Direction == schemas.Both {
		directions, of.components = 2, 2*components
	}
	if keep.part {
		of.onsets = fewOf(components, directions)
	}
	return of
}

func limitShape(components int, keep keeping) shape {
	of := shape{components: components, one: true, passes: !keep.part}
	if keep.part {
		of.onsets = fewOf(components, 1)
	}
	return of
}

// fewOf are three components of each direction's, spread evenly: enough to date a harm by where each costs.
func fewOf(components, directions int) []int {
	var few []int
	for d := range directions {
		few = append(few, d*components+components/6, d*components+components/2, d*components+5*components/6)
	}
	return few
}

// measuresValues reports whether a guardrail looks at how large values are: what a warmup is for.
func measuresValues(g *schemas.Guardrail) bool {
	return g.Kind == schemas.QuantileGuardrail || g.Kind == schemas.DistributionGuardrail
}
