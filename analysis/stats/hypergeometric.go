package stats

import "math"

// An urn is N balls, n of them marked, of which K are drawn without putting back: the count y of marked balls among the
// drawn ones is hypergeometric.
type urn struct{ N, n, K int64 }

// span is the range of the count.
func (u urn) span() (lo, hi int64) { return max(0, u.K-(u.N-u.n)), min(u.n, u.K) }

// up is P(y+1)/P(y).
func (u urn) up(y float64) float64 {
	n, k := float64(u.n), float64(u.K)
	return (n - y) * (k - y) / ((y + 1) * (float64(u.N) - n - k + y + 1))
}

// logPGF writes to dst, for each odds ratio w > 0 of odds (logOdds are their logarithms), log E[w^y].
//
// The sum is taken relative to its largest term, outward until a term is below 1e-18 of it, and divided by the same sum at
// w = 1. What is left of the factorials is the ratio of two terms' chances, in which nothing large cancels. The relative
// error of E[w^y] is about 1e-16 times the number of terms, or times the logarithm. Cost: about 20 standard deviations of y for each w, or 36
// leaps where the deviation is above 32, whatever the number of balls.
func (u urn) logPGF(dst, odds, logOdds []float64) {
	lo, hi := u.span()
	if lo == hi {
		for i, l := range logOdds {
			dst[i] = float64(lo) * l
		}
		return
	}
	middle := u.mode(1, lo, hi)
	whole := math.Log(u.around(middle, lo, hi, 1))
	for i, w := range odds {
		y := u.mode(w, lo, hi)
		height, log := u.ratio(middle, y)
		dst[i] = float64(y)*logOdds[i] + log + math.Log(height*u.around(y, lo, hi, w)) - whole
	}
}

// mode is where P(y) w^y is largest, or next to it: the lesser root of w (n-y+1) (K-y+1) = y (rest+y), which is where a term equals the
// one before it.
func (u urn) mode(w float64, lo, hi int64) int64 {
	n, k := float64(u.n), float64(u.K)
	rest := float64(u.N) - n - k
	b := w*(n+k+2) + rest
	c := w * (n + 1) * (k + 1)
	root := 2 * c / (b + math.Sqrt(max(0, b*b-4*(w-1)*c)))
	return min(max(int64(root), lo), hi)
}

// ratio is P(to)/P(from): height times e^log. A few steps are multiplied, further ones taken from log-gammas.
func (u urn) ratio(from, to int64) (height, log float64) {
	if to < from {
		height, log = u.ratio(to, from)
		return 1 / height, -log
	}
	const near = 24
	height = 1
	if to-from <= near {
		for y := from; y < to; y++ {
			height *= u.up(float64(y))
			if height < 1e-200 || height > 1e200 {
				height, log = 1, log+math.Log(height)
			}
		}
		return height, log
	}
	x, d := float64(from), float64(to-from)
	n, k := float64(u.n), float64(u.K)
	return 1, logRise(n-x-d+1, d) + logRise(k-x-d+1, d) - logRise(x+1, d) - logRise(float64(u.N)-n-k+x+1, d)
}

// around is the sum of P(x) w^x over lo <= x <= hi, relative to the term of y, which is the largest or next to it.
func (u urn) around(y, lo, hi int64, w float64) float64 {
	x, n, k := float64(y), float64(u.n), float64(u.K)
	variance := 1 / (1/(x+1) + 1/(n-x+1) + 1/(k-x+1) + 1/(float64(u.N)-n-k+x+1)) // from the curvature at y
	if variance > leapVariance {
		return u.leap(x, w, math.Floor(math.Sqrt(variance)/2))
	}
	return u.step(y, lo, hi, w)
}

const (
	leapVariance = 32 * 32
	smallTerm    = 1e-18 // of the sum: what is left out
)

// step adds up term by term.
func (u urn) step(y, lo, hi int64, w float64) float64 {
	n, k := float64(u.n), float64(u.K)
	rest := float64(u.N) - n - k
	sum, term := 1.0, 1.0
	for x := float64(y); x < float64(hi) && term > smallTerm*sum; x++ {
		term *= w * (n - x) * (k - x) / ((x + 1) * (rest + x + 1))
		sum += term
	}
	term = 1
	for x := float64(y); x > float64(lo) && term > smallTerm*sum; x-- {
		term *= x * (rest + x) / (w * (n - x + 1) * (k - x + 1))
		sum += term
	}
	return sum
}

// leap adds up each h-th term only, times h, h being half a standard deviation s. A tilted hypergeometric count is a sum of
// independent indicators (its generating function has real roots alone: Vatutin and Mikhailov, 1982), so its characteristic function at angle t is at most
// exp(-s^2 (1 - cos t)); by Poisson summation that bounds the relative error, 2 exp(-s^2 (1 - cos(2 pi/h))) and what is smaller: below
// e^-70. The range's ends are s^2 away at least, 32 s.
func (u urn) leap(y, w, h float64) float64 {
	sum := 1.0
	for _, direction := range [2]float64{1, -1} {
		x, log := y, 0.0
		for term := 1.0; term > smallTerm*sum; sum += term {
			if direction < 0 {
				x -= h
			}
			log += direction * u.logLeap(x, w, h)
			if direction > 0 {
				x += h
			}
			term = math.Exp(log)
		}
	}
	return sum * h
}

// logLeap is log(P(x+h) w^h / P(x)): the sum of log(w up(x+i)) over i < h. Each factor of up is c (1 + (i-m)/c) around the middle m of the leap; the logarithms of
// the second part add up to -S_2/(2 c^2) - S_4/(4 c^4) - S_6/(6 c^6), S_k the sums of (i-m)^k, and less than 1e-16.
func (u urn) logLeap(x, w, h float64) float64 {
	m := (h - 1) / 2
	n, k := float64(u.n), float64(u.K)
	c := [4]float64{n - x - m, k - x - m, x + 1 + m, float64(u.N) - n - k + x + 1 + m}
	s2 := h * (h*h - 1) / 12
	s4 := s2 * (3*h*h - 7) / 20
	s6 := s2 * (h*h*(3*h*h-18) + 31) / 112
	part := func(c float64) float64 {
		y := 1 / (c * c)
		return y * (s2/2 + y*(s4/4+y*s6/6))
	}
	return h*math.Log(w*(c[0]/c[2])*(c[1]/c[3])) - part(c[0]) - part(c[1]) + part(c[2]) + part(c[3])
}
