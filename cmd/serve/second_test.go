package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
)

// Another model's canary that begins to fail; its events come on the same topics as the story's.
const secondScenario = `# Another model on the same topics
model    other
baseline version a1
canary   version a2
for      80s
seed     12
rate     150/s
split    50%
latency  lognormal 30ms sigma 0.4
errors   1%
outcome  click 20% after exponential 2s
sample   cpu 40% every 5s noise 4%
hosts    2
transport delay exponential 80ms, late 2% by exponential 5s, duplicates 1% after exponential 1s
fault    errors canary +10pp from 50s
expect   rollback, fail errors
`

const secondRollout = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: second}
spec:
  model: other
  mode: advise
  baseline: {version: a1}
  canary: {version: a2}
  window: 2s
  lateness: 3s
  outcomes: {click: {within: 6s}}
  guardrails:
    - {name: errors, rate: error, increase: 1pp}
    - {name: ctr, rate: click, decrease: 5%, prove: any, required: false}
`

// TestSecondRollout applies a rollout of another model while the story's is judged, with a first window that stage one has passed: it reads
// again. The first one goes on, and comes to what it comes to alone; the second one is judged as if it had been applied to the whole log.
func TestSecondRollout(t *testing.T) {
	t.Parallel()
	secondRolloutFrom(t, 0)
}

// secondRolloutFrom judges the second rollout from so long after the story's start.
func secondRolloutFrom(t *testing.T, after time.Duration) {
	t.Helper()
	story := parsed(t, storyScenario)
	from := schemas.Time(story.StartMs + after.Milliseconds())
	first, second := oneAfterTheOther(t, from)

	s := newStage(t, nil)
	serving(t, s, pace{})
	s.begin(t, story)
	events := s.events(t, story, parsed(t, secondScenario))
	for part := range storyParts {
		if part == storyParts/2 {
			s.reached(t, from)
			s.apply(t, "second", secondRollout, Application{ID: "second-1", From: from})
		}
		s.send(t, events, part)
	}
	s.comes(t, first)
	if got := s.judged(t); got != second {
		t.Errorf("the second rollout came to\n%s\nwant\n%s", got, second)
	}
	if n := s.log.times("its first window lies behind what was read"); n != 1 {
		t.Errorf("events were read again for it %d times, want once", n)
	}
}

// oneAfterTheOther is what the first rollout comes to without the second one, and then, with the whole log there, what the second one does.
func oneAfterTheOther(t *testing.T, from schemas.Time) (first outcome, second string) {
	t.Helper()
	s := newStage(t, nil)
	serving(t, s, pace{})
	story := parsed(t, storyScenario)
	s.begin(t, story)
	events := s.events(t, story, parsed(t, secondScenario))
	for part := range storyParts {
		s.send(t, events, part)
	}
	first = s.rest(t)
	first.check(t)
	s.apply(t, "second", secondRollout, Application{ID: "second-1", From: from})
	return first, s.judged(t)
}

// reached waits until a window of the story's rollout that ends after a time is judged.
func (s *stage) reached(t *testing.T, at schemas.Time) {
	t.Helper()
	s.until(t, fmt.Sprintf("windows beyond %s are judged", at), func() bool {
		o, err := s.look(t, "story")
		return err == nil && o.Reached > at
	})
}

// judged waits for the rollback of the second rollout, and returns its decisions.
func (s *stage) judged(t *testing.T) string {
	t.Helper()
	var o outcome
	s.until(t, "the second rollout is rolled back", func() bool {
		var err error
		o, err = s.look(t, "second")
		return err == nil && len(o.Decisions) == 3
	})
	if !strings.Contains(o.Decisions[2], string(schemas.ActionRollback)) {
		t.Errorf("the second rollout's last decision is %s, want a rollback", o.Decisions[2])
	}
	return strings.Join(o.Decisions, "\n")
}
