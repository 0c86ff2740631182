package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// Again lets those who have not carried out a decision, or have refused it, look at it again. Where it is the model's route document, that is written once more as it is; else, where it is
// the model's last decision, it is written under AgainKey: it has no routes, and must not take the place of those in force. Of any other decision nobody needs to be asked: newer ones say all
// that is to be.
func (b *Bus) Again(ctx context.Context, model, decision string) error {
	routed, err := b.againRoute(ctx, model, decision)
	if err == nil && !routed {
		err = b.againUnrouted(ctx, model, decision)
	}
	if err != nil {
		return fmt.Errorf("ask decision %s of model %s again: %w", decision, model, err)
	}
	return nil
}

// againRoute writes the route document again, and reports whether it is the decision's.
func (b *Bus) againRoute(ctx context.Context, model, decision string) (bool, error) {
	value, entry, err := b.routeEntry(ctx, model)
	if err != nil || value == nil || value.ID != decision {
		return false, unlessNotFound(err)
	}
	err = b.setRoute(ctx, model, entry.Value(), entry.Revision())
	if wrongLast(err) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		err = nil // somebody else's newer one is left alone
	}
	return true, err
}

// againUnrouted writes the model's last decision under its key of its own, if it is this one. Where only that is not allowed, it is told, and no decision waits for it: it is asked again when the
// next deadline passes.
func (b *Bus) againUnrouted(ctx context.Context, model, decision string) error {
	last, err := b.LastDecision(ctx, model)
	if err != nil || last.Decision.ID != decision {
		return unlessNotFound(err)
	}
	value, err := schemas.EncodeSigned(last.Signed)
	if err != nil {
		return err
	}
	key, err := schemas.AgainKey(model)
	if err != nil {
		return err
	}
	within, cancel := b.within(ctx)
	defer cancel()
	kv, err := b.bucket(within, schemas.RoutesBucket)
	if err != nil {
		return err
	}
	_, err = kv.Put(within, key, value)
	switch {
	case ctx.Err() != nil:
		return err
	case err != nil:
		b.wrong(fmt.Errorf("ask decision %s of model %s again, in key %s of bucket %s at %s: %w: look whether serve may publish to $KV.%s.> (the NATS permissions); until then a consumer that has rejected it must be restarted",
			decision, model, key, schemas.RoutesBucket, b.where(), err, schemas.RoutesBucket))
	}
	return nil
}
