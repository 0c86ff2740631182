package analysis

import "math"

// splitBack tells that a split that was not as planned is as planned again. Evidence of the mismatch doesn't forget: what ten seconds of a wrong split have
// shown, much traffic has to make up for. So each window since is held against two shares, the planned one and the one that was seen: by Page's rule, the
// log likelihood ratio of the former is summed up and begins anew at 0, and once it says 1,000 to 1 for the plan, and the windows since its last 0 don't differ from the plan by more than
// chance (G > 16), the test of the split begins anew, with its own chance to err. A split that stays off by a
// little is taken for the planned one once in a long time (12 % for 10 %: once in 570,000 requests, TestSimSplitBack), and proven to be another one again.
//
// Source: Page, "Continuous inspection schemes", Biometrika 41 (1954), for the sum; the bounds are chosen here.
type splitBack struct {
	odds   float64 // of the canary in the mismatch, as a multiple of the planned ones; 0: there is none
	score  float64
	canary float64 // what came since the score was 0, divided by its over-dispersion
	others float64
}

// splitBackScore is what the score must reach.
var splitBackScore = math.Log(1000)

// begin takes the mismatch as it was seen.
func (b *splitBack) begin(seen splitTally) {
	share, plan := (float64(seen.canary)+.5)/(float64(seen.all)+1), seen.planned()
	*b = splitBack{odds: share / (1 - share) * (1 - plan) / plan}
}

// back takes a window's counts and reports whether the split is as planned again.
func (b *splitBack) back(canary, others, plan float64) bool {
	wrong := b.odds * plan / (1 - plan + b.odds*plan)
	b.score += canary*math.Log(plan/wrong) + others*math.Log((1-plan)/(1-wrong))
	if b.score <= 0 {
		b.score, b.canary, b.others = 0, 0, 0
		return false
	}
	b.canary, b.others = b.canary+canary, b.others+others
	n := b.canary + b.others
	return b.score >= splitBackScore && 2*(excess(b.canary, n*plan)+excess(b.others, n*(1-plan))) <= shareDeviance
}
