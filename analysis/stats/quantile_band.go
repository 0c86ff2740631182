package stats

import (
	"fmt"
	"math"

	"streamcanary/windows"
)

// QuantileBand is a confidence sequence for a quantile of one arm. For display only, and to be labelled so: nothing is
// decided by it.
//
// Claim. All intervals that Interval returns for its growing histogram and one alpha contain the quantile, with probability at least 1 - alpha. It says
// nothing about the other arm: two bands that don't overlap are no test.
//
// When. The arm's values are independent and all of one law. Latencies of a day are not: with drift the band is wrong, so show that of the last hour at
// most.
//
// Cost: three log-gammas for each bucket; no state, no allocation.
//
// Conventions: bounds are buckets, so ties are exact. Of an empty histogram they are ZeroBucket and TopBucket. NaN panics in alpha; Tightest and At must be
// finite, which isn't looked at.
//
// Source: the beta-binomial mixture of Howard, Ramdas (Sequential estimation of quantiles with applications to A/B testing and best-arm identification,
// Bernoulli 28(3), 2022, the theorem for a fixed quantile; two-sided as in their package confseq): an edge x is excluded when the count of values up to x says that its share is not the quantile's.
type QuantileBand struct {
	PPM      int64   // the tail above the quantile in parts per million: 10,000 for p99
	Tightest float64 // number of values for which the band is tightest; 0: 100 of the tail. Any is valid
	At       float64 // the alpha for which it is; 0: that of the interval. Any is valid
}

// Interval returns the buckets whose upper edges bound the quantile at confidence 1 - alpha, from all values so far: ZeroBucket where there is no lower
// bound, TopBucket where there is no upper one. The histogram is ascending; it is only read. It panics unless 0 < alpha < 1.
func (q QuantileBand) Interval(hist []windows.Bucket, alpha float64) (lower, upper int32) {
	if !(alpha > 0 && alpha < 1) || q.PPM <= 0 || q.PPM >= 1_000_000 {
		panic(fmt.Sprintf("stats: band of a tail of %d ppm at %v", q.PPM, alpha))
	}
	mix, proof := q.mixture(alpha), math.Log(1/alpha)
	n := total(hist)
	lower, upper = windows.ZeroBucket, windows.TopBucket
	below, share := int64(0), n*(1_000_000-q.PPM) // share in millionths
	for _, b := range hist {
		if below*1_000_000 < share && mix.log(float64(below), float64(n)) >= proof {
			lower = max(lower, b.Index-1)
		}
		below += int64(b.Count)
		if below*1_000_000 > share && mix.log(float64(below), float64(n)) >= proof {
			return lower, min(upper, b.Index)
		}
	}
	return lower, upper
}

func (q QuantileBand) mixture(alpha float64) betaMixture {
	tail := float64(q.PPM) / 1e6
	tightest := q.Tightest
	if tightest == 0 {
		tightest = 100 / tail
	}
	if q.At > 0 {
		alpha = q.At
	}
	return newBetaMixture(1-tail, tightest, alpha)
}

// betaMixture is the evidence against a share p of values up to an edge: the beta mixture of likelihood ratios.
type betaMixture struct{ p, a, d, whole float64 }

func newBetaMixture(p, tightest, alpha float64) betaMixture {
	l := math.Log(1 / alpha)
	variance := p * (1 - p)
	rho := tightest * variance / (2*l + math.Log1p(2*l))
	r := max(rho-variance, 1e-3*variance)
	a, d := r/(1-p), r/p
	return betaMixture{p, a, d, logBeta(a, d)}
}

// log is the log evidence of x of n values up to the edge.
func (b betaMixture) log(x, n float64) float64 {
	return logBeta(b.a+x, b.d+n-x) - b.whole - x*math.Log(b.p) - (n-x)*math.Log1p(-b.p)
}

// logBeta is log B(a, b).
func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}
