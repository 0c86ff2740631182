package certify

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func testDice(seed uint64) dice { return dice{testSource(seed)()} }

func testSource(seed uint64) func() *rand.Rand { return sourceOf(seed, 77) }

// sourceOf starts the same numbers anew at each call.
func sourceOf(seed, run uint64) func() *rand.Rand {
	return func() *rand.Rand { return rand.New(rand.NewPCG(seed, run)) }
}

// TestCountsHaveTheirLaws holds the draws against exact chances, by chi-square over their likeliest values.
func TestCountsHaveTheirLaws(t *testing.T) {
	const draws = 60_000
	binomial := func(n int64, p float64) func(k int) float64 {
		return func(k int) float64 {
			if k > int(n) {
				return 0
			}
			return binomialChance(int(n), k, p)
		}
	}
	poisson := func(mean float64) func(k int) float64 {
		return func(k int) float64 {
			return math.Exp(float64(k)*math.Log(mean) - mean - logFactorial(float64(k)))
		}
	}
	pascal := func(mean, phi float64) func(k int) float64 {
		r := mean / (phi - 1)
		return func(k int) float64 {
			x := float64(k)
			return math.Exp(logGamma(x+r) - logGamma(r) - logFactorial(x) + r*math.Log(1/phi) + x*math.Log(1-1/phi))
		}
	}
	for _, c := range []struct {
		name  string
		draw  func(d dice) int64
		law   func(k int) float64
		until int
	}{
		{"few of many", func(d dice) int64 { return d.binomial(1000, .003) }, binomial(1000, .003), 20},
		{"many of many", func(d dice) int64 { return d.binomial(1000, .05) }, binomial(1000, .05), 100},
		{"most", func(d dice) int64 { return d.binomial(90, .8) }, binomial(90, .8), 91},
		{"all or none", func(d dice) int64 { return d.binomial(1, .4) }, binomial(1, .4), 2},
		{"few", func(d dice) int64 { return d.poisson(2.5) }, poisson(2.5), 20},
		{"many", func(d dice) int64 { return d.poisson(40) }, poisson(40), 100},
		{"clumped", func(d dice) int64 { return d.negativeBinomial(6, 4) }, pascal(6, 4), 60},
	} {
		counts := make([]float64, c.until)
		d := testDice(5)
		for range draws {
			if k := c.draw(d); int(k) < c.until {
				counts[k]++
			}
		}
		sum, free := 0.0, 0.0
		for k, n := range counts {
			if want := draws * c.law(k); want >= 10 {
				sum += (n - want) * (n - want) / want
				free++
			}
		}
		if z := (sum - free) / math.Sqrt(2*free); math.Abs(z) > 4 {
			t.Errorf("%s: chi-square %.1f over %v values", c.name, sum, free)
		}
	}
}

func TestRealNumbersHaveTheirMoments(t *testing.T) {
	const draws = 60_000
	for _, c := range []struct {
		name           string
		draw           func(d dice) float64
		mean, variance float64
	}{
		{"gamma 2.5", func(d dice) float64 { return d.gamma(2.5) }, 2.5, 2.5},
		{"gamma 0.3", func(d dice) float64 { return d.gamma(.3) }, .3, .3},
		{"beta", func(d dice) float64 { return d.beta(2, 6) }, .25, 2. * 6 / (64 * 9)},
		{"beta of almost nothing", func(d dice) float64 { return d.beta(.001, .003) }, .25, .25 * .75 / 1.004},
	} {
		d, sum, squares := testDice(6), 0.0, 0.0
		for range draws {
			x := c.draw(d)
			sum, squares = sum+x, squares+(x-c.mean)*(x-c.mean)
		}
		if z := (sum/draws - c.mean) / math.Sqrt(c.variance/draws); math.Abs(z) > 4 {
			t.Errorf("%s: mean %v, want %v", c.name, sum/draws, c.mean)
		}
		if got := squares / draws; math.Abs(got/c.variance-1) > .08 {
			t.Errorf("%s: variance %v, want %v", c.name, got, c.variance)
		}
	}
}

func TestLogFactorial(t *testing.T) {
	for _, n := range []float64{0, 1, 5, 127, 128, 1e4, 1e9} {
		want, _ := math.Lgamma(n + 1)
		if got := logFactorial(n); math.Abs(got-want) > 1e-11*max(1, want) {
			t.Errorf("log %v! is %v, want %v", n, got, want)
		}
	}
}

// TestNoiseHasItsDispersion measures variance over mean of the canary's hits in a window: what each world says of itself.
func TestNoiseHasItsDispersion(t *testing.T) {
	for _, c := range []struct {
		world string
		rate  int
		phi   float64
	}{{"flat", 0, 1}, {"negative binomial", 0, 4}, {"beta-binomial", 0, 3}, {"clumps", 0, 2.06}, {"users of 10", 0, 10}, {"users who stay", 0, 1.5}} {
		s := worldOf(c.world).make()
		s.share, s.law, s.rates[c.rate] = constant(.1), nil, rate{"error", .03, nil}
		tape := NewTape(s, atAny.rollout(time.Second, .05), testSource(9))
		n, sum, squares := 0.0, 0.0, 0.0
		for range 2000 {
			m := tape.Next()
			cell := &m.Serving.Cells[1][m.indexes["error"]]
			d := float64(cell.K) - float64(cell.N)*s.rates[c.rate].base
			n, sum, squares = n+float64(cell.N), sum+float64(cell.K), squares+d*d
		}
		p := s.rates[c.rate].base
		if z := (sum - n*p) / math.Sqrt(c.phi*n*p); math.Abs(z) > 4 {
			t.Errorf("%s: mean rate %v, want %v", c.world, sum/n, p)
		}
		if got := squares / (n * p * (1 - p)); math.Abs(got/c.phi-1) > .15 {
			t.Errorf("%s: phi %.2f, want %v", c.world, got, c.phi)
		}
	}
}
