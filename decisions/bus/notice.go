package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// PublishNotice publishes the event of a delivery. The same id again within ten minutes is one event.
func (b *Bus) PublishNotice(ctx context.Context, d decisions.Delivery) error {
	subject, err := schemas.NoticeSubject(d.Model, d.Notice)
	if err != nil {
		return fmt.Errorf("publish event %s: %w", d.ID, err)
	}
	ctx, cancel := b.within(ctx)
	defer cancel()
	message := &nats.Msg{Subject: subject, Data: d.Body, Header: nats.Header{}}
	b.marks(message)
	if _, err := b.js.PublishMsg(ctx, message, jetstream.WithMsgID(d.ID)); err != nil {
		return fmt.Errorf("publish event %s on %s at %s: %w", d.ID, subject, b.where(), err)
	}
	return nil
}

// Notices calls fn with every event of all models from the beginning of the log on, until the context ends (nil) or fn fails; it follows the log as
// Log does. Events that can't be read, of another version perhaps, are passed over.
func (b *Bus) Notices(ctx context.Context, fn func(*schemas.Notice) error) error {
	return b.follow(ctx, schemas.AllNotices, func(message jetstream.Msg, _ uint64, _ time.Time) (bool, error) {
		notice, err := schemas.DecodeNotice(message.Data())
		if err != nil {
			return false, nil
		}
		return false, fn(notice)
	})
}

// LastNotice is the last event of a kind about a model, and when it was stored; ErrNotFound where there is none.
func (b *Bus) LastNotice(ctx context.Context, model string, kind schemas.NoticeKind) (*schemas.Notice, time.Time, error) {
	subject, err := schemas.NoticeSubject(model, kind)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read the last event %s of model %s: %w", kind, model, err)
	}
	message, err := b.last(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read the last event %s of model %s at %s: %w", kind, model, b.where(), err)
	}
	notice, err := schemas.DecodeNotice(message.Data)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read the last event %s of model %s: %w: %w", kind, model, ErrOddNotice, err)
	}
	return notice, message.Time, nil
}

// EachNotice calls fn with the events of a kind about a model, in the order of the log, up to the last that it has now: none where there is none. Events that can't be read are passed over.
func (b *Bus) EachNotice(ctx context.Context, model string, kind schemas.NoticeKind, fn func(*schemas.Notice)) error {
	subject, err := schemas.NoticeSubject(model, kind)
	if err != nil {
		return fmt.Errorf("read the events %s of model %s: %w", kind, model, err)
	}
	end, err := b.last(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the events %s of model %s at %s: %w", kind, model, b.where(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, historyWithin)
	defer cancel()
	ended := false
	err = b.read(ctx, subject, &place{}, func(message jetstream.Msg, sequence uint64, _ time.Time) (bool, error) {
		if notice, err := schemas.DecodeNotice(message.Data()); err == nil {
			fn(notice)
		}
		ended = sequence >= end.Sequence
		return ended, nil
	})
	if err == nil && !ended {
		err = fmt.Errorf("read the events %s of model %s at %s: %w", kind, model, b.where(), context.Cause(ctx))
	}
	return err
}

// Heartbeat publishes that the judge is alive. Its error is news of the decision log, too: a full disk, a lost quorum.
func (b *Bus) Heartbeat(ctx context.Context, h *schemas.Heartbeat) error {
	body, err := schemas.EncodeHeartbeat(h)
	if err != nil {
		return err
	}
	ctx, cancel := b.within(ctx)
	defer cancel()
	if _, err := b.js.Publish(ctx, schemas.HeartbeatSubject, body); err != nil {
		return fmt.Errorf("publish heartbeat at %s: %w", b.where(), err)
	}
	return nil
}
