package certify

import (
	"math/rand/v2"
	"slices"

	"streamcanary/schemas"
)

// alphas are the levels that the battery is run at.
var alphas = []float64{.05, .01}

// typeOne counts alarms where there is nothing to alarm about: no harm (any), or a canary exactly on its margins.
type typeOne struct {
	world   World
	setting Setting
	methods []Method
	ends    []typeOneEnd // by run
}

// typeOneEnd is one run's: by method and alpha, and how the whole verdict went at each alpha.
type typeOneEnd struct {
	alarmed  [][]bool
	verdicts []Ending
}

// certificateRuns is how many runs the whole verdict is played in with everything on; methodRuns, how many all methods beside each other are: enough to
// see what they do.
const certificateRuns, methodRuns = 1000, 300

// typeOneExperiments are every world with every setting and every method that makes sense there, and then, in more runs, the whole verdict with segments and
// samples, too.
func typeOneExperiments() []Experiment {
	var all []Experiment
	for _, w := range Worlds() {
		for _, s := range []Setting{atMargins, atAny} {
			if w.AnyOnly && s.edge.Name != "" {
				continue
			}
			all = append(all, typeOneExperiment(w, s, Methods()))
		}
	}
	return append(all, allOnExperiments()...)
}

func allOnExperiments() []Experiment {
	var all []Experiment
	for _, w := range Worlds() {
		if !w.Claimed {
			continue
		}
		w.Windows = w.certified()
		for _, s := range []Setting{atMargins, atAny} {
			if !w.AnyOnly || s.edge.Name == "" {
				e := typeOneExperiment(w, s.allOn(), []Method{verdict})
				e.Runs, e.Group, e.About = certificateRuns, "type-I, all on", "segments and samples are watched, too: "+e.About
				all = append(all, e)
			}
		}
	}
	return all
}

func typeOneExperiment(w World, s Setting, methods []Method) Experiment {
	return Experiment{
		Group: "type-I", Name: w.Name + "/" + s.Name, About: w.About, Runs: methodRuns,
		begin: func(runs int) trial {
			return &typeOne{world: w, setting: s, methods: methods, ends: make([]typeOneEnd, runs)}
		},
	}
}

// Methods lists all that the battery judges with: the product first, then its tests by themselves, then the peers.
func Methods() []Method {
	return slices.Concat(
		[]Method{verdict}, rateKernels(), latencyKernels(), zTests, sequentialPeers, []Method{groupSequential, hypergeometric},
		rankPeers, howardPeers, thresholdPeers, kayentaPeers,
	)
}

// play judges at the first alpha; where anything comes of it, the run is played again for the others. What is not proven at one level is not at a lower one:
// the evidence is the same, and every threshold is higher.
func (t *typeOne) play(run int, source func() *rand.Rand) {
	end := &t.ends[run]
	end.alarmed = make([][]bool, len(t.methods))
	t.watch(end, source, func(m *Method) []float64 {
		if m.Name == verdict.Name {
			return alphas[:1]
		}
		return alphas
	})
	if len(end.verdicts) == 0 || end.verdicts[0].quiet() {
		end.verdicts = append(end.verdicts, make([]Ending, len(alphas)-len(end.verdicts))...)
	} else {
		t.watch(end, source, func(m *Method) []float64 {
			if m.Name == verdict.Name {
				return alphas[1:]
			}
			return nil
		})
	}
}

// watch plays a run for the methods that have levels now.
func (t *typeOne) watch(end *typeOneEnd, source func() *rand.Rand, levels func(*Method) []float64) {
	s := t.world.make()
	s.harm, s.gauges = t.setting.edge, t.setting.gauges
	tape := NewTape(s, t.caseOf(&s).Rollout(alphas[0]), source)
	watches, alarms := make([]watch, len(t.methods)), make([][]bool, len(t.methods))
	for i := range t.methods {
		if now := levels(&t.methods[i]); len(now) > 0 {
			c := t.caseOf(&s)
			c.Alphas = now
			watches[i], alarms[i] = t.methods[i].start(c), make([]bool, len(now))
		}
	}
	for tape.moment.T+1 < t.world.Windows {
		m := tape.Next()
		for i, w := range watches {
			if w != nil {
				w.see(m, alarms[i])
			}
		}
	}
	for i, w := range watches {
		end.alarmed[i] = append(end.alarmed[i], alarms[i]...)
		if v, ok := w.(*verdictWatch); ok {
			end.verdicts = append(end.verdicts, v.ends...)
		}
	}
}

// caseOf is the claim on the margin of errors and of latency.
func (t *typeOne) caseOf(s *scene) *Case {
	return &Case{
		Rollout: func(alpha float64) *schemas.Rollout { return t.setting.rollout(t.world.Width, alpha) },
		Key:     "error", Rho0: 1, Delta: s.harm.Plus["error"], Side: +1, Slower: max(0, s.harm.Slower-1),
		Alphas: alphas, Windows: t.world.Windows, Base: s.rates[0].base, Planned: s.planned(t.world.Windows),
	}
}

func (t *typeOne) rows() []Row {
	var rows []Row
	runs := len(t.ends)
	for i, m := range t.methods {
		for a, alpha := range alphas {
			count := t.alarms(i, a)
			row := Row{Method: m.Name, Source: m.Source, Ours: m.Ours, Measure: "alarms", Alpha: alpha, Runs: runs, Count: count, Limit: binomialPoint(runs, alpha)}
			if m.Name == verdict.Name {
				row.Note = t.reasons(a, func(e *Ending) []string { return []string{e.RolledBack} })
			}
			row.judge(m, t.holds(&m), row.Count > row.Limit)
			rows = append(rows, row)
		}
	}
	return append(rows, t.verdictRows()...)
}

// alarms is in how many runs a method alarmed at a level.
func (t *typeOne) alarms(method, alpha int) int {
	count := 0
	for _, e := range t.ends {
		if alpha < len(e.alarmed[method]) && e.alarmed[method][alpha] {
			count++
		}
	}
	return count
}

// holds reports whether the method must hold its level here: ours must in every world of the claim, but the tests by themselves only where events are
// independent.
func (t *typeOne) holds(m *Method) bool {
	if !m.Ours || !t.world.Claimed {
		return false
	}
	s := t.world.make()
	_, free := s.noise.(independent)
	return m.Name == verdict.Name || free && s.users == nil && !s.differs()
}

// reasons counts what the verdicts at one alpha stood on.
func (t *typeOne) reasons(alpha int, of func(*Ending) []string) string {
	counts := map[string]int{}
	for i := range t.ends {
		for _, why := range of(&t.ends[i].verdicts[alpha]) {
			if why != "" {
				counts[why]++
			}
		}
	}
	return counted(counts)
}

// verdictRows are the holds and passes of the whole verdict.
func (t *typeOne) verdictRows() []Row {
	if !slices.ContainsFunc(t.methods, func(m Method) bool { return m.Name == verdict.Name }) {
		return nil
	}
	var rows []Row
	for a, alpha := range alphas {
		held, promoted := 0, 0
		for _, e := range t.ends {
			if len(e.verdicts[a].Held) > 0 {
				held++
			}
			if e.verdicts[a].Promoted {
				promoted++
			}
		}
		// Hold guardrails have a budget of their own, and so have the checks of the input.
		row := Row{Method: verdict.Name, Ours: true, Measure: "false holds", Alpha: alpha, Count: held, Limit: binomialPoint(len(t.ends), 2*alpha)}
		row.Note = t.reasons(a, func(e *Ending) []string { return e.Held })
		row.judge(verdict, t.world.Claimed, row.Count > row.Limit)
		rows = append(rows, row)
		if t.setting.edge.Name != "" && a == 0 { // a pass is withdrawn by suspicion, which takes more at a lower level: that isn't played
			row := Row{Method: verdict.Name, Ours: true, Measure: "promoted on every margin", Alpha: alpha, Count: promoted, Limit: binomialPoint(len(t.ends), .05)}
			row.judge(verdict, t.world.Claimed, row.Count > row.Limit)
			rows = append(rows, row)
			rows = append(rows, t.passRows(alpha)...)
		}
	}
	return rows
}

// passRows are the passes of each guardrail that is on its margin, at whatever window.
func (t *typeOne) passRows(alpha float64) []Row {
	var rows []Row
	for _, name := range t.setting.onMargin {
		if (name == "cpu" || name == "load") && t.setting.gauges == nil {
			continue
		}
		row := Row{Method: "streamcanary: guardrail " + name, Source: verdict.Source, Ours: true, Measure: "passed on its margin", Alpha: alpha, Limit: binomialPoint(len(t.ends), .05)}
		for i := range t.ends {
			if slices.Contains(t.ends[i].verdicts[0].Passed, name) {
				row.Count++
			}
		}
		row.judge(verdict, t.world.Claimed, row.Count > row.Limit)
		rows = append(rows, row)
	}
	return rows
}
