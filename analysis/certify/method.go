package certify

import (
	"math"
	"slices"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A Method is one way to judge a stream of windows.
type Method struct {
	Name   string
	Source string // where its rule stands
	// Ours is what the product does: it has to hold its level wherever that is promised, and a row in which it doesn't fails the battery.
	Ours bool
	// Wrong is a planted mistake: a battery that lets it pass would let anything pass.
	Wrong bool
	start func(c *Case) watch
}

// A watch is a method at work on one run.
type watch interface {
	// see looks at one window's end. alarmed has a place for each of the case's alphas; what is set stays set.
	see(m *Moment, alarmed []bool)
}

// A Case is what is tested in a run: by methods of one metric, the claim that canary = rho0 baseline + delta is the worst that it is.
type Case struct {
	Rollout func(alpha float64) *schemas.Rollout
	Key     string // of the rate
	Rho0    float64
	Delta   float64
	Side    int     // +1: more is harm
	Slower  float64 // the latency's margin, 0.2: at most 20 % slower
	Alphas  []float64
	Windows int
	// Planned is the Fisher information of a rate's contrast that the whole run will have, up to the rate's variance: sum of
	// n_c n_b/(n_c+n_b). Group-sequential tests must know it.
	Planned float64
	Base    float64 // the baseline's rate, as one would guess it beforehand
	Phi     float64 // over-dispersion that the judge knows; 0: it measures it
}

// counts is one window of the case's rate: of the serving part, the samples, or the outcome that is ready now.
func (c *Case) counts(m *Moment) (stats.Counts, bool) {
	if at, ok := m.indexes[c.Key]; ok {
		return countsOf(&m.Serving.Cells[windows.Canary][at], &m.Serving.Cells[windows.Baseline][at]), true
	}
	for _, p := range m.Parts {
		if at := slices.Index(p.Metrics, c.Key); at >= 0 && p.Kind != windows.Serving {
			return countsOf(&p.Cells[windows.Canary][at], &p.Cells[windows.Baseline][at]), true
		}
	}
	return stats.Counts{}, false
}

func countsOf(canary, baseline *windows.Cell) stats.Counts {
	return stats.Counts{Nc: float64(canary.N), Kc: float64(canary.K), Nb: float64(baseline.N), Kb: float64(baseline.K)}
}

// latencies is one window's histograms.
func latencies(m *Moment) (canary, baseline []windows.Bucket) {
	at, ok := m.indexes["latency"]
	if !ok {
		return nil, nil
	}
	return m.Serving.Cells[windows.Canary][at].Hist, m.Serving.Cells[windows.Baseline][at].Hist
}

// cross sets the alarm of every alpha whose proof the log evidence is.
func (c *Case) cross(alarmed []bool, logE float64) {
	for i, alpha := range c.Alphas {
		if logE >= math.Log(1/alpha) {
			alarmed[i] = true
		}
	}
}
