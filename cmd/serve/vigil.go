package serve

import (
	"context"
	"errors"
	"time"

	"streamcanary/cmd/engine"
	"streamcanary/decisions"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// When an epoch has ended, stage one counts on which version serves users, and after a rollback what the baseline's absolute limits need, for as long as the state machine looks at that (decisions.Retired). It counts
// from a while after now on, also after a restart, so that no event is read again for it: what is served in between is not seen.

// afterwards lets stage one count what a finished epoch needs, or nothing more of it.
func (c *court) afterwards(ctx context.Context, d *desk) {
	switch {
	case d.head.State.Retired == nil || c.isReplaced(d):
		d.vigil = nil
		c.order(ctx, order{remove: d.rollout.Name})
	case d.vigil == nil && !c.catching: // else it begins with what is handed over
		plan := c.keepsVigil(d)
		c.order(ctx, order{set: &plan})
	}
}

// keepsVigil begins a desk's vigil, and is what stage one must count for it.
func (c *court) keepsVigil(d *desk) windows.Plan {
	s := &d.head.State
	from := max(time.Now().UnixMilli(), s.EventMs) + s.Terms.SettleMs // nothing of it was read yet
	watched := d.watched()
	plan := engine.VigilOf(watched, s.Promoted(), s.Epoch, from)
	d.vigil = engine.NewVigil(watched, s.Promoted(), plan, c.sources.Predictions)
	d.vigil.Mute(s.MutedUntilMs())
	return plan
}

// isReplaced reports whether a later epoch of a desk's model has taken its place: not one that was refused, which does nothing.
func (c *court) isReplaced(d *desk) bool {
	return c.isLater(d) && c.successor(d) != nil
}

// successor is the newest later epoch of a desk's model that wasn't refused; nil: there is none.
func (c *court) successor(d *desk) *desk {
	var newest *desk
	for _, later := range c.desks {
		s := &later.head.State
		if later.rollout.Model != d.rollout.Model || s.Epoch <= d.head.State.Epoch || s.Status == decisions.StatusRefused {
			continue
		}
		if newest == nil || s.Epoch > newest.head.State.Epoch {
			newest = later
		}
	}
	return newest
}

// looksOn is the rollout that goes on to look at a version which a desk looks at; "": none does.
func (c *court) looksOn(d *desk, version string) string {
	if version == "" {
		return ""
	}
	if later := c.successor(d); later != nil && later.head.State.Replaces(version) {
		return later.rollout.Name
	}
	return ""
}

// arms are what the epoch compares whose end is looked at: that of a desk, or an earlier one, where all that came since were refused.
func (d *desk) arms() *decisions.Arms {
	if r := d.head.State.Retired; r != nil && r.Of != nil {
		return r.Of
	}
	r := d.rollout
	return &decisions.Arms{Baseline: r.Baseline, Canary: r.Canary, BaselineWhere: r.BaselineWhere, CanaryWhere: r.CanaryWhere}
}

// watched is a desk's rollout with the versions whose traffic is looked at once the epoch has ended.
func (d *desk) watched() *schemas.Rollout {
	r, of := *d.rollout, d.arms()
	r.Baseline, r.Canary, r.BaselineWhere, r.CanaryWhere = of.Baseline, of.Canary, of.BaselineWhere, of.CanaryWhere
	return &r
}

// relieve ends the counting for what another rollout of the model has left, before its own begins: a model has one plan.
func (c *court) relieve(ctx context.Context, model string) {
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; d.rollout.Model == model && d.vigil != nil {
			d.vigil = nil
			c.order(ctx, order{remove: name})
		}
	}
}

// serves takes a sealed part of the vigil.
func (d *desk) serves(e *entry, wall time.Time) ([]decisions.Effect, error) {
	if err := d.vigil.Add(e.key, e.part); err != nil {
		if !errors.Is(err, windows.ErrHole) { // else stage one counts again what it lost, and this part with it
			d.foreign++
		}
		return nil, nil
	}
	d.note(e, wall)
	var effects []decisions.Effect
	for w := d.vigil.Next(); w != nil; w = d.vigil.Next() {
		more, err := d.input(decisions.Input{Kind: decisions.InputTraffic, Traffic: w})
		if err != nil {
			return nil, err
		}
		effects = append(effects, more...)
	}
	return effects, nil
}
