package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"streamcanary/decisions/bus"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// A rollout's file may be there without its record when serve starts, where somebody has deleted that by its key. The decision log knows that its application has begun an epoch, and what came of it: to begin with it once more would
// forget that, and give the canary of one that was rolled back users again. So it begins nothing until it is applied again.

// unrecordedLooks is how often, retryAfter apart, it is looked for records that are gone, for all together: another serve that runs writes them back within seconds.
const unrecordedLooks = 4

// findUnrecorded takes note of those files whose application has begun an epoch by the decision log, and that have no record: by rollout, the last decision of its newest epoch.
func (c *court) findUnrecorded(ctx context.Context, first []bus.Spec) error {
	for looks := 1; ; looks++ {
		clear(c.unrecorded)
		for i := range first {
			d, err := c.unrecordedOf(ctx, &first[i])
			if err != nil {
				return err
			}
			if d != nil {
				c.unrecorded[d.Rollout] = d
			}
		}
		if len(c.unrecorded) == 0 || looks == unrecordedLooks {
			return nil
		}
		first = slices.DeleteFunc(slices.Clone(first), func(s bus.Spec) bool { return c.unrecorded[s.Rollout] == nil })
		pause(ctx, retryAfter)
	}
}

// unrecordedOf is the last decision of the newest epoch of a file's rollout, where its application has begun that, or came before; nil: it hasn't, or its record is there, or it says itself that it begins nothing.
func (c *court) unrecordedOf(ctx context.Context, s *bus.Spec) (*schemas.Decision, error) {
	a, r, err := DecodeApplication(s.Body)
	if err != nil || s.Deleted || a.Delete || a.Refused != "" || c.desks[s.Rollout] != nil {
		return nil, nil
	}
	_, _, err = c.bus.LoadHead(ctx, s.Rollout)
	if err == nil || errors.Is(err, bus.ErrUnreadable) {
		return nil, nil
	}
	if !errors.Is(err, bus.ErrNotFound) {
		return nil, err
	}
	return c.hasBegun(ctx, s.Rollout, r.Model, &a)
}

// hasBegun is the last decision of a rollout's newest epoch, where an application has begun that, or came before it did; nil: it comes after, or there is none. Where the journal hasn't got the epoch's start any more, the
// time decides at which it was handed in.
func (c *court) hasBegun(ctx context.Context, rollout, model string, a *Application) (*schemas.Decision, error) {
	var began, last *schemas.Decision
	_, err := c.bus.EachDecision(ctx, model, func(l *bus.Logged) {
		d := l.Decision
		if d.Rollout != rollout {
			return
		}
		if last == nil || last.Epoch != d.Epoch {
			began = d
		}
		last = d
	})
	if err != nil && !errors.Is(err, bus.ErrNotFound) || last == nil {
		return nil, unlessMissing(err)
	}
	application, err := c.beganBy(ctx, began)
	if err != nil {
		return nil, err
	}
	if application == a.ID || a.At <= began.IssuedAt {
		return last, nil
	}
	return nil, nil
}

func unlessMissing(err error) error {
	if errors.Is(err, bus.ErrNotFound) {
		return nil
	}
	return err
}

// beganBy is the application that began a decision's epoch, by the journal, which the decision says where to read; "": that hasn't got it any more.
func (c *court) beganBy(ctx context.Context, d *schemas.Decision) (application string, err error) {
	for _, in := range d.Evidence.Inputs {
		if in.Topic != JournalTopic {
			continue
		}
		err := c.readOne(ctx, in.Partition, in.From, func(record *kafka.Entry) {
			e, err := decodeEntry(record)
			if err != nil || e.input == nil || e.rollout != d.Rollout || e.epoch != d.Epoch {
				return
			}
			if s, _, err := startOf(record, e.input); err == nil {
				application = s.Application.ID
			}
		})
		if err != nil {
			return "", fmt.Errorf("read the window journal: %w", err)
		}
	}
	return application, nil
}

// readOne reads what the journal has at a place, if that is still there.
func (c *court) readOne(ctx context.Context, partition int32, offset int64, fn func(*kafka.Entry)) error {
	starts, err := c.journal.StartOffsets(ctx)
	if err != nil {
		return err
	}
	from, err := c.journal.EndOffsets(ctx)
	if err != nil {
		return err
	}
	if offset < starts[partition] || offset >= from[partition] {
		return nil
	}
	from[partition] = offset
	reader, err := c.journal.ReadFrom(ctx, from)
	if err != nil {
		return err
	}
	defer c.inspectors.Go(reader.Close) // nobody waits for that
	err = reader.Drain(ctx, func(record kafka.Entry) error {
		if record.Partition != partition {
			return nil // it has come since
		}
		if record.Offset == offset {
			fn(&record)
		}
		return errReadEnough
	})
	if errors.Is(err, errReadEnough) {
		return nil
	}
	return err
}

// beginsNot reports whether a file that is there at the start begins nothing, since its application has begun before, or nobody decides for its rollout: what had ended is refused.
func (c *court) beginsNot(ctx context.Context, s *bus.Spec) bool {
	for _, f := range c.forgotten {
		if f.decision.Rollout == s.Rollout && !deletes(s) {
			return true
		}
	}
	d := c.unrecorded[s.Rollout]
	if d == nil {
		return false
	}
	a, err := ReadApplication(s.Body)
	if err != nil || a.Refused != "" {
		return false
	}
	why := fmt.Errorf("epoch %d has begun since this was handed in, and ended with %s (%s), and the rollout's record is gone (%s): nothing begins anew by itself. Apply it again where it is meant, which gives canary %s users again, or `streamcanary rollout delete %s` takes it away; look who may delete keys there",
		d.Epoch, d.ID, d.Action, recordsPlace, canaryOf(&a), s.Rollout)
	c.refuse(s.Rollout, &a, why)
	c.keepRefused(ctx, s.Rollout, &a, why)
	return true
}

// canaryOf names the canary of an application that was read before.
func canaryOf(a *Application) string {
	r, err := a.Rollout()
	if err != nil {
		return ""
	}
	return r.Canary
}
