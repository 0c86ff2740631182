package serve

import (
	"context"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/subscribe"
)

// twoRouters is a rollout with state that two routers must follow.
func twoRouters() string {
	return strings.Replace(rolloutWith(atOnce+sharedAnd+acksBetween), "[router-a]", "[router-a, router-b]", 1)
}

// second lets router-b answer, later than router-a, until it is stopped. What it routes is up to the story.
func (v *village) second() (stop func()) {
	v.Helper()
	return v.follow("router-b", func(context.Context, subscribe.Delivery) error {
		time.Sleep(applyTakes + 100*time.Millisecond)
		return nil
	})
}

// TestStoriesOfUnrouted: a router that is gone keeps no store from taking writes for longer than it takes to see that the canary is gone, too, or an admin waits.
func TestStoriesOfUnrouted(t *testing.T) {
	story(t, "a-router-that-is-gone-while-the-state-is-frozen", twoRouters(), func(v *village) {
		s := &shelf{}
		stop := v.second()
		v.keeps(s)
		v.status(decisions.StatusRunning)
		v.wait(10 * time.Second)
		stop()
		v.harms()
		v.until("people are told", func(s *decisions.State) bool { return overdue(s, decisions.StepRoute) })
		const waits = "users takes no writes until router-b has answered, or the stream shows that v2 has drained; `streamcanary rollout rollback story --override --comment WHY` lets the state go back without waiting"
		v.refused("resume", false, waits)
		v.refused("rollback", false, waits)
		v.follows(decisions.StepUnfreeze)
		if s.frozen.Load() {
			v.Error("the store takes no writes")
		}
		v.wait(10 * time.Second)
		v.second()
		v.completed()
	})
	story(t, "a-router-that-is-gone-and-sends-the-canary-users", twoRouters(), func(v *village) {
		s := &shelf{}
		stop := v.second()
		v.keeps(s)
		v.status(decisions.StatusRunning)
		v.wait(10 * time.Second)
		stop()
		v.harms()
		v.until("traffic has moved", func(*decisions.State) bool { return v.share.Load() == 0 })
		v.share.Store(200) // router-b's
		v.until("people are told", func(s *decisions.State) bool { return overdue(s, decisions.StepRoute) })
		v.wait(30 * time.Second)
		if !s.frozen.Load() {
			v.Error("the store takes writes while the canary may still write")
		}
		v.ask("rollback", true)
		v.follows(decisions.StepUnfreeze)
		v.refused("rollback", true, "epoch 1 is rolled-back, and stays so")
		v.share.Store(0)
		v.second()
		v.completed()
	})
}

// TestStoriesOfUnansweredPromotions: where another controller moves the weights and nobody answers, a promotion waits until the stream shows that the baseline has drained.
func TestStoriesOfUnansweredPromotions(t *testing.T) {
	const nobody = "  acks: {within: 9500ms}\n"
	story(t, "another-controller-promotes-and-says-nothing", rolloutWith(elsewhere+nobody), func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(2 * time.Second)
		v.stopRouter()
		v.apply("story", rolloutWith(elsewhere+nobody), func(a *Application) { a.Retry = true })
		v.share.Store(5000)
		v.until("the second epoch runs", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		v.wait(30 * time.Second)
		v.ask("promote", true)
		v.until("people are told", func(s *decisions.State) bool {
			return s.Wait != nil && s.Wait.Attempt > 0 && s.Wait.Drain.LastCanary > 0
		})
		v.wait(2 * time.Second)
		v.share.Store(10_000)
		v.status(decisions.StatusPromoted)
		v.wait(30 * time.Second)
	})
}

// overdue reports whether a step of a rollback has not been answered in time.
func overdue(s *decisions.State, name decisions.StepName) bool {
	if s.Saga == nil {
		return false
	}
	for i := range s.Saga.Steps {
		if step := &s.Saga.Steps[i]; step.Name == name {
			return step.State == decisions.StepExpired
		}
	}
	return false
}
