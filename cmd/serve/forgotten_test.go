package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// forgets lets the bucket of the records be gone, and serve start then.
func (v *village) forgets() {
	v.Helper()
	v.losesRecords(false)
}

// losesRecords likewise lets the bucket be gone, or the rollout's file alone.
func (v *village) losesRecords(fileAlone bool) {
	v.Helper()
	v.stopService()
	if fileAlone {
		bucket, err := v.js().Stream(v.Context(), "KV_"+schemas.RolloutsBucket)
		v.must(err)
		v.must(bucket.Purge(v.Context(), jetstream.WithPurgeSubject("$KV."+schemas.RolloutsBucket+".story.spec")))
	} else {
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RolloutsBucket))
	}
	v.wait(time.Second)
	v.stopService = v.service()
	v.wait(2 * time.Second)
}

// TestForgotten: where the bucket of the records was deleted while no serve ran, the next one says wherever it is asked that the canary keeps its users and that nobody decides, with what to do;
// the file, applied again, goes on in a new epoch, and people hear that it is over.
func TestForgotten(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.forgets()
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

// TestForgottenGivenUp: a rollout whose record and file are gone is taken away by force alone: nobody is moved, people hear what stays in force, and the next start doesn't find it again. What is applied next begins above its epoch.
func TestForgottenGivenUp(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.forgets()
		share := v.share.Load()
		deletes := func(force bool) {
			v.Helper()
			v.apply("story", "", func(a *Application) { a.Delete, a.Force = true, force })
			v.wait(2*time.Second + 130*time.Millisecond)
			there, err := v.bus.Spec(v.Context(), "story")
			v.must(err)
			if !force { // the file that says so is no reason to know nothing of it
				v.restart()
				v.wait(2 * time.Second)
			}
			if page := v.page("/v1/rollouts"); !force && !strings.Contains(page, "so no decision can end it: `streamcanary rollout delete story --force`, which takes an admin") {
				t.Errorf("without force: %s", page)
			}
			v.must(v.bus.DeleteSpec(v.Context(), "story", there.Revision))
			v.wait(2*time.Second + 130*time.Millisecond)
		}
		deletes(false)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story is lost: ") || !strings.Contains(ready, "let `streamcanary rollout delete story --force` take this warning away") {
			t.Errorf("ready: %s", ready)
		}
		deletes(true)
		const says = "ada gave up rollout story by force, for which nothing was decided any more. No traffic was moved: by its last decision, story.1.2, model ranker has "
		for _, when := range []string{"now", "restarted"} {
			if ready, page := v.page("/readyz"), v.page("/v1/rollouts"); !strings.HasPrefix(ready, "200") || strings.Contains(page, "story") || v.share.Load() != share {
				t.Errorf("%s it stands still, or traffic moved: %s %s", when, ready, page)
			}
			if told := v.notices(schemas.NoticeRolloutDeleted); len(told) != 1 || told[0].Severity != schemas.Warning || !strings.HasPrefix(told[0].Sentence, says) {
				t.Errorf("%s told %d times: %+v", when, len(told), told)
			}
			if when == "now" {
				v.stopService()
				v.wait(time.Second)
				v.stopService = v.service()
				v.wait(2 * time.Second)
			}
		}
		v.apply("story", storyHead+errorsMore+atOnce)
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
	})
}

// TestForgottenBack: a rollback that isn't carried out, and whose record is gone when serve starts, is told as lost, with what to do, until the model's next rollout begins; one that is carried out is not.
func TestForgottenBack(t *testing.T) {
	const is = "model ranker is to have v1 100 %, and people were never told that this is carried out (rollback-completed)"
	const file = "The record and the file of rollout story are gone (bucket streamcanary-rollouts); by its last decision, story.1.3, " + is
	for _, row := range []struct {
		name  string
		deaf  bool // the router refuses the rollback
		state string
		keeps bool // the record
		says  []string
	}{
		{name: "not obeyed", deaf: true, says: []string{file, "Where v2 still has users (look what routers do, and which versions predictions name), restart the routers", "Don't apply the same file again, which gives v2 users: ", "`streamcanary rollout delete story --force`"}},
		{name: "its file alone is gone", deaf: true, keeps: true, says: []string{"The file of rollout story is gone, and nothing is judged by its record alone (bucket streamcanary-rollouts); by its last decision, story.1.3, " + is}},
		{name: "its state takes no writes", deaf: true, state: sharedAnd, says: []string{is, "And stores (users) were told to take no writes: let their state go back by hand, and then apply the model's next rollout, of another canary than v2, with --new-epoch --force"}},
		{name: "carried out"},
	} {
		t.Run(row.name, func(t *testing.T) {
			inVillage(t, storyHead+errorsMore+atOnce+row.state, "", func(v *village) {
				if row.state != "" {
					v.keeps(&shelf{})
				}
				v.harms()
				v.deaf.Store(row.deaf)
				if row.deaf {
					v.until("a rollback", func(s *decisions.State) bool { return s.Saga != nil })
					v.wait(5 * time.Second)
				} else {
					v.completed()
				}
				v.losesRecords(row.keeps)
				ready, told := v.page("/readyz"), v.notices(schemas.NoticeRolloutLost)
				if row.says == nil {
					if !strings.HasPrefix(ready, "200") || len(told) != 0 {
						t.Errorf("told %d times: %+v; ready: %s", len(told), told, ready)
					}
					return
				}
				if len(told) != 1 || told[0].Severity != schemas.Critical || !strings.HasPrefix(ready, "503 rollout story is lost: The ") {
					t.Fatalf("told %d times: %+v; ready: %s", len(told), told, ready)
				}
				if n := len(told[0].Sentence); n > decisions.MaxSentence-100 { // longer names are to have room
					t.Errorf("%d bytes were told: %s", n, told[0].Sentence)
				}
				for _, says := range row.says {
					if !strings.Contains(told[0].Sentence, says) {
						t.Errorf("told: %s\nwant: %s", told[0].Sentence, says)
					}
				}
			})
		})
	}
}

// TestForgottenBackRestored: where the bucket is restored from a backup of before such a rollback, the next start carries it out; where an admin gives it up, the next start says nothing.
func TestForgottenBackRestored(t *testing.T) {
	for _, restored := range []bool{true, false} {
		t.Run(fmt.Sprint(restored), func(t *testing.T) {
			inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
				v.status(decisions.StatusRunning)
				v.wait(3 * time.Second)
				kept := v.backsUpStream("KV_" + schemas.RolloutsBucket)
				v.harms()
				v.deaf.Store(true)
				v.until("a rollback", func(s *decisions.State) bool { return s.Saga != nil })
				v.wait(5 * time.Second)
				v.losesRecords(false)
				v.deaf.Store(false)
				if !restored {
					v.apply("story", "", func(a *Application) { a.Delete, a.Force = true, true })
					v.wait(3 * time.Second)
				}
				v.stopService()
				v.must(v.js().DeleteKeyValue(v.Context(), schemas.RolloutsBucket))
				if restored {
					v.restores(kept)
				}
				v.stopService = v.service()
				v.wait(time.Minute)
				done, deleted := v.notices(schemas.NoticeRollbackCompleted), v.notices(schemas.NoticeRolloutDeleted)
				if restored != (len(done) == 1) || restored == (len(deleted) == 1) {
					t.Errorf("completed: %+v, deleted: %+v", done, deleted)
				}
				if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
					t.Errorf("ready: %s", ready)
				}
			})
		})
	}
}

// TestForgottenServing: where the records are gone, and a version serves users and is to have none, as people were told, the file, applied again, ends what they were told.
func TestForgottenServing(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.harms()
		v.completed()
		v.share.Store(500) // a router has restarted with an old configuration
		v.told(true)
		v.forgets()
		v.errors.Store(0)
		v.apply("story", strings.Replace(storyHead+errorsMore+atOnce, "version: v2", "version: v3", 1))
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		const says = "This ends here only because epoch 2 of rollout story takes the place of the one that told of it: nobody looks any more at what v2 serves, which was not seen to have drained."
		told := v.notices(schemas.NoticeRetiredOver)
		if len(told) != 1 || told[0].Version != "v2" || told[0].Severity != schemas.Warning || !strings.HasPrefix(told[0].Sentence, says) {
			t.Errorf("told %+v", told)
		}
	})
}

// TestForgottenWithoutTraffic: a rollout that is being prepared, or whose weights another controller moves, is told as lost, too, where its record is gone when serve starts; one that was deleted isn't.
func TestForgottenWithoutTraffic(t *testing.T) {
	for _, row := range []struct {
		name, rollout string
		deaf, deleted bool
		says          string
	}{
		{name: "preparing", rollout: storyHead + errorsMore + atOnce, deaf: true,
			says: "story.1.1, it was being prepared, and no traffic of model ranker was moved by it: it doesn't begin now"},
		{name: "external", rollout: storyHead + errorsMore + elsewhere,
			says: "story.1.2, it was under way, and others move the weights of model ranker: nobody judges its canary now"},
		{name: "advised", rollout: advised(storyHead + errorsMore + atOnce),
			says: "story.1.2, it was under way, and others move the weights of model ranker: nobody judges its canary now"},
		{name: "deleted", rollout: storyHead + errorsMore + elsewhere, deleted: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			inVillage(t, row.rollout, "", func(v *village) {
				v.deaf.Store(row.deaf)
				v.wait(5*time.Second + 130*time.Millisecond)
				if row.deleted {
					v.apply("story", row.rollout, func(a *Application) { a.ID, a.Delete = "gone", true })
					v.wait(3 * time.Second)
				}
				v.stopService()
				v.must(v.js().DeleteKeyValue(v.Context(), schemas.RolloutsBucket))
				v.wait(time.Second)
				v.stopService = v.service()
				v.wait(2 * time.Second)
				ready, told := v.page("/readyz"), v.notices(schemas.NoticeRolloutLost)
				if row.says == "" {
					if !strings.HasPrefix(ready, "200") || len(told) != 0 {
						t.Errorf("told %d times: %+v; ready: %s", len(told), told, ready)
					}
					return
				}
				says := "The record and the file of rollout story are gone (bucket streamcanary-rollouts); by its last decision, " + row.says
				if !strings.HasPrefix(ready, "503 rollout story is lost: "+says) || len(told) != 1 || !strings.HasPrefix(told[0].Sentence, says) {
					t.Errorf("told %d times: %+v; ready: %s", len(told), told, ready)
				}
			})
		})
	}
}

// advised is a rollout in mode advise, which nobody need acknowledge.
func advised(rollout string) string {
	return strings.NewReplacer("model: ranker", "model: ranker\n  mode: advise", "  acks: {routers: [router-a], within: 10s}\n", "").Replace(rollout)
}

// TestUnrouted: which decisions without a split leave a rollout under way.
func TestUnrouted(t *testing.T) {
	all := []schemas.Route{{Version: "v1", WeightBP: 10000}, {Version: "v2"}}
	for _, row := range []struct {
		name string
		d    schemas.Decision
		want bool
	}{
		{"a prepare", schemas.Decision{Mode: schemas.Enforce, Action: schemas.ActionStart, Phase: schemas.PhasePrepare, Routes: all}, true},
		{"a hold before the start", schemas.Decision{Mode: schemas.Enforce, Action: schemas.ActionHold, Phase: schemas.PhasePrepare, Routes: all}, true},
		{"weights of others", schemas.Decision{Mode: schemas.Enforce, Action: schemas.ActionStart, Phase: schemas.PhaseCommit}, true},
		{"a hold of weights of others", schemas.Decision{Mode: schemas.Enforce, Action: schemas.ActionHold, Phase: schemas.PhaseCommit}, true},
		{"a rollback", schemas.Decision{Mode: schemas.Enforce, Action: schemas.ActionRollback, Phase: schemas.PhaseCommit, Routes: all}, false},
		{"a refused start", schemas.Decision{Mode: schemas.Enforce, Action: schemas.ActionStart, Phase: schemas.PhaseAbort}, false},
		{"to roll forward, of weights of others", schemas.Decision{Mode: schemas.Enforce, Action: schemas.ActionRollForward, Phase: schemas.PhaseCommit}, true},
		{"to roll forward, advised behind a rollback", schemas.Decision{Mode: schemas.Advise, Action: schemas.ActionRollForward, Phase: schemas.PhaseCommit}, false},
	} {
		if got := unrouted(&row.d); got != row.want {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
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

// TestForgottenGivenUpBefore: a rollback that was given up by force is no loss at any start, though another rollout of the model was deleted since.
func TestForgottenGivenUpBefore(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.harms()
		v.completed()
		v.errors.Store(0)
		second := strings.Replace(storyHead, "name: story", "name: second", 1) + errorsMore + atOnce
		v.apply("second", second)
		v.untilOf("second", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		v.wait(20 * time.Second)
		v.deaf.Store(true)
		v.errors.Store(6000)
		v.untilOf("second", "a rollback", func(s *decisions.State) bool { return s.Saga != nil })
		v.wait(5 * time.Second)
		v.apply("second", second, func(a *Application) { a.Delete, a.Force = true, true })
		v.untilOf("second", "it is given up", func(s *decisions.State) bool { return s.Status == decisions.StatusDeleted })
		v.forget("second")
		v.delete("story")
		v.restart()
		v.wait(5 * time.Second)
		if ready, told := v.page("/readyz"), v.notices(schemas.NoticeRolloutLost); !strings.HasPrefix(ready, "200") || len(told) != 0 {
			t.Errorf("ready: %s; told %+v", ready, told)
		}
	})
}
