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
	ackConsumer  = "streamcanary-acks" // durable, one for all instances
	ackWait      = 5 * time.Second     // until an ack that was not handed over comes again: to another instance, or after a restart
	ackAgain     = time.Second         // the same after the handler refused it
	acksInFlight = 256
	acksInBatch  = 8
	acksOverlap  = 10 * time.Minute // of what was taken before the consumer was deleted, how much is taken again: another instance may have had some of it in hand
)

// AckMessage is an ack as it arrived. Model and consumer in it are those of its subject, which the server guards, too.
type AckMessage struct {
	Ack      schemas.Ack
	Model    string
	Sequence uint64    // in the stream: tells two deliveries of one message from two messages
	At       time.Time // when the server stored it
	Tries    uint64    // how often it was handed over, this time included
}

// Acks hands every ack to the handler, at least once, until the context ends (nil). One that the handler refuses comes again
// after a second, one that it took never (but for a crash just then, or where somebody has deleted the consumer: what came in the last minutes before that comes again). Acks that can't be read,
// or whose subject names somebody else, go to malformed (nil: nowhere) and are done with. Instances share the acks among them. What breaks it off goes to Options.OnError, and it begins
// again where it was; it is an error only where it could never begin.
func (b *Bus) Acks(ctx context.Context, handle func(AckMessage) error, malformed func(error)) error {
	var taken time.Time // of the last ack that was taken; zero: none was
	began := false
	return b.lasting(ctx, "take acks", func(err error) bool { return !began && !errors.Is(err, jetstream.ErrStreamNotFound) }, func(again func()) error {
		from := taken
		if !from.IsZero() {
			from = from.Add(-acksOverlap)
		}
		consumer, err := b.durable(ctx, ackConfig(), from)
		if err != nil {
			return err
		}
		began = true
		again()
		return b.messages(ctx, consumer, acksInBatch, func(message jetstream.Msg) {
			if at, took := b.handOver(message, handle, malformed); took {
				taken = at
			}
		})
	})
}

func ackConfig() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: ackConsumer, FilterSubject: schemas.AllAcks, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxDeliver: -1, MaxAckPending: acksInFlight, DeliverPolicy: jetstream.DeliverAllPolicy,
	}
}

// handOver gives one message to the handler, and says whether that took it, and when it was stored. What the server isn't told here (a lost connection) makes it come again.
func (b *Bus) handOver(message jetstream.Msg, handle func(AckMessage) error, malformed func(error)) (at time.Time, took bool) {
	ack, err := readAck(message)
	if err != nil {
		if malformed != nil {
			malformed(err)
		}
		_ = message.Term()
		return at, false
	}
	if handle(ack) != nil {
		_ = message.NakWithDelay(ackAgain)
		return at, false
	}
	_ = message.Ack()
	return ack.At, true
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
	return AckMessage{Ack: *ack, Model: names[0], Sequence: meta.Sequence.Stream, At: meta.Timestamp, Tries: meta.NumDelivered}, nil
}
