package stats

import (
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

// mallowsPath is the log evidence of Mallows after each window.
func mallowsPath(in *path) (logE []float64) {
	m, inc := NewMixture(len(MallowsThetas)), make([]float64, len(MallowsThetas))
	blocks := 0
	for _, w := range in.Windows {
		if (Mallows{in.Shift, 1, MallowsThetas}).Increments(inc, w.Canary.hist(), w.Baseline.hist()) {
			blocks++
			m.Step(inc, blockWeight(blocks))
		}
		logE = append(logE, m.LogE())
	}
	return logE
}

// mixPath is the log of the mean over tails: the oracle's counts every tail at the end of its last block, as Standing does; its weights go by blocks.
func mixPath(t *testing.T, in *path) (logE []float64) {
	if in.Kmin*1_000_000 != tailExpected {
		t.Fatalf("the oracle's blocks expect %d", in.Kmin)
	}
	blocks := NewTailBlocks([]int64{500_000, 50_000, 10_000})
	m := NewTopKMix(blocks, RankSide{in.Shift, FailOdds})
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
		logE = append(logE, m.Standing())
		if m.LogE() > m.Standing()+1e-12 {
			t.Errorf("evidence %v beyond the mean of all tails, %v", m.LogE(), m.Standing())
		}
	}
	return logE
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
	var want expected
	c.read(t, &in, &want)
	canary, baseline := ranked(in.Canary, in.Baseline)
	for suffix, continuity := range map[string]float64{"_cc": 0.5, "_nocc": 0} {
		r := mannWhitney(canary, baseline, continuity)
		c.Tol.check(t, "larger", r.PLarger, want.number(t, "p_greater"+suffix))
		c.Tol.check(t, "smaller", r.PSmaller, want.number(t, "p_less"+suffix))
		c.Tol.check(t, "both", r.P, want.number(t, "p_two-sided"+suffix))
	}
	r := MannWhitney(canary, baseline)
	c.Tol.check(t, "U", r.U, want.number(t, "U"))
	var p ProbabilityIndex
	p.Add(canary, baseline)
	c.Tol.check(t, "probability index", p.Value(), want.number(t, "prob_index"))
	if want["p_greater_exact"] != nil { // without ties
		c.Tol.check(t, "exact", exactRankSum(len(in.Canary), len(in.Baseline), int(r.U)), want.number(t, "p_greater_exact"))
	}
	want.done(t)
	if r != mannWhitney(canary, baseline, 0.5) {
		t.Error("p-values are not corrected for continuity")
	}
}

// exactRankSum is P(U >= least) of n values among n + m that are exchangeable and all different, by counting the orders: the greatest is
// one of the n, and above all m others, or not. The product shows no exact p-values.
func exactRankSum(n, m, least int) float64 {
	ways := make([][][]float64, n+1) // of i and k values, by U
	for i := range ways {
		ways[i] = make([][]float64, m+1)
		for k := range ways[i] {
			w := make([]float64, i*k+1)
			if i*k == 0 {
				w[0] = 1
			} else {
				for u, x := range ways[i-1][k] {
					w[u+k] += x
				}
				for u, x := range ways[i][k-1] {
					w[u] += x
				}
			}
			ways[i][k] = w
		}
	}
	above, all := 0.0, 0.0
	for u, x := range ways[n][m] {
		all += x
		if u >= least {
			above += x
		}
	}
	return above / all
}

// oracleKS compares distances alone: KSDistance makes no p-values, and the oracle asks for them only of those who do.
func oracleKS(t *testing.T, c latencyCase) {
	var in struct {
		Canary, Baseline []float64
		Method           string
	}
	var want expected
	c.read(t, &in, &want)
	canary, baseline := ranked(in.Canary, in.Baseline)
	slower, faster := ksGaps(canary, baseline)
	c.Tol.check(t, "D", KSDistance(canary, baseline), want.number(t, "D_two-sided"))
	c.Tol.check(t, "D less", slower, want.number(t, "D_less"))
	c.Tol.check(t, "D greater", faster, want.number(t, "D_greater"))
	if c.Note != "D must match; p-values only if the program reports them" {
		t.Errorf("the oracle asks: %s", c.Note)
	}
	for _, p := range []string{"p_two-sided", "p_less", "p_greater"} {
		want.number(t, p)
	}
	want.done(t)
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
		Scale    int
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
	scale6(t, in.Scale)
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
