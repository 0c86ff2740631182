package analysis

import (
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

// TestAGaugesMeanIsOneValue: readings of a gauge hang together, so a block of them is held against a fixed limit by its mean, as one value; those of predictions are
// values by themselves.
func TestAGaugesMeanIsOneValue(t *testing.T) {
	b := &block{toMs: 1}
	b.n[windows.Canary], b.sum[windows.Canary], b.squares[windows.Canary] = 100, 90*windows.SumUnit, 81*windows.SumUnit
	want := map[schemas.Kind]stats.Samples{}
	for _, from := range []schemas.Kind{schemas.KindSample, schemas.KindPrediction} {
		g := schemas.Guardrail{Name: "m", Kind: schemas.MeanGuardrail, Of: "cpu", From: from, Cap: 1, Direction: schemas.Above, Margin: schemas.Margin{Text: "0.5", Value: .5}}
		k := newMeanLimit(&g, windows.Canary)
		want[schemas.KindSample], want[schemas.KindPrediction] = k.one(b, windows.Canary), k.samples(b, windows.Canary)
		inc := newIncrements(limitShape(stats.BoundedPoints, keeping{}))
		expected := make([]float64, stats.BoundedPoints)
		k.fail.Increments(expected, stats.Values{Canary: want[from]}, .5, 1)
		if !k.increments(inc, b, independent) || !slices.Equal(inc.any, expected) {
			t.Errorf("%s: increments %v, want %v of %v values", from, inc.any, expected, want[from].N)
		}
	}
}
