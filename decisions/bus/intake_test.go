package bus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// TestConsumersThatAreDeleted: who reads from a consumer that somebody deletes makes it again, tells what happened once, and misses nothing of what came meanwhile; what was read before isn't read again,
// but for the acks of the last minutes. After a restart it goes on.
func TestConsumersThatAreDeleted(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		var given, told heard
		b := open(t, conn, func(o *Options) { o.OnError = func(err error) { told.add(err.Error() + ";") } })
		js, _ := jetstream.New(conn)
		q := SinkQuery{Name: "on-call"}
		if err := b.EnsureSink(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		reading := func() (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 2)
			go func() {
				ended <- b.Acks(ctx, func(m AckMessage) error { given.add(fmt.Sprint("ack-", m.Ack.Seq)); return nil }, nil)
			}()
			go func() {
				b.Tell(ctx, q, func(_ context.Context, x Told) Again { given.add(x.ID()); return Again{} })
				ended <- nil
			}()
			time.Sleep(2 * sinkWait)
			return func() {
				cancel()
				for range 2 {
					if err := <-ended; err != nil {
						t.Error(err)
					}
				}
			}
		}
		send := func(n int64) {
			ack := schemas.Ack{Decision: fmt.Sprint("d-", n), Epoch: 1, Seq: n, Consumer: "eu", Instance: "i", Status: schemas.AckApplied, At: 1}
			if err := b.Answer(t.Context(), "m", &ack); err != nil {
				t.Fatal(err)
			}
			notify(t, b, "m", fmt.Sprint("told-", n), schemas.Warning)
		}
		stop := reading()
		send(1)
		time.Sleep(time.Hour)
		send(2)
		time.Sleep(time.Minute)
		for n := int64(3); n < 5; n++ {
			for _, name := range []string{ackConsumer, sinkConsumer + "on-call"} {
				if err := js.DeleteConsumer(t.Context(), schemas.StreamName, name); err != nil {
					t.Fatal(err)
				}
			}
			send(n)
			time.Sleep(time.Minute)
		}
		stop()
		stop = reading()
		send(5)
		time.Sleep(time.Minute)
		stop()
		have := strings.Fields(given.all())
		slices.Sort(have)
		if want := "ack-1 ack-2 ack-2 ack-2 ack-3 ack-3 ack-4 ack-5 told-1 told-2 told-3 told-4 told-5"; strings.Join(have, " ") != want {
			t.Errorf("given %v, want %s", have, want)
		}
		for _, text := range []string{"take acks: ", "sink on-call hears nothing: "} {
			if n := strings.Count(told.all(), text); n != 2 {
				t.Errorf("%q is told %d times, want 2: %s", text, n, told.all())
			}
		}
	})
}
