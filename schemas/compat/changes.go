package compat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Bounds of what Changes looks at, beside those of documents.
const (
	maxChanges = 100 // the rest is counted
	maxNested  = 16  // levels: what is deeper counts as a part of what holds it
	maxParts   = 20_000
)

// Changes says what differs between two versions, in a few words each, in the order of names: what was added and dropped, what has another type, and what is said otherwise of
// it. Unlike Compare it doesn't ask whether that matters, and tells what fits all the same, too: each may be why two versions behave differently. The words of
// a feature begin with "feature", of a schema's part with the role and its path, e.g. "input /user/age is number, was integer". A document of a kind that isn't
// compared here, or of another kind than the other one, has none.
//
// It goes by what stands there: a schema that says the same in other words is told as changed.
func Changes(role Role, baseline, canary Document, o Options) ([]string, error) {
	parts, known := map[Kind]func(Document) ([]part, error){JSONSchema: jsonParts, Avro: avroParts, FeatureList: featureParts}[baseline.Kind]
	if !known || baseline.Kind != canary.Kind {
		return nil, nil
	}
	was, err := parts(baseline)
	if err != nil {
		return nil, err
	}
	is, err := parts(canary)
	if err != nil {
		return nil, err
	}
	say := wording{string(role) + " ", "has", "had"}
	if role == Features {
		say = wording{"feature ", "is", "was"}
	}
	all := say.differences(was, is)
	if o.Ordered && all == nil && !slices.EqualFunc(was, is, func(a, b part) bool { return a.name == b.name }) {
		all = []string{"the features' order has changed"}
	}
	if len(all) > maxChanges {
		all = append(all[:maxChanges:maxChanges], fmt.Sprintf("%d changes more", len(all)-maxChanges))
	}
	return all, nil
}

// part is one named thing of a document: its name, its type, and whatever else is said of it, each as text.
type part struct{ name, kind, rest string }

// wording is how changes are told: what begins them, and the verbs of what is said beside the type.
type wording struct{ prefix, has, had string }

// differences holds the parts of two documents against each other.
func (w wording) differences(was, is []part) []string {
	before := map[string]part{}
	for _, p := range was {
		before[p.name] = p
	}
	after := map[string]bool{}
	changes := map[string]string{} // by name
	for _, p := range is {
		after[p.name] = true
		old, there := before[p.name]
		switch {
		case !there:
			changes[p.name] = "was added"
		case p.kind != old.kind:
			changes[p.name] = fmt.Sprintf("is %s, was %s", orNothing(p.kind), orNothing(old.kind))
		case p.rest != old.rest:
			changes[p.name] = fmt.Sprintf("%s %s, %s %s", w.has, orNothing(p.rest), w.had, orNothing(old.rest))
		}
	}
	for _, p := range was {
		if !after[p.name] {
			changes[p.name] = "was dropped"
		}
	}
	var all []string
	for _, name := range sortedNames(changes) {
		if _, inside := changes[holderOf(name)]; inside && strings.HasPrefix(changes[name], "was ") { // it came or went with what holds it
			continue
		}
		all = append(all, w.prefix+shown(name)+" "+changes[name])
	}
	return all
}

func sortedNames(changes map[string]string) []string {
	names := make([]string, 0, len(changes))
	for name := range changes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// holderOf is the path of what holds a part; "" of none.
func holderOf(name string) string {
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		return name[:i]
	}
	return ""
}

// orNothing is what is said, for a sentence.
func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return shown(text)
}

func featureParts(d Document) ([]part, error) {
	all, err := features(d)
	if err != nil {
		return nil, err
	}
	var parts []part
	for _, f := range all {
		p := part{f.name, f.kind, "needed"}
		if f.optional {
			p.rest = "optional"
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// jsonParts are the properties of a JSON Schema, by their paths in what it describes; [] stands for the elements of a list.
func jsonParts(d Document) ([]part, error) {
	t, err := parseJSON(d)
	if err != nil {
		return nil, err
	}
	l := jsonLister{tree: t}
	l.walk(place{node: t.root}, "/", 0)
	return l.parts, nil
}

// jsonLister lists the parts of a document.
type jsonLister struct {
	*tree
	parts []part
}

func (l *jsonLister) walk(p place, name string, depth int) {
	if len(l.parts) > maxParts {
		return
	}
	f := l.flat(p, 0)
	if f.unknown != "" {
		l.parts = append(l.parts, part{name, "", f.unknown})
		return
	}
	deeper := depth < maxNested
	l.parts = append(l.parts, f.part(name, deeper))
	if !deeper {
		return
	}
	at, named := f.place(), object(f.words["properties"])
	for _, key := range sorted(f.words["properties"]) {
		l.walk(at.in(named[key], "properties", key), below(name, escaped.Replace(key)), depth+1)
	}
	if items := object(f.words["items"]); items != nil {
		l.walk(at.in(items, "items"), below(name, "[]"), depth+1)
	}
}

// below is the path of what a part holds.
func below(name, key string) string { return strings.TrimSuffix(name, "/") + "/" + key }

// part is what is said of a schema itself; of what it holds only where nobody looks deeper.
func (f *flat) part(name string, deeper bool) part {
	p, rest := part{name: name}, map[string]any{}
	for _, key := range assertions(f.words) {
		switch v := f.words[key]; {
		case key == "type":
			p.kind = typeText(v)
		case deeper && (key == "properties" || key == "items" && object(v) != nil):
		case key == "required":
			if names := sortedTexts(v); names != nil { // an empty list says nothing
				rest[key] = names
			}
		default:
			rest[key] = v
		}
	}
	if len(rest) > 0 {
		p.rest = jsonText(rest)
	}
	return p
}

// typeText is a type, or the types of a list of them, ascending.
func typeText(v any) string {
	if l := sortedTexts(v); l != nil {
		return strings.Join(l, " or ")
	}
	text, _ := v.(string)
	return text
}

// sortedTexts are the texts of a list, ascending.
func sortedTexts(v any) []string {
	l := texts(v)
	slices.Sort(l)
	return l
}

// jsonText is a JSON value, its keys ascending.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(b)
}

// avroParts are the fields of an Avro schema's records, by their paths. What a name stands for is looked at where it is defined.
func avroParts(d Document) ([]part, error) {
	if _, err := parseAvro(d); err != nil {
		return nil, err
	}
	var root any
	if err := json.Unmarshal(d.Text, &root); err != nil { // a schema that is but a name
		return []part{{"/", strings.TrimSpace(string(d.Text)), ""}}, nil
	}
	l := avroLister{}
	l.walk(root, part{name: "/"}, 0)
	return l.parts, nil
}

// avroLister lists the parts of a schema.
type avroLister struct{ parts []part }

func (l *avroLister) walk(node any, p part, depth int) {
	p.kind = avroType(node)
	l.parts = append(l.parts, p)
	if depth == maxNested || len(l.parts) > maxParts {
		return
	}
	for _, record := range avroRecords(node) {
		for _, field := range list(record["fields"]) {
			f := object(field)
			key, _ := f["name"].(string)
			next := part{name: below(p.name, key)}
			if value, there := f["default"]; there {
				next.rest = "default " + jsonText(value)
			}
			l.walk(f["type"], next, depth+1)
		}
	}
}

// avroRecords are the records that are defined in a type: itself, or within a union, a list or a map.
func avroRecords(node any) []map[string]any {
	if union := list(node); union != nil {
		var all []map[string]any
		for _, branch := range union {
			all = append(all, avroRecords(branch)...)
		}
		return all
	}
	m := object(node)
	switch m["type"] {
	case "record", "error":
		return []map[string]any{m}
	case "array":
		return avroRecords(m["items"])
	case "map":
		return avroRecords(m["values"])
	}
	if inner := object(m["type"]); inner != nil {
		return avroRecords(inner)
	}
	return nil
}

// avroType is a type in words: of what has a name that.
func avroType(node any) string {
	switch n := node.(type) {
	case string:
		return n
	case []any:
		var branches []string
		for _, branch := range n {
			branches = append(branches, avroType(branch))
		}
		return strings.Join(branches, " or ")
	}
	m := object(node)
	kind := avroInner(m["type"])
	switch kind {
	case "record", "error", "fixed":
		return fmt.Sprintf("%s %v", kind, m["name"])
	case "enum":
		return fmt.Sprintf("enum %v of %s", m["name"], strings.Join(texts(m["symbols"]), ", "))
	case "array":
		return "list of " + avroType(m["items"])
	case "map":
		return "map of " + avroType(m["values"])
	}
	if logical, is := m["logicalType"].(string); is {
		return fmt.Sprintf("%s (%s)", logical, kind)
	}
	return kind
}

// avroInner is the type of a type.
func avroInner(node any) string {
	if text, is := node.(string); is {
		return text
	}
	return avroType(node)
}
