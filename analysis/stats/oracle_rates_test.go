package stats

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
)

type ratesCase struct {
	ID, Kind   string
	Note       string
	Provenance json.RawMessage
	Params     struct {
		Rho0, Delta, Alpha, Phi, Horizon float64
		Side                             int
		Grid                             []float64
		Ratios, Weights                  []float64
		LogEMax                          []float64 `json:"log_e_max"`
		LogENow                          []float64 `json:"log_e_now"`
		FDR                              float64   `json:"fdr"`
		PriorRate                        float64   `json:"prior_rate"`
		PriorMean                        float64   `json:"prior_mean"`
		PriorStrength                    float64   `json:"prior_strength"`
		HalfLife                         float64   `json:"half_life_windows"`
		R2                               float64   `json:"r2"`
		J, Ratio, Z                      float64
		Theta0                           []float64 // of a kind that package certify runs
		Concentration                    float64   // likewise
	}
	Windows  [][]float64
	Tol      tolerance
	Expected expected
}

func (c ratesCase) grid() []float64 {
	g := c.Params.Grid
	return Grid(g[0], g[1], int(g[2]))
}

func countsOf(row []float64) Counts { return Counts{Nc: row[0], Kc: row[1], Nb: row[2], Kb: row[3]} }

func TestOracleRates(t *testing.T) {
	var file struct {
		Schema      json.RawMessage
		Conventions map[string]string
		Cases       []ratesCase
	}
	readOracle(t, "testdata/rates.json", &file)
	got := map[string]int{}
	for _, c := range file.Cases {
		got[c.Kind]++
		if run := ratesKinds[c.Kind].run; run != nil {
			t.Run(c.ID, func(t *testing.T) {
				run(t, c)
				c.Expected.done(t)
			})
		}
	}
	for kind, k := range ratesKinds {
		if k.run == nil {
			runsElsewhere(t, kind, "analysis/certify")
		}
		if got[kind] != k.cases {
			t.Errorf("%d cases of the kind %s; want %d", got[kind], kind, k.cases)
		}
		delete(got, kind)
	}
	if len(got) > 0 {
		t.Errorf("kinds that nobody runs: %v", got)
	}
}

// ratesKinds are all kinds of rates.json, how many cases each has, and what runs them: nil for the methods that only serve as peers and cross-checks,
// which analysis/certify runs from the same file.
var ratesKinds = map[string]struct {
	cases int
	run   func(*testing.T, ratesCase)
}{
	"lin": {12, oracleLinear}, "restart": {3, oracleRestart}, "bern": {3, oracleBernoulli}, "diff_cs": {2, oracleDifference}, "ratio_grid": {1, oracleRatio},
	"srm_tilt": {1, oracleSplit}, "normal_mixture": {1, oracleNormalMixture}, "eb_means": {1, oracleBounded}, "combine": {2, oracleCombine},
	"dispersion": {1, oracleDispersion},
	"hypergeom":  {2, nil}, "srm_dirichlet": {1, nil}, // analysis/certify
}

func oracleLinear(t *testing.T, c ratesCase) {
	test := Linear{Rho0: c.Params.Rho0, Delta: c.Params.Delta, Side: c.Params.Side, Grid: c.grid()}
	m, inc := NewMixture(len(test.Grid)), make([]float64, len(test.Grid))
	var logE []float64
	weight := 1.0
	for _, row := range c.Windows {
		if test.Increments(inc, countsOf(row), c.Params.Phi, c.Params.Phi) {
			m.Step(inc, weight)
			weight = 0
		}
		logE = append(logE, m.LogE())
	}
	c.Tol.checkAll(t, "log e", logE, c.Expected.numbers(t, "log_e"))
	c.Tol.checkAll(t, "log e of the grid", m.log, c.Expected.numbers(t, "log_e_grid_final"))
	checkCrossings(t, logE, c.Expected.crossings(t, "first_cross"))
}

func oracleRestart(t *testing.T, c ratesCase) {
	test := Linear{Rho0: c.Params.Rho0, Delta: c.Params.Delta, Side: c.Params.Side, Grid: c.grid()}
	m, inc := NewMixture(len(test.Grid)), make([]float64, len(test.Grid))
	var logE []float64
	h := c.Params.Horizon
	for i, row := range c.Windows {
		weight := 0.0
		switch {
		case i == 0:
			weight = 0.5 + 1/(2*h)
		case float64(i) < h:
			weight = 1 / (2 * h)
		}
		if !test.Increments(inc, countsOf(row), c.Params.Phi, c.Params.Phi) {
			clear(inc)
		}
		m.Step(inc, weight)
		logE = append(logE, m.started()) // this oracle counts no cash
	}
	c.Tol.checkAll(t, "log e", logE, c.Expected.numbers(t, "log_e"))
}

func oracleDifference(t *testing.T, c ratesCase) {
	d := newDifference(c.grid())
	var lower, upper []float64
	for _, row := range c.Windows {
		d.Add(countsOf(row), 1, 1)
		l, u := d.Interval(c.Params.Alpha)
		lower, upper = append(lower, l), append(upper, u)
	}
	c.Tol.checkAll(t, "lower", lower, c.Expected.numbers(t, "lower"))
	c.Tol.checkAll(t, "upper", upper, c.Expected.numbers(t, "upper"))
}

func oracleRatio(t *testing.T, c ratesCase) {
	grid := c.grid()
	inc := make([]float64, len(grid))
	var wantAbove, wantBelow [][]float64
	c.Expected.take(t, "log_e_above", &wantAbove)
	c.Expected.take(t, "log_e_below", &wantBelow)
	for i, rho := range c.Params.Ratios {
		above, below := NewMixture(len(grid)), NewMixture(len(grid))
		weight := 1.0
		for w, row := range c.Windows {
			Linear{Rho0: rho, Side: 1, Grid: grid}.Increments(inc, countsOf(row), 1, 1)
			above.Step(inc, weight)
			Linear{Rho0: rho, Side: -1, Grid: grid}.Increments(inc, countsOf(row), 1, 1)
			below.Step(inc, weight)
			weight = 0
			c.Tol.check(t, "above", above.LogE(), wantAbove[w][i])
			c.Tol.check(t, "below", below.LogE(), wantBelow[w][i])
		}
	}
}

func oracleSplit(t *testing.T, c ratesCase) {
	m, inc := NewMixture(SplitTilts), make([]float64, SplitTilts)
	var logE []float64
	weight := 1.0
	for _, row := range c.Windows {
		SplitIncrements(inc, row[0], row[1], row[2])
		m.Step(inc, weight)
		weight = 0
		logE = append(logE, m.LogE())
	}
	c.Tol.checkAll(t, "log e", logE, c.Expected.numbers(t, "log_e"))
}

func oracleCombine(t *testing.T, c ratesCase) {
	var got []int
	for i, rejected := range Holm(c.Params.Alpha, c.Params.Weights, c.Params.LogEMax) {
		if rejected {
			got = append(got, i)
		}
	}
	if want := c.Expected.places(t, "holm_reject"); !slices.Equal(got, want) {
		t.Errorf("rejected %v, want %v", got, want)
	}
	// Holm's first step is Bonferroni's; the weighted mean is what the reference holds against it, of e-values now.
	var first, mean = []int(nil), math.Inf(-1)
	for i, w := range c.Params.Weights {
		if c.Params.LogEMax[i]+math.Log(w) >= math.Log(1/c.Params.Alpha) {
			first = append(first, i)
		}
		mean = logAddExp(mean, math.Log(w)+c.Params.LogENow[i])
	}
	if want := c.Expected.places(t, "bonferroni_reject"); !slices.Equal(first, want) {
		t.Errorf("Bonferroni rejected %v, want %v", first, want)
	}
	c.Tol.check(t, "weighted mean", mean, c.Expected.number(t, "log_weighted_mean_e"))
	adjusted := make([]float64, len(c.Params.LogEMax))
	for i, x := range c.Params.LogEMax {
		adjusted[i] = AdjustMax(x)
	}
	c.Tol.checkAll(t, "adjusted maxima", adjusted, c.Expected.numbers(t, "log_adjusted_max"))
	if got, want := EBH(c.Params.LogENow, c.Params.FDR), c.Expected.places(t, "ebh_on_current"); !slices.Equal(got, want) {
		t.Errorf("e-BH rejected %v, want %v", got, want)
	}
	if got, want := EBH(adjusted, c.Params.FDR), c.Expected.places(t, "ebh_on_adjusted_max"); !slices.Equal(got, want) {
		t.Errorf("e-BH of adjusted maxima rejected %v, want %v", got, want)
	}
}

func oracleDispersion(t *testing.T, c ratesCase) {
	d := NewDispersion()
	for _, row := range c.Windows {
		d.Add(row[0], row[1], row[2], row[3])
	}
	phi, se := d.batches[0].estimate()
	c.Tol.check(t, "phi", phi, c.Expected.number(t, "phi_point"))
	c.Tol.check(t, "se", se, c.Expected.number(t, "phi_se"))
	c.Tol.check(t, "limit of single windows", phi+dispersionZ*se, c.Expected.number(t, "phi_use"))
	if want := c.Expected.number(t, "windows_used"); float64(d.windows) != want || c.Params.Z != dispersionZ {
		t.Errorf("used %d windows, want %v; at %v deviations, want %v", d.windows, want, dispersionZ, c.Params.Z)
	}
}

func oracleBernoulli(t *testing.T, c ratesCase) {
	if c.Params.PriorStrength != 1 {
		t.Fatalf("the oracle's seed weighs %v events", c.Params.PriorStrength)
	}
	test := Bernoulli{Rho0: c.Params.Rho0, Delta: c.Params.Delta, Side: c.Params.Side, Grid: c.grid()}
	rate := newBaselineRate(c.Params.PriorRate, c.Params.HalfLife)
	m, inc := NewMixture(len(test.Grid)), make([]float64, len(test.Grid))
	var logE, plugIn []float64
	weight := 1.0
	for _, row := range c.Windows {
		counts := countsOf(row)
		plugIn = append(plugIn, rate.Rate())
		if test.Increments(inc, counts, rate.Rate(), 1) {
			m.Step(inc, weight)
			weight = 0
		}
		rate.Add(counts.Nb, counts.Kb)
		logE = append(logE, m.LogE())
	}
	c.Tol.checkAll(t, "plug-in", plugIn, c.Expected.numbers(t, "plug_in_q"))
	c.Tol.checkAll(t, "log e", logE, c.Expected.numbers(t, "log_e"))
}

func oracleBounded(t *testing.T, c ratesCase) {
	if p := c.Params; p.J != BoundedPoints || p.Ratio != 0.6 || p.PriorStrength != 5 || p.HalfLife != plugInHalfLife {
		t.Fatalf("the oracle's bets and seed %+v are not ours", p)
	}
	test := Bounded{Rho0: c.Params.Rho0, Delta: c.Params.Delta, Side: c.Params.Side}
	mean := NewBaselineMean(c.Params.PriorMean)
	m, inc := NewMixture(BoundedPoints), make([]float64, BoundedPoints)
	var logE []float64
	weight := 1.0
	for _, row := range c.Windows {
		v := Values{Samples{row[0], row[1], row[2]}, Samples{row[3], row[4], row[5]}}
		test.Increments(inc, v, mean.Mean(), 1)
		m.Step(inc, weight)
		weight = 0
		mean.Add(v.Baseline)
		logE = append(logE, m.LogE())
	}
	c.Tol.checkAll(t, "log e", logE, c.Expected.numbers(t, "log_e"))
}

func oracleNormalMixture(t *testing.T, c ratesCase) {
	n := NewNormalMixture(c.Params.R2)
	var above, below, two, center, half []float64
	for _, row := range c.Windows {
		n.Add(row[0], row[1], row[2])
		above, below, two = append(above, n.LogE(1)), append(below, n.LogE(-1)), append(two, n.LogE(0))
		lower, upper := n.Interval(c.Params.Alpha)
		center, half = append(center, (lower+upper)/2), append(half, (upper-lower)/2)
	}
	c.Tol.checkAll(t, "above", above, c.Expected.numbers(t, "log_e_above"))
	c.Tol.checkAll(t, "below", below, c.Expected.numbers(t, "log_e_below"))
	c.Tol.checkAll(t, "two-sided", two, c.Expected.numbers(t, "log_e_two"))
	c.Tol.checkAll(t, "center", center, c.Expected.numbers(t, "center"))
	c.Tol.checkAll(t, "half", half, c.Expected.numbers(t, "half"))
}
