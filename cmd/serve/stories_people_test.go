package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestStoriesOfPeople: what people may do while a watch runs.
func TestStoriesOfPeople(t *testing.T) {
	tell(t, map[string]tale{"a-watch-that-is-cut-short": {inSteps, func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(10 * time.Second)
		v.ask("promote", false) // begins the watch
		v.refused("promote", false, "its watch of 30s has not begun")
		v.inStage(2)
		v.wait(15 * time.Second)
		v.refused("promote", false, "its watch takes until")
		v.refused("advance", true, "`streamcanary rollout promote story --override --comment WHY` does that")
		v.ask("pause", false)
		v.refused("promote", false, "its watch takes until")
		v.ask("resume", false)
		v.ask("promote", true)
		v.status(decisions.StatusPromoted)
		v.wait(5 * time.Second)
		v.refused("rollback", true, "`streamcanary rollout back story --comment WHY` gives v1 all traffic again")
		v.refused("retry", false, "`streamcanary rollout back story --comment WHY` checks and prepares that first, and then gives v1 all users")
	}}})
}

// TestStoriesOfAnswers: what answers to a prepare mean. Those of raw and users come from no client of ours.
func TestStoriesOfAnswers(t *testing.T) {
	amongOthers(t)
	const name = "a-router-that-answers-applied-to-a-prepare"
	rollout := strings.Replace(rolloutWith(atOnce+sharedAnd), "[router-a]", "[raw, router-a]", 1)
	t.Run(name, func(t *testing.T) {
		storyWith(t, name, rollout, "", func(v *village) {
			v.wait(2 * time.Second)
			v.answers("raw", 1, schemas.AckApplied, "")
			v.answers("users", 1, schemas.AckApplied, "before-v2")
			v.wait(2 * time.Second)
			v.answers("users", 1, schemas.AckPrepared, "")
			v.wait(40 * time.Second) // overdue
			v.shows("raw (which answered applied: a prepare is answered with prepared", "users (which answered prepared: it names no snapshot that could be restored")
			v.answers("users", 1, schemas.AckPrepared, "before-v2")
			v.wait(5 * time.Second)
			v.answers("raw", 1, schemas.AckPrepared, "")
			v.wait(time.Second)
			v.status(decisions.StatusRunning)
			v.answers("raw", 2, schemas.AckApplied, "")
			v.wait(5 * time.Second)
		})
	})
}

// TestStoriesOfAnyRouter: where any router is enough, a store that follows the model since an earlier rollout is none.
func TestStoriesOfAnyRouter(t *testing.T) {
	tell(t, map[string]tale{"a-store-is-no-router": {atOnce + sharedAnd, func(v *village) {
		v.keeps(&shelf{})
		v.status(decisions.StatusRunning)
		v.wait(5 * time.Second)
		v.deaf.Store(true)
		second := strings.NewReplacer("name: story", "name: second", "[router-a]", "any").Replace(rolloutWith(atOnce))
		v.apply("second", second, func(a *Application) { a.Supersede = true })
		v.wait(9 * time.Second)
		head, _, err := v.bus.LoadHead(v.Context(), "second")
		v.must(err)
		if s := &head.State; s.Status != decisions.StatusPreparing || !strings.HasPrefix(s.WaitingText(), "any router (router-a answered rejected") {
			v.Errorf("%s, and waits for %q", s.Status, s.WaitingText())
		}
		v.deaf.Store(false)
		v.untilOf("second", "it has begun", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning && s.Wait == nil })
		v.wait(5 * time.Second)
		v.apply("second", second, func(a *Application) { a.Delete = true })
		v.wait(5 * time.Second)
	}}})
}

// TestStoriesOfEpochs: a router that answers to the model's rollout before is named where it keeps the next one, and counted. Nothing of ours runs for raw.
func TestStoriesOfEpochs(t *testing.T) {
	amongOthers(t)
	const name = "a-router-that-stays-behind"
	rollout := strings.Replace(rolloutWith(atOnce), "[router-a]", "[raw, router-a]", 1)
	t.Run(name, func(t *testing.T) {
		storyWith(t, name, rollout, "", func(v *village) {
			v.wait(2 * time.Second)
			v.answers("raw", 1, schemas.AckPrepared, "")
			v.status(decisions.StatusRunning)
			v.answers("raw", 2, schemas.AckApplied, "")
			v.wait(5 * time.Second)
			v.apply("second", strings.Replace(rollout, "name: story", "name: second", 1), func(a *Application) { a.Supersede = true })
			v.wait(time.Second)
			v.restart()
			v.wait(2 * time.Second)
			for range 2 {
				v.answers("raw", 2, schemas.AckApplied, "")
				v.wait(4 * time.Second)
			}
			if page := v.page("/metrics"); !strings.Contains(page, `streamcanary_acks_ignored_total{reason="older_epoch"} 2`+"\n") {
				v.Error("what raw answered to the epoch before is not counted")
			}
			v.wait(5 * time.Second) // overdue
			v.answersTo("second", 2, "raw", 1, schemas.AckPrepared, "")
			v.wait(5 * time.Second)
			v.answersTo("second", 2, "raw", 2, schemas.AckApplied, "")
			v.wait(2 * time.Second)
		})
	})
}

// answers publishes an answer of a consumer that nothing runs for, and waits for what comes of it: the order of two is no chance. Each is of an instance of its
// own: the stream takes two of one as one.
func (v *village) answers(consumer string, seq int64, status schemas.AckStatus, snapshot string) {
	v.Helper()
	v.answersTo("story", 1, consumer, seq, status, snapshot)
}

// answersTo is the same for a decision of another rollout.
func (v *village) answersTo(rollout string, epoch int64, consumer string, seq int64, status schemas.AckStatus, snapshot string) {
	v.Helper()
	v.must(v.bus.Answer(v.Context(), "ranker", &schemas.Ack{
		Decision: fmt.Sprintf("%s.%d.%d", rollout, epoch, seq), Epoch: epoch, Seq: seq, Consumer: consumer, Instance: fmt.Sprint(time.Now().UnixMilli()), Status: status, Snapshot: snapshot, At: schemas.Time(time.Now().UnixMilli()),
	}))
	v.wait(100 * time.Millisecond)
}

// shows wants what is waited for to be told with these words.
func (v *village) shows(want ...string) {
	v.Helper()
	head, _, err := v.bus.LoadHead(v.Context(), "story")
	v.must(err)
	for _, words := range want {
		if text := head.State.WaitingText(); !strings.Contains(text, words) {
			v.Errorf("shown %q, want %q", text, words)
		}
	}
}
