package analysis

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// shareNoise is how much more the canary's share of the traffic varies from window to window than that of predictions which go to an arm one by one, as far as it is known that nobody moves it. Where no event names a unit, the
// baseline's slices go by the predictions' own ids, so they don't show that callers send several at once to one arm, or keep to one for a while: a canary that gets none for a moment would be taken for silent.
//
// It is made of what the canary itself gets, since nothing else tells. One that falls silent once is one change, which is left out (stats.Succession); one that does again and again looks like clumps, which takes longer to prove.
type shareNoise struct {
	named bool // a unit was: slices tell
	watch shareWatch
	pairs stats.Succession
}

// look takes a window before it is tested.
func (s *shareNoise) look(p *windows.Part) {
	s.named = s.named || len(p.Traffic[windows.Canary].Units)+len(p.Traffic[windows.Baseline].Units) > 0
}

// take takes a window after it was tested; changed: routers change over.
func (s *shareNoise) take(p *windows.Part, changed bool) {
	if s.named {
		return
	}
	c, b := float64(p.Traffic[windows.Canary].Events), float64(p.Traffic[windows.Baseline].Events)
	phi := s.phi(1)
	now := shareWatch{c / phi, b / phi}
	if changed || s.watch.moves(now) {
		s.watch = shareWatch{}
		s.pairs.Break()
	} else {
		s.watch.canary, s.watch.baseline = s.watch.canary+now.canary, s.watch.baseline+now.baseline
	}
	s.pairs.Add(c+b, c)
}

// await takes a window of an epoch that one arm hasn't begun: how much the other one's predictions vary in time is all that tells of callers then.
func (s *shareNoise) await(p *windows.Part) {
	if !s.named {
		s.pairs.Add(manyExposures, float64(p.Traffic[windows.Canary].Events+p.Traffic[windows.Baseline].Events))
	}
}

// manyExposures are so many that counts of predictions are rates next to none.
const manyExposures = 1 << 50

// phi is a limit to it; +Inf while nothing is known.
func (s *shareNoise) phi(prior float64) float64 {
	if s.named {
		return 1
	}
	phi, _ := s.pairs.Phi(prior)
	return max(phi, s.pairs.Few())
}

// known reports whether there is one.
func (s *shareNoise) known() bool { return !math.IsInf(s.phi(1), 1) }
