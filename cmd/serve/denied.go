package serve

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/rs/zerolog"

	"streamcanary/schemas"
)

// A knock is that somebody who is known may not do something, or can't: who, with which rollout, and what.
type knock struct {
	who, rollout, do string
	refused          bool // they may, and it can't be done as things stand
}

// Knocked is one such time: the reason that they gave, and why not.
type knocked struct {
	knock
	comment string
	why     error
}

// Bounds of what is told of them: who knocks again and again is told once in a while, and counted.
const (
	deniedEvery  = time.Minute
	mostKnocks   = 1000
	mostKnocking = 64 // that wait to be told: beyond it they are only logged and counted
)

// knock hands to the court who isn't let in at a door. It doesn't wait.
func (c *court) knock(x knocked) {
	select {
	case c.knocking <- x:
	default:
	}
}

// byWhom names in the log whom a notice is of, where it is a person's doing.
func byWhom(n *schemas.Notice) func(*zerolog.Event) {
	return func(e *zerolog.Event) {
		if n.Actor != nil {
			e.Str("by", schemas.Readable(n.Actor.Name))
		}
	}
}

// tellDenied puts on the event stream that a person wanted what their role doesn't allow, or what is refused before it comes to the state machine (a retry): everything that people ask for stands there, with who it was. What comes from nobody who is known
// doesn't: whoever reaches NATS could write there.
func (c *court) tellDenied(ctx context.Context, of *knocked) {
	d := c.desks[of.rollout]
	if d == nil {
		return
	}
	now := time.Now()
	maps.DeleteFunc(c.knocks, func(_ knock, at time.Time) bool { return now.Sub(at) >= deniedEvery })
	if _, told := c.knocks[of.knock]; told || len(c.knocks) >= mostKnocks {
		return
	}
	if c.knocks == nil {
		c.knocks = map[knock]time.Time{}
	}
	c.knocks[of.knock] = now
	c.denied++
	n := noticeOf(d, schemas.NoticeCommandRefused)
	n.ID = fmt.Sprintf("%s.%d.denied.%d.%d", n.Rollout, n.Epoch, now.UnixMilli(), c.denied)
	n.Severity, n.Actor = schemas.Warning, &schemas.Actor{Kind: "person", Name: of.who, Comment: of.comment}
	what := "Command " + of.do
	if of.do == "" { // what they sent is no command
		what = "A command"
	}
	word := "denied"
	if of.refused {
		word = "refused"
	}
	n.Sentence = fmt.Sprintf("%s of rollout %s is %s: %v. More of it within %s is only counted (streamcanary_commands_%[3]s_total).", what, of.rollout, word, of.why, deniedEvery)
	n.EventTime = schemas.Time(d.head.State.EventMs)
	c.notify(ctx, n)
}
