package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

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
			b, _, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			some := false
			err = b.Log(cmd.Context(), bus.LogQuery{Model: model, Follow: follow}, func(l bus.Logged) error {
				some = true
				return printLogged(c, &l)
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
	_, err := fmt.Fprintf(c.out, "%s  %s %d.%d  %s%s%s  %s\n    %s%s\n%s", d.IssuedAt, d.Model, d.Epoch, d.Seq,
		strings.ToUpper(string(d.Action)), phase(d), advice(d), d.ID, d.Reason.Sentence, routes, exemplarLines("    ", d.Reason.Guardrails))
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
			b, _, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			l, err := b.Decision(cmd.Context(), args[0])
			if err != nil {
				return fmt.Errorf("%w; `streamcanary decisions list` lists them", err)
			}
			if c.json {
				return printBody(c, &l)
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
	var trust, model string
	cmd := &cobra.Command{
		Use: "verify", Short: "Verify the signatures and the chain of the decision log",
		Long: `Verifies that every decision in the log is signed by a trusted key over its exact bytes, and names the hash of the model's decision
before it. Exits with 1 at the first one that is not so.`,
		Example: "  streamcanary decisions verify --trust trust.txt",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, a, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			if trust == "" {
				trust = a.Trust
			}
			keys, err := readTrust(trust)
			if err != nil {
				return err
			}
			checked := 0
			last := map[string]bus.Logged{}
			err = b.Log(cmd.Context(), bus.LogQuery{Model: model}, func(l bus.Logged) error {
				if err := verify(keys, last, &l); err != nil {
					return err
				}
				checked++
				return nil
			})
			if err != nil {
				return err
			}
			if c.json {
				return json.NewEncoder(c.out).Encode(map[string]any{"type": "verified", "decisions": checked})
			}
			fmt.Fprintf(c.err, "%d decisions: every signature and every link is good\n", checked)
			return nil
		},
	}
	reachFlags(cmd, &r)
	cmd.Flags().StringVar(&trust, "trust", "", "the `FILE` of trusted keys; otherwise that of the serve on the data folder")
	cmd.Flags().StringVar(&model, "model", "", "only those of one `MODEL`")
	return cmd
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
		return fmt.Errorf("decision %s (%s %d.%d): %w", d.ID, d.Model, d.Epoch, d.Seq, err)
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
