package decisions

import (
	"cmp"
	"fmt"

	"streamcanary/schemas"
)

// A person may hold a rollout before it has begun. It is prepared all the same, and its start isn't committed until the hold ends: the canary gets no traffic. As long as
// answers are missing, each such decision asks for all that the prepare asked for: who sees only the newest decision must know what to prepare.

// preparation completes a draft with what everybody is asked who must be prepared before the start.
func (t *turn) preparation(d draft) draft {
	terms := &t.s.Terms
	d.phase, d.await, d.state = schemas.PhasePrepare, schemas.AckPrepared, t.s.orders(schemas.StateSnapshot)
	if terms.State.kept() {
		d.state = nil
	}
	if terms.stageRoutes(0) != nil {
		d.routes = terms.baselineRoutes()
	}
	if !terms.External {
		d.asks |= routers
	}
	if terms.State.shared() {
		d.asks |= stores
	}
	return d
}

// toldUnprepared reports whether people were told of answers that are missing before the start, or of refusals: a decision that asks for all of it again doesn't end that, its answers do.
func (s *State) toldUnprepared() bool {
	return s.Status == StatusPreparing && s.Wait != nil && (s.Wait.Told || s.Wait.Attempt > 0)
}

// prepared goes on when all have answered that they are: the start is committed, unless a person holds it. State that is to be frozen is so from here on: there are
// snapshots now.
func (t *turn) prepared(w *Wait) {
	sentence := fmt.Sprintf("Prepared by %s.", listed(w.Got))
	switch h := t.s.Hold; {
	case h == nil:
		t.commit(draft{reason: schemas.Reason{Code: "prepared", Sentence: sentence}, actor: engine})
	case h.Code == codeFrozen && t.s.Terms.State.shared():
		sentence = fmt.Sprintf("%s It is to hold: until it is resumed, %s no writes.", sentence, agreed(t.s.Terms.State.Stores, "takes", "take"))
		t.freezePrepared(draft{reason: schemas.Reason{Code: codeFrozen, Sentence: sentence}, actor: engine, follows: true})
	}
}

// holdStart holds a rollout that has not begun.
func (t *turn) holdStart(n holding) {
	d := draft{reason: n.reason, actor: n.actor, supersedes: t.superseded()}.as(schemas.ActionHold, cmp.Or(n.severity, schemas.Warning))
	if n.freeze {
		d.action = schemas.ActionFreeze
	}
	t.s.Hold = &Hold{Code: n.reason.Code, Sticky: true}
	switch {
	case t.s.Wait != nil:
		t.s.Hold.Decision = t.decide(t.preparation(d)).ID
	case n.freeze:
		t.freezePrepared(d)
	default:
		d.routes = t.s.Routes
		t.s.Hold.Decision = t.decide(d).ID
	}
}

// freezePrepared lets the state of a rollout that is prepared take no writes.
func (t *turn) freezePrepared(d draft) {
	thawing := t.s.freeze()
	d.routes, d.asks = t.s.Routes, stores
	decided := t.decide(d.as(schemas.ActionFreeze, schemas.Warning))
	t.freezes(decided)
	t.s.Hold.Decision = decided.ID
	t.notThawing(thawing, decided.ID)
}

// resumeStart ends the hold of a rollout that has not begun: it begins, or goes on to be prepared.
func (t *turn) resumeStart(c *Command) {
	d := draft{reason: commanded(c, "resumed", "ended the hold"), actor: c.Actor, supersedes: t.s.Hold.Decision}
	t.s.Hold = nil
	if t.s.Wait != nil {
		t.decide(t.preparation(d.as(schemas.ActionResume, schemas.Info)))
		return
	}
	t.commit(d)
}

// notBegun is what keeps a rollout that is being prepared from its start.
func (s *State) notBegun() string {
	held := ""
	if s.Hold != nil {
		held = fmt.Sprintf("it holds (%s) until somebody resumes it", s.Hold.Code)
	}
	switch {
	case s.Wait == nil:
		return held
	case held == "":
		return "it waits for " + s.WaitingText()
	}
	return fmt.Sprintf("%s, and waits for %s", held, s.WaitingText())
}

// PreparingText is why nothing is judged yet, and what lets it begin, for a person.
func (s *State) PreparingText() string {
	if s.Hold == nil {
		return fmt.Sprintf("Nothing is judged before these have answered that they are prepared: %s.", s.WaitingText())
	}
	resume := fmt.Sprintf("`streamcanary rollout resume %s --comment WHY`", s.Terms.Rollout)
	if s.Wait == nil {
		return fmt.Sprintf("It is prepared, and holds (%s): nothing is judged and no traffic moves until %s.", s.Hold.Code, resume)
	}
	return fmt.Sprintf("It holds (%s) before it begins, until %s, and these have not answered that they are prepared: %s.", s.Hold.Code, resume, s.WaitingText())
}
