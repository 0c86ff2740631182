package decisions

import (
	"maps"
	"slices"

	"streamcanary/schemas"
)

// Terms are what the state machine needs of a rollout. They are fixed for an epoch and stored with its state, so that a
// changed rollout file never changes an epoch that is under way.
type Terms struct {
	Rollout  string            `json:"rollout"`
	Model    string            `json:"model"`
	Baseline string            `json:"baseline"` // version
	Canary   string            `json:"canary"`   // version
	Mode     schemas.Mode      `json:"mode"`
	Labels   map[string]string `json:"labels,omitempty"`
	Links    map[string]string `json:"links,omitempty"` // the rollout's annotations: whose it is, where to read what to do
	// WeightBP is the canary's planned share in basis points; 0: routers keep their own split, and no decision carries
	// routes before the rollback or the promotion.
	WeightBP int `json:"weight_bp,omitempty"`
	// Routers are the consumers that must all acknowledge, ascending; none: any one is enough.
	Routers       []string `json:"routers,omitempty"`
	AckWithinMs   int64    `json:"ack_within_ms"`
	DrainWithinMs int64    `json:"drain_within_ms"`
	Sha256        string   `json:"sha256"` // of the rollout
	Program       string   `json:"program,omitempty"`
	Application   string   `json:"application,omitempty"` // id of the request that started the epoch
	// Source is the CloudEvents source of the decisions: who speaks; "streamcanary" where it is empty.
	Source string `json:"source,omitempty"`
	// Unattended is true in a replay: nobody acknowledges, so nothing waits for an ack or for the canary to drain.
	Unattended bool `json:"unattended,omitempty"`
}

// TermsOf takes the terms from a rollout. The result shares no memory with it.
func TermsOf(r *schemas.Rollout) Terms {
	t := Terms{
		Rollout: r.Name, Model: r.Model, Baseline: r.Baseline, Canary: r.Canary, Mode: r.Mode,
		Routers:     slices.Clone(r.Acks.Routers),
		AckWithinMs: r.Acks.Within.Milliseconds(), DrainWithinMs: r.DrainWithin.Milliseconds(),
		Sha256: r.Sha256, Labels: maps.Clone(r.Labels), Links: maps.Clone(r.Annotations),
	}
	slices.Sort(t.Routers)
	if len(r.Stages) > 0 {
		t.WeightBP = r.Stages[0].WeightBP
	}
	return t
}

// awaited reports whether decisions of these terms are to be acknowledged at all.
func (t *Terms) awaited() bool { return t.Mode == schemas.Enforce && !t.Unattended }

// askedFor is the decision's `acks`: who must answer.
func (t *Terms) askedFor() []string {
	if !t.awaited() {
		return nil
	}
	if len(t.Routers) == 0 {
		return []string{anyRouter}
	}
	return slices.Clone(t.Routers)
}

// anyRouter in a decision's acks: one router's answer is enough.
const anyRouter = "any"

// baselineRoutes sends all traffic to the baseline.
func (t *Terms) baselineRoutes() []schemas.Route {
	return []schemas.Route{{Version: t.Baseline, WeightBP: fullBP}, {Version: t.Canary}}
}

// canaryRoutes sends all traffic to the canary.
func (t *Terms) canaryRoutes() []schemas.Route {
	return []schemas.Route{{Version: t.Baseline}, {Version: t.Canary, WeightBP: fullBP}}
}

// stageRoutes is the planned split; nil without a planned weight.
func (t *Terms) stageRoutes() []schemas.Route {
	if t.WeightBP == 0 {
		return nil
	}
	return []schemas.Route{{Version: t.Baseline, WeightBP: fullBP - t.WeightBP}, {Version: t.Canary, WeightBP: t.WeightBP}}
}

// fullBP is all of the traffic, in basis points.
const fullBP = 10000
