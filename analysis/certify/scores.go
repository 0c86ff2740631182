package certify

import (
	"math"
	"time"

	"streamcanary/schemas"
)

// The mean of a number that predictions carry, by itself: no budget goes to anything else.

const scoreGuard = "quality, mean: score, cap: 1, decrease: "

var (
	scoresAtMargin = Setting{
		Name: "exactly", patience: "never", guardrails: "\n- {name: " + scoreGuard + "0.04, weight: 19}\n",
		edge: Harm{Name: "scores -0.04", Score: -.04}, onMargin: []string{"quality"},
	}
	scoresAtAny = Setting{Name: "any", patience: "never", guardrails: "\n- {name: " + scoreGuard + "any, weight: 19}\n"}
	scoreHarm   = Harm{Name: "scores -0.08", Score: -.08}

	scoresInPercent = Setting{
		Name: "20 %, exactly", patience: "never", guardrails: "\n- {name: " + scoreGuard + "20%, weight: 19}\n",
		edge: Harm{Name: "scores -20 %", Scores: -.2}, onMargin: []string{"quality"},
	}
	percentHarm = Harm{Name: "scores -40 %", Scores: -.4}
)

// aroundZero are levels of scores that a margin in percent is hard to hold against.
var aroundZero = []struct {
	name  string
	level func(t int) float64
	harm  bool // one in percent can be found
}{
	{"below zero", constant(-.3), true},
	{"from above zero to below", func(t int) float64 { return .3 - .6*float64(t)/lawWindows }, true},
	{"around zero", func(t int) float64 { return .15 * math.Sin(float64(t)/50) }, false},
}

// scoreWorlds have scores as they have latencies: one by one, or alike within a user.
var scoreWorlds = []string{"flat", "ramp", "clumps", "users of 10", "users of 20", "users who stay", "users in one segment"}

// withoutLatencies is the world in which nothing has a latency, which take most of the time.
func (w World) withoutLatencies() World {
	full := w.make
	w.make = func() scene {
		s := full()
		s.law = nil
		return s
	}
	return w
}

// scoreExperiments hold the mean of scores against its level, for rollbacks and for passes, and see that twice its margin is found.
func scoreExperiments() []Experiment {
	var all []Experiment
	for _, name := range scoreWorlds {
		w := worldOf(name).withoutLatencies()
		for _, s := range []Setting{scoresAtMargin, scoresAtAny} {
			if scene := w.make(); scene.differs() {
				s.segments = 2
			}
			e := typeOneExperiment(w, s, []Method{verdict})
			e.Group, e.Runs, e.About = "scores", certificateRuns, "the mean of what predictions score alone: "+w.About
			all = append(all, e)
		}
		all = append(all, Experiment{
			Group: "scores", Name: "harm, " + name, Runs: 200, begin: scoreRace(w, scoresAtMargin, scoreHarm).begin,
			About: "scores 0.08 lower, over a margin of 0.04 (a standard deviation is 0.2): " + w.About,
		})
	}
	return append(all, aroundZeroExperiments()...)
}

// aroundZeroExperiments are the same of means that aren't above zero all the time.
func aroundZeroExperiments() []Experiment {
	var all []Experiment
	for _, z := range aroundZero {
		w := worldOf("flat").withoutLatencies()
		flat := w.make
		w.Name, w.make = z.name, func() scene {
			s := flat()
			s.scores = z.level
			return s
		}
		about := "the mean of what predictions score alone, over a margin of 20 % of its size: " + z.name + ", 800 requests a window, 10 % the canary's"
		e := typeOneExperiment(w, scoresInPercent, []Method{verdict})
		e.Group, e.Runs, e.About = "scores", certificateRuns, about
		all = append(all, e)
		if z.harm {
			all = append(all, Experiment{Group: "scores", Name: "harm, " + z.name, Runs: 200, begin: scoreRace(w, scoresInPercent, percentHarm).begin, About: "40 % of its size lower: " + about})
		}
	}
	return all
}

// scoreRace plays harm, and sees that it is found.
func scoreRace(w World, setting Setting, harm Harm) *race {
	return &race{
		windows: max(w.Windows, w.HarmWindows), methods: []Method{verdict},
		claim: Case{Rollout: func(a float64) *schemas.Rollout { return setting.rollout(time.Second, a) }, Key: "error", Alphas: alphas[1:]},
		scene: func(int) scene {
			s := w.make()
			s.harm = harm
			return s
		},
		report: func(r *race) []Row { return harmRows(r, []Harm{harm}) },
	}
}
