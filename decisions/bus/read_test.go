package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// heard is what a follower was given, and told.
type heard struct {
	mu    sync.Mutex
	words []string
}

func (h *heard) add(word string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.words = append(h.words, word)
}

func (h *heard) all() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.words, " ")
}

// follows follows the decision log until the context ends, and says then how it ended.
func (h *heard) follows(ctx context.Context, b *Bus, ended chan<- error) {
	ended <- b.Log(ctx, LogQuery{Follow: true}, func(l Logged) error { h.add(idOf(l.Decision)); return nil })
}

// TestFollowLogGone: who follows a decision log that is deleted is told so once, ends with its context, and reads on from the beginning of a log that
// is made anew.
func TestFollowLogGone(t *testing.T) {
	for _, back := range []bool{false, true} {
		t.Run(fmt.Sprint("back=", back), func(t *testing.T) {
			bubble(t, func(t *testing.T, connect func() *nats.Conn) {
				conn := connect()
				var given, told heard
				b := open(t, conn, func(o *Options) { o.OnError = func(err error) { told.add(err.Error()) } })
				deliver(t, b, take(t, decisions.NewHead(0), applied(1), prepared(1)))
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go given.follows(ctx, b, ended)
				time.Sleep(time.Second)
				js, _ := jetstream.New(conn)
				drop(t, js)
				time.Sleep(time.Minute)
				want := "r-1.1.1 r-1.1.2"
				if back {
					if err := b.Ensure(t.Context()); err != nil {
						t.Fatal(err)
					}
					other := applied(2)
					other.Applied.Terms.Rollout, other.Applied.Terms.Model = "r-2", "other"
					deliver(t, b, take(t, decisions.NewHead(0), other))
					time.Sleep(time.Minute)
					want += " r-2.2.1"
				}
				began := time.Now()
				cancel()
				if err := <-ended; err != nil || time.Since(began) > 15*time.Second {
					t.Errorf("it ended after %s: %v", time.Since(began), err)
				}
				if have := given.all(); have != want {
					t.Errorf("it gave %s, want %s", have, want)
				}
				if have := told.all(); strings.Count(have, "stream not found: trying again") != 1 {
					t.Errorf("it told %q", have)
				}
			})
		})
	}
}

// TestListLogGone: a list of decisions whose log is deleted meanwhile ends with an error.
func TestListLogGone(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b := open(t, conn)
		js, _ := jetstream.New(conn)
		deliver(t, b, take(t, decisions.NewHead(0), applied(1)))
		other := applied(1)
		other.Applied.Terms.Rollout, other.Applied.Terms.Model = "r-2", "other"
		end := deliver(t, b, take(t, decisions.NewHead(0), other)).SubjectSeq
		began := time.Now()
		err := b.read(t.Context(), schemas.AllDecisions, &place{}, func(_ jetstream.Msg, sequence uint64, _ time.Time) (bool, error) {
			if sequence == end {
				drop(t, js)
			}
			return false, nil
		})
		if !errors.Is(err, jetstream.ErrStreamNotFound) || time.Since(began) > time.Minute {
			t.Errorf("after %s error %v, want %v", time.Since(began), err, jetstream.ErrStreamNotFound)
		}
		if err := b.Log(t.Context(), LogQuery{Follow: true}, func(Logged) error { return nil }); !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("error %v of following a log that isn't there, want %v", err, jetstream.ErrStreamNotFound)
		}
		for _, query := range []LogQuery{{}, {Follow: true}} {
			err := b.Log(t.Context(), query, func(Logged) error { return nil })
			if want := "the decision log (stream STREAMCANARY) isn't there; serve makes it when it starts: is this its NATS, and its account? If somebody has deleted it, restore it from a backup"; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: error %v, want %s", query, err, want)
			}
		}
	})
}
