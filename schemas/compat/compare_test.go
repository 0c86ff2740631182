package compat

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// said is a finding in short: < for rolling out, > for rolling back, ? for unchecked, then where and what.
func said(f Finding) string {
	way := map[Way]string{RollingOut: "<", RollingBack: ">"}[f.Way]
	if f.Unchecked {
		way = "?" + way
	}
	return fmt.Sprintf("%s %s %s", way, f.At, f.Change)
}

// compare returns the findings of two documents in short.
func compare(t *testing.T, role Role, kind Kind, baseline, canary string, o Options) []string {
	t.Helper()
	found, err := Compare(role, Document{Name: "b", Kind: kind, Text: []byte(baseline)}, Document{Name: "c", Kind: kind, Text: []byte(canary)}, o)
	if err != nil {
		t.Fatal(err)
	}
	words := []string{}
	for _, f := range found {
		words = append(words, said(f))
		if f.Do == "" || (f.Harm == "") != f.Unchecked || f.String() == "" {
			t.Errorf("%+v says not what to do, or whom it hurts", f)
		}
	}
	return words
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// request41 is a schema of requests as one would write it; the rows below change it.
const request41 = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/ranker/41", "title": "a request",
  "type": "object", "required": ["user", "items"], "additionalProperties": false,
  "properties": {
    "user": {"type": "string", "minLength": 1, "maxLength": 64, "description": "who asks"},
    "age": {"type": "integer", "minimum": 0, "maximum": 150},
    "device": {"enum": ["phone", "tablet"]},
    "items": {"type": "array", "maxItems": 100, "items": {"$ref": "#/$defs/item"}},
    "where": {"anyOf": [{"type": "null"}, {"type": "string"}]}
  },
  "$defs": {"item": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "price": {"type": "number", "exclusiveMinimum": 0}}}}
}`

// requests are changes of request41, and what is found.
var requests = []struct {
	name, old, new string
	want           []string
}{
	{"nothing", "", "", nil},
	{"other words", `"a request"`, `"what is asked"`, nil},
	{"an optional property", `"age":`, `"city": {"type": "string"}, "age":`, []string{
		"> b#/additionalProperties property city of c is not taken here"}},
	{"a required one", `"required": ["user", "items"]`, `"required": ["user", "items", "age"]`, []string{
		"< c#/required property age is required here, and not in b"}},
	{"one that need not be there any more", `"required": ["user", "items"]`, `"required": ["user"]`, []string{
		"> b#/required property items is required here, and not in c"}},
	{"one is gone", `"device": {"enum": ["phone", "tablet"]},`, "", []string{
		"< c#/additionalProperties property device of b is not taken here"}},
	{"a narrower type", `"type": "number", "exclusiveMinimum"`, `"type": "integer", "exclusiveMinimum"`, []string{
		"< c#/$defs/item/properties/price/type it may be number in b, and here only integer"}},
	{"another type", `"age": {"type": "integer",`, `"age": {"type": "string",`, []string{
		"< c#/properties/age/type it may be integer in b, and here only string",
		"> b#/properties/age/type it may be string in c, and here only integer"}},
	{"a value more", `"tablet"]`, `"tablet", "tv"]`, []string{
		`> b#/properties/device/enum ["tv"] is not taken here, and allowed in c`}},
	{"a value less", `"phone", "tablet"`, `"phone"`, []string{
		`< c#/properties/device/enum ["tablet"] is not taken here, and allowed in b`}},
	{"narrower bounds", `"minimum": 0, "maximum": 150`, `"minimum": 18, "maximum": 99`, []string{
		"< c#/properties/age/minimum minimum is 18 here, and b allows lower numbers",
		"< c#/properties/age/maximum maximum is 99 here, and b allows greater numbers"}},
	{"the same bounds, said otherwise", `"minimum": 0, "maximum": 150`, `"exclusiveMinimum": -1, "exclusiveMaximum": 150.5`, nil},
	{"an open bound", `"exclusiveMinimum": 0`, `"minimum": 0`, []string{
		"> b#/$defs/item/properties/price/exclusiveMinimum exclusiveMinimum is 0 here, and c allows lower numbers"}},
	{"shorter", `"maxLength": 64`, `"maxLength": 32`, []string{
		"< c#/properties/user/maxLength maxLength is 32 here, and b allows longer strings"}},
	{"no length", `"minLength": 1, `, "", []string{
		"> b#/properties/user/minLength minLength is 1 here, and c allows shorter strings"}},
	{"fewer items", `"maxItems": 100`, `"maxItems": 50`, []string{
		"< c#/properties/items/maxItems maxItems is 50 here, and b allows more items"}},
	{"open", `"additionalProperties": false,`, "", []string{
		"> b#/additionalProperties additional properties are refused here, and allowed in c"}},
	{"no null", `{"anyOf": [{"type": "null"}, {"type": "string"}]}`, `{"type": "string"}`, []string{
		"< c#/properties/where/type it may be null in b, and here only string"}},
	{"null, said otherwise", `{"anyOf": [{"type": "null"}, {"type": "string"}]}`, `{"type": ["string", "null"]}`, nil},
	{"an alternative more", `{"type": "null"}, {"type": "string"}`, `{"type": "null"}, {"type": "string"}, {"type": "number"}`, []string{
		"> b#/properties/where/anyOf no alternative takes number, which c allows (the nearest: it may be number in c, and here only null)"}},
	{"a pattern", `"minLength": 1,`, `"minLength": 1, "pattern": "^u-",`, []string{
		"< c#/properties/user/pattern only strings like ^u- are taken here, and b allows any"}},
	{"a format", `"minLength": 1,`, `"minLength": 1, "format": "uuid",`, []string{
		`?< c#/properties/user/format format is "uuid" here, and not in b`}},
	{"what isn't understood", `"required": ["user"`, `"not": {"required": ["age"]}, "required": ["user"`, []string{
		"?< c#/not keyword not is not compared, and not known to say the same in b"}},
	{"a word of no standard", `"description": "who asks"`, `"nullable": true`, []string{
		"?< c#/properties/user/nullable keyword nullable is not compared, and not known to say the same in b",
		"?> b#/properties/user keyword nullable of c is not known here"}},
	{"a reference elsewhere", `"#/$defs/item"`, `"item.json"`, []string{
		`?< c#/properties/items/items $ref "item.json" points out of the document`,
		`?> b#/$defs/item what c allows is not known: $ref "item.json" points out of the document`}},
}

func TestRequests(t *testing.T) {
	for _, test := range requests {
		t.Run(test.name, func(t *testing.T) {
			changed := strings.Replace(request41, test.old, test.new, 1)
			if test.old != "" && changed == request41 {
				t.Fatalf("the schema has no %s", test.old)
			}
			expect(t, compare(t, Input, JSONSchema, request41, changed, Options{}), test.want...)
			// Of answers the ways are the other way round: a version writes them, and callers read.
			var turned []string
			for _, way := range []string{">", "<"} {
				for _, line := range test.want {
					if strings.HasPrefix(strings.TrimPrefix(line, "?"), way) {
						turned = append(turned, strings.Replace(line, way, map[string]string{"<": ">", ">": "<"}[way], 1))
					}
				}
			}
			expect(t, compare(t, Output, JSONSchema, request41, changed, Options{}), turned...)
		})
	}
}

// pairs are schemas, and what is found.
var pairs = []struct {
	name, baseline, canary string
	want                   []string
}{
	{"anything and nothing", `true`, `false`, []string{"< c# nothing is allowed here, and something in b"}},
	{"no type said", `{}`, `{"type": "object"}`, []string{"< c#/type it may be anything in b, and here only object"}},
	{"whole numbers are numbers", `{"type": ["integer", "string"]}`, `{"type": ["number", "string"]}`, []string{
		"> b#/type it may be string or number in c, and here only string or integer"}},
	{"multiples", `{"type": "integer", "multipleOf": 4}`, `{"type": "integer", "multipleOf": 2}`, []string{
		"> b#/multipleOf only multiples of 4 are taken here, and c allows others"}},
	{"all whole numbers are multiples of a half", `{"type": "integer"}`, `{"type": "integer", "multipleOf": 0.5}`, nil},
	{"const and enum", `{"const": "a"}`, `{"enum": ["a", "b"]}`, []string{`> b#/const ["b"] is not taken here, and allowed in c`}},
	{"values and types", `{"enum": [true, false]}`, `{"type": "boolean"}`, nil},
	{"values within bounds", `{"enum": [1, 2.5]}`, `{"type": "number", "minimum": 1, "maximum": 2.5}`, []string{
		"> b#/enum only [1,2.5] is taken here, and c allows more"}},
	{"values of a length", `{"enum": ["ab", "é"]}`, `{"type": "string", "minLength": 1, "maxLength": 2, "pattern": "."}`, []string{
		`> b#/enum only ["ab","é"] is taken here, and c allows more`}},
	{"1 and 1.0 are one value", `{"enum": [1]}`, `{"enum": [1.0]}`, nil},
	{"numbers beyond a double", `{"type": "integer", "maximum": 9007199254740993}`, `{"type": "integer", "maximum": 9007199254740992}`, []string{
		"< c#/maximum maximum is 9007199254740992 here, and b allows greater numbers"}},
	{"draft-04 bounds", `{"$schema": "http://json-schema.org/draft-04/schema#", "type": "number", "minimum": 0, "exclusiveMinimum": true}`, `{"type": "number", "exclusiveMinimum": 0}`, nil},
	{"draft-04 bounds of two parts", `{"allOf": [{"type": "integer", "minimum": 5}, {"minimum": 0, "exclusiveMinimum": true}]}`, `{"type": "integer", "minimum": 6}`, []string{
		"< c#/minimum minimum is 6 here, and b allows lower numbers"}},
	{"tuples of two drafts", `{"type": "array", "items": [{"type": "string"}], "additionalItems": false}`, `{"type": "array", "prefixItems": [{"type": "string"}], "items": false}`, nil},
	{"a tuple", `{"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]}`, `{"type": "array", "prefixItems": [{"type": "string"}]}`, []string{
		"> b#/prefixItems/1/type it may be anything in c, and here only number"}},
	{"unique", `{"type": "array", "uniqueItems": true}`, `{"type": "array"}`, []string{"> b#/uniqueItems items must differ here, and need not in c"}},
	{"as many as are required", `{"type": "object", "required": ["a"], "minProperties": 1}`, `{"type": "object", "required": ["a"]}`, nil},
	{"a map", `{"type": "object", "additionalProperties": {"type": "integer"}}`, `{"type": "object", "additionalProperties": {"type": "number"}}`, []string{
		"> b#/additionalProperties/type it may be number in c, and here only integer"}},
	{"a property that an open schema doesn't name", `{"type": "object", "properties": {"a": {}}}`, `{"type": "object"}`, nil},
	{"names by pattern", `{"type": "object", "properties": {"x_a": {"type": "string"}}, "additionalProperties": false}`,
		`{"type": "object", "patternProperties": {"^x_": {"type": "number"}}, "additionalProperties": false}`, []string{
			"< c#/patternProperties/^x_/type it may be string in b, and here only number",
			"> b#/additionalProperties properties like ^x_ of c are not taken here",
			"> b#/properties/x_a/type it may be number in c, and here only string"}},
	{"the same pattern", `{"type": "object", "patternProperties": {"^x_": {"type": "integer"}}, "additionalProperties": false}`,
		`{"type": "object", "patternProperties": {"^x_": {"type": "number"}}, "additionalProperties": false}`, []string{
			"> b#/patternProperties/^x_/type it may be number in c, and here only integer"}},
	{"a pattern less", `{"type": "object", "patternProperties": {"^x_": {}}, "additionalProperties": false}`, `{"type": "object", "additionalProperties": false}`, []string{
		"< c#/additionalProperties properties like ^x_ of b are not taken here"}},
	{"another pattern", `{"type": "object", "patternProperties": {"^x": {}}, "additionalProperties": false}`,
		`{"type": "object", "patternProperties": {"^y": {}}, "additionalProperties": false}`, []string{
			"?< c#/additionalProperties properties like ^x of b may not be taken here",
			"?> b#/additionalProperties properties like ^y of c may not be taken here"}},
	{"a pattern in a map", `{"type": "object", "patternProperties": {"^x": {"type": "string"}}, "additionalProperties": false}`,
		`{"type": "object", "additionalProperties": {"type": "integer"}}`, []string{
			"< c#/additionalProperties/type it may be string in b, and here only integer",
			"> b#/additionalProperties additional properties are refused here, and allowed in c",
			"> b#/patternProperties/^x/type it may be integer in c, and here only string"}},
	{"an open schema becomes a map", `{"type": "object"}`, `{"type": "object", "additionalProperties": {"type": "integer"}}`, []string{
		"< c#/additionalProperties/type it may be anything in b, and here only integer"}},
	{"anything becomes a map", `{"type": "object", "additionalProperties": true}`, `{"type": "object", "additionalProperties": {"type": "integer"}}`, []string{
		"< c#/additionalProperties/type it may be anything in b, and here only integer"}},
	{"what is not evaluated", `{"type": "object", "properties": {"a": {}, "b": {}}, "unevaluatedProperties": false}`,
		`{"type": "object", "properties": {"a": {}}, "unevaluatedProperties": false}`, []string{
			"< c#/unevaluatedProperties property b of b is not taken here"}},
	{"what no part evaluates", `{"type": "object", "allOf": [{"properties": {"a": {}, "b": {}}}], "unevaluatedProperties": false}`,
		`{"type": "object", "allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": false}`, []string{
			"?< c#/unevaluatedProperties keyword unevaluatedProperties is not compared, and not known to say the same in b",
			"?> b#/unevaluatedProperties keyword unevaluatedProperties is not compared, and not known to say the same in c"}},
	{"items that are not evaluated", `{"type": "array", "prefixItems": [{}, {}], "unevaluatedItems": false}`, `{"type": "array", "prefixItems": [{}], "unevaluatedItems": false}`, []string{
		"< c#/unevaluatedItems nothing is allowed here, and something in b"}},
	{"how many it contains", `{"type": "array", "contains": {"const": 1}, "minContains": 0}`, `{"type": "array", "contains": {"const": 1}}`, []string{
		"?< c#/contains keyword contains is not compared, and not known to say the same in b",
		"?> b#/contains keyword contains is not compared, and not known to say the same in c", "?> b#/minContains keyword minContains is not compared, and not known to say the same in c"}},
	{"a dynamic reference", `{"type": "object", "properties": {"a": {"$dynamicRef": "#n"}}, "$defs": {"n": {"$dynamicAnchor": "n", "type": "string"}}}`,
		`{"type": "object", "properties": {"a": {"$dynamicRef": "#n"}}, "$defs": {"n": {"$dynamicAnchor": "n", "type": "integer"}}}`, []string{
			"?< c#/properties/a/$dynamicRef keyword $dynamicRef is not compared, and not known to say the same in b",
			"?> b#/properties/a/$dynamicRef keyword $dynamicRef is not compared, and not known to say the same in c"}},
	{"a reference out of both", `{"type": "object", "properties": {"a": {"$ref": "common.json#/x"}}}`, `{"type": "object", "properties": {"a": {"$ref": "common.json#/x"}}}`, []string{
		`?< c#/properties/a $ref "common.json#/x" points out of the document`,
		`?> b#/properties/a $ref "common.json#/x" points out of the document`}},
	{"parts that are one", `{"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}}, {"required": ["a"]}]}`,
		`{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}`, nil},
	{"a narrower part", `{"allOf": [{"$ref": "#/$defs/id"}, {"maxLength": 9}, {"minLength": 2}], "$defs": {"id": {"type": "string", "minLength": 1, "maxLength": 64}}}`,
		`{"type": "string", "minLength": 2, "maxLength": 9}`, nil},
	{"the same words behind references", `{"properties": {"a": {"allOf": [{"$ref": "#/$defs/id"}, {"enum": ["x"]}]}, "b": true}, "$defs": {"id": {"enum": ["x", "y"]}}}`,
		`{"properties": {"a": {"allOf": [{"$ref": "#/$defs/id"}, {"enum": ["x"]}]}}, "$defs": {"id": {"enum": ["x", "y"]}}}`, nil},
	{"other words behind references", `{"properties": {"a": {"$ref": "#/$defs/id"}}, "$defs": {"id": {"$ref": "#/$defs/x"}, "x": {"type": "string"}}}`,
		`{"properties": {"a": {"$ref": "#/$defs/id"}}, "$defs": {"id": {"$ref": "#/$defs/x"}, "x": {"type": "number"}}}`, []string{
			"< c#/$defs/x/type it may be string in b, and here only number", "> b#/$defs/x/type it may be number in c, and here only string"}},
	{"a reference beside other words", `{"$ref": "#/$defs/a", "required": ["x"], "$defs": {"a": {"type": "object", "properties": {"x": {"type": "string"}}}}}`,
		`{"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}`, []string{
			"< c#/properties/x/type it may be string in b, and here only number",
			"> b#/$defs/a/properties/x/type it may be number in c, and here only string"}},
	{"a reference that stands alone in draft-07", `{"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/a", "minLength": 5, "definitions": {"a": {"type": "string"}}}`,
		`{"type": "string", "minLength": 0}`, nil},
	{"a circle", `{"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}, "v": {"type": "integer"}}}}}`,
		`{"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}, "v": {"type": "number"}}}}}`, []string{
			"> b#/$defs/n/properties/v/type it may be number in c, and here only integer"}},
	{"references in a circle", `{"$ref": "#"}`, `{"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}`, []string{
		"?< c#/$defs/a what b allows is not known: its references lead in a circle, or through more than 32",
		"?> b# its references lead in a circle, or through more than 32"}},
	{"one of kinds", `{"oneOf": [{"type": "object", "properties": {"kind": {"const": "a"}}, "required": ["kind"]}, {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]}]}`,
		`{"oneOf": [{"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]}, {"type": "object", "properties": {"kind": {"const": "a"}}, "required": ["kind"]}]}`, nil},
	{"one of what overlaps", `{"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string", "minLength": 2}]}`, `{"type": "string", "maxLength": 2}`, []string{
		"< c#/maxLength maxLength is 2 here, and b allows longer strings",
		"?> b#/oneOf that only one of the alternatives takes it is not proven"}},
}

func TestSchemas(t *testing.T) {
	for _, test := range pairs {
		t.Run(test.name, func(t *testing.T) {
			expect(t, compare(t, Input, JSONSchema, test.baseline, test.canary, Options{}), test.want...)
		})
	}
}

func TestFeatures(t *testing.T) {
	const old = "# of ranker 41\nage: int64\nprice: float\ncity\n"
	for _, test := range []struct {
		name, canary string
		o            Options
		want         []string
	}{
		{"the same, in another order", "city\nprice: float\n\nage: int64", Options{}, nil},
		{"order matters", "city\nprice: float\nage: int64", Options{Ordered: true}, []string{
			"< c:1 place 1 is city, and age in b", "> b:2 place 1 is age, and city in c"}},
		{"one more", "age: int64\nprice: float\ncity\nrain: float", Options{}, []string{"< c:4 feature rain is not in b"}},
		{"one more that isn't needed", "age: int64\nprice: float\ncity\nrain: float?", Options{}, nil},
		{"one more, in order", "age: int64\nprice: float\ncity\nrain?", Options{Ordered: true}, []string{
			"< c:4 place 4 is rain, and the end in b", "> b:4 place 4 is the end, and rain in c"}},
		{"one less", "age: int64\nprice: float", Options{}, []string{"> b:4 feature city is not in c"}},
		{"another type", "age: string\nprice: float\ncity", Options{}, []string{
			"< c:1 feature age is string here and int64 in b", "> b:2 feature age is int64 here and string in c"}},
		{"a type in one", "age\nprice: float\ncity", Options{}, []string{
			"?< c:1 feature age has a type in one list only", "?> b:2 feature age has a type in one list only"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, compare(t, Features, FeatureList, old, test.canary, test.o), test.want...)
		})
	}
}

const avro41 = `{"type": "record", "name": "Request", "namespace": "ranker", "fields": [
  {"name": "user", "type": "string"},
  {"name": "age", "type": ["null", "int"], "default": null},
  {"name": "device", "type": {"type": "enum", "name": "Device", "symbols": ["PHONE", "TABLET"]}}]}`

func TestAvro(t *testing.T) {
	for _, test := range []struct {
		name, old, new string
		want           []string
	}{
		{"nothing", "", "", nil},
		{"a field with a default", `{"name": "age"`, `{"name": "city", "type": "string", "default": ""}, {"name": "age"`, nil},
		{"a field without", `{"name": "age"`, `{"name": "city", "type": "string"}, {"name": "age"`, []string{
			"< c at city field of type string has no default, and is not in b"}},
		{"a field is gone", `{"name": "user", "type": "string"},`, "", []string{"> b at user field of type string has no default, and is not in c"}},
		{"a wider type", `["null", "int"]`, `["null", "long"]`, []string{"> b at age the union has no branch for union[1]:long, which c has"}},
		{"a symbol more", `"TABLET"]`, `"TABLET", "TV"]`, []string{
			`> b at device writer enum symbol "TV" not in reader and reader has no default (writer: c, reader: b)`}},
		{"another type", `"name": "user", "type": "string"`, `"name": "user", "type": "long"`, []string{
			"< c at user it is long here, and string in b", "> b at user it is string here, and long in c"}},
		{"another name", `"name": "Request"`, `"name": "Ask"`, []string{
			"< c at (root) it is named ranker.Ask here, and ranker.Request in b", "> b at (root) it is named ranker.Request here, and ranker.Ask in c"}},
		{"a meaning", `"int"]`, `{"type": "int", "logicalType": "date"}]`, []string{
			"?< c at age it is date here, and a plain int in b", "?> b at age it is a plain int here, and date in c"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, compare(t, Input, Avro, avro41, strings.Replace(avro41, test.old, test.new, 1), Options{}), test.want...)
		})
	}
}

// TestLogicalTypes: a number that is read is not yet understood.
func TestLogicalTypes(t *testing.T) {
	schema := func(unit string) string {
		return `{"type": "record", "name": "R", "fields": [
			{"name": "seen", "type": {"type": "array", "items": ["null", {"type": "long", "logicalType": "timestamp-` + unit + `"}]}},
			{"name": "next", "type": ["null", "R"]}]}`
	}
	expect(t, compare(t, Input, Avro, schema("millis"), schema("millis"), Options{}))
	expect(t, compare(t, Input, Avro, schema("millis"), schema("micros"), Options{}),
		"< c at seen[] it is timestamp-micros here, and timestamp-millis in b",
		"> b at seen[] it is timestamp-millis here, and timestamp-micros in c")
}

// TestLogicalTypesBehindOtherNames: what is read under another name, or as a wider type, has its meaning, too.
func TestLogicalTypesBehindOtherNames(t *testing.T) {
	schema := func(name, field, kind string) string {
		return `{"type": "record", "name": "` + name + `", "aliases": ["R", "S"], "fields": [{"name": "` + field + `", "aliases": ["` + map[string]string{"old": "new", "new": "old"}[field] + `"], "type": ` + kind + `}]}`
	}
	const millis, date = `{"type": "long", "logicalType": "timestamp-millis"}`, `{"type": "int", "logicalType": "date"}`
	expect(t, compare(t, Input, Avro, schema("R", "old", millis), schema("S", "new", `{"type": "long", "logicalType": "timestamp-micros"}`), Options{}),
		"< c at new it is timestamp-micros here, and timestamp-millis in b", "> b at old it is timestamp-millis here, and timestamp-micros in c")
	expect(t, compare(t, Input, Avro, schema("R", "old", date), schema("R", "old", millis), Options{}),
		"< c at old it is timestamp-millis here, and date in b", "> b at old it is int here, and long in c")
	expect(t, compare(t, Input, Avro, schema("R", "old", date), schema("R", "old", `["null", "double"]`), Options{}),
		"?< c at old it is a plain double here, and date in b", "> b at old it is int here, and null in c")
	expect(t, compare(t, Input, Avro, schema("R", "old", `"int"`), schema("R", "old", `"int"`), Options{}))
}

func TestUnreadable(t *testing.T) {
	for _, test := range []struct {
		kind       Kind
		text, want string
	}{
		{JSONSchema, `{"type": `, "c is no JSON: unexpected EOF"},
		{JSONSchema, "{\n\n\"type\": x}", "c is no JSON: invalid character 'x' looking for beginning of value, in line 3"},
		{JSONSchema, `{} {}`, "c is no JSON Schema: something stands behind its end, at byte 4"},
		{JSONSchema, `[]`, "c is no JSON Schema: it is neither an object nor true or false"},
		{JSONSchema, `{"properties": {"a": {"type": "strng"}}}`, "c is no JSON Schema: /properties/a/type: value must be one of"},
		{JSONSchema, `{"$schema": "http://json-schema.org/draft-07/schema#", "minimum": 1, "exclusiveMinimum": true}`, "c is no JSON Schema: /exclusiveMinimum: got boolean, want number"},
		{JSONSchema, `{"$schema": "https://example.com/ours"}`, "c names a $schema that is not known here, https://example.com/ours: write it in one of 2020-12, 2019-09, draft-07, draft-06, draft-04"},
		{JSONSchema, `{"$defs": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}}`, "c#/$defs/a is of draft-07, and the document of 2020-12: write both in one"},
		{JSONSchema, "{\"properties\": {\"a\": {\"type\": \"string\"},\n\"a\": {}}}", "c: key properties.a stands there twice, the second time in line 2: remove one"},
		{JSONSchema, `{"$schema": "http://json-schema.org/draft-07/schema#", "required": "a", "maximum": true, "type": 5, "enum": {}}`, "c is no JSON Schema: /enum: got object, want array"},
		{Avro, `{"type": "fixed", "name": "A", "size": 1, "size": 2}`, "c: key size stands there twice, the second time in line 1: remove one"},
		{Avro, `{"type": "recrd"}`, "c is no Avro schema: "},
		{FeatureList, "a: b c", `c:1: "a: b c" is no feature: write ` + "`name` or `name: type`"},
		{FeatureList, "a:", `c:1: "a:" is no feature`},
		{FeatureList, "a\n\na: int", "c:3: feature a stands there already, in line 1: remove one"},
		{FeatureList, "# none\n", "c: it lists no feature"},
		{FeatureList, strings.Repeat("x", MaxDocumentBytes+1), "c has 1048577 bytes, at most 1048576 are compared"},
		{"Protobuf", "", "b is a Protobuf: that is not compared here"},
	} {
		good := map[Kind]string{JSONSchema: "{}", Avro: `"string"`, FeatureList: "a"}[test.kind]
		_, err := Compare(Input, Document{Name: "b", Kind: test.kind, Text: []byte(good)}, Document{Name: "c", Kind: test.kind, Text: []byte(test.text)}, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.text[:min(20, len(test.text))], err, test.want)
		}
	}
	_, err := Compare(Input, Document{Name: "b", Kind: Avro, Text: nil}, Document{Name: "c", Kind: JSONSchema, Text: nil}, Options{})
	if want := "b is an Avro schema, and c a JSON Schema: they can't be held against each other"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestBounds has documents that are too much of everything: they end, and say that not all was checked.
func TestBounds(t *testing.T) {
	var many, deep strings.Builder
	many.WriteString(`{"type": "object", "required": [`)
	for i := range 300 {
		fmt.Fprintf(&many, `"p%d",`, i)
	}
	many.WriteString(`"last"]}`)
	got := compare(t, Input, JSONSchema, `{"type": "object"}`, many.String(), Options{})
	if len(got) != maxFindings+1 || got[maxFindings] != "< c 201 findings more" {
		t.Errorf("%d findings, the last %s", len(got), got[len(got)-1])
	}
	for range 200 {
		deep.WriteString(`{"type": "object", "properties": {"x": `)
	}
	nested := func(leaf string) string { return deep.String() + leaf + strings.Repeat("}}", 200) }
	got = compare(t, Input, JSONSchema, nested(`{"type": "string"}`), nested(`{"type": "number"}`), Options{})
	if len(got) != 2 || !strings.HasPrefix(got[0], "?< c# the schemas are too large") {
		t.Errorf("found %q", got)
	}
	// Alternatives in alternatives in alternatives: each is tried against each.
	wide := `{"type": ["string", "number", "object", "array"]}`
	for range 4 {
		wide = fmt.Sprintf(`{"type": "object", "properties": {"x": {"anyOf": [%s, %s, %s]}}, "anyOf": [{"minProperties": 1}, {"maxProperties": 3}]}`, wide, wide, wide)
	}
	other := strings.ReplaceAll(wide, `"string"`, `"boolean"`)
	if got = compare(t, Input, JSONSchema, wide, other, Options{}); len(got) == 0 {
		t.Error("nothing was found")
	}
}
