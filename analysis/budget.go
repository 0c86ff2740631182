package analysis

import (
	"math"

	"streamcanary/analysis/stats"
)

// A family is the tests that share one budget: the chance that any of them errs in the epoch is at most alpha. Its
// two ladders are run each over the whole family with all of alpha: `any`, and `beyond`, which counts only once `any`
// is proven. A canary that does no harm is within its margins too, so the two err no more often than one.
type family struct{ any, beyond *ladder }

func newFamily(alpha float64, weights []float64) *family {
	return &family{any: newLadder(alpha, weights), beyond: newLadder(alpha, weights)}
}

// A ladder is weighted Holm on running maxima: what is proven leaves its share of the budget to the rest.
type ladder struct {
	alpha      float64
	weights    []float64
	max        []float64 // running maximum of each member's log evidence
	proven     []bool
	thresholds []float64 // what max is held against; of a proven one, what it was proven at
}

// newLadder makes the weights shares of the whole.
func newLadder(alpha float64, weights []float64) *ladder {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	shares := make([]float64, len(weights))
	for i, w := range weights {
		shares[i] = w / sum
	}
	l := &ladder{
		alpha: alpha, weights: shares,
		max: make([]float64, len(weights)), proven: make([]bool, len(weights)), thresholds: make([]float64, len(weights)),
	}
	l.divide()
	return l
}

// raise takes a member's log evidence.
func (l *ladder) raise(member int, logE float64) {
	if logE <= l.max[member] {
		return
	}
	l.max[member] = logE
	if l.proven[member] || logE < l.thresholds[member] {
		return
	}
	copy(l.proven, stats.Holm(l.alpha, l.weights, l.max))
	l.divide()
}

// divide gives what is left of the budget to the members that are not proven.
func (l *ladder) divide() {
	left := 0.0
	for i, w := range l.weights {
		if !l.proven[i] {
			left += w
		}
	}
	for i, w := range l.weights {
		if !l.proven[i] {
			l.thresholds[i] = math.Log(left / (l.alpha * w))
		}
	}
}
