package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// chiSquareLow is the 5 % point of chi-square by degrees of freedom, from tables.
var chiSquareLow = map[int]float64{3: 0.3518, 7: 2.1673, 14: 6.5706, 70: 51.7393}

// TestSpreadLimit holds the limit against a direct computation, and the cube root against the tables' points.
func TestSpreadLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(44, 1))
	const parts = 8
	s := NewSpread(parts)
	var windows [][2][parts]float64
	for i := range 1300 {
		var w [2][parts]float64
		for part := range parts {
			w[0][part] = float64(int(50) << part)
			w[1][part] = min(w[0][part], negativeBinomial(r, .02*w[0][part], 3))
		}
		windows = append(windows, w)
		s.Add(w[0][:], w[1][:])
		if i%37 != 0 && i != 1299 {
			continue
		}
		all, few := 1.0, 1.0
		for _, size := range dispersionSizes {
			limit := spreadTwin(windows, size)
			all = max(all, limit)
			if (i+1)/size < dispersionBatches {
				few = max(few, limit)
			}
		}
		if got, _ := s.Phi(1); math.Abs(got-all) > 1e-9*all {
			t.Fatalf("after %d windows: limit %v, want %v", i+1, got, all)
		}
		if got, want := s.Window(), max(1, spreadTwin(windows, 1)); math.Abs(got-want) > 1e-9*want {
			t.Fatalf("after %d windows: limit within a window %v, want %v", i+1, got, want)
		}
		if got := s.Few(); math.Abs(got-few) > 1e-9*few {
			t.Fatalf("after %d windows: limit of sizes with few batches %v, want %v", i+1, got, few)
		}
	}
	for nu, point := range chiSquareLow {
		b := spreadBatch{u: float64(nu), v: float64(nu), vv: float64(nu)}            // phi is 1
		if got, want := limitOf(&b), float64(nu)/point; math.Abs(got/want-1) > .08 { // the cube root is good from five on
			t.Errorf("%d degrees of freedom: limit %.3f, want %.3f", nu, got, want)
		}
	}
}

func limitOf(b *spreadBatch) float64 {
	limit, _ := b.limit()
	return limit
}

// TestSpreadPrior: the prior holds until 200 events were seen in 50 windows, and where too few parts have anything for a size of batches to speak.
func TestSpreadPrior(t *testing.T) {
	wide, narrow := []float64{400, 400, 400, 400, 400, 400, 400, 400}, []float64{3200, 3200, 0, 0, 0, 0, 0, 0}
	for _, tt := range []struct {
		name     string
		n, k     []float64
		windows  int
		measured bool
	}{
		{"50 windows, 400 events", wide, []float64{1, 1, 1, 1, 1, 1, 1, 1}, 50, true},
		{"49 windows", wide, []float64{1, 1, 1, 1, 1, 1, 1, 1}, 49, false},
		{"100 events", wide, []float64{1, 1, 0, 0, 0, 0, 0, 0}, 50, false},
		{"two parts, 50 windows", narrow, []float64{4, 4, 0, 0, 0, 0, 0, 0}, 50, false},
		{"two parts, four batches of 125", narrow, []float64{4, 4, 0, 0, 0, 0, 0, 0}, 500, true},
	} {
		s := NewSpread(8)
		for range tt.windows {
			s.Add(tt.n, tt.k)
		}
		if phi, measured := s.Phi(1.5); measured != tt.measured || !measured && phi < 1.5 {
			t.Errorf("%s: phi %v, measured %v", tt.name, phi, measured)
		}
	}
}

// spreadTwin computes the limit for one size of batches, the last of which may be open.
func spreadTwin(windows [][2][8]float64, size int) float64 {
	var u, v, vv float64
	for from := 0; from < len(windows); from += size {
		var n, k [8]float64
		var all, events float64
		for _, w := range windows[from:min(from+size, len(windows))] {
			for part := range n {
				n[part] += w[0][part]
				k[part] += w[1][part]
				all += w[0][part]
				events += w[1][part]
			}
		}
		p := events / all
		for part := range n {
			mu := p * n[part]
			u += math.Pow(k[part]-mu, 2) / (mu + 1)
			one := p * (1 - p) * n[part] * (1 - n[part]/all) / (mu + 1)
			v, vv = v+one, vv+one*one
		}
	}
	a := 2 / (9 * v * v / vv)
	return u / v / math.Pow(1-a-1.645*math.Sqrt(a), 3)
}

// TestSpreadFindsPhi: in the first window already the limit covers a known dispersion in nearly all runs, and is no larger than it must be.
func TestSpreadFindsPhi(t *testing.T) {
	r := rand.New(rand.NewPCG(45, 1))
	const runs = 300
	for _, phi := range []float64{1, 4, 12} {
		for _, windows := range []int{1, 5} {
			below, mean := 0, 0.0
			for range runs {
				s := NewSpread(8)
				for range windows {
					var n, k [8]float64
					for part := range n {
						n[part] = 12800 / math.Exp2(float64(min(part+1, 7)))
						k[part] = min(n[part], negativeBinomial(r, .05*n[part], phi))
					}
					s.Add(n[:], k[:])
				}
				limit, _ := s.Phi(1)
				mean += limit / runs
				if limit < .95*phi { // a binomial's variance has the factor 1-p
					below++
				}
			}
			if most := binomialLimit(runs, .12); below > most || mean > 5*phi {
				t.Errorf("dispersion %v, %d windows: limit too low in %d of %d runs (at most %d), on average %.2f", phi, windows, below, runs, most, mean)
			}
		}
	}
}

func TestSpreadOfNothing(t *testing.T) {
	s := NewSpread(8)
	none := make([]float64, 8)
	s.Add(none, none)
	s.Add([]float64{9, 8, 7, 6, 5, 4, 3, 2}, none)
	if got, measured := s.Phi(1); got != 1 || measured {
		t.Errorf("without events the limit is %v (%v), want 1", got, measured)
	}
	mustPanic(t, "more events than exposures", func() { NewSpread(1).Add([]float64{1}, []float64{2}) })
}
