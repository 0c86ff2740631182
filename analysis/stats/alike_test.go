package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestAlikeAs holds the correlation of scores against what is known of normal values: ranks 6/pi asin(r/2), the half 2/pi asin r (Sheppard), and a tail of one in a hundred, drawn.
func TestAlikeAs(t *testing.T) {
	for _, r := range []float64{0, .1, .5, .9, 1} {
		if got, want := alikeAs(r, 500_000), 2/math.Pi*math.Asin(r); math.Abs(got-want) > 1e-9 {
			t.Errorf("half of all, of a correlation of %g: %g, want %g", r, got, want)
		}
		if got := alikeAs(r, 0); r == 1 && math.Abs(got-1) > 1e-12 || r == 0 && got != 0 {
			t.Errorf("ranks, of a correlation of %g: %g", r, got)
		}
	}
	if got := alikeAs(1, 10_000); math.Abs(got-1) > 2e-3 {
		t.Errorf("a tail of what is the same: %g, want 1", got)
	}
	random := rand.New(rand.NewPCG(8, 1))
	const n = 2_000_000
	both := 0
	for range n {
		user := math.Sqrt(.5) * random.NormFloat64()
		one, other := user+math.Sqrt(.5)*random.NormFloat64(), user+math.Sqrt(.5)*random.NormFloat64()
		if min(one, other) > 2.32635 {
			both++
		}
	}
	if got, want := alikeAs(.5, 10_000), (float64(both)/n-1e-4)/(.01*.99); math.Abs(got/want-1) > .05 {
		t.Errorf("a tail of one in a hundred: %g, drawn %g", got, want)
	}
}

// TestAlike: what phi comes to where users have one value or ten in a window, for one window or for 60, which are alike or not: the middle of some runs.
func TestAlike(t *testing.T) {
	for _, row := range []struct {
		name        string
		many        int
		stay        int
		alike       float64
		windows     int
		least, most float64
	}{
		{"nothing is known: what sizes allow", 10, 1, 0, 5, 10, 30},
		{"one each", 1, 1, 0, 600, 1, 1.9},
		{"ten each, not alike", 10, 1, 0, 600, 1, 2.4},
		{"ten each, the same", 10, 1, 1, 600, 9, 25},
		{"one each, who stay, not known yet", 1, 60, 1, 30, 8, 60},
		{"one each, who stay, not alike", 1, 60, 0, 600, 1, 6},
		{"one each, who stay and are the same", 1, 60, 1, 600, 25, 300},
	} {
		var phis []float64
		for run := range uint64(21) {
			phis = append(phis, playAlike(rand.New(rand.NewPCG(run, 3)), row.many, row.stay, row.alike, row.windows))
		}
		slices.Sort(phis)
		if phi := phis[len(phis)/2]; phi < row.least || phi > row.most || phis[0] < 1 {
			t.Errorf("%s: phi %.3g (%.3g to %.3g), want %g to %g", row.name, phi, phis[0], phis[len(phis)-1], row.least, row.most)
		}
	}
}

// playAlike is phi of ranks after windows of 200 values, cut in slices of a half, a quarter and so on, the last two alike.
func playAlike(random *rand.Rand, many, stay int, alike float64, windows int) float64 {
	const parts = 8
	type user struct {
		part  int
		level float64
	}
	a := NewAlike(parts, 0, 1.5)
	var shares [parts]float64
	for i := range shares {
		shares[i] = math.Ldexp(1, 40-min(i+1, parts-1))
	}
	users := make([]user, 200/many)
	for at := range windows {
		var values [2][]int32
		var k [parts]float64
		for i := range users {
			u := &users[i]
			if at == 0 || (at+i)%stay == 0 {
				*u = user{min(int(random.ExpFloat64()/math.Ln2), parts-1), random.NormFloat64()}
			}
			for range many {
				x := math.Sqrt(alike)*u.level + math.Sqrt(1-alike)*random.NormFloat64()
				values[min(u.part, 1)] = append(values[min(u.part, 1)], int32(math.Round(100*x)))
			}
			k[u.part] += float64(many)
		}
		a.Add(RankScores(valuesHist(values[0]), valuesHist(values[1])), shares[:], k[:])
	}
	return a.Phi()
}

// TestAlikeStuck: where the same units stay, and both halves of them happen to be equal, batch after batch says so; that is no proof that a unit's values aren't alike.
func TestAlikeStuck(t *testing.T) {
	shares := []float64{1 << 40, 1 << 39, 1 << 39}
	for _, row := range []struct {
		name        string
		excess      func(random *rand.Rand) float64 // of a block's scores, in standard deviations of single values
		sizes       []float64                       // by slice
		least, most float64
	}{
		{"equal halves, of units that stay", func(*rand.Rand) float64 { return .1 }, []float64{108, 50, 42}, 20, math.Inf(1)},
		{"halves that differ as single values do", (*rand.Rand).NormFloat64, []float64{108, 50, 42}, 1, 30},
		{"equal halves, of units with several values, that differ more within one than between two", func(*rand.Rand) float64 { return .1 }, []float64{115, 50, 35}, 1, 5},
	} {
		a := NewAlike(len(shares), 0, 2)
		random := rand.New(rand.NewPCG(1, 1))
		for range 30 {
			a.Add(Scores{Excess: 5 * row.excess(random), Variance: 25, Events: 100}, shares, row.sizes)
		}
		if phi := a.Phi(); phi < row.least || phi > row.most {
			t.Errorf("%s: phi %.3g, want %g to %g", row.name, phi, row.least, row.most)
		}
	}
}

// TestAlikeAllocatesNothing: a block costs no memory.
func TestAlikeAllocatesNothing(t *testing.T) {
	a := NewAlike(2, 10_000, 1.5)
	half, rest := valuesHist([]int32{1, 2, 2, 3}), valuesHist([]int32{2, 3, 4, 9})
	n, k := []float64{1 << 40, 1 << 40}, []float64{4, 4}
	if got := testing.AllocsPerRun(200, func() {
		a.Add(TailScores(half, rest, 250_000), n, k)
		a.Add(RankScores(half, rest), n, k)
		a.Phi()
	}); got != 0 {
		t.Errorf("%v allocations a block", got)
	}
}

// TestFewBatchesLimit: batches that all say 1 are some draws of a chi-square with one degree of freedom each, whatever their spread; where one outweighs all others they are few, however many they are.
func TestFewBatchesLimit(t *testing.T) {
	var even, heavy batch
	for range 10 {
		even.close(1, 1)
	}
	if limit, few := even.limitOf(); few || math.Abs(limit-10/3.94) > .05 { // 3.94 is the 5 % point for ten degrees
		t.Errorf("ten batches: %g, few %t", limit, few)
	}
	for range 60 {
		heavy.close(1, 1)
	}
	heavy.close(1000, 1000)
	if limit, few := heavy.limitOf(); !few || !math.IsInf(limit, 1) {
		t.Errorf("one that outweighs all others: %g, few %t", limit, few)
	}
}

// TestQuantileRatioOfAlikeValues: where values are noisier the interval is wider.
func TestQuantileRatioOfAlikeValues(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	width := func(phi float64) float64 {
		q := NewQuantileRatio(500_000)
		for range 20 {
			var arms [2][]int32
			for i := range 400 {
				arms[i%2] = append(arms[i%2], int32(math.Round(20*random.NormFloat64())))
			}
			q.Add(valuesHist(arms[0]), valuesHist(arms[1]), .05, phi)
		}
		lower, upper := q.Interval(.05)
		return upper - lower
	}
	if one, nine := width(1), width(9); !(nine > 2*one) {
		t.Errorf("%g wide, and %g where phi is 9", one, nine)
	}
}
