package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// advisedOf is an advised rollout of a name and a model.
func advisedOf(name, model string) string {
	return strings.NewReplacer("name: story", "name: "+name, "model: ranker", "model: "+model).Replace(advised(storyHead + errorsMore + atOnce))
}

// isFounded holds the decision log against the window journal.
func (v *village) isFounded() {
	v.Helper()
	if findings, _ := v.recompute(journalOf(v.kafka), v.decisionLog()); len(findings) > 0 {
		v.Errorf("%s: %+v", told(findings), findings)
	}
}

// deletes ends a rollout, and takes its file away, as the command line does.
func (v *village) deletes(name, rollout string) {
	v.Helper()
	v.apply(name, rollout, func(a *Application) { a.ID, a.Delete = "gone", true })
	v.untilOf(name, "it is deleted", func(s *decisions.State) bool { return s.Status == decisions.StatusDeleted })
	there, err := v.bus.Spec(v.Context(), name)
	v.must(err)
	v.must(v.bus.DeleteSpec(v.Context(), name, there.Revision))
	v.wait(5*time.Second + 130*time.Millisecond)
}

// TestBegunByOne: of two services that decide for nothing exactly one begins what is applied, in one epoch, by its own record of the journal; the other one stands by, and judges it when that one is stopped.
func TestBegunByOne(t *testing.T) {
	inVillage(t, advisedOf("story", "m"), "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.share.Store(1000)
		v.deletes("story", advisedOf("story", "m"))
		stop := v.other("new", "127.0.0.1:8089")
		v.wait(5*time.Second + 130*time.Millisecond)
		const most = 8 // which of the two is first is left to chance
		var writer string
		for n := range most {
			name, model := fmt.Sprint("r", n), fmt.Sprint("m", n)
			if n == most-1 {
				model = "ranker" // which has traffic
			}
			rollout := advisedOf(name, model)
			v.apply(name, rollout)
			v.untilOf(name, "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
			v.wait(20*time.Second + 130*time.Millisecond)
			head, _, err := v.bus.LoadHead(v.Context(), name)
			v.must(err)
			if writer = head.Writer; head.State.Epoch != 1 {
				t.Errorf("%s is in epoch %d", name, head.State.Epoch)
			}
			pages := v.page("/readyz") + v.pageAt("127.0.0.1:8089", "/readyz")
			if strings.Count(pages, "another one has written its record") != 1 || strings.Count(pages, "200 ok") != 1 {
				t.Errorf("one decides for %s, and one stands by: %s", name, pages)
			}
			if n < most-1 {
				v.deletes(name, rollout)
			}
		}
		v.stopsLeader(fmt.Sprint("r", most-1), stop)
		v.wait(7*time.Second + 130*time.Millisecond)
		if head, _, err := v.bus.LoadHead(v.Context(), fmt.Sprint("r", most-1)); err != nil || head.Writer == writer || head.Writer == "" || head.State.Epoch != 1 {
			t.Errorf("%q decides where %q was stopped, in epoch %d: %v", head.Writer, writer, head.State.Epoch, err)
		}
		v.takesBack(fmt.Sprint("r", most-1))
		v.isFounded()
	})
}

// takesBack holds that a canary that begins to fail is rolled back, soon.
func (v *village) takesBack(rollout string) {
	v.Helper()
	v.errors.Store(2000)
	began := time.Now()
	v.untilOf(rollout, "it is rolled back", func(s *decisions.State) bool { return s.Status == decisions.StatusRolledBack })
	if took := time.Since(began); took > time.Minute {
		v.Errorf("%s is rolled back after %s", rollout, took)
	}
}

// TestRetriedByOne: of two services for which a rollout is lost, since the decision log was made anew, exactly one begins what an admin asks for, by its own record of the journal; the other one stands by.
func TestRetriedByOne(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.stopService()
		v.must(v.js().DeleteStream(v.Context(), schemas.StreamName))
		v.wait(time.Second)
		v.stopService = v.service()
		v.other("new", "127.0.0.1:8089")
		v.wait(5*time.Second + 130*time.Millisecond)
		began := time.Now()
		if reply := v.ask("retry", true); reply.Decision != "story.2.1" || time.Since(began) > 10*time.Second {
			t.Errorf("a retry is answered after %s with %+v", time.Since(began), reply)
		}
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		v.wait(time.Minute + 130*time.Millisecond)
		if findings, _ := v.recompute(journalOf(v.kafka), v.decisionLog()); told(findings) != "unpublished" || findings[0].Epoch != 1 {
			t.Errorf("of a log that lost epoch 1: %s: %+v", told(findings), findings)
		}
		pages := v.page("/readyz") + v.pageAt("127.0.0.1:8089", "/readyz")
		if strings.Count(pages, "another one has written its record") != 1 || strings.Contains(pages, "backup") {
			t.Errorf("one stands by: %s", pages)
		}
	})
}

// TestLostGivesWay: who has lost a rollout since its log was made anew stands by once another one, which found the log restored, has decided more: its advice, to begin anew, would undo that.
func TestLostGivesWay(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		kept := v.backsUp()
		v.other("new", "127.0.0.1:8089")
		v.wait(5*time.Second + 130*time.Millisecond)
		v.must(v.js().DeleteStream(v.Context(), schemas.StreamName))
		v.must(v.bus.Ensure(v.Context()))
		v.wait(3 * time.Second)
		lost := func() (pages []string) {
			for _, page := range []string{v.page("/readyz"), v.pageAt("127.0.0.1:8089", "/readyz")} {
				if strings.Contains(page, "retry story --override") {
					pages = append(pages, page)
				}
			}
			return pages
		}
		if have := lost(); len(have) == 0 {
			t.Fatal("no service says that the rollout is lost")
		}
		v.must(v.js().DeleteStream(v.Context(), schemas.StreamName))
		v.restores(kept)
		v.restart()
		v.wait(20 * time.Second)
		v.ask("rollback", false)
		v.completed()
		v.wait(7*time.Second + 70*time.Millisecond)
		if have := lost(); len(have) > 0 {
			t.Errorf("a service that has decided less goes on advising to begin anew: %q", have)
		}
	})
}

// TestOneOfTwoRollouts: of two rollouts of one model that are applied at one instant to two services that decide for nothing, one begins, and the other one is refused by both, or takes over where that was said. Neither
// service is fenced out, and the one that begins nothing judges what the other one has begun when that one is stopped.
func TestOneOfTwoRollouts(t *testing.T) {
	inVillage(t, advisedOf("story", "m"), "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.share.Store(1000)
		v.deletes("story", advisedOf("story", "m"))
		stop := v.other("new", "127.0.0.1:8089")
		v.wait(5*time.Second + 130*time.Millisecond)
		const most = 8 // which of them is first, and where, is left to chance
		for n := range most {
			supersede, model := n >= 6, fmt.Sprint("m", n)
			if n == most-1 {
				model = "ranker" // which has traffic
			}
			names := []string{fmt.Sprint("a", n), fmt.Sprint("b", n)}
			for _, name := range names {
				v.apply(name, advisedOf(name, model), func(a *Application) { a.Supersede = supersede })
			}
			v.wait(7*time.Second + 130*time.Millisecond)
			pages := v.page("/readyz") + v.pageAt("127.0.0.1:8089", "/readyz")
			if strings.Count(pages, "another one has written its record") != 1 || strings.Count(pages, "200 ok") != 1 {
				t.Errorf("one decides for model %s, and one stands by: %s", model, pages)
			}
			running := v.oneRuns(names, supersede)
			if n == most-1 {
				v.stopsLeader(running, stop)
				v.wait(10*time.Second + 130*time.Millisecond)
				v.takesBack(running)
				break
			}
			for _, name := range names {
				v.endsAlso(name, advisedOf(name, model))
			}
		}
		v.isFounded()
	})
}

// stopsLeader stops the one of two services that decides for a rollout; stop is for the other one than the first.
func (v *village) stopsLeader(rollout string, stop func()) {
	v.Helper()
	head, _, err := v.bus.LoadHead(v.Context(), rollout)
	v.must(err)
	if head.Writer != "new" {
		stop = v.stopService
	}
	stop()
}

// oneRuns holds that one of two rollouts runs, and the other one never began; or, where that was said, that it was ended by the one that runs. It returns the one that runs.
func (v *village) oneRuns(names []string, supersede bool) (running string) {
	v.Helper()
	var runs, refused int
	for _, name := range names {
		head, _, err := v.bus.LoadHead(v.Context(), name)
		if err == nil && head.State.Status == decisions.StatusRunning {
			runs, running = runs+1, name
			continue
		}
		if supersede {
			if err != nil || head.State.Status != decisions.StatusSuperseded {
				v.Errorf("%s is %s: %v", name, head.State.Status, err)
			}
			refused++
			continue
		}
		there, err := v.bus.Spec(v.Context(), name)
		v.must(err)
		if no := Refusal(name, there.Body); no != nil && strings.Contains(no.Refused, "has an active rollout, "+names[0]) != strings.Contains(no.Refused, "has an active rollout, "+names[1]) {
			refused++
		}
	}
	if runs != 1 || refused != 1 {
		v.Errorf("of %v %d run, and %d are refused", names, runs, refused)
	}
	return running
}

// endsAlso deletes a rollout, and takes the file of one that isn't under way away.
func (v *village) endsAlso(name, rollout string) {
	v.Helper()
	if head, _, err := v.bus.LoadHead(v.Context(), name); err == nil && !head.State.Status.Ended() {
		v.deletes(name, rollout)
		return
	}
	there, err := v.bus.Spec(v.Context(), name)
	v.must(err)
	v.must(v.bus.DeleteSpec(v.Context(), name, there.Revision))
	v.wait(5*time.Second + 130*time.Millisecond)
}

// TestRivalThatNeverBegins: what is applied begins although another process, which is gone since, has journaled the start of another rollout of its model before: a while later.
func TestRivalThatNeverBegins(t *testing.T) {
	inVillage(t, advised(storyHead+errorsMore+atOnce), "", func(v *village) {
		v.status(decisions.StatusRunning)
		r, err := schemas.ParseRollout("ghost.yaml", []byte(advisedOf("ghost", "m")))
		v.must(err)
		terms := decisions.TermsOf(r.Walked())
		terms.Application = "ghost-1"
		in := decisions.Input{Kind: decisions.InputApplied, WallMs: time.Now().UnixMilli(), Applied: &decisions.Applied{Terms: terms, Epoch: 1, Actor: schemas.Actor{Kind: "person", Name: "ada"}}}
		record, err := startRecord(&start{Application: Application{ID: "ghost-1", File: "ghost.yaml", YAML: advisedOf("ghost", "m")}, Instance: "gone"}, in)
		v.must(err)
		_, err = v.kafka.Log(JournalTopic, 0).Append(v.Context(), record)
		v.must(err)
		v.wait(time.Second + 130*time.Millisecond)
		began := time.Now()
		v.apply("real", advisedOf("real", "m"))
		v.untilOf("real", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		if took := time.Since(began); took < 10*time.Second || took > 20*time.Second {
			t.Errorf("it runs %s later", took)
		}
		v.isFounded()
	})
}

// TestTwoRolloutsAtOnce: of two rollouts of one model that are applied to one service at one instant, both to take over from whatever is under way, one begins, and the other one ends it.
func TestTwoRolloutsAtOnce(t *testing.T) {
	inVillage(t, advised(storyHead+errorsMore+atOnce), "", func(v *village) {
		v.status(decisions.StatusRunning)
		names := []string{"a", "b"}
		for _, name := range names {
			v.apply(name, advisedOf(name, "m"), func(a *Application) { a.Supersede = true })
		}
		v.wait(7*time.Second + 130*time.Millisecond)
		v.oneRuns(names, true)
		v.isFounded()
	})
}
