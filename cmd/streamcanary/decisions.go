package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

func decisionsCommand(c *console) *cobra.Command {
	return group("decisions", "Watch, list, show and verify decisions",
		logCommand(c, "watch", "Print decisions as they are published, until interrupted", true),
		logCommand(c, "list", "Print the decision log", false), decisionCommand(c), verifyCommand(c))
}

func logCommand(c *console, use, short string, follow bool) *cobra.Command {
	example := "  streamcanary decisions list --json"
	if follow {
		example = "  streamcanary decisions watch --model ranker"
	}
	var r reach
	var model string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noArguments,
		Example: example,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, a, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			trusted := knownTrust(a.Trust)
			some := false
			err = b.Log(cmd.Context(), bus.LogQuery{Model: model, Follow: follow}, func(l bus.Logged) error {
				some = true
				return errors.Join(printLogged(c, &l), untrusted(c, trusted, &l))
			})
			if err == nil && !some && !follow {
				fmt.Fprintln(c.err, "no decisions yet")
			}
			return err
		},
	}
	reachFlags(cmd, &r)
	cmd.Flags().StringVar(&model, "model", "", "only those of one `MODEL`")
	return cmd
}

func printLogged(c *console, l *bus.Logged) error {
	if c.json {
		return printBody(c, l)
	}
	d := l.Decision
	routes := ""
	if len(d.Routes) > 0 {
		routes = "\n    routes " + routeText(d.Routes)
	}
	_, err := fmt.Fprintf(c.out, "%s  %s %d.%d  %s%s%s  %s\n    %s%s\n%s%s", d.IssuedAt, d.Model, d.Epoch, d.Seq,
		strings.ToUpper(string(d.Action)), phase(d), advice(d), d.ID, d.Reason.Sentence, routes, exemplarLines("    ", d.Reason.Guardrails), skewLine("    ", d))
	return err
}

// knownTrust are the keys that the serve on the data folder signs with; nil where nobody knows them here.
func knownTrust(path string) *schemas.Trust {
	trust, err := readTrust(path)
	if err != nil {
		return nil
	}
	return &trust
}

// untrusted marks a decision that isn't signed, or, where the keys are known, not by them: it stands in the log, and nobody should take it for one. What JSON has stays as it
// was published, so there it is told on standard error.
func untrusted(c *console, trusted *schemas.Trust, l *bus.Logged) error {
	if trusted == nil {
		trusted = &schemas.Trust{}
		if l.Signed.KeyID != "" {
			return nil
		}
	}
	why := l.Verify(*trusted)
	if why == nil {
		return nil
	}
	text := fmt.Sprintf("NOT TRUSTED (message %d of stream %s): %v; routers that check signatures don't obey it: who may publish on streamcanary.decision.>?", l.Sequence, schemas.StreamName, why)
	if c.json {
		_, err := fmt.Fprintf(c.err, "decision %s is %s\n", l.Decision.ID, text)
		return err
	}
	_, err := fmt.Fprintf(c.out, "    %s\n", text)
	return err
}

// advice marks a decision on which nobody may act.
func advice(d *schemas.Decision) string {
	if d.Mode == schemas.Advise {
		return " (advice: nobody acts on it)"
	}
	return ""
}

// printBody prints a decision as it was published and signed, to the byte: the event that `streamcanary schema decision` describes.
func printBody(c *console, l *bus.Logged) error {
	_, err := fmt.Fprintf(c.out, "%s\n", l.Signed.Body)
	return err
}

func decisionCommand(c *console) *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "show ID", Short: "Print one decision whole", Args: oneID,
		Long:    "Prints one decision whole; with --json, the event as it was published, to the byte.",
		Example: "  streamcanary decisions show ranker-42.1.3",
		RunE: func(cmd *cobra.Command, args []string) error {
			b, a, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			l, err := b.Decision(cmd.Context(), args[0])
			if err != nil {
				return fmt.Errorf("%w; `streamcanary decisions list` lists them", err)
			}
			if c.json {
				return errors.Join(printBody(c, &l), untrusted(c, knownTrust(a.Trust), &l))
			}
			if err := untrusted(c, knownTrust(a.Trust), &l); err != nil {
				return err
			}
			e := json.NewEncoder(c.out)
			e.SetIndent("", "  ")
			return e.Encode(l.Decision)
		},
	}
	reachFlags(cmd, &r)
	return cmd
}

func oneID(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("name one decision by its id; `streamcanary decisions list` lists them")
	}
	return nil
}

func verifyCommand(c *console) *cobra.Command {
	var r reach
	var q verification
	cmd := &cobra.Command{
		Use: "verify", Short: "Verify the signatures and the chain of the decision log",
		Long: `Verifies that every decision in the log is signed by a trusted key over its exact bytes, and names the hash of the model's decision
before it. Exits with 1 at the first one that is not so.

With --recompute, every decision is then computed again from the window journal: from what was counted, and from the acks, deadlines and people's commands that
stand there, to the same bytes; of one that isn't the same, where it differs is printed. What the journal no longer has (its retention) is told, and is no failure
unless nothing could be computed. What a person asked for stands on that, not on evidence. Another version of the program may compute other bytes: it is told which
one began the epoch. It reads the journal and the log, and changes nothing.`,
		Example: "  streamcanary decisions verify --trust trust.txt\n  streamcanary decisions verify --recompute --model ranker",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return q.run(cmd.Context(), c, &r)
		},
	}
	reachFlags(cmd, &r)
	journalFlag(cmd, &r)
	cmd.Flags().StringVar(&q.trust, "trust", "", "the `FILE` of trusted keys; otherwise that of the serve on the data folder")
	cmd.Flags().StringVar(&q.model, "model", "", "only those of one `MODEL`")
	cmd.Flags().BoolVar(&q.recompute, "recompute", false, "compute each decision again from the window journal")
	return cmd
}

// A verification is what `decisions verify` is asked for.
type verification struct {
	trust, model string
	recompute    bool
}

func (q *verification) run(ctx context.Context, c *console, r *reach) error {
	b, a, err := r.bus(ctx, c)
	if err != nil {
		return err
	}
	defer b.Close()
	keys, err := readTrust(cmp.Or(q.trust, a.Trust))
	if err != nil {
		return err
	}
	checked := 0
	var log []serve.Published
	last := map[string]bus.Logged{}
	err = b.Log(ctx, bus.LogQuery{Model: q.model}, func(l bus.Logged) error {
		if err := verify(keys, last, &l); err != nil {
			return err
		}
		checked++
		if q.recompute {
			log = append(log, serve.PublishedOf(l.Decision, l.Signed.Body, l.At))
		}
		return nil
	})
	if err != nil {
		return err
	}
	told := verified{Type: "verified", Decisions: checked}
	if q.recompute {
		counts, err := (&recomputation{c: c, bus: b}).run(ctx, r, log)
		if err != nil {
			return err
		}
		told.Recomputed = &counts
	}
	return told.print(c)
}

// verified is what is told at the end.
type verified struct {
	Decisions  int               `json:"decisions"`
	Type       string            `json:"type"`
	Recomputed *serve.Recomputed `json:"recomputed,omitempty"`
}

func (v *verified) print(c *console) error {
	if c.json {
		return json.NewEncoder(c.out).Encode(v)
	}
	fmt.Fprintf(c.err, "%d decisions: every signature and every link is good\n", v.Decisions)
	if n := v.Recomputed; n != nil {
		fmt.Fprintf(c.err, "%d of them were computed again from the window journal, to the same bytes; %d of these are what people asked for, which no evidence decided%s\n", n.Same, n.People, ofAlerts(n.Alerts))
		if n.Gone > 0 {
			fmt.Fprintf(c.err, "%d could not be computed again: see above\n", n.Gone)
		}
	}
	return nil
}

func readTrust(path string) (schemas.Trust, error) {
	if path == "" {
		return schemas.Trust{}, wrongUse{errors.New("no trusted keys: name their file with --trust FILE")}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return schemas.Trust{}, wrongUse{fmt.Errorf("read trusted keys: %w", err)}
	}
	trust, err := schemas.ParseTrust(path, data)
	return trust, asUse(err)
}

// verify checks one decision against the trusted keys and the model's one before it.
func verify(keys schemas.Trust, last map[string]bus.Logged, l *bus.Logged) error {
	d := l.Decision
	if err := l.Verify(keys); err != nil {
		return fmt.Errorf("decision %s (%s %d.%d, message %d of stream %s): %w; `decisions list` marks all that are so: who may publish on streamcanary.decision.>?",
			d.ID, d.Model, d.Epoch, d.Seq, l.Sequence, schemas.StreamName, err)
	}
	before, some := last[d.Model]
	last[d.Model] = *l
	if !some {
		return nil // the log may begin later than the model did
	}
	want := decisions.BodySha256(before.Signed.Body)
	if d.Prev == nil || d.Prev.ID != before.Decision.ID || d.Prev.Sha256 != want {
		return fmt.Errorf("decision %s (%s %d.%d) doesn't follow %s: the chain is broken", d.ID, d.Model, d.Epoch, d.Seq, before.Decision.ID)
	}
	if d.Epoch < before.Decision.Epoch || d.Epoch == before.Decision.Epoch && d.Seq != before.Decision.Seq+1 {
		return fmt.Errorf("decision %s is numbered %d.%d after %d.%d", d.ID, d.Epoch, d.Seq, before.Decision.Epoch, before.Decision.Seq)
	}
	return nil
}
