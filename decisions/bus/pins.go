package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// maxPinned bounds how many registered versions of a model are kept: beyond it the oldest goes.
const maxPinned = 200

// pinAttempts is how often a write is tried that another instance was faster with.
const pinAttempts = 5

// Pins are what the registered versions of a model were at first sight, oldest first. They outlive the rollouts.
func (b *Bus) Pins(ctx context.Context, model string) ([]decisions.Pin, error) {
	pins, _, _, err := b.pins(ctx, model)
	return pins, err
}

func (b *Bus) pins(ctx context.Context, model string) (pins []decisions.Pin, key string, revision uint64, err error) {
	if key, err = schemas.PinsKey(model); err != nil {
		return nil, "", 0, fmt.Errorf("read what the versions of model %s were: %w", model, err)
	}
	entry, err := b.get(ctx, schemas.RolloutsBucket, key)
	if errors.Is(err, ErrNotFound) {
		return nil, key, 0, nil
	}
	if err == nil {
		err = json.Unmarshal(entry.Value(), &pins)
	}
	if err != nil {
		return nil, "", 0, fmt.Errorf("read what the versions of model %s were (bucket %s, key %s): %w", model, schemas.RolloutsBucket, key, err)
	}
	return pins, key, entry.Revision(), nil
}

// KeepPins adds what registered versions of a model are, of those that were not seen before.
func (b *Bus) KeepPins(ctx context.Context, model string, seen []decisions.Pin) error {
	for range pinAttempts {
		pins, key, revision, err := b.pins(ctx, model)
		if err != nil {
			return err
		}
		known := len(pins)
		for _, pin := range seen {
			if !slices.ContainsFunc(pins, func(p decisions.Pin) bool { return p.Model == pin.Model && p.Version == pin.Version }) {
				pins = append(pins, pin)
			}
		}
		if len(pins) == known {
			return nil
		}
		value, err := json.Marshal(pins[max(0, len(pins)-maxPinned):])
		if err != nil {
			return err
		}
		_, err = b.cas(ctx, change{schemas.RolloutsBucket, key, value, revision})
		if err == nil || !errors.Is(err, errStale) {
			return wrapPins(model, err)
		}
	}
	return wrapPins(model, errStale)
}

func wrapPins(model string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("keep what the versions of model %s are: %w", model, err)
}
