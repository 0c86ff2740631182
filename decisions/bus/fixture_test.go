package bus

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/ats"
	"github.com/nats-io/nats.go"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

func TestMain(m *testing.M) {
	ats.Register() // its clock must not be born inside a bubble
	os.Exit(m.Run())
}

// serve runs a NATS server inside the process, with a file store; stop ends it and what was connected to it.
func serve(t *testing.T, dir string) (connect func() *nats.Conn, stop func()) {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("NATS is not ready")
	}
	var conns []*nats.Conn
	connect = func() *nats.Conn {
		conn, err := nats.Connect("", nats.InProcessServer(s))
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		return conn
	}
	return connect, func() {
		for _, conn := range conns {
			conn.Close()
		}
		s.Shutdown()
		s.WaitForShutdown()
	}
}

type zeros byte

func (z zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(z)
	}
	return len(p), nil
}

// key makes a signing key of a number.
func key(t *testing.T, n byte) *schemas.SigningKey {
	t.Helper()
	k, err := schemas.NewSigningKey(zeros(n))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// open is a bus on a connection, with everything made.
func open(t *testing.T, conn *nats.Conn, change ...func(*Options)) *Bus {
	t.Helper()
	o := Options{Conn: conn, Key: key(t, 1), Timeout: 2 * time.Second}
	for _, c := range change {
		c(&o)
	}
	b, err := Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func terms(rollout string) decisions.Terms {
	return decisions.Terms{
		Rollout: rollout, Model: "ranker/v.1", Baseline: "41", Canary: "42", Mode: schemas.Enforce, Stages: []decisions.StageTerms{{WeightBP: 500}},
		AckWithinMs: 10_000, DrainWithinMs: 60_000, Sha256: strings.Repeat("a", 64),
	}
}

func applied(epoch int64) decisions.Input {
	return decisions.Input{Kind: decisions.InputApplied, EventMs: 1000, WallMs: 1000, Applied: &decisions.Applied{
		Terms: terms("r-1"), Epoch: epoch, Actor: schemas.Actor{Kind: "person"},
	}}
}

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

// take folds inputs into a head.
func take(t *testing.T, h decisions.Head, inputs ...decisions.Input) decisions.Head {
	t.Helper()
	for _, in := range inputs {
		var err error
		if h, _, err = h.Take(in); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// deliver empties an outbox, which must go well.
func deliver(t *testing.T, b *Bus, h decisions.Head) decisions.Head {
	t.Helper()
	h, err := b.Deliver(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// log is what stands in the decision log.
func log(t *testing.T, b *Bus) []Logged {
	t.Helper()
	var all []Logged
	if err := b.Log(t.Context(), LogQuery{}, func(l Logged) error { all = append(all, l); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func ids(all []Logged) string {
	var words []string
	for _, l := range all {
		words = append(words, l.Decision.ID)
	}
	return strings.Join(words, " ")
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
