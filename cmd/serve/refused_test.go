package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// refusals waits until the service has refused so many rollouts, and returns why, by rollout.
func (s *stage) refusals(t *testing.T, n int) map[string]string {
	t.Helper()
	refused := map[string]string{}
	s.until(t, fmt.Sprintf("%d rollouts are refused", n), func() bool {
		var all []Standing
		status, text, err := s.get("/v1/rollouts")
		if err != nil || status != http.StatusOK || json.Unmarshal([]byte(text), &all) != nil {
			return false
		}
		clear(refused)
		for _, x := range all {
			if x.Refused != "" {
				refused[x.Rollout] = x.Refused
			}
		}
		return len(refused) == n
	})
	return refused
}

// named is the story's rollout under another name.
func named(name string) string { return strings.Replace(storyRollout, "name: story", "name: "+name, 1) }

// TestRefusedTogether has two rollouts of one model there when the service starts: one is judged, the other one refused.
func TestRefusedTogether(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	s.router(t)
	from := schemas.Time(parsed(t, storyScenario).StartMs)
	s.apply(t, "one", named("one"), Application{ID: "one-1", From: from})
	s.apply(t, "two", named("two"), Application{ID: "two-1", From: from})
	serving(t, s, pace{})
	for name, why := range s.refusals(t, 1) {
		other := map[string]string{"one": "two", "two": "one"}[name]
		if want := fmt.Sprintf("model ranker has an active rollout, %s: delete that one first, or apply with --supersede", other); why != want {
			t.Errorf("rollout %s is refused: %s, want %s", name, why, want)
		}
		s.status(t, other, 1, decisions.StatusRunning)
		if n := s.log.times("this rollout is not judged"); n != 1 {
			t.Errorf("the log says %d times that a rollout is not judged, want once", n)
		}
		wide := strings.Replace(named(other), "model: ranker", "model: ranker\n  window: 100ms\n  lateness: 1d", 1)
		s.apply(t, other, wide, Application{ID: other + "-2", From: from})
		s.refusals(t, 2)
		if n := s.log.times("this change of a rollout is refused, and it is judged on as it was"); n != 1 {
			t.Errorf("the log says %d times that a change is refused, want once", n)
		}
		s.status(t, other, 1, decisions.StatusRunning)
	}
}

// TestRefusedAfterRollback applies another rollout of the model while the canary's rollback is not yet carried out, and one that no stage
// could count: both are refused, and the service goes on. When the first rollout is deleted by force, the other one is judged.
func TestRefusedAfterRollback(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	serving(t, s, pace{})
	before := undisturbed(t)
	s.tell(t)
	s.comes(t, before)
	from := schemas.Time(parsed(t, storyScenario).StartMs)
	s.apply(t, "next", named("next"), Application{ID: "next-1", From: from})
	wide := strings.Replace(named("wide"), "model: ranker", "model: other\n  window: 100ms\n  lateness: 1d", 1)
	s.apply(t, "wide", wide, Application{ID: "wide-1", From: from})
	got, want := s.refusals(t, 2), map[string]string{
		"next": "the rollback of model ranker by rollout story is not yet carried out: wait for that, or give up following it with `streamcanary rollout delete story --force`, which takes an admin",
		"wide": `plan of rollout "wide": lateness of 86400000 ms is more than 65536 windows of 100 ms`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("refused are %v, want %v", got, want)
	}
	if after, err := s.look(t, "story"); err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the first rollout came to %v (%v), before to %v", after, err, before)
	}
	s.apply(t, "story", storyRollout, Application{ID: "story-2", From: from, Delete: true, Force: true})
	s.status(t, "story", 1, decisions.StatusDeleted)
	advice := strings.Replace(named("next"), "model: ranker", "model: ranker\n  mode: advise", 1) // nobody is waited for: the whole log is there already
	s.apply(t, "next", advice, Application{ID: "next-2", From: from})
	s.status(t, "next", 2, decisions.StatusRolledBack)
}

// TestRefusedChange: what was refused of a rollout that has a record doesn't begin by itself when the service is started again and what spoke against it is over, whether or not `rollout apply` has put
// the file of the epoch back. It is shown until something is applied that isn't refused.
func TestRefusedChange(t *testing.T) {
	const long = "  stages: [{weight: 10, bake: 10m, max: 1h}]\n  rollback: {drainWithin: 19500ms}\n"
	inVillage(t, rolloutWith(atOnce), "", func(v *village) {
		second := strings.NewReplacer("name: story", "name: second", "version: v2", "version: v3").Replace(rolloutWith(long))
		v.status(decisions.StatusRunning)
		v.wait(2*time.Second + 300*time.Millisecond)
		was, _ := v.entry("story")
		v.apply("second", second, func(a *Application) { a.Supersede = true })
		v.untilOf("second", "it runs", func(s *decisions.State) bool { return s.DueMs > 0 })
		v.wait(2*time.Second + 300*time.Millisecond)
		var change Application
		v.apply("story", rolloutWith(long), func(a *Application) { a.File, change = "newer.yaml", *a })
		stands := func(when string) {
			v.Helper()
			v.wait(5*time.Second + 300*time.Millisecond)
			now, body := v.entry("story")
			no := RefusedOver(was.ID, body)
			if no == nil || no.ID != change.ID || no.File != "newer.yaml" || no.At != change.At || no.By != "ada" || !strings.HasPrefix(no.Why, "model ranker has an active rollout, second") || no.When < no.At {
				v.Errorf("%s the entry says of the change: %+v, as %+v", when, no, now)
			}
			if page := v.page("/v1/rollouts"); !strings.Contains(page, `"application":"`+change.ID+`"`) || !strings.Contains(page, `"refused_at"`) {
				v.Errorf("%s it is not shown: %s", when, page)
			}
			if head, _, err := v.bus.LoadHead(v.Context(), "story"); err != nil || head.State.Epoch != 1 || head.State.Status != decisions.StatusSuperseded {
				v.Errorf("%s epoch %d is %s (%v): it began with nobody asking", when, head.State.Epoch, head.State.Status, err)
			}
		}
		stands("when it is refused,")
		v.restart()
		stands("after a restart")
		now, body := v.entry("story")
		there, err := v.bus.Spec(v.Context(), "story")
		v.must(err)
		back := was.PutBack(&now, now.Refused, now.RefusedAt)
		there.Body, err = back.Encode()
		v.must(err)
		stands("before its file is put back,")
		_, err = v.bus.PutSpec(v.Context(), there)
		v.must(err)
		stands("when its file is put back,")
		v.delete("second")
		v.restart()
		stands("where the epoch's file is there when what spoke against it is over,")
		there, err = v.bus.Spec(v.Context(), "story")
		v.must(err)
		there.Body = body
		_, err = v.bus.PutSpec(v.Context(), there)
		v.must(err)
		v.restart()
		stands("where it is there itself,")
		v.apply("story", rolloutWith(long))
		v.until("it is judged again", func(s *decisions.State) bool { return s.Epoch > 1 })
		v.wait(2*time.Second + 300*time.Millisecond)
		if page := v.page("/v1/rollouts"); strings.Contains(page, "refused") {
			v.Errorf("a refusal is shown: %s", page)
		}
	})
}

// entry is what stands in a rollout's entry.
func (v *village) entry(rollout string) (Application, []byte) {
	v.Helper()
	there, err := v.bus.Spec(v.Context(), rollout)
	v.must(err)
	a, err := ReadApplication(there.Body)
	v.must(err)
	return a, there.Body
}

// TestPutBack: the file of a rollout that was deleted begins nothing when somebody puts it back by hand, also after a restart; applied again, it begins.
func TestPutBack(t *testing.T) {
	inVillage(t, rolloutWith(atOnce), "", func(v *village) {
		v.status(decisions.StatusRunning)
		_, body := v.entry("story")
		v.delete("story")
		v.wait(time.Minute)
		_, err := v.bus.PutSpec(v.Context(), bus.Spec{Rollout: "story", Body: body})
		v.must(err)
		for _, when := range []string{"when it is back", "after a restart"} {
			v.wait(5*time.Second + 300*time.Millisecond)
			if _, _, err := v.bus.LoadHead(v.Context(), "story"); !errors.Is(err, bus.ErrNotFound) {
				v.Errorf("%s it begins: %v", when, err)
			}
			if page := v.page("/v1/rollouts"); !strings.Contains(page, "had begun, and was deleted since: `rollout apply` it again where it is meant") {
				v.Errorf("%s: %s", when, page)
			}
			v.restart()
		}
		v.apply("story", rolloutWith(atOnce))
		v.until("it begins anew", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
	})
}
