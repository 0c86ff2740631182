package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions/subscribe/reader"
	"streamcanary/schemas"
)

// place is how far a stream was read. A stream that was deleted and made anew, or restored from an older backup, begins again at 1.
type place struct {
	made time.Time // when the stream was; zero: it was not read yet
	next uint64    // sequence of the next message; 0 is 1
	last uint64    // sequence of the last message that was read, which was stored at a time: another one in its place is of another stream; 0: none was read
	at   time.Time
}

// in brings a place into line with the stream as it is now.
func (p *place) in(stream *jetstream.StreamInfo) {
	if p.made.IsZero() {
		p.made, p.next = stream.Created, max(p.next, 1)
	}
	if !p.made.Equal(stream.Created) || stream.State.LastSeq+1 < p.next {
		*p = place{made: stream.Created, next: 1}
	}
}

// settle brings a place into line with the decision log as it is now.
func (b *Bus) settle(ctx context.Context, at *place) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	stream, err := b.js.Stream(ctx, schemas.StreamName)
	if err != nil {
		return err
	}
	if at.in(stream.CachedInfo()); at.last == 0 {
		return nil
	}
	message, err := stream.GetMsg(ctx, at.last)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound): // it has gone by the stream's limits
	case err != nil:
		return err
	case !message.Time.Equal(at.at):
		*at = place{made: at.made, next: 1}
	}
	return nil
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

// errOther: the decision log isn't the one any more whose beginning was read.
var errOther = errors.New("the decision log was made anew, or restored from an older backup, meanwhile")

// read calls fn with the messages under a subject in order, from a place on that it moves along, until fn is done or fails, or the context ends (nil),
// or it isn't safe to read on (package reader), or the stream is gone.
func (b *Bus) read(ctx context.Context, subject string, at *place, fn taking) error {
	return b.readAll(ctx, []string{subject}, at, fn)
}

// readAll is read with the messages under several subjects. Over a connection that was lost and is back it goes on, in the same log.
func (b *Bus) readAll(ctx context.Context, subjects []string, at *place, fn taking) error {
	var failed error
	give := func(m jetstream.Msg, meta *jetstream.MsgMetadata) (done bool, err error) {
		at.next, at.last, at.at = meta.Sequence.Stream+1, meta.Sequence.Stream, meta.Timestamp
		done, failed = fn(m, meta.Sequence.Stream, meta.Timestamp)
		return done, failed
	}
	for again := false; ; again = true {
		before := *at
		err := b.settle(ctx, at)
		if err == nil && again && *at != before {
			err = errOther
		}
		if err == nil {
			err = reader.Read(ctx, b.js, reader.Query{Stream: schemas.StreamName, Subjects: subjects, From: at.next, Kept: readerKept, Timeout: b.o.Timeout, Give: give})
		}
		switch {
		case failed != nil || ctx.Err() != nil:
			return failed
		case errors.Is(err, reader.ErrBrokenOff):
			continue
		case err != nil:
			return fmt.Errorf("read %s at %s: %w", strings.Join(subjects, " and "), b.where(), noLog(err))
		}
		return nil
	}
}
