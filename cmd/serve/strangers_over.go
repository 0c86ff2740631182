package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// strangersQuiet is how long nobody else must have written where only the service writes until it counts as over.
const strangersQuiet = time.Hour

// trespassAgain is the pause after events could not be looked up.
const trespassAgain = time.Minute

// trespasses are the rollouts about which people were told of strangers, and since when. The log of events has them, so that a restart forgets none.
type trespasses struct {
	since map[string]time.Time // by rollout: when they were told
	known map[string]bool      // rollouts whose last event was looked up
	again time.Time            // when that is tried again, after an error
}

func newTrespasses() *trespasses {
	return &trespasses{since: map[string]time.Time{}, known: map[string]bool{}}
}

// trespassed tells of strangers that have gone, and then of none that stands: nobody can say that a forger is gone for good, but an incident that nothing ends is looked at by nobody.
// What it keeps is of rollouts that are judged here.
func (c *court) trespassed(ctx context.Context, now time.Time) {
	t := c.trespasses
	for _, name := range sortedDesks(c.desks) {
		d := c.desks[name]
		if d.isLost() || !c.knowsTrespass(ctx, d, now) {
			continue
		}
		told, open := t.since[name]
		if !open || now.Sub(told) < strangersQuiet || now.Sub(c.strangers.last(d.rollout.Model)) < strangersQuiet || !d.head.State.Calm() {
			continue
		}
		if c.notify(ctx, foreignOverNotice(d, told)) {
			delete(t.since, name)
			c.strangers.forget(d.rollout.Model)
		}
	}
	maps.DeleteFunc(t.since, func(name string, _ time.Time) bool { return c.desks[name] == nil })
	maps.DeleteFunc(t.known, func(name string, _ bool) bool { return c.desks[name] == nil })
}

// knowsTrespass looks up once whether people were told of strangers, by a process before this one, and not of the end. It reports whether that is known; after an
// error it isn't tried again at once, since nothing else is done meanwhile.
func (c *court) knowsTrespass(ctx context.Context, d *desk, now time.Time) bool {
	t, name := c.trespasses, d.rollout.Name
	if t.known[name] || now.Before(t.again) {
		return t.known[name]
	}
	raised, at, err := c.lastNotice(ctx, d, schemas.NoticeForeignDecision)
	ended, over := false, time.Time{}
	if err == nil && raised {
		ended, over, err = c.lastNotice(ctx, d, schemas.NoticeForeignOver)
	}
	if err != nil {
		t.again = now.Add(trespassAgain)
		return false
	}
	t.known[name] = true
	if _, open := t.since[name]; !open && raised && (!ended || over.Before(at)) {
		t.since[name] = at
	}
	return true
}

// lastNotice is when the last event of a kind was published, and whether it is of this rollout.
func (c *court) lastNotice(ctx context.Context, d *desk, kind schemas.NoticeKind) (of bool, at time.Time, err error) {
	n, at, err := c.bus.LastNotice(ctx, d.rollout.Model, kind)
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return false, at, nil
	case err != nil: // or an event of another version
		if ctx.Err() == nil && c.untold.due(err) {
			c.log.Warn().Err(err).Str("rollout", d.rollout.Name).Msg("it isn't known what people were told of a rollout: trying again; look at NATS (its connection, permissions)")
		}
		return false, at, err
	}
	return n.Rollout == d.rollout.Name, at, nil
}

func foreignOverNotice(d *desk, told time.Time) *schemas.Notice {
	n := noticeOf(d, schemas.NoticeForeignOver)
	n.ID = fmt.Sprintf("%s.%d.foreign-over.%d", n.Rollout, n.Epoch, told.UnixMilli())
	n.Severity, n.Waiting = schemas.Info, d.head.State.Standing()
	n.Sentence = fmt.Sprintf("For %s nobody else has written where only serve writes decisions of model %s, so this counts as over. Who did it is not known to serve: look who may publish there (the NATS permissions), if nobody has.",
		schemas.FormatDuration(strangersQuiet), n.Model)
	return n
}

// last is when something of strangers was found of a model last; zero: never.
func (s *strangers) last(model string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found[model]
}

// forget lets people be told anew of strangers of a model, since what they were told of is over.
func (s *strangers) forget(model string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.told, func(about string, of telling) bool {
		_, waits := s.untold[about]
		return of.model == model && !waits
	})
}
