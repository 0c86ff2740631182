package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// equalBins is a sample in so many bins of equal share.
func equalBins(bins int, each int64) []int64 {
	all := make([]int64, bins)
	for i := range all {
		all[i] = each
	}
	return all
}

// drawn counts n draws from shares in their bins.
func drawn(r *rand.Rand, n int, shares []float64) []int64 {
	bins := make([]int64, len(shares))
	for range n {
		u, at := r.Float64(), 0
		for at < len(shares)-1 && u >= shares[at] {
			u -= shares[at]
			at++
		}
		bins[at]++
	}
	return bins
}

// threeOf enumerates three values in the bins of shares.
func threeOf(shares []float64) []outcome {
	var all []outcome
	for i, p := range shares {
		for j, q := range shares {
			for k, r := range shares {
				bins := make([]int64, len(shares))
				bins[i]++
				bins[j]++
				bins[k]++
				all = append(all, outcome{p * q * r, bins})
			}
		}
	}
	return all
}

func init() {
	const delta = 0.01
	offline := equalBins(4, 500)
	slack := NewSkew(offline, delta).Slack()
	edge := func(by float64) []float64 { return []float64{0.25 + by, 0.25, 0.25, 0.25 - by} } // every edge is off by as much
	worldOf := func(shares []float64) func(r *rand.Rand) func(int) any {
		return func(r *rand.Rand) func(int) any { return func(int) any { return drawn(r, 300, shares) } }
	}
	register(kind{
		name: "skew", file: "skew.go",
		start: func() process {
			s := NewSkew(offline, delta)
			return newKernel(s.Components(), func(dst []float64, block any) bool { return s.Increments(dst, block.([]int64), 1) })
		},
		null: worldOf(edge(slack)), harm: worldOf(edge(slack + 0.06)), anyOrder: true,
		tiny:  [][]outcome{threeOf(edge(slack)), threeOf(edge(-slack)), threeOf(edge(0))},
		idle:  []any{[]int64{0, 0, 0, 0}},
		edges: []any{[]int64{1, 0, 0, 0}, []int64{0, 0, 0, 1}, []int64{4_000_000_000, 0, 0, 0}, []int64{0, 0, 0, 4_000_000_000}},
	})
}

// TestSkewOfFewValues: what a sample is too small to say isn't tested.
func TestSkewOfFewValues(t *testing.T) {
	s := NewSkew([]int64{10, 80, 10}, 0.05)
	if want := math.Sqrt(math.Log(40) / 200); math.Abs(s.Slack()-want) > 1e-15 { // 0.1358
		t.Errorf("slack %v, want %v", s.Slack(), want)
	}
	if got := s.Components(); got != 2*len(SkewGrid) { // 10 % can't be proven to be too little
		t.Errorf("%d components", got)
	}
}

// TestSimSkew: with a new offline sample each time, from the distribution of what comes, as the claim has it: evidence of the sample's own error is never found, with a look after
// each block. A test that takes the sample's shares for the truth finds it, so the simulation can tell.
func TestSimSkew(t *testing.T) {
	const alpha, delta, size, samples = 0.025, 0.025, 1000, 300
	var alarms, naive int
	uniform := make([]float64, 20)
	for i := range uniform {
		uniform[i] = 0.05
	}
	for run := range samples {
		r := rand.New(rand.NewPCG(77, uint64(run)))
		offline := drawn(r, size, uniform)
		alarms += alarmsOfSkew(NewSkew(offline, delta), r, uniform, alpha)
		naive += alarmsOfSkew(exactly(offline), r, uniform, alpha)
	}
	limit := binomialLimit(samples, alpha+delta)
	if alarms > limit {
		t.Errorf("%d of %d runs alarmed; more than %d is no accident", alarms, samples, limit)
	}
	if naive <= limit {
		t.Errorf("only %d of %d runs of the naive test alarmed: the simulation can't tell", naive, samples)
	}
	t.Logf("%d of %d runs alarmed, of the naive test %d", alarms, samples, naive)
}

// exactly takes the sample's shares for those of its distribution.
func exactly(offline []int64) *Skew {
	many := make([]int64, len(offline))
	for i, n := range offline {
		many[i] = n * 1_000_000_000
	}
	return NewSkew(many, 0.025)
}

// alarmsOfSkew is 1 where 200 blocks of 100 values ever prove a difference.
func alarmsOfSkew(s *Skew, r *rand.Rand, shares []float64, alpha float64) int {
	m, inc := NewMixture(s.Components()), make([]float64, s.Components())
	for at := range int64(200) {
		s.Increments(inc, drawn(r, 100, shares), 1)
		m.Step(inc, StartWeight(at, 200))
		if m.LogE() >= math.Log(1/alpha) {
			return 1
		}
	}
	return 0
}

// TestSkewFinds: how many values a difference takes, against 10,000 offline, at 0.0005 and 0.0005.
func TestSkewFinds(t *testing.T) {
	for _, test := range []struct {
		by   float64 // of the lowest bin's share, taken from the highest
		most int     // values
	}{{0.2, 400}, {0.1, 1400}, {0.05, 6500}} {
		shares := []float64{0.25 + test.by, 0.25, 0.25, 0.25 - test.by}
		s := NewSkew(equalBins(4, 2500), 0.0005)
		m, inc := NewMixture(s.Components()), make([]float64, s.Components())
		r := rand.New(rand.NewPCG(78, 1))
		n := 0
		for at := int64(0); m.LogE() < math.Log(2000) && n < 20*test.most; at++ {
			s.Increments(inc, drawn(r, 50, shares), 1)
			m.Step(inc, StartWeight(at, 3600))
			n += 50
		}
		if n > test.most {
			t.Errorf("%v more in the lowest bin: found after %d values, want at most %d", test.by, n, test.most)
		}
		t.Logf("%v more: after %d values", test.by, n)
	}
}

// TestPSI: against sums by hand.
func TestPSI(t *testing.T) {
	tests := []struct {
		name           string
		seen, expected []int64
		want           float64
	}{
		{"equal", []int64{10, 20, 70}, []int64{100, 200, 700}, 0},
		// (0.3-0.5) ln(0.3/0.5) + (0.7-0.5) ln(0.7/0.5) = 0.2 ln(7/3)
		{"two bins", []int64{30, 70}, []int64{50, 50}, 0.2 * math.Log(7.0/3)},
		// the first: (0.5/100 - 0.5) ln(0.01), the second: (1 - 0.5) ln 2
		{"an empty bin is half a value", []int64{0, 100}, []int64{50, 50}, 0.495*math.Log(100) + 0.5*math.Ln2},
		// 5 % and 5 % go together: (0.2-0.1) ln 2 + (0.8-0.9) ln(8/9)
		{"small bins go together", []int64{5, 15, 80}, []int64{5, 5, 90}, 0.1*math.Log(2) - 0.1*math.Log(8.0/9)},
		{"nothing seen", []int64{0, 0}, []int64{1, 1}, math.NaN()},
	}
	for _, test := range tests {
		if got := PSI(test.seen, test.expected); !(math.Abs(got-test.want) < 1e-12 || math.IsNaN(got) && math.IsNaN(test.want)) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	if got := PSI(equalBins(20, 5), equalBins(20, 5)); got != 0 {
		t.Errorf("twenty equal bins: %v", got)
	}
}

func TestBinDistance(t *testing.T) {
	for _, test := range []struct {
		a, b []int64
		want float64
	}{
		{[]int64{1, 2, 7}, []int64{10, 20, 70}, 0},
		{[]int64{3, 0, 7}, []int64{1, 4, 5}, 0.2}, // 0.3 against 0.1, 0.3 against 0.5
		{[]int64{10, 0}, []int64{0, 10}, 1},
	} {
		if got := BinDistance(test.a, test.b); math.Abs(got-test.want) > 1e-15 {
			t.Errorf("%v against %v: %v, want %v", test.a, test.b, got, test.want)
		}
	}
	if got := BinDistance([]int64{0, 0}, []int64{1, 1}); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
}
