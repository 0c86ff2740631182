package stats

import "math"

// A rankLaw is the law of the Mann-Whitney statistic U of n requests among n + m that are exchangeable, tilted by e^(lambda U):
//
//	log E[e^(lambda (U - n m/2))] = T(n+m) - T(n) - T(m),  T(n) = sum of g(lambda i) over i = 1..n,  g(x) = log(sinh(x/2) / (x/2))
//
// (the q-binomial law of U, centred). g is even, and analytic as far as 2 pi:
//
//	g(x) = a_1 x^2 + a_2 x^4 + …,  a_k = (-1)^(k+1) zeta(2k) / (k (2 pi)^(2k)):  1/24, -1/2880, 1/181440, …
//
// T is taken from the Euler-Maclaurin formula at midpoints: with X = lambda (n + 1/2),
//
//	T(n) = (1/lambda) ∫ g over 0..X - (lambda/24) g'(X) + (7 lambda^3/5760) g'''(X) - (31 lambda^5/967680) g'''''(X) + …
//
// in which nothing of the lower end is left, as g is even. As a power series in X its terms alternate and fall, so what is cut off is
// below the last term, 1e-17. Together it is off by less than 1e-12, and by 1e-16 of T, while lambda <= smallTilt (TestRankLaw compares
// with exact sums); above, where there are few requests, the terms of T are added one by one.
type rankLaw struct {
	lambda float64
	terms  int
	series [rankTerms]float64 // of T, by odd powers of X
}

const (
	rankTerms   = 96   // for rankTilt and 1e8 requests; more lose a digit for each tenfold
	rankDerived = 3    // derivatives of g in the formula
	rankTilt    = 5    // greatest lambda (n+m+1): below 2 pi
	smallTilt   = 0.08 // greatest lambda for which T is taken from the formula
)

// sinhcSeries holds a_k, from k = 1 on.
var sinhcSeries = func() (a [rankTerms + rankDerived]float64) {
	a[1], a[2], a[3], a[4] = 1./24, -1./2880, 1./181_440, -1./9_676_800
	for k := 5; k < len(a); k++ {
		zeta := 0.0
		for i := 100.0; i >= 1; i-- { // what is left out is below 1e-19
			zeta += math.Pow(i, float64(-2*k))
		}
		a[k] = zeta / (float64(k) * math.Pow(2*math.Pi, float64(2*k)))
		if k%2 == 0 {
			a[k] = -a[k]
		}
	}
	return a
}()

// tiltBy prepares the law for logs of up to requests in all.
func (l *rankLaw) tiltBy(lambda float64, requests int64) {
	l.lambda, l.terms = lambda, 0
	if lambda > smallTilt {
		return
	}
	a, x := &sinhcSeries, lambda*(float64(requests)+0.5)
	cube := lambda * lambda * lambda
	power := x
	for l.terms < rankTerms {
		k := l.terms
		d := float64(2 * k)
		first := (d + 2) * a[k+1]
		third := (d + 4) * (d + 3) * (d + 2)
		fifth := (d + 6) * (d + 5) * (d + 4) * (d + 3) * (d + 2)
		c := a[k]/(lambda*(d+1)) - lambda/24*first
		if k+2 < len(a) {
			c += 7. / 5760 * cube * third * a[k+2]
		}
		if k+3 < len(a) {
			c -= 31. / 967_680 * cube * lambda * lambda * fifth * a[k+3]
		}
		l.series[k] = c
		l.terms++
		if k > 1 && math.Abs(c*power) < 1e-17 {
			return
		}
		power *= x * x
	}
}

// log is log E[e^(lambda (U - n m/2))]; 0 where an arm is empty.
func (l *rankLaw) log(n, m int64) float64 {
	if n > m {
		n, m = m, n
	}
	if n == 0 {
		return 0
	}
	if l.lambda <= smallTilt {
		return l.sum(n+m) - l.sum(m) - l.sum(n)
	}
	sum := 0.0
	for i := range n {
		sum += logSinhc(l.lambda*float64(m+i+1)) - logSinhc(l.lambda*float64(i+1))
	}
	return sum
}

// sum is T(n).
func (l *rankLaw) sum(n int64) float64 {
	x := l.lambda * (float64(n) + 0.5)
	sum, power := 0.0, x
	for k, c := range l.series[:l.terms] {
		term := c * power
		sum += term
		if k > 1 && math.Abs(term) < 1e-17 {
			break
		}
		power *= x * x
	}
	return sum
}

// logSinhc is g(x), x >= 0.
func logSinhc(x float64) float64 {
	if x > 0.5 {
		return math.Log(2 * math.Sinh(x/2) / x)
	}
	y, sum := x*x, 0.0
	for k := 7; k >= 1; k-- {
		sum = (sum + sinhcSeries[k]) * y
	}
	return sum
}
