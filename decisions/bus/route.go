package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// routeAttempts bounds how often a route write that lost its compare-and-set is tried again.
const routeAttempts = 16

// PutRoute makes a decision the model's route document, unless an equal or newer one that a trusted key has signed, by (epoch, seq), is there already: a late
// writer never takes traffic back, and what somebody else wrote keeps nobody from it.
func (b *Bus) PutRoute(ctx context.Context, model string, body []byte) error {
	decision, err := schemas.DecodeDecision(body)
	if err != nil {
		return fmt.Errorf("write route of model %s: %w", model, err)
	}
	if b.o.Key == nil {
		return fmt.Errorf("write route of model %s: %w", model, ErrNoKey)
	}
	value, err := schemas.EncodeSigned(b.o.Key.Sign(body))
	if err != nil {
		return fmt.Errorf("write route of model %s: %w", model, err)
	}
	for range routeAttempts {
		old, revision, err := b.route(ctx, model)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("write route of model %s: %w", model, err)
		}
		if old != nil && !newer(decision, old) {
			return nil
		}
		if err = b.setRoute(ctx, model, value, revision); err == nil {
			return nil
		}
		if !wrongLast(err) && !errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			return fmt.Errorf("write route of model %s at %s: %w", model, b.where(), err)
		}
	}
	return fmt.Errorf("write route of model %s: lost to other writers %d times", model, routeAttempts)
}

// newer reports whether a decision stands above another.
func newer(a, than *schemas.Decision) bool {
	return a.Epoch > than.Epoch || a.Epoch == than.Epoch && a.Seq > than.Seq
}

// Route is the decision in a model's route document; ErrNotFound where there is none that a trusted key has signed.
func (b *Bus) Route(ctx context.Context, model string) (*schemas.Decision, error) {
	decision, _, err := b.route(ctx, model)
	if err == nil && decision == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read route of model %s: %w", model, err)
	}
	return decision, nil
}

// route is what stands in a model's route document; nil: nothing that is to be believed.
func (b *Bus) route(ctx context.Context, model string) (*schemas.Decision, uint64, error) {
	decision, entry, err := b.routeEntry(ctx, model)
	if err != nil {
		return nil, 0, err
	}
	return decision, entry.Revision(), nil
}

func (b *Bus) routeEntry(ctx context.Context, model string) (*schemas.Decision, jetstream.KeyValueEntry, error) {
	key, err := schemas.RouteKey(model)
	if err != nil {
		return nil, nil, err
	}
	entry, err := b.get(ctx, schemas.RoutesBucket, key)
	if err != nil {
		return nil, nil, err
	}
	decision, err := b.routed(entry.Value(), model)
	if err != nil && len(b.trust.IDs()) > 0 {
		b.foreign(b.foreignRoute(model, entry, err))
		return nil, entry, nil
	}
	return decision, entry, err
}

// routed is the decision in the value of a route document; the error says why it is none.
func (b *Bus) routed(value []byte, model string) (*schemas.Decision, error) {
	signed, err := schemas.DecodeSigned(value)
	if err != nil {
		return nil, err
	}
	decision, err := schemas.DecodeDecision(signed.Body)
	if err != nil {
		return nil, err
	}
	return decision, b.believe(signed, decision, model)
}

func (b *Bus) setRoute(ctx context.Context, model string, value []byte, revision uint64) error {
	key, err := schemas.RouteKey(model)
	if err != nil {
		return err
	}
	_, err = b.set(ctx, change{schemas.RoutesBucket, key, value, revision})
	return err
}

// get reads a key; ErrNotFound where it has no value.
func (b *Bus) get(ctx context.Context, bucket, key string) (jetstream.KeyValueEntry, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	kv, err := b.bucket(ctx, bucket)
	if err != nil {
		return nil, err
	}
	entry, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, fmt.Errorf("key %s of bucket %s: %w", key, bucket, ErrNotFound)
	}
	return entry, err
}

// change is a write to a key by compare-and-set.
type change struct {
	bucket, key string
	value       []byte
	revision    uint64 // the one that it replaces; 0: the key has no value
}

// set writes a key if its revision is the expected one.
func (b *Bus) set(ctx context.Context, c change) (uint64, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	kv, err := b.bucket(ctx, c.bucket)
	if err != nil {
		return 0, err
	}
	if c.revision == 0 {
		return kv.Create(ctx, c.key, c.value) // also over a deletion
	}
	return kv.Update(ctx, c.key, c.value, c.revision)
}
