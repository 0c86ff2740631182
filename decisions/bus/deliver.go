package bus

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// Deliver empties the outbox of a stored record: it publishes decisions and events and writes routes, in order, and returns the
// record without what is done. On an error the returned record is as far as it got: after ErrFenced the caller must stop deciding;
// any other error can be tried again with the returned record. The caller stores it with its next write: delivering again
// what was delivered does nothing.
func (b *Bus) Deliver(ctx context.Context, h decisions.Head) (decisions.Head, error) {
	for {
		d, more := h.Next()
		if !more {
			return h, nil
		}
		receipt, err := b.do(ctx, d)
		if err != nil {
			return h, err
		}
		if h, err = h.Delivered(receipt); err != nil {
			return h, err
		}
	}
}

// do carries out one delivery.
func (b *Bus) do(ctx context.Context, d decisions.Delivery) (decisions.Receipt, error) {
	switch d.Do {
	case decisions.DoPublish:
		receipt, err := b.Publish(ctx, d)
		if err == nil {
			b.after("publish")
		}
		return receipt, err
	case decisions.DoRoute:
		err := b.PutRoute(ctx, d.Model, d.Body)
		if err == nil {
			b.after("route")
		}
		return decisions.Receipt{}, err
	case decisions.DoAgain:
		return decisions.Receipt{}, b.AgainRoute(ctx, d.Model, d.ID)
	case decisions.DoNotify:
		err := b.PublishNotice(ctx, d)
		if err == nil {
			b.after("event")
		}
		return decisions.Receipt{}, err
	}
	panic(fmt.Sprintf("delivery %q of %s is unknown", d.Do, d.ID))
}

// Publish publishes a decision behind the one that it expects. Where the subject's last message is another, it reads that back into
// the receipt: Head.Delivered tells whether it is one's own.
func (b *Bus) Publish(ctx context.Context, d decisions.Delivery) (decisions.Receipt, error) {
	subject, err := schemas.DecisionSubject(d.Model)
	if err != nil {
		return decisions.Receipt{}, fmt.Errorf("publish decision %s: %w", d.ID, err)
	}
	if b.o.Key == nil {
		return decisions.Receipt{}, fmt.Errorf("publish decision %s: %w", d.ID, ErrNoKey)
	}
	signed := b.o.Key.Sign(d.Body)
	message := &nats.Msg{Subject: subject, Data: d.Body, Header: nats.Header{}}
	message.Header.Set(schemas.HeaderMessageID, d.ID)
	message.Header.Set(schemas.HeaderKeyID, signed.KeyID)
	message.Header.Set(schemas.HeaderSignature, schemas.EncodeSignature(signed.Signature))
	message.Header.Set(schemas.HeaderPublicKey, base64.StdEncoding.EncodeToString(b.o.Key.Public()))
	within, cancel := b.within(ctx)
	defer cancel()
	ack, err := b.js.PublishMsg(within, message, jetstream.WithExpectLastSequencePerSubject(d.Expect), jetstream.WithExpectStream(schemas.StreamName))
	switch {
	case wrongLast(err):
		return b.readBack(ctx, subject, d)
	case err != nil:
		return decisions.Receipt{}, fmt.Errorf("publish decision %s on %s at %s: %w", d.ID, subject, b.where(), err)
	case ack.Duplicate: // a replicated stream looks at the id first
		return b.readBack(ctx, subject, d)
	}
	return decisions.Receipt{Sequence: ack.Sequence}, nil
}

// wrongLast reports whether the subject (or key) had another last message than expected.
func wrongLast(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// readBack looks at what stands last on a decision subject. A subject that is empty although a message was expected has lost it.
func (b *Bus) readBack(ctx context.Context, subject string, d decisions.Delivery) (decisions.Receipt, error) {
	message, err := b.last(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return decisions.Receipt{}, fmt.Errorf("publish decision %s: %s is empty, its last message was to be %d: %w", d.ID, subject, d.Expect, ErrLogRegressed)
	}
	if err != nil {
		return decisions.Receipt{}, fmt.Errorf("publish decision %s: read %s back: %w", d.ID, subject, err)
	}
	if message.Sequence < d.Expect {
		return decisions.Receipt{}, fmt.Errorf("publish decision %s: the last message of %s is %d, it was to be %d: %w", d.ID, subject, message.Sequence, d.Expect, ErrLogRegressed)
	}
	return decisions.Receipt{Last: &decisions.Last{
		Sequence: message.Sequence, ID: message.Header.Get(schemas.HeaderMessageID), Sha256: decisions.BodySha256(message.Data),
	}}, nil
}

// last reads a subject's last message.
func (b *Bus) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	stream, err := b.js.Stream(ctx, schemas.StreamName)
	if err != nil {
		return nil, noJetStream(err)
	}
	return stream.GetLastMsgForSubject(ctx, subject)
}
