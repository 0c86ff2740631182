package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSplitPaysExactlyOne(t *testing.T) {
	inc := make([]float64, SplitTilts)
	for _, pi := range []float64{1e-4, 0.01, 0.3, 0.5, 0.95} {
		for _, n := range []int{0, 1, 4, 30} {
			for j := range inc {
				got := binomialLaw(n, pi).pays(func(k float64) float64 {
					SplitIncrements(inc, float64(n), k, pi)
					return inc[j]
				})
				if math.Abs(got-1) > 1e-12 {
					t.Errorf("share %v, %d units, tilt %v: mean e-value %v, want 1", pi, n, splitGrid[j], got)
				}
			}
		}
	}
	mustPanic(t, "a share of 1", func() { SplitIncrements(inc, 1, 1, 1) })
	mustPanic(t, "more than all", func() { SplitIncrements(inc, 1, 2, 0.5) })
}

func TestTiltPaysExactlyOneOnItsLimit(t *testing.T) {
	for _, p0 := range []float64{0.001, 0.01, 0.5} {
		for _, grid := range [][]float64{FailOdds, PassOdds} {
			inc := make([]float64, len(grid))
			for j, w := range grid {
				pays := func(p float64) float64 {
					return binomialLaw(20, p).pays(func(x float64) float64 {
						Tilt{p0, grid}.Increments(inc, 20, x)
						return inc[j]
					})
				}
				within := p0 / 2 // evidence of a breach must not come from fewer, nor evidence of a pass from more
				if w < 1 {
					within = (1 + p0) / 2
				}
				if on, off := pays(p0), pays(within); math.Abs(on-1) > 1e-12 || off > 1 {
					t.Errorf("limit %v, odds %v: mean e-value %v on it, %v within", p0, w, on, off)
				}
			}
		}
	}
	mustPanic(t, "more beyond than there are", func() { Tilt{0.1, FailOdds}.Increments(make([]float64, 8), 3, 4) })
}

func TestMissing(t *testing.T) {
	for _, row := range []struct {
		name   string
		events Counts
		phi    float64
		want   float64
	}{
		{"no events", Counts{0.01, 0, 0.99, 0}, 1, 0},
		{"no planned share", Counts{0, 0, 1, 100}, 1, 0},
		{"a silent canary of 1 %", Counts{0.01, 0, 0.99, 1000}, 1, 1000 * math.Log1p(-math.Expm1(-3)/(99+math.Exp(-3)))},
		{"a canary with its share", Counts{0.5, 10, 0.5, 10}, 1, 10*math.Log1p(math.Expm1(-3)/(1+math.Exp(-3))) + 10*math.Log1p(-math.Expm1(-3)/(1+math.Exp(-3)))},
	} {
		if got := MissingIncrement(row.events, row.phi); math.Abs(got-row.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
	silent := func(phi float64) float64 { return MissingIncrement(Counts{0.01, 0, 0.99, 1000}, phi) }
	if one, three := silent(1), silent(3); math.Abs(one/three-3) > 0.05 {
		t.Errorf("at dispersion 3 the evidence is %v, at 1 %v: want about a third", three, one)
	}
}

// seen is a block as the definition takes it.
type seen struct{ n, k, weight float64 }

// unitsOf adds up blocks.
func unitsOf(blocks []seen) (n, k float64) {
	for _, b := range blocks {
		n, k = n+b.n, k+b.k
	}
	return n, k
}

// jeffreys is the log probability of n arms, k of them the canary, with the prior Beta(1/2, 1/2).
func jeffreys(blocks []seen) float64 {
	n, k := unitsOf(blocks)
	lg := func(x float64) float64 { v, _ := math.Lgamma(x); return v }
	return lg(k+0.5) + lg(n-k+0.5) - lg(n+1) - math.Log(math.Pi)
}

// lateTwin is the alternative of late changes: a start at each block after the reference, for each tilt, against the estimate before
// each block.
func lateTwin(blocks []seen, reference int) float64 {
	late, cash := math.Inf(-1), 1.0
	for start := reference; start < len(blocks); start++ {
		weight := blocks[start].weight
		if start == reference {
			for _, b := range blocks[:start] {
				weight += b.weight
			}
		}
		cash -= weight
		for _, d := range splitGrid {
			log := jeffreys(blocks[:start])
			for i, b := range blocks[start:] {
				n, k := unitsOf(blocks[:start+i])
				odds := (k + 0.5) / (n - k + 0.5) * math.Exp(d)
				log += b.k*math.Log(odds) - b.n*math.Log1p(odds)
			}
			late = logAddExp(late, math.Log(weight/SplitTilts)+log)
		}
	}
	return logAddExp(late, math.Log(cash)+jeffreys(blocks))
}

// TestSplitChangeIsItsDefinition compares with the alternatives and the largest likelihood, written out as sums over starts.
func TestSplitChangeIsItsDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 1))
	s := NewSplitChange()
	var blocks []seen
	reference := 0 // blocks in it
	for at := range int64(80) {
		n := float64(r.IntN(200))
		if at%7 == 3 {
			n = 0
		}
		b := seen{n, binomial(r, n, 0.3), StartWeight(at, 60)}
		blocks = append(blocks, b)
		s.Add(b.n, b.k, b.weight)
		early, late := jeffreys(blocks), jeffreys(blocks)
		if reference > 0 {
			early, late = jeffreys(blocks[:reference])+jeffreys(blocks[reference:]), lateTwin(blocks, reference)
		}
		N, K := unitsOf(blocks)
		if reference == 0 && min(K, N-K) >= 1000 {
			reference = len(blocks)
		}
		largest := 0.0
		for _, k := range []float64{K, N - K} {
			if k > 0 {
				largest += k * math.Log(k/N)
			}
		}
		if want := logAddExp(early, late) - math.Ln2 - largest; math.Abs(s.LogE()-want) > 1e-8 {
			t.Fatalf("block %d: log e %v, want %v", at, s.LogE(), want)
		}
	}
	if reference == 0 || reference > 60 {
		t.Errorf("the reference holds %d blocks", reference)
	}
}

// TestSplitBreakPaysExactlyOne: over all arms of three blocks of a period of four, whose alternative is a probability, the evidence times the null's largest
// likelihood adds up to 1, at the end of each block.
func TestSplitBreakPaysExactlyOne(t *testing.T) {
	sizes := []int{2, 1, 3}
	sums := make([]float64, len(sizes))
	var enumerate func(done []seen, ways float64)
	enumerate = func(done []seen, ways float64) {
		if len(done) > 0 {
			s := NewSplitBreak(4)
			for _, b := range done {
				s.Add(b.n, b.k)
				s.Add(0, 0)
			}
			sums[len(done)-1] += ways * math.Exp(s.LogE()+maxLikelihood(unitsOf(done)))
		}
		if len(done) == len(sizes) {
			return
		}
		n, choose := sizes[len(done)], 1.0
		for k := range n + 1 {
			enumerate(append(slices.Clone(done), seen{float64(n), float64(k), 0}), ways*choose)
			choose *= float64(n-k) / float64(k+1)
		}
	}
	enumerate(nil, 1)
	for i, sum := range sums {
		if math.Abs(sum-1) > 1e-12 {
			t.Errorf("after %d blocks the alternative's chances add up to %v", i+1, sum)
		}
	}
}

// TestSplitBreakFindsIt: where the share moves, whatever the block; after the period nothing moves the evidence any more.
func TestSplitBreakFindsIt(t *testing.T) {
	for at := 1; at < 20; at++ {
		s := NewSplitBreak(20)
		for i := range 20 {
			if i < at {
				s.Add(50, 5)
			} else {
				s.Add(50, 40)
			}
		}
		if s.Break() != at || s.LogE() < 20 {
			t.Errorf("a break with block %d: log e %v, found with block %d", at, s.LogE(), s.Break())
		}
		before := s.LogE()
		if s.Add(1000, 0); s.LogE() != before {
			t.Errorf("a block beyond the period moved the evidence from %v to %v", before, s.LogE())
		}
	}
}

// TestSplitReferenceOfATinyCanary: 100 blocks with units close the reference, too.
func TestSplitReferenceOfATinyCanary(t *testing.T) {
	s := NewSplitChange()
	for at := range int64(300) {
		s.Add(float64(at%2), 0, 0)
		if want := at >= 199; s.closed != want {
			t.Fatalf("after block %d closed is %v", at, s.closed)
		}
		if want := at >= 200; (s.Increments() != nil) != want { // from the block after the reference on
			t.Fatalf("after block %d there are increments: %v", at, !want)
		}
	}
}

func TestLogRise(t *testing.T) {
	for _, row := range []struct{ x, n, want, slack float64 }{
		{0.5, 0, 0, 0},
		{0.5, 1, math.Log(0.5), 1e-15},
		{1, 5, math.Log(120), 1e-14},
		{0.5, 3.5, math.Log(6) - 0.5*math.Log(math.Pi), 1e-14}, // Gamma(4)/Gamma(1/2)
		{1e7, 1, math.Log(1e7), 1e-14},
		{1e7, 3, math.Log(1e7) + math.Log(1e7+1) + math.Log(1e7+2), 1e-13},
		{15.5, 2, math.Log(15.5) + math.Log(16.5), 1e-14},
	} {
		if got := logRise(row.x, row.n); math.Abs(got-row.want) > row.slack {
			t.Errorf("rise of %v by %v: %.17g, want %.17g", row.x, row.n, got, row.want)
		}
	}
	for _, n := range []float64{1, 10, 1000, 50_000} {
		sum := 0.0
		for i := range int(n) {
			sum += math.Log(20.5 + float64(i))
		}
		if got := logRise(20.5, n); math.Abs(got-sum) > 1e-12*sum {
			t.Errorf("rise of 20.5 by %v: %v, want %v", n, got, sum)
		}
	}
}

// TestShareOfTheFirstBlockIsNoPlan: a constant split, whose share is estimated from the first block and then tested as if it had been planned,
// alarms in most runs; the test that takes the share as unknown keeps its error rate, in the very same runs.
func TestShareOfTheFirstBlockIsNoPlan(t *testing.T) {
	const runs, blocks, alpha = 100, 40, 0.05
	r := rand.New(rand.NewPCG(32, 1))
	naive, valid := 0, 0
	for range runs {
		first := binomial(r, 1000, 0.1)
		change, tilted, inc := NewSplitChange(), NewMixture(SplitTilts), make([]float64, SplitTilts)
		change.Add(1000, first, StartWeight(0, 100))
		most := change.LogE()
		for at := int64(1); at < blocks; at++ {
			k := binomial(r, 5000, 0.1)
			SplitIncrements(inc, 5000, k, first/1000)
			tilted.Step(inc, StartWeight(at-1, 100))
			change.Add(5000, k, StartWeight(at, 100))
			most = max(most, change.LogE())
		}
		if tilted.LogMax() >= math.Log(1/alpha) {
			naive++
		}
		if most >= math.Log(1/alpha) {
			valid++
		}
	}
	limit := binomialLimit(runs, alpha)
	if naive <= 2*limit {
		t.Errorf("testing against the first block's share alarmed in %d of %d runs: expected far more than %d", naive, runs, limit)
	}
	if valid > limit {
		t.Errorf("the test of a constant unknown share alarmed in %d of %d runs, more than %d", valid, runs, limit)
	}
	t.Logf("false alarms of %d: %d with the first block's share as plan, %d with the share unknown", runs, naive, valid)
}

// TestSplitChangeDelay: how many units a change of the share takes. The bound is that of a test which knows both shares, log(1/alpha)/KL per unit.
func TestSplitChangeDelay(t *testing.T) {
	const perBlock, alpha, runs = 1000, 0.001, 15
	for _, row := range []struct {
		name   string
		share  float64
		odds   float64
		onset  int64
		atMost float64 // median units, times the bound
	}{
		{"a tenth, a fifth fewer, early: 50,000 units to compare with", 0.1, 0.8, 50, 10},
		{"a tenth, a fifth fewer, late", 0.1, 0.8, 1000, 6},
		{"a hundredth, half of them, late", 0.01, 0.5, 1000, 6},
		{"a half, a tenth more", 0.5, 1.1, 300, 6},
	} {
		after := row.odds * row.share / (1 - row.share + row.odds*row.share)
		kl := after*math.Log(after/row.share) + (1-after)*math.Log((1-after)/(1-row.share))
		r := rand.New(rand.NewPCG(33, 1))
		var delays []float64
		for range runs {
			s := NewSplitChange()
			for at := range row.onset {
				s.Add(perBlock, binomial(r, perBlock, row.share), StartWeight(at, 2000))
			}
			units := 0.0
			for at := row.onset; s.LogE() < math.Log(1/alpha) && at < row.onset+1000; at++ {
				s.Add(perBlock, binomial(r, perBlock, after), StartWeight(at, 2000))
				units += perBlock
			}
			delays = append(delays, units)
		}
		slices.Sort(delays)
		median, bound := delays[runs/2], math.Log(1/alpha)/kl
		t.Logf("%s: median %v units, %.1f times the bound %.0f", row.name, median, median/bound, bound)
		if median > row.atMost*bound {
			t.Errorf("%s: median %v units, more than %v times the bound %.0f", row.name, median, row.atMost, bound)
		}
	}
}
