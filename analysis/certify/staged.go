package certify

import (
	"fmt"
	"math/rand/v2"

	"streamcanary/analysis"
	"streamcanary/windows"
)

// A ramp whose stages are walked by evidence: the canary's share is the present stage's, and the verdict asks for the next one.

var stagedWeights = []float64{5, 25, 50}

// stagedKeys are the rollout's stages. What has to pass does so where there is no harm.
var stagedKeys = fmt.Sprintf("[{weight: %v, bake: 1m, max: 240h, pass: [outage, hang]}, {weight: %v, bake: 1m, max: 240h, pass: [outage, hang]}, {weight: %v, bake: 1m, max: 240h}]",
	stagedWeights[0], stagedWeights[1], stagedWeights[2])

// staged plays the whole verdict at the first alpha, in a world whose share follows it.
type staged struct {
	world   World
	setting Setting
	ends    []stagedEnd
}

type stagedEnd struct {
	Ending
	last bool // it came to the last stage
}

func (s staged) begin(runs int) trial {
	s.ends = make([]stagedEnd, runs)
	return &s
}

func (s *staged) play(run int, source func() *rand.Rand) {
	end, now := &s.ends[run], stageNow{}
	scene := s.world.make()
	scene.gauges = s.setting.gauges
	scene.share = now.share
	r := s.setting.rollout(s.world.Width, alphas[0])
	tape, judge := NewTape(scene, r, source), judgeOf(r, 0)
	for tape.moment.T+1 < s.world.Windows && end.RolledBack == "" {
		m := tape.Next()
		var v analysis.Verdict
		for _, p := range m.Parts {
			v = judge.Step(p)
			end.take(v, m)
		}
		if v.Action == analysis.VerdictAdvance && m.T >= now.from {
			now = stageNow{at: v.Stage + 1, from: m.T + 1 + windows.SettleMs/int(m.widthMs)}
			judge.Advance(now.at, startMs+int64(now.from)*m.widthMs)
		}
	}
	end.last = now.at == len(stagedWeights)-1
}

// stageNow is a stage, and the window that it begins with: samples of half a minute after the one that decided were judged already.
type stageNow struct{ at, from int }

func (s *stageNow) share(t int) float64 {
	at := s.at
	if t < s.from {
		at--
	}
	return stagedWeights[at] / 100
}

func (s *staged) rows() []Row {
	row := Row{Method: verdict.Name, Source: verdict.Source, Ours: true, Alpha: alphas[0], Limit: binomialPoint(len(s.ends), alphas[0])}
	alarms, last := row, row
	alarms.Measure, last.Measure = "alarms", "reached the last stage"
	why := map[string]int{}
	for i := range s.ends {
		e := &s.ends[i]
		if e.RolledBack != "" {
			alarms.Count++
			why[e.RolledBack]++
		}
		if e.last {
			last.Count++
		}
	}
	alarms.Note = counted(why)
	last.Limit = binomialLow(len(s.ends), caughtShare)
	alarms.judge(verdict, true, alarms.Count > alarms.Limit)
	last.judge(verdict, true, last.Count < last.Limit)
	return []Row{alarms, last}
}

func stagedExperiments() []Experiment {
	var all []Experiment
	for _, name := range []string{"flat", "diurnal", "users who stay"} {
		w := worldOf(name)
		w.Windows = w.certified()
		s := atAny.allOn().bothWays()
		s.stages = stagedKeys
		all = append(all, Experiment{
			Group: "stages", Name: w.Name, Runs: certificateRuns, begin: staged{world: w, setting: s}.begin,
			About: "no harm; the verdict walks through stages of 5, 25 and 50 %; margins any, segments and samples are watched, too, and the shape of latencies both ways: " + w.About,
		})
	}
	return all
}
