package analysis

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// A kernel turns a block into increments of log evidence.
type kernel interface {
	// full reports whether the block has the sizes that a test needs.
	full(b *block) bool
	// increments fills inc; false when an arm that it needs is empty: then the block proves nothing.
	increments(inc *increments, b *block, phi armPhi) bool
}

// An account keeps the tested blocks for people: estimates and intervals.
type account interface {
	// keep takes a block that was just tested.
	keep(b *block, c closing)
	// estimate is of all blocks from the one that starts at sinceMs on; 0: all.
	estimate(sinceMs int64) estimate
	// intervals are of the epoch: of the difference of the arms' values (or of the one arm's value), and of their ratio.
	intervals(alpha float64) (difference, ratio interval)
}

// closing is how a block was tested.
type closing struct {
	fromMs  int64   // what an onset at this block is called by: the block's start, or, with strata, the end of what was tested before
	stratum int     // 0 without strata
	weight  float64 // of the start mixture
	phi     armPhi
	onset   *onset
	fresh   bool // the share has changed since the block tested before
	hot     bool // there was evidence of harm before the block
}

// increments are one block's, per component of the grid.
type increments struct{ any, beyond, pass []float64 }

func newIncrements(s shape) *increments {
	i := &increments{any: make([]float64, s.components)}
	i.beyond = i.any
	if !s.one {
		i.beyond = make([]float64, s.components)
	}
	if s.passes {
		i.pass = make([]float64, s.components)
	}
	return i
}

// one reports whether any and beyond are one.
func (i *increments) one() bool { return &i.any[0] == &i.beyond[0] }

// add adds another block's.
func (i *increments) add(o *increments) {
	addTo(i.any, o.any)
	if !i.one() {
		addTo(i.beyond, o.beyond)
	}
	addTo(i.pass, o.pass)
}

func addTo(sum, more []float64) {
	for j := range sum {
		sum[j] += more[j]
	}
}

func (i *increments) clear() {
	clear(i.any)
	clear(i.beyond)
	clear(i.pass)
}

// A mixture makes evidence of increments: stats.Mixture, or what wraps several of them.
type mixture interface {
	Step(inc []float64, weight float64)
	LogE() float64
	LogMax() float64
	Anew() (cash float64)
}

// A trial is the evidence of one guardrail: three e-processes over the same blocks. any: is there harm at all;
// beyond: is it beyond the margin; pass: is it within, in the present stage. With a margin of zero, any and beyond are one and nothing
// can pass.
type trial struct {
	kernel  kernel
	account account
	phi     *dispersion // nil: the test needs none
	noise   *meanNoise  // likewise, of means
	own     *partMean   // of a segment's mean; nil: it is of all traffic
	ranks   *rankNoise  // likewise, of ranks
	apart   *rankPart   // of a segment, beside ranks; nil: ranks says it
	ppm     int64       // of a distribution by quantiles: the tail
	shape   shape

	block   block
	strata  *strata // nil: contrasts are not made within segments
	phiNow  armPhi  // of the open block: it changes only between blocks
	fresh   bool    // the share has changed since the last tested block
	renewed bool    // no block was tested since a new beginning
	weights startWeights
	stake   float32     // what its weights are parts of: 1, and after a new beginning what was left
	firstAt int32       // the window that its weights count from
	inc     *increments // scratch
	any     mixture
	beyond  mixture // == any where one test is both
	pass    mixture // nil: nothing can pass
	onset   onset

	tested          int64 // steps of the evidence
	firstMs, lastMs int64 // start of the first, end of the last tested block
	gapMs           int64 // from the end of the block before to the start of the last tested one
}

// shape says which e-processes a trial has.
type shape struct {
	components int
	one        bool // any and beyond are one
	passes     bool
	// onsets are the components that date a harm; nil: all.
	onsets []int
	// scratch is the memory for increments; nil: the trial's own. Trials that never work at the same time may share it.
	scratch *increments
	// mixture makes each of the e-processes; nil: a start mixture over the components.
	mixture func() mixture
}

func (s *shape) onset() onset {
	if s.onsets != nil {
		return newOnsetOf(s.onsets)
	}
	return newOnset(s.components)
}

func newTrial(k kernel, a account, s shape) *trial {
	if s.mixture == nil {
		s.mixture = func() mixture { return stats.NewMixture(s.components) }
	}
	if s.scratch == nil {
		s.scratch = newIncrements(s)
	}
	t := &trial{kernel: k, account: a, shape: s, phiNow: independent, stake: 1, inc: s.scratch, onset: s.onset(), any: s.mixture()}
	t.beyond = t.any
	if !s.one {
		t.beyond = s.mixture()
	}
	if s.passes {
		t.pass = s.mixture()
	}
	return t
}

// take adds a window to the open block, and tests the block when it is full. Where over-dispersion is measured the first
// window is for that alone: nothing is known of the noise before it.
func (t *trial) take(w *window, c clock) {
	if t.blind() { // its start weights go to the first block
		t.cut(c)
		return
	}
	if !t.block.fits(w.endMs) {
		t.cut(c)
	}
	if t.block.empty() {
		t.phiNow = t.phiNext()
		if t.alone(w, c) {
			return
		}
	}
	t.block.add(w)
	if t.kernel.full(&t.block) {
		t.cut(c)
	}
}

// blind reports whether the present window is for measuring alone. What came before it, if anything, had no such noise.
func (t *trial) blind() bool {
	return t.phi != nil && t.phi.blind || t.ranks != nil && t.ranks.blind || t.noise != nil && t.noise.blind()
}

// phiNext is the over-dispersion of a block that opens now.
func (t *trial) phiNext() armPhi {
	switch {
	case t.phi != nil:
		return t.phi.arms()
	case t.noise != nil:
		if t.own != nil {
			t.own.begin(t.noise)
		}
		return t.meanNoise()
	case t.apart != nil:
		return t.apart.arms()
	case t.ranks != nil:
		return t.ranks.arms()
	}
	return independent
}

// meanNoise is that of a mean, of a segment's where it is one.
func (t *trial) meanNoise() armPhi {
	if t.own != nil {
		return t.own.arms(t.noise)
	}
	return t.noise.arms()
}

// part ends the open block at a change of the share.
func (t *trial) part(c clock) {
	t.cut(c)
	t.fresh = true
}

// cut closes the open block: it is tested with what it has, or skipped where an arm is empty. A skipped block's
// start weights go to the next one.
func (t *trial) cut(c clock) {
	if t.block.empty() {
		return
	}
	t.test(&t.block, c)
	t.block.clear()
}

// test tests a block that is closed.
func (t *trial) test(b *block, c clock) {
	if t.own != nil { // its phi is fixed since it opened
		t.own.values.add(b)
	}
	if !t.kernel.increments(t.inc, b, t.phiNow) {
		return
	}
	how := t.step(t.inc, span{b.fromMs, b.toMs}, c)
	how.phi, how.fresh = t.phiNow, t.fresh
	t.account.keep(b, how)
	t.fresh = false
}

// alone tests a window that is a block by itself where it lies, without a copy of its histograms; false: it is too small.
func (t *trial) alone(w *window, c clock) bool {
	b := c.spare
	if b == nil || w.rounded {
		return false
	}
	*b = block{fromMs: w.startMs, toMs: w.endMs, n: w.n, k: w.k, sum: w.sum, squares: w.squares}
	for arm := range windows.Arms {
		b.hist[arm].buckets = w.hist[arm]
	}
	if !t.kernel.full(b) {
		return false
	}
	t.test(b, c)
	return true
}

// span is a stretch of event time, its end not included.
type span struct{ fromMs, toMs int64 }

// step takes the increments of what was tested in a stretch.
func (t *trial) step(inc *increments, at span, c clock) closing {
	how := closing{fromMs: at.fromMs, onset: &t.onset, hot: t.any.LogE() >= batchHot}
	if t.renewed {
		t.renewed, t.firstAt = false, int32(c.window(at.fromMs))
	}
	how.weight = float64(t.stake) * t.weights.through(c.window(at.toMs-c.widthMs)-int64(t.firstAt), c.horizon)
	t.any.Step(inc.any, how.weight)
	if t.beyond != t.any {
		t.beyond.Step(inc.beyond, how.weight)
	}
	if t.pass != nil && !c.over { // a plain product: all that is there to stake starts with the stage's first block
		t.pass.Step(inc.pass, 1)
	}
	t.onset.step(inc.any, at.fromMs)
	if t.tested == 0 {
		t.firstMs, t.lastMs = at.fromMs, at.fromMs
	}
	t.gapMs = at.fromMs - t.lastMs
	t.tested++
	t.lastMs = at.toMs
	return how
}

// anew begins the tests anew with the block that opens next, for the n-th time: nothing that was taken so far counts any more, what is open included. All lives together err no more
// often than one, as a life has for its stakes a part of what those before it haven't spent (stats.Mixture.Anew): a half of it, then a third, and so on, so that ten or a hundred of them
// leave enough. For people the account keeps what was.
func (t *trial) anew(n int32) {
	t.stake = math.Nextafter32(float32(t.any.Anew()/float64(1+n)), 0) // never more
	if t.beyond != t.any {
		t.beyond.Anew()
	}
	t.unpass()
	t.onset, t.weights, t.renewed = t.shape.onset(), startWeights{}, true
	t.block.clear()
	if t.strata != nil {
		for i := range t.strata.open {
			t.strata.open[i].block.clear()
		}
	}
}

// follow gives a trial that takes another one's place, at its n-th new beginning, what that one's tests haven't spent.
func (t *trial) follow(last *trial, n int32) {
	last.anew(n)
	t.any, t.beyond, t.stake, t.renewed = last.any, last.beyond, last.stake, true
}

// passLogE is the log evidence that the margin is kept; 0 where nothing can pass.
func (t *trial) passLogE() float64 {
	if t.pass == nil {
		return 0
	}
	return t.pass.LogE()
}

// evidence appends what the trial stands on: of any harm, of harm beyond the margin, of keeping it.
func (t *trial) evidence(dst []float64) []float64 {
	return append(dst, t.any.LogE(), t.beyond.LogE(), t.passLogE())
}

// began is the start of the harm, as far as the evidence tells.
func (t *trial) began() (int64, bool) {
	if t.tested == 0 {
		return 0, false
	}
	return t.onset.began()
}

// sizesReach reports whether both arms have n exposures.
func sizesReach(b *block, n int64) bool {
	return b.n[windows.Baseline] >= n && b.n[windows.Canary] >= n
}
