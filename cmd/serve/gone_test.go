package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// js is JetStream, for who deletes things there.
func (v *village) js() jetstream.JetStream {
	v.Helper()
	js, err := jetstream.New(v.conn())
	v.must(err)
	return js
}

// routed is the decision in the model's route document.
func (v *village) routed() string {
	d, err := v.bus.Route(v.Context(), "ranker")
	if err != nil {
		return err.Error()
	}
	return d.ID
}

// TestRoutesGone: a bucket of route documents that somebody deletes is made again within seconds, with every model's document, and people are told once; decisions go on. After a restart the
// documents are there before anything is judged.
func TestRoutesGone(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RoutesBucket))
		v.wait(3 * time.Second)
		if id := v.routed(); id != "story.1.2" {
			t.Errorf("%s stands in the bucket 3 s later", id)
		}
		if told := v.notices(schemas.NoticeForeignDecision); len(told) != 1 || !strings.Contains(told[0].Sentence, "Bucket streamcanary-routes: what serve wrote there is gone: it was deleted, emptied, or restored from a backup; serve makes it again where it must") {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		stream, err := v.js().Stream(v.Context(), "KV_"+schemas.RoutesBucket)
		v.must(err)
		v.must(stream.Purge(v.Context()))
		v.wait(3 * time.Second)
		if id := v.routed(); id != "story.1.2" {
			t.Errorf("%s stands in the bucket 3 s after it was emptied", id)
		}
		v.stopService()
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RoutesBucket))
		v.wait(time.Second)
		v.stopService = v.service()
		if id := v.routed(); id != "story.1.2" {
			t.Errorf("%s stands in the bucket when serve is ready again", id)
		}
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RoutesBucket))
		if reply := v.ask("rollback", false); reply.Decision != "story.1.3" { // it waits for the bucket
			t.Errorf("a rollback is answered with %+v", reply)
		}
		v.completed()
		if id := v.routed(); id != "story.1.3" || v.share.Load() != 0 {
			t.Errorf("%s stands in the bucket, the canary has %d basis points", id, v.share.Load())
		}
		if told := v.notices(schemas.NoticeForeignDecision); len(told) != 2 {
			t.Errorf("told %d times: %+v", len(told), told)
		}
	})
}

// A backup is a stream, as `nats stream backup` keeps it.
type backup struct {
	stream string
	Config json.RawMessage `json:"config"`
	State  json.RawMessage `json:"state"`
	chunks [][]byte
}

// asks asks the server for something by its API.
func (v *village) asks(conn *nats.Conn, api string, body []byte) *nats.Msg {
	v.Helper()
	m, err := conn.RequestWithContext(v.Context(), "$JS.API.STREAM."+api, body) // with a timeout its timer would come from a pool of all tests, perhaps out of another bubble
	v.must(err)
	if strings.Contains(string(m.Data), `"error"`) {
		v.Fatalf("%s: %s", api, m.Data)
	}
	return m
}

// backsUp backs the decision log up.
func (v *village) backsUp() backup {
	v.Helper()
	return v.backsUpStream(schemas.StreamName)
}

func (v *village) backsUpStream(stream string) backup {
	v.Helper()
	conn := v.conn()
	inbox := nats.NewInbox()
	chunks, err := conn.SubscribeSync(inbox)
	v.must(err)
	b := backup{stream: stream}
	v.must(json.Unmarshal(v.asks(conn, "SNAPSHOT."+stream, fmt.Appendf(nil, `{"deliver_subject":%q,"no_consumers":true}`, inbox)).Data, &b))
	ctx, cancel := context.WithTimeout(v.Context(), time.Minute) // with a timeout its timer would come from the pool, too
	defer cancel()
	for {
		m, err := chunks.NextMsgWithContext(ctx)
		v.must(err)
		if len(m.Data) == 0 {
			return b
		}
		b.chunks = append(b.chunks, m.Data)
		_ = m.Respond(nil) // where the server waits for that
	}
}

// restores restores it.
func (v *village) restores(b backup) {
	v.Helper()
	conn := v.conn()
	var to struct {
		Subject string `json:"deliver_subject"`
	}
	head, err := json.Marshal(b)
	v.must(err)
	v.must(json.Unmarshal(v.asks(conn, "RESTORE."+b.stream, head).Data, &to))
	for _, chunk := range append(b.chunks, nil) {
		_, err := conn.RequestWithContext(v.Context(), to.Subject, chunk)
		v.must(err)
	}
}

// backsUpAll backs all of NATS up.
func (v *village) backsUpAll() []backup {
	v.Helper()
	var kept []backup
	for _, stream := range []string{schemas.StreamName, "KV_" + schemas.RolloutsBucket, "KV_" + schemas.RoutesBucket} {
		kept = append(kept, v.backsUpStream(stream))
	}
	return kept
}

// restoresAll restores it, in place of what is there.
func (v *village) restoresAll(kept []backup) {
	v.Helper()
	for _, b := range kept {
		v.must(v.js().DeleteStream(v.Context(), b.stream))
		v.restores(b)
	}
}

// TestStoriesOfALogThatIsGone: a decision log that somebody deletes ends nothing. Serve says so wherever it is asked, takes no command, and holds the decision that it comes to; when the log
// is restored, it is published behind the ones before, and people are told.
func TestStoriesOfALogThatIsGone(t *testing.T) {
	story(t, "a-decision-log-that-is-gone", storyHead+errorsMore+atOnce, func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		kept := v.backsUp()
		v.must(v.js().DeleteStream(v.Context(), schemas.StreamName))
		v.wait(4 * time.Second)
		const says = "the decision log (stream STREAMCANARY) can't be used since "
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 "+says) || !strings.Contains(ready, "Restore it from a backup") {
			v.Errorf("ready: %s", ready)
		}
		if page := v.page("/v1/rollouts"); !strings.Contains(page, `"lost":"`+says) {
			v.Errorf("rollouts: %s", page)
		}
		if metrics := v.page("/metrics"); !strings.Contains(metrics, "streamcanary_decision_log_gone 1\n") {
			v.Error("the metric doesn't say it")
		}
		if reply := v.ask("advance", false); !strings.HasPrefix(reply.Failed, "it is not taken: "+says) {
			v.Errorf("an order is answered with %+v", reply)
		}
		v.errors.Store(2000)
		v.wait(2 * time.Minute)
		if ready := v.page("/readyz"); !strings.Contains(ready, "decisions wait since ") || v.share.Load() == 0 {
			v.Errorf("the canary has %d basis points, ready: %s", v.share.Load(), ready)
		}
		if reply := v.ask("rollback", false); !strings.HasPrefix(reply.Failed, "it is not taken: "+says) {
			v.Errorf("an order is answered with %+v", reply)
		}
		v.wait(300 * time.Millisecond) // routers look each second from the deletion on
		v.restores(kept)
		v.completed()
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") || v.share.Load() != 0 {
			v.Errorf("the canary has %d basis points, ready: %s", v.share.Load(), ready)
		}
		if page := v.page("/v1/rollouts"); strings.Contains(page, `"lost":`) {
			v.Errorf("rollouts: %s", page)
		}
		v.wait(3 * time.Second)
	})
}

// TestLogMadeAnew: where an empty decision log takes the place of the one that had decisions, a rollout is lost at once, before it decides anything, and what to do is said; a rollout whose model has
// decided nothing yet begins.
func TestLogMadeAnew(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.must(v.js().DeleteStream(v.Context(), schemas.StreamName))
		v.must(v.bus.Ensure(v.Context()))
		v.wait(3 * time.Second)
		ready := v.page("/readyz")
		if !strings.HasPrefix(ready, "503 rollout story is lost: This serve no longer decides for rollout story: model ranker keeps v1 90 %, v2 10 %, and no guardrail takes the canary back. Restore stream STREAMCANARY from a backup") || strings.Contains(ready, "another serve") {
			t.Errorf("ready: %s", ready)
		}
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 1 {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		if told := v.notices(schemas.NoticeForeignDecision); len(told) != 1 || !strings.HasPrefix(told[0].Sentence, "Stream STREAMCANARY: it is another one, or shorter than it was; ") {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		advice := strings.NewReplacer("name: story", "name: second", "model: ranker", "model: other\n  mode: advise").Replace(storyHead + errorsMore + atOnce)
		v.apply("second", strings.Replace(advice, "  acks: {routers: [router-a], within: 10s}\n", "", 1))
		v.untilOf("second", "the other model is judged", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		if reply := v.ask("retry", true); reply.Decision != "story.2.1" {
			t.Errorf("a retry is answered with %+v", reply)
		}
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
	})
}

// TestOlderBackup: a decision log that is restored from a backup without the newest decision makes its rollout lost within seconds. What is missing, which traffic stays, and what to do is said; no command is
// taken, nothing moves, and another rollout, which has decided nothing since, goes on. A retry by override begins anew.
func TestOlderBackup(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.apply("second", strings.NewReplacer("name: story", "name: second", "model: ranker", "model: other\n  mode: advise", "  acks: {routers: [router-a], within: 10s}\n", "").Replace(storyHead+errorsMore+atOnce))
		v.untilOf("second", "the other model is judged", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		v.wait(5*time.Second + 130*time.Millisecond)
		kept := v.backsUp()
		v.wait(time.Second)
		v.ask("pause", false)
		v.wait(time.Second)
		v.must(v.js().DeleteStream(v.Context(), schemas.StreamName))
		v.restores(kept)
		v.wait(4 * time.Second)
		const says = "This serve no longer decides for rollout story: model ranker keeps v1 90 %, v2 10 %, and no guardrail takes the canary back. Restore stream STREAMCANARY from a backup that has what is missing"
		ready, told := v.page("/readyz"), v.notices(schemas.NoticeRolloutLost)
		if len(told) != 1 || told[0].Rollout != "story" || !strings.HasPrefix(told[0].Sentence, says) || !strings.Contains(told[0].Sentence, "it ends with story.1.2 (message ") ||
			!strings.Contains(told[0].Sentence, "the record of rollout story knows story.1.3 (message ") {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		if !strings.HasPrefix(ready, "503 rollout story is lost: "+says) || strings.Contains(ready, "rollout second") {
			t.Errorf("ready: %s", ready)
		}
		if reply := v.ask("rollback", false); !strings.HasPrefix(reply.Failed, says) || v.share.Load() != 1000 {
			t.Errorf("the canary has %d basis points, a rollback is answered with %+v", v.share.Load(), reply)
		}
		v.apply("story", strings.Replace(storyHead+errorsMore+atOnce, "10pp", "11pp", 1))
		v.wait(2 * time.Second)
		if page := v.page("/v1/rollouts"); !strings.Contains(page, `"refused":"`+says) {
			t.Errorf("another file, without an override, is answered with %s", page)
		}
		if reply := v.ask("retry", true); reply.Decision != "story.2.1" {
			t.Errorf("a retry is answered with %+v", reply)
		}
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
	})
}

// TestEpochsAfterALostLog: the next rollout of a model whose decision log was lost, and whose rollout before has ended, begins in an epoch that its routers have not had, also where the route documents are gone.
func TestEpochsAfterALostLog(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.apply("story", storyHead+errorsMore+atOnce, func(a *Application) { a.Retry = true })
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		v.ask("rollback", false)
		v.completed()
		v.must(v.js().DeleteStream(v.Context(), schemas.StreamName))
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RoutesBucket))
		v.must(v.bus.Ensure(v.Context()))
		v.wait(3 * time.Second)
		if ready := v.page("/readyz"); !strings.Contains(ready, "`streamcanary rollout delete story` takes it away: it has ended") {
			t.Errorf("ready: %s", ready)
		}
		v.apply("next", strings.Replace(storyHead+errorsMore+atOnce, "name: story", "name: next", 1))
		v.untilOf("next", "the router obeys", func(s *decisions.State) bool {
			return s.Epoch == 3 && s.Status == decisions.StatusRunning && s.Wait == nil
		})
		if share := v.share.Load(); share == 0 {
			t.Errorf("the router gives the canary nothing")
		}
	})
}

// TestAllOfNATSRestored: where records and decision log are restored together from a backup from before the model's newest epochs, which the window journal still has, the rollout is lost, also with the next start; what is
// missing and what to do is said, and the next epoch is above those that routers have had.
func TestAllOfNATSRestored(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		kept := v.backsUpAll()
		for epoch := int64(2); epoch <= 3; epoch++ {
			v.ask("retry", true)
			v.until("a later epoch", func(s *decisions.State) bool {
				return s.Epoch == epoch && s.Status == decisions.StatusRunning && s.Wait == nil
			})
			v.wait(time.Second)
		}
		v.stopService()
		v.restoresAll(kept)
		v.wait(time.Second)
		v.stopService = v.service()
		v.wait(4 * time.Second)
		v.restart() // it stays so
		v.wait(4 * time.Second)
		const says = "This serve no longer decides for rollout story: model ranker has had later epochs than there are here, so NATS was restored from an older backup."
		const names = "the decision log ends with epoch 1 of model ranker, and the window journal has epoch 2 of rollout story, epoch 3 of rollout story"
		told := v.notices(schemas.NoticeRolloutLost)
		if len(told) == 0 || told[0].Rollout != "story" || !strings.HasPrefix(told[0].Sentence, says) || !strings.Contains(told[0].Sentence, names) {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story is lost: "+says) || !strings.Contains(ready, "streams STREAMCANARY and KV_streamcanary-rollouts") {
			t.Errorf("ready: %s", ready)
		}
		if reply := v.ask("rollback", false); !strings.HasPrefix(reply.Failed, says) {
			t.Errorf("a rollback is answered with %+v", reply)
		}
		if reply := v.ask("retry", true); reply.Decision != "story.4.1" {
			t.Errorf("a retry is answered with %+v", reply)
		}
		v.until("the router obeys", func(s *decisions.State) bool {
			return s.Epoch == 4 && s.Status == decisions.StatusRunning && s.Wait == nil
		})
		v.restart()
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
			t.Errorf("ready: %s", ready)
		}
	})
}

// TestEndedInAnOlderBackup: a rollout that ended before the backup from which all of NATS was restored, and whose model has had epochs since, is lost, too: until an admin begins it anew nothing else of its model begins,
// it is not deleted in silence, and what was refused meanwhile doesn't begin later by itself.
func TestEndedInAnOlderBackup(t *testing.T) {
	long := storyHead + errorsMore + atOnce
	inVillage(t, long, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.ask("rollback", false)
		v.completed()
		kept := v.backsUpAll()
		v.ask("retry", true)
		v.until("a later epoch", func(s *decisions.State) bool {
			return s.Epoch == 2 && s.Status == decisions.StatusRunning && s.Wait == nil
		})
		v.wait(time.Second)
		v.stopService()
		v.restoresAll(kept)
		v.wait(time.Second)
		v.stopService = v.service()
		v.wait(4*time.Second + 130*time.Millisecond)
		const says = "This serve no longer decides for rollout story: model ranker has had later epochs than there are here, so NATS was restored from an older backup."
		stillLost := func(when string) {
			t.Helper()
			if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story is lost: "+says) {
				t.Errorf("%s, ready: %s", when, ready)
			}
			if route, err := v.bus.Route(v.Context(), "ranker"); err != nil || route.Epoch != 1 {
				t.Errorf("%s, epoch %d is in force (%v)", when, route.Epoch, err)
			}
		}
		next := strings.Replace(long, "name: story", "name: next", 1)
		for _, a := range []struct{ name, rollout string }{{"next", next}, {"story", strings.Replace(long, "10pp", "11pp", 1)}} {
			v.apply(a.name, a.rollout)
			v.wait(2*time.Second + 130*time.Millisecond)
			if page := v.page("/v1/rollouts"); !strings.Contains(page, `"refused":"`+says) {
				t.Errorf("%s, applied, is answered with %s", a.name, page)
			}
			stillLost("after " + a.name + " was applied")
		}
		sum := strings.Repeat("0", 64)
		if reply := v.request(schemas.Command{ID: "d-1", Do: schemas.CommandDelete, Comment: "x", Sum: sum}); !strings.HasPrefix(reply.Refused, "it would take away what warns of epochs that are missing here") || !strings.Contains(reply.Refused, "--force") {
			t.Errorf("a deletion is answered with %+v", reply)
		}
		if reply := v.request(schemas.Command{ID: "d-2", Do: schemas.CommandDelete, Comment: "x", Sum: sum, Override: true}); reply.Refused != "" {
			t.Errorf("a deletion by force is answered with %+v", reply)
		}
		v.apply("story", long, func(a *Application) { a.ID, a.Delete = "gone", true })
		v.wait(2*time.Second + 130*time.Millisecond)
		if told := v.notices(schemas.NoticeRolloutDeleted); len(told) != 0 {
			t.Errorf("told: %+v", told)
		}
		stillLost("after a deletion was handed in")
		if reply := v.ask("retry", true); reply.Decision != "story.3.1" {
			t.Errorf("a retry is answered with %+v", reply)
		}
		v.until("the router obeys", func(s *decisions.State) bool {
			return s.Epoch == 3 && s.Status == decisions.StatusRunning && s.Wait == nil
		})
		v.ask("rollback", false)
		v.completed()
		v.restart()
		v.wait(10*time.Second + 130*time.Millisecond)
		if _, _, err := v.bus.LoadHead(v.Context(), "next"); !errors.Is(err, bus.ErrNotFound) {
			t.Errorf("what was refused has a record (%v)", err)
		}
		v.apply("next", next)
		v.untilOf("next", "it runs", func(s *decisions.State) bool { return s.Epoch == 4 && s.Status == decisions.StatusRunning })
	})
}

// TestStoriesOfALogLostInARollback: a rollout that is lost while its state isn't restored begins anew by an admin's override alone. The decision says what is forgotten, and its stores are let in again.
func TestStoriesOfALogLostInARollback(t *testing.T) {
	inVillage(t, rolloutWith(atOnce+sharedAnd), "", func(v *village) {
		shelf := &shelf{}
		shelf.empty.Store(true)
		v.keeps(shelf)
		v.runsAs("story", 1)
		v.ask("rollback", false)
		v.until("restore failed", func(s *decisions.State) bool {
			return s.Saga != nil && slices.ContainsFunc(s.Saga.Steps, func(x decisions.SagaStep) bool {
				return x.Name == decisions.StepRestore && x.State == decisions.StepFailed
			})
		})
		v.wait(2*time.Second + 300*time.Millisecond)
		v.must(v.js().DeleteStream(v.Context(), schemas.StreamName))
		v.must(v.bus.Ensure(v.Context()))
		v.wait(3*time.Second + 300*time.Millisecond)
		const says = "nothing is decided for epoch 1 any more (check the decision log of model ranker: "
		if reply := v.ask("retry", false); !strings.HasPrefix(reply.Refused, says) || !strings.Contains(reply.Refused, "`streamcanary rollout retry story --override --comment WHY` begins anew all the same, which takes an admin") {
			v.Errorf("a retry is answered with %+v", reply)
		}
		v.apply("story", rolloutWith(atOnce+sharedAnd))
		v.wait(2*time.Second + 300*time.Millisecond)
		if page := v.page("/v1/rollouts"); !strings.Contains(page, `"refused":"This serve no longer decides for rollout story`) {
			v.Errorf("an application over it is answered with %s", page)
		}
		if reply := v.ask("retry", true); reply.Decision != "story.2.1" {
			v.Errorf("a retry by override is answered with %+v", reply)
		}
		v.runsAs("story", 2)
		v.wait(5*time.Second + 300*time.Millisecond)
		v.golden("a-log-that-is-lost-in-a-rollback")
		if findings, _ := v.recompute(journalOf(v.kafka), v.decisionLog()); told(findings) != "unpublished" || findings[0].Epoch != 1 {
			v.Errorf("of a log that lost epoch 1: %+v", findings)
		}
	})
}
