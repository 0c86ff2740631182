package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// LoadHead reads a rollout's record and its revision; ErrNotFound where there is none, ErrUnreadable, with the revision, where it can't be read.
func (b *Bus) LoadHead(ctx context.Context, rollout string) (decisions.Head, uint64, error) {
	key, err := schemas.StateKey(rollout)
	if err != nil {
		return decisions.Head{}, 0, fmt.Errorf("read record of rollout %s: %w", rollout, err)
	}
	entry, err := b.get(ctx, schemas.RolloutsBucket, key)
	if err != nil {
		return decisions.Head{}, 0, fmt.Errorf("read record of rollout %s: %w", rollout, err)
	}
	head, err := decisions.DecodeHead(entry.Value())
	if err != nil {
		return decisions.Head{}, entry.Revision(), fmt.Errorf("read record of rollout %s (bucket %s, key %s): %w: %w", rollout, schemas.RolloutsBucket, key, ErrUnreadable, err)
	}
	return head, entry.Revision(), nil
}

// SaveHead writes a rollout's record over the revision that was read or written last (0: there is none), and returns the new one. ErrLost:
// another instance wrote it, or somebody deleted it, meanwhile; a record that is gone with all of the bucket is written again. A write whose ack was lost is found again: saving the same bytes once more succeeds.
func (b *Bus) SaveHead(ctx context.Context, h decisions.Head, revision uint64) (uint64, error) {
	rollout := h.State.Terms.Rollout
	key, err := schemas.StateKey(rollout)
	if err != nil {
		return 0, fmt.Errorf("write record of rollout %s: %w", rollout, err)
	}
	value, err := decisions.EncodeHead(h)
	if err != nil {
		return 0, err
	}
	next, err := b.cas(ctx, change{schemas.RolloutsBucket, key, value, revision})
	if errors.Is(err, errStale) && revision > 0 {
		next, err = b.saveAgain(ctx, key, value)
	}
	switch {
	case errors.Is(err, errStale):
		return 0, fmt.Errorf("write record of rollout %s over revision %d: %w", rollout, revision, ErrLost)
	case err != nil:
		return 0, fmt.Errorf("write record of rollout %s at %s: %w", rollout, b.where(), err)
	}
	b.after("record")
	return next, nil
}

// saveAgain writes a record of which the bucket has nothing any more, not even a mark that it was deleted: nobody else has written it, but somebody has emptied the bucket.
func (b *Bus) saveAgain(ctx context.Context, key string, value []byte) (uint64, error) {
	there, err := b.hasKey(ctx, schemas.RolloutsBucket, key)
	if err != nil {
		return 0, err
	}
	if there {
		return 0, errStale
	}
	b.wroteBack.Store(true)
	return b.cas(ctx, change{schemas.RolloutsBucket, key, value, 0})
}

// DeleteHead removes a rollout's record of this revision; ErrLost if it was written meanwhile.
func (b *Bus) DeleteHead(ctx context.Context, rollout string, revision uint64) error {
	key, err := schemas.StateKey(rollout)
	if err != nil {
		return fmt.Errorf("delete record of rollout %s: %w", rollout, err)
	}
	if err := b.remove(ctx, key, revision); err != nil {
		if errors.Is(err, errStale) {
			err = ErrLost
		}
		return fmt.Errorf("delete record of rollout %s: %w", rollout, err)
	}
	return nil
}

// errStale: a compare-and-set met another revision.
var errStale = errors.New("another revision is there")

// A read-back may be answered by a replica that lags: what is older than the write that was refused is read again this often.
const (
	readBackAttempts = 10
	readBackPause    = 100 * time.Millisecond
)

// cas writes by compare-and-set; where another revision is there, it succeeds if that holds the very bytes.
func (b *Bus) cas(ctx context.Context, c change) (uint64, error) {
	revision, err := b.set(ctx, c)
	if err == nil {
		return revision, nil
	}
	if !wrongLast(err) && !errors.Is(err, jetstream.ErrKeyExists) && !errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return 0, err
	}
	for range readBackAttempts {
		entry, err := b.get(ctx, c.bucket, c.key)
		switch {
		case err != nil && !errors.Is(err, ErrNotFound):
			return 0, err
		case err == nil && bytes.Equal(entry.Value(), c.value) && entry.Revision() > c.revision:
			return entry.Revision(), nil
		case err == nil && entry.Revision() > c.revision:
			return 0, errStale
		}
		if !pause(ctx, readBackPause) {
			return 0, ctx.Err()
		}
	}
	return 0, errStale // it was deleted
}

// remove deletes a key of RolloutsBucket if its revision is the expected one.
func (b *Bus) remove(ctx context.Context, key string, revision uint64) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	kv, err := b.bucket(ctx, schemas.RolloutsBucket)
	if err != nil {
		return err
	}
	err = kv.Delete(ctx, key, jetstream.LastRevision(revision))
	if wrongLast(err) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return errStale
	}
	return err
}
