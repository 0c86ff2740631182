package serve

import (
	"context"
	"hash/fnv"
	"slices"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/pillars"
)

// How often the pillars of a rollout that runs are checked again: about every five minutes, a fifth more or less by its name, so that many rollouts don't ask at
// once. At most watchesMost are asked about at a time, each for pillars.Within at most; the others wait for their turn.
const (
	watchEvery  = 5 * time.Minute
	watchesMost = 4
)

// watchPeriod is how often the pillars of one rollout are checked again.
func watchPeriod(rollout string) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(rollout))
	return watchEvery*4/5 + watchEvery*2/5*time.Duration(h.Sum32()%1000)/1000
}

// watchedPillars is what was found of the pillars of an epoch that runs.
type watchedPillars struct {
	owner
	found []decisions.Pillar
}

// watchPillars has the pillars checked again that are due, the longest overdue first, each by a goroutine of its own.
func (c *court) watchPillars(ctx context.Context, now time.Time) {
	for _, name := range c.watchesDue(now) {
		if len(c.watches) >= watchesMost {
			return
		}
		d := c.desks[name]
		d.watchAt = now.Add(watchPeriod(name))
		c.watches[name] = true
		of := owner{name, d.head.State.Epoch}
		model, query := d.rollout.Model, pillars.Query{Pillars: &d.rollout.Pillars, Documents: d.application.Documents, Pins: c.pins(d.rollout.Model), Running: true}
		c.inspectors.Go(func() {
			found := c.checkRunning(ctx, model, query)
			select {
			case c.watched <- watchedPillars{of, found}:
			case <-ctx.Done():
			}
		})
	}
}

// watchesDue are the rollouts whose pillars are to be checked again.
func (c *court) watchesDue(now time.Time) []string {
	var due []string
	for _, name := range sortedDesks(c.desks) {
		d := c.desks[name]
		if !d.watchable() || c.watches[name] {
			continue
		}
		if d.watchAt.IsZero() { // another process, or this one before it was restarted, has asked before: nobody knows when
			d.watchAt = now.Add(watchPeriod(name) / 10)
		}
		if !now.Before(d.watchAt) {
			due = append(due, name)
		}
	}
	slices.SortStableFunc(due, func(a, b string) int { return c.desks[a].watchAt.Compare(c.desks[b].watchAt) })
	return due
}

// watchable reports whether a desk's pillars still matter, and can be asked about.
func (d *desk) watchable() bool {
	s := &d.head.State
	under := s.Status == decisions.StatusRunning || s.Status == decisions.StatusHolding || s.Status == decisions.StatusPromoting
	return under && d.lost == nil && pillars.Asks(&d.rollout.Pillars)
}

// checkRunning checks the pillars of a rollout that runs, against what its versions were at first sight. Where that can't be read, it is as if the registry were away.
func (c *court) checkRunning(ctx context.Context, model string, q pillars.Query) []decisions.Pillar {
	found := []decisions.Pillar(nil)
	kept, err := c.bus.Pins(ctx, model)
	q.Pins = append(kept, q.Pins...)
	for _, p := range pillars.Check(ctx, c.registries, q) {
		if err != nil && p.Name == decisions.PillarRegistry && p.State == decisions.PillarHeld {
			p = decisions.NewPillar(p.Name, decisions.PillarUnknown, []string{err.Error()})
		}
		found = append(found, p)
	}
	return found
}

// pillarsWatched journals what was found, where that is news. What can't be journaled is looked at again in a moment.
func (c *court) pillarsWatched(ctx context.Context, w watchedPillars) error {
	delete(c.watches, w.rollout)
	d := c.desks[w.rollout]
	if d == nil || d.head.State.Epoch != w.epoch || !d.watchable() || ctx.Err() != nil || !d.head.State.News(w.found) {
		return nil
	}
	for i := range w.found { // what versions are is known since the start
		w.found[i].Pins, w.found[i].Changes = nil, nil
	}
	in := decisions.Input{Kind: decisions.InputPillars, WallMs: time.Now().UnixMilli(), Pillars: &decisions.Checked{Pillars: w.found}}
	err := c.journalInput(ctx, d.rollout.Model, w.owner, in)
	if err != nil {
		d.watchAt = time.Now().Add(saveEvery)
	}
	return err
}
