package schemas

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const everySink = `kind: Config
sinks:
  httproute: {}
  gateway: {kind: httproute, url: "https://api:6443", tokenFile: t, tls: {caFile: ca.pem}, timeout: 5s}
  pagerduty: {secretEnv: PAGERDUTY_KEY}
  slack: {secretFile: /run/secrets/slack}
  alertmanager: {url: "http://alertmanager:9093/am/"}
  hook: {kind: webhook, url: "http://hook", secretFile: s}
  mlflow: {url: "http://mlflow:5000", tokenFile: t}
  envoy: {file: e.json}
`

const everyUse = shortest + `  acks: {routers: [gateway, edge]}
  sinks:
    - {httproute: {sink: gateway, namespace: feed, name: ranker, baseline: ranker-41, canary: ranker-42}}
    - {envoy: {prefix: routing.ranker, baseline: a, canary: b}}
    - {mlflow: {name: feed.ranker, alias: champion, candidate: challenger, stage: Production, baseline: "7", canary: "8"}}
    - {slack: slack}
    - {pagerduty: pagerduty}
    - {alertmanager: alertmanager}
    - {webhook: hook}
`

func TestSinks(t *testing.T) {
	c, err := ParseConfig("c", []byte(everySink))
	if err != nil {
		t.Fatal(err)
	}
	with := func(s Sink) Sink {
		if s.Timeout == 0 {
			s.Timeout = 10 * time.Second
		}
		s.Retries = 4
		return s
	}
	want := []Sink{
		with(Sink{Name: "alertmanager", Kind: SinkAlertmanager, Server: Server{URL: "http://alertmanager:9093/am"}}),
		with(Sink{Name: "envoy", Kind: SinkEnvoy, File: "e.json", Layer: "streamcanary"}),
		with(Sink{Name: "gateway", Kind: SinkHTTPRoute, Server: Server{URL: "https://api:6443", Token: SecretRef{File: "t"}, TLS: &TLS{CAFile: "ca.pem"}, Timeout: 5 * time.Second}}),
		with(Sink{Name: "hook", Kind: SinkWebhook, Server: Server{URL: "http://hook"}, Secret: SecretRef{File: "s"}}),
		with(Sink{Name: "httproute", Kind: SinkHTTPRoute, Server: Server{URL: podAPI, Token: SecretRef{File: podFolder + "token"}, TLS: &TLS{CAFile: podFolder + "ca.crt"}}}),
		with(Sink{Name: "mlflow", Kind: SinkMLflow, Server: Server{URL: "http://mlflow:5000", Token: SecretRef{File: "t"}}}),
		with(Sink{Name: "pagerduty", Kind: SinkPagerDuty, Server: Server{URL: "https://events.pagerduty.com"}, Secret: SecretRef{Env: "PAGERDUTY_KEY"}}),
		with(Sink{Name: "slack", Kind: SinkSlack, Secret: SecretRef{File: "/run/secrets/slack"}}),
	}
	if !reflect.DeepEqual(c.Sinks, want) {
		t.Errorf("got  %+v\nwant %+v", c.Sinks, want)
	}
	r := parsed(t, everyUse)
	uses := []SinkUse{
		{Kind: SinkHTTPRoute, Sink: "gateway", Namespace: "feed", Name: "ranker", Baseline: "ranker-41", Canary: "ranker-42"},
		{Kind: SinkEnvoy, Sink: "envoy", Prefix: "routing.ranker", Baseline: "a", Canary: "b"},
		{Kind: SinkMLflow, Sink: "mlflow", Name: "feed.ranker", Alias: "champion", Candidate: "challenger", Stage: "Production", Baseline: "7", Canary: "8"},
		{Kind: SinkSlack, Sink: "slack"}, {Kind: SinkPagerDuty, Sink: "pagerduty"}, {Kind: SinkAlertmanager, Sink: "alertmanager"}, {Kind: SinkWebhook, Sink: "hook"},
	}
	if !reflect.DeepEqual(r.Sinks, uses) {
		t.Errorf("got  %+v\nwant %+v", r.Sinks, uses)
	}
	if err := c.Fits(r); err != nil {
		t.Error(err)
	}
	if r.Sink("slack") == nil || r.Sink("slag") != nil || c.Sink("slag") != nil {
		t.Error("a sink is found by its name")
	}
	checkExplained(t, parsed(t, everyUse))
}

func TestEverySinkKindHasARule(t *testing.T) {
	for _, kind := range sinkKinds {
		if _, known := sinkRules[kind]; !known || useForm.find(string(kind)) == nil {
			t.Errorf("kind %s has no rule, or no key in a rollout's sinks", kind)
		}
	}
	if len(sinkRules) != len(sinkKinds) || len(useForm.fields) != len(sinkKinds) {
		t.Errorf("%d rules and %d keys of %d kinds", len(sinkRules), len(useForm.fields), len(sinkKinds))
	}
}

func TestBadSinks(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"no kind", "sinks: {oncall: {url: u}}", "1:17: sinks.oncall.kind: missing: only a sink that is called like its kind can do without: write one of mlflow, httproute, envoy, webhook, slack, pagerduty or alertmanager"},
		{"misspelt kind", "sinks: {oncall: {kind: webhok}}", `1:24: sinks.oncall.kind: "webhok" is not known: did you mean webhook?`},
		{"misspelt key", "sinks: {oncall: {kind: webhook, secretfile: s}}", "1:33: sinks.oncall.secretfile: unknown key: did you mean secretFile?"},
		{"a secret in the file", "sinks: {slack: {secret: xoxb}}", "1:17: sinks.slack.secret: unknown key: did you mean secretFile?"},
		{"a secret address", "sinks: {slack: {url: \"https://hooks.slack.com/services/T/B/hush\", secretFile: s}}",
			"1:22: sinks.slack.url: whoever has the address of an incoming webhook can write to Slack: put it into a file, and write secretFile: FILE"},
		{"a password in the address", "sinks: {mlflow: {url: \"https://u:hush@h\"}}", "1:23: sinks.mlflow.url: the address holds a secret before the @: use user and tokenFile"},
		{"no address", "sinks: {mlflow: {url: h}}", "1:23: sinks.mlflow.url: it is no address of a server: write https://HOST or http://HOST:PORT"},
		{"nothing", "sinks: {mlflow: {}}", "1:17: sinks.mlflow.url: missing: a sink of kind mlflow needs it: write url: https://HOST"},
		{"no secret", "sinks: {hook: {kind: webhook, url: \"http://h\"}}", "1:15: sinks.hook.secretFile: missing: a sink of kind webhook needs it: write secretFile: /run/secrets/secret"},
		{"two of a secret", "sinks: {slack: {secretFile: a, secretEnv: b}}", "1:43: sinks.slack.secretEnv: stands beside secretFile: remove one of the two"},
		{"useless", "sinks: {envoy: {file: f, tokenFile: t}}", "1:37: sinks.envoy.tokenFile: a sink of kind envoy has no use for it: remove it"},
		{"user alone", "sinks: {mlflow: {url: \"http://h\", user: u}}", "1:41: sinks.mlflow.user: stands without a password: name its file with tokenFile"},
		{"certificate of nothing", "sinks: {mlflow: {url: \"http://h\", tls: {caFile: c}}}", "1:40: sinks.mlflow.tls: http:// asks for no certificate: write https://, or remove the key"},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			_, err := ParseConfig("c", []byte(x.file+"\n"))
			if err == nil || err.Error() != "c:"+x.want {
				t.Errorf("got  %v\nwant c:%s", err, x.want)
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

func TestBadUses(t *testing.T) {
	tests := []struct{ name, lines, want string }{
		{"misspelt kind", "  sinks: [{webhok: a}]\n", "6:12: spec.sinks[0].webhok: unknown key: did you mean webhook?"},
		{"two in one", "  sinks: [{webhook: a, slack: b}]\n", "6:11: spec.sinks[0]: an entry names one sink: write e.g. - {webhook: oncall}, and another entry for another sink"},
		{"none in one", "  sinks: [{}]\n", "6:11: spec.sinks[0]: an entry names one sink: write e.g. - {webhook: oncall}, and another entry for another sink"},
		{"twice", "  sinks: [{webhook: a}, {slack: a}]\n", "6:33: spec.sinks[1].slack: sink a is named twice: remove one"},
		{"nothing to change", "  sinks: [{mlflow: {}}]\n", "6:20: spec.sinks[0].mlflow: nothing is to be changed: write alias: champion, candidate: challenger, or stage: Production"},
		{"one alias for both", "  sinks: [{mlflow: {alias: a, candidate: a}}]\n", "6:20: spec.sinks[0].mlflow: alias and candidate are both a: one is the serving version's, the other the canary's"},
		{"one backend", "  sinks: [{envoy: {prefix: p, baseline: a, canary: a}}]\n", "6:19: spec.sinks[0].envoy: baseline and canary are both called a: they must differ"},
		{"no backend", "  sinks: [{envoy: {prefix: p, baseline: a}}]\n", "6:19: spec.sinks[0].envoy.canary: missing: write canary: ranker-42"},
		{"copies", "  stages: [{weight: 0}, {weight: 5}]\n  sinks: [{envoy: {prefix: p, baseline: a, canary: b}}]\n",
			"7:19: spec.sinks[0].envoy: a stage sends copies (weight: 0), which a sink of kind envoy can't: remove that stage, or let a router of your own carry it out"},
		{"no router", "  acks: {routers: [a]}\n  sinks: [{slack: a}]\n", "7:19: spec.sinks[0].slack: a is named in acks.routers, and a sink of kind slack moves no traffic: remove it there"},
		{"a store", "  state: {mode: shared, stores: [a]}\n  sinks: [{slack: a}]\n", "7:19: spec.sinks[0].slack: a is named in state.stores, too: one consumer answers either as a sink or for state"},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			_, err := ParseRollout("r", []byte(shortest+x.lines))
			if err == nil || err.Error() != "r:"+x.want {
				t.Errorf("got  %v\nwant r:%s", err, x.want)
			}
		})
	}
}

func TestRolloutsWhoseSinksDontFit(t *testing.T) {
	tests := []struct{ name, config, lines, want string }{
		{"no sinks at all", "", "  sinks: [{slack: feed}]\n", "rollout ranker-42: spec.sinks names feed, and the configuration of serve has no sinks: add it there under sinks, or remove it here"},
		{"another name", everySink, "  sinks: [{slack: slak}]\n", "rollout ranker-42: spec.sinks names slak, which is not among the sinks of serve's configuration: did you mean slack?"},
		{"another kind", everySink, "  sinks: [{slack: hook}]\n", "rollout ranker-42: spec.sinks names hook as a sink of kind slack, and in serve's configuration it is of kind webhook: write - {webhook: …}"},
		{"a router that nobody tells", everySink, "  acks: {routers: [gateway]}\n", "rollout ranker-42: acks.routers waits for gateway, a sink that spec.sinks doesn't name: it would never answer: add it to spec.sinks, or remove it from acks.routers"},
	}
	for _, x := range tests {
		c, err := ParseConfig("c", []byte(x.config))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Fits(parsed(t, shortest+x.lines)); err == nil || err.Error() != x.want {
			t.Errorf("%s: got  %v\nwant %s", x.name, err, x.want)
		}
	}
}
