package bus

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// place is how far a stream was read. A stream that was deleted and made anew begins again at 1.
type place struct {
	made time.Time // when the stream was; zero: it was not read yet
	next uint64    // sequence of the next message; 0 is 1
}

// in brings a place into line with the stream as it is now.
func (p *place) in(stream *jetstream.StreamInfo) {
	if p.made.IsZero() {
		p.made, p.next = stream.Created, max(p.next, 1)
	}
	if !p.made.Equal(stream.Created) || stream.State.LastSeq+1 < p.next {
		p.made, p.next = stream.Created, 1
	}
}

// taking takes one message with its sequence in the stream and the time at which it was stored, and says whether that was all.
type taking func(message jetstream.Msg, sequence uint64, at time.Time) (done bool, err error)

// readerKept is how long the server remembers a reader that has gone: with its default of five minutes, who asks often meets its limit of consumers.
const readerKept = 10 * time.Second

// followAgain is the pause after a reading that broke off.
const followAgain = time.Second

// follow reads a subject from its beginning until fn is done or fails, or the context ends (nil). A reading that breaks off begins again where it was;
// what broke it off goes to Options.OnError, once for each cause. Only a stream that never could be read is an error.
func (b *Bus) follow(ctx context.Context, subject string, fn taking) error {
	return b.followFrom(ctx, subject, place{}, fn)
}

// followFrom is follow from a place on.
func (b *Bus) followFrom(ctx context.Context, subject string, at place, fn taking) error {
	told := ""
	for {
		over, failed := false, error(nil)
		err := b.read(ctx, subject, &at, func(message jetstream.Msg, sequence uint64, stored time.Time) (bool, error) {
			told = ""
			over, failed = fn(message, sequence, stored)
			return over, failed
		})
		switch {
		case over || failed != nil || ctx.Err() != nil:
			return failed
		case at.made.IsZero():
			return err
		case b.o.OnError != nil && err.Error() != told:
			told = err.Error()
			b.o.OnError(fmt.Errorf("%w: trying again", err))
		}
		if !pause(ctx, followAgain) {
			return nil
		}
	}
}

// read calls fn with the messages under a subject in order, from a place on that it moves along, until fn is done or fails, or the context ends (nil),
// or the connection or the stream is gone: left to itself, the client would try to go on for as long as that lasts, heed no context meanwhile, and
// go on behind the last sequence even in a stream that was made anew.
func (b *Bus) read(ctx context.Context, subject string, at *place, fn taking) error {
	return b.readAll(ctx, []string{subject}, at, fn)
}

// readAll is read with the messages under several subjects.
func (b *Bus) readAll(ctx context.Context, subjects []string, at *place, fn taking) error {
	subject := strings.Join(subjects, " and ")
	consumer, err := b.reader(ctx, subjects, at)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s at %s: %w", subject, b.where(), noLog(err))
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("read %s at %s: %w", subject, b.where(), err)
	}
	defer messages.Stop()
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s at %s: %w", subject, b.where(), noLog(err))
		}
		meta, err := message.Metadata()
		if err != nil {
			return fmt.Errorf("read %s: %w", subject, err)
		}
		at.next = meta.Sequence.Stream + 1
		if done, err := fn(message, meta.Sequence.Stream, meta.Timestamp); done || err != nil {
			return err
		}
	}
}

// reader opens a reader of subjects at a place.
func (b *Bus) reader(ctx context.Context, subjects []string, at *place) (jetstream.Consumer, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	stream, err := b.js.Stream(ctx, schemas.StreamName)
	if err != nil {
		return nil, err
	}
	at.in(stream.CachedInfo())
	return stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: at.next,
		InactiveThreshold: readerKept, MaxResetAttempts: 1,
	})
}
