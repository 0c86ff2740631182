package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/windows"
)

// assigned enumerates the arms of requests with these values, each the canary's with the given chance by itself.
func assigned(share float64, values ...int32) []outcome {
	var all []outcome
	for labels := range 1 << len(values) {
		chance, counts := 1.0, [2]map[int32]uint32{{}, {}}
		for i, v := range values {
			arm := labels >> i & 1
			chance *= []float64{1 - share, share}[arm]
			counts[arm][v]++
		}
		all = append(all, outcome{chance, arms{histOf(counts[1]), histOf(counts[0])}})
	}
	return all
}

// twoTails have a block in each window of six requests, and in two together.
var twoTails = []int64{666_667, 333_334}

// mixProcess is a TopKMix with its blocks.
type mixProcess struct {
	*TopKMix
	blocks *TailBlocks
}

func newMixProcess(ppm []int64, sides ...RankSide) *mixProcess {
	blocks := NewTailBlocks(ppm)
	return &mixProcess{NewTopKMix(blocks, sides...), blocks}
}

func (m *mixProcess) take(b any, weight float64) {
	m.blocks.Add(b.(arms).canary, b.(arms).baseline)
	m.Step(m.blocks, weight, nil)
}
func (m *mixProcess) logE() float64   { return m.LogE() }
func (m *mixProcess) logMax() float64 { return m.LogMax() }

func init() {
	for _, k := range []struct {
		name   string
		ppm    []int64
		sides  []RankSide
		factor float64
		harm   float64
	}{
		{"slower", MixPPM, []RankSide{{17, FailOdds}}, shiftRatio(17), 2},
		{"pass", MixPPM, []RankSide{{16, PassOdds}}, shiftRatio(16), 0.5},
		{"differ", MixPPM, []RankSide{{0, FailOdds}, {0, PassOdds}}, 1, 0.5},
		{"differ tiny", twoTails, []RankSide{{0, FailOdds}, {0, PassOdds}}, 1, 0.5},
	} {
		tiny := [][]outcome{{{1, arms{someHist, nil}}}}
		if k.factor == 1 {
			tiny = [][]outcome{assigned(0.5, 1, 2, 2, 3, 5, 5), assigned(0.2, 1, 2, 3, 4)}
		}
		register(kind{
			name: "topk mix/" + k.name, file: "topk_mix.go",
			start: func() process { return newMixProcess(k.ppm, k.sides...) },
			null:  latencies(100, k.factor),
			harm:  latencies(100, k.factor*k.harm),
			tiny:  tiny,
			idle:  []any{arms{}},
			edges: oddArms(),
		})
	}
}

// TestOpenBlocksCountNothing: who looks into an open block may stop when it goes badly. Two windows of six requests, all alike: the
// first tail has a block in each window, the second one in both together. Stopped after the first window unless the canary has much of its upper half, the
// mean of both tails, each at the end of its last block, is above 1; what LogE counts is not.
func TestOpenBlocksCountNothing(t *testing.T) {
	law := assigned(0.5, 1, 2, 2, 3, 5, 5)
	standing, counted := 0.0, 0.0
	for _, first := range law {
		start := newMixProcess(twoTails, RankSide{0, FailOdds})
		start.take(first.block, 1)
		if b := first.block.(arms); cutAt(b.canary, b.baseline, 0, 3).score() < 2 {
			standing += first.chance * math.Exp(start.Standing())
			counted += first.chance * math.Exp(start.LogE())
			continue
		}
		for _, second := range law {
			p := newMixProcess(twoTails, RankSide{0, FailOdds})
			p.take(first.block, 1)
			p.take(second.block, 0)
			standing += first.chance * second.chance * math.Exp(p.Standing())
			counted += first.chance * second.chance * math.Exp(p.LogE())
		}
	}
	if !(standing > 1.05 && counted <= 1+1e-12 && counted > 0.5) {
		t.Errorf("mean evidence when stopped: %v with open blocks, %v without", standing, counted)
	}
	t.Logf("mean evidence when stopped: %.4f with open blocks, %.4f without", standing, counted)
}

// TestBlocksEndByThePool: six windows of two requests each, every window slower than the one before, a tenth of all requests the canary's. Blocks of three windows
// have mean evidence 1; had they waited for the canary's first request, it would be above.
func TestBlocksEndByThePool(t *testing.T) {
	const share, size = 0.1, 6
	mean, waiting := 0.0, 0.0
	for labels := range 1 << (2 * size) {
		chance := 1.0
		p := newMixProcess([]int64{666_667}, RankSide{0, FailOdds})
		mix, inc := NewMixture(len(FailOdds)), make([]float64, len(FailOdds))
		var open [2]bucketSum
		for w := range size {
			var counts [2]map[int32]uint32
			counts[0], counts[1] = map[int32]uint32{}, map[int32]uint32{}
			for i := range 2 {
				arm := labels >> (2*w + i) & 1
				chance *= []float64{1 - share, share}[arm]
				counts[arm][int32(10*w+i)]++
			}
			b := arms{histOf(counts[1]), histOf(counts[0])}
			p.take(b, float64(1-min(w, 1)))
			open[0].add(b.baseline)
			open[1].add(b.canary)
			if n, m := total(open[1].buckets), total(open[0].buckets); n > 0 && m > 0 && n+m >= 6 {
				TopK{666_667, 0, FailOdds}.Increments(inc, open[1].buckets, open[0].buckets)
				mix.Step(inc, 1)
				open = [2]bucketSum{}
			}
		}
		mean += chance * math.Exp(p.LogE())
		waiting += chance * math.Exp(mix.LogE())
	}
	if math.Abs(mean-1) > 1e-12 || waiting < 1.05 {
		t.Errorf("mean evidence %v, of blocks that wait for the canary %v", mean, waiting)
	}
	t.Logf("mean evidence %.6f, of blocks that wait for the canary %.4f", mean, waiting)
}

// TestTopKMixIsTheMeanOfItsTails compares with a Mixture of TopK for each tail, over windows of all sizes, some of them cut.
func TestTopKMixIsTheMeanOfItsTails(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 1))
	sides := []RankSide{{3, FailOdds}, {-2, PassOdds}}
	m := newMixProcess(MixPPM, sides...)
	twins := make([]mixTwin, len(MixPPM))
	inc := make([]float64, m.Components())
	for step := range int64(400) {
		weight := StartWeight(step, 300)
		cut := r.IntN(25) == 0
		if cut {
			m.blocks.Cut()
			m.Step(m.blocks, weight, inc)
		} else {
			size := math.Exp(9 * r.Float64())
			canary, baseline := lognormal(r, r.IntN(int(size)+1)/4, 1.05, 0.3), lognormal(r, int(size), 1, 0.3)
			m.blocks.Add(canary, baseline)
			m.Step(m.blocks, weight, inc)
			for i := range twins {
				twins[i].add(canary, baseline)
			}
		}
		mean, counted := 0.0, 0.0
		for i := range twins {
			want := twins[i].step(MixPPM[i], sides, weight, cut)
			for j, x := range inc[16*i : 16*i+16] {
				if math.Abs(x-want[j]) > 1e-9 {
					t.Fatalf("step %d, tail %d: increment %v, want %v", step, MixPPM[i], x, want[j])
				}
			}
			mean += math.Exp(twins[i].logE()) / float64(len(MixPPM))
			if twins[i].n[0]+twins[i].n[1] == 0 {
				counted += math.Exp(twins[i].logE()) / float64(len(MixPPM))
			}
		}
		if math.Abs(m.Standing()-math.Log(mean)) > 1e-9 || math.Abs(math.Exp(m.LogE())-counted) > 1e-9*counted+1e-300 {
			t.Fatalf("step %d: standing %v and log e %v, want %v and %v", step, m.Standing(), m.LogE(), math.Log(mean), math.Log(counted))
		}
		for i := range twins {
			if math.Abs(m.Shape(i)-twins[i].most) > 1e-9 {
				t.Fatalf("step %d: shape %v of tail %d, want %v", step, m.Shape(i), MixPPM[i], twins[i].most)
			}
			if m.LogMax() < m.Shape(i)-math.Log(5)-1e-9 {
				t.Fatalf("step %d: the tail %d has %v, all together only %v", step, MixPPM[i], m.Shape(i), m.LogMax())
			}
		}
	}
	if m.LogMax() < 1 {
		t.Errorf("the arms differ, and evidence is %v", m.LogMax())
	}
}

// mixTwin is one tail with a Mixture, its open block as maps.
type mixTwin struct {
	counts  [2]map[int32]uint32
	n       [2]int64
	pending float64
	mix     *Mixture
	most    float64
}

func (m *mixTwin) logE() float64 {
	if m.mix == nil {
		return 0
	}
	return m.mix.LogE()
}

func (m *mixTwin) add(canary, baseline []windows.Bucket) {
	for arm, hist := range [][]windows.Bucket{canary, baseline} {
		if m.counts[arm] == nil {
			m.counts[arm] = map[int32]uint32{}
		}
		for _, b := range hist {
			m.counts[arm][b.Index] += b.Count
			m.n[arm] += int64(b.Count)
		}
	}
}

func (m *mixTwin) step(ppm int64, sides []RankSide, weight float64, cut bool) []float64 {
	inc := make([]float64, 16)
	if m.mix == nil {
		m.mix = NewMixture(16)
	}
	m.pending += weight
	n := m.n[0] + m.n[1]
	cut = cut || n*ppm >= 4_000_000
	if m.n[0] > 0 && m.n[1] > 0 && cut && n*ppm >= 500_000 {
		for i, s := range sides {
			TopK{ppm, s.Shift, s.Grid}.Increments(inc[8*i:8*i+8], histOf(m.counts[0]), histOf(m.counts[1]))
		}
		m.mix.Step(inc, m.pending)
		m.most = max(m.most, m.mix.LogE())
		m.pending = 0
	}
	if cut {
		m.n, m.counts = [2]int64{}, [2]map[int32]uint32{}
	}
	return inc
}

func TestTopKMixPanics(t *testing.T) {
	blocks := NewTailBlocks(MixPPM)
	mustPanic(t, "no side", func() { NewTopKMix(blocks) })
	mustPanic(t, "three sides", func() { NewTopKMix(blocks, RankSide{0, FailOdds}, RankSide{0, FailOdds}, RankSide{0, FailOdds}) })
	m := NewTopKMix(blocks, RankSide{0, FailOdds})
	mustPanic(t, "weight NaN", func() { m.Step(blocks, math.NaN(), nil) })
	mustPanic(t, "other blocks", func() { m.Step(NewTailBlocks(MixPPM[:2]), 0, nil) })
	mustPanic(t, "few increments", func() { m.Step(blocks, 0, make([]float64, 8)) })
	mustPanic(t, "a tail of all", func() { NewTailBlocks([]int64{1_000_000}) })
}

// BenchmarkTopKMix is a window of one second for three tests: any harm, beyond the margin, within it.
func BenchmarkTopKMix(b *testing.B) {
	for _, n := range []int{50, 1_000, 100_000, 1_000_000} {
		r := rand.New(rand.NewPCG(1, 1))
		canary, baseline := lognormal(r, n/10, 1, 0.3), lognormal(r, n-n/10, 1, 0.3)
		b.Run(fmt.Sprintf("buckets=%d/requests=%d/canary=0.1", len(baseline), n), func(b *testing.B) {
			blocks := NewTailBlocks(MixPPM)
			tests := []*TopKMix{NewTopKMix(blocks, RankSide{0, FailOdds}), NewTopKMix(blocks, RankSide{17, FailOdds}), NewTopKMix(blocks, RankSide{16, PassOdds})}
			b.ReportAllocs()
			for b.Loop() {
				blocks.Add(canary, baseline)
				for _, m := range tests {
					m.Step(blocks, 1e-6, nil)
				}
			}
		})
	}
}
