package serve

import (
	"regexp"
	"strconv"
	"testing"

	"streamcanary/decisions"
)

// TestEventTimeOfTheEnded: after a restart the metric says up to when a rollout was judged that had ended, though nothing of it is folded again; before anything is judged there is none.
func TestEventTimeOfTheEnded(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		eventTime := func() float64 {
			found := regexp.MustCompile(`streamcanary_event_time_seconds\{rollout="story"\} (\S+)`).FindStringSubmatch(v.page("/metrics"))
			if found == nil {
				return -1
			}
			x, err := strconv.ParseFloat(found[1], 64)
			v.must(err)
			return x
		}
		if x := eventTime(); x != -1 {
			t.Errorf("%g before anything is judged", x)
		}
		v.status(decisions.StatusRunning)
		v.ask("rollback", false)
		v.completed()
		before := eventTime()
		v.restart()
		if x := eventTime(); x < before-60 || x > before {
			t.Errorf("%g after a restart, %g before it", x, before)
		}
	})
}
