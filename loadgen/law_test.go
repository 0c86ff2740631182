package loadgen

import (
	"fmt"
	"math"
	"testing"
)

// TestLaws: draws fall under the quantiles of a law as often as they should, and the quantiles are the closed forms.
func TestLaws(t *testing.T) {
	rows := []struct {
		law string
		q   float64
		at  float64 // derived by hand
	}{
		{"fixed 5ms", 0.5, 5},
		{"exponential 10ms", 0.5, 10 * math.Ln2},
		{"exponential 10ms tail 1% pareto 2", 0.9975, 10 * math.Log(100) * 2}, // a quarter of the tail lies above twice its begin
		{"uniform 10ms..20ms", 0.25, 12.5},
		{"lognormal 40ms sigma 0.5", 0.5, 40},
		{"lognormal 40ms sigma 0.5", 0.9772498680518208, 40 * math.E}, // two standard deviations
		{"pareto 10ms exponent 2", 0.75, 20},
		{"hit 80% uniform 0s..10ms | miss 20% uniform 20ms..30ms", 0.9, 25},
		{"hit 80% uniform 0s..10ms | miss 20% uniform 20ms..30ms", 0.4, 5},
	}
	for i, row := range rows {
		s := parseLeast(t, "outcome x 1% after "+row.law)
		law := &s.Arms[Baseline].Outcomes[0].Delay
		if got := quantile(row.q, law.below); math.Abs(got-row.at) > 1e-9*row.at {
			t.Errorf("%s: %g quantile %.12g; want %.12g", row.law, row.q, got, row.at)
		}
		d := newDice(uint64(i), 0)
		for _, q := range []float64{0.01, 0.3, 0.79, 0.95, 0.999} {
			at, under := quantile(q, law.below), int64(0)
			for range 20000 {
				if x, _ := law.draw(d); x <= at {
					under++
				}
			}
			within(t, fmt.Sprintf("%s up to its %g quantile", row.law, q), under, 20000, law.below(at))
		}
	}
}

// TestShape holds latencies under faults against their distribution function.
func TestShape(t *testing.T) {
	rows := []armRegime{
		{factor: 1, tail: 1}, {factor: 2, tail: 1}, {factor: 1, tail: 3}, {factor: 0.5, plus: 30, tail: 1}, {factor: 1.5, plus: -20, tail: 2},
		{factor: 0, plus: 5, tail: 1},
	}
	s := parseLeast(t, "")
	s.Arms[Canary].Latency = Law{Parts: []LawPart{{Share: 1, Kind: Lognormal, A: 40, B: 0.5}}}
	law := s.answerLaw(Canary)
	for _, r := range rows {
		d := newDice(7, 0)
		for _, x := range []float64{1, 5, 20, 40, 91, 93, 120, 200, 300} {
			under := int64(0)
			for range 5000 {
				draw, _ := law.law.draw(d)
				if law.shape(draw, &r) <= x {
					under++
				}
			}
			within(t, fmt.Sprintf("%+v up to %g", r, x), under, 5000, law.below(x, &r))
		}
	}
}

func TestMixIsABijection(t *testing.T) {
	seen := map[uint64]bool{}
	for i := range uint64(100000) {
		if x := mix(i); seen[x] {
			t.Fatalf("mix(%d) = %d was there before", i, x)
		} else {
			seen[x] = true
		}
	}
}
