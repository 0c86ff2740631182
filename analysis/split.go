package analysis

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// splitAlpha is how often the split's test may err in an epoch.
const splitAlpha = .001

// split tests whether the traffic is split as planned (R6), or, where no share is planned, whether it stays as it began.
// Units count, each at its first sight, where events name them, else served predictions: which of both is
// fixed by the first window that has any. Predictions come by users, several at once, so their counts are divided by the over-dispersion of
// sizes: calibrated, where units are exact. A mismatch stands while its evidence does: predictions are dated by their
// answers, so an arm that stalls for a moment is short of them first and makes up for it later.
type split struct {
	planned float64     // canary's share; 0: unknown
	sizes   *dispersion // of predictions
	units   bool
	chosen  bool
	full    bool // the set of units is full: the test has stopped
	off     bool // the evidence has reached its threshold, and is still above half of it
	weights startWeights
	mixture *stats.Mixture     // with a planned share
	change  *stats.SplitChange // without
	inc     [stats.SplitTilts]float64
	onset   onset
	history history[splitTally, *splitTally]
}

// splitTally counts units, or predictions: the canary's, and all.
type splitTally struct{ canary, all int64 }

func (t *splitTally) add(o splitTally) {
	t.canary += o.canary
	t.all += o.all
}

// share is the canary's; NaN of nothing.
func (t *splitTally) share() float64 { return float64(t.canary) / float64(t.all) }

func newSplit(planned float64, sizes *dispersion) *split {
	s := &split{planned: planned, sizes: sizes, onset: newOnset(stats.SplitTilts)}
	if planned > 0 {
		s.mixture = stats.NewMixture(stats.SplitTilts)
	} else {
		s.change = stats.NewSplitChange()
	}
	return s
}

// step takes one serving window.
func (s *split) step(p *windows.Part, c clock) {
	canary, baseline := &p.Traffic[windows.Canary], &p.Traffic[windows.Baseline]
	if canary.Served+baseline.Served == 0 {
		return
	}
	if !s.chosen {
		s.chosen, s.units = true, len(canary.Units)+len(baseline.Units) > 0
	}
	if s.units && (canary.UnitsFull || baseline.UnitsFull) {
		s.full = true
	}
	if s.full {
		return
	}
	k, n := canary.Served, canary.Served+baseline.Served
	if s.units {
		k, n = int64(len(canary.Units)), int64(len(canary.Units)+len(baseline.Units))
	}
	if n == 0 || !s.units && s.sizes.blind {
		return
	}
	phi := 1.0
	if !s.units {
		arms := s.sizes.arms()
		phi = max(arms[windows.Canary], arms[windows.Baseline])
	}
	events, all := float64(k)/phi, float64(n)/phi
	weight := s.weights.through(c.window(p.StartMs), c.horizon)
	if s.change != nil {
		s.change.Add(all, events, weight)
		if inc := s.change.Increments(); inc != nil {
			s.onset.step(inc, p.StartMs)
		}
	} else {
		stats.SplitIncrements(s.inc[:], all, events, s.planned)
		s.mixture.Step(s.inc[:], weight)
		s.onset.step(s.inc[:], p.StartMs)
	}
	s.history.add(splitTally{k, n}, p.StartMs, &s.onset)
	s.off = s.logE() >= splitThreshold || s.off && s.logE() >= halfway*splitThreshold
}

// changed is when the share became another one, as far as the evidence tells, and what was counted before and since; 0: unknown,
// and all is counted as since.
func (s *split) changed() (atMs int64, before, since splitTally) {
	atMs, ok := s.onset.began()
	all := s.history.since(0)
	if !ok {
		return 0, splitTally{}, all
	}
	since = s.history.since(atMs)
	return atMs, splitTally{all.canary - since.canary, all.all - since.all}, since
}

// logE is the log evidence now.
func (s *split) logE() float64 {
	if s.change != nil {
		return s.change.LogE()
	}
	return s.mixture.LogE()
}

// splitThreshold is what the split's evidence is held against.
var splitThreshold = math.Log(1 / splitAlpha)
