package stats

import (
	"fmt"
	"math"
	"math/big"
)

// bucketsPerDoubling is the resolution of the histograms: scale 6.
const bucketsPerDoubling = 64

// FailShift is the margin r (0.2: at most 20 % slower) in buckets, for evidence of more than that: the least s with 2^(s/64) >= 1 + r, so that bucketing
// never makes a canary within the margin look slower.
//
// Claim. Exact, powers of two included.
//
// When. r is above -1 and at most 1e9, else it panics. Buckets are exponential, 64 to a doubling.
//
// Cost: a few products of long numbers: 10 to 20 microseconds and some 30 allocations, half a millisecond for an r as small as 1e-300. So ask once.
//
// Conventions: a margin of 0 is 0 buckets, one below 0 a negative number of them. NaN panics.
//
// Source: C <= (1+r) B puts C at most so many buckets above B, as ceil(a + d) <= ceil(a) + ceil(d); buckets are those of OpenTelemetry's exponential histogram of scale 6.
func FailShift(r float64) int {
	s := nearShift(r)
	for compareShift(s, r) < 0 {
		s++
	}
	for compareShift(s-1, r) >= 0 {
		s--
	}
	return s
}

// PassShift is the margin in buckets for evidence of keeping it: the greatest s with 2^(s/64) <= 1 + r.
//
// Claim. Exact, as FailShift, and at most one bucket below it.
//
// When. As FailShift.
//
// Cost: half as much again as FailShift's.
//
// Conventions: as FailShift; NaN panics.
//
// Source: FailShift's.
func PassShift(r float64) int {
	s := FailShift(r)
	if compareShift(s, r) > 0 {
		s--
	}
	return s
}

// shiftRatio is the ratio that a shift of s buckets stands for: 2^(s/64).
func shiftRatio(s float64) float64 { return math.Exp2(s / bucketsPerDoubling) }

func nearShift(r float64) int {
	if !(r > -1) || r > 1e9 {
		panic(fmt.Sprintf("stats: a relative margin of %v", r))
	}
	return int(math.Round(bucketsPerDoubling * math.Log1p(r) / math.Ln2))
}

// compareShift compares 2^(s/64) with 1 + r, exactly: 2^s with (1+r)^64.
func compareShift(s int, r float64) int {
	const bits = 80_000 // holds (1+r)^64 for every float64 r: 1+r has at most 1,105 bits
	x := new(big.Float).SetPrec(bits).SetFloat64(r)
	x.Add(x, big.NewFloat(1))
	for n := 1; n < bucketsPerDoubling; n *= 2 {
		x.Mul(x, x)
	}
	two := new(big.Float).SetMantExp(big.NewFloat(1), s)
	return two.Cmp(x)
}
