package analysis

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// Where there are many tests of distributions, in segments, fewer quantiles and bets have to do.
var (
	segmentPPM      = []int64{500_000, 10_000}
	segmentFailOdds = []float64{1.15, 1.5, 3, 10}
	segmentPassOdds = []float64{1 / 1.15, 1 / 1.5, 1. / 3, 1. / 10}
)

// newDistribution makes the tests of a distribution: by quantiles, each with blocks of its own (see mixed for how they count together), or by
// the bulk as a whole, which is one test.
func newDistribution(g *schemas.Guardrail, keep keeping) (first *trial, more []*trial) {
	checkMargin(g)
	if g.Test == schemas.TestMannWhitney {
		of := contrastShape(g, len(stats.MallowsThetas), keep)
		return newTrial(newRankContrast(g, bulkRanks()), newBulkAccount(g, keep), of), nil
	}
	tails, fail, pass := stats.MixPPM, stats.FailOdds, stats.PassOdds
	if keep.part {
		tails, fail, pass = segmentPPM, segmentFailOdds, segmentPassOdds
	}
	for i, ppm := range tails {
		of := contrastShape(g, len(fail), keeping{part: true})
		of.passes = g.Margin.Value > 0 && !keep.part
		if keep.part { // as little as there can be: one component dates for each direction
			of.onsets = []int{len(fail) / 2, len(fail) + len(fail)/2}[:of.components/len(fail)]
		}
		a := newTailAccount(g, ppm, keep)
		if i == 0 && !keep.part {
			a.shown = &lastBlock{}
		}
		t := newTrial(newRankContrast(g, quantileRanks(ppm, fail, pass)), a, of)
		t.ppm = ppm
		more = append(more, t)
	}
	return more[0], more[1:]
}

// newTailAccount keeps how far apart the arms' tails are.
func newTailAccount(g *schemas.Guardrail, ppm int64, keep keeping) *leanAccount {
	at := shiftsOf(g, keep)
	a := newLeanAccount(g, keep, func() lean { return stats.NewTailShift(ppm, at) })
	if keep.shapes && !keep.part {
		a.bounded(ppm, len(stats.MixPPM))
	}
	return a
}

// newBulkAccount keeps how far apart the arms are as a whole. Its interval is that of the median: if one factor moves the whole, it moves the median.
func newBulkAccount(g *schemas.Guardrail, keep keeping) *leanAccount {
	at := shiftsOf(g, keep)
	a := newLeanAccount(g, keep, func() lean { return stats.NewHodgesLehmann(at) })
	if !keep.part {
		a.shown = &lastBlock{}
	}
	if keep.shapes && !keep.part {
		a.bounded(medianPPM, 1)
	}
	return a
}

// medianPPM is the tail above the median.
const medianPPM = 500_000

// lastBlock is what users of other judges know of two distributions: nothing is decided by it.
type lastBlock struct {
	index stats.ProbabilityIndex // of the epoch
	hist  [windows.Arms][]windows.Bucket
	law   *histogram // of the baseline in the epoch; nil: nothing asks for it
}

func (l *lastBlock) take(b *block) {
	for arm := range windows.Arms {
		l.hist[arm] = append(l.hist[arm][:0], b.hist[arm].buckets...)
	}
	l.index.Add(l.hist[windows.Canary], l.hist[windows.Baseline])
	if l.law != nil {
		l.law.add(l.hist[windows.Baseline])
	}
}

// describeShape fills in what a status tells of distributions.
func (g *guard) describeShape(s *schemas.GuardrailStatus) {
	a, ok := g.canary.account.(*leanAccount)
	if !ok || a.shown == nil {
		return
	}
	canary, baseline := a.shown.hist[windows.Canary], a.shown.hist[windows.Baseline]
	p := stats.MannWhitney(canary, baseline).Toward(g.spec.Direction.Side())
	s.ProbabilityIndex, s.KS, s.MannWhitneyP = finite(a.shown.index.Value()), finite(stats.KSDistance(canary, baseline)), finite(p)
	if len(g.more) == 0 {
		return
	}
	s.AtQuantile = g.tail()
	for _, t := range g.trials() {
		s.Shape = append(s.Shape, schemas.QuantileEvidence{Quantile: quantileOf(t.ppm), LogEvidence: shown(t.any.LogMax())})
	}
}

// EffectRange is the least and the greatest ratio that a distribution's effect is looked for in: one at either end may be less, or more.
func EffectRange() (least, most float64) {
	shifts := stats.RatioShifts
	return math.Exp2(float64(shifts[0]) / 64), math.Exp2(float64(shifts[len(shifts)-1]) / 64)
}

// quantileOf is the quantile above which there is a tail.
func quantileOf(ppm int64) float64 { return math.Round(1e6-float64(ppm)) / 1e6 }

// exceedAccount keeps on which side of a limit an arm's quantile is, without its histogram: the estimate's values are infinite.
type exceedAccount struct {
	q       float64
	history history[rateTally, *rateTally]
}

func (a *exceedAccount) keep(b *block, c closing) { a.history.add(rateOf(b), c.fromMs, c.onset) }

func (a *exceedAccount) estimate(sinceMs int64) estimate {
	t := a.history.since(sinceMs)
	e := t.alone()
	for arm := range e {
		if share := e[arm].value; !math.IsNaN(share) {
			e[arm].value = math.Inf(+1)
			if share <= float64(tailPPM(a.q))/1e6 {
				e[arm].value = math.Inf(-1)
			}
		}
	}
	return e
}

func (a *exceedAccount) intervals(float64) (difference, ratio interval) { return unknown, unknown }
