package compat

import (
	"fmt"
	"strings"
	"testing"
)

// strict are pairs that hold what can't be compared: it is the same in both, or it is told.
var strict = []struct {
	name, baseline, canary string
	want                   []string
}{
	{"the same beside what has changed", `{"type": "object", "not": {"required": ["x"]}, "dependentRequired": {"a": ["b"]}, "propertyNames": {"maxLength": 9}, "properties": {"a": {"type": "integer"}}}`,
		`{"type": "object", "not": {"required": ["x"], "description": "never x"}, "dependentRequired": {"a": ["b"]}, "propertyNames": {"maxLength": 9}, "properties": {"a": {"type": "number"}}}`, []string{
			"> b#/properties/a/type it may be number in c, and here only integer"}},
	{"two conditions, and a property more", `{"type": "object", "allOf": [{"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"if": {"required": ["c"]}, "else": {"required": ["d"]}}]}`,
		`{"type": "object", "properties": {"e": {}}, "allOf": [{"if": {"required": ["c"]}, "else": {"required": ["d"]}}, {"if": {"required": ["a"]}, "then": {"required": ["b"]}}]}`, nil},
	{"half of one condition and half of another", `{"allOf": [{"if": {"required": ["a"]}, "else": {"required": ["b"]}}, {"if": {"required": ["c"]}, "then": {"required": ["d"]}}]}`,
		`{"if": {"required": ["a"]}, "then": {"required": ["d"]}, "else": {"required": ["b"]}}`, []string{
			"?< c#/else keyword else is not compared, and not known to say the same in b",
			"?< c#/if keyword if is not compared, and not known to say the same in b",
			"?< c#/then keyword then is not compared, and not known to say the same in b",
			"?> b#/allOf/0/else keyword else is not compared, and not known to say the same in c",
			"?> b#/allOf/0/if keyword if is not compared, and not known to say the same in c",
			"?> b#/allOf/1/if keyword if is not compared, and not known to say the same in c",
			"?> b#/allOf/1/then keyword then is not compared, and not known to say the same in c"}},
	{"tuples of two parts", `{"type": "array", "allOf": [{"prefixItems": [{}]}, {"prefixItems": [{}, {}], "items": false}]}`, `{"type": "array", "prefixItems": [{}], "items": false}`, []string{
		"< c#/items nothing is allowed here, and something in b"}},
	{"patterns of two parts", `{"type": "object", "allOf": [{"patternProperties": {"^x": {}}}, {"patternProperties": {"^y": {}}, "additionalProperties": false}]}`,
		`{"type": "object", "patternProperties": {"^x": {}}, "additionalProperties": false}`, []string{
			"?< c#/additionalProperties properties like ^y of b may not be taken here",
			"?> b#/allOf/1/additionalProperties properties like ^x of c may not be taken here"}},
	{"a reference that nobody can follow, in what is the same", `{"type": "object", "properties": {"a": {"$ref": "https://example.com/money.json"}}}`,
		`{"type": "object", "properties": {"a": {"$ref": "https://example.com/money.json"}, "b": {}}}`, []string{
			`?< c#/properties/a $ref "https://example.com/money.json" points out of the document`,
			`?> b#/properties/a $ref "https://example.com/money.json" points out of the document`}},
	{"what has an address in the document", `{"$id": "https://example.com/in/41", "type": "object", "properties": {"a": {"$ref": "https://example.com/money"}, "b": {"$ref": "../money#/$defs/x"}},
		"$defs": {"https://example.com/money": {"$id": "https://example.com/money", "$ref": "#/$defs/x", "$defs": {"x": {"$anchor": "here", "type": "integer"}}}, "x": {"type": "null"}}}`,
		`{"$id": "https://example.com/in/42", "type": "object", "properties": {"a": {"type": "number"}, "b": {"$ref": "#there"}}, "$defs": {"y": {"$anchor": "there", "type": "integer"}}}`, []string{
			"> b#/$defs/https:~1~1example.com~1money/$defs/x/type it may be number in c, and here only integer"}},
	{"one address of two parts", `{"$ref": "#x", "$defs": {"a": {"$anchor": "x", "type": "string"}, "b": {"$anchor": "x"}}}`, `{"type": "string"}`, []string{
		`?< c# what b allows is not known: $ref "#x" points out of the document`, `?> b# $ref "#x" points out of the document`}},
	{"a keyword of a later draft", `{"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer", "const": 1}`, `{"$schema": "http://json-schema.org/draft-04/schema#", "enum": [1]}`, []string{
		"?< c# keyword const says nothing in b, which is of draft-04",
		"?> b#/const keyword const says nothing in b, which is of draft-04"}},
	{"a keyword of an earlier draft", `{"$schema": "http://json-schema.org/draft-07/schema", "dependencies": {"a": ["b"]}}`, `{"$schema": "https://json-schema.org/draft/2020-12/schema", "dependencies": {"a": ["b"]}}`, []string{
		"?< c#/dependencies keyword dependencies says nothing in c, which is of 2020-12",
		"?> b#/dependencies keyword dependencies is not compared, and not known to say the same in c",
		"?> b# keyword dependencies says nothing in c, which is of 2020-12"}},
	{"the same in two drafts", `{"$schema": "http://json-schema.org/draft-07/schema", "properties": {"a": {"type": "string", "pattern": "^a\\s", "format": "uuid", "not": {"const": "b"}}}}`,
		`{"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"a": {"type": "string", "pattern": "^a\\s", "format": "uuid", "not": {"const": "b"}}}}`, nil},
	{"a reference that stands alone in one", `{"$schema": "http://json-schema.org/draft-07/schema", "not": {"$ref": "#/definitions/a", "minLength": 2}, "definitions": {"a": {"type": "string"}}}`,
		`{"$schema": "https://json-schema.org/draft/2020-12/schema", "not": {"$ref": "#/definitions/a", "minLength": 2}, "definitions": {"a": {"type": "string"}}}`, []string{
			"?< c#/not keyword not is not compared, and not known to say the same in b",
			"?> b#/not keyword not is not compared, and not known to say the same in c"}},
	{"a number beyond all bounds", `{"type": "number"}`, `{"type": "number", "maximum": 1e500}`, []string{"?< c#/maximum maximum is too large, or has too many digits, to be compared"}},
	{"another pattern", `{"type": "string", "pattern": "^a"}`, `{"type": "string", "pattern": "^a|^b"}`, []string{
		"?< c#/pattern the pattern is ^a|^b here, and another one in b", "?> b#/pattern the pattern is ^a here, and another one in c"}},
	{"values of another pattern", `{"enum": ["ab", "ac"], "pattern": "^a"}`, `{"type": "string", "pattern": "^a(b|c)$"}`, []string{
		`> b#/enum only ["ab","ac"] is taken here, and c allows more`, "?> b#/pattern the pattern is ^a here, and another one in c"}},
	{"values of a pattern that can't be tried", `{"enum": ["ab"]}`, `{"type": "string", "pattern": "(?i)^A"}`, []string{
		"?< c#/pattern the pattern (?i)^A can't be tried here on the values of b", `> b#/enum only ["ab"] is taken here, and c allows more`}},
	{"a format of what is no text", `{"type": "object"}`, `{"type": "object", "format": "uuid"}`, nil},
	{"only one of what overlaps, in both", `{"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"c": {"type": "integer"}}}`,
		`{"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"c": {"type": "number"}}}`, []string{
			"> b#/properties/c/type it may be number in c, and here only integer"}},
	{"what no alternative evaluates", `{"type": "object", "anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}], "unevaluatedProperties": false}`,
		`{"type": "object", "properties": {"a": {}, "b": {}}, "additionalProperties": false}`, []string{
			"< c#/additionalProperties additional properties are refused here, and allowed in b",
			"?> b#/unevaluatedProperties keyword unevaluatedProperties is not compared, and not known to say the same in c"}},
	{"a map, and a name in it", `{"type": "object", "additionalProperties": {"type": "integer"}}`, `{"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "integer"}}`, []string{
		"< c#/properties/a/type it may be integer in b, and here only string",
		"> b#/additionalProperties/type it may be string in c, and here only integer"}},
	{"the alternative that is known to take it", `{"type": "string"}`, `{"anyOf": [{"type": "string", "format": "uuid"}, {"type": "string", "maxLength": 1}, {"type": ["string", "null"]}]}`, []string{
		"> b#/type it may be null or string in c, and here only string"}},
	{"a dynamic reference, in the same document", `{"$dynamicRef": "#n", "$defs": {"n": {"$dynamicAnchor": "n", "type": "string"}}}`,
		`{"$dynamicRef": "#n", "$defs": {"n": {"$dynamicAnchor": "n", "type": "string"}}}`, nil},
}

func TestStrict(t *testing.T) {
	for _, test := range strict {
		t.Run(test.name, func(t *testing.T) {
			expect(t, compare(t, Input, JSONSchema, test.baseline, test.canary, Options{}), test.want...)
		})
	}
}

// TestManyParts: parts of parts are as many as two to the power of their depth; that ends, and is told.
func TestManyParts(t *testing.T) {
	deep := `"d28": {"type": "object"}`
	for i := range 28 {
		deep = fmt.Sprintf(`"d%d": {"allOf": [{"$ref": "#/$defs/d%d"}, {"$ref": "#/$defs/d%d"}]}, `, 27-i, 28-i, 28-i) + deep
	}
	for _, many := range []string{`{"allOf": [{"$ref": "#"}, {"$ref": "#"}]}`, `{"$ref": "#/$defs/d0", "$defs": {` + deep + `}}`} {
		got := compare(t, Input, JSONSchema, many, `{"type": "string"}`, Options{})
		if len(got) == 0 || got[0] != "?< c# what b allows is not known: it has too many parts, or is nested too deep" {
			t.Errorf("found %q", got)
		}
		one, two := Document{Name: "b", Kind: JSONSchema, Text: []byte(many)}, Document{Name: "c", Kind: JSONSchema, Text: []byte(`{}`)}
		if _, err := Changes(Input, one, two, Options{}); err != nil {
			t.Error(err)
		}
	}
}

// TestParts: what a document refers to elsewhere is the same where it is known to be, and in one and the same document.
func TestParts(t *testing.T) {
	const text = `{"type": "object", "properties": {"a": {"$ref": "money.json#/x"}}}`
	document := func(name, body string, parts map[string]string) Document {
		return Document{Name: name, Kind: JSONSchema, Text: []byte(body), Parts: parts}
	}
	more := strings.Replace(text, `"a":`, `"b": {}, "a":`, 1)
	at := func(v string) map[string]string { return map[string]string{"money.json": "money@" + v} }
	for _, test := range []struct {
		name             string
		baseline, canary Document
		want             int
	}{
		{"one file", document("a.json", text, nil), document("a.json", text, nil), 0},
		{"two files", document("a.json", text, nil), document("b.json", text, nil), 2},
		{"one version", document("a", text, at("3")), document("b", more, at("3")), 0},
		{"the same words, and one version", document("a", text, at("3")), document("b", text, at("3")), 0},
		{"two versions", document("a", text, at("3")), document("b", text, at("4")), 2},
	} {
		found, err := Compare(Input, test.baseline, test.canary, Options{})
		if err != nil || len(found) != test.want {
			t.Errorf("%s: found %v, %v, want %d", test.name, found, err, test.want)
		}
	}
}
