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
// w = 1: the factorials cancel, so no log-gamma is needed and nothing large is subtracted. The relative error of E[w^y] is
// about 1e-16 times the number of terms. The largest terms of successive w are reached from one another, so a monotone
// grid is walked once. Cost: about 20 standard deviations of y for each w, and the walk.
func (u urn) logPGF(dst, odds, logOdds []float64) {
	lo, hi := u.span()
	if lo == hi {
		for i, l := range logOdds {
			dst[i] = float64(lo) * l
		}
		return
	}
	y := min(max(int64(float64(u.K)*float64(u.n)/float64(u.N)), lo), hi)
	whole := math.Log(u.around(y, lo, hi, 1))
	height := scaled{1, 0} // P(y) relative to where the walk began
	for i, w := range odds {
		for y < hi && u.up(float64(y))*w > 1 {
			height.times(u.up(float64(y)))
			y++
		}
		for y > lo && u.up(float64(y-1))*w < 1 {
			height.times(1 / u.up(float64(y-1)))
			y--
		}
		dst[i] = float64(y)*logOdds[i] + height.log() + math.Log(u.around(y, lo, hi, w)) - whole
	}
}

// around is the sum of P(x) w^x over lo <= x <= hi, relative to the term of y.
func (u urn) around(y, lo, hi int64, w float64) float64 {
	const small = 1e-18
	n, k := float64(u.n), float64(u.K)
	rest := float64(u.N) - n - k
	sum, term := 1.0, 1.0
	for x := float64(y); x < float64(hi) && term > small*sum; x++ {
		term *= w * (n - x) * (k - x) / ((x + 1) * (rest + x + 1))
		sum += term
	}
	term = 1
	for x := float64(y); x > float64(lo) && term > small*sum; x-- {
		term *= x * (rest + x) / (w * (n - x + 1) * (k - x + 1))
		sum += term
	}
	return sum
}

// scaled is a positive number that may leave the range of a float64: value times e^exponent.
type scaled struct{ value, exponent float64 }

func (s *scaled) times(x float64) {
	s.value *= x
	if s.value > 1e200 || s.value < 1e-200 {
		s.exponent += math.Log(s.value)
		s.value = 1
	}
}

func (s *scaled) log() float64 { return s.exponent + math.Log(s.value) }
