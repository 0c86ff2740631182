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

// losses are the same of what users do: rare, so that it takes long to prove. Nothing else is watched then, as what is proven of it would be all the
// same, and latencies are what takes time to simulate.
var (
	losses = []Harm{
		{Name: "clicks -4 %, any over 2 %", Times: map[string]float64{"click": .96}},
		{Name: "purchases -20 % over 10 %", Times: map[string]float64{"purchase": .8}},
	}
	atLosses = Setting{
		Name: "losses", patience: "never",
		guardrails: `
- {name: ctr, rate: click, decrease: 2%}
- {name: sales, rate: purchase, decrease: 10%, prove: beyond}
- {name: revenue, mean: purchase, decrease: 10%, required: false}
`,
	}
)

// lossWindows is how long a loss is looked for, at most.
const lossWindows = 60_000

// harmExperiments play twice the margin in every world of the claim: one harm a run, in turn.
func harmExperiments() []Experiment {
	var all []Experiment
	for _, w := range Worlds() {
		if !w.Claimed || w.AnyOnly || w.Harmless {
			continue
		}
		for _, alpha := range alphas {
			name := w.Name + "/" + strconv.FormatFloat(alpha, 'g', -1, 64)
			all = append(all, Experiment{Group: "harm", Name: name, About: "twice the margin of one guardrail, in turn: " + w.About, Runs: 200 * len(harms), begin: harmRace(w, alpha).begin})
		}
		if w.HarmWindows >= 10*blocks { // by the bound it would take 300,000 windows and more, four days of one-second ones
			continue
		}
		strict := alphas[len(alphas)-1] // what is proven at the lowest is so at all
		all = append(all, Experiment{Group: "losses", Name: w.Name, About: "twice the margin of what users do, in turn, and no latencies: " + w.About, Runs: 100 * len(losses), begin: lossRace(w, strict).begin})
	}
	return all
}

func harmRace(w World, alpha float64) *race {
	return &race{
		windows: max(w.Windows, w.HarmWindows), methods: slices.Concat([]Method{verdict}, thresholdPeers, kayentaPeers[1:]),
		claim: Case{Rollout: func(a float64) *schemas.Rollout { return atMargins.rollout(w.Width, a) }, Key: "error", Rho0: 1, Delta: .005, Side: +1, Slower: .2, Alphas: []float64{alpha}},
		scene: func(run int) scene {
			s := w.make()
			s.harm = harms[run%len(harms)]
			return s
		},
		report: func(r *race) []Row { return harmRows(r, harms) },
	}
}

func lossRace(w World, alpha float64) *race {
	return &race{
		windows: lossWindows, methods: []Method{verdict},
		claim: Case{Rollout: func(a float64) *schemas.Rollout { return atLosses.rollout(w.Width, a) }, Key: "click", Rho0: .98, Side: -1, Alphas: []float64{alpha}},
		scene: func(run int) scene {
			s := w.make()
			s.law, s.harm = nil, losses[run%len(losses)]
			return s
		},
		report: func(r *race) []Row { return harmRows(r, losses) },
	}
}

// caughtShare is how many harms of twice the margin must be caught.
const caughtShare = .95

func harmRows(r *race, harms []Harm) []Row {
	var rows []Row
	for i, m := range r.methods {
		for h, harm := range harms {
			row := r.part(i, h, len(harms), "caught, "+harm.Name)
			row.Limit = binomialLow(row.Runs, caughtShare)
			row.judge(m, m.Ours, row.Count < row.Limit)
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
