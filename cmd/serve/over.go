package serve

import (
	"context"
	"errors"
	"fmt"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// mayBeginOver says why a rollout doesn't begin over an epoch that is under way, and may have written shared state.
func mayBeginOver(d *desk, a *Application, r *schemas.Rollout) error {
	if a.Force || d.lost != nil {
		return nil
	}
	terms := decisions.TermsOf(r.Walked())
	if why := d.head.State.RefusesOver(&terms); why != "" {
		return errors.New(why)
	}
	return nil
}

// over notes what the model's last epoch may have left in the state that a rollout shares. One that another rollout took over from long ago has no snapshots that are of use now.
func (c *court) over(a *Application, terms *decisions.Terms, last *bus.Logged, route *schemas.Decision) {
	var routes []schemas.Route
	if route != nil {
		routes = route.Routes
	}
	d := c.author(terms.Model, last)
	switch own := c.desks[terms.Rollout]; {
	case d != nil:
		terms.Over(&d.head.State, d.lost == nil && (a.Supersede || !d.head.State.Status.Ended()), routes...)
	case own != nil && own.rollout.Model == terms.Model: // the log has lost what it decided, or another one's desk is gone
		terms.Over(&own.head.State, false, before(routes, last)...)
	default:
		terms.Over(nil, false, before(routes, last)...)
	}
}

// before adds to routes those that were in force until the model's last decision, where that ended a rollout of which nothing else is known.
func before(routes []schemas.Route, last *bus.Logged) []schemas.Route {
	if d := last.Decision; d != nil && d.Phase == schemas.PhaseAbort {
		return append(routes[:len(routes):len(routes)], d.PreviousRoutes...)
	}
	return routes
}

// author is the desk of the epoch that took the model's last decision; nil: it isn't here.
func (c *court) author(model string, last *bus.Logged) *desk {
	if last.Decision == nil {
		return nil
	}
	d := c.desks[last.Decision.Rollout]
	if d == nil || d.rollout.Model != model || d.head.State.Epoch != last.Decision.Epoch {
		return nil
	}
	return d
}

// leaves are the versions that an epoch of a model begins over: what the author of its last decision leaves, and where a start under that name was refused since, what that looks on at.
func (c *court) leaves(terms *decisions.Terms, last *bus.Logged) []decisions.Left {
	d := c.author(terms.Model, last)
	for _, name := range sortedDesks(c.desks) {
		if other := c.desks[name]; d == nil && other.rollout.Model == terms.Model && other.head.State.Retired != nil && !c.isReplaced(other) {
			d = other
		}
	}
	if d == nil || d.lost != nil {
		return nil
	}
	return d.head.State.Leaves(terms)
}

// goesPast is what an application goes past by force or by override.
func (c *court) goesPast(a *Application, terms *decisions.Terms, last *bus.Logged, route *schemas.Decision) []string {
	var over []string
	if own := c.desks[terms.Rollout]; own != nil && a.Force {
		over = own.head.State.GivesUp(a.Retry)
	}
	if a.Force && c.forgot(terms.Rollout) > 0 {
		over = append(over, decisions.CodeLogLost)
	}
	if d := c.author(terms.Model, last); d != nil && d.lost == nil && a.Force {
		over = append(over, d.head.State.GoesPast(terms)...)
	}
	if a.moves() {
		over = append(over, terms.GoesPastUsers(route)...)
	}
	return over
}

// mayMove says why a rollout doesn't begin where that would take users at once from a version that is not on trial.
func (c *court) mayMove(ctx context.Context, a *Application, r *schemas.Rollout) error {
	if a.moves() {
		return nil
	}
	route, err := c.bus.Route(ctx, r.Model)
	if errors.Is(err, bus.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnasked, err)
	}
	terms := decisions.TermsOf(r.Walked())
	if why := terms.RefusesMove(route, a.Retry); why != "" {
		return errors.New(why)
	}
	return nil
}
