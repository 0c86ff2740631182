package pillars

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// An answer is what a registry says to one question; the zero value is nothing.
type answer struct {
	status int // 0: 200
	body   string
	header map[string]string
	after  time.Duration // it takes this long
}

// The shapes below are those of MLflow 3.1 and of the Confluent Schema Registry 7.9.
const (
	version41 = `{"model_version": {"name": "ranker", "version": "41", "creation_timestamp": 1767603600000, "last_updated_timestamp": 1767603601000,
  "current_stage": "None", "description": "", "source": "mlflow-artifacts:/1/models/m-41/artifacts", "run_id": "run41", "status": "READY",
  "tags": [{"key": "team", "value": "feed"}, {"key": "digest", "value": "sha256:41414141414141414141414141414141"}], "aliases": ["champion"]}}`
	version42 = `{"model_version": {"name": "ranker", "version": "42", "source": "mlflow-artifacts:/1/models/m-42/artifacts", "run_id": "run42", "status": "READY"}}`
	noModel   = `{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Model Version (name=ranker, version=42) not found"}`
	badName   = `{"error_code": "INVALID_PARAMETER_VALUE", "message": "Parameter 'version' must be an integer, got 'v42'."}`

	ask41, ask42 = "GET /api/2.0/mlflow/model-versions/get?name=ranker&version=41", "GET /api/2.0/mlflow/model-versions/get?name=ranker&version=42"

	input1 = `{"subject": "ranker/in", "version": 1, "id": 7, "schema": "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"user\",\"type\":\"string\"}]}"}`
	input2 = `{"subject": "ranker/in", "version": 2, "id": 8, "schemaType": "AVRO", "schema": "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"user\",\"type\":\"string\"},{\"name\":\"age\",\"type\":\"int\",\"default\":0}]}"}`
	input3 = `{"subject": "ranker/in", "version": 3, "id": 9, "schema": "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"age\",\"type\":\"int\"}]}"}`
	proto4 = `{"subject": "ranker/in", "version": 4, "id": 10, "schemaType": "PROTOBUF", "schema": "syntax = \"proto3\"; message R {}", "references": [{"name": "a.proto", "subject": "a", "version": 1}]}`

	in1, in2, in3, in4   = "GET /subjects/ranker%2Fin/versions/1", "GET /subjects/ranker%2Fin/versions/2", "GET /subjects/ranker%2Fin/versions/3", "GET /subjects/ranker%2Fin/versions/4"
	may1, may2           = "POST /compatibility/subjects/ranker%2Fin/versions/1?verbose=true", "POST /compatibility/subjects/ranker%2Fin/versions/2?verbose=true"
	may3, may4           = "POST /compatibility/subjects/ranker%2Fin/versions/3?verbose=true", "POST /compatibility/subjects/ranker%2Fin/versions/4?verbose=true"
	level                = "GET /config/ranker%2Fin?defaultToGlobal=true"
	full, none, yes, not = `{"compatibilityLevel": "FULL"}`, `{"compatibilityLevel": "NONE"}`, `{"is_compatible": true, "messages": []}`,
		`{"is_compatible": false, "messages": ["{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', path '/fields/0'}", "{oldSchemaVersion: 1}"]}`
)

// town is where the registries of a test are: one server that answers for both, over a network inside the process.
type town struct {
	*testing.T
	network *kfake.VirtualNetwork
	answers map[string][]answer // by method and path, in the order of asking; the last one goes on
	asked   []string
	bodies  []string
}

// in runs a test in virtual time, with a server.
func in(t *testing.T, answers map[string][]answer, do func(*town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &town{T: t, network: new(kfake.VirtualNetwork), answers: answers}
		listener, err := w.network.Listen("tcp", "127.0.0.1:8081")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: w}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(listener) }()
		do(w)
		_ = server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// ServeHTTP answers. Questions come one after the other.
func (w *town) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		key += "?" + r.URL.RawQuery
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.Errorf("%s: %v", key, err)
	}
	w.asked, w.bodies = append(w.asked, key), append(w.bodies, string(body))
	left := w.answers[key]
	if len(left) == 0 {
		http.Error(to, "<html>nothing is here</html>", http.StatusNotFound)
		return
	}
	a := left[0]
	if len(left) > 1 {
		w.answers[key] = left[1:]
	}
	select {
	case <-time.After(a.after):
	case <-r.Context().Done():
		return
	}
	for k, v := range a.header {
		to.Header().Set(k, v)
	}
	if a.status != 0 {
		to.WriteHeader(a.status)
	}
	_, _ = io.WriteString(to, a.body) // whoever asked may be gone
}

// endpoint is the server's, with what differs.
func (w *town) endpoint(change ...func(*Endpoint)) Endpoint {
	e := Endpoint{URL: "http://127.0.0.1:8081", Token: word("", nil), Timeout: 5 * time.Second, Retries: 2, Dial: w.network.DialContext}
	for _, c := range change {
		c(&e)
	}
	return e
}

func (w *town) registries() Registries {
	return Registries{MLflow: NewMLflow(w.endpoint()), Schemas: NewSchemas(w.endpoint())}
}

func mlflow(change ...func(*schemas.MLflowPillar)) *schemas.Pillars {
	m := &schemas.MLflowPillar{Name: "ranker", Tag: "digest", Baseline: schemas.RecordedVersion{Version: "41"}, Canary: schemas.RecordedVersion{Version: "42"}}
	for _, c := range change {
		c(m)
	}
	return &schemas.Pillars{MLflow: m}
}

func subjects(baseline, canary int) *schemas.Pillars {
	return &schemas.Pillars{Input: &schemas.Pair{Baseline: schemas.Reference{Subject: "ranker/in", Version: baseline}, Canary: schemas.Reference{Subject: "ranker/in", Version: canary}}}
}

// expect holds pillars, a line each and their sentences on the next ones, against what is wanted; a wanted line is the beginning.
func expect(t *testing.T, all []decisions.Pillar, want ...string) {
	t.Helper()
	var got []string
	for _, p := range all {
		got = append(got, fmt.Sprintf("%s %s", p.Name, p.State))
		got = append(got, p.Found...)
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func ok() map[string][]answer {
	return map[string][]answer{ask41: {{body: version41}}, ask42: {{body: version42}}}
}

// with is ok but for one question.
func with(key string, a ...answer) map[string][]answer {
	all := ok()
	all[key] = a
	return all
}

func digest(text string) *schemas.Pillars {
	return mlflow(func(m *schemas.MLflowPillar) { m.Baseline.Digest = text })
}

var pin = decisions.Pin{Model: "ranker", Version: "41", Source: "mlflow-artifacts:/1/models/m-41/artifacts", RunID: "run41", Tag: "digest", Digest: "sha256:41414141414141414141414141414141"}

// other is what was pinned before, where it differs.
func other(change func(*decisions.Pin)) []decisions.Pin {
	p := pin
	change(&p)
	return []decisions.Pin{p}
}

const (
	what = "version 42 of registered model ranker"
	down = what + ": MLflow at http://127.0.0.1:8081 answers "
)

func TestRegistry(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers map[string][]answer
		pillars *schemas.Pillars
		pins    []decisions.Pin
		want    []string
	}{
		{"both are ready", ok(), mlflow(), nil, []string{"registry held"}},
		{"as recorded", ok(), digest("sha256:41414141414141414141414141414141"), nil, []string{"registry held"}},
		{"as pinned", ok(), mlflow(), []decisions.Pin{pin}, []string{"registry held"}},
		{"another digest", ok(), digest("sha256:00000000000000000000000000000000"), nil, []string{"registry failed",
			"version 41 of registered model ranker has the digest sha256:41414141414141414141414141414141, and sha256:00000000000000000000000000000000 in the rollout: it was changed: register what is new"}},
		{"another digest than recorded and pinned", ok(), digest("sha256:00000000000000000000000000000000"), other(func(p *decisions.Pin) { p.Digest = "sha256:00000000000000000000000000000000" }), []string{"registry failed",
			"version 41 of registered model ranker has the digest sha256:41414141414141414141414141414141, and sha256:00000000000000000000000000000000 in the rollout: it was changed"}},
		{"no digest", ok(), mlflow(func(m *schemas.MLflowPillar) { m.Canary.Digest = "sha256:42424242424242424242424242424242" }), nil, []string{"registry failed",
			what + " has no tag digest to hold against the digest sha256:42424242424242424242424242424242 of the rollout: let whoever"}},
		{"another source than pinned", ok(), mlflow(), other(func(p *decisions.Pin) { p.Source = "s3://old" }), []string{"registry failed",
			"version 41 of registered model ranker had the source s3://old when a rollout of it started, and has mlflow-artifacts:/1/models/m-41/artifacts now: a version must not change"}},
		{"another run and digest than pinned", ok(), mlflow(), other(func(p *decisions.Pin) { p.RunID, p.Digest = "run40", "sha256:0" }), []string{"registry failed",
			"version 41 of registered model ranker had the run id run40", "version 41 of registered model ranker had the digest sha256:0"}},
		{"pinned by another tag", ok(), mlflow(), other(func(p *decisions.Pin) { p.Tag, p.Digest = "image", "sha256:9" }), []string{"registry failed",
			"version 41 of registered model ranker had the image sha256:9 when a rollout of it started, and has none now"}},
		{"a pin of another version", ok(), mlflow(), other(func(p *decisions.Pin) { p.Version, p.Source = "40", "s3://old" }), []string{"registry held"}},
		{"not ready", with(ask42, answer{body: strings.Replace(version42, `"READY"`, `"FAILED_REGISTRATION", "status_message": "no space"`, 1)}), mlflow(), nil, []string{"registry failed",
			what + " is FAILED_REGISTRATION (no space), not READY: wait until it is"}},
		{"not there", with(ask42, answer{status: 404, body: noModel}), mlflow(), nil, []string{"registry failed",
			what + " is not in MLflow at http://127.0.0.1:8081: register it, or name the right one"}},
		{"no number", with(ask42, answer{status: 400, body: badName}), mlflow(), nil, []string{"registry failed",
			what + `: MLflow says "Parameter 'version' must be an integer, got 'v42'.": its versions are numbers`}},
		{"no MLflow", with(ask42), mlflow(), nil, []string{"registry failed", down + "404: is its url in registries the API's own address?"}},
		{"another model", with(ask42, answer{body: version41}), mlflow(), nil, []string{"registry failed", what + ": MLflow at http://127.0.0.1:8081 answers something else"}},
		{"an empty answer", with(ask42, answer{body: "{}"}), mlflow(), nil, []string{"registry failed", what + ": MLflow at http://127.0.0.1:8081 answers something else"}},
		{"a page", with(ask42, answer{body: "<html>"}), mlflow(), nil, []string{"registry failed", what + ": ask MLflow at http://127.0.0.1:8081: its answer is not what its API says"}},
		{"too much", with(ask42, answer{body: strings.Repeat(" ", answerBytes+1)}), mlflow(), nil, []string{"registry failed", what + ": ask MLflow at http://127.0.0.1:8081: its answer has more than 2097152 bytes"}},
		{"it fails once", with(ask42, answer{status: 500}, answer{body: version42}), mlflow(), nil, []string{"registry held"}},
		{"it fails", with(ask42, answer{status: 503, body: `{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "the store\nis away"}`}), mlflow(), nil, []string{"registry failed",
			down + "503 (the store is away) (tried 3 times): look at its log"}},
		{"it is busy", with(ask42, answer{status: 429, header: map[string]string{"Retry-After": "3"}}, answer{body: version42}), mlflow(), nil, []string{"registry held"}},
		{"it stays busy", with(ask42, answer{status: 429}), mlflow(), nil, []string{"registry failed", down + "429 (tried 3 times): it is asked too much: try again later"}},
		{"it is slow once", with(ask42, answer{body: version42, after: 6 * time.Second}, answer{body: version42}), mlflow(), nil, []string{"registry held"}},
		{"it is slow", with(ask42, answer{body: version42, after: time.Minute}), mlflow(), nil, []string{"registry failed", what + ": ask MLflow at http://127.0.0.1:8081: no answer within 5s: does it run"}},
		{"it lets nobody in", with(ask42, answer{status: 401, body: "You are not authenticated."}), mlflow(), nil, []string{"registry failed", down + "401: it doesn't let us in: look at user, and tokenFile or tokenEnv, of its entry"}},
		{"it is elsewhere", with(ask42, answer{status: 302, header: map[string]string{"Location": "http://elsewhere/"}}), mlflow(), nil, []string{"registry failed", down + "302: it sends us elsewhere"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, test.answers, func(w *town) {
				began := time.Now()
				all := Check(w.Context(), w.registries(), Query{Pillars: test.pillars, Pins: test.pins})
				expect(w.T, all, test.want...)
				if took := time.Since(began); took > Within {
					w.Errorf("it took %s", took)
				}
				if all[0].State == decisions.PillarFailed && !slices.Equal(all[0].Pins, slices.DeleteFunc(slices.Clone(test.pins), func(p decisions.Pin) bool { return p.Version == "40" })) {
					w.Errorf("pins %+v, want those from before", all[0].Pins)
				}
				if all[0].State == decisions.PillarHeld && (len(all[0].Pins) != 2 || all[0].Pins[0] != pin) {
					w.Errorf("pins %+v, want %+v first of two", all[0].Pins, pin)
				}
			})
		})
	}
}

// avro is a version whose schema refers to another subject.
func avro(version int) string {
	return fmt.Sprintf(`{"subject": "ranker/in", "version": %d, "id": 11, "schema": "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"user\",\"type\":\"User\"}]}", "references": [{"name": "User", "subject": "user", "version": 1}]}`, version)
}

func TestSubjects(t *testing.T) {
	answers := func(change map[string]answer) map[string][]answer {
		all := map[string][]answer{in1: {{body: input1}}, in2: {{body: input2}}, in3: {{body: input3}}, in4: {{body: proto4}}, level: {{body: full}}}
		for _, may := range []string{may1, may2, may3, may4} {
			all[may] = []answer{{body: yes}}
		}
		for key, a := range change {
			all[key] = []answer{a}
		}
		return all
	}
	for _, test := range []struct {
		name    string
		change  map[string]answer
		pillars *schemas.Pillars
		want    []string
	}{
		{"they fit", nil, subjects(1, 2), []string{"input held"}},
		{"the registry refuses", map[string]answer{may1: {body: not}}, subjects(1, 2), []string{"input failed",
			"the Schema Registry (level FULL) refuses subject:ranker/in@2 after subject:ranker/in@1: {errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', path '/fields/0'}; {oldSchemaVersion: 1}: register a version that fits, and name that"}},
		{"Apicurio refuses", map[string]answer{may1: {body: `{"is_compatible": false, "reason": "Incompatible artifact: ranker/in [AVRO], num of incompatible diffs: {1}"}`}}, subjects(1, 2), []string{"input failed",
			"the Schema Registry (level FULL) refuses subject:ranker/in@2 after subject:ranker/in@1: Incompatible artifact: ranker/in [AVRO], num of incompatible diffs: {1}: register"}},
		{"the registry refuses, and doesn't say why", map[string]answer{may1: {body: `{"is_compatible": false}`}}, subjects(1, 2), []string{"input failed",
			"the Schema Registry (level FULL) refuses subject:ranker/in@2 after subject:ranker/in@1: it gives no reason: register"}},
		{"our own check refuses", nil, subjects(1, 3), []string{"input failed",
			"rolling out: subject:ranker/in@3 at age: field of type int has no default, and is not in subject:ranker/in@1: the canary gets requests made for the baseline",
			"rolling back: subject:ranker/in@1 at user: field of type string has no default"}},
		{"the registry takes anything", map[string]answer{level: {body: none}}, subjects(1, 2), []string{"input held",
			"not checked by the Schema Registry: the compatibility level of ranker/in is NONE"}},
		{"Protobuf is the registry's", map[string]answer{in1: {body: strings.Replace(proto4, `"version": 4`, `"version": 1`, 1)}}, subjects(1, 4), []string{"input held"}},
		{"nobody compares Protobuf", map[string]answer{in1: {body: strings.Replace(proto4, `"version": 4`, `"version": 1`, 1)}, level: {body: none}}, subjects(1, 4), []string{"input failed",
			"can't be compared: subject:ranker/in@1 is a Protobuf schema that refers to a@1, which only the Schema Registry can hold against another one, and of either direction it did not say that it fits (the compatibility level of ranker/in is NONE): let",
			"not checked by"}},
		{"the registry refuses Protobuf", map[string]answer{in1: {body: strings.Replace(proto4, `"version": 4`, `"version": 1`, 1)}, may1: {body: not}}, subjects(1, 4), []string{"input failed",
			"the Schema Registry (level FULL) refuses subject:ranker/in@4 after subject:ranker/in@1: "}}, // and not that nobody compares them
		{"Avro that refers to others", map[string]answer{in1: {body: avro(1)}, in2: {body: avro(2)}, level: {body: none}}, subjects(1, 2), []string{"input failed",
			"can't be compared: subject:ranker/in@1 is an Avro schema that refers to user@1, which only", "not checked by"}},
		{"one and the same Protobuf", map[string]answer{level: {body: none}}, subjects(4, 4), []string{"input held", "not checked by"}},
		{"no such subject", map[string]answer{in2: {status: 404, body: `{"error_code": 40401, "message": "Subject 'ranker/in' not found."}`}}, subjects(1, 2), []string{"input failed",
			"subject:ranker/in@2 is not in the Schema Registry at http://127.0.0.1:8081: register it"}},
		{"no such version", map[string]answer{in2: {status: 404, body: `{"error_code": 40402, "message": "Version 2 not found."}`}}, subjects(1, 2), []string{"input failed",
			"subject:ranker/in@2 is not in the Schema Registry"}},
		{"an error of the registry's", map[string]answer{may2: {status: 422, body: `{"error_code": 42201, "message": "Invalid schema"}`}}, subjects(1, 2), []string{"input failed",
			"compatibility of subject:ranker/in@1 with subject:ranker/in@2: the Schema Registry at http://127.0.0.1:8081 answers 422 (Invalid schema): it can't read the schema, or not what that refers to (Apicurio reads no references of Avro's here): write"}},
		{"two kinds, one of them the registry's", nil, subjects(1, 4), []string{"input failed", "subject:ranker/in@1 is an Avro schema, and subject:ranker/in@4 a Protobuf schema: they can't be held against each other"}},
		{"no registry", map[string]answer{may2: {body: "{}"}}, subjects(1, 2), []string{"input failed",
			"compatibility of subject:ranker/in@1 with subject:ranker/in@2: what is at http://127.0.0.1:8081 doesn't say is_compatible"}},
		{"another subject", map[string]answer{in2: {body: input1}}, subjects(1, 2), []string{"input failed", "subject:ranker/in@2: what is at http://127.0.0.1:8081 answers something else"}},
		{"another type", map[string]answer{in2: {body: strings.Replace(input2, "AVRO", "XML", 1)}}, subjects(1, 2), []string{"input failed", "subject:ranker/in@2 is of the type XML"}},
		{"no level", map[string]answer{level: {status: 403}}, subjects(1, 2), []string{"input failed", "compatibility level of ranker/in: "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, answers(test.change), func(w *town) {
				expect(w.T, Check(w.Context(), w.registries(), Query{Pillars: test.pillars}), test.want...)
			})
		})
	}
}

// TestQuestions looks at what a Schema Registry is asked.
func TestQuestions(t *testing.T) {
	answers := map[string][]answer{in1: {{body: input1}}, level: {{body: full}}, may1: {{body: yes}}}
	const file = `{"type":"record","name":"R","fields":[]}`
	p := &schemas.Pillars{Output: &schemas.Pair{Baseline: schemas.Reference{Subject: "ranker/in", Version: 1}, Canary: schemas.Reference{File: "out.avsc"}}}
	in(t, answers, func(w *town) {
		all := Check(w.Context(), w.registries(), Query{Pillars: p, Documents: map[string]string{"out.avsc": file}})
		expect(w.T, all, "output failed", "rolling out: subject:ranker/in@1 at user: field of type string has no default, and is not in out.avsc: callers that know the baseline's answers")
		if want := []string{in1, level, may1}; !slices.Equal(w.asked, want) { // the other way round the registry has no version to ask about
			w.Errorf("asked %q, want %q", w.asked, want)
		}
		var body struct{ Schema, SchemaType string }
		if err := json.Unmarshal([]byte(w.bodies[2]), &body); err != nil || body.Schema != file || body.SchemaType != "AVRO" {
			w.Errorf("asked with %s (%v)", w.bodies[2], err)
		}
	})
}

func TestFiles(t *testing.T) {
	pair := func(b, c string) *schemas.Pair {
		return &schemas.Pair{Baseline: schemas.Reference{File: b}, Canary: schemas.Reference{File: c}}
	}
	documents := map[string]string{
		"a.json": `{"type": "object", "properties": {"x": {"type": "string"}}}`, "b.json": `{"type": "object", "required": ["x"], "properties": {"x": {"type": "string", "format": "uuid"}}}`,
		"a.txt": "x\ny", "b.txt": "y\nx", "bad.json": "{",
	}
	p := &schemas.Pillars{Input: pair("a.json", "b.json"), Output: pair("a.json", "bad.json"), Features: pair("a.txt", "b.txt")}
	expect(t, Check(t.Context(), Registries{}, Query{Pillars: p, Documents: documents, Offline: true}),
		"input failed", "rolling out: b.json#/required: property x is required here, and not in a.json: the canary gets", "can't be compared, rolling out: b.json#/properties/x/format: format is \"uuid\" here, and not in a.json: write the same format",
		"output failed", "bad.json is no JSON",
		"features held")
	p = &schemas.Pillars{Features: pair("a.txt", "b.txt"), Input: pair("a.json", "gone.json"), Ordered: true}
	expect(t, Check(t.Context(), Registries{}, Query{Pillars: p, Documents: documents}),
		"input failed", "the text of gone.json did not come with the rollout: apply it again, from the folder that has the file (of one that is in no folder, as `rollout back` makes them, write the file there first: `rollout explain NAME > FILE`)",
		"features failed", "rolling out: b.txt:1: place 1 is y, and x in a.txt", "rolling back: a.txt:1: place 1 is x, and y in b.txt")
}

// TestWhatCantBeCompared: nothing starts on a schema of which nobody knows whether it fits, and the reason says which keyword, where and of which version.
func TestWhatCantBeCompared(t *testing.T) {
	p := &schemas.Pillars{Input: &schemas.Pair{Baseline: schemas.Reference{File: "a.json"}, Canary: schemas.Reference{File: "b.json"}}}
	for _, test := range []struct {
		name, baseline, canary string
		want                   []string
	}{
		{"a reference elsewhere", `{"properties": {"x": {"$ref": "money.json"}}}`, `{"properties": {"x": {"$ref": "money.json"}, "y": {}}}`, []string{"input failed",
			`can't be compared, rolling out: b.json#/properties/x: $ref "money.json" points out of the document: write what it points to into the document, e.g. under $defs, in both versions`,
			`can't be compared, rolling back: a.json#/properties/x: $ref "money.json" points out of the document: write`}},
		{"another pattern", `{"properties": {"x": {"type": "string", "pattern": "^a"}}}`, `{"properties": {"x": {"type": "string", "pattern": "^b"}}}`, []string{"input failed",
			"can't be compared, rolling out: b.json#/properties/x/pattern: the pattern is ^b here, and another one in a.json: keep the pattern, or take any string here",
			"can't be compared, rolling back: a.json#/properties/x/pattern: the pattern is ^a here, and another one in b.json: keep"}},
		{"the same in both", `{"properties": {"x": {"pattern": "^a", "not": {"const": "a"}}}}`, `{"properties": {"x": {"pattern": "^a", "not": {"const": "a"}}, "y": {}}}`, []string{"input held"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, Check(t.Context(), Registries{}, Query{Pillars: p, Documents: map[string]string{"a.json": test.baseline, "b.json": test.canary}}), test.want...)
		})
	}
}

// TestDirections: a registry proves only the directions that its levels speak of.
func TestDirections(t *testing.T) {
	for _, test := range []struct {
		level     string
		canary    bool
		out, back bool
	}{
		{"BACKWARD", true, true, false}, {"BACKWARD_TRANSITIVE", false, false, true}, {"FORWARD", true, false, true}, {"FORWARD", false, true, false},
		{"FULL_TRANSITIVE", true, true, true}, {"NONE", true, false, false}, {"", false, false, false},
	} {
		var a asked
		if a.proves(test.level, test.canary); a.out != test.out || a.back != test.back {
			t.Errorf("%q, canary %v: out %v, back %v", test.level, test.canary, a.out, a.back)
		}
	}
}

// TestChangesAreKept: what differs between versions that fit is kept, from files and from a registry; of what can't be read here only that it differs.
func TestChangesAreKept(t *testing.T) {
	answers := map[string][]answer{in1: {{body: input1}}, in2: {{body: input2}}, level: {{body: full}}, may1: {{body: yes}}, may2: {{body: yes}}, may4: {{body: yes}},
		in4: {{body: proto4}}}
	p := subjects(1, 2)
	p.Features = &schemas.Pair{Baseline: schemas.Reference{File: "a.txt"}, Canary: schemas.Reference{File: "b.txt"}}
	documents := map[string]string{"a.txt": "x\ndwell?\n", "b.txt": "x\n"}
	in(t, answers, func(w *town) {
		all := Check(w.Context(), w.registries(), Query{Pillars: p, Documents: documents})
		expect(w.T, all, "input held", "features held")
		if got, want := fmt.Sprint(all[0].Changes, all[1].Changes), "[input /age was added] [feature dwell was dropped]"; got != want {
			w.Errorf("changes %s, want %s", got, want)
		}
	})
	answers[in1] = []answer{{body: strings.Replace(proto4, `"version": 4`, `"version": 1`, 1)}}
	held := func(want ...string) {
		in(t, answers, func(w *town) {
			if all := Check(w.Context(), w.registries(), Query{Pillars: subjects(1, 4)}); all[0].State != decisions.PillarHeld || !slices.Equal(all[0].Changes, want) {
				w.Errorf("%+v, want the changes %q", all, want)
			}
		})
	}
	held()
	const another = "input is another Protobuf schema (what differs isn't compared here; look at subject:ranker/in@1 and subject:ranker/in@4)"
	answers[in4] = []answer{{body: strings.Replace(proto4, "R {}", "R { int32 a = 1; }", 1)}}
	held(another)
	answers[in4] = []answer{{body: strings.Replace(proto4, `"subject": "a", "version": 1`, `"subject": "a", "version": 2`, 1)}}
	held(another)
	answers[in1], answers[in4] = []answer{{body: avro(1)}}, []answer{{body: strings.Replace(avro(4), `\"user\"`, `\"user_id\"`, 1)}}
	held(strings.Replace(another, "Protobuf", "Avro", 1))
}

func TestWithoutRegistries(t *testing.T) {
	p := subjects(1, 2)
	p.MLflow = mlflow().MLflow
	expect(t, Check(t.Context(), Registries{}, Query{Pillars: p, Offline: true}), "registry unchecked", "MLflow was not asked", "input unchecked", "the Schema Registry was not asked")
	expect(t, Check(t.Context(), Registries{}, Query{Pillars: p}), "registry failed", "the configuration has no registries.mlflow", "input failed", "the configuration has no registries.schemas")
	if got := Unnamed(p); !slices.Equal(got, []decisions.PillarName{decisions.PillarOutput, decisions.PillarFeatures}) {
		t.Errorf("not named are %v", got)
	}
}

// word is a token that is read.
func word(text string, err error) func() (string, error) {
	return func() (string, error) { return text, err }
}

// TestSecrets sends them, and never tells them.
func TestSecrets(t *testing.T) {
	for _, test := range []struct {
		name       string
		change     func(*Endpoint)
		sent, want string
	}{
		{"a token", func(e *Endpoint) { e.Token = word("t0p-secret", nil) }, "Bearer t0p-secret", "answers 403: it doesn't let us in"},
		{"a password", func(e *Endpoint) { e.User, e.Token = "u", word("t0p-secret", nil) }, "Basic dTp0MHAtc2VjcmV0", "answers 403"},
		{"nobody", func(*Endpoint) {}, "", "answers 403"},
		{"one that can't be read", func(e *Endpoint) { e.Token = word("", errors.New("read its token: file t is empty")) }, "none", "read its token: file t is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sent := "none"
			in(t, nil, func(w *town) {
				c := NewMLflow(w.endpoint(test.change))
				spy := c.http.Transport
				c.http.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
					sent = r.Header.Get("Authorization")
					return spy.RoundTrip(r)
				})
				w.answers = map[string][]answer{"GET /x": {{status: 403}}}
				err := c.call(w.Context(), call{method: http.MethodGet, path: "/x", answer: new(any)})
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "t0p") {
					w.Errorf("%v, want %s, and no secret", err, test.want)
				}
			})
			if sent != test.sent {
				t.Errorf("sent %q, want %q", sent, test.sent)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestNobodyThere asks an address at which nothing listens, and ends with its context.
func TestNobodyThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Registries{MLflow: NewMLflow(Endpoint{URL: "http://127.0.0.1:9", Token: word("", nil), Timeout: 5 * time.Second, Retries: 2, Dial: new(kfake.VirtualNetwork).DialContext})}
		all := Check(t.Context(), r, Query{Pillars: mlflow()})
		if len(all) != 1 || all[0].State != decisions.PillarFailed || !strings.Contains(all[0].Found[0], "does it run, and is its url in registries right?") {
			t.Errorf("found %+v", all)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if all = Check(ctx, r, Query{Pillars: mlflow()}); all[0].State != decisions.PillarFailed {
			t.Errorf("found %+v", all)
		}
	})
}
