package bus

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// listeners are all who watch, and what they heard.
type listeners struct {
	*restartable
	bus                         *Bus
	js                          jetstream.JetStream
	kept, watched, strange, odd heard
	running                     sync.WaitGroup
	history                     History
	anew                        int
}

// restored: NATS runs on from an older copy of its folder. What is written there then is heard of within seconds by whoever watches, although other things had its places; an older file isn't taken for a new one, and a
// log that has outgrown the place up to which another one was read is read from its beginning. It is part of TestWatchesOutliveTheServer, as the client shares timers between connections that come back, which two
// bubbles must not.
func (r *restartable) restored(ctx context.Context, conn *nats.Conn, follower *heard) {
	x, copied := &listeners{restartable: r}, r.t.TempDir()
	x.js, _ = jetstream.New(conn)
	ctx, cancel := context.WithCancel(ctx)
	defer func() { cancel(); x.running.Wait() }()
	x.listen(ctx, conn)
	x.put("a")
	time.Sleep(time.Minute)
	r.move(r.dir, copied)
	x.put("b")
	time.Sleep(time.Second)
	x.put("c")
	x.publish("one", "two")
	x.readOn()
	r.move(copied, r.dir)
	x.publish("three", "four")
	x.put("d")
	x.readOn()
	if have := strings.Count(x.strange.all(), "no JSON object"); have != 4 || x.anew != 1 {
		r.t.Errorf("strangers' messages were heard of %d times, want 4 (%s), and the log was read anew %d times, want once", have, x.strange.all(), x.anew)
	}
	kv, err := x.js.KeyValue(ctx, schemas.RoutesBucket)
	x.must(err)
	_, err = kv.Put(ctx, "m", []byte("five"))
	x.must(err)
	time.Sleep(3 * time.Second)
	for _, row := range []struct {
		who        string
		have, want string
	}{
		{"who keeps the files", x.kept.all(), "a b c older-a d"},
		{"who watches the files", x.watched.all(), "a a b c a d"},
		{"who looks after the routes", x.odd.all(), "bucket streamcanary-routes, key m"},
		{"who follows the log", follower.all(), "r-1.1.1 r-1.1.2 nothing nothing r-1.1.1 r-1.1.2 nothing nothing"},
	} {
		if row.have != row.want {
			r.t.Errorf("%s heard of %s, want %s", row.who, row.have, row.want)
		}
	}
}

// listen watches all there is.
func (x *listeners) listen(ctx context.Context, conn *nats.Conn) {
	x.bus = open(x.t, conn, func(o *Options) {
		o.OnForeign = func(f Foreign) {
			if f.Route {
				x.odd.add(f.Place)
			} else {
				x.strange.add(f.Why.Error())
			}
		}
	})
	file := func(h *heard, s Spec) {
		switch {
		case s.Synced || s.Rollout != "x":
		case s.Older:
			h.add("older-" + string(s.Body))
		default:
			h.add(string(s.Body))
		}
	}
	x.running.Go(func() {
		_ = x.bus.KeepSpecs(ctx, func(s Spec) { file(&x.kept, s) }, func(err error) { x.t.Error(err) })
	})
	x.running.Go(func() { _ = x.bus.WatchSpecs(ctx, func(s Spec) error { file(&x.watched, s); return nil }) })
	x.running.Go(func() { x.bus.WatchStrangers(ctx) })
	x.running.Go(func() {
		x.bus.WatchRoutes(ctx, RouteWatch{Models: func() []string { return nil }, Mended: func(string, string) {}})
	})
}

func (x *listeners) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// put writes the file of rollout x.
func (x *listeners) put(body string) {
	x.t.Helper()
	revision := uint64(0)
	if was, err := x.bus.Spec(x.t.Context(), "x"); err == nil {
		revision = was.Revision
	}
	_, err := x.bus.PutSpec(x.t.Context(), Spec{Rollout: "x", Body: []byte(body), Revision: revision})
	x.must(err)
}

// publish publishes what is no decision among the decisions.
func (x *listeners) publish(bodies ...string) {
	x.t.Helper()
	for _, body := range bodies {
		_, err := x.js.Publish(x.t.Context(), "streamcanary.decision.m", []byte(body))
		x.must(err)
		time.Sleep(3 * time.Second)
	}
}

// readOn reads what was decided and told up to its end.
func (x *listeners) readOn() {
	x.t.Helper()
	x.must(x.bus.ReadOn(x.t.Context(), &x.history, func() { x.anew++ }, func(*Told) error { return nil }))
}

// move stops the server, makes a folder a copy of another one, and starts it again.
func (r *restartable) move(from, to string) {
	r.stop()
	if err := os.RemoveAll(to); err != nil {
		r.t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	r.start()
	time.Sleep(5 * time.Second)
}
