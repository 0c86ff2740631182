package serve

import (
	"context"
	"time"

	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// Every service on a NATS hears every command, and whoever asks takes the first answer. So the one that decides for the rollout answers, and others let it: what they have to
// say comes only when that one must have answered, and before whoever asks gives up.

// lastlyAfter is when: later than commandWithin, and sooner than the 25 s for which the command line waits.
const lastlyAfter = commandWithin + 2*time.Second

// maxLastly bounds the answers that wait; beyond it the oldest isn't given.
const maxLastly = 1000

// A lastly is an answer that others may come before.
type lastly struct {
	at    time.Time
	reply func()
}

// inTurn is the reply to a command that other services hear, too.
func (c *court) inTurn(ctx context.Context, r *bus.Request) func(*schemas.CommandReply) {
	reply, rollout := r.Reply, r.Rollout
	return func(x *schemas.CommandReply) {
		if !c.elsewhere(ctx, rollout) {
			reply(x)
			return
		}
		c.last = append(c.last, lastly{time.Now().Add(lastlyAfter), func() { reply(x) }})
		c.last = c.last[max(0, len(c.last)-maxLastly):]
	}
}

// elsewhere reports whether another service decides for a rollout, as far as is known: it has written the record, or there is one that this service doesn't follow, also where that has ended: it can begin anew.
func (c *court) elsewhere(ctx context.Context, rollout string) bool {
	if c.standsAside(rollout) || c.desks[rollout] != nil {
		return c.standsAside(rollout)
	}
	head, _, err := c.bus.LoadHead(ctx, rollout)
	return err == nil && (!finished(&head) || head.Writer != "" && head.Writer != c.instance)
}

// sayLast gives the answers whose time has come.
func (c *court) sayLast(now time.Time) {
	for len(c.last) > 0 && !c.last[0].at.After(now) {
		c.last[0].reply()
		c.last = c.last[1:]
	}
}
