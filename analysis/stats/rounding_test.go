package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/windows"
)

// TestRoundedValuesKeepTheOrder: over a fine grid of baseline values, and a canary on the margin, each value's bucket keeps the order that the test's null
// says, once the values are moved as RoundingOffsets says. As they are, they don't.
func TestRoundedValuesKeepTheOrder(t *testing.T) {
	for _, step := range []float64{1, 5, 0.25} {
		for _, r := range []float64{0.2, 0.05, 1, -0.2} {
			wrong, fail, pass := 0, FailShift(r), PassShift(r)
			for i := 1; i < 40_000; i++ {
				b := float64(i) * step / 997
				c := (1 + r) * b
				bRounded, cRounded := math.Round(b/step)*step, math.Round(c/step)*step
				bucket := func(larger bool) (canary, baseline int) {
					toCanary, toBaseline := RoundingOffsets(step, larger)
					shift := pass
					if larger {
						shift = fail
					}
					return moved(windows.BucketOf(cRounded+toCanary), shift), int(windows.BucketOf(bRounded + toBaseline))
				}
				if canary, baseline := bucket(true); canary > baseline {
					t.Fatalf("step %v, margin %v: %v of the canary is over %v", step, r, c, b)
				}
				if canary, baseline := bucket(false); canary < baseline {
					t.Fatalf("step %v, margin %v: %v of the canary is under %v", step, r, c, b)
				}
				if moved(windows.BucketOf(cRounded), fail) > int(windows.BucketOf(bRounded)) {
					wrong++
				}
			}
			if wrong == 0 {
				t.Errorf("step %v, margin %v: rounding would do no harm: this test shows nothing", step, r)
			}
		}
	}
	if c, b := RoundingOffsets(0, true); c != 0 || b != 0 {
		t.Errorf("offsets %v and %v of values that aren't rounded", c, b)
	}
	mustPanic(t, "a negative step", func() { RoundingOffsets(-1, true) })
	mustPanic(t, "no step", func() { RoundingOffsets(math.NaN(), true) })
}

// TestRoundedMarginHolds: a canary 20 % slower, just within its margin, at about 2 ms and rounded to 1 ms: tests of moved values alarm no more often than alpha;
// of values as they are, nearly always.
func TestRoundedMarginHolds(t *testing.T) {
	const runs, blocks, alpha = 60, 60, 0.05
	alarms := map[bool]int{}
	for _, repaired := range []bool{true, false} {
		toCanary, toBaseline := RoundingOffsets(1, true)
		if !repaired {
			toCanary, toBaseline = 0, 0
		}
		for run := range runs {
			r := rand.New(rand.NewPCG(71, uint64(run)))
			hist := func(n int, factor, offset float64) []windows.Bucket {
				counts := map[int32]uint32{}
				for range n {
					counts[windows.BucketOf(math.Round(factor*2*math.Exp(0.1*r.NormFloat64()))+offset)]++
				}
				return histOf(counts)
			}
			top, ranks := NewMixture(8), NewMixture(5)
			topInc, ranksInc := make([]float64, 8), make([]float64, 5)
			for at := range int64(blocks) {
				canary, baseline := hist(30, 1.2, toCanary), hist(70, 1, toBaseline)
				TopK{100_000, FailShift(0.2), FailOdds}.Increments(topInc, canary, baseline)
				top.Step(topInc, StartWeight(at, blocks))
				Mallows{FailShift(0.2), 1, MallowsThetas}.Increments(ranksInc, canary, baseline)
				ranks.Step(ranksInc, StartWeight(at, blocks))
			}
			if max(top.LogMax(), ranks.LogMax()) >= math.Log(1/alpha) {
				alarms[repaired]++
			}
		}
	}
	if limit := binomialLimit(runs, 2*alpha); alarms[true] > limit || alarms[false] < runs*9/10 {
		t.Errorf("of %d runs %d alarmed with moved values (at most %d), %d as they are", runs, alarms[true], limit, alarms[false])
	}
}
