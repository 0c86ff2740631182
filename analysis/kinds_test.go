package analysis

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"testing"
	"time"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// What differs from seed to seed: numbers, and whether the effect has a bound yet.
var (
	numberPattern = regexp.MustCompile(`[0-9]+([.,:][0-9]+)*`)
	boundPattern  = regexp.MustCompile(`, at (least|most) [^;]*`)
)

// TestKindSentences has what a person reads of each kind of guardrail on values, numbers and bounds left out, and holds that its status can be written at any time.
func TestKindSentences(t *testing.T) {
	want := map[string]string{
		"ks of latency, 20 %":               "Canary # is slower (p#) than baseline # since # (x#; margin # %).",
		"ks of latency, any, a tail":        "Canary # is slower (p#) than baseline # since # (x#; no margin).",
		"ks of score, both ways":            "Canary # has higher values of score (p#) than baseline # since # (+#; no margin).",
		"mann-whitney of latency, 10 %":     "Canary # is slower (as a whole) than baseline # since # (x#; margin # %).",
		"mann-whitney of score, a decrease": "Canary # has lower values of score (as a whole) than baseline # since # (-#; margin #).",
		"median of score, a decrease":       "Canary # has a lower p# of score than baseline #: # against # since # (-#; margin #).",
		"median of rounded latencies":       "Canary # is slower (p#) than baseline #: # ms against # ms since # (x#; margin # %).",
		"mean of score":                     "Canary # has a lower mean of score than baseline #: # against # since # (-#; margin #).",
		"mean of tokens, 20 % more":         "Canary # has a higher mean of tokens than baseline #: # against # since # (x#; margin # %).",
		"revenue":                           "Canary # brings less purchase per prediction than baseline #: # against # since # (x#; margin # %).",
		"revenue that rises is no harm":     "Canary # brings more purchase per prediction than baseline #: # against # since # (+#; no margin).",
		"mean of a gauge, autocorrelated":   "Canary # has a higher mean of cpu than baseline #: # against # since # (+#; no margin).",
		"share of a gauge, autocorrelated":  "Canary # has more cpu samples above # than baseline #: # % against # % since # (+# pp; no margin).",
		"a gauge's limit":                   "Canary # has too high a mean of cpu: # since # (# values), where the limit is #; baseline # has #.",
	}
	units := map[string]string{"median of rounded latencies": unitRatio, "revenue": unitRatio, "mean of score": unitNumber, "ks of latency, 20 %": unitRatio,
		"mann-whitney of score, a decrease": unitNumber, "share of a gauge, autocorrelated": unitShare, "a gauge's limit": unitNumber}
	for _, k := range kindWorlds {
		t.Run(k.name, func(t *testing.T) {
			w := k.world(t, rand.New(rand.NewPCG(99, 1)))
			for step := 0; step < k.windows && w.script.verdict.Action != VerdictRollback; step++ {
				w.step(k.stream, k.n, k.harmful(w, step))
				if step%50 == 0 {
					if _, err := json.Marshal(w.script.judge.Status()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := numberPattern.ReplaceAllString(boundPattern.ReplaceAllString(w.script.verdict.Sentence, ""), "#"); got != want[k.name] {
				t.Errorf("sentence\n got %s\nwant %s\n  of %s", got, want[k.name], w.script.verdict.Sentence)
			}
			st := w.script.judge.Status()[0]
			if unit, listed := units[k.name]; listed && st.Unit != unit {
				t.Errorf("unit %s, want %s", st.Unit, unit)
			}
			if st.Estimate == nil || st.SinceHarm == nil || st.HarmBegan == 0 {
				t.Errorf("status %+v", st)
			}
			if at := w.script.verdict.HarmBeganMs; at != int64(st.HarmBegan) {
				t.Errorf("the rollback says that the harm began at %d, the status at %d", at, st.HarmBegan)
			}
		})
	}
}

// TestShapeStatus holds what is told of distributions beside the verdict: where the difference is, and what users of other judges know.
func TestShapeStatus(t *testing.T) {
	tail := kindWorlds[1] // the slowest 2 % are ten times as slow
	w := tail.world(t, rand.New(rand.NewPCG(1, 1)))
	for step := range 60 {
		w.step(tail.stream, tail.n, tail.harmful(w, step))
	}
	st := w.script.judge.Status()[0]
	quantiles, most := []float64{}, 0
	for i, s := range st.Shape {
		quantiles = append(quantiles, s.Quantile)
		if s.LogEvidence > st.Shape[most].LogEvidence {
			most = i
		}
	}
	if want := []float64{.5, .9, .95, .99, .999}; !reflect.DeepEqual(quantiles, want) || quantiles[most] < .99 {
		t.Errorf("shape %+v: most at %v", st.Shape, quantiles[most])
	}
	if st.Shape[most].LogEvidence <= st.LogAny || st.Shape[most].LogEvidence-math.Log(5) > st.LogAny+1e-6 {
		t.Errorf("evidence %.3f of the quantile, %.3f of all: want at most log 5 less", st.Shape[most].LogEvidence, st.LogAny)
	}
	if *st.ProbabilityIndex < .45 || *st.ProbabilityIndex > .55 || *st.KS <= 0 || *st.MannWhitneyP <= 0 || st.Canary.Value != nil {
		t.Errorf("index %v, KS %v, p %v, canary %+v", *st.ProbabilityIndex, *st.KS, *st.MannWhitneyP, st.Canary)
	}
}

// TestShapePass holds that a distribution passes only when every quantile of it has, and that a pass is withdrawn like any other's.
func TestShapePass(t *testing.T) {
	k := kindWorlds[0]
	w := k.world(t, rand.New(rand.NewPCG(3, 3)))
	w.script.rollout.Stages[0].Bake = time.Hour
	calm, harm := times(1, latencyAt), times(1.6, latencyAt)
	g := w.script.guard("g")
	at := 0
	for ; at < 600 && g.state != passed; at++ {
		w.step(k.stream, [2]int64{900, 300}, calm(w, at))
		if g.state == passed {
			for _, tr := range g.trials() {
				if tr.passLogE() < math.Log(20) {
					t.Errorf("passed with %.2f at p%v", tr.passLogE(), 100*quantileOf(tr.ppm))
				}
			}
		}
	}
	if g.state != passed {
		t.Fatalf("state %s after %d windows, evidence %.2f", g.state, at, g.passE())
	}
	for i := 0; i < 200 && g.state == passed; i++ {
		w.step(k.stream, [2]int64{900, 300}, harm(w, at+i))
	}
	if g.state == passed {
		t.Error("the pass is not withdrawn")
	}
}

// TestRoundedEdges holds that rounded latencies are taken as they speak least, and only where a margin moves them.
func TestRoundedEdges(t *testing.T) {
	keys := func(texts ...string) (keys []string) {
		var guards []schemas.Guardrail
		for _, text := range texts {
			guards = append(guards, guardrail(text))
		}
		r := rolloutOf(guards...)
		r.LatencyGranularity = time.Millisecond
		for _, m := range Metrics(r) {
			keys = append(keys, m.Key())
		}
		return keys
	}
	if got, want := keys("a: quantile 0.5 latency increase 20%"), []string{"latency", "latency-0.5", "latency+0.5", "latency/half", "no_latency"}; !reflect.DeepEqual(got, want) {
		t.Errorf("metrics %q, want %q", got, want)
	}
	if got, want := keys("a: quantile 0.5 latency increase any", "b: quantile 0.5 tokens increase 20%"), []string{"latency", "values.tokens", "latency/half", "values.tokens/half", "no_latency", "no_value.tokens"}; !reflect.DeepEqual(got, want) {
		t.Errorf("metrics %q, want %q", got, want)
	}
	// A canary of 6 ms rounded to 5 where the baseline has 4 rounded to 5, too: 50 % more at most by what is known, so 20 % is neither proven nor kept.
	for _, spec := range []string{"g: quantile 0.5 latency increase 20%", "g: distribution latency mann-whitney increase 20%"} {
		for _, told := range []struct {
			step     time.Duration
			baseline float64
			canary   float64
			fails    bool
			passes   bool
		}{
			{0, 20, 25, true, false}, {5 * time.Millisecond, 20, 25, false, false}, // 22.5 may be 22.5
			{5 * time.Millisecond, 20, 40, true, false}, {0, 20, 20, false, true}, {5 * time.Millisecond, 20, 20, false, false},
		} {
			r := rolloutOf(guardrail(spec))
			r.LatencyGranularity, r.Stages[0].Bake = told.step, time.Hour
			w := newRowWorld(t, r, rand.New(rand.NewPCG(1, 2)))
			for range 100 {
				w.step(serving, [2]int64{100, 100}, func(arm windows.Arm) row {
					x := told.baseline
					if arm == windows.Canary {
						x = told.canary
					}
					return row{x, w.slice()}
				})
			}
			g := w.script.guard("g")
			if (g.state == failed) != told.fails || (g.state == passed) != told.passes {
				t.Errorf("%s, rounded to %s: %v against %v is %s", spec, told.step, told.canary, told.baseline, g.state)
			}
		}
	}
}

// TestLinearBuckets holds that a margin on linear buckets never makes more of a canary than it is.
func TestLinearBuckets(t *testing.T) {
	g := guardrail("g: quantile 0.5 score decrease 0.05 buckets=0,1,1000")
	s := scaleOf(&g)
	if beyond, pass := s.shifts(&g); beyond != -50 || pass != -50 {
		t.Errorf("a decrease of 0.05 is %d and %d buckets", beyond, pass)
	}
	for i := range 2000 { // x moved by the margin never goes further than the shift
		x := float64(i) / 2000
		if y := x - .05; y >= 0 {
			if moved := s.bucket(y) + 50; moved < s.bucket(x) {
				t.Fatalf("%v moved by the margin is below it: %d, %d", x, moved, s.bucket(x))
			}
		}
	}
	if at := s.bucket(.3005); math.Abs(s.middle(at)-.3005) > 1e-12 || s.upper(windows.ZeroBucket) != 0 {
		t.Errorf("the middle of %v's bucket is %v", .3005, s.middle(at))
	}
}

// TestMeanBounds holds the units of sums against the values that they are of.
func TestMeanBounds(t *testing.T) {
	b := block{}
	sum, squares := 0., 0.
	for _, x := range []float64{-5, 0, 2.5, 10, 14, -30} {
		u := windows.SumUnits(x, 10)
		b.n[1]++
		b.sum[1] += u
		b.squares[1] += windows.SquareUnits(u)
		y := (max(-10, min(10, x))/10 + 1) / 2
		sum, squares = sum+y, squares+y*y
	}
	got := bounds{10}.samples(&b, windows.Canary)
	if math.Abs(got.Sum-sum) > 1e-5 || got.Squares < squares-1e-9 || got.Squares > squares+1e-5 || got.N != 6 {
		t.Errorf("samples %+v, want sum %v and squares %v", got, sum, squares)
	}
	if mean := (bounds{10}).mean(b.n[windows.Canary], b.sum[windows.Canary]); math.Abs(mean-(2*sum/6-1)) > 1e-6 {
		t.Errorf("the mean in parts of the cap: %v", mean)
	}
	if share := (bounds{10}).share(5); share != .75 {
		t.Errorf("5 of 10 is %v", share)
	}
}

// world is a new rollout of the kind's guardrail.
func (k *kindWorld) world(t *testing.T, random *rand.Rand) *rowWorld {
	r := rolloutOf(guardrail(k.spec))
	r.Risk.FalseRollback, r.Phi = .1, 1.5 // half of it is the missing canary's
	r.LatencyGranularity = k.granular
	if k.outcome.Name != "" {
		r.Outcomes = []schemas.OutcomeSpec{k.outcome}
	}
	w := newRowWorld(t, r, random)
	w.script.judge = NewJudge(r, Options{})
	return w
}

// TestDistributionIsTheMix: where every window has something of both arms, a distribution's evidence is that of stats.TopKMix.
func TestDistributionIsTheMix(t *testing.T) {
	for _, text := range []string{"g: distribution latency ks increase 20%", "g: distribution latency ks both any"} {
		g := guardrail(text)
		w := newRowWorld(t, rolloutOf(g), rand.New(rand.NewPCG(12, 1)))
		w.script = newScript(t, rolloutOf(g), Options{NoIntervals: true, Phi: 1})
		guard, clock := w.script.guard("g"), &w.script.judge.clock
		blocks := stats.NewTailBlocks(stats.MixPPM)
		beyond, _ := scaleOf(&g).shifts(&g)
		anyMix, beyondMix := stats.NewTopKMix(blocks, stats.RankSide{Grid: stats.FailOdds}), stats.NewTopKMix(blocks, stats.RankSide{Shift: beyond, Grid: stats.FailOdds})
		if g.Direction == schemas.Both {
			anyMix = stats.NewTopKMix(blocks, stats.RankSide{Grid: stats.FailOdds}, stats.RankSide{Grid: stats.PassOdds})
			beyondMix = anyMix
		}
		more := 0
		for at := range int64(400) {
			var of [windows.Arms][]windows.Bucket
			w.step(serving, [windows.Arms]int64{40, 15}, func(arm windows.Arm) row {
				x := latencyAt(w, int(at)) * (1 + .15*float64(arm))
				h := histogram{buckets: of[arm]}
				h.add([]windows.Bucket{{Index: windows.BucketOf(x), Count: 1}})
				of[arm] = h.buckets
				return row{x, w.slice()}
			})
			blocks.Add(of[windows.Canary], of[windows.Baseline])
			weight := stats.StartWeight(at, clock.horizon)
			anyMix.Step(blocks, weight, nil)
			if beyondMix != anyMix {
				beyondMix.Step(blocks, weight, nil)
			}
			if d := math.Abs(guard.anyMax()-anyMix.LogMax()) + math.Abs(guard.beyondMax()-beyondMix.LogMax()); d > 1e-9 {
				t.Fatalf("%s, window %d: evidence %.6f and %.6f, of the mix %.6f and %.6f", text, at, guard.anyMax(), guard.beyondMax(), anyMix.LogMax(), beyondMix.LogMax())
			}
			if guard.anyMax() > guard.greatest(func(t *trial) float64 { return t.any.LogMax() }) {
				more++
			}
		}
		if guard.anyMax() < 5 || more == 0 {
			t.Errorf("%s: evidence %.2f, more than the greatest quantile's in %d windows", text, guard.anyMax(), more)
		}
	}
}
