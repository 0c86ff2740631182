package serve

import (
	"slices"
	"strings"
	"testing"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// promote tells the story to a service for whose rollout the first twenty seconds are enough, and waits until the record says that the
// router has carried the promotion out.
func (s *stage) promote(t *testing.T) {
	t.Helper()
	scenario := parsed(t, storyScenario)
	s.router(t)
	text := strings.Replace(storyRollout, "increase: 0.5pp", "increase: 10pp", 1) + "  stages: [{bake: 20s, pass: [errors], max: 1h}]\n"
	s.apply(t, "story", text, Application{ID: "story-1", From: schemas.Time(scenario.StartMs)})
	s.settled(t, "the start is answered: a stage that nobody has answered doesn't end")
	events := s.events(t, scenario)
	for part := range storyParts {
		s.send(t, events, part)
	}
	s.status(t, "story", 1, decisions.StatusPromoted)
	s.settled(t, "the promotion is answered")
}

// settled waits until the story's record waits for nothing but what the stream shows after the end.
func (s *stage) settled(t *testing.T, what string) {
	t.Helper()
	waits := func(d decisions.Deadline) bool { return !d.Later }
	s.until(t, what, func() bool {
		head, _, err := s.bus.LoadHead(t.Context(), "story")
		return err == nil && head.State.Status != decisions.StatusPreparing && head.State.Wait == nil && !slices.ContainsFunc(head.State.Deadlines(), waits)
	})
}

// TestPromotionAnswered: the answer to a promotion is in the rollout's record, though nothing else of the rollout is left to do.
func TestPromotionAnswered(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	serving(t, s, pace{})
	s.promote(t)
}
