package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// What was answered with a refusal doesn't begin later on, with nobody asking: the refusal is kept in the rollout's file, which the next start of the service reads. Over a change of a rollout that has a
// record `rollout apply` puts the file of its epoch back, which says then what was refused (and unretried puts back that of a retry).

// keepRefused writes the refusal into the rollout's file, unless that is another one by now. Where another process decides for the model, or has begun it, that one says what is refused.
func (c *court) keepRefused(ctx context.Context, rollout string, a *Application, why error) {
	if a.Delete {
		return
	}
	if head, _, err := c.bus.LoadHead(ctx, rollout); err == nil && head.State.Terms.Application == a.ID {
		return
	}
	r, err := a.Rollout()
	if err != nil {
		return
	}
	for _, d := range c.desks {
		if d.rollout.Model == r.Model && d.lost != nil && !d.regressed() && !errors.Is(d.lost, errJournalGone) {
			return
		}
	}
	there, err := c.bus.Spec(ctx, rollout)
	if err == nil {
		if now, err := ReadApplication(there.Body); err != nil || now.ID != a.ID {
			return
		}
		kept := *a
		kept.Refused, kept.RefusedAt = why.Error(), schemas.Time(time.Now().UnixMilli())
		if there.Body, err = kept.Encode(); err == nil {
			_, err = c.bus.PutSpec(ctx, there)
		}
	}
	if err != nil {
		c.log.Warn().Err(err).Str("rollout", rollout).Msg("that this rollout is refused can't be kept: it is looked at again when serve is started; `rollout delete` takes it back")
	}
}

// refusesLater reports whether an application isn't refused yet, since another process decides for its model by all that is known here, and may be gone: it comes again until that one has begun it, or says in the file why not,
// or until this one has taken over, and knows better. What has ended meanwhile is nobody's to take over, so its record is read.
func (c *court) refusesLater(ctx context.Context, s *bus.Spec, a *Application, model string) (bool, error) {
	for _, name := range sortedDesks(c.desks) {
		d := c.desks[name]
		if _, stands := c.standbys.since[name]; !stands || d.rollout.Model != model || !errors.Is(d.lost, bus.ErrLost) {
			continue
		}
		if begun, err := c.isBegun(ctx, s.Rollout, a); begun || err != nil {
			return begun, err
		}
		head, _, err := c.bus.LoadHead(ctx, name)
		if errors.Is(err, bus.ErrNotFound) { // that is told, and nobody takes it over
			continue
		}
		if err == nil && !needed(&head) {
			err = c.retake(ctx, name)
		}
		if err != nil {
			return false, fmt.Errorf("%w: %w", errUnasked, err)
		}
		c.comesAgain(ctx, s)
		return true, nil
	}
	return false, nil
}

// refusal is where a rollout stands whose refusal is kept.
func (a *Application) refusal(rollout string) Standing {
	return Standing{Rollout: rollout, Application: a.ID, Refused: a.Refused, RefusedAt: a.RefusedAt}
}

// unchanged takes the file of an epoch that is known: what was refused in between is gone, unless the file says that.
func (c *court) unchanged(rollout string, a *Application) {
	if no := a.Change; no != nil {
		c.board.refuse(Standing{Rollout: rollout, Application: no.ID, Refused: no.Why, RefusedAt: no.When})
		return
	}
	c.board.accept(rollout)
}

// Refusal is where a rollout stands whose entry says that it was refused; nil: it doesn't.
func Refusal(rollout string, body []byte) *Standing {
	a, err := ReadApplication(body)
	if err != nil || a.Refused == "" {
		return nil
	}
	s := a.refusal(rollout)
	return &s
}

// RefusedOver is what was applied last over the epoch of an application, as far as its rollout's entry says, where that was refused; nil: it doesn't.
func RefusedOver(epoch string, body []byte) *RefusedChange {
	a, err := ReadApplication(body)
	switch {
	case err != nil:
		return nil
	case a.Refused != "" && a.ID != epoch:
		return a.refused(a.Refused, a.RefusedAt)
	}
	return a.Change
}
