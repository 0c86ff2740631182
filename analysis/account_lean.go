package analysis

import (
	"math"
	"slices"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A lean is by how many buckets the canary's values are larger than the baseline's, over many blocks, in a few numbers: of the tail
// (stats.TailShift), or of the bulk (stats.HodgesLehmann).
type lean interface {
	Add(canary, baseline []windows.Bucket) bool
	Shift() float64
}

// leanTally adds up blocks of a distribution without its histograms.
type leanTally struct {
	n     [windows.Arms]int64
	lean  lean     // nil: no block yet, or only the one in hist
	near  lean     // of rounded values: the same of the arms as near to each other as they may have been; nil: they aren't rounded, or no block yet
	hist  *armHist // of one block
	edge  *armHist // of one block of rounded values: as near to each other as they may have been
	fresh func() lean
}

// armHist has a histogram of each arm.
type armHist [windows.Arms][]windows.Bucket

func (t *leanTally) add(o leanTally) {
	for arm := range windows.Arms {
		t.n[arm] += o.n[arm]
	}
	if t.lean == nil && o.fresh != nil {
		t.lean, t.fresh = o.fresh(), o.fresh
	}
	if t.near == nil && (o.edge != nil || o.near != nil) {
		t.near = t.fresh()
	}
	takeIn(t.lean, o.hist, o.lean)
	takeIn(t.near, o.edge, o.near)
}

// takeIn adds one block's histograms to a sum, or else another sum; where there is neither, nothing.
func takeIn(sum lean, hist *armHist, more lean) {
	if hist != nil {
		sum.Add(hist[windows.Canary], hist[windows.Baseline])
		return
	}
	switch more := more.(type) {
	case *stats.TailShift:
		sum.(*stats.TailShift).Join(more)
	case *stats.HodgesLehmann:
		sum.(*stats.HodgesLehmann).Join(more)
	}
}

// leanAccount keeps how far apart the arms are, and not where they are: its estimate has the effect as the canary's value, and that of no effect as
// the baseline's. Values beyond linear buckets are taken at the ends of their range, so that the effect is never more than what is known.
type leanAccount struct {
	scale   scale
	fresh   func() lean
	history history[leanTally, *leanTally]
	lazy    bool            // the effect is of blocks before which there was evidence, only
	up      bool            // harm is that the canary's values are larger
	shown   *lastBlock      // nil: nothing
	now     armHist         // of the block that is being taken in
	edge    armHist         // of the same, where values are rounded
	ends    [2]*ends        // of linear buckets, for now and for edge; else nil
	bounds  *quantileBounds // nil: no intervals
	tests   float64         // how many accounts' intervals are to hold at once
	extra   *quantileBounds // kept for those who ask, see onDemand; nil: nothing
}

func newLeanAccount(g *schemas.Guardrail, keep keeping, fresh func() lean) *leanAccount {
	return &leanAccount{scale: scaleOf(g), lazy: keep.part, up: g.Direction != schemas.Decrease, fresh: fresh, ends: [2]*ends{endsOf(g), endsOf(g)}}
}

// bounded gives an account an interval: of the tail of ppm, of so many tails whose intervals are to hold at once.
func (a *leanAccount) bounded(ppm int64, tests int) {
	a.bounds, a.tests = newQuantileBounds(a.scale, ppm), float64(tests)
}

func (a *leanAccount) keep(b *block, c closing) {
	t := leanTally{n: b.n}
	if !a.lazy || c.hot {
		a.now = seen(&b.hist[windows.Canary], &b.hist[windows.Baseline], a.ends[0])
		t.hist, t.fresh = &a.now, a.fresh
		if e := b.edges; e != nil {
			canary, baseline := e.towardEachOther(a.up)
			a.edge = seen(canary, baseline, a.ends[1])
			t.edge = &a.edge
		}
	}
	a.history.add(t, c.fromMs, c.onset)
	a.now, a.edge = armHist{}, armHist{}
	if a.shown != nil {
		a.shown.take(b)
	}
	for _, q := range [...]*quantileBounds{a.bounds, a.extra} {
		if q != nil {
			q.take(b, c)
		}
	}
}

func (a *leanAccount) asked(alpha float64) (difference, ratio interval) {
	if a.extra == nil {
		return unknown, unknown
	}
	return a.extra.intervals(alpha)
}

// seen are a block's histograms, good while the block is.
func seen(canary, baseline *histogram, e *ends) (hist armHist) {
	hist[windows.Canary], hist[windows.Baseline] = canary.buckets, baseline.buckets
	if e != nil {
		for arm := range windows.Arms {
			hist[arm] = e.clamp(windows.Arm(arm), hist[arm])
		}
	}
	return hist
}

func (a *leanAccount) estimate(sinceMs int64) estimate {
	t := a.history.since(sinceMs)
	return a.estimateOf(&t, t.lean)
}

// nearest is the estimate with the arms as near to each other as they may have been before their values were rounded: what rounding alone can have made of a
// canary within the margin is not beyond it, since each quantile of it is within then (see stats.RoundingOffsets).
func (a *leanAccount) nearest(sinceMs int64) estimate {
	t := a.history.since(sinceMs)
	if t.near == nil {
		return a.estimateOf(&t, t.lean)
	}
	return a.estimateOf(&t, t.near)
}

func (a *leanAccount) estimateOf(t *leanTally, of lean) estimate {
	shift := math.NaN()
	if of != nil {
		shift = of.Shift()
	}
	return estimate{
		windows.Baseline: {n: t.n[windows.Baseline], value: a.scale.none()},
		windows.Canary:   {n: t.n[windows.Canary], value: a.scale.effect(shift)},
	}
}

func (a *leanAccount) intervals(alpha float64) (difference, ratio interval) {
	if a.bounds == nil {
		return unknown, unknown
	}
	return a.bounds.intervals(alpha / a.tests)
}

// The shifts of lean accounts beside the margin's own: on exponential buckets factors of 1/4 to 8, or, where there are many accounts, up
// to 4 in the direction of harm; on linear ones as much of them as of 192.
var (
	leanShifts  = []int{-128, -64, -32, -16, 0, 16, 32, 64, 128, 192}
	smallShifts = map[schemas.Direction][]int{
		schemas.Increase: {0, 48, 128}, schemas.Decrease: {-128, -48, 0}, schemas.Both: {-64, 0, 64},
	}
)

// shiftsOf are the shifts of a guardrail's lean account, the margin among them, so that the estimate is beyond it where the test's own
// evidence is.
func shiftsOf(g *schemas.Guardrail, keep keeping) []int {
	all, s := leanShifts, scaleOf(g)
	if keep.part {
		all = smallShifts[g.Direction]
	}
	margin, _ := s.shifts(g)
	shifts := []int{margin}
	for _, x := range all {
		if s.linear.Linear() {
			x = x * s.linear.Count / 192
		}
		shifts = append(shifts, x)
	}
	slices.Sort(shifts)
	return slices.Compact(shifts)
}
