package schemas

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// generated is the schema of a rollout as its table has it.
func generated(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(schemaOf(&rolloutForm))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("generated", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("generated")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// everyKind is a rollout with every kind of guardrail, and what goes with some of them.
const everyKind = shortest + `  window: 4s
  latencyGranularity: 1s
  outcomes:
    purchase: {value: sum, cap: 500}
    tip: {within: 1h, value: sum, cap: 20.5}
  guardrails:
    - {name: revenue, mean: purchase, decrease: 3%, on: hold}
    - {name: cpu, mean: cpu, increase: 0.05}
    - {name: queue, mean: depth, from: sample, cap: 100, above: 50}
    - {name: tokens, mean: tokens, cap: 4096, increase: 10%, prove: any}
    - {name: level, mean: score, cap: 1, decrease: any, required: false}
    - {name: shape, distribution: latency, test: ks, increase: 20%}
    - {name: scores, distribution: score, test: ks, on: warn}
    - {name: ranks, distribution: tokens, test: mann-whitney, decrease: any, required: false}
    - {name: logit, distribution: logit, test: mann-whitney, buckets: {from: -8.5, to: 8.5, count: 1700}, decrease: 0.5}
    - {name: median, quantile: 0.5, of: score, decrease: 0.02}
    - {name: low, quantile: 0.1, of: logit, buckets: {from: -4, to: 4, count: 400}, below: 2}
    - {name: slo, quantile: 0.99, above: 30s}
  segments: {watch: segment, list: [new, "old ones"]}
  stratify: segment
  health: {unmatched: 2.5%, selfTest: warn}
  stages: [{pass: [revenue, cpu, queue, tokens, shape, logit, median, low, slo], max: 26h}]
`

func TestEveryKindIsRead(t *testing.T) {
	got := parsed(t, everyKind)
	hit := func(g Guardrail) Guardrail {
		g.Prove, g.Required, g.Weight = cmpOr(g.Prove, ProveBeyond), g.On == "", 1
		g.On = cmpOr(g.On, OnRollback)
		return g
	}
	want := []Guardrail{
		hit(Guardrail{Name: "revenue", Kind: MeanGuardrail, Of: "purchase", From: KindOutcome, Cap: 500, Direction: Decrease, Margin: Margin{"3%", true, 0.03}, On: OnHold, Prove: ProveAny}),
		hit(Guardrail{Name: "cpu", Kind: MeanGuardrail, Of: "cpu", From: KindSample, Cap: 1, Direction: Increase, Margin: Margin{"0.05", false, 0.05}}),
		hit(Guardrail{Name: "queue", Kind: MeanGuardrail, Of: "depth", From: KindSample, Cap: 100, Direction: Above, Margin: Margin{"50", false, 50}}),
		hit(Guardrail{Name: "tokens", Kind: MeanGuardrail, Of: "tokens", From: KindPrediction, Cap: 4096, Direction: Increase, Margin: Margin{"10%", true, 0.1}, Prove: ProveAny}),
		hit(Guardrail{Name: "level", Kind: MeanGuardrail, Of: "score", From: KindPrediction, Cap: 1, Direction: Decrease, Margin: Margin{"any", false, 0}}),
		hit(Guardrail{Name: "shape", Kind: DistributionGuardrail, Of: "latency", Test: TestKS, Direction: Increase, Margin: Margin{"20%", true, 0.2}}),
		hit(Guardrail{Name: "scores", Kind: DistributionGuardrail, Of: "score", Test: TestKS, Buckets: Buckets{0, 1, 1000}, Direction: Both, Margin: Margin{"any", false, 0}, On: OnWarn}),
		hit(Guardrail{Name: "ranks", Kind: DistributionGuardrail, Of: "tokens", Test: TestMannWhitney, Direction: Decrease, Margin: Margin{"any", true, 0}}),
		hit(Guardrail{Name: "logit", Kind: DistributionGuardrail, Of: "logit", Test: TestMannWhitney, Buckets: Buckets{-8.5, 8.5, 1700}, Direction: Decrease, Margin: Margin{"0.5", false, 0.5}}),
		hit(Guardrail{Name: "median", Kind: QuantileGuardrail, Of: "score", Quantile: 0.5, Buckets: Buckets{0, 1, 1000}, Direction: Decrease, Margin: Margin{"0.02", false, 0.02}}),
		hit(Guardrail{Name: "low", Kind: QuantileGuardrail, Of: "logit", Quantile: 0.1, Buckets: Buckets{-4, 4, 400}, Direction: Below, Margin: Margin{"2", false, 2}}),
		hit(Guardrail{Name: "slo", Kind: QuantileGuardrail, Of: "latency", Quantile: 0.99, Direction: Above, Margin: Margin{"30s", false, 30000}}),
	}
	want[0].Required, want[4].Required, want[7].Required = true, false, false
	for i, g := range got.Guardrails {
		g.Line = 0
		if i >= len(want) || g != want[i] {
			t.Errorf("guardrail %d is %+v\nwant %+v", i, g, want[min(i, len(want)-1)])
		}
	}
	if got.LatencyGranularity != time.Second || !got.Stratify || got.Health.Unmatched != 0.025 || got.Health.SelfTest != OnWarn {
		t.Errorf("got %+v", got)
	}
	if want := (&Segments{Field: "segment", List: []string{"new", "old ones"}}); !reflect.DeepEqual(got.Segments, want) {
		t.Errorf("segments %+v, want %+v", got.Segments, want)
	}
	if want := []OutcomeSpec{{"purchase", 24 * time.Hour, ValueSum, 500}}; !reflect.DeepEqual(got.Outcomes, want) {
		t.Errorf("outcomes %+v, want %+v", got.Outcomes, want)
	}
	if want := []OutcomeSpec{{"tip", time.Hour, ValueSum, 20.5}}; !reflect.DeepEqual(got.UnusedOutcomes, want) {
		t.Errorf("unused outcomes %+v, want %+v", got.UnusedOutcomes, want)
	}
	if top := parsed(t, add("  segments: {}\n")).Segments; !reflect.DeepEqual(top, &Segments{Field: "segment", Top: 20}) {
		t.Errorf("segments %+v", top)
	}
	golden(t, "testdata/explained_every_kind.yaml", Explain(got))
	checkExplained(t, got)
	for _, text := range []string{everyKind, string(Explain(got))} {
		if err := generated(t).Validate(fromYAML(t, text)); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}

func cmpOr[T ~string](a, b T) T {
	if a != "" {
		return a
	}
	return b
}

func badKinds() []badFile {
	return slices.Concat(badMeans(), badDistributions(), []badFile{
		{"stratify without segments", add("  stratify: segment\n"), []string{
			"6:13: spec.stratify: there are no segments to keep apart: name them with segments: {watch: segment, top: 20}, or remove the key"}, false},
		{"another field", add("  segments: {watch: segmnt}\n"), []string{`6:21: spec.segments.watch: "segmnt" is not known: did you mean segment?`}, true},
		{"top and list", add("  segments: {top: 5, list: [a]}\n"), []string{
			"6:19: spec.segments.top: top stands beside list: the names are either those of the list, or the greatest: remove one"}, true},
		{"segment twice", add("  segments: {list: [a, a]}\n"), []string{"6:20: spec.segments.list: a is named twice: remove one"}, false},
		{"misspelt in segments", add("  segments: {tip: 5}\n"), []string{"6:14: spec.segments.tip: unknown key: did you mean top?"}, true},
		{"coarse latencies", add("  latencyGranularity: 300ms\n"), []string{
			"6:23: spec.latencyGranularity: 300ms is coarse beside a window of 1s: write at most 250ms, or a window of 1.2s"}, false},
		{"limit finer than what is rounded", add("  latencyGranularity: 50ms\n  guardrails: [{name: a, quantile: 0.9, above: 50ms}]\n"), []string{
			"7:48: spec.guardrails[0].above: 50ms is no more than what latencies are rounded to (latencyGranularity: 50ms): write a greater limit"}, false},
		{"all outcomes unmatched", add("  health: {unmatched: 100%}\n"), []string{"6:23: spec.health.unmatched: 100%: a share can't get there: write less than 100%"}, false},
		{"sum without a cap", add("  outcomes: {click: {value: sum}}\n"), []string{
			"6:21: spec.outcomes.click.cap: missing: write what the sum of one prediction's values counts at most, e.g. cap: 500"}, true},
		{"cap without a sum", add("  outcomes: {click: {cap: 5}}\n"), []string{
			"6:27: spec.outcomes.click.cap: nothing is added up that a cap could hold: write value: sum beside it, or remove it"}, true},
		{"cap of nothing", add("  outcomes: {click: {value: sum, cap: 0}}\n"), []string{"6:39: spec.outcomes.click.cap: 0 is out of bounds: write a number above 0, at most 1000000000000000"}, true},
	})
}

func badMeans() []badFile {
	return []badFile{
		{"mean of an outcome without values", guard("name: a, mean: purchase, decrease: 3%"), []string{
			"7:21: spec.guardrails[0].mean: the outcome purchase has no values that could have a mean: write spec.outcomes: {purchase: {within: 24h, value: sum, cap: 500}}, or rate: purchase"}, false},
		{"mean without a cap", guard("name: a, mean: purchas, decrease: 3%"), []string{
			"7:5: spec.guardrails[0].cap: missing: write what one value of purchas counts at most, e.g. cap: 500 (or did you mean the outcome purchase?)"}, false},
		{"mean of an unknown outcome", guard("name: a, mean: sale, from: outcome, decrease: 3%"), []string{
			`7:21: spec.guardrails[0].mean: no outcome is called "sale": there are click or purchase (an outcome of your own needs spec.outcomes: {sale: {within: 10m, value: sum, cap: 500}})`}, false},
		{"second cap of an outcome", add("  outcomes: {tip: {within: 1m, value: sum, cap: 5}}\n  guardrails: [{name: a, mean: tip, cap: 4, decrease: 3%}]\n"), []string{
			"7:42: spec.guardrails[0].cap: the cap of an outcome stands with it, at spec.outcomes.tip.cap: remove it here"}, false},
		{"mean of latencies", guard("name: a, mean: latency, cap: 100, increase: 3%"), []string{
			"7:21: spec.guardrails[0].mean: a mean of latencies hides the few that hurt: write quantile: 0.5, or distribution: latency"}, false},
		{"mean of errors", guard("name: a, mean: error, cap: 1, increase: 3%"), []string{"7:21: spec.guardrails[0].mean: error happens or it doesn't: write rate: error"}, false},
		{"mean beyond its cap", guard("name: a, mean: cpu, above: 1.5"), []string{"7:33: spec.guardrails[0].above: 1.5: a mean of values within 1 can't get there: write less than 1"}, false},
		{"difference beyond the cap", guard("name: a, mean: cpu, increase: 2"), []string{"7:36: spec.guardrails[0].increase: 2: a mean of values within 1 can't get there: write less than 2"}, false},
		{"cap of a rate", guard("name: a, rate: error, cap: 1, increase: 3%"), []string{"7:33: spec.guardrails[0].cap: only a mean has values that are capped: remove it"}, true},
		{"from of a rate", guard("name: a, rate: error, from: sample, increase: 3%"), []string{"7:34: spec.guardrails[0].from: only a mean has a choice of events: remove it"}, true},
	}
}

func badDistributions() []badFile {
	return []badFile{
		{"distribution without a test", guard("name: a, distribution: latency, increase: 3%"), []string{
			"7:5: spec.guardrails[0].test: missing: write test: ks, which sees the tail, too, or test: mann-whitney, which is quicker where everything is shifted"}, true},
		{"misspelt test", guard("name: a, distribution: latency, test: kss, increase: 20%"), []string{`7:44: spec.guardrails[0].test: "kss" is not known: did you mean ks?`}, true},
		{"test of a rate", guard("name: a, rate: error, test: ks, increase: 3%"), []string{"7:34: spec.guardrails[0].test: only a distribution has a choice of tests: remove it"}, true},
		{"distribution above a limit", guard("name: a, distribution: latency, test: ks, above: 30ms"), []string{
			"7:55: spec.guardrails[0].above: a distribution is held against the baseline's: write increase or decrease, or neither of them for any difference"}, true},
		{"absolute margin on buckets of ratios", guard("name: a, distribution: tokens, test: ks, increase: 30"), []string{
			"7:57: spec.guardrails[0].increase: 30 has no unit: write e.g. 20% (of the baseline's), or any"}, true},
		{"relative margin on linear buckets", guard("name: a, distribution: score, test: ks, increase: 3%"), []string{
			"7:56: spec.guardrails[0].increase: 3%: the unit % doesn't fit this guardrail: write e.g. 0.05 (a shift, in the unit of score), or any"}, true},
		{"margin as wide as the buckets", guard("name: a, distribution: score, test: ks, increase: 1"), []string{
			"7:56: spec.guardrails[0].increase: 1 is as wide as all the buckets, from 0 to 1: write less"}, false},
		{"limit outside the buckets", guard("name: a, quantile: 0.5, of: score, above: 1.5"), []string{
			"7:48: spec.guardrails[0].above: 1.5 lies outside the buckets, from 0 to 1: write a limit between them, or other buckets"}, false},
		{"buckets upside down", guard("name: a, distribution: x, test: ks, buckets: {from: 1, to: -1, count: 10}"), []string{
			"7:65: spec.guardrails[0].buckets.to: -1 is not above from 1: write the lowest value in from, the highest in to"}, false},
		{"buckets of latencies", guard("name: a, quantile: 0.5, buckets: {from: 1, to: 10, count: 10}, increase: any"), []string{
			"7:39: spec.guardrails[0].buckets: latencies have buckets of their own, each a hundredth wider than the one before: remove them"}, false},
		{"buckets without an end", guard("name: a, distribution: x, test: ks, buckets: {from: 1, count: 10}"), []string{
			"7:51: spec.guardrails[0].buckets.to: missing: write to: 1"}, true},
		{"buckets of a rate", guard("name: a, rate: error, buckets: {from: 0, to: 1, count: 10}, increase: any"), []string{
			"7:37: spec.guardrails[0].buckets: only a quantile or a distribution is counted in buckets: remove them"}, true},
		{"two directions of a distribution", guard("name: a, distribution: x, test: ks, increase: any, decrease: any"), []string{
			"7:67: spec.guardrails[0].decrease: decrease stands beside increase: a guardrail has one of increase, decrease, above or below: make two of it"}, true},
	}
}

func TestBadKinds(t *testing.T) {
	schema := generated(t)
	for _, bad := range badKinds() {
		t.Run(bad.name, func(t *testing.T) {
			_, err := ParseRollout("f", []byte(bad.file))
			want := "f:" + strings.Join(bad.want, "\nf:")
			if err == nil || err.Error() != want {
				t.Errorf("got\n%v\nwant\n%s", err, want)
			}
			if err := schema.Validate(fromYAML(t, bad.file)); (err != nil) != bad.schema {
				t.Errorf("the schema says %v, want an error: %v", err, bad.schema)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct{ guard, want string }{
		{"quantile: 0.99, increase: 20%", ""},
		{"quantile: 0.99, increase: any", ""},
		{"quantile: 0.99, above: 20ms", ""},
		{"rate: error, increase: 0.01%", ""},
		{"quantile: 0.99, increase: 5%", "guardrail a: increase: 5% is held against buckets that are 1.1% wide: a failure is proven beyond 5.56%, a pass within 4.43%"},
		{"distribution: latency, test: ks, decrease: 5%", ""}, // 4.74 buckets: 5.27 %
		{"distribution: latency, test: ks, decrease: 4.5%", "guardrail a: decrease: 4.5% is held against buckets that are 1.1% wide: a failure is proven beyond 5.27%, a pass within 4.24%"},
		{"quantile: 0.99, increase: 1%", "guardrail a: increase: 1% is finer than its buckets, 1.1% wide: a failure is proven beyond 1.09%, and a pass only where the canary is proven " +
			"to be lower than the baseline; write a greater margin"},
		{"distribution: score, test: ks, increase: 0.05", ""},
		{"distribution: score, test: ks, increase: 0.003", ""}, // 0.003 / 0.001 is 3 and a bit
		{"distribution: score, test: ks, decrease: 0.0015", "guardrail a: decrease: 0.0015 is held against buckets that are 0.001 wide: a failure is proven beyond 0.002, a pass within 0.001"},
		{"distribution: score, test: ks, decrease: 0.0005", "guardrail a: decrease: 0.0005 is finer than its buckets, 0.001 wide: a failure is proven beyond 0.001, and a pass only where the canary is proven " +
			"to be higher than the baseline; write a greater margin"},
	}
	for _, test := range tests {
		if got := strings.Join(parsed(t, guard("name: a, "+test.guard)).Warnings(), "\n"); got != test.want {
			t.Errorf("%s: got %q, want %q", test.guard, got, test.want)
		}
	}
	for acks, want := range map[string]string{
		"":                                     "sink httproute moves traffic, and a rollback counts as carried out without its answer: name it in acks: {routers: [httproute]}",
		"  acks: {routers: [eu]}\n":            "sink httproute moves traffic, and a rollback counts as carried out without its answer: name it in acks: {routers: [eu, httproute]}",
		"  acks: {routers: [eu, httproute]}\n": "",
	} {
		text := acks + "  sinks: [{slack: slack}, {httproute: {namespace: a, name: b, baseline: c, canary: d}}]\n"
		if got := strings.Join(parsed(t, add(text)).Warnings(), "\n"); got != want {
			t.Errorf("%s: got %q, want %q", acks, got, want)
		}
	}
	for text, want := range map[string]bool{"": true, "  mode: advise\n": false, "  acks: {routers: [eu]}\n": false, "  acks: {routers: any}\n": true} {
		got := strings.Join(parsed(t, add("  stages: external\n"+text)).Warnings(), "\n")
		if told := strings.HasPrefix(got, "stages: external: no start waits for a router, and a rollback"); told != want || got != "" != want {
			t.Errorf("%s: got %q, want it told: %t", text, got, want)
		}
	}
}

// TestShares: shares of the risk, with the tenth that segments have, and each family's own.
func TestShares(t *testing.T) {
	list := "  guardrails: [{name: a, rate: error, increase: 5%}, {name: b, rate: timeout, increase: 5%}, {name: c, rate: click, decrease: 5%, on: hold, weight: 2}]\n"
	for _, test := range []struct {
		file string
		want [3]float64
	}{
		{add(list), [3]float64{.006, .002, .01}}, // 3, 1 and the missing canary's 1; c is alone in its family
		{add(list + "  segments: {}\n"), [3]float64{.0054, .0018, .009}},
	} {
		r := parsed(t, test.file)
		for i := range r.Guardrails {
			if got := r.Alpha(&r.Guardrails[i]); got < test.want[i]*(1-1e-12) || got > test.want[i]*(1+1e-12) {
				t.Errorf("share %d is %v, want %v", i, got, test.want[i])
			}
		}
	}
}

// TestSides: which way is harm, as a sign.
func TestSides(t *testing.T) {
	for d, want := range map[Direction]int{Increase: 1, Above: 1, Decrease: -1, Below: -1, Both: 0} {
		if got := d.Side(); got != want {
			t.Errorf("%s: %d, want %d", d, got, want)
		}
	}
}
