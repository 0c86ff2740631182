package plan

import "streamcanary/schemas"

// A Fleet is what many rollouts a year must expect of the risk that one of them takes.
type Fleet struct {
	Models   int
	Rollouts float64 // of each model, a year
	// FalseRollbacks is the most rollbacks of canaries that do no harm to expect a year. FalseHolds is the same of holds, which have a budget of
	// their own where a guardrail has on: hold.
	FalseRollbacks, FalseHolds float64
}

// FleetOf counts for a rollout like this one. Each figure is a bound on an expected number: an epoch's risk is at most what the rollout says, and no more than that
// many add up, whether or not they depend on each other.
func FleetOf(r *schemas.Rollout, models int, rollouts float64) Fleet {
	all := float64(models) * rollouts * r.Risk.FalseRollback
	f := Fleet{Models: models, Rollouts: rollouts, FalseRollbacks: all}
	for _, g := range r.Guardrails {
		if g.On == schemas.OnHold {
			f.FalseHolds = all
		}
	}
	return f
}
