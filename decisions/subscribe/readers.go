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
			if entry == nil {
				f.openLog()
				continue
			}
			f.putRoute(ctx, entry)
		}
	}
}

// openLog lets the log be read; only readRoutes calls it.
func (f *follower) openLog() {
	select {
	case <-f.routesRead:
	default:
		close(f.routesRead)
	}
}

func (f *follower) putRoute(ctx context.Context, entry jetstream.KeyValueEntry) {
	if entry.Operation() != jetstream.KeyValuePut {
		return
	}
	signed, err := schemas.DecodeSigned(entry.Value())
	if err != nil {
		f.o.OnError(fmt.Errorf("model %s: route document: %w", f.model, err))
		return
	}
	f.put(ctx, message{signed: signed, route: true})
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
