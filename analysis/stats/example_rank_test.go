package stats_test

import (
	"fmt"
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// Two blocks of latencies in milliseconds, judged as whole distributions: is the canary slower at all?
func Example_distributions() {
	hist := func(latencies ...float64) []windows.Bucket {
		var tally windows.Tally
		for _, x := range latencies {
			tally.Add(windows.BucketOf(x))
		}
		var cell windows.Cell
		tally.Flush(&cell)
		return cell.Hist
	}
	test := stats.Mallows{Side: 1, Grid: stats.MallowsThetas}
	evidence, increments := stats.NewMixture(len(test.Grid)), make([]float64, len(test.Grid))
	var index stats.ProbabilityIndex
	for t, block := range []struct{ canary, baseline []windows.Bucket }{
		{hist(31, 44, 52, 60), hist(12, 14, 19, 22, 25, 28, 33, 41)},
		{hist(35, 39, 48, 71), hist(11, 16, 18, 20, 27, 30, 34, 45)},
	} {
		test.Increments(increments, block.canary, block.baseline)
		evidence.Step(increments, stats.StartWeight(int64(t), 60))
		index.Add(block.canary, block.baseline)
		fmt.Printf("the canary is the slower one in %.0f %% of pairs: e = %.1f\n", 100*index.Value(), math.Exp(evidence.LogE()))
	}
	// Output:
	// the canary is the slower one in 94 % of pairs: e = 4.8
	// the canary is the slower one in 94 % of pairs: e = 68.0
}
