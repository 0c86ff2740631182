package certify

import (
	"slices"
	"strconv"

	"streamcanary/schemas"
)

// harms are twice the margin of each guardrail that can prove it within a run.
var harms = []Harm{
	{Name: "errors +1 pp", Plus: map[string]float64{"error": .01}},
	{Name: "timeouts +0.4 pp", Plus: map[string]float64{"timeout": .004}},
	{Name: "latency +40 %", Slower: 1.4},
}

// harmExperiments play twice the margin in every world of the claim: one harm a run, in turn.
func harmExperiments() []Experiment {
	var all []Experiment
	for _, w := range Worlds() {
		if !w.Claimed || w.AnyOnly {
			continue
		}
		for _, alpha := range alphas {
			r := &race{
				windows: max(w.Windows, w.HarmWindows), methods: slices.Concat([]Method{verdict}, thresholdPeers, kayentaPeers[1:]),
				claim: Case{Rollout: func(a float64) *schemas.Rollout { return atMargins.rollout(w.Width, a) }, Key: "error", Rho0: 1, Delta: .005, Side: +1, Slower: .2, Alphas: []float64{alpha}},
				scene: func(run int) scene {
					s := w.make()
					s.harm = harms[run%len(harms)]
					return s
				},
				report: func(r *race) []Row { return harmRows(r, !w.Faint) },
			}
			all = append(all, Experiment{Group: "harm", Name: w.Name + "/" + strconv.FormatFloat(alpha, 'g', -1, 64), About: "twice the margin of one guardrail, in turn: " + w.About, Runs: 600, begin: r.begin})
		}
	}
	return all
}

// caughtShare is how many harms of twice the margin must be caught.
const caughtShare = .95

func harmRows(r *race, promised bool) []Row {
	var rows []Row
	for i, m := range r.methods {
		for h, harm := range harms {
			row := r.part(i, h, len(harms), "caught, "+harm.Name)
			row.Limit = binomialLow(row.Runs, caughtShare)
			row.judge(m, m.Ours && promised, row.Count < row.Limit)
			rows = append(rows, row)
		}
	}
	for i := range r.methods {
		for h, harm := range harms {
			row := r.row(i, "median windows to a verdict, "+harm.Name)
			row.Value, row.Unit = number(r.median(i, h, len(harms))), "windows"
			rows = append(rows, row)
		}
	}
	return rows
}

// median is the median time to a verdict, in windows, of the runs that are h modulo n.
func (r *race) median(method, h, n int) float64 {
	var times sample
	for run, e := range r.ends[method] {
		if run%n != h {
			continue
		}
		times = append(times, e.windows(0))
	}
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times.quantile(.5)
}
