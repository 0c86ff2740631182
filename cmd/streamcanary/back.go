package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// backWithin is how long `rollout back` waits until its rollout is prepared and begun.
const backWithin = 30 * time.Second

func backCommand(c *console) *cobra.Command {
	var r reach
	var comment string
	var override bool
	cmd := &cobra.Command{
		Use: "back NAME --comment WHY", Short: "Give the baseline all traffic again, after a promotion", Args: oneName,
		Long: `Goes back from what a rollout has promoted: applies its file with the versions changed for one another, as NAME-back, and promotes that at once.
So the pillars that the file names are checked before, routers and stores answer that they are prepared, and what moves is a decision of a
new epoch. No traffic moves before that promotion, and no evidence is waited for. Where the file has cache.warm, the promotion stops at its steps until the cache is
warm; 'rollout promote NAME-back' goes on without waiting. Shared state (state.mode: shared) is not restored: it keeps what the newer version wrote, and the decision names
the snapshots from before that version. Where the baseline can't read what the newer version wrote (state.compatible: false) that takes --override;
so it does where a pillar fails, or can't be checked since a registry is away. Guardrails from outside are left out: an alert that fires now must not keep from going back. What was not yet promoted is rolled back by 'rollout rollback'.`,
		Example: "  streamcanary rollout back ranker-42 --comment 'users complain'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(comment) == "" {
				return wrongUse{errors.New("--comment is missing: say why, for the record")}
			}
			name, kept, err := goBack(cmd.Context(), c, &r, way{args[0], comment, override})
			if err != nil {
				return err
			}
			if err := runOrder(cmd.Context(), c, &r, order{Command: schemas.Command{Do: "promote", Comment: comment}, rollout: name}); err != nil {
				return err
			}
			if kept != "" && !c.json {
				fmt.Fprintf(c.err, "state: %s\n", schemas.Readable(kept))
			}
			return nil
		},
	}
	reachFlags(cmd, &r)
	tokenFlag(cmd, &r)
	cmd.Flags().StringVar(&comment, "comment", "", "why, for the record (required)")
	cmd.Flags().BoolVar(&override, "override", false, "go back although the baseline can't read the state, or pillars fail; the decision says so (takes an admin)")
	return cmd
}

type way struct {
	from, comment string
	override      bool
}

// goBack applies the way back from a promoted rollout, and waits until that can be promoted. It returns its name, and what becomes of shared state ("": there is none).
func goBack(ctx context.Context, c *console, r *reach, x way) (name, kept string, err error) {
	b, at, err := r.bus(ctx, c)
	if err != nil {
		return "", "", err
	}
	defer b.Close()
	head, err := recordOf(ctx, b, &at, x.from)
	if err != nil {
		return "", "", err
	}
	if err := mayGoBack(ctx, b, &head.State, x.override); err != nil {
		return "", "", err
	}
	applied, _, err := serve.DecodeApplication(head.Applied)
	if err != nil {
		return "", "", err
	}
	text, name, err := schemas.WayBack([]byte(applied.YAML))
	if err != nil {
		return "", "", err
	}
	parsed, err := schemas.ParseRollout(name+".yaml", text)
	if err != nil {
		return "", "", err
	}
	a := serve.Application{ID: rand.Text(), File: name + ".yaml", YAML: string(text), From: soon(), Soon: true, At: now(), Actor: person(x.comment), Documents: applied.Documents}
	a.Back = decisions.BackOf(&head.State)
	a.Back.Override = x.override
	if parsed.State.Mode == schemas.StateShared {
		kept = a.Back.KeptText(parsed.State.Stores, head.State.Terms.Canary, head.State.Terms.Baseline)
	}
	quiet := *c
	quiet.json = false // one line for all, of the promotion
	if err := apply(ctx, &quiet, b, application{a, parsed, true, at, nil}); err != nil {
		return "", "", err
	}
	return name, kept, begunToBack(ctx, b, name, a.ID)
}

// mayGoBack says why there is no way back from an epoch; nil: its promotion is the last word on its model.
func mayGoBack(ctx context.Context, b *bus.Bus, s *decisions.State, override bool) error {
	name := s.Terms.Rollout
	if s.Status != decisions.StatusPromoted {
		return errors.New(s.NotPromoted())
	}
	last, err := b.LastDecision(ctx, s.Terms.Model)
	if errors.Is(err, bus.ErrNotFound) || err == nil && last.Decision != nil && last.Decision.Epoch < s.Epoch {
		return fmt.Errorf("the decision log has lost decisions of model %s: it hasn't got the promotion of rollout %s (epoch %d), and nothing goes back from that until it is restored: `streamcanary rollout show %s` tells what to do",
			s.Terms.Model, name, s.Epoch, name)
	}
	if err != nil {
		return err
	}
	if d := last.Decision; d != nil && (d.Rollout != name || d.Epoch != s.Epoch) && !neverBegan(ctx, b, d) {
		return fmt.Errorf("rollout %s has decided about model %s since (epoch %d): `streamcanary rollout show %s` tells how it stands", d.Rollout, s.Terms.Model, d.Epoch, d.Rollout)
	}
	if why := s.RefusesBack(override); why != "" {
		return errors.New(why)
	}
	return nil
}

// neverBegan reports whether a decision is of an epoch whose start was refused: it has moved nothing.
func neverBegan(ctx context.Context, b *bus.Bus, d *schemas.Decision) bool {
	head, _, err := b.LoadHead(ctx, d.Rollout)
	return err == nil && head.State.Epoch == d.Epoch && head.State.Status == decisions.StatusRefused
}

// waitsText is what an epoch that has not begun, or is not answered, waits for.
func waitsText(s *decisions.State) string {
	switch {
	case s.Hold != nil:
		return fmt.Sprintf("`streamcanary rollout resume %s --comment WHY` (it holds: %s)", s.Terms.Rollout, s.Hold.Code)
	case s.Wait != nil:
		return schemas.Readable(s.WaitingText())
	}
	return fmt.Sprintf("its start (it is %s)", s.Status)
}

// begunToBack waits until an application's epoch has begun and is answered.
func begunToBack(ctx context.Context, b *bus.Bus, name, id string) error {
	waits := "a serve that takes it up"
	for began := time.Now(); time.Since(began) < backWithin; {
		head, _, err := b.LoadHead(ctx, name)
		if err != nil && !errors.Is(err, bus.ErrNotFound) {
			return unknown(name, err)
		}
		if s := &head.State; err == nil && s.Terms.Application == id {
			if s.Status == decisions.StatusRunning && s.Wait == nil {
				return nil
			}
			if s.Status == decisions.StatusRefused && s.Why != nil {
				return errors.New(schemas.Readable(s.Why.Sentence))
			}
			waits = waitsText(s)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("rollout %s is applied, and no traffic is moved yet: after %s it still waits for %s. After that: streamcanary rollout promote %s --comment WHY",
		name, backWithin, waits, name)
}
