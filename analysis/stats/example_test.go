package stats_test

import (
	"fmt"
	"math"

	"streamcanary/analysis/stats"
)

// A canary may have half a percentage point more errors than the baseline. Its evidence is looked at after every block, and the first time that it
// reaches 1/alpha is proof: however often one looks, a canary within the margin gets there in at most 1 % of rollouts.
func Example_rateGuardrail() {
	const alpha, planned = 0.01, 1000 // planned: the blocks of the rollout's life
	test := stats.Linear{Rho0: 1, Delta: 0.005, Side: +1, Grid: stats.IncidentGrid}
	evidence := stats.NewMixture(len(test.Grid))
	increments := make([]float64, len(test.Grid))

	errors := []float64{2, 1, 3, 2, 1, 2, 1, 2, 9, 12, 8, 11, 10} // of 400 requests of the canary; from the ninth block on it is broken
	for block, canary := range errors {
		counts := stats.Counts{Nc: 400, Kc: canary, Nb: 3600, Kb: 18}
		if test.Increments(increments, counts, 1, 1) { // 1, 1: requests are independent
			evidence.Step(increments, stats.StartWeight(int64(block), planned))
		}
		if evidence.LogMax() >= math.Log(1/alpha) {
			fmt.Printf("block %d: more than 0.5 points above the baseline, proven at %.0f to 1\n", block+1, math.Exp(evidence.LogE()))
			break
		}
	}
	// Output:
	// block 13: more than 0.5 points above the baseline, proven at 761 to 1
}

// The ratio of two click rates, with an interval that holds at every look: all of them together hold the truth with 95 % confidence. The
// baseline's rate triples while the canary's share grows, which would confound a comparison of totals.
func Example_ratioInterval() {
	ratio := stats.NewRatio()
	var canary, baseline stats.Counts
	for day, c := range []stats.Counts{
		{Nc: 1_000, Kc: 11, Nb: 99_000, Kb: 990},
		{Nc: 10_000, Kc: 190, Nb: 90_000, Kb: 1_800},
		{Nc: 50_000, Kc: 1_290, Nb: 50_000, Kb: 1_500},
	} {
		ratio.Add(c, 1, 1)
		canary.Nc, canary.Kc = canary.Nc+c.Nc, canary.Kc+c.Kc
		baseline.Nb, baseline.Kb = baseline.Nb+c.Nb, baseline.Kb+c.Kb
		lower, upper := ratio.Interval(0.05)
		fmt.Printf("day %d: the canary's click rate is %.2f to %.2f times the baseline's\n", day+1, lower, upper)
	}
	fmt.Printf("the totals would say %.2f\n", canary.Kc/canary.Nc/(baseline.Kb/baseline.Nb))
	// Output:
	// day 1: the canary's click rate is 0.31 to 2.62 times the baseline's
	// day 2: the canary's click rate is 0.74 to 1.22 times the baseline's
	// day 3: the canary's click rate is 0.78 to 0.99 times the baseline's
	// the totals would say 1.36
}
