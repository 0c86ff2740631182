package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// A record may be older than what was decided, where the bucket of rollouts alone was restored from a backup. Under a service that runs, its own writings are known to it: what is newer in memory goes over them. Where none
// ran, the decision log has more than the record: to judge on by that would decide a second time, otherwise, what was decided, and would take for users' traffic what they had before. Where the record is of the newest epoch, the
// window journal leads to the same decisions again, with the times that they were issued at; else the rollout is lost.

// A mark is how far a record goes.
type mark struct{ epoch, seq, offset int64 }

func markOf(h *decisions.Head, partition int32) mark {
	return mark{h.State.Epoch, h.State.Seq, offsetOf(h.Offsets, partition)}
}

// after reports whether a record goes further than another one.
func (m mark) after(x mark) bool {
	switch {
	case m.epoch != x.epoch:
		return m.epoch > x.epoch
	case m.seq != x.seq:
		return m.seq > x.seq
	}
	return m.offset > x.offset
}

// isBack reports whether a record, which isn't the one that this process wrote last, is of a backup: it is one of its own, or goes less far than that. Who takes a record over goes on where it was, and signs it there or
// further on.
func (c *court) isBack(d *desk, h *decisions.Head) bool {
	return h.Writer == c.instance || d.stored.after(markOf(h, d.partition))
}

// reclaims takes a write that was refused, since another record is there than this process wrote last, or none is. nil: that one is of a backup, or somebody deleted it by its key, and what is in memory goes over it. Else it says why the rollout is lost; what can't be
// looked up now leaves it as it is, and is tried again.
func (c *court) reclaims(ctx context.Context, d *desk, why error) error {
	head, revision, err := c.bus.LoadHead(ctx, d.rollout.Name)
	gone, away := errors.Is(err, bus.ErrNotFound), false
	switch {
	case errors.Is(err, bus.ErrUnreadable), err == nil && !c.isBack(d, &head):
		return why
	case gone:
		if away, err = c.isTakenAway(ctx, d); err == nil {
			err = c.bus.CheckLog(ctx, []decisions.Head{d.head})
		}
	case err == nil:
		err = c.bus.CheckLog(ctx, []decisions.Head{d.head})
	}
	switch {
	case away, olderBy(err) != nil: // another process has decided since
		return why
	case errors.Is(err, bus.ErrLogRegressed): // all of NATS is of the backup
		d.revision, d.unsettled = revision, nil
		return err
	case err != nil:
		d.lost = nil
		return fmt.Errorf("look whose record of rollout %s is there: %w", d.rollout.Name, err)
	}
	d.revision, d.unsettled, d.lost = revision, nil, nil
	if gone {
		c.wroteAgain(d, recordKey)
		return nil
	}
	c.log.Warn().Str("rollout", d.rollout.Name).Str("model", d.rollout.Model).Int64("epoch", head.State.Epoch).Int64("seq", head.State.Seq).
		Msg("the record of this rollout is an older one, as from a backup: what was decided since is written over it; look who may write, delete and restore " + recordsPlace)
	return nil
}

// regains lets a rollout go on for which this process stood by, since another record was there than its own: that was one of a backup. What came in the journal meanwhile is read again.
func (c *court) regains(ctx context.Context, d *desk) error {
	name, lost := d.rollout.Name, d.lost
	err := c.reclaims(ctx, d, lost)
	switch {
	case err == nil:
		if err = d.save(ctx, c.bus); err == nil {
			return c.retake(ctx, name)
		}
		if d.lost == nil {
			d.lost = lost
		}
		return err
	case d.lost == nil:
		d.lost = lost
		return err
	case errors.Is(err, bus.ErrLost):
		return nil
	}
	delete(c.standbys.since, name)
	c.lose(ctx, d, err)
	return nil
}

// regained reports whether a rollout goes on, or is lost, of which a record of this process is there while it stands by.
func (c *court) regained(ctx context.Context, name string) bool {
	d := c.desks[name]
	if d == nil {
		return false
	}
	if err := c.regains(ctx, d); err != nil && ctx.Err() == nil && c.standbys.failed.due(err) {
		c.log.Warn().Err(err).Str("rollout", name).Msg("a record of this serve is back from a backup, and what came after isn't written over it yet: trying again; look at Kafka and NATS")
	}
	return !errors.Is(c.desks[name].lost, bus.ErrLost)
}

// olderBy is what the decision log has that a record hasn't; nil: an error doesn't say so.
func olderBy(err error) *bus.Ahead {
	var ahead *bus.Ahead
	if errors.As(err, &ahead) {
		return ahead
	}
	return nil
}

// isOlder reports whether nothing is decided for a rollout since its record is older than the decision log.
func (d *desk) isOlder() bool { return olderBy(d.lost) != nil }

// isPassed reports whether another rollout of the model has come since: its own has ended.
func (d *desk) isPassed() bool {
	a := olderBy(d.lost)
	return a != nil && a.Last.Rollout != d.rollout.Name
}

// goesOn reports whether a new epoch of what the record has would give users to no version that hasn't any: the record's epoch is the newest one, and shares them out, or moves none.
func (d *desk) goesOn() bool {
	a := olderBy(d.lost)
	return !d.isPassed() && a.Last.Epoch == a.Epoch && (a.Route == nil || len(users(a.Route)) > 1)
}

// trailsBehind takes a record that is older than the decision log. Where that is another record by now, another process decides, or has begun to: that is found by the next write. At a start, what the log has since in the same
// epoch is decided again from the journal as it was; where it can't be, the rollout is lost.
func (c *court) trailsBehind(ctx context.Context, d *desk, why error) error {
	for again := range 2 { // a replica of the bucket may lag behind the log
		if _, revision, err := c.bus.LoadHead(ctx, d.rollout.Name); err != nil || revision != d.revision {
			if errors.Is(err, bus.ErrNotFound) || errors.Is(err, bus.ErrUnreadable) {
				err = nil
			}
			return err
		}
		if again == 0 {
			pause(ctx, retryAfter)
		}
	}
	if !c.catching || !leadsOn(&d.head, why) {
		c.losesOlder(ctx, d, why)
		return nil
	}
	return c.decidesAgain(ctx, d, why)
}

// leadsOn reports whether the window journal may lead a record that is older than the decision log to what that has: it is under way, and nothing has begun since.
func leadsOn(h *decisions.Head, why error) bool {
	a := olderBy(why)
	return !finished(h) && a.Last.Rollout == h.State.Terms.Rollout && a.Last.Epoch == a.Epoch
}

// decidesAgain lets a desk that has only just been opened take from the decision log when that was decided which the journal leads to again.
func (c *court) decidesAgain(ctx context.Context, d *desk, why error) error {
	issued := map[string]int64{}
	if _, err := c.bus.EachDecision(ctx, d.rollout.Model, func(l *bus.Logged) { issued[l.Decision.ID] = int64(l.Decision.IssuedAt) }); err != nil {
		return err
	}
	d.trails = why
	d.clock = func(in decisions.Input) int64 {
		in.WallMs = wallNow(in)
		_, effects, err := d.head.Take(in)
		for _, e := range effects {
			if e.Decision != nil && err == nil && issued[e.Decision.Decision.ID] > 0 {
				return issued[e.Decision.Decision.ID]
			}
		}
		return in.WallMs
	}
	return nil
}

// caughtUpWithLog gives those up for lost of which the journal hasn't led to what the decision log has.
func (c *court) caughtUpWithLog(ctx context.Context) error {
	for _, name := range sortedDesks(c.desks) {
		if err := c.ledToLog(ctx, c.desks[name]); err != nil {
			return err
		}
	}
	return nil
}

// ledToLog gives a desk up for lost whose record was older than the decision log, and which the journal hasn't led to what that has.
func (c *court) ledToLog(ctx context.Context, d *desk) error {
	if d.trails == nil || d.isOlder() || errors.Is(d.lost, bus.ErrLost) {
		return nil
	}
	switch err := c.bus.CheckLog(ctx, []decisions.Head{d.head}); {
	case olderBy(err) != nil:
		c.losesOlder(ctx, d, err)
	case err != nil && !errors.Is(err, bus.ErrLogRegressed):
		return err
	case d.lost == nil:
		c.log.Warn().Err(d.trails).Str("rollout", d.rollout.Name).Str("model", d.rollout.Model).
			Msg("the record of this rollout was older than the decision log, as from a backup: what that has since is decided again from the window journal, as it was, and it goes on; look who may write, delete and restore " + recordsPlace)
	}
	d.trails, d.clock = nil, wallNow
	return nil
}

// losesOlder gives a rollout up for lost whose record is older than the decision log: the model's plan is another epoch's, or nobody's.
func (c *court) losesOlder(ctx context.Context, d *desk, why error) {
	c.lose(ctx, d, why)
	if !c.catching {
		c.order(ctx, order{remove: d.rollout.Name})
	}
}

// newestRecord is a rollout's record, which the decision log wasn't ahead of when it was read: another process stores what it decides, and then publishes it.
func (c *court) newestRecord(ctx context.Context, name string) (head decisions.Head, revision uint64, err error) {
	var older error
	for range claimAttempts {
		before := revision
		head, revision, err = c.bus.LoadHead(ctx, name)
		if err != nil || older != nil && revision == before {
			break
		}
		if older = c.bus.CheckLog(ctx, []decisions.Head{head}); olderBy(older) == nil {
			return head, revision, nil
		}
	}
	return head, revision, cmp.Or(err, older)
}

// takesOlder takes what another process has left, and whose record is older than the decision log, as a start does: the journal leads to what the log has, or it is lost. An error says why neither is so yet.
func (c *court) takesOlder(ctx context.Context, name string, why error) error {
	head, revision, err := c.bus.LoadHead(ctx, name)
	switch {
	case err != nil:
		return err
	case leadsOn(&head, why):
		before := c.desks[name]
		if d := c.opens(name, head, revision); d != nil {
			return c.retakes(ctx, before, d, why)
		}
	case c.isLostOlder(ctx, name, why):
		return nil
	}
	return why
}

// isLostOlder gives up for lost what another process has left, whose record is older than the decision log. It reports whether it did.
func (c *court) isLostOlder(ctx context.Context, name string, why error) bool {
	head, revision, err := c.bus.LoadHead(ctx, name)
	if err != nil {
		return false
	}
	d := c.opens(name, head, revision)
	if d == nil {
		return false
	}
	delete(c.standbys.since, name)
	c.losesOlder(ctx, d, why)
	return true
}

// inForce says what users have, whatever an older record says.
func inForce(a *bus.Ahead) string {
	if a.Route == nil {
		return ", and no decision shares its users out"
	}
	split, guarded := users(a.Route), ""
	if len(split) > 1 {
		guarded = ", and no guardrail takes the canary back"
	}
	return fmt.Sprintf(": by the decision that is in force, %s, model %s has %s%s", a.Route.ID, a.Route.Model, strings.Join(split, ", "), guarded)
}

// olderText says that a record is older than the decision log, what users have, and what to do.
func olderText(d *desk) string {
	a, name := olderBy(d.lost), d.rollout.Name
	without := fmt.Sprintf("apply the file of epoch %d again, whose versions these are, with `streamcanary rollout apply --new-epoch --force`, which takes an admin, or move the traffic by hand", a.Last.Epoch)
	switch {
	case d.isPassed():
		without = fmt.Sprintf("see to rollout %s, which came after it. This one is over, and `streamcanary rollout delete %s --force` takes it away", a.Last.Rollout, name)
	case d.goesOn():
		without = fmt.Sprintf("begin a new epoch with `streamcanary rollout retry %s --override --comment WHY`, or move the traffic by hand", name)
	case a.Route != nil && len(users(a.Route)) < 2:
		without = fmt.Sprintf("`streamcanary rollout delete %s --force` takes it away, and leaves users where they are", name)
	}
	return fmt.Sprintf("This serve no longer decides for rollout %s: its record (%s) is older than the decision log, as from a backup. It ends with epoch %d and decision %d, and the log has %s since, of epoch %d of rollout %s%s. "+
		"Restore stream KV_%s from a backup that has what is missing (`nats stream rm`, then `nats stream restore`) while no serve runs; where there is none, %s",
		name, recordsPlace, a.Epoch, a.Seq, a.Last.ID, a.Last.Epoch, a.Last.Rollout, d.leaves(), schemas.RolloutsBucket, without)
}
