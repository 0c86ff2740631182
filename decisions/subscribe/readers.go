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
	// onceKept is that of one that reads only what stands there.
	onceKept = 5 * time.Second
)

// readRoutes puts the model's route document, then its changes, into the inbox until the context ends.
func (f *follower) readRoutes(ctx context.Context) { f.keep(ctx, "route document", f.watchRoutes) }

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

func (f *follower) watchRoutes(ctx context.Context) error {
	from, err := f.routes(message{route: true})
	if err != nil {
		return err
	}
	from.caughtUp = f.openLog
	return f.read(ctx, from)
}

// routes is where the route document stands.
func (f *follower) routes(m message) (origin, error) {
	key, err := schemas.RouteKey(f.model)
	return f.entry(key, m), err
}

// entry is where a key of the bucket stands, whose value is put; m says of what. It isn't watched as a bucket's own
// client does: what that asks for in NATS (flow control) is more than a router need be permitted, and where it isn't, it hears nothing more after some MB.
func (f *follower) entry(key string, m message) origin {
	return origin{stream: "KV_" + schemas.RoutesBucket, subject: "$KV." + schemas.RoutesBucket + "." + key, give: func(ctx context.Context, entry jetstream.Msg, w writing) error {
		m.written = w
		f.putEntry(ctx, entry, m)
		return nil
	}}
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
	return f.read(ctx, f.entry(key, message{again: true}))
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
	read, failed := false, false
	return f.read(ctx, origin{stream: schemas.StreamName, subject: subject, give: func(ctx context.Context, m jetstream.Msg, _ writing) error {
		if split := asksSplit(m.Data()); !read && !(split && failed) { // it waits for the bucket once
			err := f.routesNow(ctx)
			if read, failed = err == nil, err != nil; failed {
				err = fmt.Errorf("the route document, which comes before it: %w", err)
				if !split {
					return err
				}
				f.o.OnError(fmt.Errorf("model %s: read the decision log: %w (a rollback, and all that asks for a split, is carried out without it)", f.model, err))
			}
		}
		f.put(ctx, fromLog(m))
		return nil
	}})
}

// routesNow puts the route document as it stands, before the log's first message. Behind a lost connection that may ask for no split, and an older decision, which the log doesn't give any more, for the
// split that is to be: once the newer one was carried out, that would be passed over for good.
func (f *follower) routesNow(ctx context.Context) error {
	from, err := f.routes(message{route: true, before: true})
	if err != nil {
		return err
	}
	from.standing = true
	return f.read(ctx, from)
}

// asksSplit reports whether a message, of which nothing is verified yet, asks for a split: a bucket that doesn't answer is not to hold up a rollback.
func asksSplit(body []byte) bool {
	d, err := schemas.DecodeDecision(body)
	return err == nil && moves(d)
}

// An origin is one subject of a stream.
type origin struct {
	stream, subject string
	give            func(context.Context, jetstream.Msg, writing) error
	caughtUp        func() // where set: what stood there at the beginning was read, or nothing did
	standing        bool   // only that is read
}

// operation is the header of a key's value that is none: the key was deleted.
const operation = "KV-Operation"

// read gives the last message that stands there, and new ones, until the context ends, or it isn't safe to read on (package reader).
func (f *follower) read(ctx context.Context, from origin) error {
	kept := readerKept
	if from.standing {
		kept = onceKept
	}
	return reader.Read(ctx, f.js, reader.Query{
		Stream: from.stream, Subjects: []string{from.subject}, Kept: kept, Timeout: f.o.Timeout, CaughtUp: from.caughtUp, Standing: from.standing,
		Give: func(m jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
			return false, from.give(ctx, m, writing{meta.Sequence.Stream, meta.Timestamp.UnixNano()})
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
