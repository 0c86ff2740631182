package analysis

import "streamcanary/windows"

// strata are the open blocks of a trial whose contrasts are made within segments, one block for each. A segment's block closes
// by its own sizes. The log increments of all blocks that close in one window are added up before the
// mixture's step: the evidence is a product over segments, too, so that segments of which one arm has more than the
// other neither fake harm nor hide it.
//
// Claim. Each block's increment has, given the sizes, expectation 1 at most under its test's hypothesis for that segment; so has the
// product of disjoint blocks where the segments' events are independent given their rates and the sizes. It is the hypothesis that
// holds in every segment, or, for the linear tests, on the average over all blocks.
type strata struct {
	open []stratum // by the segment's place
	sum  *increments
	done []int // places whose block is closed and waits for the step
	roll *roll
	cell int // of the stream's metrics
}

type stratum struct {
	block block
	phi   armPhi
	fresh bool
	own   partMean // of a mean
}

func newStrata(s shape, r *roll, cell int) *strata {
	return &strata{sum: newIncrements(s), roll: r, cell: cell}
}

// stratify has contrasts made within segments.
func (t *trial) stratify(r *roll, cell int) {
	t.strata = newStrata(t.shape, r, cell)
	if t.phi != nil {
		r.noise.of(cell, t.phi)
	}
	if t.ranks != nil {
		t.ranks.stratified = true
	}
}

// at is the stratum of a place, made when first asked for.
func (s *strata) at(place int) *stratum {
	for len(s.open) <= place {
		s.open = append(s.open, stratum{block: block{stratum: len(s.open)}})
	}
	return &s.open[place]
}

// takeStratum gives a segment's window to every test of the guardrail; settle must follow when all segments of the window are in. Where the
// segment's share changed, its block ends before this window, which is left out.
func (g *guard) takeStratum(place int, changed bool, w *window, c clock) {
	for at := -1; at < len(g.more); at++ {
		t := g.canary
		if at >= 0 {
			t = g.more[at]
		}
		if changed {
			t.partStratum(place)
			continue
		}
		t.takeStratum(place, w, c)
	}
}

func (g *guard) settle(c clock) {
	g.canary.settle(c)
	for _, t := range g.more {
		t.settle(c)
	}
}

// takeStratum adds a segment's window.
func (t *trial) takeStratum(place int, w *window, c clock) {
	at := t.strata.at(place)
	if t.blind() || t.unknown(place) {
		if !at.block.empty() {
			t.closeStratum(place)
		}
		return
	}
	if !at.block.fits(w.endMs) {
		t.closeStratum(place)
		t.settle(c)
	}
	if at.block.empty() {
		at.phi = t.phiOf(place)
	}
	at.block.add(w)
	if t.kernel.full(&at.block) {
		t.closeStratum(place)
	}
}

// partStratum ends a segment's open block where its share changes.
func (t *trial) partStratum(place int) {
	at := t.strata.at(place)
	if !at.block.empty() {
		t.closeStratum(place)
	}
	at.fresh = true
}

// closeStratum tests a segment's block: its increments wait for the window's end.
func (t *trial) closeStratum(place int) {
	s := t.strata
	b := &s.at(place).block
	if t.noise != nil { // its phi is fixed since it opened
		s.at(place).own.values.add(b)
	}
	if !t.kernel.increments(t.inc, b, s.at(place).phi) {
		b.clear()
		return
	}
	if len(s.done) == 0 {
		s.sum.clear()
	}
	s.sum.add(t.inc)
	s.done = append(s.done, place)
}

// settle steps with what the segments' blocks of this window brought together.
func (t *trial) settle(c clock) {
	s := t.strata
	if len(s.done) == 0 {
		return
	}
	at := span{fromMs: s.open[s.done[0]].block.fromMs}
	for _, place := range s.done {
		b := &s.open[place].block
		at.fromMs, at.toMs = min(at.fromMs, b.fromMs), max(at.toMs, b.toMs)
	}
	if t.tested > 0 {
		at.fromMs = max(at.fromMs, t.lastMs)
	}
	how := t.step(s.sum, at, c)
	for _, place := range s.done {
		o := &s.open[place]
		how.stratum, how.phi, how.fresh = place, o.phi, o.fresh
		t.account.keep(&o.block, how)
		how.weight, o.fresh = 0, false
		o.block.clear()
	}
	s.done = s.done[:0]
}

// sizes of a segment in one window: the most that any metric looked at, per arm.
func sizesOf(s *windows.Segment) (n [windows.Arms]int64) {
	for arm := range windows.Arms {
		for i := range s.Cells[arm] {
			n[arm] = max(n[arm], s.Cells[arm][i].N)
		}
	}
	return n
}
