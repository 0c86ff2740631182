package engine

import (
	"streamcanary/analysis"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// PlanOf says what stage one must count for an epoch of a rollout, from the first window that starts at or after fromMs. Where an arm is part of its
// version, events that can't be read and outcomes without a prediction aren't counted: they may be of the rest of the version, which can be many
// times as large, so their share of what the arms have would mean nothing.
func PlanOf(r *schemas.Rollout, epoch, fromMs int64) windows.Plan {
	p := windows.Plan{
		Rollout: r.Name, Epoch: epoch, Model: r.Model, Baseline: r.Baseline, Canary: r.Canary,
		WidthMs: r.Window.Milliseconds(), LatenessMs: r.Lateness.Milliseconds(), FromMs: fromMs,
		Where:   [windows.Arms]schemas.Where{windows.Baseline: r.BaselineWhere, windows.Canary: r.CanaryWhere},
		Metrics: analysis.Metrics(r), Health: !r.Picks(), Exhibits: analysis.Exhibits(r),
	}
	for _, o := range r.Outcomes {
		if watched(r, o.Name) {
			p.Outcomes = append(p.Outcomes, windows.OutcomePlan{Name: o.Name, WithinMs: o.Within.Milliseconds(), Cap: o.Cap})
		}
	}
	if s := r.Segments; s != nil { // which of them are watched is the judge's to say: it counts them first
		p.Segments = &windows.SegmentPlan{List: s.List, Most: windows.MaxSegments}
	}
	return p
}

// watched reports whether a guardrail names an outcome.
func watched(r *schemas.Rollout, outcome string) bool {
	for _, g := range r.Guardrails {
		if g.IsOutcome() && g.Of == outcome {
			return true
		}
	}
	return false
}
