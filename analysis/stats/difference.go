package stats

import "math"

// Difference is a confidence sequence for a difference of rates, p_c - p_b (R5), from which every absolute margin can be read.
//
// Claim. The intervals that Interval returns after each block, for one alpha, all contain the true difference with probability at least 1 - alpha: at any
// time, after any peeking. Where the difference varies, it is for its average, weighted as the bets weight it (about by Nc Nb / (Nc + Nb)).
//
// When. As Linear, whose bets at Rho0 = 1 it uses, for both sides, over IntervalGrid: with p_c - p_b = d their log e-value is A_j - d B_j, so one pair of
// sums answers every d.
//
// Cost: 1.4 KB. Add takes 80 logarithms (phi = 1), else 160 elementary functions; Interval a few rounds, at most 200, of 20 exponentials for each side. No
// allocation.
//
// Conventions: a block with an empty arm is left out; of none the bounds are -1 and 1. NaN panics in counts and phi, and so does
// an infinite phi. alpha is in (0, 1), which isn't looked at. Sums of disjoint blocks add in any order. The zero value is not ready; see NewDifference. Owned by one
// goroutine.
//
// Source: derived here: the duality of tests and confidence sets, with Linear's test (the proof is there) of every d from both sides, each at half of alpha.
type Difference struct {
	above, below linearSums // bets that the difference is above, below a value
	reach        float64    // no difference is beyond it: 1, or +Inf
}

// linearSums are, for each grid point, the sums A_j and |B_j| of its log evidence A_j - d B_j against the value d. B_j is
// negative for the bets on less: for these the same falling function is one of -d.
type linearSums struct {
	bets []bet
	a, b []float64
}

// NewDifference returns the sequence of two chances, each within [0, 1], before any block: every difference is possible.
func NewDifference() *Difference { return newDifference(IntervalGrid) }

// NewDifferenceOn is NewDifference with other bets than IntervalGrid's: fewer of them keep less and make wider intervals.
func NewDifferenceOn(grid []float64) *Difference { return newDifference(grid) }

// NewExposureDifference returns the sequence of two rates per exposure (events per request, restarts per replica-hour), which may exceed 1, before any block:
// its bounds are not kept within [-1, 1], and are -Inf and +Inf where there is no evidence. For Poisson counts the claim is exact. The unit of the
// exposure only scales the bounds.
func NewExposureDifference() *Difference {
	d := newDifference(IntervalGrid)
	d.reach = math.Inf(1)
	return d
}

func newDifference(grid []float64) *Difference {
	sums := func(side float64) linearSums {
		return linearSums{betsAt(grid, side), make([]float64, len(grid)), make([]float64, len(grid))}
	}
	return &Difference{above: sums(1), below: sums(-1), reach: 1}
}

// Add takes one block, with the arms' dispersion factors (below 1 counts as 1). A block without exposures in both arms says
// nothing and is left out.
func (d *Difference) Add(c Counts, phiC, phiB float64) {
	c.check()
	if c.Nc == 0 || c.Nb == 0 {
		return
	}
	phiC, phiB = noisier(phiC), noisier(phiB)
	d.above.add(c, phiC, phiB)
	d.below.add(c, phiC, phiB)
}

func (l linearSums) add(c Counts, phiC, phiB float64) {
	s := c.Nc / c.Nb
	for j, b := range l.bets {
		lambda := b.on(s, phiC, phiB)
		l.a[j] += factor(c.Kc, lambda, phiC) + factor(c.Kb, -s*lambda, phiB)
		l.b[j] += math.Abs(lambda) * c.Nc
	}
}

// Interval returns the present bounds of p_c - p_b at confidence 1 - alpha, within [-1, 1] (see NewExposureDifference); -1 and 1 where there is no
// evidence yet.
func (d *Difference) Interval(alpha float64) (lower, upper float64) {
	target := math.Log(2/alpha) + math.Log(float64(len(d.above.bets)))
	lower = d.above.crossing(target, d.reach)
	upper = -d.below.crossing(target, d.reach)
	return lower, upper
}

// crossing is the d in [-reach, reach] at which the falling convex function log sum e^(a_j - d b_j) comes down to target: -reach when
// it starts below, reach when it doesn't get there. Newton's method from the left can't overshoot a convex function, so it
// climbs to the root without a bracket; it gains a component or doubles its digits in each round.
func (l linearSums) crossing(target, reach float64) float64 {
	const rounds = 200
	d := -reach
	if math.IsInf(reach, 1) {
		if d = l.alone(target); math.IsInf(d, -1) {
			return d
		}
	}
	for range rounds {
		value, slope := l.at(d)
		if value <= target {
			break
		}
		if slope >= 0 { // nothing has been bet
			return -reach
		}
		next := d + (value-target)/-slope
		if next >= reach {
			return reach
		}
		if next <= d {
			break
		}
		d = next
	}
	return d
}

// alone is the largest d at which one component reaches target by itself: not beyond the root. -Inf when nothing has been bet.
func (l linearSums) alone(target float64) float64 {
	d := math.Inf(-1)
	for j, b := range l.b {
		if b > 0 {
			d = max(d, (l.a[j]-target)/b)
		}
	}
	return d
}

// at is log sum e^(a_j - d b_j) and its derivative in d.
func (l linearSums) at(d float64) (value, slope float64) {
	top := math.Inf(-1)
	for j := range l.a {
		top = max(top, l.a[j]-d*l.b[j])
	}
	sum, weighted := 0.0, 0.0
	for j := range l.a {
		e := math.Exp(l.a[j] - d*l.b[j] - top)
		sum += e
		weighted += e * l.b[j]
	}
	return top + math.Log(sum), -weighted / sum
}
