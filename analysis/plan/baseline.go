package plan

import (
	"slices"

	"streamcanary/schemas"
)

// A Baseline is what is known of one guardrail's metric before the canary has any traffic.
type Baseline struct {
	Unknown   string  // why nothing can be planned; empty: the rest is known
	Sampled   bool    // the events are readings of a resource, not predictions
	PerSecond float64 // events with the metric, both arms together: predictions, or readings of a sample
	Rate      float64 // of rates: the share with it; of samples: the share above the limit
	Values    []Point // of quantiles, distributions, and means of predictions: ascending X
	Mean      schemas.MeanValue
	Phi       float64 // over-dispersion of what is drawn, of ranks and of predictions' means what evidence is divided by; 0: unknown, events are independent
}

// A Point is a value and how probable it is.
type Point struct{ X, P float64 }

// Traffic is what is known before a rollout starts.
type Traffic struct {
	Source    string     // in words: where it is from
	Requests  float64    // a second, both arms together
	Share     float64    // the canary's, where a stage doesn't say; 0: unknown
	Baselines []Baseline // by guardrail, in the rollout's order
}

// Scaled is the same traffic with another number of requests a second; readings of samples come as often as before.
func (t Traffic) Scaled(requests float64) Traffic {
	factor := requests / t.Requests
	scaled := t
	scaled.Requests, scaled.Baselines = requests, slices.Clone(t.Baselines)
	for i := range scaled.Baselines {
		if !scaled.Baselines[i].Sampled {
			scaled.Baselines[i].PerSecond *= factor
		}
	}
	return scaled
}
