package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// Settings of what sinks hear. The stream is a sink's queue, and its durable consumer, which all instances share, its place in it.
const (
	sinkConsumer  = "streamcanary-sink-"
	lastConsumer  = "streamcanary-last-" // of SinkQuery.Last: the two can't be turned into each other
	sinkWait      = 10 * time.Second     // until an event comes again whose handler says nothing any more: a process that ended
	sinkProgress  = 3 * time.Second      // how often a handler that is at work says so
	sinkForgotten = 30 * 24 * time.Hour  // after which a sink that nobody asks for begins anew
	sinkOpen      = 64                   // decisions of SinkQuery.Last that are not done with
)

// A SinkQuery says what a sink hears.
type SinkQuery struct {
	Name string // of its place in the log: the same after a restart
	// Last: it hears decisions only, at first the last one of each model, and newer ones while an older one is yet to be tried again. Otherwise it hears decisions and
	// notices, from when it is first asked for, each once the one before is done with.
	Last bool
}

// Told is a decision or a notice on its way to a sink.
type Told struct {
	Logged                  // Decision is nil where it is a notice
	Notice  *schemas.Notice // nil where it is a decision
	Attempt int             // of the handler, from 1
}

// Names are the model and the rollout that it is about.
func (t *Told) Names() (model, rollout string) {
	if t.Decision != nil {
		return t.Decision.Model, t.Decision.Rollout
	}
	return t.Notice.Model, t.Notice.Rollout
}

// EnsureSink makes a sink's place in the log: from then on it misses nothing.
func (b *Bus) EnsureSink(ctx context.Context, q SinkQuery) error {
	_, err := b.sinkConsumer(ctx, q)
	if err != nil {
		return fmt.Errorf("sink %s at %s: %w", q.Name, b.where(), err)
	}
	return nil
}

func (b *Bus) sinkConsumer(ctx context.Context, q SinkQuery) (jetstream.Consumer, error) {
	token, err := schemas.EncodeName(q.Name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := b.within(ctx)
	defer cancel()
	config := jetstream.ConsumerConfig{
		Durable: sinkConsumer + token, FilterSubjects: []string{schemas.AllDecisions, schemas.AllNotices}, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: sinkWait, MaxDeliver: -1, MaxAckPending: 1, DeliverPolicy: jetstream.DeliverNewPolicy, InactiveThreshold: sinkForgotten,
	}
	if q.Last {
		config.Durable = lastConsumer + token
		config.FilterSubjects, config.DeliverPolicy, config.MaxAckPending = []string{schemas.AllDecisions}, jetstream.DeliverLastPerSubjectPolicy, sinkOpen
	}
	return b.js.CreateOrUpdateConsumer(ctx, schemas.StreamName, config)
}

// Tell hands a sink what it is to hear, at least once and one after the other, until the context ends. The handler says after which time an event is to come again;
// 0: it is done with. Whatever breaks this off goes to Options.OnError, and it begins again where it was: it never ends by itself.
func (b *Bus) Tell(ctx context.Context, q SinkQuery, handle func(context.Context, Told) time.Duration) {
	told := ""
	for {
		err := b.tell(ctx, q, handle)
		if ctx.Err() != nil {
			return
		}
		if b.o.OnError != nil && err.Error() != told {
			told = err.Error()
			b.o.OnError(fmt.Errorf("sink %s hears nothing: %w: trying again", q.Name, err))
		}
		if !pause(ctx, intakePause) {
			return
		}
	}
}

// tell is Tell until something breaks it off.
func (b *Bus) tell(ctx context.Context, q SinkQuery, handle func(context.Context, Told) time.Duration) error {
	consumer, err := b.sinkConsumer(ctx, q)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1), jetstream.PullExpiry(ackIdleExpiry))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrMsgIteratorClosed), errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrConsumerNotFound):
			return err
		case err != nil: // a heartbeat missed: the iterator goes on when the connection is back
			if !pause(ctx, intakePause) {
				return nil
			}
			continue
		}
		b.handTo(ctx, message, handle)
	}
}

// handTo gives one message to a sink's handler, and tells the server what came of it. What can't be read, of another version perhaps, is passed over.
func (b *Bus) handTo(ctx context.Context, message jetstream.Msg, handle func(context.Context, Told) time.Duration) {
	t, err := readTold(message)
	if err != nil {
		if b.o.OnError != nil {
			b.o.OnError(fmt.Errorf("passing over what no sink can be told: %w", err))
		}
		_ = message.Term()
		return
	}
	done := atWork(message)
	again := handle(ctx, t)
	done()
	if again > 0 {
		_ = message.NakWithDelay(again)
		return
	}
	_ = message.Ack()
}

// atWork says so to the server until it is done.
func atWork(message jetstream.Msg) (done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var saying sync.WaitGroup
	saying.Go(func() {
		for pause(ctx, sinkProgress) {
			_ = message.InProgress()
		}
	})
	return func() {
		cancel()
		saying.Wait()
	}
}

func readTold(message jetstream.Msg) (Told, error) {
	meta, err := message.Metadata()
	if err != nil {
		return Told{}, fmt.Errorf("message on %s: %w", message.Subject(), err)
	}
	t := Told{Attempt: int(meta.NumDelivered)}
	if strings.HasPrefix(message.Subject(), strings.TrimSuffix(schemas.AllNotices, ">")) {
		t.Sequence, t.At = meta.Sequence.Stream, meta.Timestamp
		t.Notice, err = schemas.DecodeNotice(message.Data())
		return t, err
	}
	t.Logged = logged(&jetstream.RawStreamMsg{Subject: message.Subject(), Sequence: meta.Sequence.Stream, Header: message.Headers(), Data: message.Data(), Time: meta.Timestamp})
	return t, t.Malformed
}

// Answer publishes an ack, as a subscriber's client does. Its id makes a repetition within the stream's window of duplicates one ack.
func (b *Bus) Answer(ctx context.Context, model string, a *schemas.Ack) error {
	subject, err := schemas.AckSubject(model, a.Consumer)
	if err != nil {
		return fmt.Errorf("answer decision %s: %w", a.Decision, err)
	}
	body, err := schemas.EncodeAck(a)
	if err != nil {
		return err
	}
	ctx, cancel := b.within(ctx)
	defer cancel()
	id := fmt.Sprintf("%s/%s/%s/%s", a.Decision, a.Consumer, a.Instance, a.Status)
	if _, err := b.js.Publish(ctx, subject, body, jetstream.WithMsgID(id)); err != nil {
		return fmt.Errorf("answer decision %s at %s: %w", a.Decision, b.where(), err)
	}
	return nil
}
