package serve

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/subscribe"
	"streamcanary/schemas"
)

// onlyPaged lets people be told.
const onlyPaged = "  sinks: [{pagerduty: pagerduty}]\n"

// TestStoriesOfAsking: who has rejected what a decision without routes asks is asked again, and what is answered then counts. Nobody but people decides in them, so there is nothing to be
// computed again.
func TestStoriesOfAsking(t *testing.T) {
	amongOthers(t)
	t.Run("a-store-that-rejects-where-another-controller-moves-traffic", func(t *testing.T) {
		inVillage(t, rolloutWith(elsewhere+sharedAnd+onlyPaged), sinksOutside, func(v *village) {
			var refuses atomic.Bool
			refuses.Store(true)
			keep := subscribe.KeepState("users", &shelf{})
			v.follow("users", func(ctx context.Context, d subscribe.Delivery) error {
				if refuses.Load() {
					time.Sleep(storeTakes)
					return subscribe.Reject(schemas.WhyIncompatibleState)
				}
				return keep(ctx, d)
			})
			v.wait(20 * time.Second)
			refuses.Store(false)
			v.status(decisions.StatusRunning)
			v.wait(10*time.Second + 300*time.Millisecond)
			refuses.Store(true)
			v.ask("freeze", false)
			v.wait(20 * time.Second)
			refuses.Store(false)
			v.until("the store takes no writes", func(s *decisions.State) bool { return s.FrozenText() == "takes no writes" })
			v.wait(5 * time.Second)
			v.ask("resume", false)
			v.wait(5 * time.Second)
			v.golden("a-store-that-rejects-where-another-controller-moves-traffic")
		})
	})
	t.Run("a-router-that-rejects-a-start-without-a-weight", func(t *testing.T) {
		inVillage(t, rolloutWith(notLong+onlyPaged), sinksOutside, func(v *village) {
			v.deaf.Store(true)
			v.wait(5 * time.Second)
			v.deaf.Store(false)
			v.status(decisions.StatusRunning)
			v.wait(5 * time.Second)
			v.golden("a-router-that-rejects-a-start-without-a-weight")
		})
	})
}
