package analysis

import "slices"

// onset dates a harm: for every component of the evidence a sum that starts again where it has fallen to zero
// (CUSUM). The component with the greatest sum says since when. For people and for suspicion, never for proof.
type onset struct {
	sums []float64
	from []int64 // start of the block at which the component's sum last started, Unix ms
	of   []int   // which components; nil: all
}

func newOnset(components int) onset {
	return onset{sums: make([]float64, components), from: make([]int64, components)}
}

// newOnsetOf dates by some components only: less is kept.
func newOnsetOf(components []int) onset {
	o := newOnset(len(components))
	o.of = components
	return o
}

// step takes one block's increments; fromMs is the block's start.
func (o *onset) step(inc []float64, fromMs int64) {
	for i := range o.sums {
		x := inc[i]
		if o.of != nil {
			x = inc[o.of[i]]
		}
		if o.sums[i] <= 0 {
			o.sums[i], o.from[i] = 0, fromMs
		}
		o.sums[i] += x
	}
}

// began is the start of the block since which the evidence has grown; false while none has.
func (o *onset) began() (int64, bool) {
	best := 0
	for i, x := range o.sums {
		if x > o.sums[best] {
			best = i
		}
	}
	return o.from[best], o.sums[best] > 0
}

// live reports whether any component's sum began at fromMs.
func (o *onset) live(fromMs int64) bool { return slices.Contains(o.from, fromMs) }

// addable is a tally that can take in another one.
type addable[T any] interface {
	*T
	add(T)
}

// history keeps a tally of each stretch between two possible onsets, so that the tally since any of them is at hand.
// It holds at most one stretch more than there are components: one that no component begins at any more
// joins the stretch before it. The first stretch begins with the epoch's first block.
type history[T any, P addable[T]] struct {
	stretches []stretch[T]
}

type stretch[T any] struct {
	fromMs int64
	tally  T
}

// add takes one block's tally after the onset's step.
func (h *history[T, P]) add(block T, fromMs int64, o *onset) {
	if len(h.stretches) == 0 || o.live(fromMs) {
		h.stretches = append(h.stretches, stretch[T]{fromMs: fromMs})
	}
	P(&h.stretches[len(h.stretches)-1].tally).add(block)
	kept := 1
	for i := 1; i < len(h.stretches); i++ {
		if o.live(h.stretches[i].fromMs) {
			h.stretches[kept] = h.stretches[i]
			kept++
			continue
		}
		P(&h.stretches[kept-1].tally).add(h.stretches[i].tally)
	}
	clear(h.stretches[kept:])
	h.stretches = h.stretches[:kept]
}

// since is the tally of all blocks from the one that starts at fromMs on.
func (h *history[T, P]) since(fromMs int64) T {
	var sum T
	h.addSince(&sum, fromMs)
	return sum
}

// addSince adds what since returns to a tally that has memory.
func (h *history[T, P]) addSince(sum P, fromMs int64) {
	for _, s := range h.stretches {
		if s.fromMs >= fromMs {
			sum.add(s.tally)
		}
	}
}
