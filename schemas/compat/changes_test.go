package compat

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestChanges(t *testing.T) {
	const inner = `{"type": "record", "name": "Place", "fields": [{"name": "lat", "type": "double"}, {"name": "lon", "type": %s}]}`
	record := func(fields string) string { return `{"type": "record", "name": "R", "fields": [` + fields + `]}` }
	tests := []struct {
		name             string
		kind             Kind
		role             Role
		baseline, canary string
		want             []string
	}{
		{"features", FeatureList, Features, "user\nage: int\ndwell: float?\nprice", "age: float\ndwell: float\nprice\ncity",
			[]string{"feature age is float, was int", "feature city was added", "feature dwell is needed, was optional", "feature user was dropped"}},
		{"the same features in another order", FeatureList, Features, "a\nb", "b\na", []string{"the features' order has changed"}},
		{"the same", FeatureList, Features, "a\nb", "a\nb", nil},
		{"a wider type", JSONSchema, Input, `{"properties": {"age": {"type": "integer"}}}`, `{"properties": {"age": {"type": ["number", "null"]}}}`,
			[]string{"input /age is null or number, was integer"}},
		{"what is nested", JSONSchema, Output, `{"properties": {"items": {"items": {"properties": {"id": {"type": "string"}, "old": {}}}}}}`,
			`{"properties": {"items": {"items": {"properties": {"id": {"type": "string", "maxLength": 5}, "new": {"properties": {"a": {}}}}}}}}`,
			[]string{`output /items/[]/id has {"maxLength":5}, had nothing`, "output /items/[]/new was added", "output /items/[]/old was dropped"}},
		{"by reference", JSONSchema, Input, `{"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}`,
			`{"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "number"}}}`, []string{"input /a is number, was integer"}},
		{"a property that is required now", JSONSchema, Input, `{"required": ["b", "a"]}`, `{"required": ["a", "b", "c"]}`,
			[]string{`input / has {"required":["a","b","c"]}, had {"required":["a","b"]}`}},
		{"nothing is required any more", JSONSchema, Input, `{"required": ["a"], "minProperties": 1}`, `{"required": [], "minProperties": 1}`,
			[]string{`input / has {"minProperties":1}, had {"minProperties":1,"required":["a"]}`}},
		{"an empty list", JSONSchema, Input, `{"required": []}`, `{}`, nil},
		{"words that say nothing", JSONSchema, Input, `{"title": "x", "required": ["b", "a"]}`, `{"title": "y", "required": ["a", "b"], "$comment": "z"}`, nil},
		{"names like paths", JSONSchema, Input, `{"properties": {"a/b": {}}}`, `{"properties": {"a~b": {}}}`, []string{"input /a~0b was added", "input /a~1b was dropped"}},
		{"it refers to itself", JSONSchema, Input, `{"properties": {"next": {"$ref": "#"}}}`, `{"properties": {"next": {"$ref": "#"}}}`, nil},
		{"Avro fields", Avro, Output, record(`{"name": "a", "type": "int"}, {"name": "b", "type": "string"}, {"name": "place", "type": ` + fmt.Sprintf(inner, `"double"`) + `}`),
			record(`{"name": "a", "type": ["null", "long"], "default": null}, {"name": "c", "type": {"type": "array", "items": "float"}}, {"name": "place", "type": ` + fmt.Sprintf(inner, `"float"`) + `}`),
			[]string{"output /a is null or long, was int", "output /b was dropped", "output /c was added", "output /place/lon is float, was double"}},
		{"an Avro default", Avro, Output, record(`{"name": "a", "type": "int"}`), record(`{"name": "a", "type": "int", "default": 1}`), []string{"output /a has default 1, had nothing"}},
		{"of a logical type, and an enum", Avro, Output, record(`{"name": "a", "type": "long"}, {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["x"]}}`),
			record(`{"name": "a", "type": {"type": "long", "logicalType": "timestamp-millis"}}, {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["x", "y"]}}`),
			[]string{"output /a is timestamp-millis (long), was long", "output /e is enum E of x, y, was enum E of x"}},
		{"a schema that is a type", Avro, Output, `"int"`, `"long"`, []string{"output / is long, was int"}},
	}
	for _, test := range tests {
		got, err := Changes(test.role, Document{Name: "one", Kind: test.kind, Text: []byte(test.baseline)}, Document{Name: "two", Kind: test.kind, Text: []byte(test.canary)}, Options{Ordered: true})
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v\ngot  %q\nwant %q", test.name, err, got, test.want)
		}
	}
}

// TestChangesAreBounded: whatever stands in a document.
func TestChangesAreBounded(t *testing.T) {
	var many strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, "f%d\n", i)
	}
	got, err := Changes(Features, Document{Name: "one", Kind: FeatureList, Text: []byte("a")}, Document{Name: "two", Kind: FeatureList, Text: []byte(many.String())}, Options{})
	if err != nil || len(got) != maxChanges+1 || got[maxChanges] != "4901 changes more" {
		t.Errorf("%d changes, the last %q, %v", len(got), got[len(got)-1], err)
	}
	wide := `{"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}, "c": {"$ref": "#"}, "d": {"$ref": "#"}}}` // 4^16 parts
	if got, err := Changes(Input, Document{Name: "one", Kind: JSONSchema, Text: []byte(wide)}, Document{Name: "two", Kind: JSONSchema, Text: []byte(wide)}, Options{}); err != nil || got != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := Changes(Input, Document{Name: "one", Kind: Avro, Text: []byte(`"int"`)}, Document{Name: "two", Kind: JSONSchema, Text: []byte(`{}`)}, Options{}); err != nil || got != nil {
		t.Errorf("of two kinds: %q, %v", got, err)
	}
	for _, kind := range []Kind{JSONSchema, Avro, FeatureList} {
		sound := map[Kind]string{JSONSchema: "{}", Avro: `"int"`, FeatureList: "a"}[kind]
		for _, broken := range [][2]string{{"{", sound}, {sound, "{"}} {
			if _, err := Changes(Input, Document{Name: "one", Kind: kind, Text: []byte(broken[0] + " ")}, Document{Name: "two", Kind: kind, Text: []byte(broken[1] + " ")}, Options{}); err == nil && kind != FeatureList {
				t.Errorf("%s: broken documents are taken", kind)
			}
		}
	}
}
