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
	a := NewAlike(parts, 1, 0, 1.5)
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
		a.Add(shares[:], k[:], RankScores(valuesHist(values[0]), valuesHist(values[1])))
	}
	return a.Phi()
}

// TestAlikeOfEqualHalves: where both halves happen to be equal, each batch with the same units says so again; that is no proof that a unit's values aren't alike. It is where units come once.
func TestAlikeOfEqualHalves(t *testing.T) {
	even := []float64{100, 50, 25, 12.5, 6.25, 3.125, 1.5625, 1.5625}
	uneven := []float64{108, 44, 30, 10, 4, 2, 1, 1}
	several := []float64{128, 32, 26, 6, 4, 2, 1, 1}
	for _, row := range []struct {
		name        string
		excess      float64   // of a block's scores, in standard deviations of single values
		odd, even   []float64 // values by slice, in turns
		blocks      int
		least, most float64
	}{
		{"units that stay", .1, uneven, uneven, 60, 20, math.Inf(1)},
		{"units that stay for good", .1, uneven, uneven, 2000, 20, math.Inf(1)},
		{"units with several values that stay", .1, several, several, 60, 20, math.Inf(1)},
		{"units that come once", .1, even, even, 60, 1, 2},
		{"units with several values that come once, and differ more within one than between two", .1, several, mirrored(even, several), 60, 1, 5},
	} {
		shares := make([]float64, len(even))
		for i := range shares {
			shares[i] = math.Ldexp(1, 40-min(i+1, len(shares)-1))
		}
		a := NewAlike(len(shares), 1, 0, 2)
		for i := range row.blocks {
			a.Add(shares, [][]float64{row.odd, row.even}[i%2], Scores{Excess: 5 * row.excess, Variance: 25, Events: 100})
		}
		if phi := a.Phi(); phi < row.least || phi > row.most {
			t.Errorf("%s: phi %.3g, want %g to %g", row.name, phi, row.least, row.most)
		}
	}
}

// mirrored are sizes on the other side of the middle ones.
func mirrored(middle, sizes []float64) []float64 {
	other := make([]float64, len(sizes))
	for i, n := range sizes {
		other[i] = max(0, 2*middle[i]-n)
	}
	return other
}

// TestStayLimit: of batches whose variance phi is a part that is new in each of them and one that is the same in several on end, the limit is above phi in 95 % of draws, and not much more where nothing stays.
func TestStayLimit(t *testing.T) {
	for _, row := range []struct {
		rho, size, comeBack, units float64 // as often as units change, over all batches
		longer                     float64 // the limit by phi, in the middle: at most
	}{
		{0, 5, 1, 100, 1.3}, {.5, 5, 1, 100, 1.3}, {0, 5, 12, 20, 1.7}, {.1, 5, 12, 20, 1.9}, {.5, 5, 12, 10, 2.5}, {1, 5, 12, 10, 2.6},
		{.5, 25, 3, 4, 6}, {.01, 25, 5, 30, 1.5},
	} {
		random := rand.New(rand.NewPCG(uint64(100*row.rho), uint64(row.comeBack)))
		const runs = 4000
		phi, most := 1+row.rho*(row.size-1), 20*row.size
		below, limits := 0, make([]float64, runs)
		for run := range runs {
			sum := 0.0
			for range int(row.units) {
				stays := math.Sqrt(row.rho*row.size) * random.NormFloat64()
				for range int(row.comeBack) {
					x := stays + math.Sqrt(1-row.rho)*random.NormFloat64()
					sum += x * x
				}
			}
			nu := row.units * row.comeBack
			limits[run] = stay{row.size, most, row.comeBack}.limit(sum/nu, nu)
			if limits[run] < phi {
				below++
			}
		}
		slices.Sort(limits)
		t.Logf("%+v: phi %.3g, limits %.3g to %.3g, in the middle %.3g; below in %.1f %%", row, phi, limits[0], limits[runs-1], limits[runs/2], 100*float64(below)/runs)
		if below > runs*6/100 || limits[runs/2] > row.longer*phi {
			t.Errorf("%+v: below phi %.3g in %d of %d, in the middle %.3g", row, phi, below, runs, limits[runs/2])
		}
	}
}

// TestAlikeContrasts: several contrasts say of few batches what one says of many; each counts by its own variance.
func TestAlikeContrasts(t *testing.T) {
	shares, sizes := []float64{1 << 40, 1 << 40}, []float64{100, 100}
	for _, contrasts := range []int{1, 4} {
		random := rand.New(rand.NewPCG(2, 2))
		a := NewAlike(len(shares), contrasts, 0, 1.5)
		scores := make([]Scores, contrasts)
		for range 400 / contrasts {
			for i := range scores {
				sd := math.Ldexp(1, i)
				scores[i] = Scores{Excess: 2 * sd * random.NormFloat64(), Variance: sd * sd, Events: 100}
			}
			a.Add(shares, sizes, scores...)
		}
		b := a.batch(0, 2)
		if phi, nu := b.u/b.v, b.v*b.v/b.vv; b.m != float64(400/contrasts) || math.Abs(nu-400) > 1e-6 || math.Abs(phi-4) > 1 {
			t.Errorf("%d contrasts: %g batches, %g degrees of freedom, phi %g; want %d, 400 and 4", contrasts, b.m, nu, phi, 400/contrasts)
		}
		if b := a.batch(0, 20); math.Abs(b.v*b.v/b.vv-float64(400/contrasts)) > 1e-6 {
			t.Errorf("%d contrasts, of units of 20 in slices of 100: they have a say beside the first one", contrasts)
		}
	}
}

// TestAlikeAllocatesNothing: a block costs no memory.
func TestAlikeAllocatesNothing(t *testing.T) {
	a := NewAlike(2, 2, 10_000, 1.5)
	half, rest := valuesHist([]int32{1, 2, 2, 3}), valuesHist([]int32{2, 3, 4, 9})
	n, k := []float64{1 << 40, 1 << 40}, []float64{4, 4}
	if got := testing.AllocsPerRun(200, func() {
		a.Add(n, k, TailScores(half, rest, 250_000), RankScores(half, rest))
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
	if _, limit, few := even.limitOf(stay{1, 1, 1}); few || math.Abs(limit-10/3.94) > .05 { // 3.94 is the 5 % point for ten degrees
		t.Errorf("ten batches: %g, few %t", limit, few)
	}
	for range 60 {
		heavy.close(1, 1)
	}
	heavy.close(1000, 1000)
	if _, limit, few := heavy.limitOf(stay{1, 1, 1}); !few || !math.IsInf(limit, 1) {
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
