package stats

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"testing"

	"streamcanary/windows"
)

func oracleMallows(t *testing.T, c latencyCase) {
	var in struct {
		Canary, Baseline sparse
		Shift            int
		Theta            float64
	}
	var want struct {
		LogE float64 `json:"log_e"`
	}
	c.read(t, &in, &want)
	var got [1]float64
	Mallows{in.Shift, 1, []float64{in.Theta}}.Increments(got[:], in.Canary.hist(), in.Baseline.hist())
	c.Tol.check(t, "log e", got[0], want.LogE)
}

func oracleMallowsGrid(t *testing.T, c latencyCase) {
	var in struct {
		Canary, Baseline sparse
		Shift            int
		Theta            []float64
	}
	var want struct {
		LogE []float64 `json:"log_e"`
	}
	c.read(t, &in, &want)
	if !slices.Equal(in.Theta, MallowsThetas) {
		t.Fatalf("the oracle's thetas %v are not ours", in.Theta)
	}
	got := make([]float64, len(in.Theta))
	Mallows{in.Shift, 1, MallowsThetas}.Increments(got, in.Canary.hist(), in.Baseline.hist())
	c.Tol.checkAll(t, "log e", got, want.LogE)
	// The other side is the same test with the arms in each other's place.
	other, swapped := make([]float64, len(in.Theta)), make([]float64, len(in.Theta))
	Mallows{in.Shift, -1, MallowsThetas}.Increments(other, in.Canary.hist(), in.Baseline.hist())
	Mallows{-in.Shift, 1, MallowsThetas}.Increments(swapped, in.Baseline.hist(), in.Canary.hist())
	c.Tol.checkAll(t, "log e of the other side", other, swapped)
}

// path is the input of an e2e case.
type path struct {
	Shift   int
	Kmin    int64
	Windows []struct{ Canary, Baseline sparse }
}

func oracleMallowsPath(t *testing.T, c latencyCase, want map[string]json.RawMessage) {
	var in path
	var expected []float64
	c.read(t, &in, &want)
	if err := json.Unmarshal(want["mallows"], &expected); err != nil {
		t.Fatal(err)
	}
	m, inc := NewMixture(len(MallowsThetas)), make([]float64, len(MallowsThetas))
	var got []float64
	blocks := 0
	for _, w := range in.Windows {
		if (Mallows{in.Shift, 1, MallowsThetas}).Increments(inc, w.Canary.hist(), w.Baseline.hist()) {
			blocks++
			m.Step(inc, blockWeight(blocks))
		}
		got = append(got, m.LogE())
	}
	c.Tol.checkAll(t, "mallows", got, expected)
}

// oracleMixPath: the oracle's mean counts every tail at the end of its last block, as Standing does; its weights go by blocks.
func oracleMixPath(t *testing.T, c latencyCase, want map[string]json.RawMessage) {
	var in path
	var expected []float64
	c.read(t, &in, &want)
	if err := json.Unmarshal(want["topk_mix"], &expected); err != nil {
		t.Fatal(err)
	}
	if in.Kmin*1_000_000 != tailExpected {
		t.Fatalf("the oracle's blocks expect %d", in.Kmin)
	}
	blocks := NewTailBlocks([]int64{500_000, 50_000, 10_000})
	m := NewTopKMix(blocks, RankSide{in.Shift, FailOdds})
	var got []float64
	closed := make([]int, len(m.tails))
	for _, w := range in.Windows {
		blocks.Add(w.Canary.hist(), w.Baseline.hist())
		for i := range m.tails {
			if blocks.tails[i].closed {
				closed[i]++
				m.tails[i].pending = blockWeight(closed[i])
			}
		}
		m.Step(blocks, 0, nil)
		got = append(got, m.Standing())
		if m.LogE() > m.Standing()+1e-12 {
			t.Errorf("evidence %v beyond the mean of all tails, %v", m.LogE(), m.Standing())
		}
	}
	c.Tol.checkAll(t, "topk_mix", got, expected)
}

// ranked gives each different value a bucket of its own, in order.
func ranked(canary, baseline []float64) (c, b []windows.Bucket) {
	values := slices.Concat(canary, baseline)
	slices.Sort(values)
	values = slices.Compact(values)
	hist := func(xs []float64) []windows.Bucket {
		counts := map[int32]uint32{}
		for _, x := range xs {
			at, _ := slices.BinarySearch(values, x)
			counts[int32(at)]++
		}
		return histOf(counts)
	}
	return hist(canary), hist(baseline)
}

func oracleMannWhitney(t *testing.T, c latencyCase) {
	var in struct{ Canary, Baseline []float64 }
	var want map[string]float64
	c.read(t, &in, &want)
	canary, baseline := ranked(in.Canary, in.Baseline)
	got := map[string]float64{"p_greater_exact": want["p_greater_exact"]} // nothing here has exact p-values
	for suffix, continuity := range map[string]float64{"_cc": 0.5, "_nocc": 0} {
		r := mannWhitney(canary, baseline, continuity)
		got["U"], got["p_greater"+suffix], got["p_less"+suffix], got["p_two-sided"+suffix] = r.U, r.PLarger, r.PSmaller, r.P
	}
	var p ProbabilityIndex
	p.Add(canary, baseline)
	got["prob_index"] = p.Value()
	for key, x := range want {
		c.Tol.check(t, key, got[key], x)
	}
	if MannWhitney(canary, baseline) != mannWhitney(canary, baseline, 0.5) {
		t.Error("p-values are not corrected for continuity")
	}
}

func oracleKS(t *testing.T, c latencyCase) {
	var in struct{ Canary, Baseline []float64 }
	var want map[string]float64
	c.read(t, &in, &want)
	canary, baseline := ranked(in.Canary, in.Baseline)
	slower, faster := ksGaps(canary, baseline)
	c.Tol.check(t, "D", KSDistance(canary, baseline), want["D_two-sided"])
	c.Tol.check(t, "D less", slower, want["D_less"])
	c.Tol.check(t, "D greater", faster, want["D_greater"])
}

func oracleBetaMixture(t *testing.T, c latencyCase) {
	var in struct {
		P, N, X  []float64
		Tightest []float64 `json:"t_opt"`
		At       float64   `json:"alpha_opt"`
	}
	var want struct {
		LogE []float64 `json:"log_e"`
	}
	c.read(t, &in, &want)
	for i, p := range in.P {
		c.Tol.check(t, "log e "+strconv.Itoa(i), newBetaMixture(p, in.Tightest[i], in.At).log(in.X[i], in.N[i]), want.LogE[i])
	}
}

func oracleQuantileBand(t *testing.T, c latencyCase) {
	var in struct {
		P, Alpha float64
		Counts   sparse
		Tightest float64 `json:"t_opt"`
		At       float64 `json:"alpha_opt"`
	}
	var want struct { // edge i is the upper edge of bucket i-1
		Lower *int32   `json:"lower_edge_index"`
		Upper *int32   `json:"upper_edge_index"`
		LowMs *float64 `json:"lower_ms"`
		UpMs  *float64 `json:"upper_ms"`
	}
	c.read(t, &in, &want)
	ppm := int64(math.Round((1 - in.P) * 1e6))
	lower, upper := QuantileBand{ppm, in.Tightest, in.At}.Interval(in.Counts.hist(), in.Alpha)
	for _, side := range []struct {
		name string
		got  int32
		edge *int32
		ms   *float64
		none int32
	}{{"lower", lower, want.Lower, want.LowMs, windows.ZeroBucket}, {"upper", upper, want.Upper, want.UpMs, windows.TopBucket}} {
		switch {
		case side.edge == nil:
			if side.got != side.none {
				t.Errorf("%s bound %d, want none", side.name, side.got)
			}
		case side.got != *side.edge-1:
			t.Errorf("%s bound is bucket %d, want %d", side.name, side.got, *side.edge-1)
		default:
			c.Tol.check(t, side.name, windows.BucketUpper(side.got), *side.ms)
		}
	}
}
