package serve

import (
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
}

// maxHandIns bounds the rollouts for which something is announced.
const maxHandIns = 10_000

// announced takes an announcement.
func (c *court) announced(r *bus.Request, who person) *schemas.CommandReply {
	if _, there := c.handIns[r.Rollout]; !there && len(c.handIns) >= maxHandIns {
		return &schemas.CommandReply{Refused: fmt.Sprintf("%d rollouts are announced or applied already: delete those that have ended", maxHandIns)}
	}
	c.handIns[r.Rollout] = handIn{sum: r.Command.Sum, name: who.name}
	return &schemas.CommandReply{}
}

// handedIn reports whether a rollout's entry is from somebody who may, whose name it is given; one that isn't is refused aloud. Without tokens everybody may who can write it.
func (c *court) handedIn(s *bus.Spec, a *Application, d *desk) bool {
	if c.people.byToken == nil || d != nil && d.application.ID == a.ID {
		return true
	}
	sum := sha256.Sum256(s.Body)
	x := c.handIns[s.Rollout]
	if own := x.sum == "" && x.id != "" && x.id == a.ID; own || x.sum == hex.EncodeToString(sum[:]) {
		a.Actor.Name = x.name
		return true
	}
	what := "apply"
	if a.Delete {
		what = "delete"
	}
	c.refuse(s.Rollout, a, fmt.Errorf("who handed it in isn't known, and http.tokensFile is set: `rollout %s --token-file FILE`, while the service runs, says who does", what))
	return false
}
