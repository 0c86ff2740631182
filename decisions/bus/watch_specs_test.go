package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// keeper counts what who keeps the files hears.
type keeper struct{ changes, gone atomic.Int64 }

func (k *keeper) keeps(ctx context.Context, b *Bus, done chan<- error) {
	done <- b.KeepSpecs(ctx, func(s Spec) {
		if s.Gone {
			k.gone.Add(1)
		} else if !s.Synced {
			k.changes.Add(1)
		}
	}, func(error) { k.gone.Add(1) })
}

// TestSaveWhatIsGone: a record that is gone with all of its bucket is written again over any revision; one that somebody deleted is not.
func TestSaveWhatIsGone(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b, ctx := open(t, conn), t.Context()
		js, err := jetstream.New(conn)
		if err != nil {
			t.Fatal(err)
		}
		h := take(t, decisions.NewHead(0), applied(1))
		revision, err := b.SaveHead(ctx, h, 0)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := js.Stream(ctx, "KV_"+schemas.RolloutsBucket)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Purge(ctx); err != nil {
			t.Fatal(err)
		}
		if revision, err = b.SaveHead(ctx, h, revision); err != nil {
			t.Fatalf("over nothing: %v", err)
		}
		if _, have, err := b.LoadHead(ctx, "r-1"); err != nil || have != revision {
			t.Errorf("revision %d is there (%v), want %d", have, err, revision)
		}
		if err := b.DeleteHead(ctx, "r-1", revision); err != nil {
			t.Fatal(err)
		}
		if _, err := b.SaveHead(ctx, h, revision); !errors.Is(err, ErrLost) {
			t.Errorf("error %v over a deletion, want ErrLost", err)
		}
	})
}

// TestKeepSpecs: who keeps the files hears once that their bucket was deleted or emptied, when there is one again, and what is written there then; a file that is deleted is no such thing.
func TestKeepSpecs(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		conn := connect()
		b, ctx := open(t, conn), t.Context()
		js, err := jetstream.New(conn)
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan string, 100)
		go func() {
			_ = b.KeepSpecs(ctx, func(s Spec) {
				switch {
				case s.Gone:
					heard <- "gone"
				case s.Synced:
					heard <- "synced"
				case s.Deleted:
					heard <- "deleted"
				default:
					heard <- string(s.Body)
				}
			}, func(error) {})
		}()
		want := func(want ...string) {
			t.Helper()
			time.Sleep(10 * time.Second)
			var have []string
			for len(heard) > 0 {
				have = append(have, <-heard)
			}
			if !slices.Equal(have, want) {
				t.Errorf("heard %q, want %q", have, want)
			}
		}
		put := func(body string) uint64 {
			t.Helper()
			revision, err := b.PutSpec(ctx, Spec{Rollout: "r", Body: []byte(body)})
			if err != nil {
				t.Fatal(err)
			}
			return revision
		}
		want("synced")
		revision := put("a")
		want("a")
		if err := b.DeleteSpec(ctx, "r", revision); err != nil {
			t.Fatal(err)
		}
		want("deleted")
		put("b")
		want("b")
		if err := js.DeleteKeyValue(ctx, schemas.RolloutsBucket); err != nil {
			t.Fatal(err)
		}
		want("gone")
		put("c")
		want("c")
		stream, err := js.Stream(ctx, "KV_"+schemas.RolloutsBucket)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Purge(ctx); err != nil {
			t.Fatal(err)
		}
		want("gone")
		put("d")
		want("d")
	})
}

// writing is a writing of a rollout's file.
type writing struct {
	jetstream.KeyValueEntry
	body     string
	revision uint64
	at       time.Time
}

func (w *writing) Key() string                     { return "r" + specSuffix }
func (w *writing) Value() []byte                   { return []byte(w.body) }
func (w *writing) Revision() uint64                { return w.revision }
func (w *writing) Created() time.Time              { return w.at }
func (w *writing) Operation() jetstream.KeyValueOp { return jetstream.KeyValuePut }

// TestOlderIsWhatStoodThere: a file counts as older where it stood there when a watch began, and not where it is written while NATS's clock goes back.
func TestOlderIsWhatStoodThere(t *testing.T) {
	b, w, began := &Bus{}, specWatch{written: map[string]written{}}, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	var heard []string
	hands := func(entry jetstream.KeyValueEntry) {
		b.handOn(&w, entry, func(s Spec) {
			if !s.Synced {
				heard = append(heard, fmt.Sprintf("%s older=%t", s.Body, s.Older))
			}
		})
	}
	hands(&writing{body: "a", revision: 1, at: began})
	hands(nil)
	hands(&writing{body: "b", revision: 2, at: began.Add(time.Hour)})
	hands(&writing{body: "clock set back", revision: 3, at: began.Add(time.Minute)})
	w.begun = false // as followSpecs begins
	hands(&writing{body: "clock set back", revision: 3, at: began.Add(time.Minute)})
	hands(nil)
	w.begun = false
	hands(&writing{body: "a", revision: 1, at: began})
	hands(nil)
	hands(&writing{body: "c", revision: 2, at: began.Add(time.Hour)})
	w.begun = false
	hands(nil) // the reader waits no longer for what stands there
	hands(&writing{body: "a", revision: 1, at: began})
	if want := []string{"a older=false", "b older=false", "clock set back older=false", "a older=true", "c older=false", "a older=true"}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}
