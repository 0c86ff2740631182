package main

import (
	"context"
	"fmt"
	"io"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// fromLog is what the decision log alone knows of an epoch; nil: there is none.
type fromLog struct {
	last    *schemas.Decision
	evident *schemas.Decision // the last one with evidence
	later   *schemas.Decision // the model's last one of a later epoch that routes
}

// readLog reads what the decision log knows of an epoch.
func readLog(ctx context.Context, b *bus.Bus, a *serve.Addresses, s *decisions.State) (fromLog, error) {
	var found fromLog
	keys, unknown := readTrust(a.Trust) // without keys, the log is believed
	var before passed
	err := b.Log(ctx, bus.LogQuery{Model: s.Terms.Model}, func(l bus.Logged) error {
		d := l.Decision
		if d == nil || d.Epoch < s.Epoch || unknown == nil && l.Verify(keys) != nil {
			return nil
		}
		if _, stale := before.take(&l, unknown == nil); stale != nil { // a copy, say
			return nil
		}
		if d.Epoch > s.Epoch && len(d.Routes) > 0 { // else it has moved nothing
			found.later = d
		}
		if d.Epoch > s.Epoch || d.Rollout != s.Terms.Rollout {
			return nil
		}
		found.last = d
		if len(d.Reason.Guardrails) > 0 {
			found.evident = d
		}
		return nil
	})
	return found, err
}

// A lastDecision is the epoch's last one, whatever it is about.
type lastDecision struct {
	ID       string         `json:"id"`
	Action   schemas.Action `json:"action"`
	Code     string         `json:"code"`
	Sentence string         `json:"sentence"`
}

// A laterEpoch is the newest of the model: its routes are in force, and not those that an ended rollout's record has.
type laterEpoch struct {
	Rollout string `json:"rollout"`
	Epoch   int64  `json:"epoch"`
}

// complete adds what only the decision log knows: the last decision, whether another epoch has decided since, and, where nobody says how the guardrails stand now, how they stood last.
func (v *view) complete(ctx context.Context, b *bus.Bus, a *serve.Addresses) {
	s := &v.Record.State
	dated := v.AsOf == asOfDecision && len(v.Guardrails) == 0
	if s.Why == nil && !dated {
		return
	}
	found, err := readLog(ctx, b, a, s)
	if err != nil && v.LeftOut == "" {
		what := "what was decided last stands"
		if dated {
			what = "the guardrails and the findings of health at its last decision stand"
		}
		v.LeftOut = fmt.Sprintf("%s in the decision log, which can't be read: %v", what, err)
	}
	if d := found.last; d != nil && err == nil {
		v.Last = &lastDecision{d.ID, d.Action, d.Reason.Code, d.Reason.Sentence}
	}
	if d := found.later; d != nil && err == nil && s.Status.Ended() {
		v.Later = &laterEpoch{d.Rollout, d.Epoch}
	}
	if d := found.evident; d != nil && dated {
		v.Guardrails, v.Health = d.Reason.Guardrails, d.Reason.Health
		v.EvidenceOf, v.EvidenceAt = d.ID, d.EventTime
	}
}

// printDecided writes why a rollout is as it is, and what was decided last, where that is something else: a step of a rollback, or a start after a hold.
func printDecided(w io.Writer, v *view) {
	s := &v.Record.State
	switch {
	case s.Why == nil:
	case v.Last == nil:
		say(w, "decided: %s: %s\n", s.Why.Code, s.WhyText())
	case v.Last.Code == s.Why.Code && v.Last.Sentence == s.Why.Sentence:
		say(w, "last decision: %s: %s\n", s.Why.Code, s.WhyText())
	default:
		say(w, "decided: %s: %s\n", s.Why.Code, s.WhyText())
		say(w, "last decision: %s (%s): %s: %s\n", v.Last.ID, v.Last.Action, v.Last.Code, v.Last.Sentence)
	}
}
