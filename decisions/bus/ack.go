package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// Settings of the intake of acks.
const (
	ackConsumer   = "streamcanary-acks" // durable, one for all instances
	ackWait       = 5 * time.Second     // until an ack that was not handed over comes again: to another instance, or after a restart
	ackAgain      = time.Second         // the same after the handler refused it
	acksInFlight  = 256
	intakePause   = time.Second // after an error of the connection
	acksInBatch   = 8
	ackIdleExpiry = 30 * time.Second
)

// AckMessage is an ack as it arrived. Model and consumer in it are those of its subject, which the server guards, too.
type AckMessage struct {
	Ack      schemas.Ack
	Model    string
	Sequence uint64    // in the stream: tells two deliveries of one message from two messages
	At       time.Time // when the server stored it
}

// Acks hands every ack to the handler, at least once, until the context ends (nil). One that the handler refuses comes again
// after a second, one that it took never (but for a crash just then). Acks that can't be read, or whose subject names somebody
// else, go to malformed (nil: nowhere) and are done with. Instances share the acks among them.
func (b *Bus) Acks(ctx context.Context, handle func(AckMessage) error, malformed func(error)) error {
	consumer, err := b.ackConsumer(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take acks at %s: %w", b.where(), err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(acksInBatch), jetstream.PullExpiry(ackIdleExpiry))
	if err != nil {
		return fmt.Errorf("take acks at %s: %w", b.where(), err)
	}
	defer messages.Stop()
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrMsgIteratorClosed), errors.Is(err, jetstream.ErrConsumerDeleted):
			return fmt.Errorf("take acks at %s: %w", b.where(), err)
		case err != nil: // a heartbeat missed: the iterator goes on when the connection is back
			if !pause(ctx, intakePause) {
				return nil
			}
			continue
		}
		b.handOver(message, handle, malformed)
	}
}

func (b *Bus) ackConsumer(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	return b.js.CreateOrUpdateConsumer(ctx, schemas.StreamName, jetstream.ConsumerConfig{
		Durable: ackConsumer, FilterSubject: schemas.AllAcks, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxDeliver: -1, MaxAckPending: acksInFlight, DeliverPolicy: jetstream.DeliverAllPolicy,
	})
}

// handOver gives one message to the handler. What the server isn't told here (a lost connection) makes it come again.
func (b *Bus) handOver(message jetstream.Msg, handle func(AckMessage) error, malformed func(error)) {
	ack, err := readAck(message)
	if err != nil {
		if malformed != nil {
			malformed(err)
		}
		_ = message.Term()
		return
	}
	if handle(ack) != nil {
		_ = message.NakWithDelay(ackAgain)
		return
	}
	_ = message.Ack()
}

func readAck(message jetstream.Msg) (AckMessage, error) {
	names, err := schemas.SubjectNames(message.Subject())
	if err != nil || len(names) != 2 {
		return AckMessage{}, fmt.Errorf("ack on %s: want a model and a consumer: %w", message.Subject(), err)
	}
	ack, err := schemas.DecodeAck(message.Data())
	if err != nil {
		return AckMessage{}, fmt.Errorf("ack on %s: %w", message.Subject(), err)
	}
	if ack.Consumer != names[1] {
		return AckMessage{}, fmt.Errorf("ack on %s: it says that it is of consumer %q", message.Subject(), ack.Consumer)
	}
	meta, err := message.Metadata()
	if err != nil {
		return AckMessage{}, fmt.Errorf("ack on %s: %w", message.Subject(), err)
	}
	return AckMessage{Ack: *ack, Model: names[0], Sequence: meta.Sequence.Stream, At: meta.Timestamp}, nil
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
