package analysis

import (
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// segmentShare is the part of a budget that is kept for segments, where segments are watched.
const segmentShare = .1

// shareBudgets puts the guardrails into families by what a failure of them does: each has falseRollback of its own. Where segments are watched, a
// tenth of it is theirs, in equal parts for each slot of a guardrail, also for one that no segment ever takes. All
// weights are fixed here, and Holm passes on to the rest what a proof sets free, from the whole to the segments, too.
func (j *Judge) shareBudgets() {
	alpha := j.rollout.Risk.FalseRollback
	for _, on := range []schemas.On{schemas.OnRollback, schemas.OnHold, schemas.OnWarn} {
		f := newFamily(alpha, j.weights(on))
		for _, g := range j.all {
			if g.spec.On == on {
				g.family = f
			}
		}
		j.families = append(j.families, f)
	}
	j.rollback = j.families[0]
	j.silence[windows.Baseline] = math.Log(1 / alpha)
}

// weights numbers the members of a family, and gives their weights: the guardrails, the missing canary among those that roll back, and then
// the guardrails' segments.
func (j *Judge) weights(on schemas.On) []float64 {
	var weights []float64
	for _, g := range j.guards {
		if g.spec.On == on {
			g.member, weights = len(weights), append(weights, g.spec.Weight)
		}
	}
	if on == schemas.OnRollback {
		j.missingMember = len(weights)
		weights = append(weights, schemas.MissingCanaryWeight)
	}
	if j.roster == nil {
		return weights
	}
	whole, parts := 0.0, 0.0
	for _, w := range weights {
		whole += w
	}
	for _, g := range j.guards {
		if g.spec.On == on && len(g.segments) > 0 {
			parts += g.spec.Weight
		}
	}
	reserve := whole / (1 - segmentShare) * segmentShare
	if parts == 0 { // nobody ever claims it
		return append(weights, reserve)
	}
	for _, g := range j.guards {
		if g.spec.On != on {
			continue
		}
		for _, part := range g.segments {
			part.member = len(weights)
			weights = append(weights, reserve*g.spec.Weight/parts/float64(len(g.segments)))
		}
	}
	return weights
}

// A family is the tests that share one budget: the chance that any of them fails falsely in the epoch is at most alpha. Of its two
// ladders, each over the whole family with all of alpha, only `fail` makes failures, of what each guardrail must prove itself: so however many
// others do harm within their margins, those for which that is false fail with at most alpha (Holm). `any` is of any harm, which makes suspicion: what one guardrail has proven there leaves its
// share to the suspicion of others, and to no failure.
type family struct{ any, fail *ladder }

func newFamily(alpha float64, weights []float64) *family {
	return &family{any: newLadder(alpha, weights), fail: newLadder(alpha, weights)}
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

// forget takes back what a member has shown, and what others have proven by the share that its proof set free.
func (l *ladder) forget(member int) {
	l.max[member] = 0
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
