package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

func explainCommand(c *console) *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "explain NAME", Short: "Print a rollout with every default and each guardrail's share of the risk", Args: oneName,
		Long: `Prints the file that the rollout's epoch is judged by, with every default. Where a newer file was applied that is not (or not yet) judged by,
standard error says so, and why.`,
		Example: "  streamcanary rollout explain ranker-42",
		RunE: func(cmd *cobra.Command, args []string) error {
			b, a, err := r.bus(cmd.Context(), c)
			if err != nil {
				return err
			}
			defer b.Close()
			e, err := explanationOf(cmd.Context(), b, &a, args[0])
			if err != nil {
				return err
			}
			if c.json {
				return json.NewEncoder(c.out).Encode(struct {
					Type    string `json:"type"`
					Rollout string `json:"rollout"`
					Model   string `json:"model"`
					Sha256  string `json:"sha256"`
					Note    string `json:"note"`
					Explain string `json:"explain"`
				}{"explanation", e.rollout.Name, e.rollout.Model, e.rollout.Sha256, e.note, string(schemas.Explain(e.rollout))})
			}
			fmt.Fprintln(c.err, e.note)
			_, err = c.out.Write(schemas.Explain(e.rollout))
			return err
		},
	}
	reachFlags(cmd, &r)
	tokenFlag(cmd, &r)
	return cmd
}

// explanation is the rollout that is in force, and a line on where it is.
type explanation struct {
	rollout *schemas.Rollout
	note    string
}

// explanationOf prefers the file of the record's epoch to the one that was applied last.
func explanationOf(ctx context.Context, b *bus.Bus, at *serve.Addresses, name string) (*explanation, error) {
	spec, err := b.Spec(ctx, name)
	if err != nil {
		return nil, noRollout(name, err)
	}
	newest, rollout, err := serve.DecodeApplication(spec.Body)
	if err != nil {
		return nil, err
	}
	why := "no serve has taken it up yet"
	if no := refusal(ctx, at, name); no != nil && no.Application == newest.ID {
		why = fmt.Sprintf("the service refuses it: %s. %s", no.Refused, refusedAsOf(name, no.RefusedAt))
	}
	head, _, err := b.LoadHead(ctx, name)
	if errors.Is(err, bus.ErrNotFound) {
		return &explanation{rollout, fmt.Sprintf("this is %s, applied %s, and not judged: %s", newest.File, newest.At, why)}, nil
	}
	if err != nil {
		return nil, err
	}
	s := &head.State
	judged, rollout, err := serve.DecodeApplication(head.Applied)
	if err != nil {
		return nil, fmt.Errorf("epoch %d of rollout %s: %w", s.Epoch, name, err)
	}
	note := fmt.Sprintf("this is %s, which epoch %d (%s) is judged by", judged.File, s.Epoch, s.Status)
	switch no := serve.RefusedOver(judged.ID, spec.Body); {
	case newest.ID == judged.ID || newest.Delete:
	case no != nil:
		note += "; " + changeText(no, s)
	default:
		note += fmt.Sprintf("; the newer %s, applied %s, is not: %s", newest.File, newest.At, why)
	}
	return &explanation{rollout, note}, nil
}
