package schemas

import (
	"slices"
	"strings"
	"testing"
)

// TestWayBack: the versions, and what belongs to each, change places; there is nothing to be walked.
func TestWayBack(t *testing.T) {
	const file = `kind: Rollout
metadata: {name: ranker-42}
spec:
  model: ranker
  baseline: {version: "41", where: {host: "base-*"}}
  canary: {version: "42"}
  stages:
    - {weight: 10, bake: 1m}
    - {weight: 100, watch: 1h, holdback: 5}
  guardrails: [{name: errors, rate: error, increase: 1pp}, {name: page, external: alertmanager, match: {severity: page}}, {name: slow, quantile: 0.5, increase: 50%}]
  pillars:
    input: {baseline: in-41.json, canary: in-42.json}
  cache: {namespace: "{model}:{version}", warm: [20, 60, 100], until: {hitRate: 0.8, max: 5m}, mute: [slow]}
  training: {scores: offline.csv}
  sinks:
    - {mlflow: {alias: champion, baseline: "7", canary: "8"}}
`
	back, name, err := WayBack([]byte(file))
	if err != nil || name != "ranker-42-back" {
		t.Fatalf("%s, %v", name, err)
	}
	r, err := ParseRollout("back.yaml", back)
	if err != nil {
		t.Fatalf("%v\n%s", err, back)
	}
	if r.Name != name || r.Baseline != "42" || r.Canary != "41" || len(r.Stages) != 1 || r.Stages[0].WeightBP != 0 {
		t.Errorf("%+v", r)
	}
	if c := r.Cache; !c.Idle || c.HitRate != 0.8 || !slices.Equal(r.PromotionStops(), []int{2000, 6000}) || len(r.Alerts) != 0 || len(r.Guardrails) != 2 {
		t.Errorf("cache %+v, %d guardrails, %d from outside", c, len(r.Guardrails), len(r.Alerts))
	}
	for _, want := range []string{`input: {baseline: in-42.json, canary: in-41.json}`, `{alias: champion, baseline: "8", canary: "7"}`, `canary: {version: "41", where: {host: "base-*"}}`} {
		if !strings.Contains(string(back), want) {
			t.Errorf("no %s in\n%s", want, back)
		}
	}
	again, name, err := WayBack(back)
	if r, bad := ParseRollout("again.yaml", again); err != nil || bad != nil || name != "ranker-42-back-back" || r.Canary != "42" {
		t.Errorf("back again: %s, %v, %v", name, err, bad)
	}
	for text, want := range map[string]string{
		"": "the file is empty", "{": "turn rollout round", "kind: Rollout": "no metadata.name",
		strings.Replace(file, "ranker-42}", strings.Repeat("x", MaxNameBytes)+"}", 1): "133 bytes, 128 are allowed",
	} {
		if _, _, err := WayBack([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
