package certify

import (
	"fmt"
	"math"
)

// onLimits has a canary exactly on limits that know no baseline: of rates, of quantiles of latency, of means, and of samples. The baseline fails less often.
var onLimits = Setting{
	Name: "limits", patience: "never",
	guardrails: fmt.Sprintf(`
- {name: errors, rate: error, above: 1%%, weight: 3}
- {name: timeouts, rate: timeout, above: 0.5%%}
- {name: median, quantile: 0.5, of: latency, above: 20ms}
- {name: tail, quantile: 0.984375, of: latency, above: %.9fms, weight: 3}
- {name: quality, mean: score, cap: 1, below: %v, required: false}
- {name: ctr, rate: click, below: 2%%, required: false}
- {name: cpu, sample: cpu, limit: 0.9, above: 5%%, on: hold, required: false}
- {name: load, mean: cpu, cap: 2, above: %.9f, on: hold, required: false}
`, 20*math.Exp(.5*normalQuantile(1-1./64)), scoreLevel, gaugeLimit-gaugeSpread*normalQuantile(.95)), // between two of the law's values, and what readings are on average
	edge:     Harm{Name: "on every limit", Plus: map[string]float64{"error": .008, "timeout": .004}},
	onMargin: []string{"errors", "timeouts", "median", "tail", "quality", "ctr", "cpu", "load"},
	gauges:   &fleet{hosts: [2]int{24, 6}, every: 10, stagger: true, keeps: .9, above: .05},
}

// limitExperiments play worlds in which neither rates nor latencies drift: what drifts is above a limit for a while.
func limitExperiments() []Experiment {
	var all []Experiment
	for _, name := range []string{"flat", "tiny", "beta-binomial", "clumps", "users of 10", "users of 20", "users who stay", "users in one segment"} {
		w, s := worldOf(name), onLimits
		if scene := w.make(); scene.differs() {
			s.segments = 2
		}
		e := wholeVerdict(w, s)
		e.Group, e.About = "limits", "a canary exactly on the limit of every guardrail that goes by its own events alone: "+e.About
		all = append(all, e)
	}
	return all
}
