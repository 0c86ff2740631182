package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// The decision log is where the chain of decisions is kept, and who listens hears of them. Where it is gone nothing is published, and so whatever is to be published next holds all rollouts up (store).
// It is never made anew by a process that runs: one that is restored goes on where it was, and an empty one has lost the chain.

// logAway is what became of the decision log. Its zero value: it is there. The watch's goroutine writes it.
type logAway struct {
	trouble           // why nothing can be published
	since   time.Time // the last time that it went
}

// gone is 1 where it is; it is a metric.
func (l *logAway) gone() float64 {
	if l.err() != nil {
		return 1
	}
	return 0
}

// becomes takes what is wrong with the decision log; nil: it is back, or another one is in its place.
func (c *court) becomes(why error) {
	away, now := &c.seen.away, time.Now()
	stream := "stream " + schemas.StreamName
	if why != nil {
		away.since = now
		away.is(fmt.Errorf("the decision log (%s) can't be used since %s (%w): no decision can be published, no command is taken, and nobody hears of events. Routers keep the split that they have: move traffic there by "+
			"hand. Restore it from a backup (`nats stream restore`), and serve goes on by itself. Where there is none, restart serve: it makes an empty one, in which every rollout that has decided is lost until "+
			"`streamcanary rollout retry NAME --override --comment WHY` begins it anew", stream, schemas.Time(now.UnixMilli()), why))
		c.log.Error().Err(why).Msg(away.err().Error())
		return
	}
	was := "it is another one, or shorter than it was"
	if away.err() != nil {
		was = fmt.Sprintf("it was gone from %s to %s", schemas.Time(away.since.UnixMilli()), schemas.Time(now.UnixMilli()))
	}
	away.is(nil)
	c.logAgain.Store(true)
	f := bus.Foreign{Place: stream, Sequence: uint64(now.UnixMilli()), At: now, Why: fmt.Errorf("%s", was), Gone: true}
	if models := c.board.models(); len(models) > 0 {
		f.Model = models[0]
	}
	c.strangers.hear(f)
}

// lookAgain holds the records against a decision log that is back.
func (c *court) lookAgain(ctx context.Context) {
	if !c.logAgain.CompareAndSwap(true, false) {
		return
	}
	if err := c.checkLog(ctx); err != nil && ctx.Err() == nil {
		c.logAgain.Store(true)
		if c.unasked.due(err) {
			c.log.Warn().Err(err).Msg("it isn't known whether the decision log has all that was published: trying again; look at NATS (its connection, permissions)")
		}
	}
}

// unlogged answers a command that can't be done since there is no decision log; false: there is one, or whoever asks may not command. To take it would do it, unasked, when the log is back.
func (c *court) unlogged(r *bus.Request) bool {
	gone := c.seen.away.err()
	if gone == nil {
		return false
	}
	who, err := c.people.who(r.Token, "")
	if err != nil || who.commands("a command") != nil {
		return false
	}
	r.Reply(&schemas.CommandReply{Failed: "it is not taken: " + gone.Error()})
	return true
}

// goneAdvice says what became of a place that somebody has deleted, and what to do.
func goneAdvice(f *bus.Foreign) string {
	if errors.Is(f.Why, errKeyGone) {
		return "serve has written it back from memory, and goes on. Look who may delete keys there (the NATS permissions of $KV." + schemas.RolloutsBucket + ".>); a rollout ends with `streamcanary rollout delete`"
	}
	if f.Older {
		return "it doesn't begin, and serve has written the one that is in force back: decisions go on, but for rollouts that are told as rollout-lost. Where the older one is meant, apply it again. Look who may delete, purge and restore streams " +
			"(the NATS permissions of $JS.API.STREAM.DELETE.KV_" + schemas.RolloutsBucket + ", PURGE and RESTORE)"
	}
	if f.Place == recordsPlace {
		return "serve has written each rollout's record and file back from memory: decisions go on, but for rollouts that are told as rollout-lost. A file that was refused, or waited to begin, must be applied again. Unless somebody restored NATS, look who may delete, purge and " +
			"restore streams (the NATS permissions of $JS.API.STREAM.DELETE.KV_" + schemas.RolloutsBucket + ", PURGE and RESTORE)"
	}
	if f.Route {
		return "serve makes it again where it must, and writes each model's last effective decision back from the decision log; routers keep the split that they have. Look who may delete and purge streams " +
			"(the NATS permissions of $JS.API.STREAM.DELETE.KV_" + schemas.RoutesBucket + " and PURGE)"
	}
	return "meanwhile nothing was decided, and nobody was told of events. A rollout of which it has lost decisions is told as rollout-lost; the others go on. Look who may delete streams " +
		"(the NATS permissions of $JS.API.STREAM.DELETE." + schemas.StreamName + "), and whether `streamcanary decisions verify` finds the chain whole"
}
