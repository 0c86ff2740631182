package analysis

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestStatus compares a whole status with what the script says, and checks what a table can't: bounds around estimates.
func TestStatus(t *testing.T) {
	s := newScript(t, rolloutOf(guardrail("errors: rate error increase 0.5pp weight=3")), Options{Phi: 1})
	s.play(300, side{n: 900, errors: 9}, side{n: 100, errors: 1})
	s.play(20, side{n: 900, errors: 9}, side{n: 100, errors: 11})
	got := s.judge.Status()[0]
	if !(got.LogEvidence > got.Threshold && got.LogAny >= got.LogEvidence && *got.Lower < *got.Estimate && *got.Estimate < *got.Upper) {
		t.Errorf("evidence %.2f of %.2f, any %.2f; %v < %v < %v", got.LogEvidence, got.Threshold, got.LogAny, *got.Lower, *got.Estimate, *got.Upper)
	}
	if r := got.Ratio; !(*r.Lower < *r.Estimate && *r.Estimate < *r.Upper && math.Abs(*r.Estimate-(520./32000)/.01) < 1e-9) {
		t.Errorf("ratio %v < %v < %v", *r.Lower, *r.Estimate, *r.Upper)
	}
	want := got // what the test has checked already, and the rest by value
	share := func(x float64) *float64 { return &x }
	want.Name, want.State, want.On, want.Unit, want.Margin = "errors", schemas.StateFailed, schemas.OnRollback, "share", "0.5pp"
	want.Against = schemas.AgainstBaseline
	want.Estimate, want.SinceHarm = share(520./32000-.01), share(.1)
	want.Threshold, want.PassThreshold, want.Phi = math.Log(4/.15), math.Log(20), 1
	want.Baseline = schemas.ArmCount{N: 320 * 900, Events: 320 * 9, Value: share(.01)}
	want.Canary = schemas.ArmCount{N: 32000, Events: 520, Value: share(520. / 32000)}
	want.HarmBegan = schemas.Time(startMs + 300_000)
	want.FirstWindow, want.LastWindow = schemas.Time(startMs), schemas.Time(startMs+319_000)
	g, w := text(t, got), text(t, want)
	if g != w {
		t.Errorf("status\n got %s\nwant %s", g, w)
	}
}

// text is JSON with numbers to nine digits.
func text(t *testing.T, s schemas.GuardrailStatus) string {
	t.Helper()
	for _, x := range []*float64{s.Estimate, s.SinceHarm, s.Baseline.Value, s.Canary.Value, &s.Threshold} {
		if x != nil {
			*x = math.Round(*x*1e9) / 1e9
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestStatusOfEveryKind holds that every sort of guardrail can be written as JSON at any time, with units that fit.
func TestStatusOfEveryKind(t *testing.T) {
	tests := []struct {
		guard   string
		unit    string
		against schemas.Against
	}{
		{"a: rate error increase 0.5pp", "share", "baseline"}, {"b: rate error increase 20%", "ratio", "baseline"}, {"c: rate error above 5%", "share", "limit"},
		{"d: quantile 0.99 latency increase 20%", "ratio", "baseline"}, {"e: quantile 0.99 latency above 200ms", "ms", "limit"},
		{"f: quantile 0.5 tokens above 3", "number", "limit"}, {"g: sample cpu 0.9 increase 5pp", "share", "baseline"}, {"h: rate click decrease 2%", "ratio", "baseline"},
	}
	var guards []schemas.Guardrail
	for _, tt := range tests {
		guards = append(guards, guardrail(tt.guard))
	}
	r := rolloutOf(guards...)
	r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: time.Minute}}
	s := newScript(t, r, Options{})
	hold := func() {
		t.Helper()
		for i, st := range s.judge.Status() {
			if st.Unit != tests[i].unit || st.Against != tests[i].against {
				t.Errorf("%s: unit %s against %s, want %s against %s", tests[i].guard, st.Unit, st.Against, tests[i].unit, tests[i].against)
			}
			if _, err := json.Marshal(st); err != nil {
				t.Errorf("%s: %v", tests[i].guard, err)
			}
		}
	}
	hold()
	for range 40 {
		at := s.atMs
		// A tenth of the canary's requests time out: its p99 has no number.
		s.play(1, side{n: 900, errors: 1, latencyMs: 100, slow: 9, slowMs: 150}, side{n: 100, errors: 30, latencyMs: 100, slow: 10, slowMs: math.Inf(1)})
		s.outcomes("click", at, side{n: 900, clicks: 90}, side{n: 100, clicks: 9})
		s.atMs = at
		s.samples(side{cpu: 20, high: 1}, side{cpu: 20, high: 2})
	}
	hold()
	byName := map[string]schemas.GuardrailStatus{}
	for _, st := range s.judge.Status() {
		byName[st.Name] = st
	}
	if slo := byName["e"]; slo.State != failed || slo.Estimate != nil || *slo.Lower < 100 {
		t.Errorf("p99 without a number: %s", text(t, slo))
	}
	if outage := byName["c"]; !(*outage.Lower < .3 && .3 < *outage.Upper && *outage.Lower > .05 && math.Abs(*outage.Estimate-.3) < 1e-9) {
		t.Errorf("rate above a limit: %s", text(t, outage))
	}
}

// TestLimitIntervals holds that a limit's interval contains the truth and closes in on it.
func TestLimitIntervals(t *testing.T) {
	r := rolloutOf(guardrail("slo: quantile 0.9 latency above 120ms"), guardrail("outage: rate error above 20%"))
	s := newScript(t, r, Options{Phi: 1})
	width := math.Inf(1)
	for range 5 {
		s.play(40, side{n: 10}, side{n: 100, errors: 7, latencyMs: 100, slow: 15, slowMs: 150})
		st := s.judge.Status()
		if !(*st[0].Lower >= 99 && *st[0].Lower <= 150 && (st[0].Upper == nil || *st[0].Upper >= 149)) {
			t.Errorf("p90: %v to %v, true 150", *st[0].Lower, st[0].Upper)
		}
		if !(*st[1].Lower < .07 && *st[1].Upper > .07 && *st[1].Upper-*st[1].Lower < width) {
			t.Errorf("rate: %v to %v, true .07, width before %v", *st[1].Lower, *st[1].Upper, width)
		}
		width = *st[1].Upper - *st[1].Lower
	}
}

// TestMeanLimitIntervals: a mean that is held to a limit has an interval where somebody asks how it stands now, and none in a decision: of a prediction's values, and of a gauge, of which
// readings hang together. It holds the mean, and closes in on it.
func TestMeanLimitIntervals(t *testing.T) {
	for _, test := range []struct {
		spec   string
		stream windows.Stream
		most   float64 // its width at the end
	}{
		{"g: mean score above 0.8 cap=1 from=prediction", serving, .03},
		{"g: mean score below 0.2 cap=2 from=prediction", serving, .06},
		{"g: mean cpu above 0.8 cap=1 from=sample", windows.Stream{Kind: windows.Resources}, .25},
	} {
		w := newRowWorld(t, rolloutOf(guardrail(test.spec)), rand.New(rand.NewPCG(3, 9)))
		w.script.judge = NewJudge(w.script.rollout, Options{Phi: 1})
		if s := w.script.judge.Now()[0]; s.Lower != nil || s.Upper != nil {
			t.Errorf("%s: before anything came: %v .. %v", test.spec, *s.Lower, *s.Upper)
		}
		width := math.Inf(1)
		for range 5 {
			for range 80 { // a gauge is tested from its 61st block on
				w.step(test.stream, [windows.Arms]int64{100, 100}, func(arm windows.Arm) row {
					return row{.2 + .4*w.random.Float64() + .2*float64(arm), w.slice()}
				})
			}
			if s := w.script.judge.Status()[0]; s.Lower != nil || s.Upper != nil {
				t.Fatalf("%s: a decision would have an interval that there was none of before", test.spec)
			}
			s := w.script.judge.Now()[0]
			if s.Lower == nil || s.Upper == nil || *s.Lower > .6 || *s.Upper < .6 || *s.Estimate < *s.Lower || *s.Estimate > *s.Upper {
				t.Fatalf("%s: %s", test.spec, text(t, s))
			}
			if now := *s.Upper - *s.Lower; now > width {
				t.Errorf("%s: wider by time, %v after %v", test.spec, now, width)
			} else {
				width = now
			}
		}
		if width > test.most {
			t.Errorf("%s: the interval is %v wide", test.spec, width)
		}
	}
}

// TestCapped: a mean of values that are at their cap passes, and its status says how many are; a few are no matter, nor do they stand in a decision.
func TestCapped(t *testing.T) {
	for _, test := range []struct {
		spec      string
		stream    windows.Stream
		low, high float64
	}{
		{"g: mean score decrease 0.03 cap=0.3 from=prediction", serving, .85, .95},
		{"g: mean score decrease 0.03 cap=0.5 from=prediction", serving, 0, 0},
		{"g: mean score above 0.25 cap=0.3 from=prediction", serving, .85, .95},
		{"g: mean cpu below -0.3 cap=0.31 from=sample", windows.Stream{Kind: windows.Resources}, .8, .95},
	} {
		w := newRowWorld(t, rolloutOf(guardrail(test.spec)), rand.New(rand.NewPCG(3, 9)))
		for range 100 {
			w.step(test.stream, [windows.Arms]int64{100, 100}, func(windows.Arm) row { return row{.28 + .2*w.random.Float64(), w.slice()} })
		}
		now, decided := w.script.judge.Now()[0], w.script.judge.Status()[0]
		if now.Capped < test.low || now.Capped > test.high || decided.Capped != 0 || now.Canary.Events != 0 {
			t.Errorf("%s: %v of the values at the cap, want %v to %v; in a decision %v; %d events", test.spec, now.Capped, test.low, test.high, decided.Capped, now.Canary.Events)
		}
	}
}

// TestShown holds that evidence which is nothing but rounding reads 0, and that no other number changes by more than 1e-9.
func TestShown(t *testing.T) {
	tests := []struct{ in, want float64 }{
		{2.2e-16, 0}, {-2.2e-16, 0}, {1.23456789012, 1.23456789}, {-3.5, -3.5}, {1e300, 1e300}, {math.Inf(-1), math.Inf(-1)},
	}
	for _, tt := range tests {
		if got := shown(tt.in); got != tt.want || got == 0 && math.Signbit(got) {
			t.Errorf("%v: %v, want %v", tt.in, got, tt.want)
		}
	}
}

// TestExcusedSaysWhy: a limit that both arms are beyond says that this is why its evidence does nothing, until it is over.
func TestExcusedSaysWhy(t *testing.T) {
	s := newScript(t, rolloutOf(guardrail("outage: rate error above 5%")), Options{Phi: 1})
	s.play(30, side{n: 900, errors: 300}, side{n: 100, errors: 30})
	got := s.judge.Status()[0]
	if got.State != continues || got.Why != codeBothArms || got.LogEvidence < got.Threshold {
		t.Errorf("%s %q with %.1f of %.1f, want continue both_arms with proof", got.State, got.Why, got.LogEvidence, got.Threshold)
	}
	s.play(600, side{n: 900}, side{n: 100})
	if got := s.judge.Status()[0]; got.Why != "" {
		t.Errorf("%s %q after the end, want no reason", got.State, got.Why)
	}
}

// TestStandardized holds that estimates compare like with like under a ramp and drift.
func TestStandardized(t *testing.T) {
	r := rolloutOf(guardrail("p50: quantile 0.5 latency increase 20%"), guardrail("errors: rate error increase 1pp"))
	s := newScript(t, r, Options{Phi: 1})
	s.play(100, side{n: 9900, latencyMs: 50, errors: 99}, side{n: 100, latencyMs: 50, errors: 1})
	s.play(101, side{n: 5000, latencyMs: 200, errors: 500}, side{n: 5000, latencyMs: 200, errors: 500})
	for _, st := range s.judge.Status() {
		want := 1.
		if st.Unit == "share" {
			want = 0
		}
		if got := *st.Estimate; math.Abs(got-want) > .01 {
			t.Errorf("%s: estimate %v of equal arms, want %v", st.Name, got, want)
		}
	}
	whole := s.guard("errors").canary.account.estimate(0)
	pooled := float64(whole[windows.Baseline].events) / float64(whole[windows.Baseline].n)
	if pooled > .05 {
		t.Fatalf("the plain pool gives the baseline %.3f: the test shows nothing", pooled)
	}
}

// TestDeterminism holds that the same parts give the same evidence, bit for bit, whoever holds their memory.
func TestDeterminism(t *testing.T) {
	run := func(scribble bool) ([]float64, Verdict) {
		r := rolloutOf(errors05, guardrail("p99: quantile 0.99 latency increase 20%"), guardrail("outage: rate error above 5%"))
		s := newScript(t, r, Options{})
		var evidence []float64
		for i := range int64(400) {
			p := s.serving(side{n: 200 + i%37, errors: i % 3, latencyMs: 100, slow: i % 5, slowMs: 130}, side{n: 20 + i%7, errors: i % 2, latencyMs: 100, slow: i % 3, slowMs: 140})
			s.verdict = s.judge.Step(p)
			s.atMs += 1000
			evidence = s.judge.Evidence(evidence)
			if scribble { // the merger uses a part's memory again
				for arm := range windows.Arms {
					for c := range p.Cells[arm] {
						clear(p.Cells[arm][c].Hist)
					}
				}
				*p = windows.Part{}
			}
		}
		return evidence, s.verdict
	}
	first, v1 := run(false)
	second, v2 := run(true)
	if !slices.Equal(first, second) || v1.Sentence != v2.Sentence || v1.EventMs != v2.EventMs {
		t.Error("two runs over the same parts differ")
	}
	if len(first) != 400*(3+3+4+2+1+2*2+2+2+3) {
		t.Errorf("%d numbers of evidence", len(first))
	}
}

// TestStepAllocations holds that a Step that closes no block and changes nothing allocates nothing.
func TestStepAllocations(t *testing.T) {
	s := benchScript(t)
	parts := make([]*windows.Part, 0, 200)
	for range 200 {
		parts = append(parts, s.serving(side{n: 5, latencyMs: 100}, side{}))
		s.atMs += 1000
	}
	for _, p := range parts[:100] {
		s.judge.Step(p)
	}
	before, i := s.judge.guards[0].canary.tested, 100
	if allocs := testing.AllocsPerRun(90, func() { s.judge.Step(parts[i]); i++ }); allocs != 0 {
		t.Errorf("%v allocations a step", allocs)
	}
	if after := s.judge.guards[0].canary.tested; after != before {
		t.Fatalf("%d blocks were tested: the test shows nothing", after-before)
	}
}

// benchScript is a judge with the default guardrails, warmed up.
func benchScript(t testing.TB) *script {
	r := rolloutOf(
		guardrail("errors: rate error increase 0.5pp weight=3"), guardrail("outage: rate error above 5%"),
		guardrail("timeouts: rate timeout increase 0.2pp"), guardrail("hang: rate timeout above 5%"),
		guardrail("p99: quantile 0.99 latency increase 20% weight=3"), guardrail("crawl: quantile 0.9 latency increase 100%"),
	)
	r.Stages[0].Max = 24 * time.Hour
	s := &script{rollout: r, judge: NewJudge(r, Options{}), keys: Metrics(r), atMs: startMs}
	s.play(100, side{n: 900, errors: 1, latencyMs: 100, slow: 9, slowMs: 150}, side{n: 100, latencyMs: 100, slow: 1, slowMs: 150})
	return s
}

func BenchmarkStep(b *testing.B) {
	for _, bench := range []struct {
		name             string
		baseline, canary side
		options          Options
		users            bool // they come back: the noise of ranks is measured, too
	}{
		{"open", side{n: 5, latencyMs: 100}, side{}, Options{}, false},
		{"block", side{n: 990, errors: 1, latencyMs: 100, slow: 9, slowMs: 150}, side{n: 10, latencyMs: 100}, Options{}, false},
		{"block/users", side{n: 990, errors: 1, latencyMs: 100, slow: 9, slowMs: 150}, side{n: 10, latencyMs: 100}, Options{}, true},
		{"block/intervals=no", side{n: 990, errors: 1, latencyMs: 100, slow: 9, slowMs: 150}, side{n: 10, latencyMs: 100}, Options{NoIntervals: true}, false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := benchScript(b)
			s.judge = NewJudge(s.rollout, bench.options)
			s.play(100, side{n: 990, errors: 1, latencyMs: 100, slow: 9, slowMs: 150}, side{n: 10, latencyMs: 100})
			p := s.serving(bench.baseline, bench.canary)
			p.Traffic[windows.Baseline].UnitsFull = bench.users
			b.ReportAllocs()
			for b.Loop() {
				p.StartMs += 1000
				s.judge.Step(p)
			}
		})
	}
}

// TestChangedEffect: bounds that crossed are marked, in whichever way the effect changed, and no others are.
func TestChangedEffect(t *testing.T) {
	for name, phases := range map[string][2]float64{"slower later": {100, 200}, "slower at first": {200, 100}} {
		s := newScript(t, rolloutOf(guardrail("p50: quantile 0.5 latency increase 20% on=warn")), Options{Phi: 1})
		for i, latency := range phases {
			s.play(60, side{n: 300, latencyMs: 100}, side{n: 100, latencyMs: latency})
			st := s.judge.Status()[0]
			crossed := st.Lower != nil && st.Upper != nil && *st.Lower > *st.Upper
			if crossed != (i == 1) || st.Changed != crossed {
				t.Errorf("%s, phase %d: crossed %v, changed %v: %s", name, i+1, crossed, st.Changed, text(t, st))
			}
		}
	}
}

// TestChangedRate: so are the bounds of a rate, which cross where the split changes together with the effect.
func TestChangedRate(t *testing.T) {
	s := newScript(t, rolloutOf(guardrail("errors: rate error increase 0.5pp on=warn")), Options{Phi: 1})
	s.play(1, side{n: 100_000, errors: 2000}, side{n: 1000, errors: 400})
	if st := s.judge.Status()[0]; st.Changed || st.Ratio.Changed {
		t.Errorf("before it changed: %s", text(t, st))
	}
	s.play(2, side{n: 10_000, errors: 200}, side{n: 50_000, errors: 20}) // the first of them is left out, since the split changes with it
	if st := s.judge.Status()[0]; !st.Changed || *st.Lower <= *st.Upper {
		t.Errorf("after it: %s", text(t, st))
	}
	if got := withBounds(nil, interval{2, 1}); !got.Changed || *got.Lower != 2 || *got.Upper != 1 {
		t.Errorf("%+v", got)
	}
	if got := withBounds(nil, interval{1, math.Inf(1)}); got.Changed || got.Upper != nil {
		t.Errorf("%+v", got)
	}
}

// TestDifferenceBesideRatio: of a rate with a relative margin the difference is told, too, from the same blocks as a guardrail with an absolute one tells it; of other
// ratios nothing is.
func TestDifferenceBesideRatio(t *testing.T) {
	s := newScript(t, rolloutOf(guardrail("errors: rate error increase 0.5pp"), guardrail("more: rate error increase 20%"), guardrail("p50: quantile 0.5 latency increase 20%")), Options{Phi: 1})
	s.play(60, side{n: 900, errors: 9, latencyMs: 100}, side{n: 100, errors: 2, latencyMs: 100})
	all := s.judge.Status()
	errors, more := all[0], all[1]
	if d, r := more.Difference, errors.Ratio; *d.Estimate != *errors.Estimate || *d.Lower != *errors.Lower || *d.Upper != *errors.Upper || *r.Lower != *more.Lower || more.Ratio != nil || errors.Difference != nil {
		t.Errorf("difference %s, ratio %s", text(t, errors), text(t, more))
	}
	if all[2].Difference != nil || all[2].Ratio != nil {
		t.Errorf("a quantile: %s", text(t, all[2]))
	}
}

// TestPossible: what is told as the estimate is within its interval, where that has an order.
func TestPossible(t *testing.T) {
	at := func(x float64) *float64 { return &x }
	for _, test := range []struct{ estimate, lower, upper, want *float64 }{
		{at(1.5), at(1), at(1.04), at(1.04)}, {at(.5), at(.96), at(1.04), at(.96)}, {at(1.02), at(1), at(1.04), at(1.02)},
		{at(1.2), at(1.3), at(1.1), at(1.2)}, {at(9), at(1), nil, at(9)}, {nil, at(1), at(2), nil},
	} {
		have := possible(test.estimate, test.lower, test.upper)
		if (have == nil) != (test.want == nil) || have != nil && *have != *test.want {
			t.Errorf("%v in %v .. %v: %v, want %v", test.estimate, test.lower, test.upper, have, test.want)
		}
	}
}
