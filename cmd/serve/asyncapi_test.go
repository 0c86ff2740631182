package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"streamcanary/ingest"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// asyncFile is the document that this test holds against what is really sent.
const asyncFile = "../../schemas/asyncapi.yaml"

type object = map[string]any

// asyncDoc is the document. Its schemas are compiled closed: what they don't describe isn't allowed.
type asyncDoc struct {
	t        *testing.T
	root     object
	compiler *jsonschema.Compiler
	sent     map[string]int // messages by channel
}

func newAsyncDoc(t *testing.T) *asyncDoc {
	t.Helper()
	text, err := os.ReadFile(asyncFile)
	if err != nil {
		t.Fatal(err)
	}
	var root object
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatalf("%s: %v", asyncFile, err)
	}
	d := &asyncDoc{t: t, root: root, compiler: jsonschema.NewCompiler(), sent: map[string]int{}}
	d.compiler.AssertFormat()
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.UseLoader(closedFiles{})
	return d
}

// closedFiles loads documents, with the schemas in them closed.
type closedFiles struct{}

// Load reads a file that is named as a URL.
func (closedFiles) Load(name string) (any, error) {
	at, err := url.Parse(name)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(at.Path)
	if err != nil {
		return nil, err
	}
	var doc any
	if strings.HasSuffix(at.Path, ".yaml") {
		err = yaml.Unmarshal(text, &doc)
		if err == nil {
			text, err = json.Marshal(doc)
		}
	}
	if err == nil {
		doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(text))
	}
	return closed(doc), err
}

// closed forbids what a schema doesn't describe; the conditions of a schema say only when, and stay.
func closed(v any) any {
	switch v := v.(type) {
	case []any:
		for _, each := range v {
			closed(each)
		}
	case object:
		for name, each := range v {
			if name != "if" && name != "then" && name != "else" && name != "allOf" {
				closed(each)
			}
		}
		_, described := v["properties"].(object)
		_, says := v["additionalProperties"]
		if described && !says && v["type"] == "object" {
			v["additionalProperties"] = false
		}
	}
	return v
}

// at is what a reference within the document names.
func (d *asyncDoc) at(ref string) object {
	d.t.Helper()
	path, inside := strings.CutPrefix(ref, "#/")
	value := any(d.root)
	for name := range strings.SplitSeq(path, "/") {
		each, is := value.(object)
		if !is {
			d.t.Fatalf("%s: %s leads nowhere", asyncFile, ref)
		}
		value = each[name]
	}
	found, is := value.(object)
	if !is || !inside {
		d.t.Fatalf("%s: %s leads nowhere", asyncFile, ref)
	}
	return found
}

// referred are the references in a value, each to be found in it or beside it.
func referred(v any) []string {
	var all []string
	switch v := v.(type) {
	case []any:
		for _, each := range v {
			all = append(all, referred(each)...)
		}
	case object:
		for name, each := range v {
			if ref, is := each.(string); is && name == "$ref" {
				all = append(all, ref)
				continue
			}
			all = append(all, referred(each)...)
		}
	}
	return all
}

// channel is the one whose address a subject or topic fits.
func (d *asyncDoc) channel(subject string) string {
	d.t.Helper()
	var found []string
	for name, c := range d.at("#/channels") {
		address, is := c.(object)["address"].(string)
		if !is {
			continue
		}
		var pattern strings.Builder
		for i, part := range regexp.MustCompile(`\{[a-z]+\}`).Split(address, -1) {
			if i > 0 {
				pattern.WriteString(`[A-Za-z0-9_=-]+`)
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		if regexp.MustCompile("^" + pattern.String() + "$").MatchString(subject) {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		d.t.Fatalf("%s has the channels %q for what was sent on %s", asyncFile, found, subject)
	}
	return found[0]
}

// hold holds a message against its channel. A payload of nil isn't looked at: it is no JSON.
func (d *asyncDoc) hold(channel string, headers object, payload []byte) {
	d.t.Helper()
	d.sent[channel]++
	for _, ref := range d.at("#/channels/" + channel + "/messages") {
		name := strings.TrimPrefix(ref.(object)["$ref"].(string), "#/components/messages/")
		message := d.at("#/components/messages/" + name)
		if err := d.check(name, message, headers, payload); err != nil {
			d.t.Errorf("%s: channel %s, message %s: %v\n%v\n%.2000s", asyncFile, channel, name, err, headers, payload)
		}
	}
}

func (d *asyncDoc) check(name string, message, headers object, payload []byte) error {
	if _, described := message["headers"]; described {
		schema, err := d.schema("#/components/messages/" + name + "/headers")
		if err == nil {
			err = schema.Validate(headers)
		}
		if err != nil {
			return fmt.Errorf("headers: %w", err)
		}
	} else if len(headers) > 0 {
		return errors.New("it has headers, and none is described")
	}
	body, described := message["payload"].(object)
	if !described {
		return nil
	}
	at := "#/components/messages/" + name + "/payload"
	if _, inside := body["schema"]; inside {
		at += "/schema"
	}
	schema, err := d.schema(at)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func (d *asyncDoc) schema(at string) (*jsonschema.Schema, error) {
	path, err := filepath.Abs(asyncFile)
	if err != nil {
		return nil, err
	}
	return d.compiler.Compile("file://" + path + at)
}

// texts are headers as the document describes them.
func texts(headers nats.Header) object {
	all := object{}
	for name := range headers {
		all[name] = headers.Get(name)
	}
	return all
}

// stream holds every message of a stream.
func (d *asyncDoc) stream(v *village, name string) {
	v.Helper()
	js, err := jetstream.New(v.conn())
	v.must(err)
	stream, err := js.Stream(v.Context(), name)
	v.must(err)
	last := stream.CachedInfo().State.LastSeq
	for i := uint64(1); i <= last; i++ {
		m, err := stream.GetMsg(v.Context(), i)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		v.must(err)
		for _, added := range []string{"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp"} { // by the server, as it is asked
			m.Header.Del(added)
		}
		d.hold(d.channel(m.Subject), texts(m.Header), m.Data)
	}
}

// topic holds every record of a topic. Only payloads that are JSON are looked at.
func (d *asyncDoc) topic(v *village, topic string) {
	v.Helper()
	log := v.kafka.Log(topic, 0)
	begins, err := log.StartOffsets(v.Context())
	v.must(err)
	reader, err := log.ReadFrom(v.Context(), begins)
	v.must(err)
	defer reader.Close()
	v.must(reader.Drain(v.Context(), func(e kafka.Entry) error {
		headers := object{}
		for _, h := range e.Headers {
			headers[h.Key] = string(h.Value)
		}
		if len(e.Key) == 0 {
			d.t.Errorf("%s: a record without a key", topic)
		}
		if channel := d.channel(topic); channel != "predictions" || json.Valid(e.Value) {
			d.hold(channel, headers, e.Value)
		}
		return nil
	}))
}

// overheard are commands and their replies, which no stream keeps.
type overheard struct {
	mu       sync.Mutex
	commands []*nats.Msg
	others   map[string]*nats.Msg // by subject
}

func (v *village) overhear() *overheard {
	v.Helper()
	o := &overheard{others: map[string]*nats.Msg{}}
	conn := v.conn()
	_, err := conn.Subscribe(schemas.AllCommands, func(m *nats.Msg) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.commands = append(o.commands, m)
	})
	v.must(err)
	_, err = conn.Subscribe("_INBOX.>", func(m *nats.Msg) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.others[m.Subject] = m
	})
	v.must(err)
	ctx, cancel := context.WithTimeout(v.Context(), time.Minute) // without one its timer would come from a pool of all tests, perhaps out of another bubble
	defer cancel()
	v.must(conn.FlushWithContext(ctx))
	return o
}

// TestAsyncAPI: schemas/asyncapi.yaml describes every message that is sent in a rollout with a shared state, with people who command it, with its rollback, and with a router that
// doesn't follow; every property and header of it; and what it requires is there.
func TestAsyncAPI(t *testing.T) {
	d := newAsyncDoc(t)
	if d.root["asyncapi"] != "3.0.0" {
		t.Errorf("%s: asyncapi is %v", asyncFile, d.root["asyncapi"])
	}
	for _, ref := range referred(d.root) {
		if strings.HasPrefix(ref, "#") {
			d.at(ref)
		}
	}
	inVillage(t, storyHead+atOnce+sharedAnd, "", func(v *village) {
		heard := v.overhear()
		v.keeps(&shelf{})
		v.status("running")
		bad := kafka.Entry{Key: []byte("x"), Value: []byte("no event"), Headers: []ingest.Header{}}
		_, err := v.kafka.Log("predictions", 0).Append(v.Context(), bad)
		v.must(err)
		v.wait(10 * time.Second)
		v.ask("pause", false)
		v.ask("pause", false) // refused
		v.ask("resume", false)
		v.harms()
		v.deaf.Store(true)
		v.wait(time.Minute) // acks are overdue
		v.deaf.Store(false)
		v.completed()
		d.stream(v, schemas.StreamName)
		d.stream(v, "KV_"+schemas.RoutesBucket)
		for _, topic := range []string{"predictions", JournalTopic, DeadLetterTopic} {
			d.topic(v, topic)
		}
		heard.mu.Lock()
		defer heard.mu.Unlock()
		for _, m := range heard.commands {
			d.hold(d.channel(m.Subject), texts(m.Header), m.Data)
			if reply := heard.others[m.Reply]; reply != nil {
				d.hold("replies", texts(reply.Header), reply.Data)
			}
		}
	})
	inVillage(t, rolloutWith(notLong), "", func(v *village) {
		v.deaf.Store(true)
		v.wait(11 * time.Second) // what has no routes is asked again
		d.stream(v, "KV_"+schemas.RoutesBucket)
	})
	for _, e := range []string{`{"id":"p","ts":1,"name":"click","value":2}`, `{"id":"p","ts":1,"model":"m","version":"v","name":"click","event_id":"e"}`} {
		d.hold(d.channel("outcomes"), nil, []byte(e))
	}
	d.hold(d.channel("samples"), nil, []byte(`{"ts":1,"model":"m","version":"v","host":"h","name":"cpu","value":0.5}`))
	for name := range d.at("#/channels") {
		if d.sent[name] == 0 {
			t.Errorf("%s describes channel %s, and nothing was sent on it", asyncFile, name)
		}
	}
	t.Logf("messages: %v", d.sent)
}

// TestAsyncAPIRefuses: the check finds what isn't described, and what is missing.
func TestAsyncAPIRefuses(t *testing.T) {
	d := newAsyncDoc(t)
	good := func() object {
		return object{"decision": "r.1.1", "epoch": 1, "seq": 1, "consumer": "c", "status": "applied", "at": "2026-01-02T03:04:05.678Z"}
	}
	headers := func() object { return object{"Nats-Msg-Id": "x"} }
	message := d.at("#/components/messages/ack")
	for name, change := range map[string]func(body, headers object){
		"":                        func(object, object) {},
		"additional properties":   func(body, _ object) { body["mood"] = "fine" },
		"missing property":        func(body, _ object) { delete(body, "epoch") },
		"value must be one of":    func(body, _ object) { body["status"] = "perhaps" },
		"headers: ":               func(_, headers object) { delete(headers, "Nats-Msg-Id") },
		"'X-More' not allowed":    func(_, headers object) { headers["X-More"] = "1" },
		"is not valid date-time:": func(body, _ object) { body["at"] = "yesterday" },
	} {
		body, header := good(), headers()
		change(body, header)
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		err = d.check("ack", message, header, text)
		if name == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("%v with %v: error %v, want %q", body, header, err, name)
		}
	}
	if have := slices.Sorted(maps.Keys(d.at("#/channels"))); len(have) < 12 {
		t.Errorf("channels %q", have)
	}
}
