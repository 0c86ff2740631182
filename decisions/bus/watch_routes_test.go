package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// watched is a bus whose route documents are looked after, for a model that has been rolled back; others write into the bucket.
type watched struct {
	*testing.T
	bus    *Bus
	kv     jetstream.KeyValue
	js     jetstream.JetStream
	key    string
	mu     sync.Mutex
	told   []Foreign
	mended int
	head   decisions.Head // the record
	older  []byte         // a document that was right once
}

// watching watches until the test ends; before it begins, some things are done.
func watching(t *testing.T, test func(w *watched), before ...func(w *watched)) {
	t.Helper()
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		w := &watched{T: t}
		w.bus = open(t, conn, func(o *Options) {
			o.OnForeign = func(f Foreign) { w.mu.Lock(); w.told = append(w.told, f); w.mu.Unlock() }
			o.OnError = func(err error) { t.Log(err) }
		})
		w.js, _ = jetstream.New(conn)
		var err error
		w.kv, err = w.js.KeyValue(t.Context(), schemas.RoutesBucket)
		w.must(err)
		w.key, err = schemas.RouteKey("ranker/v.1")
		w.must(err)
		h := deliver(t, w.bus, take(t, decisions.NewHead(0), applied(1), prepared(1)))
		was, err := w.kv.Get(t.Context(), w.key)
		w.must(err)
		w.older = was.Value()
		w.head = deliver(t, w.bus, take(t, h, verdict(decisions.VerdictRollback)))
		for _, do := range before {
			do(w)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			w.bus.WatchRoutes(ctx, RouteWatch{Models: func() []string { return []string{"ranker/v.1", "idle"} }, Mended: func(string, string) { w.mu.Lock(); w.mended++; w.mu.Unlock() }})
		})
		synctest.Wait()
		test(w)
		stop()
		running.Wait()
	})
}

func (w *watched) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// stands is the decision in the document; "": it is none.
func (w *watched) stands() string {
	if d, err := w.bus.Route(w.Context(), "ranker/v.1"); err == nil {
		return d.ID
	}
	return ""
}

// TestWatchRoutes: whatever somebody else does to a route document is told within a second, and the model's last effective decision stands there again.
func TestWatchRoutes(t *testing.T) {
	watching(t, func(w *watched) {
		put := func(value []byte) func() error {
			return func() error { _, err := w.kv.Put(w.Context(), w.key, value); return err }
		}
		forged, err := schemas.EncodeSigned(key(t, 2).Sign([]byte(`{"specversion":"1.0"}`)))
		w.must(err)
		for _, test := range []struct {
			name, why string
			do        func() error
		}{
			{"garbage", "", put([]byte("hello"))},
			{"empty", "", put(nil)},
			{"signed by another", "", put(forged)},
			{"an older one", "it is a copy of an older one", put(w.older)},
			{"deleted", "it was deleted", func() error { return w.kv.Delete(w.Context(), w.key) }},
			{"purged", "it was deleted", func() error { return w.kv.Purge(w.Context(), w.key) }},
		} {
			w.told, w.mended = nil, 0
			w.must(test.do())
			time.Sleep(time.Second)
			w.mu.Lock()
			if len(w.told) == 0 || !w.told[0].Route || w.told[0].Model != "ranker/v.1" || !strings.Contains(w.told[0].Why.Error(), test.why) || w.mended != 1 || w.stands() != "r-1.1.3" {
				w.Errorf("%s: told %+v, %d written back, %q stands there", test.name, w.told, w.mended, w.stands())
			}
			w.mu.Unlock()
			time.Sleep(RouteMendEvery)
		}
		w.again(forged)
		for name, do := range map[string]func(){
			"deleted": func() { w.must(w.js.DeleteKeyValue(w.Context(), schemas.RoutesBucket)) },
			"made anew": func() {
				w.must(w.js.DeleteKeyValue(w.Context(), schemas.RoutesBucket))
				w.must(w.bus.Ensure(w.Context()))
			},
			"emptied": func() {
				stream, err := w.js.Stream(w.Context(), "KV_"+schemas.RoutesBucket)
				w.must(err)
				w.must(stream.Purge(w.Context()))
			},
		} {
			time.Sleep(300 * time.Millisecond) // never on the instant of a look
			w.mu.Lock()
			w.told, w.mended = nil, 0
			w.mu.Unlock()
			do()
			time.Sleep(3 * time.Second)
			w.mu.Lock()
			if len(w.told) != 1 || !w.told[0].Gone || w.mended != 1 || w.stands() != "r-1.1.3" {
				w.Errorf("a bucket that is %s: told %+v, %d written back, %q stands there", name, w.told, w.mended, w.stands())
			}
			w.mu.Unlock()
		}
	})
}

// TestRoutesEmptiedBeforeASweep: a sweep that begins on a bucket in which documents stood, and finds none, takes it for emptied; each document by itself would be written back without a word.
func TestRoutesEmptiedBeforeASweep(t *testing.T) {
	watching(t, func(w *watched) {
		time.Sleep(300 * time.Millisecond) // never on the instant of a look
		stream, err := w.js.Stream(w.Context(), "KV_"+schemas.RoutesBucket)
		w.must(err)
		w.must(stream.Purge(w.Context()))
		sweep := RouteWatch{Models: func() []string { return []string{"ranker/v.1"} }, Mended: func(string, string) {}, present: map[string]bool{}, due: map[string]time.Time{}, mended: map[string]time.Time{}, seen: true}
		if err := w.bus.sweepRoutes(w.Context(), &sweep); !errors.Is(err, errRoutesGone) || len(sweep.due) > 0 {
			w.Errorf("found %v, due are %v", err, sweep.due)
		}
	})
}

// again writes where decisions are asked again: what serve has signed is nobody's news, anything else is told once, and nothing is written in its place.
func (w *watched) again(forged []byte) {
	w.Helper()
	key, err := schemas.AgainKey("ranker/v.1")
	w.must(err)
	for _, test := range []struct {
		value []byte
		told  int
	}{{w.older, 0}, {forged, 1}, {[]byte("hello"), 1}} {
		w.told, w.mended = nil, 0
		revision, err := w.kv.Put(w.Context(), key, test.value)
		w.must(err)
		time.Sleep(2 * routeSweepEvery)
		entry, err := w.kv.Get(w.Context(), key)
		w.must(err)
		w.mu.Lock()
		if len(w.told) != test.told || w.mended != 0 || entry.Revision() != revision {
			w.Errorf("%q asked again: told %+v, %d written back, revision %d after %d", test.value, w.told, w.mended, entry.Revision(), revision)
		}
		for _, f := range w.told {
			if !f.Route || !f.Again || f.Model != "ranker/v.1" {
				w.Errorf("%q asked again: told %+v", test.value, f)
			}
		}
		w.mu.Unlock()
	}
	w.must(w.kv.Delete(w.Context(), key))
	time.Sleep(time.Second)
	w.told, w.mended = nil, 0
}

// TestWatchRoutesAfterRestart: an older document that was put back while nobody watched is told, and the model's last effective decision stands there again; one that
// is older since the process ended before it wrote the newer one is brought up to date, and nobody is told. A document that is right is left as it is.
func TestWatchRoutesAfterRestart(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(w *watched)
		told   string // "": nobody is
		mended int
	}{
		{"put back", func(w *watched) {
			time.Sleep(time.Second)
			_, err := w.kv.Put(w.Context(), w.key, w.older)
			w.must(err)
		}, "decision r-1.1.2 was put back over r-1.1.3", 1},
		{"never written", func(w *watched) {
			_, err := w.kv.Put(w.Context(), w.key, w.older)
			w.must(err)
			time.Sleep(time.Second)
			h := take(w.T, w.head, applied(2))
			d, _ := h.Next()
			_, err = w.bus.Publish(w.Context(), d)
			w.must(err)
		}, "", 1},
		{"right", func(*watched) {}, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			watching(t, func(w *watched) {
				time.Sleep(2 * time.Second)
				w.mu.Lock()
				defer w.mu.Unlock()
				right := len(w.told) == 0
				if test.told != "" {
					right = len(w.told) > 0 && w.told[0].Route && strings.Contains(w.told[0].Why.Error(), test.told)
				}
				want := "r-1.1.3"
				if test.name == "never written" {
					want = "r-1.2.1"
				}
				if !right || w.mended != test.mended || w.stands() != want {
					t.Errorf("told %+v, %d written back, %q stands there", w.told, w.mended, w.stands())
				}
			}, test.before)
		})
	}
}

// TestWatchRoutesFight: who writes again and again is not raced, and the last word is the judge's; made-up models cost no more than a look into the log.
func TestWatchRoutesFight(t *testing.T) {
	watching(t, func(w *watched) {
		for i := range 600 { // a minute
			_, err := w.kv.Put(w.Context(), w.key, fmt.Append(nil, "hello ", i))
			w.must(err)
			_, err = w.kv.Put(w.Context(), fmt.Sprint("made-up-", i), []byte("hello"))
			w.must(err)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(RouteMendEvery + routeTick)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.mended < 2 || w.mended > int(time.Minute/RouteMendEvery)+2 || w.stands() != "r-1.1.3" {
			w.Errorf("written back %d times, %q stands there", w.mended, w.stands())
		}
		if entry, err := w.kv.Get(w.Context(), "made-up-7"); err != nil || string(entry.Value()) != "hello" {
			w.Errorf("of a model without decisions: %v, %+v", err, entry)
		}
	})
}
