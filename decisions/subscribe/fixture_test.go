package subscribe

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/ats"
	"github.com/nats-io/nats.go"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

func TestMain(m *testing.M) {
	ats.Register() // its clock must not be born inside a bubble
	os.Exit(m.Run())
}

const model = "ranker/v.1"

type zeros byte

func (z zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(z)
	}
	return len(p), nil
}

func key(n byte) *schemas.SigningKey {
	k, err := schemas.NewSigningKey(zeros(n))
	if err != nil {
		panic(err)
	}
	return k
}

// judge publishes decisions as the engine does.
type judge struct {
	t        *testing.T
	server   atomic.Pointer[server.Server]
	stop     context.CancelFunc // of the intake of acks
	done     chan error
	conns    []*nats.Conn
	bus      *bus.Bus
	head     decisions.Head
	mu       sync.Mutex
	acks     []string
	snapshot string // that an ack named last
}

// bubble runs a test under virtual time, with a server and a judge.
func bubble(t *testing.T, test func(t *testing.T, j *judge)) {
	t.Helper()
	dir := t.TempDir()
	runtime.GC() // twice empties a sync.Pool: NATS keeps timers in one, and none of another bubble may be used
	runtime.GC()
	synctest.Test(t, func(t *testing.T) {
		j := &judge{t: t, head: decisions.NewHead(0)}
		j.begin(dir)
		defer j.end()
		test(t, j)
	})
}

func (j *judge) begin(dir string) {
	j.t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		j.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		j.t.Fatal("NATS is not ready")
	}
	j.server.Store(s)
	j.bus = j.busOf(key(1))
	if err := j.bus.Ensure(j.t.Context()); err != nil {
		j.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(j.t.Context())
	j.stop, j.done = stop, make(chan error, 1)
	go func() { j.done <- j.bus.Acks(ctx, j.note, func(err error) { j.t.Error(err) }) }()
}

// note keeps an ack in words.
func (j *judge) note(a bus.AckMessage) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if a.Ack.Snapshot != "" {
		j.snapshot = a.Ack.Snapshot
	}
	j.acks = append(j.acks, strings.TrimSpace(fmt.Sprintf("%s %d.%d %s %s", a.Ack.Consumer, a.Ack.Epoch, a.Ack.Seq, a.Ack.Status, a.Ack.Why)))
	return nil
}

func (j *judge) busOf(k *schemas.SigningKey) *bus.Bus {
	j.t.Helper()
	b, err := bus.Connect(j.t.Context(), bus.Options{Conn: j.connect(), Key: k, Timeout: 2 * time.Second})
	if err != nil {
		j.t.Fatal(err)
	}
	return b
}

func (j *judge) end() {
	j.t.Helper()
	j.stop()
	if err := <-j.done; err != nil {
		j.t.Error(err)
	}
	for _, conn := range j.conns {
		conn.Close()
	}
	j.halt()
}

func (j *judge) halt() {
	j.server.Load().Shutdown()
	j.server.Load().WaitForShutdown()
}

// restarts stops the server for ten seconds, and begins it again where it was.
func (j *judge) restarts() {
	j.t.Helper()
	dir := j.server.Load().StoreDir()
	j.stop()
	_ = <-j.done
	j.halt()
	time.Sleep(10 * time.Second)
	j.begin(dir[:strings.LastIndex(dir, "/jetstream")])
}

func (j *judge) connect() *nats.Conn {
	conn, err := nats.Connect("", nats.InProcessServer(j.server.Load()))
	if err != nil {
		j.t.Fatal(err)
	}
	j.conns = append(j.conns, conn)
	return conn
}

// take folds inputs and publishes what comes of them, one by one: a subscriber that is behind may pass over what was overtaken.
func (j *judge) take(inputs ...decisions.Input) {
	j.t.Helper()
	for _, in := range inputs {
		var err error
		if j.head, _, err = j.head.Take(in); err != nil {
			j.t.Fatal(err)
		}
		if j.head, err = j.bus.Deliver(j.t.Context(), j.head); err != nil {
			j.t.Fatal(err)
		}
		synctest.Wait()
	}
}

// sent are the acks that subscribers have sent since it was last asked, in order, as "consumer epoch.seq status why".
func (j *judge) sent() string {
	synctest.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	acks := strings.Join(j.acks, ", ")
	j.acks = nil
	return acks
}

func applied(epoch int64, change ...func(*decisions.Terms)) decisions.Input {
	terms := decisions.Terms{
		Rollout: "r-1", Model: model, Baseline: "41", Canary: "42", Mode: schemas.Enforce, Stages: []decisions.StageTerms{{}},
		AckWithinMs: 10_000, DrainWithinMs: 60_000, Sha256: strings.Repeat("a", 64),
	}
	for _, c := range change {
		c(&terms)
	}
	return decisions.Input{Kind: decisions.InputApplied, EventMs: 1000, WallMs: 1000, Applied: &decisions.Applied{
		Terms: terms, Epoch: epoch, Actor: schemas.Actor{Kind: "person"},
	}}
}

func weight(t *decisions.Terms) { t.Stages[0].WeightBP = 500 }
func advise(t *decisions.Terms) { t.Mode = schemas.Advise }

func prepared(epoch int64) decisions.Input {
	return decisions.Input{Kind: decisions.InputAck, EventMs: 2000, WallMs: 2000, Ack: &schemas.Ack{
		Decision: fmt.Sprintf("r-1.%d.1", epoch), Epoch: epoch, Seq: 1, Consumer: "eu", Status: schemas.AckPrepared,
	}}
}

func verdict(action decisions.VerdictAction) decisions.Input {
	return decisions.Input{Kind: decisions.InputVerdict, EventMs: 5000, WallMs: 5000, Verdict: &decisions.Verdict{
		Action: action, Reason: schemas.Reason{Code: "c", Sentence: "S."},
	}}
}

// router is a subscriber in a test: it notes what it is given.
type router struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan error
	mu     sync.Mutex
	seen   []string
	errs   []string
	answer func(Delivery) error
}

// follow runs a router. The bubble has come to rest when it returns.
func (j *judge) follow(change ...func(*Options, *router)) *router {
	j.t.Helper()
	r := &router{t: j.t, done: make(chan error, 1)}
	o := Options{Conn: j.connect(), Models: []string{model}, Consumer: "eu", Instance: "a", Trust: schemas.NewTrust(key(1).Public()), Timeout: 2 * time.Second}
	o.OnError = func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.errs = append(r.errs, err.Error())
	}
	for _, c := range change {
		c(&o, r)
	}
	ctx, cancel := context.WithCancel(j.t.Context())
	r.cancel = cancel
	go func() { r.done <- Run(ctx, o, r.handle) }()
	synctest.Wait()
	return r
}

func (r *router) handle(_ context.Context, d Delivery) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	words := fmt.Sprintf("%d.%d %s", d.Decision.Epoch, d.Decision.Seq, d.Decision.Action)
	for _, flag := range []struct {
		is   bool
		word string
	}{{d.Advise, "advise"}, {d.Restored, "restored"}, {d.Attempt > 1, fmt.Sprint("attempt ", d.Attempt)}} {
		if flag.is {
			words += " " + flag.word
		}
	}
	r.seen = append(r.seen, words)
	if r.answer != nil {
		return r.answer(d)
	}
	return nil
}

// given is what the router was given since it was last asked.
func (r *router) given() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	all := strings.Join(r.seen, ", ")
	r.seen = nil
	return all
}

// locked runs what shares variables with the handler.
func (r *router) locked(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

func (r *router) errors() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.errs, "\n")
}

func (r *router) stop() {
	r.t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
}

func same(t *testing.T, what, have, want string) {
	t.Helper()
	if have != want {
		t.Errorf("%s:\n  %s\nwant\n  %s", what, have, want)
	}
}

// rest lets what is tried again be tried again.
func (j *judge) rest() {
	time.Sleep(2 * time.Second)
	synctest.Wait()
}
