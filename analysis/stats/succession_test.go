package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// successionTwin computes the limit for one size of batches in two passes, from all pairs of neighbours but the one with the largest U.
func successionTwin(windows [][2]float64, size int) (limit float64, pairs int) {
	var us, vs []float64
	var last [2]float64
	largest := -1
	for i := 0; i+size <= len(windows); i += size {
		var now [2]float64
		for _, w := range windows[i : i+size] {
			now[0], now[1] = now[0]+w[0], now[1]+w[1]
		}
		if last[0] > 0 {
			p := (now[1] + last[1]) / (now[0] + last[0])
			us = append(us, math.Pow(now[1]/now[0]-last[1]/last[0], 2))
			vs = append(vs, p*(1-p)*(1/now[0]+1/last[0]))
			if u := us[len(us)-1]; largest < 0 || u > us[largest] {
				largest = len(us) - 1
			}
		}
		last = now
	}
	if pairs = len(us); pairs < 10 {
		return 1, pairs
	}
	us[largest], vs[largest] = 0, 0
	u, v, squares := 0.0, 0.0, 0.0
	for i := range us {
		u, v = u+us[i], v+vs[i]
	}
	for i := range us {
		squares += math.Pow(us[i]-u/v*vs[i], 2)
	}
	m := float64(pairs)
	return u/v + 1.645*math.Sqrt(m/(m-1)*squares)/v, pairs
}

func TestSuccessionLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(46, 1))
	var s Succession
	var windows [][2]float64
	for i := range 1500 {
		n := float64(500 + r.IntN(500))
		w := [2]float64{n, min(n, negativeBinomial(r, .03*n, 4))}
		windows = append(windows, w)
		s.Add(w[0], w[1])
		s.Add(0, 0) // left out
		if i%83 != 0 && i < 1498 {
			continue
		}
		want := 1.0
		for _, size := range dispersionSizes {
			limit, _ := successionTwin(windows, size)
			want = max(want, limit)
		}
		got, measured := s.Phi(1)
		if math.Abs(got-want) > 1e-9*want || measured != (i+1 >= 50) {
			t.Fatalf("after %d windows: %v, measured %v; want %v", i+1, got, measured, want)
		}
	}
	if phi, _ := new(Succession).Phi(3); phi != 3 {
		t.Errorf("before anything was seen phi is %v, want the prior", phi)
	}
	mustPanic(t, "more events than exposures", func() { s.Add(1, 2) })
}

// TestSuccessionSeesClumpsNotChanges: clumps count, also such as last over windows; a rate that drifts, or changes once, hardly does.
func TestSuccessionSeesClumpsNotChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(47, 1))
	const windows, n = 1000, 1000.
	run := func(events func(i int) float64) float64 {
		var s Succession
		for i := range windows {
			s.Add(n, min(n, events(i)))
		}
		phi, _ := s.Phi(1)
		return phi
	}
	level := 0.
	for _, row := range []struct {
		name        string
		events      func(i int) float64
		least, most float64
	}{
		{"independent", func(int) float64 { return poisson(r, 10) }, 1, 2.5},
		{"clumps of 8", func(int) float64 { return negativeBinomial(r, 10, 8) }, 7, 16},
		{"noise that lasts", func(int) float64 { level = .8*level + r.NormFloat64(); return poisson(r, 10*math.Exp(.3*level)) }, 4, 40},
		{"a drift of half up and down", func(i int) float64 { return poisson(r, 10*(1+.5*math.Sin(float64(i)/150))) }, 1, 12},
		{"five times as many from some window on", func(i int) float64 {
			if i < 700 {
				return poisson(r, 10)
			}
			return poisson(r, 50)
		}, 1, 4},
	} {
		if phi := run(row.events); phi < row.least || phi > row.most {
			t.Errorf("%s: phi %.2f, want %v to %v", row.name, phi, row.least, row.most)
		}
	}
}

// TestSuccessionBreak: what begins anew is held against nothing that was, and few pairs are known to be few.
func TestSuccessionBreak(t *testing.T) {
	var s Succession
	if few := s.Few(); !math.IsInf(few, 1) {
		t.Errorf("of nothing: a limit of %v", few)
	}
	random := rand.New(rand.NewPCG(5, 17))
	for _, share := range []float64{.01, .05, .2, .5, .05, .4} {
		s.Break()
		for range 30 {
			n := 0.0
			for range 500 {
				if random.Float64() < share {
					n++
				}
			}
			s.Add(500, n)
		}
	}
	if phi, measured := s.Phi(1); !measured || phi > 2 || s.Few() != 1 {
		t.Errorf("six shares, each of its own: phi %v, %v, few %v", phi, measured, s.Few())
	}
	s = Succession{}
	for _, k := range []float64{10, 0, 0, 0, 10, 0} { // a clump of ten now and then
		s.Add(200, k)
	}
	if few := s.Few(); few < 10 {
		t.Errorf("two clumps of ten: a limit of %v", few)
	}
}
