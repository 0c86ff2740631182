package schemas

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const everySetting = `apiVersion: streamcanary.dev/v1
kind: Config
data: /var/lib/streamcanary
kafka:
  brokers: ["a:9092", "[::1]:9093"]
  group: feed-canary
  tls: {caFile: ca.pem, certFile: c.pem, keyFile: k.pem, serverName: kafka}
  sasl: {mechanism: SCRAM-SHA-256, user: u, passwordFile: /run/secrets/kafka}
sources:
  - {topic: serving.predictions.v1, type: prediction, mapping: {}}
  - {topic: clicks, type: outcome, format: json}
time: {idleAfter: 1m, maxAhead: 500ms, maxJump: 2h}
join: auto
nats: {urls: ["tls://n:4222", "n:4222"], creds: n.creds, tls: {insecureSkipVerify: true}, signingKey: s.pem}
http: {listen: ":9000"}
registries:
  mlflow: {url: "https://mlflow:5000/", tokenFile: t, tls: {caFile: ca.pem}}
  schemas: {url: "http://registry:8081", user: key, tokenEnv: REGISTRY, timeout: 2s, retries: 0}
limits: {pendingPredictions: 5000, versions: 8, segments: 200, models: 1000, eventBytes: 65536, memory: auto, decisionsPerHour: 60}
keepRows: 0ms
sinks:
  oncall: {kind: webhook, url: "https://hooks/x?y=1", secretFile: /run/secrets/hook, tls: {caFile: ca.pem}, timeout: 3s, retries: 0}
  mlflow: {url: "http://mlflow:5000/", user: u, tokenEnv: MLFLOW_PASSWORD}
  mesh: {kind: envoy, file: /etc/envoy/weights.json, layer: canaries}
`

// goodConfigs are accepted by the parser and by the schema.
var goodConfigs = []string{everySetting, "kind: Config\n", "kafka: {brokers: [\"k:9092\"], tls: {}}\n", "kafka: {tls: {}, brokers: [\"k:1\"], sasl: {mechanism: PLAIN, user: a, passwordFile: b}}\n"}

func TestEmptyConfigHasEveryDefault(t *testing.T) {
	want := &Config{
		Data:  "./streamcanary-data",
		Kafka: Kafka{Group: "streamcanary"},
		Sources: []Source{
			{"predictions", KindPrediction, "json"}, {"outcomes", KindOutcome, "json"}, {"samples", KindSample, "json"},
		},
		Time:   Clocks{IdleAfter: 30 * time.Second, MaxAhead: time.Second, MaxJump: time.Hour},
		HTTP:   HTTP{Listen: "127.0.0.1:8088"},
		Limits: Limits{PendingPredictions: 20_000_000, EventBytes: 262_144},
	}
	for _, file := range []string{"", "  \n", "kind: Config\n", "kafka: {brokers: []}\nnats: {urls: []}\n"} {
		got, err := ParseConfig("streamcanary.yaml", []byte(file))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v\nwant %+v", file, got, err, want)
		}
	}
}

func TestEverySettingIsRead(t *testing.T) {
	want := &Config{
		Data: "/var/lib/streamcanary",
		Kafka: Kafka{
			Brokers: []string{"a:9092", "[::1]:9093"},
			Group:   "feed-canary",
			TLS:     &TLS{CAFile: "ca.pem", CertFile: "c.pem", KeyFile: "k.pem", ServerName: "kafka"},
			SASL:    &SASL{"SCRAM-SHA-256", "u", "/run/secrets/kafka"},
		},
		Sources: []Source{{"serving.predictions.v1", KindPrediction, "json"}, {"clicks", KindOutcome, "json"}},
		Time:    Clocks{IdleAfter: time.Minute, MaxAhead: 500 * time.Millisecond, MaxJump: 2 * time.Hour},
		NATS:    NATS{URLs: []string{"tls://n:4222", "n:4222"}, Creds: "n.creds", TLS: &TLS{InsecureSkipVerify: true}, SigningKey: "s.pem"},
		HTTP:    HTTP{Listen: ":9000"},
		Registries: Registries{
			MLflow:  &Server{URL: "https://mlflow:5000", Token: SecretRef{File: "t"}, TLS: &TLS{CAFile: "ca.pem"}, Timeout: 5 * time.Second, Retries: 2},
			Schemas: &Server{URL: "http://registry:8081", User: "key", Token: SecretRef{Env: "REGISTRY"}, Timeout: 2 * time.Second},
		},
		Limits: Limits{PendingPredictions: 5000, EventBytes: 65536},
		Sinks: []Sink{
			{Name: "mesh", Kind: SinkEnvoy, File: "/etc/envoy/weights.json", Layer: "canaries", Server: Server{Timeout: 10 * time.Second, Retries: 4}},
			{Name: "mlflow", Kind: SinkMLflow, Server: Server{URL: "http://mlflow:5000", User: "u", Token: SecretRef{Env: "MLFLOW_PASSWORD"}, Timeout: 10 * time.Second, Retries: 4}},
			{Name: "oncall", Kind: SinkWebhook, Server: Server{URL: "https://hooks/x?y=1", TLS: &TLS{CAFile: "ca.pem"}, Timeout: 3 * time.Second}, Secret: SecretRef{File: "/run/secrets/hook"}},
		},
	}
	got, err := ParseConfig("streamcanary.yaml", []byte(everySetting))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestEmptyTLSIsNotPlainText(t *testing.T) {
	c, err := ParseConfig("c", []byte(goodConfigs[2]))
	if err != nil || c.Kafka.TLS == nil || *c.Kafka.TLS != (TLS{}) {
		t.Errorf("got %+v, %v", c, err)
	}
}

func badConfigs() []badFile {
	const brokers = `kafka: {brokers: ["k:1"], `
	return []badFile{
		{"misspelt key", "kafak: {}\n", []string{"1:1: kafak: unknown key: did you mean kafka?"}, true},
		{"password in the file", brokers + "sasl: {mechanism: PLAIN, user: u, password: p}}\n", []string{
			"1:33: kafka.sasl.passwordFile: missing: write passwordFile: /run/secrets/kafka",
			"1:61: kafka.sasl.password: unknown key: did you mean passwordFile?"}, true},
		{"mechanism", brokers + "sasl: {mechanism: SCRAM-SHA-521, user: u, passwordFile: p}}\n", []string{
			`1:45: kafka.sasl.mechanism: "SCRAM-SHA-521" is not known: did you mean SCRAM-SHA-512?`}, true},
		{"group without a name", "kafka: {group: \"\"}\n", []string{"1:16: kafka.group: is empty: write a name, or remove it"}, true},
		{"sasl without brokers", "kafka: {sasl: {mechanism: PLAIN, user: u, passwordFile: p}}\n", []string{
			"1:15: kafka.sasl: without brokers the embedded broker is used, which asks nobody who they are: name brokers, or remove the key"}, false},
		{"tls without brokers", "kafka: {tls: {}}\n", []string{
			"1:14: kafka.tls: without brokers the embedded broker is used, in plain text on this machine: name brokers, or remove the key"}, false},
		{"certificate without key", brokers + "tls: {certFile: c}}\n", []string{"1:43: kafka.tls.certFile: stands without keyFile: a certificate and its key go together"}, false},
		{"key without certificate", brokers + "tls: {keyFile: c}}\n", []string{"1:42: kafka.tls.keyFile: stands without certFile: a certificate and its key go together"}, false},
		{"trust nobody and all", brokers + "tls: {caFile: c, insecureSkipVerify: true}}\n", []string{
			"1:64: kafka.tls.insecureSkipVerify: true makes caFile useless: remove one of the two"}, false},
		{"broker without port", "kafka: {brokers: [k]}\n", []string{`1:18: kafka.brokers: "k" is no address: write host:port, e.g. 127.0.0.1:9092`}, false},
		{"broker of IPv6", "kafka: {brokers: [\"::1:9092\"]}\n", []string{`1:18: kafka.brokers: "::1:9092": write an IPv6 address in brackets, e.g. [::1]:9092`}, false},
		{"port", "http: {listen: \"a:70000\"}\n", []string{`1:16: http.listen: "a:70000" is no address: write host:port, e.g. 127.0.0.1:9092`}, false},
		{"NATS scheme", "nats: {urls: [\"http://n:4222\"]}\n", []string{
			`1:14: nats.urls: "http://n:4222": scheme http is not known: write nats://host:4222 or tls://host:4222`}, false},
		{"NATS secret", "nats: {urls: [\"nats://u:p@n:4222\"]}\n", []string{"1:14: nats.urls: the address holds a secret before the @: use creds, a file"}, false},
		{"NATS list in one", "nats: {urls: [\"nats://a,nats://b\"]}\n", []string{
			`1:14: nats.urls: "nats://a,nats://b" is no address: write each one by itself, e.g. nats://host:4222`}, false},
		{"creds without urls", "nats: {creds: f}\n", []string{
			"1:15: nats.creds: without urls the embedded server is used, which asks nobody who they are: name urls, or remove the key"}, false},
		{"NATS tls without urls", "nats: {tls: {}}\n", []string{
			"1:13: nats.tls: without urls the embedded server is used, in plain text on this machine: name urls, or remove the key"}, false},
		{"registry without an address", "registries: {mlflow: {tokenFile: t}}\n", []string{
			"1:22: registries.mlflow.url: missing: write url: https://HOST"}, true},
		{"registry of another scheme", "registries: {mlflow: {url: \"sqlite:///m.db\"}}\n", []string{
			"1:28: registries.mlflow.url: it is no address of a server: write https://HOST or http://HOST:PORT"}, false},
		{"registry's secret", "registries: {schemas: {url: \"http://u:hunter2@r:8081\"}}\n", []string{
			"1:29: registries.schemas.url: the address holds a secret before the @: use user and tokenFile"}, false},
		{"registry's query", "registries: {schemas: {url: \"http://r:8081?token=hunter2\"}}\n", []string{
			"1:29: registries.schemas.url: has something after a ?: write the address alone, e.g. https://HOST"}, false},
		{"registry with two tokens", "registries: {schemas: {url: \"http://r\", tokenFile: t, tokenEnv: T}}\n", []string{
			"1:65: registries.schemas.tokenEnv: stands beside tokenFile: remove one of the two"}, false},
		{"user without a password", "registries: {schemas: {url: \"http://r\", user: u}}\n", []string{
			"1:47: registries.schemas.user: stands without a password: name its file with tokenFile"}, false},
		{"registry's certificate of nothing", "registries: {schemas: {url: \"http://r\", tls: {}}}\n", []string{
			"1:46: registries.schemas.tls: http:// asks for no certificate: write https://, or remove the key"}, false},
		{"source of nothing", "sources: [{topic: a}]\n", []string{"1:11: sources[0].type: missing: write type: prediction"}, true},
		{"no predictions", "sources: [{topic: a, type: sample}]\n", []string{
			"1:10: sources: no topic holds predictions, so nothing could be judged: add one with type: prediction"}, false},
		{"topic twice", "sources: [{topic: a, type: prediction}, {topic: a, type: outcome}]\n", []string{
			"1:49: sources[1].topic: a is read already: name each topic once"}, false},
		{"topic's letters", "sources: [{topic: a/b, type: prediction}]\n", []string{`1:19: sources[0].topic: "a/b": a Kafka topic has letters, digits and . _ - only`}, false},
		{"clock", "time: {maxAhead: -1s}\n", []string{`1:18: time.maxAhead: "-1s" is no duration: write e.g. 250ms, 30s, 10m, 24h or 14d`}, true},
		{"event bytes", "limits: {eventBytes: 1048576}\n", []string{"1:22: limits.eventBytes: 1048576 is out of bounds: write a number from 1024, at most 262144"}, true},
		{"fraction", "limits: {pendingPredictions: 5000.5}\n", []string{"1:30: limits.pendingPredictions: 5000.5 is not a whole number"}, true},

		{"repartition", "join: repartition\n", []string{"1:7: join: repartition is not supported yet: write auto, or remove the key"}, true},
		{"keepRows", "keepRows: 10m\n", []string{"1:11: keepRows: 10m is not supported yet: write 0s, or remove the key"}, true},
		{"format", "sources: [{topic: a, type: prediction, format: avro}]\n", []string{"1:48: sources[0].format: avro is not supported yet: write json, or remove the key"}, true},
		{"mapping", "sources: [{topic: a, type: prediction, mapping: {id: a.b}}]\n", []string{
			"1:49: sources[0].mapping: a mapping is not supported yet: write {}, or remove the key"}, true},
		{"limits", "limits: {versions: 9, segments: 1, models: 2, memory: 1GiB, decisionsPerHour: 5}\n", []string{
			"1:20: limits.versions: 9 is not supported yet: write 8, or remove the key",
			"1:33: limits.segments: 1 is not supported yet: write 200, or remove the key",
			"1:44: limits.models: 2 is not supported yet: write 1000, or remove the key",
			"1:55: limits.memory: 1GiB is not supported yet: write auto, or remove the key",
			"1:79: limits.decisionsPerHour: 5 is not supported yet: write 60, or remove the key"}, true},
	}
}

func TestBadConfigs(t *testing.T) {
	for _, bad := range badConfigs() {
		t.Run(bad.name, func(t *testing.T) {
			c, err := ParseConfig("c.yaml", []byte(bad.file))
			if c != nil || err == nil {
				t.Fatalf("accepted as %+v:\n%s", c, bad.file)
			}
			if want := "c.yaml:" + strings.Join(bad.want, "\nc.yaml:"); err.Error() != want {
				t.Errorf("got\n%v\nwant\n%s", err, want)
			}
		})
	}
}

func TestConfigFits(t *testing.T) {
	c, err := ParseConfig("c", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := parsed(t, shortest)
	if err := c.Fits(r); err != nil {
		t.Error(err)
	}
	r.Lateness = time.Second
	want := "rollout ranker-42: lateness 1s is not above time.maxAhead 1s of the configuration, so that a clock that is ahead could make others late: raise spec.lateness, or lower time.maxAhead"
	if err := c.Fits(r); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
