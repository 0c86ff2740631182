package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func compiled(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	text, err := Schema(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource(name, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// fromYAML returns a file as a validator of JSON wants it.
func fromYAML(t *testing.T, file string) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(file), &value); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	return fromJSON(t, text)
}

func fromJSON(t *testing.T, text []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSchemaNames(t *testing.T) {
	if got, want := SchemaNames(), []string{"ack", "asyncapi", "command", "config", "decision", "event", "reply", "rollout"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, name := range SchemaNames() {
		if about, err := SchemaAbout(name); err != nil || !strings.HasSuffix(about, ".") {
			t.Errorf("%s is described as %q (%v)", name, about, err)
		}
		if name != AsyncAPI { // cmd/serve holds that against what is sent
			compiled(t, name)
		}
	}
	_, err := Schema("rolout")
	if want := `no schema is called "rolout": did you mean rollout?`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSchemaAcceptsWhatTheParserAccepts(t *testing.T) {
	rollout, config := compiled(t, "rollout"), compiled(t, "config")
	for _, file := range goodRollouts(t) {
		r := parsed(t, file)
		for _, text := range []string{file, string(Explain(r))} {
			if err := rollout.Validate(fromYAML(t, text)); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
		}
	}
	for _, file := range goodConfigs {
		if err := config.Validate(fromYAML(t, file)); err != nil {
			t.Errorf("%v\n%s", err, file)
		}
	}
}

// goodRollouts are files of several kinds; the last one is the contract's example without what isn't supported yet.
func goodRollouts(t *testing.T) []string {
	t.Helper()
	contract, err := os.ReadFile("testdata/contract_rollout.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return []string{shortest, everyKey, string(contract)}
}

func TestSchemaRefusesWhatTheParserRefuses(t *testing.T) {
	rollout, config := compiled(t, "rollout"), compiled(t, "config")
	for _, bad := range append(badRollouts(), laterRollouts()...) {
		if slices.Contains([]string{"given twice", "outcome called by a number", "infinity", "key of two", "name of two", "too many names", "number beyond all"}, bad.name) { // no JSON can say that
			continue
		}
		if err := rollout.Validate(fromYAML(t, bad.file)); (err != nil) != bad.schema {
			t.Errorf("%s: got error %v, want one: %v", bad.name, err, bad.schema)
		}
	}
	for _, bad := range badConfigs() {
		if err := config.Validate(fromYAML(t, bad.file)); (err != nil) != bad.schema {
			t.Errorf("%s: got error %v, want one: %v", bad.name, err, bad.schema)
		}
	}
}

func TestSchemaOfMessages(t *testing.T) {
	decision, ack := compiled(t, "decision"), compiled(t, "ack")
	for name, d := range decisions() {
		body, err := EncodeDecision("streamcanary/test", d)
		if err != nil {
			t.Fatal(err)
		}
		if err := decision.Validate(fromJSON(t, body)); err != nil {
			t.Errorf("decision %s: %v", name, err)
		}
	}
	for _, a := range acks() {
		body, err := EncodeAck(a)
		if err != nil {
			t.Fatal(err)
		}
		if err := ack.Validate(fromJSON(t, body)); err != nil {
			t.Errorf("ack %s: %v", body, err)
		}
	}
	for _, bad := range badAcks() {
		if err := ack.Validate(fromJSON(t, []byte(bad.body))); (err != nil) != bad.schema {
			t.Errorf("%s: got error %v, want one: %v", bad.body, err, bad.schema)
		}
	}
}

// TestSchemaOfCommands: the schema takes what DecodeCommand takes, and refuses what it refuses.
func TestSchemaOfCommands(t *testing.T) {
	command, reply := compiled(t, "command"), compiled(t, "reply")
	sum := strings.Repeat("a", 64)
	for text, ok := range map[string]bool{
		`{"id":"1","do":"pause","comment":"why"}`:                                            true,
		`{"id":"1","do":"retry","epoch":0,"by":"","comment":"why","override":false}`:         true,
		`{"id":"1","do":"apply","comment":"why","sum":"` + sum + `"}`:                        true,
		`{"id":"1","do":"apply","comment":"why"}`:                                            false,
		`{"id":"1","do":"pause","comment":"why","sum":"` + sum + `"}`:                        false,
		`{"id":"1","do":"delete","comment":"why","sum":"` + strings.ToUpper(sum) + `"}`:      false,
		`{"id":"1","do":"explode","comment":"why"}`:                                          false,
		`{"id":"1","do":"pause","comment":" "}`:                                              false,
		`{"id":"1","do":"pause"}`:                                                            false,
		`{"id":"","do":"pause","comment":"why"}`:                                             false,
		`{"id":"1","do":"pause","comment":"why","epoch":-1}`:                                 false,
		`{"id":"1","do":"pause","comment":"why","force":true}`:                               false,
		`{"id":"1","do":"pause","comment":"` + strings.Repeat("x", MaxCommentBytes+1) + `"}`: false,
	} {
		_, decoded := DecodeCommand([]byte(text))
		if err := command.Validate(fromJSON(t, []byte(text))); (err == nil) != ok || (decoded == nil) != ok {
			t.Errorf("%s: the schema says %v, DecodeCommand %v; want them to take it: %v", text, err, decoded, ok)
		}
	}
	for _, r := range []*CommandReply{{Decision: "r.1.1"}, {Refused: "no"}, {Denied: "no"}, {Failed: "no"}, {Failed: "no", Again: true}, {}} {
		body, err := EncodeReply(r)
		if err == nil {
			err = reply.Validate(fromJSON(t, body))
		}
		if err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestSchemaOfEvents(t *testing.T) {
	event := compiled(t, "event")
	tests := []struct {
		text string
		ok   bool
	}{
		{`{"id":"1","ts":1700000000000,"model":"m","version":"1"}`, true},
		{`{"type":"prediction","id":"1","ts":"2026-01-31T12:00:00.000Z","model":"m","version":"1","latency_ms":1.5,"error":false,"timeout":false,"code":"","segment":"s","host":"h",
			"region":"r","unit":"u","attempt":1,"shadow":false,"cache_hit":true,"score":-0.5,"values":{"ttft_ms":3},"sampled_by":10,"more":1}`, true},
		{`{"type":"outcome","id":"1","ts":1,"name":"click","model":"m","version":"1","event_id":"e","value":-3}`, true},
		{`{"type":"sample","ts":1,"model":"m","version":"1","host":"h","name":"cpu","value":0.5}`, true},
		{`{"type":"prediction","id":"1","ts":1,"model":"m"}`, false},
		{`{"type":"prediction","id":"","ts":1,"model":"m","version":"1"}`, false},
		{`{"type":"prediction","id":"1","ts":"yesterday","model":"m","version":"1"}`, false},
		{`{"type":"prediction","id":"1","ts":1,"model":"m","version":"1","latency_ms":-1}`, false},
		{`{"type":"prediction","id":"1","ts":1,"model":"m","version":"1","sampled_by":0.5}`, false},
		{`{"type":"outcome","id":"1","ts":1}`, false},
		{`{"type":"sample","ts":1,"model":"m","version":"1","name":"cpu"}`, false},
		{`{"type":"click","id":"1","ts":1,"name":"click"}`, false},
		{`[]`, false},
	}
	for _, test := range tests {
		if err := event.Validate(fromJSON(t, []byte(test.text))); (err == nil) != test.ok {
			t.Errorf("%s: got error %v, want none: %v", test.text, err, test.ok)
		}
	}
}

func TestMessagesAndSchemasDontDrift(t *testing.T) {
	types := map[string]any{
		"decision#data": Decision{}, "decision#prev": Prev{}, "decision#route": Route{}, "decision#reason": Reason{}, "decision#skew": Skew{},
		"decision#finding": Finding{}, "decision#guardrail_status": GuardrailStatus{}, "decision#interval": Interval{},
		"decision#quantile_evidence": QuantileEvidence{},
		"decision#exemplar":          Exemplar{},
		"decision#alert_status":      AlertStatus{},
		"decision#arm_count":         ArmCount{}, "decision#evidence": Evidence{}, "decision#input": Input{}, "decision#actor": Actor{},
		"decision": cloudEvent[*Decision]{}, "ack": Ack{}, "command": Command{}, "reply": CommandReply{},
	}
	for place, value := range types {
		name, def, _ := strings.Cut(place, "#")
		if def == "data" {
			def = "decision"
		}
		var whole struct {
			objectSchema
			Defs map[string]objectSchema `json:"$defs"`
		}
		text, err := Schema(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &whole); err != nil {
			t.Fatal(err)
		}
		schema := whole.objectSchema
		if def != "" {
			schema = whole.Defs[def]
		}
		fields, needed := jsonFields(reflect.TypeOf(value))
		if got := sortedKeys(schema.Properties); !slices.Equal(got, fields) {
			t.Errorf("%s: the schema has %v, the struct %v", place, got, fields)
		}
		slices.Sort(schema.Required)
		if !slices.Equal(schema.Required, needed) {
			t.Errorf("%s: the schema requires %v, the struct writes always %v", place, schema.Required, needed)
		}
	}
}

type objectSchema struct {
	Properties map[string]json.RawMessage `json:"properties"`
	Required   []string                   `json:"required"`
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// jsonFields returns the names of a struct's fields on the wire, and those that are never left out.
func jsonFields(of reflect.Type) (all, always []string) {
	for i := range of.NumField() {
		name, options, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		if name == "-" {
			continue // not on the wire
		}
		all = append(all, name)
		if options == "" {
			always = append(always, name)
		}
	}
	slices.Sort(all)
	slices.Sort(always)
	return all, always
}

// eventFields says which field of Event, and which flag that it is there, each property of the three events has.
var eventFields = map[string]map[string]string{
	"prediction": {
		"type": "Kind", "id": "ID", "ts": "TimeMs", "model": "Model", "version": "Version", "latency_ms": "LatencyMs HasLatency",
		"error": "Error", "timeout": "Timeout", "code": "Code", "segment": "Segment", "host": "Host", "region": "Region",
		"unit": "Unit", "attempt": "Attempt", "shadow": "Shadow", "cache_hit": "CacheHit HasCacheHit", "score": "Score HasScore",
		"values": "Values", "sampled_by": "SampledBy",
	},
	"outcome": {"type": "Kind", "id": "ID", "model": "Model", "version": "Version", "ts": "TimeMs", "name": "Name", "event_id": "EventID", "value": "Value"},
	"sample":  {"type": "Kind", "ts": "TimeMs", "model": "Model", "version": "Version", "host": "Host", "name": "Name", "value": "Value"},
}

func TestEventsAndSchemaDontDrift(t *testing.T) {
	text, err := Schema("event")
	if err != nil {
		t.Fatal(err)
	}
	var whole struct {
		Defs map[string]objectSchema `json:"$defs"`
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for kind, fields := range eventFields {
		if got, want := sortedKeys(whole.Defs[kind].Properties), sortedKeys(fields); !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %v, the struct %v", kind, got, want)
		}
		for _, field := range fields {
			for name := range strings.FieldsSeq(field) {
				used[name] = true
			}
		}
	}
	checkFields(t, reflect.TypeOf(Event{}), used)
}

func checkFields(t *testing.T, of reflect.Type, used map[string]bool) {
	t.Helper()
	var fields []string
	for i := range of.NumField() {
		fields = append(fields, of.Field(i).Name)
	}
	slices.Sort(fields)
	if got := sortedKeys(used); !slices.Equal(got, fields) {
		t.Errorf("%s: the tables know %v, the struct has %v", of.Name(), got, fields)
	}
}

// guardrailKeys are the keys of guardrails from outside, or of the others.
func guardrailKeys(outside bool) *form {
	f := mapping()
	for _, one := range guardrailForm.fields {
		both := slices.Contains([]string{"name", "on"}, one.key)
		if both || slices.Contains([]string{externalKey, "match", "for", "staleAfter"}, one.key) == outside {
			f.fields = append(f.fields, one)
		}
	}
	return &f
}

// fileFields says in which field of its struct each key of a table ends; keys that
// have one value only have none.
var fileFields = []struct {
	of   any
	form *form
	keys map[string]string
	none []string // keys without a field
	more []string // fields without a key
}{
	{Rollout{}, &specForm, map[string]string{
		"model": "Model", "baseline": "Baseline BaselineWhere", "canary": "Canary CanaryWhere", "mode": "Mode", "risk": "Risk", "window": "Window",
		"lateness": "Lateness", "warmup": "Warmup", "patience": "Patience", "phi": "Phi", "outcomes": "Outcomes UnusedOutcomes",
		"guardrails": "Guardrails DefaultGuardrails Alerts", "health": "Health", "stages": "Stages External ApprovePromotion", "acks": "Acks", "state": "State", "cache": "Cache", "chronic": "Chronic", "hotfix": "Hotfix", "rollback": "DrainWithin",
		"latencyGranularity": "LatencyGranularity", "segments": "Segments", "stratify": "Stratify", "sinks": "Sinks", "pillars": "Pillars", "training": "Training",
	}, nil, []string{"Name", "Labels", "Annotations", "Sha256"}},
	{Risk{}, &specForm.find("risk").form, map[string]string{"falseRollback": "FalseRollback", "falsePromote": "FalsePromote"}, nil, nil},
	{OutcomeSpec{}, &outcomeForm, map[string]string{"within": "Within", "value": "Value", "cap": "Cap"}, nil, []string{"Name"}},
	{Segments{}, &segmentsForm, map[string]string{"watch": "Field", "top": "Top", "list": "List"}, nil, nil},
	{Where{}, &whereForm, map[string]string{"host": "Host", "segment": "Segment", "region": "Region"}, nil, nil},
	{Buckets{}, &bucketsForm, map[string]string{"from": "From", "to": "To", "count": "Count"}, nil, nil},
	{AlertGuardrail{}, guardrailKeys(true), map[string]string{"name": "Name", "match": "Match", "for": "For", "staleAfter": "StaleAfter", "on": "On"}, []string{externalKey}, nil},
	{Guardrail{}, guardrailKeys(false), map[string]string{
		"name": "Name", "rate": "Kind Of", "quantile": "Kind Quantile", "sample": "Kind Of", "of": "Of", "limit": "Limit",
		"increase": "Direction Margin", "decrease": "Direction Margin", "above": "Direction Margin", "below": "Direction Margin",
		"on": "On", "prove": "Prove", "required": "Required", "weight": "Weight",
		"mean": "Kind Of", "distribution": "Kind Of", "test": "Test", "from": "From", "cap": "Cap", "buckets": "Buckets",
	}, nil, []string{"Line", "Granularity"}},
	{Health{}, &healthForm, map[string]string{"silent": "Silent", "unmatched": "Unmatched", "selfTest": "SelfTest", "traffic": "Traffic", "noData": "NoData"}, nil, nil},
	{Stage{}, &stageForm, map[string]string{"weight": "WeightBP", "mirror": "MirrorBP", "bake": "Bake", "pass": "Pass", "max": "Max", "then": "Then",
		"approve": "Approve", "watch": "Watch", "holdback": "WeightBP"}, nil, []string{"Warm"}},
	{StateSpec{}, &stateForm, map[string]string{"mode": "Mode", "namespace": "Namespace", "stores": "Stores", "ackWithin": "AckWithin", "compatible": "Compatible"}, nil, nil},
	{CacheSpec{}, &cacheForm, map[string]string{"namespace": "Namespace", "warm": "WarmBP", "until": "HitRate Max", "idle": "Idle", "mute": "Mute"}, nil, nil},
	{Chronic{}, &specForm.find("chronic").form, map[string]string{"rollbacks": "Rollbacks", "within": "Within"}, nil, nil},
	{Training{}, &specForm.find("training").form, map[string]string{"scores": "Scores"}, nil, []string{"Offline"}},
	{Pillars{}, &pillarsForm, map[string]string{"registry": "MLflow", "input": "Input", "output": "Output", "features": "Features Ordered"}, nil, nil},
	{MLflowPillar{}, &mlflowForm, map[string]string{"name": "Name", "tag": "Tag", "baseline": "Baseline", "canary": "Canary"}, nil, nil},
	{RecordedVersion{}, &recordedForm, map[string]string{"version": "Version", "digest": "Digest"}, nil, nil},
	{Pair{}, &pairForm, map[string]string{"baseline": "Baseline", "canary": "Canary"}, nil, nil},
	{Registries{}, &configForm.find("registries").form, map[string]string{"mlflow": "MLflow", "schemas": "Schemas"}, nil, nil},
	{Server{}, &registryForm, map[string]string{
		"url": "URL", "user": "User", "tokenFile": "Token", "tokenEnv": "Token", "tls": "TLS", "timeout": "Timeout", "retries": "Retries",
	}, nil, nil},
	{Acks{}, &specForm.find("acks").form, map[string]string{"routers": "Routers", "within": "Within"}, nil, nil},
	{Config{}, &configForm, map[string]string{
		"data": "Data", "kafka": "Kafka", "sources": "Sources", "time": "Time", "nats": "NATS", "http": "HTTP", "registries": "Registries", "limits": "Limits", "sinks": "Sinks",
	}, []string{"apiVersion", "kind", "join", "keepRows"}, nil},
	{Kafka{}, &configForm.find("kafka").form, map[string]string{"brokers": "Brokers", "group": "Group", "tls": "TLS", "sasl": "SASL"}, nil, nil},
	{SASL{}, &configForm.find("kafka").form.find("sasl").form, map[string]string{"mechanism": "Mechanism", "user": "User", "passwordFile": "PasswordFile"}, nil, nil},
	{TLS{}, &tlsForm, map[string]string{
		"caFile": "CAFile", "certFile": "CertFile", "keyFile": "KeyFile", "serverName": "ServerName", "insecureSkipVerify": "InsecureSkipVerify",
	}, nil, nil},
	{Source{}, &sourceForm, map[string]string{"topic": "Topic", "type": "Type", "format": "Format"}, []string{"mapping"}, nil},
	{Clocks{}, &configForm.find("time").form, map[string]string{"idleAfter": "IdleAfter", "maxAhead": "MaxAhead", "maxJump": "MaxJump"}, nil, nil},
	{NATS{}, &configForm.find("nats").form, map[string]string{"urls": "URLs", "creds": "Creds", "tls": "TLS", "signingKey": "SigningKey"}, nil, nil},
	{Sink{}, &sinkForm, map[string]string{
		"kind": "Kind", "url": "Server", "user": "Server", "tokenFile": "Server", "tokenEnv": "Server", "tls": "Server", "timeout": "Server", "retries": "Server",
		"secretFile": "Secret", "secretEnv": "Secret", "file": "File", "layer": "Layer",
	}, nil, []string{"Name"}},
	{SinkUse{}, &useForm, map[string]string{
		"mlflow": "Kind Sink Name Alias Candidate Stage Baseline Canary", "httproute": "Kind Sink Namespace Name Baseline Canary",
		"envoy": "Kind Sink Prefix Baseline Canary", "webhook": "Kind Sink", "slack": "Kind Sink", "pagerduty": "Kind Sink", "alertmanager": "Kind Sink",
	}, nil, nil},
	{HTTP{}, &configForm.find("http").form, map[string]string{"listen": "Listen", "tokensFile": "TokensFile"}, nil, nil},
	{Limits{}, &limitsForm, map[string]string{"pendingPredictions": "PendingPredictions", "eventBytes": "EventBytes"},
		[]string{"versions", "segments", "models", "memory", "decisionsPerHour"}, nil},
}

func TestFilesAndTablesDontDrift(t *testing.T) {
	for _, f := range fileFields {
		of, used, keys := reflect.TypeOf(f.of), map[string]bool{}, sortedKeys(f.keys)
		for _, fields := range f.keys {
			for name := range strings.FieldsSeq(fields) {
				used[name] = true
			}
		}
		for _, name := range f.more {
			used[name] = true
		}
		checkFields(t, of, used)
		var known []string
		for i := range f.form.fields {
			one := &f.form.fields[i]
			if slices.Contains(f.none, one.key) && !holdsNothing(one) {
				t.Errorf("%s: key %s is accepted, and no field holds it", of.Name(), one.key)
			}
			if !slices.Contains(f.none, one.key) {
				known = append(known, one.key)
			}
		}
		slices.Sort(known)
		if !slices.Equal(known, keys) {
			t.Errorf("%s: the table reads %v, the struct holds %v", of.Name(), known, keys)
		}
	}
}

// holdsNothing says whether only one thing can be written for a key.
func holdsNothing(f *field) bool {
	only := f.need == laterElse || f.form.kind == wordForm && len(f.form.words) == 1
	for i := range f.form.fields {
		only = holdsNothing(&f.form.fields[i])
		if !only {
			return false
		}
	}
	return only
}

func TestEveryKeyIsExplained(t *testing.T) {
	var walk func(f *form, path string) error
	walk = func(f *form, path string) error {
		for ; f != nil; f = f.or {
			for i := range f.fields {
				one := &f.fields[i]
				switch at := join(path, one.key); {
				case one.about == "", strings.ContainsAny(one.about, "\n#"):
					return fmt.Errorf("%s is not explained in one line: %q", at, one.about)
				case one.need == required && one.example == "":
					return fmt.Errorf("%s is required, and has no example", at)
				case one.need == laterElse && one.def == "":
					return fmt.Errorf("%s has no default that could stand", at)
				default:
					if err := walk(&one.form, at); err != nil {
						return err
					}
				}
			}
			if f.item != nil {
				if err := walk(f.item, path+"[]"); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, f := range []*form{&rolloutForm, &configForm} {
		if err := walk(f, ""); err != nil {
			t.Error(err)
		}
	}
}
