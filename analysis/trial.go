package analysis

import (
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
	weight float64 // of the start mixture
	phi    armPhi
	onset  *onset
	fresh  bool // the share has changed since the block tested before
	hot    bool // there was evidence of harm before the block
}

// increments are one block's, per component of the grid.
type increments struct{ any, beyond, pass []float64 }

// one reports whether any and beyond are one.
func (i *increments) one() bool { return &i.any[0] == &i.beyond[0] }

// A trial is the evidence of one guardrail: three e-processes over the same blocks. any: is there harm at all;
// beyond: is it beyond the margin; pass: is it within. With a margin of zero, any and beyond are one and nothing
// can pass.
type trial struct {
	kernel  kernel
	account account
	phi     *dispersion // nil: the test needs none

	block   block
	phiNow  armPhi // of the open block: it changes only between blocks
	fresh   bool   // the share has changed since the last tested block
	weights startWeights
	inc     increments
	any     *stats.Mixture
	beyond  *stats.Mixture // == any where one test is both
	pass    *stats.Mixture // nil: nothing can pass
	onset   onset

	tested          int64 // blocks
	firstMs, lastMs int64 // start of the first, end of the last tested block
	gapMs           int64 // from the end of the block before to the start of the last tested one
}

// shape says which e-processes a trial has.
type shape struct {
	components int
	one        bool // any and beyond are one
	passes     bool
}

func newTrial(k kernel, a account, s shape) *trial {
	t := &trial{kernel: k, account: a, phiNow: independent, onset: newOnset(s.components), any: stats.NewMixture(s.components)}
	t.inc.any = make([]float64, s.components)
	t.inc.beyond, t.beyond = t.inc.any, t.any
	if !s.one {
		t.inc.beyond, t.beyond = make([]float64, s.components), stats.NewMixture(s.components)
	}
	if s.passes {
		t.inc.pass, t.pass = make([]float64, s.components), stats.NewMixture(s.components)
	}
	return t
}

// take adds a window to the open block, and tests the block when it is full.
func (t *trial) take(w *window, c clock) {
	if !t.block.fits(w.endMs) {
		t.cut(c)
	}
	if t.block.empty() && t.phi != nil {
		t.phiNow = t.phi.arms()
	}
	t.block.add(w)
	if t.kernel.full(&t.block) {
		t.cut(c)
	}
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
	b := &t.block
	if !t.kernel.increments(&t.inc, b, t.phiNow) {
		b.clear()
		return
	}
	hot := t.any.LogE() >= batchHot
	weight := t.weights.through(c.window(b.toMs-c.widthMs), c.horizon)
	t.any.Step(t.inc.any, weight)
	if t.beyond != t.any {
		t.beyond.Step(t.inc.beyond, weight)
	}
	if t.pass != nil { // a plain product: it starts with the first block
		t.pass.Step(t.inc.pass, passWeight(t.tested))
	}
	t.onset.step(t.inc.any, b.fromMs)
	t.account.keep(b, closing{weight: weight, phi: t.phiNow, onset: &t.onset, fresh: t.fresh, hot: hot})
	t.fresh = false
	if t.tested == 0 {
		t.firstMs, t.lastMs = b.fromMs, b.fromMs
	}
	t.gapMs = b.fromMs - t.lastMs
	t.tested++
	t.lastMs = b.toMs
	b.clear()
}

func passWeight(tested int64) float64 {
	if tested == 0 {
		return 1
	}
	return 0
}

// passLogE is the log evidence that the margin is kept; 0 where nothing can pass.
func (t *trial) passLogE() float64 {
	if t.pass == nil {
		return 0
	}
	return t.pass.LogE()
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
