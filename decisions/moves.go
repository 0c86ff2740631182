package decisions

import (
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// The first decision of an epoch with planned weights gives its baseline all traffic, before anything is known. Where the baseline is what serves, and a canary that is on trial against it loses
// its few users, that is what people expect. Where users are on another version (one that was promoted since the file was written, most often), it is a rollback that nobody has asked for.

// codeMoves stands among what a person went past where an epoch's start takes users from versions that are not on trial.
const codeMoves = "users_moved"

// CodeLogLost stands there where an epoch begins though the decision log has lost decisions of the rollout.
const CodeLogLost = "log_lost"

// Moves are the versions whose users an epoch's start gives to its baseline at once, by the routes in force (nil: none are known), but for a canary that is on trial against that same baseline.
func (t *Terms) Moves(route *schemas.Decision) []schemas.Route {
	if route == nil || !t.awaited() || t.stageRoutes(0) == nil {
		return nil
	}
	var moved []schemas.Route
	for i, r := range route.Routes {
		onTrial := i == 1 && route.Action != schemas.ActionPromote && route.Routes[0].Version == t.Baseline && route.Routes[0].WeightBP > 0
		if r.Version != t.Baseline && r.WeightBP > 0 && !onTrial {
			moved = append(moved, schemas.Route{Version: r.Version, WeightBP: r.WeightBP})
		}
	}
	return moved
}

// RefusesMove says why an epoch should not begin by the routes in force, and what to do; "": nothing speaks against it. A retry is asked for otherwise than what is applied.
func (t *Terms) RefusesMove(route *schemas.Decision, retry bool) string {
	moved := t.Moves(route)
	if len(moved) == 0 {
		return ""
	}
	var do []string
	if most := mostServes(moved); most != t.Canary {
		do = append(do, fmt.Sprintf("write `baseline: {version: %s}` where that is what serves", most))
	}
	if route.Action == schemas.ActionPromote && len(route.Routes) > 1 && route.Routes[0].Version == t.Baseline {
		do = append(do, fmt.Sprintf("`streamcanary rollout back %s --comment WHY` where going back is meant", route.Rollout))
	}
	past := "apply it with --override"
	if retry {
		past = fmt.Sprintf("`streamcanary rollout retry %s --override --comment WHY`", t.Rollout)
	}
	do = append(do, past+" to move them now, which takes an admin, and the decision says so")
	return fmt.Sprintf("%s by the routes of epoch %d (decision %s), and this rollout would move them to %s at once: %s", usersOn("are", moved), route.Epoch, route.ID, t.Baseline, strings.Join(do, "; or "))
}

// GoesPastUsers is what whoever begins an epoch by force goes past in the routes in force.
func (t *Terms) GoesPastUsers(route *schemas.Decision) []string {
	if len(t.Moves(route)) > 0 {
		return []string{codeMoves}
	}
	return nil
}

// movedText is what the start of an epoch says of users whom it takes from versions that are not on trial; a sentence with a space before it.
func (s *State) movedText(override []string) string {
	if !slices.Contains(override, codeMoves) {
		return ""
	}
	moved := slices.DeleteFunc(slices.Clone(s.Before), func(r schemas.Route) bool { return r.Version == s.Terms.Baseline || r.WeightBP == 0 })
	return fmt.Sprintf(" Until now %s: they are moved to %s at once.", usersOn("were", moved), s.Terms.Baseline)
}

// mostServes is the version that has the most users.
func mostServes(routes []schemas.Route) string {
	return slices.MaxFunc(routes, func(a, b schemas.Route) int { return a.WeightBP - b.WeightBP }).Version
}

// usersOn is which part of the users is on which version.
func usersOn(be string, routes []schemas.Route) string {
	var parts []string
	for i, r := range routes {
		text := fmt.Sprintf("%s on %s", percentOf(r.WeightBP), r.Version)
		if i == 0 {
			text = fmt.Sprintf("%s of users %s on %s", percentOf(r.WeightBP), be, r.Version)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " and ")
}
