package analysis

import (
	"math"
	"math/bits"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// How a mean is tested hangs on where its values come from.
//
//   - Values of predictions (score, `values`) are drawn at random into the arms one by one, and bounded by their cap: R8 (stats.Bounded), with
//     over-dispersion from the baseline's split for users who make several (meanAlike). Its interval, which decides nothing, is R7's: calibrated, not exact.
//   - Readings of a gauge are autocorrelated, of a few hosts, and values of outcomes (revenue) come in rare large sums by users: R7
//     (stats.Mean), with the long-run variance of the baseline's split. That is calibrated, not exact.
//   - A fixed limit is held against the arm's own mean, block by block: of predictions by R8, of gauges and outcomes as levelMean says.

// bounds are values within -cap..cap, as sums of windows.SumUnit.
type bounds struct{ cap float64 }

// mean is that of a sum of n, in parts of the cap.
func (bounds) mean(n, sum int64) float64 { return float64(sum) / (float64(n) * windows.SumUnit) }

// share is where a value lies between -cap and cap.
func (b bounds) share(x float64) float64 { return (x/b.cap + 1) / 2 }

// samples are an arm's values of a block, as shares.
func (b bounds) samples(of *block, arm windows.Arm) stats.Samples {
	n, sum := float64(of.n[arm]), float64(of.sum[arm])/windows.SumUnit
	squares := float64(of.squares[arm]+of.n[arm]) / windows.SumUnit // each was rounded down by less than one unit
	return stats.Samples{N: n, Sum: (sum + n) / 2, Squares: min((squares+2*sum+n)/4, (sum+n)/2)}
}

// An edge is how far a margin lets the canary's mean go: to rho0 times the baseline's plus delta, in metric units.
type edge struct{ rho0, delta float64 }

// marginEdges are those of a margin, which a share of the baseline's mean has two of: it is a share of the mean's size, so the second one is for a mean below zero. Whichever of both is farther from the
// baseline holds; side says to which side of it the harm lies.
func marginEdges(g *schemas.Guardrail) (side int, edges []edge) {
	side, m := +1, g.Margin.Value
	if g.Direction == schemas.Decrease {
		side, m = -1, -m
	}
	switch {
	case !g.Margin.Relative:
		return side, []edge{{1, m}}
	case m == 0:
		return side, []edge{{1, 0}}
	}
	return side, []edge{{1 + m, 0}, {1 - m, 0}}
}

// lesser leaves the lesser of both for each bet: what no sign of the baseline's mean makes unfair, though it may change from block to block.
func lesser(dst, other []float64) {
	for j := range dst {
		dst[j] = min(dst[j], other[j])
	}
}

// passing is the edge against which a canary must show that it is nearer to the baseline: that of the baseline's sign so far. At the other one it would have to show more than the margin asks for.
func passing(edges int, before float64) int {
	if edges > 1 && before < 0 {
		return 1
	}
	return 0
}

// noisyMean is R7 on the contrasts of blocks; a trial's phi is the variance of one value.
type noisyMean struct {
	any    stats.Mean
	beyond []stats.Mean // one for each edge; to pass is the other side of one
	sum    float64      // of the baseline's values so far
}

func newNoisyMean(g *schemas.Guardrail) *noisyMean {
	side, edges := marginEdges(g)
	m := &noisyMean{any: stats.Mean{Rho0: 1, Side: side, Grid: stats.MeanGrid}}
	for _, e := range edges {
		m.beyond = append(m.beyond, stats.Mean{Rho0: e.rho0, Delta: e.delta / g.Cap, Side: side, Grid: stats.MeanGrid})
	}
	return m
}

func (m *noisyMean) full(b *block) bool { return sizesReach(b, blockExposures) }

func (m *noisyMean) increments(inc *increments, b *block, variance armPhi) bool {
	v := max(variance[windows.Canary], variance[windows.Baseline])
	of, before := meansOf(b), m.sum
	m.sum += of.Nb * of.Mb
	if !sizesReach(b, 1) || !m.any.Increments(inc.any, of, v) {
		return false
	}
	if !inc.one() {
		m.beyond[0].Increments(inc.beyond, of, v)
		for _, test := range m.beyond[1:] {
			var other [stats.BoundedPoints]float64 // MeanGrid has fewer
			test.Increments(other[:], of, v)
			lesser(inc.beyond, other[:])
		}
	}
	if inc.pass != nil {
		pass := m.beyond[passing(len(m.beyond), before)]
		pass.Side = -pass.Side
		pass.Increments(inc.pass, of, v)
	}
	return true
}

// meansOf are both arms' means of a block, in parts of the cap.
func meansOf(b *block) stats.Means {
	m := stats.Means{Nc: float64(b.n[windows.Canary]), Nb: float64(b.n[windows.Baseline])}
	if m.Nc > 0 {
		m.Mc = bounds{}.mean(b.n[windows.Canary], b.sum[windows.Canary])
	}
	if m.Nb > 0 {
		m.Mb = bounds{}.mean(b.n[windows.Baseline], b.sum[windows.Baseline])
	}
	return m
}

// boundedMean is R8 on the values of predictions.
type boundedMean struct {
	bounds
	any    stats.Bounded
	beyond []stats.Bounded       // one for each edge; to pass is the other side of one
	means  []*stats.BaselineMean // by stratum
}

func newBoundedMean(g *schemas.Guardrail) *boundedMean {
	side, edges := marginEdges(g)
	m := &boundedMean{bounds: bounds{g.Cap}, any: stats.Bounded{Rho0: 1, Side: side}}
	for _, e := range edges {
		m.beyond = append(m.beyond, stats.Bounded{Rho0: e.rho0, Delta: e.delta/(2*g.Cap) + (1-e.rho0)/2, Side: side}) // of shares
	}
	return m
}

func (m *boundedMean) full(b *block) bool { return sizesReach(b, blockExposures) }

func (m *boundedMean) increments(inc *increments, b *block, phi armPhi) bool {
	for len(m.means) <= b.stratum {
		m.means = append(m.means, stats.NewBaselineMean(.5))
	}
	v := stats.Values{Canary: m.samples(b, windows.Canary), Baseline: m.samples(b, windows.Baseline)}
	mean := m.means[b.stratum]
	q, worst := mean.Mean(), max(phi[windows.Canary], phi[windows.Baseline])
	mean.Add(v.Baseline)
	if !sizesReach(b, 1) || math.IsInf(worst, 1) || !m.any.Increments(inc.any, v, q, worst) {
		return false
	}
	if !inc.one() {
		m.failing(inc.beyond, v, q, worst)
	}
	if inc.pass != nil {
		pass := m.beyond[passing(len(m.beyond), q-m.share(0))]
		pass.Side = -pass.Side
		if !pass.Increments(inc.pass, v, q, worst) {
			clear(inc.pass) // a margin that at this mean is beyond the caps: nothing is bet
		}
	}
	return true
}

// failing bets on a canary that is beyond all edges; nothing, where one at this mean is beyond the caps.
func (m *boundedMean) failing(dst []float64, v stats.Values, q, phi float64) {
	ok := m.beyond[0].Increments(dst, v, q, phi)
	for _, test := range m.beyond[1:] {
		var other [stats.BoundedPoints]float64
		ok = ok && test.Increments(other[:], v, q, phi)
		lesser(dst, other[:])
	}
	if !ok {
		clear(dst)
	}
}

// meanLimit holds one arm's mean of predictions' values against a fixed limit.
type meanLimit struct {
	bounds
	arm        windows.Arm
	fail, pass stats.Bounded
	limit      float64 // as a share
}

func newMeanLimit(g *schemas.Guardrail, arm windows.Arm) *meanLimit {
	side := +1
	if g.Direction == schemas.Below {
		side = -1
	}
	b := bounds{g.Cap}
	limit := b.share(g.Margin.Value)
	return &meanLimit{
		bounds: b, arm: arm, limit: limit,
		fail: stats.Bounded{Delta: limit, Side: side}, pass: stats.Bounded{Delta: limit, Side: -side},
	}
}

func (m *meanLimit) full(b *block) bool { return b.n[m.arm] >= blockExposures }

func (m *meanLimit) increments(inc *increments, b *block, phi armPhi) bool {
	if b.n[m.arm] == 0 || math.IsInf(phi[m.arm], 1) {
		return false
	}
	v, worst := stats.Values{Canary: m.samples(b, m.arm)}, phi[m.arm]
	return m.fail.Increments(inc.any, v, .5, worst) && (inc.pass == nil || m.pass.Increments(inc.pass, v, .5, worst))
}

// meanTally adds up blocks of a mean.
type meanTally struct {
	n, k, sum [windows.Arms]int64
	expected  float64 // sum that the canary would have had at the baseline's mean of each block
}

func (t *meanTally) add(o meanTally) {
	for arm := range windows.Arms {
		t.n[arm] += o.n[arm]
		t.k[arm] += o.k[arm]
		t.sum[arm] += o.sum[arm]
	}
	t.expected += o.expected
}

// meanAccount keeps a mean's blocks: estimates in the metric's unit, and intervals where they are asked for.
type meanAccount struct {
	cap     float64
	counts  bool   // of outcomes: k counts those that came; else the values at the cap
	alone   *level // of a limit, where the baseline's mean is its own: what its interval is made of; else nil
	history history[meanTally, *meanTally]
	batches batches
	effect  *stats.MeanEffect // nil: no intervals
	spread  *moments          // of predictions' values, whose noise is told as over-dispersion; else nil
}

// level is one arm's values against a limit, all together, as its test takes them: the evidence of a limit is linear in these.
type level struct {
	kernel *meanLimit
	total  stats.Samples
	phi    float64 // the greatest so far
}

func (l *level) add(b *block, c closing) {
	of, phi := l.kernel.samples(b, l.kernel.arm), c.phi[l.kernel.arm]
	l.total = stats.Samples{N: l.total.N + of.N, Sum: l.total.Sum + of.Sum, Squares: l.total.Squares + of.Squares}
	l.phi = max(l.phi, phi)
}

// moments are those of the baseline's values, in parts of the cap.
type moments struct{ n, sum, squares float64 }

// variance is that of a value.
func (m *moments) variance() float64 {
	if m.n == 0 {
		return 0
	}
	mean := m.sum / m.n
	return max(0, m.squares/m.n-mean*mean)
}

func (m *moments) add(b *block) {
	const arm = windows.Baseline
	m.addCell(&windows.Cell{N: b.n[arm], Sum: b.sum[arm], Squares: b.squares[arm]})
}

func (m *moments) addCell(c *windows.Cell) {
	m.n += float64(c.N)
	m.sum += float64(c.Sum) / windows.SumUnit
	m.squares += float64(c.Squares) / windows.SumUnit
}

func newMeanAccount(g *schemas.Guardrail, intervals bool) *meanAccount {
	a := &meanAccount{cap: g.Cap, counts: g.From == schemas.KindOutcome}
	if intervals {
		a.effect = stats.NewMeanEffect()
		if g.From == schemas.KindPrediction {
			a.spread = &moments{}
		}
	}
	return a
}

// newLevelAccount is that of a limit.
func newLevelAccount(g *schemas.Guardrail, kernel *meanLimit) *meanAccount {
	return &meanAccount{cap: g.Cap, alone: &level{kernel: kernel}}
}

func (a *meanAccount) keep(b *block, c closing) {
	t := meanTally{n: b.n, k: b.k, sum: b.sum}
	if b.n[windows.Baseline] > 0 {
		t.expected = float64(b.n[windows.Canary]) * float64(b.sum[windows.Baseline]) / float64(b.n[windows.Baseline])
	}
	a.history.add(t, c.fromMs, c.onset)
	if a.effect != nil {
		a.batches.take(b, c, a.enter)
	}
	if a.alone != nil {
		a.alone.add(b, c)
	}
}

// enter takes a batch, with the variance that was known before it.
func (a *meanAccount) enter(b *batch) {
	variance := max(b.phi[windows.Canary], b.phi[windows.Baseline])
	if a.spread != nil {
		variance *= a.spread.variance()
		a.spread.add(&b.block)
	}
	a.effect.Add(meansOf(&b.block), variance)
}

// events are those of outcomes; other values are none.
func (a *meanAccount) events(k int64) int64 {
	if a.counts {
		return k
	}
	return 0
}

// cappedTold is the share of an arm's values at the cap from which on it is told.
const cappedTold = .5

// capped is the share of values at the cap or beyond, in the arm that has more of them; 0 while that is not much, or where it isn't known: of outcomes.
func (a *meanAccount) capped() (share float64) {
	t := a.history.since(0)
	for arm := range windows.Arms {
		if n := t.n[arm]; n > 0 && !a.counts {
			share = max(share, float64(t.k[arm])/float64(n))
		}
	}
	if share < cappedTold {
		return 0
	}
	return share
}

func (a *meanAccount) estimate(sinceMs int64) estimate {
	t := a.history.since(sinceMs)
	unit := a.cap / windows.SumUnit
	e := estimate{
		windows.Baseline: {t.n[windows.Baseline], a.events(t.k[windows.Baseline]), unit * t.expected / float64(t.n[windows.Canary])},
		windows.Canary:   {t.n[windows.Canary], a.events(t.k[windows.Canary]), unit * float64(t.sum[windows.Canary]) / float64(t.n[windows.Canary])},
	}
	if a.alone != nil {
		e[windows.Baseline].value = unit * float64(t.sum[windows.Baseline]) / float64(t.n[windows.Baseline])
	}
	return e
}

func (a *meanAccount) intervals(alpha float64) (difference, ratio interval) {
	if a.effect == nil {
		return unknown, unknown
	}
	lower, upper := a.effect.Difference(alpha)
	ratio.lower, ratio.upper = a.effect.Ratio(alpha)
	return interval{lower * a.cap, upper * a.cap}, ratio
}

// limited reports whether it is that of a limit.
func (a *meanAccount) limited() bool { return a.alone != nil }

// asked is the interval of a limit's mean, which stands in no decision: these are as they were before there was one. stats.MeanInterval says what it holds.
func (a *meanAccount) asked(alpha float64) (difference, ratio interval) {
	if a.alone == nil || a.alone.total.N == 0 {
		return a.intervals(alpha)
	}
	lower, upper := stats.MeanInterval(a.alone.total, a.alone.phi, alpha)
	return interval{(2*lower - 1) * a.cap, (2*upper - 1) * a.cap}, unknown
}

// meanNoise measures the variance of one value, autocorrelation included, on the baseline's calibration slices: for every
// size of a shard, as dispersion does of rates.
type meanNoise struct {
	sizes   [shards]stats.LongRun
	seen    [shards]int64
	traced  *traffic
	values  moments
	prior   float64    // of phi, until it is measured
	known   float64    // > 0: phi is given
	ratio   bool       // what is asked for is phi: the variance over that of independent values
	alike   *meanAlike // of phi, where units have several values; nil: it isn't asked for
	windows uint64
	earlier *meanNoise // as it was when it had half to all of the windows: see past; nil: nobody asks
}

// onePartWindows is from how many windows on a noise that nothing tells is said not to be told: some 30 tell it, else.
const onePartWindows = 30

// earlierWindows is from how many windows on there is an earlier noise.
const earlierWindows = 256

func newMeanNoise(o Options, prior float64, t *traffic, ratio bool) *meanNoise {
	m := &meanNoise{traced: t, prior: prior, known: o.Phi, ratio: ratio}
	if ratio {
		m.alike = newMeanAlike(o, prior)
	}
	return m
}

// look takes a window before its tests.
func (m *meanNoise) look(p *windows.Part) {
	if m.alike != nil {
		m.alike.noise.look(p)
	}
}

// clumped reports whether units have several values, of which it isn't known beforehand how alike they are.
func (m *meanNoise) clumped() bool { return m.alike != nil && m.known == 0 && m.alike.noise.many }

// blind reports whether the present window is for measuring alone.
func (m *meanNoise) blind() bool { return m.alike != nil && m.alike.noise.blind }

// add takes the baseline's cell of one window, of samples of a round.
func (m *meanNoise) add(c *windows.Cell) {
	m.values.addCell(c)
	if m.alike != nil {
		m.alike.add(c)
	}
	all := windows.SliceCount{}
	for _, s := range c.Slices {
		all.N, all.Sum = all.N+s.N, all.Sum+s.Sum
	}
	part := c.Slices[windows.Slices-1]
	for i := range m.sizes {
		if rest := all.N - part.N; part.N > 0 && rest > 0 {
			m.seen[i]++
			m.sizes[i].Add(stats.Means{
				Nc: float64(part.N), Mc: bounds{}.mean(part.N, part.Sum), Nb: float64(rest), Mb: bounds{}.mean(rest, all.Sum-part.Sum),
			})
		}
		next := c.Slices[windows.Slices-2-i]
		part.N, part.Sum = part.N+next.N, part.Sum+next.Sum
	}
	m.windows++
	if m.earlier != nil {
		m.earlier.seen = m.seen
		if m.windows >= earlierWindows && bits.OnesCount64(m.windows) == 1 {
			m.earlier.sizes = m.sizes
		}
	}
}

// inOnePart reports whether all values of so many windows as would have told the noise are of one half of the baseline, so that nothing tells it.
func (m *meanNoise) inOnePart() bool {
	return !m.ratio && m.windows >= onePartWindows && m.seen == [shards]int64{}
}

// past is the noise by which the baseline is held against itself: as it was at 256, 512, 1024, … windows, and unknown before. The noise itself is made of the same contrasts, and would soon
// cover what sets in between them.
func (m *meanNoise) past() *meanNoise {
	if m.ratio {
		return m
	}
	if m.earlier == nil {
		m.earlier = &meanNoise{traced: m.traced}
	}
	return m.earlier
}

// shard is the size of a shard that stands in for the canary: the smallest that is not smaller, of those that ever had anything.
func (m *meanNoise) shard() int {
	size := shardSize(m.traced.ratio)
	for larger := size; larger < shards; larger++ {
		if m.seen[larger] > 0 {
			return larger
		}
	}
	return size
}

// arms is the variance of one value, or phi, of either arm, for the next block; where units have several values, phi is meanAlike's. A size of a shard that has hardly been seen, as with few
// hosts, goes by the next larger one: noise attached to hosts grows with it.
func (m *meanNoise) arms() armPhi {
	switch {
	case m.ratio && m.known > 0:
		return armPhi{m.known, m.known}
	case m.clumped():
		return m.alike.noise.arms()
	}
	size := shardSize(m.traced.ratio)
	variance := math.Inf(1)
	for i := size; i < shards; i++ {
		if variance = m.sizes[i].Variance(); !math.IsInf(variance, 1) {
			break
		}
	}
	if !m.ratio {
		return armPhi{variance, variance}
	}
	phi, plain := m.prior, m.values.variance()
	if !math.IsInf(variance, 1) && plain > 0 {
		phi = variance / plain
	}
	phi = max(1, phi)
	return armPhi{phi, phi}
}
