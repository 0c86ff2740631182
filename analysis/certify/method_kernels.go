package certify

import (
	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// Tests of package stats by themselves, on every window as a block, over-dispersion not corrected: what they hold, they hold in worlds of
// independent events. (The whole verdict calibrates them.)

// rateKernels lists the product's tests of one rate.
func rateKernels() []Method {
	return []Method{
		{Name: "R1, product", Source: "package stats, Linear, where the proof stands; nearest: Turner, Ly, Grünwald (arXiv 2106.02693)", Ours: true, start: startLinear(productWeight)},
		{Name: "R1, start mixture", Source: "Linear as above; starts as Shin, Ramdas, Rinaldo (arXiv 2203.03532), weighted by StartWeight", Ours: true, start: startLinear(stats.StartWeight)},
		{Name: "R2 insured by R1, start mixture", Source: "package stats, Insured: Bernoulli, where the proof stands, and a tenth on Linear; starts as above", Ours: true, start: startInsured},
	}
}

// topKSource is for all quantiles.
const topKSource = "package stats, TopK, where the proof stands; from ter Schure, Perez-Ortiz, Ly, Grünwald (NEJSDS 2, 2024), Koning (arXiv 2310.01153)"

// latencyKernels lists the product's tests of latencies.
func latencyKernels() []Method {
	return []Method{
		{Name: "TOPK p99, start mixture", Source: topKSource, Ours: true, start: startTopK(10_000)},
		{Name: "TOPK p50, start mixture", Source: topKSource, Ours: true, start: startTopK(500_000)},
		{Name: "TOPK-mix, start mixture", Source: "package stats, TopKMix: thresholds as Arnold, Choe, Scarsini, Tsetlin (arXiv 2604.21851)", Ours: true, start: startMix},
		{Name: "MALLOWS, start mixture", Source: "package stats, Mallows: the law of Mann, Whitney (1947) tilted as Mallows (1957); Koning (arXiv 2310.01153)", Ours: true, start: startMallows},
	}
}

// productWeight starts everything with the first block.
func productWeight(t, _ int64) float64 {
	if t == 0 {
		return 1
	}
	return 0
}

// linearWatch is R1.
type linearWatch struct {
	c       *Case
	test    stats.Linear
	weight  func(t, horizon int64) float64
	mixture *stats.Mixture
	inc     []float64
	t       int64
}

func startLinear(weight func(t, horizon int64) float64) func(*Case) watch {
	return func(c *Case) watch {
		grid := stats.IncidentGrid
		if c.Side < 0 {
			grid = stats.EngagementGrid
		}
		return &linearWatch{
			c: c, weight: weight, mixture: stats.NewMixture(len(grid)), inc: make([]float64, len(grid)),
			test: stats.Linear{Rho0: c.Rho0, Delta: c.Delta, Side: c.Side, Grid: grid}.Prepared(),
		}
	}
}

func (l *linearWatch) see(m *Moment, alarmed []bool) {
	counts, ok := l.c.counts(m)
	if !ok || !l.test.Increments(l.inc, counts, 1, 1) {
		return
	}
	l.mixture.Step(l.inc, l.weight(l.t, int64(l.c.Windows)))
	l.t++
	l.c.cross(alarmed, l.mixture.LogE())
}

// insuredWatch is R2 with its insurance, the plug-in seeded with a guess of the rate.
type insuredWatch struct {
	c            *Case
	block        stats.Bernoulli
	linear       stats.Linear
	rate         *stats.BaselineRate
	evidence     *stats.Insured
	incR2, incR1 []float64
	t            int64
}

func startInsured(c *Case) watch {
	grid := stats.IncidentGrid
	if c.Side < 0 {
		grid = stats.EngagementGrid
	}
	return &insuredWatch{
		c: c, rate: stats.NewBaselineRate(max(c.Base, 1e-6)), evidence: stats.NewInsured(len(grid), len(grid)),
		block:  stats.Bernoulli{Rho0: c.Rho0, Delta: c.Delta, Side: c.Side, Grid: grid},
		linear: stats.Linear{Rho0: c.Rho0, Delta: c.Delta, Side: c.Side, Grid: grid}.Prepared(),
		incR2:  make([]float64, len(grid)), incR1: make([]float64, len(grid)),
	}
}

func (w *insuredWatch) see(m *Moment, alarmed []bool) {
	counts, ok := w.c.counts(m)
	if !ok {
		return
	}
	q := w.rate.Rate()
	w.rate.Add(counts.Nb, counts.Kb)
	if !w.linear.Increments(w.incR1, counts, 1, 1) {
		return
	}
	var block []float64
	if w.block.Increments(w.incR2, counts, q, 1) {
		block = w.incR2
	}
	w.evidence.Step(block, w.incR1, stats.StartWeight(w.t, int64(w.c.Windows)))
	w.t++
	w.c.cross(alarmed, w.evidence.LogE())
}

// topKWatch is the rank test of one quantile, on blocks of 4 expected exceedances.
type topKWatch struct {
	c       *Case
	test    stats.TopK
	mixture *stats.Mixture
	inc     []float64
	block   pair
	t       int64
}

func startTopK(ppm int64) func(*Case) watch {
	return func(c *Case) watch {
		return &topKWatch{
			c: c, test: stats.TopK{PPM: ppm, Shift: stats.FailShift(c.Slower), Grid: stats.FailOdds},
			mixture: stats.NewMixture(len(stats.FailOdds)), inc: make([]float64, len(stats.FailOdds)),
		}
	}
}

func (k *topKWatch) see(m *Moment, alarmed []bool) {
	k.block.add(latencies(m))
	if !k.block.full(k.test.PPM) {
		return
	}
	if k.test.Increments(k.inc, k.block.canary, k.block.baseline) {
		k.mixture.Step(k.inc, stats.StartWeight(k.t, int64(k.c.Windows)))
		k.t++
		k.c.cross(alarmed, k.mixture.LogE())
	}
	k.block.clear()
}

// mixWatch is the mixture over tails.
type mixWatch struct {
	c      *Case
	blocks *stats.TailBlocks
	test   *stats.TopKMix
	t      int64
}

func startMix(c *Case) watch {
	blocks := stats.NewTailBlocks(stats.MixPPM)
	return &mixWatch{c: c, blocks: blocks, test: stats.NewTopKMix(blocks, stats.RankSide{Shift: stats.FailShift(c.Slower), Grid: stats.FailOdds})}
}

func (w *mixWatch) see(m *Moment, alarmed []bool) {
	if m.T < 0 {
		return
	}
	w.blocks.Add(latencies(m))
	w.test.Step(w.blocks, stats.StartWeight(w.t, int64(w.c.Windows)), nil)
	w.t++
	w.c.cross(alarmed, w.test.LogE())
}

// mallowsWatch is the exact tilt of the Mann-Whitney statistic, a window a block.
type mallowsWatch struct {
	c       *Case
	test    stats.Mallows
	mixture *stats.Mixture
	inc     []float64
	t       int64
}

func startMallows(c *Case) watch {
	return &mallowsWatch{
		c: c, test: stats.Mallows{Shift: stats.FailShift(c.Slower), Side: 1, Grid: stats.MallowsThetas},
		mixture: stats.NewMixture(len(stats.MallowsThetas)), inc: make([]float64, len(stats.MallowsThetas)),
	}
}

func (w *mallowsWatch) see(m *Moment, alarmed []bool) {
	canary, baseline := latencies(m)
	if !w.test.Increments(w.inc, canary, baseline) {
		return
	}
	w.mixture.Step(w.inc, stats.StartWeight(w.t, int64(w.c.Windows)))
	w.t++
	w.c.cross(alarmed, w.mixture.LogE())
}

// A pair is the histograms of both arms, added up over windows.
type pair struct {
	canary, baseline []windows.Bucket
	spare            []windows.Bucket
	n, m             int64
}

func (p *pair) add(canary, baseline []windows.Bucket) {
	p.n, p.m = p.n+total(canary), p.m+total(baseline)
	p.canary, p.spare = windows.AppendSum(p.spare[:0], p.canary, canary), p.canary
	p.baseline, p.spare = windows.AppendSum(p.spare[:0], p.baseline, baseline), p.baseline
}

// full reports whether 4 of the pooled requests are expected beyond the quantile. It looks at the pool alone: to wait for the canary's first request would
// put it at the block's end each time, where drift makes it slower than the rest.
func (p *pair) full(ppm int64) bool { return (p.n+p.m)*ppm >= 4_000_000 }

func (p *pair) clear() { p.canary, p.baseline, p.n, p.m = p.canary[:0], p.baseline[:0], 0, 0 }

func total(hist []windows.Bucket) int64 {
	n := int64(0)
	for _, b := range hist {
		n += int64(b.Count)
	}
	return n
}
