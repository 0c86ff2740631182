package analysis

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestPastNoiseOfAMean: a self-test's noise isn't known before 256 windows, and stays as it was then until there are 512, whatever sets in meanwhile.
func TestPastNoiseOfAMean(t *testing.T) {
	random := rand.New(rand.NewPCG(15, 4))
	m := newMeanNoise(Options{}, 1.5, &traffic{ratio: .25}, false)
	past, at := m.past(), map[int]float64{}
	for i := range 512 {
		var c windows.Cell
		for slice := range windows.Slices {
			rows, x := windows.Rows{Slice: []uint8{uint8(slice)}}, .1*random.Float64()
			if i >= 256 && slice > 1 {
				x += .5
			}
			c.AddValue(&rows, 0, windows.SumUnits(x, 1))
		}
		m.add(&c)
		at[i+1] = past.arms()[windows.Canary]
		if i+1 == 256 && at[256] != m.arms()[windows.Canary] {
			t.Errorf("at 256 windows %v, and the noise itself is %v", at[256], m.arms())
		}
	}
	if !math.IsInf(at[255], 1) || at[511] != at[256] || !(at[512] > 10*at[511]) || at[512] != m.arms()[windows.Canary] {
		t.Errorf("%v at 255 windows, %v at 256, %v at 511, %v at 512, where the noise itself is %v", at[255], at[256], at[511], at[512], m.arms())
	}
	if ofScores := newMeanNoise(Options{}, 1.5, &traffic{}, true); ofScores.past() != ofScores {
		t.Error("a mean of predictions has an earlier noise, too")
	}
}

// TestMeanInOnePart: where all hosts of a baseline fall into one half of it, a gauge's mean isn't tested, and says so from when it would have been.
func TestMeanInOnePart(t *testing.T) {
	for slice, want := range map[uint8]string{0: whyInOnePart, 1: ""} {
		g := guardrail("g: mean cpu increase 10% from=sample cap=1")
		r := rolloutOf(g)
		r.Stages = []schemas.Stage{{WeightBP: 2500}}
		w := newRowWorld(t, r, rand.New(rand.NewPCG(15, 5)))
		for at := range 60 {
			n := [windows.Arms]int{}
			w.step(windows.Stream{Kind: windows.Resources}, [windows.Arms]int64{2, 2}, func(arm windows.Arm) row {
				n[arm]++
				return row{.5 + .1*w.random.NormFloat64(), uint8(n[arm]%2) * slice}
			})
			if why := w.script.guard("g").why; at < 28 && why != whyFewEvents || at == 59 && why != want {
				t.Errorf("slice %d: %q after %d windows", slice, why, at+1)
			}
		}
		waits := w.script.judge.Waits()
		if said := len(waits) == 1 && waits[0].Code == schemas.WaitInOnePart && strings.HasPrefix(waits[0].Sentence, "g is not tested: its baseline's hosts, or units, all fall into one half"); said != (want != "") {
			t.Errorf("slice %d: %+v", slice, waits)
		}
	}
}
