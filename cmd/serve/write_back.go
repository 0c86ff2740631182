package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// A rollout's record and file are in memory for as long as serve runs, and a decision is stored before it is published. So where somebody deletes or empties their bucket, what is in memory is all that
// there was, and newer than any backup: it is written back. A restart before that would forget the rollouts.

const recordsPlace = "bucket " + schemas.RolloutsBucket

var errRecordsGone = errors.New("somebody has deleted or emptied it")

// recordsAway takes note that the bucket of the rollouts' records is gone.
func (c *court) recordsAway(why error) {
	said := fmt.Errorf("the rollouts' records (%s) are gone (%w): serve has them in memory, and writes them back. Don't restart it before: it would forget the rollouts", recordsPlace, why)
	if was := c.seen.records.err(); was == nil || was.Error() != said.Error() {
		c.log.Error().Msg(said.Error())
	}
	c.seen.records.is(said)
}

// writeBack writes the records and files that are gone again, and lets people know. What can't be written now is tried again.
func (c *court) writeBack(ctx context.Context) {
	for _, name := range sortedDesks(c.desks) {
		err := c.writesBack(ctx, c.desks[name])
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			c.untaken = append(c.untaken, bus.Spec{Gone: true})
			if c.unasked.due(err) {
				c.log.Warn().Err(err).Str("rollout", name).Msg("this rollout's record or file is not written back yet: trying again; look at NATS (its connection, permissions, limits, disk)")
			}
			return
		}
	}
	c.seen.records.is(nil)
	now := time.Now()
	f := bus.Foreign{Place: recordsPlace, Sequence: uint64(now.UnixMilli()), At: now, Why: errRecordsGone, Gone: true}
	if models := c.judged(); len(models) > 0 {
		f.Model = models[0]
	}
	c.strangers.hear(f)
}

// writesBack writes one rollout's record and file, where they are gone. A record that another process has taken over is that one's to write.
func (c *court) writesBack(ctx context.Context, d *desk) error {
	if errors.Is(d.lost, bus.ErrLost) {
		return nil
	}
	head, revision, err := c.bus.LoadHead(ctx, d.rollout.Name)
	switch {
	case errors.Is(err, bus.ErrNotFound):
		revision = 0
	case err != nil:
		return err
	case head.Writer != c.instance: // that process's, or of a backup
		return nil
	}
	if revision != d.revision {
		d.revision = revision
		if d.lost != nil {
			err = d.save(ctx, c.bus)
		} else {
			err = c.store(ctx, d, nil)
		}
	}
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return err
	}
	_, err = c.bus.PutSpec(ctx, bus.Spec{Rollout: d.rollout.Name, Body: d.head.Applied})
	if errors.Is(err, bus.ErrConflict) { // it is there, or a newer one
		return nil
	}
	return err
}
