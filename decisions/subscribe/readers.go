package subscribe

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// reopenAfter is the pause before a reader that failed begins again.
const reopenAfter = time.Second

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

// keep runs a reader again whenever it fails: it begins with what stands there now, so nothing that matters is missed.
func (f *follower) keep(ctx context.Context, what string, read func(context.Context) error) {
	told := ""
	for {
		err := read(ctx)
		if ctx.Err() != nil {
			return
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
	key, err := schemas.RouteKey(f.model)
	if err != nil {
		return err
	}
	return f.watchKey(ctx, key, message{route: true}, f.openLog)
}

// watchKey puts the value of a key of the bucket, if it has one, and its changes, until the context ends; m says where it is from. It doesn't watch as a bucket's own
// client does: what that asks for in NATS (flow control) is more than a router need be permitted, and where it isn't, it hears nothing more after some MB.
func (f *follower) watchKey(ctx context.Context, key string, m message, caughtUp func()) error {
	return f.read(ctx, reader{stream: "KV_" + schemas.RoutesBucket, subject: "$KV." + schemas.RoutesBucket + "." + key, caughtUp: caughtUp, give: func(entry jetstream.Msg) {
		f.putEntry(ctx, entry, m)
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
	return f.read(ctx, reader{stream: schemas.StreamName, subject: subject, caughtUp: func() {}, give: func(m jetstream.Msg) { f.put(ctx, fromLog(m)) }})
}

// A reader is who reads one subject of a stream.
type reader struct {
	stream, subject string
	give            func(jetstream.Msg)
	caughtUp        func() // what stood there at the beginning was read, or nothing did
}

// operation is the header of a key's value that is none: the key was deleted.
const operation = "KV-Operation"

// read gives the last message that stands there, and new ones, until the context ends, or the connection or the stream is gone: left to itself, the client would try to go on for as long as
// that lasts, heed no context meanwhile, and go on behind the last sequence even in a stream that was made anew.
func (f *follower) read(ctx context.Context, r reader) error {
	opening, cancel := context.WithTimeout(ctx, f.o.Timeout)
	defer cancel()
	consumer, err := f.js.OrderedConsumer(opening, r.stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{r.subject}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, MaxResetAttempts: 1,
	})
	if err != nil {
		return err
	}
	behind := consumer.CachedInfo().NumPending > 0
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	if behind { // what stood there may have been taken away since
		first, cancel := context.WithTimeout(ctx, f.o.Timeout)
		defer cancel()
		next, err := messages.Next(jetstream.NextContext(first))
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			r.give(next)
		case !errors.Is(err, context.DeadlineExceeded):
			return err
		}
	}
	r.caughtUp()
	for {
		next, err := messages.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		r.give(next)
	}
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
