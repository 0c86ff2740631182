package decisions

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"streamcanary/schemas"
)

// The reasons of a roll-forward.
const (
	codeChronic    = "chronic"     // the model was rolled back too often: the cause is not in one version
	codeNoRefuge   = "no_refuge"   // the baseline is beyond its own limit, or can't be deployed any more
	codeSchemaGone = "schema_gone" // what is made for the canary doesn't fit the baseline any more, or the other way round
	codeStateGone  = "state_gone"  // the state can't go back
)

// codeBothArms is the reason of a hold in which both versions are beyond a limit.
const codeBothArms = "both_arms"

// A Past is a rollback of the model in an earlier epoch, of whatever rollout.
type Past struct {
	Rollout string `json:"rollout"`
	Epoch   int64  `json:"epoch"`
	AtMs    int64  `json:"at_ms"` // event time
	Cause   string `json:"cause"` // the guardrail that failed, else the reason's code
	// Canary is the version that was rolled back; empty: older records don't say.
	Canary string `json:"canary,omitempty"`
	// Skew is how the scores of what was rolled back differed from those offline, where that was proven.
	Skew string `json:"skew,omitempty"`
}

// MaxPast bounds the rollbacks that are remembered: the newest.
const MaxPast = 64

// PastOf is the rollback that a decision is; false: it is none, or one that follows another of the same epoch.
func PastOf(d *schemas.Decision) (Past, bool) {
	if d.Action != schemas.ActionRollback || d.Mode != schemas.Enforce {
		return Past{}, false
	}
	p := Past{Rollout: d.Rollout, Epoch: d.Epoch, AtMs: int64(d.EventTime), Cause: causeOf(&d.Reason)}
	if i := slices.IndexFunc(d.Routes, func(r schemas.Route) bool { return r.WeightBP == 0 }); i >= 0 {
		p.Canary = clip(d.Routes[i].Version, schemas.MaxNameBytes)
	}
	if k := d.Reason.Skew; k != nil && k.Proven {
		p.Skew = k.String()
	}
	return p, true
}

// causeOf is what a rollback stands on: the guardrail that decided, else the reason's code. A verdict falls with the first proof, so all that had failed by then were proven with the
// same part, and the one with the most evidence above its threshold decided; of alerts the one that began first. What only warns or holds decides no rollback, however long it has failed.
func causeOf(r *schemas.Reason) string {
	var cause *schemas.GuardrailStatus
	for i := range r.Guardrails {
		g := &r.Guardrails[i]
		if g.State == schemas.StateFailed && g.On == schemas.OnRollback && (g.Against == schemas.AgainstAlerts) == (r.Code == codeAlert) && (cause == nil || decidesBefore(g, cause)) {
			cause = g
		}
	}
	if cause == nil {
		return clip(r.Code, schemas.MaxNameBytes)
	}
	return clip(cause.Name, schemas.MaxNameBytes)
}

// decidesBefore reports whether of two guardrails of a kind that have failed it is the first that decides.
func decidesBefore(a, b *schemas.GuardrailStatus) bool {
	if len(a.Alerts) > 0 && len(b.Alerts) > 0 {
		return a.Alerts[0].StartsAt < b.Alerts[0].StartsAt
	}
	return a.LogEvidence-a.Threshold > b.LogEvidence-b.Threshold
}

// forward recommends to roll forward where nothing is rolled back: once in an epoch for each reason.
func (t *turn) forward(why schemas.Reason) {
	if !slices.ContainsFunc(t.s.Recommended(), func(r schemas.Reason) bool { return r.Code == why.Code }) {
		t.recommend(why)
	}
}

// Recommended are the reasons to roll forward that stand, the newest first: one for each code.
func (s *State) Recommended() []schemas.Reason {
	if s.Forward == nil {
		return nil
	}
	return append([]schemas.Reason{*s.Forward}, s.ForwardToo...)
}

// stands notes a recommendation as the newest. One of the same code ends with it; others stand until their own cause ends.
func (s *State) stands(why schemas.Reason) {
	s.unsay(why.Code)
	s.Forward, s.ForwardToo = &why, s.Recommended()
}

// unsay forgets the recommendation of a code.
func (s *State) unsay(code string) {
	left := slices.DeleteFunc(s.Recommended(), func(r schemas.Reason) bool { return r.Code == code })
	s.Forward, s.ForwardToo = nil, nil
	if len(left) > 0 {
		s.Forward, s.ForwardToo = &left[0], slices.Clone(left[1:])
	}
}

// afterRollback recommends to roll forward behind a rollback that may not help: one decision, whatever speaks for it. The rollback itself stands: it is what helps users
// now, as far as anything does. What was recommended before it is said again, since a rollback alone would read as if all were well. A baseline that is proven to be beyond its
// limit only later, while the rollback is carried out, is told of then (beyond).
func (t *turn) afterRollback() {
	var why schemas.Reason
	t.s.BeyondTold = nil // before: behind the rollback it is said again
	t.s.news()

	cause := causeOf(&t.decided(schemas.ActionRollback).Reason) // as later epochs read it in the decision log (PastOf)
	var all []schemas.Reason
	for _, r := range []schemas.Reason{t.s.noRefuge(), t.s.pillarGone(), t.s.chronic(cause)} {
		if r.Code == "" {
			continue
		}
		why.Code = cmp.Or(why.Code, r.Code)
		why.Sentence = strings.TrimSpace(why.Sentence + " " + r.Sentence)
		if n := len(all); n > 0 && all[n-1].Code == r.Code {
			all[n-1].Sentence += " " + r.Sentence
		} else {
			all = append(all, r)
		}
	}
	if why.Code != "" {
		t.recommend(why)
		t.s.standApart(all)
	}
}

// standApart notes what one decision has recommended for several reasons as one of each: some may end before the others.
func (s *State) standApart(all []schemas.Reason) {
	for _, why := range slices.Backward(all) {
		s.stands(s.advised(why))
	}
}

// recommend says to repair what is wrong instead of going back. It moves nothing.
func (t *turn) recommend(why schemas.Reason) {
	why = t.s.advised(why)
	t.s.stands(why)
	severity := schemas.Warning
	noRefuge := why.Code == codeNoRefuge && len(t.s.proven()) > 0 && t.s.Undone() // all users come to what harms them, as after that (tellNoRefuge)
	if noRefuge || t.s.Status == StatusFrozen {                                   // users are harmed, and nothing moves
		severity = t.s.Saga.severity()
	}
	t.decide(draft{action: schemas.ActionRollForward, severity: severity, routes: t.s.Routes, state: t.s.restoring(), reason: why, actor: engine, follows: true})
}

// advised lets the sentence of why be followed by what is known of the cause, and by what to do: whatever the reason, both are told.
func (s *State) advised(why schemas.Reason) schemas.Reason {
	do := s.rollForward()
	why.Skew, why.Changes = s.Skew, changesOf(s.Pillars)
	why.Sentence = ending(why.Sentence+s.known(), do)
	return why
}

// rollForward is what to do.
func (s *State) rollForward() string {
	if s.Terms.Hotfix == "" {
		return "Roll forward: repair the cause."
	}
	return fmt.Sprintf("Roll forward: %s.", strings.TrimSuffix(s.Terms.Hotfix, "."))
}

// rollForwardNow is the same where a baseline harms all users: what there is to do without a hotfix, too.
func (s *State) rollForwardNow() string {
	if s.Terms.Hotfix == "" {
		return fmt.Sprintf("%s The rollout names no hotfix: mend %s itself, or let a version that is well take its place, with a rollout of its own.", s.rollForward(), s.Terms.Baseline)
	}
	return s.rollForward()
}

// returns forgets the recommendation for state that doesn't go back: it can, or has.
func (s *State) returns() { s.unsay(codeStateGone) }

// restoring is what a decision must go on to ask of stores that are about to go back to their snapshots, since they do what the newest one says; nil: they aren't.
func (s *State) restoring() []schemas.StateOrder {
	if s.Saga == nil {
		return nil
	}
	if step := s.Saga.step(StepRestore); step == nil || !step.begun() || !step.open() {
		return nil
	}
	return s.orders(schemas.StateRestore)
}

// chronic is why rolling back again is no answer, where the model has been rolled back too often; the zero value: it hasn't.
func (s *State) chronic(cause string) schemas.Reason {
	causes, canaries := []string{cause}, []string{s.Terms.Canary}
	for i := range s.Past {
		if p := &s.Past[i]; s.recent(p) {
			causes, canaries = append(causes, p.Cause), append(canaries, p.Canary)
		}
	}
	if terms := &s.Terms.Chronic; terms.Rollbacks == 0 || len(causes) < terms.Rollbacks {
		return schemas.Reason{}
	}
	return schemas.Reason{Code: codeChronic, Sentence: fmt.Sprintf("Model %s was rolled back %s within %s (%s), %s.",
		s.Terms.Model, times(len(causes)), schemas.FormatDuration(time.Duration(s.Terms.Chronic.WithinMs)*time.Millisecond), counted(causes), versionsText(canaries))}
}

// versionsText says what it means which versions were rolled back.
func versionsText(canaries []string) string {
	slices.Sort(canaries)
	canaries = slices.Compact(canaries)
	switch {
	case len(canaries) == 1:
		return fmt.Sprintf("each time from %s, so another try of it won't end that", canaries[0])
	case slices.Contains(canaries, ""):
		return "and rolling back won't end it"
	}
	return fmt.Sprintf("from %d versions (%s), so the cause is likely not in one version, and rolling back won't end it", len(canaries), listed(canaries[:min(len(canaries), maxToldVersions)]))
}

// recent reports whether a rollback is one of those that are counted.
func (s *State) recent(p *Past) bool { return s.EventMs-p.AtMs <= s.Terms.Chronic.WithinMs }

// Bounds of what a sentence names: changes, earlier epochs, and versions.
const (
	maxToldChanges  = 4
	maxToldEpochs   = 3
	maxToldVersions = 5
)

// known is what is known of the cause, beside the guardrails, in a sentence with a space before it; "" where that is nothing. None of it is proven to be the cause.
func (s *State) known() string {
	var known []string
	switch k := s.Skew; {
	case k == nil:
	case k.Online == 0:
		known = append(known, "none of its answers had a score, so nothing is known of them against those offline")
	case k.Proven:
		known = append(known, fmt.Sprintf("its scores online differ from those offline (%s)", k))
	default:
		known = append(known, fmt.Sprintf("its scores online are not proven to differ from those offline (%s)", k))
	}
	if told := s.skewedBefore(); told != nil {
		known = append(known, "scores online differed from those offline before, in "+strings.Join(told, ", "))
	}
	if told := changesOf(s.Pillars); len(told) > 0 {
		more := ""
		if len(told) > maxToldChanges {
			told, more = told[:maxToldChanges], " and more"
		}
		known = append(known, fmt.Sprintf("against %s %s%s", s.Terms.Baseline, strings.Join(told, ", "), more))
	}
	if known == nil {
		return ""
	}
	return fmt.Sprintf(" Known of %s: %s.", s.Terms.Canary, strings.Join(known, "; "))
}

// skewedBefore names the earlier epochs in which a skew was proven, the newest first: of this rollout, and of others whose rollbacks are counted.
func (s *State) skewedBefore() []string {
	var told []string
	for i := range slices.Backward(s.Past) {
		if p := &s.Past[i]; p.Skew != "" && len(told) < maxToldEpochs && (p.Rollout == s.Terms.Rollout || s.recent(p)) {
			told = append(told, fmt.Sprintf("epoch %d of %s (%s)", p.Epoch, p.Rollout, p.Skew))
		}
	}
	return told
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
