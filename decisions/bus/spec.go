package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions/subscribe/reader"
	"streamcanary/schemas"
)

// Spec is a rollout's file as `apply` wrote it.
type Spec struct {
	Rollout  string
	Body     []byte
	Revision uint64
	Deleted  bool // of a change: the file is gone
	// Record, of KeepSpecs, says that it is the rollout's record that is gone, by its key: the file may be there.
	Record bool
	// Synced, of a change, marks that all there was when the watch began has been seen. Nothing else is set then.
	Synced bool
	// Gone, of KeepSpecs, says that all there was has been deleted, and may be written again. Nothing else is set then.
	Gone bool
	// Older, of KeepSpecs, says that it was written before what was handed on of the rollout last: the bucket was restored from a backup.
	Older bool
}

// PutSpec writes a rollout's file over a revision (0: there is none); ErrConflict if another is there. Writing the same bytes
// again succeeds.
func (b *Bus) PutSpec(ctx context.Context, s Spec) (uint64, error) {
	key, err := schemas.SpecKey(s.Rollout)
	if err != nil {
		return 0, fmt.Errorf("write rollout %s: %w", s.Rollout, err)
	}
	revision, err := b.cas(ctx, change{schemas.RolloutsBucket, key, s.Body, s.Revision})
	if errors.Is(err, errStale) {
		err = ErrConflict
	}
	if err != nil {
		return 0, fmt.Errorf("write rollout %s at %s: %w", s.Rollout, b.where(), err)
	}
	return revision, nil
}

// Spec reads a rollout's file; ErrNotFound where there is none.
func (b *Bus) Spec(ctx context.Context, rollout string) (Spec, error) {
	key, err := schemas.SpecKey(rollout)
	if err != nil {
		return Spec{}, fmt.Errorf("read rollout %s: %w", rollout, err)
	}
	entry, err := b.get(ctx, schemas.RolloutsBucket, key)
	if err != nil {
		return Spec{}, fmt.Errorf("read rollout %s: %w", rollout, err)
	}
	return Spec{Rollout: rollout, Body: entry.Value(), Revision: entry.Revision()}, nil
}

// DeleteSpec removes a rollout's file of this revision; ErrConflict if it was written meanwhile.
func (b *Bus) DeleteSpec(ctx context.Context, rollout string, revision uint64) error {
	key, err := schemas.SpecKey(rollout)
	if err != nil {
		return fmt.Errorf("delete rollout %s: %w", rollout, err)
	}
	if err := b.remove(ctx, key, revision); err != nil {
		if errors.Is(err, errStale) {
			err = ErrConflict
		}
		return fmt.Errorf("delete rollout %s: %w", rollout, err)
	}
	return nil
}

// WatchSpecs calls fn with every rollout file there is (a key that is no rollout's is passed over, and goes to Options.OnError), then once with Synced, then with every change, until the context ends
// (nil) or fn fails (its error). Across a lost connection it goes on by itself; a file may then come again.
func (b *Bus) WatchSpecs(ctx context.Context, fn func(Spec) error) error {
	synced, told := false, ""
	for {
		var failed error
		err := b.watchSpecs(ctx, func(s Spec) error {
			if s.Synced && synced {
				return nil
			}
			synced = synced || s.Synced
			failed = fn(s)
			return failed
		})
		switch {
		case failed != nil || ctx.Err() != nil:
			return failed
		case errors.Is(err, reader.ErrBrokenOff):
			continue
		case !synced || b.conn.IsClosed():
			return err
		case err.Error() != told:
			told = err.Error()
			b.wrong(fmt.Errorf("%w: trying again", err))
		}
		pause(ctx, followAgain)
	}
}

func (b *Bus) watchSpecs(ctx context.Context, fn func(Spec) error) error {
	if _, err := b.bucket(ctx, schemas.RolloutsBucket); err != nil {
		return unlessEnded(ctx, err)
	}
	watcher := b.watchKeys(ctx, schemas.RolloutsBucket, "*"+specSuffix)
	defer watcher.stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, open := <-watcher.updates:
			if !open {
				return b.ended(ctx, "watch rollouts", watcher)
			}
			spec, err := specOf(entry)
			if err != nil {
				b.wrong(err)
				continue
			}
			if err := fn(spec); err != nil {
				return err
			}
		}
	}
}

// What the keys of a rollout's file and record end with.
const (
	specSuffix  = ".spec"
	stateSuffix = ".state"
)

func specOf(entry jetstream.KeyValueEntry) (Spec, error) {
	if entry == nil {
		return Spec{Synced: true}, nil
	}
	rollout, err := schemas.DecodeName(strings.TrimSuffix(entry.Key(), specSuffix))
	if err != nil {
		return Spec{}, fmt.Errorf("bucket %s, key %s: passed over, since it is no rollout's; who writes there? %w", schemas.RolloutsBucket, entry.Key(), err)
	}
	return Spec{
		Rollout: rollout, Body: entry.Value(), Revision: entry.Revision(),
		Deleted: entry.Operation() != jetstream.KeyValuePut,
	}, nil
}

// Specs are all rollout files, in the order of their encoded names' bytes.
func (b *Bus) Specs(ctx context.Context) ([]Spec, error) {
	within, cancel := b.within(ctx)
	defer cancel()
	found := map[string]Spec{}
	done := errors.New("done")
	err := b.WatchSpecs(within, func(s Spec) error {
		if s.Synced {
			return done
		}
		if !s.Deleted {
			found[s.Rollout] = s
		}
		return nil
	})
	switch {
	case errors.Is(err, done):
		return sorted(found), nil
	case err == nil:
		err = within.Err()
	}
	return nil, fmt.Errorf("list rollouts at %s: %w", b.where(), err)
}

// unlessEnded is the error, but nil where the context has ended: then that is the reason.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// ended says why a watch is over before it was told to be.
func (b *Bus) ended(ctx context.Context, what string, w *keyWatch) error {
	return unlessEnded(ctx, fmt.Errorf("%s at %s: %w", what, b.where(), noJetStream(w.err)))
}
