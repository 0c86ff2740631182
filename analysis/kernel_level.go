package analysis

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// levelMean holds one arm's mean of gauges or of outcomes against a fixed limit, where values hang together: R7 of one sample, each block with the weight of its readings, and the long-run variance of
// that arm's own mean in time (stats.LevelNoise). That is calibrated, not exact. Nothing is tested before the noise was watched for 60 blocks. A split of the baseline, or another arm's noise, would not tell
// it: a level has what all its hosts have in common, too, and the more of it the fewer hosts an arm has.
type levelMean struct {
	arm        windows.Arm
	fail, pass stats.Mean
	noise      *stats.LevelNoise
	variance   float64 // that the last block was tested with
}

// newLevelNoise is of one arm, for as long as a guardrail is watched: its tests may begin anew meanwhile.
func newLevelNoise(g *schemas.Guardrail) *stats.LevelNoise {
	clump := 1.
	if g.From == schemas.KindSample {
		clump = gaugePhi
	}
	return stats.NewLevelNoise(1, clump)
}

// levels are the noise of both arms of a limit of a mean; others have none.
type levels [windows.Arms]*stats.LevelNoise

func levelsOf(g *schemas.Guardrail) (l levels) {
	if isLevel(g) {
		l[windows.Canary], l[windows.Baseline] = newLevelNoise(g), newLevelNoise(g)
	}
	return l
}

// isLevel reports whether a guardrail is the mean of values that hang together, against a limit.
func isLevel(g *schemas.Guardrail) bool {
	return g.Kind == schemas.MeanGuardrail && !g.Direction.Contrast() && g.From != schemas.KindPrediction
}

func newLevelMean(g *schemas.Guardrail, arm windows.Arm, noise *stats.LevelNoise) *levelMean {
	side := +1
	if g.Direction == schemas.Below {
		side = -1
	}
	of := stats.Mean{Delta: g.Margin.Value / g.Cap, Side: side, Grid: stats.MeanGrid}
	m := &levelMean{arm: arm, fail: of, pass: of, noise: noise}
	m.pass.Side = -side
	return m
}

func (m *levelMean) full(b *block) bool { return b.n[m.arm] >= blockExposures }

// increments tests a block with the noise of the blocks before it.
func (m *levelMean) increments(inc *increments, b *block, _ armPhi) bool {
	if b.n[m.arm] == 0 {
		return false
	}
	of := stats.Means{Nc: float64(b.n[m.arm]), Mc: bounds{}.mean(b.n[m.arm], b.sum[m.arm])}
	m.variance = m.noise.Variance()
	m.noise.Add(of.Nc, of.Mc)
	return m.fail.Increments(inc.any, of, m.variance) && (inc.pass == nil || m.pass.Increments(inc.pass, of, m.variance))
}

// levelAccount keeps the blocks of a limit of a mean: the estimate is the mean of all readings, as it is tested.
type levelAccount struct {
	meanAccount
	kernel *levelMean
	tuned  float64 // samples at which the interval is tightest
	spread float64 // the variance of the sum of all samples, each block's as it was tested
}

// levelTuned is at how many first blocks' samples the interval is tightest.
const levelTuned = 100

func (a *levelAccount) keep(b *block, c closing) {
	if a.tuned == 0 {
		a.tuned = levelTuned * float64(b.n[a.kernel.arm])
	}
	a.spread += a.kernel.variance * float64(b.n[a.kernel.arm])
	a.meanAccount.keep(b, c)
}

func (a *levelAccount) limited() bool { return true }

// asked is the interval of the mean, which stands in no decision.
func (a *levelAccount) asked(alpha float64) (difference, ratio interval) {
	t := a.history.since(0)
	n := t.n[a.kernel.arm]
	if n == 0 {
		return unknown, unknown
	}
	lower, upper := stats.LevelInterval(stats.Level{
		N: float64(n), Mean: bounds{}.mean(n, t.sum[a.kernel.arm]), Variance: a.spread / float64(n), Tuned: a.tuned,
	}, alpha)
	return interval{max(-1, lower) * a.cap, min(1, upper) * a.cap}, unknown
}

// estimate is each arm's own mean.
func (a *levelAccount) estimate(sinceMs int64) estimate {
	e, t := a.meanAccount.estimate(sinceMs), a.history.since(sinceMs)
	e[windows.Baseline].value = math.NaN()
	if n := t.n[windows.Baseline]; n > 0 {
		e[windows.Baseline].value = a.cap * bounds{}.mean(n, t.sum[windows.Baseline])
	}
	return e
}
