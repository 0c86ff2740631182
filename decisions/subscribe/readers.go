package subscribe

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions/subscribe/reader"
	"streamcanary/schemas"
)

const (
	// reopenAfter is the pause before a reader that failed begins again.
	reopenAfter = time.Second
	// readerKept is how long the server remembers a reader that has gone.
	readerKept = time.Minute
)

// readRoutes puts the model's route document, then its changes, into the inbox until the context ends.
func (f *follower) readRoutes(ctx context.Context) {
	f.keep(ctx, "route document", func(ctx context.Context) error { return f.watchRoutes(ctx, f.openLog) })
}

// readLog puts the model's last decision, then new ones, into the inbox until the context ends; the route document comes first.
func (f *follower) readLog(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-f.routesRead:
		f.keep(ctx, "decision log", f.watchLog)
	}
}

// keep runs a reader again whenever it ends: it begins with what stands there now, so nothing that matters is missed, also in a stream that was made anew, or restored from an older backup.
func (f *follower) keep(ctx context.Context, what string, read func(context.Context) error) {
	told := ""
	for {
		err := read(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, reader.ErrBrokenOff):
			continue
		}
		if text := fmt.Sprint(err); text != told {
			told = text
			f.o.OnError(fmt.Errorf("model %s: read the %s: %w (trying again)", f.model, what, err))
		}
		if !pause(ctx, reopenAfter) {
			return
		}
	}
}

func (f *follower) watchRoutes(ctx context.Context, caughtUp func()) error {
	key, err := schemas.RouteKey(f.model)
	if err != nil {
		return err
	}
	return f.watchKey(ctx, key, message{route: true}, caughtUp)
}

// watchKey puts the value of a key of the bucket, if it has one, and its changes, until the context ends; m says where it is from. It doesn't watch as a bucket's own
// client does: what that asks for in NATS (flow control) is more than a router need be permitted, and where it isn't, it hears nothing more after some MB.
func (f *follower) watchKey(ctx context.Context, key string, m message, caughtUp func()) error {
	return f.read(ctx, origin{stream: "KV_" + schemas.RoutesBucket, subject: "$KV." + schemas.RoutesBucket + "." + key, caughtUp: caughtUp, give: func(entry jetstream.Msg, w writing) error {
		m.written = w
		f.putEntry(ctx, entry, m)
		return nil
	}})
}

// readAgain puts what is asked again without routes into the inbox until the context ends: the last of it, then what comes.
func (f *follower) readAgain(ctx context.Context) {
	f.keep(ctx, "decisions that are asked again", f.watchAgain)
}

func (f *follower) watchAgain(ctx context.Context) error {
	key, err := schemas.AgainKey(f.model)
	if err != nil {
		return err
	}
	return f.watchKey(ctx, key, message{again: true}, func() {})
}

// openLog lets the log be read; only readRoutes calls it.
func (f *follower) openLog() {
	select {
	case <-f.routesRead:
	default:
		close(f.routesRead)
	}
}

// putEntry puts what stands in the bucket; m says where.
func (f *follower) putEntry(ctx context.Context, entry jetstream.Msg, m message) {
	if entry.Headers().Get(operation) != "" { // it is gone
		return
	}
	signed, err := schemas.DecodeSigned(entry.Data())
	if err != nil {
		what := "route document"
		if m.again {
			what = "decision that is asked again"
		}
		f.o.OnError(fmt.Errorf("model %s: %s: %w", f.model, what, err))
		return
	}
	m.signed = signed
	f.put(ctx, m)
}

func (f *follower) watchLog(ctx context.Context) error {
	subject, err := schemas.DecisionSubject(f.model)
	if err != nil {
		return err
	}
	first := true
	return f.read(ctx, origin{stream: schemas.StreamName, subject: subject, caughtUp: func() {}, give: func(m jetstream.Msg, _ writing) error {
		if first && !asksSplit(m.Data()) {
			if err := f.routesNow(ctx); err != nil {
				return err
			}
		}
		first = false
		f.put(ctx, fromLog(m))
		return nil
	}})
}

// routesNow puts the route document as it stands. Behind a lost connection the last decision of the log may ask for no split, and an older one, which the log doesn't give any more, for the
// split that is to be: once the newer one was carried out, that would be passed over for good.
func (f *follower) routesNow(ctx context.Context) error {
	reading, read := context.WithCancel(ctx)
	defer read()
	err := f.watchRoutes(reading, read)
	if errors.Is(err, jetstream.ErrStreamNotFound) { // the log is all that there is
		return nil
	}
	return err
}

// asksSplit reports whether a message, of which nothing is verified yet, asks for a split.
func asksSplit(body []byte) bool {
	d, err := schemas.DecodeDecision(body)
	return err == nil && moves(d)
}

// An origin is one subject of a stream.
type origin struct {
	stream, subject string
	give            func(jetstream.Msg, writing) error
	caughtUp        func() // what stood there at the beginning was read, or nothing did
}

// operation is the header of a key's value that is none: the key was deleted.
const operation = "KV-Operation"

// read gives the last message that stands there, and new ones, until the context ends, or it isn't safe to read on (package reader).
func (f *follower) read(ctx context.Context, from origin) error {
	return reader.Read(ctx, f.js, reader.Query{
		Stream: from.stream, Subjects: []string{from.subject}, Kept: readerKept, Timeout: f.o.Timeout, CaughtUp: from.caughtUp,
		Give: func(m jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
			return false, from.give(m, writing{meta.Sequence.Stream, meta.Timestamp.UnixNano()})
		},
	})
}

// fromLog reads a log message; a header that can't be read stays empty, and then nothing verifies.
func fromLog(m jetstream.Msg) message {
	header := m.Headers()
	signature, _ := schemas.DecodeSignature(header.Get(schemas.HeaderSignature))
	public, _ := base64.StdEncoding.DecodeString(header.Get(schemas.HeaderPublicKey))
	return message{
		signed: schemas.Signed{Body: m.Data(), KeyID: header.Get(schemas.HeaderKeyID), Signature: signature},
		public: public,
	}
}

// put gives a message to the follower.
func (f *follower) put(ctx context.Context, m message) {
	select {
	case <-ctx.Done():
	case f.inbox <- m:
	}
}
