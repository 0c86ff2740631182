package subscribe

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// garbage is what nobody who keeps to the protocol writes.
var garbage = [][]byte{nil, []byte("hello"), []byte("{}"), []byte("null"), []byte(`{"body":"!","key_id":"x","signature":"y"}`), []byte(`{"body":"aGk=","key_id":"","signature":""}`), {0xff, 0xfe},
	[]byte(strings.Repeat("[", 10_000))}

// TestGarbage: whatever somebody else writes where decisions stand, or where heartbeats come, is told, stops no subscriber, and is neither obeyed nor answered; what the judge
// decides is.
func TestGarbage(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		js, _ := jetstream.New(j.connect())
		kv, err := js.KeyValue(t.Context(), schemas.RoutesBucket)
		if err != nil {
			t.Fatal(err)
		}
		log, _ := schemas.DecisionSubject(model)
		document, _ := schemas.RouteKey(model)
		again, _ := schemas.AgainKey(model)
		litter := func() {
			t.Helper()
			for _, text := range garbage {
				ack, err := js.Publish(t.Context(), log, text)
				if err != nil {
					t.Fatal(err)
				}
				j.head.SubjectSeq = ack.Sequence
				for _, key := range []string{document, again} {
					if _, err := kv.Put(t.Context(), key, text); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := js.Publish(t.Context(), schemas.HeartbeatSubject, text); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond) // a key keeps its last value alone: each is read before the next comes
			}
			if err := kv.Delete(t.Context(), document); err != nil {
				t.Fatal(err)
			}
			if err := kv.Purge(t.Context(), document); err != nil {
				t.Fatal(err)
			}
		}
		litter() // it is there when the subscriber begins
		r := j.follow(func(o *Options, _ *router) { o.OnJudge = func(bool, time.Time) {} })
		defer r.stop()
		j.take(applied(1, weight))
		same(t, "given", r.given(), "1.1 start")
		litter() // and comes while it runs
		same(t, "given among garbage", r.given(), "")
		j.take(prepared(1))
		same(t, "given after it", r.given(), "1.2 start")
		same(t, "acks", j.sent(), "eu 1.1 received, eu 1.1 prepared, eu 1.2 received, eu 1.2 applied")
		if told := r.errors(); !strings.Contains(told, "a decision is not obeyed") || !strings.Contains(told, "route document: ") || !strings.Contains(told, "decision that is asked again: ") || !strings.Contains(told, "decode heartbeat") {
			t.Errorf("told %q", told)
		}
	})
}

// TestGreatHeartbeat: a heartbeat that puts the next one off for ever, or beyond what a number holds, isn't believed: silence is told all the same, once.
func TestGreatHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		js, _ := jetstream.New(j.connect())
		silences := 0
		r := j.follow(func(o *Options, _ *router) {
			o.OnJudge = func(alive bool, _ time.Time) {
				if !alive {
					silences++
				}
			}
		})
		for _, every := range []string{"9223372036854775807", "3074457345618259", "3600001", "0", "-1"} {
			body := fmt.Sprintf(`{"schema":"streamcanary.heartbeat.v1","instance":"x","at":"2026-01-01T00:00:00.000Z","every_ms":%s}`, every)
			if _, err := js.Publish(t.Context(), schemas.HeartbeatSubject, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * firstBeat)
		synctest.Wait()
		r.stop()
		if told := r.errors(); silences != 1 || strings.Count(told, "every_ms is ") != 5 {
			t.Errorf("%d silences, told %q", silences, told)
		}
	})
}
