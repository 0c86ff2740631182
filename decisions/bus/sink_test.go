package bus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// listen tells a sink for a while, and returns what the handler took.
func listen(t *testing.T, b *Bus, q SinkQuery, answer func(id string, attempt int) time.Duration) []string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var heard []string
	b.Tell(ctx, q, func(_ context.Context, x Told) time.Duration {
		var id string
		if x.Decision != nil {
			id = x.Decision.ID
		} else {
			id = string(x.Notice.Kind)
		}
		if model, rollout := x.Names(); model == "" || rollout == "" {
			t.Errorf("%s is of model %q, rollout %q", id, model, rollout)
		}
		heard = append(heard, fmt.Sprintf("%s/%d", id, x.Attempt))
		return answer(id, x.Attempt)
	})
	return heard
}

// unnumbered leaves out which attempt it was: what was on its way to a reader that stopped comes again.
func unnumbered(heard []string) string {
	var all []string
	for _, text := range heard {
		id, _, _ := strings.Cut(text, "/")
		all = append(all, id)
	}
	return strings.Join(slices.Compact(all), " ")
}

func taken(string, int) time.Duration { return 0 }

// rolledBack publishes two decisions of a start, and a rollback, with the notices there are.
func rolledBack(t *testing.T, b *Bus) {
	t.Helper()
	h := take(t, decisions.NewHead(0), applied(1), prepared(1), verdict(decisions.VerdictRollback))
	if _, err := b.SaveHead(t.Context(), h, 0); err != nil {
		t.Fatal(err)
	}
	deliver(t, b, h)
}

// TestSinkHearsInOrder: from when it is asked for, in order, one after the other, each until it is done with, and nothing twice after a restart.
func TestSinkHearsInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		q := SinkQuery{Name: "on call/1"}
		if err := b.EnsureSink(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		rolledBack(t, b)
		again := func(id string, attempt int) time.Duration {
			if id == "r-1.1.2" && attempt < 3 {
				return 5 * time.Second
			}
			return 0
		}
		want := "r-1.1.1/1 r-1.1.2/1 r-1.1.2/2 r-1.1.2/3 r-1.1.3/1"
		if got := strings.Join(listen(t, b, q, again), " "); got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
		if got := listen(t, b, q, taken); len(got) > 0 {
			t.Errorf("heard again: %v", got)
		}
		if err := b.EnsureSink(t.Context(), SinkQuery{Name: q.Name, Last: true}); err != nil {
			t.Errorf("a sink that becomes one of another kind: %v", err)
		}
		if got := listen(t, b, SinkQuery{Name: "late"}, taken); len(got) > 0 {
			t.Errorf("who comes late heard %v", got)
		}
		body, err := schemas.EncodeNotice(&schemas.Notice{ID: "n", Kind: schemas.NoticeDrainOverdue, Severity: schemas.Critical, Model: "m", Rollout: "r-1", Epoch: 1, Sentence: "S."})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.PublishNotice(t.Context(), decisions.Delivery{Model: "m", Notice: schemas.NoticeDrainOverdue, ID: "n", Body: body}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.js.Publish(t.Context(), "streamcanary.event.m.odd", []byte("no JSON")); err != nil {
			t.Fatal(err)
		}
		if got := listen(t, b, q, taken); unnumbered(got) != "drain-overdue" {
			t.Errorf("heard %v, want the notice alone", got)
		}
	})
}

// TestSinkHearsTheLast: each model's last decision at first, no notices, and a newer one although an older one is to come again.
func TestSinkHearsTheLast(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		h := take(t, decisions.NewHead(0), applied(1), prepared(1))
		if _, err := b.SaveHead(t.Context(), h, 0); err != nil {
			t.Fatal(err)
		}
		h = deliver(t, b, h)
		q := SinkQuery{Name: "gateway", Last: true}
		waits := func(id string, _ int) time.Duration {
			if id == "r-1.1.2" {
				return 10 * time.Minute
			}
			return 0
		}
		if got := listen(t, b, q, waits); unnumbered(got) != "r-1.1.2" {
			t.Errorf("heard %v, want the last one", got)
		}
		h = take(t, h, verdict(decisions.VerdictRollback))
		deliver(t, b, h)
		if got := listen(t, b, q, waits); unnumbered(got) != "r-1.1.3" {
			t.Errorf("heard %v, want the newer one", got)
		}
	})
}

// TestSinkThatEnds: what a process was at when it ended comes again soon, and what takes long comes once.
func TestSinkThatEnds(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b := open(t, conn)
		q := SinkQuery{Name: "hook"}
		if err := b.EnsureSink(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		rolledBack(t, b)
		ctx, stop := context.WithCancel(t.Context())
		b.Tell(ctx, q, func(context.Context, Told) time.Duration {
			stop()
			conn.Close() // nothing is said to the server any more
			return 0
		})
		b = open(t, connect())
		began := time.Now()
		slow := func(string, int) time.Duration {
			time.Sleep(2 * sinkWait)
			return 0
		}
		if got := listen(t, b, q, slow); unnumbered(got) != "r-1.1.1 r-1.1.2 r-1.1.3" || len(got) != 3 {
			t.Errorf("heard %v", got)
		}
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		ack := schemas.Ack{Decision: "r-1.1.1", Epoch: 1, Seq: 1, Consumer: "gateway", Instance: "i", Status: schemas.AckApplied, At: 1}
		for range 2 { // the second time is the same ack
			if err := b.Answer(t.Context(), "m", &ack); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var got []AckMessage
		if err := b.Acks(ctx, func(m AckMessage) error { got = append(got, m); return nil }, nil); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].Ack != ack || got[0].Model != "m" {
			t.Errorf("got %+v", got)
		}
		ack.Status = "well"
		if err := b.Answer(t.Context(), "m", &ack); err == nil {
			t.Error("an unknown status was published")
		}
	})
}
