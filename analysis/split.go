package analysis

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// splitAlpha is how often the split's test may err in an epoch.
const splitAlpha = .001

// split tests whether the traffic is split as planned (R6), in each window as its stage plans it, or, where no share is planned, whether it stays as it began, in
// each stage by itself: then each has its part of the chance to err. Within the windows that tell what it is at first it must be one and the same, too (earlySplit).
// Units count, each at its first sight, where events name them, else served predictions: which of both is
// fixed by the first window that has any. Predictions come by users, several at once, so their counts are divided by the over-dispersion of
// sizes: calibrated, where units are exact. A mismatch stands while its evidence does: predictions are dated by their
// answers, so an arm that stalls for a moment is short of them first and makes up for it later. Where a share is planned it ends, too, once the split is as planned again (splitBack).
type split struct {
	planned float64     // canary's share in the windows that come; 0: unknown
	moving  bool        // routers change over to a new share, or users get one arm only: these windows are left out
	free    bool        // another controller moves the share: nothing is tested
	sizes   *dispersion // of predictions
	units   bool
	chosen  bool
	full    bool // the set of units is full: the test has stopped
	off     bool // the evidence has reached its threshold, and is still above half of it
	weights startWeights
	firstAt int64 // the window that these count from
	stages  int
	mixture *stats.Mixture     // with a planned share
	change  *stats.SplitChange // without
	early   earlySplit         // likewise
	inc     [stats.SplitTilts]float64
	onset   onset
	history history[splitTally, *splitTally]
	back    splitBack
}

// earlySplit is, without a plan, what the windows hold that tell the share before it can change.
type earlySplit struct {
	within  *stats.SplitBreak
	windows []earlyWindow
}

// earlyWindow is where one begins, and what was counted before.
type earlyWindow struct {
	atMs   int64
	before splitTally
}

func newEarlySplit() earlySplit {
	return earlySplit{within: stats.NewSplitBreak(stats.SplitReferenceBlocks)}
}

// splitTally counts units, or predictions: the canary's, all, and what the canary's should have been, times 10,000.
type splitTally struct{ canary, all, due int64 }

func (t *splitTally) add(o splitTally) {
	t.canary += o.canary
	t.all += o.all
	t.due += o.due
}

func (t *splitTally) without(o splitTally) splitTally {
	return splitTally{t.canary - o.canary, t.all - o.all, t.due - o.due}
}

// share is the canary's; NaN of nothing.
func (t *splitTally) share() float64 { return float64(t.canary) / float64(t.all) }

// planned is the canary's share by plan, on average where there were several stages.
func (t *splitTally) planned() float64 { return float64(t.due) / (10000 * float64(t.all)) }

func newSplit(planned float64, stages int, sizes *dispersion) *split {
	s := &split{planned: planned, stages: stages, sizes: sizes, onset: newOnset(stats.SplitTilts)}
	if planned > 0 {
		s.mixture = stats.NewMixture(stats.SplitTilts)
	} else {
		s.change, s.early = stats.NewSplitChange(), newEarlySplit()
	}
	return s
}

// renew begins a share that nobody planned, with the first window of a stage. A test of planned shares goes on.
func (s *split) renew(window int64) {
	if s.change == nil {
		return
	}
	s.change, s.early = stats.NewSplitChange(), newEarlySplit()
	s.anew(window)
}

// anew begins the test with a window.
func (s *split) anew(window int64) {
	s.weights, s.firstAt, s.off, s.back = startWeights{}, window, false, splitBack{}
	s.onset, s.history = newOnset(stats.SplitTilts), history[splitTally, *splitTally]{}
}

// step takes one serving window.
func (s *split) step(p *windows.Part, c clock) {
	canary, baseline := &p.Traffic[windows.Canary], &p.Traffic[windows.Baseline]
	if s.free || canary.Served+baseline.Served == 0 {
		return
	}
	if !s.chosen {
		s.chosen, s.units = true, len(canary.Units)+len(baseline.Units) > 0
	}
	if s.units && (canary.UnitsFull || baseline.UnitsFull) {
		s.full = true
	}
	if s.full || s.moving {
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
	weight := s.weights.through(c.window(p.StartMs)-s.firstAt, c.horizon)
	if s.change != nil {
		if !s.change.Closed() {
			s.early.within.Add(all, events)
			s.early.windows = append(s.early.windows, earlyWindow{p.StartMs, s.history.since(0)})
		}
		s.change.Add(all, events, weight)
		if inc := s.change.Increments(); inc != nil {
			s.onset.step(inc, p.StartMs)
		}
	} else {
		stats.SplitIncrements(s.inc[:], all, events, s.planned)
		s.mixture.Step(s.inc[:], weight)
		s.onset.step(s.inc[:], p.StartMs)
	}
	s.history.add(splitTally{k, n, n * int64(math.Round(s.planned*10000))}, p.StartMs, &s.onset)
	s.off = s.logE() >= splitThreshold || s.off && s.logE() >= halfway*splitThreshold
	s.mended(events, all-events, c.window(p.StartMs)+1)
}

// mended begins the test of a planned share anew, with the next window, once it is as planned again.
func (s *split) mended(canary, others float64, next int64) {
	switch {
	case !s.off || s.change != nil:
		s.back = splitBack{}
	case s.back.odds == 0:
		_, _, seen := s.changed()
		s.back.begin(seen)
	case s.back.back(canary, others, s.planned):
		s.mixture = stats.NewMixture(stats.SplitTilts)
		s.anew(next)
	}
}

// changed is when the share became another one, as far as the evidence tells, and what was counted before and since; 0: unknown,
// and all is counted as since.
func (s *split) changed() (atMs int64, before, since splitTally) {
	all := s.history.since(0)
	if s.change != nil && len(s.early.windows) > 0 {
		if _, early := stats.SplitEvidence(s.early.within, s.change); early {
			w := &s.early.windows[s.early.within.Break()]
			return w.atMs, w.before, all.without(w.before)
		}
	}
	atMs, ok := s.onset.began()
	if !ok {
		return 0, splitTally{}, all
	}
	since = s.history.since(atMs)
	return atMs, all.without(since), since
}

// logE is the log evidence now.
func (s *split) logE() float64 {
	if s.change != nil {
		logE, _ := stats.SplitEvidence(s.early.within, s.change)
		return logE - math.Log(float64(s.stages))
	}
	return s.mixture.LogE()
}

// splitThreshold is what the split's evidence is held against.
var splitThreshold = math.Log(1 / splitAlpha)
