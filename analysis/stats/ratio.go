package stats

import "math"

// Ratio is a confidence sequence for a ratio of rates, p_c / p_b (R13).
//
// Claim. The intervals that Interval returns after each block, for one alpha, all contain the true ratio with probability at least 1 - alpha. Where the
// ratio varies, it is the bet-weighted average excess over each candidate that is bounded.
//
// When. As Linear; exposures may be real amounts.
//
// How. A test of p_c = rho p_b is needed for every rho. Between two neighbouring nodes a < b of a geometric grid the bets are
// those of Linear at the node b, which any rho in between may use; then the log evidence Kc h(lambda) + Kb h(-rho r lambda), r = Nc/Nb,
// is concave in rho (h is), so the straight line between its values at a and b lies below it, for each bet and each sum over blocks.
// Reading the bounds off these lines is conservative; with nodes a factor 2^(1/4) apart (beyond 1/4 and 4: 2^(1/2)) it costs some 0.03 nat
// (0.1).
//
// Cost: 7 KB. Add takes three logarithms (phi = 1; else six elementary functions) for each of 20 intervals, 10 bets and 2 sides where both counts are
// positive, and nothing for a block without events; Interval at most 1800 exponentials. No allocation.
//
// Conventions: a block with an empty arm is left out; of none the bounds are 0 and +Inf. NaN panics in counts and phi, and so does
// an infinite phi. alpha is in (0, 1), which isn't looked at. Sums of disjoint blocks add in any order. Owned by one goroutine. The zero value is not ready;
// see NewRatio.
//
// Source: derived here: the duality of tests and confidence sets, with Linear's test (the proof is there) and the chords above; TestRatioChordsLieBelow.
type Ratio struct {
	nodes        []float64 // ascending candidates; interval i is [nodes[i], nodes[i+1]]
	above, below chords    // bets that the ratio is above, below a value
}

// A chord has what belongs to the two ends of an interval of ratios: one bet's log evidence there.
type chord struct{ low, high float64 }

// chords are one side's: for each interval, one for each bet.
type chords struct {
	bets []bet
	at   []chord
}

// ratioGrid are the bets: log ratios from 1 % to a factor of 20.
var ratioGrid = Grid(0.01, 3, 10)

// NewRatio returns the sequence before any block: every ratio is possible. It tells ratios apart from 1/16 to 16.
func NewRatio() *Ratio {
	var nodes []float64
	for quarter := -16; quarter <= 16; quarter++ {
		if far := quarter < -4 || quarter > 4; !far || quarter%2 == 0 {
			nodes = append(nodes, math.Exp2(float64(quarter)/4))
		}
	}
	return newRatio(ratioGrid, nodes)
}

func newRatio(grid, nodes []float64) *Ratio {
	side := func(side float64) chords {
		return chords{betsAt(grid, side), make([]chord, (len(nodes)-1)*len(grid))}
	}
	return &Ratio{nodes: nodes, above: side(1), below: side(-1)}
}

// Add takes one block, with the arms' dispersion factors (below 1 counts as 1). A block without exposures in both arms says
// nothing and is left out.
func (r *Ratio) Add(c Counts, phiC, phiB float64) {
	c.check()
	if c.Nc == 0 || c.Nb == 0 || c.Kc == 0 && c.Kb == 0 {
		return
	}
	phiC, phiB = noisier(phiC), noisier(phiB)
	share := c.Nc / c.Nb
	for i, b := range r.nodes[1:] {
		ends := chord{r.nodes[i] * share, b * share}
		r.above.add(i, ends, c, [2]float64{phiC, phiB})
		r.below.add(i, ends, c, [2]float64{phiC, phiB})
	}
}

// add grows interval i's chords by a block with dispersion phi of the canary and of the baseline. s has, at the interval's
// ends, the ratio times the canary's exposure per exposure of the baseline.
func (h chords) add(i int, s chord, c Counts, phi [2]float64) {
	chords := h.interval(i)
	for j, b := range h.bets {
		lambda := b.on(s.high, phi[0], phi[1])
		canary := factor(c.Kc, lambda, phi[0])
		chords[j].low += canary + factor(c.Kb, -s.low*lambda, phi[1])
		chords[j].high += canary + factor(c.Kb, -s.high*lambda, phi[1])
	}
}

func (h chords) interval(i int) []chord { return h.at[i*len(h.bets) : (i+1)*len(h.bets)] }

// Interval returns the present bounds of p_c / p_b at confidence 1 - alpha: lower 0 or upper +Inf where that side is not bounded yet.
// Bounds beyond 1/16 and 16 are not told apart: a lower bound is at most 16, an upper one at least 1/16.
func (r *Ratio) Interval(alpha float64) (lower, upper float64) {
	target := math.Log(2/alpha) + math.Log(float64(len(r.above.bets)))
	return r.lower(target), r.upper(target)
}

// lower is the largest ratio up to which every one is excluded by the bets on more. The evidence falls with the ratio
// within an interval and from one to the next, so the first interval whose end isn't excluded holds the bound.
func (r *Ratio) lower(target float64) float64 {
	for i := range len(r.nodes) - 1 {
		chords := r.above.interval(i)
		if along(chords, 1) >= target {
			continue
		}
		if along(chords, 0) >= target {
			return mix(r.nodes[i], r.nodes[i+1], lastAbove(chords, target, 0, 1))
		}
		if i == 0 {
			return 0
		}
		return r.nodes[i]
	}
	return r.nodes[len(r.nodes)-1]
}

// upper is the mirror of lower: the bets on less exclude from the top down.
func (r *Ratio) upper(target float64) float64 {
	last := len(r.nodes) - 2
	for i := last; i >= 0; i-- {
		chords := r.below.interval(i)
		if along(chords, 0) >= target {
			continue
		}
		if along(chords, 1) >= target {
			return mix(r.nodes[i], r.nodes[i+1], lastAbove(chords, target, 1, 0))
		}
		if i == last {
			return math.Inf(1)
		}
		return r.nodes[i+1]
	}
	return r.nodes[0]
}

func mix(a, b, t float64) float64 { return a + (b-a)*t }

// along is the log of the chords' sum of evidence at the fraction t of their interval.
func along(chords []chord, t float64) float64 {
	top := math.Inf(-1)
	for _, h := range chords {
		top = max(top, mix(h.low, h.high, t))
	}
	sum := 0.0
	for _, h := range chords {
		sum += math.Exp(mix(h.low, h.high, t) - top)
	}
	return top + math.Log(sum)
}

// lastAbove bisects for the fraction at which the evidence, at or above target at in and below it at out, comes down to it; it
// returns one where it is still at or above.
func lastAbove(chords []chord, target, in, out float64) float64 {
	const rounds = 50
	for range rounds {
		middle := (in + out) / 2
		if along(chords, middle) >= target {
			in = middle
		} else {
			out = middle
		}
	}
	return in
}
