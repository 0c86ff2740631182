package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// shortest is the least that a rollout file must say: five lines, so that what a test adds begins in line 6.
const shortest = `metadata: {name: ranker-42}
spec:
  model: ranker
  baseline: {version: "41"}
  canary: {version: "42"}
`

func parsed(t *testing.T, file string) *Rollout {
	t.Helper()
	r, err := ParseRollout("rollout.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestShortestRolloutHasEveryDefault(t *testing.T) {
	want := &Rollout{
		Name: "ranker-42", Model: "ranker", Baseline: "41", Canary: "42", Mode: Enforce,
		Risk: Risk{FalseRollback: 0.01, FalsePromote: 0.05}, Window: time.Second, Lateness: 2 * time.Second,
		Patience: 30 * time.Minute, Phi: 1.5,
		Outcomes: []OutcomeSpec{{Name: "click", Within: 10 * time.Minute}, {Name: "purchase", Within: 24 * time.Hour}},
		Guardrails: []Guardrail{
			{Name: "errors", Kind: RateGuardrail, Of: "error", Direction: Increase, Margin: Margin{"0.5pp", false, 0.005}, On: OnRollback, Prove: ProveBeyond, Required: true, Weight: 3},
			{Name: "outage", Kind: RateGuardrail, Of: "error", Direction: Above, Margin: Margin{"5%", false, 0.05}, On: OnRollback, Prove: ProveBeyond, Required: true, Weight: 1},
			{Name: "timeouts", Kind: RateGuardrail, Of: "timeout", Direction: Increase, Margin: Margin{"0.2pp", false, 0.002}, On: OnRollback, Prove: ProveBeyond, Required: true, Weight: 1},
			{Name: "hang", Kind: RateGuardrail, Of: "timeout", Direction: Above, Margin: Margin{"5%", false, 0.05}, On: OnRollback, Prove: ProveBeyond, Required: true, Weight: 1},
			{Name: "p99", Kind: QuantileGuardrail, Of: "latency", Quantile: 0.99, Direction: Increase, Margin: Margin{"20%", true, 0.2}, On: OnRollback, Prove: ProveBeyond, Required: true, Weight: 3},
			{Name: "crawl", Kind: QuantileGuardrail, Of: "latency", Quantile: 0.9, Direction: Increase, Margin: Margin{"100%", true, 1}, On: OnRollback, Prove: ProveBeyond, Required: true, Weight: 1},
			{Name: "cpu", Kind: GaugeGuardrail, Of: "cpu", Limit: 0.9, Direction: Increase, Margin: Margin{"5pp", false, 0.05}, On: OnHold, Prove: ProveBeyond, Required: true, Weight: 1},
			{Name: "memory", Kind: GaugeGuardrail, Of: "memory", Limit: 0.9, Direction: Increase, Margin: Margin{"5pp", false, 0.05}, On: OnHold, Prove: ProveBeyond, Required: true, Weight: 1},
			{Name: "ctr", Kind: RateGuardrail, Of: "click", Direction: Decrease, Margin: Margin{"2%", true, 0.02}, On: OnRollback, Prove: ProveAny, Weight: 1},
			{Name: "sales", Kind: RateGuardrail, Of: "purchase", Direction: Decrease, Margin: Margin{"any", false, 0}, On: OnRollback, Prove: ProveAny, Weight: 1},
		},
		DefaultGuardrails: true,
		Health:            Health{Silent: 5 * time.Second, Unmatched: 0.05, SelfTest: OnHold, Traffic: OnHold, NoData: time.Minute},
		Stages:            []Stage{{Bake: 10 * time.Minute, Max: 24 * time.Hour, Then: OnHold}},
		Acks:              Acks{Within: 10 * time.Second},
		State:             StateSpec{Mode: StateNone, AckWithin: 30 * time.Second, Compatible: true},
		Chronic:           Chronic{3, 14 * 24 * time.Hour},
		DrainWithin:       time.Minute,
	}
	got := parsed(t, shortest)
	want.Sha256 = got.Sha256
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

const everyKey = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: ranker-42, labels: {team: feed}, annotations: {owner: feed-oncall, runbook: "https://…"}}
spec:
  model: ranker
  baseline: {version: "41", where: {host: "base-*"}}
  canary: {version: "42", where: {host: "*"}}
  mode: advise
  risk: {falseRollback: 0.05, falsePromote: 0.1}
  window: 500ms
  lateness: 1.5s
  warmup: 60s
  patience: never
  phi: 2
  latencyGranularity: 0s
  outcomes:
    signup: {within: 1d12h}
    click: {within: 5m}
    like: {within: 1m}
  guardrails:
    - {name: e, rate: error, increase: 20%}
    - {name: c, rate: cache_miss, above: 99.5%, on: warn}
    - {name: d, rate: signup, decrease: 3pp, required: false, prove: beyond}
    - {name: k, rate: click, below: 1%, required: false}
    - {name: q, quantile: 0.999, above: 1.5s}
    - {name: t, quantile: 0.5, of: ttft_ms, below: 2.5, weight: 0.5}
    - {name: v, quantile: 0.5, of: tokens, decrease: any, required: false}
    - {name: g, sample: gpu, limit: 0.75, above: 50%, on: hold}
  health: {silent: 10s, unmatched: 5%, selfTest: hold, traffic: hold, noData: 2m}
  stages:
    - {weight: 2.5, bake: 1h, pass: [e, q], max: 2h, then: hold}
  acks: {routers: [edge, core], within: 5s}
  state: {mode: none}
  rollback: {drainWithin: 90s}
  cache: {namespace: "c/{version}", warm: [20, 60], until: {hitRate: 0.9, max: 2m}, mute: [q]}
  chronic: {rollbacks: 2, within: 1d}
  hotfix: flag ranker.rerank=off
  pillars:
    registry: {mlflow: {name: ranker, tag: image, baseline: {digest: "sha256:00112233445566778899aabbccddeeff"}, canary: {version: "7"}}}
    input: {baseline: in-41.json, canary: schemas/in-42.json}
    output: {baseline: "subject:ranker@v-value@3", canary: out-42.avsc}
    features: {baseline: features-41.txt, canary: features-42.txt, ordered: true}
  training: {scores: offline/scores-42.csv}
  sinks: [{mlflow: {alias: champion}}, {webhook: oncall}]
`

func TestEveryKeyIsRead(t *testing.T) {
	want := &Rollout{
		Name: "ranker-42", Labels: map[string]string{"team": "feed"},
		Annotations: map[string]string{"owner": "feed-oncall", "runbook": "https://…"},
		Model:       "ranker", Baseline: "41", Canary: "42", Mode: Advise,
		BaselineWhere: Where{Host: "base-*"}, CanaryWhere: Where{Host: "*"},
		Risk: Risk{FalseRollback: 0.05, FalsePromote: 0.1}, Window: 500 * time.Millisecond, Lateness: 1500 * time.Millisecond,
		Warmup: time.Minute, Patience: Never, Phi: 2,
		Outcomes:       []OutcomeSpec{{Name: "click", Within: 5 * time.Minute}, {Name: "signup", Within: 36 * time.Hour}},
		UnusedOutcomes: []OutcomeSpec{{Name: "like", Within: time.Minute}},
		Guardrails: []Guardrail{
			{Name: "e", Kind: RateGuardrail, Of: "error", Direction: Increase, Margin: Margin{"20%", true, 0.2}, On: OnRollback, Prove: ProveBeyond, Required: true, Weight: 3, Line: 21},
			{Name: "c", Kind: RateGuardrail, Of: "cache_miss", Direction: Above, Margin: Margin{"99.5%", false, 0.995}, On: OnWarn, Prove: ProveBeyond, Weight: 1, Line: 22},
			{Name: "d", Kind: RateGuardrail, Of: "signup", Direction: Decrease, Margin: Margin{"3pp", false, 0.03}, On: OnRollback, Prove: ProveBeyond, Weight: 1, Line: 23},
			{Name: "k", Kind: RateGuardrail, Of: "click", Direction: Below, Margin: Margin{"1%", false, 0.01}, On: OnRollback, Prove: ProveBeyond, Weight: 1, Line: 24},
			{Name: "q", Kind: QuantileGuardrail, Of: "latency", Quantile: 0.999, Direction: Above, Margin: Margin{"1.5s", false, 1500}, On: OnRollback, Prove: ProveBeyond, Required: true, Weight: 1, Line: 25},
			{Name: "t", Kind: QuantileGuardrail, Of: "ttft_ms", Quantile: 0.5, Direction: Below, Margin: Margin{"2.5", false, 2.5}, On: OnRollback, Prove: ProveBeyond, Required: true, Weight: 0.5, Line: 26},
			{Name: "v", Kind: QuantileGuardrail, Of: "tokens", Quantile: 0.5, Direction: Decrease, Margin: Margin{"any", true, 0}, On: OnRollback, Prove: ProveBeyond, Weight: 1, Line: 27},
			{Name: "g", Kind: GaugeGuardrail, Of: "gpu", Limit: 0.75, Direction: Above, Margin: Margin{"50%", false, 0.5}, On: OnHold, Prove: ProveBeyond, Required: true, Weight: 1, Line: 28},
		},
		Health: Health{Silent: 10 * time.Second, Unmatched: 0.05, SelfTest: OnHold, Traffic: OnHold, NoData: 2 * time.Minute},
		Stages: []Stage{{WeightBP: 250, Bake: time.Hour, Pass: []string{"e", "q"}, Max: 2 * time.Hour, Then: OnHold}},
		Acks:   Acks{Routers: []string{"edge", "core"}, Within: 5 * time.Second},
		State:  StateSpec{Mode: StateNone, AckWithin: 30 * time.Second, Compatible: true},
		Pillars: Pillars{
			MLflow: &MLflowPillar{Name: "ranker", Tag: "image",
				Baseline: RecordedVersion{Version: "41", Digest: "sha256:00112233445566778899aabbccddeeff"}, Canary: RecordedVersion{Version: "7"}},
			Input:    &Pair{Reference{File: "in-41.json"}, Reference{File: "schemas/in-42.json"}},
			Output:   &Pair{Reference{Subject: "ranker@v-value", Version: 3}, Reference{File: "out-42.avsc"}},
			Features: &Pair{Reference{File: "features-41.txt"}, Reference{File: "features-42.txt"}},
			Ordered:  true,
		},
		Training:    &Training{Scores: "offline/scores-42.csv"},
		Cache:       &CacheSpec{"c/{version}", []int{2000, 6000}, 0.9, 2 * time.Minute, false, []string{"q"}},
		DrainWithin: 90 * time.Second, Chronic: Chronic{2, 24 * time.Hour}, Hotfix: "flag ranker.rerank=off",
		Sinks: []SinkUse{
			{Kind: SinkMLflow, Sink: "mlflow", Name: "ranker", Alias: "champion", Baseline: "41", Canary: "42"}, {Kind: SinkWebhook, Sink: "oncall"},
		},
	}
	got := parsed(t, everyKey)
	want.Sha256 = got.Sha256
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if sum := sha256.Sum256([]byte(everyKey)); got.Sha256 != hex.EncodeToString(sum[:]) {
		t.Errorf("sum of the file is %q", got.Sha256)
	}
	if g, found := got.guardrail("q"); !found || g.Line != 25 {
		t.Errorf("guardrail q is %+v, %v", g, found)
	}
	if weight := got.familyWeight(OnRollback); weight != 8.5 { // 3+1+1+1+0.5+1, and the missing canary
		t.Errorf("rollback weight %v", weight)
	}
}

// A badFile is what a person wrote, and what they are told. schema is false where JSON Schema can't see it.
type badFile struct {
	name, file string
	want       []string
	schema     bool
}

func badRollouts() []badFile {
	return slices.Concat(badShapes(), badMargins(), badGuardrails(), badPlans(), badWheres(), badStates(), badPillars(), badAlertGuardrails())
}

// add is the shortest rollout and further lines of its spec.
func add(lines string) string { return shortest + lines }

// guard is the shortest rollout with one guardrail.
func guard(one string) string { return add("  guardrails:\n  - {" + one + "}\n") }

func badShapes() []badFile {
	return []badFile{
		{"misspelt key", add("  latenes: 3s\n"), []string{"6:3: spec.latenes: unknown key: did you mean lateness?"}, true},
		{"key in capitals", add("  Window: 3s\n"), []string{"6:3: spec.Window: unknown key: did you mean window?"}, true},
		{"misspelt in a list", guard("name: a, rate: error, increese: 1%"), []string{"7:28: spec.guardrails[0].increese: unknown key: did you mean increase?"}, true},
		{"key of elsewhere", add("  falseRollback: 0.1\n"), []string{"6:3: spec.falseRollback: unknown key: it belongs to spec.risk"}, true},
		{"key of nowhere", add("  risk: {xxxxxxxx: 1}\n"), []string{"6:10: spec.risk.xxxxxxxx: unknown key: known here: falsePromote, falseRollback"}, true},
		{"misspelt in training", add("  training: {score: x}\n"), []string{
			"6:13: spec.training.scores: missing: write scores: offline-scores-42.csv", "6:14: spec.training.score: unknown key: did you mean scores?"}, true},
		{"scores of another kind", add("  training: {scores: s.parquet}\n"), []string{
			`6:22: spec.training.scores: "s.parquet": write the name of a file that ends in .csv: a number on each line, or a column score`}, false},
		{"given twice", add("  window: 1s\n  window: 2s\n"), []string{"7:3: spec.window: given twice, first in line 6: remove one"}, false},
		{"number for text", strings.Replace(shortest, `"41"`, `41`, 1), []string{`4:23: spec.baseline.version: 41 is a number here: write "41", in quotes`}, true},
		{"truth for text", strings.Replace(shortest, `"41"`, `true`, 1), []string{`4:23: spec.baseline.version: true is a truth value here: write "true", in quotes`}, true},
		{"text for a number", add("  phi: \"2\"\n"), []string{`6:8: spec.phi: "2" is text here: write it without quotes`}, true},
		{"word for a number", add("  phi: two\n"), []string{`6:8: spec.phi: "two" stands where a number is wanted: write it in decimal digits, without a sign`}, true},
		{"infinity", add("  phi: .inf\n"), []string{`6:8: spec.phi: ".inf" stands where a number is wanted: write it in decimal digits, without a sign`}, true},
		{"number out of bounds", add("  risk: {falseRollback: 0}\n"), []string{"6:25: spec.risk.falseRollback: 0 is out of bounds: write a number above 0, at most 0.5"}, true},
		{"number below its least", add("  phi: 0.9\n"), []string{"6:8: spec.phi: 0.9 is out of bounds: write a number from 1, at most 100"}, true},
		{"duration without a unit", add("  window: 1\n"), []string{`6:11: spec.window: "1" has no unit: write e.g. 1s, or 1m`}, true},
		{"no duration", add("  window: 1 s\n"), []string{`6:11: spec.window: "1 s" is no duration: write e.g. 250ms, 30s, 10m, 24h or 14d`}, true},
		{"duration out of bounds", add("  window: 2h\n"), []string{"6:11: spec.window: 2h is out of bounds: write a duration from 100ms to 1h"}, false},
		{"duration too fine", add("  window: 1000.5ms\n"), []string{"6:11: spec.window: 1000.5ms is finer than a millisecond: round it"}, false},
		{"mapping for a word", add("  mode: {a: b}\n"), []string{"6:9: spec.mode: a mapping stands where enforce or advise is wanted"}, true},
		{"word for a list", add("  guardrails: errors\n"), []string{`6:15: spec.guardrails: "errors" stands where a list is wanted`}, true},
		{"misspelt word", add("  mode: enforced\n"), []string{`6:9: spec.mode: "enforced" is not known: did you mean enforce?`}, true},
		{"list for a word", add("  window: [1s]\n"), []string{"6:11: spec.window: a list stands where a duration such as 10m is wanted"}, true},
		{"word for a list or a word", add("  acks: {routers: {a: b}}\n"), []string{"6:19: spec.acks.routers: a mapping stands where a list, or any is wanted"}, true},
		{"key of two", add("  ? [a, b]\n  : c\n"), []string{"6:5: spec: a key must be a word"}, false},
		{"name of two", add("  outcomes:\n    ? [a, b]\n    : {within: 1m}\n"), []string{"7:7: spec.outcomes: a name must be text"}, false},
		{"too many names", add("  outcomes: {" + strings.Repeat("x: {within: 1m}, ", 17) + "}\n"), []string{"6:13: spec.outcomes: 17 entries, 16 are allowed"}, false},
		{"too many items", add("  guardrails: [" + strings.Repeat("{name: x, rate: error, increase: 5%}, ", 65) + "]\n"), []string{"6:15: spec.guardrails: 65 entries, 64 are allowed"}, true},
		{"no word that is near", add("  mode: xxxxxxxxxx\n"), []string{`6:9: spec.mode: "xxxxxxxxxx" stands where enforce or advise is wanted`}, true},
		{"number beyond all", add("  phi: 1e999\n"), []string{"6:8: spec.phi: 1e999 is too great for a number"}, true},
		{"number with a leading zero", add("  phi: 02\n"), []string{`6:8: spec.phi: "02" stands where a number is wanted: write it in decimal digits, without a sign`}, false},
		{"no value", add("  window:\n"), []string{"6:10: spec.window: has no value: write a duration such as 10m, or remove the key"}, true},
		{"no spec", "metadata: {name: a}\nspec:\n", []string{"2:6: spec: has no value: write spec: with model, baseline and canary"}, true},
		{"nothing needed", "kind: Rollout\n", []string{
			"1:1: metadata: missing: write metadata: {name: ranker-42}", "1:1: spec: missing: write spec: with model, baseline and canary"}, true},
		{"no canary", strings.Replace(shortest, `  canary: {version: "42"}`+"\n", "", 1), []string{`3:3: spec.canary: missing: write canary: {version: "42"}`}, true},
		{"same version in both arms", strings.Replace(shortest, "42\"}", "41\"}", 1), []string{
			`5:21: spec.canary.version: "41" is the baseline's version, too: a version can't be compared with itself: name another one`}, false},
		{"another kind", "kind: Config\n" + shortest, []string{"1:7: kind: it isn't Rollout: this is no rollout file, and nothing of it is shown, since it may be secret"}, true},
		{"another version", "apiVersion: streamcanary.dev/v2\n" + shortest, []string{`1:13: apiVersion: "streamcanary.dev/v2" is not known: did you mean streamcanary.dev/v1?`}, true},
		{"name of control characters", strings.Replace(shortest, "ranker-42", `"a\tb"`, 1), []string{`1:18: metadata.name: "a\tb" has control characters: remove them`}, false},
		{"name too long", strings.Replace(shortest, "ranker-42", strings.Repeat("x", 129), 1), []string{"1:18: metadata.name: is 129 bytes long, 128 are allowed"}, true},
		{"blank name", strings.Replace(shortest, "ranker-42", `" "`, 1), []string{"1:18: metadata.name: is empty: write name: ranker-42"}, true},
		{"blank name in a list", add("  acks: {routers: [eu, \"\"]}\n"), []string{"6:24: spec.acks.routers[1]: is empty: write a name, or remove it"}, true},
	}
}

func badMargins() []badFile {
	return []badFile{
		{"margin without a unit", guard("name: a, rate: error, increase: 0.5"), []string{
			"7:38: spec.guardrails[0].increase: 0.5 has no unit: write e.g. 0.5pp (percentage points), 20% (of the baseline's), or any"}, true},
		{"latency margin without a unit", guard("name: a, quantile: 0.9, increase: 20"), []string{
			"7:40: spec.guardrails[0].increase: 20 has no unit: write e.g. 20% (of the baseline's), or any"}, true},
		{"latency limit without a unit", guard("name: a, quantile: 0.9, above: 50"), []string{"7:37: spec.guardrails[0].above: 50 has no unit: write e.g. 50ms"}, true},
		{"limit without a unit", guard("name: a, rate: error, above: 0.05"), []string{"7:35: spec.guardrails[0].above: 0.05 has no unit: write e.g. 5%, a share"}, true},
		{"points of a limit", guard("name: a, rate: error, above: 5pp"), []string{"7:35: spec.guardrails[0].above: 5pp: the unit pp doesn't fit this guardrail: write e.g. 5%, a share"}, true},
		{"time of a rate", guard("name: a, rate: error, increase: 5ms"), []string{
			"7:38: spec.guardrails[0].increase: 5ms: the unit ms doesn't fit this guardrail: write e.g. 0.5pp (percentage points), 20% (of the baseline's), or any"}, true},
		{"unit of a number", guard("name: a, quantile: 0.9, of: tokens, above: 5ms"), []string{
			"7:49: spec.guardrails[0].above: 5ms: the unit ms doesn't fit this guardrail: write e.g. 250, a number in the unit of tokens"}, true},
		{"any as a limit", guard("name: a, rate: error, above: any"), []string{"7:35: spec.guardrails[0].above: any stands where a limit is wanted: write e.g. 5%, a share"}, true},
		{"nothing as a limit", guard("name: a, rate: error, above: 0%"), []string{"7:35: spec.guardrails[0].above: 0% is no limit: write e.g. 5%, a share"}, false},
		{"limit that can't be reached", guard("name: a, rate: error, above: 100%"), []string{"7:35: spec.guardrails[0].above: 100%: a share can't get there: write less than 100"}, true},
		{"fall that can't be", guard("name: a, rate: click, decrease: 100%, required: false"), []string{"7:38: spec.guardrails[0].decrease: 100%: nothing can fall by that much: write less than 100%"}, true},
		{"margin with a sign", guard("name: a, rate: error, increase: -5%"), []string{
			`7:38: spec.guardrails[0].increase: "-5%" is no margin: write e.g. 0.5pp (percentage points), 20% (of the baseline's), or any`}, true},
		{"list as a margin", guard("name: a, rate: error, increase: [5%]"), []string{"7:38: spec.guardrails[0].increase: a list stands where a margin such as 20% is wanted"}, true},
	}
}

func badGuardrails() []badFile {
	return []badFile{
		{"nothing watched", guard("name: a, increase: 5%"), []string{"7:5: spec.guardrails[0]: has no rate, quantile, sample, mean, distribution or external: say what it watches, e.g. rate: error"}, true},
		{"no direction", guard("name: a, rate: error"), []string{"7:5: spec.guardrails[0]: has no increase, decrease, above or below: say which way is harm, e.g. increase: 20%"}, true},
		{"two directions", guard("name: a, rate: error, increase: 5%, above: 5%"), []string{
			"7:49: spec.guardrails[0].above: above stands beside increase: a guardrail has one of increase, decrease, above or below: make two of it"}, true},
		{"two things watched", guard("name: a, rate: error, sample: cpu, limit: 0.9, increase: 5%"), []string{
			"7:36: spec.guardrails[0].sample: sample stands beside rate: a guardrail has one of rate, quantile, sample, mean, distribution or external: make two of it"}, true},
		{"rate of something", guard("name: a, rate: error, of: latency, increase: 5%"), []string{"7:32: spec.guardrails[0].of: latency: only a quantile is of something: remove it"}, true},
		{"limit of a rate", guard("name: a, rate: error, limit: 0.1, increase: 5%"), []string{"7:35: spec.guardrails[0].limit: only a sample has a limit: remove it, or write above: for a fixed limit"}, true},
		{"sample without a limit", guard("name: a, sample: cpu, increase: 5pp"), []string{"7:5: spec.guardrails[0].limit: missing: write the reading above which a sample counts, e.g. limit: 0.9"}, true},
		{"limit of a share", guard("name: a, sample: cpu, limit: 90, increase: 5pp"), []string{"7:35: spec.guardrails[0].limit: 90: samples of cpu are shares from 0 to 1: write e.g. 0.9"}, false},
		{"quantile of one", guard("name: a, quantile: 1, increase: 5%"), []string{"7:25: spec.guardrails[0].quantile: 1 is out of bounds: write a number above 0, at most 0.999999"}, true},
		{"quantile in percent", guard("name: a, quantile: 99, increase: 5%"), []string{"7:25: spec.guardrails[0].quantile: 99 is out of bounds: write a number above 0, at most 0.999999"}, true},
		{"quantile too fine", guard("name: a, quantile: 0.1234567, increase: 5%"), []string{"7:25: spec.guardrails[0].quantile: 0.1234567: write at most 6 decimals"}, false},
		{"any of a limit", guard("name: a, rate: error, above: 5%, prove: any"), []string{"7:46: spec.guardrails[0].prove: any: above is held against a fixed limit, so there is only beyond: remove it"}, false},
		{"no weight", guard("name: a, rate: error, increase: 5%, weight: 0"), []string{"7:50: spec.guardrails[0].weight: 0 is out of bounds: write a number above 0, at most 1000"}, true},
		{"yes for true", guard("name: a, rate: error, increase: 5%, required: yes"), []string{`7:52: spec.guardrails[0].required: "yes" stands where true or false is wanted`}, true},
		{"misspelt rate", guard("name: a, rate: eror, increase: 5%"), []string{
			`7:21: spec.guardrails[0].rate: no outcome is called "eror": did you mean error? (an outcome of your own needs spec.outcomes: {eror: {within: 10m}})`}, false},
		{"undeclared outcome", guard("name: a, rate: conversions, decrease: 5%"), []string{
			`7:21: spec.guardrails[0].rate: no outcome is called "conversions": there are cache_miss, click, error, purchase or timeout (an outcome of your own needs spec.outcomes: {conversions: {within: 10m}})`}, false},
		{"two of a name", add("  guardrails:\n  - {name: a, rate: error, increase: 5%}\n  - {name: a, rate: timeout, increase: 5%}\n"), []string{
			"8:12: spec.guardrails[1].name: a guardrail in line 7 is called a, too: give each its own name"}, false},
		{"empty list", add("  guardrails: []\n"), []string{"6:15: spec.guardrails: the list is empty: write at least 1, or remove the key"}, true},
	}
}

func badPlans() []badFile {
	return []badFile{
		{"outcome without within", add("  outcomes: {signup: {}}\n"), []string{
			"6:22: spec.outcomes.signup.within: missing: write how long after its prediction a signup still counts, e.g. within: 10m"}, false},
		{"outcome of another shape", add("  outcomes: {signup: 10m}\n"), []string{`6:22: spec.outcomes.signup: "10m" stands where a mapping of keys is wanted`}, true},
		{"outcome called error", add("  outcomes: {error: {within: 1m}}\n"), []string{"6:21: spec.outcomes.error: every prediction says error itself: call the outcome something else"}, false},
		{"outcome called by a number", add("  outcomes: {1: {within: 1m}}\n"), []string{`6:14: spec.outcomes.1: 1 is a number here: write "1", in quotes`}, false},

		{"unknown name in pass", add("  stages: [{pass: [p98, crawl]}]\n"), []string{`6:19: spec.stages[0].pass: no guardrail is called "p98": did you mean p99?`}, false},
		{"name twice in pass", add("  stages: [{pass: [p99, p99]}]\n"), []string{"6:19: spec.stages[0].pass: p99 is named twice: remove one"}, false},
		{"what never passes in pass", add("  stages: [{pass: [sales], max: 48h}]\n"), []string{
			"6:19: spec.stages[0].pass: guardrail sales has no margin that harm could be proven to keep, so it never passes: give it one, or don't name it"}, false},
		{"nothing has to pass", guard("name: a, rate: error, increase: 5%, on: warn"), []string{
			"7:3: spec.guardrails: none is required, so nothing would have to pass before a promotion: make one required: true, or name some with stages: [{pass: [a, b]}]"}, false},
		{"nothing has to pass a stage", guard("name: a, rate: error, increase: 5%, on: warn") + "  stages: [{weight: 5}]\n", []string{
			"8:12: spec.stages[0].pass: no guardrail is required, so nothing would have to pass: name some here, or make one required"}, false},
		{"max shorter than bake", add("  stages: [{bake: 2h, max: 1h}]\n"), []string{
			"6:28: spec.stages[0].max: 1h is shorter than bake 2h: write max: 2h or more, or let pass name only what can be ready by then"}, false},
		{"max shorter than an outcome", guard("name: a, rate: purchase, decrease: 5%"), []string{
			"3:3: spec.stages: without stages there is one of at most 24h, which is shorter than bake 10m plus the 24h within which a purchase of guardrail a counts: write stages: [{max: 24h10m}], or more, or let a stage's pass name only what can be ready by then"}, false},
		{"max shorter than what pass names", add("  stages: [{pass: [errors, ctr], max: 15m}]\n"), []string{
			"6:39: spec.stages[0].max: 15m is shorter than bake 10m plus the 10m within which a click of guardrail ctr counts: write max: 20m or more, or let pass name only what can be ready by then"}, false},
		{"all of the traffic", add("  stages: [{weight: 100}]\n"), []string{
			"6:21: spec.stages[0].weight: 100 in the only stage leaves no baseline to compare with: begin with a stage of less, e.g. stages: [{weight: 10}, {weight: 100, watch: 24h}]"}, false},
		{"second stage", add("  stages:\n  - {weight: 1}\n  - {weight: 10, aprove: true}\n"), []string{"8:18: spec.stages[1].aprove: unknown key: did you mean approve?"}, true},
		{"weight too fine", add("  stages: [{weight: 0.125}]\n"), []string{"6:21: spec.stages[0].weight: 0.125 percent is finer than 0.01: round it"}, false},
		{"router twice", add("  acks: {routers: [a, a]}\n"), []string{"6:19: spec.acks.routers: a is named twice: remove one"}, false},
	}
}

func laterRollouts() []badFile {
	var files []badFile
	later := func(name, lines string, want ...string) {
		files = append(files, badFile{name, shortest + lines, want, true})
	}
	later("traffic", "  health: {traffic: warn}\n", "6:21: spec.health.traffic: warn is not supported yet: write hold, or remove the key")
	return files
}

func TestBadRollouts(t *testing.T) {
	for _, bad := range append(badRollouts(), laterRollouts()...) {
		t.Run(bad.name, func(t *testing.T) {
			r, err := ParseRollout("rollout.yaml", []byte(bad.file))
			if r != nil || err == nil {
				t.Fatalf("accepted as %+v:\n%s", r, bad.file)
			}
			want := "rollout.yaml:" + strings.Join(bad.want, "\nrollout.yaml:")
			if err.Error() != want {
				t.Errorf("got\n%v\nwant\n%s", err, want)
			}
		})
	}
}

func TestNoYAML(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	tests := []struct{ name, file, want string }{
		{"empty", "", "f:1:1: the file is empty"},
		{"comment only", "# nothing\n", "f:1:1: the file is empty"},
		{"a word", "hello\n", "f:1:1: a text stands where a mapping of keys is wanted; it isn't shown, since it may be secret"},
		{"a list", "- a\n", "f:1:1: a list stands where a mapping of keys is wanted; it isn't shown, since it may be secret"},
		{"tabs", "spec:\n\tmodel: a\n", "f:2:1: this isn't YAML: found character that cannot start any token: indent with spaces, not tabs, and put text that begins with % @ or ` in quotes"},
		{"open bracket", "spec: {a: b\n", "f:2:1: this isn't YAML: did not find expected ',' or '}'"},
		{"not UTF-8", "spec:\n  a: \xff\n", "f:2:6: the file isn't UTF-8 text here: save it as UTF-8"},
		{"second document", shortest + "---\nspec: {}\n", "f:7:1: a second YAML document begins here: one file holds one"},
		{"broken second document", shortest + "---\nspec: {\n", "f:8:1: this isn't YAML: did not find expected node content"},
		{"anchor", strings.Replace(shortest, `"41"`, `&v "41"`, 1), "f:4:23: anchor &v: anchors aren't read here: remove it"},
		{"tag", strings.Replace(shortest, `"41"`, `!!str 41`, 1), "f:4:23: tag !!str: tags aren't read here: remove it, and put text in quotes"},
		{"too large", "a: " + strings.Repeat("x", MaxFileBytes), "f:1:1: the file has 262147 bytes, 262144 are allowed"},
		{"too deep", "metadata: {name: a, labels: " + deep + "}\n" + strings.SplitN(shortest, "\n", 2)[1],
			"f:1:29: metadata.labels: a list stands where a mapping of names is wanted\nf:1:59: nested deeper than 32"},
		{"merge", "<<: {a: b}\n" + shortest, "f:1:1: <<: unknown key: known here: apiVersion, kind, metadata, spec"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseRollout("f", []byte(test.file))
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

// TestNothingOfASecretIsShown: of a file that is no rollout (tokens, a key, a Secret) an error tells nothing that stands there.
func TestNothingOfASecretIsShown(t *testing.T) {
	for name, file := range map[string]string{
		"tokens": "hush1 admin ada\nhush2 operator bob\n", "a token": "hush\n", "variables": "PASSWORD=hush\n", "a key": "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n",
		"a list": "- hush\n", "pairs": "hush: hush\n", "a Secret": "apiVersion: v1\nkind: Secret\nmetadata: {name: hush}\ndata: {hush: aHVzaA==}\n", "JSON": `{"hush": ["hush"]}`,
		"an alias": "*hush\n", "an alias inside": "a: *hush\n", "a tag": "!hush x\n", "an anchor": "a: &hush x\n", "broken": "- hush: [hush\n", "no colon": "a: b\nhush\n", "a directive": "%hush x\n---\na: b\n",
		"an escape": `"hush\q"`, "two documents": "hush\n---\nhush\n", "a kind that is none": "kind: hush\nhush: x\n",
	} {
		_, err := ParseRollout("f", []byte(file))
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAliasesAreRefusedNotExpanded(t *testing.T) {
	bomb := "metadata: {name: a}\na: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), c-1)
	}
	_, err := ParseRollout("f", []byte(bomb))
	if len(Problems(err)) != MaxProblems || !strings.Contains(err.Error(), "aliases aren't read here") {
		t.Errorf("got %v", err)
	}
}

// The largest files, of all that is wrong at once, are refused in time.
func TestHopelessFilesCostLittle(t *testing.T) {
	fill := func(begin, repeat, end string) string {
		return begin + strings.Repeat(repeat, (MaxFileBytes-len(begin)-len(end))/len(repeat)) + end
	}
	var keys strings.Builder
	for i := 0; keys.Len() < MaxFileBytes-20; i++ {
		fmt.Fprintf(&keys, "%x: \n", i)
	}
	for name, file := range map[string]string{
		"keys": keys.String(), "same key": fill("", "a: 1\n", ""), "guardrails": fill(add("  guardrails:\n"), "  - {name: a, rate: eror}\n", ""),
		"empty guardrails": fill(add("  guardrails: ["), "{},", "]\n"), "outcomes": fill(add("  outcomes: {"), "a: b,", "}\n"),
		"brackets": strings.Repeat("[", 9000), "pass": fill(add("  stages: [{pass: ["), "a,", "]}]\n"), "comments": fill("", "#\n", "a: b\n"),
	} {
		began := time.Now()
		if _, err := ParseRollout("f", []byte(file)); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s: took %v", name, took)
		} else {
			t.Logf("%s: %v", name, took)
		}
	}
}

func TestTrailingDocumentMarkIsFine(t *testing.T) {
	parsed(t, "---\n"+shortest+"---\n")
	parsed(t, "\ufeff"+shortest)
}

func TestProblemsAreBounded(t *testing.T) {
	file := shortest + "  guardrails:\n"
	for range 30 {
		file += "  - {nam: a}\n"
	}
	_, err := ParseRollout("f", []byte(file))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != MaxProblems+1 || lines[MaxProblems] != "f: and 40 more" || Problems(err)[0].Line != 7 {
		t.Errorf("got %d lines, the last %q", len(lines), lines[len(lines)-1])
	}
	if Problems(fmt.Errorf("other")) != nil {
		t.Error("another error has problems")
	}
}

// TestLabelsAreBoundedTogether: every decision carries labels and annotations, so they have one bound.
func TestLabelsAreBoundedTogether(t *testing.T) {
	long := func(labels, annotations int) error {
		text := "metadata:\n  name: a\n"
		for key, n := range map[string]int{"labels": labels, "annotations": annotations} {
			text += "  " + key + ":\n"
			for i := range n {
				text += fmt.Sprintf("    k%d: %s\n", i, strings.Repeat("x", 1000))
			}
		}
		_, err := ParseRollout("f", []byte(text+strings.SplitN(shortest, "\n", 2)[1]))
		return err
	}
	if err := long(8, 8); err != nil {
		t.Error(err)
	}
	if err := long(8, 9); err == nil || !strings.Contains(err.Error(), "metadata.annotations: labels and annotations have 17034 bytes together, at most 16384 are allowed") {
		t.Error(err)
	}
}
