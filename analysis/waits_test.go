package analysis

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestTooCoarse holds what is said of rounded latencies against the test itself: with both arms of one law of multiples of the step, the evidence of the best bet grows
// where nothing is said, and doesn't where it is said that a pass can't come. The margin that is recommended is the least of whole percents, below 10 % of tenths, that can.
func TestTooCoarse(t *testing.T) {
	for _, step := range []time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		for _, steps := range []float64{1, 2, 4, 9, 23, 26, 31, 60} {
			for _, direction := range []string{"increase 3%", "increase 20%", "increase 60%", "decrease 6%", "decrease 30%"} {
				g := guardrail("g: quantile 0.9 latency " + direction)
				r := rolloutOf(g)
				r.LatencyGranularity = step
				why := TooCoarse(r, &g, func(float64) float64 { return steps * float64(step) / 1e6 * 1.003 })
				if grows := passGrows(&g, float64(step)/1e6, steps); grows == (why != "") {
					t.Errorf("%s, rounded to %s, at %g steps: grows is %v, and it says %q", direction, step, steps, grows, why)
				}
				_, least, found := strings.Cut(why, "write a margin of ")
				if least, _, _ = strings.Cut(least, " %"); !found {
					continue
				}
				g = guardrail("g: quantile 0.9 latency " + strings.Fields(direction)[0] + " " + least + "%")
				if !passGrows(&g, float64(step)/1e6, steps) {
					t.Errorf("%s, rounded to %s, at %g steps: no evidence grows for the margin that is recommended: %s", direction, step, steps, why)
				}
			}
		}
	}
}

// passGrows reports whether the evidence of a pass grows on the counts to expect, where the canary is like the baseline: a twentieth of the latencies below so many
// steps, and above.
func passGrows(g *schemas.Guardrail, step, steps float64) bool {
	k := newRankContrast(g, quantileRanks(tailPPM(g.Quantile), stats.FailOdds, stats.PassOdds))
	of := func(by float64) histogram {
		var all []windows.Bucket
		for _, v := range []struct {
			steps float64
			n     uint32
		}{{steps - 1, 500}, {steps, 9000}, {steps + 1, 500}} {
			all = append(all, windows.Bucket{Index: windows.BucketOf(v.steps*step + by), Count: v.n})
		}
		slices.SortFunc(all, func(a, b windows.Bucket) int { return int(a.Index - b.Index) })
		var sum histogram
		for _, b := range all {
			sum.add([]windows.Bucket{b})
		}
		return sum
	}
	b := &block{toMs: 1, edges: &edges{}}
	for arm := range windows.Arms {
		b.n[arm], b.hist[arm], b.edges.low[arm], b.edges.high[arm] = 10000, of(0), of(-step/2), of(step/2)
	}
	inc := newIncrements(contrastShape(g, len(stats.PassOdds), keeping{}))
	k.increments(inc, b, independent)
	return slices.Max(inc.pass) > 1e-6
}

// TestFinelyRounded: where many multiples share a bucket, or nothing is known, little is said, and nothing that isn't sure.
func TestFinelyRounded(t *testing.T) {
	said := func(spec string, step time.Duration, v float64) string {
		g := guardrail(spec)
		r := rolloutOf(g)
		r.LatencyGranularity = step
		return TooCoarse(r, &g, func(float64) float64 { return v })
	}
	for spec, want := range map[string]string{
		"g: quantile 0.9 latency increase 1%":                    "its margin of 1 % is finer than the buckets that values are counted in. Write a margin of 1.1 % or more, or don't wait for it",
		"g: distribution latency mann-whitney increase 1%":       "finer than the buckets",
		"g: quantile 0.9 score decrease 0.04 buckets=0,1,100":    "whose p90 is outside of its buckets, from 0 to 1: what lies there is not told apart. Write buckets that hold it, or",
		"g: distribution score ks decrease 0.04 buckets=0,1,100": "whose p50 is outside of its buckets",
		"g: quantile 0.9 score decrease 0.4 buckets=0,30,100":    "",
		"g: quantile 0.9 score decrease 0.004 buckets=0,1,100":   "Write a margin of 0.01 or more",
		"g: quantile 0.9 latency increase 1.1%":                  "",
		"g: quantile 0.9 latency increase any":                   "",
		"g: quantile 0.9 latency above 20ms":                     "",
		"g: rate error increase 1%":                              "",
	} {
		if got := said(spec, 0, 20); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
	}
	for v, outside := range map[float64]bool{-.1: true, 0: false, .5: false, 1: false, 1.1: true, math.Inf(1): true} {
		if got := said("g: quantile 0.5 score decrease 0.04 buckets=0,1,100", 0, v); strings.Contains(got, "outside of its buckets") != outside {
			t.Errorf("at %v of buckets from 0 to 1: %q", v, got)
		}
	}
	for v, outside := range map[float64]bool{-.1: true, 0: false, .5: false, 1: false, 1.1: true, math.Inf(1): true, math.Inf(-1): true} {
		for _, way := range []string{"decrease", "increase"} {
			got := said("g: distribution score mann-whitney "+way+" 0.04 buckets=0,1,100", 0, v)
			if want := " can't pass by a canary like the baseline, whose values are outside of its buckets, from 0 to 1: what lies there is not told apart. Write buckets that hold them, or"; strings.HasPrefix(" "+got, want) != outside || !outside && got != "" {
				t.Errorf("%s, all at %v of buckets from 0 to 1: %q", way, v, got)
			}
		}
	}
	for inside, want := range map[float64]string{.01: "whose values are mostly outside of its buckets, from 0 to 1", .6: "", .9: ""} {
		g := guardrail("g: distribution score mann-whitney decrease 0.04 buckets=0,1,100")
		at := func(q float64) float64 { return .2 + .8*q/inside }
		if got := TooCoarse(rolloutOf(g), &g, at); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%v of the values inside: %q", inside, got)
		}
	}
	const p99 = "g: quantile 0.99 latency increase 5%"
	for _, v := range []float64{math.NaN(), math.Inf(1), 600} {
		if got := said(p99, 5*time.Millisecond, v); got != "" {
			t.Errorf("at %v: %q", v, got)
		}
	}
	if got := said(p99, 5*time.Millisecond, .3); !strings.Contains(got, "Report latencies more finely, or don't") {
		t.Errorf("where no margin helps: %q", got)
	}
	if got := said("g: quantile 0.99 tokens increase 5%", 5*time.Millisecond, 20); got != "" {
		t.Errorf("what isn't a latency isn't rounded: %q", got)
	}
	if got := said("g: distribution latency ks increase 5%", 5*time.Millisecond, 20); !strings.Contains(got, "whose p50 is about 20 ms") {
		t.Errorf("of a distribution: %q", got)
	}
}

// TestWaits: a stage that waits for a pass says so when that can't come, and as long as it waits; what nothing waits for is no wait.
func TestWaits(t *testing.T) {
	r := rolloutOf(guardrail("errors: rate error increase 5pp"), guardrail("tiny: rate error increase 0.02pp"), guardrail("slow: rate error increase 0.07pp"), guardrail("unsure: rate error increase 0.1pp"),
		guardrail("shape: distribution latency ks increase 5%"), guardrail("bulk: distribution latency mann-whitney increase 5%"), guardrail("wide: distribution latency mann-whitney increase 60%"),
		guardrail("near: rate error above 1%"), guardrail("at: rate error above 2%"), guardrail("p90: quantile 0.9 latency increase 5%"), guardrail("any: rate timeout increase any"),
		guardrail("free: quantile 0.9 latency increase 5% optional"))
	r.LatencyGranularity, r.Stages[0].Bake, r.Stages[0].Max = 5*time.Millisecond, 20*time.Minute, 20*time.Minute
	s := newScript(t, r, Options{NoIntervals: true})
	codes := func() map[string]string {
		all := map[string]string{}
		for _, wait := range s.judge.Waits() {
			if !strings.HasPrefix(wait.Sentence, wait.Guardrail+" ") {
				t.Errorf("%+v", wait)
			}
			all[wait.Guardrail] = wait.Code
		}
		return all
	}
	if got := codes(); len(got) != 1 || got["any"] != schemas.WaitNoMargin {
		t.Errorf("before anything came: %v", got)
	}
	part := func(n, errors int64) side {
		return side{n: n, errors: errors, latencyMs: 20, slices: evenSlices(n, errors)}
	}
	s.play(300, part(2048, 20), part(512, 5))
	want := map[string]string{"any": schemas.WaitNoMargin, "p90": schemas.WaitTooCoarse, "tiny": schemas.WaitTooSlow, "slow": schemas.WaitTooSlow, "near": schemas.WaitTooSlow,
		"unsure": schemas.WaitTooSlow, "shape": schemas.WaitTooCoarse, "bulk": schemas.WaitTooCoarse}
	if got := codes(); !maps.Equal(got, want) {
		t.Errorf("after five minutes: %v, want %v", got, want)
	}
	for _, wait := range s.judge.Waits() {
		begins := map[string]string{
			"any":  "has no margin, so nothing can show that it is kept: give it one, or don't wait for it (required: false, or leave it out of the stage's `pass`)",
			"tiny": "can't pass by a canary like the baseline: a margin of 0.02 pp is so small beside what the baseline has (0.98 %) that no evidence for it grows. Write a greater margin, or",
			"slow": "won't pass in this stage: with the traffic and the noise so far a canary like the baseline needs about 4h7m for that, and the stage ends after 20m. Write a greater margin,",
			"unsure": "may not pass in this stage: with the traffic and the noise so far, which is reckoned from above and may sink as more of it is measured, a canary like the baseline needs about 1h40m for that, " +
				"and the stage ends after 20m. If that stays so, write a greater margin,",
			"shape": "can't pass by a canary like the baseline, whose p50 is about 20 ms: latencies are rounded to 5ms",
			"bulk": "can't pass by a canary like the baseline: latencies are rounded to 5ms (latencyGranularity), and what that may hide of the values as a whole is no less than the " +
				"margin of 5 %. Report latencies more finely, write a margin of 30 % or more, or don't wait",
			"near": "can't pass while the canary has 0.98 %: that is too near the limit of 1 % for evidence to grow. Write another limit, or",
			"p90": "can't pass by a canary like the baseline, whose p90 is about 20 ms: latencies are rounded to 5ms (latencyGranularity), and what that may hide there is no less than the " +
				"margin of 5 %. Report latencies more finely, write a margin of 30 % or more, or",
		}
		if !strings.HasPrefix(wait.Sentence, wait.Guardrail+" "+begins[wait.Guardrail]) {
			t.Errorf("%s", wait.Sentence)
		}
	}
	s.play(30, part(2048, 20), part(512, 256))
	if s.want(VerdictRollback, codeGuardrailFailed); len(s.judge.Waits()) > 0 {
		t.Errorf("nothing waits after a rollback: %+v", s.judge.Waits())
	}
}

// TestWaitsOfHighRates: a rate above 10 % that no traffic makes pass is told as any other.
func TestWaitsOfHighRates(t *testing.T) {
	r := rolloutOf(guardrail("down: rate error decrease 0.02%"), guardrail("least: rate error decrease 0.01pp"), guardrail("few: rate error decrease 1pp"), guardrail("wide: rate error decrease 30%"))
	r.Stages[0].Bake, r.Stages[0].Max = 20*time.Minute, 20*time.Minute
	s := newScript(t, r, Options{NoIntervals: true})
	s.play(10, side{n: 2048, errors: 819}, side{})
	s.play(300, side{n: 2048, errors: 819, slices: evenSlices(2048, 819)}, side{n: 512, errors: 205, slices: evenSlices(512, 205)})
	if _, high := s.guard("down").canary.kernel.(*highRateContrast); !high {
		t.Fatal("not tested as a high rate")
	}
	waits := s.judge.Waits()
	if len(waits) != 2 || waits[0].Guardrail != "down" || waits[1].Guardrail != "least" {
		t.Fatalf("%+v", waits)
	}
	for _, wait := range waits {
		if !strings.Contains(wait.Sentence, " can't pass by a canary like the baseline: a margin of ") || !strings.Contains(wait.Sentence, "so small beside what the baseline has (40 %)") {
			t.Errorf("%s", wait.Sentence)
		}
	}
}

// TestNoGrowth holds what is said before anything runs against the tests themselves.
func TestNoGrowth(t *testing.T) {
	for _, tt := range []struct {
		spec        string
		rate, share float64
		never       bool
	}{
		{"g: rate error increase 0.01pp", .01, .1, true},
		{"g: rate error increase 0.2pp", .01, .1, false},
		{"g: rate error increase 0.5pp", .4, .1, false},
		{"g: rate error increase 0.1pp", .4, .1, false},
		{"g: rate error increase 0.01pp", .4, .1, true},
		{"g: rate error increase 5pp", .4, .1, false},
		{"g: rate error decrease 1%", .4, .5, false},
		{"g: rate error decrease 0.02%", .4, .5, true},
		{"g: rate error above 1.01%", .01, .5, true},
		{"g: rate error above 2%", .01, .5, false},
		{"g: rate error increase any", .01, .5, false},
		{"g: quantile 0.9 latency increase 1%", .01, .5, false},
		{"g: rate error increase 0.01pp", math.NaN(), .5, false},
	} {
		g := guardrail(tt.spec)
		if why := NoGrowth(&g, tt.rate, tt.share); (why != "") != tt.never {
			t.Errorf("%s at %v: %q, want never %v", tt.spec, tt.rate, why, tt.never)
		}
	}
}

// TestTooCoarseInBulk holds what is said of mann-whitney against the test itself on drawn latencies: the evidence of its best bet grows where nothing is said, and by the
// margin that is recommended, and doesn't where it is said that a pass can't come.
func TestTooCoarseInBulk(t *testing.T) {
	const step = 5.
	random := rand.New(rand.NewPCG(7, 7))
	draw := func() float64 { return math.Round(20*math.Exp(.7*random.NormFloat64())/step) * step }
	gained := func(g *schemas.Guardrail) float64 {
		sum := make([]float64, len(stats.MallowsThetas))
		inc := newIncrements(contrastShape(g, len(sum), keeping{}))
		for range 40 {
			b := &block{toMs: 1, edges: &edges{}}
			for arm := range windows.Arms {
				b.n[arm] = 1000
				for range 1000 {
					v := draw()
					for h, by := range map[*histogram]float64{&b.hist[arm]: 0, &b.edges.low[arm]: -step / 2, &b.edges.high[arm]: step / 2} {
						h.add([]windows.Bucket{{Index: windows.BucketOf(v + by), Count: 1}})
					}
				}
			}
			newRankContrast(g, bulkRanks()).increments(inc, b, independent)
			addTo(sum, inc.pass)
		}
		return slices.Max(sum)
	}
	var values []float64
	for range 100_000 {
		values = append(values, draw())
	}
	slices.Sort(values)
	at := func(q float64) float64 { return values[int(q*float64(len(values)))] }
	for _, margin := range []string{"increase 10%", "increase 25%", "increase 60%", "decrease 10%", "decrease 50%"} {
		g := guardrail("g: distribution latency mann-whitney " + margin)
		r := rolloutOf(g)
		r.LatencyGranularity = 5 * time.Millisecond
		why := TooCoarse(r, &g, at)
		if grows := gained(&g) > 0; grows == (why != "") {
			t.Errorf("%s: grows is %v, and it says %q", margin, grows, why)
		}
		_, least, found := strings.Cut(why, "write a margin of ")
		if least, _, _ = strings.Cut(least, " %"); !found {
			continue
		}
		// A point more, for what a law of a thousand quantiles is off.
		wide, err := strconv.Atoi(least)
		if g = guardrail(fmt.Sprintf("g: distribution latency mann-whitney %s %d%%", strings.Fields(margin)[0], wide+1)); err != nil || gained(&g) <= 0 {
			t.Errorf("%s: no evidence grows for the margin that is recommended: %s", margin, why)
		}
	}
}

// evenSlices are n exposures and their events in the calibration slices, as evenly as can be.
func evenSlices(n, k int64) (all [windows.Slices]windows.SliceCount) {
	for i := range all {
		c := windows.SliceCount{N: (n + 1) / 2, K: (k + 1) / 2}
		if i == windows.Slices-1 {
			c = windows.SliceCount{N: n, K: k}
		}
		all[i] = c
		n, k = n-c.N, k-c.K
	}
	return all
}
