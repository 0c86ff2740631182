package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"streamcanary/schemas"
)

// commandWithin is how long a command waits for its answer: a little longer than the service.
const commandWithin = 25 * time.Second

// peopleCommands are what a person can ask of a rollout that is judged.
func peopleCommands(c *console) []*cobra.Command {
	var all []*cobra.Command
	for _, x := range []struct{ do, short, long string }{
		{"pause", "Hold a rollout until it is resumed", "Holds a rollout: no stage begins and nothing is promoted until `rollout resume`. Guardrails stay armed: harm rolls back all the same. One that has not begun is prepared, and begins when it is resumed."},
		{"resume", "End a hold", "Ends a hold: a pause, or one whose cause a person has looked at. The evidence may hold it again at once."},
		{"advance", "Let the next stage begin", "Lets the next stage begin: what an approval waits for, or without the evidence that the stage was to show. Past signs of harm it needs --override."},
		{"promote", "Give the canary all traffic", "Gives the canary all traffic: what an approval waits for, or without the evidence. Where the last stage declares a watch, that begins, and all traffic follows when it is over. Past signs of harm, and to end a watch that runs, it needs --override, which leaves out a watch that has not begun, too."},
		{"rollback", "Roll a canary back", "Gives the baseline all traffic, and follows that until the canary has drained. It stops a promotion that is on its way, ends what only prepares, and nothing in the epoch undoes it. Where the state can't go back and all stands still, or waits for a router that doesn't answer, it needs --override."},
		{"freeze", "Hold a rollout, and let its state take no writes", "Holds a rollout until it is resumed, as pause does, and tells the stores of shared state to take no writes until then: before the start, once each has named its snapshot."},
		{schemas.CommandRetry, "Judge a rollout anew, in a new epoch", "Begins a new epoch of a rollout from the file that was applied: its evidence begins anew, and a rollback of the epoch before no longer binds. While that rollback is not yet carried out, and where the epoch is well under way, it needs --override, and while the state takes no writes it is refused."},
	} {
		all = append(all, peopleCommand(c, x.do, x.short, x.long))
	}
	return all
}

// order is one call of such a command.
type order struct {
	schemas.Command
	rollout string
}

func peopleCommand(c *console, do, short, long string) *cobra.Command {
	var r reach
	o := order{Command: schemas.Command{Do: do}}
	cmd := &cobra.Command{
		Use: do + " NAME --comment WHY", Short: short, Long: long, Args: oneName,
		Example: "  streamcanary rollout " + do + " ranker-42 --comment 'looked at it with the feed team'",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.rollout = args[0]
			if strings.TrimSpace(o.Comment) == "" {
				return wrongUse{errors.New("--comment is missing: say why, for the record")}
			}
			return runOrder(cmd.Context(), c, &r, o)
		},
	}
	reachFlags(cmd, &r)
	cmd.Flags().StringVar(&o.Comment, "comment", "", "why, for the record (required)")
	cmd.Flags().StringVar(&o.ID, "id", "", "the request's `ID`: asked again with the same one, it is obeyed once, until the rollout is deleted or a thousand later commands were obeyed (default: a new one)")
	cmd.Flags().Int64Var(&o.Epoch, "epoch", 0, "the `EPOCH` that it is meant for: it is refused where another has begun (default: whichever there is)")
	tokenFlag(cmd, &r)
	if do == "advance" || do == "promote" || do == "rollback" || do == schemas.CommandRetry {
		cmd.Flags().BoolVar(&o.Override, "override", false, "go past what speaks against it; the decision says so")
	}
	return cmd
}

func runOrder(ctx context.Context, c *console, r *reach, o order) error {
	if o.ID == "" {
		o.ID = rand.Text()
	}
	o.By = person("").Name
	if _, err := schemas.EncodeCommand(&o.Command); err != nil {
		return wrongUse{fmt.Errorf("%s: %s", o.Do, strings.TrimPrefix(err.Error(), "encode command: "))}
	}
	b, at, err := r.bus(ctx, c)
	if err != nil {
		return err
	}
	defer b.Close()
	within, cancel := context.WithTimeout(ctx, commandWithin)
	defer cancel()
	over := c.waitsForJudge(o.rollout)
	reply, err := b.Ask(within, o.rollout, &o.Command, at.Token)
	over()
	if err != nil {
		return unanswered(err, o)
	}
	return tellReply(c, o, reply)
}

// unanswered says that nobody knows what came of a command, or that nobody heard it.
func unanswered(err error, o order) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w (to ask for the same again: --id %s)", err, o.ID)
	}
	return fmt.Errorf("no answer to %s came within %s, and whether it is done isn't known: look with `streamcanary rollout show %s`, and at the log of serve (to ask for the same again, which does it once: --id %s)",
		o.Do, commandWithin, o.rollout, o.ID)
}

// tellReply says what came of a command.
func tellReply(c *console, o order, reply *schemas.CommandReply) error {
	switch {
	case reply.Denied != "":
		return fmt.Errorf("%s is denied: %s", o.Do, reply.Denied)
	case reply.Refused != "":
		return fmt.Errorf("%s is refused: %s", o.Do, schemas.Readable(reply.Refused))
	case reply.Failed != "":
		return fmt.Errorf("%s: %s (--id %s)", o.Do, reply.Failed, o.ID)
	case c.json:
		line := map[string]any{"type": "commanded", "do": o.Do, "rollout": o.rollout, "id": o.ID, "decision": reply.Decision}
		if reply.Advice != "" {
			line["advice"] = reply.Advice
		}
		return json.NewEncoder(c.out).Encode(line)
	}
	fmt.Fprintf(c.err, "rollout %s: %s, decision %s\n", o.rollout, o.Do, reply.Decision)
	if reply.Advice != "" {
		say(c.err, "recommended: %s\n", reply.Advice)
	}
	return nil
}
