package stats

import (
	"fmt"
	"math"
)

// Skew is the sequential Kolmogorov-Smirnov test of values that keep coming against a sample that is fixed and was drawn before: do both come from one distribution?
//
// Claim. The sample's n values are draws from a distribution F, counted in bins. F itself isn't known. By the Dvoretzky-Kiefer-Wolfowitz inequality its
// share at or below any value is within Slack = sqrt(log(2/delta) / (2n)) of the sample's, at all values at once, but for a chance of delta. Given that, as
// long as each new value's chance to lie at or below each edge, given the past, is F's, e^increment has conditional mean at most 1 for every component, so
// their Mixture is an e-process: the chance that its LogMax ever reaches log(1/alpha), however often one looks, is at most alpha + delta over the drawing of
// both. (To take the sample's shares for F's would prove its own error: with n = 1,000 and enough new values, always. To use the sample as the second arm of
// a two-sample test in each block anew, as TopKMix does with fresh ones, would count the same draws again and again.)
//
// When. The sample's values are independent. Exact at phi = 1 for any values whose law given the past stays F, and at phi > 1 when they come in units as
// Bernoulli says; with a measured phi calibrated. What is tested is each moment's law: one that swings over the day around F is proven to differ, though its
// mean over the day doesn't. A difference of up to Slack at every edge, or one between two edges, is never proven: more offline values make it finer.
//
// Each edge has two one-sample Bernoulli tests, of the smaller of the shares on its two sides: it is above the sample's plus Slack, or below that minus Slack. Those
// that leave 0 … 1 are left out. KS is thus a mixture over thresholds, as TopKMix is.
//
// Cost: 56 bytes, and 128 for each edge. Increments takes two logarithms, two exponentials and a root for each component. No allocation.
//
// Conventions: an empty block says nothing (false). Ties and discrete values are fine. NaN panics in delta and phi, and so does an infinite phi. The
// zero value is not ready; see NewSkew. Owned by one goroutine.
//
// Sources: the constant 2, Massart (The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality, Ann. Probab. 18(3), 1990), for any F; mixtures over thresholds,
// Arnold, Choe, Scarsini, Tsetlin (arXiv 2604.21851); that both bounds add up is the union bound.
type Skew struct {
	slack float64
	edges []skewEdge
	grid  []float64
}

// skewEdge is what is tested at one edge.
type skewEdge struct {
	above bool // of the share above it, which is the smaller one; else of the share at or below
	sides []Bernoulli
}

// SkewGrid are the bets of Skew: log ratios of the smaller share. Shared: callers only read it. Chosen here; TestSkewFinds has what it costs. Source: Grid.
var SkewGrid = Grid(0.1, 3, 4)

// NewSkew returns the test against a sample with so many values in each bin, which may err by delta about the sample, in (0, 1). It panics on fewer than two bins, or an empty sample.
func NewSkew(bins []int64, delta float64) *Skew {
	n := int64(0)
	for _, count := range bins {
		n += count
	}
	if len(bins) < 2 || n <= 0 || !(delta > 0 && delta < 1) {
		panic(fmt.Sprintf("stats: skew against %d values in %d bins, delta %v", n, len(bins), delta))
	}
	s := &Skew{slack: math.Sqrt(math.Log(2/delta) / (2 * float64(n))), grid: SkewGrid}
	below := int64(0)
	for _, count := range bins[:len(bins)-1] {
		below += count
		share := float64(below) / float64(n)
		edge := skewEdge{above: share > 0.5}
		if edge.above {
			share = float64(n-below) / float64(n)
		}
		if limit := share + s.slack; limit < 1 {
			edge.sides = append(edge.sides, Bernoulli{Delta: limit, Side: +1, Grid: s.grid})
		}
		if limit := share - s.slack; limit > 0 {
			edge.sides = append(edge.sides, Bernoulli{Delta: limit, Side: -1, Grid: s.grid})
		}
		s.edges = append(s.edges, edge)
	}
	return s
}

// Slack is by how much the sample's shares may differ from those of the distribution that it was drawn from.
func (s *Skew) Slack() float64 { return s.slack }

// Components is the number of increments. It is never 0 but for a sample of so few values that Slack is beyond every share.
func (s *Skew) Components() int {
	n := 0
	for _, e := range s.edges {
		n += len(e.sides) * len(s.grid)
	}
	return n
}

// Increments writes to dst, one for each component, the log e-values of a block of new values, counted in the same bins, and reports true; false, and dst is left
// alone, without any. phi is the over-dispersion of their counts; below 1 counts as 1. It panics on another number of bins.
func (s *Skew) Increments(dst []float64, bins []int64, phi float64) bool {
	if len(bins) != len(s.edges)+1 {
		panic(fmt.Sprintf("stats: skew at %d edges of %d bins", len(s.edges), len(bins)))
	}
	n, below := int64(0), int64(0)
	for _, count := range bins {
		n += count
	}
	if n == 0 {
		return false
	}
	for i := range s.edges {
		e := &s.edges[i]
		below += bins[i]
		hits := below
		if e.above {
			hits = n - below
		}
		for _, side := range e.sides {
			side.Increments(dst[:len(s.grid)], Counts{Nc: float64(n), Kc: float64(hits)}, 0.5, phi) // the plug-in rate is the baseline's: there is none
			dst = dst[len(s.grid):]
		}
	}
	return true
}

// BinDistance is the largest difference of two samples' shares at or below an edge, of counts in the same bins: the Kolmogorov-Smirnov distance, 0 to 1.
//
// Claim. Never above that of the raw values.
//
// When. Of any counts that are not negative, which isn't looked at. For the eye only: it is no test, and has no error rate. Skew is the test.
//
// Cost: two walks over the bins; no allocation.
//
// Conventions: NaN when one is empty. Ties are exact: a bin counts as one value. It panics when they have not as many bins.
//
// Sources: Kolmogorov (1933), Smirnov (1939) for two samples.
func BinDistance(a, b []int64) float64 {
	n, m := sizesOf(a, b)
	if n == 0 || m == 0 {
		return math.NaN()
	}
	most, inA, inB := 0.0, int64(0), int64(0)
	for i := range a {
		inA, inB = inA+a[i], inB+b[i]
		most = max(most, math.Abs(float64(inA)/n-float64(inB)/m))
	}
	return most
}

// PSI is the population stability index of counts in the same bins, new against what was expected: the sum over the bins of (p - q) log(p/q), p and q the
// shares of the new and the expected values.
//
// Claim. Never negative, 0 when the shares are the same, without an upper end. Of equal distributions chance alone makes about (bins-1)(1/n + 1/m), and more
// bins more of it. The usual reading, of ten bins: below 0.1 little has changed, from 0.25 on much.
//
// When. Of any counts that are not negative, which isn't looked at. For the eye only: it is no test, and has no error rate.
//
// Cost: two walks over the bins, and a logarithm for each that is left; no allocation.
//
// Conventions: NaN when one is empty. Neighbouring bins are put together, from the lowest on, until each has at least 7.5 % of the expected values, but for
// the last: that makes ten of twenty equal ones. A bin that is empty on one side counts as half a value there, so that the sum is finite. It panics when
// they have not as many bins.
//
// Sources: Siddiqi (Credit Risk Scorecards, 2006), with the reading, a rule of thumb; it is the J-divergence of Jeffreys (Theory of Probability, 1948). The joining and the half
// are chosen here; TestPSI has them.
func PSI(seen, expected []int64) float64 {
	n, m := sizesOf(seen, expected)
	if n == 0 || m == 0 {
		return math.NaN()
	}
	sum, inSeen, inExpected := 0.0, int64(0), int64(0)
	for i := range seen {
		inSeen, inExpected = inSeen+seen[i], inExpected+expected[i]
		if last := i == len(seen)-1; !last && float64(inExpected) < psiLeast*m || inSeen+inExpected == 0 {
			continue
		}
		p, q := max(float64(inSeen), 0.5)/n, max(float64(inExpected), 0.5)/m
		sum += (p - q) * math.Log(p/q)
		inSeen, inExpected = 0, 0
	}
	return sum
}

// psiLeast is the least share of the expected values in a bin of PSI.
const psiLeast = 0.075

// sizesOf are the numbers of values in bins.
func sizesOf(a, b []int64) (n, m float64) {
	if len(a) != len(b) {
		panic(fmt.Sprintf("stats: %d bins against %d", len(a), len(b)))
	}
	for i := range a {
		n, m = n+float64(a[i]), m+float64(b[i])
	}
	return n, m
}
