package windows

import "math"

// bucketsPerDoubling is 2^scale of the exponential histogram: scale 6, buckets 1.09 % wide.
const bucketsPerDoubling = 64

// ZeroBucket holds what is not above zero: it lies below every other bucket. TopBucket holds what has no finite value, such as a
// timeout without a latency: it lies above every other. Both are so far out that a shifted bucket never reaches them.
const (
	ZeroBucket int32 = -1 << 20
	TopBucket  int32 = 1 << 20
)

// BucketOf returns the index i of the bucket (2^(i/64), 2^((i+1)/64)] that holds x: ceil(64 log2 x) - 1, exactly.
// x <= 0 is in ZeroBucket; +Inf and NaN are in TopBucket.
func BucketOf(x float64) int32 {
	bits := math.Float64bits(x)
	exponent := int32(bits >> 52) // with the sign: negative numbers are above 2047
	if exponent == 0 || exponent >= 2047 {
		return bucketOfOdd(x)
	}
	return (exponent-1023)*bucketsPerDoubling + mantissaBucket(bits&mantissaMask)
}

// bucketOfOdd is BucketOf for zero, subnormal, negative and non-finite numbers.
func bucketOfOdd(x float64) int32 {
	switch {
	case x <= 0:
		return ZeroBucket
	case math.IsInf(x, 1) || math.IsNaN(x):
		return TopBucket
	}
	fraction, exponent := math.Frexp(x)
	return int32(exponent-1)*bucketsPerDoubling + mantissaBucket(math.Float64bits(fraction)&mantissaMask)
}

// BucketUpper returns the upper edge of bucket i, rounded down: the greatest float64 that it holds (below 1e-307, where floats are
// further apart than edges, to the nearest). It is 0 for ZeroBucket and +Inf for TopBucket.
func BucketUpper(i int32) float64 {
	if i <= ZeroBucket {
		return 0
	}
	if i >= TopBucket {
		return math.Inf(1)
	}
	above := int64(i) + 1
	octave := floorDiv(above, bucketsPerDoubling)
	edge := math.Float64frombits(mantissaEdges[above-octave*bucketsPerDoubling] | 1023<<52)
	return min(math.Ldexp(edge, int(octave)), math.MaxFloat64)
}

const mantissaMask = 1<<52 - 1

// mantissaBucket returns the bucket within its octave of a number with this mantissa: -1 (a power of two is the upper edge of
// the octave before), or 0 to 63.
func mantissaBucket(mantissa uint64) int32 {
	i := int32(mantissaGuess[mantissa>>(52-7)])
	for mantissa > mantissaEdges[i] { // at most one step: no two edges lie in one of the 128 intervals
		i++
	}
	return i - 1
}

// mantissaGuess has, for each of 128 equal intervals of the mantissa, the first edge that is not below the interval.
var mantissaGuess = func() (guess [128]uint8) {
	edge := uint8(0)
	for i := range guess {
		for mantissaEdges[edge] < uint64(i)<<(52-7) {
			edge++
		}
		guess[i] = edge
	}
	return guess
}()

// mantissaEdges has the mantissa bits of 2^(j/64), j = 0..64, rounded down: a float64 is at most the edge exactly when its
// mantissa is at most this (the edges between are irrational). TestEdges proves each in integers.
var mantissaEdges = [bucketsPerDoubling + 1]uint64{
	0x0000000000000, 0x02c9a3e778060, 0x059b0d3158574, 0x0874518759bc8,
	0x0b5586cf9890f, 0x0e3ec32d3d1a2, 0x11301d0125b50, 0x1429aaea92ddf,
	0x172b83c7d517a, 0x1a35beb6fcb75, 0x1d4873168b9aa, 0x2063b88628cd6,
	0x2387a6e756238, 0x26b4565e27cdd, 0x29e9df51fdee1, 0x2d285a6e4030b,
	0x306fe0a31b715, 0x33c08b26416ff, 0x371a7373aa9ca, 0x3a7db34e59ff6,
	0x3dea64c123422, 0x4160a21f72e29, 0x44e086061892d, 0x486a2b5c13cd0,
	0x4bfdad5362a27, 0x4f9b2769d2ca6, 0x5342b569d4f81, 0x56f4736b527da,
	0x5ab07dd485429, 0x5e76f15ad2148, 0x6247eb03a5584, 0x6623882552224,
	0x6a09e667f3bcc, 0x6dfb23c651a2e, 0x71f75e8ec5f73, 0x75feb564267c8,
	0x7a11473eb0186, 0x7e2f336cf4e62, 0x82589994cce12, 0x868d99b4492ec,
	0x8ace5422aa0db, 0x8f1ae99157736, 0x93737b0cdc5e4, 0x97d829fde4e4f,
	0x9c49182a3f090, 0xa0c667b5de564, 0xa5503b23e255c, 0xa9e6b5579fdbf,
	0xae89f995ad3ad, 0xb33a2b84f15fa, 0xb7f76f2fb5e46, 0xbcc1e904bc1d2,
	0xc199bdd85529c, 0xc67f12e57d14b, 0xcb720dcef9069, 0xd072d4a07897b,
	0xd5818dcfba487, 0xda9e603db3285, 0xdfc97337b9b5e, 0xe502ee78b3ff6,
	0xea4afa2a490d9, 0xefa1bee615a27, 0xf50765b6e4540, 0xfa7c1819e90d8,
	1 << 52,
}

// AppendSum appends the sum of two histograms, ascending as in Cell, to dst, which shares no memory with them.
func AppendSum(dst, a, b []Bucket) []Bucket {
	for len(a) > 0 && len(b) > 0 {
		switch x, y := a[0], b[0]; {
		case x.Index < y.Index:
			dst, a = append(dst, x), a[1:]
		case x.Index > y.Index:
			dst, b = append(dst, y), b[1:]
		default:
			x.Count += y.Count
			dst, a, b = append(dst, x), a[1:], b[1:]
		}
	}
	return append(append(dst, a...), b...)
}
