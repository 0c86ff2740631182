package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions/subscribe/reader"
	"streamcanary/schemas"
)

// Settings of the watch of the bucket of rollouts.
const (
	specLookEvery = 1130 * time.Millisecond // at no instant at which a service does something each second
	// specLooks is how often in a row the bucket must be found gone: a server that has just started may not know all its streams.
	specLooks = 2
	// mostWritten bounds the rollouts of which it is kept over a bucket that is made again when their files were written; beyond it all that comes then counts as new.
	mostWritten = 10_000
)

// ErrSpecsGone: the bucket of the rollouts isn't the one that was read, or has less than it had. How that came isn't known.
var ErrSpecsGone = errors.New("what this serve wrote there is gone, or older: it was deleted, emptied, or restored from a backup")

// written is one writing of a key.
type written struct {
	revision uint64
	at       time.Time
}

// specWatch is what was seen of the bucket of rollouts.
type specWatch struct {
	synced bool
	begun  bool      // what stood there when the watch that is on now began was handed on: what it brings now was written since
	made   time.Time // when the bucket was; zero: it isn't read yet
	values uint64    // that it had; a deletion leaves a mark, so there are never fewer
	looks  int       // in a row that found no bucket
	// written is when each rollout's file that was handed on last was written. Of a file that was deleted the bucket keeps a mark, so there are as many as that has keys, and those that one before it had.
	written map[string]written
}

// KeepSpecs is WatchSpecs for who has all records in memory: a bucket that is deleted is made again, and one that was emptied is noticed, too; fn then gets a Spec that is Gone, and what there is
// comes again. A record that is deleted by its key is noticed, too (Spec.Record). Away hears why (ErrSpecsGone), and what keeps the bucket from being made again. It ends with the context (nil), or where the files can't be read at all (its error).
func (b *Bus) KeepSpecs(ctx context.Context, fn func(Spec), away func(error)) error {
	w := specWatch{written: map[string]written{}}
	told := ""
	for ctx.Err() == nil {
		err := b.followSpecs(ctx, &w, fn)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, reader.ErrBrokenOff):
			continue
		case errors.Is(err, ErrSpecsGone):
			if err = b.remakeSpecs(ctx, &w); err == nil {
				away(ErrSpecsGone)
				fn(Spec{Gone: true})
				continue
			}
			if w.looks >= specLooks {
				away(fmt.Errorf("%w, and it can't be made again: %w", ErrSpecsGone, err))
			}
		case !w.synced || b.conn.IsClosed():
			return err
		case err.Error() != told:
			told = err.Error()
			b.wrong(fmt.Errorf("look after the rollouts: %w: trying again", err))
		}
		pause(ctx, specLookEvery)
	}
	return nil
}

// remakeSpecs makes a bucket that is gone again. What was seen of the one before tells only what is older.
func (b *Bus) remakeSpecs(ctx context.Context, w *specWatch) error {
	if w.looks++; w.looks < specLooks {
		return ErrSpecsGone
	}
	if err := b.ensureBucket(ctx, b.rolloutsConfig()); err != nil {
		return err
	}
	if len(w.written) > mostWritten {
		clear(w.written)
	}
	*w = specWatch{synced: w.synced, written: w.written}
	return nil
}

// followSpecs hands on what the bucket has, and then what changes.
func (b *Bus) followSpecs(ctx context.Context, w *specWatch, fn func(Spec)) error {
	kv, err := b.bucket(ctx, schemas.RolloutsBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return ErrSpecsGone
	}
	if err != nil {
		return err
	}
	w.begun = false
	watcher := b.watchKeys(ctx, schemas.RolloutsBucket, "*"+specSuffix)
	defer watcher.stop()
	marks := b.watchMarks(ctx, schemas.RolloutsBucket, "*"+stateSuffix)
	defer marks.stop()
	tick := time.NewTicker(specLookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, open := <-watcher.updates:
			if !open {
				return b.ended(ctx, "watch rollouts", watcher)
			}
			b.handOn(w, entry, fn)
		case entry, open := <-marks.updates:
			if !open {
				return b.ended(ctx, "watch records of rollouts", marks)
			}
			b.handOnMark(entry, fn)
		case <-tick.C:
			if err := b.sameSpecs(ctx, w, kv); err != nil {
				return err
			}
		}
	}
}

// handOn hands on what the watch brings. Where it begins anew it brings all that stands there: what was handed on isn't again, and what is older than that of its rollout is handed on as such, since in a bucket that was
// restored from an older backup an older file must not be taken for a new one. A bucket that is restored always ends the watch (package reader), so what comes later on is written now, whatever NATS's clock says.
func (b *Bus) handOn(w *specWatch, entry jetstream.KeyValueEntry, fn func(Spec)) {
	spec, err := specOf(entry)
	w.begun = w.begun || spec.Synced
	switch {
	case err != nil:
		b.wrong(err)
	case spec.Synced && w.synced:
	case spec.Synced:
		w.synced = true
		fn(spec)
	case w.news(&spec, entry.Created()):
		fn(spec)
	}
}

// handOnMark hands on that a record was deleted by its key, also again where the watch begins anew. Whose key is no rollout's is passed over: nobody's record was there.
func (b *Bus) handOnMark(entry jetstream.KeyValueEntry, fn func(Spec)) {
	if entry == nil || entry.Operation() == jetstream.KeyValuePut {
		return
	}
	if rollout, err := schemas.DecodeName(strings.TrimSuffix(entry.Key(), stateSuffix)); err == nil {
		fn(Spec{Rollout: rollout, Revision: entry.Revision(), Deleted: true, Record: true})
	}
}

// news reports whether a file is another one than the one of its rollout that was handed on last, takes note of it, and marks an older one that stood there when the watch began.
func (w *specWatch) news(s *Spec, at time.Time) bool {
	was := w.written[s.Rollout]
	if at.Equal(was.at) && s.Revision <= was.revision {
		return false
	}
	s.Older = at.Before(was.at) && (!w.begun || s.Revision <= was.revision) // where NATS is slow, what stood there may come later, but no writing has an earlier number than the one before it
	w.written[s.Rollout] = written{s.Revision, at}
	return true
}

// sameSpecs is ErrSpecsGone where the bucket isn't the one that was read, or was emptied: a watch isn't told of that.
func (b *Bus) sameSpecs(ctx context.Context, w *specWatch, kv jetstream.KeyValue) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	status, err := kv.Status(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrBucketNotFound) {
		return ErrSpecsGone
	}
	own, ok := status.(*jetstream.KeyValueBucketStatus)
	if err != nil || !ok {
		return nil // it isn't known
	}
	made, values := own.StreamInfo().Created, status.Values()
	other := !w.made.IsZero() && !w.made.Equal(made)
	if b.wroteBack.Swap(false) || other || values < w.values {
		w.looks = specLooks // it is there, and not what it was
		return ErrSpecsGone
	}
	w.made, w.values, w.looks = made, values, 0
	return nil
}
