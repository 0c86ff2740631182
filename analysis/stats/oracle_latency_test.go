package stats

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"testing"

	"streamcanary/windows"
)

type sparse map[string]uint32

// hist is the histogram that a map of the oracle holds.
func (s sparse) hist() []windows.Bucket {
	var hist []windows.Bucket
	for key, n := range s {
		i, err := strconv.Atoi(key)
		if err != nil {
			panic(err)
		}
		hist = append(hist, windows.Bucket{Index: int32(i), Count: n})
	}
	slices.SortFunc(hist, func(a, b windows.Bucket) int { return int(a.Index) - int(b.Index) })
	return hist
}

type latencyCase struct {
	ID, Kind string
	Input    json.RawMessage
	Expect   json.RawMessage
	Tol      tolerance
}

func TestOracleLatency(t *testing.T) {
	var file struct{ Cases []latencyCase }
	readOracle(t, "testdata/latency.json", &file)
	ran := map[string]int{}
	for _, c := range file.Cases {
		ran[c.Kind]++
		if elsewhere[c.Kind] != "" {
			continue
		}
		run := latencyKinds[c.Kind]
		if run == nil {
			t.Errorf("case %s is of the unknown kind %s", c.ID, c.Kind)
			continue
		}
		t.Run(c.ID, func(t *testing.T) { run(t, c) })
	}
	for kind := range latencyKinds {
		if ran[kind] == 0 || elsewhere[kind] != "" {
			t.Errorf("kind %s has %d cases here", kind, ran[kind])
		}
	}
	if len(ran) != len(latencyKinds)+len(elsewhere) {
		t.Errorf("%d kinds, of which %d run here and %d elsewhere", len(ran), len(latencyKinds), len(elsewhere))
	}
}

// latencyKinds are the kinds of latency.json that run here: all that the product uses.
var latencyKinds = map[string]func(*testing.T, latencyCase){
	"margin_shift": oracleShift, "log_pgf_hypergeometric": oraclePGF, "topk_log_e": oracleTopK, "topk_log_e_grid": oracleTopKGrid,
	"slo_path": oracleTilt, "e2e": oraclePath, "ratio_cs": oracleQuantileRatio,
	"mallows_log_e": oracleMallows, "mallows_log_e_grid": oracleMallowsGrid, "mwu": oracleMannWhitney, "ks_2samp": oracleKS,
	"beta_binomial_log_e": oracleBetaMixture, "quantile_cs": oracleQuantileBand,
}

// elsewhere are the kinds that other packages run, and which.
var elsewhere = map[string]string{
	"bucket_index": "windows", "downscale": "windows",
	"lil_radius": "analysis/certify", "double_stitching_radius": "analysis/certify", "hr_two_sample_log_p": "analysis/certify", "p_to_e": "analysis/certify",
}

func (c latencyCase) read(t *testing.T, input, expect any) {
	t.Helper()
	if err := json.Unmarshal(c.Input, input); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(c.Expect, expect); err != nil {
		t.Fatal(err)
	}
}

func oracleShift(t *testing.T, c latencyCase) {
	var in struct{ R []float64 }
	var want struct {
		Fail      []int     `json:"fail_shift"`
		Pass      []int     `json:"pass_shift"`
		Effective []float64 `json:"effective_margin_fail"`
	}
	c.read(t, &in, &want)
	for i, r := range in.R {
		if fail, pass := FailShift(r), PassShift(r); fail != want.Fail[i] || pass != want.Pass[i] {
			t.Errorf("margin %v: shifts %d and %d, want %d and %d", r, fail, pass, want.Fail[i], want.Pass[i])
		}
		c.Tol.check(t, "effective margin", shiftRatio(float64(FailShift(r)))-1, want.Effective[i])
	}
}

func oraclePGF(t *testing.T, c latencyCase) {
	var in struct {
		N, K  []int64
		Small []int64   `json:"n"`
		W     []float64 `json:"w"`
	}
	var want struct {
		LogPGF []float64 `json:"log_pgf"`
	}
	// N and n differ only in case, which encoding/json does not tell apart.
	var raw map[string]json.RawMessage
	c.read(t, &raw, &want)
	for key, into := range map[string]any{"N": &in.N, "K": &in.K, "n": &in.Small, "w": &in.W} {
		if err := json.Unmarshal(raw[key], into); err != nil {
			t.Fatal(err)
		}
	}
	for i := range in.N {
		var got [1]float64
		w := in.W[i]
		urn{in.N[i], in.Small[i], in.K[i]}.logPGF(got[:], []float64{w}, []float64{math.Log(w)})
		c.Tol.check(t, "log pgf "+strconv.Itoa(i), got[0], want.LogPGF[i])
	}
}

func oracleTopK(t *testing.T, c latencyCase) {
	var in struct {
		Canary, Baseline sparse
		Shift            int
		K                int64
		W                float64
	}
	var want struct {
		LogE float64 `json:"log_e"`
	}
	c.read(t, &in, &want)
	canary, baseline := in.Canary.hist(), in.Baseline.hist()
	n := total(canary) + total(baseline)
	got := make([]float64, 1)
	test := TopK{PPM: in.K * 1_000_000 / n, Shift: in.Shift, Grid: []float64{in.W}}
	if tailCount(n, test.PPM) != in.K || !test.Increments(got, canary, baseline) {
		t.Fatalf("no top %d of %d", in.K, n)
	}
	c.Tol.check(t, "log e", got[0], want.LogE)
}

func oracleTopKGrid(t *testing.T, c latencyCase) {
	var in struct {
		Canary, Baseline sparse
		Shift            int
		PPM              int64     `json:"tail_ppm"`
		W                []float64 `json:"w"`
	}
	var want struct {
		K           int64
		LogE        []float64 `json:"log_e"`
		LogEInverse []float64 `json:"log_e_inverse_w"`
	}
	c.read(t, &in, &want)
	if !slices.Equal(in.W, FailOdds) {
		t.Fatalf("the oracle's odds %v are not ours", in.W)
	}
	canary, baseline := in.Canary.hist(), in.Baseline.hist()
	if k := tailCount(total(canary)+total(baseline), in.PPM); k != want.K {
		t.Errorf("K is %d, want %d", k, want.K)
	}
	got := make([]float64, len(FailOdds))
	TopK{in.PPM, in.Shift, FailOdds}.Increments(got, canary, baseline)
	c.Tol.checkAll(t, "fail", got, want.LogE)
	TopK{in.PPM, in.Shift, PassOdds}.Increments(got, canary, baseline)
	c.Tol.checkAll(t, "pass", got, want.LogEInverse)
}

// blockWeight is the oracles' start prior over blocks g = 1, 2, …: 3/4, then 1/(2 g (g+1)).
func blockWeight(g int) float64 {
	if g == 1 {
		return 0.75
	}
	return 1 / (2 * float64(g) * float64(g+1))
}

func oracleTilt(t *testing.T, c latencyCase) {
	var in struct {
		PPM    float64   `json:"tail_ppm"`
		N      []float64 `json:"n"`
		Exceed []float64
	}
	var want struct {
		Breach []float64 `json:"log_e_breach"`
		Pass   []float64 `json:"log_e_pass"`
	}
	c.read(t, &in, &want)
	for _, side := range []struct {
		name string
		grid []float64
		want []float64
	}{{"breach", FailOdds, want.Breach}, {"pass", PassOdds, want.Pass}} {
		m, inc := NewMixture(len(side.grid)), make([]float64, len(side.grid))
		var got []float64
		for i, n := range in.N {
			Tilt{in.PPM / 1e6, side.grid}.Increments(inc, n, in.Exceed[i])
			m.Step(inc, blockWeight(i+1))
			got = append(got, m.LogE())
		}
		c.Tol.checkAll(t, side.name, got, side.want)
	}
}

// pooled is what the oracles take as a block: windows until the pool has kmin requests in the tail.
type pooled struct {
	canary, baseline sparse
	blocks           int
}

func (p *pooled) add(canary, baseline sparse, ppm, kmin int64) (closed bool) {
	if p.canary == nil {
		p.canary, p.baseline = sparse{}, sparse{}
	}
	for key, n := range canary {
		p.canary[key] += n
	}
	for key, n := range baseline {
		p.baseline[key] += n
	}
	n, m := total(p.canary.hist()), total(p.baseline.hist())
	return n > 0 && m > 0 && (n+m)*ppm >= kmin*1_000_000
}

func oraclePath(t *testing.T, c latencyCase) {
	var in struct {
		Shift   int
		Kmin    int64
		Windows []struct{ Canary, Baseline sparse }
	}
	var want map[string]json.RawMessage
	c.read(t, &in, &want)
	oracleMixPath(t, c, want)
	oracleMallowsPath(t, c, want)
	for _, ppm := range []int64{500_000, 50_000, 10_000} {
		for prefix, grid := range map[string][]float64{"topk_": FailOdds, "topk_pass_": PassOdds} {
			key := prefix + strconv.FormatInt(ppm, 10)
			m, inc := NewMixture(len(grid)), make([]float64, len(grid))
			var open pooled
			var got, expected []float64
			for _, w := range in.Windows {
				if open.add(w.Canary, w.Baseline, ppm, in.Kmin) {
					TopK{ppm, in.Shift, grid}.Increments(inc, open.canary.hist(), open.baseline.hist())
					open = pooled{blocks: open.blocks + 1}
					m.Step(inc, blockWeight(open.blocks))
				}
				got = append(got, m.LogE())
			}
			if err := json.Unmarshal(want[key], &expected); err != nil {
				t.Fatal(key, err)
			}
			c.Tol.checkAll(t, key, got, expected)
		}
	}
}

func oracleQuantileRatio(t *testing.T, c latencyCase) {
	var in struct {
		PPM     int64 `json:"tail_ppm"`
		Alpha   float64
		Kmin    int64
		Windows []struct{ Canary, Baseline sparse }
	}
	var want struct {
		Lower []float64 `json:"lower_ratio"`
		Upper []float64 `json:"upper_ratio"`
	}
	c.read(t, &in, &want)
	q := NewQuantileRatio(in.PPM)
	var open pooled
	var lower, upper []float64
	for _, w := range in.Windows {
		if open.add(w.Canary, w.Baseline, in.PPM, in.Kmin) {
			open.blocks++
			q.Add(open.canary.hist(), open.baseline.hist(), blockWeight(open.blocks))
			open = pooled{blocks: open.blocks}
		}
		l, u := q.Interval(in.Alpha)
		lower, upper = append(lower, l), append(upper, u)
	}
	c.Tol.checkAll(t, "lower", lower, want.Lower)
	c.Tol.checkAll(t, "upper", upper, want.Upper)
	if e := q.Estimate(); !(e > 1.5 && e < 1.75) {
		t.Errorf("estimate %v, the truth is 1.6", e)
	}
}
