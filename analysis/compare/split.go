package compare

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// split tests whether units are split as planned (R6), or, where nothing is planned, whether the share stays what it is: the kernels and
// the start mixture of the product's own check, and of the first windows stats.SplitBreak.
type split struct {
	spec    *Spec
	horizon int64
	widthMs int64
	startMs int64
	next    int64 // window whose start weight is not yet handed out
	begun   bool

	mixture *stats.Mixture
	change  *stats.SplitChange
	early   reference // without a plan
	inc     [stats.SplitTilts]float64
	logMax  float64
	failed  bool
	proven  *turn // of the failure; nil: there is none

	turns  [stats.SplitTilts]turn
	n, k   float64 // units, and the canary's
	due    float64 // the canary's by the plan
	shares int     // different plans so far
	plan   float64 // the latest
}

// The period that tells what an unplanned share is at first: until each arm has had so many units, or for so many windows with units. A file may have
// days as windows, or few units in all.
const (
	referenceUnits   = 100
	referenceWindows = 20
)

// reference is the period that tells what an unplanned share is at first.
type reference struct {
	within *stats.SplitBreak
	logMax float64
	starts []turn // at each of its windows
	sight  Reference
}

// take adds a window.
func (f *reference) take(label string, n, k float64) {
	f.within.Add(n, k)
	f.logMax = max(f.logMax, f.within.LogE())
	f.starts = append(f.starts, turn{label: label})
	if f.sight.Windows++; f.sight.Windows == 1 {
		f.sight.From = label
	}
	f.sight.To = label
	f.sight.N += n
	f.sight.canary += k
}

func newSplit(s *Spec, planned bool, widthMs int64) *split {
	t := &split{spec: s, widthMs: widthMs, horizon: s.planned(widthMs)}
	if planned {
		t.mixture = stats.NewMixture(stats.SplitTilts)
	} else {
		t.change = stats.NewSplitChangeAfter(referenceUnits, referenceWindows)
		t.early = reference{within: stats.NewSplitBreak(referenceWindows), starts: make([]turn, 0, referenceWindows)}
	}
	return t
}

// take tests the next window.
func (t *split) take(w *window) error {
	k := float64(w.arms[windows.Canary].cells[0].N)
	n := k + float64(w.arms[windows.Baseline].cells[0].N)
	if n == 0 {
		return nil
	}
	if !t.begun {
		t.begun, t.startMs = true, w.startMs
	}
	at := (w.startMs - t.startMs) / t.widthMs
	weight := stats.StartSum(t.next, at+1, t.horizon)
	t.next = max(t.next, at+1)
	share := t.spec.Share
	if share == 0 {
		share = w.share
	}
	inc := t.inc[:]
	if t.change != nil {
		if !t.change.Closed() {
			t.early.take(w.label, n, k)
		}
		t.change.Add(n, k, weight)
		inc = t.change.Increments()
	} else {
		stats.SplitIncrements(inc, n, k, share)
		t.mixture.Step(inc, weight)
	}
	for i, x := range inc {
		if o := &t.turns[i]; o.sum <= 0 && t.proven == nil { // what is proven began no later
			*o = turn{label: w.label}
		}
		t.turns[i].step(x, n, k)
	}
	for i := range t.early.starts {
		t.early.starts[i].step(0, n, k)
	}
	if share != t.plan {
		t.shares, t.plan = t.shares+1, share
	}
	t.n, t.k, t.due = t.n+n, t.k+k, t.due+n*share
	t.logMax = max(t.logMax, t.logE())
	if !t.failed && t.logMax >= t.threshold() {
		t.failed, t.proven = true, t.began()
	}
	return nil
}

// turn dates another split by one tilt: its evidence since it last began to grow (CUSUM), and the units since then. For people.
type turn struct {
	sum, n, k float64
	label     string
}

func (t *turn) step(inc, n, k float64) {
	t.sum, t.n, t.k = t.sum+inc, t.n+n, t.k+k
}

// began is the turn that the evidence speaks for most; nil while there is none.
func (t *split) began() *turn {
	if t.change != nil {
		if _, early := stats.SplitEvidence(t.early.within, t.change); early {
			return &t.early.starts[t.early.within.Break()]
		}
	}
	best := &t.turns[0]
	for i := range t.turns {
		if t.turns[i].sum > best.sum {
			best = &t.turns[i]
		}
	}
	if best.sum <= 0 {
		return nil
	}
	return best
}

func (t *split) logE() float64 {
	if t.change != nil {
		logE, _ := stats.SplitEvidence(t.early.within, t.change)
		return logE
	}
	return t.mixture.LogE()
}

func (t *split) threshold() float64 { return math.Log(1 / t.spec.Alpha) }

func (t *split) state() schemas.State {
	switch {
	case t.failed:
		return schemas.StateFailed
	case t.n == 0 || t.change != nil && !t.change.Closed():
		return schemas.StateInsufficient
	}
	return schemas.StateContinue
}

// fill tells what is known now.
func (t *split) fill(s *Summary) {
	s.Result = Result{Verdict: t.state(), Unit: unitShare, LogEvidence: t.logMax + 0, Threshold: t.threshold()}
	s.Baseline, s.Canary = Arm{N: t.n - t.k}, Arm{N: t.k}
	if t.n == 0 {
		s.Why = "no_data"
		return
	}
	if s.Verdict == schemas.StateInsufficient {
		s.Why = "no_reference"
	}
	if t.change != nil {
		s.Reference = t.reference()
	}
	s.Planned, s.Estimate = t.due/t.n, finite(t.k/t.n)
	if t.shares == 1 {
		s.Planned = t.plan
	}
	if since := t.proven; since != nil {
		s.HarmBegan, s.SinceHarm = since.label, finite(since.k/since.n)
	}
	if t.shares <= 1 {
		lower, upper := t.interval()
		s.Lower, s.Upper = &lower, &upper
	}
}

// reference is what is known of the period that tells what the share is at first.
func (t *split) reference() *Reference {
	sight := t.early.sight
	sight.Share = finite(sight.canary / sight.N)
	sight.Open = !t.change.Closed()
	sight.Moved = t.early.logMax+math.Log(stats.SplitEarlyStake) >= t.threshold()
	return &sight
}

// displayAlpha is one minus the confidence of every interval that a person sees.
const displayAlpha = .05

// interval inverts the test at every share: while one share held all along, the evidence against it is linear in the counts, so the
// totals are enough. All of the stake starts at once here.
func (t *split) interval() (lower, upper float64) {
	excluded := func(share float64) bool {
		stats.SplitIncrements(t.inc[:], t.n, t.k, share)
		m := stats.NewMixture(stats.SplitTilts)
		m.Step(t.inc[:], 1)
		return m.LogE() >= math.Log(1/displayAlpha)
	}
	seen := t.k / t.n
	return edge(excluded, 0, seen), edge(excluded, 1, seen)
}

// edge is where between an end and what was seen a share is no longer excluded.
func edge(excluded func(float64) bool, end, seen float64) float64 {
	const least = 1e-9
	out, in := math.Abs(end-least), seen
	if !excluded(out) {
		return end
	}
	for range 50 {
		if middle := (out + in) / 2; excluded(middle) {
			out = middle
		} else {
			in = middle
		}
	}
	return in
}
