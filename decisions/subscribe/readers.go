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

var errClosed = errors.New("the subscription is closed")

func (f *follower) watchRoutes(ctx context.Context) error {
	key, err := schemas.RouteKey(f.model)
	if err != nil {
		return err
	}
	return f.watchKey(ctx, key, func(entry jetstream.KeyValueEntry) {
		if entry == nil {
			f.openLog()
			return
		}
		f.putEntry(ctx, entry, message{route: true})
	})
}

// watchKey gives the value of a key of the bucket, if it has one, then nil, and then its changes, until the context ends.
func (f *follower) watchKey(ctx context.Context, key string, give func(jetstream.KeyValueEntry)) error {
	opening, cancel := context.WithTimeout(ctx, f.o.Timeout)
	defer cancel()
	kv, err := f.js.KeyValue(opening, schemas.RoutesBucket)
	if err != nil {
		return err
	}
	watcher, err := kv.Watch(ctx, key)
	if err != nil {
		return err
	}
	defer func() { _ = watcher.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, open := <-watcher.Updates():
			if !open {
				return errClosed
			}
			give(entry)
		}
	}
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
	return f.watchKey(ctx, key, func(entry jetstream.KeyValueEntry) {
		if entry != nil {
			f.putEntry(ctx, entry, message{again: true})
		}
	})
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
func (f *follower) putEntry(ctx context.Context, entry jetstream.KeyValueEntry, m message) {
	if entry.Operation() != jetstream.KeyValuePut {
		return
	}
	signed, err := schemas.DecodeSigned(entry.Value())
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

// watchLog reads the log until the context ends, or the connection or the log is gone: left to itself, the client would try to go on for as long as
// that lasts, heed no context meanwhile, and go on behind the last sequence even in a log that was made anew.
func (f *follower) watchLog(ctx context.Context) error {
	subject, err := schemas.DecisionSubject(f.model)
	if err != nil {
		return err
	}
	opening, cancel := context.WithTimeout(ctx, f.o.Timeout)
	defer cancel()
	consumer, err := f.js.OrderedConsumer(opening, schemas.StreamName, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, MaxResetAttempts: 1,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		next, err := messages.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		f.put(ctx, fromLog(next))
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
