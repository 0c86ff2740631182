package stats

import "math"

// The buckets at the ends of a histogram.
const (
	zeroBucket int32 = math.MinInt32 // values of 0 and less
	topBucket  int32 = math.MaxInt32 // values too large to tell apart
)
