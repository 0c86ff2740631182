package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

func deleteCommand(c *console) *cobra.Command {
	var r reach
	var comment string
	var force bool
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "End a rollout and forget it", Args: oneName,
		Long: `Ends the judging of a rollout and removes it. One that is under way gives its baseline all traffic, where decisions had moved some; what has ended stays as it is routed. While a rollback is not yet carried out, --force is needed; so it is of a rollout that is LOST, whose traffic stays as it is.
Shared state (state.mode: shared) is not restored: what the canary wrote stays, and the answer names the snapshots from before.`,
		Example: "  streamcanary rollout delete ranker-42 --comment 'superseded by 43'",
		RunE: func(cmd *cobra.Command, args []string) error {
			b, at, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			return deleteRollout(cmd.Context(), c, b, removal{name: args[0], comment: comment, at: at, force: force})
		},
	}
	reachFlags(cmd, &r)
	tokenFlag(cmd, &r)
	cmd.Flags().StringVar(&comment, "comment", "", "why, for the record")
	cmd.Flags().BoolVar(&force, "force", false, "even while a rollback is not yet carried out, or where the rollout is LOST")
	return cmd
}

type removal struct {
	name, comment string
	at            serve.Addresses
	force         bool
	revision      uint64 // of its file; 0: there is none
}

// deleteWithin is how long delete waits for the service to end the rollout.
const deleteWithin = 10 * time.Second

func deleteRollout(ctx context.Context, c *console, b *bus.Bus, x removal) error {
	spec, err := b.Spec(ctx, x.name)
	if errors.Is(err, bus.ErrNotFound) {
		return deleteUnknown(ctx, c, b, x)
	}
	if err != nil {
		return err
	}
	if isUnknown(ctx, b, &x) {
		x.revision = spec.Revision
		return deleteUnknown(ctx, c, b, x)
	}
	if err := mayDelete(ctx, b, &x); err != nil {
		return err
	}
	was, _, unread := b.LoadHead(ctx, x.name)
	a, body, err := deletionOf(spec.Body, &x)
	if err != nil {
		return err
	}
	if err := willHandIn(ctx, c, b, handIn{&a, bus.Spec{Rollout: x.name, Body: body}, x.at.Token}); err != nil {
		return err
	}
	if spec.Revision, err = b.PutSpec(ctx, bus.Spec{Rollout: x.name, Body: body, Revision: spec.Revision}); err != nil {
		return err
	}
	over := c.waits("rollout %s: waiting for the serve that decides for it to end it, for %s at most", x.name, deleteWithin)
	_, err = ended(ctx, b, x)
	over()
	if err != nil {
		return err
	}
	said := deleted{Type: "deleted", Rollout: x.name}
	head, _, err := b.LoadHead(ctx, x.name)
	switch {
	case err == nil: // what can't be read has nothing to tell
		said.Left, said.State, said.Retired = head.State.DeletedLeft(), head.State.WrittenLeft(), head.State.RetiredLeft()
	case errors.Is(err, bus.ErrNotFound) && unread == nil && !was.State.Status.Ended():
		said.Left = fmt.Sprintf("nothing was decided for it any more, so no decision has ended it, and no traffic was moved: look at what routers of model %s do, and move the traffic by hand", was.State.Terms.Model)
	}
	if err := b.DeleteSpec(ctx, x.name, spec.Revision); err != nil {
		return err
	}
	if err := forget(ctx, b, x); err != nil {
		return err
	}
	return sayDeleted(c, said)
}

// sayDeleted says that a rollout is deleted, and what it leaves behind.
func sayDeleted(c *console, said deleted) error {
	if c.json {
		return json.NewEncoder(c.out).Encode(said)
	}
	say(c.err, "rollout %s is deleted\n", said.Rollout)
	if said.Left != "" {
		say(c.err, "left: %s\n", said.Left)
	}
	if said.State != "" {
		say(c.err, "state: %s\n", said.State)
	}
	if said.Retired != "" {
		say(c.err, "retired: %s\n", said.Retired)
	}
	return nil
}

// deleted is what became of it, as `rollout delete --json` prints it.
type deleted struct {
	Type    string `json:"type"`
	Rollout string `json:"rollout"`
	Left    string `json:"left,omitempty"`    // what is to be done by hand of a rollback that is not carried out, or of a rollout that was LOST
	State   string `json:"state,omitempty"`   // what the canary has left in shared state
	Retired string `json:"retired,omitempty"` // what nobody looks at any more of a version that is to have no users
}

// mayDelete says at once why the service would refuse to end a rollout, before anything is handed in; nil: nothing is known that speaks against it.
func mayDelete(ctx context.Context, b *bus.Bus, x *removal) error {
	if x.force {
		return nil
	}
	head, _, err := b.LoadHead(ctx, x.name)
	if err == nil && head.State.Undone() {
		return stillUndone(x.name, &head.State)
	}
	return nil // what can't be read is told by what follows
}

// stillUndone is why a rollout isn't deleted whose rollback is on its way.
func stillUndone(name string, s *decisions.State) error {
	return fmt.Errorf("rollout %s: its rollback is not yet carried out (%s): wait for it (`streamcanary rollout show %s`), or give up following it with `streamcanary rollout delete %s --force`",
		name, schemas.Readable(s.OpenText()), name, name)
}

// deletionOf is what ends a rollout, whose entry may be one that the service refuses. What can't be read, or is too large to be written again, is left out.
func deletionOf(entry []byte, x *removal) (serve.Application, []byte, error) {
	there, err := serve.ReadApplication(entry)
	if _, tooLarge := there.Encode(); err != nil || tooLarge != nil {
		there = serve.Application{}
	}
	there.ID, there.Delete, there.Force, there.At, there.Actor = rand.Text(), true, x.force, now(), person(x.comment)
	body, err := there.Encode()
	return there, body, err
}

// forgetAttempts is how often delete tries to remove a record: by force it may do so while acks of the rollback still come in.
const forgetAttempts = 5

// forget removes the record of a rollout that has ended.
func forget(ctx context.Context, b *bus.Bus, x removal) error {
	for attempt := 1; ; attempt++ {
		revision, err := ended(ctx, b, x)
		if err != nil || revision == 0 {
			return err
		}
		err = b.DeleteHead(ctx, x.name, revision)
		if !errors.Is(err, bus.ErrLost) || attempt == forgetAttempts {
			return err
		}
	}
}

// ended waits until the service has ended a rollout, and returns the revision of its record; 0: there is none.
func ended(ctx context.Context, b *bus.Bus, x removal) (uint64, error) {
	for began := time.Now(); ; {
		head, revision, err := b.LoadHead(ctx, x.name)
		switch {
		case errors.Is(err, bus.ErrNotFound):
			return 0, nil
		case errors.Is(err, bus.ErrUnreadable) && x.force:
			return revision, nil
		case errors.Is(err, bus.ErrUnreadable):
			return 0, fmt.Errorf("%w: where a newer version of streamcanary wrote it, run that; --force removes it", err)
		case err != nil:
			return 0, err
		}
		s := &head.State
		drained := s.Saga == nil || s.Saga.Done()
		if s.Status == decisions.StatusDeleted || s.Status.Ended() && drained { // else the service will still write the record
			return revision, nil
		}
		if time.Since(began) > deleteWithin {
			return 0, unended(ctx, &x, s)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// unended says what is known of a rollout that isn't ended in time, and what to do.
func unended(ctx context.Context, x *removal, s *decisions.State) error {
	if s.Undone() && !x.force {
		return stillUndone(x.name, s)
	}
	still := fmt.Sprintf("rollout %s is still %s after %s", x.name, s.Status, deleteWithin)
	live, err := standings(ctx, &x.at)
	switch {
	case err != nil:
		return fmt.Errorf("%s, and whether a serve runs isn't known (%w): the rollout ends as soon as one that decides for it runs on this NATS; then delete it again", still, err)
	case live[x.name] == nil:
		return fmt.Errorf("%s: the serve at %s doesn't judge it; the rollout ends as soon as the one that does runs on this NATS; then delete it again", still, x.at.HTTP)
	case live[x.name].StandsBy:
		return fmt.Errorf("%s: the serve at %s stands by for the one that decides for it; it ends as soon as that one has taken this up, or, where that one was killed, as this one takes over (about %s after that): then delete it again, which takes it away. It says: %s",
			still, x.at.HTTP, schemas.FormatDuration(serve.TakesOverAfter), live[x.name].Lost)
	case live[x.name].Lost != "" && x.force:
		return fmt.Errorf("%s, and the serve at %s can't end it (when that is mended, delete it again): %s", still, x.at.HTTP, live[x.name].Lost)
	case live[x.name].Lost != "":
		return fmt.Errorf("%s, and the serve at %s can't end it (when that is mended, delete it again; where nothing mends it, --force takes it away, and leaves the traffic as it is): %s", still, x.at.HTTP, live[x.name].Lost)
	case live[x.name].Refused != "":
		return fmt.Errorf("%s: the serve at %s refuses that: %s", still, x.at.HTTP, live[x.name].Refused)
	}
	return fmt.Errorf("%s: the serve at %s judges it, and has not ended it; look at its log, then delete it again", still, x.at.HTTP)
}
