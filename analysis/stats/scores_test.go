package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/windows"
)

func valuesHist(values []int32) []windows.Bucket {
	counts := map[int32]uint32{}
	for _, v := range values {
		counts[v]++
	}
	return histOf(counts)
}

// TestScores counts every way to deal a pool with ties to a part of three and a rest of four: the excess has mean 0 and the variance that is said.
func TestScores(t *testing.T) {
	pool := []int32{1, 2, 2, 3, 3, 3, 7}
	for name, of := range map[string]func(part, rest []windows.Bucket) Scores{
		"half":      func(a, b []windows.Bucket) Scores { return TailScores(a, b, 500_000) },
		"one ninth": func(a, b []windows.Bucket) Scores { return TailScores(a, b, 111_111) },
		"ranks":     RankScores,
	} {
		ways, sum, squares, variance := 0., 0., 0., 0.
		for set := range 1 << len(pool) {
			var part, rest []int32
			for i, v := range pool {
				if set>>i&1 == 1 {
					part = append(part, v)
				} else {
					rest = append(rest, v)
				}
			}
			if len(part) != 3 {
				continue
			}
			s := of(valuesHist(part), valuesHist(rest))
			ways, sum, squares, variance = ways+1, sum+s.Excess, squares+s.Excess*s.Excess, s.Variance
		}
		if mean := sum / ways; math.Abs(mean) > 1e-12 || math.Abs(squares/ways-variance) > 1e-12 || variance == 0 {
			t.Errorf("%s: mean %g, variance %g, said to be %g", name, mean, squares/ways, variance)
		}
	}
}

func TestScoresOfNothing(t *testing.T) {
	some := []windows.Bucket{{Index: 1, Count: 3}}
	for i, s := range []Scores{TailScores(nil, some, 500_000), TailScores(some, nil, 500_000), TailScores(some, some, 1), RankScores(nil, some), RankScores(some, nil)} {
		if s != (Scores{}) {
			t.Errorf("%d: %+v", i, s)
		}
	}
	if s := RankScores(some, some); s.Excess != 0 || s.Variance != 0 {
		t.Errorf("all values tie: %+v", s)
	}
}

// TestDispersionOfScores: users with ten values each, half of whose variance is the user's, have a phi of 1 + 9 times the scores' own correlation.
func TestDispersionOfScores(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	tail, ranks := NewDispersion(), NewDispersion()
	for range 2000 {
		var arms [2][]int32
		for range 20 {
			arm, user := random.IntN(2), random.NormFloat64()
			for range 10 {
				arms[arm] = append(arms[arm], int32(math.Round(100*(user+random.NormFloat64())/math.Sqrt2)))
			}
		}
		a, b := valuesHist(arms[0]), valuesHist(arms[1])
		tail.AddScores(TailScores(a, b, 500_000))
		ranks.AddScores(RankScores(a, b))
	}
	// Of a normal correlation of .5: above the median 2/pi asin .5 = 1/3, of ranks 6/pi asin .25 = .483.
	for name, x := range map[string]struct {
		d    *Dispersion
		want float64
	}{"above the median": {tail, 1 + 9./3}, "ranks": {ranks, 1 + 9*.483}} {
		point, _ := x.d.batches[0].estimate()
		if phi, measured := x.d.Phi(1); !measured || math.Abs(point/x.want-1) > .08 || phi < x.want {
			t.Errorf("%s: phi %.3g (measured: %t), its limit %.3g; want %.3g", name, point, measured, phi, x.want)
		}
	}
}
