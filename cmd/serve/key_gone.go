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

// Somebody may delete the key of a rollout's record, or of its file, alone: a mark is left then, as where people delete a rollout. So the mark says nothing of who is to write it again; what is known here does. What is under way
// is deleted by a decision, which the log has. What has ended goes with both its keys, the file first.

// errKeyGone: what a rollout has in its bucket was deleted by its key, and nobody deleted the rollout.
var errKeyGone = errors.New("somebody deleted its key")

// What a rollout's keys are of.
const (
	recordKey = "record"
	fileKey   = "file"
)

// keyGoneAfter is for how long one key of a rollout that has ended may be gone alone, as it is while people delete it.
const keyGoneAfter = 2 * time.Second

// removed takes that a rollout's file is gone, or its record by its key. Of what somebody else judges that one knows why.
func (c *court) removed(ctx context.Context, s bus.Spec) error {
	name := s.Rollout
	if d := c.desks[name]; d != nil && errors.Is(d.lost, bus.ErrLost) {
		if over, err := c.isOverBeside(ctx, s, d); !over {
			return err
		}
	} else if s.Record {
		return c.keyGone(ctx, s)
	}
	c.board.accept(name)
	delete(c.inspections, name)
	delete(c.handIns, name)
	delete(c.standbys.since, name)
	delete(c.standbys.seen, name)
	delete(c.standbys.left, name)
	switch d := c.desks[name]; {
	case d == nil:
	case errors.Is(d.lost, bus.ErrLost):
		c.deleted.add(d.application.ID)
		c.untook(ctx, d)
	case d.parted || d.head.State.Status == decisions.StatusDeleted:
		c.ended(ctx, d)
	default:
		return c.keyGone(ctx, s)
	}
	return nil
}

// ended forgets a rollout that has ended, and that people have deleted.
func (c *court) ended(ctx context.Context, d *desk) {
	name := d.rollout.Name
	c.deleted.add(d.application.ID)
	if d.vigil != nil {
		c.order(ctx, order{remove: name})
	}
	delete(c.desks, name)
	c.roster.remove(name)
	c.ends(d.rollout.Model, owner{name, d.head.State.Epoch})
}

// isOverBeside reports whether a rollout that another process decides for has ended, and people have deleted it. Where both its keys are gone and the decision log has it under way, that process is to write them back; what people are
// told of the end may come later than the keys go, so it is asked again until that process is believed to be gone.
func (c *court) isOverBeside(ctx context.Context, s bus.Spec, d *desk) (bool, error) {
	record, file, err := c.hasKeys(ctx, s.Rollout)
	switch {
	case err != nil:
		return false, fmt.Errorf("%w: %w", errUnasked, err)
	case file:
		return false, nil
	case record:
		head, _, err := c.bus.LoadHead(ctx, s.Rollout)
		return err == nil && finished(&head), nil
	}
	over, err := c.isOver(ctx, d)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnasked, err)
	}
	if !over && d.missed < mostMissed {
		c.untaken = append(c.untaken, s)
	}
	return over, nil
}

// isOver reports whether nothing is under way in a desk's rollout by the decision log, as a start would find it: it has ended, was deleted or given up, or another one of the model has begun since.
func (c *court) isOver(ctx context.Context, d *desk) (bool, error) {
	l, err := c.bus.LastDecision(ctx, d.rollout.Model)
	if err != nil {
		return false, unlessMissing(err)
	}
	last := l.Decision
	switch {
	case last.Rollout != d.rollout.Name:
		return last.Epoch > d.head.State.Epoch, nil
	case last.Reason.Code == schemas.ReasonDeleted:
		return true, nil
	case shared(last), unrouted(last):
		return c.wasGivenUp(ctx, last)
	case !goesBack(last):
		return true, nil
	}
	if told, err := c.wasTold(ctx, last, schemas.NoticeRollbackCompleted); told || err != nil {
		return told, err
	}
	return c.wasGivenUp(ctx, last)
}

// keyGone takes that a rollout's record was deleted by its key, or its file, and writes it again unless people have deleted the rollout.
func (c *court) keyGone(ctx context.Context, s bus.Spec) error {
	d := c.desks[s.Rollout]
	if d == nil {
		return nil
	}
	record, file, err := c.hasKeys(ctx, s.Rollout)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errUnasked, err)
	case record && file:
		d.goneAt = time.Time{}
		return nil
	case finished(&d.head) && d.goneAt.IsZero():
		d.goneAt = time.Now()
	}
	if finished(&d.head) && time.Since(d.goneAt) < keyGoneAfter && record != file {
		c.untaken = append(c.untaken, bus.Spec{Rollout: s.Rollout, Deleted: true, Record: true})
		return nil
	}
	d.goneAt = time.Time{}
	if away, err := c.isTakenAway(ctx, d); err != nil {
		return err
	} else if away || finished(&d.head) && !record && !file {
		c.ended(ctx, d)
		return nil
	}
	if !record {
		if err := c.recordAgain(ctx, d); err != nil || d.isLost() {
			return err
		}
	}
	if file {
		return nil
	}
	switch _, err := c.bus.PutSpec(ctx, bus.Spec{Rollout: s.Rollout, Body: d.head.Applied}); {
	case errors.Is(err, bus.ErrConflict): // a newer one has come
	case err != nil:
		return fmt.Errorf("%w: %w", errUnasked, err)
	default:
		c.wroteAgain(d, fileKey)
	}
	return nil
}

// remains is the desk of a rollout for which a file comes; nil: there is none, or it has ended, and people have deleted it just now.
func (c *court) remains(ctx context.Context, name string) (*desk, error) {
	d := c.desks[name]
	if d == nil || d.goneAt.IsZero() {
		return d, nil
	}
	record, _, err := c.hasKeys(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnasked, err)
	}
	if !record && finished(&d.head) {
		c.ended(ctx, d)
	}
	return c.desks[name], nil
}

// hasKeys reports which of a rollout's keys are there.
func (c *court) hasKeys(ctx context.Context, rollout string) (record, file bool, err error) {
	_, _, err = c.bus.LoadHead(ctx, rollout)
	if record = !errors.Is(err, bus.ErrNotFound); err != nil && record && !errors.Is(err, bus.ErrUnreadable) {
		return false, false, err
	}
	_, err = c.bus.Spec(ctx, rollout)
	if file = !errors.Is(err, bus.ErrNotFound); err != nil && file {
		return false, false, err
	}
	return record, file, nil
}

// isTakenAway reports whether a rollout was deleted in its epoch, by a decision that is published, or since it had ended.
func (c *court) isTakenAway(ctx context.Context, d *desk) (bool, error) {
	switch {
	case !finished(&d.head) || len(Unpublished(&d.head)) > 0:
		return false, nil
	case d.head.State.Status == decisions.StatusDeleted || d.parted:
		return true, nil
	}
	given, err := c.wasGivenUp(ctx, &schemas.Decision{Rollout: d.rollout.Name, Model: d.rollout.Model, Epoch: d.head.State.Epoch})
	if err != nil {
		return false, fmt.Errorf("%w: %w", errUnasked, err)
	}
	return given, nil
}

// recordAgain writes a record again that is gone.
func (c *court) recordAgain(ctx context.Context, d *desk) error {
	if d.lost != nil { // nothing is decided for it
		d.revision = 0
		if err := d.save(ctx, c.bus); err != nil {
			return fmt.Errorf("%w: %w", errUnasked, err)
		}
		c.wroteAgain(d, recordKey)
		return nil
	}
	err := c.reclaims(ctx, d, fmt.Errorf("write record of rollout %s again: %w", d.rollout.Name, bus.ErrLost))
	switch {
	case err == nil:
		return c.store(ctx, d, nil)
	case errors.Is(err, bus.ErrLost), errors.Is(err, bus.ErrLogRegressed):
		c.lose(ctx, d, err)
		return nil
	}
	return fmt.Errorf("%w: %w", errUnasked, err)
}

// wroteAgain lets people know that what was deleted by its key is there again.
func (c *court) wroteAgain(d *desk, what string) {
	now := time.Now()
	sequence := uint64(now.UnixMilli())
	if what == fileKey {
		sequence++ // both may be gone at one instant, and are told each
	}
	c.strangers.hear(bus.Foreign{
		Model: d.rollout.Model, Place: fmt.Sprintf("%s, %s of rollout %s", recordsPlace, what, d.rollout.Name), Sequence: sequence, At: now, Why: errKeyGone, Gone: true,
	})
}
