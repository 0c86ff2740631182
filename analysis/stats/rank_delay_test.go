package stats

import (
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/windows"
)

var delayRuns = flag.Int("delays", 15, "runs of each row of the delays of rank tests")

// shape is how a canary's latency differs from the baseline's.
type shape struct {
	name           string
	factor         float64 // of all values, or of those above the p95, or of a share
	above          float64
	spike          float64
	mix, mann, top float64 // the reference's median canary events with 1000 requests a window, 10 % canary, alpha 0.05 (its section 7.2)
}

func (s shape) value(r *rand.Rand) float64 {
	x := 20 * math.Exp(0.5*r.NormFloat64())
	switch {
	case s.spike > 0 && r.Float64() >= s.spike, s.above > 0 && x <= s.above:
		return x
	}
	return x * s.factor
}

// TestDelayOfRankTests: the median number of canary events until proof, over windows of 1000 requests, a tenth of them the canary's: of TopKMix
// and Mallows, and TopK of the p99, within 1.2 times the reference's figures (and a window more). Its starts are 3/4 at the first block and those of later blocks.
func TestDelayOfRankTests(t *testing.T) {
	p95 := 20 * math.Exp(0.5*1.644854)
	for _, s := range []shape{
		{name: "all +20 %", factor: 1.2, mix: 196, mann: 107, top: 630},
		{name: "all +50 %", factor: 1.5, mix: 100, mann: 100, top: 113},
		{name: "tail +50 %", factor: 1.5, above: p95, mix: 211, top: 180},
		{name: "tail +20 %", factor: 1.2, above: p95, mix: 988, top: 630},
		{name: "spike", factor: 10, spike: 0.005, mix: 1382},
	} {
		var mix, mann, top []float64
		for run := range *delayRuns {
			m, a, k := delays(rand.New(rand.NewPCG(81, uint64(run))), s)
			mix, mann, top = append(mix, m), append(mann, a), append(top, k)
		}
		for _, row := range []struct {
			test string
			got  []float64
			want float64
		}{{"TopKMix", mix, s.mix}, {"Mallows", mann, s.mann}, {"TopK", top, s.top}} {
			slices.Sort(row.got)
			median := row.got[len(row.got)/2]
			t.Logf("%s, %s: median %.0f canary events, the reference's %.0f", s.name, row.test, median, row.want)
			if row.want > 0 && median > 1.2*row.want+110 {
				t.Errorf("%s, %s: median %.0f canary events, the reference's %.0f", s.name, row.test, median, row.want)
			}
		}
	}
}

// delays are the canary events until each test proves the harm, or 10,000.
func delays(r *rand.Rand, s shape) (mix, mann, top float64) {
	const size, far = 1000, 10_000
	proof := math.Log(20)
	blocks := NewTailBlocks(MixPPM)
	m := NewTopKMix(blocks, RankSide{0, FailOdds})
	a, k := NewMixture(5), NewMixture(8)
	aInc, kInc := make([]float64, 5), make([]float64, 8)
	mix, mann, top = far, far, far
	events := 0.0
	for g := 1; events < far && (mix == far || top == far || s.mann > 0 && mann == far); g++ {
		counts := [2]map[int32]uint32{{}, {}}
		for range size {
			arm, x := 0, 20*math.Exp(0.5*r.NormFloat64())
			if r.IntN(10) == 0 {
				arm, x = 1, s.value(r)
				events++
			}
			counts[arm][windows.BucketOf(x)]++
		}
		canary, baseline := histOf(counts[1]), histOf(counts[0])
		weight := blockWeight(g)
		blocks.Add(canary, baseline)
		m.Step(blocks, weight, nil)
		if (Mallows{0, 1, MallowsThetas}).Increments(aInc, canary, baseline) {
			a.Step(aInc, weight)
		}
		if (TopK{10_000, 0, FailOdds}).Increments(kInc, canary, baseline) {
			k.Step(kInc, weight)
		}
		for _, row := range []struct {
			at   *float64
			logE float64
		}{{&mix, m.LogMax()}, {&mann, a.LogMax()}, {&top, k.LogMax()}} {
			if *row.at == far && row.logE >= proof {
				*row.at = events
			}
		}
	}
	return mix, mann, top
}
