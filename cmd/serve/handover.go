package serve

import (
	"context"
	"fmt"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// A handover is a command that a process has heard which stands by, or finds that it does: the one that decides for the rollout answers it. Where that one is stopped meanwhile, this one takes over, and then takes
// the command, whose id is obeyed once, whatever that one has done with it. Else it says, before whoever asks gives up, what is known of it.
type handover struct {
	rollout   string
	in        *decisions.Command
	requests  []bus.Request // as they came: whoever asks may ask again
	until     time.Time
	looked    bool // whether its rollout has ended
	journaled bool // whoever decides next obeys it; of a retry: its file is handed in
}

// maxHandovers bounds the commands that wait for one, maxAsked how often one is asked again. Beyond it a command is answered as others are.
const (
	maxHandovers = 1000
	maxAsked     = 100
)

// endedAfter is how long whoever decides has for what the record of a rollout that has ended refuses.
const endedAfter = 3 * time.Second

// stoppingReply is the answer of a service that is being stopped: another one may take over, or it is started again.
func stoppingReply(why string) *schemas.CommandReply {
	return &schemas.CommandReply{Failed: why, Again: true}
}

// awaitsHandover keeps a command for a rollout that another process decides for, and reports whether it did.
func (c *court) awaitsHandover(r *bus.Request, in *decisions.Command) bool {
	if _, stands := c.standbys.since[r.Rollout]; !stands || !r.Shared {
		return false
	}
	for _, h := range c.handovers {
		if h.rollout != r.Rollout || h.in.ID != in.ID || h.in.Sum() != in.Sum() {
			continue
		}
		if len(h.requests) < maxAsked {
			h.requests = append(h.requests, *r)
		}
		return true
	}
	if len(c.handovers) >= maxHandovers {
		return false
	}
	c.handovers = append(c.handovers, &handover{rollout: r.Rollout, in: in, requests: []bus.Request{*r}, until: time.Now().Add(lastlyAfter)})
	return true
}

// handOverAsked makes handovers of the commands that this process has taken, and not come to, of a rollout that another one decides for: it finds that only as it writes.
func (c *court) handOverAsked(d *desk) {
	for id, waiting := range c.asking {
		if id.rollout != d.rollout.Name || waiting.in == nil || len(c.handovers) >= maxHandovers {
			continue
		}
		h := &handover{rollout: id.rollout, in: waiting.in, until: waiting.since.Add(lastlyAfter), journaled: true}
		for _, r := range waiting.came {
			if r.Shared {
				h.requests = append(h.requests, r)
			} else {
				r.Reply(&schemas.CommandReply{Failed: lostText(d)})
			}
		}
		delete(c.asking, id)
		c.handovers = append(c.handovers, h)
	}
}

// handsOver takes the commands of rollouts that this process decides for by now, and answers those that have waited for long.
func (c *court) handsOver(ctx context.Context, now time.Time) {
	all := c.handovers
	c.handovers = nil
	for _, h := range all {
		if _, stands := c.standbys.since[h.rollout]; !stands {
			for _, r := range h.requests {
				r.Shared = false // there is nobody left to be first
				c.command(ctx, r)
			}
			continue
		}
		reply := c.endedSays(ctx, h, now)
		switch {
		case reply == nil && now.Before(h.until):
			c.handovers = append(c.handovers, h)
			continue
		case reply == nil:
			reply = c.notHandedOver(ctx, h)
		}
		for _, r := range h.requests {
			r.Reply(reply)
		}
	}
}

// endedSays refuses a command for a rollout that never began, or has ended, as its record does: nothing comes of it, whoever decides. Whoever does has a moment to say so. nil: it may be obeyed, or that isn't known.
func (c *court) endedSays(ctx context.Context, h *handover, now time.Time) *schemas.CommandReply {
	if h.looked || h.journaled || h.in.Do == schemas.CommandRetry || now.Before(h.until.Add(endedAfter-lastlyAfter)) {
		return nil
	}
	h.looked = true
	head, _, err := c.bus.LoadHead(ctx, h.rollout)
	if err != nil || !finished(&head) {
		return nil
	}
	if done := outcomeOf(&head.State, h.in); done != nil {
		return done
	}
	if why := head.State.Refuses(h.in, 0); why != "" {
		return &schemas.CommandReply{Refused: why}
	}
	return nil
}

// journaledFor notes that a command that waits stands in the journal, by the process that decides.
func (c *court) journaledFor(e *entry) {
	if e.input == nil || e.input.Command == nil {
		return
	}
	for _, h := range c.handovers {
		if h.rollout == e.rollout && h.in.ID == e.input.Command.ID && h.in.Sum() == e.input.Command.Sum() {
			h.journaled = true
		}
	}
}

// notHandedOver says what is known of a command that no other process has answered, and to which this one has not come.
func (c *court) notHandedOver(ctx context.Context, h *handover) *schemas.CommandReply {
	what := "nothing is done"
	switch {
	case h.journaled && h.in.Do == schemas.CommandRetry:
		what = "it is handed in, and hasn't begun yet"
	case h.journaled:
		what = "it stands in the window journal, and isn't done yet (whoever decides next does it)"
	}
	head, _, err := c.bus.LoadHead(ctx, h.rollout)
	if err != nil {
		return &schemas.CommandReply{Failed: fmt.Sprintf("%s: who decides for rollout %s isn't known (%v), and nobody has answered. Ask again, with the same id", what, h.rollout, err)}
	}
	if done := outcomeOf(&head.State, h.in); done != nil {
		return done
	}
	decides := "nobody decides for rollout " + h.rollout
	if head.Writer != "" {
		decides = fmt.Sprintf("serve %s decides for rollout %s", head.Writer, h.rollout)
	}
	return &schemas.CommandReply{Failed: fmt.Sprintf("%s: %s, by its record, and has not answered; this one stands by. If that one runs, ask again with the same id. If it is gone, %s", what, decides, c.takesOverIn(ctx, h.rollout, &head))}
}

// takesOverIn says when this process takes a rollout over whose record isn't written any more.
func (c *court) takesOverIn(ctx context.Context, rollout string, head *decisions.Head) string {
	looks := time.Duration(1)
	switch {
	case !c.trusts(ctx, head):
		return "start another one with its key, and ask that: this one doesn't trust who signed the last decision, and takes nothing over"
	case head.Writer != "":
		looks = time.Duration(max(1, silentLooks-c.standbys.seen[rollout].again))
	}
	return fmt.Sprintf("this one takes over in %s at most: ask again then", looks*(standByEvery+boardEvery)) // it is looked on the tick of the board behind that
}
