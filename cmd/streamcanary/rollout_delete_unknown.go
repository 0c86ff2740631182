package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"streamcanary/cmd/serve"
	"streamcanary/decisions/bus"
)

// A rollout whose file and record are gone, or its record alone, and which the service has as LOST by its last decision alone, is taken away by that service: nothing is decided, and the traffic stays as it is.

// unknownHere is what the service says of such a rollout, whose file isn't there; the error says that it isn't one, or that no service says so.
func unknownHere(ctx context.Context, x *removal) (*serve.Standing, error) {
	live, err := standings(ctx, &x.at)
	switch {
	case err != nil:
		return nil, fmt.Errorf("there is no rollout %s in what NATS has, and serve hasn't answered whether it knows one that is LOST (%w): where it answers, ask again; `streamcanary rollout list` lists what there is", x.name, err)
	case live[x.name] == nil || live[x.name].Lost == "":
		return nil, noRollout(x.name, bus.ErrNotFound)
	}
	return live[x.name], nil
}

// isUnknown reports whether the service has a rollout as LOST of which there is a file, and no record.
func isUnknown(ctx context.Context, b *bus.Bus, x *removal) bool {
	if _, _, err := b.LoadHead(ctx, x.name); !errors.Is(err, bus.ErrNotFound) {
		return false
	}
	live, err := standings(ctx, &x.at)
	return err == nil && live[x.name] != nil && live[x.name].Status == serve.StatusUnknown
}

// deleteUnknown takes a rollout away of which there is no record, and no file, or that of removal.revision.
func deleteUnknown(ctx context.Context, c *console, b *bus.Bus, x removal) error {
	live, err := unknownHere(ctx, &x)
	if err != nil {
		return err
	}
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
	revision, err := b.PutSpec(ctx, bus.Spec{Rollout: x.name, Body: body, Revision: x.revision})
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
	return fmt.Sprintf("nothing was decided for it any more, so no decision has ended it, and no traffic was moved: %s; look at what routers of model %s do, and move the traffic by hand. Its file and record are gone, and with them which sinks it had: end incidents of it that are open by hand (PagerDuty, Alertmanager)", has, live.Model)
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
