package certify

import (
	"time"

	"streamcanary/schemas"
)

// A router that sends other segments to the canary than to the baseline: segments that fail more often anyway fake harm, unless contrasts are made
// within segments.

var leaning = []segment{{name: "", share: .1}, {name: "de", share: .2}, {name: "jp", share: .2, lean: 2, level: 5}, {name: "us", share: .5, level: .5}}

// clumped is a segment whose users send 20 requests that fail together, of which the canary has most, and one of single requests: the noise of all traffic isn't that of the sum of contrasts.
var clumped = []segment{{name: "batch", share: .1, lean: 30, users: []int64{20}}, {name: "web", share: .9}}

const aboutMix = "no harm; a segment with five times the errors is twice as likely to be the canary's; margins any, 3 segments watched"

func mixExperiments() []Experiment {
	apart := atAny
	apart.Name += ", 3 segments"
	apart.guardrails = "\n- {name: errors, rate: error, increase: any}\n- {name: ctr, rate: click, decrease: any, required: false}\n"
	apart.stratify, apart.segments = true, 3
	pooled := apart
	pooled.stratify = false
	var all []Experiment
	for _, x := range []struct {
		name     string
		segments []segment
		setting  Setting
		method   Method
		about    string
	}{
		{"within segments (stratify)", leaning, apart, verdict, aboutMix},
		{"without", leaning, pooled, Method{Name: verdict.Name, Source: verdict.Source, start: verdict.start}, aboutMix},
		{"within segments, one is noisy (stratify)", clumped, apart, verdict,
			"no harm; users of a segment send 20 requests that fail together, and these are 30 times as likely to be the canary's as all else, which are single ones; margins any, 3 segments watched"},
	} {
		r := &race{
			windows: lawWindows, methods: []Method{x.method},
			scene: func(int) scene {
				s := plain()
				s.law, s.segments, s.requests = nil, x.segments, constant(400)
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
			About: x.about,
		})
	}
	return all
}
