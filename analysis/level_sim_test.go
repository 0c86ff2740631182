package analysis

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// levelWorld is readings of one arm's hosts, one of each in each window of 10 s; each follows its last one by rho.
type levelWorld struct {
	hosts           int
	rho, mean, late float64 // late: the mean of the second half
	hours           int
	rare            float64 // > 0: values of outcomes, so many an hour and host as there are windows, of which this share is one sum and the others 0
}

// value is the next reading of a host.
func (w levelWorld) value(random *rand.Rand, level *float64, mean float64) float64 {
	if w.rare > 0 {
		if random.Float64() < w.rare {
			return mean / w.rare
		}
		return 0
	}
	*level = w.rho**level + math.Sqrt(1-w.rho*w.rho)*random.NormFloat64()
	return max(0, min(1, mean+.15**level))
}

// play holds the canary's mean against 0.5 and reports whether it was proven to be above, whether to be below, and whether the interval ever left the mean out.
func (w levelWorld) play(random *rand.Rand, alpha float64) (above, below, missed bool) {
	g := schemas.Guardrail{Name: "m", Kind: schemas.MeanGuardrail, Of: "cpu", From: schemas.KindSample, Cap: 1, Direction: schemas.Above, Margin: schemas.Margin{Text: "0.5", Value: .5}}
	if w.rare > 0 {
		g.From, g.Cap = schemas.KindOutcome, 20
	}
	one := newLimit(&g, windows.Canary, keeping{}, levelsOf(&g))
	c := clock{widthMs: 10_000, horizon: 8640}
	level, proof := make([]float64, w.hosts), math.Log(1/alpha)
	for h := range level {
		level[h] = random.NormFloat64()
	}
	steps := w.hours * 360
	for at := range steps {
		mean := w.mean
		if at >= steps/2 && w.late > 0 {
			mean = w.late
		}
		win := window{startMs: int64(at) * c.widthMs, endMs: int64(at+1) * c.widthMs}
		for h := range level {
			u := windows.SumUnits(w.value(random, &level[h], mean), g.Cap)
			win.n[windows.Canary]++
			win.sum[windows.Canary] += u
			win.squares[windows.Canary] += windows.SquareUnits(u)
		}
		one.take(&win, c)
		above = above || one.any.LogE() >= proof
		below = below || one.pass.LogE() >= proof
		if at%30 == 0 && !missed {
			bounds, _ := one.account.(onDemand).asked(alpha)
			missed = bounds.lower > mean || bounds.upper < mean
		}
	}
	return above, below, missed
}

// TestSimLevel: the mean of a gauge that is exactly on its limit is proven to be above it, or below it, in no more runs than it may be, and its interval leaves the mean out in no more, however long the
// readings hang together. Each block's mean as an independent value was proven to be above in 18 and below in 48 of a hundred, at 0.95 and six hours. A mean that is off is still found.
func TestSimLevel(t *testing.T) {
	const alpha = .05
	runs := size(120, 1000)
	limit := binomialLimit(runs, alpha)
	for _, w := range []levelWorld{
		{hosts: 4, rho: 0, mean: .5, hours: 6}, {hosts: 4, rho: .95, mean: .5, hours: 6}, {hosts: 20, rho: .95, mean: .5, hours: 6}, {hosts: 2, rho: .95, mean: .5, hours: 12},
		{hosts: 4, rho: .99, mean: .5, hours: size(12, 24)},
		{hosts: 10, rare: .05, mean: .5, hours: 6}, {hosts: 10, rare: .03, mean: .5, hours: 6},
	} {
		var above, below, missed atomic.Int64
		inParallel(runs, func(_ int, random *rand.Rand) {
			a, b, m := w.play(random, alpha)
			for count, is := range map[*atomic.Int64]bool{&above: a, &below: b, &missed: m} {
				if is {
					count.Add(1)
				}
			}
		})
		t.Logf("%+v: above in %d, below in %d, the interval without the mean in %d of %d (at most %d)", w, above.Load(), below.Load(), missed.Load(), runs, limit)
		if most := int64(limit); above.Load() > most || below.Load() > most || missed.Load() > most {
			t.Errorf("%+v: above in %d, below in %d, the interval without the mean in %d of %d, at most %d", w, above.Load(), below.Load(), missed.Load(), runs, limit)
		}
	}
	for _, w := range []levelWorld{
		{hosts: 4, rho: 0, mean: .55, hours: 6}, {hosts: 4, rho: .95, mean: .8, hours: 12}, {hosts: 4, rho: 0, mean: .4, late: .6, hours: 12}, {hosts: 20, rho: .95, mean: .7, hours: 12}, {hosts: 10, rare: .05, mean: .65, hours: 6},
	} {
		var found atomic.Int64
		n := runs / 4
		inParallel(n, func(_ int, random *rand.Rand) {
			if above, _, _ := w.play(random, alpha); above {
				found.Add(1)
			}
		})
		t.Logf("%+v: found in %d of %d", w, found.Load(), n)
		if int(found.Load()) < n*95/100 {
			t.Errorf("%+v: found in %d of %d", w, found.Load(), n)
		}
	}
}
