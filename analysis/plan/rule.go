package plan

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
)

// ruleEvents is how many canary events the rule looks at: the evidence of expected counts is in proportion to them.
const ruleEvents = 1e6

// rule is how many canary events a rate needs, without simulation: the linear test on the counts to expect, whose evidence grows in proportion, up
// to its threshold, with what the mixtures over bets and over beginnings take. phi is the over-dispersion that it reckons with. Infinite where the evidence doesn't grow; false: it is no rate, or one that is
// tested by its own variance.
func (s *setting) rule(canary []atom, what event, phi float64) (float64, bool) {
	g := s.guard
	if g.Kind != schemas.RateGuardrail && g.Kind != schemas.GaugeGuardrail || s.high() {
		return 0, false
	}
	at := hitAt(g)
	counts := stats.Counts{Nc: ruleEvents, Kc: ruleEvents * canary[at].p, Nb: ruleEvents * (1 - s.share) / s.share}
	counts.Kb = counts.Nb * s.healthy[at].p
	grid := stats.IncidentGrid
	if g.IsOutcome() {
		grid = stats.EngagementGrid
	}
	margin, alpha, begins := g.Margin, s.rollout.Alpha(g), math.Ln2 // half of the start mixture is on the first window
	switch {
	case what == passed:
		alpha, begins = s.rollout.Risk.FalsePromote, 0
	case g.Direction.Contrast() && (what == suspected || g.Prove == schemas.ProveAny):
		margin.Value = 0
	}
	test, swap := linear(g, margin, grid)
	if what == passed {
		test.Side = -test.Side
	}
	if swap {
		counts = stats.Counts{Nc: counts.Nb, Kc: counts.Kb, Nb: counts.Nc, Kb: counts.Kc}
	}
	gained := make([]float64, len(grid))
	test.Increments(gained, counts, phi, phi)
	return ruleEvents * stats.Needed(gained, math.Log(1/alpha)+begins), true
}

// linear is the test of a rate against a margin; swap: with the arms in each other's place.
func linear(g *schemas.Guardrail, m schemas.Margin, grid []float64) (test stats.Linear, swap bool) {
	test = stats.Linear{Rho0: 1, Delta: m.Value, Side: +1, Grid: grid}
	switch falls := g.Direction == schemas.Decrease || g.Direction == schemas.Below; {
	case !g.Direction.Contrast():
		test.Rho0 = 0
		if falls {
			test.Side = -1
		}
	case m.Relative && falls:
		test.Rho0, test.Delta, test.Side = 1-m.Value, 0, -1
	case m.Relative:
		test.Rho0, test.Delta = 1+m.Value, 0
	case falls && m.Value == 0:
		test.Side = -1
	case falls:
		return test, true
	}
	return test, false
}
