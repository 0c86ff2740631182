package serve

import (
	"context"

	"streamcanary/cmd/engine"
)

// What stage one counts is what it was told to. A rollout that this process decides for, and that isn't counted, would stand as it is with a canary that nobody looks at, and would be told of as one whose model has no
// traffic. So whoever takes a desk over says what is to be counted for it, however the desk came to be here, and what is missing all the same is found a second later.

// order tells stage one something, unless the service is stopping.
func (c *court) order(ctx context.Context, o order) {
	select {
	case c.counter <- o:
	case <-ctx.Done():
		return
	}
	if c.counted == nil {
		c.counted = map[string]int64{}
	}
	delete(c.counted, o.remove)
	for _, p := range o.begin {
		c.counted[p.Rollout] = p.Epoch
	}
	if o.set != nil {
		c.counted[o.set.Rollout] = o.set.Epoch
	}
}

// counts lets stage one count a desk's epoch. What it counts already it goes on with.
func (c *court) counts(ctx context.Context, d *desk) {
	c.clears(ctx, d)
	plan := engine.PlanOf(d.rollout, d.head.State.Epoch, int64(d.application.From))
	c.order(ctx, order{set: &plan})
}

// clears ends the counting for every other rollout of a desk's model: a model has one plan. What became of those is read in its turn.
func (c *court) clears(ctx context.Context, d *desk) {
	for _, other := range sortedDesks(c.desks) {
		if x := c.desks[other]; x.rollout.Model == d.rollout.Model && x != d {
			x.vigil = nil
			c.order(ctx, order{remove: other})
		}
	}
}

// countsAll lets stage one count what this process judges, and stage one was never told of.
func (c *court) countsAll(ctx context.Context) {
	for _, name := range sortedDesks(c.desks) {
		d := c.desks[name]
		if !d.open() || !d.started || finished(&d.head) || c.counted[name] == d.head.State.Epoch || c.newestDesk(d.rollout.Model) != d {
			continue
		}
		c.log.Error().Str("rollout", name).Str("model", d.rollout.Model).Int64("epoch", d.head.State.Epoch).
			Msg("this process decides for this rollout, and its windows were not counted: they are from now on, from the epoch's start; this is a mistake in streamcanary: please report it, with the log from where this rollout was taken over")
		c.counts(ctx, d)
	}
}
