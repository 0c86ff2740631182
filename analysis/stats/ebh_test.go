package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// ebhTwin tries every set size: the largest i such that i of the e-values are at least K/(i q) each.
func ebhTwin(logE []float64, q float64) []int {
	all := float64(len(logE))
	for i := len(logE); i >= 1; i-- {
		var set []int
		for j, x := range logE {
			if x >= math.Log(all/(float64(i)*q)) {
				set = append(set, j)
			}
		}
		if len(set) >= i {
			return set
		}
	}
	return nil
}

func TestEBHIsItsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(71, 1))
	sizes := map[int]int{}
	for range 1000 {
		logE := make([]float64, r.IntN(9))
		for i := range logE {
			logE[i] = math.Round(4*r.NormFloat64()) + 2 // with ties
		}
		got, want := EBH(logE, 0.1), ebhTwin(logE, 0.1)
		if !slices.Equal(got, want) {
			t.Errorf("%v: rejected %v, want %v", logE, got, want)
		}
		sizes[len(got)]++
	}
	if len(sizes) < 5 {
		t.Errorf("only these numbers of rejections came up: %v", sizes)
	}
}

func TestEBH(t *testing.T) {
	inf := math.Inf(1)
	e := func(values ...float64) []float64 {
		for i := range values {
			values[i] = math.Log(values[i])
		}
		return values
	}
	for _, row := range []struct {
		name string
		logE []float64
		want []int
	}{
		{"nothing", nil, nil},
		{"one at its threshold", e(10.0001), []int{0}},
		{"one just below", e(9.999), nil},
		{"the third carries the others", e(15.01, 1, 14, 15.01), []int{0, 2, 3}},
		{"two of three carry each other", e(15.01, 1, 15.01), []int{0, 2}},
		{"certainty", []float64{inf, math.Inf(-1), 0}, []int{0}},
		{"ties stand together", e(10.01, 10.01, 10.01), []int{0, 1, 2}},
	} {
		if got := EBH(row.logE, 0.1); !slices.Equal(got, row.want) {
			t.Errorf("%s: rejected %v, want %v", row.name, got, row.want)
		}
	}
	mustPanic(t, "NaN", func() { EBH([]float64{math.NaN()}, 0.1) })
	mustPanic(t, "q 0", func() { EBH(nil, 0) })
}

// TestEBHKeepsItsRate: 20 segments of which 5 are harmed, read at the end of 40 blocks and at the worst of all moments by adjusted maxima: the mean
// share of false ones among those named is at most q.
func TestEBHKeepsItsRate(t *testing.T) {
	const segments, harmed, runs, q = 20, 5, 150, 0.1
	falseNow, falseMax, found := 0.0, 0.0, 0
	share := func(rejected []int) float64 {
		wrong := 0
		for _, i := range rejected {
			if i >= harmed {
				wrong++
			}
		}
		return float64(wrong) / max(1, float64(len(rejected)))
	}
	test, inc := Linear{Rho0: 1, Side: 1, Grid: IncidentGrid}, make([]float64, len(IncidentGrid))
	for run := range runs {
		r := rand.New(rand.NewPCG(72, uint64(run)))
		now, most := make([]float64, segments), make([]float64, segments)
		for i := range segments {
			rate := 0.02
			if i < harmed {
				rate = 0.04
			}
			m := NewMixture(len(inc))
			for at := range int64(40) {
				test.Increments(inc, Counts{50, poisson(r, 50*rate), 450, poisson(r, 9)}, 1, 1)
				m.Step(inc, StartWeight(at, 40))
			}
			now[i], most[i] = m.LogE(), AdjustMax(m.LogMax())
		}
		named := EBH(now, q)
		falseNow += share(named) / runs
		falseMax += share(EBH(most, q)) / runs
		found += len(named)
	}
	if falseNow > q || falseMax > q || found < runs*harmed/2 {
		t.Errorf("false share %v now, %v of adjusted maxima; %d of %d named", falseNow, falseMax, found, runs*harmed)
	}
	t.Logf("false share %.4f now, %.4f of adjusted maxima; %d of %d named", falseNow, falseMax, found, runs*harmed)
}

// TestAdjustMaxIsAnAdjuster: the integral of A(m)/m² over m >= 1 is 1, A rises, and its branches meet.
func TestAdjustMaxIsAnAdjuster(t *testing.T) {
	sum := 0.0
	const step = 1e-3 // in log m; the integral in x = log m is of A(e^x) e^-x, whose tail beyond X is about 1/X
	for i := range 2_000_000 {
		x := (float64(i) + 0.5) * step
		sum += math.Exp(AdjustMax(x)-x) * step
	}
	const tail = 1. / 2000
	if math.Abs(sum+tail-1) > 1e-6 {
		t.Errorf("integral %v", sum+tail)
	}
	for _, x := range []float64{0, 1e-9, 1e-3, 0.3, 0.999, 1.001, 5, 99, 101, 1e4} {
		if !(AdjustMax(x*1.0001+1e-9) > AdjustMax(x)) {
			t.Errorf("doesn't rise at %v", x)
		}
	}
	for _, border := range []float64{0.02, 1, 100} {
		below, above := AdjustMax(border*(1-1e-14)), AdjustMax(border*(1+1e-14))
		if math.Abs(below-above) > 1e-11 {
			t.Errorf("at %v the branches say %v and %v", border, below, above)
		}
	}
	if got := AdjustMax(-3); got != math.Log(0.5) {
		t.Errorf("a maximum below 1 is %v", got)
	}
	if got := AdjustMax(math.Inf(1)); !math.IsInf(got, 1) {
		t.Errorf("certainty is %v", got)
	}
	mustPanic(t, "NaN", func() { AdjustMax(math.NaN()) })
}
