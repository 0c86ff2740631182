package analysis

import (
	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A rank is a test of two histograms: stats.TopK, stats.Mallows.
type rank interface {
	Increments(dst []float64, canary, baseline []windows.Bucket) bool
}

// facing is a rank test of one direction: up, it is evidence that the canary's values are the larger ones.
type facing struct {
	rank
	up   bool
	ends *ends // nil: values in the outer buckets stay there
}

// ends moves what lies beyond linear buckets to their ends, in memory that is used again: where harm beyond a margin is tested, a canary just above the range
// must not stand over a baseline just below its end (see windows.LinearBuckets.Clamp).
type ends struct {
	of   windows.LinearBuckets
	arms [windows.Arms][]windows.Bucket
}

// endsOf are those of a guardrail's buckets; nil where they aren't linear.
func endsOf(g *schemas.Guardrail) *ends {
	if !g.Buckets.Linear() {
		return nil
	}
	return &ends{of: windows.LinearBuckets(g.Buckets)}
}

// clamp returns a histogram with its outer buckets moved: itself where they are empty, else in memory that the arm's next one takes.
func (e *ends) clamp(arm windows.Arm, hist []windows.Bucket) []windows.Bucket {
	if n := len(hist); n == 0 || hist[0].Index != windows.ZeroBucket && hist[n-1].Index != windows.TopBucket {
		return hist
	}
	e.arms[arm] = e.of.Clamp(e.arms[arm][:0], hist)
	return e.arms[arm]
}

// of tests a block. Where values are rounded, and moved makes a margin of it, both arms' values are taken as they speak
// least for what is tested: to find the canary's larger, these as low and the baseline's as high as they may have been.
func (f facing) of(dst []float64, b *block, moved bool) bool {
	mine, theirs := f.sides(b, moved)
	return f.Increments(dst, mine, theirs)
}

// sides are a block's histograms as they are tested.
func (f facing) sides(b *block, moved bool) (mine, theirs []windows.Bucket) {
	canary, baseline := &b.hist[windows.Canary], &b.hist[windows.Baseline]
	if moved && b.edges != nil {
		canary, baseline = b.edges.towardEachOther(f.up)
	}
	mine, theirs = canary.buckets, baseline.buckets
	if f.ends != nil {
		mine, theirs = f.ends.clamp(windows.Canary, mine), f.ends.clamp(windows.Baseline, theirs)
	}
	return mine, theirs
}

// rankContrast tests a distribution of the canary, or a quantile of it, against the baseline's.
type rankContrast struct {
	any, beyond, pass facing
	both              *facing // any's opposite, where any difference is harm; its increments stand behind those of any
	least             func(b *block) bool
	pools             []*stats.Pool
	lacking           *lacking // nil: nothing passes, or each request has a value
}

// ranks makes the tests of both directions: of values moved down by shift, with a grid of so many points.
type ranks struct {
	at    func(shift int, up bool) rank
	least func(b *block) bool
	pools []*stats.Pool // that they share; none: nothing is shared
}

func newRankContrast(g *schemas.Guardrail, of ranks) *rankContrast {
	up := g.Direction != schemas.Decrease
	test := func(shift int, up bool) facing { return facing{rank: of.at(shift, up), up: up} }
	beyond, pass := scaleOf(g).shifts(g)
	r := &rankContrast{any: test(0, up), beyond: test(beyond, up), pass: test(pass, !up), least: of.least, pools: of.pools}
	if beyond != 0 {
		r.beyond.ends = endsOf(g)
	}
	if g.Direction == schemas.Both {
		down := test(0, false)
		r.both = &down
	}
	return r
}

func (r *rankContrast) full(b *block) bool { return sizesReach(b, 1) && r.least(b) }

func (r *rankContrast) increments(inc *increments, b *block, phi armPhi) bool {
	if r.lacking != nil {
		r.lacking.count(b.n, b.k)
	}
	if !sizesReach(b, 1) || !r.fails(inc, b) {
		return false
	}
	r.passes(inc.pass, b)
	inc.temper(phi[windows.Canary])
	return true
}

// fails makes the increments of harm; false: the block proves nothing.
func (r *rankContrast) fails(inc *increments, b *block) bool {
	for _, p := range r.pools {
		p.Sizes(b.n[windows.Canary], b.n[windows.Baseline])
	}
	any := inc.any
	if r.both != nil {
		any = inc.any[:len(inc.any)/2]
		r.both.of(inc.any[len(any):], b, false)
	}
	if !r.any.of(any, b, false) { // the tail rounds to no request: no other shift has one
		return false
	}
	if !inc.one() {
		r.beyond.of(inc.beyond, b, true)
	}
	return true
}

// passes makes the increments of keeping the margin, where something can pass.
func (r *rankContrast) passes(dst []float64, b *block) {
	if dst == nil {
		return
	}
	excess := int64(0)
	if r.lacking != nil {
		excess = r.lacking.excess()
	}
	if excess == 0 {
		r.pass.of(dst, b, true)
		return
	}
	mine, theirs := r.pass.sides(b, true)
	mine = r.lacking.add(mine, excess)
	clear(dst) // where a tail rounds to no request
	if t, is := r.pass.rank.(tailRank); is {
		t.TopK.Increments(dst, mine, theirs) // the law that others share is of other sizes
		return
	}
	r.pass.Increments(dst, mine, theirs)
}

// tailRank shares the law of a block's tail with the tests of other shifts.
type tailRank struct {
	stats.TopK
	pool *stats.Pool
}

func (t tailRank) Increments(dst []float64, canary, baseline []windows.Bucket) bool {
	return t.IncrementsIn(t.pool, dst, canary, baseline)
}

// quantileRanks are the tests of one quantile: the stratified top-K rank e-process.
func quantileRanks(ppm int64, fail, pass []float64) ranks {
	var up, down stats.Pool
	return ranks{
		pools: []*stats.Pool{&up, &down},
		at: func(shift int, isUp bool) rank {
			if isUp {
				return tailRank{stats.TopK{PPM: ppm, Shift: shift, Grid: fail}, &up}
			}
			return tailRank{stats.TopK{PPM: ppm, Shift: shift, Grid: pass}, &down}
		},
		least: func(b *block) bool { return tailFull(b.n[windows.Baseline]+b.n[windows.Canary], ppm) },
	}
}

// bulkRanks are the tests of the distribution as a whole: the exact tilt of the Mann-Whitney statistic.
func bulkRanks() ranks {
	return ranks{
		at: func(shift int, up bool) rank {
			side := -1
			if up {
				side = +1
			}
			return stats.Mallows{Shift: shift, Side: side, Grid: stats.MallowsThetas}
		},
		least: func(b *block) bool { return sizesReach(b, blockExposures) },
	}
}
