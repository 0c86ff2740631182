package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"

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
