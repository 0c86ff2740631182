package stats

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// TestMixtureIsTheDoubleSum compares the recursion with the sum over every start and every point, written out.
func TestMixtureIsTheDoubleSum(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const points, steps, horizon = 5, 60, 30
	m := NewMixture(points)
	var incs [][]float64
	var weights []float64
	next := int64(0)
	for step := range steps {
		gap := int64(1 + r.IntN(3)) // windows that the block takes, with those skipped before it
		inc := make([]float64, points)
		for j := range inc {
			inc[j] = r.NormFloat64() * 3
		}
		incs, weights = append(incs, inc), append(weights, StartSum(next, next+gap, horizon))
		next += gap
		m.Step(inc, weights[step])
		sum, cash := 0.0, 1.0
		for from, w := range weights {
			cash -= w
			for j := range points {
				log := 0.0
				for _, later := range incs[from:] {
					log += later[j]
				}
				sum += w * math.Exp(log) / points
			}
		}
		if want := math.Log(sum + cash); math.Abs(m.LogE()-want) > 1e-9 {
			t.Fatalf("step %d: log e %v, want %v", step, m.LogE(), want)
		}
		if math.Abs(m.cash-cash) > 1e-12 {
			t.Fatalf("step %d: cash %v, want %v", step, m.cash, cash)
		}
	}
}

func TestMixtureLife(t *testing.T) {
	m := NewMixture(2)
	check := func(what string, logE, logMax, cash float64) {
		t.Helper()
		if math.Abs(m.LogE()-logE) > 1e-12 || math.Abs(m.LogMax()-logMax) > 1e-12 || math.Abs(m.cash-cash) > 1e-12 {
			t.Errorf("%s: log e %v, max %v, cash %v; want %v, %v, %v", what, m.LogE(), m.LogMax(), m.cash, logE, logMax, cash)
		}
	}
	check("before the first step", 0, 0, 1)
	m.Step([]float64{-1, -2}, 0.5)
	low := math.Log(0.25*math.Exp(-1) + 0.25*math.Exp(-2) + 0.5)
	check("evidence falls, the maximum stays", low, 0, 0.5)
	m.Step([]float64{4, 1}, 0)
	high := math.Log(0.25*math.Exp(3) + 0.25*math.Exp(-1) + 0.5)
	check("it rises", high, high, 0.5)
	m.Step([]float64{-1, 0.5}, 0.25)
	after := math.Log((0.5*math.Exp(3)+0.25)/2*math.Exp(-1) + (0.5*math.Exp(-1)+0.25)/2*math.Exp(0.5) + 0.25)
	check("a setback that doesn't eat it up", after, high, 0.25)
	m.Step([]float64{-10, -10}, 7)
	if m.cash != 0 || math.IsNaN(m.LogE()) {
		t.Errorf("staking more than there is: cash %v, log e %v", m.cash, m.LogE())
	}
	m.Step([]float64{math.Inf(-1), math.Inf(-1)}, 0)
	if !math.IsInf(m.LogE(), -1) || m.LogMax() != high {
		t.Errorf("all lost: log e %v, max %v", m.LogE(), m.LogMax())
	}
	mustPanic(t, "too few increments", func() { m.Step([]float64{1}, 0) })
	mustPanic(t, "negative weight", func() { m.Step([]float64{1, 1}, -1) })
	mustPanic(t, "NaN", func() { m.Step([]float64{1, math.NaN()}, 0) })
}

// TestMixtureAnew: whoever begins anew when it suits best has no more than a fair game. All outcomes of ten fair blocks are enumerated.
func TestMixtureAnew(t *testing.T) {
	const blocks, alpha = 10, .2
	var expected, crossed float64
	for path := range 1 << blocks {
		m, stake, from, proven := NewMixture(2), 1.0, 0, false
		for i := range blocks {
			won := path>>i&1 == 1
			inc := []float64{math.Log(.5), math.Log(.2)}
			if won {
				inc = []float64{math.Log(1.5), math.Log(1.8)}
			}
			m.Step(inc, stake*StartSum(int64(i-from), int64(i-from+1), 100))
			proven = proven || m.LogE() >= math.Log(1/alpha)
			if m.LogE() < -.5 && from < i-1 { // it goes badly
				cash := m.cash
				if stake, from = m.Anew(), i+1; stake != cash || m.LogE() != math.Log(cash) || m.LogMax() != 0 {
					t.Fatalf("anew: stake %v of %v, log e %v, max %v", stake, cash, m.LogE(), m.LogMax())
				}
			}
		}
		expected += math.Exp(m.LogE()) / (1 << blocks)
		if proven {
			crossed += 1. / (1 << blocks)
		}
	}
	if expected > 1 || expected < .5 || crossed > alpha || crossed == 0 {
		t.Errorf("expected evidence %.4f, proven with a chance of %.4f", expected, crossed)
	}
	i, n := NewInsured(2, 2), NewMixture(2)
	for range 3 {
		i.Step([]float64{1, 2}, []float64{.5, 1}, .2)
		n.Step([]float64{1, 2}, .2)
	}
	if a, b := i.Anew(), n.Anew(); a != b || math.Abs(i.LogE()-n.LogE()) > 1e-12 || i.LogMax() != 0 {
		t.Errorf("insured: stake %v, log e %v, want %v and %v", a, i.LogE(), b, n.LogE())
	}
}

// TestMixtureIsAProductForAPass: weight 1 first and 0 after is the mean of plain products.
func TestMixtureIsAProductForAPass(t *testing.T) {
	m := NewMixture(2)
	for i, inc := range [][]float64{{1, -800}, {2, -900}, {-700, 1700.5}} {
		m.Step(inc, []float64{1, 0, 0}[i])
	}
	if want := 0.5 - math.Ln2; math.Abs(m.LogE()-want) > 1e-12 {
		t.Errorf("log e %v, want %v: a point far down must be able to come back", m.LogE(), want)
	}
}

// TestMixtureFindsLateHarm: harm after a healthy stretch, by the starts within it.
func TestMixtureFindsLateHarm(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	test := Linear{Rho0: 1, Side: 1, Grid: IncidentGrid}
	m, inc := NewMixture(8), make([]float64, 8)
	const onset = 400
	for at := range int64(440) {
		rate := 0.002
		if at >= onset {
			rate = 0.02
		}
		test.Increments(inc, Counts{500, poisson(r, 500*rate), 4500, poisson(r, 9)}, 1, 1)
		m.Step(inc, StartWeight(at, 2000))
	}
	if m.LogE() < 20 {
		t.Errorf("log e %v", m.LogE())
	}
}

func TestStartSum(t *testing.T) {
	direct := func(from, to, horizon int64) float64 {
		sum := 0.0
		for s := from; s < to; s++ {
			if s == 0 {
				sum += 0.5
			}
			if s < horizon {
				sum += 1 / (4 * float64(horizon))
			}
			l := math.Log(float64(s + 2))
			sum += 1 / (4 * startSeries * float64(s+2) * l * l)
		}
		return sum
	}
	for _, row := range []struct{ from, to, horizon int64 }{
		{0, 1, 100}, {0, 50, 100}, {0, 5000, 100}, {99, 101, 100}, {253, 255, 10}, {250, 400, 300}, {254, 319, 10}, {254, 318, 10},
		{1000, 1070, 86_400}, {86_000, 90_000, 86_400}, {9_999_000, 10_000_000, 1}, {9_000_000, 10_000_000, 86_400}, {5, 5, 9}, {9, 3, 9},
	} {
		got, want := StartSum(row.from, row.to, row.horizon), direct(row.from, row.to, row.horizon)
		if math.Abs(got-want) > 1e-11*want {
			t.Errorf("windows %d to %d, horizon %d: %v, want %v", row.from, row.to, row.horizon, got, want)
		}
	}
	if got, want := StartWeight(0, 0), StartWeight(0, 1); got != want {
		t.Errorf("horizon 0 is %v, horizon 1 %v", got, want)
	}
	mustPanic(t, "before the start", func() { StartSum(-1, 3, 10) })
}

// TestStartWeightsAddUp: never more than 1 however long and however cut up, and 1 in the limit.
func TestStartWeightsAddUp(t *testing.T) {
	for _, horizon := range []int64{1, 2000, 86_400, 1 << 40} {
		for _, steps := range [][]int64{{1 << 62}, {1, 7, 300, 10_000, 1 << 20, 1 << 62}} {
			from, sum := int64(0), 0.0
			for _, to := range steps {
				sum += StartSum(from, to, horizon)
				from = to
			}
			// What is missing is the tail of the series, about 1/(4 Z log(2^62)).
			want := 1 - 1/(4*startSeries*62*math.Ln2)
			if sum > 1 || math.Abs(sum-want) > 1e-9 {
				t.Errorf("horizon %d in %d steps: %v, want %v", horizon, len(steps), sum, want)
			}
		}
	}
}

// TestStartSeries checks the constant by summing 2^14 terms in 200 bits and adding the tail's Euler-Maclaurin value.
func TestStartSeries(t *testing.T) {
	const terms = 1 << 14
	sum := new(big.Float).SetPrec(200)
	for n := 2; n < terms; n++ {
		l := math.Log(float64(n))
		sum.Add(sum, big.NewFloat(1/(float64(n)*l*l)))
	}
	s, _ := sum.Float64()
	x := float64(terms)
	got := s + 1/math.Log(x) + seriesTerm(x)/2 - seriesFirst(x)/12 + seriesThird(x)/720
	if math.Abs(got-startSeries) > 1e-14 {
		t.Errorf("the series adds up to %.17g, the constant is %.17g", got, startSeries)
	}
}
