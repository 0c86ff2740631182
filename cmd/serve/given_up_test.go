package serve

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestDeleteWhatIsLost: a rollout that runs and whose decision log is lost is taken away by force alone. People hear what it leaves, nothing stands any more, and what is applied next begins above its epoch, whatever is lost.
func TestDeleteWhatIsLost(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.retried(2)
		v.stopService()
		v.wait(time.Second)
		js, err := jetstream.New(v.conn())
		v.must(err)
		v.must(js.DeleteStream(v.Context(), schemas.StreamName))
		v.must(v.bus.Ensure(v.Context()))
		v.stopService = v.service()
		v.wait(2 * time.Second)
		head, _, err := v.bus.LoadHead(v.Context(), "story")
		v.must(err)
		deletes := func(force bool) {
			v.Helper()
			v.apply("story", string(rolloutOf(v, &head)), func(a *Application) { a.Delete, a.Force = true, force })
			v.wait(2*time.Second + 130*time.Millisecond)
		}
		deletes(false)
		if page := v.page("/v1/rollouts"); !strings.Contains(page, "`streamcanary rollout delete story --force` takes it away") {
			t.Errorf("without force: %s", page)
		}
		deletes(true)
		if _, _, err := v.bus.LoadHead(v.Context(), "story"); !errors.Is(err, bus.ErrNotFound) {
			t.Errorf("its record: %v", err)
		}
		there, err := v.bus.Spec(v.Context(), "story")
		v.must(err)
		v.must(v.bus.DeleteSpec(v.Context(), "story", there.Revision))
		v.wait(2*time.Second + 130*time.Millisecond)
		if ready, page := v.page("/readyz"), v.page("/v1/rollouts"); !strings.HasPrefix(ready, "200") || strings.Contains(page, "story") {
			t.Errorf("it stands still: %s %s", ready, page)
		}
		const says = "ada gave up rollout story by force, for which nothing was decided any more: model ranker keeps v1 90 %, v2 10 %, and no guardrail takes the canary back. Nobody looks at it now: look at what routers of model ranker do, and move the traffic by hand."
		if told := v.notices(schemas.NoticeRolloutDeleted); len(told) != 1 || told[0].Sentence != says || told[0].Severity != schemas.Warning {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		v.apply("story", string(rolloutOf(v, &head)))
		v.until("it begins anew", func(s *decisions.State) bool {
			return s.Epoch == 3 && s.Status == decisions.StatusRunning && s.Wait == nil
		})
	})
}
