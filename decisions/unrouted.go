package decisions

import (
	"fmt"

	"streamcanary/schemas"
)

// A router that doesn't answer that it follows a rollback may be gone for good, and nobody waits for it with the state: what counts is that the canary writes no more. The stream shows that, or an
// admin says that the state goes back all the same. The router's own answer stays open, and people go on being told.

// passable reports whether the rollback goes on now although a step that has begun isn't answered: a freeze that holds nothing back, and a route once the stream shows that the canary has drained.
func (t *turn) passable(step *SagaStep) bool {
	late := step.State == StepExpired || step.State == StepFailed
	switch step.Name {
	case StepFreeze:
		return step.Waived || t.passes(step) && late
	case StepRoute:
		return step.Waived || late && t.s.Saga.Drain.proven()
	}
	return false
}

// passes reports whether a freeze that isn't answered, once it is overdue or refused, holds nothing back.
func (t *turn) passes(freeze *SagaStep) bool { return freeze.Waived || t.s.Terms.State.Compatible }

// drained takes a window that proves that the canary has drained: it ends the proof, also where nothing could prove it before, or lets the state go back that waits for it.
func (t *turn) drained(verify *SagaStep, w *Traffic) {
	if verify.open() || t.s.Saga.Unproven {
		t.s.Saga.Unproven = false
		t.settle(verify, w.EndMs)
		return
	}
	t.passRoute()
	t.followOn()
}

// witnessed reports whether nothing but the stream can tell what became of a route (unnamed). It is
// asked once the proof has ended. Where nothing was proven, state doesn't go back by that.
func (s *State) witnessed() bool {
	if !s.unnamed() || s.Saga.step(StepVerify).open() {
		return false
	}
	return s.Saga.Drain.proven() || s.Saga.Unproven && s.Saga.step(StepUnfreeze) == nil
}

// passRoute ends a route that is late and that no router is there to answer, once the stream has shown all that it can, and reports whether it did.
func (t *turn) passRoute() bool {
	route := t.s.Saga.step(StepRoute)
	if route.State != StepExpired || !t.s.witnessed() {
		return false
	}
	route.State, route.DeadlineMs = StepPassed, 0
	return true
}

// unnamed reports whether another controller moves the weights, no router is asked by name, and none has answered in this epoch.
func (s *State) unnamed() bool {
	return s.Terms.External && len(s.Terms.Routers) == 0 && s.last(anyRouter) == nil
}

// witnesses lets the stream show, of a promotion that waits for an answer which may never come, whether the baseline has drained: the same proof that is asked for when it was answered.
func (t *turn) witnesses(w *Wait) {
	if t.s.unnamed() {
		fromMs := t.s.settledMs(t.in.WallMs)
		w.Drain = &Drain{RoutedMs: t.in.WallMs, FromMs: fromMs, CleanFromMs: fromMs}
	}
}

// Witnessed reports whether a promotion waits that ends by what the stream shows where nobody answers.
func (s *State) Witnessed() bool {
	return s.Status == StatusPromoting && s.Wait != nil && s.Wait.Drain != nil && s.unnamed()
}

// promotionSeen looks at a sealed window for that: once the answer is overdue, the proof ends the promotion.
func (t *turn) promotionSeen(w *Traffic) {
	if !t.s.Witnessed() {
		return
	}
	seen := Traffic{StartMs: w.StartMs, EndMs: w.EndMs, Baseline: w.Canary, Canary: w.Baseline, Others: w.Others}
	if t.s.Wait.Drain.take(&seen) && t.s.Wait.Attempt > 0 {
		t.promotionPassed()
	}
}

// seenOfPromotion is what the newest window shows of the baseline since the promotion was decided.
func (s *State) seenOfPromotion() string {
	if s.Wait.Drain.Seen == 0 {
		return "no prediction since then has been counted yet"
	}
	return s.Wait.Drain.dated()
}

// promotionPassed ends a promotion that nobody has answered in time, where the stream shows that the baseline has drained, and reports whether it did. Who was told that an answer is missing is told.
// Where nothing is asked, nothing ends it: its guardrails stay armed.
func (t *turn) promotionPassed() bool {
	if !t.s.Witnessed() || !t.s.Wait.Drain.proven() {
		return false
	}
	w := t.s.Wait
	t.s.Wait = nil
	t.hasPromoted(w.Decision)
	if w.Attempt > 0 {
		t.notice(schemas.Notice{Kind: schemas.NoticeAcksComplete, Severity: schemas.Info, Decision: w.Decision, Attempt: w.Attempt, Waiting: t.s.remaining(),
			Sentence: fmt.Sprintf("No router has answered decision %s (`stages: external`), and the stream shows that %s has all traffic: %s has drained.", w.Decision, t.s.Terms.Canary, t.s.Terms.Baseline)})
	}
	return true
}

// witnessText is that no router has answered the route of a rollback that is carried out; a sentence with a space before it, "": one has.
func (s *State) witnessText() string {
	if s.Saga.step(StepRoute).State != StepPassed {
		return ""
	}
	return fmt.Sprintf(" No router has answered (`stages: external`): that %s gets nothing is up to your own controller.", s.Terms.Canary)
}

// stateHeld is the route that isn't answered, and the step of the state that waits for nothing else; nil: there is none.
func (s *State) stateHeld() (route, next *SagaStep) {
	if s.Saga == nil || !s.Frozen || s.Status == StatusDeleted {
		return nil, nil
	}
	route = s.Saga.step(StepRoute)
	if !route.begun() || !route.open() || route.Waived {
		return nil, nil
	}
	for _, name := range []StepName{StepRestore, StepUnfreeze} {
		switch step := s.Saga.step(name); {
		case step == nil:
		case !step.begun():
			return route, step
		case step.open():
			return nil, nil
		}
	}
	return nil, nil
}

// HeldText is for a person what heldText is, once the route is late, and what the stream shows of the canary; "": nothing waits for it, or not for long yet.
func (s *State) HeldText() string {
	route, _ := s.stateHeld()
	if route == nil || route.State != StepExpired && route.State != StepFailed {
		return ""
	}
	return s.reachedAt(s.EventMs) + s.heldText()
}

// heldText is what it means for the state that a route isn't answered, and what to do; a sentence with a space before it, "": nothing waits for it.
func (s *State) heldText() string {
	route, next := s.stateHeld()
	if next == nil {
		return ""
	}
	then := "the state goes back, and writes are taken again"
	if next.Name == StepUnfreeze {
		then = "writes are taken again"
	}
	return fmt.Sprintf(" %s: then %s. %s without waiting, which takes an admin; what %s writes after that stays.",
		s.heldUntil(route), then, s.goesBackBy(next), s.Terms.Canary)
}

// heldRefusal is the same for who asks for something else: a part of a sentence.
func (s *State) heldRefusal() string {
	route, next := s.stateHeld()
	if next == nil {
		return ""
	}
	return fmt.Sprintf("; %s; %s without waiting, which takes an admin", s.heldUntil(route), s.goesBackBy(next))
}

func (s *State) heldUntil(route *SagaStep) string {
	return fmt.Sprintf("%s no writes until %s answered, or the stream shows that %s has drained",
		agreed(s.Terms.State.Stores, "takes", "take"), agreed(route.Wait.missing(), "has", "have"), s.Terms.Canary)
}

func (s *State) goesBackBy(next *SagaStep) string {
	does := "lets the state go back"
	if next.Name == StepUnfreeze {
		does = "lets writes be taken again"
	}
	return fmt.Sprintf("`streamcanary rollout rollback %s --override --comment WHY` %s", s.Terms.Rollout, does)
}

// stateGoesBack lets the state go back for a person, although a route isn't answered.
func (t *turn) stateGoesBack(c *Command, route, next *SagaStep) {
	did := "let the state go back"
	if next.Name == StepUnfreeze {
		did = "let writes be taken again"
	}
	missing := route.Wait.missing()
	reason := commanded(c, codeCommanded, fmt.Sprintf("%s by override, although %s not answered that all traffic goes to %s", did, agreed(missing, "has", "have"), t.s.Terms.Baseline))
	if !t.s.Saga.Drain.proven() {
		reason.Sentence += " " + t.s.reachedText()
	}
	route.Waived = true
	t.begin(next, draft{reason: reason, actor: c.Actor, follows: true, override: missing})
}

// unroutedText is that the stream has shown what routers have not answered; a part of a sentence, "": all have.
func (s *State) unroutedText() string {
	route := s.Saga.step(StepRoute)
	if !route.open() && route.State != StepPassed {
		return ""
	}
	return fmt.Sprintf("%s not answered that all traffic goes to %s, and the stream shows that %s has drained", agreed(route.Wait.missing(), "has", "have"), s.Terms.Baseline, s.Terms.Canary)
}

// restoring sends the state back to its snapshots.
func (t *turn) restoring(d *draft) {
	d.phase, d.routes, d.state = schemas.PhaseCommit, t.s.Terms.baselineRoutes(), t.s.orders(schemas.StateRestore)
	if d.reason.Code != "" {
		return // a person says why
	}
	moved := t.s.unroutedText()
	if moved == "" {
		moved = fmt.Sprintf("All traffic goes to %s", t.s.Terms.Baseline)
	}
	d.reason = t.s.again("%s; %s back to the snapshot from before %s.", moved, agreed(t.s.Terms.State.Stores, "goes", "go"), t.s.beforeText())
}

// unfreezing ends the restoring. Its step waits for the answers.
func (t *turn) unfreezing(d *draft) {
	t.s.Frozen = false
	d.phase, d.routes, d.state = schemas.PhaseCommit, t.s.Terms.baselineRoutes(), t.s.orders(schemas.StateUnfreeze)
	if d.reason.Code != "" {
		return // a person says why
	}
	d.reason = t.s.again("%s restored, and told to take writes again.", agreed(t.s.Terms.State.Stores, "is", "are"))
}
