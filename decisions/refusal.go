package decisions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"streamcanary/schemas"
)

// A Refusal is a command that was refused, and that people were told of: who asked for what, and why not. Asked again at once, it is only counted.
type Refusal struct {
	Key     string `json:"key"`               // keyOf the person, the command, and why not, but for the numbers in it
	SinceMs int64  `json:"since_ms"`          // wall time at which it was told
	More    int64  `json:"more,omitempty"`    // times that it was refused since, and not told
	LastMs  int64  `json:"last_ms,omitempty"` // the last of these
}

// RefusedEvery is how often the same refusal is told. MaxRefusals bounds those that are kept: beyond it, whatever else is refused within that time is told to who asks, and to nobody else.
const (
	RefusedEvery = time.Minute
	MaxRefusals  = 32
)

// deny tells that a command is refused, who asked for it, and why not.
func (t *turn) deny(c *Command, why string) {
	more, told := t.s.refuse(c, why, t.in.WallMs)
	if !told {
		return
	}
	by := c.Actor
	t.notice(schemas.Notice{
		Kind: schemas.NoticeCommandRefused, Severity: schemas.Warning, Actor: &by,
		Sentence: fmt.Sprintf("Command %s of rollout %s is refused: %s.%s", c.Do, t.s.Terms.Rollout, why, more),
	})
}

// refuse keeps a refusal, and reports whether it is to be told, with what wasn't told of it before.
func (s *State) refuse(c *Command, why string, nowMs int64) (more string, told bool) {
	key := keyOf(strings.Join([]string{c.Actor.Kind, c.Actor.Name, string(c.Do), strings.Map(withoutDigits, why)}, "\x00"))
	if i := slices.IndexFunc(s.Refusals, func(r Refusal) bool { return r.Key == key }); i >= 0 {
		r := &s.Refusals[i]
		if r.fresh(nowMs) {
			r.More, r.LastMs = r.More+1, nowMs
			return "", false
		}
		if r.More > 0 {
			more = fmt.Sprintf(" After %s the same was asked for, refused, and not told %s, at last at %s.", schemas.Time(r.SinceMs), times(int(r.More)), schemas.Time(r.LastMs))
		}
		*r = Refusal{Key: key, SinceMs: nowMs}
		return more, true
	}
	if len(s.Refusals) >= MaxRefusals {
		s.Refusals = slices.DeleteFunc(s.Refusals, func(r Refusal) bool { return !r.fresh(nowMs) })
	}
	if len(s.Refusals) >= MaxRefusals {
		return "", false
	}
	s.Refusals = append(s.Refusals, Refusal{Key: key, SinceMs: nowMs})
	return "", true
}

// fresh reports whether it was told so short ago that it isn't told again.
func (r *Refusal) fresh(nowMs int64) bool {
	return nowMs >= r.SinceMs && nowMs-r.SinceMs < RefusedEvery.Milliseconds()
}

// withoutDigits leaves out what changes each time in what is the same sentence: times, and how long something takes yet.
func withoutDigits(r rune) rune {
	if '0' <= r && r <= '9' {
		return -1
	}
	return r
}
