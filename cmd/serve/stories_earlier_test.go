package serve

import (
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestStoriesOfEarlierEpochs: what an epoch decided is never undone in it. The way back from it is a rollout of its own, and the version that went may come again.
func TestStoriesOfEarlierEpochs(t *testing.T) {
	tell(t, map[string]tale{"a-version-that-comes-back": {atOnce, func(v *village) {
		v.status(decisions.StatusPromoted)
		v.wait(5 * time.Second)
		v.refused("rollback", false, "`streamcanary rollout back story --comment WHY` gives v1 all traffic again")

		way, name, err := schemas.WayBack([]byte(rolloutWith(atOnce)))
		v.must(err)
		v.apply(name, string(way))
		v.untilOf(name, "it is prepared", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning && s.Wait == nil })
		v.orders(name, "promote")
		v.untilOf(name, "v1 serves all", func(s *decisions.State) bool { return s.Status == decisions.StatusPromoted })
		v.wait(5 * time.Second)

		v.apply("story", rolloutWith(atOnce), func(a *Application) { a.Retry = true }) // v2, which had gone
		v.until("it runs again", func(s *decisions.State) bool {
			return s.Epoch > 1 && s.Status == decisions.StatusRunning && s.Wait == nil
		})
		v.wait(10 * time.Second)
		if reply := v.request(schemas.Command{ID: "late", Do: "rollback", Comment: "of what was promoted", Epoch: 1}); !strings.Contains(reply.Refused, "it is meant for epoch 1") {
			v.Errorf("a rollback of the earlier epoch: %+v", reply)
		}
		v.errors.Store(6000)
		v.completed()
	}}})
}

// TestStoriesOfStateThatStays: the way back from a promotion restores nothing, and says so.
func TestStoriesOfStateThatStays(t *testing.T) {
	tell(t, map[string]tale{"a-way-back-keeps-the-state": {atOnce + sharedAnd, func(v *village) {
		v.keeps(&shelf{})
		v.status(decisions.StatusPromoted)
		v.wait(5 * time.Second)
		head, _, err := v.bus.LoadHead(v.Context(), "story")
		v.must(err)
		way, name, err := schemas.WayBack([]byte(rolloutWith(atOnce + sharedAnd)))
		v.must(err)
		v.apply(name, string(way), func(a *Application) { a.Back = decisions.BackOf(&head.State) })
		v.untilOf(name, "it is prepared", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning && s.Wait == nil })
		v.orders(name, "promote")
		v.untilOf(name, "v1 serves all", func(s *decisions.State) bool { return s.Status == decisions.StatusPromoted })
		v.wait(5 * time.Second)
	}}})
}

// TestStoriesOfStateThatNobodyReads: who goes back to a version that can't read the state must say so, and the decision tells. It is no less so where the application is silent about it.
func TestStoriesOfStateThatNobodyReads(t *testing.T) {
	tell(t, map[string]tale{"a-way-back-to-who-can-not-read-the-state": {atOnce + illegible, func(v *village) {
		v.keeps(&shelf{})
		v.status(decisions.StatusPromoted)
		v.wait(5 * time.Second)
		head, _, err := v.bus.LoadHead(v.Context(), "story")
		v.must(err)
		if why := head.State.RefusesBack(false); !strings.Contains(why, "`streamcanary rollout back story --override --comment WHY`, which takes an admin, and the decision says so") {
			v.Errorf("refused: %q", why)
		}
		way, name, err := schemas.WayBack([]byte(rolloutWith(atOnce + illegible)))
		v.must(err)
		for i, override := range []bool{false, true} {
			v.apply(name, string(way), func(a *Application) {
				a.Back = decisions.BackOf(&head.State)
				a.Back.Unreadable, a.Back.Override = false, override
			})
			v.untilOf(name, "it is prepared", func(s *decisions.State) bool {
				return s.Epoch == int64(2+i) && s.Status == decisions.StatusRunning && s.Wait == nil
			})
			v.wait(5 * time.Second)
			if !override {
				reply, err := v.bus.Ask(v.Context(), name, &schemas.Command{ID: "too soon", Do: "promote", By: "ada", Comment: "the story wants it"}, "")
				v.must(err)
				if want := "`streamcanary rollout promote story-back --override --comment WHY` goes back all the same"; !strings.Contains(reply.Refused, want) {
					v.Errorf("%+v, want it refused: %s", reply, want)
				}
			}
		}
		v.orders(name, "promote")
		v.untilOf(name, "v1 serves all", func(s *decisions.State) bool { return s.Status == decisions.StatusPromoted })
		v.wait(5 * time.Second)
	}}})
}

// orders lets a person ask something of a rollout of another name.
func (v *village) orders(rollout, do string) {
	v.Helper()
	reply, err := v.bus.Ask(v.Context(), rollout, &schemas.Command{ID: do + rollout, Do: do, By: "ada", Comment: "the story wants it"}, "")
	v.must(err)
	if reply.Decision == "" {
		v.Fatalf("%s of %s: %+v", do, rollout, reply)
	}
}
