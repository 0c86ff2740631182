package stats

import (
	"fmt"
	"math"

	"streamcanary/windows"
)

// The odds ratios of the rank tests' bets: how much likelier a request of the tail is the canary's than its share says. Shared:
// callers only read them.
var (
	FailOdds = []float64{1.15, 1.3, 1.5, 2, 3, 5, 10, 30}
	PassOdds = []float64{1 / 1.15, 1 / 1.3, 1 / 1.5, 1. / 2, 1. / 3, 1. / 5, 1. / 10, 1. / 30}
)

// TopK is the stratified pooled top-K rank e-process for a quantile with a relative margin.
//
// Claim. Move the canary's values down by Shift buckets, pool the block's requests, take the K largest (K is the tail PPM of the
// pool), ties at random, and let X be how many of them are the canary's. With Grid above 1 (fail), e^increment has mean
// at most 1 given the past if the moved canary is stochastically not larger than the baseline in this block; with Grid below 1 (pass), if it is
// not smaller. Exact in finite samples with any ties: the increment is the log of the mean, over the ties, of w^X / E[w^X], X hypergeometric
// under exchangeability.
//
// When. Either each request's arm is drawn at random within the block with one probability and its latency on the canary would be at most
// (fail; at least, for pass) the margin times the baseline's; or both arms are independent samples with such laws. Latencies may drift
// and be autocorrelated. It is dominance near the quantile, not the quantile alone, that is tested.
//
// The buckets at the ends stay where they are: windows.ZeroBucket (nothing, times any margin) and windows.TopBucket, whose values are
// taken as infinite, equally slow in both arms. (Were they finite values cut off at a limit, a pass test that moved
// the canary's would find them faster than the baseline's.)
//
// Cost: one walk down both histograms to the K-th request, and two sums of about 20 standard deviations of X, or of 36 leaps where one is above 32, for each
// odds ratio. No state, no allocation.
//
// Conventions: an empty arm, or a tail that rounds to no request, says nothing (false). Ties are exact. Odds ratios are finite and above 0, which isn't
// looked at: at most 16. An increment is finite.
//
// Proof. If the moved canary and the baseline are exchangeable, X is hypergeometric, and w^X / E[w^X] has mean 1. If the canary is stochastically smaller, couple
// each of its values with a larger one that is distributed as the baseline's: at a fixed K, to raise a value of the canary never lowers X, so for w > 1 the mean
// is at most 1; for w < 1 the mirror of it. To average over the order within ties leaves the mean as it is, and within the bucket at which the K
// requests end, the canary's share of those that belong to them is hypergeometric, too. TestTopKAveragesToOneOverAllLabelings counts it out.
//
// Source: derived here, the proof is above. Ingredients: ter Schure, Perez-Ortiz, Ly, Grünwald (The anytime-valid logrank test, New England J. Statist. Data Sci. 2(2),
// 2024), which has ties; e-values of exchangeability, Koning (arXiv 2310.01153).
type TopK struct {
	PPM   int64     // the tail in parts per million: 10,000 for p99
	Shift int       // the margin in buckets: FailShift or PassShift
	Grid  []float64 // odds ratios w, all above 1 (FailOdds) or all below (PassOdds); read only
}

// A Pool is what tests of one block with one tail and grid share, whatever their shifts: the law of the pool's tail. It only saves time. Cost: 304 bytes.
// Conventions: the zero value is empty; owned by one goroutine.
type Pool struct {
	n, m  int64 // of the canary, of the baseline; both 0: to be counted
	of    urn
	grid  *float64
	logs  [maxOdds]float64
	whole [maxOdds]float64
}

// Sizes says how many values the histograms of the coming calls hold, so that they need not be counted for each; both 0: count them.
func (p *Pool) Sizes(canary, baseline int64) { p.n, p.m = canary, baseline }

// sizes are those, or what is counted.
func (p *Pool) sizes(canary, baseline []windows.Bucket) (n, m int64) {
	if p.n+p.m > 0 {
		return p.n, p.m
	}
	return total(canary), total(baseline)
}

// law fills the pool for a block, unless it holds it already.
func (p *Pool) law(of urn, grid []float64) {
	if len(grid) == 0 || p.of == of && p.grid == &grid[0] {
		return
	}
	if p.grid != &grid[0] {
		for j, w := range grid {
			p.logs[j] = math.Log(w)
		}
	}
	p.of, p.grid = of, &grid[0]
	of.logPGF(p.whole[:len(grid)], grid, p.logs[:len(grid)])
}

// Increments writes to dst the block's log e-values, one for each odds ratio, and reports true; it reports false and leaves dst alone
// when an arm is empty or the tail rounds to no request. Histograms are ascending by index; they are only read.
func (k TopK) Increments(dst []float64, canary, baseline []windows.Bucket) bool {
	var p Pool
	return k.IncrementsIn(&p, dst, canary, baseline)
}

// IncrementsIn is Increments with a pool that other tests of the same block have used, or will use.
func (k TopK) IncrementsIn(p *Pool, dst []float64, canary, baseline []windows.Bucket) bool {
	n, m := p.sizes(canary, baseline)
	tail := tailCount(n+m, k.PPM)
	if n == 0 || m == 0 || tail == 0 {
		return false
	}
	cut := cutAt(canary, baseline, k.Shift, tail)
	count := len(k.Grid)
	if count > maxOdds {
		panic(fmt.Sprintf("stats: top-K test with %d odds ratios", count))
	}
	p.law(urn{n + m, n, tail}, k.Grid)
	cut.ties().logPGF(dst[:count], k.Grid, p.logs[:count])
	for j := range count {
		dst[j] += float64(cut.canaryAbove)*p.logs[j] - p.whole[j]
	}
	return true
}

// maxOdds bounds the odds ratios of one test.
const maxOdds = 16

// tailCount is the number of requests in the tail of n: ppm millionths, rounded half up.
func tailCount(n, ppm int64) int64 { return (n*ppm + 500_000) / 1_000_000 }

func total(hist []windows.Bucket) int64 {
	n := int64(0)
	for _, b := range hist {
		n += int64(b.Count)
	}
	return n
}

// moved is the bucket to which a canary value of bucket i goes when values move down by shift buckets.
func moved(i int32, shift int) int {
	if i == windows.ZeroBucket || i == windows.TopBucket {
		return int(i)
	}
	return int(i) - shift
}

// A cut is where the walk from the top reaches the K-th request.
type cut struct {
	above, canaryAbove   int64 // requests in higher buckets, and the canary's among them
	inside, canaryInside int64 // requests in the bucket of the K-th, and the canary's among them
	drawn                int64 // how many of these belong to the top K
}

// ties is the urn of the cut's bucket: which of its requests belong to the top K is drawn at random.
func (c cut) ties() urn { return urn{c.inside, c.canaryInside, c.drawn} }

// score is how many of the top K are the canary's, on average over the ties.
func (c cut) score() float64 {
	return float64(c.canaryAbove) + float64(c.drawn)*float64(c.canaryInside)/float64(c.inside)
}

// cutAt walks from the top to the K-th of the pooled requests, 1 <= K <= their number.
func cutAt(canary, baseline []windows.Bucket, shift int, k int64) cut {
	d := descentTo(k, canary, baseline)
	return d.cut(shift)
}

// A descent walks from the top to the K-th of the pooled requests, for one shift of the canary's values after the other.
type descent struct {
	k                  int64
	canary, baseline   []windows.Bucket
	i, j               int   // buckets from these on are above the cut
	above, canaryAbove int64 // requests in them
}

func descentTo(k int64, canary, baseline []windows.Bucket) descent {
	return descent{k: k, canary: canary, baseline: baseline, i: len(canary), j: len(baseline)}
}

// cut begins where the call before ended: shifts must not fall from call to call, so that of the buckets above the last cut only some of the
// canary's come to lie below others.
func (d *descent) cut(shift int) cut {
	for d.i < len(d.canary) && d.j > 0 && moved(d.canary[d.i].Index, shift) <= int(d.baseline[d.j-1].Index) {
		d.above -= int64(d.canary[d.i].Count)
		d.canaryAbove -= int64(d.canary[d.i].Count)
		d.i++
	}
	mine, theirs := below(d.canary, d.i, shift), below(d.baseline, d.j, 0)
	for d.i > 0 || d.j > 0 {
		i, j, inside, canaryInside := d.i, d.j, int64(0), int64(0)
		at := max(mine, theirs)
		if mine == at {
			i--
			canaryInside = int64(d.canary[i].Count)
			inside, mine = canaryInside, below(d.canary, i, shift)
		}
		if theirs == at {
			j--
			inside += int64(d.baseline[j].Count)
			theirs = below(d.baseline, j, 0)
		}
		if d.above+inside >= d.k {
			return cut{d.above, d.canaryAbove, inside, canaryInside, d.k - d.above}
		}
		d.i, d.j, d.above, d.canaryAbove = i, j, d.above+inside, d.canaryAbove+canaryInside
	}
	panic(fmt.Sprintf("stats: top %d of %d requests", d.k, d.above))
}

// below is the bucket to which the values before place i of the histogram are moved: lower than all when there are none.
func below(hist []windows.Bucket, i, shift int) int {
	if i == 0 {
		return math.MinInt
	}
	return moved(hist[i-1].Index, shift)
}
