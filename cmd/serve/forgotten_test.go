package serve

import (
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestForgotten: where the bucket of the records was deleted while no serve ran, the next one says wherever it is asked that the canary keeps its users and that nobody decides, with what to do;
// the file, applied again, goes on in a new epoch, and people hear that it is over.
func TestForgotten(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.stopService()
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RolloutsBucket))
		v.wait(time.Second)
		v.stopService = v.service()
		v.wait(2 * time.Second)
		const says = "The record and the file of rollout story are gone (bucket streamcanary-rollouts); by its last decision, story.1.2, model ranker has "
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story is lost: "+says) || !strings.Contains(ready, "Apply the rollout's file again") {
			t.Errorf("ready: %s", ready)
		}
		if page := v.page("/v1/rollouts"); !strings.Contains(page, `"status":"unknown"`) || !strings.Contains(page, `"lost":"`+says) {
			t.Errorf("rollouts: %s", page)
		}
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 1 || told[0].Severity != schemas.Critical || !strings.HasPrefix(told[0].Sentence, says) {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		if v.share.Load() == 0 {
			t.Error("the canary has no users")
		}
		v.apply("story", storyHead+errorsMore+atOnce)
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		v.wait(2*time.Minute + 70*time.Millisecond)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
			t.Errorf("ready: %s", ready)
		}
		if told := v.notices(schemas.NoticeRolloutFound); len(told) != 1 {
			t.Errorf("told %d times: %+v", len(told), told)
		}
	})
}

// TestUsers: who has users by a decision.
func TestUsers(t *testing.T) {
	split, all := []schemas.Route{{Version: "v1", WeightBP: 8000}, {Version: "v2", WeightBP: 2000}}, []schemas.Route{{Version: "v1", WeightBP: 10000}, {Version: "v2"}}
	for _, row := range []struct {
		name string
		d    schemas.Decision
		want bool
	}{
		{"a split", schemas.Decision{Routes: split}, true},
		{"all to one", schemas.Decision{Routes: all}, false},
		{"copies", schemas.Decision{Routes: []schemas.Route{{Version: "v1", WeightBP: 10000}, {Version: "v2", MirrorBP: 500}}}, true},
		{"a prepare moves nothing", schemas.Decision{Phase: schemas.PhasePrepare, Routes: split, PreviousRoutes: all}, false},
		{"a split before a prepare", schemas.Decision{Phase: schemas.PhasePrepare, Routes: split, PreviousRoutes: split}, true},
		{"deleted while frozen", schemas.Decision{Routes: split, Reason: schemas.Reason{Code: schemas.ReasonDeleted}}, false},
	} {
		if got := shared(&row.d); got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}

// TestForgottenText: a promotion that is forgotten on its way is begun over by override alone.
func TestForgottenText(t *testing.T) {
	routes := []schemas.Route{{Version: "v1", WeightBP: 5000}, {Version: "v2", WeightBP: 5000}}
	for action, want := range map[schemas.Action]string{
		schemas.ActionStart:   "Apply the rollout's file again with `streamcanary rollout apply`: ",
		schemas.ActionPromote: "Apply the rollout's file again with `streamcanary rollout apply --override`: ",
	} {
		f := forgotten{decision: &schemas.Decision{ID: "story.1.3", Rollout: "story", Model: "ranker", Action: action, Routes: routes}}
		if text := f.text(); !strings.Contains(text, want) {
			t.Errorf("%s: %s", action, text)
		}
	}
}
