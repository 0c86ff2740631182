package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/pillars"
	"streamcanary/schemas"
)

func checkCommand(c *console) *cobra.Command {
	var r reach
	var q pillarQuestion
	var explain bool
	cmd := &cobra.Command{
		Use:   "check --rollout FILE",
		Short: "Check a rollout file, show what it means, and whether its pillars hold",
		Long: `Checks that a rollout file is well formed and can be judged, and says of each mistake what, where and what to do.
--explain prints the whole rollout with every default and each guardrail's share of the risk.

Of the pillars that the rollout names, schemas and feature lists in files are held against each other in both directions. With --online
the registries of the configuration are asked, too, whether routers have answered the model's current epoch, and whether users are on the baseline by the routes in force: all that a start checks.
It warns of a version that is to have no users, such as one that was rolled back, and serves some, and of a baseline that is beyond a limit of its own.
With --config the rollout is also held against the configuration that it would run under.`,
		Example: "  streamcanary check --rollout ranker-42.yaml --explain\n  streamcanary check --rollout ranker-42.yaml --online --config streamcanary.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.rollout, err = readRollout(c, q.file); err != nil {
				return err
			}
			if err := fitsConfig(c, &r, q); err != nil {
				return err
			}
			warn(c, q.rollout)
			found, err := checkPillars(cmd.Context(), c, &r, q)
			if err != nil {
				return err
			}
			serves, moves := meets(cmd.Context(), c, &r, q)
			return errors.Join(sayChecked(c, q, findings{found, serves, moves}, explain), wouldNotStart(q.rollout, found), moves)
		},
	}
	rolloutFlag(cmd, &q.file)
	reachFlags(cmd, &r)
	cmd.Flags().BoolVar(&explain, "explain", false, "print the whole rollout with every default")
	cmd.Flags().BoolVar(&q.online, "online", false, "ask registries and NATS, too")
	return cmd
}

// fitsConfig is why a rollout can't run under the configuration, where one is named or asked: the service would refuse it, too.
func fitsConfig(c *console, r *reach, q pillarQuestion) error {
	if r.config == "" && !q.online {
		return nil
	}
	config, err := readConfig(c, r.config, r.data)
	if err != nil {
		return err
	}
	return config.Fits(q.rollout)
}

// checked is what `check --json` says.
type checked struct {
	Type     string             `json:"type"`
	Rollout  string             `json:"rollout"`
	Model    string             `json:"model"`
	Sha256   string             `json:"sha256"`
	Explain  string             `json:"explain,omitempty"`
	Warnings []string           `json:"warnings,omitempty"`
	Pillars  []decisions.Pillar `json:"pillars,omitempty"`
	Refused  string             `json:"refused,omitempty"` // why it would be refused now, beside its pillars
}

// findings are what was found of the pillars, warnings of versions that it would begin beside and of what couldn't be asked, and why the rollout would be refused beside them; nil: it would not.
type findings struct {
	pillars []decisions.Pillar
	serves  []string
	moves   error
}

// meets warns of what serves beside a rollout, and moves is why the service would refuse a rollout that would begin over stores that nobody lets take writes again, or whose start takes users from a version that is not on trial; nil: it would not, or isn't asked. That NATS isn't reached is told of the pillar routing.
func meets(ctx context.Context, c *console, of *reach, q pillarQuestion) (serves []string, moves error) {
	if !q.online {
		return nil, nil
	}
	b, _, err := of.bus(ctx, c)
	if err != nil {
		return nil, nil
	}
	defer b.Close()
	serves = warnServes(ctx, c.err, b, q.rollout)
	switch why, err := leftShut(ctx, b, q.rollout); {
	case err != nil:
		serves = append(serves, unknownText(c, "whether an earlier rollout has left stores without writes", err))
	case why != "":
		return serves, fmt.Errorf("rollout %s would be refused: %s", q.rollout.Name, why)
	}
	route, err := b.Route(ctx, q.rollout.Model)
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return serves, nil
	case err != nil:
		return append(serves, unknownText(c, "whether its start moves users", err)), nil
	}
	terms := decisions.TermsOf(q.rollout.Walked())
	if why := terms.RefusesMove(route, false); why != "" {
		return serves, fmt.Errorf("rollout %s would be refused: %s", q.rollout.Name, why)
	}
	return serves, nil
}

// unknownText warns of what couldn't be asked.
func unknownText(c *console, what string, err error) string {
	text := fmt.Sprintf("%s isn't known: %v", what, err)
	fmt.Fprintln(c.err, "warning:", text)
	return text
}

// sayChecked says what was found.
func sayChecked(c *console, q pillarQuestion, f findings, explain bool) error {
	r, found := q.rollout, f.pillars
	if c.json {
		refused := ""
		if f.moves != nil {
			refused = f.moves.Error()
		}
		return json.NewEncoder(c.out).Encode(checked{"check", r.Name, r.Model, r.Sha256, explained(r, explain), append(warnings(r), f.serves...), found, refused})
	}
	if explain {
		_, err := c.out.Write(schemas.Explain(r))
		printPillars(c.err, found, nil) // it says itself what is not named
		return err
	}
	fmt.Fprintf(c.err, "%s: rollout %s is well formed: model %s, baseline %s, canary %s, %s\n",
		q.file, r.Name, r.Model, r.BaselineWhere.Of(r.Baseline), r.CanaryWhere.Of(r.Canary), howMany(len(r.Guardrails)+len(r.Alerts), "guardrail"))
	printPillars(c.err, found, pillars.Unnamed(&r.Pillars))
	return nil
}

// warn tells a person of the warnings.
func warn(c *console, r *schemas.Rollout) {
	for _, text := range warnings(r) {
		fmt.Fprintln(c.err, "warning:", text)
	}
}

// warnings are of what works, and perhaps isn't what was meant: first of all that a rollout can be rolled back, but never promoted.
func warnings(r *schemas.Rollout) (all []string) {
	if names := neverPasses(r); len(names) > 0 {
		all = append(all, fmt.Sprintf("rollout %s is never promoted: %s without a margin can't pass, and required is true; give a margin, or write required: false", r.Name, strings.Join(names, ", ")))
	}
	return append(all, r.Warnings()...)
}

// neverPasses are the guardrails that a stage, and so a promotion, waits for in vain: without a margin there is nothing that they could prove.
func neverPasses(r *schemas.Rollout) []string {
	named := func(s schemas.Stage) bool { return s.Pass != nil } // only such as can pass
	if len(r.Stages) > 0 && !slices.ContainsFunc(r.Stages, func(s schemas.Stage) bool { return !named(s) }) {
		return nil
	}
	var names []string
	for _, g := range r.Guardrails {
		if g.Required && !g.CanPass() {
			names = append(names, g.Name)
		}
	}
	return names
}

func explained(r *schemas.Rollout, wanted bool) string {
	if !wanted {
		return ""
	}
	return string(schemas.Explain(r))
}

// rolloutFlag adds the flag that names a rollout file.
func rolloutFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "rollout", "r", "", "the rollout `FILE` (YAML); - is standard input")
}

// maxFileBytes bounds a file that a person wrote.
const maxFileBytes = 1 << 20

// readRollout reads and parses a rollout file, and the offline scores that it names; every error is wrong use.
func readRollout(c *console, file string) (*schemas.Rollout, error) {
	data, err := readFile(c, file, "rollout")
	if err != nil {
		return nil, err
	}
	r, err := schemas.ParseRollout(file, data)
	if err != nil {
		return nil, asUse(err)
	}
	return r, readOffline(file, r)
}

// readFile reads a file that a person wrote, or standard input; every error is wrong use.
func readFile(c *console, file, what string) ([]byte, error) {
	if file == "" {
		return nil, wrongUse{fmt.Errorf("no %s file: name one with --%s FILE", what, what)}
	}
	in := c.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, wrongUse{fmt.Errorf("read %s: %w", what, err)}
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxFileBytes+1))
	if err != nil {
		return nil, wrongUse{fmt.Errorf("read %s %s: %w", what, file, err)}
	}
	if len(data) > maxFileBytes {
		return nil, wrongUse{fmt.Errorf("read %s %s: it is larger than %d bytes", what, file, maxFileBytes)}
	}
	return data, nil
}

// howMany is e.g. "1 guardrail" or "2 guardrails".
func howMany(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
