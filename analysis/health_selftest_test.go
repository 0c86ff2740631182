package analysis

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// sliced is a baseline of 6,400 predictions of which each slice has the given errors.
func sliced(errors ...int64) side {
	s := side{}
	for i, n := range []int64{3200, 1600, 800, 400, 200, 100, 50, 50} {
		s.slices[i] = windows.SliceCount{N: n, K: errors[i]}
		s.n, s.errors = s.n+n, s.errors+errors[i]
	}
	return s
}

var (
	alike  = sliced(32, 16, 8, 4, 2, 1, 1, 0)
	unlike = sliced(16, 8, 8, 4, 22, 11, 6, 5) // a shard of a sixteenth has 12 %, the rest 0.6 %
)

var uneven = sliced(30, 15, 7, 3, 4, 2, 1, 1) // 2 % and 0.9 %

// until plays until the self-test has crossed.
func until(s *script, baseline, canary side) {
	s.t.Helper()
	for range 500 {
		s.play(1, baseline, canary)
		if s.verdict.Code == codeUncalibrated {
			return
		}
	}
	s.t.Fatalf("the self-test never crossed: %s %s", s.verdict.Action, s.verdict.Code)
}

var (
	small = side{n: 400, errors: 4} // a sixteenth of the baseline
	bad   = side{n: 400, errors: 12}
	awful = side{n: 400, errors: 100}
)

// slow gives predictions latencies: 20 ms, of one in 200 30 ms.
func slow(s side) side {
	s.latencyMs, s.slow, s.slowMs = 20, s.n/200, 30
	return s
}

var selfTests = []struct {
	name   string
	on     schemas.On
	play   func(s *script)
	action VerdictAction
	code   string
	state  schemas.State // of errors
	health []string
}{
	{"a baseline like itself", schemas.OnHold, func(s *script) { s.play(40, alike, small) }, VerdictContinue, codeUndecided, passed, nil},
	{"unlike itself", schemas.OnHold, func(s *script) { s.play(40, unlike, small) },
		VerdictHold, codeUncalibrated, continues, []string{codeUncalibrated}},
	{"only a warning", schemas.OnWarn, func(s *script) { s.play(40, unlike, small) },
		VerdictContinue, codeUndecided, passed, []string{codeUncalibrated}},
	{"errors of the canary mean nothing then", schemas.OnHold, func(s *script) { s.play(10, unlike, small); s.play(30, unlike, bad) },
		VerdictHold, codeUncalibrated, suspect, []string{codeUncalibrated}},
	{"where it only warns they do", schemas.OnWarn, func(s *script) { s.play(10, unlike, small); s.play(30, unlike, bad) },
		VerdictRollback, codeGuardrailFailed, failed, []string{codeUncalibrated}},
	{"a limit of the same metric stays armed", schemas.OnHold, func(s *script) { s.play(10, unlike, small); s.play(30, unlike, awful) },
		VerdictRollback, codeGuardrailFailed, suspect, []string{codeUncalibrated}},
	{"another metric stays armed", schemas.OnHold, func(s *script) {
		s.play(10, unlike, small)
		s.play(30, unlike, side{n: 400, errors: 4, timeouts: 12})
	}, VerdictRollback, codeGuardrailFailed, continues, []string{codeUncalibrated}},
	{"a quantile stays armed", schemas.OnHold, func(s *script) {
		fast := slow(unlike)
		fast.half, fast.halfSlow = 3200, 16
		slower := slow(small)
		slower.latencyMs, slower.slowMs = 40, 60
		s.play(10, fast, slow(small))
		s.play(30, fast, slower)
	}, VerdictRollback, codeGuardrailFailed, continues, []string{codeUncalibrated}},
	{"a silent canary rolls back", schemas.OnHold, func(s *script) { s.play(10, unlike, small); s.play(20, unlike, side{}) },
		VerdictRollback, codeCanaryMissing, continues, []string{codeCanaryMissing, codeSplitMismatch, codeUncalibrated}},
	{"it ends with its evidence", schemas.OnHold, func(s *script) {
		until(s, uneven, small)
		s.play(100, alike, small)
	}, VerdictContinue, codeUndecided, passed, nil},
	{"and then only what is there counts", schemas.OnHold, func(s *script) {
		until(s, uneven, small)
		s.play(6, uneven, bad)
		if g := s.guard("errors"); g.canary.beyond.LogMax() < g.family.fail.thresholds[g.member] {
			s.t.Fatal("it would not have failed: the test shows nothing")
		}
		s.play(150, alike, side{n: 400, errors: 1})
	}, VerdictContinue, codeUndecided, passed, nil},
	{"which may be enough", schemas.OnHold, func(s *script) {
		until(s, uneven, small)
		s.play(150, alike, bad)
	}, VerdictRollback, codeGuardrailFailed, failed, nil},
	{"halves of the latencies are unlike", schemas.OnHold, func(s *script) {
		lopsided := slow(alike)
		lopsided.slow, lopsided.half, lopsided.halfSlow = 128, 3200, 127
		s.play(20, lopsided, slow(small))
	}, VerdictHold, codeUncalibrated, passed, []string{codeUncalibrated}},
}

// TestSelfTest plays a baseline that is like itself or not, beside canaries with and without harm.
func TestSelfTest(t *testing.T) {
	for _, tt := range selfTests {
		t.Run(tt.name, func(t *testing.T) {
			r := rolloutOf(guardrail("errors: rate error increase 0.5pp"), guardrail("outage: rate error above 5%"),
				guardrail("timeouts: rate timeout increase 0.2pp"), guardrail("p99: quantile 0.99 latency increase 20%"))
			r.Health.SelfTest, r.Health.Traffic, r.Stages[0].Bake = tt.on, schemas.OnWarn, time.Hour
			s := newScript(t, r, Options{Phi: 1})
			tt.play(s)
			s.want(tt.action, tt.code)
			s.wantState("errors", tt.state)
			if got := codes(s.verdict.Health); !reflect.DeepEqual(got, tt.health) {
				t.Errorf("health %q, want %q", got, tt.health)
			}
		})
	}
}

// TestSelfTestWords holds what a person reads.
func TestSelfTestWords(t *testing.T) {
	r := rolloutOf(guardrail("errors: rate error increase 0.5pp"), guardrail("outage: rate error above 5%"))
	s := newScript(t, r, Options{Phi: 1})
	s.play(10, unlike, side{n: 400, errors: 4})
	want := "Baseline 41 differs from itself in the error rate since 09:00:00: 11 % in one part of its users (44 of 400), 0.6 % in the others (36 of 6,000), " +
		"more than its measured noise explains (phi 1). Until that evidence is gone, or in a new epoch, errors can neither roll back nor pass; limits stay armed."
	if s.verdict.Sentence != want || len(s.verdict.Health) != 1 || s.verdict.Health[0].Sentence != want {
		t.Errorf("sentence\n%s, finding\n%v, want\n%s", s.verdict.Sentence, s.verdict.Health, want)
	}
	if f := s.verdict.Health[0]; f.Threshold != math.Log(1000) {
		t.Errorf("found at evidence of %.3f, want that of a chance of one in a thousand", f.Threshold)
	}
	for _, st := range s.judge.Status() {
		if st.Calibration != schemas.CalibrationFailed {
			t.Errorf("%s: calibration %q, want %q", st.Name, st.Calibration, schemas.CalibrationFailed)
		}
	}
}

// TestSelfTestPatience: suspicion while nothing means anything wears out nobody's patience.
func TestSelfTestPatience(t *testing.T) {
	r := rolloutOf(guardrail("errors: rate error increase 0.5pp"))
	r.Patience = 30 * time.Second
	s := newScript(t, r, Options{Phi: 1})
	s.play(5, unlike, side{n: 400, errors: 8})
	s.play(50, unlike, side{n: 400, errors: 8})
	s.want(VerdictHold, codeUncalibrated)
}

// TestHalfMetric holds the half to what windows asks of a metric, and to being a part of the whole.
func TestHalfMetric(t *testing.T) {
	for _, text := range []string{"a: quantile 0.99 latency increase 20%", "b: quantile 0.5 tokens decrease 10%"} {
		g := guardrail(text)
		whole := needsOf(&g)[0]
		half := newHalfMetric(whole)
		_, names := whole.Columns()
		rows := sampleRows(len(names), true)
		first := rows
		first.Len, first.Latency, first.Flags, first.Values = 0, nil, nil, make([][]float64, len(names))
		for i, slice := range rows.Slice {
			if slice != 0 {
				continue
			}
			first.Len++
			first.Latency, first.Flags = append(first.Latency, rows.Latency[i]), append(first.Flags, rows.Flags[i])
			for name := range names {
				first.Values[name] = append(first.Values[name], rows.Values[name][i])
			}
		}
		var want windows.Cell
		whole.Reduce(first, &want)
		want.Slices[0].N = want.N
		for _, size := range []int{1, 7, rows.Len} {
			if got := reduce(half, rows, size); !reflect.DeepEqual(got, want) || got.N == 0 {
				t.Errorf("%s in batches of %d: %v, want %v", half.Key(), size, got, want)
			}
		}
		rows.Slice = nil
		if got := reduce(half, rows, rows.Len); got.N != 0 || len(got.Hist) != 0 {
			t.Errorf("%s of the canary: %v, want nothing", half.Key(), got)
		}
	}
}

// TestSelfTestOfMeans: sums by slice are held against each other as the mean's own test does it.
func TestSelfTestOfMeans(t *testing.T) {
	for _, tt := range []struct {
		name   string
		from   schemas.Kind
		factor float64 // of the values in the part that stands in for the canary, from window 400 on
		sick   bool
	}{
		{"revenue alike", schemas.KindOutcome, 1, false},
		{"revenue twice as high in one part", schemas.KindOutcome, 2, true},
		{"readings alike", schemas.KindSample, 1, false},
		{"readings higher in one part", schemas.KindSample, 2, true},
		{"scores alike", schemas.KindPrediction, 1, false},
		{"scores higher in one part", schemas.KindPrediction, 4, true},
	} {
		g := schemas.Guardrail{
			Name: "m", Kind: schemas.MeanGuardrail, Of: "x", From: tt.from, Cap: 1, Direction: schemas.Decrease, Margin: schemas.Margin{Text: "any"},
			On: schemas.OnRollback, Prove: schemas.ProveAny, Weight: 1,
		}
		r := rolloutOf(g)
		r.Outcomes = []schemas.OutcomeSpec{{Name: "x", Within: time.Minute, Value: schemas.ValueSum, Cap: 1}}
		j := NewJudge(r, Options{Phi: 1}) // of predictions: measured, it would soon cover the difference
		random := rand.New(rand.NewPCG(48, 1))
		code := ""
		for i := range 600 {
			at := startMs + int64(i)*1000
			s := &script{judge: j, keys: Metrics(r), atMs: at}
			serving := s.serving(side{n: 900}, side{n: 100})
			part := &windows.Part{Stream: streamOf(&r.Guardrails[0]), StartMs: at}
			if part.Stream == serving.Stream {
				part = serving
			}
			for len(part.Cells[0]) == 0 || len(part.Cells[1]) == 0 {
				part.Cells = [windows.Arms][]windows.Cell{make([]windows.Cell, 1), make([]windows.Cell, 1)}
			}
			fill := func(c *windows.Cell, slice int, n int64, factor float64) {
				for range n {
					x := windows.SumUnits(.2*factor*random.Float64(), 1)
					c.N, c.Sum, c.Squares = c.N+1, c.Sum+x, c.Squares+x*x/windows.SumUnit
					if slice >= 0 {
						c.Slices[slice].N, c.Slices[slice].Sum = c.Slices[slice].N+1, c.Slices[slice].Sum+x
					}
				}
			}
			for slice, n := range []int64{450, 225, 112, 56, 28, 14, 8, 7} {
				factor := 1.
				if slice >= 4 && i >= 400 {
					factor = tt.factor
				}
				fill(&part.Cells[windows.Baseline][0], slice, n, factor)
			}
			fill(&part.Cells[windows.Canary][0], -1, 100, 1)
			if part != serving {
				j.Step(serving)
			}
			v := j.Step(part)
			for _, f := range v.Health {
				if f.Code == codeUncalibrated {
					code = f.Code
				}
			}
		}
		if (code != "") != tt.sick {
			t.Errorf("%s: found %q", tt.name, code)
		}
	}
}

// TestSelfTestOfDistributions: quantiles of one metric share a self-test, and so do distributions on the same histogram.
func TestSelfTestOfDistributions(t *testing.T) {
	for _, test := range []schemas.DistributionTest{schemas.TestKS, schemas.TestMannWhitney} {
		g := schemas.Guardrail{
			Name: "shape", Kind: schemas.DistributionGuardrail, Of: ofLatency, Test: test, Direction: schemas.Both,
			Margin: schemas.Margin{Text: "any", Relative: true}, On: schemas.OnRollback, Prove: schemas.ProveAny, Weight: 1,
		}
		for _, unlike := range []bool{false, true} {
			s := newScript(t, rolloutOf(g, guardrail("p99: quantile 0.99 latency increase 20%")), Options{Phi: 1})
			baseline := side{n: 900, latencyMs: 100, slow: 90, slowMs: 150, half: 450, halfSlow: 45}
			if unlike {
				baseline.halfSlow = 88
			}
			s.play(40, baseline, side{n: 100, latencyMs: 100, slow: 10, slowMs: 150})
			found := len(codes(s.verdict.Health)) == 1 && s.verdict.Health[0].Code == codeUncalibrated
			if found != unlike {
				t.Errorf("%s, halves unlike %t: health %v, %s", test, unlike, codes(s.verdict.Health), s.verdict.Sentence)
			}
			for _, st := range s.judge.Status() {
				if (st.Calibration != "") != unlike {
					t.Errorf("%s, halves unlike %t: %s is %q", test, unlike, st.Name, st.Calibration)
				}
			}
		}
	}
}

// TestSelfTestStays: a self-test that crossed stands until its evidence is below half of its threshold, and not only below it.
func TestSelfTestStays(t *testing.T) {
	s := newScript(t, rolloutOf(guardrail("errors: rate error increase 0.5pp")), Options{Phi: 1})
	s.play(4, unlike, side{n: 400, errors: 4})
	self := s.guard("errors").self
	if !self.off {
		t.Fatalf("evidence %v of %v", self.logE(), selfThreshold)
	}
	between := 0
	for range 2000 {
		s.play(1, alike, side{n: 400, errors: 4})
		switch logE := self.logE(); {
		case logE >= selfThreshold:
		case logE >= halfway*selfThreshold:
			if between++; !self.off {
				t.Fatalf("it ended at %v of %v", logE, selfThreshold)
			}
		case self.off:
			t.Fatalf("it stands at %v of %v", logE, selfThreshold)
		}
	}
	if between == 0 || self.off {
		t.Errorf("%d windows between, off %v: the test shows nothing", between, self.off)
	}
}

// TestSelfTestOfQuantiles: each quantile of a histogram that a guardrail contrasts is tested, whichever comes first, and a quantile's limit by the share beyond it. A
// baseline of which one part has a slow tail differs from itself at p99, and in its median not.
func TestSelfTestOfQuantiles(t *testing.T) {
	const p99, p50, limit = "p99: quantile 0.99 latency increase 20%", "p50: quantile 0.5 latency increase 20%", "slo: quantile 0.9 latency above 150ms"
	const ks = "shape: distribution latency ks increase 20%"
	for _, tt := range []struct {
		name       string
		guardrails []string
		slow       bool
		want       []string // what is said to differ
	}{
		{"p99", []string{p99}, true, []string{"p99 of latency"}},
		{"p99 first", []string{p99, p50}, true, []string{"p99 of latency"}},
		{"p99 last", []string{p50, p99}, true, []string{"p99 of latency"}},
		{"behind a distribution", []string{ks, p99}, true, []string{"the distribution of latency"}},
		{"before a distribution", []string{p50, ks}, true, []string{"the distribution of latency"}},
		{"p50 alone", []string{p50}, true, nil},
		{"a limit", []string{limit}, true, []string{"the share of latency above 150 ms"}},
		{"a limit beside them", []string{p50, limit, p99}, true, []string{"p99 of latency", "the share of latency above 150 ms"}},
		{"alike", []string{p50, limit, p99, ks}, false, nil},
	} {
		var guards []schemas.Guardrail
		for _, text := range tt.guardrails {
			guards = append(guards, guardrail(text))
		}
		r := rolloutOf(guards...)
		w := newRowWorld(t, r, rand.New(rand.NewPCG(18, 1)))
		w.script = newScript(t, r, Options{Phi: 1}) // of rates: measured, it would cover the difference
		for range 60 {
			w.step(serving, [windows.Arms]int64{1000, 100}, func(arm windows.Arm) row {
				r := row{20 * math.Exp(.3*w.random.NormFloat64()), w.slice()}
				if tt.slow && arm == windows.Baseline && r.slice >= 3 && w.random.Float64() < .05 {
					r.x *= 10
				}
				return r
			})
		}
		var got []string
		for _, f := range w.script.verdict.Health {
			_, what, _ := strings.Cut(f.Sentence, "differs from itself in ")
			what, _, _ = strings.Cut(what, " since ")
			if got = append(got, what); f.Code != codeUncalibrated {
				t.Errorf("%s: %s", tt.name, f.Code)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: found in %q, want %q (%v)", tt.name, got, tt.want, w.script.verdict.Health)
		}
	}
}

// TestSelfTestOfALimit: what a person reads of it, and that the limit stays armed.
func TestSelfTestOfALimit(t *testing.T) {
	r := rolloutOf(guardrail("slo: quantile 0.9 latency above 150ms"))
	w := newRowWorld(t, r, rand.New(rand.NewPCG(18, 2)))
	w.script = newScript(t, r, Options{Phi: 1})
	step := func(canary float64) {
		w.step(serving, [windows.Arms]int64{1000, 100}, func(arm windows.Arm) row {
			r := row{20, w.slice()}
			if arm == windows.Canary {
				r.x = canary
			} else if r.slice >= 3 && w.random.IntN(20) == 0 {
				r.x = 200
			}
			return r
		})
	}
	for range 40 {
		step(20)
	}
	w.script.want(VerdictHold, codeUncalibrated)
	if s := w.script.verdict.Sentence; !strings.Contains(s, "in the share of latency above 150 ms since 09:00:0") || !strings.Contains(s, " % in one part of its users (") ||
		!strings.HasSuffix(s, " noise explains (phi 1). That holds the rollout until the evidence is gone, or in a new epoch; limits stay armed.") {
		t.Errorf("said: %s", s)
	}
	for range 5 {
		step(400)
	}
	w.script.want(VerdictRollback, codeGuardrailFailed)
}

// TestSelfTestSharesItsAlpha: however many quantiles of a metric are tested, its self-test errs as seldom as one.
func TestSelfTestSharesItsAlpha(t *testing.T) {
	r := rolloutOf(guardrail("a: quantile 0.5 latency increase 20%"), guardrail("b: quantile 0.99 latency increase 20%"), guardrail("c: quantile 0.5 latency decrease any"),
		guardrail("d: quantile 0.01 latency decrease 20%"))
	s := newScript(t, r, Options{Phi: 1})
	self := s.guard("a").self
	for _, name := range []string{"b", "c", "d"} {
		if s.guard(name).self != self {
			t.Errorf("%s has another self-test", name)
		}
	}
	if len(self.sides[0]) != 3 || len(self.sides[1]) != 3 {
		t.Fatalf("%d and %d tests, want one for each of three quantiles", len(self.sides[0]), len(self.sides[1]))
	}
	s.play(1, slow(side{n: 900, half: 450}), slow(side{n: 100}))
	for _, side := range self.sides {
		most := math.Inf(-1)
		for _, one := range side {
			most = max(most, one.any.LogE())
		}
		if got, want := side.logE(), most-math.Log(3); math.Abs(got-want) > 1e-12 {
			t.Errorf("evidence %v, want %v: the greatest of three, a third each", got, want)
		}
	}
}

// TestSimSelfTestOfLatencies: where all parts of the baseline are alike, the self-tests of a histogram with several quantiles, and of a limit's share, cross no more often than each may.
func TestSimSelfTestOfLatencies(t *testing.T) {
	runs, length := size(30, 2000), size(60, 300)
	r := rolloutOf(guardrail("p50: quantile 0.5 latency increase 20%"), guardrail("p99: quantile 0.99 latency increase 20%"), guardrail("slo: quantile 0.9 latency above 60ms"))
	crossed := make([]bool, runs)
	inParallel(runs, func(i int, random *rand.Rand) {
		w := newRowWorld(t, r, random)
		for range length {
			w.step(serving, [windows.Arms]int64{300, 60}, func(windows.Arm) row { return row{20 * math.Exp(.6*w.random.NormFloat64()), w.slice()} })
			crossed[i] = crossed[i] || slices.Contains(codes(w.script.verdict.Health), codeUncalibrated)
		}
	})
	n := 0
	for _, c := range crossed {
		if c {
			n++
		}
	}
	if limit := binomialLimit(runs, 2*selfAlpha); n > limit {
		t.Errorf("%d of %d healthy runs crossed, at most %d expected", n, runs, limit)
	}
	t.Logf("%d of %d", n, runs)
}
