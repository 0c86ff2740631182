package serve

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// A handIn is what somebody who may has announced to hand in for a rollout, by `rollout apply` or `rollout delete`: it comes through NATS, where it could be
// anybody's. The newest one counts; it is forgotten when the service ends, and what was not taken up by then is handed in again.
type handIn struct {
	sum  string // SHA-256 of the entry, in hex; "": it is the service's own
	id   string // of the application, where it is the service's own
	name string // who
	// override: whoever announced it may go past what speaks against it, and said so.
	override bool
}

// maxHandIns bounds the rollouts for which something is announced.
const maxHandIns = 10_000

// announced takes an announcement.
func (c *court) announced(r *bus.Request, who person) *schemas.CommandReply {
	if r.Command.Do == schemas.CommandDelete {
		if err := c.desks[r.Rollout].keepsWarning(r.Command.Override); err != nil {
			return &schemas.CommandReply{Refused: err.Error()}
		}
	}
	if _, there := c.handIns[r.Rollout]; !there && len(c.handIns) >= maxHandIns {
		return &schemas.CommandReply{Refused: fmt.Sprintf("%d rollouts are announced or applied already: delete those that have ended", maxHandIns)}
	}
	c.handIns[r.Rollout] = handIn{sum: r.Command.Sum, name: who.name, override: r.Command.Override}
	return &schemas.CommandReply{}
}

// handedIn reports whether a rollout's entry is from somebody who may, whose name it is given; one that isn't is refused aloud. Without tokens everybody may who can write it.
func (c *court) handedIn(s *bus.Spec, a *Application, d *desk) bool {
	if c.people.byToken == nil || d != nil && d.application.ID == a.ID {
		return true
	}
	sum := sha256.Sum256(s.Body)
	x := c.handIns[s.Rollout]
	own, announced := c.ownHandIn(s.Rollout, a), x.sum == hex.EncodeToString(sum[:])
	switch {
	case announced && a.Overrides() && !x.override:
		c.refuse(s.Rollout, a, fmt.Errorf("it goes past what speaks against it, and %s has announced it without that: such a thing is announced with `override`, which takes an admin", x.name))
		return false
	case own || announced:
		a.Actor.Name = x.name
		return true
	}
	c.refuse(s.Rollout, a, c.unannounced(s.Rollout, a))
	return false
}

// isOfRecord reports whether a file of which nothing is known here is the very one that its rollout's record was begun by, which another process has written back: nobody hands that in.
func (c *court) isOfRecord(ctx context.Context, s *bus.Spec, d *desk) bool {
	if d != nil || c.people.byToken == nil {
		return false
	}
	head, _, err := c.bus.LoadHead(ctx, s.Rollout)
	return err == nil && bytes.Equal(head.Applied, s.Body)
}

// ownHandIn reports whether an application is one that this service wrote for somebody.
func (c *court) ownHandIn(rollout string, a *Application) bool {
	x := c.handIns[rollout]
	return x.sum == "" && x.id != "" && x.id == a.ID
}

// unannounced says what is known of an application that nobody has announced, and what to do. What it says of itself anybody can have written.
func (c *court) unannounced(rollout string, a *Application) error {
	do := fmt.Sprintf("apply --rollout %s", cmp.Or(a.File, "FILE"))
	switch {
	case a.Delete:
		do = "delete " + rollout
	case a.Retry:
		do = fmt.Sprintf("retry %s --id %s --comment WHY", rollout, a.ID)
	}
	return fmt.Errorf("who handed it in isn't known, and http.tokensFile is set: it names %s, at %s, and nobody has announced it to this service since that started, at %s. Hand it in again while the service runs, which says who does: `rollout %s --token-file FILE`",
		schemas.Readable(cmp.Or(a.Actor.Name, "nobody")), a.At, schemas.Time(c.began.UnixMilli()), do)
}
