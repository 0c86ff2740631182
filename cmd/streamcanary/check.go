package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"streamcanary/schemas"
)

func checkCommand(c *console) *cobra.Command {
	var file string
	var explain bool
	cmd := &cobra.Command{
		Use:   "check --rollout FILE",
		Short: "Check a rollout file, and show what it means",
		Long: `Checks that a rollout file is well formed and can be judged, and says of each mistake what, where and what to do.
--explain prints the whole rollout with every default and each guardrail's share of the risk.`,
		Example: "  streamcanary check --rollout ranker-42.yaml --explain",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			r, err := readRollout(c, file)
			if err != nil {
				return err
			}
			warn(c, r)
			switch {
			case c.json:
				return json.NewEncoder(c.out).Encode(struct {
					Type     string   `json:"type"`
					Rollout  string   `json:"rollout"`
					Model    string   `json:"model"`
					Sha256   string   `json:"sha256"`
					Explain  string   `json:"explain,omitempty"`
					Warnings []string `json:"warnings,omitempty"`
				}{"check", r.Name, r.Model, r.Sha256, explained(r, explain), r.Warnings()})
			case explain:
				_, err = c.out.Write(schemas.Explain(r))
				return err
			}
			fmt.Fprintf(c.err, "%s: rollout %s is well formed: model %s, baseline %s, canary %s, %s\n",
				file, r.Name, r.Model, r.BaselineWhere.Of(r.Baseline), r.CanaryWhere.Of(r.Canary), howMany(len(r.Guardrails), "guardrail"))
			fmt.Fprintln(c.err, "not checked: whether the baseline is deployable, and whether the schemas of both versions fit")
			return nil
		},
	}
	rolloutFlag(cmd, &file)
	cmd.Flags().BoolVar(&explain, "explain", false, "print the whole rollout with every default")
	return cmd
}

// warn tells a person what works, and perhaps isn't what was meant: first of all that a rollout can be rolled back, but never promoted.
func warn(c *console, r *schemas.Rollout) {
	if names := neverPasses(r); len(names) > 0 {
		fmt.Fprintf(c.err, "warning: rollout %s is never promoted: %s without a margin can't pass, and required is true; "+
			"give a margin, or write required: false\n", r.Name, strings.Join(names, ", "))
	}
	for _, text := range r.Warnings() {
		fmt.Fprintln(c.err, "warning:", text)
	}
}

// neverPasses are the guardrails that a promotion waits for in vain: without a margin there is nothing that they could prove.
func neverPasses(r *schemas.Rollout) []string {
	if len(r.Stages) > 0 && r.Stages[0].Pass != nil { // names only such as can pass
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

// readRollout reads and parses a rollout file; every error is wrong use.
func readRollout(c *console, file string) (*schemas.Rollout, error) {
	data, err := readFile(c, file, "rollout")
	if err != nil {
		return nil, err
	}
	r, err := schemas.ParseRollout(file, data)
	return r, asUse(err)
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
