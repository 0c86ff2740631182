package serve

import (
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestAppliedWhileWhoDecidesIsGone: what is applied when the service that decided for the model was just killed waits until this one has taken over. Then it begins, or is refused for good: no restart begins it.
func TestAppliedWhileWhoDecidesIsGone(t *testing.T) {
	amongOthers(t)
	long := storyHead + errorsMore + "  stages: [{weight: 10, bake: 10m, max: 1h}]\n"
	next := strings.NewReplacer("name: story", "name: next", "version: v2", "version: v3").Replace(long)
	besides := func(t *testing.T, tell func(v *village)) {
		inVillage(t, long, "", func(v *village) {
			v.status(decisions.StatusRunning)
			v.requests.Store(20) // nothing is to be found in them
			v.wait(5*time.Second + 130*time.Millisecond)
			v.other("new", "127.0.0.1:8089")
			v.wait(30*time.Second + 70*time.Millisecond)
			tell(v)
		})
	}
	waits := func(v *village) {
		v.wait(40*time.Second + 70*time.Millisecond)
		if a, _ := v.entry("next"); a.Refused != "" || strings.Contains(v.page("/v1/rollouts"), `"refused":`) {
			v.Errorf("it is refused before it is known who decides: %+v %s", a, v.page("/v1/rollouts"))
		}
	}
	t.Run("it takes the place of what was under way", func(t *testing.T) {
		besides(t, func(v *village) {
			v.lines["new"].cut()
			v.wait(time.Second + 130*time.Millisecond)
			v.apply("next", next, func(a *Application) { a.Supersede = true })
			waits(v)
			v.untilOf("next", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning && s.Wait == nil })
		})
	})
	t.Run("it is deleted", func(t *testing.T) {
		besides(t, func(v *village) {
			v.lines["new"].cut()
			v.wait(time.Second + 130*time.Millisecond)
			v.apply("story", long, func(a *Application) { a.Delete = true })
			v.status(decisions.StatusDeleted)
		})
	})
	t.Run("it is refused", func(t *testing.T) {
		besides(t, func(v *village) {
			v.lines["new"].cut()
			v.wait(time.Second + 130*time.Millisecond)
			v.apply("next", next)
			waits(v)
			v.wait(70*time.Second + 70*time.Millisecond)
			if a, _ := v.entry("next"); !strings.HasPrefix(a.Refused, "model ranker has an active rollout, story") {
				v.Errorf("its file says %q", a.Refused)
			}
		})
	})
	t.Run("who decides is there, and deletes it", func(t *testing.T) {
		besides(t, func(v *village) {
			v.delete("story")
			v.wait(5*time.Second + 130*time.Millisecond)
			if told := v.notices(schemas.NoticeCommandRefused); len(told) != 0 {
				v.Errorf("people hear that it is refused: %+v", told)
			}
		})
	})
	t.Run("what was under way has ended", func(t *testing.T) {
		besides(t, func(v *village) {
			v.ask("rollback", false)
			v.completed()
			v.wait(30*time.Second + 130*time.Millisecond)
			v.lines["new"].cut()
			v.wait(time.Second + 130*time.Millisecond)
			v.apply("next", next)
			v.untilOf("next", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning && s.Wait == nil })
		})
	})
}
