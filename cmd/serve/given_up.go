package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// Of a rollout whose decision log has lost decisions nothing is decided any more, not even its end. So an admin's `rollout delete --force` takes away what there is of it here, and leaves the traffic as it is. The service removes the
// record itself: who asked finds it gone.

// givesUp forgets a rollout for which nothing is decided any more, and lets people know.
func (c *court) givesUp(ctx context.Context, a *Application, d *desk) error {
	name, model := d.rollout.Name, d.rollout.Model
	err := c.bus.DeleteHead(ctx, name, d.revision)
	if errors.Is(err, bus.ErrLost) {
		if _, _, gone := c.bus.LoadHead(ctx, name); !errors.Is(gone, bus.ErrNotFound) {
			c.lose(ctx, d, err)
			return nil
		}
		err = nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnasked, err)
	}
	c.had[model] = max(c.had[model], d.head.State.Epoch) // routers remember it, whatever the log has
	c.farewell(ctx, d, a.Actor)
	c.untook(ctx, d)
	return nil
}

// givenUpText says what a rollout leaves that was given up.
func (d *desk) givenUpText(by schemas.Actor) string {
	leaves := d.leaves()
	if d.isBehind() { // by a record that is too old
		leaves = ": routers keep what was decided last, which isn't known here"
	}
	return fmt.Sprintf("%s gave up rollout %s by force, for which nothing was decided any more%s. Nobody looks at it now: look at what routers of model %s do, and move the traffic by hand.",
		cmp.Or(by.Name, "A person"), d.rollout.Name, leaves, d.rollout.Model)
}

// givesUpForgotten lets nobody warn any more of a rollout that is forgotten, where its deletion is by force: nothing is decided, and the traffic stays as it is. A record that nothing is judged by goes, too. What isn't known here is left.
func (c *court) givesUpForgotten(ctx context.Context, name string, a *Application) error {
	for _, model := range slices.Sorted(maps.Keys(c.forgotten)) {
		f := c.forgotten[model]
		if f.decision.Rollout != name {
			continue
		}
		if !a.Force {
			c.board.refuse(Standing{Rollout: name, Application: a.ID, Refused: f.keepsText()})
			continue
		}
		if err := c.removesRecord(ctx, name); err != nil {
			return err
		}
		c.board.accept(name)
		c.had[model] = max(c.had[model], f.decision.Epoch)
		delete(c.forgotten, model)
		n := f.givenUpNotice(a.Actor)
		c.log.WithLevel(levelOf(n.Severity)).Str("model", model).Str("rollout", name).Str("event", string(n.Kind)).Msg(n.Sentence)
		c.farewells = append(c.farewells, n)
		c.farewells = c.farewells[max(0, len(c.farewells)-goneMost):]
		c.warn(ctx)
	}
	return nil
}

// removesRecord removes the record of a rollout that is forgotten, if there is one.
func (c *court) removesRecord(ctx context.Context, name string) error {
	_, revision, err := c.bus.LoadHead(ctx, name)
	if err == nil || errors.Is(err, bus.ErrUnreadable) {
		err = c.bus.DeleteHead(ctx, name, revision)
	}
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return fmt.Errorf("%w: %w", errUnasked, err)
	}
	return nil
}

func (f *forgotten) givenUpNotice(by schemas.Actor) *schemas.Notice {
	d := f.decision
	return &schemas.Notice{ID: fmt.Sprintf("%s.%d.deleted", d.Rollout, d.Epoch), Kind: schemas.NoticeRolloutDeleted, Model: d.Model, Rollout: d.Rollout, Epoch: d.Epoch, Severity: schemas.Warning, Actor: &by,
		Sentence: fmt.Sprintf("%s gave up rollout %s by force, for which nothing was decided any more. No traffic was moved: %s. Look at what routers of model %s do, and move the traffic by hand.",
			cmp.Or(by.Name, "A person"), d.Rollout, f.remains(), d.Model)}
}

// remains says what a forgotten rollout leaves in force.
func (f *forgotten) remains() string {
	if f.missing != "" {
		return "routers keep the split that they have, which isn't known here"
	}
	return "by its last decision, " + f.decision.ID + ", " + f.leaves()
}

// keepsText is why a forgotten rollout isn't deleted without force.
func (f *forgotten) keepsText() string {
	return fmt.Sprintf("rollout %s is LOST, so no decision can end it: `streamcanary rollout delete %s --force`, which takes an admin, takes the warning away and moves nobody. What stays in force: %s", f.decision.Rollout, f.decision.Rollout, f.remains())
}

// wasGivenUp reports whether people were told that the rollout of a decision was deleted in its epoch, by which nothing is decided in that any more.
func (c *court) wasGivenUp(ctx context.Context, d *schemas.Decision) (bool, error) {
	return c.wasTold(ctx, d, schemas.NoticeRolloutDeleted)
}

// wasTold reports whether people were told of a kind of event in the epoch of a decision, whatever they were told of others of its model since.
func (c *court) wasTold(ctx context.Context, d *schemas.Decision, kind schemas.NoticeKind) (told bool, err error) {
	err = c.bus.EachNotice(ctx, d.Model, kind, func(n *schemas.Notice) {
		told = told || n.Rollout == d.Rollout && n.Epoch == d.Epoch
	})
	return told, err
}

// deletes reports whether a rollout's file says that it is to end.
func deletes(s *bus.Spec) bool {
	a, err := ReadApplication(s.Body)
	return err == nil && a.Delete
}
