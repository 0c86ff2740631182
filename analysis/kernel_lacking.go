package analysis

import (
	"math"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// lacking has the pass test of ranks count requests of the canary that carry no value: as many as it lacks more often than the baseline, since its slowest may be among those, and each as the worst there is.
//
// Claim. To count them never makes a pass more likely: it is exact for values where the test without them is. Proof: how many are added follows from sizes alone. Put values of the null's edge in their place: of these the
// test holds (stats.TopK, stats.Mallows), and to raise a value of the canary never lowers what stands against a pass. So a canary that lacks less than the baseline gains nothing by it.
//
// When. That it finds what the canary hides is calibrated (TestSimLacking): the baseline's share of the same block stands for what is lacking by chance. Where the baseline lacks more than the tail holds (of the bulk, more than a
// tenth) values are a sample, and those that lack are taken to do so by chance: a hidden tail couldn't be told from that in any time that a pass has. There the check of the shares alone (no_latency, no_value) finds it.
//
// Cost. What both arms lack by chance makes passes a little slower: of it the canary has, at its worst moment, more than the baseline by the root of how many lack.
type lacking struct {
	top       bool // the worst is the largest
	most      float64
	all, none float64             // of the baseline so far
	credit    float64             // how many fewer the canary lacked so far than the baseline's share has it, at most three standard deviations; never below 0 for long
	variance  float64             // of that, were they independent
	spilled   [windows.Arms]int64 // of windows without any value, and of blocks that weren't tested
	worst     []windows.Bucket    // scratch
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

// spill keeps what is lacking where no test asks for it, for the next one.
func (l *lacking) spill(k [windows.Arms]int64) {
	for arm := range k {
		l.spilled[arm] += k[arm]
	}
}

// isSample reports whether the baseline lacks so much that values are a sample, by more than chance has it: three standard deviations.
func (l *lacking) isSample() bool { return l.none-l.most*l.all > 3*math.Sqrt(l.none) }

// excess is how many requests of a block count as the worst: those that the canary lacks beyond the baseline's share, over all blocks. What it lacked less before is credit, since chance evens out.
func (l *lacking) excess(b *block) int64 {
	l.spill(b.k)
	mine, theirs := float64(l.spilled[windows.Canary]), float64(l.spilled[windows.Baseline])
	l.spilled = [windows.Arms]int64{}
	canary, baseline := float64(b.n[windows.Canary])+mine, float64(b.n[windows.Baseline])+theirs
	expected := theirs / baseline * canary
	l.all, l.none, l.variance = l.all+baseline, l.none+theirs, l.variance+expected*(1+canary/baseline)
	l.credit = min(l.credit+expected-mine, 3*math.Sqrt(l.variance))
	if l.credit >= 0 {
		return 0
	}
	n := math.Floor(-l.credit)
	if l.credit += n; l.isSample() {
		return 0
	}
	return int64(n)
}

// add puts so many of the worst into a histogram, in memory that the next one takes.
func (l *lacking) add(hist []windows.Bucket, n int64) []windows.Bucket {
	index := windows.ZeroBucket
	if l.top {
		index = windows.TopBucket
	}
	l.worst = windows.AppendSum(l.worst[:0], hist, []windows.Bucket{{Index: index, Count: uint32(min(n, math.MaxUint32))}})
	return l.worst
}
