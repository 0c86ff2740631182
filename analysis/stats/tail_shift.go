package stats

import (
	"fmt"
	"math"
	"slices"

	"streamcanary/windows"
)

// TailShift is an effect size of a quantile over many blocks, small enough to keep for every segment: by how much the canary's values are to be moved
// so that it has just its share of the pooled tails. In buckets: with exponential buckets a ratio, with linear ones a difference.
//
// Claim. An estimate, no test, and without an interval: it crosses a shift at which TopK's evidence changes its sign.
//
// When. For a tail that has moved by about one shift. Between two of its shifts it is interpolated.
//
// Cost: 64 bytes and 8 for each shift. Add takes a walk down both histograms, and a few steps for each shift. No allocation.
//
// Conventions: a block with an empty arm, or whose tail rounds to no request, is left out (false); NaN before the first block. Ties at the cut count by the
// canary's share of them. Owned by one goroutine. The zero value has no shifts; see NewTailShift.
//
// Source: Hodges, Lehmann (Estimates of location based on rank tests, Ann. Math. Statist. 34, 1963), with the count of TopK as the rank statistic.
type TailShift struct {
	ppm    int64
	shifts []int
	scores []float64 // per shift, summed over blocks: the canary's count in the pooled tail less its expectation
	blocks int64
}

// NewTailShift returns the estimate, before any block, for the tail of ppm parts per million, by interpolation between these shifts; it panics
// unless there are two or more, ascending.
func NewTailShift(ppm int64, shifts []int) *TailShift {
	if ppm <= 0 || ppm >= 1_000_000 || len(shifts) < 2 || !slices.IsSorted(shifts) {
		panic(fmt.Sprintf("stats: tail of %d ppm with shifts %v", ppm, shifts))
	}
	return &TailShift{ppm: ppm, shifts: shifts, scores: make([]float64, len(shifts))}
}

// Add takes one block; it reports false, and takes nothing, when an arm is empty or the tail rounds to no request.
func (t *TailShift) Add(canary, baseline []windows.Bucket) bool {
	n, m := total(canary), total(baseline)
	tail := tailCount(n+m, t.ppm)
	if n == 0 || m == 0 || tail == 0 {
		return false
	}
	expected := float64(tail) * float64(n) / float64(n+m)
	d := descentTo(tail, canary, baseline)
	for i, by := range t.shifts {
		at := d.cut(by)
		t.scores[i] += at.score() - expected
	}
	t.blocks++
	return true
}

// Join takes in the blocks of o, which must have the same tail and shifts.
func (t *TailShift) Join(o *TailShift) {
	if t.ppm != o.ppm || !slices.Equal(t.shifts, o.shifts) {
		panic("stats: tails or shifts differ")
	}
	for i, x := range o.scores {
		t.scores[i] += x
	}
	t.blocks += o.blocks
}

// Shift is the estimate in buckets, above 0 when the canary's tail is larger; an end of the range when it lies beyond; NaN before the
// first block, and when no shift matters.
func (t *TailShift) Shift() float64 {
	if t.blocks == 0 {
		return math.NaN()
	}
	return between(t.shifts, crossing(t.scores))
}

// between is the shift at a place between those of the shifts; NaN at none.
func between(shifts []int, at float64) float64 {
	if math.IsNaN(at) {
		return at
	}
	i := min(int(at), len(shifts)-2)
	return float64(shifts[i]) + (at-float64(i))*float64(shifts[i+1]-shifts[i])
}
