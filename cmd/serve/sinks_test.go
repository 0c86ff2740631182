package serve

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// A booth is a sink with what is around it: a decision log with one rollout's decisions, and a server that answers as it is told.
type booth struct {
	*testing.T
	bus    *bus.Bus
	conn   *nats.Conn
	head   decisions.Head
	sink   *sink
	log    bytes.Buffer
	answer http.HandlerFunc
	asked  int
}

const boothRollout = storyHead + atOnce + errorsMore + `  sinks:
    - {slack: slack}
    - {mlflow: {alias: champion}}
    - {httproute: {sink: gateway, namespace: feed, name: ranker, baseline: ranker-v1, canary: ranker-v2}}
    - {alertmanager: am}
`

const boothSinks = `sinks:
  slack: {secretFile: DIR/slack, retries: 0}
  other: {kind: slack, secretFile: DIR/slack}
  gateway: {kind: httproute, url: "http://127.0.0.1:9000", tokenFile: DIR/slack}
  mlflow: {url: "http://127.0.0.1:9000", retries: 0}
  am: {kind: alertmanager, url: "http://127.0.0.1:9000"}
`

// inBooth plays with a sink of a name.
func inBooth(t *testing.T, name string, dry bool, play func(b *booth)) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "slack"), []byte("http://127.0.0.1:9000/slack-hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		v := &village{T: t, dir: dir, network: new(kfake.VirtualNetwork)}
		v.startNATS()
		conn, err := nats.Connect("", nats.InProcessServer(v))
		v.must(err)
		b := &booth{T: t, conn: conn, answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }}
		l, err := v.network.Listen("tcp", "127.0.0.1:9000")
		v.must(err)
		outside := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.asked++; b.answer(w, r) })}
		go func() { _ = outside.Serve(l) }()
		config, err := schemas.ParseConfig("booth", []byte("data: "+dir+"\n"+strings.ReplaceAll(boothSinks, "DIR", dir)))
		v.must(err)
		s := &service{Options: Options{Config: config, Program: "streamcanary", Log: zerolog.New(&b.log), DryRun: dry, wires: wires{dial: v.network.DialContext}}, seen: newMetrics("x"), roster: newRoster()}
		s.key, err = signingKey(config)
		v.must(err)
		s.bus, err = bus.Connect(t.Context(), bus.Options{Conn: conn, Key: s.key})
		v.must(err)
		v.must(s.bus.Ensure(t.Context()))
		b.bus = s.bus
		b.publish(v)
		sinks, err := s.openSinks(t.Context())
		v.must(err)
		for _, k := range sinks {
			if k.Name == name {
				b.sink = k
			}
		}
		play(b)
		for _, k := range sinks {
			k.actuator.Close()
		}
		outside.Close()
		conn.Close()
		v.endNATS()
		synctest.Wait()
	})
}

// publish stores a rollout's record and publishes its prepare and its commit.
func (b *booth) publish(v *village) {
	b.Helper()
	r, err := schemas.ParseRollout("r", []byte(boothRollout))
	v.must(err)
	head := decisions.NewHead(0)
	for _, in := range []decisions.Input{
		{Kind: decisions.InputApplied, EventMs: 1000, WallMs: 1000, Applied: &decisions.Applied{Terms: decisions.TermsOf(r), Epoch: 1, Actor: schemas.Actor{Kind: "person", Name: "ada"}}},
		{Kind: decisions.InputAck, EventMs: 2000, WallMs: 2000, Ack: &schemas.Ack{Decision: "story.1.1", Epoch: 1, Seq: 1, Consumer: "router-a", Status: schemas.AckPrepared}},
	} {
		head, _, err = head.Take(in)
		v.must(err)
	}
	a := Application{ID: "1", File: "r", YAML: boothRollout}
	head.Applied, err = a.Encode()
	v.must(err)
	_, err = b.bus.SaveHead(b.Context(), head, 0)
	v.must(err)
	b.head, err = b.bus.Deliver(b.Context(), head)
	v.must(err)
}

// rollsBack publishes a rollback.
func (b *booth) rollsBack() {
	b.Helper()
	head, _, err := b.head.Take(decisions.Input{Kind: decisions.InputVerdict, EventMs: 3000, WallMs: 3000, Verdict: &decisions.Verdict{Action: decisions.VerdictRollback}})
	if err == nil {
		b.head, err = b.bus.Deliver(b.Context(), head)
	}
	if err != nil {
		b.Fatal(err)
	}
	_, revision, err := b.bus.LoadHead(b.Context(), "story")
	if err == nil {
		_, err = b.bus.SaveHead(b.Context(), b.head, revision)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// told is a published decision, as the sink hears it.
func (b *booth) told(id string, attempt int) bus.Told {
	b.Helper()
	l, err := b.bus.Decision(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	l.At = time.Now()
	return bus.Told{Logged: l, Attempt: attempt}
}

// takes wants the sink to answer in a way, and the log to have some words, or nothing.
func (b *booth) takes(what string, t bus.Told, want time.Duration, words string) {
	b.Helper()
	b.log.Reset()
	if again := b.sink.take(b.Context(), t).After; again != want {
		b.Errorf("%s: it comes again after %s, want %s", what, again, want)
	}
	if text := b.log.String(); words == "" && text != "" || !strings.Contains(text, words) || strings.Contains(text, "hush") {
		b.Errorf("%s: the log has %q, want %q", what, text, words)
	}
}

func (b *booth) counted(result string, want float64) {
	b.Helper()
	if got := b.metric("streamcanary_sink_events_total", result); got != want {
		b.Errorf("%g events are %s, want %g", got, result, want)
	}
}

// metric is the value of a metric of this sink; result is that of a counter.
func (b *booth) metric(name, result string) float64 {
	b.Helper()
	families, err := b.sink.seen.registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += l.GetName() + "=" + l.GetValue() + " "
			}
			if f.GetName() == name && strings.Contains(labels, "sink="+b.sink.Name+" ") && strings.Contains(labels, result) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

// TestSinksOfPeople: what is tried again, for how long, and what is never.
func TestSinksOfPeople(t *testing.T) {
	inBooth(t, "slack", false, func(b *booth) {
		b.takes("it is told", b.told("story.1.1", 1), 0, "")
		b.answer = status(http.StatusServiceUnavailable)
		b.takes("nobody answers", b.told("story.1.2", 1), sinkAgain, "this sink is not reached, and what it is to be told waits: trying again; does it run, and are its url and secret right? Until then ")
		if b.metric("streamcanary_sink_failing", "") != 1 {
			b.Error("no metric says that it fails")
		}
		b.takes("the same again isn't logged", b.told("story.1.2", 3), 4*sinkAgain, "")
		b.takes("the longest pause", b.told("story.1.2", 100), sinkAgainMost, "")
		b.answer = status(http.StatusTooManyRequests, "Retry-After", "600")
		b.takes("it asks for a pause", b.told("story.1.2", 1), 10*time.Minute, "answers 429")
		b.answer = status(http.StatusTooManyRequests, "Retry-After", "864000")
		b.takes("it asks for too long a pause", b.told("story.1.2", 1), sinkAgainAsked, "")
		old := b.told("story.1.2", 9)
		old.At = time.Now().Add(-tellWithin - time.Second)
		b.takes("it is given up", old, 0, "this sink did not take it in all that time")
		b.answer = status(http.StatusBadRequest)
		b.takes("it is refused", b.told("story.1.2", 1), 0, "this sink will never take this")
		if b.metric("streamcanary_sink_failing", "") != 0 || strings.Contains(b.log.String(), "this sink works again") {
			b.Errorf("it answers, and nothing says so: %s", b.log.String())
		}
		b.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }
		b.takes("it is told", b.told("story.1.2", 5), 0, "")
		for result, want := range map[string]float64{"told": 2, "given-up": 1, "refused": 1, "untrusted": 0} {
			b.counted(result, want)
		}
	})
}

// TestSinkCertificates: a file of certificates that can't be read keeps the service from starting, and its key is named.
func TestSinkCertificates(t *testing.T) {
	config, err := schemas.ParseConfig("c", []byte("data: "+t.TempDir()+"\nsinks: {mlflow: {url: \"https://m\", tls: {caFile: no-such-file}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := &service{Options: Options{Config: config}}
	if s.key, err = signingKey(config); err != nil {
		t.Fatal(err)
	}
	if _, err = s.openSinks(t.Context()); err == nil || !strings.Contains(err.Error(), "read sinks.mlflow.tls.caFile: ") {
		t.Errorf("got %v", err)
	}
}

// TestForgedDecisions: what another key has signed is never told; for a minute it is left to whoever knows the key.
func TestForgedDecisions(t *testing.T) {
	for _, name := range []string{"slack", "gateway"} {
		inBooth(t, name, false, func(b *booth) {
			forged := b.told("story.1.2", 1)
			forged.Signed.Body = bytes.Replace(forged.Signed.Body, []byte(`"weight_bp":1000`), []byte(`"weight_bp":9000`), 1)
			b.takes("forged", forged, sinkAgain, "")
			forged.At = forged.At.Add(-trustWithin)
			b.takes("forged, and nobody knows it", forged, 0, "somebody forges decisions")
			unsigned := b.told("story.1.2", 1)
			unsigned.Signed.Signature, unsigned.At = nil, forged.At
			b.takes("unsigned, and that was said a moment ago", unsigned, 0, "")
			b.counted("untrusted", 2)
			if b.asked > 0 {
				b.Errorf("%d requests were sent", b.asked)
			}
		})
	}
}

// TestSinksThatNobodyNames: a sink that the rollout doesn't name, or a rollout that nobody knows, is no matter.
func TestSinksThatNobodyNames(t *testing.T) {
	inBooth(t, "other", false, func(b *booth) {
		b.takes("not named", b.told("story.1.2", 1), 0, "")
		unknown := b.told("story.1.2", 1)
		unknown.Decision.Rollout = "another"
		b.takes("unknown", unknown, 0, "")
		if b.asked > 0 {
			b.Errorf("%d requests were sent", b.asked)
		}
	})
}

// TestSinksThatMoveTraffic: only the newest decision counts, a failure is answered for and tried again, however long it lasts and whatever it is.
func TestSinksThatMoveTraffic(t *testing.T) {
	inBooth(t, "gateway", false, func(b *booth) {
		b.takes("a newer one is there", b.told("story.1.1", 1), 0, "")
		b.counted("superseded", 1)
		b.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"kind":"HTTPRoute"}`)) }
		old := b.told("story.1.2", 8)
		old.At = time.Now().Add(-2 * tellWithin)
		b.takes("a person has to mend it", old, sinkAgainMost, "none of its rules has both backendRefs")
		b.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				_, _ = w.Write([]byte(strings.NewReplacer(`100}`, `90}`, `0}]`, `10}]`).Replace(outsideRoute)))
				return
			}
			_, _ = w.Write([]byte(outsideRoute))
		}
		b.takes("mended", b.told("story.1.2", 9), 0, "this sink works again")
		if got := b.answers("story.1.2"); got != "failed, applied" {
			b.Errorf("answered %s", got)
		}
	})
	inBooth(t, "gateway", false, func(b *booth) {
		conflicts := 15
		b.answer = func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method != http.MethodPut:
				_, _ = w.Write([]byte(outsideRoute))
			case conflicts > 0:
				conflicts--
				w.WriteHeader(http.StatusConflict)
			default:
				_, _ = w.Write([]byte(strings.NewReplacer(`100}`, `90}`, `0}]`, `10}]`).Replace(outsideRoute)))
			}
		}
		b.takes("others write the route", b.told("story.1.2", 1), 0, "")
		if got := b.answers("story.1.2"); got != "applied" || conflicts > 0 {
			b.Errorf("answered %s, with %d conflicts left", got, conflicts)
		}
	})
}

// TestSinksAnswerForRollbacks: a rollback is answered for, and nothing else: why it isn't done yet, that it is, or that it never will be.
func TestSinksAnswerForRollbacks(t *testing.T) {
	for _, name := range []string{"slack", "mlflow"} {
		inBooth(t, name, false, func(b *booth) {
			b.rollsBack()
			if name == "mlflow" {
				b.answer = func(w http.ResponseWriter, _ *http.Request) {
					_, _ = w.Write([]byte(`{"registered_model":{"name":"ranker"}}`))
				}
			}
			well := b.answer
			b.takes("another decision", b.told("story.1.1", 1), 0, "")
			if got := b.answers("story.1.1"); got != "" {
				b.Errorf("a start was answered for: %s", got)
			}
			b.answer = status(http.StatusServiceUnavailable)
			b.takes("nobody answers", b.told("story.1.3", 1), sinkAgain, "this sink is not reached")
			b.takes("and once more", b.told("story.1.3", 2), 2*sinkAgain, "")
			b.answer = well
			b.takes("it is told", b.told("story.1.3", 3), 0, "this sink works again")
			b.answer = status(http.StatusBadRequest)
			b.asked = 0
			b.takes("what is done isn't done twice", b.told("story.1.3", 4), 0, "")
			if b.asked > 0 {
				b.Errorf("%d requests were sent", b.asked)
			}
			b.sink.done = nil
			b.takes("it is refused", b.told("story.1.3", 5), 0, "this sink will never take this")
			if got := b.answers("story.1.3"); got != "received: the server answers 503, applied, failed: the server answers 400" {
				b.Errorf("answered %s", got)
			}
		})
	}
}

// answers are the statuses of the acks of a decision that were published, and the end of what a sink of people says why.
func (b *booth) answers(decision string) string {
	b.Helper()
	ctx, stop := context.WithTimeout(b.Context(), time.Minute)
	defer stop()
	var all []string
	err := b.bus.Acks(ctx, func(m bus.AckMessage) error {
		if m.Ack.Consumer != b.sink.Name || m.Ack.Decision != decision || m.Model != "ranker" {
			b.Errorf("ack %+v", m)
		}
		text := string(m.Ack.Status)
		if _, why, told := strings.Cut(m.Ack.Why, ": "); told && !b.sink.Kind.Routes() {
			text += ": " + why
		}
		all = append(all, text)
		return nil
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return strings.Join(all, ", ")
}

// TestDryRun: nothing is sent, what would be is logged, nobody answers for it, and its place in the log is another one.
func TestDryRun(t *testing.T) {
	for name, asked := range map[string]int{"slack": 0, "gateway": 1} { // the route is read
		inBooth(t, name, true, func(b *booth) {
			b.answer = func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet {
					b.Errorf("%s %s was sent", r.Method, r.URL)
				}
				_, _ = w.Write([]byte(outsideRoute))
			}
			b.takes("dry", b.told("story.1.2", 1), 0, "dry run: would send P")
			if b.asked != asked {
				b.Errorf("%d requests, want %d", b.asked, asked)
			}
			if b.answers("story.1.2") != "" {
				b.Error("it was answered for")
			}
			if q := b.sink.query(); q.Name != name+" (dry run)" {
				b.Errorf("its place is %q", q.Name)
			}
		})
	}
}

// TestDryRunWaits: the log of a dry run says which rollouts wait for sinks that answer nothing.
func TestDryRunWaits(t *testing.T) {
	sinks := []schemas.Sink{{Name: "gateway", Kind: schemas.SinkHTTPRoute}, {Name: "slack", Kind: schemas.SinkSlack}}
	uses := []schemas.SinkUse{{Kind: schemas.SinkHTTPRoute, Sink: "gateway"}, {Kind: schemas.SinkSlack, Sink: "slack"}}
	for _, row := range []struct {
		name    string
		mode    schemas.Mode
		routers []string
		want    bool
	}{
		{"it is named", schemas.Enforce, []string{"gateway", "router-a"}, true},
		{"any router", schemas.Enforce, nil, true},
		{"others are named", schemas.Enforce, []string{"router-a"}, false},
		{"nobody is asked", schemas.Advise, nil, false},
	} {
		var log bytes.Buffer
		c := &court{config: &schemas.Config{Sinks: sinks}, log: zerolog.New(&log)}
		r := &schemas.Rollout{Name: "story", Mode: row.mode, Sinks: uses}
		r.Acks.Routers = row.routers
		names := c.waitsInVain(r)
		if got := strings.Contains(log.String(), `"sinks":["gateway"]`); got != row.want || slices.Equal(names, []string{"gateway"}) != row.want {
			t.Errorf("%s: the log says %q", row.name, log.String())
		}
	}
}

// TestSinksSayWhatItIs: a system that answers that it won't is reached, and the log says so.
func TestSinksSayWhatItIs(t *testing.T) {
	inBooth(t, "mlflow", false, func(b *booth) {
		b.rollsBack()
		b.answer = status(http.StatusNotFound)
		b.takes("a proxy's 404", b.told("story.1.3", 1), sinkAgain, "this sink is reached, and doesn't do what it is told")
		b.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Registered Model with name=ranker not found"}`))
		}
		b.takes("MLflow's own", b.told("story.1.3", 2), 0, "this sink will never take this: it goes on with what comes next")
		if got, want := b.answers("story.1.3"), "received: the server answers 404, failed: MLflow has no such thing: Registered Model with name=ranker not found: register it, or mend name, baseline and canary of this sink in spec.sinks"; got[:len(want)] != want {
			t.Errorf("answered %s", got)
		}
		b.takes("a start whose epoch has ended", b.told("story.1.2", 1), 0, "")
	})
}

// TestSinksAnswerForThoseBehind: a rollback that stands behind another event says what keeps it; nothing else does.
func TestSinksAnswerForThoseBehind(t *testing.T) {
	inBooth(t, "slack", false, func(b *booth) {
		b.rollsBack()
		b.answer = status(http.StatusForbidden)
		first, second, third := b.told("story.1.1", 1), b.told("story.1.2", 1), b.told("story.1.3", 1)
		b.takes("it is not allowed", first, sinkAgain, "this sink is reached")
		for _, behind := range []*bus.Told{&second, &third} {
			b.sink.waits(b.Context(), behind, &first)
		}
		forged := third
		forged.Signed.Signature = nil
		b.sink.waits(b.Context(), &forged, &first)
		if got := b.answers("story.1.3"); got != "received: POST http://127.0.0.1:9000/***: the server answers 403: look at the token or secret of this sink, and at what it may do" {
			t.Errorf("answered %s", got)
		}
		if got := b.answers("story.1.2"); got != "" {
			t.Errorf("a start was answered for: %s", got)
		}
		b.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }
		b.takes("it is told", first, 0, "this sink works again")
		if len(b.sink.keeps) > 0 {
			t.Errorf("kept: %v", b.sink.keeps)
		}
	})
}

// TestSinksPutForgeriesAside: what another key has signed comes again within the minute, and keeps nothing from what comes next, however much of it there is.
func TestSinksPutForgeriesAside(t *testing.T) {
	inBooth(t, "slack", false, func(b *booth) {
		forged := b.told("story.1.2", 1)
		forged.Signed.Signature = nil
		for i := range asideMost + 1 {
			forged.Sequence = uint64(1000 + i)
			want := bus.Again{After: sinkAgain, Aside: true}
			if i == asideMost {
				want = bus.Again{}
			}
			if again := b.sink.take(b.Context(), forged); again != want {
				t.Errorf("forgery %d: %+v, want %+v", i, again, want)
			}
		}
		b.takes("the next event", b.told("story.1.2", 1), 0, "")
		b.counted("told", 1)
		b.counted("untrusted", 1)
	})
}

// TestSinksOfDeletedRollouts: what is told of a rollout's end after its record is gone is told as it wanted it.
func TestSinksOfDeletedRollouts(t *testing.T) {
	inBooth(t, "slack", false, func(b *booth) {
		told := b.told("story.1.2", 1)
		_, revision, err := b.bus.LoadHead(b.Context(), "story")
		if err == nil {
			err = b.bus.DeleteHead(b.Context(), "story", revision)
		}
		if err != nil {
			t.Fatal(err)
		}
		b.takes("nobody knows it", told, 0, "")
		b.counted("told", 0)
		r, err := schemas.ParseRollout("r", []byte(boothRollout))
		if err != nil {
			t.Fatal(err)
		}
		b.sink.roster.put(r)
		b.sink.roster.remove("story")
		b.takes("it was known", told, 0, "")
		b.counted("told", 1)
	})
}

// TestRoster: so many deleted ones are kept; one that is applied again isn't deleted.
func TestRoster(t *testing.T) {
	r := newRoster()
	name := func(i int) string { return fmt.Sprint("r-", i) }
	r.put(&schemas.Rollout{Name: "stays"})
	for i := range goneMost + 2 {
		r.put(&schemas.Rollout{Name: name(i)})
		r.remove(name(i))
		r.remove(name(i))
		if i == 1 {
			r.put(&schemas.Rollout{Name: name(1)})
		}
	}
	for who, want := range map[string]bool{"stays": true, name(0): false, name(1): true, name(2): true, name(goneMost + 1): true, "never": false} {
		if got := r.find(who) != nil; got != want {
			t.Errorf("%s is known: %t", who, got)
		}
	}
}

// TestOvertaken: what a registry isn't told any more.
func TestOvertaken(t *testing.T) {
	start, promote, rollback := schemas.Decision{Action: schemas.ActionStart, Phase: schemas.PhaseCommit}, schemas.Decision{Action: schemas.ActionPromote}, schemas.Decision{Action: schemas.ActionRollback}
	abort := schemas.Decision{Action: schemas.ActionStart, Phase: schemas.PhaseAbort}
	for _, row := range []struct {
		name     string
		decision schemas.Decision
		epoch    int64 // of the decision; the record has 2
		state    decisions.State
		want     bool
	}{
		{"a start", start, 2, decisions.State{Status: decisions.StatusRunning}, false},
		{"a start whose epoch has ended", start, 2, decisions.State{Status: decisions.StatusRolledBack}, true},
		{"a promotion", promote, 2, decisions.State{Status: decisions.StatusPromoted}, false},
		{"a promotion that was rolled back", promote, 2, decisions.State{Status: decisions.StatusRolledBack, Saga: &decisions.Saga{}}, true},
		{"a start of an epoch before", start, 1, decisions.State{Status: decisions.StatusRunning}, true},
		{"a promotion of an epoch before", promote, 1, decisions.State{Status: decisions.StatusRunning}, true},
		{"a rollback of an epoch before", rollback, 1, decisions.State{Status: decisions.StatusRunning}, false},
		{"the end of an epoch before", abort, 1, decisions.State{Status: decisions.StatusRunning}, false},
		{"a promotion, and the next epoch only prepares", promote, 1, decisions.State{Status: decisions.StatusPreparing}, false},
		{"a promotion, and the next epoch was refused", promote, 1, decisions.State{Status: decisions.StatusRefused}, false},
		{"a promotion that the record doesn't know yet", promote, 3, decisions.State{Status: decisions.StatusRunning}, false},
	} {
		row.decision.Epoch, row.state.Epoch = row.epoch, 2
		if got := overtaken(&row.decision, &row.state); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}
