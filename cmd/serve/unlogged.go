package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// Where NATS was emptied or made anew, or restored from a backup of before a model's first rollout, the window journal alone knows of the model's epochs. Nobody decides for it, and its routers take an epoch
// of a number that they have had for an old one. What stands in the journal from before the decision log was made tells of that at a start; and before a model of which the log knows nothing begins its
// first rollout, the journal is asked which epochs it has had.

// traces are what the journal has of a model's epochs, behind their starts, which may never have been heeded.
type traces struct {
	epochs map[int64]string // and their rollouts
	lastMs int64            // when the newest record was written
}

// traced notes what a record says of its model.
func (t *traces) traced(record *kafka.Entry) {
	e, err := decodeEntry(record)
	if err != nil || e.epoch == 0 || e.input != nil && e.input.Kind == decisions.InputApplied {
		return
	}
	t.epochs[e.epoch], t.lastMs = e.rollout, max(t.lastMs, record.TimeMs)
}

func (t *traces) newest() int64 {
	newest := int64(0)
	for epoch := range t.epochs {
		newest = max(newest, epoch)
	}
	return newest
}

// errReadEnough ends the reading of a part of the journal.
var errReadEnough = errors.New("all is read")

// readSpan reads what the journal has between places of its partitions; one that upTo doesn't name isn't read.
func (c *court) readSpan(ctx context.Context, upTo map[int32]int64, fn func(*kafka.Entry)) error {
	starts, err := c.journal.StartOffsets(ctx)
	if err != nil {
		return err
	}
	from, err := c.journal.EndOffsets(ctx)
	if err != nil {
		return err
	}
	open := map[int32]int64{}
	for p, end := range upTo {
		if start := starts[p]; start < min(end, from[p]) {
			from[p], open[p] = start, end
		}
	}
	if len(open) == 0 {
		return nil
	}
	reader, err := c.journal.ReadFrom(ctx, from)
	if err != nil {
		return err
	}
	defer c.inspectors.Go(reader.Close) // nobody waits for that
	err = reader.Drain(ctx, func(record kafka.Entry) error {
		if end, is := open[record.Partition]; is && record.Offset < end {
			fn(&record)
		}
		if record.Offset+1 >= open[record.Partition] {
			delete(open, record.Partition)
		}
		if len(open) == 0 {
			return errReadEnough
		}
		return nil
	})
	if errors.Is(err, errReadEnough) {
		return nil
	}
	return err
}

// underWayWithin is how much older than the journal's newest record a model's newest one may be for its rollout to count as under way: stage one keeps recovery points of those each 10 s.
const underWayWithin = 5 * time.Minute

// findUnlogged looks for models that have had epochs of which the decision log knows nothing: before it was made, and under way when the journal ended, as where a restored backup is of before the model's first rollout.
func (c *court) findUnlogged(ctx context.Context, first []bus.Spec) error {
	made, err := c.bus.LogMade(ctx)
	if err != nil {
		return err
	}
	before, err := c.journal.OffsetsSince(ctx, made.UnixMilli())
	if err != nil {
		return fmt.Errorf("read the window journal: %w", err)
	}
	all, newest := map[string]*traces{}, int64(0)
	trace := func(record *kafka.Entry) {
		model := string(record.Key)
		if all[model] == nil {
			all[model] = &traces{epochs: map[int64]string{}}
		}
		all[model].traced(record)
		newest = max(newest, record.TimeMs)
	}
	if err := c.readSpan(ctx, before, trace); err != nil {
		return fmt.Errorf("read the window journal: %w", err)
	}
	for _, model := range slices.Sorted(maps.Keys(all)) {
		if err := c.unlogs(ctx, model, all[model], newest-underWayWithin.Milliseconds()); err != nil {
			return err
		}
	}
	clear(all)
	if err := c.readLast(ctx, trace); err != nil {
		return fmt.Errorf("read the window journal: %w", err)
	}
	for _, model := range slices.Sorted(maps.Keys(all)) {
		if err := c.unlogsLast(ctx, model, all[model], first); err != nil {
			return err
		}
	}
	return nil
}

// readLast reads what came within underWayWithin before the journal's newest record.
func (c *court) readLast(ctx context.Context, fn func(*kafka.Entry)) error {
	starts, err := c.journal.StartOffsets(ctx)
	if err != nil {
		return err
	}
	from, err := c.journal.EndOffsets(ctx)
	if err != nil {
		return err
	}
	newest := int64(0)
	for p, end := range from {
		from[p] = max(starts[p], end-1)
	}
	if err := c.readFrom(ctx, from, func(record *kafka.Entry) { newest = max(newest, record.TimeMs) }); err != nil || newest == 0 {
		return err
	}
	if from, err = c.journal.OffsetsSince(ctx, newest-underWayWithin.Milliseconds()); err != nil {
		return err
	}
	return c.readFrom(ctx, from, fn)
}

// readFrom reads what the journal has from places of its partitions on.
func (c *court) readFrom(ctx context.Context, from map[int32]int64, fn func(*kafka.Entry)) error {
	reader, err := c.journal.ReadFrom(ctx, from)
	if err != nil {
		return err
	}
	defer c.inspectors.Go(reader.Close) // nobody waits for that
	return reader.Drain(ctx, func(record kafka.Entry) error {
		fn(&record)
		return nil
	})
}

// unlogs notes the epochs of a model that its decision log knows nothing of, and that nobody decides for it where they were under way.
func (c *court) unlogs(ctx context.Context, model string, t *traces, underWayMs int64) error {
	newest := t.newest()
	if known, err := c.isLogged(ctx, model, newest); known || err != nil {
		return err
	}
	c.had[model] = max(c.had[model], newest)
	if t.lastMs < underWayMs || c.newestDesk(model) != nil { // of who has a record it is known (checkJournal)
		return nil
	}
	return c.tellsUnlogged(ctx, model, t)
}

// unlogsLast is unlogs of a model that was under way when the journal ended. A rollout whose file is there, and taken, begins by itself, above what the journal has.
func (c *court) unlogsLast(ctx context.Context, model string, t *traces, first []bus.Spec) error {
	newest := t.newest()
	has := func(s bus.Spec) bool { return s.Rollout == t.epochs[newest] && c.takesAtStart(&s) }
	if c.newestDesk(model) != nil || c.forgotten[model] != nil || slices.ContainsFunc(first, has) {
		return nil
	}
	if known, err := c.isLogged(ctx, model, newest); known || err != nil {
		return err
	}
	all, err := c.tracesOf(ctx, model) // which may have begun long before
	if err != nil {
		return fmt.Errorf("read the window journal: %w", err)
	}
	c.had[model] = max(c.had[model], all.newest())
	return c.tellsUnlogged(ctx, model, &all)
}

// takesAtStart reports whether a file that is there when serve starts may begin: it isn't one that says that it was refused, or that its rollout is to end. Where http.tokensFile is set, it was announced to no service that runs.
func (c *court) takesAtStart(s *bus.Spec) bool {
	a, _, err := DecodeApplication(s.Body)
	return err == nil && !s.Deleted && a.Refused == "" && !a.Delete && c.people.byToken == nil
}

// isLogged reports whether the decision log knows of an epoch of a model, or a later one, or there is none.
func (c *court) isLogged(ctx context.Context, model string, epoch int64) (bool, error) {
	if epoch == 0 {
		return true, nil
	}
	last, err := c.bus.LastDecision(ctx, model)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return false, err
	}
	return last.Decision != nil && last.Decision.Epoch >= epoch, nil
}

// tellsUnlogged says that nobody decides for a model, unless an admin has given its rollout up.
func (c *court) tellsUnlogged(ctx context.Context, model string, t *traces) error {
	a, newest := aheadOf{decided: t.epochs}, t.newest()
	f := &forgotten{decision: &schemas.Decision{ID: fmt.Sprintf("%s.%d", t.epochs[newest], newest), Rollout: t.epochs[newest], Model: model, Epoch: newest}, missing: a.missing()}
	if given, err := c.wasGivenUp(ctx, f.decision); given || err != nil {
		return err
	}
	c.forgotten[model] = f
	c.log.Error().Str("rollout", f.decision.Rollout).Str("model", model).Int64("epoch", newest).Msg(f.text())
	return nil
}

// unloggedText says that the window journal alone knows of a model's epochs, and what to do.
func (f *forgotten) unloggedText() string {
	d := f.decision
	return fmt.Sprintf("NATS knows nothing of rollout %s, and the window journal has %s of model %s: NATS was emptied, made anew, or restored from an older backup. Routers keep the split that they have, nobody decides for that now, and no "+
		"guardrail takes a canary back. Look at what routers do. Restore NATS (streams %s and KV_%s) from a backup while no serve runs; where there is none, apply the rollout's file again with `streamcanary rollout apply`: it goes on in an "+
		"epoch above these, which routers obey, and `rollout rollback` takes the canary back then, or `rollout delete` ends it; or leave the traffic as it is, and let "+
		"`streamcanary rollout delete %s --force` take this warning away",
		d.Rollout, f.missing, d.Model, schemas.StreamName, schemas.RolloutsBucket, d.Rollout)
}

// asksJournal reports whether the journal must be read before a model begins a rollout, since nothing else knows which epochs the model has had.
func (c *court) asksJournal(ctx context.Context, model string) (bool, error) {
	if _, known := c.had[model]; known || c.newestDesk(model) != nil {
		return false, nil
	}
	_, err := c.bus.LastDecision(ctx, model)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return false, fmt.Errorf("%w: %w", errUnasked, err)
	}
	if err == nil {
		c.had[model] = 0
		return false, nil
	}
	return true, nil
}

// epochsHad is the newest epoch that the journal has of a model, as far as anything but its start stands there.
func (c *court) epochsHad(ctx context.Context, model string) (int64, error) {
	t, err := c.tracesOf(ctx, model)
	return t.newest(), err
}

// tracesOf reads all that the journal has of a model's epochs.
func (c *court) tracesOf(ctx context.Context, model string) (traces, error) {
	t := traces{epochs: map[int64]string{}}
	ends, err := c.journal.EndOffsets(ctx)
	if err != nil {
		return t, err
	}
	p := c.journal.PartitionOf([]byte(model), len(ends))
	err = c.readSpan(ctx, map[int32]int64{p: ends[p]}, func(record *kafka.Entry) {
		if string(record.Key) == model {
			t.traced(record)
		}
	})
	return t, err
}
