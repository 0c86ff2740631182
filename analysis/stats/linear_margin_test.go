package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/windows"
)

// TestMarginsOutsideLinearBuckets: half of the values lie above the buckets' range, the canary on its margin, upward or downward. Tests of harm
// beyond the margin hold with clamped histograms and not as they are, where the test sees the end that the values cross; tests of
// keeping it hold as they are and not with clamped ones.
func TestMarginsOutsideLinearBuckets(t *testing.T) {
	const runs, blocks, alpha, margin = 40, 40, 0.05, 5 // margin in buckets
	l := windows.LinearBuckets{From: 0, To: 1, Count: 100}
	for _, row := range []struct {
		name   string
		middle float64 // of the baseline's values
		by     float64 // how far the canary's are from the baseline's
		side   int
		grid   []float64
		tail   int64
		clamp  bool // what is right
		wrong  bool // the other choice alarms
	}{
		{"beyond, upward, at the top", 1, 0.05, 1, FailOdds, 300_000, true, true},
		{"beyond, upward, at the bottom", 0, 0.05, 1, FailOdds, 700_000, true, true},
		{"kept, upward, at the top", 1, 0.05, -1, PassOdds, 300_000, false, true},
		{"beyond, downward, at the bottom", 0, -0.05, -1, PassOdds, 700_000, true, true},
		{"kept, downward, at the bottom", 0, -0.05, 1, FailOdds, 700_000, false, true},
	} {
		alarms := map[bool]int{}
		shift := margin
		if row.by < 0 {
			shift = -margin
		}
		for _, clamped := range []bool{true, false} {
			for run := range runs {
				r := rand.New(rand.NewPCG(72, uint64(run)))
				hist := func(n int, middle float64) []windows.Bucket {
					counts := map[int32]uint32{}
					for range n {
						counts[l.BucketOf(middle+0.1*r.NormFloat64())]++
					}
					if !clamped {
						return histOf(counts)
					}
					return l.Clamp(nil, histOf(counts))
				}
				top, ranks := NewMixture(8), NewMixture(5)
				topInc, ranksInc := make([]float64, 8), make([]float64, 5)
				for at := range int64(blocks) {
					canary, baseline := hist(60, row.middle+row.by), hist(140, row.middle)
					TopK{row.tail, shift, row.grid}.Increments(topInc, canary, baseline)
					top.Step(topInc, StartWeight(at, blocks))
					Mallows{shift, row.side, MallowsThetas}.Increments(ranksInc, canary, baseline)
					ranks.Step(ranksInc, StartWeight(at, blocks))
				}
				if max(top.LogMax(), ranks.LogMax()) >= math.Log(1/alpha) {
					alarms[clamped]++
				}
			}
		}
		t.Logf("%s: of %d runs %d alarmed with clamped histograms, %d as they are", row.name, runs, alarms[true], alarms[false])
		if limit := binomialLimit(runs, 2*alpha); alarms[row.clamp] > limit || row.wrong && alarms[!row.clamp] <= limit {
			t.Errorf("%s: of %d runs %d alarmed with clamped histograms, %d as they are", row.name, runs, alarms[true], alarms[false])
		}
	}
}

// TestQuantileBoundsOutsideLinearBuckets: half of the values, or nearly all, lie beyond an end of the buckets' range. The bounds hold the true difference where each test
// takes the values beyond as it must; where they stay beyond all others in every test, they don't.
func TestQuantileBoundsOutsideLinearBuckets(t *testing.T) {
	const runs, blocks, alpha = 20, 12, 0.05
	l := windows.LinearBuckets{From: 0, To: 1, Count: 100}
	wrong := 0
	for _, row := range []struct {
		middle float64 // of the baseline's values
		by     int     // how far the canary's are from the baseline's, in buckets
		tail   int64
	}{
		{1, 8, 300_000}, {1, -8, 300_000}, {0, 8, 700_000}, {0, -8, 700_000}, {1.15, 8, 900_000}, {0.5, 8, 500_000},
	} {
		missed := map[bool]int{}
		truth := shiftRatio(float64(row.by))
		for _, on := range []bool{true, false} {
			for run := range runs {
				r := rand.New(rand.NewPCG(73, uint64(run)))
				q := NewQuantileBounds(row.tail)
				if on {
					q.On(l)
				}
				hist := func(n int, middle float64) []windows.Bucket {
					counts := map[int32]uint32{}
					for range n {
						counts[l.BucketOf(middle+0.1*r.NormFloat64())]++
					}
					return histOf(counts)
				}
				out := false
				for at := range int64(blocks) {
					q.Add(hist(60, row.middle+float64(row.by)*l.Width()), hist(140, row.middle), StartWeight(at, blocks), 1)
					lower, upper := q.Interval(alpha)
					out = out || lower > truth || upper < truth
				}
				if out {
					missed[on]++
				}
			}
		}
		t.Logf("%+v: of %d runs %d missed the difference, %d where values beyond the range stay there", row, runs, missed[true], missed[false])
		limit := binomialLimit(runs, alpha)
		if missed[true] > limit {
			t.Errorf("%+v: %d of %d runs missed the difference", row, missed[true], runs)
		}
		if missed[false] > limit {
			wrong++
		}
	}
	if wrong < 2 {
		t.Errorf("it mattered in %d worlds", wrong)
	}
	q, hist := NewQuantileBounds(300_000).On(l), []windows.Bucket{{Index: windows.ZeroBucket, Count: 9}, {Index: 50, Count: 9}, {Index: windows.TopBucket, Count: 9}}
	q.Add(hist, hist, 1, 1)
	if allocs := testing.AllocsPerRun(20, func() { q.Add(hist, hist, 0, 1) }); allocs > 0 {
		t.Errorf("%v allocations for a block", allocs)
	}
}
