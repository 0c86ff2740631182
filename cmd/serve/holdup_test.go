package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// A chamber is a court, with what others see of it, on a NATS of its own.
type chamber struct {
	court *court
	http  *endpoints
	log   logbook
	conn  *nats.Conn
	beats atomic.Int64 // heartbeats so far
}

// newChamber starts one inside a bubble; its heart beats until the test ends.
func newChamber(t *testing.T, dir string) *chamber {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("NATS is not ready")
	}
	h := &chamber{}
	if h.conn, err = nats.Connect("", nats.InProcessServer(s)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.conn.Close)
	key, err := schemas.NewSigningKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.Connect(t.Context(), bus.Options{Conn: h.conn, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := newMetrics("test")
	h.court = &court{bus: b, seen: seen, board: &board{}, log: zerolog.New(&h.log), desks: map[string]*desk{}, counter: make(chan order, 9)}
	h.http = &endpoints{bus: b, seen: seen, board: h.court.board}
	h.http.ready.Store(true)
	if _, err := h.conn.Subscribe(schemas.HeartbeatSubject, func(*nats.Msg) { h.beats.Add(1) }); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- (&service{bus: b, seen: seen, board: h.court.board}).heartbeat(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return h
}

// decide lets the story's rollout be applied, and settles that.
func (h *chamber) decide(t *testing.T) {
	t.Helper()
	r, err := schemas.ParseRollout("story.yaml", []byte(storyRollout))
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(start{}, r, 1)
	d.instance = "test"
	d.head = decisions.NewHead(0)
	effects, err := d.input(decisions.Input{Kind: decisions.InputApplied, Applied: &decisions.Applied{Terms: decisions.TermsOf(r), Epoch: 1, Actor: schemas.Actor{Kind: "person"}}})
	if err != nil {
		t.Fatal(err)
	}
	h.court.desks[r.Name] = d
	if err := h.court.settle(t.Context(), d, effects); err != nil {
		t.Error(err)
	}
}

// ready is what readiness answers.
func (h *chamber) ready() string {
	r := httptest.NewRecorder()
	h.http.readyz(r, nil)
	return fmt.Sprint(r.Code, " ", strings.TrimSpace(r.Body.String()))
}

// waited is what the metric says of a decision that waits.
func (h *chamber) waited(t *testing.T) float64 {
	t.Helper()
	return h.metric(t, "streamcanary_decision_waiting_seconds")
}

// metric is the first value of a gauge.
func (h *chamber) metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := h.court.seen.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// TestHeldUp: a decision that can't be stored or published, though NATS is connected, makes the service not ready and its heart stand still until it is
// through.
func TestHeldUp(t *testing.T) {
	for _, row := range []struct{ name, stream, why string }{
		{"no bucket for records", "KV_" + schemas.RolloutsBucket, "write record of rollout story at .*: bucket not found"},
		{"no decision log", schemas.StreamName, "publish decision story.1.1 on streamcanary.decision.ranker at .*: nats: no response from stream"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				h := newChamber(t, dir)
				time.Sleep(time.Minute)
				js, _ := jetstream.New(h.conn)
				if err := js.DeleteStream(t.Context(), row.stream); err != nil {
					t.Fatal(err)
				}
				if ready, waited := h.ready(), h.waited(t); ready != "200 ok" || waited != 0 || h.beats.Load() == 0 {
					t.Errorf("before: ready %s, waited %v, %d heartbeats", ready, waited, h.beats.Load())
				}
				settled := make(chan bool)
				since := schemas.Time(time.Now().UnixMilli()).String()
				go func() { h.decide(t); close(settled) }()
				time.Sleep(10 * time.Second)
				beats := h.beats.Load()
				time.Sleep(80 * time.Second)
				want := regexp.MustCompile("^503 decisions wait since " + since + ": the record of rollout story, or a decision in it, can't be stored or published: " + row.why)
				if ready := h.ready(); !want.MatchString(ready) {
					t.Errorf("meanwhile: ready %s, want %s", ready, want)
				}
				if waited := h.waited(t); waited != 90 || h.beats.Load() != beats {
					t.Errorf("meanwhile: waited %v, %d heartbeats more", waited, h.beats.Load()-beats)
				}
				if err := h.court.bus.Ensure(t.Context()); err != nil {
					t.Fatal(err)
				}
				_ = <-settled
				time.Sleep(time.Minute)
				if ready, waited := h.ready(), h.waited(t); ready != "200 ok" || waited != 0 || h.beats.Load() == beats {
					t.Errorf("after: ready %s, waited %v, %d heartbeats more", ready, waited, h.beats.Load()-beats)
				}
				if last, err := h.court.bus.LastDecision(t.Context(), "ranker"); err != nil || last.Decision.ID != "story.1.1" {
					t.Errorf("the log ends with %+v, %v", last.Decision, err)
				}
				warned, again := h.log.times(`"level":"warn","error":`), h.log.times("decisions go on")
				if warned != 2 || again != 1 {
					t.Errorf("it warned %d times in a minute and a half and said %d times that decisions go on, want 2 and 1", warned, again)
				}
			})
		})
	}
}

// TestJournalUnread: while the window journal can't be read the service is not ready, says so once, and is again a while after the last failure.
func TestJournalUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		c := &court{seen: newMetrics("test"), log: zerolog.New(&log)}
		refused := errors.New("refused")
		for range 10 {
			if err := c.problem(refused); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			if c.noProblem(); c.seen.judging.err() == nil {
				t.Error("it counts as readable, though it just was not")
			}
		}
		time.Sleep(problemHeld)
		c.noProblem()
		if err := c.seen.judging.err(); err != nil {
			t.Errorf("%v, long after it was", err)
		}
		c.noProblem()
		if warned, again := log.times("can't be read: nothing in it is judged"), log.times("can be read again"); warned != 1 || again != 1 {
			t.Errorf("it warned %d times and said %d times that it is over, want once each", warned, again)
		}
		err := c.problem(&kafka.Gap{Topic: JournalTopic, Partition: 4, Cause: errors.New("UNKNOWN_TOPIC_ID")})
		if err == nil {
			t.Fatal("it goes on without what is gone")
		}
		for _, says := range []string{"partition 4: nothing can be read from offset 0 on: UNKNOWN_TOPIC_ID. ", "topic streamcanary.windows was deleted", "Start serve again", "nobody judges the canaries: take their traffic back by hand"} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%v doesn't say %q", err, says)
			}
		}
	})
}

// servers are embedded ones in trouble.
type servers struct{ broker, nats error }

func (s servers) Err() (broker, nats error) { return s.broker, s.nats }

type connected bool

func (c connected) Connected() bool { return bool(c) }

// TestReadiness: everything that keeps the service from its work is said, each on its line.
func TestReadiness(t *testing.T) {
	failed := errors.New
	for _, row := range []struct {
		name   string
		change func(*endpoints)
		want   string
	}{
		{"nothing", func(*endpoints) {}, ""},
		{"it starts", func(e *endpoints) { e.ready.Store(false) }, "starting, or stopping"},
		{"NATS is away", func(e *endpoints) { e.bus = connected(false) }, "NATS is not connected: decisions wait"},
		{"the embedded NATS gave up", func(e *endpoints) { e.bus, e.servers = connected(false), servers{nats: failed("full")} }, "full: decisions wait"},
		{"the embedded Kafka can't write", func(e *endpoints) { e.servers = servers{broker: failed("full")} }, "full: events are refused"},
		{"the topics are away", func(e *endpoints) { e.seen.topics.is(failed("away")) }, "events are not counted: away"},
		{"what was counted is not stored", func(e *endpoints) { e.seen.storing.is(failed("refused")) }, "events are not counted: refused"},
		{"the journal can't be read", func(e *endpoints) { e.seen.judging.is(failed("refused")) }, "windows are not judged: refused"},
		{"several", func(e *endpoints) {
			e.servers = servers{failed("full"), failed("full")}
			e.seen.counting.is(failed("stuck"))
		}, "full: decisions wait\nfull: events are refused\nevents are not counted: stuck"},
	} {
		e := &endpoints{bus: connected(true), seen: newMetrics("test")}
		e.ready.Store(true)
		row.change(e)
		r := httptest.NewRecorder()
		e.readyz(r, nil)
		status, want := http.StatusServiceUnavailable, row.want
		if want == "" {
			status, want = http.StatusOK, "ok"
		}
		if got := strings.TrimSpace(r.Body.String()); r.Code != status || got != want {
			t.Errorf("%s: %d %q, want %d %q", row.name, r.Code, got, status, want)
		}
	}
}
