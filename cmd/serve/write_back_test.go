package serve

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// recorded reports whether the rollout's record and file are in their bucket.
func (v *village) recorded() bool {
	v.Helper()
	_, _, err := v.bus.LoadHead(v.Context(), "story")
	specs, none := v.bus.Specs(v.Context())
	return err == nil && none == nil && len(specs) == 1
}

// TestRecordsGone: a bucket of rollouts that somebody deletes or empties is there again within seconds, with every record and file, and people are told once; the rollout goes on, also over a restart, and a
// command that comes while the bucket is gone is obeyed.
func TestRecordsGone(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RolloutsBucket))
		v.wait(5*time.Second + 130*time.Millisecond)
		if !v.recorded() {
			t.Error("5 s later the record or the file isn't there")
		}
		if told := v.notices(schemas.NoticeForeignDecision); len(told) != 1 || !strings.HasPrefix(told[0].Sentence, "Bucket streamcanary-rollouts: what this serve wrote there is gone, or older: it was deleted, emptied, or restored from a backup; serve has written each rollout's record and file back from memory: ") {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		stream, err := v.js().Stream(v.Context(), "KV_"+schemas.RolloutsBucket)
		v.must(err)
		v.must(stream.Purge(v.Context()))
		v.wait(5*time.Second + 130*time.Millisecond)
		if ready := v.page("/readyz"); !v.recorded() || !strings.HasPrefix(ready, "200") {
			t.Errorf("5 s after it was emptied the record or the file isn't there; ready: %s", ready)
		}
		v.restart()
		v.wait(5*time.Second + 130*time.Millisecond)
		v.must(stream.Purge(v.Context()))
		if reply := v.ask("pause", false); reply.Decision != "story.1.3" { // it is stored while nobody knows yet that the bucket was emptied
			t.Errorf("a pause is answered with %+v", reply)
		}
		v.wait(5*time.Second + 130*time.Millisecond)
		if !v.recorded() {
			t.Error("after a pause the record or the file isn't there")
		}
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RolloutsBucket))
		if reply := v.ask("rollback", false); reply.Decision != "story.1.4" { // it waits for the bucket
			t.Errorf("a rollback is answered with %+v", reply)
		}
		v.completed()
		if ready := v.page("/readyz"); !v.recorded() || v.share.Load() != 0 || !strings.HasPrefix(ready, "200") {
			t.Errorf("the canary has %d basis points; ready: %s", v.share.Load(), ready)
		}
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 {
			t.Errorf("lost: %+v", told)
		}
	})
}

// TestRecordsGoneForLong: as long as the bucket can't be made again, /readyz says that the records are gone, and that a restart would forget the rollouts; then they are written back.
func TestRecordsGoneForLong(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RolloutsBucket))
		_, err := v.js().CreateKeyValue(v.Context(), jetstream.KeyValueConfig{Bucket: schemas.RolloutsBucket, TTL: time.Hour})
		v.must(err)
		v.wait(5*time.Second + 130*time.Millisecond)
		ready := v.page("/readyz")
		if !strings.HasPrefix(ready, "503 the rollouts' records (bucket streamcanary-rollouts) are to be written back (what this serve wrote there is gone, or older: it was deleted, emptied, or restored from a backup, and it can't be made again: ") ||
			!strings.Contains(ready, "ttl") || !strings.Contains(ready, "Don't restart it before: it would forget the rollouts") {
			t.Errorf("ready: %s", ready)
		}
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RolloutsBucket))
		v.wait(6*time.Second + 130*time.Millisecond)
		if ready := v.page("/readyz"); !v.recorded() || !strings.HasPrefix(ready, "200") {
			t.Errorf("the record or the file isn't there; ready: %s", ready)
		}
	})
}

// TestOlderRecordsRestored: where somebody deletes the bucket of rollouts and restores it from an older backup under a running service, before that notices or after it has made the bucket again, the older file doesn't
// begin, now or at the next start, what the service knows is written back, and people are told.
func TestOlderRecordsRestored(t *testing.T) {
	amongOthers(t)
	for _, row := range []struct {
		name          string
		notices, anew bool // the backup has the record of another process
	}{{name: "at once"}, {name: "noticed before", notices: true}, {name: "another process", anew: true}} {
		t.Run(row.name, func(t *testing.T) {
			inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
				v.status(decisions.StatusRunning)
				v.wait(5*time.Second + 130*time.Millisecond)
				kept := v.backsUpStream("KV_" + schemas.RolloutsBucket)
				if row.anew {
					v.stopService()
					v.wait(time.Second)
					v.stopService = v.other("new", "127.0.0.1:8088")
					v.wait(5*time.Second + 130*time.Millisecond)
				}
				v.apply("story", storyHead+errorsMore+"  stages: [{weight: 20, bake: 10m, max: 1h}]\n")
				runs := func(s *decisions.State) bool {
					return s.Epoch == 2 && s.Status == decisions.StatusRunning && s.Wait == nil
				}
				v.until("the second epoch runs", runs)
				v.wait(12*time.Second + 130*time.Millisecond)
				if row.notices {
					v.must(v.js().DeleteStream(v.Context(), kept.stream))
					v.wait(5*time.Second + 130*time.Millisecond)
				}
				v.must(v.js().DeleteStream(v.Context(), kept.stream))
				v.restores(kept)
				v.wait(20*time.Second + 130*time.Millisecond)
				stays := func(when string) {
					t.Helper()
					head, _, err := v.bus.LoadHead(v.Context(), "story")
					v.must(err)
					there, err := v.bus.Spec(v.Context(), "story")
					v.must(err)
					if ready := v.page("/readyz"); !runs(&head.State) || !strings.Contains(string(there.Body), "weight: 20") || !strings.HasPrefix(ready, "200") || v.share.Load() != 2000 {
						t.Errorf("%s it is in epoch %d, %s, with file %s; ready: %s", when, head.State.Epoch, head.State.Status, there.Body, ready)
					}
				}
				stays("20 s later")
				v.wait(2 * time.Minute)
				stays("2 min later")
				v.restart()
				v.wait(5*time.Second + 130*time.Millisecond)
				stays("after a restart")
				older := 0
				for _, n := range v.notices(schemas.NoticeForeignDecision) {
					if strings.HasPrefix(n.Sentence, "Bucket streamcanary-rollouts, file of rollout story: a file that is older than the one in force is back (applied by ada at ") {
						older++
					}
				}
				if older != 1 {
					t.Errorf("told %d times", older)
				}
				if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 {
					t.Errorf("lost: %+v", told)
				}
			})
		})
	}
}

// TestClaimedRecordRestored: the record of an earlier process that comes back with a backup is written over at once also where nothing was decided since: this process has read on in the journal.
func TestClaimedRecordRestored(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 1h, max: 3h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		kept := v.backsUpStream("KV_" + schemas.RolloutsBucket)
		v.wait(15*time.Second + 130*time.Millisecond)
		v.stopService()
		v.wait(time.Second)
		v.stopService = v.other("new", "127.0.0.1:8088")
		v.wait(30*time.Second + 130*time.Millisecond)
		v.must(v.js().DeleteStream(v.Context(), kept.stream))
		v.restores(kept)
		v.wait(5*time.Second + 130*time.Millisecond)
		head, _, err := v.bus.LoadHead(v.Context(), "story")
		v.must(err)
		if ready := v.page("/readyz"); head.Writer != "new" || head.State.Epoch != 1 || head.State.Seq != 2 || !strings.HasPrefix(ready, "200") {
			t.Errorf("5 s later the record is of %s, in epoch %d with %d decisions; ready: %s", head.Writer, head.State.Epoch, head.State.Seq, ready)
		}
		v.wait(time.Minute)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
			t.Errorf("a minute later: %s", ready)
		}
	})
}

// TestOlderFileBesideAnother: of an older file of a rollout that was applied since it began, one that stands by says and writes nothing: it is the other one's, which writes the one in force back.
func TestOlderFileBesideAnother(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 1h, max: 3h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.other("new", "127.0.0.1:8089")
		v.wait(30*time.Second + 130*time.Millisecond)
		runs := func(epoch int64) {
			v.apply("late", advisedOf("late", "m"), func(a *Application) { a.Retry, a.Force = epoch > 1, epoch > 1 })
			v.untilOf("late", "it runs", func(s *decisions.State) bool { return s.Epoch == epoch && s.Status == decisions.StatusRunning })
			v.wait(20*time.Second + 130*time.Millisecond)
		}
		runs(1)
		kept := v.backsUpStream("KV_" + schemas.RolloutsBucket)
		runs(2)
		force, err := v.bus.Spec(v.Context(), "late")
		v.must(err)
		v.must(v.js().DeleteStream(v.Context(), kept.stream))
		v.restores(kept)
		v.wait(2*time.Second + 130*time.Millisecond)
		for _, address := range []string{"127.0.0.1:8088", "127.0.0.1:8089"} {
			if page := v.pageAt(address, "/v1/rollouts"); strings.Contains(page, "came back with a backup") {
				t.Errorf("%s refuses a rollout that is under way: %s", address, page)
			}
		}
		v.wait(20*time.Second + 130*time.Millisecond)
		head, _, err := v.bus.LoadHead(v.Context(), "late")
		if v.must(err); head.State.Epoch != 2 || head.Writer != "new" {
			t.Errorf("it is in epoch %d, of %s", head.State.Epoch, head.Writer)
		}
		if there, err := v.bus.Spec(v.Context(), "late"); err != nil || string(there.Body) != string(force.Body) {
			t.Errorf("its file is %s: %v", there.Body, err)
		}
	})
}

// TestDeletedFileRestored: the file and the record of a rollout that was deleted, and that come back with an older backup under a running service, begin nothing, now or at the next start; what is said is what to do.
func TestDeletedFileRestored(t *testing.T) {
	rollout := storyHead + errorsMore + atOnce
	inVillage(t, rollout, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		kept := v.backsUpStream("KV_" + schemas.RolloutsBucket)
		v.deletes("story", rollout)
		v.must(v.js().DeleteStream(v.Context(), kept.stream))
		v.restores(kept)
		v.wait(20*time.Second + 130*time.Millisecond)
		begun := func(when string) {
			t.Helper()
			if last, err := v.bus.LastDecision(v.Context(), "ranker"); err != nil || last.Decision.ID != "story.1.3" || v.share.Load() != 0 {
				t.Errorf("%s %s was decided last, the canary has %d basis points: %v", when, last.Decision.ID, v.share.Load(), err)
			}
		}
		begun("20 s later")
		if page := v.page("/v1/rollouts"); !strings.Contains(page, `"refused":"it is older than what was handed in or deleted since, and came back with a backup of bucket streamcanary-rollouts (applied by ada at `) {
			t.Errorf("rollouts: %s", page)
		}
		v.restart()
		v.wait(20*time.Second + 130*time.Millisecond)
		begun("after a restart")
		if ready, page := v.page("/readyz"), v.page("/v1/rollouts"); !strings.HasPrefix(ready, "200") || !strings.Contains(page, `"status":"deleted","epoch":1,"seq":3`) {
			t.Errorf("ready: %s; rollouts: %s", ready, page)
		}
	})
}

// TestRecordsOfAnOlderNATS: where all of NATS is restored from a backup that lacks a rollout, people are told once that the records are gone or older, and not that somebody has emptied them, which isn't known.
func TestRecordsOfAnOlderNATS(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.others.Store(50)
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.backsUpNATS("kept")
		v.apply("second", strings.NewReplacer("name: story", "name: second", "model: ranker", "model: other\n  mode: advise", "  acks: {routers: [router-a], within: 10s}\n", "").Replace(storyHead+errorsMore+atOnce))
		v.untilOf("second", "the other model is judged", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		v.wait(5*time.Second + 130*time.Millisecond)
		v.restoresNATS("kept")
		v.wait(12*time.Second + 130*time.Millisecond)
		var told []string
		for _, n := range v.notices(schemas.NoticeForeignDecision) {
			if strings.HasPrefix(n.Sentence, "Bucket streamcanary-rollouts: ") {
				told = append(told, n.Sentence)
			}
		}
		if len(told) != 1 || !strings.HasPrefix(told[0], "Bucket streamcanary-rollouts: what this serve wrote there is gone, or older: it was deleted, emptied, or restored from a backup; serve has written each ") {
			t.Errorf("told %d times: %q", len(told), told)
		}
		if head, _, err := v.bus.LoadHead(v.Context(), "second"); err != nil || head.State.Epoch != 1 {
			t.Errorf("the record isn't written back: %v", err)
		}
	})
}
