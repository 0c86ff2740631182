package decisions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// judged turns a verdict into a decision where it changes something. Before the commit, and once the epoch has
// ended (a rollback is latched), verdicts change nothing.
func (t *turn) judged(v *Verdict) {
	t.s.Breached = slices.Clone(v.Breached[:min(len(v.Breached), maxNamed)])
	t.s.Beyond = slices.Clone(v.Beyond[:min(len(v.Beyond), maxNamed)])
	defer t.beyond()
	if v.Reason.Skew != nil {
		t.s.Skew = v.Reason.Skew
	}
	if t.s.Status == StatusPromoting && v.Action == VerdictRollback && (v.Severe || t.s.Terms.Cache.PromoteBP == nil) { // else a cold cache could send all back
		t.rollback(v.draft(), v.HarmBeganMs)
		return
	}
	if v.Action == VerdictRollback && v.Severe && v.Reason.Code != codeCanaryScarce { // the way back makes it so
		t.graver(v.draft())
	}
	if t.s.Status != StatusRunning && t.s.Status != StatusHolding {
		return
	}
	v = t.amiss(v)
	t.concerned(v.Concerns)
	switch v.Action {
	case VerdictRollback:
		t.rollback(v.draft(), v.HarmBeganMs)
	case VerdictAdvance, VerdictPromote:
		t.stageEnds(v)
	case VerdictHold:
		t.hold(holding{reason: v.Reason, evidence: v.Evidence})
		if v.Reason.Code == codeBothArms {
			t.forward(schemas.Reason{Code: codeNoRefuge, Sentence: t.s.bothText()})
		}
	case VerdictContinue:
		t.goOn(v)
	}
}

// draft is a decision that stands on a verdict.
func (v *Verdict) draft() draft {
	return draft{reason: v.Reason, evidence: v.Evidence, actor: engine, urgent: v.Severe}
}

// concerned tells people what the evidence gives cause for. What only warns wakes nobody, suspect or failed.
func (t *turn) concerned(concerns []Concern) {
	t.concern(concerns, schemas.NoticeGuardrailWarning, func(c *Concern) bool { return c.State == schemas.StateFailed })
	t.concern(concerns, schemas.NoticeGuardrailWarning, func(c *Concern) bool { return c.State == schemas.StateSuspect && c.Warns })
	t.concern(concerns, schemas.NoticeGuardrailSuspect, func(c *Concern) bool { return c.State == schemas.StateSuspect && !c.Warns })
	t.concern(concerns, schemas.NoticeGuardrailClear, func(c *Concern) bool { return c.State == schemas.StateContinue })
}

// concern tells people of all guardrails of a kind at once.
func (t *turn) concern(concerns []Concern, kind schemas.NoticeKind, is func(*Concern) bool) {
	var names []string
	sentence := ""
	for _, c := range concerns {
		if is(&c) {
			names = append(names, c.Guardrail)
			sentence = cmp.Or(sentence, c.Sentence)
		}
	}
	if len(names) == 0 {
		return
	}
	if len(names) > 1 {
		sentence += fmt.Sprintf(" So are: %s.", strings.Join(names[1:], ", "))
	}
	t.s.suspected(kind, names)
	n := schemas.Notice{Kind: kind, Severity: schemas.Warning, Guardrails: names[:min(len(names), maxNamed)], Sentence: sentence}
	if kind == schemas.NoticeGuardrailClear {
		n.Severity, n.Waiting = schemas.Info, t.s.standing()
	}
	t.notice(n)
}

// suspected notes of which guardrails people are told that they are suspect, or are so no more. A suspicion that comes and goes is told once, so it stands until its end is told.
func (s *State) suspected(kind schemas.NoticeKind, names []string) {
	if kind != schemas.NoticeGuardrailSuspect && kind != schemas.NoticeGuardrailClear {
		return
	}
	s.Suspected = slices.DeleteFunc(s.Suspected, func(name string) bool { return slices.Contains(names, name) })
	if kind == schemas.NoticeGuardrailSuspect {
		s.Suspected = append(s.Suspected, names...)
		s.Suspected = s.Suspected[:min(len(s.Suspected), maxNamed)]
	}
	if len(s.Suspected) == 0 {
		s.Suspected = nil
	}
}

// holding is what makes a rollout hold.
type holding struct {
	reason   schemas.Reason
	evidence schemas.Evidence
	sticky   bool // only a person ends it
	freeze   bool // and the state takes no writes until then
	severity schemas.Severity
	actor    schemas.Actor
}

// hold stops every advance. A rollout that holds already goes on under the new reason if that is another one, and it isn't held by
// what only a person ends. Each reason of one hold is decided once: where reasons take turns, State.Why follows them, and no more
// decisions come of it.
func (t *turn) hold(n holding) {
	superseded, earlier := "", []string(nil)
	if h := t.s.Hold; h != nil {
		if h.Sticky && !n.freeze || h.Code == n.reason.Code && !n.sticky {
			h.cover(&n)
			return
		}
		earlier = h.Earlier
		if !slices.Contains(earlier, h.Code) {
			earlier = append(slices.Clone(earlier), h.Code)
		}
		if slices.Contains(earlier, n.reason.Code) && !n.sticky {
			h.Code, h.Earlier = n.reason.Code, earlier
			t.s.why(&n.reason)
			return
		}
		superseded = h.Decision
	}
	under := t.s.beneath(&n)
	t.s.Status = StatusHolding
	action, asks := schemas.ActionHold, who(0)
	var thawing *Wait
	if n.freeze {
		action, asks = schemas.ActionFreeze, stores
		thawing = t.s.freeze()
	}
	decided := t.decide(draft{
		action: action, asks: asks, severity: cmp.Or(n.severity, schemas.Warning), routes: t.s.Routes,
		reason: n.reason, evidence: n.evidence, actor: n.by(), supersedes: superseded,
	})
	if n.freeze {
		t.freezes(decided)
	}
	t.s.Hold = &Hold{Decision: t.s.Prev.ID, Code: n.reason.Code, Earlier: earlier, Sticky: n.sticky, Under: under}
	t.notThawing(thawing, decided.ID)
}

// by is who holds it: the engine, unless somebody is named.
func (n *holding) by() schemas.Actor {
	if n.actor.Kind == "" {
		return engine
	}
	return n.actor
}

// resume ends a hold whose cause is gone.
func (t *turn) resume(reason schemas.Reason, evidence schemas.Evidence, actor schemas.Actor) {
	if reason.Code == "" {
		reason.Code = "hold_ended"
	}
	held := t.s.Hold.Decision
	t.s.Hold = nil
	t.s.Status = StatusRunning
	t.decide(draft{
		action: schemas.ActionResume, severity: schemas.Info, routes: t.s.Routes, state: t.thaw(),
		reason: reason, evidence: evidence, actor: actor, supersedes: held,
	})
}

// goesOn says what made the rollout hold, and is over.
func (s *State) goesOn() string {
	switch s.Hold.Code {
	case string(RulingNoData):
		return "Data is there again; judging goes on."
	case codeNotBegun:
		return "Both versions answer now: judging begins."
	case "canary_missing":
		return fmt.Sprintf("Canary %s is heard of again; judging goes on.", s.Terms.Canary)
	case "baseline_missing":
		return fmt.Sprintf("Baseline %s is heard of again; judging goes on.", s.Terms.Baseline)
	case codeRetiredServes:
		return "No version that is to have no users serves some any more, as far as people were told; judging goes on."
	case codeApproval:
		return fmt.Sprintf("What %s had shown is in doubt again, so no approval is asked for; judging goes on.", s.Terms.Canary)
	}
	return fmt.Sprintf("What made the rollout hold (%s) is gone; judging goes on.", s.Hold.Code)
}

// superseded is the decision that the next one makes pointless: the hold, else the one that still waits for acks.
func (t *turn) superseded() string {
	switch {
	case t.s.Hold != nil:
		return t.s.Hold.Decision
	case t.s.Wait != nil:
		return t.s.Wait.Decision
	}
	return ""
}

// ruled takes a ruling on the input. Alerts that are left out are told; a gap holds the rollout until a person resumes it, missing data until there is some again.
func (t *turn) ruled(r *Ruling) {
	if r.Kind == RulingTruncated {
		t.truncated(r)
		return
	}
	if t.s.Status != StatusRunning && t.s.Status != StatusHolding {
		return
	}
	reason := schemas.Reason{Code: string(r.Kind), Sentence: r.Sentence}
	switch r.Kind {
	case RulingGap:
		if reason.Sentence == "" {
			reason.Sentence = "Events are gone from the input before they were read."
		}
		t.hold(holding{reason: reason, sticky: true})
	case RulingNoData:
		if reason.Sentence == "" {
			reason.Sentence = "No version has answered for too long."
		}
		if t.s.Hold == nil || t.s.Hold.byPerson() { // what holds already says more, and its evidence would be said again with the next window
			t.hold(holding{reason: reason})
		}
	}
}
