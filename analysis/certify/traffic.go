package certify

import (
	"math"
	"math/rand/v2"

	"streamcanary/analysis/stats"
)

// The split of units: is it as planned? Each unit is counted once.

const (
	splitAlpha = .001
	splitUnits = 2000 // a window
)

// splitTests are R6 and its peers; each takes windows of units, and returns log evidence (of a p-value: -log p).
var splitTests = []struct {
	name, source string
	ours         bool
	start        func() func(n, k, share float64) float64
}{
	{"R6, tilt grid", "package stats, SplitIncrements, with the starts of Mixture", true, func() func(n, k, share float64) float64 {
		m, inc, t := stats.NewMixture(stats.SplitTilts), make([]float64, stats.SplitTilts), int64(0)
		return func(n, k, share float64) float64 {
			stats.SplitIncrements(inc, n, k, share)
			m.Step(inc, stats.StartWeight(t, lawWindows))
			t++
			return m.LogE()
		}
	}},
	{"Dirichlet-multinomial, one over all", "Lindon and Malek, arXiv 2011.03567, concentration 100, as if the first share were planned throughout", false, func() func(n, k, share float64) float64 {
		var d *dirichlet
		return func(n, k, share float64) float64 {
			if d == nil {
				d = &dirichlet{planned: []float64{share, 1 - share}, strength: 100, counts: make([]float64, 2)}
			}
			return d.logE([]float64{k, n - k})
		}
	}},
	{"Dirichlet-multinomial, anew at each share", "the same, begun again at each step of the ramp", false, func() func(n, k, share float64) float64 {
		var d *dirichlet
		return func(n, k, share float64) float64 {
			if d == nil || d.planned[0] != share {
				d = &dirichlet{planned: []float64{share, 1 - share}, strength: 100, counts: make([]float64, 2)}
			}
			return d.logE([]float64{k, n - k})
		}
	}},
	{"chi-square, repeated", "growthbook/growthbook 8f1db44: SRM by a chi-square at p < 0.001, again at each snapshot; of all units so far", false, func() func(n, k, share float64) float64 {
		hits, expected, variance := 0.0, 0.0, 0.0
		return func(n, k, share float64) float64 {
			hits, expected, variance = hits+k, expected+n*share, variance+n*share*(1-share)
			return -math.Log(max(2*normalTail(math.Abs(hits-expected)/math.Sqrt(variance)), 1e-300))
		}
	}},
}

// splitRun plays the split alone.
type splitRun struct {
	odds  float64 // the true odds of the canary, as a factor of the planned
	share func(t int) float64
	runs  int
	ends  [][]float64 // by test and run: windows to the alarm, infinite
}

func (s splitRun) begin(runs int) trial {
	s.runs, s.ends = runs, make([][]float64, len(splitTests))
	for i := range s.ends {
		s.ends[i] = make([]float64, runs)
	}
	return &s
}

func (s *splitRun) play(run int, source func() *rand.Rand) {
	d := dice{source()}
	var tests []func(n, k, share float64) float64
	for i, t := range splitTests {
		tests = append(tests, t.start())
		s.ends[i][run] = math.Inf(1)
	}
	for t := range lawWindows {
		share := s.share(t)
		odds := s.odds * share / (1 - share)
		n := d.poisson(splitUnits)
		k := d.binomial(n, odds/(1+odds))
		for i, test := range tests {
			if logE := test(float64(n), float64(k), share); logE >= math.Log(1/splitAlpha) {
				s.ends[i][run] = min(s.ends[i][run], float64(t+1))
			}
		}
	}
}

func (s *splitRun) rows() []Row {
	var rows []Row
	for i, t := range splitTests {
		count := 0
		for _, at := range s.ends[i] {
			if !math.IsInf(at, 1) {
				count++
			}
		}
		m := Method{Name: t.name, Ours: t.ours}
		row := Row{Method: t.name, Source: t.source, Ours: t.ours, Measure: "alarms", Alpha: splitAlpha, Count: count, Result: Figures}
		if s.odds == 1 {
			row.Limit = binomialPoint(s.runs, splitAlpha)
			row.judge(m, t.ours, count > row.Limit)
		}
		rows = append(rows, row)
	}
	return rows
}

func trafficExperiments() []Experiment {
	constantShare := constant(.1)
	return []Experiment{
		{Group: "split", Name: "as planned, 10 %", About: "2,000 units a window", Runs: 1000, begin: splitRun{odds: 1, share: constantShare}.begin},
		{Group: "split", Name: "as planned, ramp", About: "2,000 units a window", Runs: 1000, begin: splitRun{odds: 1, share: ramp}.begin},
		{Group: "split", Name: "odds x 0.95, ramp", About: "2,000 units a window", Runs: 300, begin: splitRun{odds: .95, share: ramp}.begin},
	}
}
