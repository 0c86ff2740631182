package decisions

import (
	"fmt"
	"strings"
)

// WaitingText is whose answers are waited for, and what they answered instead, for a person; "": nobody's are.
func (s *State) WaitingText() string {
	if s.Wait == nil {
		return ""
	}
	return s.waitingNames(s.Wait)
}

// waitingNames lists who has not answered as is wanted.
func (s *State) waitingNames(w *Wait) string {
	var all []string
	for _, name := range w.missing() {
		text := listed([]string{name})
		switch a := s.refusal(name, w); {
		case a != nil && a.Consumer == name:
			text += fmt.Sprintf(" (which answered %s: %s)", a.Status, orUnknown(a.Why))
		case a != nil:
			text += fmt.Sprintf(" (%s)", s.refusalText(a))
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// Unfinished says what the epoch has under way that a new one would forget, and what to do; "": nothing. A person who gives up following a rollback
// (force) may begin a new epoch, but not while the state takes no writes: its snapshot would be of a state that was never restored.
func (s *State) Unfinished(force bool) string {
	name := s.Terms.Rollout
	open := s.Saga != nil && !s.Saga.Done()
	switch {
	case s.Status == StatusDeleted, !s.Terms.awaited(), !open && !s.Frozen, open && !s.Frozen && force:
		return ""
	case !open:
		return fmt.Sprintf("%s to take no writes, and a new epoch would forget that: `rollout resume %s --comment WHY` ends it", agreed(s.Terms.State.Stores, "was told", "were told"), name)
	}
	text := fmt.Sprintf("the rollback of epoch %d is not yet carried out (%s), and a new epoch would forget it", s.Epoch, s.OpenText())
	switch {
	case s.Status == StatusFrozen:
		return fmt.Sprintf("%s: `rollout rollback %s --override --comment WHY` moves the traffic without waiting for the state, which takes an admin", text, name)
	case s.Frozen:
		return fmt.Sprintf("%s: mend that, and it goes on by itself%s; `rollout delete %s --force` gives it up, and leaves %s to be restored, and to be let write again, by hand",
			text, s.heldRefusal(), name, listed(s.Terms.State.Stores))
	}
	return fmt.Sprintf("%s: wait for it, or give up following it, with `rollout retry %s --override --comment WHY`, or `rollout apply --new-epoch --force`", text, name)
}

// RefusesRetry says why a retry doesn't begin a new epoch, and what to do; "": it does. It is for what has ended, or holds for something that is wrong: an epoch that is well under
// way is only forgotten by force.
func (s *State) RefusesRetry(force bool) string {
	why := s.Unfinished(force)
	if why != "" || force {
		return why
	}
	name := s.Terms.Rollout
	switch under := s.underWay(); under {
	case "":
		return ""
	case StatusPreparing:
		return fmt.Sprintf("epoch %d has not begun: %s; `streamcanary rollout retry %s --override --comment WHY` prepares a new one all the same, and the decision says so", s.Epoch, s.notBegun(), name)
	default:
		return fmt.Sprintf("epoch %d is %s, and a new one would forget what it has shown: `rollout rollback %s --comment WHY` ends it; `streamcanary rollout retry %s --override --comment WHY` begins anew now, and the decision says so",
			s.Epoch, under, name, name)
	}
}

// RefusesAnew says why a promotion isn't begun anew while it stands, and what to do; "": there is none.
func (s *State) RefusesAnew(force bool) string {
	t := &s.Terms
	if force || s.Status != StatusPromoted {
		return ""
	}
	return fmt.Sprintf("epoch %d has given %s all users, and a new one would give them to %s again at once, with the state as it is: `streamcanary rollout back %s --comment WHY` checks and prepares that first, and then gives %s all users, by the steps of its cache; "+
		"`streamcanary rollout retry %s --override --comment WHY` begins anew now, and the decision says so", s.Epoch, t.Canary, t.Baseline, t.Rollout, t.Baseline, t.Rollout)
}

// underWay is the status of an epoch that is under way, and not held by the engine; "" of another.
func (s *State) underWay() Status {
	switch h := s.Hold; {
	case s.Status.Ended(), s.Status == StatusHolding && h != nil && h.Code != codeApproval && (!h.byPerson() || h.Under != nil):
		return ""
	}
	return s.Status
}

// GivesUp is what a new epoch that begins by force goes past, and its first decision names: a retry the status of an epoch that is well under way, or was promoted, and any the rollback that is not yet
// carried out.
func (s *State) GivesUp(retry bool) []string {
	switch under := s.underWay(); {
	case s.Undone():
		return []string{s.Saga.Decision}
	case retry && under != "":
		return []string{string(under)}
	case retry && s.Status == StatusPromoted:
		return []string{string(StatusPromoted)}
	}
	return nil
}

// OpenText is what a rollback waits for now, for a person: each step that has begun and isn't done, and the proof of its drain where only that is left; only of a state that has a saga.
func (s *State) OpenText() string {
	var open, proof []string
	for i := range s.Saga.Steps {
		step := &s.Saga.Steps[i]
		switch {
		case step.Sink != "" || !step.open():
		case step.Name == StepVerify || !step.begun():
			proof = append(proof, step.openText())
		default:
			open = append(open, step.openText())
		}
	}
	switch {
	case open != nil:
		return strings.Join(open, "; ")
	case proof != nil:
		return proof[0]
	}
	return "all steps are done"
}

// openText is what a step that isn't done waits for.
func (s *SagaStep) openText() string {
	switch {
	case s.Name == StepVerify && s.begun():
		return "step verify waits until the stream shows that the canary has drained"
	case s.Wait != nil && s.State == StepFailed:
		return fmt.Sprintf("step %s failed, and waits for %s: %s", s.Name, listed(s.Wait.missing()), orUnknown(s.Why))
	case s.Wait != nil && len(s.Wait.missing()) > 0:
		return fmt.Sprintf("step %s waits for %s", s.Name, listed(s.Wait.missing()))
	}
	return fmt.Sprintf("step %s is %s", s.Name, s.State)
}
