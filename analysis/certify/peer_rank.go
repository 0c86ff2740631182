package certify

import (
	"math"

	"streamcanary/windows"
)

// Classical tests of whole latency distributions, looked at again after every window. Where they know no margin, the canary is moved down by
// it first.

// rankPeers are Mann-Whitney per window, raw and as a product of calibrated e-values.
var rankPeers = []Method{
	{Name: "Mann-Whitney per window", Source: "one-sided rank-sum test with ties, normal approximation (scipy mannwhitneyu), at every window", start: func(c *Case) watch {
		return &rankWatch{c: c}
	}},
	{Name: "Mann-Whitney, calibrated e-values", Source: "Vovk and Wang, Ann. Statist. 49 (2021): product of calibrated p-values of windows", start: func(c *Case) watch {
		return &rankWatch{c: c, product: true}
	}},
}

type rankWatch struct {
	c       *Case
	product bool
	logE    float64
	moved   []windows.Bucket
}

func (r *rankWatch) see(m *Moment, alarmed []bool) {
	canary, baseline := latencies(m)
	r.moved = movedDown(r.moved[:0], canary, r.c.Slower)
	u, ok := rankSumOf(r.moved, baseline)
	if !ok {
		return
	}
	p := u.greater()
	if !r.product {
		r.c.cross(alarmed, -math.Log(p))
		return
	}
	r.logE += logCalibrated(p)
	r.c.cross(alarmed, r.logE)
}

// movedDown appends a histogram whose values are a margin lower: the least whole number of buckets that is not below it.
func movedDown(dst, hist []windows.Bucket, margin float64) []windows.Bucket {
	shift := int32(math.Ceil(inBuckets(1+margin) - 1e-9))
	for _, b := range hist {
		if b.Index != windows.ZeroBucket && b.Index != windows.TopBucket {
			b.Index -= shift
		}
		dst = append(dst, b)
	}
	return dst
}

// A rankSum is the Mann-Whitney statistic of the canary: pairs in which it is larger, ties a half; its mean and variance if nothing differs.
type rankSum struct{ u, mean, variance float64 }

// rankSumOf is false where an arm is empty or all values are tied.
func rankSumOf(canary, baseline []windows.Bucket) (rankSum, bool) {
	n, m := float64(total(canary)), float64(total(baseline))
	if n == 0 || m == 0 {
		return rankSum{}, false
	}
	u, below, ties := 0.0, 0.0, 0.0
	for len(canary) > 0 || len(baseline) > 0 {
		c, b := 0.0, 0.0
		at := lowest(canary, baseline)
		if len(canary) > 0 && canary[0].Index == at {
			c, canary = float64(canary[0].Count), canary[1:]
		}
		if len(baseline) > 0 && baseline[0].Index == at {
			b, baseline = float64(baseline[0].Count), baseline[1:]
		}
		u += c * (below + b/2)
		below += b
		t := c + b
		ties += t * (t*t - 1)
	}
	all := n + m
	r := rankSum{u, n * m / 2, n * m / 12 * (all + 1 - ties/(all*(all-1)))}
	return r, r.variance > 0
}

func lowest(a, b []windows.Bucket) int32 {
	switch {
	case len(a) == 0:
		return b[0].Index
	case len(b) == 0:
		return a[0].Index
	}
	return min(a[0].Index, b[0].Index)
}

// greater is the one-sided p-value, with continuity correction, that the canary is larger.
func (r rankSum) greater() float64 {
	return max(normalTail((r.u-r.mean-.5)/math.Sqrt(r.variance)), 1e-300)
}

// logCalibrated is the log of the e-value (1 - p + p log p)/(p log² p): the mixture of kappa p^(kappa-1) over kappa in (0, 1).
func logCalibrated(p float64) float64 {
	p = max(p, 1e-300)
	if 1-p < 1e-4 {
		x := 1 - p
		return math.Log(.5 + x/6 + x*x/8)
	}
	l := math.Log(p)
	return math.Log(1-p+p*l) - l - 2*math.Log(-l)
}
