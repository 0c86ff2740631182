package decisions

import (
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// whoFollowed is what the routers have answered to the route of a rollback, in sentences.
func (s *State) whoFollowed() string {
	wait := s.Saga.step(StepRoute).Wait
	if wait == nil {
		return ""
	}
	text := ""
	if len(wait.Got) > 0 {
		text = fmt.Sprintf(" Routers that say they have moved it: %s.", strings.Join(wait.Got, ", "))
	}
	for _, name := range wait.missing() {
		text += " " + s.missingText(name, wait) + "."
	}
	return text
}

// missingText is why somebody's answer to a decision, or to a later one that asks for the same, is missing: it is silent, has said why, or has only received it.
func (s *State) missingText(name string, w *Wait) string {
	if a := s.refusal(name, w); a != nil {
		return s.refusalText(a)
	}
	if a := s.receipt(name, w.Seq); a != nil {
		return s.receiptText(a)
	}
	if name == anyRouter {
		return "No router has answered"
	}
	return name + " has not answered"
}

// What is wrong with an answer to the prepare of a start. To have applied it says nothing of being ready for what comes, and of a store not what it could go back to.
const (
	whyApplied  = "a prepare is answered with prepared, which says that the start may come; this does not count"
	whyNameless = "it names no snapshot that could be restored"
)

// whyPrepared is what is wrong with an answer that says only that somebody is ready for a decision which is to be carried out. Until the deadline it may be the first of two.
const whyPrepared = "this decision is answered with applied, which says that it is carried out; this does not count"

// answerOf is what is kept of an ack.
func (s *State) answerOf(a *schemas.Ack, wallMs int64) Answer {
	answer := Answer{Consumer: a.Consumer, Seq: a.Seq, Status: a.Status, Why: clip(a.Why, MaxWhy), AtMs: wallMs}
	w := s.Wait
	if s.Status != StatusPreparing || w == nil || a.Decision != w.Decision || a.Seq != w.Seq || !w.awaits(a.Consumer, &s.Terms) {
		return answer
	}
	switch {
	case a.Status == schemas.AckApplied:
		answer.Unfit, answer.Why = true, whyApplied
	case a.Status == schemas.AckPrepared && s.snapshotting(a.Consumer) && strings.TrimSpace(a.Snapshot) == "":
		answer.Unfit, answer.Why = true, whyNameless
	}
	return answer
}

// answerAt is the place of a consumer's answer among those that are kept, and whether there is one.
func (s *State) answerAt(consumer string) (int, bool) {
	return slices.BinarySearchFunc(s.Answers, consumer, func(x Answer, name string) int { return compare(x.Consumer, name) })
}

// makesRoom reports whether there is a place for the answer of a consumer who has none yet. At the bound that of somebody who is less asked is forgotten for it, the oldest of the least; and whoever
// is asked by name has one always.
func (s *State) makesRoom(consumer string) bool {
	if len(s.Answers) < MaxAnswers {
		return true
	}
	mine, out, least := s.Terms.asked(consumer), -1, byName
	for i := range s.Answers {
		x := s.Terms.asked(s.Answers[i].Consumer)
		if x < mine && (out < 0 || x < least || x == least && s.Answers[i].AtMs < s.Answers[out].AtMs) {
			out, least = i, x
		}
	}
	if out >= 0 {
		s.Answers = slices.Delete(s.Answers, out, out+1)
	}
	return out >= 0 || mine == byName
}

// asking is how a consumer is asked.
type asking uint8

const (
	notAsked asking = iota
	asAny           // any router is enough
	byName
)

// asked is how a consumer is asked.
func (t *Terms) asked(consumer string) asking {
	switch {
	case slices.Contains(t.Routers, consumer), slices.Contains(t.State.Stores, consumer), slices.Contains(t.State.Owing, consumer), t.isSink(consumer):
		return byName
	case t.asksRouter(consumer):
		return asAny
	}
	return notAsked
}

// mostAnswers is how many answers are kept at most.
func (t *Terms) mostAnswers() int {
	return max(MaxAnswers, len(t.Routers)+len(t.State.Stores)+len(t.State.Owing)+len(t.Sinks.Registry)+len(t.Sinks.Alert))
}

// refusal is the answer to a decision, or to a later one of the epoch, which asks for the same as long as that is waited for, of somebody who can't, or won't, do it; nil: none
// is known. Who is prepared for what is to be carried out hasn't done that; that writes are taken again either word says. A name is one that is waited for.
func (s *State) refusal(name string, w *Wait) *Answer {
	for i := range s.Answers {
		if a := s.Answers[i].refusal(); a != nil && a.Seq >= w.Seq && s.speaksFor(a.Consumer, name) {
			return a
		}
	}
	for i := range s.Answers {
		if a := s.Answers[i]; a.Status == schemas.AckPrepared && a.Seq == w.Seq && w.Want == schemas.AckApplied && w != s.Thawing && s.speaksFor(a.Consumer, name) {
			a.Why = whyPrepared
			return &a
		}
	}
	return nil
}

// receipt is the ack of somebody who has received a decision, or a later one, and has said no more; nil: there is none.
func (s *State) receipt(name string, seq int64) *Answer {
	for i := range s.Answers {
		if a := &s.Answers[i]; a.Status == schemas.AckReceived && a.Seq >= seq && s.speaksFor(a.Consumer, name) {
			return a
		}
	}
	return nil
}

// last is the newest answer of a name that has given none to what it is waited for; nil: it has never answered in the epoch.
func (s *State) last(name string) *Answer {
	var last *Answer
	for i := range s.Answers {
		if a := &s.Answers[i]; s.speaksFor(a.Consumer, name) && (last == nil || a.AtMs > last.AtMs) {
			last = a
		}
	}
	return last
}

// refusal is the answer itself, or what it was before a mere receipt, where that is a refusal; nil: it isn't.
func (a *Answer) refusal() *Answer {
	if !a.refuses() {
		return a.Refused
	}
	alone := *a
	alone.Refused = nil
	return &alone
}

// refuses reports whether somebody could not, or would not, do what was asked, or gave an answer that is none to it.
func (a *Answer) refuses() bool {
	return a.Unfit || a.Status == schemas.AckFailed || a.Status == schemas.AckRejected
}

// refusalText is who refuses what, when, and why.
func (s *State) refusalText(a *Answer) string {
	return fmt.Sprintf("%s answered %s to decision %s at %s: %s", a.Consumer, a.Status, s.idText(a.Seq), schemas.Time(a.AtMs), strings.TrimSuffix(orUnknown(a.Why), "."))
}

// idText is the id of a decision of the epoch, for a person.
func (s *State) idText(seq int64) string {
	id, err := schemas.DecisionID(s.Terms.Rollout, s.Epoch, seq)
	if err != nil {
		return fmt.Sprint(seq)
	}
	return id
}

// receiptText is who has received what, when, and no more.
func (s *State) receiptText(a *Answer) string {
	return fmt.Sprintf("%s received decision %s at %s, and has not said since what came of it", a.Consumer, s.idText(a.Seq), schemas.Time(a.AtMs))
}

// lastText is what somebody who is silent has answered last, and what to do.
func (s *State) lastText(a *Answer) string {
	if a.Status == schemas.AckReceived {
		return fmt.Sprintf("%s received decision %s at %s, and has answered nothing since: what that asks for hangs there, or it has stopped: look at its log, and restart it.", a.Consumer, s.idText(a.Seq), schemas.Time(a.AtMs))
	}
	return fmt.Sprintf("%s answered %s to decision %s at %s, and nothing since: does it still run? Look at its log.", a.Consumer, a.Status, s.idText(a.Seq), schemas.Time(a.AtMs))
}

// speaksFor reports whether a consumer's answer is one of a name that is waited for: its own, or where any router is enough, a router's.
func (s *State) speaksFor(consumer, name string) bool {
	return consumer == name || name == anyRouter && !s.Terms.isStore(consumer) && !s.Terms.isSink(consumer)
}

// missingTexts is why answers to a wait are missing, of each who has to give one.
func (s *State) missingTexts(w *Wait) string {
	var texts []string
	for _, name := range w.missing() {
		texts = append(texts, s.missingText(name, w))
	}
	return strings.Join(texts, "; ")
}

// StepText is how far a step of the rollback is, for a person: who has answered and who hasn't, what the stream shows, what keeps it; "": its state says all.
func (s *State) StepText(step *SagaStep) string {
	switch {
	case step.Warm != nil && step.State == StepPassed:
		return "it ended before the cache was warm: " + step.Warm.Text()
	case step.Warm != nil:
		return step.Warm.Text()
	case step.Name == StepVerify && step.begun() && step.open():
		return s.Saga.Drain.dated()
	case step.Name == StepVerify && step.State == StepAcked && s.Saga.isBack():
		return fmt.Sprintf("%s had drained, and was seen again: %s", s.Terms.Canary, s.Saga.Drain.dated())
	case step.Name == StepVerify && step.State == StepAcked && s.Saga.Unproven:
		return fmt.Sprintf("not proven: no traffic came that could show that %s has drained", s.Terms.Canary)
	case step.Name == StepFreeze && step.State == StepPassed:
		return s.unheldText(step) + ", and it was answered only later"
	case step.Name == StepRoute && step.State == StepPassed:
		return "no router has answered, and another controller moves the weights: the stream shows what came of it"
	case !step.begun() || !step.open() || step.Wait == nil || step.Sink != "":
		return step.Why
	}
	text := s.missingTexts(step.Wait)
	if len(step.Wait.Got) > 0 {
		text += fmt.Sprintf("; %s has", strings.Join(step.Wait.Got, ", "))
	}
	if step.Name == StepFreeze && s.Saga.moved() != "" {
		text += "; " + s.unheldText(step)
	}
	return text
}

// unheldText says that traffic moved although a freeze wasn't answered.
func (s *State) unheldText(freeze *SagaStep) string {
	if freeze.Waived {
		return fmt.Sprintf("a person let the traffic move without it (decision %s)", s.Saga.moved())
	}
	return fmt.Sprintf("traffic didn't wait for it (decision %s)", s.Saga.moved())
}
