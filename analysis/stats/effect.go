package stats

import "math"

// Effect estimates how much the canary differs from the baseline, block by block, so that drift and ramps cancel
// (Mantel-Haenszel weights: each block counts with Nc Nb/(Nc+Nb), about the weight that the tests' bets give it). It is a point estimate; Difference and
// Ratio have the intervals. The zero value is ready. Sums of disjoint blocks add in any order.
type Effect struct {
	weight             float64 // sum of Nc Nb/(Nc+Nb)
	canary, baseline   float64 // sum of Kc Nb/(Nc+Nb), of Kb Nc/(Nc+Nb)
	canaryN, baselineN float64
	canaryK, baselineK float64
}

// Add takes one block. One without exposures in both arms has no weight, but counts in Totals.
func (e *Effect) Add(c Counts) {
	c.check()
	e.canaryN += c.Nc
	e.canaryK += c.Kc
	e.baselineN += c.Nb
	e.baselineK += c.Kb
	if c.Nc == 0 || c.Nb == 0 {
		return
	}
	n := c.Nc + c.Nb
	e.weight += c.Nc * c.Nb / n
	e.canary += c.Kc * c.Nb / n
	e.baseline += c.Kb * c.Nc / n
}

// Difference is the weighted average of Kc/Nc - Kb/Nb; NaN without weight.
func (e *Effect) Difference() float64 { return (e.canary - e.baseline) / e.weight }

// Ratio is the Mantel-Haenszel ratio of the rates: +Inf when only the canary had events; NaN when neither had.
func (e *Effect) Ratio() float64 { return e.canary / e.baseline }

// Rates are the weighted averages of Kc/Nc and Kb/Nb, which Difference and Ratio compare; NaN without weight.
func (e *Effect) Rates() (canary, baseline float64) {
	return e.canary / e.weight, e.baseline / e.weight
}

// Totals are the plain sums of all blocks' counts.
func (e *Effect) Totals() Counts {
	return Counts{Nc: e.canaryN, Kc: e.canaryK, Nb: e.baselineN, Kb: e.baselineK}
}

// Sub is the effect in the blocks of e that are not in start, an earlier copy of e: the effect since then.
func (e Effect) Sub(start Effect) Effect {
	floor := func(x float64) float64 { return math.Max(0, x) } // rounding must not leave a negative rest
	return Effect{
		weight: floor(e.weight - start.weight), canary: floor(e.canary - start.canary), baseline: floor(e.baseline - start.baseline),
		canaryN: e.canaryN - start.canaryN, canaryK: e.canaryK - start.canaryK,
		baselineN: e.baselineN - start.baselineN, baselineK: e.baselineK - start.baselineK,
	}
}
