package pillars

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"streamcanary/schemas"
	"streamcanary/schemas/compat"
)

// subjectVersion is a version of a subject, as GET /subjects/{subject}/versions/{version} answers it. An Avro schema has no schemaType.
// (Confluent Schema Registry API reference.)
type subjectVersion struct {
	Subject    string            `json:"subject"`
	Version    int               `json:"version"`
	ID         int64             `json:"id"`
	SchemaType string            `json:"schemaType"`
	Schema     string            `json:"schema"`
	References []json.RawMessage `json:"references"`
}

// kinds are the kinds of schemas by the registry's names.
var kinds = map[string]compat.Kind{"": compat.Avro, "AVRO": compat.Avro, "JSON": compat.JSONSchema, "PROTOBUF": protobuf}

// codes of the registry's errors.
const (
	noSubject = "40401"
	noVersion = "40402"
)

// subject gets a version of a subject.
func (c *check) subject(ctx context.Context, r schemas.Reference) (*side, error) {
	if c.Schemas == nil {
		return nil, errNoSchemaRegistry
	}
	v := &subjectVersion{}
	err := c.Schemas.call(ctx, call{method: http.MethodGet, path: versionPath("/subjects/", r), answer: v})
	var no *refusal
	kind, known := kinds[v.SchemaType]
	switch {
	case errors.As(err, &no) && (no.code == noSubject || no.code == noVersion):
		return nil, fmt.Errorf("%s is not in the Schema Registry at %s: register it, or name the right one", r, c.Schemas.address())
	case err != nil:
		return nil, &away{fmt.Errorf("%s: %w", r, err)}
	case v.Subject != r.Subject || v.Version != r.Version || v.Schema == "":
		return nil, &away{fmt.Errorf("%s: what is at %s answers something else: is registries.schemas.url the Schema Registry's address?", r, c.Schemas.address())}
	case !known:
		return nil, fmt.Errorf("%s is of the type %s: JSON, AVRO and PROTOBUF are known", r, shown(v.SchemaType))
	}
	return &side{Document: compat.Document{Name: r.String(), Kind: kind, Text: []byte(v.Schema), Parts: v.parts()}, reference: r, subject: v}, nil
}

// parts are the versions of subjects that a schema refers to, by the names that it has for them. A version never changes.
func (v *subjectVersion) parts() map[string]string {
	parts := map[string]string{}
	for _, text := range v.References {
		var r struct {
			Name    string `json:"name"`
			Subject string `json:"subject"`
			Version int    `json:"version"`
		}
		if json.Unmarshal(text, &r) == nil && r.Name != "" && r.Subject != "" && r.Version > 0 {
			parts[r.Name] = fmt.Sprintf("%s@%d", r.Subject, r.Version)
		}
	}
	return parts
}

func versionPath(before string, r schemas.Reference) string {
	return before + url.PathEscape(r.Subject) + "/versions/" + strconv.Itoa(r.Version)
}

// asked is what the registry said.
type asked struct {
	harmful, unchecked []string
	out, back          bool // it says that what is made for the baseline fits the canary, and the other way round
	levels             []string
	away               error // the first; nil: it answered all
	answered           bool  // some of what is harmful is its answer, and not that there is none
}

// proves notes what a registry has said by calling a candidate compatible.
func (a *asked) proves(level string, canary bool) {
	reads := strings.HasPrefix(level, "FULL") || strings.HasPrefix(level, "BACKWARD") // what was written before
	isRead := strings.HasPrefix(level, "FULL") || strings.HasPrefix(level, "FORWARD") // by who knows what was before
	a.out = a.out || canary && reads || !canary && isRead
	a.back = a.back || canary && isRead || !canary && reads
}

// ask lets the registry hold each schema against the other's version, where that is one of its own.
func (c *check) ask(ctx context.Context, baseline, canary *side) asked {
	var a asked
	for _, x := range []question{{canary, baseline, true}, {baseline, canary, false}} {
		if x.registered.subject == nil {
			continue
		}
		err := c.askOne(ctx, x, &a)
		switch {
		case c.Running && isAway(err):
			a.away = cmp.Or(a.away, err)
		case err != nil:
			a.harmful = append(a.harmful, err.Error())
			a.answered = a.answered || !isAway(err)
		}
	}
	a.harmful, a.unchecked = slices.Compact(a.harmful), slices.Compact(a.unchecked) // mostly both versions are of one subject
	return a
}

// question is whether a schema may follow a registered one.
type question struct {
	candidate, registered *side
	canary                bool // the candidate is the canary's
}

// levelNone is the compatibility level at which a registry takes anything.
const levelNone = "NONE"

// askOne asks whether a schema may follow a registered version, by the subject's own compatibility level.
func (c *check) askOne(ctx context.Context, q question, a *asked) error {
	candidate, r := q.candidate, q.registered.reference
	var config struct {
		Level string `json:"compatibilityLevel"`
	}
	if err := c.Schemas.call(ctx, call{method: http.MethodGet, path: "/config/" + url.PathEscape(r.Subject) + "?defaultToGlobal=true", answer: &config}); err != nil {
		return &away{fmt.Errorf("compatibility level of %s: %w", r.Subject, err)}
	}
	a.levels = append(a.levels, fmt.Sprintf("the compatibility level of %s is %s", r.Subject, shown(config.Level)))
	if config.Level == levelNone {
		a.unchecked = append(a.unchecked, fmt.Sprintf("not checked by the Schema Registry: the compatibility level of %s is NONE", r.Subject))
		return nil
	}
	var answer struct {
		Compatible *bool    `json:"is_compatible"`
		Messages   []string `json:"messages"`
		Reason     string   `json:"reason"` // Apicurio's, which has no messages
	}
	body := map[string]any{"schema": string(candidate.Text), "schemaType": typeOf(candidate.Kind)}
	if candidate.subject != nil && len(candidate.subject.References) > 0 {
		body["references"] = candidate.subject.References
	}
	err := c.Schemas.call(ctx, call{method: http.MethodPost, path: versionPath("/compatibility/subjects/", r) + "?verbose=true", body: body, answer: &answer})
	var no *refusal
	switch {
	case errors.As(err, &no) && no.status == http.StatusUnprocessableEntity:
		return &away{fmt.Errorf("compatibility of %s with %s: %w: it can't read the schema, or not what that refers to (Apicurio reads no references of Avro's here): write the schema whole, or leave this pillar out", candidate.Name, r, err)}
	case err != nil:
		return &away{fmt.Errorf("compatibility of %s with %s: %w", candidate.Name, r, err)}
	case answer.Compatible == nil:
		return &away{fmt.Errorf("compatibility of %s with %s: what is at %s doesn't say is_compatible: is it a Schema Registry?", candidate.Name, r, c.Schemas.address())}
	case !*answer.Compatible:
		why := cmp.Or(shown(strings.Join(answer.Messages, "; ")), shown(answer.Reason), "it gives no reason")
		return fmt.Errorf("the Schema Registry (level %s) refuses %s after %s: %s: register a version that fits, and name that", shown(config.Level), candidate.Name, r, why)
	}
	a.proves(config.Level, q.canary)
	return nil
}

func typeOf(kind compat.Kind) string {
	for _, name := range []string{"AVRO", "JSON", "PROTOBUF"} {
		if kinds[name] == kind {
			return name
		}
	}
	return ""
}

// schemaRefusal reads the body of an error of a Schema Registry's.
func schemaRefusal(body []byte) (code, message string) {
	var e struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &e) != nil || e.Code == 0 {
		return "", ""
	}
	return strconv.Itoa(e.Code), e.Message
}
