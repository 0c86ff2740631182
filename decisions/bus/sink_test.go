package bus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
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
	b.Tell(ctx, q, func(_ context.Context, x Told) Again {
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
		return Again{After: answer(id, x.Attempt)}
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
		b.Tell(ctx, q, func(context.Context, Told) Again {
			stop()
			conn.Close() // nothing is said to the server any more
			return Again{}
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

// notify publishes a notice of a model.
func notify(t *testing.T, b *Bus, model, id string, severity schemas.Severity) {
	t.Helper()
	body, err := schemas.EncodeNotice(&schemas.Notice{ID: id, Kind: schemas.NoticeDrainOverdue, Severity: severity, Model: model, Rollout: "r-1", Epoch: 1, Sentence: "S."})
	if err == nil {
		err = b.PublishNotice(t.Context(), decisions.Delivery{Model: model, Notice: schemas.NoticeDrainOverdue, ID: id, Body: body})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSinkLanes: an event that fails holds up its own model's others, which are said to wait, once each; not what is urgent, and no other model's. What is put aside holds up nothing.
func TestSinkLanes(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		var waits []string
		q := SinkQuery{
			Name: "pager", Rank: func(t *Told) Rank { return Rank{Urgent: t.Notice.Severity == schemas.Critical} },
			Waits: func(_ context.Context, t, behind *Told) { waits = append(waits, t.ID()+" for "+behind.ID()) },
		}
		if err := b.EnsureSink(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"a1", "a2", "a3", "b1", "c1", "c2"} {
			notify(t, b, id[:1], id, schemas.Info)
		}
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
		defer stop()
		began := time.Now()
		var heard []string
		b.Tell(ctx, q, func(_ context.Context, x Told) Again {
			id := x.ID()
			heard = append(heard, fmt.Sprintf("%s/%d@%.0f", id, x.Attempt, time.Since(began).Seconds()))
			switch {
			case id == "a1" && x.Attempt == 1:
				notify(t, b, "a", "a4", schemas.Critical)
				time.Sleep(time.Second) // it arrives
				return Again{After: 30 * time.Second}
			case id == "a1" && x.Attempt == 2:
				return Again{After: 60 * time.Second}
			case id == "c1" && x.Attempt == 1:
				return Again{After: 20 * time.Second, Aside: true}
			}
			return Again{}
		})
		if got, want := strings.Join(heard, " "), "a1/1@0 a4/1@1 b1/1@1 c1/1@1 c2/1@1 c1/2@21 a1/2@31 a1/3@91 a2/1@91 a3/1@91"; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
		if got, want := strings.Join(waits, ", "), "a2 for a1, a3 for a1"; got != want {
			t.Errorf("waiting: %s, want %s", got, want)
		}
	})
}

// TestSinkYields: what is urgent passes what ends an incident, once something of its lane has failed, and the other one hears of it; the server hears of it only then, so that after a
// crash both come again in order.
func TestSinkYields(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		q := SinkQuery{Name: "pager", Rank: func(t *Told) Rank {
			ends := t.Notice.Severity == schemas.Info
			return Rank{Urgent: t.Notice.Severity == schemas.Critical, Stays: ends, Yields: ends}
		}}
		if err := b.EnsureSink(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		notify(t, b, "a", "a1", schemas.Info)
		notify(t, b, "a", "a2", schemas.Info)
		notify(t, b, "a", "a3", schemas.Critical)
		hears := func(within time.Duration, fails string) string {
			ctx, stop := context.WithTimeout(t.Context(), within)
			defer stop()
			began := time.Now()
			var heard []string
			b.Tell(ctx, q, func(_ context.Context, x Told) Again {
				text := fmt.Sprintf("%s@%.0f", x.ID(), time.Since(began).Seconds())
				for _, p := range x.Passed {
					text += "<" + p.ID()
				}
				if heard = append(heard, text); x.ID() == fails {
					return Again{After: 30 * time.Second}
				}
				return Again{}
			})
			return strings.Join(heard, " ")
		}
		if got, want := hears(time.Minute-time.Second, "a1"), "a1@0 a3@0 a1@30<a3"; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
		if got, want := hears(50*time.Second, "a1"), "a1@11 a3@11 a1@41<a3"; got != want {
			t.Errorf("after a crash heard %s, want %s", got, want)
		}
		if got, want := hears(time.Minute, ""), "a1@11 a2@11 a3@11"; got != want {
			t.Errorf("after another one heard %s, want %s", got, want)
		}
		if got := hears(time.Minute, ""); got != "" {
			t.Errorf("what is done came again: %s", got)
		}
	})
}

// TestSinkBehind: an event hears of those of its model that came later and wait, whatever their rank.
func TestSinkBehind(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		q := SinkQuery{Name: "pager", Rank: func(t *Told) Rank { return Rank{Urgent: t.Notice.Severity == schemas.Critical} }}
		if err := b.EnsureSink(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		notify(t, b, "a", "a1", schemas.Info)
		notify(t, b, "a", "a2", schemas.Critical)
		notify(t, b, "b", "b1", schemas.Info)
		notify(t, b, "a", "a3", schemas.Info)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var heard []string
		b.Tell(ctx, q, func(_ context.Context, x Told) Again {
			text := x.ID()
			for _, later := range x.Behind {
				text += "<" + later.ID()
			}
			if heard = append(heard, text); len(heard) == 1 {
				return Again{After: time.Second}
			}
			return Again{}
		})
		if got, want := strings.Join(heard, " "), "a2<a3 b1 a2<a3 a1<a3 a3"; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	})
}

// TestSinkAfterACrash: what a process held that ended comes before what was published since then.
func TestSinkAfterACrash(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b := open(t, conn)
		q := SinkQuery{Name: "hook"}
		if err := b.EnsureSink(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		notify(t, b, "a", "a1", schemas.Info)
		notify(t, b, "a", "a2", schemas.Info)
		ctx, stop := context.WithCancel(t.Context())
		b.Tell(ctx, q, func(context.Context, Told) Again {
			time.Sleep(time.Second) // the other one is held, too
			stop()
			conn.Close()
			return Again{}
		})
		b = open(t, connect())
		notify(t, b, "a", "a3", schemas.Info)
		var heard []string
		ctx, stop = context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		b.Tell(ctx, q, func(_ context.Context, x Told) Again {
			heard = append(heard, x.ID())
			return Again{}
		})
		if got := strings.Join(heard, " "); got != "a1 a2 a3" {
			t.Errorf("heard %s", got)
		}
	})
}

// TestLanes: what goes before what.
func TestLanes(t *testing.T) {
	urgent, stays := Rank{Urgent: true}, Rank{Stays: true}
	tests := []struct {
		name string
		add  []Rank // in the log's order, of one model
		want string
	}{
		{"as they stand in the log", make([]Rank, 3), "1 2 3"},
		{"urgent", []Rank{{}, {}, urgent, {}, urgent}, "3 5 1 2 4"},
		{"not before what ends the one before", []Rank{{}, stays, {}, urgent}, "1 2 4 3"},
	}
	for _, test := range tests {
		l := newLanes(func(x *Told) Rank { return test.add[x.Sequence-1] })
		told := func(sequence uint64) *Told {
			return &Told{Logged: Logged{Sequence: sequence}, Notice: &schemas.Notice{Model: "m", ID: fmt.Sprint(sequence)}}
		}
		for i := range test.add {
			l.add(told(uint64(i+1)), nil)
		}
		l.add(told(2), nil) // what the server sends again is the one that is here
		if h, in := l.next(time.Now()); h != nil || in <= 0 || in > sinkGathers {
			t.Errorf("%s: at once %v, and the next in %s", test.name, h, in)
		}
		var got []string
		gathered := time.Now().Add(sinkGathers)
		for h, _ := l.next(gathered); h != nil; h, _ = l.next(gathered) {
			got = append(got, h.ID())
			l.remove(h)
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%s: %s, want %s", test.name, text, test.want)
		}
	}
}

// TestWatchStrangers: what somebody else publishes among the decisions is told when it comes, and garbage that a sink hears, too; nothing of one's own is.
func TestWatchStrangers(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		var mu sync.Mutex
		var heard []string
		b := open(t, connect(), func(o *Options) {
			o.OnForeign = func(f Foreign) {
				mu.Lock()
				defer mu.Unlock()
				heard = append(heard, fmt.Sprintf("%s %d", f.Model, f.Sequence))
			}
			o.OnError = func(err error) { t.Errorf("an error of the connection: %v", err) }
		})
		q := SinkQuery{Name: "hook"}
		if err := b.EnsureSink(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		said := func() string {
			time.Sleep(2 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			text := strings.Join(heard, ", ")
			heard = nil
			return text
		}
		write := func(subject string, body []byte) {
			if _, err := b.js.Publish(t.Context(), subject, body); err != nil {
				t.Fatal(err)
			}
		}
		write("streamcanary.decision.m", []byte("from before"))
		ctx, stop := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { b.WatchStrangers(ctx) })
		if got := said(); got != "" {
			t.Errorf("told of what was there before: %s", got)
		}
		rolledBack(t, b)
		if got := said(); got != "" {
			t.Errorf("told of one's own: %s", got)
		}
		write("streamcanary.decision.m", []byte("no JSON"))
		write("streamcanary.decision.ranker=2Fv=2E1", log(t, b)[1].Signed.Body) // unsigned
		if got, want := said(), "m 5, ranker/v.1 6"; got != want {
			t.Errorf("told of %s, want %s", got, want)
		}
		stop()
		watching.Wait()
		listen(t, b, q, taken)
		if got, want := said(), "m 1, m 5"; got != want {
			t.Errorf("the sink has told of %s, want %s", got, want)
		}
	})
}
