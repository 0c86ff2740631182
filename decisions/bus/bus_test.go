package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// bubble runs a test with a server of its own under virtual time.
func bubble(t *testing.T, test func(t *testing.T, connect func() *nats.Conn)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		connect, stop := serve(t, dir)
		defer stop()
		test(t, connect)
	})
}

// TestDeliver: a rollout's decisions reach the log, signed, in order, and the last one with routes the route document.
func TestDeliver(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		var effects []string
		b := open(t, connect(), func(o *Options) { o.After = func(e string) { effects = append(effects, e) } })
		h := take(t, decisions.NewHead(0), applied(1))
		revision, err := b.SaveHead(t.Context(), h, 0)
		if err != nil {
			t.Fatal(err)
		}
		h = take(t, deliver(t, b, h), prepared(1), verdict(decisions.VerdictRollback))
		if _, err = b.SaveHead(t.Context(), h, revision); err != nil {
			t.Fatal(err)
		}
		h = deliver(t, b, h)
		all := log(t, b)
		if have := ids(all); have != "r-1.1.1 r-1.1.2 r-1.1.3" {
			t.Errorf("the log holds %s", have)
		}
		for _, l := range all {
			if err := l.Verify(schemas.NewTrust(key(t, 1).Public())); err != nil {
				t.Error(err)
			}
			if err := l.Verify(schemas.NewTrust(key(t, 2).Public())); !errors.Is(err, schemas.ErrUnknownKey) {
				t.Errorf("error %v with another key", err)
			}
		}
		route, err := b.Route(t.Context(), "ranker/v.1")
		if err != nil || route.ID != "r-1.1.3" {
			t.Errorf("route %+v (%v)", route, err)
		}
		want := "record publish route record publish route publish route"
		if have := strings.Join(effects, " "); have != want {
			t.Errorf("effects %s, want %s", have, want)
		}
		if h.State.Saga.Steps[0].State != decisions.StepSent || h.SubjectSeq != 3 {
			t.Errorf("record %+v", h)
		}
		if err := b.CheckLog(t.Context(), []decisions.Head{h}); err != nil {
			t.Error(err)
		}
		if l, err := b.Decision(t.Context(), "r-1.1.2"); err != nil || l.Sequence != 2 {
			t.Errorf("decision %+v (%v)", l, err)
		}
		if _, err := b.Decision(t.Context(), "r-1.1.9"); !errors.Is(err, ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
	})
}

// TestLostAck: what was published while its answer was lost is found again, one decision or two, and nothing is published twice.
func TestLostAck(t *testing.T) {
	for lost := range 4 {
		t.Run(fmt.Sprint(lost, " of them"), func(t *testing.T) {
			bubble(t, func(t *testing.T, connect func() *nats.Conn) {
				b := open(t, connect())
				in := applied(1)
				in.Applied.Terms.Mode = schemas.Advise // prepare and commit at once
				h := take(t, decisions.NewHead(0), in, verdict(decisions.VerdictHold))
				sent := h
				for range lost {
					d, more := sent.Next()
					if !more {
						break
					}
					receipt, err := b.do(t.Context(), d)
					if err != nil {
						t.Fatal(err)
					}
					if sent, err = sent.Delivered(receipt); err != nil {
						t.Fatal(err)
					}
				}
				h = deliver(t, b, h) // as if none of it had happened
				if have := ids(log(t, b)); have != "r-1.1.1 r-1.1.2 r-1.1.3" {
					t.Errorf("the log holds %s", have)
				}
				if h.SubjectSeq != 3 || len(h.Outbox) != 0 {
					t.Errorf("record %+v", h)
				}
			})
		})
	}
}

// TestFenced: of two that publish for one model the slower one is fenced out, and leaves no trace.
func TestFenced(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		a, b := open(t, connect()), open(t, connect())
		h := deliver(t, a, take(t, decisions.NewHead(0), applied(1)))
		zombie := take(t, h, prepared(1))
		other := verdict(decisions.VerdictRollback)
		other.WallMs++
		owner := deliver(t, b, take(t, h, prepared(1), other))
		zombie = take(t, zombie, verdict(decisions.VerdictHold))
		_, err := a.Deliver(t.Context(), zombie)
		if !errors.Is(err, ErrFenced) {
			t.Errorf("error %v, want ErrFenced", err)
		}
		if have := ids(log(t, a)); have != "r-1.1.1 r-1.1.2 r-1.1.3" {
			t.Errorf("the log holds %s", have)
		}
		if route, err := a.Route(t.Context(), "ranker/v.1"); err != nil || route.Action != schemas.ActionRollback {
			t.Errorf("route %+v (%v)", route, err)
		}
		late := take(t, decisions.NewHead(0), applied(2))
		if _, err := b.Deliver(t.Context(), late); !errors.Is(err, ErrFenced) {
			t.Errorf("error %v of an epoch that did not look at the log, want ErrFenced", err)
		}
		if err := a.PutRoute(t.Context(), "ranker/v.1", zombie.Outbox[0].Body); err != nil {
			t.Error(err)
		}
		if route, _ := a.Route(t.Context(), "ranker/v.1"); route.Seq != owner.State.Seq {
			t.Errorf("a late writer took the route back to %s", route.ID)
		}
	})
}

// TestRecord: compare-and-set, and the write whose answer was lost.
func TestRecord(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		ctx := t.Context()
		if _, _, err := b.LoadHead(ctx, "r-1"); !errors.Is(err, ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
		h := take(t, decisions.NewHead(0), applied(1))
		first, err := b.SaveHead(ctx, h, 0)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := b.SaveHead(ctx, h, 0); err != nil || again != first {
			t.Errorf("the same bytes once more: revision %d (%v), want %d", again, err, first)
		}
		h.Writer = "another"
		if _, err := b.SaveHead(ctx, h, 0); !errors.Is(err, ErrLost) {
			t.Errorf("error %v over a record that is there, want ErrLost", err)
		}
		second, err := b.SaveHead(ctx, h, first)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.SaveHead(ctx, take(t, h, prepared(1)), first); !errors.Is(err, ErrLost) {
			t.Errorf("error %v over an old revision, want ErrLost", err)
		}
		have, revision, err := b.LoadHead(ctx, "r-1")
		if err != nil || revision != second || have.Writer != "another" {
			t.Errorf("record %+v, revision %d (%v)", have, revision, err)
		}
		if err := b.DeleteHead(ctx, "r-1", first); !errors.Is(err, ErrLost) {
			t.Errorf("error %v, want ErrLost", err)
		}
		if err := b.DeleteHead(ctx, "r-1", second); err != nil {
			t.Error(err)
		}
		if _, err := b.SaveHead(ctx, h, 0); err != nil {
			t.Errorf("over a deleted record: %v", err)
		}
	})
}

// TestPins: what versions were at first sight stays so, and the oldest of too many goes.
func TestPins(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b, ctx := open(t, connect()), t.Context()
		pin := func(version int, source string) decisions.Pin {
			return decisions.Pin{Model: "registered", Version: fmt.Sprint(version), Source: source}
		}
		if pins, err := b.Pins(ctx, "ranker"); err != nil || pins != nil {
			t.Errorf("before any: %v (%v)", pins, err)
		}
		for _, seen := range [][]decisions.Pin{{pin(1, "a"), pin(2, "b")}, {pin(1, "changed"), pin(3, "c")}, {pin(3, "c")}, nil} {
			if err := b.KeepPins(ctx, "ranker", seen); err != nil {
				t.Fatal(err)
			}
		}
		pins, err := b.Pins(ctx, "ranker")
		if want := []decisions.Pin{pin(1, "a"), pin(2, "b"), pin(3, "c")}; err != nil || !slices.Equal(pins, want) {
			t.Errorf("kept %v (%v), want %v", pins, err, want)
		}
		for i := range maxPinned {
			if err := b.KeepPins(ctx, "ranker", []decisions.Pin{pin(10+i, "x")}); err != nil {
				t.Fatal(err)
			}
		}
		if pins, err = b.Pins(ctx, "ranker"); err != nil || len(pins) != maxPinned || pins[0].Version != "10" {
			t.Errorf("%d are kept, the oldest %v (%v)", len(pins), pins[0], err)
		}
		if pins, err = b.Pins(ctx, "other"); err != nil || pins != nil {
			t.Errorf("of another model: %v (%v)", pins, err)
		}
	})
}

func TestSpecs(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		ctx := t.Context()
		first, err := b.PutSpec(ctx, Spec{Rollout: "b.1", Body: []byte("one")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.PutSpec(ctx, Spec{Rollout: "b.1", Body: []byte("two")}); !errors.Is(err, ErrConflict) {
			t.Errorf("error %v, want ErrConflict", err)
		}
		if _, err := b.PutSpec(ctx, Spec{Rollout: "b.1", Body: []byte("two"), Revision: first}); err != nil {
			t.Error(err)
		}
		if _, err := b.PutSpec(ctx, Spec{Rollout: "a", Body: []byte("x")}); err != nil {
			t.Error(err)
		}
		if _, err := b.SaveHead(ctx, take(t, decisions.NewHead(0), applied(1)), 0); err != nil {
			t.Error(err)
		}
		watching, cancel := context.WithCancel(ctx)
		defer cancel()
		var seen []string
		done := make(chan error)
		go func() {
			done <- b.WatchSpecs(watching, func(s Spec) error {
				seen = append(seen, fmt.Sprintf("%s=%s deleted=%v synced=%v", s.Rollout, s.Body, s.Deleted, s.Synced))
				return nil
			})
		}()
		synctest.Wait()
		specs, err := b.Specs(ctx)
		if err != nil || len(specs) != 2 || specs[0].Rollout != "a" || string(specs[1].Body) != "two" {
			t.Errorf("files %+v (%v)", specs, err)
		}
		if err := b.DeleteSpec(ctx, "b.1", first); !errors.Is(err, ErrConflict) {
			t.Errorf("error %v, want ErrConflict", err)
		}
		if err := b.DeleteSpec(ctx, "b.1", specs[1].Revision); err != nil {
			t.Error(err)
		}
		if _, err := b.Spec(ctx, "b.1"); !errors.Is(err, ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := "b.1=two deleted=false synced=false|a=x deleted=false synced=false|= deleted=false synced=true|b.1= deleted=true synced=false"
		if have := strings.Join(seen, "|"); have != want {
			t.Errorf("seen %s\nwant %s", have, want)
		}
	})
}

// TestAcks: redelivered until handed over; then never again, not to another intake either.
func TestAcks(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b := open(t, conn)
		js, _ := jetstream.New(conn)
		send := func(consumer string, seq int64, subjectOf string) {
			body, err := schemas.EncodeAck(&schemas.Ack{Decision: "d", Epoch: 1, Seq: seq, Consumer: consumer, Status: schemas.AckApplied, At: 1})
			if err != nil {
				t.Fatal(err)
			}
			subject, _ := schemas.AckSubject("ranker/v.1", subjectOf)
			if _, err := js.Publish(t.Context(), subject, body); err != nil {
				t.Fatal(err)
			}
		}
		intake := func(refuse int) (taken []string, wrong []string) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			err := b.Acks(ctx, func(a AckMessage) error {
				taken = append(taken, fmt.Sprintf("%s/%s/%d", a.Model, a.Ack.Consumer, a.Ack.Seq))
				if refuse > 0 {
					refuse--
					return errors.New("not now")
				}
				return nil
			}, func(err error) { wrong = append(wrong, err.Error()) })
			if err != nil {
				t.Error(err)
			}
			return taken, wrong
		}
		send("eu", 1, "eu")
		send("mallory", 2, "eu") // says that it is somebody else
		subject, _ := schemas.AckSubject("ranker/v.1", "us")
		if _, err := js.Publish(t.Context(), subject, []byte("{")); err != nil {
			t.Fatal(err)
		}
		taken, wrong := intake(3)
		if have := strings.Join(taken, " "); have != strings.TrimSpace(strings.Repeat("ranker/v.1/eu/1 ", 4)) {
			t.Errorf("taken %s", have)
		}
		if len(wrong) != 2 {
			t.Errorf("malformed %q", wrong)
		}
		send("eu", 3, "eu")
		if taken, wrong = intake(0); len(taken) != 1 || taken[0] != "ranker/v.1/eu/3" || wrong != nil {
			t.Errorf("after a restart: taken %v, malformed %v", taken, wrong)
		}
	})
}

func TestNoticesAndHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		n := &schemas.Notice{ID: "n-1", Kind: schemas.NoticeDrainOverdue, Model: "m", Rollout: "r", Epoch: 1, Severity: schemas.Critical, Sentence: "S."}
		body, err := schemas.EncodeNotice(n)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second is the same event
			if err := b.PublishNotice(t.Context(), decisions.Delivery{Model: n.Model, Notice: n.Kind, ID: n.ID, Body: body}); err != nil {
				t.Fatal(err)
			}
		}
		var seen []string
		if err := b.Notices(within(t, time.Second), func(n *schemas.Notice) error { seen = append(seen, n.ID); return nil }); err != nil {
			t.Error(err)
		}
		if len(seen) != 1 {
			t.Errorf("events %v, want one", seen)
		}
		if last, at, err := b.LastNotice(t.Context(), "m", schemas.NoticeDrainOverdue); err != nil || last.ID != "n-1" || !at.Equal(time.Now().Add(-time.Second)) {
			t.Errorf("the last one is %+v at %s (%v)", last, at, err)
		}
		if _, _, err := b.LastNotice(t.Context(), "m", schemas.NoticeForeignOver); !errors.Is(err, ErrNotFound) {
			t.Errorf("of another kind: %v", err)
		}
		for _, id := range []string{"n-2", "n-3"} {
			n.ID = id
			if body, err = schemas.EncodeNotice(n); err != nil {
				t.Fatal(err)
			}
			if err := b.PublishNotice(t.Context(), decisions.Delivery{Model: n.Model, Notice: n.Kind, ID: id, Body: body}); err != nil {
				t.Fatal(err)
			}
		}
		for kind, want := range map[schemas.NoticeKind]string{schemas.NoticeDrainOverdue: "[n-1 n-2 n-3]", schemas.NoticeForeignOver: "[]"} {
			var all []string
			if err := b.EachNotice(t.Context(), "m", kind, func(n *schemas.Notice) { all = append(all, n.ID) }); err != nil || fmt.Sprint(all) != want {
				t.Errorf("all %s are %v, want %s (%v)", kind, all, want, err)
			}
		}
		if err := b.Heartbeat(t.Context(), &schemas.Heartbeat{Instance: "a", At: 1, EveryMs: 5000}); err != nil {
			t.Error(err)
		}
	})
}

// TestAgain: writing a route once more changes its revision, not its bytes, and only while it is still the decision's.
func TestAgain(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		deliver(t, b, take(t, decisions.NewHead(0), applied(1)))
		look := func() (uint64, []byte) {
			_, entry, err := b.routeEntry(t.Context(), "ranker/v.1")
			if err != nil {
				t.Fatal(err)
			}
			return entry.Revision(), entry.Value()
		}
		before, value := look()
		for id, changed := range map[string]bool{"r-1.1.0": false, "r-1.1.1": true} {
			if err := b.Again(t.Context(), "ranker/v.1", id); err != nil {
				t.Error(err)
			}
			after, same := look()
			if after > before != changed || !bytes.Equal(same, value) {
				t.Errorf("%s: revision %d after %d, bytes equal %v", id, after, before, bytes.Equal(same, value))
			}
			before = after
		}
		if err := b.Again(t.Context(), "nobody", "x"); err != nil {
			t.Error(err)
		}
	})
}

// drop deletes the stream, and waits until its folder is gone: a stream of the same name that is made at once may find its messages again.
func drop(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	if err := js.DeleteStream(t.Context(), schemas.StreamName); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// TestLogRegressed: a log that lost what a record, or a route, knows of stops everything.
func TestLogRegressed(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b := open(t, conn)
		h := deliver(t, b, take(t, decisions.NewHead(0), applied(1), prepared(1)))
		js, _ := jetstream.New(conn)
		check := func(name string, want error) {
			if err := b.CheckLog(t.Context(), []decisions.Head{h}); !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%s: error %v, want %v", name, err, want)
			}
		}
		check("as it was", nil)
		drop(t, js)
		if err := b.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("empty", ErrLogRegressed)
		if _, err := b.Deliver(t.Context(), take(t, h, verdict(decisions.VerdictRollback))); !errors.Is(err, ErrLogRegressed) {
			t.Errorf("error %v of a publish, want ErrLogRegressed", err)
		}
		other := applied(7)
		other.WallMs++
		shorter := deliver(t, b, take(t, decisions.NewHead(0), other))
		if _, err := b.Deliver(t.Context(), take(t, h, verdict(decisions.VerdictRollback))); !errors.Is(err, ErrLogRegressed) {
			t.Errorf("error %v of a publish behind a log that is shorter, want ErrLogRegressed", err)
		}
		deliver(t, b, take(t, shorter, prepared(7)))
		check("as long, with other decisions", ErrLogRegressed)
		fresh := decisions.NewHead(0)
		fresh.State.Terms = h.State.Terms
		h = fresh
		check("nothing known", nil)
		drop(t, js)
		if err := b.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("the route is newer", ErrLogRegressed)
	})
}

// TestEnsure: made if absent, left alone if present, refused if it would break a promise.
func TestEnsure(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b := open(t, conn)
		if err := b.Ensure(t.Context()); err != nil {
			t.Errorf("a second time: %v", err)
		}
		js, _ := jetstream.New(conn)
		good := b.streamConfig()
		for name, change := range map[string]func(*jetstream.StreamConfig){
			"subjects":        func(c *jetstream.StreamConfig) { c.Subjects = c.Subjects[:2] },
			"storage":         func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
			"deny_delete":     func(c *jetstream.StreamConfig) { c.DenyDelete = false },
			"deny_purge":      func(c *jetstream.StreamConfig) { c.DenyPurge = false },
			"discard":         func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
			"duplicate":       func(c *jetstream.StreamConfig) { c.Duplicates = time.Minute },
			"allow_direct":    func(c *jetstream.StreamConfig) { c.AllowDirect = true },
			"discard_new_per": func(c *jetstream.StreamConfig) { c.DiscardNewPerSubject = true },
		} {
			drop(t, js)
			config := good
			change(&config)
			if _, err := js.CreateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			if err := b.Ensure(t.Context()); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: error %v, want ErrMismatch that names it", name, err)
			}
		}
		drop(t, js)
		if err := js.DeleteKeyValue(t.Context(), schemas.RoutesBucket); err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: schemas.RoutesBucket, TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if err := b.Ensure(t.Context()); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), "ttl") {
			t.Errorf("a bucket whose routes expire: error %v", err)
		}
	})
}

// TestDeadline: with a server that doesn't answer any more, every call ends.
func TestDeadline(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		connect, stop := serve(t, dir)
		defer stop()
		b := open(t, connect())
		h := take(t, decisions.NewHead(0), applied(1))
		stop()
		start := time.Now()
		if _, err := b.Deliver(t.Context(), h); err == nil || errors.Is(err, ErrFenced) {
			t.Errorf("error %v", err)
		}
		if _, err := b.SaveHead(t.Context(), h, 0); err == nil || errors.Is(err, ErrLost) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// TestRestart: the log and the records are there after the server was stopped and started on the same folder.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		connect, stop := serve(t, dir)
		b := open(t, connect())
		h := take(t, decisions.NewHead(0), applied(1))
		if _, err := b.SaveHead(t.Context(), h, 0); err != nil {
			t.Fatal(err)
		}
		h = deliver(t, b, h)
		stop()
		connect, stop = serve(t, dir)
		defer stop()
		b = open(t, connect())
		have, revision, err := b.LoadHead(t.Context(), "r-1")
		if err != nil {
			t.Fatal(err)
		}
		have = deliver(t, b, have) // stored before it was delivered: delivered once more
		if have.SubjectSeq != h.SubjectSeq || ids(log(t, b)) != "r-1.1.1" {
			t.Errorf("record %+v, log %s", have, ids(log(t, b)))
		}
		if _, err := b.SaveHead(t.Context(), have, revision); err != nil {
			t.Error(err)
		}
	})
}

// TestUnreachable: one line that names the address, soon.
func TestUnreachable(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "nats://" + free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err = Connect(t.Context(), Options{URLs: []string{url}})
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), url) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line with %s", err, url)
	}
	if took := time.Since(start); took > DefaultTimeout+time.Second {
		t.Errorf("it took %s", took)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := Connect(t.Context(), Options{URLs: []string{"nats://" + silent.Addr().String()}, Timeout: 100 * time.Millisecond}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v, want ErrUnreachable", err)
	}
}

func TestNoKey(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect(), func(o *Options) { o.Key = nil })
		if _, err := b.Deliver(t.Context(), take(t, decisions.NewHead(0), applied(1))); !errors.Is(err, ErrNoKey) {
			t.Errorf("error %v, want ErrNoKey", err)
		}
	})
}
