package pillars

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
	"streamcanary/schemas/compat"
)

// Within is how long checking all pillars of a rollout may take.
const Within = 30 * time.Second

// Registries are where things are looked up; one that is nil is not configured.
type Registries struct {
	MLflow  *Client
	Schemas *Client // a Schema Registry
}

// A Query is what to check.
type Query struct {
	Pillars   *schemas.Pillars
	Documents map[string]string // the texts of the files that Pillars names, by name
	Pins      []decisions.Pin   // what versions were when earlier rollouts started
	// Offline asks nobody: what would have to be asked is unchecked.
	Offline bool
	// Running: the rollout runs, and held these before. Whoever can't be asked is no failure then: it is unknown.
	Running bool
	// Within is how long all of it may take, at most the constant; 0: that.
	Within time.Duration
}

// check is one call of Check.
type check struct {
	Registries
	Query
}

// Check returns what it found of each pillar that is named, in a fixed order. It never takes longer than Within, or q says.
func Check(ctx context.Context, r Registries, q Query) []decisions.Pillar {
	within := Within
	if q.Within > 0 {
		within = min(within, q.Within)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("no answer in the %s that asking all may take", within))
	defer cancel()
	c := check{r, q}
	var all []decisions.Pillar
	if q.Pillars.MLflow != nil {
		all = append(all, c.registry(ctx))
	}
	for _, p := range []struct {
		name decisions.PillarName
		role compat.Role
		pair *schemas.Pair
	}{
		{decisions.PillarInput, compat.Input, q.Pillars.Input},
		{decisions.PillarOutput, compat.Output, q.Pillars.Output},
		{decisions.PillarFeatures, compat.Features, q.Pillars.Features},
	} {
		if p.pair != nil {
			all = append(all, c.pair(ctx, p.name, p.role, p.pair))
		}
	}
	return all
}

// Unnamed are the pillars that a rollout doesn't name, so that nobody takes them for checked.
func Unnamed(p *schemas.Pillars) []decisions.PillarName {
	var names []decisions.PillarName
	for _, x := range []struct {
		name  decisions.PillarName
		named bool
	}{
		{decisions.PillarRegistry, p.MLflow != nil}, {decisions.PillarInput, p.Input != nil},
		{decisions.PillarOutput, p.Output != nil}, {decisions.PillarFeatures, p.Features != nil},
	} {
		if !x.named {
			names = append(names, x.name)
		}
	}
	return names
}

// Asks reports whether checking pillars asks anybody: what only came along as files never changes.
func Asks(p *schemas.Pillars) bool {
	bySubject := func(r schemas.Reference) bool { return r.Subject != "" }
	return p.MLflow != nil || slices.ContainsFunc(p.References(), bySubject)
}

// away is why whoever would have to say doesn't: it can't be reached, or what it says is no answer to what was asked.
type away struct{ error }

// Unwrap is the cause.
func (a *away) Unwrap() error { return a.error }

func isAway(err error) bool {
	no := (*away)(nil)
	return errors.As(err, &no)
}

// failed is a pillar that failed, unless it is only unknown (Query.Running).
func (c *check) failed(name decisions.PillarName, why error) decisions.Pillar {
	if c.Running && isAway(why) {
		return decisions.NewPillar(name, decisions.PillarUnknown, []string{why.Error()})
	}
	p := decisions.NewPillar(name, decisions.PillarFailed, []string{why.Error()})
	p.Away = isAway(why)
	return p
}

func unchecked(name decisions.PillarName, whom string) decisions.Pillar {
	return decisions.NewPillar(name, decisions.PillarUnchecked, []string{fmt.Sprintf("%s was not asked: `streamcanary check --online` asks it", whom)})
}
