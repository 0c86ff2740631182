package subscribe

import (
	"context"
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
		time.Sleep(1500 * time.Millisecond)
	}
	return l.JetStream.CreateConsumer(ctx, stream, config)
}

// TestSplitBehindALostConnection: what was decided while the connection was lost is carried out in its order, also where the last of it asks for no split, and the log is read before the route document.
func TestSplitBehindALostConnection(t *testing.T) {
	nothing := func(*judge) {}
	for _, x := range []struct {
		name            string
		between, behind func(*judge)
	}{
		{"as it is", nothing, nothing},
		{"an unsigned copy of the rollback stands last in the log until the connection is back", func(j *judge) {
			j.copies()
			time.Sleep(1300 * time.Millisecond) // the connection is back, and the route document not yet read
		}, nothing},
		{"the bucket of route documents is gone, and made anew", nothing, (*judge).losesRoutes},
	} {
		t.Run(x.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, j *judge) { splitsWhileAway(t, j, x.between, x.behind) })
		})
	}
}

// splitsWhileAway decides a rollback while a router's connection is lost, and something without a split behind it.
func splitsWhileAway(t *testing.T, j *judge, between, behind func(*judge)) {
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
	j.restarts()
	late.late.Store(true)
	j.take(verdict(decisions.VerdictRollback))
	between(j)
	j.take(applied(2))
	behind(j)
	time.Sleep(2 * time.Minute)
	same(t, "given", r.given(), "1.1 start, 1.2 start, 1.3 rollback, 2.1 start")
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// losesRoutes deletes the bucket, and writes it anew as it was, as serve does, three seconds later.
func (j *judge) losesRoutes() {
	j.t.Helper()
	js, err := jetstream.New(j.connect())
	if err != nil {
		j.t.Fatal(err)
	}
	if err := js.DeleteKeyValue(j.t.Context(), schemas.RoutesBucket); err != nil {
		j.t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	if err := j.bus.Ensure(j.t.Context()); err != nil {
		j.t.Fatal(err)
	}
	if err := j.bus.RestoreRoutes(j.t.Context(), []string{model}, func(string, string) {}); err != nil {
		j.t.Fatal(err)
	}
}

// muteRoutes is a JetStream that says that something stands in the bucket, and never delivers it, as where asking for messages isn't permitted.
type muteRoutes struct{ jetstream.JetStream }

type muteConsumer struct {
	jetstream.Consumer
	info *jetstream.ConsumerInfo
}

func (m muteConsumer) CachedInfo() *jetstream.ConsumerInfo { return m.info }

func (l muteRoutes) CreateConsumer(ctx context.Context, stream string, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	consumer, err := l.JetStream.CreateConsumer(ctx, stream, config)
	if err != nil || stream != "KV_"+schemas.RoutesBucket {
		return consumer, err
	}
	config.FilterSubject = "$KV." + schemas.RoutesBucket + ".nothing"
	nothing, err := l.JetStream.CreateConsumer(ctx, stream, config)
	return muteConsumer{nothing, consumer.CachedInfo()}, err
}

// TestRouteDocumentThatNeverComes: what asks for a split is waited with once, and carried out; what asks for none waits, and that is told.
func TestRouteDocumentThatNeverComes(t *testing.T) {
	bubble(t, func(t *testing.T, j *judge) {
		conn := j.connect()
		js, err := jetstream.New(conn)
		if err != nil {
			t.Fatal(err)
		}
		r, told := &router{}, make(chan string, 100)
		o := Options{
			Conn: conn, Models: []string{model}, Consumer: "eu", Instance: "a", Trust: schemas.NewTrust(key(1).Public()), Store: Memory(), Timeout: 2 * time.Second,
			OnError: func(err error) { told <- err.Error() },
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		j.take(applied(1, weight), prepared(1))
		f := &follower{o: &o, js: muteRoutes{js}, model: model, handle: r.handle, trust: o.Trust, inbox: make(chan message, inboxSize), routesRead: make(chan struct{})}
		go func() { done <- runAll(ctx, conn, &o, []*follower{f}) }()
		time.Sleep(10 * time.Second)
		same(t, "given at the start", r.given(), "1.2 start")
		j.take(verdict(decisions.VerdictRollback))
		time.Sleep(time.Second)
		same(t, "given a second later", r.given(), "1.3 rollback")
		j.take(applied(2))
		time.Sleep(10 * time.Minute)
		same(t, "given then", r.given(), "")
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		close(told)
		const silent = "model " + model + ": read the decision log: the route document, which comes before it: what stands there did not come: is the account permitted to read it, as deploy/PROTOCOL.md lists? ("
		same(t, "told first", <-told, silent+"a rollback, and all that asks for a split, is carried out without it)")
		same(t, "told then", <-told, silent+"trying again)")
		for more := range told {
			t.Errorf("told, too: %s", more)
		}
	})
}

// copies puts the log's last decision behind it, without a signature.
func (j *judge) copies() {
	j.t.Helper()
	js, err := jetstream.New(j.connect())
	if err != nil {
		j.t.Fatal(err)
	}
	subject, err := schemas.DecisionSubject(model)
	if err != nil {
		j.t.Fatal(err)
	}
	stream, err := js.Stream(j.t.Context(), schemas.StreamName)
	if err != nil {
		j.t.Fatal(err)
	}
	last, err := stream.GetLastMsgForSubject(j.t.Context(), subject)
	if err != nil {
		j.t.Fatal(err)
	}
	if _, err := js.Publish(j.t.Context(), subject, last.Data); err != nil {
		j.t.Fatal(err)
	}
}
