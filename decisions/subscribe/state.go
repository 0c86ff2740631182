package subscribe

import (
	"context"
	"fmt"
	"strings"

	"streamcanary/schemas"
)

// A Keeper holds state that the versions of a model share. Its methods are called again after a crash, so each must be idempotent, and what it did must outlive a restart; an error is answered
// `failed`, and the call tried again, a Rejection (Reject(schemas.WhyIncompatibleState)) `rejected`.
type Keeper interface {
	// Snapshot takes a snapshot that can be restored as long as the rollout lasts, and names it. One that takes over from it, or begins it anew, goes on with it, and asks for no other.
	Snapshot(ctx context.Context) (name string, err error)
	// Freeze lets no more writes in, and makes sure that the snapshot can be restored. It may be frozen already.
	Freeze(ctx context.Context, snapshot string) error
	// Restore stops writes, where that isn't done (Freeze may have failed, or been ended: traffic doesn't wait for it past its deadline), and goes back to the snapshot.
	Restore(ctx context.Context, snapshot string) error
	// Unfreeze lets writes in again.
	Unfreeze(ctx context.Context) error
}

// KeepState is the handler of a state store: what decisions ask of the consumer, which is the store's name in the rollout's state.stores, its Keeper does.
// Decisions that ask nothing of it are answered for as they come.
func KeepState(consumer string, k Keeper) Handler {
	return func(ctx context.Context, d Delivery) error {
		if d.Advise {
			return nil
		}
		for _, o := range d.Decision.State {
			if o.Store == consumer && !(d.Restored && o.Do == schemas.StateSnapshot) {
				return keep(ctx, k, &d, o)
			}
		}
		return nil
	}
}

func keep(ctx context.Context, k Keeper, d *Delivery, o schemas.StateOrder) error {
	switch o.Do {
	case schemas.StateSnapshot:
		name, err := k.Snapshot(ctx)
		if err == nil && (strings.TrimSpace(name) == "" || len(name) > schemas.MaxSnapshotBytes) {
			err = fmt.Errorf("the snapshot's name has %d bytes, 1 to %d are allowed, and not blanks alone", len(name), schemas.MaxSnapshotBytes)
		}
		d.Took(name)
		return err
	case schemas.StateFreeze:
		return k.Freeze(ctx, o.Snapshot)
	case schemas.StateRestore:
		return k.Restore(ctx, o.Snapshot)
	case schemas.StateUnfreeze:
		return k.Unfreeze(ctx)
	case schemas.StateUse: // of namespaced state: no store is told
	}
	return nil
}
