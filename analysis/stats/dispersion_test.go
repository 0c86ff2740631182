package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// limitTwin computes phi's upper limit for one batch size from the windows, in two passes.
func limitTwin(windows [][4]float64, size int) (limit float64, batches int) {
	var us, vs []float64
	for i := 0; i+size <= len(windows); i += size {
		var n1, k1, n2, k2 float64
		for _, w := range windows[i : i+size] {
			n1, k1, n2, k2 = n1+w[0], k1+w[1], n2+w[2], k2+w[3]
		}
		p := (k1 + k2) / (n1 + n2)
		us, vs = append(us, math.Pow(k1/n1-k2/n2, 2)), append(vs, p*(1-p)*(1/n1+1/n2))
	}
	u, v, squares := 0.0, 0.0, 0.0
	for i := range us {
		u, v = u+us[i], v+vs[i]
	}
	for i := range us {
		squares += math.Pow(us[i]-u/v*vs[i], 2)
	}
	m := float64(len(us))
	return u/v + 1.645*math.Sqrt(m/(m-1)*squares)/v, len(us)
}

func TestDispersionBatches(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 1))
	d := NewDispersion()
	var windows [][4]float64
	wobble := 0.0
	for i := range 1300 {
		wobble = 0.9*wobble + 0.05*r.NormFloat64() // noise that lasts longer than a window
		n1, n2 := float64(100+r.IntN(100)), float64(2000+r.IntN(500))
		w := [4]float64{n1, binomial(r, n1, 0.05*math.Exp(wobble)), n2, binomial(r, n2, 0.05)}
		windows = append(windows, w)
		d.Add(w[0], w[1], w[2], w[3])
		d.Add(0, 0, 500, 3) // an empty shard is left out
		if i%10 != 9 && i < 1249 {
			continue
		}
		want := 1.0
		for _, size := range []int{1, 5, 25, 125} {
			if limit, batches := limitTwin(windows, size); batches >= 10 {
				want = max(want, limit)
			}
		}
		if got := d.limit(); math.Abs(got-want) > 1e-9*want {
			t.Fatalf("after %d windows: limit %v, want %v", i+1, got, want)
		}
	}
	if single, se := d.batches[0].estimate(); d.limit() < 1.3*(single+1.645*se) {
		t.Errorf("the limit %v is hardly above that of single windows, %v ± %v", d.limit(), single, se)
	}
}

func TestDispersionPrior(t *testing.T) {
	feed := func(windows int, n1, k1, n2, k2 float64) *Dispersion {
		d := NewDispersion()
		for range windows {
			d.Add(n1, k1, n2, k2)
		}
		return d
	}
	for _, row := range []struct {
		name     string
		d        *Dispersion
		prior    float64
		phi      float64
		measured bool
	}{
		{"nothing seen", NewDispersion(), 1.5, 1.5, false},
		{"a prior below 1", NewDispersion(), 0.2, 1, false},
		{"enough events, too few windows", feed(49, 1000, 10, 9000, 90), 1.5, 1.5, false},
		{"enough windows, too few events", feed(199, 100, 1, 900, 9), 1.5, 1.5, false},
		{"enough of both: no dispersion is 1, whatever the prior", feed(200, 100, 1, 900, 9), 1.5, 1, true},
		{"no events at all", feed(5000, 100, 0, 900, 0), 1.5, 1.5, false},
		// U is 0.09², V is 0.019 * 0.981 * (1/1000 + 1/9000), the same in each window.
		{"strong noise counts before it is measured", feed(12, 1000, 100, 9000, 90), 1.5, 0.0081 / (0.019 * 0.981 / 900), false},
	} {
		phi, measured := row.d.Phi(row.prior)
		if math.Abs(phi-row.phi) > 0.001 || measured != row.measured {
			t.Errorf("%s: %v, measured %v; want %v, %v", row.name, phi, measured, row.phi, row.measured)
		}
	}
	mustPanic(t, "more events than exposures", func() { NewDispersion().Add(1, 2, 5, 0) })
}

// TestDispersionFindsPhi: clumped events of a known dispersion, in rates and in sizes; the limit covers it in nearly all runs.
func TestDispersionFindsPhi(t *testing.T) {
	r := rand.New(rand.NewPCG(42, 1))
	const runs, windows = 30, 250
	for _, phi := range []float64{1, 2, 4} {
		ratePoint, sizePoint := 0.0, 0.0
		rateBelow, sizeBelow := 0, 0
		for range runs {
			rates, sizes := NewDispersion(), NewDispersion()
			for range windows {
				rates.Add(1000, min(1000, negativeBinomial(r, 20, phi)), 9000, min(9000, negativeBinomial(r, 180, phi)))
				sizes.AddSizes(negativeBinomial(r, 50, phi), negativeBinomial(r, 450, phi), 0.1)
			}
			point, _ := rates.batches[0].estimate()
			ratePoint += point / runs
			point, _ = sizes.batches[0].estimate()
			sizePoint += point / runs
			if rates.limit() < phi*0.98 { // a binomial's variance has the factor 1-p
				rateBelow++
			}
			if sizes.limit() < phi {
				sizeBelow++
			}
		}
		if math.Abs(ratePoint/phi-1) > 0.07 || math.Abs(sizePoint/phi-1) > 0.07 {
			t.Errorf("dispersion %v: mean points %v of rates, %v of sizes", phi, ratePoint, sizePoint)
		}
		if limit := binomialLimit(runs, 0.1); phi > 1 && (rateBelow > limit || sizeBelow > limit) {
			t.Errorf("dispersion %v: limits too low in %d and %d of %d runs", phi, rateBelow, sizeBelow, runs)
		}
	}
}

// TestDispersionPoint: the point is what the noise is, not a limit of it; nothing before there is enough.
func TestDispersionPoint(t *testing.T) {
	r := rand.New(rand.NewPCG(43, 1))
	for _, clump := range []float64{1, 4} {
		d := NewDispersion()
		for i := range 4000 {
			d.Add(400, clump*binomial(r, 400/clump, .05), 2000, clump*binomial(r, 2000/clump, .05))
			if phi, measured := d.Point(); i < 48 && (measured || phi != 1) {
				t.Fatalf("clumps of %v: %v after %d windows", clump, phi, i+1)
			}
		}
		point, measured := d.Point()
		if limit, _ := d.Phi(1); !measured || math.Abs(point/clump-1) > .15 || point >= limit {
			t.Errorf("clumps of %v: point %v, limit %v", clump, point, limit)
		}
	}
}
