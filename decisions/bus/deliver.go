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
		return decisions.Receipt{}, b.Again(ctx, d.Model, d.ID)
	case decisions.DoNotify:
		err := b.PublishNotice(ctx, d)
		if err == nil {
			b.after("event")
		}
		return decisions.Receipt{}, err
	}
	panic(fmt.Sprintf("delivery %q of %s is unknown", d.Do, d.ID))
}

// publishAttempts bounds how often a decision is published behind what others have written meanwhile.
const publishAttempts = 16

// Publish publishes a decision behind the one that it expects. Where a newer decision that counts (LastDecision) stands there, it is read back into the receipt:
// Head.Delivered tells whether it is one's own. Whatever else stands there stops nothing: the decision is published behind it.
func (b *Bus) Publish(ctx context.Context, d decisions.Delivery) (decisions.Receipt, error) {
	subject, err := schemas.DecisionSubject(d.Model)
	if err != nil {
		return decisions.Receipt{}, fmt.Errorf("publish decision %s: %w", d.ID, err)
	}
	if b.o.Key == nil {
		return decisions.Receipt{}, fmt.Errorf("publish decision %s: %w", d.ID, ErrNoKey)
	}
	message := b.message(subject, d)
	expect := d.Expect
	for range publishAttempts {
		ack, err := b.publishBehind(ctx, message, expect)
		switch {
		case err == nil && !ack.Duplicate:
			return decisions.Receipt{Sequence: ack.Sequence}, nil
		case err != nil && !wrongLast(err):
			return decisions.Receipt{}, fmt.Errorf("publish decision %s on %s at %s: %w", d.ID, subject, b.where(), err)
		}
		last, end, err := b.readBack(ctx, subject, d)
		if err != nil || last != nil {
			return decisions.Receipt{Last: last}, err
		}
		if ack != nil { // somebody else has used its id: the server takes it for a copy
			message.Header.Set(schemas.HeaderMessageID, fmt.Sprintf("%s/%d", d.ID, end))
		}
		expect = end
	}
	return decisions.Receipt{}, fmt.Errorf("publish decision %s on %s at %s: others have written there %d times meanwhile: let only serve publish to %s",
		d.ID, subject, b.where(), publishAttempts, schemas.AllDecisions)
}

// message is a decision as it is published.
func (b *Bus) message(subject string, d decisions.Delivery) *nats.Msg {
	signed := b.o.Key.Sign(d.Body)
	message := &nats.Msg{Subject: subject, Data: d.Body, Header: nats.Header{}}
	message.Header.Set(schemas.HeaderMessageID, d.ID)
	message.Header.Set(schemas.HeaderKeyID, signed.KeyID)
	message.Header.Set(schemas.HeaderSignature, schemas.EncodeSignature(signed.Signature))
	message.Header.Set(schemas.HeaderPublicKey, base64.StdEncoding.EncodeToString(b.o.Key.Public()))
	b.marks(message)
	return message
}

// marks says of a message that a dry run publishes it.
func (b *Bus) marks(message *nats.Msg) {
	if b.o.DryRun {
		message.Header.Set(schemas.HeaderDryRun, "true")
	}
}

// publishBehind publishes if the subject's last message is the expected one. A replicated stream looks at the id first (PubAck.Duplicate).
func (b *Bus) publishBehind(ctx context.Context, message *nats.Msg, expect uint64) (*jetstream.PubAck, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	return b.js.PublishMsg(ctx, message, jetstream.WithExpectLastSequencePerSubject(expect), jetstream.WithExpectStream(schemas.StreamName))
}

// wrongLast reports whether the subject (or key) had another last message than expected.
func wrongLast(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// readBack looks for a decision that counts behind the one that was to be the last: the very one that is published, where that stands there already, whatever came after, or the newest. nil: there is none, and end is what
// really stands last. A subject that is empty although a message was expected has lost it.
func (b *Bus) readBack(ctx context.Context, subject string, d decisions.Delivery) (last *decisions.Last, end uint64, err error) {
	sha, own := decisions.BodySha256(d.Body), (*Logged)(nil)
	t, err := b.scan(ctx, scan{model: d.Model, from: max(d.Expect, 1), known: prevOf(d.Body), each: func(l *Logged) {
		if l.Decision.ID == d.ID && decisions.BodySha256(l.Signed.Body) == sha {
			own = l
		}
	}})
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("publish decision %s: read %s back: %w", d.ID, subject, err)
	case t.end == 0 && d.Expect > 0:
		return nil, 0, fmt.Errorf("publish decision %s: %s is empty, its last message was to be %d: %w", d.ID, subject, d.Expect, ErrLogRegressed)
	case t.end < d.Expect:
		return nil, 0, fmt.Errorf("publish decision %s: the last message of %s is %d, it was to be %d: %w", d.ID, subject, t.end, d.Expect, ErrLogRegressed)
	case t.last == nil || t.last.Sequence <= d.Expect:
		return nil, t.end, nil
	}
	found := t.last
	if own != nil {
		found = own
	}
	return &decisions.Last{Sequence: found.Sequence, ID: found.Decision.ID, Sha256: decisions.BodySha256(found.Signed.Body)}, t.end, nil
}

// last reads a subject's last message.
func (b *Bus) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	stream, err := b.js.Stream(ctx, schemas.StreamName)
	if err != nil {
		return nil, noLog(err)
	}
	return stream.GetLastMsgForSubject(ctx, subject)
}
