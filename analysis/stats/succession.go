package stats

import (
	"fmt"
	"math"
)

// Succession measures the over-dispersion of a rate in time, where no split of it is to be had: each batch of windows against the one before it, in
// batches of 1, 5, 25 and 125 windows, with U, V and the limit as Dispersion has them. Neighbours share what changes slowly, and the pair with the
// largest U is left out, so drift and one change of the rate don't count as noise; clumps do, as long as batches of some size are longer than they are.
//
// Claim. Each size's limit is about a one-sided 95 % limit of the true ratio: calibrated by simulation, not exact. Batches that share a clump differ less
// than independent ones.
//
// When. For clumps that are shorter than 125 windows, in rates that change slowly, or once.
//
// Cost: 576 bytes and constant time; no allocation.
//
// Conventions: a window that is empty of exposures is left out. Negative, NaN and infinite counts, and more events than exposures, panic. Before phi is
// measured a NaN prior comes back. The zero value is ready to use.
//
// Sources: successive differences, von Neumann, Kent, Bellinson, Hart (The mean square successive difference, Ann. Math. Statist. 12, 1941); Dispersion's. To leave the
// largest out is chosen here, by TestSuccessionSeesClumpsNotChanges.
type Succession struct {
	sizes   [len(dispersionSizes)]succession
	windows int64
	told    struct{ pairs, u, v float64 } // of single windows: all pairs in which something could differ
}

// succession is one size's open batch, the one before it, and what the pairs add up to.
type succession struct {
	batch
	n, k, lastN, lastK float64
	largest            [2]float64 // U and V of the pair that is left out
}

// Add takes one window: k events of n exposures. A window without exposures is left out.
func (s *Succession) Add(n, k float64) {
	if !(k >= 0 && k <= n) || math.IsInf(n, 1) {
		panic(fmt.Sprintf("stats: succession of %v of %v", k, n))
	}
	if n == 0 {
		return
	}
	s.windows++
	for i := range s.sizes {
		b := &s.sizes[i]
		b.n, b.k = b.n+n, b.k+k
		if b.held++; b.held < dispersionSizes[i] {
			continue
		}
		if b.lastN > 0 {
			u, v := rateContrast([4]float64{b.n, b.k, b.lastN, b.lastK})
			if i == 0 && v > 0 {
				s.told.pairs, s.told.u, s.told.v = s.told.pairs+1, s.told.u+u, s.told.v+v
			}
			if pair := b.largest; u > pair[0] {
				u, v, b.largest = pair[0], pair[1], [2]float64{u, v}
			}
			b.close(u, v)
		}
		b.lastN, b.lastK, b.n, b.k, b.held = b.n, b.k, 0, 0, 0
	}
}

// Break begins anew with the next window: what comes is held against nothing that was. What was measured stays.
func (s *Succession) Break() {
	for i := range s.sizes {
		b := &s.sizes[i]
		b.n, b.k, b.lastN, b.lastK, b.held = 0, 0, 0, 0, 0
	}
}

// Few is a limit for as long as there are less than 10 pairs of single windows in which something could differ, so that Phi may have left out all there is: by as many degrees of freedom (lowChiSquare), and +Inf before the
// first one. Then it is 1.
func (s *Succession) Few() float64 {
	switch m := s.told.pairs; {
	case m == 0:
		return math.Inf(1)
	case m < dispersionBatches:
		return max(1, s.told.u/s.told.v/lowChiSquare(m))
	}
	return 1
}

// Phi is the largest upper limit over the sizes with 10 pairs or more (the one that is left out counts), and no less than the prior while there have been less than 50
// windows (measured is false). Never below 1.
func (s *Succession) Phi(prior float64) (phi float64, measured bool) {
	phi, measured = 1, s.windows >= dispersionWindows
	for i := range s.sizes {
		phi = max(phi, s.sizes[i].limit())
	}
	if !measured {
		phi = max(phi, prior)
	}
	return phi, measured
}
