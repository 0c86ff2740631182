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
	if t.s.Status != StatusRunning && t.s.Status != StatusHolding {
		return
	}
	t.concerned(v.Concerns, schemas.StateFailed, schemas.NoticeGuardrailWarning)
	t.concerned(v.Concerns, schemas.StateSuspect, schemas.NoticeGuardrailSuspect)
	switch v.Action {
	case VerdictRollback:
		t.rollback(v)
	case VerdictPromote:
		t.promote(v)
	case VerdictHold:
		t.hold(v.Reason, v.Evidence, false)
	case VerdictContinue:
		if t.s.Hold != nil && !t.s.Hold.Sticky {
			reason := v.Reason
			reason.Sentence = t.s.goesOn() // the verdict's own would tell how the evidence stands, and not what ended
			t.resume(reason, v.Evidence, engine)
		}
	}
}

// concerned tells people what the evidence gives cause for, of all guardrails in a state at once.
func (t *turn) concerned(concerns []Concern, state schemas.State, kind schemas.NoticeKind) {
	var names []string
	sentence := ""
	for _, c := range concerns {
		if c.State == state {
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
	t.notice(schemas.Notice{Kind: kind, Severity: schemas.Warning, Guardrails: names[:min(len(names), maxNamed)], Sentence: sentence})
}

// hold stops every advance. A rollout that holds already goes on under the new reason if that is another one, and it isn't held by
// what only a person ends. Each reason of one hold is decided once: where reasons take turns, State.Why follows them, and no more
// decisions come of it.
func (t *turn) hold(reason schemas.Reason, evidence schemas.Evidence, sticky bool) {
	superseded, earlier := "", []string(nil)
	if h := t.s.Hold; h != nil {
		if h.Sticky || h.Code == reason.Code && !sticky {
			return
		}
		earlier = h.Earlier
		if !slices.Contains(earlier, h.Code) {
			earlier = append(slices.Clone(earlier), h.Code)
		}
		if slices.Contains(earlier, reason.Code) && !sticky {
			h.Code, h.Earlier = reason.Code, earlier
			t.s.why(&reason)
			return
		}
		superseded = h.Decision
	}
	t.s.Status = StatusHolding
	t.decide(draft{
		action: schemas.ActionHold, severity: schemas.Warning, routes: t.s.Routes,
		reason: reason, evidence: evidence, actor: engine, supersedes: superseded,
	})
	t.s.Hold = &Hold{Decision: t.s.Prev.ID, Code: reason.Code, Earlier: earlier, Sticky: sticky}
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
		action: schemas.ActionResume, severity: schemas.Info, routes: t.s.Routes,
		reason: reason, evidence: evidence, actor: actor, supersedes: held,
	})
}

// goesOn says what made the rollout hold, and is over.
func (s *State) goesOn() string {
	switch s.Hold.Code {
	case string(RulingNoData):
		return "Data is there again; judging goes on."
	case "canary_missing":
		return fmt.Sprintf("Canary %s is heard of again; judging goes on.", s.Terms.Canary)
	case "baseline_missing":
		return fmt.Sprintf("Baseline %s is heard of again; judging goes on.", s.Terms.Baseline)
	}
	return fmt.Sprintf("What made the rollout hold (%s) is gone; judging goes on.", s.Hold.Code)
}

// promote gives the canary all traffic; a hold that only a person may end comes first.
func (t *turn) promote(v *Verdict) {
	if t.s.Hold != nil && t.s.Hold.Sticky {
		return
	}
	superseded := t.superseded()
	t.s.Hold, t.s.Wait = nil, nil
	t.s.Status = StatusPromoted
	t.decide(draft{
		action: schemas.ActionPromote, severity: schemas.Info, routes: t.s.Terms.canaryRoutes(),
		reason: v.Reason, evidence: v.Evidence, actor: engine, await: schemas.AckApplied, supersedes: superseded,
	})
}

// rollback gives the baseline all traffic, and starts the saga that follows it until the canary has drained.
func (t *turn) rollback(v *Verdict) {
	superseded := t.superseded()
	t.s.Hold, t.s.Wait = nil, nil
	t.s.Status = StatusRolledBack
	decided := t.decide(draft{
		action: schemas.ActionRollback, severity: schemas.Critical, routes: t.s.Terms.baselineRoutes(),
		reason: v.Reason, evidence: v.Evidence, actor: engine, supersedes: superseded, asks: true,
	})
	if t.s.Terms.awaited() {
		t.s.Saga = newSaga(&t.s, decided, v.HarmBeganMs, t.in.WallMs)
	}
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

// command obeys a person, or says why not.
func (t *turn) command(c *Command) {
	switch {
	case c.Do == CommandResume && t.s.Hold != nil:
		t.resume(schemas.Reason{Code: "resumed", Sentence: "A person ended the hold."}, schemas.Evidence{}, c.Actor)
	case c.Do == CommandResume:
		t.deny(c, "the rollout doesn't hold")
	case c.Do != CommandDelete:
		t.deny(c, "there is no such command; there are delete and resume")
	case t.s.Status == StatusDeleted:
		t.deny(c, "it is deleted already")
	case t.s.Saga != nil && !t.s.Saga.Done() && !c.Force:
		t.deny(c, "its rollback is not yet carried out; delete it with force to give up following it")
	default:
		t.remove(c)
	}
}

// remove ends the rollout. One that was under way tells routers so by an abort; where the engine had set a split,
// the traffic goes back to the baseline.
func (t *turn) remove(c *Command) {
	ended := t.s.Status.Ended()
	superseded := t.superseded()
	t.s.Hold, t.s.Wait = nil, nil
	t.s.Status = StatusDeleted
	if ended {
		return
	}
	var routes []schemas.Route
	if t.s.Terms.WeightBP > 0 {
		routes = t.s.Terms.baselineRoutes()
	}
	t.decide(draft{
		action: schemas.ActionStart, phase: schemas.PhaseAbort, severity: schemas.Warning, routes: routes,
		reason: schemas.Reason{Code: "deleted", Sentence: "The rollout was deleted before it ended."},
		actor:  c.Actor, supersedes: superseded,
	})
}

func (t *turn) deny(c *Command, why string) {
	t.notice(schemas.Notice{
		Kind: schemas.NoticeCommandRefused, Severity: schemas.Warning,
		Sentence: fmt.Sprintf("Command %s of rollout %s is refused: %s.", c.Do, t.s.Terms.Rollout, why),
	})
}

// ruled takes a ruling on the input. A gap holds the rollout until a person resumes it, missing data until there is some again.
func (t *turn) ruled(r *Ruling) {
	if t.s.Status != StatusRunning && t.s.Status != StatusHolding {
		return
	}
	reason := schemas.Reason{Code: string(r.Kind), Sentence: r.Sentence}
	switch r.Kind {
	case RulingGap:
		if reason.Sentence == "" {
			reason.Sentence = "Events are gone from the input before they were read."
		}
		t.hold(reason, schemas.Evidence{}, true)
	case RulingNoData:
		if reason.Sentence == "" {
			reason.Sentence = "No version has answered for too long."
		}
		if t.s.Hold == nil { // what holds already says more, and its evidence would be said again with the next window
			t.hold(reason, schemas.Evidence{}, false)
		}
	}
}
