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
	if j.roster == nil || s.Kind == windows.Resources {
		return g
	}
	if s.strips == nil {
		s.strips = newStrips(j.roster.slots(), j.rollout.Stratify)
	}
	if j.rollout.Stratify && g.isContrast() {
		for _, t := range g.trials() {
			t.strata = newStrata(t.shape)
		}
	}
	for range j.roster.slots() {
		part := j.bareGuard(s, spec)
		part.ofPart = true
		j.equip(s, part)
		g.segments = append(g.segments, part)
	}
	return g
}

func (j *Judge) bareGuard(s *stream, spec *schemas.Guardrail) *guard {
	g := &guard{spec: spec, state: schemas.StateInsufficient, why: whyNoData, waiting: s.Kind == windows.Outcomes}
	g.cell, g.histCell = cellsOf(j.rollout, spec)
	return g
}

// equip gives a guard its tests. Those of a segment can't pass, and keep little for people.
func (j *Judge) equip(s *stream, g *guard) {
	spec := g.spec
	switch quantile := spec.Kind == schemas.QuantileGuardrail; {
	case spec.Direction.Contrast():
		g.canary = newContrast(spec, keeping{intervals: j.intervals(g), part: g.ofPart})
		if !quantile {
			g.canary.phi = j.dispersion(s, g.cell)
		}
	case quantile:
		for arm, t := range [windows.Arms]**trial{&g.baseline, &g.canary} {
			account := &quantileLimitAccount{arm: windows.Arm(arm), q: spec.Quantile}
			*t = newTrial(newQuantileLimit(spec, windows.Arm(arm)), account, limitShape(g, len(stats.FailOdds)))
		}
	default:
		grid := gridOf(spec)
		for arm, t := range [windows.Arms]**trial{&g.baseline, &g.canary} {
			*t = newTrial(newRateLimit(spec, windows.Arm(arm), grid), &rateLimitAccount{arm: windows.Arm(arm)}, limitShape(g, len(grid)))
			(*t).phi = j.dispersion(s, g.cell)
		}
	}
}

// keeping says what a trial keeps beside its tests.
type keeping struct {
	intervals bool // of the effect
	part      bool // it is one segment's: it can't pass
}

// newContrast makes the test of a guardrail that holds one arm against the other; its over-dispersion is the caller's to set.
func newContrast(g *schemas.Guardrail, keep keeping) *trial {
	if g.Kind == schemas.QuantileGuardrail {
		if !g.Margin.Relative && g.Margin.Value > 0 {
			panic(fmt.Sprintf("analysis: guardrail %s: a contrast of quantiles with the absolute margin %v", g.Name, g.Margin.Value))
		}
		return newTrial(newQuantileContrast(g), newQuantileAccount(g, keep.intervals), contrastShape(g, len(stats.FailOdds), keep))
	}
	grid := gridOf(g)
	return newTrial(newRateContrast(g, grid), newRateAccount(keep.intervals), contrastShape(g, len(grid), keep))
}

// intervals reports whether a guard keeps what intervals need: many times what its tests need.
func (j *Judge) intervals(g *guard) bool { return !j.options.NoIntervals && !g.ofPart }

// gridOf is the grid of bets for what a rate guardrail watches.
func gridOf(g *schemas.Guardrail) []float64 {
	if streamOf(g).Kind == windows.Outcomes {
		return stats.EngagementGrid
	}
	return stats.IncidentGrid
}

func contrastShape(g *schemas.Guardrail, components int, keep keeping) shape {
	margin := g.Margin.Value > 0
	return shape{components: components, one: !margin, passes: margin && !keep.part}
}

func limitShape(g *guard, components int) shape {
	return shape{components: components, one: true, passes: !g.ofPart}
}

// measuresValues reports whether a guardrail looks at how large values are: what a warmup is for.
func measuresValues(g *schemas.Guardrail) bool {
	return g.Kind == schemas.QuantileGuardrail || g.Kind == schemas.DistributionGuardrail
}
