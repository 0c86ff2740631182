package bus

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// restartable is a server that a connection finds again after it was stopped and started.
type restartable struct {
	t   *testing.T
	dir string
	now atomic.Pointer[server.Server]
}

func (r *restartable) InProcessConn() (net.Conn, error) { return r.now.Load().InProcessConn() }

func (r *restartable) start() {
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: r.dir, NoSigs: true, NoLog: true})
	if err != nil {
		r.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		r.t.Fatal("NATS is not ready")
	}
	r.now.Store(s)
}

func (r *restartable) stop() {
	r.now.Load().Shutdown()
	r.now.Load().WaitForShutdown()
}

// TestWatchesOutliveTheServer: the intake of acks, the watch of files and a follower of the log go on by themselves when the server is back.
func TestWatchesOutliveTheServer(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &restartable{t: t, dir: dir}
		r.start()
		defer func() { r.stop() }()
		conn, err := nats.Connect("", nats.InProcessServer(r), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		b := open(t, conn)
		ctx, cancel := context.WithCancel(t.Context())
		var acks, specs atomic.Int64
		done := make(chan error, 4)
		var given heard
		go given.follows(ctx, b, done)
		head := deliver(t, b, take(t, decisions.NewHead(0), applied(1)))
		go func() { done <- b.Acks(ctx, func(AckMessage) error { acks.Add(1); return nil }, nil) }()
		go func() {
			done <- b.WatchSpecs(ctx, func(s Spec) error {
				if !s.Synced {
					specs.Add(1)
				}
				return nil
			})
		}()
		var files keeper
		go files.keeps(ctx, b, done)
		send := func(seq int64) {
			js, _ := jetstream.New(conn)
			body, err := schemas.EncodeAck(&schemas.Ack{Decision: "d", Epoch: 1, Seq: seq, Consumer: "eu", Status: schemas.AckApplied, At: 1})
			if err != nil {
				t.Fatal(err)
			}
			subject, _ := schemas.AckSubject("m", "eu")
			if _, err := js.Publish(t.Context(), subject, body); err != nil {
				t.Fatal(err)
			}
			if _, err := b.PutSpec(t.Context(), Spec{Rollout: "r", Body: []byte{byte(seq)}, Revision: uint64(seq - 1)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
		}
		send(1)
		r.stop()
		time.Sleep(time.Minute)
		r.start()
		time.Sleep(5 * time.Second)
		send(2)
		deliver(t, b, take(t, head, prepared(1)))
		if time.Sleep(time.Second); given.all() != "r-1.1.1 r-1.1.2" {
			t.Errorf("the follower was given %s", given.all())
		}
		if acks.Load() != 2 || specs.Load() < 2 {
			t.Errorf("%d acks and %d changes of files came, want 2 of each", acks.Load(), specs.Load())
		}
		if files.changes.Load() < 2 || files.gone.Load() != 0 {
			t.Errorf("who keeps the files heard of %d changes, want 2, and %d times that they are gone", files.changes.Load(), files.gone.Load())
		}
		r.restored(ctx, conn, &given)
		cancel()
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}
