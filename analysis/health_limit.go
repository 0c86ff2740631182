package analysis

import (
	"streamcanary/analysis/stats"
)

// limitTest holds a share that belongs to no arm against a limit, which may be another for each window but must be known before it: R1 with
// rho0 = 0, R4's factors and the start mixture.
type limitTest struct {
	side    int // +1: evidence of more than the limit; -1: of less
	mixture *stats.Mixture
	weights startWeights
	onset   onset
	history history[splitTally, *splitTally]
	inc     []float64
	off     bool
}

// limitWindow is one window: what is counted, how much of it is bad, and how noisy that is.
type limitWindow struct {
	startMs, n, k int64
	phi           float64
}

func newLimitTest(side int) limitTest {
	points := len(stats.IncidentGrid)
	return limitTest{side: side, mixture: stats.NewMixture(points), onset: newOnset(points), inc: make([]float64, points)}
}

func (t *limitTest) step(w limitWindow, limit float64, c clock) {
	counts := stats.Counts{Nc: float64(w.n), Kc: float64(w.k)}
	stats.Linear{Delta: limit, Side: t.side, Grid: stats.IncidentGrid}.Increments(t.inc, counts, w.phi, w.phi)
	t.mixture.Step(t.inc, t.weights.through(c.window(w.startMs), c.horizon))
	t.onset.step(t.inc, w.startMs)
	t.history.add(splitTally{canary: w.k, all: w.n}, w.startMs, &t.onset)
}

// settle takes the evidence that the test goes by: its own, or that of several together. What it finds stands until half of it is gone.
func (t *limitTest) settle(logE float64) {
	t.off = logE >= contrastThreshold || t.off && logE >= halfway*contrastThreshold
}
