package analysis

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// What a test reckons with in a block (a plug-in, a factor of noise) must be known before the block: else what is tested has chosen its own test.

// rateBlock is a block of counts.
func rateBlock(nc, kc, nb, kb int64) *block {
	b := &block{toMs: 1}
	b.n[windows.Canary], b.k[windows.Canary], b.n[windows.Baseline], b.k[windows.Baseline] = nc, kc, nb, kb
	return b
}

func TestHighRatePlugInIsOfThePast(t *testing.T) {
	g := guardrail("errors: rate error increase 20%")
	trial := newHighRateTrial(&g, .3, keeping{})
	k := trial.kernel.(*highRateContrast)
	first, second := rateBlock(100, 30, 900, 270), rateBlock(100, 60, 900, 700)
	past := stats.NewBaselineRate(.3)
	want := make([]float64, k.points)
	for _, b := range []*block{first, second} {
		if !k.any.Increments(want, countsOf(b), past.Rate(), 1) || !k.increments(trial.inc, b, independent) {
			t.Fatal("a block says nothing")
		}
		if have := trial.inc.any[:k.points]; !slices.Equal(have, want) {
			t.Errorf("increments %v, with the rate before the block %v", have, want)
		}
		past.Add(countsOf(b).Nb, countsOf(b).Kb)
	}
}

func TestBoundedMeanPlugInIsOfThePast(t *testing.T) {
	g := schemas.Guardrail{Name: "m", Kind: schemas.MeanGuardrail, Of: "score", From: schemas.KindPrediction, Cap: 1, Direction: schemas.Increase,
		Margin: schemas.Margin{Text: "0.1", Value: .1}}
	k := newBoundedMean(&g)
	of := contrastShape(&g, stats.BoundedPoints, keeping{})
	inc, want := newIncrements(of), make([]float64, stats.BoundedPoints)
	var past *stats.BaselineMean
	for i, values := range [][2]float64{{.2, .2}, {.7, .6}} {
		b := &block{toMs: 1}
		for arm, x := range values {
			b.n[arm], b.sum[arm], b.squares[arm] = 100, int64(100*x*windows.SumUnit), int64(100*x*x*windows.SumUnit)
		}
		if past != nil {
			k.any.Increments(want, stats.Values{Canary: k.samples(b, windows.Canary), Baseline: k.samples(b, windows.Baseline)}, past.Mean(), 1)
		}
		if !k.increments(inc, b, independent) {
			t.Fatal("a block says nothing")
		}
		if past != nil && !slices.Equal(inc.any, want) {
			t.Errorf("increments %v, with the mean before the block %v", inc.any, want)
		}
		if i == 0 {
			copied := *k.means[0]
			past = &copied
		}
	}
}

// TestNoiseIsOfThePast: a window is tested with the noise as it was known before it, however wild its own slices are.
func TestNoiseIsOfThePast(t *testing.T) {
	s := newScript(t, rolloutOf(errors05), Options{})
	calm := side{n: 800, errors: 80}
	for i := range calm.slices {
		calm.slices[i] = windows.SliceCount{N: 800 / windows.Slices, K: 80 / windows.Slices}
	}
	wild := calm
	wild.slices[0].K, wild.slices[1].K = 80/windows.Slices*2, 0
	for range 80 {
		s.play(1, calm, side{n: 200, errors: 20})
	}
	g, moved := s.guard("errors"), false
	for range 60 {
		before := g.canary.phi.arms()
		s.play(1, wild, side{n: 200, errors: 20})
		if g.canary.phiNow != before {
			t.Errorf("tested with phi %v, known before the window was %v", g.canary.phiNow, before)
		}
		moved = moved || g.canary.phi.arms() != before
	}
	if !moved {
		t.Fatal("the windows tell nothing of the noise: this test can't fail")
	}
}

// TestNoiseOfRanksIsOfThePast: the first block in which a unit has several requests isn't tested, what was open before it is tested by itself, as the single requests that it has, and every later block with phi as it was
// known before it.
func TestNoiseOfRanksIsOfThePast(t *testing.T) {
	r := rolloutOf(guardrail("p99: quantile 0.99 latency increase 20%"))
	r.Phi = 1.5
	w := newRowWorld(t, r, rand.New(rand.NewPCG(4, 2)))
	g := w.script.guard("p99")
	window := func(baseline int64, units int) {
		canary := baseline / 9
		w.users[windows.Baseline], w.users[windows.Canary] = units, int(canary)
		w.step(serving, [windows.Arms]int64{baseline, canary}, func(windows.Arm) row { return row{20 * math.Exp(w.random.NormFloat64()), w.slice()} })
	}
	for range 60 { // nobody is named: halves by id tell nothing of users who come later
		w.step(serving, [windows.Arms]int64{900, 100}, func(windows.Arm) row { return row{20 * math.Exp(w.random.NormFloat64()), w.slice()} })
	}
	if !reflect.DeepEqual(g.canary.ranks.seen, stats.NewAlike(windows.Slices, 1, 10_000, 1.5)) || g.canary.phiNow != independent {
		t.Fatalf("nobody was named, and phi is %v", g.canary.phiNow)
	}
	before := g.canary.tested
	window(900, 900) // each the first of its unit
	if g.canary.tested -= before; g.canary.tested != 1 || g.canary.ranks.blind || g.canary.phiNow != independent {
		t.Fatalf("%d blocks tested with phi %v, blind %t", g.canary.tested, g.canary.phiNow, g.canary.ranks.blind)
	}
	g.canary.tested = 0
	window(90, 90) // too little for a block
	if g.canary.tested != 0 || g.canary.ranks.blind || g.canary.block.empty() {
		t.Fatalf("%d blocks tested, blind %t", g.canary.tested, g.canary.ranks.blind)
	}
	window(200, 30) // the first with units of several requests, and too little to measure: what was open ends before it
	if !g.canary.ranks.blind || g.canary.tested != 1 || !g.canary.block.empty() || g.canary.phiNow != independent {
		t.Fatalf("%d blocks tested, the last with phi %v; blind %t", g.canary.tested, g.canary.phiNow, g.canary.ranks.blind)
	}
	window(900, 30)
	if !g.canary.ranks.blind || g.canary.tested != 1 {
		t.Fatalf("%d blocks tested, blind %t", g.canary.tested, g.canary.ranks.blind)
	}
	moved := false
	for range 60 {
		before, tested := g.canary.ranks.arms(), g.canary.tested
		window(900, 30)
		if g.canary.ranks.blind || g.canary.tested != tested+1 || before[windows.Canary] <= 1 || g.canary.phiNow != before {
			t.Fatalf("tested with phi %v, known before was %v; %d blocks, blind %t", g.canary.phiNow, before, g.canary.tested-tested, g.canary.ranks.blind)
		}
		moved = moved || g.canary.ranks.arms() != before
	}
	if !moved {
		t.Fatal("the windows tell nothing of the noise: this test can't fail")
	}
}

// TestStrataWaitForTheNoiseOfRanks: with strata, too.
func TestStrataWaitForTheNoiseOfRanks(t *testing.T) {
	r := watching(rolloutOf(guardrail("bulk: distribution latency mann-whitney increase any")), 0, "a")
	r.Stratify, r.Phi = true, 1.5
	w := newRowWorld(t, r, rand.New(rand.NewPCG(4, 2)))
	for i := range int64(3) {
		p := &windows.Part{Stream: serving, StartMs: w.script.atMs}
		w.addSegment(p, "a")
		for unit := range uint64(10) {
			p.Traffic[windows.Baseline].Units = append(p.Traffic[windows.Baseline].Units, windows.UnitSight{Unit: 1 + 10*uint64(i) + unit})
		}
		w.script.atMs += 1000
		w.script.judge.Step(p)
		if g := w.script.guard("bulk"); g.canary.ranks.blind != (i == 0) || g.canary.tested != i {
			t.Errorf("window %d: %d blocks tested, blind %t", i, g.canary.tested, g.canary.ranks.blind)
		}
	}
}

// TestALevelsNoiseIsOfThePast: readings of a gauge hang together, so their mean is held against a fixed limit with its own noise in time, as it was known before the block, and not before that is known; values of
// predictions are values by themselves.
func TestALevelsNoiseIsOfThePast(t *testing.T) {
	g := schemas.Guardrail{Name: "m", Kind: schemas.MeanGuardrail, Of: "cpu", From: schemas.KindSample, Cap: 1, Direction: schemas.Above, Margin: schemas.Margin{Text: "0.5", Value: .5}}
	k, past := newLevelMean(&g, windows.Canary, newLevelNoise(&g)), newLevelNoise(&g)
	inc, want := newIncrements(limitShape(len(stats.MeanGrid), keeping{})), make([]float64, len(stats.MeanGrid))
	for i := range int64(200) {
		b := &block{toMs: 1}
		n := 8 + i%5
		b.n[windows.Canary], b.sum[windows.Canary] = n, n*(windows.SumUnit*(i%7)/7)
		if i == 199 {
			b.sum[windows.Canary] = n * windows.SumUnit
		}
		of := stats.Means{Nc: float64(n), Mc: float64(b.sum[windows.Canary]) / float64(n*windows.SumUnit)}
		tested := k.fail.Increments(want, of, past.Variance())
		if got := k.increments(inc, b, independent); got != tested || tested != (i >= 60) || tested && !slices.Equal(inc.any, want) {
			t.Fatalf("block %d: %v %v, want %v %v", i, got, inc.any, tested, want)
		}
		past.Add(of.Nc, of.Mc)
	}
	b := &block{toMs: 1}
	b.n[windows.Canary], b.sum[windows.Canary], b.squares[windows.Canary] = 100, 90*windows.SumUnit, 81*windows.SumUnit
	g.From = schemas.KindPrediction
	p := newMeanLimit(&g, windows.Canary)
	inc, want = newIncrements(limitShape(stats.BoundedPoints, keeping{})), make([]float64, stats.BoundedPoints)
	p.fail.Increments(want, stats.Values{Canary: p.samples(b, windows.Canary)}, .5, 1)
	if !p.increments(inc, b, independent) || !slices.Equal(inc.any, want) {
		t.Errorf("predictions: increments %v, want %v", inc.any, want)
	}
}

// TestALimitsIntervalIsAsNoisyAsItsTest: a quantile against a limit has a wider interval where its values are noisier.
func TestALimitsIntervalIsAsNoisyAsItsTest(t *testing.T) {
	g := guardrail("p50: quantile 0.5 latency above 25ms")
	s := newScript(t, rolloutOf(g), Options{})
	width := func(phi float64) float64 {
		a := newLimit(&g, windows.Canary, keeping{intervals: true}, levelsOf(&g)).account
		b := &block{toMs: 1}
		for i := range 1000 {
			index := windows.BucketOf(20 * math.Exp(math.Sqrt2*.5*math.Erfinv((2*float64(i)+1)/1000-1)))
			b.hist[windows.Canary].add([]windows.Bucket{{Index: index, Count: 1}})
		}
		b.n[windows.Canary] = 1000
		o := newOnset(len(stats.FailOdds))
		a.keep(b, closing{weight: 1, phi: armPhi{phi, phi}, onset: &o})
		value, _ := a.intervals(.05)
		return value.upper - value.lower
	}
	if one, nine := width(1), width(9); !(nine > 2*one) || s.guard("p50").canary.phi == nil {
		t.Errorf("intervals %g wide, and %g where phi is 9", one, nine)
	}
}
