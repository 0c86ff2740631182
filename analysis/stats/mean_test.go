package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// TestMeanNeverPaysUnderItsNull: two-point laws, from mildly to absurdly skewed either way, with the variance that the test is told or less, at
// the margin and well within it. Two-point laws are the extreme ones for a mean and a variance.
func TestMeanNeverPaysUnderItsNull(t *testing.T) {
	const variance = 2.5
	grid := []float64{1e-4, 0.002, 0.1, 1, 5, 100}
	inc := make([]float64, len(grid))
	for _, m := range []Mean{{Rho0: 1}, {Rho0: 0.8, Delta: 3}, {Rho0: 1, Delta: -0.5}, {Delta: 10}, {Rho0: -0.3, Delta: 4}} {
		m.Grid = grid
		for _, m.Side = range []int{1, -1} {
			for _, n := range [][2]float64{{1, 1}, {3, 400}, {5000, 80}} {
				sd := math.Sqrt(variance * (1/n[0] + m.Rho0*m.Rho0/n[1]))
				for _, p := range []float64{1e-9, 1e-4, 0.01, 0.058, 0.3, 0.5, 0.9, 0.999} {
					for _, noise := range []float64{1, 0.7} {
						for _, within := range []float64{0, 0.3, 5} {
							up, down := math.Sqrt((1-p)/p), -math.Sqrt(p/(1-p))
							var got [6]float64
							for i, chance := range []float64{p, 1 - p} {
								d := float64(m.Side) * (noise*sd*[2]float64{up, down}[i] - within*sd)
								mb := 7.0
								m.Increments(inc, Means{n[0], m.Rho0*mb + m.Delta + d, n[1], mb}, variance)
								for j, x := range inc {
									got[j] += chance * math.Exp(x)
								}
							}
							for j, e := range got {
								if !(e <= 1+1e-9) {
									t.Errorf("%+v, sizes %v, chance %v, noise %v, %v within: bet %v has a mean e-value of %v", m, n, p, noise, within, grid[j], e)
								}
							}
						}
					}
				}
			}
		}
	}
}

// TestMeanIsBennettsBound: the increment, written out.
func TestMeanIsBennettsBound(t *testing.T) {
	m := Mean{Rho0: 0.9, Delta: 0.1, Side: -1, Grid: []float64{0.001, 0.05, 2}}
	inc := make([]float64, 3)
	c := Means{Nc: 40, Mc: 0.55, Nb: 360, Mb: 0.6}
	if !m.Increments(inc, c, 0.04) {
		t.Fatal("skipped")
	}
	size := 1 / (1./40 + 0.81/360)
	z := -(0.55 - 0.54 - 0.1) / math.Sqrt(0.04/size)
	for j, y := range m.Grid {
		x := min(y*math.Sqrt(size), math.Log(10)/3)
		want := x*min(3, z) - (math.Exp(3*x)-1-3*x)/9
		tolerance{Abs: 1e-12}.check(t, fmt.Sprint("bet ", y), inc[j], want)
	}
	for _, x := range []float64{0, 1e-8, 0.00333, 0.00334, 0.3} {
		want := 0.0 // by its series, one term after the other
		for n, term := 2., 4.5*x*x; n < 60; n++ {
			want += term / 9
			term *= 3 * x / (n + 1)
		}
		tolerance{Rel: 1e-11}.check(t, fmt.Sprint("Bennett's at ", x), bennett(x), want)
	}
}

func TestMeanSkipsWhatSaysNothing(t *testing.T) {
	both := Mean{Rho0: 1, Side: 1, Grid: []float64{1}}
	for _, row := range []struct {
		name     string
		test     Mean
		in       Means
		variance float64
		want     bool
	}{
		{"both arms", both, Means{5, 1, 5, 1}, 1, true},
		{"no canary", both, Means{0, 0, 5, 1}, 1, false},
		{"no baseline", both, Means{5, 1, 0, 0}, 1, false},
		{"an absolute limit needs no baseline", Mean{Delta: 1, Side: 1, Grid: both.Grid}, Means{5, 1, 0, 0}, 1, true},
		{"variance not known yet", both, Means{5, 1, 5, 1}, math.Inf(1), false},
		{"no variance", both, Means{5, 1, 5, 1}, 0, false},
	} {
		inc := []float64{42}
		got := row.test.Increments(inc, row.in, row.variance)
		if got != row.want || got != (inc[0] != 42) {
			t.Errorf("%s: %v, increments %v; want %v", row.name, got, inc, row.want)
		}
	}
	for _, m := range []Means{{-1, 0, 1, 0}, {1, math.NaN(), 1, 0}, {1, 0, 1, math.Inf(1)}, {math.Inf(1), 0, 1, 0}} {
		mustPanic(t, fmt.Sprint(m), func() { both.Increments(make([]float64, 1), m, 1) })
	}
	mustPanic(t, "side 0", func() { Mean{Rho0: 1}.Increments(nil, Means{1, 0, 1, 0}, 1) })
	mustPanic(t, "a variance of NaN", func() { both.Increments(make([]float64, 1), Means{1, 0, 1, 0}, math.NaN()) })
}

// longRunTwin is the limit of one batch size, in two passes, with its sums written out and the exact chi-square.
func longRunTwin(blocks []Means, size int) (limit float64, batches int) {
	var xs []float64
	for i := 0; i+size <= len(blocks); i += size {
		sum, weight := 0.0, 0.0
		for _, b := range blocks[i : i+size] {
			w := 1 / (1/b.Nc + 1/b.Nb)
			sum, weight = sum+w*(b.Mc-b.Mb), weight+w
		}
		xs = append(xs, sum/math.Sqrt(weight))
	}
	if len(xs) < 5 {
		return 0, len(xs)
	}
	m, mean, squares := float64(len(xs)), 0.0, 0.0
	for _, x := range xs {
		mean += x * x / m
	}
	product, both := 0.0, 0.0
	for i, x := range xs {
		squares += (x*x - mean) * (x*x - mean)
		if i > 0 {
			product, both = product+x*xs[i-1], both+(x*x+xs[i-1]*xs[i-1])/2
		}
	}
	alike := func(r float64) float64 {
		sum := 1.0
		for k := 1; k < len(xs); k++ {
			sum += 2 * (1 - float64(k)/m) * math.Pow(r, float64(k))
		}
		return sum
	}
	r := max(0, product/both)
	degrees := min(m/alike(r*r), 2*mean*mean*m*(m-1)/squares)
	return mean * alike(r) * degrees / distuv.ChiSquared{K: degrees}.Quantile(.05), len(xs)
}

func TestLongRunBatches(t *testing.T) {
	r := rand.New(rand.NewPCG(83, 1))
	var l LongRun
	var blocks []Means
	wobble := 0.0
	for i := range 400 {
		wobble = 0.9*wobble + 0.1*r.NormFloat64()
		b := Means{float64(5 + r.IntN(9)), 2 + wobble + 0.1*r.NormFloat64(), float64(50 + r.IntN(90)), 2 + 0.1*r.NormFloat64()}
		blocks = append(blocks, b)
		l.Add(b)
		l.Add(Means{Nc: 0, Nb: 9, Mb: 3}) // an empty part is left out
		want := 0.0
		for _, size := range []int{1, 3, 9} {
			if limit, batches := longRunTwin(blocks, size); batches >= 5 {
				want = max(want, limit)
			}
		}
		if limit, batches := longRunTwin(blocks, 27); batches >= 12 {
			want = max(want, limit)
		}
		if i+1 < 30 {
			want = math.Inf(1)
		}
		if got := l.Variance(); got != want && !(got >= want*(1-1e-2) && got <= want*1.1) { // the chi-square is a little low
			t.Fatalf("after %d blocks: %v, want %v", i+1, got, want)
		}
		if got := l.Variance(); got != want && got != l.limit {
			t.Fatalf("after %d blocks: %v when asked again, not %v", i+1, got, l.limit)
		}
	}
	if single, _ := longRunTwin(blocks, 1); !(l.Variance() >= single) {
		t.Errorf("the limit %v is below that of single blocks, %v", l.Variance(), single)
	}
	mustPanic(t, "a mean of NaN", func() { l.Add(Means{1, math.NaN(), 1, 0}) })
}

// TestLowChiSquare: the floor is never above the exact one, and not far below it.
func TestLowChiSquare(t *testing.T) {
	for nu := 1.0; nu < 3000; nu *= 1.05 {
		exact := distuv.ChiSquared{K: nu}.Quantile(.05) / nu
		if got := lowChiSquare(nu); !(got <= exact*1.001 && got >= exact*.93) {
			t.Errorf("a chi-square with %v degrees of freedom: %v, exactly %v", nu, got, exact)
		}
	}
}

// TestLongRunAtItsEdges: a gauge that never moves, one that differs always, and one that moved once.
func TestLongRunAtItsEdges(t *testing.T) {
	feed := func(d func(i int) float64) float64 {
		var l LongRun
		for i := range 100 {
			l.Add(Means{10, 5 + d(i), 10, 5})
		}
		return l.Variance()
	}
	if got := feed(func(int) float64 { return 0 }); got != 0 {
		t.Errorf("a gauge that never moves has variance %v", got)
	}
	// A constant difference of 1 at weight 5 adds up to U = 100 * 5 in 100 blocks, and is worth one degree of freedom.
	tolerance{Rel: 1e-9}.check(t, "a constant difference", feed(func(int) float64 { return 1 }), 500/lowChiSquare(1))
	once := feed(func(i int) float64 {
		if i == 17 {
			return 1
		}
		return 0
	})
	if !(once > 5*0.05 && once < 100*0.05) { // its mean U is 0.05, and who can tell?
		t.Errorf("one jump in a hundred blocks: variance %v", once)
	}
}

// gaugeWorld is a canary of two hosts beside ten of the baseline, or as many as hosts says, of which as many as the canary has, at most half, are the A/A part; each host's level wobbles with
// correlation rho from block to block, or is a user's, who stays for so many blocks and then makes room for another.
type gaugeWorld struct {
	rho, wobble float64
	hosts       [2]int
	stays       int
}

// A gaugeRun is one rollout, with an effect from the block onset on.
type gaugeRun struct {
	seed          uint64
	blocks, onset int
	effect        float64
}

// play is the block at which the evidence reaches log(1/alpha), alpha 0.05, with the variance that the rollout itself has measured so far, or -1: by the
// start mixture of Mean, and by the closed form, whose scale is fixed when the variance is first known.
// most is the greatest log evidence by the start mixture.
func (w gaugeWorld) play(run gaugeRun) (product, closed int, most float64) {
	r := rand.New(rand.NewPCG(84, run.seed))
	canary, baseline := 2, 10
	if w.hosts[0] > 0 {
		canary, baseline = w.hosts[0], w.hosts[1]
	}
	part := canary + min(canary, baseline/2)
	level, at := make([]float64, canary+baseline), make([]float64, canary+baseline)
	for h := range level {
		level[h] = w.wobble * r.NormFloat64()
	}
	mean := func(hosts []float64) float64 {
		sum := 0.0
		for _, x := range hosts {
			sum += x
		}
		return sum / float64(len(hosts))
	}
	const each = 6 // samples of a host in a block
	var longRun LongRun
	var form *NormalMixture
	m, inc := NewMixture(len(MeanGrid)), make([]float64, len(MeanGrid))
	test := Mean{Rho0: 1, Side: 1, Grid: MeanGrid}
	product, closed = -1, -1
	for t := range run.blocks {
		for h := range level {
			if w.stays == 0 {
				level[h] = w.rho*level[h] + math.Sqrt(1-w.rho*w.rho)*w.wobble*r.NormFloat64()
			} else if (t+h)%w.stays == 0 {
				level[h] = w.wobble * r.NormFloat64()
			}
			at[h] = 0.5 + level[h] + 0.04*r.NormFloat64()
		}
		arms := Means{float64(each * canary), mean(at[:canary]), float64(each * baseline), mean(at[canary:])}
		if t >= run.onset {
			arms.Mc += run.effect
		}
		v := longRun.Variance()
		if test.Increments(inc, arms, v) {
			m.Step(inc, StartWeight(int64(t), int64(run.blocks)))
			if form == nil {
				form = NewNormalMixture(MixtureScale(0.05, v*10*float64(run.blocks)/5))
			}
			form.Add(arms.Mc-arms.Mb, v*(1/arms.Nc+1/arms.Nb), 10)
			if closed < 0 && form.LogE(1) >= math.Log(20) {
				closed = t
			}
		}
		if product < 0 && m.LogE() >= math.Log(20) {
			product = t
		}
		longRun.Add(Means{float64(each * (part - canary)), mean(at[canary:part]), float64(each * (len(at) - part)), mean(at[part:])})
	}
	return product, closed, m.LogMax()
}

// TestMeanUnderAutocorrelation: with the long-run variance that the same rollout measures, from its first block on, the error rate is kept where
// noise lasts: for a few blocks, or for a hundred; of hosts that differ for good it is printed. (Batches of up to 25 blocks, and the limit of their mean alone, let up to 40 % alarm.)
func TestMeanUnderAutocorrelation(t *testing.T) {
	runs := max(60, *runs/2)
	worlds := []gaugeWorld{
		{}, {rho: 0.6, wobble: 0.02}, {rho: 0.9, wobble: 0.02}, {rho: 0.9, wobble: 0.1}, {rho: 0.97, wobble: 0.05}, {rho: 0.99, wobble: 0.05},
		{rho: 1, wobble: 0.02, hosts: [2]int{6, 24}}, {wobble: 0.15, hosts: [2]int{40, 160}, stays: 60}, {wobble: 0.05, hosts: [2]int{60, 60}, stays: 60},
	}
	for _, hosts := range [][2]int{{6, 24}, {4, 4}, {2, 2}} {
		for _, rho := range []float64{.95, .98, .99} {
			worlds = append(worlds, gaugeWorld{rho: rho, wobble: .15, hosts: hosts})
		}
	}
	for _, w := range worlds {
		blocks := 1000
		if w.hosts[0] > 0 {
			blocks = 500
		}
		alphas, alarms := [2]float64{0.05, 0.01}, [2]int{}
		for run := range runs {
			_, _, most := w.play(gaugeRun{seed: uint64(run), blocks: blocks, onset: blocks})
			for i, alpha := range alphas {
				if most >= math.Log(1/alpha) {
					alarms[i]++
				}
			}
		}
		for i, alpha := range alphas {
			if limit := binomialLimit(runs, alpha); w.rho < 1 && alarms[i] > limit {
				t.Errorf("%+v: %d of %d healthy runs alarmed at %v; more than %d is no accident", w, alarms[i], runs, alpha, limit)
			}
		}
		t.Logf("%+v: %v of %d healthy runs alarmed at %v", w, alarms, runs, alphas)
	}
}

// TestMeanFindsLateHarm: as fast as early harm; the closed form first has to repay the healthy time.
func TestMeanFindsLateHarm(t *testing.T) {
	const blocks = 1000
	for _, row := range []struct {
		world  gaugeWorld
		effect float64
	}{{gaugeWorld{}, 0.05}, {gaugeWorld{rho: 0.6, wobble: 0.02}, 0.08}, {gaugeWorld{rho: 0.9, wobble: 0.1}, 0.5}} {
		for _, onset := range []int{60, 600} {
			var product, closed []int
			for run := range uint64(21) {
				p, c, _ := row.world.play(gaugeRun{run, blocks, onset, row.effect})
				if p < 0 {
					p = blocks
				}
				if c < 0 {
					c = blocks
				}
				product, closed = append(product, p-onset), append(closed, c-onset)
			}
			slices.Sort(product)
			slices.Sort(closed)
			t.Logf("%+v, %v from block %d on: found after a median of %d blocks, by the closed form %d", row.world, row.effect, onset, product[10], closed[10])
			if onset == 600 && (product[10] < 0 || product[10] > 60 || product[10] >= closed[10]) {
				t.Errorf("late harm of %v in %+v was found after %d blocks, by the closed form %d", row.effect, row.world, product[10], closed[10])
			}
		}
	}
}

// TestNormalMixtureIsTheIntegral: the closed forms against the mixture over normal bets by quadrature.
func TestNormalMixtureIsTheIntegral(t *testing.T) {
	for _, scale := range []float64{0.01, 1, 300} {
		for _, sum := range []float64{-10, -1, 0, 0.2, 4, 10} {
			n := NewNormalMixture(scale)
			n.Add(sum/2, 0.7/4, 2)
			const steps, reach = 100_000, 45.
			logs := map[int][]float64{1: nil, -1: nil, 0: nil}
			sd := math.Sqrt(scale)
			for i := range steps {
				bet := sd * reach * ((float64(i)+0.5)/steps*2 - 1)
				log := bet*sum - bet*bet*0.7/2 - bet*bet/scale/2 - math.Log(2*math.Pi*scale)/2 + math.Log(2*reach*sd/steps)
				logs[0] = append(logs[0], log)
				if bet > 0 {
					logs[1] = append(logs[1], log+math.Ln2)
				} else {
					logs[-1] = append(logs[-1], log+math.Ln2)
				}
			}
			for side, terms := range logs {
				tolerance{Abs: 2e-3}.check(t, fmt.Sprintf("scale %v, sum %v, side %d", scale, sum, side), n.LogE(side), logSumExp(terms))
			}
		}
	}
}

// TestNormalMixtureFarOut: where the normal distribution is 0 in floating point, and at the border of the series.
func TestNormalMixtureFarOut(t *testing.T) {
	for _, row := range []struct{ x, want float64 }{
		// log Mills' ratio by its continued fraction, less log sqrt(2 pi).
		{-29.999, mills(29.999)}, {-30.001, mills(30.001)}, {-200, mills(200)}, {-1e8, mills(1e8)}, {-10, mills(10)},
		{0, -math.Ln2}, {40, 800},
	} {
		tolerance{Abs: 1e-11, Rel: 1e-13}.check(t, fmt.Sprint("at ", row.x), logNormalTilt(row.x), row.want)
	}
}

// mills is x²/2 + log Phi(-x) for x of some size: 1/(x + 1/(x + 2/(x + 3/…))) times the density.
func mills(x float64) float64 {
	fraction := x
	for n := 400.; n >= 1; n-- {
		fraction = x + n/fraction
	}
	return -math.Log(fraction) - math.Log(2*math.Pi)/2
}

func TestNormalMixtureInterval(t *testing.T) {
	n := NewNormalMixture(MixtureScale(0.05, 100))
	if lower, upper := n.Interval(0.05); !math.IsInf(lower, -1) || !math.IsInf(upper, 1) {
		t.Errorf("before the first block: %v to %v", lower, upper)
	}
	for range 100 {
		n.Add(0.25, 1, 1)
		n.Add(9, 0, 1)           // no variance
		n.Add(9, 1, 0)           // no weight
		n.Add(9, math.Inf(1), 1) // not known
	}
	// At the bounds, the two-sided mixture of the contrasts less the bound is 1/alpha.
	lower, upper := n.Interval(0.05)
	for _, bound := range []float64{lower, upper} {
		shifted := NewNormalMixture(n.scale)
		for range 100 {
			shifted.Add(0.25-bound, 1, 1)
		}
		tolerance{Abs: 1e-9}.check(t, fmt.Sprint("log e at ", bound), shifted.LogE(0), math.Log(20))
	}
	// Tuned to V = 100, it is as tight there as any scale makes it, but for the approximation of the rule.
	width := upper - lower
	for _, factor := range []float64{0.3, 0.7, 1.4, 3} {
		other := NewNormalMixture(n.scale * factor)
		other.Add(25, 100, 1)
		if lower, upper := other.Interval(0.05); (upper-lower)/100 < width*0.995 {
			t.Errorf("a scale %v times as large is tighter: %v, not %v", factor, (upper-lower)/100, width)
		}
	}
	mustPanic(t, "scale 0", func() { NewNormalMixture(0) })
	mustPanic(t, "alpha 0", func() { MixtureScale(0, 1) })
	mustPanic(t, "variance NaN", func() { n.Add(1, math.NaN(), 1) })
	mustPanic(t, "contrast Inf", func() { n.Add(math.Inf(1), 1, 1) })
}
