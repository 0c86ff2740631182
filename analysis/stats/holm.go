package stats

import (
	"fmt"
	"math"
)

// Holm tells which hypotheses are rejected at the family-wise error rate alpha, by the weighted step-down of Bonferroni-Holm
// on the running maxima of their log e-processes.
//
// weights are the hypotheses' shares of the budget: none negative, together at most 1. What is left of 1 stays reserved for
// hypotheses that are not passed in. Hypothesis i is rejected when logMax[i] >= log(1/alpha) - log(its share); then the
// shares of the rest, and the reserve, are divided by their sum, and so on until nothing changes.
//
// Claim. The chance ever to reject a true hypothesis is at most alpha, under any dependence between them and any stopping: each crossing is bounded by
// Ville's inequality in that process's own filtration, and Holm's closure needs no more. A rejection is never taken back while maxima only grow.
//
// When. Each logMax is the running maximum of a log e-process under its hypothesis, and the weights are fixed beforehand.
//
// Cost: a logarithm for each hypothesis that is left in each round; a round rejects one at least, so it is quadratic in the worst case. Allocates what it
// returns.
//
// Conventions: equal maxima are held each against its own share. Weight 0, -Inf and NaN of logMax are never rejected, +Inf is; of an empty list none. It
// panics unless 0 < alpha < 1 and the weights are as said; a NaN among these panics.
//
// Sources: Holm (A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6, 1979), here with weights; Ville (1939).
func Holm(alpha float64, weights, logMax []float64) []bool {
	total := 0.0
	for _, w := range weights {
		if !(w >= 0) {
			panic(fmt.Sprintf("stats: Holm with weights %v", weights))
		}
		total += w
	}
	if !(alpha > 0 && alpha < 1) || total > 1+1e-9 || len(weights) != len(logMax) {
		panic(fmt.Sprintf("stats: Holm at %v with weights %v for %d tests", alpha, weights, len(logMax)))
	}
	reserve := max(0, 1-total)
	rejected := make([]bool, len(weights))
	for again := true; again; {
		left := reserve
		for i, w := range weights {
			if !rejected[i] {
				left += w
			}
		}
		again = false
		for i, w := range weights {
			if !rejected[i] && w > 0 && logMax[i] >= math.Log(left/(w*alpha)) {
				rejected[i], again = true, true
			}
		}
	}
	return rejected
}
