package analysis

import (
	"math"
	"math/rand/v2"
	"testing"

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
