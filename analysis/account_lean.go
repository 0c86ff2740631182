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
	lean  lean // nil: no block yet, or only the one in hist
	hist  *[windows.Arms][]windows.Bucket
	fresh func() lean
}

func (t *leanTally) add(o leanTally) {
	for arm := range windows.Arms {
		t.n[arm] += o.n[arm]
	}
	if t.lean == nil && o.fresh != nil {
		t.lean, t.fresh = o.fresh(), o.fresh
	}
	if o.hist != nil {
		t.lean.Add(o.hist[windows.Canary], o.hist[windows.Baseline])
		return
	}
	switch more := o.lean.(type) {
	case *stats.TailShift:
		t.lean.(*stats.TailShift).Join(more)
	case *stats.HodgesLehmann:
		t.lean.(*stats.HodgesLehmann).Join(more)
	}
}

// leanAccount keeps how far apart the arms are, and not where they are: its estimate has the effect as the canary's value, and that of no effect as
// the baseline's. Values beyond linear buckets are taken at the ends of their range, so that the effect is never more than what is known.
type leanAccount struct {
	scale   scale
	fresh   func() lean
	history history[leanTally, *leanTally]
	lazy    bool                           // the effect is of blocks before which there was evidence, only
	shown   *lastBlock                     // nil: nothing
	now     [windows.Arms][]windows.Bucket // of the block that is being taken in
	ends    *ends                          // of linear buckets; else nil
	bounds  *quantileBounds                // nil: no intervals
	tests   float64                        // how many accounts' intervals are to hold at once
	extra   *quantileBounds                // kept for those who ask, see onDemand; nil: nothing
}

func newLeanAccount(g *schemas.Guardrail, keep keeping, fresh func() lean) *leanAccount {
	return &leanAccount{scale: scaleOf(g), lazy: keep.part, fresh: fresh, ends: endsOf(g)}
}

// bounded gives an account an interval: of the tail of ppm, of so many tails whose intervals are to hold at once.
func (a *leanAccount) bounded(ppm int64, tests int) {
	a.bounds, a.tests = newQuantileBounds(a.scale, ppm), float64(tests)
}

func (a *leanAccount) keep(b *block, c closing) {
	t := leanTally{n: b.n}
	if !a.lazy || c.hot {
		a.now = a.seen(b)
		t.hist, t.fresh = &a.now, a.fresh
	}
	a.history.add(t, c.fromMs, c.onset)
	a.now = [windows.Arms][]windows.Bucket{}
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
func (a *leanAccount) seen(b *block) (hist [windows.Arms][]windows.Bucket) {
	for arm := range windows.Arms {
		hist[arm] = b.hist[arm].buckets
		if a.ends != nil {
			hist[arm] = a.ends.clamp(windows.Arm(arm), hist[arm])
		}
	}
	return hist
}

func (a *leanAccount) estimate(sinceMs int64) estimate {
	t := a.history.since(sinceMs)
	shift := math.NaN()
	if t.lean != nil {
		shift = t.lean.Shift()
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
