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

// A splitTest takes windows of units, of which the share is the planned one, and returns log evidence (of a p-value: -log p).
type splitTest struct {
	name, source string
	ours         bool
	start        func() func(n, k, share float64) float64
}

// unplannedTests are R6 where no share is planned, and what is wrong with taking the first one for planned; they don't look at the share.
var unplannedTests = []splitTest{
	{"R6, no plan", "package stats, SplitEvidence of SplitBreak and SplitChange", true, func() func(n, k, share float64) float64 {
		within, after, t := stats.NewSplitBreak(stats.SplitReferenceBlocks), stats.NewSplitChange(), int64(0)
		return func(n, k, _ float64) float64 {
			if !after.Closed() {
				within.Add(n, k)
			}
			after.Add(n, k, stats.StartWeight(t, lawWindows))
			t++
			logE, _ := stats.SplitEvidence(within, after)
			return logE
		}
	}},
	{"chi-square against the first share", "the chi-square below, with the share of the first 1,000 units of the canary taken for planned", false, func() func(n, k, share float64) float64 {
		hits, expected, variance, units, canary := 0.0, 0.0, 0.0, 0.0, 0.0
		return func(n, k, _ float64) float64 {
			if canary < 1000 {
				units, canary = units+n, canary+k
				return 0
			}
			share := canary / units
			hits, expected, variance = hits+k, expected+n*share, variance+n*share*(1-share)
			return -math.Log(max(2*normalTail(math.Abs(hits-expected)/math.Sqrt(variance)), 1e-300))
		}
	}},
}

// plannedTests are R6 and its peers.
var plannedTests = []splitTest{
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
	tests []splitTest
	odds  float64 // the true odds of the canary, as a factor of the share's
	from  int     // the window from which they are so
	share func(t int) float64
	runs  int
	ends  [][]float64 // by test and run: windows to the alarm, infinite
}

func (s splitRun) begin(runs int) trial {
	s.runs, s.ends = runs, make([][]float64, len(s.tests))
	for i := range s.ends {
		s.ends[i] = make([]float64, runs)
	}
	return &s
}

func (s *splitRun) play(run int, source func() *rand.Rand) {
	d := dice{source()}
	var tests []func(n, k, share float64) float64
	for i, t := range s.tests {
		tests = append(tests, t.start())
		s.ends[i][run] = math.Inf(1)
	}
	for t := range lawWindows {
		share := s.share(t)
		odds := share / (1 - share)
		if t >= s.from {
			odds *= s.odds
		}
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
	for i, t := range s.tests {
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
	var all []Experiment
	for _, x := range []struct {
		name string
		runs int
		splitRun
	}{
		{"as planned, 10 %", 1000, splitRun{tests: plannedTests, odds: 1, share: constantShare}},
		{"as planned, ramp", 1000, splitRun{tests: plannedTests, odds: 1, share: ramp}},
		{"odds x 0.95, ramp", 300, splitRun{tests: plannedTests, odds: .95, share: ramp}},
		{"no plan, 10 %", 1000, splitRun{tests: unplannedTests, odds: 1, share: constantShare}},
		{"no plan, odds x 1.5 from window 3 on", 300, splitRun{tests: unplannedTests, odds: 1.5, from: 3, share: constantShare}},
		{"no plan, odds x 0.9 from window 600 on", 300, splitRun{tests: unplannedTests, odds: .9, from: 600, share: constantShare}},
	} {
		all = append(all, Experiment{Group: "split", Name: x.name, About: "2,000 units a window", Runs: x.runs, begin: x.begin})
	}
	return all
}
