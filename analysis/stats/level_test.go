package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestLevelNoise: what is measured of independent blocks, of noise that lasts, of one change of the level, and of nothing that moves.
func TestLevelNoise(t *testing.T) {
	for _, w := range []struct {
		name        string
		rho, change float64
		low, high   float64 // of the measured variance, in true ones
	}{
		{"independent", 0, 0, 1, 2},
		{"one change", 0, 40, 1, 4},
		{"lasting", .9, 0, 1, 3},
		{"lasting for long", .98, 0, 1, 6},
	} {
		r, sum := rand.New(rand.NewPCG(7, 7)), 0.
		const runs, blocks, n = 40, 3000, 10
		for range runs {
			l, level := NewLevelNoise(0, 1), r.NormFloat64()
			for i := range blocks {
				if i < levelBurnIn && !math.IsInf(l.Variance(), 1) {
					t.Fatalf("%s: a variance after %d blocks", w.name, i)
				}
				level = w.rho*level + math.Sqrt(1-w.rho*w.rho)*r.NormFloat64()
				x := level
				if i >= 1333 {
					x += w.change
				}
				l.Add(n, x)
			}
			sum += l.Variance() / runs
		}
		if got := sum / (n * (1 + w.rho) / (1 - w.rho)); got < w.low || got > w.high {
			t.Errorf("%s: measured is %.2f of the variance, want %v to %v", w.name, got, w.low, w.high)
		}
	}
	l := NewLevelNoise(2, 30)
	l.Add(0, 7)
	for range 100 {
		l.Add(8, 3)
	}
	if got, want := l.Variance(), 3*30*4/800.; math.Abs(got-want) > 1e-12 {
		t.Errorf("of what never moved %v, want %v", got, want)
	}
	for _, take := range []func(){func() { l.Add(-1, 0) }, func() { l.Add(math.Inf(1), 0) }, func() { l.Add(1, math.Inf(1)) }} {
		mustPanic(t, "no block", take)
	}
}

// TestLevelInterval: it leaves the mean out in at most alpha of the runs, looked at after each block, with a variance that is known; it has none of nothing.
func TestLevelInterval(t *testing.T) {
	const runs, alpha, most = 400, .1, 55 // the 99 % point of the binomial
	r, missed, width := rand.New(rand.NewPCG(5, 8)), 0, 0.
	for range runs {
		n, sum, out := 0., 0., false
		for range 500 {
			x := 3 + 2*r.NormFloat64()
			n, sum = n+1, sum+x
			lower, upper := LevelInterval(Level{n, sum / n, 4, 100}, alpha)
			out, width = out || lower > 3 || upper < 3, upper-lower
		}
		if out {
			missed++
		}
	}
	if missed > most || width > 8*2/math.Sqrt(500) {
		t.Errorf("the mean is left out in %d of %d runs, the interval %v wide at the end", missed, runs, width)
	}
	if l, u := LevelInterval(Level{Tuned: 100}, alpha); !math.IsInf(l, -1) || !math.IsInf(u, 1) {
		t.Errorf("of nothing %v .. %v", l, u)
	}
	if l, u := LevelInterval(Level{9, 1, math.Inf(1), 100}, alpha); !math.IsInf(l, -1) || !math.IsInf(u, 1) {
		t.Errorf("without a variance %v .. %v", l, u)
	}
}
