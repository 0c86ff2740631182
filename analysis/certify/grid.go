package certify

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"streamcanary/schemas"
)

// The health grid: one-minute windows at low traffic, 10 % the canary's, lognormal latency of 20 ms and sigma 0.7, 1 % errors, an hour long; the
// default guardrails against the rules that people write for such traffic.

const gridWindows = 60

var gridRates = []float64{.2, 1, 5, 20} // requests a second of the canary

// gridHarm is a canary that deserves a rollback.
var gridHarm = Harm{Name: "latency x 1.3, errors 1 % -> 2 %", Slower: 1.3, Plus: map[string]float64{"error": .01}}

// gridCaught is how much of the harm a method must catch within the hour. At 1 request a second an hour holds 3,600 of the canary's, which prove harm, so that
// people are told, but not harm beyond the margin (by the bound 2.5 nats an hour): the default patience of half an hour has to pass before the rollback.
func gridCaught(m *Method, rps float64) float64 {
	switch {
	case rps < 1:
		return 0
	case rps < 5 && m.Name != suspicion.Name:
		return .5
	}
	return caughtShare
}

func gridExperiments() []Experiment {
	var all []Experiment
	for _, harm := range []Harm{{Name: "healthy"}, gridHarm} {
		for _, rps := range gridRates {
			for _, alpha := range alphas {
				r := gridRace(rps, alpha, harm)
				all = append(all, Experiment{
					Group: "grid, " + harm.Name, Name: fmt.Sprintf("%v requests/s at %v", rps, alpha),
					About: "one-minute windows, 10 % canary, default guardrails, 60 minutes", Runs: 400, begin: r.begin,
				})
			}
		}
	}
	return all
}

func gridRace(rps, alpha float64, harm Harm) *race {
	return &race{
		windows: gridWindows, methods: slices.Concat([]Method{verdict, suspicion}, thresholdPeers, kayentaPeers, sequentialPeers),
		scene: func(int) scene {
			return scene{
				requests: constant(rps * 10 * 60), share: constant(.1), noise: independent{}, law: lognormalWide, harm: harm,
				rates: []rate{{"error", .01, nil}, {"timeout", 0, nil}},
			}
		},
		claim:  Case{Rollout: defaults, Key: "error", Rho0: 1, Side: +1, Alphas: []float64{alpha}, Base: .01},
		report: func(r *race) []Row { return gridRows(r, rps, harm) },
	}
}

// defaults is a rollout that says nothing but its window and its risk.
func defaults(alpha float64) *schemas.Rollout {
	return mustParse(`
apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: grid}
spec:
  model: ranker
  baseline: {version: "41"}
  canary: {version: "42"}
  window: 1m
  risk: {falseRollback: ` + strconv.FormatFloat(alpha, 'g', -1, 64) + `}
  stages: [{max: 240h}]
`)
}

func gridRows(r *race, rps float64, harm Harm) []Row {
	var rows []Row
	alpha := r.claim.Alphas[0]
	for i, m := range r.methods {
		count, _ := r.caught(i, 0)
		row := r.row(i, "rolled back")
		row.Count, row.Note = count, r.why(i)
		if harm.Slower == 0 {
			row.Limit = binomialPoint(r.runs, alpha)
			row.judge(m, m.Ours, count > row.Limit)
			rows = append(rows, row)
			continue
		}
		if share := gridCaught(&m, rps); share > 0 {
			row.Limit = binomialLow(r.runs, share)
			row.judge(m, m.Ours, count < row.Limit)
		}
		rows = append(rows, row)
		delay := r.row(i, "median minutes to the rollback")
		delay.Value, delay.Unit = number(r.median(i, 0, 1)), "min"
		rows = append(rows, delay)
	}
	return rows
}

// Harm inside the margin, with the default patience: how often suspicion becomes a rollback.

var insides = []float64{0, .5, .8, .9, 1}

// patienceHours is how long such a run is.
const patienceHours = 2

func patienceExperiments() []Experiment {
	var all []Experiment
	for _, x := range patienceCases() {
		part, traffic := x[0], x[1]
		r := &race{
			windows: patienceHours * 3600, methods: []Method{verdict},
			scene: func(int) scene {
				return scene{
					requests: constant(10 * traffic), share: constant(.1), noise: independent{},
					rates: []rate{{"error", .001, nil}}, harm: Harm{Plus: map[string]float64{"error": .005 * part}},
				}
			},
			claim: Case{Rollout: func(alpha float64) *schemas.Rollout {
				return Setting{patience: "30m", guardrails: "\n- {name: it, " + errorsGuard + ", weight: 1}\n"}.rollout(time.Second, 2*alpha)
			}, Key: "error", Rho0: 1, Delta: .005, Side: +1, Alphas: []float64{.0125}, Base: .001},
			report: func(r *race) []Row {
				count, _ := r.caught(0, 0)
				row := r.row(0, "rolled back")
				row.Count, row.Note = count, r.why(0)
				if part == 0 {
					row.Limit = binomialPoint(r.runs, 2*guardAlpha)
					row.judge(verdict, true, count > row.Limit)
				}
				return []Row{row}
			},
		}
		all = append(all, Experiment{
			Group: "patience", Name: fmt.Sprintf("harm of %v of the margin, %v requests/s", part, traffic), Runs: 300, begin: r.begin,
			About: fmt.Sprintf("errors over a margin of 0.5 pp, patience 30 minutes, %d hours, so many canary requests a second", patienceHours),
		})
	}
	return all
}

// patienceCases are parts of the margin, with the canary's requests a second.
func patienceCases() [][2]float64 {
	var all [][2]float64
	for _, traffic := range []float64{10, 100} {
		for _, part := range insides {
			all = append(all, [2]float64{part, traffic})
		}
	}
	return all
}

// falsePassExperiments put one required guardrail after the other exactly on its margin, and count promotions. Without harm there are some, so that there could be.
func falsePassExperiments() []Experiment {
	edges := []Harm{
		{Name: "errors", Plus: map[string]float64{"error": .005}}, {Name: "timeouts", Plus: map[string]float64{"timeout": .002}},
		{Name: "p99", Slower: 1.2}, {Name: "no harm"},
	}
	setting := atMargins.withoutSamples()
	var all []Experiment
	for _, w := range Worlds() {
		if !w.Claimed || w.AnyOnly {
			continue
		}
		r := &race{
			windows: w.Windows, methods: []Method{promotion},
			scene: func(run int) scene {
				s := w.make()
				s.harm = edges[run%len(edges)]
				return s
			},
			claim: Case{Rollout: func(a float64) *schemas.Rollout { return setting.rollout(w.Width, a) }, Key: "error", Alphas: []float64{.05}},
			report: func(r *race) []Row {
				var rows []Row
				for h, edge := range edges {
					row := r.part(0, h, len(edges), "promoted, "+edge.Name)
					if edge.Name != "no harm" {
						row.Limit = binomialPoint(row.Runs, .05)
						row.judge(r.methods[0], true, row.Count > row.Limit)
					}
					rows = append(rows, row)
				}
				return rows
			},
		}
		all = append(all, Experiment{Group: "false pass", Name: w.Name, About: "one guardrail exactly on its margin, the others within: " + w.About, Runs: 100 * len(edges), begin: r.begin})
	}
	return all
}
