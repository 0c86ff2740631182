package decisions

import (
	"fmt"
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
		text += " " + s.missingText(name, wait.Seq) + "."
	}
	return text
}

// missingText is why somebody's answer is missing: it is silent, or has said why.
func (s *State) missingText(name string, seq int64) string {
	for i := range s.Answers {
		if a := &s.Answers[i]; a.Seq >= seq && a.refuses() && s.speaksFor(a.Consumer, name) {
			return a.text()
		}
	}
	if name == anyRouter {
		return "No router has answered"
	}
	return name + " has not answered"
}

// refuses reports whether somebody could not, or would not, do what was asked.
func (a *Answer) refuses() bool {
	return a.Status == schemas.AckFailed || a.Status == schemas.AckRejected
}

// text is who refuses, and why.
func (a *Answer) text() string {
	return fmt.Sprintf("%s answered %s: %s", a.Consumer, a.Status, strings.TrimSuffix(orUnknown(a.Why), "."))
}

// speaksFor reports whether a consumer's answer is one of a name that is waited for: its own, or where any router is enough, a router's.
func (s *State) speaksFor(consumer, name string) bool {
	return consumer == name || name == anyRouter && !s.Terms.isStore(consumer) && !s.Terms.isSink(consumer)
}

// missingTexts is why answers to a wait are missing, of each who has to give one.
func (s *State) missingTexts(w *Wait) string {
	var texts []string
	for _, name := range w.missing() {
		texts = append(texts, s.missingText(name, w.Seq))
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
	case step.Name == StepVerify && step.State == StepAcked && s.Saga.Unproven:
		return fmt.Sprintf("not proven: no traffic came that could show that %s has drained", s.Terms.Canary)
	case !step.begun() || !step.open() || step.Wait == nil || step.Sink != "":
		return step.Why
	}
	text := s.missingTexts(step.Wait)
	if len(step.Wait.Got) > 0 {
		text += fmt.Sprintf("; %s has", strings.Join(step.Wait.Got, ", "))
	}
	return text
}
