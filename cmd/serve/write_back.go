package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// A rollout's record and file are in memory for as long as serve runs, and a decision is stored before it is published. So where somebody deletes or empties their bucket, what is in memory is all that
// there was, and newer than any backup: it is written back. A restart before that would forget the rollouts.

const recordsPlace = "bucket " + schemas.RolloutsBucket

// recordsAway takes note that the bucket of the rollouts' records is gone. In the log that is said once it is written back, or where it can't be made again.
func (c *court) recordsAway(why error) {
	said := fmt.Errorf("the rollouts' records (%s) are to be written back (%w): serve has them in memory. Don't restart it before: it would forget the rollouts", recordsPlace, why)
	if was := c.seen.records.err(); why.Error() != bus.ErrSpecsGone.Error() && (was == nil || was.Error() != said.Error()) {
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
	f := bus.Foreign{Place: recordsPlace, Sequence: uint64(now.UnixMilli()), At: now, Why: bus.ErrSpecsGone, Gone: true}
	if models := c.judged(); len(models) > 0 {
		f.Model = models[0]
	}
	c.strangers.hear(f)
}

// writesBack writes one rollout's record and file, where they are gone. A record that another process has taken over is that one's to write.
func (c *court) writesBack(ctx context.Context, d *desk) error {
	head, revision, err := c.bus.LoadHead(ctx, d.rollout.Name)
	switch {
	case errors.Is(d.lost, bus.ErrLost):
		if err != nil || !c.isBack(d, &head) {
			return nil
		}
		if err := c.regains(ctx, d); err != nil {
			return err
		}
		if d = c.desks[d.rollout.Name]; errors.Is(d.lost, bus.ErrLost) {
			return nil
		}
		revision = d.revision
	case errors.Is(err, bus.ErrNotFound):
		revision = 0
	case err != nil:
		return err
	case !c.isBack(d, &head): // that process's
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

// olderFile takes a rollout's file that is older than the one that came last, since somebody has restored their bucket from a backup: it doesn't begin, and the one in force is written back. Where all of NATS is older, what
// became of the rollout is told as that (checkLog), and nothing is written.
func (c *court) olderFile(ctx context.Context, s bus.Spec) error {
	d := c.desks[s.Rollout]
	if d == nil && c.standsAside(s.Rollout) { // what was applied since this process began: the other one knows it
		return nil
	}
	a, err := ReadApplication(s.Body)
	switch {
	case d == nil && (s.Deleted || err != nil):
		return nil
	case d == nil:
		why := fmt.Errorf("it is older than what was handed in or deleted since, and came back with a backup of %s (applied by %s at %s): apply it again where it is meant, or `streamcanary rollout delete %s` it", recordsPlace, a.Actor.Name, a.At, s.Rollout)
		c.refuse(s.Rollout, &a, why)
		c.keepRefused(ctx, s.Rollout, &a, why)
		return nil
	case !s.Deleted && err == nil && a.At > d.application.At: // NATS has another clock than before
		s.Older = false
		return c.takeSpec(ctx, s)
	case errors.Is(d.lost, bus.ErrLost) || d.regressed() || !s.Deleted && a.ID == d.application.ID:
		return nil
	}
	switch err := c.bus.CheckLog(ctx, []decisions.Head{d.head}); {
	case errors.Is(err, bus.ErrLogRegressed), olderBy(err) != nil:
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w", errUnasked, err)
	}
	back := bus.Spec{Rollout: s.Rollout, Body: d.head.Applied, Revision: s.Revision}
	if s.Deleted {
		back.Revision = 0
	}
	if _, err := c.bus.PutSpec(ctx, back); errors.Is(err, bus.ErrConflict) { // a newer one has come
		return nil
	} else if err != nil {
		return fmt.Errorf("%w: %w", errUnasked, err)
	}
	now, what := time.Now(), fmt.Sprintf("a file that is older than the one in force is back (applied by %s at %s), as from a backup", a.Actor.Name, a.At)
	if s.Deleted {
		what = "the file is deleted again, as in an older backup"
	}
	c.strangers.hear(bus.Foreign{Model: d.rollout.Model, Place: fmt.Sprintf("%s, file of rollout %s", recordsPlace, s.Rollout), Sequence: uint64(now.UnixMilli()), At: now, Why: errors.New(what), Gone: true, Older: true})
	return nil
}
