package compat

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

var seed = flag.Uint64("seed", 1, "of the random schemas")

// TestSound holds the proof against a validator: where nothing was found, every random value that fits the writer's schema, and has no property that it doesn't
// name, fits the reader's.
func TestSound(t *testing.T) {
	random := rand.New(rand.NewPCG(*seed, 0))
	values := make([]any, 250)
	for i := range values {
		values[i] = randomValue(random, 2)
	}
	fitted, both := 0, 0
	for range 800 {
		a := randomSchema(random, 2)
		b := mutated(random, a)
		if random.IntN(4) == 0 {
			b = randomSchema(random, 2)
		}
		found, err := compareJSON(pass{Input, RollingOut, document(t, a), document(t, b)}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			continue
		}
		fitted++
		x, y := validator(t, a), validator(t, b)
		for _, v := range values {
			if x.Validate(v) != nil || !named(a, v) {
				continue
			}
			both++
			if err := y.Validate(v); err != nil {
				t.Fatalf("seed %d: nothing was found between\n%s\n%s\nand yet %s fits the first only: %v", *seed, text(a), marshal(t, b), marshal(t, v), err)
			}
		}
	}
	if fitted < 80 || both < 150 {
		t.Errorf("only %d pairs fitted, %d values were held against them: the test shows nothing", fitted, both)
	}
}

// named reports whether a value has only properties that a schema names.
func named(schema, v any) bool {
	s, _ := schema.(map[string]any)
	switch v := v.(type) {
	case map[string]any:
		for name, x := range v {
			property, there := object(s["properties"])[name]
			if s["properties"] == nil || !there {
				return false
			}
			if !named(property, x) {
				return false
			}
		}
	case []any:
		for _, x := range v {
			if s["items"] != nil && !named(s["items"], x) || s["items"] == nil && !named(nil, x) {
				return false
			}
		}
	}
	return true
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func document(t *testing.T, schema any) Document {
	t.Helper()
	return Document{Name: "x", Kind: JSONSchema, Text: marshal(t, schema)}
}

func validator(t *testing.T, schema any) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	if err := c.AddResource("x.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("x.json")
	if err != nil {
		t.Fatalf("%s: %v", marshal(t, schema), err)
	}
	return compiled
}

func pick[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

func digit(random *rand.Rand) json.Number { return json.Number(fmt.Sprint(random.IntN(5))) }

// randomValue is a small JSON value.
func randomValue(random *rand.Rand, depth int) any {
	switch n := random.IntN(9); {
	case n == 0:
		return nil
	case n == 1:
		return random.IntN(2) == 0
	case n < 4 || depth == 0:
		return pick[any](random, "", "a", "ab", "abc", "b", json.Number("0"), json.Number("1"), json.Number("2.5"), json.Number("3"), json.Number("4"))
	case n < 6:
		all := []any{}
		for range random.IntN(4) {
			all = append(all, randomValue(random, depth-1))
		}
		return all
	}
	m := map[string]any{}
	for range random.IntN(4) {
		m[pick(random, "p", "q", "r")] = randomValue(random, depth-1)
	}
	return m
}

// randomSchema is a schema of the keywords that are compared.
func randomSchema(random *rand.Rand, depth int) any {
	if random.IntN(20) == 0 {
		return random.IntN(2) == 0
	}
	m := map[string]any{}
	for range 1 + random.IntN(4) {
		word(random, m, depth)
	}
	return m
}

// word adds one keyword.
func word(random *rand.Rand, m map[string]any, depth int) {
	sub := func() any { return randomSchema(random, depth-1) }
	kind := func() any {
		return pick[any](random, "null", "boolean", "string", "number", "integer", "array", "object")
	}
	n := random.IntN(22)
	if depth == 0 {
		n = random.IntN(10)
	}
	switch n {
	case 0, 1:
		m["type"] = kind()
	case 2:
		a, b := kind(), kind()
		if a != b {
			m["type"] = []any{a, b}
		}
	case 3:
		m["enum"] = []any{randomValue(random, 0), randomValue(random, 0)}
		if all := m["enum"].([]any); equal(all[0], all[1]) {
			m["enum"] = all[:1]
		}
	case 4:
		m[pick(random, "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")] = digit(random)
	case 5:
		m[pick(random, "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")] = digit(random)
	case 6:
		m["multipleOf"] = pick(random, json.Number("1"), json.Number("0.5"), json.Number("2"))
	case 7:
		m["required"] = []any{pick(random, "p", "q")}
	case 8:
		m["uniqueItems"] = random.IntN(2) == 0
	case 9:
		m["pattern"] = pick(random, "^a", "b$")
	case 10, 11, 12:
		m["properties"] = map[string]any{"p": sub(), pick(random, "q", "r"): sub()}
	case 13:
		m["items"] = sub()
	case 14:
		m["additionalProperties"] = pick[any](random, false, false, true, sub())
	case 15:
		m[pick(random, "anyOf", "oneOf", "allOf")] = []any{sub(), sub()}
	case 16:
		m["prefixItems"] = []any{sub()}
	default:
		opaque(random, m, sub)
	}
}

// opaque adds what is not compared, so that it is seen whether it is known to be the same.
func opaque(random *rand.Rand, m map[string]any, sub func() any) {
	switch random.IntN(6) {
	case 0:
		m["not"] = sub()
	case 1:
		m["if"], m[pick(random, "then", "else")] = sub(), sub()
	case 2:
		m["contains"], m[pick(random, "minContains", "maxContains")] = sub(), digit(random)
	case 3:
		m["patternProperties"] = map[string]any{pick(random, "^p", "q|r"): sub()}
	case 4:
		m["dependentRequired"] = map[string]any{"p": []any{"q"}}
	case 5:
		m[pick(random, "unevaluatedProperties", "unevaluatedItems", "propertyNames")] = random.IntN(4) != 0
	}
}

// mutated is a schema with one thing changed, on whatever level.
func mutated(random *rand.Rand, schema any) any {
	m, is := schema.(map[string]any)
	if !is || len(m) == 0 {
		return schema
	}
	c := map[string]any{}
	keys := sorted(m)
	changed := pick(random, keys...)
	for _, k := range keys {
		c[k] = m[k]
		if k != changed {
			continue
		}
		switch v := m[k].(type) {
		case map[string]any:
			if k == "dependentRequired" {
				delete(c, k)
			} else if byName[k] {
				p := map[string]any{}
				for _, name := range sorted(v) {
					p[name] = mutated(random, v[name])
				}
				c[k] = p
			} else {
				c[k] = mutated(random, v)
			}
		default:
			if random.IntN(2) == 0 {
				delete(c, k)
			}
		}
	}
	if random.IntN(3) == 0 {
		word(random, c, 1)
	}
	return c
}

// FuzzCompare: whatever stands in two documents, they are compared or refused, the same way each time; and a document fits itself, unless
// it can't be said what it means.
func FuzzCompare(f *testing.F) {
	f.Add(request41, `{"type": ["object"], "properties": {"user": {"$ref": "#"}}}`)
	f.Add(`{"$schema": "draft-04", "minimum": 1e400, "exclusiveMinimum": true, "enum": {}, "type": 5, "required": "a", "items": [1]}`, `{"allOf": [{"$ref": "#"}, 1], "const": null}`)
	f.Add(`{"oneOf": [{"anyOf": [{}]}, {"pattern": "("}], "additionalProperties": 7}`, `{"$ref": "#/oneOf/0", "properties": [], "multipleOf": 0}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := Document{Name: "a", Kind: JSONSchema, Text: []byte(a)}, Document{Name: "b", Kind: JSONSchema, Text: []byte(b)}
		found, err := Compare(Input, x, y, Options{})
		again, same := Compare(Input, x, y, Options{})
		if fmt.Sprint(found, err) != fmt.Sprint(again, same) {
			t.Errorf("once %v (%v), then %v (%v)", found, err, again, same)
		}
		if found, err = Compare(Output, x, x, Options{}); err == nil && len(Harmful(found)) > 0 && !strings.Contains(a, "dynamicRef") && !strings.Contains(a, "recursiveRef") {
			t.Errorf("a schema doesn't fit itself: %v", found)
		}
	})
}
