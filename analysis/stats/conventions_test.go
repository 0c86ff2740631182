package stats

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"streamcanary/windows"
)

// TestNaNPanics: where a comment says that NaN panics, it does.
func TestNaNPanics(t *testing.T) {
	nan := math.NaN()
	dst, counts, means := make([]float64, SplitTilts), Counts{100, 5, 300, 9}, Means{100, 5, 300, 9}
	values := Values{Samples{10, 5, 3}, Samples{10, 5, 3}}
	band := QuantileBand{PPM: 10_000}
	blocks := NewTailBlocks(MixPPM)
	closed := NewSplitChangeAfter(1, 1)
	closed.Add(10, 1, 0)
	for name, take := range map[string]func(){
		"Linear, counts": func() { Linear{Rho0: 1, Side: 1, Grid: IncidentGrid}.Increments(dst, Counts{nan, 5, 300, 9}, 1, 1) },
		"Linear, margin": func() { Linear{Rho0: 1, Delta: nan, Side: 1, Grid: IncidentGrid}.Increments(dst, counts, 1, 1) },
		"Bernoulli, counts": func() {
			Bernoulli{Rho0: 1, Side: 1, Grid: IncidentGrid}.Increments(dst, Counts{100, nan, 300, 9}, .1, 1)
		},
		"Bernoulli, margin":       func() { Bernoulli{Rho0: 1, Delta: nan, Side: 1, Grid: IncidentGrid}.Increments(dst, counts, .1, 1) },
		"Bernoulli, q":            func() { Bernoulli{Rho0: 1, Side: 1, Grid: IncidentGrid}.Increments(dst, counts, nan, 1) },
		"Bounded, sums":           func() { Bounded{Rho0: 1, Side: 1}.Increments(dst, Values{Samples{10, nan, 3}, values.Baseline}, .1, 1) },
		"Bounded, margin":         func() { Bounded{Rho0: nan, Side: 1}.Increments(dst, values, .1, 1) },
		"Bounded, q":              func() { Bounded{Rho0: 1, Side: 1}.Increments(dst, values, nan, 1) },
		"Mean, means":             func() { Mean{Rho0: 1, Side: 1, Grid: MeanGrid}.Increments(dst, Means{100, nan, 300, 9}, 1) },
		"Mean, variance":          func() { Mean{Rho0: 1, Side: 1, Grid: MeanGrid}.Increments(dst, means, nan) },
		"Mallows":                 func() { Mallows{Side: 1, Grid: []float64{nan}}.Increments(dst, nil, nil) },
		"Tilt, share":             func() { Tilt{nan, FailOdds}.Increments(dst, 10, 1) },
		"Tilt, x":                 func() { Tilt{.1, FailOdds}.Increments(dst, 10, nan) },
		"MissingIncrement":        func() { MissingIncrement(Counts{.1, nan, .9, 1}, 1) },
		"SplitIncrements, n":      func() { SplitIncrements(dst, nan, 1, .1) },
		"SplitIncrements, pi":     func() { SplitIncrements(dst, 10, 1, nan) },
		"SplitChange, units":      func() { NewSplitChange().Add(nan, 1, 0) },
		"SplitBreak":              func() { NewSplitBreak(2).Add(10, nan) },
		"SplitChange, weight":     func() { closed.Add(10, 1, nan) },
		"Skew":                    func() { NewSkew([]int64{5, 5}, nan) },
		"Mixture, weight":         func() { NewMixture(1).Step([]float64{0}, nan) },
		"Mixture, increment":      func() { NewMixture(1).Step([]float64{nan}, 0) },
		"Insured":                 func() { NewInsured(1, 1).Step(nil, []float64{nan}, 0) },
		"TopKMix":                 func() { NewTopKMix(blocks, RankSide{0, FailOdds}).Step(blocks, nan, nil) },
		"Difference":              func() { NewDifference().Add(Counts{100, 5, 300, nan}, 1, 1) },
		"Ratio":                   func() { NewRatio().Add(Counts{100, 5, 300, nan}, 1, 1) },
		"NormalMixture, contrast": func() { NewNormalMixture(1).Add(nan, 1, 1) },
		"NormalMixture, variance": func() { NewNormalMixture(1).Add(1, nan, 1) },
		"NormalMixture, weight":   func() { NewNormalMixture(1).Add(1, 1, nan) },
		"MixtureScale, alpha":     func() { MixtureScale(nan, 1) },
		"MixtureScale, v":         func() { MixtureScale(.05, nan) },
		"MeanEffect":              func() { NewMeanEffect().Add(Means{100, 5, 300, nan}, 1) },
		"LongRun":                 func() { new(LongRun).Add(Means{nan, 5, 300, 9}) },
		"Dispersion":              func() { NewDispersion().Add(nan, 1, 10, 1) },
		"Dispersion, sizes":       func() { NewDispersion().AddSizes(10, nan, .1) },
		"Spread":                  func() { NewSpread(2).Add([]float64{nan, 1}, []float64{0, 0}) },
		"Succession":              func() { new(Succession).Add(nan, 1) },
		"LevelNoise":              func() { NewLevelNoise(1, 30).Add(8, nan) },
		"BaselineRate":            func() { NewBaselineRate(.1).Add(1, nan) },
		"BaselineMean":            func() { NewBaselineMean(.1).Add(Samples{nan, 1, 1}) },
		"QuantileBand":            func() { band.Interval(nil, nan) },
		"Holm":                    func() { Holm(.05, []float64{nan}, []float64{1}) },
		"EBH":                     func() { EBH([]float64{nan}, .05) },
		"AdjustMax":               func() { AdjustMax(nan) },
		"Grid":                    func() { Grid(1, nan, 3) },
		"RoundingOffsets":         func() { RoundingOffsets(nan, true) },
		"FailShift":               func() { FailShift(nan) },
		"PassShift":               func() { PassShift(nan) },
	} {
		if !panics(take) {
			t.Errorf("%s: NaN is taken", name)
		}
	}
}

// TestNoiseMustBeANumber: whatever takes a dispersion factor panics where that is NaN or infinite: silently it would have no evidence, or an interval of NaN, from then on. Below 1 it counts as 1.
func TestNoiseMustBeANumber(t *testing.T) {
	dst, counts, bins := make([]float64, 100), Counts{100, 5, 300, 9}, []windows.Bucket{{Index: 3, Count: 40}, {Index: 9, Count: 60}}
	values := Values{Samples{10, 5, 3}, Samples{10, 5, 3}}
	for name, take := range map[string]func(phi float64){
		"Linear, canary":       func(phi float64) { Linear{Rho0: 1, Side: 1, Grid: IncidentGrid}.Increments(dst, counts, phi, 1) },
		"Linear, baseline":     func(phi float64) { Linear{Rho0: 1, Side: 1, Grid: IncidentGrid}.Increments(dst, counts, 1, phi) },
		"Bernoulli":            func(phi float64) { Bernoulli{Rho0: 1, Side: 1, Grid: IncidentGrid}.Increments(dst, counts, .1, phi) },
		"Bounded":              func(phi float64) { Bounded{Rho0: 1, Side: 1}.Increments(dst, values, .1, phi) },
		"Skew":                 func(phi float64) { NewSkew([]int64{500, 500}, .01).Increments(dst, []int64{5, 5}, phi) },
		"MissingIncrement":     func(phi float64) { MissingIncrement(Counts{.1, 3, .9, 9}, phi) },
		"Difference, canary":   func(phi float64) { NewDifference().Add(counts, phi, 1) },
		"Difference, baseline": func(phi float64) { NewDifference().Add(counts, 1, phi) },
		"Ratio, canary":        func(phi float64) { NewRatio().Add(counts, phi, 1) },
		"Ratio, baseline":      func(phi float64) { NewRatio().Add(counts, 1, phi) },
		"QuantileRatio":        func(phi float64) { NewQuantileRatio(500_000).Add(bins, bins, .5, phi) },
	} {
		for phi, want := range map[float64]bool{math.NaN(): true, math.Inf(1): true, math.Inf(-1): false, 0: false, 1: false, 100: false} {
			if got := panics(func() { take(phi) }); got != want {
				t.Errorf("%s: with phi %v it panics: %v, want %v", name, phi, got, want)
			}
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

// TestStatedCost: a comment has the bytes that a value holds, and what is said to allocate nothing doesn't. TestConformance has the kernels.
func TestStatedCost(t *testing.T) {
	all := exported(t, ".")
	for name, value := range map[string]any{
		"Dispersion": Dispersion{}, "Spread": Spread{}, "Succession": Succession{}, "LongRun": LongRun{}, "LevelNoise": LevelNoise{}, "BaselineRate": BaselineRate{}, "BaselineMean": BaselineMean{},
		"NormalMixture": NormalMixture{}, "MeanEffect": MeanEffect{}, "Mixture": Mixture{}, "TopKMix": TopKMix{}, "ProbabilityIndex": ProbabilityIndex{},
		"HodgesLehmann": HodgesLehmann{}, "TailShift": TailShift{}, "TailBlocks": tailBlock{}, "Skew": Skew{}, "Pool": Pool{}, "RankSum": RankSum{},
	} {
		if size := fmt.Sprintf("%d bytes", reflect.TypeOf(value).Size()); !strings.Contains(all[name].comment, size) {
			t.Errorf("the comment of %s doesn't say %q", name, size)
		}
	}
	low, high := []windows.Bucket{{Index: 3, Count: 40}, {Index: 9, Count: 60}}, []windows.Bucket{{Index: 5, Count: 50}, {Index: 9, Count: 50}}
	bins, other := []int64{10, 20, 30}, []int64{30, 20, 10}
	dispersion, spread, succession, longRun, level, effect := NewDispersion(), NewSpread(2), Succession{}, LongRun{}, NewLevelNoise(1, 30), NewMeanEffect()
	parts, events := []float64{100, 100}, []float64{3, 4}
	for name, take := range map[string]func(){
		"KSDistance":         func() { KSDistance(low, high) },
		"MannWhitney":        func() { MannWhitney(low, high) },
		"HodgesLehmannShift": func() { HodgesLehmannShift(low, high) },
		"QuantileBand":       func() { QuantileBand{PPM: 500_000}.Interval(low, .05) },
		"BinDistance":        func() { BinDistance(bins, other) },
		"PSI":                func() { PSI(bins, other) },
		"Dispersion":         func() { dispersion.Add(100, 3, 900, 20); dispersion.Phi(1) },
		"Spread":             func() { spread.Add(parts, events); spread.Phi(1) },
		"Succession":         func() { succession.Add(100, 3); succession.Phi(1) },
		"LevelNoise":         func() { level.Add(8, .5); level.Variance() },
		"LevelInterval":      func() { LevelInterval(Level{8, .5, 1, 800}, .05) },
		"LongRun":            func() { longRun.Add(Means{10, 1, 20, 2}); longRun.Variance() },
		"MeanEffect":         func() { effect.Add(Means{10, 1, 20, 2}, 1); effect.Ratio(.05) },
		"MixtureScale":       func() { MixtureScale(.05, 1) },
		"StartSum":           func() { StartSum(5, 1_000_000, 1000) },
		"AdjustMax":          func() { AdjustMax(5) },
	} {
		if allocs := testing.AllocsPerRun(20, take); allocs > 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}
