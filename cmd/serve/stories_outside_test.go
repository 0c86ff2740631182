package serve

import (
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestStoriesOfSinks: what the systems outside are told, each under its name below the timeline.
func TestStoriesOfSinks(t *testing.T) {
	amongOthers(t)
	rollout := strings.Replace(rolloutWith(atOnce+outsideToo), "[router-a]", "[router-a, gateway]", 1)
	t.Run("told-outside", func(t *testing.T) {
		storyWith(t, "told-outside", rollout, sinksOutside, func(v *village) {
			v.harms()
			v.completed()
		})
	})
	t.Run("nobody-outside-answers", func(t *testing.T) {
		storyWith(t, "nobody-outside-answers", strings.Replace(rollout, "within: 10s", "within: 9500ms", 1), sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.outside.away.Store(true)
			v.wait(20 * time.Second)
			v.errors.Store(6000)
			v.status(decisions.StatusRolledBack)
			v.wait(time.Minute)
			v.restart() // in the midst of what nobody has heard yet
			v.wait(20 * time.Second)
			v.outside.away.Store(false)
			v.completed()
			v.wait(2 * time.Minute)
		})
	})
	t.Run("a-registry-that-is-away", func(t *testing.T) {
		storyWith(t, "a-registry-that-is-away", rollout, sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.outside.shut.Store(true)
			v.harms()
			v.completed() // all but the registry
			v.restart()
			v.wait(40 * time.Second)
			v.outside.shut.Store(false)
			v.follows("registry-mlflow")
		})
	})
	t.Run("a-registry-that-somebody-else-writes-to", func(t *testing.T) {
		storyWith(t, "a-registry-that-somebody-else-writes-to", rollout, sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.outside.alias("champion", "9")
			v.harms()
			v.completed()
			v.errors.Store(0)
			v.apply("second", strings.Replace(rolloutWith(atOnce), "name: story", "name: second", 1))
			v.untilOf("second", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
			v.wait(5 * time.Second) // what was refused is up to that one
		})
	})
	t.Run("the-next-rollout-does-not-wait-for-a-registry", func(t *testing.T) {
		storyWith(t, "the-next-rollout-does-not-wait-for-a-registry", rollout, sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.outside.shut.Store(true)
			v.harms()
			v.completed()
			v.errors.Store(0)
			v.apply("second", strings.Replace(rolloutWith(atOnce), "name: story", "name: second", 1))
			v.untilOf("second", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
			v.outside.shut.Store(false)
			v.follows("registry-mlflow") // of the first
			v.untilOf("second", "it is promoted", func(s *decisions.State) bool { return s.Status == decisions.StatusPromoted })
		})
	})
}

// TestStoriesOfSinksThatHang: that one takes what it is told, and doesn't answer, is known before people are told that it is overdue.
func TestStoriesOfSinksThatHang(t *testing.T) {
	amongOthers(t)
	rollout := strings.Replace(rolloutWith(atOnce+outsideToo), "[router-a]", "[router-a, gateway]", 1)
	t.Run("a-registry-that-hangs", func(t *testing.T) {
		storyWith(t, "a-registry-that-hangs", rollout, sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.outside.hangs.Store(true)
			v.harms()
			v.completed() // all but the registry
			v.wait(20 * time.Second)
			v.outside.hangs.Store(false)
			v.follows("registry-mlflow")
		})
	})
}

// TestStoriesOfEndsOutside: what they are told of a promotion, of what a person does, and of a deletion.
func TestStoriesOfEndsOutside(t *testing.T) {
	amongOthers(t)
	rollout := strings.Replace(rolloutWith(atOnce+outsideToo), "[router-a]", "[router-a, gateway]", 1)
	t.Run("a-promotion-that-the-registry-refuses", func(t *testing.T) {
		storyWith(t, "a-promotion-that-the-registry-refuses", rollout, sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.outside.shut.Store(true)
			v.status(decisions.StatusPromoted)
			v.wait(40 * time.Second) // it is overdue
			v.restart()
			v.outside.alias("champion", "9")
			v.outside.shut.Store(false)
			v.until("the registry has answered", func(s *decisions.State) bool { return s.Promotion.Steps[0].State == decisions.StepFailed })
			v.wait(5 * time.Second)
			v.delete("story")
		})
	})
	t.Run("a-rollout-that-is-deleted", func(t *testing.T) {
		storyWith(t, "a-rollout-that-is-deleted", rollout, sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(5 * time.Second)
			v.ask("pause", false) // who did it knows: nobody is paged
			v.wait(5 * time.Second)
			v.ask("freeze", false) // users' writes wait for somebody
			v.wait(5 * time.Second)
			v.delete("story")
			v.wait(5 * time.Second)
		})
	})
	t.Run("back-from-what-the-registry-has-not-heard-of", func(t *testing.T) {
		storyWith(t, "back-from-what-the-registry-has-not-heard-of", rollout, sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.outside.shut.Store(true)
			v.status(decisions.StatusPromoted)
			v.wait(3 * time.Second)
			head, _, err := v.bus.LoadHead(v.Context(), "story")
			v.must(err)
			way, name, err := schemas.WayBack([]byte(rollout))
			v.must(err)
			v.apply(name, string(way), func(a *Application) { a.Back = decisions.BackOf(&head.State) })
			v.untilOf(name, "it is prepared", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning && s.Wait == nil })
			v.orders(name, "promote")
			v.wait(45 * time.Second) // only the way back is overdue: nobody is to give the registry to v2
			v.outside.shut.Store(false)
			v.wait(40 * time.Second)
		})
	})
	t.Run("a-promotion-outside", func(t *testing.T) {
		storyWith(t, "a-promotion-outside", rollout, sinksOutside, func(v *village) {
			v.status(decisions.StatusPromoted)
			v.wait(5 * time.Second)
		})
	})
}

// TestStoriesOfEpochsOutside: an epoch that begins over another, or over a promotion, has the registry's aliases, and people hear where somebody else has one.
func TestStoriesOfEpochsOutside(t *testing.T) {
	amongOthers(t)
	rollout := strings.Replace(rolloutWith(atOnce+outsideToo), "[router-a]", "[router-a, gateway]", 1)
	newer := func(version string) string {
		return strings.Replace(rollout, `canary: "8"`, `canary: "`+version+`"`, 1)
	}
	t.Run("a-registry-of-several-epochs", func(t *testing.T) {
		storyWith(t, "a-registry-of-several-epochs", rollout, sinksOutside, func(v *village) {
			v.runsAs("story", 1)
			v.apply("story", newer("9"))
			v.runsAs("story", 2)
			v.status(decisions.StatusPromoted)
			v.wait(5*time.Second + 300*time.Millisecond)
			v.apply("story", newer("10"), func(a *Application) { a.Override = true }) // over a promotion
			v.runsAs("story", 3)
			v.outside.alias("challenger", "11")
			v.apply("story", newer("12"))
			v.runsAs("story", 4)
			v.until("people are told", func(s *decisions.State) bool { return s.Unstarted != nil })
			v.wait(5*time.Second + 300*time.Millisecond)
			v.orders("story", "rollback")
			v.completed()
		})
	})
}
