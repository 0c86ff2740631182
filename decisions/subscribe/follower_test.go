package subscribe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"streamcanary/schemas"
)

// lone is a follower without a server, whose handler's calls are noted.
type lone struct {
	*follower
	stop  func() // waits for its end, too
	mu    sync.Mutex
	calls []string
}

// alone runs a follower over a position. The bubble has come to rest when it returns.
func alone(t *testing.T, o Options, position *Position, handle Handler) *lone {
	o.Consumer, o.Instance, o.Store, o.OnError = "eu", "a", paper{position}, func(error) {}
	l := &lone{follower: &follower{o: &o, model: model, trust: o.Trust, js: wire{}, inbox: make(chan message)}}
	l.handle = func(ctx context.Context, d Delivery) error {
		l.mu.Lock()
		l.calls = append(l.calls, fmt.Sprintf("%d.%d", d.Decision.Epoch, d.Decision.Seq))
		l.mu.Unlock()
		return handle(ctx, d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		l.run(ctx)
		close(done)
	}()
	l.stop = func() {
		cancel()
		<-done
	}
	synctest.Wait()
	return l
}

// called are the decisions that the handler was called for so far.
func (l *lone) called() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.calls, ", ")
}

// arrives hands a message over, and lets the bubble come to rest.
func (l *lone) arrives(m message) {
	l.inbox <- m
	synctest.Wait()
}

// splits is the message of a decision that asks for a split; that of holds asks for nothing.
func splits(t *testing.T, epoch, seq, canaryBP int64) message {
	return messageOf(t, schemas.Decision{Epoch: epoch, Seq: seq, Routes: []schemas.Route{{Version: "41", WeightBP: int(10000 - canaryBP)}, {Version: "42", WeightBP: int(canaryBP)}}})
}

func holds(t *testing.T, epoch, seq int64) message {
	return messageOf(t, schemas.Decision{Epoch: epoch, Seq: seq})
}

func messageOf(t *testing.T, d schemas.Decision) message {
	t.Helper()
	id, err := schemas.DecisionID("r-1", d.Epoch, d.Seq)
	if err != nil {
		t.Fatal(err)
	}
	d.ID, d.Rollout, d.Model, d.Action, d.Mode, d.Severity, d.IssuedAt = id, "r-1", model, schemas.ActionHold, schemas.Enforce, schemas.Info, 1
	d.Reason, d.Actor = schemas.Reason{Code: "c", Sentence: "S."}, schemas.Actor{Kind: "person"}
	body, err := schemas.EncodeDecision("x", &d)
	if err != nil {
		t.Fatal(err)
	}
	return message{signed: key(1).Sign(body), public: key(1).Public(), written: writing{uint64(d.Seq), 1}}
}

// TestStopped: what comes behind a decision whose call was broken off by a stop is not carried out any more: it would be stored as done, and the next run pass the older one over.
func TestStopped(t *testing.T) {
	trust := schemas.NewTrust(key(1).Public())
	for _, test := range []struct {
		name    string
		options Options
		failed  int // calls before the one that hangs
		route   bool
		want    string
	}{
		{name: "waits behind one that failed", options: Options{Trust: trust}, failed: 1, want: "1.2, 1.2"},
		{name: "came during the call", options: Options{Trust: trust}, want: "1.2"},
		{name: "brought the key for a route document", options: Options{TrustOnFirstUse: true}, route: true, want: "1.2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				position := Position{}
				l := alone(t, test.options, &position, func(ctx context.Context, d Delivery) error {
					if len(d.Decision.Routes) == 0 {
						return nil
					}
					if d.Attempt <= test.failed {
						return errors.New("no disk")
					}
					<-ctx.Done()
					return ctx.Err()
				})
				first := splits(t, 1, 2, 0)
				first.route = test.route
				l.arrives(first)
				l.arrives(holds(t, 1, 3))
				time.Sleep(5 * time.Second)
				synctest.Wait()
				l.stop()
				same(t, "calls", l.called(), test.want)
				if position.Applied != (Version{}) {
					t.Errorf("%v is stored as carried out", position.Applied)
				}
			})
		})
	}
}

// TestManyBehind: where more wait behind a decision that failed than there is room for, what goes is what a newer one says all of, not the split that is to be.
func TestManyBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		position := Position{}
		var heals atomic.Bool
		l := alone(t, Options{Trust: schemas.NewTrust(key(1).Public()), Consumer: "eu"}, &position, func(_ context.Context, d Delivery) error {
			if d.Decision.Seq == 2 && !heals.Load() {
				return errors.New("no disk")
			}
			return nil
		})
		defer l.stop()
		l.arrives(messageOf(t, schemas.Decision{Epoch: 1, Seq: 2, State: []schemas.StateOrder{{Store: "eu", Do: schemas.StateRestore, Snapshot: "s"}}})) // nothing below takes its place
		l.arrives(splits(t, 1, 3, 500))
		for seq := int64(4); seq < 4+2*inboxSize; seq++ {
			l.arrives(holds(t, 1, seq))
		}
		heals.Store(true)
		time.Sleep(retryMost)
		synctest.Wait()
		if calls := l.called(); !strings.HasSuffix(calls, "1.2, 1.3, 1.35") {
			t.Errorf("calls %s", calls)
		}
		if want := (Position{Applied: Version{1, 35}, Routes: Version{1, 3}}); position != want {
			t.Errorf("position %v, want %v", position, want)
		}
	})
}

// TestManyDuringACall: where more come during a call than there is room for, what goes is a repetition, or what a newer one says all of, not the split that is to be.
func TestManyDuringACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		position := Position{}
		returns := make(chan struct{})
		l := alone(t, Options{Trust: schemas.NewTrust(key(1).Public())}, &position, func(_ context.Context, d Delivery) error {
			if d.Decision.Seq == 2 {
				<-returns // whatever its context says
			}
			return nil
		})
		defer l.stop()
		l.arrives(splits(t, 1, 2, 7500))
		l.arrives(splits(t, 1, 3, 0))
		for seq := int64(4); seq < 4+2*inboxSize; seq++ {
			l.arrives(holds(t, 1, seq))
			l.arrives(splits(t, 1, 2, 7500))
		}
		close(returns)
		synctest.Wait()
		same(t, "calls", l.called(), "1.2, 1.3, 1.35")
		if want := (Position{Applied: Version{1, 35}, Routes: Version{1, 3}}); position != want {
			t.Errorf("position %v, want %v", position, want)
		}
	})
}

// TestOrderBehind: what waits behind a decision that failed is carried out in the order of its versions, in whatever order it arrived.
func TestOrderBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		position := Position{}
		l := alone(t, Options{Trust: schemas.NewTrust(key(1).Public())}, &position, func(_ context.Context, d Delivery) error {
			if d.Decision.Seq == 2 {
				return errors.New("no disk")
			}
			return nil
		})
		defer l.stop()
		l.arrives(splits(t, 1, 2, 7500))
		l.arrives(holds(t, 2, 1))     // the log's last one, after a lost connection
		l.arrives(splits(t, 1, 3, 0)) // and then the route document's, which takes the place of the first
		same(t, "calls", l.called(), "1.2, 1.3, 2.1")
		if want := (Position{Applied: Version{2, 1}, Routes: Version{1, 3}}); position != want {
			t.Errorf("position %v, want %v", position, want)
		}
	})
}
