package certify

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// The peers' kinds of the oracle files of package stats, which keeps the list of which package runs which kind.

type tolerance struct{ Abs, Rel float64 }

func (tol tolerance) check(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol.Abs+tol.Rel*math.Abs(want)) {
		t.Errorf("%s: got %.15g, want %.15g", what, got, want)
	}
}

type oracleCase struct {
	ID, Kind string
	Tol      tolerance
	Params   struct {
		Side          int
		Grid          []float64
		Theta0        []float64
		Concentration float64
	}
	Windows  [][]float64
	Expected struct {
		LogE []float64 `json:"log_e"`
	}
	Input, Expect json.RawMessage
}

// readAll is read, and refuses what has no place: for the kinds that no other package runs, so that none of their numbers is left out.
func (c *oracleCase) readAll(t *testing.T, input, expect any) {
	t.Helper()
	for raw, into := range map[*json.RawMessage]any{&c.Input: input, &c.Expect: expect} {
		d := json.NewDecoder(bytes.NewReader(*raw))
		d.DisallowUnknownFields()
		if err := d.Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *oracleCase) read(t *testing.T, input, expect any) {
	t.Helper()
	if err := json.Unmarshal(c.Input, input); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(c.Expect, expect); err != nil {
		t.Fatal(err)
	}
}

func TestOracles(t *testing.T) {
	kinds := map[string]func(*testing.T, *oracleCase){
		"hypergeom": oracleConditional, "srm_dirichlet": oracleDirichlet, "lil_radius": oracleLIL, "double_stitching_radius": oracleStitching,
		"beta_binomial_log_e": oracleMixture, "hr_two_sample_log_p": oracleTwoSample, "p_to_e": oracleCalibrated, "mwu": oracleRankSum, "ks_2samp": oracleGap,
	}
	ran := map[string]int{}
	for _, file := range []string{"rates", "latency"} {
		data, err := os.ReadFile("../stats/testdata/" + file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var all struct{ Cases []oracleCase }
		if err := json.Unmarshal(data, &all); err != nil {
			t.Fatal(err)
		}
		for _, c := range all.Cases {
			if run, ok := kinds[c.Kind]; ok {
				ran[c.Kind]++
				t.Run(c.ID, func(t *testing.T) { run(t, &c) })
			}
		}
	}
	want := map[string]int{
		"hypergeom": 2, "srm_dirichlet": 1, "lil_radius": 1, "double_stitching_radius": 1, "beta_binomial_log_e": 1, "hr_two_sample_log_p": 3,
		"p_to_e": 1, "mwu": 4, "ks_2samp": 4,
	}
	for kind, n := range want {
		if ran[kind] != n {
			t.Errorf("%d cases of %s ran, there are %d", ran[kind], kind, n)
		}
	}
}

func oracleConditional(t *testing.T, c *oracleCase) {
	grid := stats.Grid(c.Params.Grid[0], c.Params.Grid[1], int(c.Params.Grid[2]))
	logs := make([]float64, len(grid))
	for i, row := range c.Windows {
		addConditional(logs, grid, c.Params.Side, stats.Counts{Nc: row[0], Kc: row[1], Nb: row[2], Kb: row[3]})
		c.Tol.check(t, "log e", logMeanExp(logs), c.Expected.LogE[i])
	}
}

func oracleDirichlet(t *testing.T, c *oracleCase) {
	d := dirichlet{planned: c.Params.Theta0, strength: c.Params.Concentration, counts: make([]float64, len(c.Params.Theta0))}
	for i, row := range c.Windows {
		c.Tol.check(t, "log e", d.logE(row), c.Expected.LogE[i])
	}
}

func oracleLIL(t *testing.T, c *oracleCase) {
	var in struct {
		N, Alpha, A []float64
		Start       []float64 `json:"n_min"`
	}
	var want struct{ Radius []float64 }
	c.readAll(t, &in, &want)
	for i, n := range in.N {
		constant := lilConstant(in.Alpha[i], in.A[i])
		c.Tol.check(t, "radius", band{in.Start[i], in.A[i], constant}.radius(n), want.Radius[i])
		if in.A[i] == .85 {
			tolerance{Rel: 1e-6}.check(t, "constant", lilConstantOf(in.Alpha[i]), constant)
		}
	}
}

func oracleStitching(t *testing.T, c *oracleCase) {
	var in struct {
		P, N, Alpha []float64
		TOpt        []float64 `json:"t_opt"`
		Delta       float64
		S, Eta      float64
	}
	var want struct{ Radius []float64 }
	c.readAll(t, &in, &want)
	for i, n := range in.N {
		b := stitching{in.Delta, in.S, in.Eta}
		c.Tol.check(t, "radius", b.radius(in.P[i], n, in.Alpha[i], in.TOpt[i]), want.Radius[i])
	}
}

func oracleMixture(t *testing.T, c *oracleCase) {
	var in struct {
		P, N, X  []float64
		TOpt     []float64 `json:"t_opt"`
		AlphaOpt float64   `json:"alpha_opt"`
	}
	var want struct {
		LogE []float64 `json:"log_e"`
	}
	c.read(t, &in, &want)
	for i, n := range in.N {
		c.Tol.check(t, "log e", newQuantileMixture(in.P[i], in.TOpt[i], in.AlphaOpt).logE(n, in.X[i]), want.LogE[i])
	}
}

type samples struct{ Canary, Baseline []float64 }

// hists codes the values by their ranks.
func (s samples) hists() (canary, baseline []windows.Bucket) {
	values := slices.Sorted(slices.Values(slices.Concat(s.Canary, s.Baseline)))
	values = slices.Compact(values)
	code := func(xs []float64) []windows.Bucket {
		counts := make([]uint32, len(values))
		for _, x := range xs {
			at, _ := slices.BinarySearch(values, x)
			counts[at]++
		}
		var hist []windows.Bucket
		for i, n := range counts {
			if n > 0 {
				hist = append(hist, windows.Bucket{Index: int32(i), Count: n})
			}
		}
		return hist
	}
	return code(s.Canary), code(s.Baseline)
}

// oracleTwoSample: the reference's p-value is two-sided: that of the side on which there is evidence.
func oracleTwoSample(t *testing.T, c *oracleCase) {
	var in struct {
		samples
		P        float64
		TOpt     float64 `json:"t_opt"`
		AlphaOpt float64 `json:"alpha_opt"`
	}
	var want struct {
		PValue float64 `json:"p_value"`
	}
	c.readAll(t, &in, &want)
	canary, baseline := in.hists()
	q := newQuantileMixture(in.P, in.TOpt, in.AlphaOpt)
	up := q.slower(&pair{canary: canary, baseline: baseline, n: total(canary), m: total(baseline)})
	down := q.slower(&pair{canary: baseline, baseline: canary, n: total(baseline), m: total(canary)})
	c.Tol.check(t, "p-value", math.Exp(-max(0, up, down)), want.PValue)
}

func oracleCalibrated(t *testing.T, c *oracleCase) {
	var in struct{ P []float64 }
	var want struct {
		Mixture []float64
		Half    []float64 `json:"kappa_half"` // one calibrator of those that the mixture is of; nothing here uses it alone
	}
	c.readAll(t, &in, &want)
	for i, p := range in.P {
		c.Tol.check(t, "e of p = "+strconv.FormatFloat(p, 'g', -1, 64), math.Exp(logCalibrated(p)), want.Mixture[i])
		c.Tol.check(t, "one calibrator", 1/(2*math.Sqrt(p)), want.Half[i])
	}
}

func oracleRankSum(t *testing.T, c *oracleCase) {
	var in samples
	var want struct {
		U       float64
		Greater float64 `json:"p_greater_cc"`
	}
	c.read(t, &in, &want)
	r, ok := rankSumOf(in.hists())
	if !ok {
		t.Fatal("nothing to rank")
	}
	c.Tol.check(t, "U", r.u, want.U)
	c.Tol.check(t, "p-value", r.greater(), want.Greater)
}

func oracleGap(t *testing.T, c *oracleCase) {
	var in samples
	var want struct {
		Less float64 `json:"D_less"`
	}
	c.read(t, &in, &want)
	c.Tol.check(t, "D", ksGap(in.hists()), want.Less)
}
