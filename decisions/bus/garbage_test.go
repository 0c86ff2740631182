package bus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// garbage is what nobody who keeps to the protocol writes.
var garbage = [][]byte{nil, []byte("hello"), []byte("{}"), []byte("[]"), []byte("null"), []byte(`{"epoch":-1}`), []byte(`{"version":1,"state":7}`), []byte(`{"version":99}`), {0xff, 0xfe}, []byte(strings.Repeat("{", 10_000))}

// TestGarbageFiles: keys that are no rollout's stop neither the watch nor the list, and are told; the others come.
func TestGarbageFiles(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		var told []string
		conn := connect()
		b := open(t, conn, func(o *Options) { o.OnError = func(err error) { told = append(told, err.Error()) } })
		js, _ := jetstream.New(conn)
		kv, err := js.KeyValue(t.Context(), schemas.RolloutsBucket)
		if err != nil {
			t.Fatal(err)
		}
		for i, key := range []string{"a=ZZ.spec", "=.spec", "a/b.spec", strings.Repeat("x", 500) + ".spec", "good.spec", "deep.er.spec", "other"} {
			if _, err := kv.Put(t.Context(), key, garbage[i%len(garbage)]); err != nil {
				t.Fatalf("%s: %v", key, err)
			}
		}
		all, err := b.Specs(t.Context())
		if err != nil || len(all) != 1 || all[0].Rollout != "good" {
			t.Errorf("%v: %+v", err, all)
		}
		if len(told) != 4 || !strings.Contains(told[0], "passed over, since it is no rollout's; who writes there?") {
			t.Errorf("told %q", told)
		}
	})
}

// TestGarbageRecords: a record that can't be read is an error of its own, and is never taken for none.
func TestGarbageRecords(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b := open(t, conn)
		js, _ := jetstream.New(conn)
		kv, err := js.KeyValue(t.Context(), schemas.RolloutsBucket)
		if err != nil {
			t.Fatal(err)
		}
		key, _ := schemas.StateKey("r-1")
		for _, text := range garbage {
			written, err := kv.Put(t.Context(), key, text)
			if err != nil {
				t.Fatal(err)
			}
			_, revision, err := b.LoadHead(t.Context(), "r-1")
			if !errors.Is(err, ErrUnreadable) || errors.Is(err, ErrNotFound) || revision != written {
				t.Errorf("%.20q: %v, revision %d, want %d", text, err, revision, written)
			}
		}
		h := take(t, decisions.NewHead(0), applied(1))
		if _, err := b.SaveHead(t.Context(), h, 0); !errors.Is(err, ErrLost) {
			t.Errorf("a record over one that can't be read: %v", err)
		}
	})
}

// TestGarbageMessages: garbage among acks, events and commands is passed over, or answered with what is wrong; what is none comes.
func TestGarbageMessages(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b := open(t, conn)
		js, _ := jetstream.New(conn)
		subjects := []string{"streamcanary.ack.ranker.eu", "streamcanary.ack.=ZZ.eu", "streamcanary.ack.ranker.=", "streamcanary.event.ranker.foo", "streamcanary.event.=ZZ.rollback-completed"}
		for _, subject := range subjects {
			for _, text := range garbage {
				if _, err := js.Publish(t.Context(), subject, text); err != nil {
					t.Fatal(err)
				}
			}
		}
		ack, err := schemas.EncodeAck(&schemas.Ack{Decision: "d", Epoch: 1, Seq: 1, Consumer: "eu", Status: schemas.AckApplied, At: 1})
		if err != nil {
			t.Fatal(err)
		}
		notice, err := schemas.EncodeNotice(&schemas.Notice{ID: "n", Kind: "foo", Severity: schemas.Info, Model: "ranker", Rollout: "r", Epoch: 1, Sentence: "It is so."})
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range [][]byte{ack, notice} {
			if _, err := js.Publish(t.Context(), subjects[i*3], text); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		acks, malformed, notices := 0, 0, 0
		if err := b.Acks(ctx, func(AckMessage) error { acks++; return nil }, func(error) { malformed++ }); err != nil || acks != 1 || malformed != 3*len(garbage) {
			t.Errorf("%v: %d acks, %d malformed", err, acks, malformed)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Notices(ctx, func(*schemas.Notice) error { notices++; return nil }); err != nil || notices != 1 {
			t.Errorf("%v: %d events", err, notices)
		}
	})
}

// TestGarbageCommands: what is no command is handed over as what it is, with who sent it.
func TestGarbageCommands(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b := open(t, conn)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- b.Commands(ctx, func(r Request) {
				if r.Malformed != nil && r.Command == nil {
					r.Reply(&schemas.CommandReply{Refused: r.Malformed.Error()})
					return
				}
				r.Reply(&schemas.CommandReply{Decision: "heard"})
			})
		}()
		time.Sleep(time.Second)
		for _, text := range garbage {
			answer, err := conn.RequestWithContext(within(t, time.Second), "streamcanary.command.r-1", text) // one with a timeout takes its timer from a pool of all tests, and that may be another bubble's
			if err != nil {
				t.Fatalf("%.20q: %v", text, err)
			}
			if reply, err := schemas.DecodeReply(answer.Data); err != nil || !strings.HasPrefix(reply.Refused, "decode command: ") {
				t.Errorf("%.20q: %+v (%v)", text, reply, err)
			}
			if err := conn.Publish("streamcanary.command.r-1", text); err != nil { // nobody waits for an answer
				t.Fatal(err)
			}
		}
		answer, err := conn.RequestWithContext(within(t, time.Second), "streamcanary.command.=ZZ", []byte(`{"id":"1","do":"pause","comment":"x"}`))
		if err != nil || !strings.Contains(string(answer.Data), "the subject names no rollout") {
			t.Errorf("%v, %v", answer, err)
		}
		if reply, err := b.Ask(t.Context(), "r-1", &schemas.Command{ID: "1", Do: "pause", Comment: "x"}, ""); err != nil || reply.Decision != "heard" {
			t.Errorf("a command after all that: %+v (%v)", reply, err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
