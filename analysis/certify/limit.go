package certify

import "math"

// The exact limits that counts are held against.

// binomialPoint is the 99 % point of Binomial(n, p): the least c with P(X <= c) >= .99. A count above it is no accident.
func binomialPoint(n int, p float64) int {
	if p <= 0 {
		return 0
	}
	sum := 0.0
	for c := range n {
		if sum += binomialChance(n, c, p); sum >= .99 {
			return c
		}
	}
	return n
}

// binomialLow is the 1 % point: the greatest c with P(X < c) <= .01. A count below it is no accident.
func binomialLow(n int, p float64) int {
	sum := 0.0
	for c := range n {
		if sum += binomialChance(n, c, p); sum > .01 {
			return c
		}
	}
	return n
}

// binomialChance is P(X = k) of n trials, 0 < p < 1.
func binomialChance(n, k int, p float64) float64 {
	x, m := float64(k), float64(n)
	return math.Exp(logFactorial(m) - logFactorial(x) - logFactorial(m-x) + x*math.Log(p) + (m-x)*math.Log1p(-p))
}

// upperRate is Clopper and Pearson's one-sided upper limit of a rate, of which k of n were seen: the greatest p with P(X <= k) >= 1 - confidence.
func upperRate(k, n int, confidence float64) float64 {
	lo, hi := float64(k)/float64(n), 1.0
	if k >= n {
		return 1
	}
	for range 60 {
		mid := (lo + hi) / 2
		sum := 0.0
		for c := 0; c <= k; c++ {
			sum += binomialChance(n, c, mid)
		}
		if sum >= 1-confidence {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// A sample is numbers of independent runs.
type sample []float64

func (s sample) mean() float64 {
	sum := 0.0
	for _, x := range s {
		sum += x
	}
	return sum / float64(len(s))
}

// meanLimit is the upper 95 % limit of the mean, by the normal law: for some hundreds of runs.
func (s sample) meanLimit() float64 {
	mean, squares := s.mean(), 0.0
	for _, x := range s {
		squares += (x - mean) * (x - mean)
	}
	n := float64(len(s))
	if n < 2 {
		return math.Inf(1)
	}
	return mean + 1.6448536269514722*math.Sqrt(squares/(n-1)/n)
}

// quantile is of sorted numbers, the lower one of two.
func (s sample) quantile(q float64) float64 {
	return s[max(0, min(len(s)-1, int(math.Ceil(q*float64(len(s))))-1))]
}
