package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"streamcanary/cmd/serve"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// handIn is what is about to be handed in: the application, and the entry that it becomes.
type handIn struct {
	*serve.Application
	spec  bus.Spec
	token string // of whoever asks
}

// willHandIn tells the service who hands something in, which it wants to know where it has tokens. Where none listens there is nobody to be told: one that has no
// tokens takes it when it starts, and one that has refuses it then.
func willHandIn(ctx context.Context, c *console, b *bus.Bus, a handIn) error {
	within, cancel := context.WithTimeout(ctx, commandWithin)
	defer cancel()
	sum := sha256.Sum256(a.spec.Body)
	announced := schemas.Command{ID: a.ID, Do: schemas.CommandApply, By: a.Actor.Name, Comment: cmp.Or(a.Actor.Comment, "no comment"), Override: a.Overrides(), Sum: hex.EncodeToString(sum[:])}
	if a.Delete {
		announced.Do = schemas.CommandDelete
	}
	over := c.waitsForJudge(a.spec.Rollout)
	reply, err := b.Ask(within, a.spec.Rollout, &announced, a.token)
	over()
	switch {
	case errors.Is(err, bus.ErrNobody):
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("serve gives no answer within %s, so nothing is handed in: look at its log and /readyz, then ask again", commandWithin)
	case err != nil:
		return fmt.Errorf("%w; nothing is handed in", err)
	case reply.Denied != "" && a.Force:
		return fmt.Errorf("%s is denied: %s (--force is what overrides here)", announced.Do, reply.Denied)
	case reply.Denied != "":
		return fmt.Errorf("%s is denied: %s", announced.Do, reply.Denied)
	case reply.Refused+reply.Failed != "":
		return fmt.Errorf("%s is refused: %s", announced.Do, schemas.Readable(reply.Refused)+reply.Failed)
	}
	return nil
}
