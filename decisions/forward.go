package decisions

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"streamcanary/schemas"
)

// The reasons of a roll-forward.
const (
	codeChronic   = "chronic"    // the model was rolled back too often: the cause is not in one version
	codeNoRefuge  = "no_refuge"  // the baseline is beyond its own limit
	codeStateGone = "state_gone" // the state can't go back
)

// codeBothArms is the reason of a hold in which both versions are beyond a limit.
const codeBothArms = "both_arms"

// A Past is a rollback of the model in an earlier epoch, of whatever rollout.
type Past struct {
	Rollout string `json:"rollout"`
	Epoch   int64  `json:"epoch"`
	AtMs    int64  `json:"at_ms"` // event time
	Cause   string `json:"cause"` // the guardrail that failed, else the reason's code
}

// MaxPast bounds the rollbacks that are remembered: the newest.
const MaxPast = 64

// PastOf is the rollback that a decision is; false: it is none, or one that follows another of the same epoch.
func PastOf(d *schemas.Decision) (Past, bool) {
	if d.Action != schemas.ActionRollback || d.Mode != schemas.Enforce {
		return Past{}, false
	}
	return Past{Rollout: d.Rollout, Epoch: d.Epoch, AtMs: int64(d.EventTime), Cause: causeOf(&d.Reason)}, true
}

// causeOf is what a rollback stands on.
func causeOf(r *schemas.Reason) string {
	for i := range r.Guardrails {
		if g := &r.Guardrails[i]; g.State == schemas.StateFailed {
			return clip(g.Name, schemas.MaxNameBytes)
		}
	}
	return clip(r.Code, schemas.MaxNameBytes)
}

// forward recommends to roll forward: to repair what is wrong instead of going back. It moves nothing, and is said once in an epoch. The sentence of why is
// followed by what is known of the cause, and by what to do.
func (t *turn) forward(why schemas.Reason) {
	if t.s.Forward != nil {
		return
	}
	do := "Roll forward: repair the cause."
	if t.s.Terms.Hotfix != "" {
		do = fmt.Sprintf("Roll forward: %s.", strings.TrimSuffix(t.s.Terms.Hotfix, "."))
	}
	told := clip(why.Sentence+t.s.Terms.known(&why), max(0, MaxSentence-len(do)-1))
	why.Sentence = clip(told+" "+do, MaxSentence)
	t.s.Forward = &why
	t.decide(draft{action: schemas.ActionRollForward, severity: schemas.Warning, routes: t.s.Routes, reason: *t.s.Forward, actor: engine, follows: true})
}

// chronic recommends to roll forward where the model has been rolled back too often. The rollback itself stands: it is what helps users now.
func (t *turn) chronic(cause string) {
	terms := &t.s.Terms.Chronic
	if terms.Rollbacks == 0 {
		return
	}
	causes := []string{cause}
	for _, p := range t.s.Past {
		if t.s.EventMs-p.AtMs <= terms.WithinMs {
			causes = append(causes, p.Cause)
		}
	}
	if len(causes) < terms.Rollbacks {
		return
	}
	t.forward(schemas.Reason{Code: codeChronic, Skew: t.s.Skew, Changes: changesOf(t.s.Pillars), Sentence: fmt.Sprintf(
		"Model %s was rolled back %s within %s (%s), so the cause is likely not in one version, and rolling back won't end it.",
		t.s.Terms.Model, times(len(causes)), schemas.FormatDuration(time.Duration(terms.WithinMs)*time.Millisecond), counted(causes))})
}

// maxToldChanges bounds the changes that a sentence names.
const maxToldChanges = 4

// known is what is known of the cause, beside the guardrails, in a sentence with a space before it; "" where that is nothing. None of it is proven to be the cause.
func (t *Terms) known(r *schemas.Reason) string {
	var known []string
	switch {
	case r.Skew == nil:
	case r.Skew.Online == 0:
		known = append(known, "none of its answers had a score, so nothing is known of them against those offline")
	case r.Skew.Proven:
		known = append(known, fmt.Sprintf("its scores online differ from those offline (%s)", r.Skew))
	default:
		known = append(known, fmt.Sprintf("its scores online are not proven to differ from those offline (%s)", r.Skew))
	}
	if told := r.Changes; len(told) > 0 {
		more := ""
		if len(told) > maxToldChanges {
			told, more = told[:maxToldChanges], " and more"
		}
		known = append(known, fmt.Sprintf("against %s %s%s", t.Baseline, strings.Join(told, ", "), more))
	}
	if known == nil {
		return ""
	}
	return fmt.Sprintf(" Known of %s: %s.", t.Canary, strings.Join(known, "; "))
}

// counted is how often each stands in a list, the most frequent first: "p99 twice".
func counted(all []string) string {
	counts := map[string]int{}
	for _, x := range all {
		counts[x]++
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = name + " " + times(counts[name])
	}
	return strings.Join(names, ", ")
}
