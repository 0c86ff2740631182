package stats

import (
	"fmt"
	"math"
)

// The grids of bets: how far from the margin, as a log ratio, a component of a test is best. A component still grows
// when the true log ratio is beyond about half of its point, so an effect below half of a grid's lowest point is
// invisible to it. Shared: callers only read them.
var (
	IncidentGrid   = Grid(0.1, 3, 8)    // errors, timeouts, shares above a limit: effects of 5 % and more
	EngagementGrid = Grid(0.01, 0.5, 8) // clicks, conversions: effects of half a percent and more
	IntervalGrid   = Grid(0.005, 3, 20) // confidence sequences, which must fit every effect
)

// Grid returns points values from lo to hi, each the same multiple of the one before: lo (hi/lo)^(j/(points-1)). Cost: a power for each point but the first,
// and the slice. Conventions: it panics unless 0 < lo <= hi, hi is finite and points >= 1 (lo alone, when points is 1); NaN panics.
func Grid(lo, hi float64, points int) []float64 {
	if !(lo > 0 && hi >= lo && points >= 1) || math.IsInf(hi, 1) {
		panic(fmt.Sprintf("stats: grid from %v to %v with %d points", lo, hi, points))
	}
	grid := make([]float64, points)
	for j := range grid {
		grid[j] = lo
		if j > 0 {
			grid[j] = lo * math.Pow(hi/lo, float64(j)/float64(points-1))
		}
	}
	return grid
}
