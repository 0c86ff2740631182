package subscribe

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// lateRoutes is a JetStream whose buckets are read only after a while.
type lateRoutes struct {
	jetstream.JetStream
	late atomic.Bool
}

func (l *lateRoutes) CreateConsumer(ctx context.Context, stream string, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	if l.late.Load() && stream == "KV_"+schemas.RoutesBucket {
		time.Sleep(500 * time.Millisecond)
	}
	return l.JetStream.CreateConsumer(ctx, stream, config)
}

// TestSplitBehindALostConnection: what was decided while the connection was lost is carried out in its order, also where the last of it asks for no split, and the log is read before the route document.
func TestSplitBehindALostConnection(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		conn, err := nats.Connect("", nats.InProcessServer(inProcess{j}), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second), nats.ReconnectBufSize(-1))
		if err != nil {
			t.Fatal(err)
		}
		j.conns = append(j.conns, conn)
		js, err := jetstream.New(conn)
		if err != nil {
			t.Fatal(err)
		}
		late := &lateRoutes{JetStream: js}
		r := &router{}
		o := Options{Conn: conn, Models: []string{model}, Consumer: "eu", Instance: "a", Trust: schemas.NewTrust(key(1).Public()), Store: Memory(), Timeout: 2 * time.Second, OnError: func(error) {}}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		f := &follower{o: &o, js: late, model: model, handle: r.handle, trust: o.Trust, inbox: make(chan message, inboxSize), routesRead: make(chan struct{})}
		go func() { done <- runAll(ctx, conn, &o, []*follower{f}) }()
		synctest.Wait()
		j.take(applied(1, weight), prepared(1))
		dir := j.server.Load().StoreDir()
		j.stop()
		_ = <-j.done
		j.halt()
		time.Sleep(10 * time.Second)
		j.begin(dir[:strings.LastIndex(dir, "/jetstream")])
		late.late.Store(true)
		j.take(verdict(decisions.VerdictRollback), applied(2))
		time.Sleep(2 * time.Minute)
		same(t, "given", r.given(), "1.1 start, 1.2 start, 1.3 rollback, 2.1 start")
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
