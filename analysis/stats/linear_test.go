package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The nulls on whose boundary expectations are taken: no margin, a ratio, a difference, both, an absolute limit.
var linearNulls = []Linear{{Rho0: 1}, {Rho0: 0.8}, {Rho0: 1, Delta: 0.05}, {Rho0: 1.2, Delta: 0.01}, {Delta: 0.1}}

// eachLinear calls do for every null, side and pair of dispersion factors.
func eachLinear(do func(l Linear, phi [2]float64)) {
	for _, l := range linearNulls {
		for _, l.Side = range []int{1, -1} {
			l.Grid = []float64{0.01, 0.1, 0.5, 1, 3}
			for _, phi := range [][2]float64{{1, 1}, {1.5, 1.5}, {1, 3}, {4, 1.2}, {1 + 1e-10, 1 + 1e-7}} {
				do(l, phi)
			}
		}
	}
}

// A law has the log probabilities of 0, 1, … events.
type law []float64

// pays is the expectation of e^f(k). It is NaN when the law, which is cut off, ends before the sum has converged.
func (l law) pays(f func(k float64) float64) float64 {
	sum, last := 0.0, 0.0
	for k, p := range l {
		last = math.Exp(p + f(float64(k)))
		sum += last
	}
	if last > 1e-13*sum && len(l) == lawEnd {
		return math.NaN()
	}
	return sum
}

// lawEnd is where the infinite laws are cut off.
const lawEnd = 700

func binomialLaw(n int, p float64) law {
	var l law
	for k := range n + 1 {
		if p == 0 && k > 0 {
			return l
		}
		lg := func(x int) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
		log := lg(n) - lg(k) - lg(n-k)
		if k > 0 {
			log += float64(k) * math.Log(p)
		}
		if k < n {
			log += float64(n-k) * math.Log1p(-p)
		}
		l = append(l, log)
	}
	return l
}

func poissonLaw(mean float64) law {
	l := law{-mean}
	for k := 1; k < lawEnd; k++ {
		l = append(l, l[k-1]+math.Log(mean/float64(k)))
	}
	return l
}

func negativeBinomialLaw(mean, phi float64) law {
	if phi-1 < 1e-6 {
		return poissonLaw(mean)
	}
	r, q := mean/(phi-1), 1-1/phi
	l := law{-r * math.Log(phi)}
	for k := 1; k < lawEnd; k++ {
		l = append(l, l[k-1]+math.Log(q*(r+float64(k)-1)/float64(k)))
	}
	return l
}

// payoff is the expectation of one bet's e-value when the arms' counts are independent with these laws: the increments are sums over the
// arms, so it is a product.
func payoff(l Linear, x float64, n [2]float64, phi [2]float64, canary, baseline law) float64 {
	l.Grid = []float64{x}
	inc := func(kc, kb float64) float64 {
		var inc [1]float64
		l.Increments(inc[:], Counts{n[0], kc, n[1], kb}, phi[0], phi[1])
		return inc[0]
	}
	none := inc(0, 0)
	return canary.pays(func(k float64) float64 { return inc(k, 0) }) * baseline.pays(func(k float64) float64 { return inc(0, k) - none })
}

func TestLinearNeverPaysUnderItsNull(t *testing.T) {
	eachLinear(func(l Linear, phi [2]float64) {
		for _, n := range [][2]int{{1, 1}, {1, 7}, {5, 2}, {4, 9}} {
			for _, pb := range []float64{0, 0.003, 0.1, 0.4, 0.75} {
				pc := l.Rho0*pb + l.Delta
				if pc > 1 {
					continue
				}
				for _, x := range l.Grid {
					got := payoff(l, x, [2]float64{float64(n[0]), float64(n[1])}, phi, binomialLaw(n[0], pc), binomialLaw(n[1], pb))
					if got > 1+1e-12 {
						t.Errorf("%+v phi %v, n %v, rate %v, bet %v: mean e-value %v", l, phi, n, pb, x, got)
					}
				}
			}
		}
	})
}

func TestLinearPaysExactlyOneForNegativeBinomialCounts(t *testing.T) {
	all, converged := 0, 0
	eachLinear(func(l Linear, phi [2]float64) {
		for _, n := range [][2]float64{{1, 30}, {12.5, 12.5}, {40, 3}} {
			for _, pb := range []float64{0.004, 0.1} {
				pc := l.Rho0*pb + l.Delta
				canary, baseline := negativeBinomialLaw(pc*n[0], phi[0]), negativeBinomialLaw(pb*n[1], phi[1])
				for _, x := range l.Grid {
					got := payoff(l, x, n, phi, canary, baseline)
					all++
					if math.IsNaN(got) { // a large bet's expectation takes millions of terms to converge
						continue
					}
					converged++
					slack := 1e-9
					if phi[0] < 1+1e-6 && phi[1] < 1+1e-6 {
						slack = 1e-5 // the law is taken as Poisson, a little less dispersed than tested for
					}
					if got > 1+1e-9 || got < 1-slack {
						t.Errorf("%+v phi %v, n %v, rate %v, bet %v: mean e-value %v, want 1", l, phi, n, pb, x, got)
					}
				}
			}
		}
	})
	if converged < all*3/4 {
		t.Errorf("only %d of %d expectations converged", converged, all)
	}
}

func TestLinearPaysLessForSmallerDispersion(t *testing.T) {
	l := Linear{Rho0: 1, Side: 1}
	for _, side := range []int{1, -1} {
		for _, truth := range []float64{1, 1.3, 2} {
			l.Side = side
			law := negativeBinomialLaw(0.8, truth)
			if got := payoff(l, 1, [2]float64{8, 8}, [2]float64{3, 2.5}, law, law); got > 1+1e-9 {
				t.Errorf("side %d, dispersion %v, tested at 3 and 2.5: mean e-value %v", side, truth, got)
			}
		}
	}
}

func TestLinearBetsStayInsideTheirDomain(t *testing.T) {
	for _, s := range []float64{0, 1e-9, 0.01, 1, 100, 1e9} {
		for _, phiC := range []float64{1, 1 + 1e-9, 1.5, 50} {
			for _, phiB := range []float64{1, 1.0001, 3, 80} {
				for _, x := range []float64{-30, -3, -0.005, 0.005, 3, 30} {
					lambda := betAt(x).on(s, phiC, phiB)
					for _, f := range []float64{factor(1, lambda, phiC), factor(1, -s*lambda, phiB)} {
						if math.IsNaN(f) || math.IsInf(f, 0) {
							t.Errorf("s %v, phi %v %v, x %v: lambda %v pays %v", s, phiC, phiB, x, lambda, f)
						}
					}
				}
			}
		}
	}
}

func TestLinearSkipsWhatSaysNothing(t *testing.T) {
	for _, row := range []struct {
		name string
		test Linear
		in   Counts
		want bool
	}{
		{"both arms", Linear{Rho0: 1, Side: 1}, Counts{5, 0, 5, 0}, true},
		{"no canary", Linear{Rho0: 1, Side: 1}, Counts{0, 0, 5, 1}, false},
		{"no baseline", Linear{Rho0: 1, Side: 1}, Counts{5, 1, 0, 0}, false},
		{"an absolute limit needs no baseline", Linear{Delta: 0.1, Side: 1}, Counts{5, 1, 0, 0}, true},
		{"an absolute limit without canary", Linear{Delta: 0.1, Side: -1}, Counts{0, 0, 5, 1}, false},
	} {
		row.test.Grid = []float64{1}
		inc := []float64{42}
		got := row.test.Increments(inc, row.in, 1, 1)
		if got != row.want || got != (inc[0] != 42) {
			t.Errorf("%s: %v, increments %v; want %v", row.name, got, inc, row.want)
		}
	}
}

func TestLinearRefusesImpossibleCounts(t *testing.T) {
	for _, c := range []Counts{{-1, 0, 1, 0}, {1, math.NaN(), 1, 0}, {1, 0, math.Inf(1), 0}} {
		mustPanic(t, fmt.Sprint(c), func() { Linear{Rho0: 1, Side: 1, Grid: IncidentGrid}.Increments(make([]float64, 8), c, 1, 1) })
	}
	mustPanic(t, "side 0", func() { Linear{Rho0: 1}.Increments(nil, Counts{1, 1, 1, 1}, 1, 1) })
}

func mustPanic(t *testing.T, what string, do func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	do()
}

func TestLinearSumsInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var blocks []Counts
	for range 50 {
		blocks = append(blocks, Counts{1 + float64(r.IntN(100)), float64(r.IntN(5)), 1 + float64(r.IntN(1000)), float64(r.IntN(20))})
	}
	sum := func() []float64 {
		total, inc := make([]float64, 8), make([]float64, 8)
		for _, c := range blocks {
			Linear{Rho0: 1, Delta: 0.005, Side: 1, Grid: IncidentGrid}.Increments(inc, c, 1.5, 1.2)
			for j, x := range inc {
				total[j] += x
			}
		}
		return total
	}
	want := sum()
	r.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
	if got := sum(); !slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-10 }) {
		t.Errorf("shuffled %v, in order %v", got, want)
	}
}

func TestGrid(t *testing.T) {
	for _, row := range []struct{ got, want []float64 }{
		{Grid(1, 100, 3), []float64{1, 10, 100}},
		{Grid(2, 2, 2), []float64{2, 2}},
		{Grid(0.5, 9, 1), []float64{0.5}},
	} {
		if !slices.EqualFunc(row.got, row.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-12 }) {
			t.Errorf("got %v, want %v", row.got, row.want)
		}
	}
	mustPanic(t, "lo 0", func() { Grid(0, 1, 3) })
	mustPanic(t, "falling", func() { Grid(2, 1, 3) })
}

// TestLinearPrepared: to work the bets out beforehand changes no bit.
func TestLinearPrepared(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	eachLinear(func(l Linear, phi [2]float64) {
		c := Counts{1 + float64(r.IntN(100)), float64(r.IntN(5)), 1 + float64(r.IntN(1000)), float64(r.IntN(20))}
		want, got := make([]float64, len(l.Grid)), make([]float64, len(l.Grid))
		l.Increments(want, c, phi[0], phi[1])
		l.Prepared().Increments(got, c, phi[0], phi[1])
		if !slices.Equal(got, want) {
			t.Errorf("%+v phi %v, %+v: %v, want %v", l, phi, c, got, want)
		}
	})
}
