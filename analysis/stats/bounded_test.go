package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A face is one value of a die, with its chance.
type face struct{ chance, y float64 }

// dieOf has values 0, 0.3 and 1 and this mean.
func dieOf(mean float64) []face {
	some := min(mean, 1-mean) / 2
	top := mean - 0.3*some
	return []face{{1 - some - top, 0}, {some, 0.3}, {top, 1}}
}

// rolls are all sums of n samples of the dice, one after the other.
func rolls(dice ...[]face) (chances []float64, sums []Samples) {
	chances, sums = []float64{1}, []Samples{{}}
	for _, die := range dice {
		var p []float64
		var s []Samples
		for i, so := range sums {
			for _, f := range die {
				p = append(p, chances[i]*f.chance)
				s = append(s, Samples{so.N + 1, so.Sum + f.y, so.Squares + f.y*f.y})
			}
		}
		chances, sums = p, s
	}
	return chances, sums
}

func TestBoundedNeverPaysUnderItsNull(t *testing.T) {
	inc := make([]float64, BoundedPoints)
	for _, b := range []Bounded{{Rho0: 1}, {Rho0: 0.8}, {Rho0: 1, Delta: 0.1}, {Rho0: 1, Delta: -0.1}, {Rho0: 1.2, Delta: 0.01}, {Delta: 0.3}, {Rho0: -0.5, Delta: 0.7}} {
		for _, b.Side = range []int{1, -1} {
			for _, mean := range []float64{0.15, 0.4, 0.7} {
				// The baseline's three samples differ in their means, which average mean.
				pb, baseline := rolls(dieOf(mean-0.1), dieOf(mean), dieOf(mean+0.1))
				target := b.Rho0*mean + b.Delta
				pc, canary := rolls(dieOf(target-0.05), dieOf(target+0.05))
				for _, q := range []float64{0.001, 0.1, 0.4, 0.8, 0.999} {
					for _, phi := range []float64{1, 2.5} {
						var sum [BoundedPoints]float64
						for i, c := range canary {
							for j, d := range baseline {
								if !b.Increments(inc, Values{c, d}, q, phi) {
									clear(inc)
								}
								for k, x := range inc {
									sum[k] += pc[i] * pb[j] * math.Exp(x)
								}
							}
						}
						for k, got := range sum {
							if !(got <= 1+1e-12) {
								t.Errorf("%+v, mean %v, plug-in %v, phi %v, bet %d: mean e-value %v", b, mean, q, phi, k, got)
							}
						}
					}
				}
			}
		}
	}
}

// TestBoundedIsTheLowerBoundOfItsPayments: sample by sample, the increment is at most the log of what the bet pays.
func TestBoundedIsTheLowerBoundOfItsPayments(t *testing.T) {
	r := rand.New(rand.NewPCG(82, 1))
	inc := make([]float64, BoundedPoints)
	for range 300 {
		b := Bounded{Rho0: 0.5 + r.Float64(), Delta: 0.2 * (r.Float64() - 0.5), Side: 1 - 2*r.IntN(2)}
		q := 0.2 + 0.5*r.Float64()
		nc, nb := 1+r.IntN(5), 1+r.IntN(9)
		var v Values
		var ys [2][]float64
		for i, s := range []*Samples{&v.Canary, &v.Baseline} {
			for range []int{nc, nb}[i] {
				y := math.Round(4*r.Float64()) / 4
				ys[i] = append(ys[i], y)
				*s = Samples{s.N + 1, s.Sum + y, s.Squares + y*y}
			}
		}
		if !b.Increments(inc, v, q, 1) {
			continue
		}
		qc, s := b.Rho0*q+b.Delta, b.Rho0*float64(nc)/float64(nb)
		worstC, worstB := qc, 1-q
		if b.Side < 0 {
			worstC, worstB = 1-qc, q
		}
		l := 0.9 * min(1/worstC, 1/(s*worstB))
		for j, x := range inc {
			lambda, pays := float64(b.Side)*l*math.Pow(0.6, float64(j)), 0.0
			for _, y := range ys[0] {
				pays += math.Log1p(lambda * (y - qc))
			}
			for _, y := range ys[1] {
				pays += math.Log1p(-s * lambda * (y - q))
			}
			if x > pays+1e-12 {
				t.Errorf("%+v, plug-in %v, %+v, bet %d: %v, and it pays %v", b, q, v, j, x, pays)
			}
			if small := j == BoundedPoints-1; small && math.Abs(x-pays) > 0.01*math.Abs(pays)+1e-3 {
				t.Errorf("%+v, plug-in %v, %+v: the smallest bet is %v of %v", b, q, v, x, pays)
			}
		}
	}
}

func TestBoundedSkipsWhatSaysNothing(t *testing.T) {
	some := Samples{4, 2, 1.5}
	for _, row := range []struct {
		name string
		test Bounded
		in   Values
		want bool
	}{
		{"both arms", Bounded{Rho0: 1, Side: 1}, Values{some, some}, true},
		{"no canary", Bounded{Rho0: 1, Side: 1}, Values{Samples{}, some}, false},
		{"no baseline", Bounded{Rho0: 1, Side: 1}, Values{some, Samples{}}, false},
		{"an absolute limit needs no baseline", Bounded{Delta: 0.5, Side: -1}, Values{some, Samples{}}, true},
		{"a margin beyond 1", Bounded{Rho0: 1, Delta: 0.7, Side: 1}, Values{some, some}, false},
		{"rounded sums", Bounded{Rho0: 1, Side: 1}, Values{Samples{3, 3.0000001, 3.0000002}, Samples{3, 0, 1e-7}}, true},
	} {
		inc := make([]float64, BoundedPoints)
		inc[0] = 42
		got := row.test.Increments(inc, row.in, 0.4, 1)
		if got != row.want || got != (inc[0] != 42) {
			t.Errorf("%s: %v, increments %v; want %v", row.name, got, inc, row.want)
		}
	}
	for _, s := range []Samples{{1, 2, 1}, {2, 1, 1.5}, {2, 1, 0.1}, {-1, 0, 0}, {1, math.NaN(), 0}, {1, 0.5, math.NaN()}} {
		mustPanic(t, "impossible sums", func() { Bounded{Rho0: 1, Side: 1}.Increments(make([]float64, BoundedPoints), Values{s, some}, 0.5, 1) })
	}
	mustPanic(t, "a plug-in of 1", func() { Bounded{Rho0: 1, Side: 1}.Increments(nil, Values{some, some}, 1, 1) })
}

func TestPsi(t *testing.T) {
	for _, l := range []float64{0, 1e-9, 1e-4, 9.99e-4, 1.001e-3, 0.1, 0.5, 0.9} {
		want := 0.0 // the series
		for n := 2; n < 400; n++ {
			want += math.Pow(l, float64(n)) / float64(n)
		}
		if got := psi(l); math.Abs(got-want) > 1e-10*want {
			t.Errorf("psi(%v) is %v, want %v", l, got, want)
		}
	}
}
