package serve

import (
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// told waits until people were told of users of a version that is to have none, or of the end of that, and a while longer.
func (v *village) told(is bool) {
	v.Helper()
	v.until("people were told of users of the retired version, or of the end", func(s *decisions.State) bool { return s.Retired != nil && s.Retired.Told == is })
	v.wait(5 * time.Second)
}

// TestStoriesOfTheRetired: what the stream shows, when an epoch has ended, of the version that is to have no users any more.
func TestStoriesOfTheRetired(t *testing.T) {
	tell(t, map[string]tale{
		"a-promotion-of-which-nothing-comes": {"  stages: [{weight: 50, bake: 10s, max: 10m}]\n  rollback: {drainWithin: 19500ms}\n", func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(5 * time.Second)
			v.idle.Store(true)
			v.status(decisions.StatusPromoted)
			v.told(true)
			v.wait(35 * time.Second) // nobody does anything, and people are told again
			v.share.Store(10_000)
			v.told(false)
			v.share.Store(9500) // one of its copies has restarted with an old configuration
			v.told(true)
			v.share.Store(10_000)
			v.told(false)
			v.share.Store(9500)
			v.told(true)
			v.delete("story") // who does that hears that users are still served
		}},
	})
	t.Run("an-old-version-that-is-no-refuge-for-long", tellNoRefuge)
	t.Run("a-rolled-back-version-that-comes-back", tellBack)
	t.Run("a-rolled-back-version-beside-the-next-rollouts", tellBeside)
	t.Run("a-rolled-back-version-that-is-tried-again", tellAgain)
}

// tellAgain: the version of which people were told is the canary of the next epoch, and may have users again: its incident ends with that.
func tellAgain(t *testing.T) {
	storyWith(t, "a-rolled-back-version-that-is-tried-again", rolloutWith(atOnce+pagers), sinksOutside, func(v *village) {
		v.harms()
		v.completed()
		v.share.Store(500) // a router has restarted with an old configuration
		v.told(true)
		v.errors.Store(0)
		v.apply("story", rolloutWith(atOnce+pagers), func(a *Application) { a.Retry = true })
		v.until("it runs again", func(s *decisions.State) bool { return s.Epoch == 2 && s.DueMs > 0 })
		v.wait(2100 * time.Millisecond)
	})
}

// tellBeside: what people were told of goes on under the rollouts that begin beside it, whichever way the one before has ended.
func tellBeside(t *testing.T) {
	storyWith(t, "a-rolled-back-version-beside-the-next-rollouts", rolloutWith(atOnce+pagers), sinksOutside, func(v *village) {
		v.harms()
		v.completed()
		v.share.Store(500) // a router has restarted with an old configuration
		v.told(true)
		next := func(name, canary, stage string) string {
			text := rolloutWith("  stages: [{" + stage + "}]\n  rollback: {drainWithin: 19500ms}\n" + pagers)
			return strings.NewReplacer("name: story", "name: "+name, "version: v2", "version: "+canary).Replace(text)
		}
		begins := func(name, canary string, share int64) {
			v.untilOf(name, "it runs", func(s *decisions.State) bool { return s.DueMs > 0 })
			v.renamed.Store(strings.NewReplacer("v2", canary, "v3", "v2"))
			v.errors.Store(0)
			v.share.Store(share)
			v.third.Store(500) // what still answers as v2
		}
		v.apply("second", next("second", "v4", "weight: 10, bake: 10m, max: 1h"))
		begins("second", "v4", 1000)
		v.wait(1100 * time.Millisecond)
		v.restart()
		v.wait(30*time.Second + 300*time.Millisecond)
		v.apply("third", next("third", "v5", "weight: 50, bake: 10s, max: 10m"), func(a *Application) { a.Supersede = true })
		begins("third", "v5", 5000)
		v.wait(5*time.Second + 300*time.Millisecond) // no pass has held it yet: a person can't go past what the next one will hold it for
		reply, err := v.bus.Ask(v.Context(), "third", &schemas.Command{ID: "early", Do: "promote", By: "ada", Comment: "it looks good"}, "")
		v.must(err)
		if want := "versions that are to have no users serve some (v2 served "; !strings.Contains(reply.Refused, want) {
			v.Errorf("%+v, want it refused: %s", reply, want)
		}
		v.untilOf("third", "it holds", func(s *decisions.State) bool { return s.Status == decisions.StatusHolding }) // v5 has passed
		v.wait(30 * time.Second)
		v.third.Store(0)
		v.untilOf("third", "v5 has all traffic", func(s *decisions.State) bool { return s.Status == decisions.StatusPromoted })
		v.wait(5 * time.Second)
	})
}

func tellNoRefuge(t *testing.T) {
	storyWith(t, "an-old-version-that-is-no-refuge-for-long", rolloutWith(atOnce+withLimit+"  hotfix: more replicas\n"+pagers), sinksOutside, func(v *village) {
		v.harms()
		v.completed()
		v.wait(20 * time.Second)
		v.all.Store(1500) // it fails by itself, and has all users
		harmed := func(is bool) func(*decisions.State) bool {
			return func(s *decisions.State) bool { return s.Retired.Harmed == is }
		}
		v.until("people were told", harmed(true))
		v.wait(5 * time.Second)
		v.restart()
		v.all.Store(0)
		v.until("it is over", harmed(false))
		v.wait(5 * time.Second)
		v.all.Store(3000) // and told anew
		v.until("people were told again", harmed(true))
		v.wait(5 * time.Second)
		v.all.Store(0)
		fix := strings.NewReplacer("name: story", "name: second", "version: v2", "version: v3").Replace(rolloutWith("  stages: [{weight: 10, bake: 10m, max: 1h}]\n" + pagers))
		v.apply("second", fix) // what is to repair it
		v.untilOf("story", "nobody looks any more", func(s *decisions.State) bool { return s.Retired == nil })
		v.wait(5 * time.Second)
	})
}

func tellBack(t *testing.T) {
	storyWith(t, "a-rolled-back-version-that-comes-back", rolloutWith(atOnce+betweenWindows+pagers), sinksOutside, func(v *village) {
		v.harms()
		v.completed()
		v.share.Store(10_000) // a few strays are nothing
		v.wait(120 * time.Millisecond)
		v.share.Store(0)
		v.wait(20 * time.Second)
		v.share.Store(500) // a router has restarted with an old configuration
		v.told(true)
		v.restart()
		if metrics, shown := v.page("/metrics"), `streamcanary_retired_serving{model="ranker",rollout="story",version="v2"} 1`; !strings.Contains(metrics, shown) || !strings.Contains(metrics, `streamcanary_rollout_stands{model="ranker",rollout="story",what="retired v2"} 1`) {
			v.Errorf("not shown: %s", metrics)
		}
		v.wait(10 * time.Second)
		v.apply("other", strings.Replace(rolloutWith(atOnce+registered), "name: story", "name: other", 1)) // its registry is away
		v.untilOf("other", "it is refused", refusedIn(2))
		v.steady(10)
		v.share.Store(0)
		v.told(false)
		v.share.Store(500)
		v.told(true)
		v.apply("story", strings.Replace(rolloutWith(atOnce+betweenWindows+pagers+registered), "version: v2", "version: v3", 1)) // it, too, is refused: nothing takes the place of what is looked at
		v.until("it is refused", refusedIn(3))
		v.steady(10)
		v.share.Store(0)
		v.told(false)
		v.share.Store(500)
		v.told(true)
		v.restart()
		v.wait(5 * time.Second)
		v.share.Store(0)
		v.apply("second", strings.Replace(rolloutWith(atOnce), "name: story", "name: second", 1)) // its own decisions move the traffic
		v.untilOf("story", "nobody looks any more", func(s *decisions.State) bool { return s.Retired == nil })
		v.wait(5 * time.Second)
	})
}

// refusedIn is an epoch that did not begin.
func refusedIn(epoch int64) func(*decisions.State) bool {
	return func(s *decisions.State) bool { return s.Epoch == epoch && s.Status == decisions.StatusRefused }
}

// supersedes lets another rollout, with a canary of its own, take over from the story's, which runs. Predictions of the router's canary are v3's from then on, and those of a third version v2's.
func (v *village) supersedes() {
	v.Helper()
	v.status(decisions.StatusRunning)
	v.wait(10*time.Second + 300*time.Millisecond)
	second := rolloutWith("  stages: [{weight: 10, bake: 10m, max: 1h}]\n  rollback: {drainWithin: 19500ms}\n")
	v.apply("second", strings.NewReplacer("name: story", "name: second", "version: v2", "version: v3").Replace(second), func(a *Application) { a.Supersede = true })
	v.untilOf("second", "it runs", func(s *decisions.State) bool { return s.DueMs > 0 })
	v.renamed.Store(strings.NewReplacer("v2", "v3", "v3", "v2"))
	v.share.Store(1000)
}

// seen waits until people were told of users of the canary that another rollout has replaced, or of the end of that, and a while longer.
func (v *village) seen(is bool) {
	v.Helper()
	v.untilOf("second", "people were told of users of the canary that was replaced, or of the end", func(s *decisions.State) bool { return s.Replaced != nil && s.Replaced.Told == is })
	v.wait(5 * time.Second)
}

// TestStoriesOfTheReplaced: what the stream shows of the canary of a rollout that another one took over from.
func TestStoriesOfTheReplaced(t *testing.T) {
	tell(t, map[string]tale{
		"a-router-that-keeps-to-what-was-superseded": {atOnce, func(v *village) {
			v.supersedes()
			v.third.Store(500) // the router sends users to v2 on
			v.seen(true)
			v.restart()
			if metrics, shown := v.page("/metrics"), `streamcanary_retired_serving{model="ranker",rollout="second",version="v2"} 1`; !strings.Contains(metrics, shown) {
				v.Errorf("not shown: %s", metrics)
			}
			v.third.Store(0)
			v.seen(false)
			v.third.Store(500) // one of its copies has restarted with an old configuration
			v.seen(true)
			v.orders("second", "rollback") // that takes no user from it
			v.wait(300 * time.Millisecond)
			v.share.Store(0)
			v.untilOf("second", "the rollback is carried out", func(s *decisions.State) bool { return s.Saga != nil && s.Saga.Done() })
			v.wait(5 * time.Second)
			v.third.Store(0)
			v.seen(false)
		}},
		"a-superseded-canary-that-nobody-asks-any-more": {atOnce, func(v *village) {
			v.supersedes()
			v.untilOf("second", "the canary before it has drained", func(s *decisions.State) bool { return s.Replaced != nil && s.Replaced.DeadlineMs == 0 })
			v.wait(30 * time.Second)
		}},
	})
}
