package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/windows"
)

// bucketsOf counts values in their exponential buckets.
func bucketsOf(values []float64) []windows.Bucket {
	var t windows.Tally
	for _, x := range values {
		t.Add(windows.BucketOf(x))
	}
	var c windows.Cell
	t.Flush(&c)
	return c.Hist
}

// TestTailShift holds the estimate against the factor that moved the canary, under drift and a changing share, joined or not.
func TestTailShift(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	shifts := []int{-64, -32, 0, 16, 32, 64, 128}
	whole, first, second := NewTailShift(50_000, shifts), NewTailShift(50_000, shifts), NewTailShift(50_000, shifts)
	if !math.IsNaN(whole.Shift()) {
		t.Error("a shift of nothing")
	}
	for block := range 200 {
		draw := func(n int, factor float64) []windows.Bucket {
			values := make([]float64, n)
			for i := range values {
				values[i] = factor * math.Exp(.5*random.NormFloat64()) * (1 + float64(block)/100)
			}
			return bucketsOf(values)
		}
		canary, baseline := draw(100+block, 1.3), draw(1000, 1)
		half := first
		if block%2 == 1 {
			half = second
		}
		if !whole.Add(canary, baseline) || !half.Add(canary, baseline) {
			t.Fatal("a block is left out")
		}
	}
	if whole.Add(nil, bucketsOf([]float64{1})) {
		t.Error("a block without a canary is taken")
	}
	want := 64 * math.Log2(1.3)
	if got := whole.Shift(); math.Abs(got-want) > 2 {
		t.Errorf("shift %.2f, want about %.2f", got, want)
	}
	first.Join(second)
	if got, want := first.Shift(), whole.Shift(); math.Abs(got-want) > 1e-9 {
		t.Errorf("joined %.4f, want %.4f", got, want)
	}
	far := NewTailShift(50_000, shifts)
	far.Add([]windows.Bucket{{Index: 900, Count: 50}}, []windows.Bucket{{Index: 0, Count: 50}})
	if far.Shift() != 128 {
		t.Errorf("beyond the range: %v, want its end", far.Shift())
	}
}

// TestMeanEffect holds that the intervals of difference and ratio hold the truth at all times at once, and close in on it.
func TestMeanEffect(t *testing.T) {
	const runs, blocks, ratio = 300, 300, 1.2
	random := rand.New(rand.NewPCG(7, 8))
	missed, width := [2]int{}, 0.0
	for range runs {
		drifting, steady := NewMeanEffect(), NewMeanEffect()
		miss := [2]bool{}
		for t := range blocks {
			base := 2 + math.Sin(float64(t)/50)
			nc, nb := 20.0+float64(t%30), 300.0
			c, b := 3*random.NormFloat64()/math.Sqrt(nc), 3*random.NormFloat64()/math.Sqrt(nb)
			drifting.Add(Means{nc, ratio*base + c, nb, base + b}, 9)
			steady.Add(Means{nc, 2.4 + c, nb, 2 + b}, 9)
			lower, upper := drifting.Ratio(.05)
			miss[0] = miss[0] || lower > ratio || upper < ratio
			low, high := steady.Difference(.05)
			miss[1] = miss[1] || low > .4 || high < .4
			width = upper - lower
		}
		for i, m := range miss {
			if m {
				missed[i]++
			}
		}
	}
	// 99 % point of Binomial(300, .05): 24.
	if missed[0] > 24 || missed[1] > 24 {
		t.Errorf("missed %v of %d, at most 24 of each", missed, runs)
	}
	if !(width > 0 && width < .25) {
		t.Errorf("the ratio's interval is %.3f wide", width)
	}
	none := NewMeanEffect()
	none.Add(Means{1, 1, 1, 1}, math.Inf(1))
	if lower, upper := none.Ratio(.05); lower != 0 || !math.IsInf(upper, 1) {
		t.Errorf("of nothing: %v to %v", lower, upper)
	}
	if lower, upper := none.Difference(.05); !math.IsInf(lower, -1) || !math.IsInf(upper, 1) {
		t.Errorf("of nothing: %v to %v", lower, upper)
	}
}

// TestPool holds that tests which share a pool say the same as alone, whatever was in it before.
func TestPool(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	var pool Pool
	for range 50 {
		values := func(n int) []windows.Bucket {
			x := make([]float64, n)
			for i := range x {
				x[i] = math.Exp(random.NormFloat64())
			}
			return bucketsOf(x)
		}
		canary, baseline := values(10+random.IntN(50)), values(100)
		for _, k := range []TopK{{100_000, 0, FailOdds}, {100_000, 17, FailOdds}, {100_000, 17, PassOdds}, {500_000, 3, PassOdds}} {
			var alone, shared [8]float64
			k.Increments(alone[:], canary, baseline)
			k.IncrementsIn(&pool, shared[:], canary, baseline)
			if alone != shared {
				t.Fatalf("%v with a pool, %v alone", shared, alone)
			}
		}
	}
}
