package analysis

import (
	"cmp"
	"math"
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// lacking has the pass test of ranks count requests of the canary that carry no value: as many as it lacks more often than the baseline, since its slowest may be among those, and each as the worst there is.
//
// Claim. The test stays what it is for values: how many are added follows from sizes alone. Proof: put values of the null's edge in their place. Of these the test holds (stats.TopK, stats.Mallows), and at fixed sizes a worst value in the
// place of any other never raises what speaks for a pass. (One more may raise it a little, as the tail of more requests is another one.)
//
// When. That it finds what the canary hides is calibrated (TestSimLacking): the baseline's share of the same block stands for what is lacking by chance, and chance evens out over the blocks of a stage. Where the baseline lacks more than the
// tail holds (of the bulk, more than a tenth) values are a sample, and those that lack are taken to do so by chance: a hidden tail couldn't be told from that in any time that a pass has. There the check of the shares alone
// (no_latency, no_value) finds it.
//
// Cost. What both arms lack by chance makes passes a little slower: of it the canary has, at its worst moment, more than the baseline by the root of how many lack. What the canary lacks more often costs as much as if these were slow.
type lacking struct {
	top       bool             // the worst is the largest
	most      float64          // the share of the baseline's above which values are a sample
	all, none float64          // of the baseline so far, in this stage
	credit    float64          // how many fewer the canary lacked so far than the baseline's share has it, at most three standard deviations
	variance  float64          // of that, were they independent
	worst     []windows.Bucket // scratch
}

// lackingBulk is the most that the baseline may lack where the bulk is tested, in millionths.
const lackingBulk = 100_000

// lackingCell is the place of what counts a guardrail's requests without a value; 0: nothing asks.
func lackingCell(r *schemas.Rollout, g *schemas.Guardrail) int {
	if !measuresValues(g) || !g.Direction.Contrast() || g.Margin.Value == 0 {
		return 0
	}
	if g.Of == ofLatency {
		return cellOf(r, noLatencyMetric{})
	}
	return cellOf(r, noValueMetric{g.Of})
}

// newLacking is for the pass test of a guardrail, at a tail of ppm millionths, or, of 0, of ranks.
func newLacking(g *schemas.Guardrail, ppm int64) *lacking {
	if ppm == 0 {
		ppm = lackingBulk
	}
	return &lacking{top: g.Direction != schemas.Decrease, most: float64(min(ppm, 1_000_000-ppm)) / 1e6}
}

// renew begins anew, as the evidence for a pass does: credit of another stage would let the canary hide that much in this one.
func (l *lacking) renew() { *l = lacking{top: l.top, most: l.most, worst: l.worst} }

// isSample reports whether the baseline lacks so much that values are a sample, by more than chance has it: three standard deviations.
func (l *lacking) isSample() bool { return l.none-l.most*l.all > 3*math.Sqrt(l.none) }

// count takes in a block, or a window, also one that isn't tested: how many have a value, and how many have none.
func (l *lacking) count(n, k [windows.Arms]int64) {
	mine, theirs := float64(k[windows.Canary]), float64(k[windows.Baseline])
	canary, baseline := float64(n[windows.Canary])+mine, float64(n[windows.Baseline])+theirs
	share, ratio := 0., 0.
	switch {
	case baseline > 0:
		share, ratio = theirs/baseline, canary/baseline
		l.all, l.none = l.all+baseline, l.none+min(theirs, 3*l.most*baseline) // a few windows in which nothing had a value don't make a sample of all others
	case l.all > 0:
		share = l.none / l.all
	}
	l.variance += share * (1 - share) * canary * (1 + ratio)
	l.credit = min(l.credit+share*canary-mine, 3*math.Sqrt(l.variance))
}

// excess is how many requests count as the worst now: those that the canary lacked beyond the baseline's share, and that have not counted yet. What it lacked less before is credit, since chance evens out.
func (l *lacking) excess() int64 {
	if l.credit >= 0 || l.isSample() {
		return 0
	}
	n := math.Floor(-l.credit)
	l.credit += n
	return int64(n)
}

// add puts so many of the worst into a histogram, in memory that the next one takes.
func (l *lacking) add(hist []windows.Bucket, n int64) []windows.Bucket {
	index := windows.ZeroBucket
	if l.top {
		index = windows.TopBucket
	}
	l.worst = append(l.worst[:0], hist...)
	at, found := slices.BinarySearchFunc(l.worst, index, func(b windows.Bucket, index int32) int { return cmp.Compare(b.Index, index) })
	if !found {
		l.worst = slices.Insert(l.worst, at, windows.Bucket{Index: index})
	}
	l.worst[at].Count += uint32(min(n, math.MaxUint32-int64(l.worst[at].Count)))
	return l.worst
}
