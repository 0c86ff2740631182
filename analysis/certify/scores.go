package certify

import (
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
)

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
			Group: "scores", Name: "harm, " + name, Runs: 200, begin: scoreRace(w).begin,
			About: "scores 0.08 lower, over a margin of 0.04 (a standard deviation is 0.2): " + w.About,
		})
	}
	return all
}

func scoreRace(w World) *race {
	return &race{
		windows: max(w.Windows, w.HarmWindows), methods: []Method{verdict},
		claim: Case{Rollout: func(a float64) *schemas.Rollout { return scoresAtMargin.rollout(time.Second, a) }, Key: "error", Alphas: alphas[1:]},
		scene: func(int) scene {
			s := w.make()
			s.harm = scoreHarm
			return s
		},
		report: func(r *race) []Row { return harmRows(r, []Harm{scoreHarm}, true) },
	}
}
