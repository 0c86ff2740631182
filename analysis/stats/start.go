package stats

import (
	"fmt"
	"math"
)

// startSeries is the whole sum of 1/((t+2) log²(t+2)), t = 0, 1, …: its last digit is rounded up, so that the start
// weights never add up to more than 1.
const startSeries = 2.109742801236891975

// StartWeight is the share of a fail test's stake that starts to play at window t of the epoch (t = 0 is the first;
// skipped windows count), for a planned life of horizon windows (below 1 counts as 1):
//
//	w_t = [t = 0]/2 + [t < horizon]/(4 horizon) + 1/(4 Z (t+2) log²(t+2))
//
// Claim. The three parts are for harm from the start, harm within the planned life, and harm at any later time; over all t they add up to 1, and never to
// more.
//
// When. For any horizon that is fixed before the first window.
//
// Cost: one logarithm; no allocation.
//
// Conventions: windows count from 0; it panics for t < 0.
//
// Source: chosen here; any weights that add up to at most 1 are valid (Mixture). What they cost and gain: TestSimDelayErrors of package analysis.
func StartWeight(t, horizon int64) float64 { return StartSum(t, t+1, horizon) }

// StartSum is the sum of StartWeight over from <= t < to: what a block stakes that enters with its own windows and those skipped before it.
//
// Claim. Exact but for rounding: the first 254 windows and gaps of up to 64 are added one by one, the rest of a longer gap by the Euler-Maclaurin formula
// (relative error below 1e-13).
//
// When. As StartWeight.
//
// Cost: a logarithm for each term that is added by itself, so a few microseconds at most for any gap; no allocation.
//
// Conventions: 0 when to <= from, as of an empty gap; it panics for from < 0.
//
// Source: StartWeight.
func StartSum(from, to, horizon int64) float64 {
	if from < 0 {
		panic(fmt.Sprintf("stats: start weight of window %d", from))
	}
	if to <= from {
		return 0
	}
	horizon = max(1, horizon)
	sum := 0.0
	if from == 0 {
		sum = 0.5
	}
	if planned := min(to, horizon) - from; planned > 0 {
		sum += float64(planned) / (4 * float64(horizon))
	}
	return sum + seriesSum(from+2, to+2)/(4*startSeries)
}

// seriesSum is the sum of 1/(n log² n) over a <= n < b, a >= 2.
func seriesSum(a, b int64) float64 {
	const direct = 256 // from here on two correction terms of the Euler-Maclaurin formula are exact to 1e-17
	sum := 0.0
	for ; a < b && (a < direct || b-a <= 64); a++ {
		sum += seriesTerm(float64(a))
	}
	if a == b {
		return sum
	}
	x, y := float64(a), float64(b)
	integral := math.Log1p((y-x)/x) / (math.Log(x) * math.Log(y))
	ends := (seriesTerm(x) - seriesTerm(y)) / 2
	first := (seriesFirst(y) - seriesFirst(x)) / 12
	third := (seriesThird(y) - seriesThird(x)) / 720
	return sum + (integral + ends + first - third)
}

// seriesTerm is f(x) = 1/(x log² x); seriesFirst and seriesThird are its first and third derivatives.
func seriesTerm(x float64) float64 {
	l := math.Log(x)
	return 1 / (x * l * l)
}

func seriesFirst(x float64) float64 {
	r := 1 / math.Log(x)
	return -r * r * (1 + 2*r) / (x * x)
}

func seriesThird(x float64) float64 {
	r := 1 / math.Log(x)
	return -r * r * (6 + r*(22+r*(36+r*24))) / (x * x * x * x)
}
