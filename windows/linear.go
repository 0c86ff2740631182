package windows

import (
	"fmt"
	"math"
)

// LinearBuckets are Count buckets of equal width from From to To, for scores and other numbers whose differences matter, not their ratios.
//
// Bucket i of 0 … Count-1 is (edge i, edge i+1], edge e being the float64 nearest to From + e (To-From)/Count: so decimals are exact, and a
// score of 0.37 is the upper edge of the 37th of 100 buckets of 0..1. From alone is in bucket -1. What is below From is in ZeroBucket, what
// is above To, and NaN, in TopBucket, as with exponential buckets: below and above all others, and untouched by a shift; see Clamp.
//
// From < To, both within ±1e300, and 1 <= Count <= MaxLinear, which the owner of a value has checked; other values panic or
// give buckets without meaning. As schemas.Buckets, to which it converts. Methods may be called concurrently.
type LinearBuckets struct {
	From, To float64
	Count    int
}

// MaxLinear bounds the number of linear buckets: shifted by all of them, none reaches ZeroBucket or TopBucket.
const MaxLinear = 1 << 18

// BucketOf returns the index of the bucket that holds x.
func (l LinearBuckets) BucketOf(x float64) int32 {
	switch {
	case x < l.From:
		return ZeroBucket
	case x == l.From:
		return -1
	case !(x <= l.To):
		return TopBucket
	}
	count := float64(l.Count)
	i := int32(min(max(math.Ceil((x-l.From)/(l.To-l.From)*count)-1, 0), count-1)) // at most a bucket off, by rounding
	for x > l.Upper(i) {
		i++
	}
	for i > 0 && x <= l.Upper(i-1) {
		i--
	}
	return i
}

// Upper returns the upper edge of bucket i, the greatest float64 that it holds: From for -1, -Inf for ZeroBucket, +Inf for TopBucket.
// It panics on a bucket that doesn't exist.
func (l LinearBuckets) Upper(i int32) float64 {
	switch {
	case i == ZeroBucket:
		return math.Inf(-1)
	case i == TopBucket:
		return math.Inf(1)
	case i < -1 || int(i) >= l.Count:
		panic(fmt.Sprintf("windows: bucket %d of %d", i, l.Count))
	}
	// (From (Count-e) + To e) / Count, to twice the digits of a float64 before it is rounded.
	e, count := float64(i+1), float64(l.Count)
	low, high := l.From*(count-e), l.To*e
	sum := low + high
	part := sum - low
	rest := (low - (sum - part)) + (high - part)
	rest += math.FMA(l.From, count-e, -low) + math.FMA(l.To, e, -high)
	edge := sum / count
	return edge + (math.FMA(-edge, count, sum)+rest)/count
}

// Width is that of a bucket.
func (l LinearBuckets) Width() float64 { return (l.To - l.From) / float64(l.Count) }

// Clamp appends hist to dst with what lies outside the range counted at its ends: below From in bucket -1, above To in
// bucket Count, so that a shift moves them, too. dst must not overlap hist.
//
// A rank test that moves the canary by a margin d, to prove harm beyond it, takes clamped histograms of both arms: if c <= b + d, c's
// bucket, less the margin's buckets rounded up, is at most b's, wherever c and b lie. (Outside values that don't
// move would put a canary just above To over a baseline just below it.) The test that proves the margin kept takes them as they are: if c >= b + d, c's bucket
// less the margin's buckets rounded down is at least b's only while what is above To stays above all. Downward it is the same,
// mirrored. Without a shift it makes no difference.
func (l LinearBuckets) Clamp(dst, hist []Bucket) []Bucket {
	for _, b := range hist {
		switch b.Index {
		case ZeroBucket:
			b.Index = -1
		case TopBucket:
			b.Index = int32(l.Count)
		}
		if n := len(dst); n > 0 && dst[n-1].Index == b.Index {
			dst[n-1].Count += b.Count
			continue
		}
		dst = append(dst, b)
	}
	return dst
}
