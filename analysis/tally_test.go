package analysis

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/windows"
)

// TestTallyQuantile holds how a quantile is read off a histogram: the K-th largest value, K the tail's share of all, and of its bucket the geometric middle.
func TestTallyQuantile(t *testing.T) {
	middle := func(i float64) float64 { return math.Exp2((i + .5) / 64) }
	ten := []mass{{windows.ZeroBucket, 2}, {63, 5}, {400, 2}, {windows.TopBucket, 1}}
	tests := []struct {
		name string
		hist []mass
		q    float64
		want float64
	}{
		{"nothing", nil, .5, math.NaN()},
		{"p90 of ten is the largest", ten, .9, math.Inf(1)},
		{"p80 is the second largest", ten, .8, middle(400)},
		{"p71 is the third largest", ten, .71, middle(400)},
		{"the median of ten is the fifth largest", ten, .5, middle(63)},
		{"the smallest", ten, 1e-6, 0},
		{"one value", []mass{{-5, 1}}, .99, middle(-5)},
		{"weights count as values do", []mass{{10, .25}, {20, .75}}, .5, middle(20)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tally := distTally{hist: [windows.Arms][]mass{windows.Canary: tt.hist}}
			got := tally.estimate(tt.q, scale{})[windows.Canary].value
			same := got == tt.want || math.IsNaN(got) && math.IsNaN(tt.want) || math.Abs(got/tt.want-1) < 1e-12
			if !same {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// TestMergeMass holds merged lists against sums in a map, also where nothing, or everything, is new.
func TestMergeMass(t *testing.T) {
	r := rand.New(rand.NewPCG(54, 1))
	list := func(n int) []mass {
		var l []mass
		for at := range int32(30) {
			if r.IntN(30) < n {
				l = append(l, mass{at, r.Float64()})
			}
		}
		return l
	}
	for range 300 {
		a, b := list(r.IntN(31)), list(r.IntN(31))
		sums := map[int32]float64{}
		for _, m := range append(slices.Clone(a), b...) {
			sums[m.index] += m.weight
		}
		want := make([]mass, 0, len(sums))
		for _, at := range slices.Sorted(maps.Keys(sums)) {
			want = append(want, mass{at, sums[at]})
		}
		if got := mergeMass(slices.Clone(a), b); !slices.Equal(got, want) {
			t.Fatalf("%v and %v: %v, want %v", a, b, got, want)
		}
	}
}
