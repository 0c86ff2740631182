package plan

import "math"

// random is a stream of pseudo-random numbers (splitmix64), the same for the same seed everywhere.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float is uniform in [0, 1).
func (r *random) float() float64 { return float64(r.next()>>11) / (1 << 53) }

// normal is of mean 0 and variance 1 (Box and Muller).
func (r *random) normal() float64 {
	return math.Sqrt(-2*math.Log(1-r.float())) * math.Cos(2*math.Pi*r.float())
}

// exactly is the expected number of events up to which they are drawn one by one; beyond it by the normal law.
const exactly = 50

// binomial draws how many of n have what each has with probability p: below an expected 50 by the gaps between them, above by the
// normal law, rounded.
func (r *random) binomial(n int64, p float64) int64 {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case p > .5:
		return n - r.binomial(n, 1-p)
	}
	if mean := float64(n) * p; mean > exactly {
		x := math.Round(mean + math.Sqrt(mean*(1-p))*r.normal())
		return int64(min(max(x, 0), float64(n)))
	}
	k, at, scale := int64(0), int64(-1), 1/math.Log1p(-p)
	for {
		gap := math.Log(1-r.float()) * scale
		if gap >= float64(n-at) {
			return k
		}
		if at += 1 + int64(gap); at >= n {
			return k
		}
		k++
	}
}

// poisson draws a number of events with this mean.
func (r *random) poisson(mean float64) int64 {
	if mean > exactly {
		return int64(max(0, math.Round(mean+math.Sqrt(mean)*r.normal())))
	}
	n, sum := int64(-1), 0.0
	for sum < mean || n < 0 {
		sum -= math.Log(1 - r.float())
		n++
	}
	return n
}
