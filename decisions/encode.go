package decisions

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"streamcanary/schemas"
)

// defaultSource is the CloudEvents source of terms that name none.
const defaultSource = "streamcanary"

// encode returns a decision's exact bytes.
func encode(t *Terms, d *schemas.Decision) ([]byte, error) {
	return schemas.EncodeDecision(cmp.Or(t.Source, defaultSource), d)
}

// idOf is the id of a decision of these terms, which check has seen.
func idOf(t *Terms, epoch, seq int64) string {
	id, err := schemas.DecisionID(t.Rollout, epoch, seq)
	if err != nil {
		panic(fmt.Sprintf("decision %d of epoch %d: %v", seq, epoch, err))
	}
	return id
}

// check refuses terms, and an actor, with which no decision could be written.
func (a *Applied) check() error {
	t := &a.Terms
	if len(t.Stages) == 0 || len(t.Stages) > MaxStages || t.Baseline == t.Canary {
		return fmt.Errorf("%d stages, baseline %q, canary %q", len(t.Stages), t.Baseline, t.Canary)
	}
	for i, s := range t.Stages {
		if s.WeightBP < 0 || s.WeightBP > fullBP || s.MirrorBP < 0 || s.MirrorBP > fullBP {
			return fmt.Errorf("stage %d: weight %d, mirror %d basis points", i, s.WeightBP, s.MirrorBP)
		}
	}
	if t.AckWithinMs < 0 || t.DrainWithinMs < 0 || a.Epoch < 1 {
		return fmt.Errorf("acks within %d ms, drain within %d ms, epoch %d", t.AckWithinMs, t.DrainWithinMs, a.Epoch)
	}
	if err := checkPillars(a.Pillars, PillarHeld, PillarFailed); err != nil {
		return err
	}
	id, err := schemas.DecisionID(t.Rollout, a.Epoch, 1)
	if err != nil {
		return err
	}
	_, err = encode(t, &schemas.Decision{
		ID: id, Epoch: a.Epoch, Seq: 1, Prev: a.Prev, Model: t.Model, Rollout: t.Rollout, Mode: t.Mode, Actor: a.Actor,
		Action: schemas.ActionRollback, Severity: schemas.Critical, Routes: t.baselineRoutes(), PreviousRoutes: a.Routes,
		Reason: schemas.Reason{Code: "trial", Sentence: "Trial."},
	})
	return err
}

// fit encodes a decision, shortening its reason until it is within MaxBodyBytes.
func fit(t *Terms, d *schemas.Decision) []byte {
	d.Reason = finite(d.Reason)
	body, err := encode(t, d)
	if err == nil && len(body) <= MaxBodyBytes {
		return body
	}
	d.Reason.Guardrails = slices.DeleteFunc(slices.Clone(d.Reason.Guardrails), func(g schemas.GuardrailStatus) bool {
		return g.State != schemas.StateFailed && g.State != schemas.StateSuspect
	})
	d.Reason.Guardrails = d.Reason.Guardrails[:min(len(d.Reason.Guardrails), MaxShort)]
	d.Reason.Health = d.Reason.Health[:min(len(d.Reason.Health), MaxShort)]
	if body, err = encode(t, d); err == nil && len(body) <= MaxBodyBytes {
		return body
	}
	for i := range d.Reason.Guardrails {
		d.Reason.Guardrails[i].Exemplars = nil
	}
	if body, err = encode(t, d); err == nil && len(body) <= MaxBodyBytes {
		return body
	}
	d.Labels, d.Links = nil, nil
	if body, err = encode(t, d); err == nil && len(body) <= MaxBodyBytes {
		return body
	}
	d.Reason.Guardrails, d.Reason.Health, d.Evidence.Inputs = nil, nil, nil
	if body, err = encode(t, d); err != nil || len(body) > MaxBodyBytes {
		panic(fmt.Sprintf("decision %s is %d bytes without its reason (at most %d): %v", d.ID, len(body), MaxBodyBytes, err))
	}
	return body
}

// finite replaces what JSON can't carry: an unknown estimate becomes absent, infinite evidence the greatest number. The result
// shares no memory with r that it changes.
func finite(r schemas.Reason) schemas.Reason {
	r.Guardrails = slices.Clone(r.Guardrails)
	for i := range r.Guardrails {
		g := &r.Guardrails[i]
		for _, x := range []**float64{&g.Estimate, &g.Lower, &g.Upper, &g.SinceHarm, &g.Baseline.Value, &g.Canary.Value} {
			*x = known(*x)
		}
		for _, x := range []**schemas.Interval{&g.Ratio, &g.Difference} {
			if r := *x; r != nil {
				*x = &schemas.Interval{Estimate: known(r.Estimate), Lower: known(r.Lower), Upper: known(r.Upper), Changed: r.Changed}
			}
		}
		for _, x := range []*float64{&g.LogEvidence, &g.LogAny, &g.LogPass, &g.Threshold, &g.PassThreshold, &g.Phi} {
			*x = bounded(*x)
		}
	}
	r.Health = slices.Clone(r.Health)
	for i := range r.Health {
		f := &r.Health[i]
		f.LogEvidence, f.Threshold = bounded(f.LogEvidence), bounded(f.Threshold)
	}
	return r
}

func known(x *float64) *float64 {
	if x == nil || math.IsNaN(*x) || math.IsInf(*x, 0) {
		return nil
	}
	return x
}

func bounded(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return max(-math.MaxFloat64, min(x, math.MaxFloat64))
}
