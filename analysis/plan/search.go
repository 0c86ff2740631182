package plan

import (
	"cmp"
	"math"
	"slices"
	"time"

	"streamcanary/schemas"
)

// How says what a Reach stands on.
type How string

// Simulated: most runs came to it. Ruled: they didn't in eight times the stage's max; it is a rate, and its test on expected counts says how long (rule.go).
// Paced: they didn't, and the evidence that they gained goes on at the same pace. Unreached: it doesn't come, or nobody can say when.
const (
	Simulated How = "simulated"
	Ruled     How = "rule"
	Paced     How = "pace"
	Unreached How = "unreached"
)

// A Reach is what something needs, as a median: canary events, and the time from the first of them to the verdict, with the wait for late events and
// outcomes. Both are 0 where it is Unreached.
type Reach struct {
	Events   float64
	After    time.Duration
	How      How
	Patience bool    // a failure by patience rather than by proof
	Rough    bool    // to about a half rather than a quarter, as windows are wider than the rollout's: of a mean of outcomes or of gauges, whose noise such windows tell less well
	Phi      float64 // over-dispersion that the test reckoned with by then, a median; 0: it needs none; of ranks and of predictions' means what was stated or surveyed, of ranks else 1
}

// Bounds of a simulation.
const (
	levelWindows = 400            // of one width; then they are made wider
	widen        = 8              // by this factor
	widthMost    = time.Hour      // no block is longer
	overtime     = 8              // stages, for what takes longer than one
	reachMost    = 10 * 365 * day // what takes longer is never
)

const day = 24 * time.Hour

// A sight is how finely a simulation looks.
type sight struct {
	width time.Duration // of a window
	most  int           // windows
	last  bool          // no wider windows follow
}

// sights begin with the rollout's own windows; they become wider until enough of one width reach to the end of the overtime.
func (s *setting) sights() []sight {
	var all []sight
	for width := s.rollout.Window; ; width = min(width*widen, widthMost) {
		one := sight{width: width, most: levelWindows}
		if one.last = width >= widthMost || width*levelWindows >= overtime*s.stage.Max; one.last {
			one.most = max(levelWindows/4, int(overtime*s.stage.Max/width))
			return append(all, one)
		}
		all = append(all, one)
	}
}

// reach finds how soon something happens in a world with this canary: with fine windows if it is soon, else with wider ones.
func (s *setting) reach(canary []atom, what event) Reach {
	for _, l := range s.sights() {
		runs := s.runs(canary, what, l)
		slices.SortFunc(runs, func(a, b course) int { return compareWindows(a.windows, b.windows) })
		if mid := runs[len(runs)/2]; mid.windows > 0 {
			return Reach{mid.events, s.after(mid.windows, l.width), Simulated, mid.patience, s.rough(l), medianPhi(runs)}
		}
		if l.last {
			return s.beyond(canary, what, sighted{runs, l})
		}
	}
	panic("plan: no sight is the last")
}

// rough reports whether what such a sight says is so to about a half.
func (s *setting) rough(l sight) bool {
	return l.width > s.rollout.Window && s.guard.Kind == schemas.MeanGuardrail && s.guard.From != schemas.KindPrediction
}

// runs are courses in worlds with different seeds. Where the first ones tell that most come to nothing, and wider windows follow, only those.
func (s *setting) runs(canary []atom, what event, l sight) []course {
	var all []course
	nothing := 0
	w := worldOf(s.guard, s, l.width, canary)
	for i := range s.options.Runs {
		w.random, w.run = random{s.options.Seed + uint64(i)<<32}, i
		all = append(all, s.run(w, l, what))
		if all[i].windows == 0 {
			nothing++
		}
		if nothing > s.options.Runs/2 && !l.last {
			break
		}
	}
	return all
}

// medianPhi is what most runs reckoned with at last.
func medianPhi(runs []course) float64 {
	var all []float64
	for _, c := range runs {
		all = append(all, c.phi)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// compareWindows orders what happened before what didn't.
func compareWindows(a, b int) int {
	switch {
	case a == b:
		return 0
	case a == 0:
		return 1
	case b == 0 || a < b:
		return -1
	}
	return 1
}

func (s *setting) after(windows int, width time.Duration) time.Duration {
	return time.Duration(windows)*width + s.rollout.Lateness + s.within
}

// sighted is what was seen at the last sight.
type sighted struct {
	runs []course
	sight
}

// leastSeen is the share of its threshold that evidence must have come to, before its pace says anything.
const leastSeen = .25

// beyond says of what simulations didn't come to when it would.
func (s *setting) beyond(canary []atom, what event, seen sighted) Reach {
	perSecond, phi := s.base.PerSecond*s.share, medianPhi(seen.runs)
	if events, isRate := s.rule(canary, what, max(1, phi)); isRate {
		after := events / perSecond
		if math.IsInf(events, 1) || after > reachMost.Seconds() || after < s.stage.Max.Seconds() {
			return Reach{How: Unreached, Phi: phi}
		}
		return Reach{events, s.after(int(after/seen.width.Seconds()), seen.width), Ruled, false, false, phi}
	}
	return s.paced(seen)
}

// paced goes on from the runs in the middle, those that came to it among them, at the pace that they had all along or in their second half,
// whichever is greater: mixtures gain more as they find their bet.
func (s *setting) paced(seen sighted) Reach {
	runs := seen.runs
	slices.SortFunc(runs, func(a, b course) int {
		if byWindows := compareWindows(a.windows, b.windows); byWindows != 0 {
			return byWindows
		}
		return cmp.Compare(b.end, a.end)
	})
	middle := runs[len(runs)/3 : len(runs)-len(runs)/3]
	var halfway, end, events, n float64
	for _, c := range middle {
		if c.windows == 0 {
			halfway, end, events, n = halfway+c.halfway, end+c.end, events+c.perWindow, n+1
		}
	}
	halfway, end, events = halfway/n, end/n, events/n
	pace, most := (end-halfway)/float64(seen.most-seen.most/2), float64(seen.most)
	windows := most + (1-end)/max(pace, end/most)
	if !(pace > 0) || end < leastSeen || windows*seen.width.Seconds() > reachMost.Seconds() {
		return Reach{How: Unreached, Phi: medianPhi(runs)}
	}
	return Reach{windows * events, s.after(int(math.Ceil(windows)), seen.width), Paced, false, false, medianPhi(runs)}
}

// Search for the smallest harm: between these multiples of the margin (or of the usual harm, where there is none) on top of it.
const (
	leastExcess = .02
	mostExcess  = 64
	steps       = 8
	enough      = .8 // of the runs find it
	searchRuns  = 20 // at most, for each step
)

// smallest returns the smallest harm that is found within the stage in at least 4 of 5 cases; false: none is.
func (s *setting) smallest() (schemas.Margin, bool) {
	left := s.stage.Max - s.rollout.Lateness - s.within
	var l sight
	for _, l = range s.sights() {
		if left/l.width <= levelWindows {
			break
		}
	}
	if l.most = int(left / l.width); l.most < 1 {
		return schemas.Margin{}, false
	}
	finds := func(excess float64) bool {
		canary, err := harmed(s.guard, s.healthy, s.harmAt(excess))
		return err == nil && s.findsMostly(canary, l)
	}
	low, high := math.Log(leastExcess), math.Log(mostExcess)
	for high > math.Log(leastExcess)+.1 && !s.canBe(math.Exp(high)) { // the most that can be
		high -= .1
	}
	if !finds(math.Exp(high)) {
		return schemas.Margin{}, false
	}
	for range steps {
		if mid := (low + high) / 2; finds(math.Exp(mid)) {
			high = mid
		} else {
			low = mid
		}
	}
	h := s.harmAt(math.Exp(high))
	return h, true
}

func (s *setting) canBe(excess float64) bool {
	_, err := harmed(s.guard, s.healthy, s.harmAt(excess))
	return err == nil
}

// harmAt is a harm beyond the margin by a multiple of it, or of the usual harm.
func (s *setting) harmAt(excess float64) schemas.Margin {
	h := s.guard.Margin
	switch unit := h.Value; {
	case s.guard.Direction == schemas.Below:
		h.Value = unit / (1 + excess)
	case unit > 0:
		h.Value = unit * (1 + excess)
	default:
		h = UsualHarm(s.guard)
		h.Value *= excess
	}
	h.Text = HarmText(s.guard, h)
	return h
}

func (s *setting) findsMostly(canary []atom, l sight) bool {
	w := worldOf(s.guard, s, l.width, canary)
	found, missed := 0, 0
	all := min(s.options.Runs, searchRuns)
	need := int(math.Ceil(enough * float64(all)))
	for i := range all {
		w.random, w.run = random{s.options.Seed + uint64(i)<<32}, i
		if s.run(w, l, failed).windows > 0 {
			found++
		} else {
			missed++
		}
		if found >= need || missed > all-need {
			break
		}
	}
	return found >= need
}
