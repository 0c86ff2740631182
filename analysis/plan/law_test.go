package plan

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"streamcanary/analysis"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestSpread: the stated quantiles come back, probabilities add up to one, and a lognormal is one between and beyond.
func TestSpread(t *testing.T) {
	points := []schemas.QuantileValue{{Quantile: .5, Value: 20}, {Quantile: .99, Value: 100}}
	values := spread(points, schemas.Buckets{})
	sum := 0.0
	for i, v := range values {
		sum += v.P
		if i > 0 && v.X < values[i-1].X {
			t.Fatalf("values fall at %d: %v, %v", i, values[i-1], v)
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("probabilities add up to %v", sum)
	}
	sigma := math.Log(5) / score(.99)
	for _, q := range []float64{.01, .1, .5, .9, .99, .999, .9999} {
		want := 20 * math.Exp(sigma*score(q))
		if got := quantileOf(values, q); math.Abs(got/want-1) > .02 {
			t.Errorf("p%g is %v, want %v", 100*q, got, want)
		}
	}
	// Three quantiles: straight lines in the normal score; linear buckets: of the value itself.
	bent := spread([]schemas.QuantileValue{{Quantile: .5, Value: .2}, {Quantile: .9, Value: .4}, {Quantile: .99, Value: .9}}, schemas.Buckets{From: 0, To: 1, Count: 10})
	for q, want := range map[float64]float64{.5: .2, .9: .4, .99: .9, .75: .2 + .2*score(.75)/score(.9)} {
		if got := quantileOf(bent, q); math.Abs(got-want) > .01 {
			t.Errorf("p%g is %v, want %v", 100*q, got, want)
		}
	}
}

func quantileOf(values []Point, q float64) float64 {
	sum := 0.0
	for _, v := range values {
		if sum += v.P; sum >= q {
			return v.X
		}
	}
	return math.NaN()
}

func TestTwoPoints(t *testing.T) {
	for _, m := range []schemas.MeanValue{{Mean: 3.2, Deviation: 20}, {Mean: -1, Deviation: .5}, {Mean: 0, Deviation: 2}, {Mean: 5}} {
		var mean, square float64
		for _, a := range twoPoints(m) {
			mean += a.p * a.x
			square += a.p * a.x * a.x
		}
		if math.Abs(mean-m.Mean) > 1e-9 || math.Abs(math.Sqrt(max(0, square-mean*mean))-m.Deviation) > 1e-6 {
			t.Errorf("%+v becomes a mean of %v and a deviation of %v", m, mean, math.Sqrt(square-mean*mean))
		}
	}
}

// TestHarm: what a harm does to a law, and what is planned for where none is stated.
func TestHarm(t *testing.T) {
	rate := func(d schemas.Direction, margin float64, relative bool) *schemas.Guardrail {
		return &schemas.Guardrail{Kind: schemas.RateGuardrail, Of: "error", Direction: d, Margin: schemas.Margin{Value: margin, Relative: relative}}
	}
	p50 := func(d schemas.Direction, margin float64, relative bool) *schemas.Guardrail {
		return &schemas.Guardrail{Kind: schemas.QuantileGuardrail, Of: ofLatency, Quantile: .5, Direction: d, Margin: schemas.Margin{Value: margin, Relative: relative}}
	}
	linear := p50(schemas.Decrease, .1, false)
	linear.Of, linear.Buckets = "score", schemas.Buckets{From: 0, To: 100, Count: 100}
	anyShift := *linear
	anyShift.Margin = schemas.Margin{}
	mean := &schemas.Guardrail{Kind: schemas.MeanGuardrail, Of: "purchase", From: schemas.KindOutcome, Cap: 100, Direction: schemas.Decrease, Margin: schemas.Margin{Value: .5}}
	below := func(d schemas.Direction, margin float64, relative bool) *schemas.Guardrail {
		return &schemas.Guardrail{Kind: schemas.MeanGuardrail, Of: "logit", From: schemas.KindPrediction, Cap: 100, Direction: d, Margin: schemas.Margin{Value: margin, Relative: relative}}
	}
	tests := []struct {
		g    *schemas.Guardrail
		text string // of the usual harm
		want float64
	}{
		{rate(schemas.Increase, .005, false), "+1pp", .02 + .01},
		{rate(schemas.Increase, .2, true), "+40%", .02 * 1.4},
		{rate(schemas.Decrease, .005, false), "-1pp", .01},
		{rate(schemas.Decrease, .6, true), "-80%", .02 * .2}, // twice 60 % can't be
		{rate(schemas.Increase, 0, false), "+10%", .022},
		{rate(schemas.Above, .05, false), "10%", .1},
		{rate(schemas.Above, .6, false), "80%", .8},
		{rate(schemas.Below, .01, false), "0.5%", .005},
		{p50(schemas.Increase, .2, true), "+40%", 28},
		{p50(schemas.Decrease, .2, true), "-40%", 12},
		{p50(schemas.Above, 50, false), "100ms", 100},
		{linear, "-0.2", 19.8},
		{&anyShift, "-5", 15},
		{mean, "-1", 3},
		{below(schemas.Increase, .1, true), "+20%", -3.2}, {below(schemas.Decrease, .1, true), "-20%", -4.8}, {below(schemas.Increase, 3, false), "+6", 2},
	}
	for _, test := range tests {
		base := &Baseline{Rate: .02, Values: []Point{{10, .4}, {20, .2}, {30, .4}}}
		if test.g.Kind == schemas.MeanGuardrail {
			base = &Baseline{Mean: schemas.MeanValue{Mean: 4, Deviation: 10}}
		}
		if test.g.Of == "logit" {
			base.Mean.Mean = -4
		}
		h := UsualHarm(test.g)
		sick, err := harmed(test.g, law(test.g, base), h)
		if err != nil || h.Text != test.text || math.Abs(level(test.g, sick)-test.want) > 1e-9 {
			t.Errorf("%s %s %v: harm %s to %v, %v; want %s to %v", test.g.Kind, test.g.Direction, test.g.Margin, h.Text, level(test.g, sick), err, test.text, test.want)
		}
	}
}

// TestNoShareOfNothing: no canary is worse by a share of a mean of zero.
func TestNoShareOfNothing(t *testing.T) {
	g := &schemas.Guardrail{Kind: schemas.MeanGuardrail, Of: "residual", From: schemas.KindPrediction, Cap: 100, Direction: schemas.Increase, Margin: schemas.Margin{Value: .1, Relative: true}}
	const want = "+20% can't be: the baseline's residual is 0"
	if _, err := harmed(g, law(g, &Baseline{Mean: schemas.MeanValue{Deviation: 10}}), UsualHarm(g)); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestClasses: each sort of event leaves what the metrics of its guardrail make of it, and equal ones are one class.
func TestClasses(t *testing.T) {
	r := parsed(t, "  outcomes: {click: {within: 1m}}\n  guardrails:\n  - {name: e, rate: error, increase: 1pp}\n  - {name: m, rate: cache_miss, above: 5%}\n"+
		"  - {name: g, sample: cpu, limit: 0.9, increase: 1pp}\n  - {name: l, quantile: 0.5, above: 15ms}\n  - {name: c, rate: click, decrease: 1pp}\n")
	tr := Traffic{Requests: 1, Share: .5, Baselines: make([]Baseline, len(r.Guardrails))}
	for i := range tr.Baselines {
		tr.Baselines[i] = Baseline{PerSecond: 1, Rate: .25, Values: []Point{{10, .25}, {10.001, .25}, {20, .25}, {math.Inf(1), .25}}}
	}
	bucket := func(x float64) int32 { return windows.BucketOf(x) }
	want := map[string][][]mark{
		"e": {{{n: 1, k: 1}}, {{n: 1}}}, "m": {{{n: 1, k: 1}}, {{n: 1}}}, "g": {{{n: 1}}, {{n: 1, k: 1}}}, "c": {{{n: 1, k: 1}}, {{n: 1}}},
		"l": {
			{{n: 1}, {n: 1, bucket: bucket(10), ranked: true}}, {{n: 1, k: 1}, {n: 1, bucket: bucket(20), ranked: true}},
			{{n: 1, k: 1}, {n: 1, bucket: windows.TopBucket, ranked: true}},
		},
	}
	for i, g := range r.Guardrails {
		s := newSetting(r, place{guardrail: i}, &tr, Options{})
		var got [][]mark
		sum := 0.0
		for _, c := range classes(s.guard, s.metrics, s.healthy) {
			marks := slices.Clone(c.marks)
			for j := range marks { // what else a rollout watches of the same events is not this test's
				if j >= len(want[g.Name][0]) {
					marks = marks[:j]
					break
				}
			}
			got, sum = append(got, marks), sum+c.p
		}
		if !reflect.DeepEqual(got, want[g.Name]) || math.Abs(sum-1) > 1e-12 {
			t.Errorf("%s: got %+v of %v\nwant %+v", g.Name, got, sum, want[g.Name])
		}
	}
}

// TestRandom: means and variances of what is drawn, below and above the switch to the normal law.
func TestRandom(t *testing.T) {
	r := random{1}
	const draws = 20000
	for _, test := range []struct {
		name           string
		draw           func() int64
		mean, variance float64
	}{
		{"binomial, few", func() int64 { return r.binomial(100, .03) }, 3, 3 * .97},
		{"binomial, most", func() int64 { return r.binomial(100, .97) }, 97, 97 * .03},
		{"binomial, many", func() int64 { return r.binomial(1e6, .3) }, 3e5, 3e5 * .7},
		{"poisson, few", func() int64 { return r.poisson(2.5) }, 2.5, 2.5},
		{"poisson, many", func() int64 { return r.poisson(1e4) }, 1e4, 1e4},
	} {
		var sum, squares float64
		for range draws {
			x := float64(test.draw()) - test.mean
			sum, squares = sum+x, squares+x*x
		}
		mean, variance := sum/draws, squares/draws
		if math.Abs(mean) > 4*math.Sqrt(test.variance/draws) || math.Abs(variance/test.variance-1) > 6*math.Sqrt(2./draws) {
			t.Errorf("%s: off by %v, variance %v of %v", test.name, mean, variance, test.variance)
		}
	}
	for _, n := range []int64{r.binomial(0, .5), r.binomial(5, 0), r.binomial(-1, .5)} {
		if n != 0 {
			t.Errorf("%d of nothing", n)
		}
	}
	if n := r.binomial(7, 1); n != 7 {
		t.Errorf("%d of 7 that are certain", n)
	}
}

// TestDraw: many draws have the classes' shares, whichever way they are drawn, and every event is in one.
func TestDraw(t *testing.T) {
	r := parsed(t, "  guardrails: [{name: l, quantile: 0.5, increase: 10%}]\n")
	tr := Stated(r, traffic(t, "requests: 100\nshare: 10%\nquantiles: {latency: {p50: 20ms, p99: 100ms}}\n"))
	s := newSetting(r, place{}, &tr, Options{})
	w := worldOf(s.guard, s, s.rollout.Window, s.healthy)
	all := w.laws[windows.Baseline]
	for _, n := range []int64{20, 100000} {
		counts := make([]float64, len(all))
		total := 0.0
		for total < 1e6 {
			here := int64(0)
			for i, c := range w.draw(windows.Baseline, n) {
				counts[i] += float64(c)
				here += c
			}
			if here != n {
				t.Fatalf("%d of %d events drawn", here, n)
			}
			total += float64(n)
		}
		chi := 0.0
		for i, c := range all {
			if e := c.p * total; e > 5 {
				chi += (counts[i] - e) * (counts[i] - e) / e
			}
		}
		if d := float64(len(all)); chi > d+6*math.Sqrt(2*d) {
			t.Errorf("in draws of %d: chi-square %v of %v classes", n, chi, d)
		}
	}
}

// TestClumps: counts of a stated over-dispersion have it, in both arms and between the calibration slices, which add up to the whole.
func TestClumps(t *testing.T) {
	r := parsed(t, "  guardrails: [{name: e, rate: error, increase: 1pp}]\n")
	for _, phi := range []float64{1, 1.3, 4} {
		tr := Traffic{Requests: 1000, Share: .2, Baselines: []Baseline{{PerSecond: 1000, Rate: .1, Phi: phi}}}
		s := newSetting(r, place{}, &tr, Options{})
		w := worldOf(s.guard, s, s.rollout.Window, s.healthy)
		w.random = random{7}
		const runs = 20000
		var u, v [3]float64 // of the canary, of the baseline, of half of the baseline against the rest
		add := func(i int, n, k, p float64) { u[i], v[i] = u[i]+(k-n*p)*(k-n*p), v[i]+n*p*(1-p) }
		for i := range runs {
			cells := w.window(int64(i))[0].Cells
			canary, baseline := cells[windows.Canary][0], cells[windows.Baseline][0]
			var sum windows.SliceCount
			for _, slice := range baseline.Slices {
				sum = windows.SliceCount{N: sum.N + slice.N, K: sum.K + slice.K}
			}
			if sum.N != baseline.N || sum.K != baseline.K {
				t.Fatalf("phi %v: slices add up to %+v of %+v", phi, sum, baseline)
			}
			add(0, float64(canary.N), float64(canary.K), .1)
			add(1, float64(baseline.N), float64(baseline.K), .1)
			add(2, float64(baseline.Slices[0].N), float64(baseline.Slices[0].K), .1)
		}
		for i := range u {
			if got := u[i] / v[i]; math.Abs(got/phi-1) > .06 {
				t.Errorf("phi %v: part %d has %v", phi, i, got)
			}
		}
	}
}

// TestSurvey: what a survey finds in windows is what they were made of.
func TestSurvey(t *testing.T) {
	r := parsed(t, "  outcomes: {click: {within: 1m}}\n  guardrails:\n  - {name: e, rate: error, increase: 1pp}\n  - {name: l, quantile: 0.9, increase: 10%}\n"+
		"  - {name: g, sample: cpu, limit: 0.9, increase: 1pp}\n  - {name: c, rate: click, decrease: 5%}\n  - {name: s, quantile: 0.9, of: tokens, increase: 10%}\n  - {name: m, mean: score, from: prediction, cap: 1, increase: 10%}\n")
	metrics := analysis.Metrics(r)
	keys := func(kind windows.PartKind) (keys []string) {
		for _, m := range metrics {
			if m.Stream().Kind == kind {
				keys = append(keys, m.Key())
			}
		}
		return keys
	}
	survey := NewSurvey(r)
	if _, err := survey.Traffic(); err == nil {
		t.Error("nothing was seen, and that is traffic")
	}
	for i := range int64(100) {
		serving := &windows.Part{Stream: windows.Stream{Kind: windows.Serving}, StartMs: 1000 * (i + 1), Metrics: keys(windows.Serving)}
		serving.Traffic[windows.Baseline].Served, serving.Traffic[windows.Canary].Served = 90, 10
		serving.Traffic[windows.Baseline].Units = []windows.UnitSight{{Unit: uint64(i)}} // of 90 requests each
		for arm, n := range [windows.Arms]int64{90, 10} {
			serving.Cells[arm] = make([]windows.Cell, len(serving.Metrics))
			serving.Cells[arm][slices.Index(serving.Metrics, "error")] = windows.Cell{N: n, K: n / 10}
			serving.Cells[arm][slices.Index(serving.Metrics, "values.score~1")] = windows.Cell{N: n, Sum: n / 2 * windows.SumUnit, Squares: n / 2 * windows.SumUnit}
			serving.Cells[arm][slices.Index(serving.Metrics, "latency")] = windows.Cell{N: n, Hist: []windows.Bucket{{Index: 64, Count: uint32(n / 2)}, {Index: 128, Count: uint32(n / 2)}}}
		}
		samples := &windows.Part{Stream: windows.Stream{Kind: windows.Resources}, StartMs: 1000 * (i + 1), Metrics: keys(windows.Resources)}
		clicks := &windows.Part{Stream: windows.Stream{Kind: windows.Outcomes, Name: "click"}, StartMs: 1000 * (i + 1), Metrics: []string{"click"}}
		for arm := range windows.Arms {
			samples.Cells[arm] = []windows.Cell{{N: 2, K: 1}}
			clicks.Cells[arm] = []windows.Cell{{N: 50, K: 1}}
		}
		for _, p := range []*windows.Part{serving, samples, clicks} {
			survey.Add(p)
		}
	}
	got, err := survey.Traffic()
	if err != nil || got.Requests != 100 || got.Share != .1 || got.Source != "a log of 1m40s, from 1970-01-01T00:00:01.000Z on" {
		t.Fatalf("got %+v, %v", got, err)
	}
	b := got.Baselines
	if b[0].PerSecond != 100 || b[0].Rate != .1 || b[2].PerSecond != 4 || b[2].Rate != .5 || !b[2].Sampled || b[3].PerSecond != 100 || b[3].Rate != .02 {
		t.Errorf("rates %+v", b)
	}
	if b[0].Phi != 0 || b[1].Phi != 1.5 || b[2].Phi != 0 || b[3].Phi != 0 || b[5].Phi != 1.5 || b[5].Mean.Mean != .5 { // nothing was cut in slices: of ranks and means the judge's prior, of others none
		t.Errorf("over-dispersion %v, %v, %v, %v and %v of the mean %v", b[0].Phi, b[1].Phi, b[2].Phi, b[3].Phi, b[5].Phi, b[5].Mean.Mean)
	}
	if b[4].Unknown != "the log has nothing of tokens" {
		t.Errorf("tokens: %+v", b[4])
	}
	if low, high := quantileOf(b[1].Values, .5), quantileOf(b[1].Values, .99); windows.BucketOf(low) != 64 || windows.BucketOf(high) != 128 {
		t.Errorf("latencies %+v", b[1].Values)
	}
	scaled := got.Scaled(1000)
	if scaled.Requests != 1000 || scaled.Baselines[0].PerSecond != 1000 || scaled.Baselines[2].PerSecond != 4 || got.Baselines[0].PerSecond != 100 {
		t.Errorf("scaled %+v", scaled)
	}
}

// TestThresholds: a guardrail alone is held against what it is held against among all.
func TestThresholds(t *testing.T) {
	r := parsed(t, "  guardrails:\n  - {name: a, rate: error, increase: 1pp}\n  - {name: b, quantile: 0.9, above: 20ms, weight: 2}\n"+
		"  - {name: c, rate: timeout, increase: 1pp, on: hold}\n  - {name: d, rate: timeout, above: 1%, on: hold, weight: 4}\n  - {name: e, rate: error, above: 1%, on: warn}\n")
	for _, segments := range []*schemas.Segments{nil, {Field: schemas.SegmentField, Top: 20}} {
		r.Segments = segments
		tr := Traffic{Requests: 1, Share: .5, Baselines: make([]Baseline, len(r.Guardrails))}
		all := analysis.NewJudge(r, analysis.Options{}).Status()
		for i := range r.Guardrails {
			s := newSetting(r, place{guardrail: i}, &tr, Options{})
			alone := analysis.NewJudge(&s.rollout, analysis.Options{}).Status()[0]
			if math.Abs(alone.Threshold-all[i].Threshold) > 1e-9 || alone.PassThreshold != all[i].PassThreshold {
				t.Errorf("%s (segments %v): alone %v and %v, among all %v and %v", alone.Name, segments != nil, alone.Threshold, alone.PassThreshold, all[i].Threshold, all[i].PassThreshold)
			}
			if want := math.Log(1 / r.Alpha(&r.Guardrails[i])); math.Abs(all[i].Threshold-want) > 1e-9 {
				t.Errorf("%s (segments %v): the judge holds it against %v, its share of the risk is %v", alone.Name, segments != nil, all[i].Threshold, want)
			}
		}
	}
}
