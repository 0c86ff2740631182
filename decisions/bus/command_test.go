package bus

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"streamcanary/schemas"
)

// TestAskAgain: where the service that hears a command is being stopped, and says so, the next one is asked, also where that listens a while later only. Where none comes, its answer stands; where there was none, that is told at once.
func TestAskAgain(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		answers := func(r schemas.CommandReply) (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- b.Commands(ctx, func(x Request) { x.Reply(&r) }) }()
			time.Sleep(10 * time.Millisecond)
			return func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		ask := func(want schemas.CommandReply, wantErr error, after time.Duration) {
			t.Helper()
			began := time.Now()
			reply, err := b.Ask(t.Context(), "r-1", &schemas.Command{ID: "1", Do: "pause", Comment: "x"}, "")
			if err != nil {
				reply = &schemas.CommandReply{}
			}
			if *reply != want || !errors.Is(err, wantErr) || time.Since(began).Round(time.Second) != after {
				t.Errorf("after %s: %+v, %v; want after %s %+v, %v", time.Since(began), reply, err, after, want, wantErr)
			}
		}
		ask(schemas.CommandReply{}, ErrNobody, 0)
		stopping := schemas.CommandReply{Failed: "the service is stopping", Again: true}
		stop := answers(stopping)
		next := make(chan func(), 1)
		go func() {
			time.Sleep(2500 * time.Millisecond)
			stop()
			time.Sleep(4 * time.Second)
			next <- answers(schemas.CommandReply{Decision: "r-1.1.3"})
		}()
		ask(schemas.CommandReply{Decision: "r-1.1.3"}, nil, 7*time.Second)
		(<-next)()
		stop = answers(stopping)
		go func() {
			time.Sleep(500 * time.Millisecond)
			stop()
		}()
		ask(stopping, nil, 26*time.Second)
	})
}
