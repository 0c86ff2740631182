package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"streamcanary/cmd/serve"
	"streamcanary/decisions/bus"
)

// A rollout whose file and record are gone, and which the service has as LOST by its last decision alone, is taken away by that service: nothing is decided, and the traffic stays as it is.

// unknownRemoval is the removal of one, and what the service says of it.
type unknownRemoval struct {
	removal
	live *serve.Standing
}

// unknownHere is what the service says of such a rollout; nil: it isn't one, or no service says so. noFile is why its file isn't there.
func unknownHere(ctx context.Context, x *removal, noFile error) *serve.Standing {
	if !errors.Is(noFile, bus.ErrNotFound) {
		return nil
	}
	live, err := standings(ctx, &x.at)
	if err != nil || live[x.name] == nil || live[x.name].Lost == "" {
		return nil
	}
	return live[x.name]
}

func deleteUnknown(ctx context.Context, c *console, b *bus.Bus, u unknownRemoval) error {
	x, live := u.removal, u.live
	if !x.force {
		return fmt.Errorf("rollout %s is LOST, so no decision can end it: `streamcanary rollout delete %s --force`, which takes an admin, takes the warning away and moves nobody. The serve at %s says: %s", x.name, x.name, x.at.HTTP, live.Lost)
	}
	a, body, err := deletionOf([]byte("{}"), &x)
	if err != nil {
		return err
	}
	if err := willHandIn(ctx, c, b, handIn{&a, bus.Spec{Rollout: x.name, Body: body}, x.at.Token}); err != nil {
		return err
	}
	revision, err := b.PutSpec(ctx, bus.Spec{Rollout: x.name, Body: body})
	if err != nil {
		return err
	}
	over := c.waits("rollout %s: waiting for the serve that has it as LOST to take it away, for %s at most", x.name, deleteWithin)
	err = takenAway(ctx, &x)
	over()
	if err := errors.Join(err, b.DeleteSpec(ctx, x.name, revision)); err != nil { // what isn't done now isn't done later, unasked
		return err
	}
	return sayDeleted(c, deleted{Type: "deleted", Rollout: x.name, Left: leftUnknown(live)})
}

// leftUnknown says what such a rollout leaves.
func leftUnknown(live *serve.Standing) string {
	has := "routers keep the split that they have, which isn't known"
	if len(live.Routes) > 0 {
		has = "by the last decision that is known routes are " + routeText(live.Routes)
	}
	return fmt.Sprintf("nothing was decided for it any more, so no decision has ended it, and no traffic was moved: %s; look at what routers of model %s do, and move the traffic by hand", has, live.Model)
}

// takenAway waits until the service has it no more.
func takenAway(ctx context.Context, x *removal) error {
	for began := time.Now(); ; {
		live, err := standings(ctx, &x.at)
		switch s := live[x.name]; {
		case err == nil && (s == nil || s.Lost == "" && s.Refused == ""):
			return nil
		case err == nil && s.Refused != "":
			return fmt.Errorf("rollout %s: the serve at %s refuses that: %s", x.name, x.at.HTTP, s.Refused)
		case time.Since(began) > deleteWithin && err != nil:
			return fmt.Errorf("rollout %s: whether it is taken away isn't known after %s (%w): look at `streamcanary rollout list`, then ask again", x.name, deleteWithin, err)
		case time.Since(began) > deleteWithin:
			return fmt.Errorf("rollout %s is still LOST after %s: look at the log of the serve at %s, then ask again", x.name, deleteWithin, x.at.HTTP)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}
