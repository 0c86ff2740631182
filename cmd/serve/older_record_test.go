package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// wider is the story's rollout with another share, as its second epoch has it.
const wider = storyHead + errorsMore + "  stages: [{weight: 20, bake: 10m, max: 1h}]\n"

// widened applies it, and lets it run for a while.
func (v *village) widened() {
	v.Helper()
	v.apply("story", wider)
	v.until("the second epoch runs", func(s *decisions.State) bool {
		return s.Epoch == 2 && s.Status == decisions.StatusRunning && s.Wait == nil
	})
	v.wait(12*time.Second + 130*time.Millisecond)
}

// TestOlderRecordRefusesAWrite: where the bucket of rollouts is restored from an older backup under a running service, and that writes a record before it notices, the write goes over the older record: the service knows its own
// writings, and those of before. It never takes itself for another one, judges the older epoch, or calls anything lost; so where an older record alone is put back.
func TestOlderRecordRefusesAWrite(t *testing.T) {
	amongOthers(t)
	for _, row := range []struct {
		name    string
		two     bool // another service stands by
		earlier bool // the backup has the record of an earlier service, which has released it
		alone   bool // the record is put back alone
		address string
	}{{name: "one"}, {name: "two", two: true}, {name: "of an earlier service", two: true, earlier: true}, {name: "the record alone", alone: true}} {
		t.Run(row.name, func(t *testing.T) {
			inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
				v.status(decisions.StatusRunning)
				v.wait(5*time.Second + 130*time.Millisecond)
				if row.earlier {
					v.stopService()
				}
				old, _, err := v.bus.LoadHead(v.Context(), "story")
				v.must(err)
				kept := v.backsUpStream("KV_" + schemas.RolloutsBucket)
				if row.earlier {
					v.stopService = v.service()
				}
				address := "127.0.0.1:8088"
				if row.two {
					v.wait(time.Second)
					v.other("new", "127.0.0.1:8089")
					v.wait(30*time.Second + 130*time.Millisecond)
					address = "127.0.0.1:8089"
				}
				v.widened()
				if row.alone {
					_, revision, err := v.bus.LoadHead(v.Context(), "story")
					v.must(err)
					_, err = v.bus.SaveHead(v.Context(), old, revision)
					v.must(err)
				} else {
					v.must(v.js().DeleteStream(v.Context(), kept.stream))
					v.restores(kept)
				}
				if reply := v.ask("pause", false); reply.Decision != "story.2.3" {
					t.Errorf("a pause is answered with %+v", reply)
				}
				v.wait(5*time.Second + 130*time.Millisecond)
				if head, _, err := v.bus.LoadHead(v.Context(), "story"); err != nil || head.State.Epoch != 2 || head.State.Seq != 3 {
					t.Errorf("5 s later the record is of epoch %d, decision %d: %v", head.State.Epoch, head.State.Seq, err)
				}
				if there, err := v.bus.Spec(v.Context(), "story"); err != nil || !strings.Contains(string(there.Body), "weight: 20") {
					t.Errorf("5 s later the file is %s: %v", there.Body, err)
				}
				if ready := v.pageAt(address, "/readyz"); !strings.HasPrefix(ready, "200") {
					t.Errorf("5 s later: %s", ready)
				}
				v.ask("resume", false)
				v.errors.Store(2000)
				v.completed()
				if ready := v.pageAt(address, "/readyz"); !strings.HasPrefix(ready, "200") || v.share.Load() != 0 {
					t.Errorf("the canary has %d basis points; ready: %s", v.share.Load(), ready)
				}
				if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 {
					t.Errorf("lost: %+v", told)
				}
				if last, err := v.bus.LastDecision(v.Context(), "ranker"); err != nil || last.Decision.Epoch != 2 || last.Decision.Action != schemas.ActionRollback {
					t.Errorf("decided last: %s: %v", last.Decision.ID, err)
				}
			})
		})
	}
}

// An olderStart is a record that comes back from a backup while no service runs.
type olderStart struct {
	before, then func(v *village) // the backup, and after it
	says         []string
	retry        string // the decision that an admin's retry comes to; "": it is refused
}

// withoutJournal takes the window journal away, too.
func (v *village) withoutJournal() {
	v.Helper()
	v.stopService()
	v.must(v.cluster.DeleteTopic(JournalTopic))
	v.wait(time.Second)
}

// TestOlderRecordAtAStart: a record that comes back from a backup while no service runs, and is older than the decision log, is lost with the start: at once, with what users have by the decision that is in force, and nothing that
// was judged by it is told, decided, or advised.
func TestOlderRecordAtAStart(t *testing.T) {
	amongOthers(t)
	const later = "model ranker has v1 80 %, v2 20 %, and no guardrail takes the canary back"
	rollsBack := func(v *village) { v.ask("rollback", false); v.completed() }
	for name, x := range map[string]olderStart{
		"an epoch later": {then: func(v *village) { v.widened(); v.ask("pause", false) },
			says: []string{"the log has story.2.3 since, of epoch 2 of rollout story: by the decision that is in force, story.2.3, " + later, "the file of epoch 2"}},
		"ended, and an epoch later": {before: rollsBack, then: func(v *village) { v.widened() },
			says: []string{"the log has story.2.2 since, of epoch 2 of rollout story: by the decision that is in force, story.2.2, " + later, "the file of epoch 2"}},
		"a pause later, and the journal gone": {then: func(v *village) { v.ask("pause", false); v.withoutJournal() }, retry: "story.2.1",
			says: []string{"the log has story.1.3 since, of epoch 1 of rollout story: by the decision that is in force, story.1.3, model ranker has v1 90 %, v2 10 %, and no", "rollout retry story --override"}},
		"a rollback later, and the journal gone": {then: func(v *village) { rollsBack(v); v.withoutJournal() },
			says: []string{"the log has story.1.3 since, of epoch 1 of rollout story: by the decision that is in force, story.1.3, model ranker has v1 100 %. ", "rollout delete story --force"}},
	} {
		t.Run(name, func(t *testing.T) { inVillage(t, storyHead+errorsMore+atOnce, "", x.tell) })
	}
}

func (x *olderStart) tell(v *village) {
	v.Helper()
	v.status(decisions.StatusRunning)
	v.wait(5*time.Second + 130*time.Millisecond)
	if x.before != nil {
		x.before(v)
	}
	kept := v.backsUpStream("KV_" + schemas.RolloutsBucket)
	x.then(v)
	share := v.share.Load()
	v.stopService()
	v.must(v.js().DeleteStream(v.Context(), kept.stream))
	v.restores(kept)
	v.wait(time.Second)
	v.stopService = v.service()
	v.wait(30*time.Second + 130*time.Millisecond)
	told := v.notices(schemas.NoticeRolloutLost)
	if len(told) != 1 || !strings.HasPrefix(told[0].Sentence, "This serve no longer decides for rollout story: its record (bucket streamcanary-rollouts) is older than the decision log, as from a backup") {
		v.Errorf("told %d times: %+v", len(told), told)
		return
	}
	ready, reply := v.page("/readyz"), v.ask("rollback", true)
	for _, says := range x.says {
		if !strings.Contains(told[0].Sentence, says) || !strings.Contains(ready, says) || !strings.Contains(reply.Failed, says) {
			v.Errorf("it isn't said that %s:\n%s\nready: %s\nan order: %+v", says, told[0].Sentence, ready, reply)
		}
	}
	if serves := v.notices(schemas.NoticeRetiredServes); len(serves) != 0 || v.share.Load() != share {
		v.Errorf("the canary has %d basis points, and had %d; told: %+v", v.share.Load(), share, serves)
	}
	if reply := v.ask("retry", false); reply.Decision != "" {
		v.Errorf("a retry is answered with %+v", reply)
	}
	if reply := v.ask("retry", true); reply.Decision != x.retry {
		v.Errorf("a retry by override is answered with %+v, want %q", reply, x.retry)
	}
	if x.retry == "" {
		v.apply("story", wider, func(a *Application) { a.Retry, a.Force = true, true })
	}
	v.until("the next epoch runs", func(s *decisions.State) bool {
		return s.Epoch > 1 && s.Status == decisions.StatusRunning && s.Wait == nil
	})
	if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
		v.Errorf("begun anew: %s", ready)
	}
}

// TestOlderRecordOfTheEpoch: where the decision log has more of the very epoch than a record that comes back from a backup while no service runs, the start decides it again from the window journal as it was, to the byte, and goes
// on: nothing is published a second time, and nothing is lost. So does the one that stands by, where the one that decides was killed.
func TestOlderRecordOfTheEpoch(t *testing.T) {
	amongOthers(t)
	pauses := func(v *village) { v.ask("pause", false); v.ask("resume", false); v.ask("pause", false) }
	paused := func(s *decisions.State) bool { return s.Seq == 5 && s.Status == decisions.StatusHolding }
	back := func(s *decisions.State) bool {
		return s.Seq == 3 && s.Status == decisions.StatusRolledBack && s.Saga.Done()
	}
	for _, row := range []struct {
		name   string
		then   func(v *village)
		ends   func(s *decisions.State) bool
		killed bool
	}{
		{"a pause later", pauses, paused, false},
		{"a rollback later", func(v *village) { v.harms(); v.completed() }, back, false},
		{"a pause later, and taken over", pauses, paused, true},
		{"a rollback later, and taken over", func(v *village) { v.harms(); v.completed() }, back, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
				v.status(decisions.StatusRunning)
				v.wait(5*time.Second + 130*time.Millisecond)
				kept := v.backsUpStream("KV_" + schemas.RolloutsBucket)
				if row.killed {
					v.other("new", "127.0.0.1:8089")
					v.wait(10*time.Second + 130*time.Millisecond)
				}
				row.then(v)
				v.wait(time.Second)
				decided := v.decisionLog()
				if row.killed {
					v.lines["new"].cut()
				} else {
					v.stopService()
				}
				v.must(v.js().DeleteStream(v.Context(), kept.stream))
				v.restores(kept)
				if row.killed {
					v.wait(2 * time.Minute)
				} else {
					v.wait(time.Second)
					v.stopService = v.service()
				}
				v.wait(15*time.Second + 130*time.Millisecond)
				if head, _, err := v.bus.LoadHead(v.Context(), "story"); err != nil || !row.ends(&head.State) {
					t.Errorf("it is %s, after %d decisions: %v", head.State.Status, head.State.Seq, err)
				}
				if again := v.decisionLog(); len(again) != len(decided) {
					t.Errorf("the log has %d decisions, and had %d", len(again), len(decided))
				}
				if findings, _ := v.recompute(journalOf(v.kafka), v.decisionLog()); len(findings) != 0 {
					t.Errorf("computed again: %+v", findings)
				}
				if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
					t.Errorf("ready: %s", ready)
				}
				if told := append(v.notices(schemas.NoticeRolloutLost), v.notices(schemas.NoticeRetiredServes)...); len(told) != 0 {
					t.Errorf("told: %+v", told)
				}
				if row.killed && v.share.Load() > 0 { // it judges, too
					v.errors.Store(2000)
					v.completed()
				}
				if row.killed && v.share.Load() > 0 {
					t.Errorf("the canary has %d basis points", v.share.Load())
				}
			})
		})
	}
}

// TestOlderRecordOfAnother: a record of before another rollout of the model began is lost with the start, too, and takes nothing from that one: which is lost itself, its record being gone, until its file is applied again.
func TestOlderRecordOfAnother(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		kept := v.backsUpStream("KV_" + schemas.RolloutsBucket)
		next := strings.Replace(wider, "name: story", "name: next", 1)
		v.apply("next", next, func(a *Application) { a.Supersede = true })
		v.untilOf("next", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning && s.Wait == nil })
		v.wait(5*time.Second + 130*time.Millisecond)
		v.stopService()
		v.must(v.js().DeleteStream(v.Context(), kept.stream))
		v.restores(kept)
		v.wait(time.Second)
		v.stopService = v.service()
		v.wait(10*time.Second + 130*time.Millisecond)
		sentences := map[string]string{}
		for _, n := range v.notices(schemas.NoticeRolloutLost) {
			sentences[n.Rollout] = n.Sentence
		}
		if len(sentences) != 2 || !strings.Contains(sentences["story"], "by the decision that is in force, next.2.2, model ranker has v1 80 %, v2 20 %") || strings.Contains(sentences["story"], "retry") ||
			!strings.Contains(sentences["next"], "The record and the file of rollout next are gone") {
			t.Errorf("told: %q", sentences)
		}
		if reply := v.ask("retry", true); reply.Decision != "" {
			t.Errorf("a retry is answered with %+v", reply)
		}
		v.apply("story", storyHead+errorsMore+atOnce, func(a *Application) { a.Delete, a.Force = true, true })
		v.wait(2*time.Second + 130*time.Millisecond)
		if told := v.notices(schemas.NoticeRolloutDeleted); len(told) != 1 || !strings.HasPrefix(told[0].Sentence, "ada gave up rollout story by force, for which nothing was decided any more: by the decision that is in force, next.2.2, model ranker has v1 80 %, v2 20 %") {
			t.Errorf("deleted: %+v", told)
		}
		if page := v.page("/v1/rollouts"); strings.Contains(page, `"rollout":"story"`) {
			t.Errorf("rollouts: %s", page)
		}
		v.apply("next", next)
		v.untilOf("next", "it runs", func(s *decisions.State) bool {
			return s.Epoch == 3 && s.Status == decisions.StatusRunning && s.Wait == nil
		})
		if ready := v.page("/readyz"); strings.Contains(ready, "rollout next is lost") || v.share.Load() != 2000 {
			t.Errorf("the canary has %d basis points; ready: %s", v.share.Load(), ready)
		}
	})
}

// TestOlderRecordOfAKilledService: where the service that decides is killed, and then the bucket of rollouts is restored from an older backup, the one that stands by doesn't judge on by it: it is lost, with what users have.
func TestOlderRecordOfAKilledService(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		kept := v.backsUpStream("KV_" + schemas.RolloutsBucket)
		v.other("new", "127.0.0.1:8089")
		v.wait(10*time.Second + 130*time.Millisecond)
		v.widened()
		v.lines["new"].cut()
		v.must(v.js().DeleteStream(v.Context(), kept.stream))
		v.restores(kept)
		v.wait(3*time.Minute + 130*time.Millisecond)
		const says = "by the decision that is in force, story.2.2, model ranker has v1 80 %, v2 20 %, and no guardrail takes the canary back"
		if last, err := v.bus.LastDecision(v.Context(), "ranker"); err != nil || last.Decision.ID != "story.2.2" {
			t.Errorf("decided last: %s: %v", last.Decision.ID, err)
		}
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 1 || !strings.Contains(told[0].Sentence, says) {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story is lost: ") || !strings.Contains(ready, says) {
			t.Errorf("ready: %s", ready)
		}
	})
}

// TestAllRestoredUnderAService: where all of NATS is restored from an older backup under a running service, a rollout of which that has a newer record in memory is lost within seconds, with what routers have; it stands by for
// nobody, and an admin's retry begins anew without a restart.
func TestAllRestoredUnderAService(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.backsUpNATS("kept")
		v.widened()
		v.restoresNATS("kept")
		v.wait(12*time.Second + 130*time.Millisecond)
		const says = "This serve no longer decides for rollout story: model ranker keeps v1 80 %, v2 20 %, and no guardrail takes the canary back"
		told := v.notices(schemas.NoticeRolloutLost)
		if len(told) != 1 || !strings.HasPrefix(told[0].Sentence, says) {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story is lost: "+says) {
			t.Errorf("ready: %s", ready)
		}
		if reply := v.ask("rollback", false); !strings.HasPrefix(reply.Failed, says) {
			t.Errorf("a rollback is answered with %+v", reply)
		}
		if page := fmt.Sprint(v.notices(schemas.NoticeForeignDecision)); strings.Contains(page, "decisions go on.") || strings.Contains(page, "the others go on.") {
			t.Errorf("told: %s", page)
		}
		if reply := v.ask("retry", true); reply.Decision != "story.3.1" {
			t.Errorf("a retry by override is answered with %+v", reply)
		}
		v.until("the router obeys", func(s *decisions.State) bool {
			return s.Epoch == 3 && s.Status == decisions.StatusRunning && s.Wait == nil
		})
	})
}
