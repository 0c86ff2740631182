package stats

import (
	"fmt"
	"math"

	"streamcanary/windows"
)

// The shifts of QuantileRatio: a half to four times, in steps of 4.4 %.
const (
	ratioShifts    = 49
	ratioShiftLow  = -64
	ratioShiftStep = 4
	ratioOdds      = 8
)

// QuantileRatio is a confidence sequence for the factor by which the canary's tail is slower than the baseline's, with a point estimate:
// TopK, fail and pass, for shifts from a half to four times.
//
// Claim. All intervals that Interval ever returns for one alpha contain the factor, with probability at least 1 - alpha.
//
// When. As TopK, and one factor moves the canary's tail in all blocks. Otherwise the lower bound says "not in all blocks at most that much slower", the
// upper one the mirror of it.
//
// On linear buckets (On) the same shifts are differences, which values beyond the buckets' range would fake: a shift moves those inside it and not those
// outside. So each test takes such values in the way in which it holds: to prove more than an upward shift, or less than a downward one, at the ends of the range, and
// else beyond all others (see windows.LinearBuckets.Clamp).
//
// Cost: 7.2 KB, 400 bytes for Estimate and 152 for each further shift. Add takes a walk down both histograms for each of 49 shifts, on linear buckets two,
// and small sums; Interval a power for each shift. Allocates only while histograms on linear buckets grow.
//
// Conventions: a block with an empty arm is left out (false); of none the bounds are 0 and +Inf, and the estimate is NaN. Ties are exact. A phi that is NaN or infinite panics. The weight is as
// Mixture's, but it is not looked at: NaN leaves it without evidence. alpha is in (0, 1), which isn't looked at. Histograms are only read. Owned by one
// goroutine. The zero value is not ready; see NewQuantileRatio.
//
// Source: derived here: the duality of tests and confidence sets, with TopK's test (the proof is there) of every shift from both sides, each at half of
// alpha; the largest evidence of each counts, by Ville's inequality.
type QuantileRatio struct {
	ppm        int64
	fail, pass [ratioShifts]startedOdds
	more       []ownShift
	cash       float64
	linear     *windows.LinearBuckets // nil: exponential ones
	clamped    [windows.Arms][]windows.Bucket
	score      []float64 // per shift, summed: the canary's count in the pooled tail less its expectation; nil: not kept
}

// ownShift is a shift beside the grid.
type ownShift struct {
	by         int
	fail, pass startedOdds
}

// startedOdds is one shift's evidence in one direction: R_j for each odds ratio, and the largest log evidence so far.
type startedOdds struct {
	log    [ratioOdds]float64
	logMax float32 // rounded down: an interval may be wider for it, never narrower
}

// A wager is one direction's odds ratios, their logarithms, and the block's log E[w^X] for each.
type wager struct {
	odds        []float64
	logs, whole [ratioOdds]float64
	phi         float64 // evidence is divided by it
}

// onPool is the wager on a block: the urn is that of the pool.
func onPool(odds []float64, pool urn) wager {
	w := wager{odds: odds}
	for j, x := range odds {
		w.logs[j] = math.Log(x)
	}
	pool.logPGF(w.whole[:], w.odds, w.logs[:])
	return w
}

// NewQuantileRatio returns the sequence, before any block, for the tail of ppm parts per million (10,000: p99). More shifts than the grid's, such as
// a margin's, can be bounds, too: a bound then lies on the margin's own side of it.
func NewQuantileRatio(ppm int64, more ...int) *QuantileRatio {
	q := NewQuantileBounds(ppm, more...)
	q.score = make([]float64, ratioShifts)
	return q
}

// NewQuantileBounds is NewQuantileRatio without what Estimate needs, which is NaN then.
func NewQuantileBounds(ppm int64, more ...int) *QuantileRatio {
	if ppm <= 0 || ppm >= 1_000_000 {
		panic(fmt.Sprintf("stats: quantile ratio for a tail of %d ppm", ppm))
	}
	q := &QuantileRatio{ppm: ppm, cash: 1}
	for i := range ratioShifts {
		q.fail[i], q.pass[i] = newStartedOdds(), newStartedOdds()
	}
	for _, by := range more {
		q.more = append(q.more, ownShift{by, newStartedOdds(), newStartedOdds()})
	}
	return q
}

// On says that the histograms are of linear buckets; it returns q, and must come before the first block.
func (q *QuantileRatio) On(l windows.LinearBuckets) *QuantileRatio {
	q.linear = &l
	return q
}

func newStartedOdds() (s startedOdds) {
	for j := range s.log {
		s.log[j] = math.Inf(-1)
	}
	return s
}

// Add takes one block, its evidence divided by phi (at least 1; 1: requests go to the arms one by one); weight of each test's stake starts with it (see Mixture). It reports false, and takes nothing, when an arm is
// empty or the tail rounds to no request.
func (q *QuantileRatio) Add(canary, baseline []windows.Bucket, weight, phi float64) bool {
	n, m := total(canary), total(baseline)
	tail := tailCount(n+m, q.ppm)
	if n == 0 || m == 0 || tail == 0 {
		return false
	}
	weight = min(weight, q.cash)
	q.cash -= weight
	start := stake{math.Log(weight), math.Log(q.cash)}
	pool := urn{n + m, n, tail}
	fail, pass := onPool(FailOdds, pool), onPool(PassOdds, pool)
	fail.phi = noisier(phi)
	pass.phi = fail.phi
	expected := float64(tail) * float64(n) / float64(n+m)
	block := shifted{canary: canary, baseline: baseline, tail: tail}
	if q.linear != nil {
		block.clamped = &q.clamped
		for arm, hist := range [windows.Arms][]windows.Bucket{windows.Canary: canary, windows.Baseline: baseline} {
			q.clamped[arm] = q.linear.Clamp(q.clamped[arm][:0], hist)
		}
	}
	for i := range ratioShifts {
		more, less := block.by(ratioShiftLow + i*ratioShiftStep)
		q.fail[i].step(more, &fail, start)
		q.pass[i].step(less, &pass, start)
		if q.score != nil {
			q.score[i] += more.score() - expected
		}
	}
	for i := range q.more {
		more, less := block.by(q.more[i].by)
		q.more[i].fail.step(more, &fail, start)
		q.more[i].pass.step(less, &pass, start)
	}
	return true
}

// shifted is a block whose tail is cut at many shifts.
type shifted struct {
	canary, baseline []windows.Bucket
	clamped          *[windows.Arms][]windows.Bucket // of linear buckets
	tail             int64
}

// by are the cuts at one shift for the test of more than it, and for that of less.
func (s *shifted) by(shift int) (more, less cut) {
	more = cutAt(s.canary, s.baseline, shift, s.tail)
	less = more
	if s.clamped == nil || shift == 0 {
		return more, less
	}
	clamped := cutAt(s.clamped[windows.Canary], s.clamped[windows.Baseline], shift, s.tail)
	if shift > 0 {
		return clamped, less
	}
	return more, clamped
}

// A stake is what a block starts with and what has not started after it, as logarithms.
type stake struct{ log, cash float64 }

func (s *startedOdds) step(c cut, w *wager, start stake) {
	var inc [ratioOdds]float64
	c.ties().logPGF(inc[:], w.odds, w.logs[:])
	for j := range inc {
		gain := float64(c.canaryAbove)*w.logs[j] + inc[j] - w.whole[j]
		s.log[j] = logAddExp(s.log[j], start.log) + gain/w.phi
	}
	s.logMax = max(s.logMax, floor32(logAddExp(logSumExp(s.log[:])-math.Log(ratioOdds), start.cash)))
}

// floor32 is the greatest float32 that is not above x.
func floor32(x float64) float32 {
	f := float32(x)
	if float64(f) > x {
		return math.Nextafter32(f, float32(math.Inf(-1)))
	}
	return f
}

// Interval returns the bounds of the factor at confidence 1 - alpha, from the largest evidence so far, so that they never widen: lower 0 or upper +Inf
// where that side is not bounded (by 1/2, by 4). lower > upper is possible: it proves that no one factor fits all blocks.
func (q *QuantileRatio) Interval(alpha float64) (lower, upper float64) {
	target := math.Log(2 / alpha)
	upper = math.Inf(1)
	for i := range ratioShifts {
		ratio := shiftRatio(float64(ratioShiftLow + i*ratioShiftStep))
		if float64(q.fail[i].logMax) >= target {
			lower = ratio
		}
		if float64(q.pass[i].logMax) >= target {
			upper = min(upper, ratio)
		}
	}
	for i := range q.more {
		ratio := shiftRatio(float64(q.more[i].by))
		if float64(q.more[i].fail.logMax) >= target {
			lower = max(lower, ratio)
		}
		if float64(q.more[i].pass.logMax) >= target {
			upper = min(upper, ratio)
		}
	}
	return lower, upper
}

// Estimate is the factor at which the canary has just its share of the pooled tails of all blocks, interpolated between shifts;
// at least 1/2 and at most 4; NaN before the first block, and while every shift gives the canary its share (all values are infinite, say).
func (q *QuantileRatio) Estimate() float64 {
	return shiftRatio(ratioShiftLow + ratioShiftStep*crossing(q.score))
}
