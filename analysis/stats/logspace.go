package stats

import "math"

// logAddExp is log(e^a + e^b), -Inf where both are.
func logAddExp(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if !(b-a > -40) { // e^-40 is below a rounding error; also where both are -Inf
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// logSumExp is log of the sum of e^x, added in order; -Inf of nothing.
func logSumExp(xs []float64) float64 {
	top := math.Inf(-1)
	for _, x := range xs {
		top = max(top, x)
	}
	if math.IsInf(top, -1) {
		return top
	}
	sum := 0.0
	for _, x := range xs {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum)
}
