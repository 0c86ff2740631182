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

// litter is what nobody who keeps to the protocol writes.
var litter = []string{"", "hello", "{}", "null", "[]", `{"epoch":-1}`, "\xff\xfe", strings.Repeat("{", 10_000)}

// strews publishes litter, and what is forged, wherever somebody may who may publish everywhere, but for the records of others' rollouts.
func (v *village) strews() {
	v.Helper()
	conn := v.conn()
	js, err := jetstream.New(conn)
	v.must(err)
	for _, text := range litter {
		for _, subject := range []string{"streamcanary.ack.ranker.router-a", "streamcanary.ack.=ZZ.x", "streamcanary.event.ranker.rollback-completed", "streamcanary.event.=.x", schemas.HeartbeatSubject} {
			_, err := js.Publish(v.Context(), subject, []byte(text))
			v.must(err)
		}
		v.must(conn.Publish("streamcanary.command.story", []byte(text)))
		v.must(conn.Publish("streamcanary.command.=ZZ", []byte(text)))
		for bucket, keys := range map[string][]string{schemas.RoutesBucket: {"ranker", "other"}, schemas.RolloutsBucket: {"a=ZZ.spec", "a.b.spec", "junk.spec", "junk.state", "third.state", "x.pins"}} {
			kv, err := js.KeyValue(v.Context(), bucket)
			v.must(err)
			for _, key := range keys {
				_, err := kv.Put(v.Context(), key, []byte(text))
				v.must(err)
			}
		}
	}
	for _, a := range []schemas.Ack{
		{Decision: "story.1.2", Epoch: 1, Seq: 2, Consumer: "mallory", Status: schemas.AckApplied},
		{Decision: "story.1.99", Epoch: 1, Seq: 99, Consumer: "mallory", Status: schemas.AckApplied},
		{Decision: "story.7.1", Epoch: 7, Seq: 1, Consumer: "mallory", Status: schemas.AckApplied},
		{Decision: "story.1.2", Epoch: 1, Seq: 2, Consumer: "mallory", Status: schemas.AckFailed, Why: strings.Repeat("x", 200)},
		{Decision: "story.9007199254740991.1", Epoch: 1<<63 - 1, Seq: 1<<63 - 1, Consumer: "mallory", Status: schemas.AckApplied},
	} {
		body, err := schemas.EncodeAck(&a)
		v.must(err)
		subject, err := schemas.AckSubject("ranker", a.Consumer)
		v.must(err)
		_, err = js.Publish(v.Context(), subject, body)
		v.must(err)
	}
	notice, err := schemas.EncodeNotice(&schemas.Notice{ID: "forged", Kind: schemas.NoticeRollbackCompleted, Severity: schemas.Info, Model: "ranker", Rollout: "story", Epoch: 1,
		Sentence: "It is done.", Times: &schemas.RollbackTimes{}})
	v.must(err)
	_, err = js.Publish(v.Context(), "streamcanary.event.ranker.rollback-completed", notice)
	v.must(err)
}

// TestGarbage: whatever somebody else publishes on NATS stops neither the service nor its start, and changes nothing of a rollout: it is judged, commanded and rolled back as ever, and a
// rollback is done when it is, whatever a forged event says. A rollout whose own record is garbage is refused, and only that.
func TestGarbage(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5 * time.Second)
		before, _, err := v.bus.LoadHead(v.Context(), "story")
		v.must(err)
		v.strews()
		v.wait(5 * time.Second)
		after, _, err := v.bus.LoadHead(v.Context(), "story")
		v.must(err)
		if b, a := &before.State, &after.State; a.Seq != b.Seq || a.Epoch != b.Epoch || a.Status != b.Status || a.Wait != nil || a.Prev.ID != b.Prev.ID {
			t.Errorf("epoch %d, decision %d, %s became epoch %d, decision %d, %s", b.Epoch, b.Seq, b.Status, a.Epoch, a.Seq, a.Status)
		}
		v.restart()
		advice := strings.NewReplacer("name: story", "name: third", "model: ranker", "model: other\n  mode: advise", "  acks: {routers: [router-a], within: 10s}\n", "").Replace(storyHead + errorsMore + atOnce)
		v.apply("third", advice) // whose record is garbage
		v.wait(5 * time.Second)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
			t.Errorf("ready: %s", ready)
		}
		page := v.page("/v1/rollouts")
		for _, want := range []string{`"rollout":"junk"`, "read record of rollout third (bucket streamcanary-rollouts, key third.state): it can't be read, and so nothing is decided for the rollout", "rollout delete third --force"} {
			if !strings.Contains(page, want) {
				t.Errorf("%q isn't said: %s", want, page)
			}
		}
		if reply := v.ask("pause", false); reply.Decision != "story.1.3" {
			t.Errorf("a pause: %+v", reply)
		}
		if reply := v.ask("rollback", false); reply.Decision != "story.1.4" {
			t.Errorf("a rollback: %+v", reply)
		}
		v.strews()
		v.completed()
		if share := v.share.Load(); share != 0 {
			t.Errorf("the router leaves the canary %d basis points", share)
		}
		v.restart()
		v.apply("story", storyHead+errorsMore+atOnce, func(a *Application) { a.Retry = true })
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
	})
}

// TestDeleteRefused: what is refused, since it can't be read or can't be judged, can be deleted; so can what runs, when its file has become garbage.
func TestDeleteRefused(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		gone := func(a *Application) { a.ID, a.Delete = a.ID+"-gone", true }
		for name, yaml := range map[string]string{"bad": "kind: Rollout\n", "twin": strings.Replace(storyHead+errorsMore+atOnce, "name: story", "name: twin", 1), "empty": ""} {
			v.apply(name, yaml)
			v.wait(2 * time.Second)
			if page := v.page("/v1/rollouts"); !strings.Contains(page, `"rollout":"`+name+`"`) {
				t.Errorf("%s isn't refused: %s", name, page)
			}
			v.apply(name, yaml, gone)
			v.wait(2 * time.Second)
			there, err := v.bus.Spec(v.Context(), name)
			v.must(err)
			v.must(v.bus.DeleteSpec(v.Context(), name, there.Revision))
			v.wait(2 * time.Second)
			if page := v.page("/v1/rollouts"); strings.Contains(page, `"rollout":"`+name+`"`) {
				t.Errorf("%s is still there: %s", name, page)
			}
		}
		v.status(decisions.StatusRunning)
		v.apply("story", "kind: [")
		v.wait(2 * time.Second)
		v.status(decisions.StatusRunning)
		v.apply("story", "kind: [", gone)
		v.status(decisions.StatusDeleted)
	})
}

// TestRefusedIsBounded: made-up rollouts don't fill the memory, and what is known of the others stays.
func TestRefusedIsBounded(t *testing.T) {
	b := &board{}
	for i := range maxRefused + 10 {
		b.refuse(Standing{Rollout: fmt.Sprintf("r-%05d", i), Refused: "x"})
	}
	b.refuse(Standing{Rollout: "r-00000", Refused: "another reason"})
	if all := b.Everything(); len(all) != maxRefused || all[0].Refused != "another reason" {
		t.Errorf("%d are kept, the first refused for %q", len(all), all[0].Refused)
	}
}
