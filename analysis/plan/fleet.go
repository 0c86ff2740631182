package plan

import (
	"streamcanary/analysis"
	"streamcanary/schemas"
)

// A Fleet is what many rollouts a year must expect of the risk that one of them takes.
type Fleet struct {
	Models   int
	Rollouts float64 // of each model, a year
	// FalseRollbacks is the most rollbacks of canaries that do no harm to expect a year. FalseHolds is the same of holds: of guardrails with
	// on: hold, of a silent baseline, of the checks of the input and of self-tests.
	FalseRollbacks, FalseHolds float64
}

// FleetOf counts for a rollout like this one.
//
// Claim. Each figure is a bound on an expected number a year: an epoch's risk is at most what the rollout says, and the expectations of any number of them add up,
// whether or not they depend on each other.
//
// When. Each rollout is one epoch; one that begins another epoch counts again. Rollbacks and holds are as analysis.Judge.FalseRollbacks and FalseHolds count them.
//
// Cost: that of making one Judge.
//
// Conventions: zeros of an empty fleet. NaN or infinite rollouts come back as they are.
//
// Source: linearity of the expectation; the risk of an epoch is that of stats.Holm and of the tests that it holds.
func FleetOf(r *schemas.Rollout, models int, rollouts float64) Fleet {
	epochs := float64(models) * rollouts
	j := analysis.NewJudge(r, analysis.Options{NoIntervals: true})
	return Fleet{Models: models, Rollouts: rollouts, FalseRollbacks: epochs * j.FalseRollbacks(), FalseHolds: epochs * j.FalseHolds()}
}
