package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/windows"
)

// pairsTwin counts, pair by pair, canary values above, and equal to, those of the baseline; the canary's moved down.
func pairsTwin(canary, baseline []windows.Bucket, shift int) (above, equal, pairs float64) {
	for _, c := range canary {
		at := int(c.Index) - shift
		if c.Index == windows.ZeroBucket || c.Index == windows.TopBucket {
			at = int(c.Index)
		}
		for _, b := range baseline {
			n := float64(c.Count) * float64(b.Count)
			pairs += n
			switch {
			case at > int(b.Index):
				above += n
			case at == int(b.Index):
				equal += n
			}
		}
	}
	return above, equal, pairs
}

func TestRankExcessCountsPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 1))
	for range 300 {
		canary, baseline := randomHist(r, 40), randomHist(r, 40)
		shift := r.IntN(60) - 20
		above, equal, pairs := pairsTwin(canary, baseline, shift)
		if got, want := rankExcess(canary, baseline, shift, total(baseline)), 2*above+equal-pairs; got != want {
			t.Fatalf("shift %d of %v and %v: %v, want %v", shift, canary, baseline, got, want)
		}
	}
}

// TestEffectsAreOfTheSameBlock: latencies double over the run and the canary's share rises from 2 % to 50 %: pooled, the canary is slower in most pairs,
// within blocks it isn't.
func TestEffectsAreOfTheSameBlock(t *testing.T) {
	for _, factor := range []float64{1, 1.3, 0.8} {
		blocks := latencies(2000, factor)(rand.New(rand.NewPCG(52, 1)))
		var index, early, late ProbabilityIndex
		shift, lateShift := NewHodgesLehmann(RatioShifts), NewHodgesLehmann(RatioShifts)
		var pool arms
		var sums [2]bucketSum
		for at := range 60 {
			b := blocks(at).(arms)
			index.Add(b.canary, b.baseline)
			if at < 30 {
				early.Add(b.canary, b.baseline)
				shift.Add(b.canary, b.baseline)
			} else {
				late.Add(b.canary, b.baseline)
				lateShift.Add(b.canary, b.baseline)
			}
			sums[0].add(b.canary)
			sums[1].add(b.baseline)
		}
		pool = arms{sums[0].buckets, sums[1].buckets}
		early.Join(late)
		shift.Join(lateShift)
		if math.Abs(early.Value()-index.Value()) > 1e-12 {
			t.Errorf("joined %v, of all blocks %v", early.Value(), index.Value())
		}
		// P(C > B) of lognormals of sigma 0.5, a fiftieth of each infinite.
		want := 0.98*0.98*0.5*math.Erfc(-math.Log(factor)/0.5/2) + 0.02*0.98 + 0.02*0.02/2
		if math.Abs(index.Value()-want) > 0.01 {
			t.Errorf("factor %v: index %v, want %v", factor, index.Value(), want)
		}
		if got := shift.Ratio(); math.Abs(got/factor-1) > 0.02 {
			t.Errorf("factor %v: ratio %v", factor, got)
		}
		if ratio := shiftRatio(HodgesLehmannShift(pool.canary, pool.baseline)); ratio < factor*1.05 {
			t.Errorf("factor %v: the pool's ratio %v is not confounded: this test shows nothing", factor, ratio)
		}
	}
}

// TestHodgesLehmannIsTheMedianOfDifferences: of all pairs, in buckets.
func TestHodgesLehmannIsTheMedianOfDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(53, 1))
	for range 200 {
		n, m := 5+r.IntN(40), 5+r.IntN(40)
		canary, baseline := lognormal(r, n, math.Exp(2*r.NormFloat64()), 0.6), lognormal(r, m, 1, 0.6)
		var differences []float64
		for _, c := range canary {
			for _, b := range baseline {
				for range c.Count * b.Count {
					differences = append(differences, float64(c.Index-b.Index))
				}
			}
		}
		slices.Sort(differences)
		low, high := differences[(len(differences)-1)/2], differences[len(differences)/2]
		if got := HodgesLehmannShift(canary, baseline); got < low-1 || got > high+1 {
			t.Errorf("%v and %v: %v, the median lies between %v and %v", canary, baseline, got, low, high)
		}
	}
}

func TestEffectsOfNothing(t *testing.T) {
	one := []windows.Bucket{{Index: 5, Count: 1}}
	many := []windows.Bucket{{Index: 5, Count: 7}, {Index: 9, Count: 2}}
	ends := []windows.Bucket{{Index: windows.ZeroBucket, Count: 3}, {Index: windows.TopBucket, Count: 5}}
	for _, row := range []struct {
		name               string
		canary, baseline   []windows.Bucket
		index, shift, many float64
		ks                 float64
		sums               RankSum
	}{
		{"empty", nil, nil, math.NaN(), math.NaN(), math.NaN(), math.NaN(), RankSum{math.NaN(), math.NaN(), math.NaN(), math.NaN()}},
		{"no canary", nil, one, math.NaN(), math.NaN(), math.NaN(), math.NaN(), RankSum{math.NaN(), math.NaN(), math.NaN(), math.NaN()}},
		{"no baseline", one, nil, math.NaN(), math.NaN(), math.NaN(), math.NaN(), RankSum{math.NaN(), math.NaN(), math.NaN(), math.NaN()}},
		{"one each", one, one, 0.5, 0, 0, 0, RankSum{0.5, 1, 1, 1}},
		{"the same", many, many, 0.5, 0, 0, 0, mannWhitney(many, many, 0.5)},
		{"the ends alone", ends, ends, 0.5, math.NaN(), math.NaN(), 0, mannWhitney(ends, ends, 0.5)},
	} {
		var p ProbabilityIndex
		h := NewHodgesLehmann(RatioShifts)
		took, tookToo := p.Add(row.canary, row.baseline), h.Add(row.canary, row.baseline)
		for _, x := range []struct {
			what      string
			got, want float64
		}{
			{"index", p.Value(), row.index}, {"shift", h.Shift(), row.shift}, {"shift of the block", HodgesLehmannShift(row.canary, row.baseline), row.many},
			{"KS", KSDistance(row.canary, row.baseline), row.ks},
			{"U", MannWhitney(row.canary, row.baseline).U, row.sums.U}, {"P", MannWhitney(row.canary, row.baseline).P, row.sums.P},
			{"P of larger", MannWhitney(row.canary, row.baseline).PLarger, row.sums.PLarger},
			{"P of smaller", MannWhitney(row.canary, row.baseline).PSmaller, row.sums.PSmaller},
		} {
			if x.got != x.want && !(math.IsNaN(x.got) && math.IsNaN(x.want)) {
				t.Errorf("%s: %s %v, want %v", row.name, x.what, x.got, x.want)
			}
		}
		if has := row.canary != nil && row.baseline != nil; took != has || tookToo != has {
			t.Errorf("%s: taken %v and %v", row.name, took, tookToo)
		}
	}
	mustPanic(t, "one shift", func() { NewHodgesLehmann([]int{0}) })
	mustPanic(t, "unsorted", func() { NewHodgesLehmann([]int{0, -1}) })
	mustPanic(t, "other shifts", func() { NewHodgesLehmann(RatioShifts).Join(NewHodgesLehmann([]int{0, 1})) })
}

func TestShiftsOfTheEffect(t *testing.T) {
	for _, count := range []int{1, 2, 7, 1000} {
		shifts := DifferenceShifts(count)
		if !slices.IsSorted(shifts) || !slices.Contains(shifts, 0) || len(slices.Compact(slices.Clone(shifts))) != len(shifts) {
			t.Errorf("%d buckets: %v", count, shifts)
		}
		if last := shifts[len(shifts)-1]; last > count || last < count*3/4 || shifts[0] != -last || len(shifts) > 64 {
			t.Errorf("%d buckets: %v", count, shifts)
		}
	}
}

func BenchmarkRankEffects(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	canary, baseline := lognormal(r, 10_000, 1, 0.5), lognormal(r, 90_000, 1, 0.5)
	b.Run("ProbabilityIndex", func(b *testing.B) {
		b.ReportAllocs()
		var p ProbabilityIndex
		for b.Loop() {
			p.Add(canary, baseline)
		}
	})
	b.Run("HodgesLehmann", func(b *testing.B) {
		b.ReportAllocs()
		h := NewHodgesLehmann(RatioShifts)
		for b.Loop() {
			h.Add(canary, baseline)
		}
	})
	b.Run("TailShift", func(b *testing.B) {
		b.ReportAllocs()
		t := NewTailShift(10_000, RatioShifts)
		for b.Loop() {
			t.Add(canary, baseline)
		}
	})
	b.Run("HodgesLehmannShift", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			HodgesLehmannShift(canary, baseline)
		}
	})
	b.Run("KSDistance", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			KSDistance(canary, baseline)
		}
	})
	b.Run("MannWhitney", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			MannWhitney(canary, baseline)
		}
	})
}

// TestEffectsTakeAnything: of every odd block what people are told is a number within its range, or NaN where an arm is empty or no shift matters.
func TestEffectsTakeAnything(t *testing.T) {
	for i, b := range oddArms() {
		a := b.(arms)
		empty := total(a.canary) == 0 || total(a.baseline) == 0
		var index ProbabilityIndex
		hodges, tail, ratio := NewHodgesLehmann(RatioShifts), NewTailShift(10_000, RatioShifts), NewQuantileRatio(10_000)
		index.Add(a.canary, a.baseline)
		hodges.Add(a.canary, a.baseline)
		tail.Add(a.canary, a.baseline)
		ratio.Add(a.canary, a.baseline, 1, 1)
		p := MannWhitney(a.canary, a.baseline)
		for _, x := range []float64{index.Value(), KSDistance(a.canary, a.baseline), p.P, p.PLarger, p.PSmaller} {
			if math.IsNaN(x) != empty || x < 0 || x > 1 {
				t.Errorf("block %d: %v in a share or chance", i, x)
			}
		}
		for _, x := range []float64{hodges.Shift(), tail.Shift(), HodgesLehmannShift(a.canary, a.baseline), ratio.Estimate()} {
			if math.IsInf(x, 0) || empty && !math.IsNaN(x) {
				t.Errorf("block %d: an effect of %v", i, x)
			}
		}
		if lower, upper := ratio.Interval(0.05); math.IsNaN(lower) || math.IsNaN(upper) || lower < 0 {
			t.Errorf("block %d: a ratio from %v to %v", i, lower, upper)
		}
	}
}
