package serve

import (
	"context"
	"fmt"
	"time"

	"streamcanary/decisions"
)

// How long after it has caught up a process waits for answers that came, or would have come, while nobody heard them, before it says that they are missing: what is in the log
// of acks is read at once, and a sink is told again after what a crash has left in the air (bus.Tell), with the pauses of a few attempts.
const (
	acksGrace  = 2 * time.Second
	sinksGrace = 20 * time.Second
)

// graceOf is that of a deadline.
func graceOf(d *decisions.Deadline) time.Duration {
	if d.Sink {
		return sinksGrace
	}
	return acksGrace
}

// isLater reports whether a later epoch of a desk's model has begun.
func (c *court) isLater(d *desk) bool {
	now, known := c.newest.Load(d.rollout.Model)
	return known && now.(owner).epoch > d.head.State.Epoch
}

// isBegunLater reports whether that epoch was committed: what has only prepared, or was refused, does nothing of what an earlier one has left.
func (c *court) isBegunLater(d *desk) bool {
	now, known := c.newest.Load(d.rollout.Model)
	if !known || now.(owner).epoch <= d.head.State.Epoch {
		return false
	}
	later := c.desks[now.(owner).rollout]
	return later != nil && later.head.State.Epoch == now.(owner).epoch && later.head.State.FromMs > 0
}

// laterFor reports whether a later epoch of a desk's model has begun, as a deadline means it.
func (c *court) laterFor(d *desk, due *decisions.Deadline) bool {
	switch {
	case due.Next, due.Sink:
		return c.isBegunLater(d)
	case due.Later:
		return c.isReplaced(d)
	}
	return c.isLater(d)
}

// clock journals deadlines that have passed, and writes heads that were not written for long.
func (c *court) clock(ctx context.Context, now time.Time) error {
	c.unanswered(now)
	c.handsOver(ctx, now)
	c.sayLast(now)
	c.alive(ctx, now)
	for _, name := range sortedDesks(c.desks) {
		d := c.desks[name]
		if !d.open() {
			continue
		}
		for _, due := range d.head.State.Deadlines() {
			key := fmt.Sprint(due.ID, due.AtMs)
			later := c.laterFor(d, &due)
			if !due.Due(now.UnixMilli(), later) || d.asked[key] || now.Sub(c.judgesFrom) < graceOf(&due) {
				continue
			}
			d.asked[key] = true
			c.crash.pass(BeforeDeadlineAppend)
			in := d.expired(due.ID, now, c.seen.quiet.Load(), later)
			if later {
				in.Expired.On = c.looksOn(d, due.Version)
			}
			if err := c.journalInput(ctx, d.rollout.Model, owner{name, d.head.State.Epoch}, in); err != nil {
				delete(d.asked, key)
				return err
			}
		}
		if err := c.listen(ctx, d, now); err != nil {
			return err
		}
		if (!finished(&d.head) || d.vigil != nil) && d.next > offsetOf(d.head.Offsets, d.partition) && now.Sub(d.savedAt) >= saveEvery {
			if err := c.store(ctx, d, nil); err != nil {
				return err
			}
			c.crash.pass(AfterPeriodicSave)
		}
	}
	return nil
}
