package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// closure rejects i when every intersection that holds i is rejected by weighted Bonferroni with the weights divided by their sum.
func closure(alpha float64, weights, logMax []float64, reserve float64) []bool {
	rejected := make([]bool, len(weights))
	for i := range weights {
		rejected[i] = true
		for set := range 1 << len(weights) {
			if set>>i&1 == 0 {
				continue
			}
			sum, hit := reserve, false
			for j, w := range weights {
				if set>>j&1 == 1 {
					sum += w
				}
			}
			for j, w := range weights {
				hit = hit || set>>j&1 == 1 && w > 0 && logMax[j] >= math.Log(sum/(w*alpha))
			}
			rejected[i] = rejected[i] && hit
		}
	}
	return rejected
}

func TestHolmIsItsClosure(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 1))
	some := 0
	for range 500 {
		n := 1 + r.IntN(6)
		weights, logMax := make([]float64, n), make([]float64, n)
		sum := 0.0
		for i := range weights {
			weights[i] = float64(r.IntN(4))
			sum += weights[i]
			logMax[i] = math.Abs(3 * r.NormFloat64())
		}
		reserve := 0.0
		if r.IntN(2) == 0 {
			reserve = 0.1
		}
		for i := range weights {
			weights[i] *= (1 - reserve) / max(1, sum)
		}
		left := 1.0
		for _, w := range weights {
			left -= w
		}
		got, want := Holm(0.05, weights, logMax), closure(0.05, weights, logMax, max(0, left))
		if !slices.Equal(got, want) {
			t.Errorf("weights %v, maxima %v: %v, want %v", weights, logMax, got, want)
		}
		if slices.Contains(got, true) {
			some++
		}
	}
	if some < 50 {
		t.Errorf("only %d cases rejected anything", some)
	}
}

func TestHolm(t *testing.T) {
	at := func(e float64) float64 { return math.Log(e) }
	for _, row := range []struct {
		name            string
		weights, logMax []float64
		want            []bool
	}{
		{"nothing", nil, nil, []bool{}},
		{"its whole share", []float64{1}, []float64{at(20)}, []bool{true}},
		{"just short of it", []float64{1}, []float64{at(19.999)}, []bool{false}},
		{"the first frees its share for the second", []float64{0.5, 0.5}, []float64{at(40.01), at(20.01)}, []bool{true, true}},
		{"a reserve is not freed", []float64{0.45, 0.45}, []float64{at(45), at(20.01)}, []bool{true, false}},
		{"no weight, no rejection", []float64{1, 0}, []float64{at(20), math.Inf(1)}, []bool{true, false}},
	} {
		if got := Holm(0.05, row.weights, row.logMax); !slices.Equal(got, row.want) {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
	mustPanic(t, "more than the budget", func() { Holm(0.05, []float64{0.7, 0.7}, []float64{0, 0}) })
	mustPanic(t, "alpha 0", func() { Holm(0, []float64{1}, []float64{0}) })
	mustPanic(t, "two weights, one test", func() { Holm(0.05, []float64{0.5, 0.5}, []float64{0}) })
}
