package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions/subscribe/reader"
	"streamcanary/schemas"
)

// RouteMendEvery is how often a model's route document is written back at most: whoever writes there again and again is told of, and not raced.
const RouteMendEvery = 10 * time.Second

// Bounds of what is done about route documents that somebody else wrote.
const (
	// routeSweepEvery is how often all documents are looked at: what a stream loses without a word, no watch tells.
	routeSweepEvery = time.Minute
	// routeMendsMost bounds the documents that wait to be written back; beyond it the next sweep finds them.
	routeMendsMost = 1000
	routeTick      = time.Second
)

// errRouteDeleted is why a document counts for nothing though nobody forged it.
var errRouteDeleted = errors.New("it was deleted")

// errRoutesGone: the bucket of the documents isn't the one that was read.
var errRoutesGone = errors.New("what serve wrote there is gone: it was deleted, emptied, or restored from a backup")

// A RouteWatch looks after the route documents: what the judge didn't write there goes to Options.OnForeign within a second, and the model's last effective decision by the
// decision log is written back, at once and at most every RouteMendEvery. Subscribers obey neither meanwhile: they believe a signature, and only what is above what they have applied.
// A bucket that is deleted is made again, and every model's document written back. Each document is held against the log once, when it is seen first: an older one that was put back while nobody watched has a good signature, too.
type RouteWatch struct {
	Models  func() []string              // those that are judged here: their documents are missed where there are none
	Mended  func(model, decision string) // hears of a document that was written back
	newest  map[string]schemas.Decision  // by model, of documents that count; only what identifies them
	held    map[string]bool              // by model, of those in newest: its document was held against the log
	due     map[string]time.Time         // by model, when its document is to be written back, or held against the log
	mended  map[string]time.Time         // by model, when it was last
	present map[string]bool              // in this sweep
	asked   map[string]uint64            // by key of what was asked again, the last revision that somebody else wrote: it is told once
	made    time.Time                    // when the bucket was; zero: it isn't read yet
	seen    bool                         // a document stood there, in this sweep or an earlier one
	gone    bool                         // and its documents are not yet due to be written back
}

// WatchRoutes runs a watch until the context ends. What keeps it from looking goes to Options.OnError, and it looks again.
func (b *Bus) WatchRoutes(ctx context.Context, w RouteWatch) {
	w.newest, w.held, w.due, w.mended = map[string]schemas.Decision{}, map[string]bool{}, map[string]time.Time{}, map[string]time.Time{}
	w.asked = map[string]uint64{}
	told := ""
	for ctx.Err() == nil {
		w.present = map[string]bool{}
		err := b.remakeRoutes(ctx, &w)
		if err == nil {
			err = b.sweepRoutes(ctx, &w)
		}
		switch {
		case errors.Is(err, errRoutesGone):
			w.gone = true
			continue
		case ctx.Err() != nil:
			return
		case errors.Is(err, reader.ErrBrokenOff): // where somebody deletes the bucket, the server isn't done with that yet
		case err == nil:
			told = ""
			continue
		case err.Error() != told:
			told = err.Error()
			b.wrong(fmt.Errorf("look after the route documents: %w: trying again", err))
		}
		pause(ctx, followAgain)
	}
}

// sweepRoutes looks at all documents, and then at what changes, until the next sweep is due.
func (b *Bus) sweepRoutes(ctx context.Context, w *RouteWatch) error {
	kv, err := b.bucket(ctx, schemas.RoutesBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return errRoutesGone
	}
	if err != nil {
		return err
	}
	watcher := b.watchKeys(ctx, schemas.RoutesBucket, ">")
	defer watcher.stop()
	tick := time.NewTicker(routeTick)
	defer tick.Stop()
	for over := time.Now().Add(routeSweepEvery); ; {
		select {
		case <-ctx.Done():
			return nil
		case entry, open := <-watcher.updates:
			if !open {
				return b.ended(ctx, "watch the route documents", watcher)
			}
			if entry == nil && len(w.present) == 0 && w.seen {
				return errRoutesGone // it was emptied as this sweep began
			} else if entry == nil {
				w.missing()
			} else if strings.HasPrefix(entry.Key(), schemas.AgainPrefix) {
				b.looksAtAgain(w, entry)
			} else if model, why := b.looksAt(w, entry); why != nil {
				b.foreign(b.foreignRoute(model, entry, why))
			}
		case <-tick.C:
			if err := b.sameRoutes(ctx, w, kv); err != nil {
				return err
			}
		}
		now := time.Now()
		if err := b.mendRoutes(ctx, w, now); err != nil || now.After(over) {
			return err
		}
	}
}

// looksAtAgain tells of a decision that is asked again, and that only somebody else can have written. Nothing is written in its place: it is in force for nobody.
func (b *Bus) looksAtAgain(w *RouteWatch, entry jetstream.KeyValueEntry) {
	if entry.Operation() != jetstream.KeyValuePut || w.asked[entry.Key()] == entry.Revision() {
		return
	}
	model, err := schemas.DecodeName(strings.TrimPrefix(entry.Key(), schemas.AgainPrefix))
	if err == nil {
		_, err = b.routed(entry.Value(), model)
	}
	if err != nil {
		if len(w.asked) < routeMendsMost {
			w.asked[entry.Key()] = entry.Revision()
		}
		f := b.foreignRoute(model, entry, err)
		f.Again = true
		b.foreign(f)
	}
}

// sameRoutes is errRoutesGone where the bucket isn't the one that was read, or is empty: a watch isn't told of that.
func (b *Bus) sameRoutes(ctx context.Context, w *RouteWatch, kv jetstream.KeyValue) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	status, err := kv.Status(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrBucketNotFound) {
		return errRoutesGone
	}
	own, ok := status.(*jetstream.KeyValueBucketStatus)
	if err != nil || !ok {
		return nil // it isn't known
	}
	made := own.StreamInfo().Created
	if !w.made.IsZero() && !w.made.Equal(made) || status.Values() == 0 && w.seen {
		return errRoutesGone
	}
	w.made = made
	return nil
}

// remakeRoutes makes a bucket that is gone again, lets all documents be written back at once, and tells of it.
func (b *Bus) remakeRoutes(ctx context.Context, w *RouteWatch) error {
	if !w.gone {
		return nil
	}
	if err := b.ensureBucket(ctx, b.routesConfig()); err != nil {
		return err
	}
	models, err := b.decidedModels(ctx)
	if err != nil {
		return err
	}
	w.newest, w.held, w.made, w.gone, w.seen = map[string]schemas.Decision{}, map[string]bool{}, time.Time{}, false, false
	for _, model := range models {
		w.due[model] = time.Time{}
	}
	b.foreign(goneRoutes(w.Models()))
	return nil
}

// goneRoutes tells of a bucket that was deleted, once: to one of the models that are judged.
func goneRoutes(models []string) Foreign {
	now := time.Now()
	f := Foreign{Place: "bucket " + schemas.RoutesBucket, Sequence: uint64(now.UnixMilli()), At: now, Why: errRoutesGone, Route: true, Gone: true}
	if len(models) > 0 {
		f.Model = models[0]
	}
	return f
}

// decidedModels are those that have something in the decision log, ascending: at most routeMendsMost, since others may write there.
func (b *Bus) decidedModels(ctx context.Context) ([]string, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	stream, err := b.js.Stream(ctx, schemas.StreamName)
	if err != nil {
		return nil, fmt.Errorf("list the models with decisions at %s: %w", b.where(), err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(schemas.AllDecisions))
	if err != nil {
		return nil, fmt.Errorf("list the models with decisions at %s: %w", b.where(), err)
	}
	var models []string
	for _, subject := range slices.Sorted(maps.Keys(info.State.Subjects)) {
		if model := modelOf(subject); model != "" && len(models) < routeMendsMost {
			models = append(models, model)
		}
	}
	return models, nil
}

// RestoreRoutes writes the documents back that are not there, of all models with decisions: before anything is judged, and before WatchRoutes looks at what others did to those
// that are. judged are the models of which somebody hears if the whole bucket was deleted while nobody watched.
func (b *Bus) RestoreRoutes(ctx context.Context, judged []string, mended func(model, decision string)) error {
	models, err := b.decidedModels(ctx)
	if err != nil {
		return err
	}
	written := 0
	for _, model := range models {
		there, err := b.hasRoute(ctx, model)
		if err != nil {
			return fmt.Errorf("look for the route of model %s at %s: %w", model, b.where(), err)
		}
		if there {
			continue
		}
		id, err := b.mendRoute(ctx, model)
		if err != nil {
			return err
		}
		if id != "" {
			written++
			mended(model, id)
		}
	}
	if written > 0 && b.madeRoutes.Load() {
		b.foreign(goneRoutes(judged))
	}
	return nil
}

// hasRoute reports whether a model's document is there, or the mark that it was deleted.
func (b *Bus) hasRoute(ctx context.Context, model string) (bool, error) {
	key, err := schemas.RouteKey(model)
	if err != nil {
		return false, err
	}
	return b.hasKey(ctx, schemas.RoutesBucket, key)
}

// hasKey reports whether a bucket has something of a key: a value, or the mark that it was deleted.
func (b *Bus) hasKey(ctx context.Context, bucket, key string) (bool, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	stream, err := b.js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return false, err
	}
	_, err = stream.GetLastMsgForSubject(ctx, "$KV."+bucket+"."+key)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, err
}

// foreignRoute is a route document that counts for nothing.
func (b *Bus) foreignRoute(model string, entry jetstream.KeyValueEntry, why error) Foreign {
	place := fmt.Sprintf("bucket %s, key %s", schemas.RoutesBucket, entry.Key())
	decision, _ := b.routed(entry.Value(), model)
	return Foreign{Model: model, Place: place, Sequence: entry.Revision(), At: entry.Created(), Why: why, Forged: decision != nil, Route: true}
}

// missing lets those documents be looked up that aren't there.
func (w *RouteWatch) missing() {
	for _, model := range w.Models() {
		if !w.present[model] {
			w.mend(model)
		}
	}
}

// mend notes that a model's document is to be written back.
func (w *RouteWatch) mend(model string) {
	if _, waits := w.due[model]; !waits && len(w.due) < routeMendsMost {
		w.due[model] = w.mended[model].Add(RouteMendEvery)
	}
}

// looksAt says why a document is not the judge's newest one; nil: it is, as far as documents tell.
func (b *Bus) looksAt(w *RouteWatch, entry jetstream.KeyValueEntry) (model string, why error) {
	model, err := schemas.DecodeName(entry.Key())
	if err != nil {
		return "", fmt.Errorf("it is no model's: %w", err)
	}
	w.present[model], w.seen = true, true
	var d *schemas.Decision
	if entry.Operation() != jetstream.KeyValuePut {
		err = errRouteDeleted
	} else if d, err = b.routed(entry.Value(), model); err == nil {
		before, known := w.newest[model]
		if known && newer(&before, d) {
			err = putBack(d, &before)
		}
	}
	if err != nil {
		w.mend(model)
		return model, err
	}
	w.newest[model] = schemas.Decision{ID: d.ID, Epoch: d.Epoch, Seq: d.Seq}
	delete(w.due, model)
	if !w.held[model] {
		w.mend(model)
	}
	return model, nil
}

// putBack says that a document holds an older decision than the one that belongs there.
func putBack(d, over *schemas.Decision) error {
	return fmt.Errorf("decision %s was put back over %s: it is a copy of an older one", d.ID, over.ID)
}

// mendRoutes writes back what is due.
func (b *Bus) mendRoutes(ctx context.Context, w *RouteWatch, now time.Time) error {
	for model, at := range w.due {
		if at.After(now) {
			continue
		}
		id, err := b.mendRoute(ctx, model)
		if err != nil {
			return err // it stays due, and the next sweep begins with what stands there
		}
		delete(w.due, model)
		if _, known := w.newest[model]; known {
			w.held[model] = true
		}
		if id != "" {
			w.mended[model] = now
			w.Mended(model, id)
		}
	}
	return nil
}

// mendRoute makes the last effective decision of a model's log its route document, if that isn't so, and returns its id; "": nothing was to be done. An older document that was
// written after that decision was put back by somebody else; one from before it is what a process left that ended between the two writes.
func (b *Bus) mendRoute(ctx context.Context, model string) (string, error) {
	var last *Logged
	_, err := b.EachDecision(ctx, model, func(l *Logged) {
		if l.Decision.Mode == schemas.Enforce && len(l.Decision.Routes) > 0 {
			last = l
		}
	})
	if err != nil && !errors.Is(err, ErrNotFound) || last == nil {
		return "", unlessNotFound(err)
	}
	there, entry, err := b.routeEntry(ctx, model)
	if err == nil && there != nil {
		if !newer(last.Decision, there) {
			return "", nil
		}
		if entry.Created().After(last.At) {
			b.foreign(b.foreignRoute(model, entry, putBack(there, last.Decision)))
		}
	}
	if err := b.PutRoute(ctx, model, last.Signed.Body); err != nil {
		return "", err
	}
	return last.Decision.ID, nil
}

func unlessNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
