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
		if a := &s.Answers[i]; a.Consumer == name && a.Seq >= seq && (a.Status == schemas.AckFailed || a.Status == schemas.AckRejected) {
			return fmt.Sprintf("%s answered %s: %s", name, a.Status, strings.TrimSuffix(orUnknown(a.Why), "."))
		}
	}
	if name == anyRouter {
		return "No router has answered"
	}
	return name + " has not answered"
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
	case step.Warm != nil:
		return step.Warm.Text()
	case step.Name == StepVerify && step.begun() && step.open():
		return s.Saga.Drain.Text()
	case !step.begun() || !step.open() || step.Wait == nil || step.Sink != "":
		return step.Why
	}
	text := s.missingTexts(step.Wait)
	if len(step.Wait.Got) > 0 {
		text += fmt.Sprintf("; %s has", strings.Join(step.Wait.Got, ", "))
	}
	return text
}
