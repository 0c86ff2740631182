package analysis

import (
	"fmt"
	"math"
	"slices"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

const (
	codeUncalibrated = "uncalibrated"

	// selfAlpha is how often each metric's self-test may err in an epoch, however many quantiles of it are tested.
	selfAlpha = .001
)

var selfThreshold = math.Log(1 / selfAlpha)

// A selfTest holds the baseline against itself: a part of it, cut off by unit and about as large as the canary, stands in for the
// canary against the rest, in the guardrails' own test with the same factors and start mixture. It should never cross, in
// neither direction. Where it does, the baseline's noise isn't what the tests take it for, and what they prove of the canary in
// this metric means nothing: a contrast of it can neither fail nor pass until the evidence is gone. Absolute limits of the
// same metric stay armed, since they say what the canary does, and not by how much it differs.
//
// Of a histogram every quantile that a guardrail contrasts is tested, as each has noise of its own, and the chance to err is shared among them; of a quantile's limit
// the share beyond it, as a rate.
//
// It sees what phi sees: differences between units, in the largest part that is at most half of the baseline. It can't see noise that
// belongs to hosts, as every unit uses all of them.
type selfTest struct {
	judge   *Judge
	of      *guard   // the first one of the metric
	by      []*guard // whose test each of a side's is
	stream  *stream
	cell    int         // whose slices, or whose histogram, the baseline is
	half    int         // of a histogram: the cell of its slice 0; else -1
	size    int         // of the shard, of slices
	sides   [2]sideTest // the part has more than the rest; it has less
	names   []string    // of the contrasts that it covers
	settled bool        // which test it is
	off     bool
	window  window
	rest    histogram
}

// sideTest is the tests of one direction: one, or those of all quantiles of a histogram that guardrails contrast.
type sideTest []*trial

// logE is the evidence: of several tests, each with blocks of its own, the greatest less the log of how many there are (see guard.greatest).
func (s sideTest) logE() float64 {
	return s[s.best()].any.LogE() - math.Log(float64(len(s)))
}

// best is the place of the test that has the greatest evidence.
func (s sideTest) best() int {
	best := 0
	for i, t := range s {
		if t.any.LogE() > s[best].any.LogE() {
			best = i
		}
	}
	return best
}

var _ = registerHealth(healthKind{
	name: "self-test", rank: 70,
	needs: func(r *schemas.Rollout) []windows.Metric {
		var halves []windows.Metric
		for i := range r.Guardrails {
			if g := &r.Guardrails[i]; keepsHalf(g) {
				halves = append(halves, newHalfMetric(needsOf(g)[0]))
			}
		}
		return halves
	},
	checks: func(j *Judge) []check {
		var all []check
		for i, g := range j.guards {
			if s := j.selfTestOf(i, g); s != nil {
				all = append(all, s)
			}
		}
		return all
	},
})

// keepsHalf reports whether a guardrail contrasts histograms.
func keepsHalf(g *schemas.Guardrail) bool {
	return measuresValues(g) && g.Direction.Contrast()
}

// selfTestOf gives guardrail i its metric's self-test, and returns it if it is a new one.
func (j *Judge) selfTestOf(i int, g *guard) *selfTest {
	histogram := keepsHalf(g.spec)
	if !histogram && g.canary.phi == nil && g.canary.noise == nil {
		return nil
	}
	s := j.stream(streamOf(g.spec))
	for _, o := range j.guards[:i] {
		if o.self != nil && o.self.stream == s && o.self.cell == g.cell && histogram == (o.self.half >= 0) && (o.canary.noise == nil) == (g.canary.noise == nil) {
			o.self.cover(g)
			if histogram {
				o.self.add(g, newTests)
			}
			return nil
		}
	}
	t := &selfTest{judge: j, of: g, stream: s, cell: g.cell, half: -1}
	if histogram {
		t.half = cellOf(j.rollout, newHalfMetric(needsOf(g.spec)[0]))
	}
	if !histogram && measuresValues(g.spec) {
		t.equip(newExceedTests)
	} else {
		t.equip(newTests)
	}
	t.cover(g)
	return t
}

// newTests makes the tests of a guardrail.
func newTests(g *schemas.Guardrail) sideTest {
	if g.Kind == schemas.DistributionGuardrail {
		first, more := newDistribution(g, keeping{})
		return append(sideTest{first}, more...)
	}
	return sideTest{newContrast(g, keeping{})}
}

// newExceedTests makes the test of the share of values beyond a limit.
func newExceedTests(g *schemas.Guardrail) sideTest {
	grid := stats.IncidentGrid
	return sideTest{newTrial(newRateContrast(g, grid), newRateAccount(keeping{}), contrastShape(g, len(grid), keeping{}))}
}

// equip makes the tests of both directions.
func (t *selfTest) equip(make func(*schemas.Guardrail) sideTest) {
	t.sides, t.by = [2]sideTest{}, nil
	t.add(t.of, make)
}

// add makes those of a guardrail, but for quantiles that are tested already.
func (t *selfTest) add(g *guard, make func(*schemas.Guardrail) sideTest) {
	had, of := len(t.by), g.trials()
	for side, direction := range [...]schemas.Direction{schemas.Increase, schemas.Decrease} {
		any := *g.spec
		any.Direction, any.Margin = direction, schemas.Margin{Text: "any", Relative: t.half >= 0 && !any.Buckets.Linear()}
		for i, one := range make(&any) {
			if slices.ContainsFunc(t.sides[side][:had], func(o *trial) bool { return o.ranks == of[i].ranks }) {
				continue
			}
			one.phi, one.ranks = g.canary.phi, of[i].ranks
			if noise := g.canary.noise; noise != nil {
				one.noise = noise.past()
			}
			if t.half >= 0 {
				one.account = bareAccount{} // histograms of all possible onsets would be larger than all else that is kept
			}
			if t.sides[side] = append(t.sides[side], one); len(t.by) < len(t.sides[side]) {
				t.by = append(t.by, g)
			}
		}
	}
}

func (t *selfTest) cover(g *guard) {
	g.self = t
	g.doubts = append(g.doubts, t)
	if g.isContrast() {
		t.names = append(t.names, g.spec.Name)
	}
}

func (t *selfTest) take(p *windows.Part, f feeding, c clock) {
	if p.Stream != t.stream.Stream || f.unequal || p.Kind == windows.Outcomes && f.leave {
		return
	}
	if f.cut { // the canary has another size now, and so has the part that stands in for it
		t.each(func(one *trial) { one.part(c) })
		if !f.whole {
			return
		}
	}
	if !t.see(p, c.widthMs) {
		return
	}
	if high, ok := t.of.canary.kernel.(*highRateContrast); ok && !t.settled { // the guardrails' test was chosen meanwhile
		t.settled = true
		t.equip(func(g *schemas.Guardrail) sideTest { return sideTest{newHighRateTrial(g, high.seed, keeping{})} })
	}
	t.each(func(one *trial) { one.take(&t.window, c) })
	logE := t.logE()
	t.off = logE >= selfThreshold || t.off && logE >= halfway*selfThreshold
}

func (t *selfTest) turn(of windows.Stream, c clock) {
	if of == t.stream.Stream {
		t.each(func(one *trial) { one.turn(c) })
	}
}

func (t *selfTest) each(do func(*trial)) {
	for _, side := range t.sides {
		for _, one := range side {
			do(one)
		}
	}
}

// see makes the window of a part in which the shard is the canary; false when the baseline has nothing.
func (t *selfTest) see(p *windows.Part, widthMs int64) bool {
	w, cells := &t.window, p.Cells[windows.Baseline]
	if t.cell >= len(cells) || t.half >= len(cells) || cells[t.cell].N == 0 {
		return false
	}
	*w = window{startMs: p.StartMs, endMs: p.StartMs + widthMs}
	whole := &cells[t.cell]
	if t.half >= 0 {
		half := &cells[t.half]
		t.rest.less(whole.Hist, half.Hist)
		w.n = [windows.Arms]int64{windows.Canary: half.N, windows.Baseline: whole.N - half.N}
		w.hist = [windows.Arms][]windows.Bucket{windows.Canary: half.Hist, windows.Baseline: t.rest.buckets}
		return true
	}
	t.choose()
	for i, s := range whole.Slices {
		arm := windows.Baseline
		if i >= windows.Slices-1-t.size {
			arm = windows.Canary
		}
		w.n[arm] += s.N
		w.k[arm] += s.K
		w.sum[arm] += s.Sum
	}
	if whole.Squares > 0 {
		w.shareSquares(whole)
	}
	return w.n[windows.Baseline]+w.n[windows.Canary] > 0
}

// shareSquares gives both parts squares, which slices don't have: as if their values were alike, but no less than their sums need.
func (w *window) shareSquares(whole *windows.Cell) {
	for arm := range windows.Arms {
		if n, sum := float64(w.n[arm]), float64(w.sum[arm]); n > 0 {
			alike := float64(whole.Squares) * n / float64(whole.N)
			w.squares[arm] = int64(math.Ceil(max(alike, sum*sum/n/windows.SumUnit)))
		}
	}
}

// choose fixes the shard's size for the next block: about the canary's, or larger where that one never had anything, as with few
// hosts. A block in which the shard had nothing yet is dropped for it.
func (t *selfTest) choose() {
	first := t.sides[0][0]
	var shard int
	if first.phi != nil {
		shard = first.phi.shard()
	} else {
		shard = first.noise.shard()
	}
	if b := &first.block; b.n[windows.Canary] > 0 || b.n[windows.Baseline] > 0 && t.size == shard {
		return
	}
	t.size = shard
	t.each(func(one *trial) { one.block.clear() })
}

func (t *selfTest) logE() float64 {
	return logMean([]float64{t.sides[0].logE(), t.sides[1].logE()})
}

func (t *selfTest) sick() bool { return t.off }

func (t *selfTest) alpha() float64 { return selfAlpha }

func (t *selfTest) holds() bool { return t.judge.rollout.Health.SelfTest != schemas.OnWarn }

// voids is of every contrast of the metric.
func (t *selfTest) voids(g *guard) bool { return t.off && t.holds() && g.isContrast() }

func (t *selfTest) hides(g *guard) bool { return t.voids(g) }

func (t *selfTest) code() string { return codeUncalibrated }

func (t *selfTest) finding() schemas.Finding {
	sides := t.sides[0]
	if t.sides[1].logE() > t.sides[0].logE() {
		sides = t.sides[1]
	}
	best := sides.best()
	side := sides[best]
	since, _ := side.began()
	f := schemas.Finding{Code: codeUncalibrated, LogEvidence: shown(t.logE()), Threshold: selfThreshold, Since: schemas.Time(since)}
	f.Sentence = fmt.Sprintf("%s differs from itself in %s since %s: %s.%s", capital(t.judge.arm(windows.Baseline)), metricText(t.by[best].spec),
		timeText(since, t.judge.nowMs), t.difference(side, since), t.consequence())
	return f
}

// difference is what the two parts of the baseline have, as far as it is known.
func (t *selfTest) difference(side *trial, since int64) string {
	if t.half >= 0 {
		return "one half of its users and the other have not the same"
	}
	e, g := side.account.estimate(since), t.of
	part, rest := e[windows.Canary], e[windows.Baseline]
	noise, count, value := "", g.countText, g.valueText
	if measuresValues(g.spec) {
		value = percentText
	}
	if side.noise != nil {
		count = func(t armTally) string { return "of " + countText(t.n) }
	}
	if side.phi != nil {
		noise = fmt.Sprintf(" (phi %s)", digits(side.phi.canary()))
	}
	return fmt.Sprintf("%s in one part of its users (%s), %s in the others (%s), more than its measured noise explains%s",
		value(part.value), count(part), value(rest.value), count(rest), noise)
}

// consequence is what becomes of the guardrails that the test covers.
func (t *selfTest) consequence() string {
	switch {
	case len(t.names) == 0 && t.holds() && measuresValues(t.of.spec):
		return " That holds the rollout until the evidence is gone, or in a new epoch; limits stay armed."
	case len(t.names) == 0:
		return ""
	case t.holds():
		return fmt.Sprintf(" Until that evidence is gone, or in a new epoch, %s can neither roll back nor pass; limits stay armed.", listText(t.names))
	}
	return fmt.Sprintf(" What %s shows of the canary may be nothing but that.", listText(t.names))
}

// bareAccount keeps nothing.
type bareAccount struct{}

func (bareAccount) keep(*block, closing) {}

func (bareAccount) estimate(int64) estimate { return estimate{} }

func (bareAccount) intervals(float64) (difference, ratio interval) { return unknown, unknown }

func (t *selfTest) evidence(dst []float64) []float64 {
	t.each(func(one *trial) { dst = append(dst, one.any.LogE()) })
	return dst
}

// metricText names what a guardrail measures.
func metricText(g *schemas.Guardrail) string {
	switch {
	case g.Kind == schemas.QuantileGuardrail && !g.Direction.Contrast():
		return fmt.Sprintf("the share of %s above %s", g.Of, marginText(g.Margin.Text))
	case g.Kind == schemas.QuantileGuardrail:
		return quantileName(g.Quantile) + " of " + g.Of
	case g.Kind == schemas.DistributionGuardrail:
		return "the distribution of " + g.Of
	case g.Kind == schemas.MeanGuardrail:
		return "the mean of " + g.Of
	case g.Kind == schemas.GaugeGuardrail:
		return fmt.Sprintf("the share of %s samples above %s", g.Of, numberText(g.Limit))
	}
	return "the " + g.Of + " rate"
}

// less makes h what is left of whole without part; every value of part is in whole.
func (h *histogram) less(whole, part []windows.Bucket) {
	h.buckets = h.buckets[:0]
	for _, b := range whole {
		if len(part) > 0 && part[0].Index == b.Index {
			b.Count -= part[0].Count
			part = part[1:]
		}
		if b.Count > 0 {
			h.buckets = append(h.buckets, b)
		}
	}
	if len(part) > 0 {
		panic(fmt.Sprintf("analysis: half of a histogram has bucket %d, which the whole has not", part[0].Index))
	}
}

// cellOf is the place of a metric's cell in its stream's parts; -1: there is none.
func cellOf(r *schemas.Rollout, m windows.Metric) int {
	var keys []string
	for _, o := range Metrics(r) {
		if o.Stream() == m.Stream() {
			keys = append(keys, o.Key())
		}
	}
	return slices.Index(keys, m.Key())
}
