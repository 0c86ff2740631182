package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestMeanInterval: looked at after each block, it leaves out the mean in at most alpha of the runs (an exact binomial limit), of values that are spread, rare and large, or all alike; it closes in
// on it, and each bound is where the evidence is 2/alpha.
func TestMeanInterval(t *testing.T) {
	const runs, alpha, most = 400, .1, 55 // the 99 % point of the binomial
	worlds := map[string]func(r *rand.Rand) float64{
		"spread": func(r *rand.Rand) float64 { return r.Float64() * r.Float64() },
		"rare": func(r *rand.Rand) float64 {
			if r.Float64() < .02 {
				return .9
			}
			return 0
		},
		"near the cap": func(r *rand.Rand) float64 { return 1 - .05*r.Float64() },
	}
	means := map[string]float64{"spread": .25, "rare": .018, "near the cap": .975}
	for name, draw := range worlds {
		r, missed, width := rand.New(rand.NewPCG(5, 8)), 0, 0.
		for range runs {
			var of Samples
			out := false
			for range 60 {
				for range 20 {
					y := draw(r)
					of.N, of.Sum, of.Squares = of.N+1, of.Sum+y, of.Squares+y*y
				}
				lower, upper := MeanInterval(of, 1, alpha)
				if !(lower <= upper) || lower < 0 || upper > 1 {
					t.Fatalf("%s: %v .. %v of %+v", name, lower, upper, of)
				}
				out = out || lower > means[name] || upper < means[name]
			}
			if out {
				missed++
			}
			lower, upper := MeanInterval(of, 1, alpha)
			width += (upper - lower) / runs
		}
		if missed > most || width > .1 {
			t.Errorf("%s: the mean is left out in %d of %d runs, the interval %v wide at the end", name, missed, runs, width)
		}
	}
}

// TestMeanIntervalIsTheTestInverted: below the lower bound each limit is excluded, above it none is, and noise widens it.
func TestMeanIntervalIsTheTestInverted(t *testing.T) {
	of := Samples{N: 3000, Sum: 1800, Squares: 1300}
	lower, upper := MeanInterval(of, 1, .05)
	for m := 0.; m < 1; m += 1. / 512 {
		logs := make([]float64, BoundedPoints)
		for j, l := range meanBets {
			logs[j] = l*(of.Sum-of.N*m) - psi(l)*of.around(m)
		}
		if excluded := logSumExp(logs)-math.Log(BoundedPoints) >= math.Log(40); excluded != (m < lower) && math.Abs(m-lower) > 1e-9 {
			t.Errorf("limit %v: excluded is %v, the lower bound %v", m, excluded, lower)
		}
	}
	if !(lower < .6 && .6 < upper && upper-lower < .06) {
		t.Errorf("%v .. %v", lower, upper)
	}
	if l, u := MeanInterval(of, 4, .05); l >= lower || u <= upper {
		t.Errorf("with noise %v .. %v, without %v .. %v", l, u, lower, upper)
	}
	if l, u := MeanInterval(Samples{}, 1, .05); l != 0 || u != 1 {
		t.Errorf("of nothing %v .. %v", l, u)
	}
	if l, u := MeanInterval(Samples{N: 1e9}, 1, .05); l != 0 || u > 1e-6 {
		t.Errorf("of zeros %v .. %v", l, u)
	}
	if l, u := MeanInterval(Samples{N: 1e9, Sum: 1e9, Squares: 1e9}, 1, .05); u != 1 || l < 1-1e-6 {
		t.Errorf("of ones %v .. %v", l, u)
	}
	mustPanic(t, "sums of no values", func() { MeanInterval(Samples{N: 1, Sum: 2}, 1, .05) })
	mustPanic(t, "no alpha", func() { MeanInterval(of, 1, 0) })
}
