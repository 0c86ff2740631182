package analysis

import (
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// A Refuge asks, when an epoch has ended and the baseline has all users, whether it keeps its absolute limits: the tests are those by which it is said to be beyond them while the epoch is
// judged (refuge), begun anew, with the same chance to say it by mistake (refugeAlpha). The canary of its windows may have nothing, and doesn't count. It decides nothing. Owned by one goroutine.
type Refuge struct{ judge *Judge }

// RefugeOf is the part of a rollout that a Refuge looks at: the limits of what predictions say that more than warn, by which nothing but the baseline is asked; nil: it has none.
func RefugeOf(r *schemas.Rollout) *schemas.Rollout {
	alone := *r
	alone.Guardrails = nil
	for i := range r.Guardrails {
		g := &r.Guardrails[i]
		limit := g.Kind != schemas.DistributionGuardrail && !g.Direction.Contrast() && g.On != schemas.OnWarn
		if limit && streamOf(g) == servingStream {
			alone.Guardrails = append(alone.Guardrails, *g)
		}
	}
	if alone.Guardrails == nil {
		return nil
	}
	alone.Outcomes, alone.Segments, alone.Stratify, alone.Training = nil, nil, false, nil
	alone.Cache = cacheOf(r, alone.Guardrails)
	return &alone
}

// cacheOf is a rollout's cache as far as it mutes these guardrails; nil: none of them.
func cacheOf(r *schemas.Rollout, guardrails []schemas.Guardrail) *schemas.CacheSpec {
	if r.Cache == nil {
		return nil
	}
	muted := *r.Cache
	muted.Mute = nil
	for i := range guardrails {
		if slices.Contains(r.Cache.Mute, guardrails[i].Name) {
			muted.Mute = append(muted.Mute, guardrails[i].Name)
		}
	}
	if muted.Mute == nil {
		return nil
	}
	return &muted
}

// NewRefuge begins with a rollout that RefugeOf has made.
func NewRefuge(alone *schemas.Rollout, o Options) *Refuge {
	return &Refuge{NewJudge(alone, o)}
}

// Mute is for a baseline that got its traffic back a moment ago: limits that the rollout names for a cold cache count nothing until that is warm, at the latest until then, in event time.
func (r *Refuge) Mute(untilMs int64) {
	r.judge.Returned(untilMs)
	r.judge.Followed(0)
}

// Step takes the next merged part: its metrics are those of the rollout that RefugeOf has made. Windows without a prediction of the baseline before the first one that has some are none.
func (r *Refuge) Step(p *windows.Part) {
	if j := r.judge; !j.begun && p.Stream == servingStream && p.Traffic[windows.Baseline].Events > 0 {
		j.begun, j.clock.startMs, j.stages.starts[0] = true, p.StartMs, p.StartMs
	}
	r.judge.Step(p)
}

// Proven are the limits that the baseline is proven to be beyond now, in the rollout's order. The memory is the caller's.
func (r *Refuge) Proven() []Beyond {
	var proven []Beyond
	for _, b := range r.judge.Beyond() {
		if b.Proven {
			proven = append(proven, b)
		}
	}
	return proven
}
