package certify

import (
	"math"
	"math/rand/v2"
)

// dice draws random numbers of one run. The same seed gives the same numbers on one build and architecture.
type dice struct{ *rand.Rand }

// fewEvents is the mean below which counts are drawn event by event.
const fewEvents = 10

// binomial draws the hits among n trials. With few hits expected, by the gaps between them; else by transformed rejection (Hörmann, The
// generation of binomial random variates, J. Statist. Comput. Simul. 46, 1993: BTRS).
func (d dice) binomial(n int64, p float64) int64 {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case p > .5:
		return n - d.binomial(n, 1-p)
	case float64(n)*p < fewEvents:
		return d.rare(n, p)
	}
	return d.manyOf(float64(n), p)
}

func (d dice) rare(n int64, p float64) int64 {
	k, at, scale := int64(0), int64(-1), 1/math.Log1p(-p)
	for {
		gap := math.Log(1-d.Float64()) * scale
		if gap >= float64(n) {
			return k
		}
		if at += 1 + int64(gap); at >= n {
			return k
		}
		k++
	}
}

func (d dice) manyOf(n, p float64) int64 {
	sd := math.Sqrt(n * p * (1 - p))
	b := 1.15 + 2.53*sd
	a, c := -.0873+.0248*b+.01*p, n*p+.5
	alpha, odds, mode := (2.83+5.1/b)*sd, math.Log(p/(1-p)), math.Floor((n+1)*p)
	squeeze := .92 - 4.2/b
	for {
		u, v := d.Float64()-.5, d.Float64()
		us := .5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + c)
		if us >= .07 && v <= squeeze {
			return int64(k)
		}
		if k < 0 || k > n {
			continue
		}
		top := logFactorial(mode) + logFactorial(n-mode)
		if math.Log(v*alpha/(a/(us*us)+b)) <= top-logFactorial(k)-logFactorial(n-k)+(k-mode)*odds {
			return int64(k)
		}
	}
}

// poisson draws a count: by adding up exponential gaps, or by transformed rejection (Hörmann, The transformed rejection method for generating
// Poisson random variables, Insurance Math. Econom. 12, 1993: PTRS).
func (d dice) poisson(mean float64) int64 {
	if !(mean > 0) {
		return 0
	}
	if mean < fewEvents {
		n, sum := int64(-1), 0.0
		for sum < mean {
			sum += d.ExpFloat64()
			n++
		}
		return n
	}
	b := .931 + 2.53*math.Sqrt(mean)
	a, scale, squeeze := -.059+.02483*b, 1.1239+1.1328/(b-3.4), .9277-3.6224/(b-2)
	for {
		u, v := d.Float64()-.5, d.Float64()
		us := .5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + .43)
		if us >= .07 && v <= squeeze {
			return int64(k)
		}
		if k < 0 || us < .013 && v > us {
			continue
		}
		if math.Log(v*scale/(a/(us*us)+b)) <= k*math.Log(mean)-mean-logFactorial(k) {
			return int64(k)
		}
	}
}

// gamma draws from a gamma law of scale 1 (Marsaglia and Tsang, ACM Trans. Math. Softw. 26, 2000).
func (d dice) gamma(shape float64) float64 {
	if shape < 1 {
		return d.gamma(shape+1) * math.Pow(d.Float64(), 1/shape)
	}
	a := shape - 1./3
	c := 1 / math.Sqrt(9*a)
	for {
		x := d.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v *= v * v
		if math.Log(1-d.Float64()) < x*x/2+a-a*v+a*math.Log(v) {
			return a * v
		}
	}
}

// beta draws from a beta law.
func (d dice) beta(a, b float64) float64 {
	x := d.gamma(a)
	if y := d.gamma(b); x+y > 0 {
		return x / (x + y)
	}
	if d.Float64() < a/(a+b) { // both so small that they are 0: the law is at its ends
		return 1
	}
	return 0
}

// negativeBinomial draws a count whose variance is phi times its mean.
func (d dice) negativeBinomial(mean, phi float64) int64 {
	if phi <= 1 || mean <= 0 {
		return d.poisson(mean)
	}
	return d.poisson((phi - 1) * d.gamma(mean/(phi-1)))
}

func logFactorial(n float64) float64 {
	if n < float64(len(logFactorials)) {
		return logFactorials[int(n)]
	}
	x := n + 1
	return (x-.5)*math.Log(x) - x + .918938533204672742 + (1./12-(1./360-1./(1260*x*x))/(x*x))/x
}

var logFactorials = func() (table [128]float64) {
	for n := 2; n < len(table); n++ {
		table[n] = table[n-1] + math.Log(float64(n))
	}
	return table
}()
