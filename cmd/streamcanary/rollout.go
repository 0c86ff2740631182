package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"text/tabwriter"
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
			since, err := startTime(from)
			if err != nil {
				return err
			}
			b, _, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			a := serve.Application{ID: rand.Text(), File: file, YAML: string(text), From: since, At: now(), Actor: person(comment)}
			return apply(cmd.Context(), c, b, application{a, parsed, again})
		},
	}
	rolloutFlag(cmd, &file)
	reachFlags(cmd, &r)
	cmd.Flags().StringVar(&from, "from", "", "judge windows from this event `TIME` on (RFC 3339); otherwise from now")
	cmd.Flags().BoolVar(&again, "new-epoch", false, "start afresh, whatever the running or ended epoch has seen")
	cmd.Flags().StringVar(&comment, "comment", "", "why, for the record")
	return cmd
}

// application is one call of apply.
type application struct {
	serve.Application
	rollout *schemas.Rollout
	again   bool
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
	if c.json {
		return json.NewEncoder(c.out).Encode(map[string]any{"type": "applied", "rollout": a.rollout.Name, "model": a.rollout.Model, "from": a.From, "application": a.ID})
	}
	fmt.Fprintf(c.err, "rollout %s is applied: windows from %s on are judged\nnext: streamcanary rollout show %s\n", a.rollout.Name, a.From, a.rollout.Name)
	return nil
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
		if errors.Is(err, bus.ErrNotFound) {
			head.State.Status = decisions.StatusPreparing
		} else if err != nil {
			return 0, err
		}
		_, there, err := serve.DecodeApplication(s.Body)
		if s.Rollout != a.rollout.Name {
			if err == nil && there.Model == a.rollout.Model && !head.State.Status.Ended() {
				return 0, fmt.Errorf("model %s has an active rollout, %s (%s): end it first with `streamcanary rollout delete %s`",
					there.Model, s.Rollout, head.State.Status, s.Rollout)
			}
			continue
		}
		revision = s.Revision
		switch {
		case a.again:
		case head.State.Status.Ended():
			return 0, fmt.Errorf("rollout %s is %s in epoch %d, and stays so: --new-epoch starts it afresh", s.Rollout, head.State.Status, head.State.Epoch)
		case err == nil && there.Sha256 == a.rollout.Sha256:
			return 0, fmt.Errorf("rollout %s runs already (%s, epoch %d), from this very file", s.Rollout, head.State.Status, head.State.Epoch)
		default:
			return 0, fmt.Errorf("rollout %s runs already (%s, epoch %d), from another file: a running epoch never changes; --new-epoch starts afresh",
				s.Rollout, head.State.Status, head.State.Epoch)
		}
	}
	return revision, nil
}

func startTime(text string) (schemas.Time, error) {
	if text == "" {
		return now(), nil
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

func listCommand(c *console) *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "list", Short: "List the rollouts and where they stand", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, _, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			specs, err := b.Specs(cmd.Context())
			if err != nil {
				return err
			}
			t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
			if !c.json {
				fmt.Fprintln(t, "ROLLOUT\tMODEL\tBASELINE\tCANARY\tSTATUS\tEPOCH\tDECISIONS\tEVENT TIME")
			}
			for _, s := range specs {
				head, _, err := b.LoadHead(cmd.Context(), s.Rollout)
				if err != nil && !errors.Is(err, bus.ErrNotFound) {
					return err
				}
				if err := listLine(c, t, s, &head.State); err != nil {
					return err
				}
			}
			return t.Flush()
		},
	}
	reachFlags(cmd, &r)
	return cmd
}

func listLine(c *console, t *tabwriter.Writer, s bus.Spec, state *decisions.State) error {
	if c.json {
		return json.NewEncoder(c.out).Encode(map[string]any{
			"type": "rollout", "rollout": s.Rollout, "model": state.Terms.Model, "baseline": state.Terms.Baseline, "canary": state.Terms.Canary,
			"status": statusOf(state), "epoch": state.Epoch, "seq": state.Seq, "event_time": schemas.Time(state.EventMs),
		})
	}
	_, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", s.Rollout, state.Terms.Model, state.Terms.Baseline, state.Terms.Canary,
		statusOf(state), state.Epoch, state.Seq, schemas.Time(state.EventMs))
	return err
}

// statusOf is the rollout's status; one that the service hasn't taken up is "applied".
func statusOf(s *decisions.State) string {
	if s.Status == "" {
		return "applied"
	}
	return string(s.Status)
}

func oneName(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("name one rollout; `streamcanary rollout list` lists them")
	}
	return nil
}

func showCommand(c *console) *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show one rollout: its record, the last decision and why", Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			head, err := loadHead(cmd.Context(), c, &r, args[0])
			if err != nil {
				return err
			}
			if c.json {
				return json.NewEncoder(c.out).Encode(head)
			}
			return printHead(c.out, &head)
		},
	}
	reachFlags(cmd, &r)
	return cmd
}

func explainCommand(c *console) *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "explain NAME", Short: "Print a rollout with every default and each guardrail's share of the risk", Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, _, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			s, err := b.Spec(cmd.Context(), args[0])
			if err != nil {
				return err
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

func loadHead(ctx context.Context, c *console, r *reach, name string) (decisions.Head, error) {
	b, _, err := r.bus(ctx, c)
	if err != nil {
		return decisions.Head{}, err
	}
	defer b.Close()
	head, _, err := b.LoadHead(ctx, name)
	if !errors.Is(err, bus.ErrNotFound) {
		return head, err
	}
	if _, err := b.Spec(ctx, name); err != nil {
		return head, fmt.Errorf("there is no rollout %s: %w; `streamcanary rollout list` lists them", name, err)
	}
	return head, fmt.Errorf("rollout %s is applied, but no serve has taken it up: does one run on this NATS?", name)
}

func deleteCommand(c *console) *cobra.Command {
	var r reach
	var comment string
	var force bool
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "End a rollout and forget it", Args: oneName,
		Long: `Ends the judging of a rollout and removes it. Traffic stays as it is routed. While a rollback is not yet carried out, --force is needed.`,
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
		return fmt.Errorf("there is no rollout %s: %w", x.name, err)
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
	for began := time.Now(); ; {
		head, revision, err := b.LoadHead(ctx, x.name)
		if errors.Is(err, bus.ErrNotFound) {
			return b.DeleteSpec(ctx, x.name, spec.Revision)
		}
		if err != nil {
			return err
		}
		if head.State.Status.Ended() && (head.State.Saga == nil || head.State.Saga.Done() || x.force) {
			if err := b.DeleteSpec(ctx, x.name, spec.Revision); err != nil {
				return err
			}
			fmt.Fprintf(c.err, "rollout %s is deleted\n", x.name)
			return b.DeleteHead(ctx, x.name, revision)
		}
		if time.Since(began) > deleteWithin {
			return fmt.Errorf("rollout %s is still %s after %s: does a serve run on this NATS? A rollback that is being carried out needs --force", x.name, head.State.Status, deleteWithin)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
