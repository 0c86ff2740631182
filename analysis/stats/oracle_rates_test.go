package stats

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

type ratesCase struct {
	ID, Kind string
	Params   struct {
		Rho0, Delta, Alpha, Phi, Horizon float64
		Side                             int
		Grid                             []float64
		Ratios, Weights                  []float64
		LogEMax                          []float64 `json:"log_e_max"`
		LogENow                          []float64 `json:"log_e_now"`
		FDR                              float64   `json:"fdr"`
		PriorRate                        float64   `json:"prior_rate"`
		PriorMean                        float64   `json:"prior_mean"`
		HalfLife                         float64   `json:"half_life_windows"`
		R2                               float64   `json:"r2"`
	}
	Windows  [][]float64
	Tol      tolerance
	Expected struct {
		LogE             []float64       `json:"log_e"`
		LogEGridFinal    []float64       `json:"log_e_grid_final"`
		Lower, Upper     []float64       `json:",omitempty"`
		LogEAbove        json.RawMessage `json:"log_e_above"` // of ratio_grid a list of lists, of other kinds a list
		LogEBelow        json.RawMessage `json:"log_e_below"`
		HolmReject       []int           `json:"holm_reject"`
		LogAdjustedMax   []float64       `json:"log_adjusted_max"`
		EBHOnCurrent     []int           `json:"ebh_on_current"`
		EBHOnAdjustedMax []int           `json:"ebh_on_adjusted_max"`
		WindowsUsed      int64           `json:"windows_used"`
		LogETwo          []float64       `json:"log_e_two"`
		PlugIn           []float64       `json:"plug_in_q"`
		Center, Half     []float64
		PhiPoint         float64 `json:"phi_point"`
		PhiSe            float64 `json:"phi_se"`
		PhiUse           float64 `json:"phi_use"`
	}
}

func (c ratesCase) grid() []float64 {
	g := c.Params.Grid
	return Grid(g[0], g[1], int(g[2]))
}

func countsOf(row []float64) Counts { return Counts{Nc: row[0], Kc: row[1], Nb: row[2], Kb: row[3]} }

func TestOracleRates(t *testing.T) {
	var file struct{ Cases []ratesCase }
	readOracle(t, "testdata/rates.json", &file)
	got := map[string]int{}
	for _, c := range file.Cases {
		got[c.Kind]++
		if run := ratesKinds[c.Kind].run; run != nil {
			t.Run(c.ID, func(t *testing.T) { run(t, c) })
		}
	}
	for kind, k := range ratesKinds {
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
	c.Tol.checkAll(t, "log e", logE, c.Expected.LogE)
	c.Tol.checkAll(t, "log e of the grid", m.log, c.Expected.LogEGridFinal)
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
	c.Tol.checkAll(t, "log e", logE, c.Expected.LogE)
}

func oracleDifference(t *testing.T, c ratesCase) {
	d := newDifference(c.grid())
	var lower, upper []float64
	for _, row := range c.Windows {
		d.Add(countsOf(row), 1, 1)
		l, u := d.Interval(c.Params.Alpha)
		lower, upper = append(lower, l), append(upper, u)
	}
	c.Tol.checkAll(t, "lower", lower, c.Expected.Lower)
	c.Tol.checkAll(t, "upper", upper, c.Expected.Upper)
}

func oracleRatio(t *testing.T, c ratesCase) {
	grid := c.grid()
	inc := make([]float64, len(grid))
	var wantAbove, wantBelow [][]float64
	if err := errors.Join(json.Unmarshal(c.Expected.LogEAbove, &wantAbove), json.Unmarshal(c.Expected.LogEBelow, &wantBelow)); err != nil {
		t.Fatal(err)
	}
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
	c.Tol.checkAll(t, "log e", logE, c.Expected.LogE)
}

func oracleCombine(t *testing.T, c ratesCase) {
	var got []int
	for i, rejected := range Holm(c.Params.Alpha, c.Params.Weights, c.Params.LogEMax) {
		if rejected {
			got = append(got, i)
		}
	}
	if !slices.Equal(got, c.Expected.HolmReject) {
		t.Errorf("rejected %v, want %v", got, c.Expected.HolmReject)
	}
	adjusted := make([]float64, len(c.Params.LogEMax))
	for i, x := range c.Params.LogEMax {
		adjusted[i] = AdjustMax(x)
	}
	c.Tol.checkAll(t, "adjusted maxima", adjusted, c.Expected.LogAdjustedMax)
	if got := EBH(c.Params.LogENow, c.Params.FDR); !slices.Equal(got, c.Expected.EBHOnCurrent) {
		t.Errorf("e-BH rejected %v, want %v", got, c.Expected.EBHOnCurrent)
	}
	if got := EBH(adjusted, c.Params.FDR); !slices.Equal(got, c.Expected.EBHOnAdjustedMax) {
		t.Errorf("e-BH of adjusted maxima rejected %v, want %v", got, c.Expected.EBHOnAdjustedMax)
	}
}

func oracleDispersion(t *testing.T, c ratesCase) {
	d := NewDispersion()
	for _, row := range c.Windows {
		d.Add(row[0], row[1], row[2], row[3])
	}
	phi, se := d.batches[0].estimate()
	c.Tol.check(t, "phi", phi, c.Expected.PhiPoint)
	c.Tol.check(t, "se", se, c.Expected.PhiSe)
	c.Tol.check(t, "limit of single windows", phi+dispersionZ*se, c.Expected.PhiUse)
	if d.windows != c.Expected.WindowsUsed {
		t.Errorf("used %d windows, want %d", d.windows, c.Expected.WindowsUsed)
	}
}

func oracleBernoulli(t *testing.T, c ratesCase) {
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
	c.Tol.checkAll(t, "plug-in", plugIn, c.Expected.PlugIn)
	c.Tol.checkAll(t, "log e", logE, c.Expected.LogE)
}

func oracleBounded(t *testing.T, c ratesCase) {
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
	c.Tol.checkAll(t, "log e", logE, c.Expected.LogE)
}

func oracleNormalMixture(t *testing.T, c ratesCase) {
	var wantAbove, wantBelow []float64
	if err := errors.Join(json.Unmarshal(c.Expected.LogEAbove, &wantAbove), json.Unmarshal(c.Expected.LogEBelow, &wantBelow)); err != nil {
		t.Fatal(err)
	}
	n := NewNormalMixture(c.Params.R2)
	var above, below, two, center, half []float64
	for _, row := range c.Windows {
		n.Add(row[0], row[1], row[2])
		above, below, two = append(above, n.LogE(1)), append(below, n.LogE(-1)), append(two, n.LogE(0))
		lower, upper := n.Interval(c.Params.Alpha)
		center, half = append(center, (lower+upper)/2), append(half, (upper-lower)/2)
	}
	c.Tol.checkAll(t, "above", above, wantAbove)
	c.Tol.checkAll(t, "below", below, wantBelow)
	c.Tol.checkAll(t, "two-sided", two, c.Expected.LogETwo)
	c.Tol.checkAll(t, "center", center, c.Expected.Center)
	c.Tol.checkAll(t, "half", half, c.Expected.Half)
}
