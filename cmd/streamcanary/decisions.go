package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
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
	var model, trust, known string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noArguments,
		Long: short + `.

What no trusted key has signed is marked: nobody obeys it, and somebody else can write into the decision log. So is a copy of what stands there already, and what is
no newer, by its epoch and number, than what stood there before it. The status is then 1. With --json such a message is no decision, but a line {"type":"refused"} with
its bytes. One that a file for --known names is marked as known, and doesn't count (see streamcanary decisions verify --help).`,
		Example: example,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, a, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			x, err := readingOf(c, trust, a.Trust, known)
			if err != nil {
				return err
			}
			err = b.Log(cmd.Context(), bus.LogQuery{Model: model, Follow: follow}, func(l bus.Logged) error { return x.take(&l) })
			if err != nil {
				return err
			}
			if !x.some && !follow {
				fmt.Fprintln(c.err, noDecisions(model))
			}
			return x.end()
		},
	}
	reachFlags(cmd, &r)
	trustFlag(cmd, &trust)
	knownFlag(cmd, &known)
	cmd.Flags().StringVar(&model, "model", "", "only those of one `MODEL`")
	return cmd
}

// noDecisions says that a log has no decisions, of one model or at all.
func noDecisions(model string) string {
	if model == "" {
		return "no decisions yet"
	}
	return fmt.Sprintf("the log has no decision of model %s; `streamcanary rollout list` lists the rollouts with their models", model)
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
	err := result(c.out, "%s  %s %d.%d  %s%s%s  %s\n    %s", d.IssuedAt, d.Model, d.Epoch, d.Seq, strings.ToUpper(string(d.Action)), phase(d), advice(d), d.ID, d.Reason.Sentence)
	if err == nil {
		_, err = fmt.Fprintf(c.out, "%s\n%s%s", routes, exemplarLines("    ", d.Reason.Guardrails), skewLine("    ", d))
	}
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
	var trust, known string
	cmd := &cobra.Command{
		Use: "show ID", Short: "Print one decision whole", Args: oneID,
		Long: `Prints one decision whole; with --json, the event as it was published, to the byte. Of several messages of this id it is the one that a trusted key has
signed; where none has, it is marked, and the status is 1, unless a file for --known names it.`,
		Example: "  streamcanary decisions show ranker-42.1.3",
		RunE: func(cmd *cobra.Command, args []string) error {
			b, a, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			x, err := readingOf(c, trust, a.Trust, known)
			if err != nil {
				return err
			}
			l, err := b.Find(cmd.Context(), args[0], func(l *bus.Logged) bool { return x.refused(l) == nil })
			if errors.Is(err, bus.ErrNotFound) {
				if l, err = b.Decision(cmd.Context(), args[0]); err == nil {
					return errors.Join(x.take(&l), x.end())
				}
			}
			if errors.Is(err, bus.ErrNotFound) {
				return fmt.Errorf("%w; `streamcanary decisions list` lists them", err)
			}
			if err != nil {
				return err
			}
			if c.json {
				return printBody(c, &l)
			}
			whole, err := json.MarshalIndent(l.Decision, "", "  ")
			if err == nil {
				_, err = fmt.Fprintln(c.out, readableJSON(whole))
			}
			return err
		},
	}
	reachFlags(cmd, &r)
	trustFlag(cmd, &trust)
	knownFlag(cmd, &known)
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
before it. Tells every one that is not so, and exits with 1 then; likewise where a model's log begins in a later epoch than 1 with a decision that names none before
it, since all that stood there was gone when it was taken. Where the first one names another, NATS may have removed that by its age: it is told, and doesn't count.

What somebody else has written into the log stays there. Once you have looked into such a message, name it in a file for --known, a line each: its number in the stream, the
SHA-256 of its bytes (both are printed), and a note. It is told on as known, and counts no more; with any other byte it does. Nothing that a trusted key has signed
can be known in this way, but for a copy: a broken chain, or a decision that the journal doesn't lead to, stays wrong.

With --recompute, every decision is then computed again from the window journal: from what was counted, and from the acks, deadlines and people's commands that
stand there, to the same bytes; of one that isn't the same, where it differs is printed. An epoch that begins there, and of which the log has nothing, is told, too.
What the journal no longer has (its retention), or never had (it was made anew since), is told, and is no failure unless nothing could be computed. What a person asked for stands on that, not on evidence. Another version of the program may compute other bytes: it is told which
one began the epoch. It reads the journal and the log, and changes nothing.`,
		Example: "  streamcanary decisions verify --trust trust.txt\n  streamcanary decisions verify --recompute --model ranker\n  streamcanary decisions verify --known looked-into.txt",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return q.run(cmd.Context(), c, &r)
		},
	}
	reachFlags(cmd, &r)
	journalFlag(cmd, &r)
	trustFlag(cmd, &q.trust)
	cmd.Flags().StringVar(&q.model, "model", "", "only those of one `MODEL`")
	knownFlag(cmd, &q.known)
	cmd.Flags().BoolVar(&q.recompute, "recompute", false, "compute each decision again from the window journal")
	return cmd
}

// verified is what is told at the end.
type verified struct {
	Decisions  int               `json:"decisions"` // that are good
	Type       string            `json:"type"`      // verified, or unverified: something is wrong
	Recomputed *serve.Recomputed `json:"recomputed,omitempty"`
	Wrong      int               `json:"wrong,omitempty"` // findings that count
	Known      int               `json:"known,omitempty"` // foreign messages that are known, and don't count
	known      string
}

func (v *verified) print(c *console) error {
	if c.json {
		return json.NewEncoder(c.out).Encode(v)
	}
	them := "decisions"
	if v.Wrong == 0 {
		fmt.Fprintf(c.err, "%d decisions: every signature and every link is good\n", v.Decisions)
		them = "of them"
	}
	if v.known != "" {
		fmt.Fprintln(c.err, v.known)
	}
	if n := v.Recomputed; n != nil {
		fmt.Fprintf(c.err, "%d %s were computed again from the window journal, to the same bytes; %d of these are what people asked for, which no evidence decided%s\n", n.Same, them, n.People, ofAlerts(n.Alerts))
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
