package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

func rolloutCommand(c *console) *cobra.Command {
	return group("rollout", "Apply, look at and delete rollouts", applyCommand(c), listCommand(c), showCommand(c), explainCommand(c), deleteCommand(c))
}

func applyCommand(c *console) *cobra.Command {
	var r reach
	var file, from, comment string
	var again bool
	cmd := &cobra.Command{
		Use:   "apply --rollout FILE",
		Short: "Start judging a rollout",
		Long: `Hands a rollout to the running service, which starts its first epoch. What a running epoch stands on (versions, margins, risk,
guardrails) never changes: a changed file needs --new-epoch, which ends the running epoch's judging and starts afresh.`,
		Example: "  streamcanary rollout apply --rollout ranker-42.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := readFile(c, file, "rollout")
			if err != nil {
				return err
			}
			parsed, err := schemas.ParseRollout(file, text)
			if err != nil {
				return asUse(err)
			}
			warnNeverPromotes(c, parsed)
			since, err := startTime(from)
			if err != nil {
				return err
			}
			b, at, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			a := serve.Application{ID: rand.Text(), File: file, YAML: string(text), From: since, At: now(), Actor: person(comment)}
			return apply(cmd.Context(), c, b, application{a, parsed, again, at})
		},
	}
	rolloutFlag(cmd, &file)
	reachFlags(cmd, &r)
	cmd.Flags().StringVar(&from, "from", "", "judge windows from this event `TIME` on (RFC 3339); otherwise from 3 s ahead. A past one makes serve read events again from there, and running rollouts wait for that")
	cmd.Flags().BoolVar(&again, "new-epoch", false, "start afresh, whatever the running or ended epoch has seen")
	cmd.Flags().StringVar(&comment, "comment", "", "why, for the record")
	return cmd
}

// application is one call of apply.
type application struct {
	serve.Application
	rollout *schemas.Rollout
	again   bool
	at      serve.Addresses
}

func apply(ctx context.Context, c *console, b *bus.Bus, a application) error {
	revision, err := mayApply(ctx, b, &a)
	if err != nil {
		return err
	}
	body, err := a.Encode()
	if err != nil {
		return err
	}
	if _, err := b.PutSpec(ctx, bus.Spec{Rollout: a.rollout.Name, Body: body, Revision: revision}); err != nil {
		return err
	}
	epoch, err := takenUp(ctx, b, &a)
	if err != nil {
		return err
	}
	if c.json {
		return json.NewEncoder(c.out).Encode(map[string]any{"type": "applied", "rollout": a.rollout.Name, "model": a.rollout.Model,
			"from": a.From, "application": a.ID, "epoch": epoch})
	}
	if epoch == 0 {
		fmt.Fprintf(c.err, "rollout %s is applied, but within %s no serve has taken it up: one that runs on this NATS will\n", a.rollout.Name, takenUpWithin)
		return nil
	}
	fmt.Fprintf(c.err, "rollout %s is applied, epoch %d: windows from %s on are judged\nnext: streamcanary rollout show %s\n",
		a.rollout.Name, epoch, a.From, a.rollout.Name)
	return nil
}

// takenUpWithin is how long apply waits for the service to begin the epoch; without it the file waits for a service.
const takenUpWithin = 5 * time.Second

// takenUp waits until the service has begun the epoch that was asked for, and returns its number; 0: it hasn't. A refusal is an error.
func takenUp(ctx context.Context, b *bus.Bus, a *application) (int64, error) {
	for began := time.Now(); time.Since(began) < takenUpWithin; {
		head, _, err := b.LoadHead(ctx, a.rollout.Name)
		if err == nil && head.State.Terms.Application == a.ID {
			return head.State.Epoch, nil
		}
		if err != nil && !errors.Is(err, bus.ErrNotFound) {
			return 0, err
		}
		if why := refusal(ctx, &a.at, a.rollout.Name); why != nil && why.Application == a.ID {
			return 0, fmt.Errorf("the service refuses rollout %s: %s; apply it again when that is mended, or delete it", a.rollout.Name, why.Refused)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// refusal is what the running service says about a rollout that it doesn't judge; nil: nothing, or it can't be asked.
func refusal(ctx context.Context, at *serve.Addresses, name string) *serve.Standing {
	if at.HTTP == "" {
		return nil
	}
	all, err := serve.Ask(ctx, at.HTTP)
	if err != nil {
		return nil
	}
	for i := range all {
		if all[i].Rollout == name && all[i].Refused != "" {
			return &all[i]
		}
	}
	return nil
}

// pause waits, at most until the context ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// mayApply refuses what would change a running epoch, and a second active rollout of one model. It returns the revision of
// the file that is there.
func mayApply(ctx context.Context, b *bus.Bus, a *application) (uint64, error) {
	specs, err := b.Specs(ctx)
	if err != nil {
		return 0, err
	}
	revision := uint64(0)
	for _, s := range specs {
		head, _, err := b.LoadHead(ctx, s.Rollout)
		begun := err == nil
		if err != nil && !errors.Is(err, bus.ErrNotFound) {
			return 0, err
		}
		state := &head.State
		_, there, err := serve.DecodeApplication(s.Body)
		if s.Rollout != a.rollout.Name {
			if err == nil && there.Model == a.rollout.Model && !state.Status.Ended() {
				return 0, fmt.Errorf("model %s has an active rollout, %s (%s): end it first with `streamcanary rollout delete %s`",
					there.Model, s.Rollout, statusOf(state), s.Rollout)
			}
			continue
		}
		revision = s.Revision
		if begun && !a.again { // a file that no service has taken up may be replaced
			return 0, standsAlready(state, s.Rollout, err == nil && there.Sha256 == a.rollout.Sha256)
		}
	}
	return revision, nil
}

// standsAlready says why a rollout can't be applied again without a new epoch.
func standsAlready(s *decisions.State, name string, same bool) error {
	switch {
	case s.Status.Ended():
		return fmt.Errorf("rollout %s is %s in epoch %d, and stays so: --new-epoch starts it afresh", name, s.Status, s.Epoch)
	case same:
		return fmt.Errorf("rollout %s runs already (%s, epoch %d), from this very file", name, s.Status, s.Epoch)
	}
	return fmt.Errorf("rollout %s runs already (%s, epoch %d), from another file: a running epoch never changes; --new-epoch starts afresh",
		name, s.Status, s.Epoch)
}

// startAhead is how much later than now, in milliseconds, judging begins unless said: a first window that events have already passed
// would be read again, and the running rollouts would wait for that.
const startAhead = 3000

func startTime(text string) (schemas.Time, error) {
	if text == "" {
		return now() + startAhead, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, wrongUse{fmt.Errorf("--from %q: it is a time such as 2026-01-31T09:00:00Z", text)}
	}
	return schemas.Time(at.UnixMilli()), nil
}

func now() schemas.Time { return schemas.Time(time.Now().UnixMilli()) }

// person is who runs this program.
func person(comment string) schemas.Actor {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return schemas.Actor{Kind: "person", Name: name, Comment: comment}
}

func explainCommand(c *console) *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "explain NAME", Short: "Print a rollout with every default and each guardrail's share of the risk", Args: oneName,
		Example: "  streamcanary rollout explain ranker-42",
		RunE: func(cmd *cobra.Command, args []string) error {
			b, _, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			s, err := b.Spec(cmd.Context(), args[0])
			if err != nil {
				return noRollout(args[0], err)
			}
			_, rollout, err := serve.DecodeApplication(s.Body)
			if err != nil {
				return err
			}
			_, err = c.out.Write(schemas.Explain(rollout))
			return err
		},
	}
	reachFlags(cmd, &r)
	return cmd
}

func deleteCommand(c *console) *cobra.Command {
	var r reach
	var comment string
	var force bool
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "End a rollout and forget it", Args: oneName,
		Long:    `Ends the judging of a rollout and removes it. Traffic stays as it is routed. While a rollback is not yet carried out, --force is needed.`,
		Example: "  streamcanary rollout delete ranker-42 --comment 'superseded by 43'",
		RunE: func(cmd *cobra.Command, args []string) error {
			b, _, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			return deleteRollout(cmd.Context(), c, b, removal{args[0], comment, force})
		},
	}
	reachFlags(cmd, &r)
	cmd.Flags().StringVar(&comment, "comment", "", "why, for the record")
	cmd.Flags().BoolVar(&force, "force", false, "even while a rollback is not yet carried out")
	return cmd
}

type removal struct {
	name, comment string
	force         bool
}

// deleteWithin is how long delete waits for the service to end the rollout.
const deleteWithin = 10 * time.Second

func deleteRollout(ctx context.Context, c *console, b *bus.Bus, x removal) error {
	spec, err := b.Spec(ctx, x.name)
	if err != nil {
		return noRollout(x.name, err)
	}
	a, _, err := serve.DecodeApplication(spec.Body)
	if err != nil {
		return err
	}
	a.ID, a.Delete, a.Force, a.At, a.Actor = rand.Text(), true, x.force, now(), person(x.comment)
	body, err := a.Encode()
	if err != nil {
		return err
	}
	if spec.Revision, err = b.PutSpec(ctx, bus.Spec{Rollout: x.name, Body: body, Revision: spec.Revision}); err != nil {
		return err
	}
	revision, err := ended(ctx, b, x)
	if err != nil {
		return err
	}
	if err := b.DeleteSpec(ctx, x.name, spec.Revision); err != nil {
		return err
	}
	if revision > 0 {
		if err := b.DeleteHead(ctx, x.name, revision); err != nil {
			return err
		}
	}
	if c.json {
		return json.NewEncoder(c.out).Encode(map[string]any{"type": "deleted", "rollout": x.name})
	}
	fmt.Fprintf(c.err, "rollout %s is deleted\n", x.name)
	return nil
}

// ended waits until the service has ended a rollout, and returns the revision of its record; 0: there is none.
func ended(ctx context.Context, b *bus.Bus, x removal) (uint64, error) {
	for began := time.Now(); ; {
		head, revision, err := b.LoadHead(ctx, x.name)
		if errors.Is(err, bus.ErrNotFound) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		s := &head.State
		if s.Status.Ended() && (s.Saga == nil || s.Saga.Done() || x.force) {
			return revision, nil
		}
		switch late := time.Since(began) > deleteWithin; {
		case late && s.Saga != nil && !s.Saga.Done():
			return 0, fmt.Errorf("rollout %s: its rollback is still being carried out: wait for it, or take --force", x.name)
		case late:
			return 0, fmt.Errorf("rollout %s is still %s after %s: does a serve run on this NATS? It ends the rollout as soon as one does", x.name, s.Status, deleteWithin)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return 0, err
		}
	}
}
