package engine

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"streamcanary/ingest"
	"streamcanary/loadgen"
	"streamcanary/schemas"
)

// A generated source is a scenario's events as they come from the generator, without their text.
type generated struct {
	from  *loadgen.Generator
	event loadgen.Record
	batch ingest.Batch
	read  int64
	done  bool // somebody has heard enough
}

// Partitions is ingest.Source's.
func (g *generated) Partitions() []ingest.Partition { return []ingest.Partition{{Topic: "generated"}} }

// Close is ingest.Source's.
func (g *generated) Close() error { return nil }

// Next is ingest.Source's.
func (g *generated) Next(context.Context) (*ingest.Batch, error) {
	g.batch.Reset(0)
	for len(g.batch.Items) < 1024 && !g.done && g.from.Next(&g.event) {
		g.read++
		g.batch.Take(g, ingest.Record{Offset: g.read})
	}
	if len(g.batch.Items) == 0 {
		return nil, io.EOF
	}
	return &g.batch, nil
}

// Decode is ingest.Decoder's.
func (g *generated) Decode(_ *ingest.Record, out *ingest.Batch) *ingest.Invalid {
	if g.event.Broken {
		return ingest.Invalidf(ingest.ReasonSyntax, "it is cut off")
	}
	e := out.NextEvent()
	*e = g.event.Event
	text := out.Text()
	for _, field := range []*[]byte{&e.ID, &e.Model, &e.Version, &e.Segment, &e.Host, &e.Unit, &e.Name} {
		from := len(text)
		text = append(text, *field...)
		*field = text[from:len(text):len(text)]
	}
	out.SetText(text)
	return nil
}

// scenarioRollout has the default guardrails that the scenario's events can feed (a judge waits for what others would need). It may
// promote only if a promotion is what the scenario wants: most harm begins later than the default stage would wait.
func scenarioRollout(t *testing.T, s *loadgen.Scenario) *schemas.Rollout {
	t.Helper()
	arm := &s.Arms[loadgen.Baseline]
	text := fmt.Sprintf("apiVersion: streamcanary.dev/v1\nkind: Rollout\nmetadata: {name: %s}\nspec:\n  model: %s\n  baseline: {version: %s}\n  canary: {version: %s}\n",
		s.Name, s.Model, arm.Version, s.Arms[loadgen.Canary].Version)
	text += "  outcomes: {click: {within: 5m}, purchase: {within: 10m}}\n"
	if s.Expect.Verdict != "promote" {
		text += "  stages: [{bake: 24h, pass: all, max: 48h, then: hold}]\n"
	}
	fed := map[string]bool{"error": true, "timeout": true, "latency": true}
	for _, o := range arm.Outcomes {
		fed[o.Name] = true
	}
	for _, sample := range arm.Samples {
		fed[sample.Name] = true
	}
	r := rolloutOf(t, text)
	r.Guardrails = slices.DeleteFunc(r.Guardrails, func(g schemas.Guardrail) bool { return !fed[g.Of] })
	r.Outcomes = slices.DeleteFunc(r.Outcomes, func(o schemas.OutcomeSpec) bool { return !fed[o.Name] })
	return r
}

// TestScenarios judges every scenario, and holds what is found against the scenario's true answer.
func TestScenarios(t *testing.T) {
	// The rate of those with much traffic is cut to this share, so that the test takes seconds: the answer stays.
	thinned := map[string]float64{
		"ramp-drift": 0.15, "within-margin": 0.2, "overdispersed": 0.3, "ctr-drop": 0.5, "slow-burn": 0.4, "errors": 0.5, "healthy": 0.5,
		"tail-latency": 0.5, "cpu": 0.5, "hang": 0.5, "fail-fast": 0.5,
	}
	for _, name := range scenarioNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := loadgen.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			if share, long := thinned[name]; long {
				s.Rate.Base *= share
			}
			truth := s.Truth(0)
			src := &generated{from: loadgen.New(s, 0)}
			var last schemas.Decision
			got, err := Replay(t.Context(), scenarioRollout(t, s), src, ReplayOptions{Decided: func(d schemas.Decision, _ bool) {
				last, src.done = d, string(d.Action) == truth.Verdict
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d events: %s at %s (harm from %s): %s", src.read, last.Action, last.EventTime, truth.Onset, last.Reason.Sentence)
			if why := disagrees(&truth, &last, got.Guardrails); why != "" {
				t.Errorf("%s\n%s: %s (%s)", why, last.EventTime, last.Reason.Sentence, guardrailLine(last.Reason.Guardrails))
			}
		})
	}
}

// disagrees says in what the last decision of a replay differs from the true answer; "": in nothing.
func disagrees(truth *loadgen.Truth, last *schemas.Decision, end []schemas.GuardrailStatus) string {
	action := string(last.Action)
	switch {
	case truth.Verdict == "no-rollback" && action == "rollback", truth.Verdict != "no-rollback" && action != truth.Verdict:
		return fmt.Sprintf("decided %q, want %q", action, truth.Verdict)
	case action == "rollback" && last.EventTime < truth.Onset:
		return fmt.Sprintf("rolled back at %s, before the harm began at %s", last.EventTime, truth.Onset)
	}
	reasons := []string{}
	for _, g := range last.Reason.Guardrails {
		if g.State == schemas.StateFailed {
			reasons = append(reasons, g.Name)
		}
	}
	if last.Reason.Code == "canary_missing" {
		reasons = append(reasons, "missing")
	}
	if len(truth.Fail) > 0 && !slices.ContainsFunc(reasons, func(g string) bool { return slices.Contains(truth.Fail, g) }) {
		return fmt.Sprintf("because of %q, want one of %q", reasons, truth.Fail)
	}
	for _, g := range end {
		if g.State == schemas.StateFailed && slices.Contains(truth.Pass, g.Name) {
			return fmt.Sprintf("guardrail %s failed, and there is no such harm", g.Name)
		}
	}
	return ""
}

// guardrailLine is the state and evidence of guardrails, in short.
func guardrailLine(guardrails []schemas.GuardrailStatus) string {
	var parts []string
	for _, g := range guardrails {
		parts = append(parts, fmt.Sprintf("%s %s %.1f of %.1f", g.Name, g.State, g.LogEvidence, g.Threshold))
	}
	return strings.Join(parts, ", ")
}
