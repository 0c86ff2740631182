package bus

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestReadOn: what was decided and told comes once, in the order of the log, up to its end; what a reader couldn't take comes again, and a log that was made anew is read from its beginning.
func TestReadOn(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b := open(t, conn)
		js, err := jetstream.New(conn)
		if err != nil {
			t.Fatal(err)
		}
		var h History
		var heard []string
		fails := ""
		reads := func(name, want string, wantErr error) {
			t.Helper()
			heard = nil
			err := b.ReadOn(t.Context(), &h, func() { heard = append(heard, "anew") }, func(x *Told) error {
				if x.ID() == fails {
					return errAtOnce
				}
				heard = append(heard, x.ID())
				return nil
			})
			if got := strings.Join(heard, " "); got != want || !errors.Is(err, wantErr) {
				t.Errorf("%s: heard %q (%v), want %q (%v)", name, got, err, want, wantErr)
			}
		}
		reads("nothing was decided", "", nil)
		rolledBack(t, b)
		notify(t, b, "m", "n1", schemas.Critical)
		if err := b.Answer(t.Context(), "m", &schemas.Ack{Decision: "r-1.1.3", Epoch: 1, Seq: 3, Consumer: "eu", Status: schemas.AckApplied}); err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), "streamcanary.decision.m", []byte("garbage")); err != nil {
			t.Fatal(err)
		}
		reads("all", "r-1.1.1 r-1.1.2 r-1.1.3 n1", nil)
		reads("nothing more", "", nil)
		notify(t, b, "m", "n2", schemas.Info)
		notify(t, b, "other", "n3", schemas.Info)
		notify(t, b, "m", "n4", schemas.Info)
		fails = "n3"
		reads("it isn't taken", "n2", errAtOnce)
		fails = ""
		reads("it comes again", "n3 n4", nil)
		drop(t, js)
		reads("the log is gone", "", jetstream.ErrStreamNotFound)
		if err := b.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		reads("it is made anew", "anew", nil)
		deliver(t, b, take(t, decisions.NewHead(0), applied(1)))
		reads("and filled", "r-1.1.1", nil)
	})
}

var errAtOnce = errors.New("not now")
