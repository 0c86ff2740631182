package stats

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"streamcanary/windows"
)

// rankWays counts, for each value of U from 0 to n m, the orders of n canary and m baseline requests that have it.
func rankWays(n, m int) []*big.Int {
	// ways[i][j] is the polynomial of i canary and j baseline requests: the largest is the canary's (above j others), or not.
	ways := make([][][]*big.Int, n+1)
	for i := range ways {
		ways[i] = make([][]*big.Int, m+1)
		for j := range ways[i] {
			poly := make([]*big.Int, i*j+1)
			for u := range poly {
				poly[u] = new(big.Int)
				if i == 0 || j == 0 {
					poly[u].SetInt64(1)
					continue
				}
				if u >= j && u-j < len(ways[i-1][j]) {
					poly[u].Add(poly[u], ways[i-1][j][u-j])
				}
				if u < len(ways[i][j-1]) {
					poly[u].Add(poly[u], ways[i][j-1][u])
				}
			}
			ways[i][j] = poly
		}
	}
	return ways[n][m]
}

// rankTwin is log E[e^(lambda (U - n m/2))] from exact counts, in 400 bits.
func rankTwin(n, m int, lambda float64) float64 {
	const prec = 400
	sum, all := new(big.Float).SetPrec(prec), new(big.Int)
	for u, ways := range rankWays(n, m) {
		if u > 0 {
			all.Add(all, ways)
		}
		term := new(big.Float).SetPrec(prec).SetFloat64(math.Exp(lambda * (float64(u) - float64(n*m)/2)))
		sum.Add(sum, term.Mul(term, new(big.Float).SetPrec(prec).SetInt(ways)))
	}
	all.Add(all, big.NewInt(1)) // one order has U = 0
	sum.Quo(sum, new(big.Float).SetPrec(prec).SetInt(all))
	x, _ := sum.Float64()
	return math.Log(x)
}

// TestRankLaw compares with exact counts where there are few requests, and with sums of every term where there are many.
func TestRankLaw(t *testing.T) {
	var law rankLaw
	for _, size := range [][2]int{{1, 1}, {1, 2}, {3, 2}, {5, 5}, {1, 30}, {30, 1}, {12, 25}, {20, 21}, {30, 30}} {
		for _, theta := range []float64{0.01, 0.3, 1.2, 4.8, 5} {
			lambda := theta / float64(size[0]+size[1]+1)
			law.tiltBy(lambda, int64(size[0]+size[1]))
			if got, want := law.log(int64(size[0]), int64(size[1])), rankTwin(size[0], size[1], lambda); math.Abs(got-want) > 1e-13*(1+want) {
				t.Errorf("%v at theta %v: %.17g, want %.17g (off by %.2g)", size, theta, got, want, got-want)
			}
		}
	}
	for _, n := range []int64{50, 62, 63, 64, 70, 100, 1000, 31_623, 100_000} {
		for _, theta := range []float64{0.001, 0.3, 0.6, 1.2, 2.4, 4.8, 5} {
			lambda := theta / float64(n+1)
			sums := termSums(n, lambda)
			law.tiltBy(lambda, n)
			for _, part := range []int64{1, 2, 7, n / 100, n / 10, n / 2} {
				want := sums[n] - sums[part] - sums[n-part]
				if got := law.log(part, n-part); math.Abs(got-want) > 1e-12+3e-15*sums[n] {
					t.Errorf("%d of %d at theta %v: %.17g, want %.17g (off by %.2g, the sum is %v)", part, n, theta, got, want, got-want, sums[n])
				}
			}
			if got := law.log(0, n); got != 0 {
				t.Errorf("no canary among %d: %v", n, got)
			}
		}
	}
}

// termSums has T(0) … T(n), added with compensation.
func termSums(n int64, lambda float64) []float64 {
	sums := make([]float64, n+1)
	rest := 0.0
	for i := int64(1); i <= n; i++ {
		x := lambda * float64(i)
		g := x * x / 24 * (1 - x*x/120)
		if x > 0.02 {
			g = math.Log(math.Expm1(x)/x) - x/2
		}
		y := g - rest
		sums[i] = sums[i-1] + y
		rest = sums[i] - sums[i-1] - y
	}
	return sums
}

// mallowsTwin computes the increment from sorted lists and exact counts.
func mallowsTwin(m Mallows, theta float64, canary, baseline []windows.Bucket) (float64, bool) {
	n, b := int(total(canary)), int(total(baseline))
	if n == 0 || b == 0 {
		return 0, false
	}
	lambda := theta / float64(n+b+1)
	log := -rankTwin(n, b, lambda)
	for _, x := range canary {
		at := moved(x.Index, m.Shift)
		for _, y := range baseline {
			pairs := float64(x.Count) * float64(y.Count)
			switch {
			case at > int(y.Index):
				log += float64(m.Side) * lambda * pairs / 2
			case at < int(y.Index):
				log -= float64(m.Side) * lambda * pairs / 2
			default:
				log += rankTwin(int(x.Count), int(y.Count), lambda)
			}
		}
	}
	return log, true
}

func checkMallows(t *testing.T, m Mallows, canary, baseline []windows.Bucket) {
	t.Helper()
	inc := make([]float64, len(m.Grid))
	ok := m.Increments(inc, canary, baseline)
	for j, theta := range m.Grid {
		want, wantOK := mallowsTwin(m, theta, canary, baseline)
		if ok != wantOK {
			t.Fatalf("%+v of %v and %v: %v, want %v", m, canary, baseline, ok, wantOK)
		}
		if ok && math.Abs(inc[j]-want) > 1e-12*(1+math.Abs(want)) {
			t.Errorf("%+v of %v and %v at theta %v: %.15g, want %.15g", m, canary, baseline, theta, inc[j], want)
		}
	}
}

func TestMallowsOnRandomHistograms(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 1))
	for range 60 {
		m := Mallows{Shift: r.IntN(60) - 20, Side: 2*r.IntN(2) - 1, Grid: []float64{0.3, 4.8}}
		checkMallows(t, m, randomHist(r, 11), randomHist(r, 11))
	}
}

// FuzzMallows reads a block from the bytes: shift, side, then bucket steps and counts of the arms in turn.
func FuzzMallows(f *testing.F) {
	f.Add([]byte{17, 1, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte{200, 0, 0, 1, 0, 1})
	f.Add([]byte{0, 1, 0, 20, 0, 20, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 || len(data) > 40 {
			return
		}
		m := Mallows{Shift: int(int8(data[0])), Side: 2*int(data[1]%2) - 1, Grid: MallowsThetas[2:4]}
		var arms [2][]windows.Bucket
		var at [2]int32
		for i := 2; i+1 < len(data); i += 2 {
			arm := i / 2 % 2
			at[arm] += 1 + int32(data[i])
			if n := data[i+1] % 24; n > 0 && len(arms[arm]) < 3 { // the twin's exact counts are of at most 72 requests each
				arms[arm] = append(arms[arm], windows.Bucket{Index: at[arm], Count: uint32(n)})
			}
		}
		if total(arms[0])*total(arms[1]) < 900 {
			checkMallows(t, m, arms[0], arms[1])
		}
	})
}

// tenWithTies enumerates every way to say which of ten requests, with ties, are the canary's.
func tenWithTies(visit func(n int, canary, baseline []windows.Bucket)) {
	values := []int32{0, 0, 1, 1, 1, 2, 3, 3, 4, 4}
	for labels := range 1 << len(values) {
		counts, n := [2]map[int32]uint32{{}, {}}, 0
		for i, v := range values {
			counts[labels>>i&1][v]++
			n += labels >> i & 1
		}
		visit(n, histOf(counts[1]), histOf(counts[0]))
	}
}

// TestMallowsAveragesToOneOverAllLabelings: over all ways to say which requests are the canary's, the mean e-value is 1, for either side.
func TestMallowsAveragesToOneOverAllLabelings(t *testing.T) {
	for _, side := range []int{1, -1} {
		test := Mallows{Side: side, Grid: MallowsThetas}
		sums, ways := [11][5]float64{}, [11]float64{}
		inc := make([]float64, 5)
		tenWithTies(func(n int, canary, baseline []windows.Bucket) {
			if !test.Increments(inc, canary, baseline) {
				clear(inc)
			}
			ways[n]++
			for j, x := range inc {
				sums[n][j] += math.Exp(x)
			}
		})
		for n := range sums {
			for j, sum := range sums[n] {
				if mean := sum / ways[n]; math.Abs(mean-1) > 1e-13 {
					t.Errorf("side %d, n %d, theta %v: mean e-value %v", side, n, MallowsThetas[j], mean)
				}
			}
		}
	}
}

// TestMallowsRisesWithTheCanary: making one canary request slower never lowers evidence of a slowdown, nor raises evidence of the reverse.
func TestMallowsRisesWithTheCanary(t *testing.T) {
	r := rand.New(rand.NewPCG(32, 1))
	before, after := make([]float64, 5), make([]float64, 5)
	for range 400 {
		canary, baseline := randomHist(r, 30), randomHist(r, 30)
		if len(canary) == 0 || len(baseline) == 0 {
			continue
		}
		slower := oneSlower(r, canary)
		for _, side := range []int{1, -1} {
			test := Mallows{Shift: r.IntN(40) - 10, Side: side, Grid: MallowsThetas}
			test.Increments(before, canary, baseline)
			test.Increments(after, slower, baseline)
			for j := range before {
				if rise := (after[j] - before[j]) * float64(side); rise < -1e-9 {
					t.Errorf("%+v of %v and %v, then %v: evidence changed by %v", test, canary, baseline, slower, rise)
				}
			}
		}
	}
}

// oneSlower is the histogram with one of its values moved up.
func oneSlower(r *rand.Rand, hist []windows.Bucket) []windows.Bucket {
	counts := map[int32]uint32{}
	for _, b := range hist {
		counts[b.Index] = b.Count
	}
	from := hist[r.IntN(len(hist))].Index
	to := max(from+1, int32(100+r.IntN(60)))
	if from == windows.TopBucket || r.IntN(10) == 0 {
		to = windows.TopBucket
	}
	counts[from]--
	counts[to]++
	return histOf(counts)
}

// TestMallowsOnAsManyAsFit: counts at the limit of a bucket neither overflow nor take long, and sums of many small buckets agree with few
// large ones where that is the same.
func TestMallowsOnAsManyAsFit(t *testing.T) {
	full := func(at int32) []windows.Bucket { return []windows.Bucket{{Index: at, Count: math.MaxUint32}} }
	inc := make([]float64, 5)
	for _, row := range []struct {
		name             string
		canary, baseline []windows.Bucket
		grows            bool
	}{
		{"all ties", full(5), full(5), false},
		{"every pair is the canary's", full(9), full(5), true},
		{"one against many ties", []windows.Bucket{{Index: 5, Count: 1}}, full(5), false},
		{"timeouts alone", full(windows.TopBucket), full(windows.TopBucket), false},
	} {
		Mallows{0, 1, MallowsThetas}.Increments(inc, row.canary, row.baseline)
		for j, x := range inc {
			if math.IsNaN(x) || (x > 1e6) != row.grows || !row.grows && math.Abs(x) > 1e-3 {
				t.Errorf("%s, theta %v: %v", row.name, MallowsThetas[j], x)
			}
		}
	}
}

func TestMallowsPanics(t *testing.T) {
	one := []windows.Bucket{{Index: 5, Count: 1}}
	for name, m := range map[string]Mallows{
		"no side": {0, 0, MallowsThetas}, "theta 0": {0, 1, []float64{0}}, "theta 7": {0, 1, []float64{7}}, "theta NaN": {0, 1, []float64{math.NaN()}},
	} {
		mustPanic(t, name, func() { m.Increments(make([]float64, len(m.Grid)), one, one) })
	}
}

func BenchmarkMallows(b *testing.B) {
	for _, size := range []struct {
		n      int
		canary float64
	}{{40, 0.2}, {1_000, 0.1}, {100_000, 0.1}, {1_000_000, 0.1}, {1_000_000, 0.5}} {
		r := rand.New(rand.NewPCG(1, 1))
		canary := lognormal(r, int(float64(size.n)*size.canary), 1, 0.5)
		baseline := lognormal(r, size.n-int(float64(size.n)*size.canary), 1, 0.5)
		inc := make([]float64, len(MallowsThetas))
		b.Run(fmt.Sprintf("buckets=%d/requests=%d/canary=%v", len(baseline), size.n, size.canary), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Mallows{17, 1, MallowsThetas}.Increments(inc, canary, baseline)
			}
		})
	}
}

func init() {
	for _, k := range []struct {
		name   string
		test   Mallows
		factor float64
		harm   float64
		tiny   [][]outcome
	}{
		{"larger", Mallows{17, 1, MallowsThetas}, shiftRatio(17), 2, [][]outcome{{{1, arms{someHist, nil}}}}},
		{"smaller", Mallows{16, -1, MallowsThetas}, shiftRatio(16), 0.5, [][]outcome{{{1, arms{someHist, nil}}}}},
		{"larger tiny", Mallows{0, 1, MallowsThetas}, 1, 2, [][]outcome{labelings(), assigned(0.5, 1, 2, 2, 3, 5, 5)}},
		{"smaller tiny", Mallows{0, -1, MallowsThetas}, 1, 0.5, [][]outcome{labelings(), assigned(0.5, 1, 2, 2, 3, 5, 5)}},
	} {
		register(kind{
			name: "mallows/" + k.name, file: "mallows.go",
			start: func() process {
				return newKernel(len(MallowsThetas), func(dst []float64, b any) bool { return k.test.Increments(dst, b.(arms).canary, b.(arms).baseline) })
			},
			null: latencies(100, k.factor), harm: latencies(100, k.factor*k.harm), tiny: k.tiny,
			idle:  []any{arms{someHist, nil}, arms{nil, someHist}, arms{}},
			edges: oddArms(),
		})
	}
}

// TestLightTies compares the polynomials of a small bucket's ties with their sums of powers.
func TestLightTies(t *testing.T) {
	powers := func(n, k int) float64 {
		sum := 0.0
		for i := 1; i <= n; i++ {
			sum += math.Pow(float64(i), float64(k))
		}
		return sum
	}
	for c := 1; c < 12; c++ {
		for b := 1; b < 12; b++ {
			var got rankTies
			got.addLight(float64(c), float64(b))
			for i, x := range got.powers {
				k := 2 * (i + 1)
				if want := powers(c+b, k) - powers(c, k) - powers(b, k); math.Abs(x-want) > 1e-12*want {
					t.Errorf("%d and %d: D_%d is %v, want %v", c, b, k, x, want)
				}
			}
		}
	}
}
