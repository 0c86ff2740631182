package stats

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"
)

// The oracle files hold numbers computed elsewhere (60-digit arithmetic, enumeration, reference packages), with the
// provenance of each. Kinds whose kernels this package does not have are listed in notHere.

type tolerance struct{ Abs, Rel float64 }

func (tol tolerance) check(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol.Abs+tol.Rel*math.Abs(want)) {
		t.Errorf("%s: got %.15g, want %.15g (off by %.3g)", what, got, want, got-want)
	}
}

func (tol tolerance) checkAll(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		tol.check(t, what+"["+strconv.Itoa(i)+"]", got[i], want[i])
	}
}

func readOracle(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

type ratesCase struct {
	ID, Kind string
	Params   struct {
		Rho0, Delta, Alpha, Phi, Horizon float64
		Side                             int
		Grid                             []float64
		Ratios, Weights                  []float64
		LogEMax                          []float64 `json:"log_e_max"`
	}
	Windows  [][]float64
	Tol      tolerance
	Expected struct {
		LogE          []float64       `json:"log_e"`
		LogEGridFinal []float64       `json:"log_e_grid_final"`
		Lower, Upper  []float64       `json:",omitempty"`
		LogEAbove     json.RawMessage `json:"log_e_above"` // of ratio_grid a list of lists, of other kinds a list
		LogEBelow     json.RawMessage `json:"log_e_below"`
		HolmReject    []int           `json:"holm_reject"`
		WindowsUsed   int64           `json:"windows_used"`
		PhiPoint      float64         `json:"phi_point"`
		PhiSe         float64         `json:"phi_se"`
		PhiUse        float64         `json:"phi_use"`
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
	kinds := map[string]func(*testing.T, ratesCase){
		"lin": oracleLinear, "restart": oracleRestart, "diff_cs": oracleDifference, "ratio_grid": oracleRatio,
		"srm_tilt": oracleSplit, "combine": oracleHolm, "dispersion": oracleDispersion,
	}
	notHere := []string{"bern", "hypergeom", "srm_dirichlet", "normal_mixture", "eb_means"}
	for _, c := range file.Cases {
		run, ok := kinds[c.Kind]
		if !ok {
			if !slices.Contains(notHere, c.Kind) {
				t.Errorf("case %s is of the unknown kind %s", c.ID, c.Kind)
			}
			continue
		}
		t.Run(c.ID, func(t *testing.T) { run(t, c) })
	}
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

func oracleHolm(t *testing.T, c ratesCase) {
	var got []int
	for i, rejected := range Holm(c.Params.Alpha, c.Params.Weights, c.Params.LogEMax) {
		if rejected {
			got = append(got, i)
		}
	}
	if !slices.Equal(got, c.Expected.HolmReject) {
		t.Errorf("rejected %v, want %v", got, c.Expected.HolmReject)
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
