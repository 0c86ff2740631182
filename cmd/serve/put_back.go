package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"streamcanary/decisions/bus"
)

// A rollout that was deleted isn't begun by its old file, which somebody puts back into the bucket by hand: its windows begin where they did. Each `rollout apply` is another application, so a process knows those that have ended
// under it; a file that came before it began is as any other.

// bygone are the applications of rollouts that were deleted: the newest goneMost.
type bygone []string

func (b *bygone) add(application string) {
	*b = append(*b, application)
	*b = (*b)[max(0, len(*b)-goneMost):]
}

// isPutBack reports whether a file is that of a rollout that was deleted, as it was then, and refuses it. One whose record has the application still runs, for another process.
func (c *court) isPutBack(ctx context.Context, s *bus.Spec, a *Application, d *desk) bool {
	if d != nil || a.Delete || !slices.Contains(c.deleted, a.ID) {
		return false
	}
	head, _, err := c.bus.LoadHead(ctx, s.Rollout)
	if err != nil && !errors.Is(err, bus.ErrNotFound) || err == nil && head.State.Terms.Application == a.ID {
		return false
	}
	why := fmt.Errorf("this very application (by %s at %s) had begun, and was deleted since: `rollout apply` it again where it is meant", a.Actor.Name, a.At)
	c.refuse(s.Rollout, a, why)
	c.keepRefused(ctx, s.Rollout, a, why)
	return true
}
