package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// before adds to routes those that were in force until the model's last decision, where that ended a rollout of which nothing else is known, and what may have written the state that it keeps
// from being written, though it has no users.
func before(routes []schemas.Route, last *bus.Logged) []schemas.Route {
	d := last.Decision
	if d == nil {
		return routes
	}
	routes = slices.Clip(routes)
	if d.Phase == schemas.PhaseAbort {
		routes = append(routes, d.PreviousRoutes...)
	}
	if decisions.LeftShut(d) != nil {
		for _, r := range d.Routes {
			routes = append(routes, schemas.Route{Version: r.Version, WeightBP: 1})
		}
	}
	return routes
}

// leftShut is a model's last decision, where that has told stores to take no writes, and nobody follows its rollout any more; nil: nothing of that is known.
func (c *court) leftShut(model string, last *bus.Logged) *schemas.Decision {
	if d := c.author(model, last); last.Decision == nil || d != nil && d.head.State.Status != decisions.StatusDeleted || decisions.LeftShut(last.Decision) == nil {
		return nil
	}
	return last.Decision
}

// mayThaw says why a rollout doesn't begin over stores that nobody lets take writes again.
func (c *court) mayThaw(ctx context.Context, a *Application, r *schemas.Rollout) error {
	if a.Force {
		return nil
	}
	last, err := c.bus.LastDecision(ctx, r.Model)
	if errors.Is(err, bus.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUnasked, err)
	}
	if shut := c.leftShut(r.Model, &last); shut != nil {
		return errors.New(decisions.RefusesShut(shut, r.Name, a.Retry))
	}
	return nil
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

// leaves are the versions that an epoch of a model begins over: what the author of its last decision leaves, also where another process has begun that, and what is known here is its record, and
// where a start under that name was refused since, what that looks on at.
func (c *court) leaves(ctx context.Context, terms *decisions.Terms, last *bus.Logged) ([]decisions.Left, error) {
	d := c.author(terms.Model, last)
	if d == nil && last.Decision != nil {
		head, _, err := c.bus.LoadHead(ctx, last.Decision.Rollout)
		switch s := &head.State; {
		case err == nil && s.Terms.Model == terms.Model && s.Epoch == last.Decision.Epoch:
			return s.Leaves(terms), nil
		case err != nil && !errors.Is(err, bus.ErrNotFound) && !errors.Is(err, bus.ErrUnreadable):
			return nil, fmt.Errorf("%w: %w", errUnasked, err)
		}
	}
	for _, name := range sortedDesks(c.desks) {
		if other := c.desks[name]; d == nil && other.rollout.Model == terms.Model && other.head.State.Retired != nil && !c.isReplaced(other) {
			d = other
		}
	}
	if d == nil || d.lost != nil {
		return nil, nil
	}
	return d.head.State.Leaves(terms), nil
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
	if c.leftShut(terms.Model, last) != nil && a.Force {
		over = append(over, decisions.CodeStateShut)
	}
	if d := c.author(terms.Model, last); d != nil && d.lost == nil && a.Force {
		over = append(over, d.head.State.GoesPast(terms)...)
	}
	if a.moves() {
		over = append(over, terms.GoesPastUsers(route)...)
	}
	return over
}

// mayMove says why a rollout doesn't begin where that would take users at once from a version that is not on trial, or over stores that nobody lets take writes again.
func (c *court) mayMove(ctx context.Context, a *Application, r *schemas.Rollout) error {
	if err := c.mayThaw(ctx, a, r); err != nil {
		return err
	}
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
