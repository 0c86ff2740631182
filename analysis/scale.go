package analysis

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A scale is what a guardrail's values are counted in: exponential buckets, on which margins are ratios, or linear ones, on
// which they are differences. The zero value is exponential.
type scale struct{ linear schemas.Buckets }

func scaleOf(g *schemas.Guardrail) scale { return scale{g.Buckets} }

// bucket is where a value counts. Values beyond linear buckets are in the outer ones; see facing for what a margin does to them.
func (s scale) bucket(x float64) int32 {
	if s.linear.Linear() {
		return windows.LinearBuckets(s.linear).BucketOf(x)
	}
	return windows.BucketOf(x)
}

// upper is the upper edge of a bucket; what is below linear ones ends where they begin.
func (s scale) upper(i int32) float64 {
	switch {
	case !s.linear.Linear():
		return windows.BucketUpper(i)
	case i <= windows.ZeroBucket:
		return s.linear.From
	}
	return windows.LinearBuckets(s.linear).Upper(i)
}

// middle is the value that stands for a bucket: of an exponential one its geometric middle, within 0.55 % of each value in it.
func (s scale) middle(i int32) float64 {
	switch {
	case i <= windows.ZeroBucket || i >= windows.TopBucket:
		return s.upper(i)
	case s.linear.Linear() && i < 0: // the lower end alone
		return s.upper(i)
	case s.linear.Linear():
		return s.upper(i) - s.linear.Width()/2
	}
	return math.Sqrt(windows.BucketUpper(i-1) * windows.BucketUpper(i))
}

// shifts is a margin in buckets, by which the canary's values are moved down: as the tests of harm beyond the margin have it, and as
// those of keeping it. Bucketing never makes a canary at the margin look beyond it, or within.
func (s scale) shifts(g *schemas.Guardrail) (beyond, pass int) {
	m, down := g.Margin.Value, g.Direction == schemas.Decrease
	switch {
	case s.linear.Linear():
		beyond, pass = s.linear.Shift(m)
		if down {
			beyond, pass = -beyond, -pass
		}
		return beyond, pass
	case down:
		return stats.PassShift(-m), stats.FailShift(-m)
	}
	return stats.FailShift(m), stats.PassShift(m)
}

// effect is what a shift of so many buckets is: a ratio, or a difference.
func (s scale) effect(shift float64) float64 {
	if s.linear.Linear() {
		return shift * s.linear.Width()
	}
	return math.Exp2(shift / 64)
}

// difference is what a ratio is on linear buckets, where it stands for so many of them.
func (s scale) difference(ratio float64) float64 { return math.Log2(ratio) * 64 * s.linear.Width() }

// interval is that of an effect whose bounds are ratios: on linear buckets a difference.
func (s scale) interval(lower, upper float64) (difference, ratio interval) {
	if s.linear.Linear() {
		return interval{s.difference(lower), s.difference(upper)}, unknown
	}
	return unknown, interval{lower, upper}
}

// none is the effect of nothing.
func (s scale) none() float64 { return s.effect(0) }

// key is how a metric's key tells linear buckets; empty for exponential ones.
func (s scale) key() string {
	b := s.linear
	if !b.Linear() {
		return ""
	}
	return "#" + keyNumber(b.From) + ".." + keyNumber(b.To) + "/" + keyNumber(float64(b.Count))
}
