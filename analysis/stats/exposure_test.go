package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Counts per exposure: Counts.Nc and Nb are real amounts, and rates may exceed 1.

// perExposure draws blocks of a fleet that grows from half a replica-second on. The rates are per replica-second; the baseline's swings by that
// share of itself, and the canary's with it, by the same amount.
func perExposure(r *rand.Rand, rates [2]float64, swing float64) func(t int) Counts {
	return func(t int) Counts {
		nc, nb := 0.5+float64(t)*r.Float64(), 3.25+10*r.Float64()
		more := rates[1] * swing * math.Sin(float64(t)/9)
		return Counts{nc, poisson(r, nc*(rates[0]+more)), nb, poisson(r, nb*(rates[1]+more))}
	}
}

// TestIntervalsHoldForRealExposures: differences far beyond 1, and ratios, hold the truth throughout.
func TestIntervalsHoldForRealExposures(t *testing.T) {
	runs := max(60, *runs/2)
	for _, rates := range [][2]float64{{9, 5}, {3, 5}, {0.02, 0.02}, {300, 290}} {
		missed := [2]int{}
		for run := range runs {
			swinging := perExposure(rand.New(rand.NewPCG(91, uint64(run))), rates, 0.5)
			still := perExposure(rand.New(rand.NewPCG(92, uint64(run))), rates, 0)
			difference, ratio := NewExposureDifference(), NewRatio()
			miss := [2]bool{}
			for at := range 40 {
				difference.Add(swinging(at), 1, 1)
				lower, upper := difference.Interval(0.05)
				miss[0] = miss[0] || !(lower <= rates[0]-rates[1] && rates[0]-rates[1] <= upper)
				ratio.Add(still(at), 1, 1)
				lower, upper = ratio.Interval(0.05)
				miss[1] = miss[1] || !(lower <= rates[0]/rates[1] && rates[0]/rates[1] <= upper)
			}
			for i, m := range miss {
				if m {
					missed[i]++
				}
			}
		}
		if limit := binomialLimit(runs, 0.05); max(missed[0], missed[1]) > limit {
			t.Errorf("rates %v: difference and ratio missed the truth in %v of %d runs", rates, missed, runs)
		}
	}
}

// TestTheUnitOfExposureOnlyScales: seconds or hours, the evidence is the same and the bounds are per second or per hour.
func TestTheUnitOfExposureOnlyScales(t *testing.T) {
	const hour = 3600
	next := perExposure(rand.New(rand.NewPCG(95, 1)), [2]float64{9, 5}, 0.5)
	perSecond, perHour := NewExposureDifference(), NewExposureDifference()
	ratios := [2]*Ratio{NewRatio(), NewRatio()}
	inc := [2][1]float64{}
	for at := range 60 {
		c := next(at)
		h := Counts{c.Nc / hour, c.Kc, c.Nb / hour, c.Kb}
		perSecond.Add(c, 1.5, 1.2)
		perHour.Add(h, 1.5, 1.2)
		ratios[0].Add(c, 1.5, 1.2)
		ratios[1].Add(h, 1.5, 1.2)
		Linear{Rho0: 1, Delta: 2, Side: 1, Grid: []float64{0.4}}.Increments(inc[0][:], c, 1.5, 1.2)
		Linear{Rho0: 1, Delta: 2 * hour, Side: 1, Grid: []float64{0.4}}.Increments(inc[1][:], h, 1.5, 1.2)
		close := tolerance{Abs: 1e-9, Rel: 1e-9}
		close.check(t, "increment", inc[1][0], inc[0][0])
		lower, upper := perSecond.Interval(0.05)
		hourly, hourlyUpper := perHour.Interval(0.05)
		close.check(t, "lower", hourly/hour, lower)
		close.check(t, "upper", hourlyUpper/hour, upper)
		lower, upper = ratios[0].Interval(0.05)
		if l, u := ratios[1].Interval(0.05); math.Abs(l-lower) > 1e-9 || math.Abs(u-upper) > 1e-9 && u != upper {
			t.Errorf("ratio %v to %v, per hour %v to %v", lower, upper, l, u)
		}
	}
	if lower, upper := perSecond.Interval(0.05); !(lower > 2 && upper < 6) {
		t.Errorf("at the end %v to %v; the truth is 4", lower, upper)
	}
}

// TestExposureDifferenceInsideIsDifference: where no bound is near 1, both ways to start Newton's method come to the same root.
func TestExposureDifferenceInsideIsDifference(t *testing.T) {
	chances, exposures := NewDifference(), NewExposureDifference()
	if lower, upper := exposures.Interval(0.05); !math.IsInf(lower, -1) || !math.IsInf(upper, 1) {
		t.Errorf("before the first block: %v to %v", lower, upper)
	}
	world := worldOfRates{r: rand.New(rand.NewPCG(96, 1)), size: 4000, rate: 0.01, rho: 1, delta: 0.004, blocks: 40}
	for at := range 40 {
		c := world.block(at)
		chances.Add(c, 1, 1)
		exposures.Add(c, 1, 1)
		lower, upper := chances.Interval(0.1)
		l, u := exposures.Interval(0.1)
		if lower > -1 && math.Abs(l-lower) > 1e-9 || upper < 1 && math.Abs(u-upper) > 1e-9 {
			t.Errorf("block %d: %v to %v, of exposures %v to %v", at, lower, upper, l, u)
		}
	}
}
