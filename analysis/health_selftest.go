package analysis

import (
	"fmt"
	"math"
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

const (
	codeUncalibrated = "uncalibrated"

	// selfAlpha is how often each metric's self-test may err in an epoch.
	selfAlpha = .001
)

var selfThreshold = math.Log(1 / selfAlpha)

// A selfTest holds the baseline against itself: a part of it, cut off by unit and about as large as the canary, stands in for the
// canary against the rest, in the guardrails' own test with the same factors and start mixture. It should never cross, in
// neither direction. Where it does, the baseline's noise isn't what the tests take it for, and what they prove of the canary in
// this metric means nothing: a contrast of it can neither fail nor pass until the evidence is gone. Absolute limits of the
// same metric stay armed, since they say what the canary does, and not by how much it differs.
//
// It sees what phi sees: differences between units, in the largest part that is at most half of the baseline. It can't see noise that
// belongs to hosts, as every unit uses all of them.
type selfTest struct {
	judge   *Judge
	of      *guard // the first one of the metric
	stream  *stream
	cell    int // whose slices, or whose histogram, the baseline is
	half    int // of a histogram: the cell of its slice 0; else -1
	size    int // of the shard, of slices
	sides   [2]*trial
	names   []string // of the contrasts that it covers
	settled bool     // which test it is
	off     bool
	window  window
	rest    histogram
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
	return g.Kind == schemas.QuantileGuardrail && g.Direction.Contrast()
}

// selfTestOf gives guardrail i its metric's self-test, and returns it if it is a new one.
func (j *Judge) selfTestOf(i int, g *guard) *selfTest {
	histogram := keepsHalf(g.spec)
	if g.canary.phi == nil && !histogram {
		return nil
	}
	s := j.stream(streamOf(g.spec))
	for _, o := range j.guards[:i] {
		if o.self != nil && o.self.stream == s && o.self.cell == g.cell && histogram == (o.self.half >= 0) {
			o.self.cover(g)
			return nil
		}
	}
	t := &selfTest{judge: j, of: g, stream: s, cell: g.cell, half: -1}
	if histogram {
		t.half = cellOf(j.rollout, newHalfMetric(needsOf(g.spec)[0]))
	}
	t.equip(newContrast)
	t.cover(g)
	return t
}

// equip makes the tests of both directions.
func (t *selfTest) equip(newTrial func(*schemas.Guardrail, keeping) *trial) {
	for side, direction := range [...]schemas.Direction{schemas.Increase, schemas.Decrease} {
		any := *t.of.spec
		any.Direction, any.Margin = direction, schemas.Margin{Text: "any", Relative: t.half >= 0}
		t.sides[side] = newTrial(&any, keeping{})
		t.sides[side].phi = t.of.canary.phi
		if t.half >= 0 {
			t.sides[side].account = bareAccount{} // histograms of all possible onsets would be larger than all else that is kept
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
		for _, side := range t.sides {
			side.part(c)
		}
		return
	}
	if !t.see(p, c.widthMs) {
		return
	}
	if high, ok := t.of.canary.kernel.(*highRateContrast); ok && t.sides[0].tested == 0 && !t.settled { // the guardrails' test was chosen meanwhile
		t.settled = true
		t.equip(func(g *schemas.Guardrail, k keeping) *trial { return newHighRateTrial(g, high.seed, k) })
	}
	for _, side := range t.sides {
		side.take(&t.window, c)
	}
	logE := t.logE()
	t.off = logE >= selfThreshold || t.off && logE >= halfway*selfThreshold
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
	}
	return w.n[windows.Baseline]+w.n[windows.Canary] > 0
}

// choose fixes the shard's size for the next block: about the canary's, or larger where that one never had anything, as with few
// hosts. A block in which the shard had nothing yet is dropped for it.
func (t *selfTest) choose() {
	b := &t.sides[0].block
	if b.n[windows.Canary] > 0 || b.n[windows.Baseline] > 0 && t.size == t.sides[0].phi.shard() {
		return
	}
	t.size = t.sides[0].phi.shard()
	for _, side := range t.sides {
		side.block.clear()
	}
}

func (t *selfTest) logE() float64 {
	return logMean([]float64{t.sides[0].any.LogE(), t.sides[1].any.LogE()})
}

func (t *selfTest) sick() bool { return t.off }

func (t *selfTest) holds() bool { return t.judge.rollout.Health.SelfTest != schemas.OnWarn }

// voids is of every contrast of the metric.
func (t *selfTest) voids(g *guard) bool { return t.off && t.holds() && g.isContrast() }

func (t *selfTest) code() string { return codeUncalibrated }

func (t *selfTest) finding() schemas.Finding {
	side := t.sides[0]
	if t.sides[1].any.LogE() > side.any.LogE() {
		side = t.sides[1]
	}
	since, _ := side.began()
	f := schemas.Finding{Code: codeUncalibrated, LogEvidence: shown(t.logE()), Threshold: selfThreshold, Since: schemas.Time(since)}
	f.Sentence = fmt.Sprintf("%s differs from itself in %s since %s: %s.%s", capital(t.judge.arm(windows.Baseline)), metricText(t.of.spec),
		timeText(since, t.judge.nowMs), t.difference(side, since), t.consequence())
	return f
}

// difference is what the two parts of the baseline have, as far as it is known.
func (t *selfTest) difference(side *trial, since int64) string {
	if side.phi == nil {
		return "one half of its users and the other have not the same"
	}
	e, g := side.account.estimate(since), t.of
	part, rest := e[windows.Canary], e[windows.Baseline]
	return fmt.Sprintf("%s in one part of its users (%s), %s in the others (%s), more than its measured noise explains (phi %s)",
		g.valueText(part.value), g.countText(part), g.valueText(rest.value), g.countText(rest), digits(side.phi.canary()))
}

// consequence is what becomes of the guardrails that the test covers.
func (t *selfTest) consequence() string {
	switch {
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
	return append(dst, t.sides[0].any.LogE(), t.sides[1].any.LogE())
}

// metricText names what a guardrail measures.
func metricText(g *schemas.Guardrail) string {
	switch {
	case g.Kind == schemas.QuantileGuardrail:
		return quantileName(g.Quantile) + " of " + g.Of
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
