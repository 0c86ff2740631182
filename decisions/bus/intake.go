package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// Settings of what reads from a durable consumer.
const (
	intakePause  = time.Second // after an error of the connection
	intakeExpiry = 30 * time.Second
)

// lasting runs an intake until the context ends (nil). What breaks it off goes to Options.OnError, once for each cause, and it begins again; run calls its argument when it has begun.
// What is for good is returned.
func (b *Bus) lasting(ctx context.Context, what string, forGood func(error) bool, run func(begun func()) error) error {
	told := ""
	for {
		err := run(func() { told = "" })
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && forGood(err):
			return fmt.Errorf("%s at %s: %w", what, b.where(), noJetStream(err))
		case err != nil && err.Error() != told:
			told = err.Error()
			b.wrong(fmt.Errorf("%s: %w: trying again", what, err))
		}
		if !pause(ctx, intakePause) {
			return nil
		}
	}
}

// durable opens a durable consumer of the stream. One that is there goes on where it is. One that isn't is made: it begins as its configuration says, or, where somebody has deleted the
// one that was read, with what was stored from a time on (zero: none was read).
func (b *Bus) durable(ctx context.Context, config jetstream.ConsumerConfig, from time.Time) (jetstream.Consumer, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	there, err := b.js.Consumer(ctx, schemas.StreamName, config.Durable)
	switch {
	case err == nil: // where it began can't be changed
		was := &there.CachedInfo().Config
		config.DeliverPolicy, config.OptStartSeq, config.OptStartTime = was.DeliverPolicy, was.OptStartSeq, was.OptStartTime
	case !errors.Is(err, jetstream.ErrConsumerNotFound):
		return nil, err
	case !from.IsZero():
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &from
	}
	return b.js.CreateOrUpdateConsumer(ctx, schemas.StreamName, config)
}

// messages calls fn with what a consumer has, of which at most so many are on their way, until the context ends (nil), or the consumer or its stream is gone.
func (b *Bus) messages(ctx context.Context, consumer jetstream.Consumer, most int, fn func(jetstream.Msg)) error {
	messages, err := consumer.Messages(jetstream.PullMaxMessages(most), jetstream.PullExpiry(intakeExpiry))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrMsgIteratorClosed), errors.Is(err, jetstream.ErrConsumerDeleted):
			return err
		case err != nil: // a heartbeat missed: the iterator goes on when the connection is back, but not by a consumer that was deleted meanwhile
			if err := b.gone(ctx, consumer); err != nil || !pause(ctx, intakePause) {
				return err
			}
			continue
		}
		fn(message)
	}
}

// gone is the error that says that a consumer, or its stream, is not there; nil: it is, or that isn't known.
func (b *Bus) gone(ctx context.Context, consumer jetstream.Consumer) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	_, err := consumer.Info(ctx)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	return nil
}

// pause waits; false: the context ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
