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
	ID, Kind, Note string
	Provenance     json.RawMessage
	Input          json.RawMessage
	Expect         json.RawMessage
	Tol            tolerance
}

func TestOracleLatency(t *testing.T) {
	var file struct {
		Schema json.RawMessage
		Seed   json.RawMessage
		Odds   []float64 `json:"grid_w"`
		Thetas []float64 `json:"grid_theta"`
		Cases  []latencyCase
	}
	readOracle(t, "testdata/latency.json", &file)
	if !slices.Equal(file.Odds, FailOdds) || !slices.Equal(file.Thetas, MallowsThetas) {
		t.Errorf("the oracle's grids %v and %v are not ours", file.Odds, file.Thetas)
	}
	got := map[string]int{}
	for _, c := range file.Cases {
		got[c.Kind]++
		if run := latencyKinds[c.Kind].run; run != nil {
			t.Run(c.ID, func(t *testing.T) { run(t, c) })
		}
	}
	for kind, k := range latencyKinds {
		if got[kind] != k.cases {
			t.Errorf("%d cases of the kind %s; want %d", got[kind], kind, k.cases)
		}
		if k.run == nil {
			runsElsewhere(t, kind, k.folder)
		}
		delete(got, kind)
	}
	if len(got) > 0 {
		t.Errorf("kinds that nobody runs: %v", got)
	}
}

// latencyKinds are all kinds of latency.json, how many cases each has, and what runs them: here, or the tests of a folder.
var latencyKinds = map[string]struct {
	cases  int
	run    func(*testing.T, latencyCase)
	folder string
}{
	"margin_shift": {1, oracleShift, ""}, "log_pgf_hypergeometric": {1, oraclePGF, ""}, "topk_log_e": {3, oracleTopK, ""},
	"topk_log_e_grid": {5, oracleTopKGrid, ""}, "slo_path": {3, oracleTilt, ""}, "e2e": {5, oraclePath, ""}, "ratio_cs": {1, oracleQuantileRatio, ""},
	"mallows_log_e": {3, oracleMallows, ""}, "mallows_log_e_grid": {4, oracleMallowsGrid, ""}, "mwu": {4, oracleMannWhitney, ""}, "ks_2samp": {4, oracleKS, ""},
	"beta_binomial_log_e": {1, oracleBetaMixture, ""}, "quantile_cs": {4, oracleQuantileBand, ""},
	"bucket_index": {1, nil, "windows"}, "downscale": {1, nil, "windows"},
	"lil_radius": {1, nil, "analysis/certify"}, "double_stitching_radius": {1, nil, "analysis/certify"},
	"hr_two_sample_log_p": {3, nil, "analysis/certify"}, "p_to_e": {1, nil, "analysis/certify"},
}

// read reads a case's input and what must come out of it, strictly: a number that nobody looks at is an error.
func (c latencyCase) read(t *testing.T, input, expect any) {
	t.Helper()
	readStrictly(t, c.Input, input)
	readStrictly(t, c.Expect, expect)
}

// scale6 fails unless an oracle's histograms are of the scale that ours are.
func scale6(t *testing.T, scale int) {
	t.Helper()
	if 1<<scale != bucketsPerDoubling {
		t.Fatalf("the oracle's histograms are of scale %d", scale)
	}
}

func oracleShift(t *testing.T, c latencyCase) {
	var in struct {
		R     []float64
		Scale int
	}
	var want struct {
		Fail      []int     `json:"fail_shift"`
		Pass      []int     `json:"pass_shift"`
		Effective []float64 `json:"effective_margin_fail"`
	}
	c.read(t, &in, &want)
	scale6(t, in.Scale)
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
		PPM       float64 `json:"tail_ppm"`
		N, Exceed []float64
		W         []float64
	}
	var want struct {
		Breach []float64 `json:"log_e_breach"`
		Pass   []float64 `json:"log_e_pass"`
	}
	c.read(t, &in, &want)
	if !slices.Equal(in.W, FailOdds) {
		t.Fatalf("the oracle's odds %v are not ours", in.W)
	}
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

// path is the input of an e2e case.
type path struct {
	Name       string
	Scale      int
	Shift      int
	Kmin       int64
	W, Theta   []float64
	StartPrior string `json:"start_prior"`
	Windows    []struct{ Canary, Baseline sparse }
}

// oraclePath runs every test over the windows: several tails, up and down, the mean of the tails, and Mallows.
func oraclePath(t *testing.T, c latencyCase) {
	var in path
	var want expected
	c.read(t, &in, &want)
	scale6(t, in.Scale)
	if !slices.Equal(in.W, FailOdds) || !slices.Equal(in.Theta, MallowsThetas) || in.StartPrior != "1/2 at first block + 1/2 * 1/(k(k+1))" {
		t.Fatalf("the oracle's bets %v, %v and starts %q are not ours", in.W, in.Theta, in.StartPrior)
	}
	var cross map[string]*int
	want.take(t, "cross_0.05", &cross)
	paths := map[string][]float64{"mallows": mallowsPath(&in)}
	for _, ppm := range []int64{500_000, 50_000, 10_000} {
		for prefix, grid := range map[string][]float64{"topk_": FailOdds, "topk_pass_": PassOdds} {
			paths[prefix+strconv.FormatInt(ppm, 10)] = topKPath(&in, ppm, grid)
		}
	}
	for key, got := range paths {
		c.Tol.checkAll(t, key, got, want.numbers(t, key))
		if cross[key] == nil {
			t.Fatalf("the oracle doesn't say where %s crosses", key)
		}
		if at := firstAt(got, 0.05); at != *cross[key] {
			t.Errorf("%s crosses at %d, want %d", key, at, *cross[key])
		}
		delete(cross, key)
	}
	c.Tol.checkAll(t, "topk_mix", mixPath(t, &in), want.numbers(t, "topk_mix"))
	want.done(t)
	if len(cross) > 0 {
		t.Errorf("nobody compares where %v cross", cross)
	}
}

// topKPath is the log evidence of one tail after each window.
func topKPath(in *path, ppm int64, grid []float64) (logE []float64) {
	m, inc := NewMixture(len(grid)), make([]float64, len(grid))
	var open pooled
	for _, w := range in.Windows {
		if open.add(w.Canary, w.Baseline, ppm, in.Kmin) {
			TopK{ppm, in.Shift, grid}.Increments(inc, open.canary.hist(), open.baseline.hist())
			open = pooled{blocks: open.blocks + 1}
			m.Step(inc, blockWeight(open.blocks))
		}
		logE = append(logE, m.LogE())
	}
	return logE
}

func oracleQuantileRatio(t *testing.T, c latencyCase) {
	var in struct {
		PPM     int64 `json:"tail_ppm"`
		Alpha   float64
		Kmin    int64
		Scale   int
		Shifts  struct{ Start, Stop, Step int }
		W       []float64
		Windows []struct{ Canary, Baseline sparse }
	}
	var want struct {
		Lower      []float64 `json:"lower_ratio"`
		Upper      []float64 `json:"upper_ratio"`
		LowerShift []float64 `json:"lower_shift"`
		UpperShift []float64 `json:"upper_shift"`
	}
	c.read(t, &in, &want)
	scale6(t, in.Scale)
	if s := in.Shifts; s.Start != ratioShiftLow || s.Step != ratioShiftStep || (s.Stop-s.Start)/s.Step+1 != ratioShifts || !slices.Equal(in.W, FailOdds) {
		t.Fatalf("the oracle's shifts %v and odds %v are not ours", s, in.W)
	}
	q := NewQuantileRatio(in.PPM)
	var open pooled
	var lower, upper []float64
	for _, w := range in.Windows {
		if open.add(w.Canary, w.Baseline, in.PPM, in.Kmin) {
			open.blocks++
			q.Add(open.canary.hist(), open.baseline.hist(), blockWeight(open.blocks), 1)
			open = pooled{blocks: open.blocks}
		}
		l, u := q.Interval(in.Alpha)
		lower, upper = append(lower, l), append(upper, u)
	}
	c.Tol.checkAll(t, "lower", lower, want.Lower)
	c.Tol.checkAll(t, "upper", upper, want.Upper)
	for i := range lower {
		c.Tol.check(t, "lower shift", bucketsPerDoubling*math.Log2(lower[i]), want.LowerShift[i])
		c.Tol.check(t, "upper shift", bucketsPerDoubling*math.Log2(upper[i]), want.UpperShift[i])
	}
	if e := q.Estimate(); !(e > 1.5 && e < 1.75) {
		t.Errorf("estimate %v, the truth is 1.6", e)
	}
}
