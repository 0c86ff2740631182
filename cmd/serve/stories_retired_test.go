package serve

import (
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
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
		}},
	})
	t.Run("a-rolled-back-version-that-comes-back", tellBack)
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
		if metrics, shown := v.page("/metrics"), `streamcanary_retired_serving{model="ranker",rollout="story",version="v2"} 1`; !strings.Contains(metrics, shown) {
			v.Errorf("not shown: %s", metrics)
		}
		v.wait(10 * time.Second)
		v.share.Store(0)
		v.told(false)
		v.share.Store(500)
		v.told(true)
		v.share.Store(0)
		v.apply("second", strings.Replace(rolloutWith(atOnce), "name: story", "name: second", 1)) // its own decisions move the traffic
		v.untilOf("story", "nobody looks any more", func(s *decisions.State) bool { return s.Retired == nil })
		v.wait(5 * time.Second)
	})
}
