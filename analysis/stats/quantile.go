package stats

import (
	"math"

	"streamcanary/windows"
)

// Quantile is the value, for display, that the tail of ppm parts per million begins with: 10,000 is p99, 500,000 the median. It is in the
// unit of the histogram (milliseconds for latencies).
//
// Conventions. The K-th largest value, K = ppm millionths of the count rounded half up but at least 1 (the K of TopK), so of one value each quantile is that
// value and p100 is the largest. Of its bucket the geometric middle is returned, which is within 0.55 % of every value in it; 0 for
// windows.ZeroBucket; +Inf for windows.TopBucket; NaN for an empty histogram.
// Cost: one pass. The histogram is ascending by index and only read.
func Quantile(hist []windows.Bucket, ppm int64) float64 {
	n := total(hist)
	left := max(1, tailCount(n, ppm))
	for i := len(hist) - 1; i >= 0; i-- {
		left -= int64(hist[i].Count)
		if left <= 0 {
			return bucketValue(hist[i].Index)
		}
	}
	return math.NaN()
}

// bucketValue is the value that stands for a bucket: bucket i holds (2^(i/64), 2^((i+1)/64)].
func bucketValue(i int32) float64 {
	switch i {
	case windows.ZeroBucket:
		return 0
	case windows.TopBucket:
		return math.Inf(1)
	}
	return math.Exp2((float64(i) + 0.5) / bucketsPerDoubling)
}
