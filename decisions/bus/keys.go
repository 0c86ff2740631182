package bus

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions/subscribe/reader"
)

// keyOperation is the header of a key's value that is none: it says that the key was deleted. markerReason is that of a mark which the server itself left.
const (
	keyOperation = "KV-Operation"
	markerReason = "Nats-Marker-Reason"
)

// keyWatch brings what stands in a bucket, then nil, and then what changes. It doesn't watch as the bucket's own client does: that goes on behind the last revision, also in a bucket that was restored from
// an older backup (package reader). updates is closed when it isn't safe to read on: then err says why, and a new watch begins with what stands there.
type keyWatch struct {
	updates chan jetstream.KeyValueEntry
	err     error
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// watchKeys watches the keys of a bucket that fit a pattern, until the context ends or it is stopped.
func (b *Bus) watchKeys(ctx context.Context, bucket, pattern string) *keyWatch {
	return b.watch(ctx, bucket, pattern, false)
}

// watchMarks is watchKeys of keys whose values matter to nobody: they come without them.
func (b *Bus) watchMarks(ctx context.Context, bucket, pattern string) *keyWatch {
	return b.watch(ctx, bucket, pattern, true)
}

func (b *Bus) watch(ctx context.Context, bucket, pattern string, marks bool) *keyWatch {
	ctx, cancel := context.WithCancel(ctx)
	w := &keyWatch{updates: make(chan jetstream.KeyValueEntry), cancel: cancel}
	prefix := "$KV." + bucket + "."
	put := func(entry jetstream.KeyValueEntry) {
		select {
		case <-ctx.Done():
		case w.updates <- entry:
		}
	}
	w.running.Go(func() {
		defer close(w.updates)
		w.err = reader.Read(ctx, b.js, reader.Query{
			Stream: "KV_" + bucket, Subjects: []string{prefix + pattern}, Kept: readerKept, Timeout: b.o.Timeout, Headers: marks,
			CaughtUp: func() { put(nil) },
			Give: func(m jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
				put(&keyEntry{bucket, strings.TrimPrefix(m.Subject(), prefix), m, meta})
				return false, nil
			},
		})
	})
	return w
}

// stop ends a watch, and waits for its end.
func (w *keyWatch) stop() {
	w.cancel()
	w.running.Wait()
}

// keyEntry is one writing of a key.
type keyEntry struct {
	bucket, key string
	message     jetstream.Msg
	meta        *jetstream.MsgMetadata
}

// Bucket and the others are jetstream.KeyValueEntry's.
func (e *keyEntry) Bucket() string     { return e.bucket }
func (e *keyEntry) Key() string        { return e.key }
func (e *keyEntry) Value() []byte      { return e.message.Data() }
func (e *keyEntry) Revision() uint64   { return e.meta.Sequence.Stream }
func (e *keyEntry) Created() time.Time { return e.meta.Timestamp }
func (e *keyEntry) Delta() uint64      { return e.meta.NumPending }
func (e *keyEntry) Operation() jetstream.KeyValueOp {
	header := e.message.Headers()
	switch {
	case header.Get(keyOperation) == "PURGE", header.Get(markerReason) != "" && header.Get(keyOperation) == "":
		return jetstream.KeyValuePurge
	case header.Get(keyOperation) != "":
		return jetstream.KeyValueDelete
	}
	return jetstream.KeyValuePut
}
