package certify

import (
	"time"

	"streamcanary/schemas"
)

// A router that sends other segments to the canary than to the baseline: segments that fail more often anyway fake harm, unless contrasts are made
// within segments.

var leaning = []segment{{name: "", share: .1}, {name: "de", share: .2}, {name: "jp", share: .2, lean: 2, level: 5}, {name: "us", share: .5, level: .5}}

func mixExperiments() []Experiment {
	apart := atAny
	apart.Name += ", 3 segments"
	apart.guardrails = "\n- {name: errors, rate: error, increase: any}\n- {name: ctr, rate: click, decrease: any, required: false}\n"
	apart.stratify, apart.segments = true, 3
	pooled := apart
	pooled.stratify = false
	var all []Experiment
	for _, x := range []struct {
		name    string
		setting Setting
		method  Method
	}{
		{"within segments (stratify)", apart, verdict},
		{"without", pooled, Method{Name: verdict.Name, Source: verdict.Source, start: verdict.start}},
	} {
		r := &race{
			windows: lawWindows, methods: []Method{x.method},
			scene: func(int) scene {
				s := plain()
				s.law, s.segments, s.requests = nil, leaning, constant(400)
				return s
			},
			claim: Case{Rollout: func(a float64) *schemas.Rollout { return x.setting.rollout(time.Second, a) }, Key: "error", Alphas: []float64{.05}},
			report: func(r *race) []Row {
				count, _ := r.caught(0, 0)
				row := r.row(0, "rolled back")
				row.Count, row.Limit, row.Note = count, binomialPoint(r.runs, .05), r.why(0)
				row.judge(r.methods[0], r.methods[0].Ours, count > row.Limit)
				return []Row{row}
			},
		}
		all = append(all, Experiment{
			Group: "mix", Name: x.name, Runs: 300, begin: r.begin,
			About: "no harm; a segment with five times the errors is twice as likely to be the canary's; margins any, 3 segments watched",
		})
	}
	return all
}
