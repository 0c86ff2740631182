package serve

import (
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// losesJournal stops the service, takes the window journal away, and starts the service again.
func (v *village) losesJournal() {
	v.Helper()
	v.stopService()
	v.must(v.cluster.DeleteTopic(JournalTopic))
	v.wait(time.Second)
	v.stopService = v.service()
	v.wait(4*time.Second + 130*time.Millisecond)
}

const journalGoneSays = "This serve no longer decides for rollout story: model ranker keeps v1 90 %, v2 10 %, and no guardrail takes the canary back. The window journal (Kafka topic streamcanary.windows) hasn't got what it is judged by."

// TestStoriesOfAJournalThatIsGone: a rollout whose window journal was made anew while no serve ran is lost, also once the new journal is longer than the old one was. It isn't judged by half of its evidence, nothing
// but what takes the canary back is done for it, and that is carried out to its end.
func TestStoriesOfAJournalThatIsGone(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.losesJournal()
		v.errors.Store(4000)
		head, _, err := v.bus.LoadHead(v.Context(), "story")
		v.must(err)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story is lost: "+journalGoneSays) || !strings.Contains(ready, "up to offset ") {
			v.Errorf("ready: %s", ready)
		}
		v.wait(20 * time.Second)
		if ends, err := v.kafka.Log(JournalTopic, 0).EndOffsets(v.Context()); err != nil || ends[0] <= head.Offsets[0].Offset {
			v.Errorf("the new journal ends at %d, the old one was read to %d: %v", ends[0], head.Offsets[0].Offset, err)
		}
		v.restart()
		v.wait(4*time.Second + 130*time.Millisecond)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story is lost: "+journalGoneSays) || !strings.Contains(ready, "isn't where epoch 1 of rollout story began") {
			v.Errorf("ready: %s", ready)
		}
		if reply := v.ask("promote", true); !strings.HasPrefix(reply.Failed, journalGoneSays) || v.share.Load() != 1000 {
			v.Errorf("the canary has %d basis points, a promotion is answered with %+v", v.share.Load(), reply)
		}
		if reply := v.ask("rollback", false); reply.Decision != "story.1.3" {
			v.Errorf("a rollback is answered with %+v", reply)
		}
		v.wait(time.Second + 130*time.Millisecond)
		v.restart() // it is carried out by the new journal alone
		v.completed()
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") || v.share.Load() != 0 {
			v.Errorf("the canary has %d basis points, ready: %s", v.share.Load(), ready)
		}
		v.golden("a-window-journal-that-is-gone")
	})
}

// TestBeginsAnewWithoutJournal: a rollout whose window journal is gone begins anew by an admin's override, or is deleted.
func TestBeginsAnewWithoutJournal(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.losesJournal()
		if reply := v.ask("retry", false); !strings.Contains(reply.Refused, "nothing is decided for epoch 1 any more (the record of rollout story has read partition 0 of streamcanary.windows up to offset ") {
			t.Errorf("a retry is answered with %+v", reply)
		}
		v.apply("story", strings.Replace(storyHead+errorsMore+atOnce, "10pp", "11pp", 1))
		v.wait(2 * time.Second)
		if page := v.page("/v1/rollouts"); !strings.Contains(page, `"refused":"`+journalGoneSays) {
			t.Errorf("another file, without an override, is answered with %s", page)
		}
		if reply := v.ask("retry", true); reply.Decision != "story.2.1" {
			t.Errorf("a retry is answered with %+v", reply)
		}
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		v.losesJournal()
		v.apply("story", storyHead+errorsMore+atOnce, func(a *Application) { a.ID, a.Delete = "gone", true })
		v.until("it is deleted", func(s *decisions.State) bool { return s.Status == decisions.StatusDeleted })
		v.wait(5 * time.Second)
		if share := v.share.Load(); share != 0 {
			t.Errorf("the canary has %d basis points", share)
		}
	})
}

// TestTakesOverWithoutJournal: where the records of the window journal are gone when a rollout is taken over, it is lost for who takes it over, too. Where its rollback was decided before, that is carried out.
func TestTakesOverWithoutJournal(t *testing.T) {
	for _, rolledBack := range []bool{false, true} {
		inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(5*time.Second + 130*time.Millisecond)
			v.other("new", "127.0.0.1:8089")
			v.wait(30*time.Second + 70*time.Millisecond)
			if rolledBack {
				v.ask("rollback", false)
				v.wait(time.Second + 130*time.Millisecond)
			}
			v.lines["new"].cut()
			v.deletesJournal()
			v.wait(2 * time.Minute)
			ready, told := v.page("/readyz"), v.notices(schemas.NoticeRolloutLost)
			if !rolledBack {
				if !strings.HasPrefix(ready, "503 rollout story is lost: "+journalGoneSays) || len(told) != 1 || v.share.Load() != 1000 {
					t.Errorf("told %d times; the canary has %d basis points; ready: %s", len(told), v.share.Load(), ready)
				}
				return
			}
			v.completed()
			if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") || len(told) != 0 || v.share.Load() != 0 {
				t.Errorf("told %d times; the canary has %d basis points; ready: %s", len(told), v.share.Load(), ready)
			}
		})
	}
}

// deletesJournal deletes all that the journal has up to now.
func (v *village) deletesJournal() {
	v.Helper()
	ends, err := v.kafka.Log(JournalTopic, 0).EndOffsets(v.Context())
	v.must(err)
	v.must(v.cluster.DeleteRecords(JournalTopic, 0, ends[0]))
}

// TestPromotedWithoutJournal: of a rollout that has ended nothing is lost with the window journal.
func TestPromotedWithoutJournal(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusPromoted)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.losesJournal()
		if ready, told := v.page("/readyz"), v.notices(schemas.NoticeRolloutLost); !strings.HasPrefix(ready, "200") || len(told) != 0 {
			t.Errorf("told %d times; ready: %s", len(told), ready)
		}
		if reply := v.ask("pause", false); reply.Refused == "" {
			t.Errorf("a pause is answered with %+v", reply)
		}
		if reply := v.ask("retry", true); reply.Decision != "story.2.1" {
			t.Errorf("a retry is answered with %+v", reply)
		}
	})
}
