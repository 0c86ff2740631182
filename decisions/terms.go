package decisions

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

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
	// Stages are those that are judged, in their order; one at least.
	Stages []StageTerms `json:"stages"`
	// External: another controller moves the weights, so no router need be prepared.
	External bool `json:"external,omitempty"`
	// ApprovePromotion: a person must say that the canary gets all traffic.
	ApprovePromotion bool `json:"approve_promotion,omitempty"`
	// Routers are the consumers that must all acknowledge, ascending; none: any one is enough.
	Routers     []string `json:"routers,omitempty"`
	AckWithinMs int64    `json:"ack_within_ms"`
	// State is what goes back with the traffic.
	State StateTerms `json:"state,omitzero"`
	// Cache is how the cache of the version that takes over is warmed.
	Cache CacheTerms `json:"cache,omitzero"`
	// Sinks are those that a rollback tells, too.
	Sinks SinkTerms `json:"sinks,omitzero"`
	// Chronic is how many rollbacks of the model, in which time, call for another answer; Hotfix is what that would be.
	Chronic ChronicTerms `json:"chronic,omitzero"`
	Hotfix  string       `json:"hotfix,omitempty"`
	// Alerts are the guardrails from outside.
	Alerts []schemas.AlertGuardrail `json:"alerts,omitempty"`
	// SettleMs is how much later than routers say so a new split is believed to be that of all predictions. 0 in a replay.
	SettleMs      int64  `json:"settle_ms,omitempty"`
	DrainWithinMs int64  `json:"drain_within_ms"`
	Sha256        string `json:"sha256"` // of the rollout
	Program       string `json:"program,omitempty"`
	Application   string `json:"application,omitempty"` // id of the request that started the epoch
	// Back is what the epoch goes back from, where `rollout back` began it.
	Back *Back `json:"back,omitempty"`
	// Source is the CloudEvents source of the decisions: who speaks; "streamcanary" where it is empty.
	Source string `json:"source,omitempty"`
	// Unattended is true in a replay: nobody acknowledges, so nothing waits for an ack or for the canary to drain.
	Unattended bool `json:"unattended,omitempty"`
}

// StageTerms are what the state machine needs of a stage. Where neither WeightBP nor MirrorBP is set, routers keep their own split, and no decision
// carries routes before the rollback or the promotion.
type StageTerms struct {
	WeightBP int   `json:"weight_bp,omitempty"` // the canary's planned share
	MirrorBP int   `json:"mirror_bp,omitempty"` // the share of the baseline's traffic that is copied to the canary
	Approve  bool  `json:"approve,omitempty"`   // a person must say that it begins
	Watch    bool  `json:"watch,omitempty"`     // after it the canary gets all, without any more to be passed
	WatchMs  int64 `json:"watch_ms,omitempty"`  // how long it takes, event time; 0: not known
	Warm     bool  `json:"warm,omitempty"`      // a stop of the canary's way to all of the traffic: until its cache is warm
}

// ChronicTerms say when rolling back again is no answer; the zero value: never.
type ChronicTerms struct {
	Rollbacks int   `json:"rollbacks,omitempty"` // with the one that is decided
	WithinMs  int64 `json:"within_ms,omitempty"`
}

// TermsOf takes the terms from a rollout, whose stages are those that the epoch goes through (schemas.Rollout.Walked). The result shares no memory with it.
func TermsOf(r *schemas.Rollout) Terms {
	t := Terms{
		Rollout: r.Name, Model: r.Model, Baseline: r.Baseline, Canary: r.Canary, Mode: r.Mode,
		Routers:     slices.Clone(r.Acks.Routers),
		AckWithinMs: r.Acks.Within.Milliseconds(), DrainWithinMs: r.DrainWithin.Milliseconds(),
		SettleMs: (r.Window + r.Lateness + settle).Milliseconds(),
		Sha256:   r.Sha256, Labels: maps.Clone(r.Labels), Links: maps.Clone(r.Annotations),
	}
	slices.Sort(t.Routers)
	t.State, t.Cache, t.Sinks = stateTermsOf(r), cacheTermsOf(r), sinkTermsOf(r)
	t.Chronic, t.Hotfix = ChronicTerms{r.Chronic.Rollbacks, r.Chronic.Within.Milliseconds()}, r.Hotfix
	for _, g := range r.Alerts {
		g.Match = slices.Clone(g.Match)
		t.Alerts = append(t.Alerts, g)
	}
	t.External, t.ApprovePromotion = r.External, r.ApprovePromotion
	for i := range r.Stages {
		s := &r.Stages[i]
		t.Stages = append(t.Stages, StageTerms{WeightBP: s.WeightBP, MirrorBP: s.MirrorBP, Approve: s.Approve, Watch: s.Watch > 0, WatchMs: s.Watch.Milliseconds(), Warm: s.Warm})
	}
	return t
}

// settle is what clocks of producers may be ahead, and most answers take.
const settle = time.Second

// awaited reports whether decisions of these terms are to be acknowledged at all.
func (t *Terms) awaited() bool { return t.Mode == schemas.Enforce && !t.Unattended }

// askedFor is the decision's `acks`: who must answer; nil: nobody.
func (t *Terms) askedFor(w who) []string {
	var names []string
	switch {
	case !t.awaited():
		return nil
	case w&routers != 0 && len(t.Routers) == 0:
		names = []string{anyRouter}
	case w&routers != 0:
		names = slices.Clone(t.Routers)
	}
	if w&stores != 0 {
		names = append(names, t.State.Stores...)
	}
	return names
}

// within is how soon they must answer.
func (t *Terms) within(w who) int64 {
	within := int64(0)
	if w&routers != 0 {
		within = t.AckWithinMs
	}
	if w&stores != 0 {
		within = max(within, t.State.AckWithinMs)
	}
	return within
}

// asksRouter reports whether a name is a router's that may answer.
func (t *Terms) asksRouter(name string) bool {
	return len(t.Routers) == 0 && !slices.Contains(t.State.Former, name) || slices.Contains(t.Routers, name)
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

// stageRoutes is the split that a stage plans; nil where it plans none.
func (t *Terms) stageRoutes(stage int) []schemas.Route {
	s := &t.Stages[stage]
	if s.WeightBP+s.MirrorBP == 0 {
		return nil
	}
	return []schemas.Route{{Version: t.Baseline, WeightBP: fullBP - s.WeightBP}, {Version: t.Canary, WeightBP: s.WeightBP, MirrorBP: s.MirrorBP}}
}

// last reports whether a promotion comes after a stage.
func (t *Terms) last(stage int) bool { return stage == len(t.Stages)-1 }

// stageText is a stage for a person: its number, and the share that it plans.
func (t *Terms) stageText(stage int) string {
	s := &t.Stages[stage]
	number := fmt.Sprintf("stage %d of %d", stage+1, len(t.Stages))
	switch {
	case s.MirrorBP > 0:
		return fmt.Sprintf("%s (copies of %s of the traffic)", number, percentOf(s.MirrorBP))
	case s.Warm:
		return fmt.Sprintf("%s (%s of the traffic, until the cache of %s is warm)", number, percentOf(s.WeightBP), t.Canary)
	case s.Watch:
		return fmt.Sprintf("%s (watched, with all of the traffic but a holdback of %s)", number, percentOf(fullBP-s.WeightBP))
	case s.WeightBP > 0:
		return fmt.Sprintf("%s (%s of the traffic)", number, percentOf(s.WeightBP))
	}
	return number
}

// percentOf writes basis points for a sentence.
func percentOf(bp int) string { return shortPercent(bp) + " %" }

func shortPercent(bp int) string { return strconv.FormatFloat(float64(bp)/100, 'f', -1, 64) }

// fullBP is all of the traffic, in basis points.
const fullBP = 10000
