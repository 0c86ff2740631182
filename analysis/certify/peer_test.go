package certify

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// TestGroupBoundary: five equal looks at one-sided .025, as published for the O'Brien-Fleming type of spending (ldbounds, gsDesign).
func TestGroupBoundary(t *testing.T) {
	want := []float64{4.8769, 3.3569, 2.6803, 2.2898, 2.0310}
	for i, got := range groupBoundary(.025, 5) {
		if math.Abs(got-want[i]) > 1e-3 {
			t.Errorf("look %d: %.4f, want %.4f", i+1, got, want[i])
		}
	}
}

// TestMixtureSPRT: with n pairs and V_n the variance of a pair's difference, it is the published likelihood ratio.
func TestMixtureSPRT(t *testing.T) {
	n, vn, d, tau := 5000., .3, .02, .01
	want := math.Log(math.Sqrt(vn/(vn+n*tau*tau))) + n*n*tau*tau*d*d/(2*vn*(vn+n*tau*tau))
	if got := logMixtureSPRT(d, vn/n, tau); math.Abs(got-want) > 1e-12 {
		t.Errorf("log ratio %v, want %v", got, want)
	}
}

// TestGrowthBookHalf computes its two formulas step by step.
func TestGrowthBookHalf(t *testing.T) {
	alpha, n, s2 := .05, 20_000., .04
	rho := math.Sqrt((-2*math.Log(2*alpha) + math.Log(-2*math.Log(2*alpha)+1)) / 5000)
	part2 := 2 * (n*rho*rho + 1) / ((n * rho) * (n * rho))
	want := math.Sqrt(s2 * part2 * math.Log(1+math.Sqrt(n*rho*rho+1)/(2*alpha)))
	if got := growthBookHalf(s2, n, growthBookRho2(alpha, 5000), alpha); math.Abs(got-want) > 1e-12 {
		t.Errorf("half width %v, want %v", got, want)
	}
}

// TestKayentaShift: without ties the estimate is the median of all differences, and the bound is where the number of differences above it
// has its quantile.
func TestKayentaShift(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var x, y, differences []float64
	for range 41 {
		x = append(x, 110+10*r.NormFloat64())
	}
	for range 37 {
		y = append(y, 100+10*r.NormFloat64())
	}
	for _, a := range x {
		for _, b := range y {
			differences = append(differences, a-b)
		}
	}
	slices.Sort(differences)
	s := newShiftTest(x, y)
	n, m := float64(len(x)), float64(len(y))
	sigma := math.Sqrt(n * m * (n + m + 1) / 12)
	for _, c := range []struct {
		z     float64
		above float64 // differences above the shift at the root
	}{{0, n * m / 2}, {2.326, n*m/2 + 2.326*sigma + .5}} {
		want := differences[int(n*m-c.above)]
		if got := s.root(c.z); math.Abs(got-want) > .05 {
			t.Errorf("shift at z %v: %v, want about %v", c.z, got, want)
		}
	}
}

func TestKayentaHigh(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	series := func(level float64) (xs []float64) {
		for range 60 {
			xs = append(xs, level+r.NormFloat64())
		}
		return xs
	}
	low, high := series(50), series(53)
	same := []float64{5, 5, 5}
	for _, c := range []struct {
		name             string
		canary, baseline []float64
		want             bool
	}{
		{"higher", high, low, true}, {"lower", low, high, false}, {"the same values", low, slices.Clone(low), false},
		{"one value", same, same, false}, {"nothing", nil, low, false}, {"no difference", series(50), low, false},
	} {
		if got := kayentaHigh(c.canary, c.baseline); got != c.want {
			t.Errorf("%s: high is %v", c.name, got)
		}
	}
}

// minuteOf is a moment that holds a whole minute: n requests of each arm, some of them errors, and their histograms.
func minuteOf(canaryErrors, baselineErrors int64, canarySlow, baselineSlow int32) *Moment {
	p := &windows.Part{Stream: windows.Stream{Kind: windows.Serving}}
	p.Cells[windows.Baseline] = []windows.Cell{{N: 1000, K: baselineErrors}, {N: 1000, Hist: []windows.Bucket{{Index: 10, Count: 980}, {Index: baselineSlow, Count: 20}}}}
	p.Cells[windows.Canary] = []windows.Cell{{N: 100, K: canaryErrors}, {N: 100, Hist: []windows.Bucket{{Index: 10, Count: 98}, {Index: canarySlow, Count: 2}}}}
	return &Moment{Serving: p, widthMs: minuteMs, indexes: map[string]int{"error": 0, "latency": 1}}
}

// TestThresholdRules counts failures by hand: Argo fails a metric at the fourth, and counts each metric by itself; Flagger at the fifth check
// of any.
func TestThresholdRules(t *testing.T) {
	healthy, errors, slow := minuteOf(1, 10, 200, 200), minuteOf(2, 10, 200, 200), minuteOf(1, 10, 217, 200)
	nearly := minuteOf(1, 10, 216, 200) // 16 buckets are 18.9 %
	empty := &Moment{Serving: &windows.Part{}, widthMs: minuteMs, indexes: map[string]int{}}
	for _, c := range []struct {
		name          string
		minutes       []*Moment
		argo, flagger bool
	}{
		{"healthy", []*Moment{healthy, healthy, healthy, healthy, healthy, healthy, nearly}, false, false},
		{"three errors", []*Moment{errors, errors, healthy, errors}, false, false},
		{"four errors", []*Moment{errors, errors, healthy, errors, errors}, true, false},
		{"three of each", []*Moment{errors, slow, errors, slow, errors, slow}, false, true},
		{"four slow", []*Moment{slow, slow, slow, healthy, slow}, true, false},
		{"five without a value", []*Moment{empty, empty, empty, empty, empty}, false, true},
	} {
		argo, flagger := []bool{false}, []bool{false}
		a, f := &argoRule{}, &flaggerRule{}
		for _, m := range c.minutes {
			a.see(m, argo)
			f.see(m, flagger)
		}
		if argo[0] != c.argo || flagger[0] != c.flagger {
			t.Errorf("%s: Argo %v, Flagger %v, want %v and %v", c.name, argo[0], flagger[0], c.argo, c.flagger)
		}
	}
}

// TestConditionalIsAnEValue enumerates one window: the mean of the likelihood ratio is 1 when the odds are the same.
func TestConditionalIsAnEValue(t *testing.T) {
	const nc, nb, p = 6, 9, .3
	mean := make([]float64, 2)
	for kc := range nc + 1 {
		for kb := range nb + 1 {
			chance := binomialChance(nc, kc, p) * binomialChance(nb, kb, p)
			logs := make([]float64, 2)
			addConditional(logs, []float64{.2, 1.5}, +1, stats.Counts{Nc: nc, Kc: float64(kc), Nb: nb, Kb: float64(kb)})
			for j, l := range logs {
				mean[j] += chance * math.Exp(l)
			}
		}
	}
	for j, m := range mean {
		if math.Abs(m-1) > 1e-12 {
			t.Errorf("component %d: mean %v", j, m)
		}
	}
}
