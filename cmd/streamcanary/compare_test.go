package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"streamcanary/analysis/compare"
	"streamcanary/cmd/engine"
	"streamcanary/ingest"
	"streamcanary/loadgen"
	"streamcanary/schemas"
)

const comparedScenario = `# a canary that begins to fail and to slow down
model    ranker
baseline version v1
canary   version v2
for      60s
seed     11
rate     200/s
split    30%
latency  lognormal 40ms sigma 0.5
errors   1%
hosts    2
fault    errors canary +6pp from 30s
fault    latency canary x1.6 from 30s
expect   rollback, fail errors p99
`

// TestCompareIsReplay: the same predictions, as events for replay and as rows for compare, give the same evidence bit for bit, the
// measured over-dispersion included; also where latencies are rounded, and both are told so.
func TestCompareIsReplay(t *testing.T) {
	t.Run("exact", func(t *testing.T) { compareIsReplay(t, 0) })
	t.Run("rounded", func(t *testing.T) { compareIsReplay(t, 5) })
}

func compareIsReplay(t *testing.T, stepMs int) {
	dir := t.TempDir()
	scenario, log := filepath.Join(dir, "fails.txt"), filepath.Join(dir, "fails.ndjson")
	written := comparedScenario
	if stepMs > 0 {
		written += fmt.Sprintf("round %dms\n", stepMs)
	}
	if err := os.WriteFile(scenario, []byte(written), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := loadgen.Load(scenario)
	if err != nil {
		t.Fatal(err)
	}
	text, errors, latencies := logAndRows(t, s)
	if err := os.WriteFile(log, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	replayed := replayedGuardrails(t, log, stepMs)
	specs := []struct {
		spec compare.Spec
		rows string
	}{
		{compare.Spec{Kind: compare.Rate, Margin: "0.5pp"}, errors},
		{compare.Spec{Kind: compare.Quantile, Margin: "20%", Quantile: .9}, latencies},
		{compare.Spec{Kind: compare.KS, Margin: "20%"}, latencies},
		{compare.Spec{Kind: compare.MannWhitney, Margin: "20%"}, latencies},
	}
	for i, tt := range specs {
		spec := tt.spec
		if spec.Kind != compare.Rate {
			spec.Granularity = float64(stepMs)
		}
		spec.Direction, spec.Baseline, spec.Canary, spec.WidthMs, spec.Horizon = schemas.Increase, "v1", "v2", 1000, "24h"
		got, err := compare.Run(spec, compare.Input{Name: "rows.csv", Text: strings.NewReader(tt.rows)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := replayed[i]
		if got.Verdict != want.State || got.LogEvidence != want.LogEvidence || got.LogPass != want.LogPass || got.Threshold != want.Threshold || got.Phi != want.Phi {
			t.Errorf("%s: %s, evidence %v of %v, pass %v, phi %v; replay has %s, %v of %v, %v, %v", want.Name, got.Verdict, got.LogEvidence,
				got.Threshold, got.LogPass, got.Phi, want.State, want.LogEvidence, want.Threshold, want.LogPass, want.Phi)
		}
		lower, upper := want.Lower, want.Upper
		if i >= 2 { // a rollout's distributions have no interval, comparisons do
			lower, upper = got.Lower, got.Upper
			if lower == nil {
				t.Errorf("%s: %+v has no interval", want.Name, got.Result)
			}
		}
		if !same(got.Estimate, want.Estimate) || !same(got.Lower, lower) || !same(got.Upper, upper) || got.Baseline.N != float64(want.Baseline.N) {
			t.Errorf("%s: estimate %v in %v..%v of %v, replay has %v in %v..%v of %v", want.Name, number(got.Estimate), number(got.Lower),
				number(got.Upper), got.Baseline.N, number(want.Estimate), number(want.Lower), number(want.Upper), want.Baseline.N)
		}
		if got.Verdict != schemas.StateFailed || got.HarmBegan == "" {
			t.Errorf("%s: %+v", want.Name, got)
		}
	}
}

func same(a, b *float64) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

func number(x *float64) float64 {
	if x == nil {
		return math.NaN()
	}
	return *x
}

// logAndRows are a scenario's events as a log, and its predictions as rows of errors and of latencies.
func logAndRows(t *testing.T, s *loadgen.Scenario) (log, errors, latencies string) {
	t.Helper()
	var events, rows, values strings.Builder
	rows.WriteString("time,version,unit,events\n")
	values.WriteString("time,version,value,unit\n")
	g, r := loadgen.New(s, s.Seed), loadgen.Record{}
	for g.Next(&r) {
		line := r.AppendJSON(nil)
		events.Write(append(line, '\n'))
		var e struct {
			Type, ID, Version, Unit string
			TS                      int64
			Error                   bool
			Latency                 float64 `json:"latency_ms"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if r.Event.Kind != schemas.KindPrediction {
			continue
		}
		if e.Unit == "" {
			e.Unit = e.ID
		}
		hit := 0
		if e.Error {
			hit = 1
		}
		fmt.Fprintf(&rows, "%d,%s,%s,%d\n", e.TS, e.Version, e.Unit, hit)
		fmt.Fprintf(&values, "%d,%s,%v,%s\n", e.TS, e.Version, e.Latency, e.Unit)
	}
	return events.String(), sortedRows(rows.String()), sortedRows(values.String())
}

// sortedRows puts the rows below the first line in the order of their times, which all have as many digits.
func sortedRows(text string) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	lines[len(lines)-1] += "\n"
	rows := lines[1:]
	slices.SortStableFunc(rows, func(a, b string) int { return strings.Compare(a[:13], b[:13]) })
	return lines[0] + strings.Join(rows, "")
}

// replayedGuardrails judges a log by rollouts of one guardrail each, which holds, so that it has a budget as a comparison has.
func replayedGuardrails(t *testing.T, log string, stepMs int) []schemas.GuardrailStatus {
	t.Helper()
	var all []schemas.GuardrailStatus
	const rate, tail = "{name: errors, rate: error, increase: 0.5pp, on: hold}", "{name: p90, quantile: 0.9, of: latency, increase: 20%, on: hold}"
	for i, g := range []string{rate, tail, tail, tail} {
		r, err := schemas.ParseRollout("r.yaml", []byte(`kind: Rollout
metadata: {name: compared}
spec:
  model: ranker
  baseline: {version: v1}
  canary: {version: v2}
  patience: never
  latencyGranularity: `+fmt.Sprint(stepMs)+`ms
  guardrails: [`+g+`]
`))
		if err != nil {
			t.Fatal(err)
		}
		if i >= 2 { // the same margin, of the whole distribution
			whole := &r.Guardrails[0]
			whole.Name, whole.Kind, whole.Quantile = "shape", schemas.DistributionGuardrail, 0
			whole.Test = []schemas.DistributionTest{schemas.TestKS, schemas.TestMannWhitney}[i-2]
		}
		src, err := ingest.OpenLogs([]string{log}, ingest.LogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sum, err := engine.Replay(context.Background(), r, src, engine.ReplayOptions{Seal: true, Continue: true})
		src.Close()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sum.Guardrails...)
	}
	return all
}
