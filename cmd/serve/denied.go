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

// A toldKnock is when one was told last, and how often it came since.
type toldKnock struct {
	at, last time.Time
	more     int
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
	more, due := c.heardBefore(of.knock, now)
	if !due {
		return
	}
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
	n.Sentence = fmt.Sprintf("%s of rollout %s is %s: %v. More of it within %s is only counted (streamcanary_commands_%[3]s_total).%[6]s", what, of.rollout, word, of.why, schemas.FormatDuration(deniedEvery), more)
	n.EventTime = schemas.Time(d.head.State.EventMs)
	c.notify(ctx, n)
}

// heardBefore keeps a knock, and reports whether it is to be told, with what wasn't told of it before.
func (c *court) heardBefore(k knock, now time.Time) (more string, due bool) {
	if c.knocks == nil {
		c.knocks = map[knock]toldKnock{}
	}
	x, known := c.knocks[k]
	switch {
	case known && now.Sub(x.at) < deniedEvery:
		x.more, x.last = x.more+1, now
		c.knocks[k] = x
		return "", false
	case x.more > 0:
		more = fmt.Sprintf(" Since %s it was asked for %d times more, at last at %s.", schemas.Time(x.at.UnixMilli()), x.more, schemas.Time(x.last.UnixMilli()))
	case !known && len(c.knocks) >= mostKnocks:
		maps.DeleteFunc(c.knocks, func(_ knock, x toldKnock) bool { return now.Sub(x.at) >= deniedEvery })
		if len(c.knocks) >= mostKnocks {
			return "", false
		}
	}
	c.knocks[k] = toldKnock{at: now}
	return more, true
}
