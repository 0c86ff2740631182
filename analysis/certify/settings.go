package certify

import "strings"

// Settings that are neither on all margins nor at none.

// segmentRanks are guardrails on ranks, each alone: noise of one segment is to be its own.
var segmentRanks = []struct{ name, guardrail string }{
	{"mann-whitney", "distribution: latency, test: mann-whitney, increase: any"},
	{"p50", "quantile: 0.5, of: latency, increase: any"},
}

// segmentExperiments play a world in which only one segment has users.
func segmentExperiments() []Experiment {
	var all []Experiment
	for _, g := range segmentRanks {
		s := Setting{Name: g.name, patience: "never", segments: 2, guardrails: "\n- {name: it, " + g.guardrail + ", weight: 19}\n"}
		e := typeOneExperiment(worldOf("users in one segment"), s, []Method{verdict})
		e.Group, e.Runs, e.About = "segments", certificateRuns, "ranks of latencies alone, two segments watched: "+e.About
		all = append(all, e)
	}
	return all
}

// mixed proves any harm of outcomes, and of all else harm beyond its margin, as rollouts do that don't say what to prove. What may do harm does so: errors as
// much as is allowed, the rest half of it; outcomes are as the baseline's. No rollback is right.
var mixed = Setting{
	Name: "mixed", patience: "never",
	guardrails: `
- {name: errors, rate: error, increase: 0.5pp, weight: 20}
- {name: timeouts, rate: timeout, increase: 0.2pp}
- {name: p99, quantile: 0.99, of: latency, increase: 20%}
- {name: bulk, distribution: latency, test: mann-whitney, increase: 20%}
- {name: quality, mean: score, cap: 1, decrease: 0.04}
- {name: ctr, rate: click, decrease: any, required: false}
- {name: sales, rate: purchase, decrease: any, required: false}
- {name: revenue, mean: purchase, decrease: any, required: false}
`,
	edge:     Harm{Name: "within margins", Slower: 1.1, Score: -.02, Plus: map[string]float64{"error": .005, "timeout": .001}},
	onMargin: []string{"errors"},
}

func mixedExperiments() []Experiment {
	var all []Experiment
	for _, name := range []string{"flat", "ramp", "users of 10"} {
		e := wholeVerdict(worldOf(name), mixed)
		e.Group, e.About = "mixed", "what may do harm does, errors exactly as much as they may, all else half of it; of outcomes any harm is to be proven, and there is none: "+e.About
		all = append(all, e)
	}
	return all
}

// wholeVerdict plays the whole verdict alone in a world, as often and as long as the certificate does, under the world's name.
func wholeVerdict(w World, s Setting) Experiment {
	w.Windows = w.certified()
	e := typeOneExperiment(w, s, []Method{verdict})
	e.Name, e.Runs = w.Name, certificateRuns
	return e
}

// withoutSamples is a setting for scenes without hosts: what nobody reports can't pass, so nothing that a promotion needs may hang on it.
func (s Setting) withoutSamples() Setting {
	s.guardrails = strings.Replace(s.guardrails, "increase: 5pp, on: hold}", "increase: 5pp, on: hold, required: false}", 1)
	return s
}

// bothWays is a setting in which the shape of latencies may not change in either direction.
func (s Setting) bothWays() Setting {
	s.guardrails = strings.Replace(s.guardrails, "test: ks, increase: any", "test: ks", 1)
	return s
}
