package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// eachBernoulli calls do for every null, side, bet and plug-in rate, right and wrong ones.
func eachBernoulli(do func(b Bernoulli, q float64)) {
	nulls := append([]Linear{{Rho0: 1, Delta: -0.05}, {Rho0: 1.1, Delta: -0.01}}, linearNulls...)
	for _, l := range nulls {
		for _, side := range []int{1, -1} {
			for _, q := range []float64{1e-9, 0.003, 0.06, 0.1, 0.4, 0.75, 1 - 1e-6} {
				do(Bernoulli{Rho0: l.Rho0, Delta: l.Delta, Side: side, Grid: []float64{0.01, 0.1, 0.5, 1, 3, 30}}, q)
			}
		}
	}
}

// meanE is the expectation of each bet's e-value when the counts of nc and nb events have these laws.
func meanE(b Bernoulli, at [2]float64, canary, baseline law) []float64 {
	q, phi := at[0], at[1]
	inc, sum := make([]float64, len(b.Grid)), make([]float64, len(b.Grid))
	for kc, c := range canary {
		for kb, p := range baseline {
			if !b.Increments(inc, Counts{float64(len(canary) - 1), float64(kc), float64(len(baseline) - 1), float64(kb)}, q, phi) {
				clear(inc)
			}
			for j := range sum {
				sum[j] += math.Exp(c + p + inc[j])
			}
		}
	}
	return sum
}

// full is the binomial law with a place for each of 0 … n.
func full(n int, p float64) law {
	l := binomialLaw(n, p)
	for len(l) <= n {
		l = append(l, math.Inf(-1))
	}
	return l
}

func TestBernoulliNeverPaysUnderItsNull(t *testing.T) {
	took := 0
	eachBernoulli(func(b Bernoulli, q float64) {
		for _, n := range [][2]int{{1, 1}, {1, 7}, {5, 2}, {4, 9}} {
			for _, pb := range []float64{0, 0.003, 0.1, 0.4, 0.75} {
				pc := b.Rho0*pb + b.Delta
				if pc < 0 || pc > 1 {
					continue
				}
				took++
				for j, got := range meanE(b, [2]float64{q, 1}, full(n[0], pc), full(n[1], pb)) {
					if !(got <= 1+1e-12) {
						t.Errorf("%+v, n %v, rate %v, plug-in %v, bet %v: mean e-value %v", b, n, pb, q, b.Grid[j], got)
					}
				}
			}
		}
	})
	if took < 1000 {
		t.Errorf("only %d cases", took)
	}
}

// TestBernoulliNeverPaysForMixedEvents: events of one arm with different chances: only their mean counts.
func TestBernoulliNeverPaysForMixedEvents(t *testing.T) {
	// Two of the canary with chances 0.1 and 0.7, three of the baseline with 0.2, 0.4 and 0.6: both means are 0.4.
	mixed := func(chances ...float64) law {
		counts := []float64{1}
		for _, p := range chances {
			next := make([]float64, len(counts)+1)
			for k, c := range counts {
				next[k] += c * (1 - p)
				next[k+1] += c * p
			}
			counts = next
		}
		for k := range counts {
			counts[k] = math.Log(counts[k])
		}
		return counts
	}
	for _, side := range []int{1, -1} {
		for _, q := range []float64{0.1, 0.4, 0.8} {
			b := Bernoulli{Rho0: 1, Side: side, Grid: []float64{0.05, 0.5, 3}}
			for j, got := range meanE(b, [2]float64{q, 1}, mixed(0.1, 0.7), mixed(0.2, 0.4, 0.6)) {
				if !(got <= 1+1e-12) {
					t.Errorf("side %d, plug-in %v, bet %v: mean e-value %v", side, q, b.Grid[j], got)
				}
			}
		}
	}
}

// TestBernoulliNeverPaysForUnits: units of up to phi events that share their outcome, or hardly do (one of each unit's events at most is a hit).
func TestBernoulliNeverPaysForUnits(t *testing.T) {
	const phi = 3.0
	// unit is the law of a unit's hits among its events, for a rate p per event.
	shared := func(size int, p float64) law {
		l := make(law, size+1)
		for k := range l {
			l[k] = math.Inf(-1)
		}
		l[0], l[size] = math.Log1p(-p), math.Log(p)
		return l
	}
	exclusive := func(size int, p float64) law {
		l := shared(size, 0.5)
		l[size] = math.Inf(-1)
		l[0], l[1] = math.Log1p(-float64(size)*p), math.Log(float64(size)*p)
		return l
	}
	for _, unit := range []func(int, float64) law{shared, exclusive} {
		for _, sizes := range [][2]int{{1, 3}, {3, 3}, {2, 1}} {
			for _, pb := range []float64{0.05, 0.2} {
				for _, side := range []int{1, -1} {
					for _, q := range []float64{0.02, 0.2, 0.5} {
						b := Bernoulli{Rho0: 1.2, Delta: 0.01, Side: side, Grid: []float64{0.1, 0.7, 3}}
						canary, baseline := twice(unit(sizes[0], 1.2*pb+0.01)), twice(unit(sizes[1], pb))
						for j, got := range meanE(b, [2]float64{q, phi}, canary, baseline) {
							if !(got <= 1+1e-12) {
								t.Errorf("sizes %v, rate %v, side %d, plug-in %v, bet %v: mean e-value %v", sizes, pb, side, q, b.Grid[j], got)
							}
						}
					}
				}
			}
		}
	}
}

// twice is the law of the sum of two independent units.
func twice(l law) law {
	sum := make(law, 2*len(l)-1)
	for k := range sum {
		sum[k] = math.Inf(-1)
	}
	for a, x := range l {
		for b, y := range l {
			sum[a+b] = logAddExp(sum[a+b], x+y)
		}
	}
	return sum
}

// TestThePlugInMustNotSeeTheBlock: why Rate comes before Add. A plug-in that is the better one of two after the fact has a mean e-value above 1.
func TestThePlugInMustNotSeeTheBlock(t *testing.T) {
	b, inc, sum := Bernoulli{Rho0: 1, Side: 1, Grid: []float64{1}}, make([]float64, 1), 0.0
	for _, o := range pairs(Linear{Rho0: 1}, 3, 2, 0.3) {
		best := math.Inf(-1)
		for _, q := range []float64{0.1, 0.6} {
			b.Increments(inc, o.block.(Counts), q, 1)
			best = max(best, inc[0])
		}
		sum += o.chance * math.Exp(best)
	}
	if sum < 1.05 {
		t.Errorf("mean e-value %v", sum)
	}
}

// TestBernoulliGrowth: the expected log e-value of one block at the bet that fits the truth, against the reference's table and
// Linear's. (Increments are linear in the counts: those at the mean counts are their means.)
func TestBernoulliGrowth(t *testing.T) {
	for _, row := range []struct {
		n             [2]int
		p             [2]float64
		off           float64 // the plug-in as a multiple of the truth
		block, linear float64
	}{
		{[2]int{200, 19800}, [2]float64{.002, .001}, 1, .07636, .07626},
		{[2]int{5000, 15000}, [2]float64{.018, .02}, 1, .39914, .3915},
		{[2]int{5000, 15000}, [2]float64{.018, .02}, .5, .3973, .3915},
		{[2]int{300, 300}, [2]float64{.3, .25}, 1, .9376, .683},
		{[2]int{300, 300}, [2]float64{.3, .25}, .5, .841, .683},
		{[2]int{300, 300}, [2]float64{.3, .25}, 2, .245, .683},
		{[2]int{50, 950}, [2]float64{.6, .5}, 1, .9565, .445},
		{[2]int{50, 950}, [2]float64{.6, .5}, .5, .715, .445},
	} {
		side, x := 1, math.Log(row.p[0]/row.p[1])
		if x < 0 {
			side, x = -1, -x
		}
		c := Counts{float64(row.n[0]), row.p[0] * float64(row.n[0]), float64(row.n[1]), row.p[1] * float64(row.n[1])}
		var block, linear [1]float64
		Bernoulli{Rho0: 1, Side: side, Grid: []float64{x}}.Increments(block[:], c, row.off*row.p[1], 1)
		Linear{Rho0: 1, Side: side, Grid: []float64{x}}.Increments(linear[:], c, 1, 1)
		digits := tolerance{Rel: 1e-3}
		digits.check(t, fmt.Sprintf("Bernoulli with %v of %v, plug-in off by %v", row.n, row.p, row.off), block[0], row.block)
		digits.check(t, fmt.Sprintf("Linear with %v of %v", row.n, row.p), linear[0], row.linear)
	}
}

// TestInsuredAgainstAWrongPlugIn: the insurance bounds what a plug-in costs that an outage in both arms has driven off.
func TestInsuredAgainstAWrongPlugIn(t *testing.T) {
	grid := IncidentGrid
	block, linear := Bernoulli{Rho0: 1, Side: 1, Grid: grid}, Linear{Rho0: 1, Side: 1, Grid: grid}
	insured, alone := NewInsured(len(grid), len(grid)), NewMixture(len(grid))
	inc, dst := make([]float64, len(grid)), make([]float64, len(grid))
	for at := range int64(30) {
		c := Counts{300, 105, 300, 75}
		block.Increments(inc, c, 0.98, 1) // the truth is 0.25
		linear.Increments(dst, c, 1, 1)
		insured.Step(inc, dst, StartWeight(at, 100))
		alone.Step(dst, StartWeight(at, 100))
	}
	if got, least := insured.LogE(), alone.LogE()-math.Log(10); !(alone.LogE() > 10) || !(got >= least-1e-9) {
		t.Errorf("log e %v, by Linear alone %v", got, alone.LogE())
	}
	if insured.LogMax() != insured.LogE() {
		t.Errorf("maximum %v, now %v", insured.LogMax(), insured.LogE())
	}
}

// TestInsuredIsTheDoubleSum compares it with the sum over every start, point and part, written out.
func TestInsuredIsTheDoubleSum(t *testing.T) {
	r := rand.New(rand.NewPCG(81, 1))
	const points, steps = 3, 25
	insured := NewInsured(points, points)
	var incs [2][][]float64
	var weights []float64
	for step := range steps {
		var parts [2][]float64
		for i := range parts {
			for range points {
				parts[i] = append(parts[i], r.NormFloat64())
			}
		}
		taken := parts[0]
		if step%5 == 2 { // Bernoulli skips a block that Linear takes
			taken, parts[0] = nil, make([]float64, points)
		}
		weights = append(weights, StartWeight(int64(step), 10))
		insured.Step(taken, parts[1], weights[step])
		incs[0], incs[1] = append(incs[0], parts[0]), append(incs[1], parts[1])
		sum, cash := 0.0, 1.0
		for from, w := range weights {
			cash -= w
			for i, stake := range []float64{0.9, 0.1} {
				for j := range points {
					log := 0.0
					for _, later := range incs[i][from:] {
						log += later[j]
					}
					sum += stake * w * math.Exp(log) / points
				}
			}
		}
		if want := math.Log(sum + cash); math.Abs(insured.LogE()-want) > 1e-9 {
			t.Fatalf("step %d: log e %v, want %v", step, insured.LogE(), want)
		}
	}
}

func TestBernoulliSkipsWhatSaysNothing(t *testing.T) {
	for _, row := range []struct {
		name string
		test Bernoulli
		in   Counts
		q    float64
		want bool
	}{
		{"both arms", Bernoulli{Rho0: 1, Side: 1}, Counts{5, 0, 5, 0}, 0.1, true},
		{"no canary", Bernoulli{Rho0: 1, Side: 1}, Counts{0, 0, 5, 1}, 0.1, false},
		{"no baseline", Bernoulli{Rho0: 1, Side: 1}, Counts{5, 1, 0, 0}, 0.1, false},
		{"an absolute limit needs no baseline", Bernoulli{Delta: 0.1, Side: 1}, Counts{5, 1, 0, 0}, 0.5, true},
		{"a margin beyond all rates", Bernoulli{Rho0: 1, Delta: 0.6, Side: 1}, Counts{5, 1, 5, 2}, 0.5, false},
		{"a margin below all rates", Bernoulli{Rho0: 1, Delta: -0.6, Side: -1}, Counts{5, 1, 5, 2}, 0.5, false},
	} {
		row.test.Grid = []float64{1}
		inc := []float64{42}
		got := row.test.Increments(inc, row.in, row.q, 1)
		if got != row.want || got != (inc[0] != 42) {
			t.Errorf("%s: %v, increments %v; want %v", row.name, got, inc, row.want)
		}
	}
	inc := make([]float64, 1)
	test := Bernoulli{Rho0: 1, Side: 1, Grid: []float64{1}}
	mustPanic(t, "more events than exposures", func() { test.Increments(inc, Counts{1, 2, 5, 0}, 0.1, 1) })
	mustPanic(t, "a plug-in of 0", func() { test.Increments(inc, Counts{1, 1, 5, 0}, 0, 1) })
	mustPanic(t, "side 2", func() { Bernoulli{Rho0: 1, Side: 2}.Increments(nil, Counts{1, 1, 5, 0}, 0.1, 1) })
	mustPanic(t, "no margin at all", func() { Bernoulli{Side: 1}.Increments(nil, Counts{1, 1, 5, 0}, 0.1, 1) })
}

// TestBernoulliStaysFinite: one event can't take all, whatever the plug-in.
func TestBernoulliStaysFinite(t *testing.T) {
	eachBernoulli(func(b Bernoulli, q float64) {
		inc := make([]float64, len(b.Grid))
		for _, block := range oddCounts() {
			if !b.Increments(inc, block.(Counts), q, 1) {
				continue
			}
			for j, x := range inc {
				if math.IsNaN(x) || math.IsInf(x, 0) {
					t.Fatalf("%+v, plug-in %v, bet %v: %+v pays %v", b, q, b.Grid[j], block, x)
				}
			}
		}
	})
}

func TestPlugIn(t *testing.T) {
	r := NewBaselineRate(0.2)
	if got := r.Rate(); got != 0.2 {
		t.Errorf("starts at %v", got)
	}
	r.Add(0, 0)
	if got := r.Rate(); math.Abs(got-0.2) > 1e-15 {
		t.Errorf("an empty block moves it to %v", got)
	}
	for range 200 {
		r.Add(100, 50)
	}
	for range plugInHalfLife {
		r.Add(100, 0)
	}
	if got := r.Rate(); math.Abs(got-0.25) > 0.001 {
		t.Errorf("%v a half life after the rate fell from a half to 0", got)
	}
	for range 5000 {
		r.Add(1e6, 0)
	}
	if got := r.Rate(); got != 1e-9 {
		t.Errorf("without events it comes to %v", got)
	}
	m := NewBaselineMean(0.5)
	m.Add(Samples{10, 10, 10})
	keep := math.Exp2(-1. / plugInHalfLife)
	if got, want := m.Mean(), (2.5*keep+10)/(5*keep+10); math.Abs(got-want) > 1e-15 {
		t.Errorf("mean %v, want %v", got, want)
	}
	for range 9 {
		m.Add(Samples{1e9, 1e9, 1e9})
	}
	if got := m.Mean(); got != 0.999 {
		t.Errorf("all at the top: %v", got)
	}
	for _, seed := range []float64{0, 1, math.NaN(), -3} {
		mustPanic(t, "a seed", func() { NewBaselineRate(seed) })
		mustPanic(t, "a seed", func() { NewBaselineMean(seed) })
	}
	mustPanic(t, "more events than exposures", func() { r.Add(1, 2) })
}

// TestInsuredDelay: at a rate of a half, 4 % less: how much longer than the information bound log(1/alpha) / KL the tests take, with the start mixture.
func TestInsuredDelay(t *testing.T) {
	const alpha, nc, nb, pc, pb, blocks = 0.0125, 100., 300., 0.48, 0.5, 2000
	pool := (nc*pc + nb*pb) / (nc + nb) // the nearest point of the null, but for a term of higher order
	kl := func(p, q float64) float64 { return p*math.Log(p/q) + (1-p)*math.Log((1-p)/(1-q)) }
	bound := math.Log(1/alpha) / (nc*kl(pc, pool) + nb*kl(pb, pool))
	runs := max(40, *runs/3)
	var took [3]float64 // Bernoulli, Linear, both
	grid := EngagementGrid
	block, linear := Bernoulli{Rho0: 1, Side: -1, Grid: grid}, Linear{Rho0: 1, Side: -1, Grid: grid}
	inc, more := make([]float64, len(grid)), make([]float64, len(grid))
	for run := range runs {
		r := rand.New(rand.NewPCG(85, uint64(run)))
		rate := NewBaselineRate(0.3)
		alone, other, insured := NewMixture(len(grid)), NewMixture(len(grid)), NewInsured(len(grid), len(grid))
		for at := range int64(blocks) {
			c := Counts{nc, binomial(r, nc, pc), nb, binomial(r, nb, pb)}
			block.Increments(inc, c, rate.Rate(), 1)
			linear.Increments(more, c, 1, 1)
			rate.Add(c.Nb, c.Kb)
			weight := StartWeight(at, blocks)
			alone.Step(inc, weight)
			other.Step(more, weight)
			insured.Step(inc, more, weight)
			still := false
			for i, most := range []float64{alone.LogMax(), other.LogMax(), insured.LogMax()} {
				if most < math.Log(1/alpha) {
					took[i] += 1 / float64(runs)
					still = true
				}
			}
			if !still {
				break
			}
		}
	}
	t.Logf("mean blocks over the bound of %.1f: Bernoulli %.2f, Linear %.2f, insured %.2f", bound, took[0]/bound, took[1]/bound, took[2]/bound)
	if took[0] > 2*bound || took[2] > 2.1*bound || took[1] < 1.2*took[2] {
		t.Errorf("mean blocks %v, the bound is %v", took, bound)
	}
}
