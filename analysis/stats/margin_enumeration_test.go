package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/windows"
)

// A pairLaw is three values of the baseline and the canary's in their place, each with a chance: the canary's are never further than its margin.
type pairLaw struct {
	canary, baseline [3]float64
	chance           [3]float64
}

// eachBlock enumerates blocks of n requests of the canary and m of the baseline, each drawn from its arm's law.
func (l *pairLaw) eachBlock(n, m int, visit func(chance float64, canary, baseline []float64)) {
	values := make([]float64, n+m)
	var draw func(at int, chance float64)
	draw = func(at int, chance float64) {
		if at == n+m {
			visit(chance, values[:n], values[n:])
			return
		}
		of := &l.baseline
		if at < n {
			of = &l.canary
		}
		for i, x := range of {
			values[at] = x
			draw(at+1, chance*l.chance[i])
		}
	}
	draw(0, 1)
}

// worstMean is the greatest mean over all blocks of e^increment, among the components of a test.
func (l *pairLaw) worstMean(n, m int, test func(canary, baseline []float64) []float64) float64 {
	var means []float64
	l.eachBlock(n, m, func(chance float64, canary, baseline []float64) {
		inc := test(canary, baseline)
		for len(means) < len(inc) {
			means = append(means, 0)
		}
		for j, x := range inc {
			means[j] += chance * math.Exp(x)
		}
	})
	worst := 0.0
	for _, x := range means {
		worst = max(worst, x)
	}
	return worst
}

func histBy(bucket func(float64) int32, values []float64) []windows.Bucket {
	counts := map[int32]uint32{}
	for _, x := range values {
		counts[bucket(x)]++
	}
	return histOf(counts)
}

// ranksOf are the increments of the rank tests of one direction at once: top-K's of a tail, and Mallows'.
func ranksOf(ppm int64, shift int, up bool, canary, baseline []windows.Bucket) []float64 {
	grid, side := FailOdds, 1
	if !up {
		grid, side = PassOdds, -1
	}
	inc := make([]float64, len(grid)+len(MallowsThetas))
	TopK{ppm, shift, grid}.Increments(inc[:len(grid)], canary, baseline)
	Mallows{shift, side, MallowsThetas}.Increments(inc[len(grid):], canary, baseline)
	return inc
}

// lawsAt are random laws of which the canary's is at most by above the baseline's (up; at least, for the test of the opposite): by a factor of 1+by, and by a difference.
// Some values lie at the ends and outside of what has buckets.
func lawsAt(r *rand.Rand, by float64, up bool) (ratio, difference pairLaw) {
	total := 0.0
	for i := range 3 {
		slack := []float64{0, 0, r.ExpFloat64() / 5, 9}[r.IntN(4)]
		if !up {
			slack = -slack
		}
		ratio.baseline[i] = []float64{0, math.Inf(1), math.Exp(r.NormFloat64())}[min(2, r.IntN(6))]
		ratio.canary[i] = ratio.baseline[i] * (1 + by) * math.Exp(-slack)
		difference.baseline[i] = -0.2 + 1.4*r.Float64()
		difference.canary[i] = difference.baseline[i] + by - slack
		ratio.chance[i] = r.ExpFloat64()
		total += ratio.chance[i]
	}
	for i := range 3 {
		ratio.chance[i] /= total
	}
	difference.chance = ratio.chance
	return ratio, difference
}

// TestMarginsByEnumeration: random laws of which the canary's is on its margin or within it (beyond it, for tests of keeping it), with values at the ends and outside of
// what has buckets: the mean e-value over all blocks is at most 1, for a factor on exponential buckets and a difference on linear ones, upward and downward.
func TestMarginsByEnumeration(t *testing.T) {
	const laws, n, m = 60, 2, 2
	r := rand.New(rand.NewPCG(81, 1))
	linear := windows.LinearBuckets{From: 0, To: 1, Count: 20}
	worst, least := 0.0, math.Inf(1)
	for i := range 4 * laws {
		up, down := i%2 == 0, i%4 < 2 // evidence that the canary's values are the larger ones; the margin is below the baseline
		by := []float64{0, 0.05, 0.07, 0.3}[r.IntN(4)]
		if down {
			by = -by
		}
		ratio, difference := lawsAt(r, by, up)
		ppm := int64(1+r.IntN(3)) * 250_000
		shift, linearShift := FailShift(by), int(math.Ceil(20*by-1e-9))
		if !up {
			shift, linearShift = PassShift(by), int(math.Floor(20*by+1e-9))
		}
		got := ratio.worstMean(n, m, func(canary, baseline []float64) []float64 {
			return ranksOf(ppm, shift, up, histBy(windows.BucketOf, canary), histBy(windows.BucketOf, baseline))
		})
		of := difference.worstMean(n, m, func(canary, baseline []float64) []float64 {
			mine, theirs := histBy(linear.BucketOf, canary), histBy(linear.BucketOf, baseline)
			if up != down {
				mine, theirs = linear.Clamp(nil, mine), linear.Clamp(nil, theirs)
			}
			return ranksOf(ppm, linearShift, up, mine, theirs)
		})
		worst, least = max(worst, got, of), min(least, got, of)
		if got > 1+1e-9 || of > 1+1e-9 {
			t.Errorf("up %v, margin %v: mean e-values %v of %+v with shift %d, %v of %+v with shift %d", up, by, got, ratio, shift, of, difference, linearShift)
		}
	}
	t.Logf("mean e-values from %v to %v", least, worst)
	if worst < 1-1e-9 {
		t.Error("no law was on its margin")
	}
}
