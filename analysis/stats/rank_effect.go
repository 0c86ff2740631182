package stats

import (
	"fmt"
	"math"
	"slices"

	"streamcanary/windows"
)

// ProbabilityIndex is the effect size of the Mann-Whitney tests: the chance that a request of the canary has a larger value than one of the
// baseline from the same block, ties one half. 0.5: no difference. Each block weighs n m/(n+m+1), the inverse of the variance of its own
// share of pairs under no difference, so that drift and a ramp cannot fake a difference.
//
// Claim. Value is the weighted mean of the blocks' indices: an estimate, no test, and without an interval.
//
// When. The split between the arms is constant within each block: else drift can fake a difference.
//
// Cost: 16 bytes. Add takes one walk up both histograms. No allocation.
//
// Conventions: a block with an empty arm is left out (false); NaN before the first block. Ties one half. The zero value is ready. Owned by one goroutine.
//
// Sources: U/(n m) of Mann, Whitney (Ann. Math. Statist. 18, 1947); the weights of blocks, van Elteren (On the combination of independent two-sample tests of Wilcoxon,
// Bull. Internat. Statist. Inst. 37, 1960).
type ProbabilityIndex struct{ excess, weight float64 }

// Add takes one block; it reports false, and takes nothing, when an arm is empty.
func (p *ProbabilityIndex) Add(canary, baseline []windows.Bucket) bool {
	n, m := float64(total(canary)), float64(total(baseline))
	if n == 0 || m == 0 {
		return false
	}
	p.excess += rankExcess(canary, baseline, 0, int64(m)) / (2 * (n + m + 1))
	p.weight += n * m / (n + m + 1)
	return true
}

// Join takes in the blocks of o.
func (p *ProbabilityIndex) Join(o ProbabilityIndex) {
	p.excess, p.weight = p.excess+o.excess, p.weight+o.weight
}

// Value is the index, 0 to 1; NaN before the first block.
func (p *ProbabilityIndex) Value() float64 { return 0.5 + p.excess/p.weight }

// HodgesLehmann is the other effect size of the Mann-Whitney tests: by how much the canary's values are to be moved so that neither arm has the
// larger one more often than the other, over all blocks. In buckets: with exponential buckets a ratio (Ratio), with
// linear ones a difference.
//
// Claim. Shift is where the weighted sum of the blocks' Mann-Whitney statistics, which falls with the shift, crosses its mean under no difference: an
// estimate, no test, and without an interval.
//
// When. As ProbabilityIndex, for a difference that is about one shift of all values. Between two of its shifts it is interpolated.
//
// Cost: 56 bytes and 8 for each shift. Add takes one walk up both histograms for each shift. No allocation.
//
// Conventions: a block with an empty arm is left out (false); NaN before the first block. Ties one half. Owned by one goroutine. The zero value has no
// shifts; see NewHodgesLehmann.
//
// Source: Hodges, Lehmann (Estimates of location based on rank tests, Ann. Math. Statist. 34, 1963), over blocks as ProbabilityIndex.
type HodgesLehmann struct {
	shifts []int
	excess []float64 // per shift, weighed as ProbabilityIndex does
	blocks int64
}

// NewHodgesLehmann returns the estimate, before any block, by interpolation between these shifts (RatioShifts, DifferenceShifts); it panics
// unless there are two or more, ascending.
func NewHodgesLehmann(shifts []int) *HodgesLehmann {
	if len(shifts) < 2 || !slices.IsSorted(shifts) {
		panic(fmt.Sprintf("stats: shifts %v", shifts))
	}
	return &HodgesLehmann{shifts: shifts, excess: make([]float64, len(shifts))}
}

// RatioShifts are shifts of exponential buckets: factors from 1/4 to 8, in steps of 4.4 % near 1 and of 9 % beyond 1/2 and 2.
var RatioShifts = func() (shifts []int) {
	for s := -128; s <= 192; s += 4 {
		if -64 <= s && s <= 64 || s%8 == 0 {
			shifts = append(shifts, s)
		}
	}
	return shifts
}()

// DifferenceShifts are shifts of count linear buckets: 0, and up to all of them either way, each a quarter or less further than the one before, but a bucket
// at least. Cost: a sort of them. Conventions: ascending; 0 alone where count is less than 1.
func DifferenceShifts(count int) []int {
	shifts := []int{0}
	for s := 1; s <= count; s += max(1, s/4) {
		shifts = append(shifts, s, -s)
	}
	slices.Sort(shifts)
	return shifts
}

// Add takes one block; it reports false, and takes nothing, when an arm is empty.
func (h *HodgesLehmann) Add(canary, baseline []windows.Bucket) bool {
	n, m := total(canary), total(baseline)
	if n == 0 || m == 0 {
		return false
	}
	for i, s := range h.shifts {
		h.excess[i] += rankExcess(canary, baseline, s, m) / (2 * float64(n+m+1))
	}
	h.blocks++
	return true
}

// Join takes in the blocks of o, which must have the same shifts.
func (h *HodgesLehmann) Join(o *HodgesLehmann) {
	if !slices.Equal(h.shifts, o.shifts) {
		panic("stats: shifts differ")
	}
	for i, x := range o.excess {
		h.excess[i] += x
	}
	h.blocks += o.blocks
}

// Shift is the estimate in buckets, above 0 when the canary's values are larger; an end of the range when it lies beyond; NaN before the first
// block, and when no shift matters (all values are at the ends).
func (h *HodgesLehmann) Shift() float64 {
	if h.blocks == 0 {
		return math.NaN()
	}
	at := crossing(h.excess)
	if math.IsNaN(at) {
		return at
	}
	i := min(int(at), len(h.shifts)-2)
	return float64(h.shifts[i]) + (at-float64(i))*float64(h.shifts[i+1]-h.shifts[i])
}

// Ratio is the estimate for exponential buckets: the factor 2^(Shift/64).
func (h *HodgesLehmann) Ratio() float64 { return shiftRatio(h.Shift()) }

// crossing is the place, between those of two values, where values that fall cross 0, interpolated (over a stretch of zeros, too); an end
// where they don't; NaN where all are 0.
func crossing(values []float64) float64 {
	const exact = 1e-9 // values are sums of counts and of shares of counts: smaller ones are rounding
	last, next := -1, len(values)
	for i, x := range values {
		if x > exact {
			last = i
		}
		if x < -exact && next == len(values) {
			next = i
		}
	}
	switch {
	case last < 0 && next == len(values):
		return math.NaN()
	case last < 0:
		return 0
	case next == len(values):
		return float64(len(values) - 1)
	}
	return float64(last) + values[last]/(values[last]-values[next])*float64(next-last)
}

// HodgesLehmannShift is the estimate of one block, in buckets and to a bucket, by bisection over all shifts.
//
// Claim. As HodgesLehmann's, of one block and without a range that bounds it.
//
// When. As HodgesLehmann.
//
// Cost: about 40 walks up both histograms; no allocation.
//
// Conventions: NaN when an arm is empty, or when no shift matters. Ties one half.
//
// Source: as HodgesLehmann.
func HodgesLehmannShift(canary, baseline []windows.Bucket) float64 {
	n, m := total(canary), total(baseline)
	if n == 0 || m == 0 {
		return math.NaN()
	}
	const far = 1 << 18 // further than any two finite values are apart
	above, below := -far, far
	shifts, values := [2]int{above, below}, [2]float64{}
	for i, s := range shifts {
		values[i] = rankExcess(canary, baseline, s, m)
	}
	if !(values[0] > 0 && values[1] < 0) {
		return math.NaN()
	}
	firstBelow := search(above, below, func(s int) bool { return rankExcess(canary, baseline, s, m) < 0 })
	lastAbove := search(above, below, func(s int) bool { return rankExcess(canary, baseline, s, m) <= 0 }) - 1
	x, y := rankExcess(canary, baseline, lastAbove, m), rankExcess(canary, baseline, firstBelow, m)
	return float64(lastAbove) + x/(x-y)*float64(firstBelow-lastAbove)
}

// search is the least s in (low, high] for which what is true at high, and false at low, is true.
func search(low, high int, is func(int) bool) int {
	for high-low > 1 {
		middle := low + (high-low)/2
		if is(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}
