package analysis

import (
	"math"
	"math/rand/v2"
	"regexp"
	"testing"
	"time"

	"streamcanary/windows"
)

// ofMillis is an observed quantile, which differs from seed to seed.
var ofMillis = regexp.MustCompile(`of [0-9.]+ ms is`)

// A roundedCase is what latencies are, what a rollout says of them, and what people are told.
type roundedCase struct {
	name, spec string
	known      time.Duration
	latency    func(random *rand.Rand, window int) float64
	want       string
}

// multiples draws latencies about a median that are multiples of a step.
func multiples(step, median float64) func(*rand.Rand, int) float64 {
	return func(random *rand.Rand, _ int) float64 {
		return step * math.Round(median*math.Exp(.5*random.NormFloat64())/step)
	}
}

// TestRoundedIsTold holds when people hear that latencies are rounded: where a margin is no more than a few steps, the rollout doesn't say so, and every latency so far says it.
func TestRoundedIsTold(t *testing.T) {
	const p50, ks, linear = "g: quantile 0.5 latency increase 20%", "g: distribution latency ks increase 20%", "g: quantile 0.5 latency increase 15 buckets=0,200,1000"
	for _, test := range []roundedCase{
		{"to 5 ms", p50, 0, multiples(5, 20), "All latencies so far are multiples of 5 ms, and latencyGranularity doesn't say so: rounding alone can make much of what guardrail g allows " +
			"(20% of # ms is less than 4 steps). Write latencyGranularity: 5ms, or 10ms if producers cut off instead of rounding."},
		{"to 1 ms", "g: distribution latency mann-whitney decrease 10%", 0, multiples(1, 20), "All latencies so far are multiples of 1 ms, and latencyGranularity doesn't say so: rounding alone can make much of what guardrail g allows " +
			"(10% of # ms is less than 4 steps). Write latencyGranularity: 1ms, or 2ms if producers cut off instead of rounding."},
		{"more than is said", ks, time.Millisecond, multiples(10, 30), "All latencies so far are multiples of 10 ms, and latencyGranularity says 1ms: rounding alone can make much of what guardrail g allows " +
			"(20% of # ms is less than 4 steps). Write latencyGranularity: 10ms, or 20ms if producers cut off instead of rounding."},
		{"a difference as the margin", linear, 0, multiples(5, 50), "All latencies so far are multiples of 5 ms, and latencyGranularity doesn't say so: rounding alone can make much of what guardrail g allows " +
			"(15 is less than 4 steps). Write latencyGranularity: 5ms, or 10ms if producers cut off instead of rounding."},
		{"as is said", p50, 5 * time.Millisecond, multiples(5, 20), ""},
		{"not rounded", p50, 0, multiples(.001, 20), ""},
		{"to less than is looked for", p50, 0, multiples(.05, .3), ""},
		{"small against the margin", p50, 0, multiples(1, 40), ""}, // 8 ms, eight steps
		{"small against a difference", "g: quantile 0.5 latency increase 20 buckets=0,200,1000", 0, multiples(5, 50), ""},
		{"no margin", "g: quantile 0.5 latency increase any", 0, multiples(5, 20), ""},
		{"another number", "g: quantile 0.5 tokens increase 20%", 0, multiples(5, 20), ""},
		{"two fixed latencies", p50, 0, func(random *rand.Rand, _ int) float64 { return 5 * float64(1+random.IntN(2)) }, ""},
		{"few latencies", p50, 0, func(random *rand.Rand, window int) float64 {
			if window > 2 {
				return 0
			}
			return multiples(5, 20)(random, window)
		}, ""},
		{"one of them isn't, late", p50, 0, func(random *rand.Rand, window int) float64 {
			if window == 9 && random.IntN(100) == 0 {
				return 22.4
			}
			return multiples(5, 20)(random, window)
		}, ""},
		{"too coarse a look", p50, 0, multiples(1, 400), ""}, // buckets are wider than the step
	} {
		test.play(t)
	}
}

// TestFineStepsAndLimitsAreTold: steps of tenths of a ms, and limits that are no more than a few steps, though they are held against latencies as reported.
func TestFineStepsAndLimitsAreTold(t *testing.T) {
	const p50 = "g: quantile 0.5 latency increase 20%"
	for _, test := range []roundedCase{
		{"to half a ms", p50, 0, multiples(.5, 2), "All latencies so far are multiples of 0.5 ms, and latencyGranularity doesn't say so: rounding alone can make much of what guardrail g allows " +
			"(20% of # ms is less than 4 steps). Write latencyGranularity: 0.5ms, or 1ms if producers cut off instead of rounding."},
		{"to a tenth of a ms, as it is written", p50, 0, func(random *rand.Rand, _ int) float64 { return float64(1+random.IntN(30)) / 10 },
			"All latencies so far are multiples of 0.1 ms, and latencyGranularity doesn't say so: rounding alone can make much of what guardrail g allows " +
				"(20% of # ms is less than 4 steps). Write latencyGranularity: 0.1ms, or 0.2ms if producers cut off instead of rounding."},
		{"a limit that is small", "g: quantile 0.5 latency above 7ms", 0, multiples(5, 20), "All latencies so far are multiples of 5 ms, and limits are held against them as they are reported: that of guardrail g, 7ms, is one of 7.5 ms for what they were before, " +
			"or of 10 ms if producers cut off instead of rounding. Report latencies more finely, or write a limit that allows for it."},
		{"a limit on a multiple", "g: quantile 0.5 latency below 0.3ms", 0, multiples(.1, .8), "All latencies so far are multiples of 0.1 ms, and limits are held against them as they are reported: that of guardrail g, 0.3ms, is one of 0.35 ms for what they were before, " +
			"or of 0.4 ms if producers cut off instead of rounding. Report latencies more finely, or write a limit that allows for it."},
		{"a limit that isn't moved", "g: quantile 0.5 latency above 7.5ms", 0, multiples(5, 20), ""},
		{"a limit that is large", "g: quantile 0.5 latency above 30ms", 0, multiples(5, 20), ""},
		{"a limit where the step is said", "g: quantile 0.5 latency above 7ms", 5 * time.Millisecond, multiples(5, 20), ""},
	} {
		test.play(t)
	}
}

// TestNumbersBeyondSteps: of a number so great that the next one is more than a step away, as a producer with another unit sends it, nothing is told, and it is looked at in no time.
func TestNumbersBeyondSteps(t *testing.T) {
	for _, x := range []float64{1e12, 1e15, 1.7e18, 1e300, math.MaxFloat64} {
		r := rolloutOf(guardrail("g: quantile 0.5 latency increase 20%"))
		w := newRowWorld(t, r, rand.New(rand.NewPCG(5, 1)))
		for range 2 {
			w.step(serving, [2]int64{450, 50}, func(windows.Arm) row { return row{x, 0} })
		}
		if told := w.script.judge.Rounded(); len(told) > 0 {
			t.Errorf("%g: %+v", x, told)
		}
	}
}

func (test *roundedCase) play(t *testing.T) {
	r := rolloutOf(guardrail(test.spec))
	r.LatencyGranularity = test.known
	w := newRowWorld(t, r, rand.New(rand.NewPCG(5, 1)))
	for window := range 10 {
		w.step(serving, [2]int64{450, 50}, func(windows.Arm) row { return row{test.latency(w.random, window), w.slice()} })
	}
	got := ""
	for _, f := range w.script.judge.Rounded() {
		got += f.Sentence
		if f.Code != codeRounded {
			t.Errorf("%s: code %s", test.name, f.Code)
		}
	}
	if s := w.script.judge.rounded; got == "" && test.name == "not rounded" && (len(s.steps) > 0 || len(s.hist.buckets) > 0) {
		t.Error("latencies that aren't rounded are still looked at")
	}
	if plain := ofMillis.ReplaceAllString(got, "of # ms is"); plain != test.want {
		t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
	}
	for _, f := range w.script.verdict.Health {
		if f.Code == codeRounded {
			t.Errorf("%s: it is in the verdict, and so in digests", test.name)
		}
	}
}
