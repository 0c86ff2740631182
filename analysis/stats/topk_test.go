package stats

import (
	"cmp"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/windows"
)

// pgfTwin is log E[w^y] from exact integers, in 600 bits.
func pgfTwin(u urn, w float64) float64 {
	const prec = 600
	lo, hi := u.span()
	sum, power := new(big.Float).SetPrec(prec), new(big.Float).SetPrec(prec).SetInt64(1)
	odds := new(big.Float).SetPrec(prec).SetFloat64(w)
	for range lo {
		power.Mul(power, odds)
	}
	for y := lo; y <= hi; y++ {
		ways := new(big.Int).Mul(new(big.Int).Binomial(u.n, y), new(big.Int).Binomial(u.N-u.n, u.K-y))
		sum.Add(sum, new(big.Float).SetPrec(prec).Mul(new(big.Float).SetPrec(prec).SetInt(ways), power))
		power.Mul(power, odds)
	}
	sum.Quo(sum, new(big.Float).SetPrec(prec).SetInt(new(big.Int).Binomial(u.N, u.K)))
	mantissa := new(big.Float)
	exponent := sum.MantExp(mantissa)
	m, _ := mantissa.Float64()
	return math.Log(m) + float64(exponent)*math.Ln2
}

func checkPGF(t *testing.T, u urn, odds []float64) {
	t.Helper()
	logs, got := make([]float64, len(odds)), make([]float64, len(odds))
	for i, w := range odds {
		logs[i] = math.Log(w)
	}
	u.logPGF(got, odds, logs)
	for i, w := range odds {
		if want := pgfTwin(u, w); math.Abs(got[i]-want) > 1e-12*(1+math.Abs(want)) {
			t.Errorf("urn %+v, odds %v: log pgf %.16g, want %.16g", u, w, got[i], want)
		}
	}
}

func TestLogPGF(t *testing.T) {
	unsorted := []float64{30, 0.1, 1, 5, 1e-3, 1.15}
	for _, u := range []urn{
		{1, 0, 1}, {1, 1, 1}, {2, 1, 1}, {10, 5, 10}, {10, 10, 3}, {10, 0, 3}, {20, 7, 5}, {1000, 990, 10}, {1000, 10, 990},
		{300, 150, 150}, {2000, 40, 1000}, {1000, 990, 995}, {5000, 2500, 20},
	} {
		checkPGF(t, u, unsorted)
		checkPGF(t, u, FailOdds)
		checkPGF(t, u, PassOdds)
	}
}

// TestLeapIsTheSum: each h-th term, times h, is the whole sum, for all odds ratios and from the least deviation on at which leaps are taken.
func TestLeapIsTheSum(t *testing.T) {
	worst := 0.0
	for _, u := range []urn{
		{100_000, 50_000, 51_300}, {1_000_000, 10_000, 500_000}, {1_000_000, 500_000, 10_000}, {1_000_000, 400_000, 500_000},
		{60_000, 30_000, 40_000}, {9_000, 4_500, 4_500}, {40_000, 1_200, 30_000}, {5_000_000, 50_000, 1_000_000},
	} {
		lo, hi := u.span()
		for _, w := range slices.Concat(FailOdds, PassOdds, []float64{1}) {
			y := u.mode(w, lo, hi)
			x, n, k := float64(y), float64(u.n), float64(u.K)
			variance := 1 / (1/(x+1) + 1/(n-x+1) + 1/(k-x+1) + 1/(float64(u.N)-n-k+x+1))
			if variance < leapVariance {
				continue
			}
			want := u.step(y, lo, hi, w)
			off := math.Abs(u.around(y, lo, hi, w)/want - 1)
			worst = max(worst, off)
			if off > 1e-12 {
				t.Errorf("urn %+v, odds %v: off by %.2g of the sum", u, w, off)
			}
		}
	}
	if worst == 0 {
		t.Error("no leap was taken")
	}
	t.Logf("off by at most %.2g", worst)
}

// topKTwin computes the increment from a sorted list of single requests and the exact sums.
func topKTwin(k TopK, w float64, canary, baseline []windows.Bucket) (float64, bool) {
	type request struct {
		at     int
		canary bool
	}
	var all []request
	n, m := int64(0), int64(0)
	for _, b := range canary {
		at := int(b.Index) - k.Shift
		if b.Index == windows.TopBucket || b.Index == windows.ZeroBucket {
			at = int(b.Index)
		}
		for range b.Count {
			all, n = append(all, request{at, true}), n+1
		}
	}
	for _, b := range baseline {
		for range b.Count {
			all, m = append(all, request{int(b.Index), false}), m+1
		}
	}
	slices.SortFunc(all, func(a, b request) int { return cmp.Compare(b.at, a.at) })
	tail := int64(math.Floor(float64((n+m)*k.PPM)/1e6 + 0.5))
	if n == 0 || m == 0 || tail == 0 {
		return 0, false
	}
	edge := all[tail-1].at
	above, ties, tiesAll := int64(0), int64(0), int64(0)
	drawn := tail
	for _, r := range all {
		switch {
		case r.at > edge:
			drawn--
			if r.canary {
				above++
			}
		case r.at == edge:
			tiesAll++
			if r.canary {
				ties++
			}
		}
	}
	return float64(above)*math.Log(w) + pgfTwin(urn{tiesAll, ties, drawn}, w) - pgfTwin(urn{n + m, n, tail}, w), true
}

func checkTopK(t *testing.T, k TopK, canary, baseline []windows.Bucket) {
	t.Helper()
	inc := make([]float64, len(k.Grid))
	ok := k.Increments(inc, canary, baseline)
	for j, w := range k.Grid {
		want, wantOK := topKTwin(k, w, canary, baseline)
		if ok != wantOK {
			t.Fatalf("%+v of %v and %v: %v, want %v", k, canary, baseline, ok, wantOK)
		}
		if ok && math.Abs(inc[j]-want) > 1e-10*(1+math.Abs(want)) {
			t.Errorf("%+v of %v and %v at odds %v: %.15g, want %.15g", k, canary, baseline, w, inc[j], want)
		}
	}
}

// randomHist draws a histogram of up to most requests in some neighbouring buckets, now and then at the ends.
func randomHist(r *rand.Rand, most int) []windows.Bucket {
	counts := map[int32]uint32{}
	width := 1 + r.IntN(40)
	for range r.IntN(most + 1) {
		i := int32(100 + r.IntN(width))
		switch r.IntN(20) {
		case 0:
			i = windows.ZeroBucket
		case 1:
			i = windows.TopBucket
		}
		counts[i] += uint32(1 + r.IntN(3))
	}
	return histOf(counts)
}

func TestTopKOnRandomHistograms(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 1))
	for range 150 {
		k := TopK{PPM: []int64{1, 1000, 10_000, 50_000, 500_000, 900_000, 1_000_000}[r.IntN(7)], Shift: r.IntN(60) - 20, Grid: []float64{1.15, 3, 30}}
		if r.IntN(2) == 0 {
			k.Grid = []float64{1 / 1.15, 1. / 3, 1. / 30}
		}
		checkTopK(t, k, randomHist(r, 60), randomHist(r, 60))
	}
}

// FuzzTopK reads a block from the bytes: tail, shift, then bucket steps and counts of the arms in turn.
func FuzzTopK(f *testing.F) {
	f.Add([]byte{10, 17, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{255, 200, 0, 1, 0, 1})
	f.Add([]byte{1, 0, 3, 255, 3, 255, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 || len(data) > 200 {
			return
		}
		k := TopK{PPM: int64(data[0]) * 1_000_000 / 255, Shift: int(int8(data[1])), Grid: FailOdds}
		var arms [2][]windows.Bucket
		var at [2]int32
		for i := 2; i+1 < len(data); i += 2 {
			arm := i / 2 % 2
			at[arm] += 1 + int32(data[i])
			if data[i+1] > 0 {
				arms[arm] = append(arms[arm], windows.Bucket{Index: at[arm], Count: uint32(data[i+1])})
			}
		}
		checkTopK(t, k, arms[0], arms[1])
	})
}

// TestTopKAveragesToOneOverAllLabelings: ten requests with ties, every size of the canary, every K and odds ratio: over all ways to say
// which requests are the canary's, the mean e-value is 1.
func TestTopKAveragesToOneOverAllLabelings(t *testing.T) {
	values := []int32{0, 0, 1, 1, 1, 2, 3, 3, 4, 4}
	for _, grid := range [][]float64{FailOdds, PassOdds} {
		for k := int64(1); k <= 10; k++ {
			test := TopK{PPM: k * 100_000, Grid: grid}
			sums, ways := [11][8]float64{}, [11]float64{}
			inc := make([]float64, 8)
			for labels := range 1 << 10 {
				canary, baseline := map[int32]uint32{}, map[int32]uint32{}
				n := 0
				for i, v := range values {
					if labels>>i&1 == 1 {
						canary[v]++
						n++
					} else {
						baseline[v]++
					}
				}
				if !test.Increments(inc, histOf(canary), histOf(baseline)) {
					clear(inc)
				}
				ways[n]++
				for j, x := range inc {
					sums[n][j] += math.Exp(x)
				}
			}
			for n := range sums {
				for j, sum := range sums[n] {
					if mean := sum / ways[n]; math.Abs(mean-1) > 1e-12 {
						t.Errorf("n %d, K %d, odds %v: mean e-value %v", n, k, grid[j], mean)
					}
				}
			}
		}
	}
}

// TestTopKRisesWithTheCanary: making one canary request slower never lowers evidence of a slowdown, nor raises evidence of a pass: with the
// mean of 1 above it makes the test valid for every canary that is not slower.
func TestTopKRisesWithTheCanary(t *testing.T) {
	r := rand.New(rand.NewPCG(22, 1))
	before, after := make([]float64, 8), make([]float64, 8)
	for range 400 {
		canary, baseline := randomHist(r, 30), randomHist(r, 30)
		if len(canary) == 0 {
			continue
		}
		counts := map[int32]uint32{}
		for _, b := range canary {
			counts[b.Index] = b.Count
		}
		from := canary[r.IntN(len(canary))].Index
		to := max(from+1, int32(100+r.IntN(60)))
		if from == windows.TopBucket || r.IntN(10) == 0 {
			to = windows.TopBucket
		}
		counts[from]--
		counts[to]++
		for _, grid := range [][]float64{FailOdds, PassOdds} {
			test := TopK{PPM: int64(1 + r.IntN(1_000_000)), Shift: r.IntN(40) - 10, Grid: grid}
			if !test.Increments(before, canary, baseline) {
				continue
			}
			test.Increments(after, histOf(counts), baseline)
			for j, w := range grid {
				if rise := after[j] - before[j]; w > 1 && rise < -1e-9 || w < 1 && rise > 1e-9 {
					t.Errorf("%+v of %v and %v, from %d to %d: evidence changed by %v", test, canary, baseline, from, to, rise)
				}
			}
		}
	}
}

func TestTopKSkipsWhatSaysNothing(t *testing.T) {
	one := []windows.Bucket{{Index: 5, Count: 1}}
	many := []windows.Bucket{{Index: 5, Count: 300}}
	for _, row := range []struct {
		name             string
		ppm              int64
		canary, baseline []windows.Bucket
		want             bool
	}{
		{"both arms", 500_000, one, one, true},
		{"no canary", 500_000, nil, one, false},
		{"no baseline", 500_000, one, nil, false},
		{"a tail of no request", 1000, one, many, false},
		{"a tail of half a request counts", 500_000, one, one, true},
		{"the whole pool says nothing, but is a block", 1_000_000, one, many, true},
	} {
		inc := make([]float64, 8)
		inc[0] = 42
		if got := (TopK{row.ppm, 0, FailOdds}).Increments(inc, row.canary, row.baseline); got != row.want || got != (inc[0] != 42) {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}

// TestTopKOnAsManyAsFit: counts at the limit of a bucket neither overflow nor take long.
func TestTopKOnAsManyAsFit(t *testing.T) {
	full := func(at int32) []windows.Bucket { return []windows.Bucket{{Index: at, Count: math.MaxUint32}} }
	inc := make([]float64, 8)
	for _, row := range []struct {
		name             string
		canary, baseline []windows.Bucket
		grows            bool
	}{
		{"all ties", full(5), full(5), false},
		{"all of the tail is the canary's", full(9), full(5), true},
	} {
		TopK{500_000, 0, FailOdds}.Increments(inc, row.canary, row.baseline)
		for j, x := range inc {
			if math.IsNaN(x) || (x > 1e6) != row.grows || !row.grows && math.Abs(x) > 1e-3 {
				t.Errorf("%s, odds %v: %v", row.name, FailOdds[j], x)
			}
		}
	}
}

// TestTopKTakesTimeoutsAsEqual: values without a number are equally slow in both arms, whatever the margin, so that two arms
// which time out alike are no evidence that the canary keeps a margin (nor that it breaks one).
func TestTopKTakesTimeoutsAsEqual(t *testing.T) {
	timeouts := []windows.Bucket{{Index: 10, Count: 96}, {Index: windows.TopBucket, Count: 4}}
	inc := make([]float64, 8)
	TopK{20_000, 17, PassOdds}.Increments(inc, timeouts, timeouts)
	for j, x := range inc {
		if x > 0 {
			t.Errorf("odds %v: evidence %v for a pass from equal timeouts", PassOdds[j], x)
		}
	}
	if q := NewQuantileRatio(20_000); q.Add(timeouts, timeouts, 1, 1) {
		if e := q.Estimate(); !math.IsNaN(e) {
			t.Errorf("the factor between infinite values is %v, want NaN", e)
		}
	}
}

func TestShifts(t *testing.T) {
	sqrt2 := math.Sqrt2 - 1
	for _, row := range []struct {
		r          float64
		fail, pass int
	}{
		{0, 0, 0}, {1, 64, 64}, {3, 128, 128}, {7, 192, 192}, {-0.5, -64, -64}, {-0.75, -128, -128},
		{math.Nextafter(1, 2), 65, 64}, {math.Nextafter(1, 0), 64, 63}, {math.Nextafter(-0.5, 0), -63, -64},
		{5e-324, 1, 0}, {1e-300, 1, 0}, {-5e-324, 0, -1},
		{sqrt2, 32, 31},                    // just below 2^(1/2)
		{math.Nextafter(sqrt2, 1), 33, 32}, // just above it
		{-0.2, -20, -21}, {0.2, 17, 16}, {1e9, 1914, 1913},
	} {
		if fail, pass := FailShift(row.r), PassShift(row.r); fail != row.fail || pass != row.pass {
			t.Errorf("margin %v: shifts %d and %d, want %d and %d", row.r, fail, pass, row.fail, row.pass)
		}
	}
	mustPanic(t, "margin -1", func() { FailShift(-1) })
	mustPanic(t, "margin NaN", func() { FailShift(math.NaN()) })
}

// TestQuantileRatioIsTopKAtEachShift compares with a Mixture of TopK for each shift and direction.
func TestQuantileRatioIsTopKAtEachShift(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 1))
	q := NewQuantileRatio(100_000)
	var fail, pass [ratioShifts]*Mixture
	for i := range fail {
		fail[i], pass[i] = NewMixture(8), NewMixture(8)
	}
	inc := make([]float64, 8)
	for step := range int64(30) {
		canary, baseline := lognormal(r, r.IntN(60), 1.3, 0.4), lognormal(r, r.IntN(300), 1, 0.4)
		weight := StartWeight(step, 20)
		if !q.Add(canary, baseline, weight, 1) {
			continue
		}
		for i := range fail {
			shift := ratioShiftLow + ratioShiftStep*i
			TopK{100_000, shift, FailOdds}.Increments(inc, canary, baseline)
			fail[i].Step(inc, weight)
			TopK{100_000, shift, PassOdds}.Increments(inc, canary, baseline)
			pass[i].Step(inc, weight)
		}
	}
	for i := range fail {
		floored := func(got float32, want float64) bool { return got >= floor32(want-1e-9) && got <= floor32(want+1e-9) }
		if !floored(q.fail[i].logMax, fail[i].LogMax()) || !floored(q.pass[i].logMax, pass[i].LogMax()) {
			t.Errorf("shift %d: %v and %v, want %v and %v", i, q.fail[i].logMax, q.pass[i].logMax, fail[i].LogMax(), pass[i].LogMax())
		}
	}
}

func TestQuantileRatioEstimates(t *testing.T) {
	r := rand.New(rand.NewPCG(24, 1))
	q := NewQuantileRatio(50_000)
	if e, l, u := q.Estimate(), 0.0, math.Inf(1); !math.IsNaN(e) {
		t.Errorf("before the first block: %v in %v to %v", e, l, u)
	}
	since := NewQuantileRatio(50_000)
	const onset, blocks = 500, 600
	for at := range int64(blocks) {
		factor := 1.0
		if at >= onset {
			factor = 1.6
		}
		canary, baseline := lognormal(r, 200, factor, 0.4), lognormal(r, 1000, 1, 0.4)
		q.Add(canary, baseline, StartWeight(at, 1000), 1)
		if at >= onset {
			since.Add(canary, baseline, StartWeight(at-onset, 1000), 1)
		}
	}
	if e := q.Estimate(); math.Abs(e-1.1) > 0.05 { // a sixth of the blocks are slower
		t.Errorf("estimate since the start %v", e)
	}
	if e := since.Estimate(); math.Abs(e-1.6) > 0.05 {
		t.Errorf("estimate since block %d: %v, want 1.6", onset, e)
	}
	if lower, _ := q.Interval(0.05); lower < 1.3 || lower > 1.6 {
		t.Errorf("lower bound %v", lower)
	}
	slow, fast := NewQuantileRatio(500_000), NewQuantileRatio(500_000)
	slow.Add(lognormal(r, 500, 9, 0.1), lognormal(r, 500, 1, 0.1), 1, 1)
	fast.Add(lognormal(r, 500, 1, 0.1), lognormal(r, 500, 9, 0.1), 1, 1)
	if slow.Estimate() != 4 || fast.Estimate() != 0.5 {
		t.Errorf("beyond the range: %v and %v, want 4 and 0.5", slow.Estimate(), fast.Estimate())
	}
}

// TestQuantileRatioOnTheMargin: a margin's own shift bounds the factor on its side, where the grid's steps would leave the margin within the interval.
func TestQuantileRatioOnTheMargin(t *testing.T) {
	r := rand.New(rand.NewPCG(29, 1))
	margin := FailShift(0.2)
	for _, c := range []struct {
		name   string
		factor float64
		blocks int
		beyond func(lower, upper float64) bool // the margin, which the grid's bounds don't say
	}{
		{"slower", 1.26, 400, func(lower, _ float64) bool { return lower > 1.2 }},
		{"as fast", 1.15, 400, func(_, upper float64) bool { return upper < 1.21 }},
	} {
		grid, own := NewQuantileRatio(100_000), NewQuantileRatio(100_000, margin, PassShift(0.2))
		gained := false
		for step := range int64(c.blocks) {
			canary, baseline := lognormal(r, 100, c.factor, 0.4), lognormal(r, 300, 1, 0.4)
			weight := StartWeight(step, 1000)
			grid.Add(canary, baseline, weight, 1)
			own.Add(canary, baseline, weight, 1)
			lower, upper := grid.Interval(0.05)
			lowerOwn, upperOwn := own.Interval(0.05)
			if lowerOwn < lower || upperOwn > upper {
				t.Fatalf("%s: %v to %v, without the margin's shift %v to %v", c.name, lowerOwn, upperOwn, lower, upper)
			}
			gained = gained || c.beyond(lowerOwn, upperOwn) && !c.beyond(lower, upper)
		}
		if !gained {
			t.Errorf("%s: the margin's shift never made a difference", c.name)
		}
	}
}

// TestDescent: a cut that begins where the one before ended is the cut from the top, whatever the steps between the shifts.
func TestDescent(t *testing.T) {
	r := rand.New(rand.NewPCG(53, 1))
	for range 300 {
		canary, baseline := randomHist(r, 40), randomHist(r, 40)
		if len(canary)+len(baseline) == 0 {
			continue
		}
		k := 1 + r.Int64N(total(canary)+total(baseline))
		d := descentTo(k, canary, baseline)
		for shift := -60; shift < 60; shift += r.IntN(20) {
			want := cutTwin(k, canary, baseline, shift)
			if got := d.cut(shift); got != want {
				t.Fatalf("top %d of %v and %v, moved by %d: %+v, want %+v", k, canary, baseline, shift, got, want)
			}
		}
	}
}

// cutTwin counts what lies at each bucket and above it.
func cutTwin(k int64, canary, baseline []windows.Bucket, shift int) cut {
	mine, all := map[int]int64{}, map[int]int64{}
	for _, b := range canary {
		mine[moved(b.Index, shift)] += int64(b.Count)
		all[moved(b.Index, shift)] += int64(b.Count)
	}
	for _, b := range baseline {
		all[int(b.Index)] += int64(b.Count)
	}
	var c cut
	for _, at := range slices.Backward(slices.Sorted(maps.Keys(all))) {
		if c.above+all[at] >= k {
			return cut{c.above, c.canaryAbove, all[at], mine[at], k - c.above}
		}
		c.above, c.canaryAbove = c.above+all[at], c.canaryAbove+mine[at]
	}
	return c
}
