package schemas

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The schemas of the files that people write are made from the tables of keys, which the parser reads by, too.
// go test ./schemas -update writes them.
var update = flag.Bool("update", false, "write golden files and schemas anew")

// golden holds got against a file, or writes the file.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test ./schemas -update writes it; read the difference):\n%s", path, got)
	}
}

func TestSchemasOfFilesAreMadeFromTheTables(t *testing.T) {
	files := []struct {
		name, about string
		form        *form
	}{
		{"rollout", "A rollout: one canary under test, and what happens then.", &rolloutForm},
		{"config", "The configuration of streamcanary serve.", &configForm},
	}
	for _, f := range files {
		schema := schemaOf(f.form)
		schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
		schema["$id"] = "https://streamcanary.dev/schemas/" + f.name + ".schema.json"
		schema["title"], schema["description"] = "streamcanary "+f.name, f.about
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(schema); err != nil {
			t.Fatal(err)
		}
		golden(t, f.name+schemaSuffix, out.Bytes())
	}
}

type object = map[string]any

func schemaOf(f *form) object {
	schema := plainSchema(f)
	if len(f.words) > 0 && f.kind != wordForm {
		schema = object{"anyOf": []any{schema, object{"enum": f.words}}}
	}
	if f.or != nil {
		schema = object{"anyOf": []any{schema, schemaOf(f.or)}}
	}
	return schema
}

func plainSchema(f *form) object {
	switch f.kind {
	case mappingForm:
		return mappingSchema(f)
	case namesForm:
		return object{"type": "object", "maxProperties": f.high, "propertyNames": textSchema(MaxNameBytes), "additionalProperties": schemaOf(f.item)}
	case listForm:
		schema := object{"type": "array", "maxItems": f.high, "items": schemaOf(f.item)}
		if f.low > 0 {
			schema["minItems"] = f.low
		}
		return schema
	case textForm:
		return textSchema(int(f.high))
	case patternForm:
		schema := textSchema(int(f.high))
		schema["not"] = object{"pattern": "[" + regexp.QuoteMeta(reservedInPatterns) + "]"}
		return schema
	case wordForm:
		return object{"enum": f.words}
	case numberForm, integerForm:
		least := "minimum"
		if f.open {
			least = "exclusiveMinimum"
		}
		return object{"type": map[bool]string{true: "integer", false: "number"}[f.kind == integerForm], least: f.low, "maximum": f.high}
	case durationForm:
		return object{"type": "string", "pattern": durationPattern}
	case percentForm:
		return object{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?%$`}
	case boolForm:
		return object{"type": "boolean"}
	case marginForm:
		return object{"type": []string{"string", "number"}}
	}
	panic(fmt.Sprintf("form of kind %d", f.kind))
}

func textSchema(most int) object {
	return object{"type": "string", "minLength": 1, "maxLength": most, "pattern": `\S`}
}

func mappingSchema(f *form) object {
	properties, needed := object{}, []string{}
	for i := range f.fields {
		one := &f.fields[i]
		properties[one.key] = fieldSchema(one)
		if one.need == required {
			needed = append(needed, one.key)
		}
	}
	schema := object{"type": "object", "additionalProperties": false, "properties": properties}
	if len(needed) > 0 {
		schema["required"] = needed
	}
	switch {
	case f.find("quantile") != nil:
		guardrailRules(schema)
	case f.find("within") != nil && f.find("cap") != nil:
		schema["dependentRequired"] = object{"cap": []string{"value"}, "value": []string{"cap"}}
	case f.find("region") != nil:
		schema["minProperties"] = 1
	case f.find("top") != nil:
		schema["not"] = object{"required": []string{"top", "list"}}
	}
	return schema
}

func fieldSchema(f *field) object {
	schema := schemaOf(&f.form)
	if f.def != "" {
		schema["default"] = jsonOf(f.def)
	}
	if f.need == laterElse {
		schema = object{"default": jsonOf(f.def), "const": jsonOf(f.def)}
		if f.form.kind == durationForm {
			schema = object{"default": jsonOf(f.def), "type": "string", "pattern": `^(0+(\.0+)?(d|h|ms|m|s|us|µs|ns))+$`}
		}
	}
	schema["description"] = f.about
	if f.need == laterElse {
		schema["description"] = f.about + " (other values are not supported yet)"
	}
	return schema
}

// jsonOf returns a default as a value of JSON.
func jsonOf(text string) any {
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		panic(err)
	}
	return value
}

// guardrailRules adds what no single key of a guardrail shows: what it watches, which way is harm, in which unit.
func guardrailRules(schema object) {
	schema["dependentRequired"] = object{
		"of": []string{"quantile"}, "limit": []string{"sample"}, "sample": []string{"limit"}, "from": []string{"mean"}, "cap": []string{"mean"},
		"test": []string{"distribution"}, "distribution": []string{"test"},
		externalKey: []string{"match"}, "match": []string{externalKey}, "for": []string{externalKey}, "staleAfter": []string{externalKey},
	}
	has := func(keys ...string) object { return object{"required": keys} }
	with := func(when object, key string, what any) object { when[key] = what; return when }
	isScore := func(key string) object {
		return with(has(key), "properties", object{key: object{"const": ofScore}})
	}
	linear := func(key string) []any { return []any{isScore(key), has("buckets")} }
	latency := with(has("quantile"), "properties", object{"of": object{"const": ofLatency}})
	values := object{"of": object{"not": object{"enum": []string{ofLatency, ofScore}}}}
	schema["allOf"] = []any{
		object{"oneOf": needs(guardrailKinds)},
		object{"if": has(externalKey), "then": object{"not": object{"anyOf": needs(statisticKeys())}}, "else": object{
			"if": has("distribution"), "then": object{"not": object{"anyOf": []any{has("above"), has("below"), has("increase", "decrease")}}},
			"else": object{"oneOf": needs(guardrailDirections)}}},
		object{"if": has("buckets"), "then": object{"anyOf": needs([]string{"quantile", "distribution"})}},
		unitRule(has("rate"), Guardrail{Kind: RateGuardrail}), unitRule(has("sample"), Guardrail{Kind: GaugeGuardrail}),
		unitRule(has("mean"), Guardrail{Kind: MeanGuardrail, Of: "values"}),
		unitRule(latency, Guardrail{Kind: QuantileGuardrail, Of: ofLatency}),
		unitRule(with(with(has("quantile", "of"), "properties", values), "not", has("buckets")), Guardrail{Kind: QuantileGuardrail, Of: "values"}),
		unitRule(with(has("quantile"), "anyOf", linear("of")), Guardrail{Kind: QuantileGuardrail, Of: ofScore, Buckets: scoreBuckets}),
		unitRule(with(has("distribution"), "anyOf", linear("distribution")), Guardrail{Kind: DistributionGuardrail, Of: ofScore, Buckets: scoreBuckets}),
		unitRule(with(has("distribution"), "not", object{"anyOf": linear("distribution")}), Guardrail{Kind: DistributionGuardrail, Of: "values"}),
	}
}

// statisticKeys are those that no guardrail from outside has.
func statisticKeys() []string {
	var keys []string
	for _, f := range guardrailKeys(false).fields {
		if f.key != "name" && f.key != "on" {
			keys = append(keys, f.key)
		}
	}
	return keys
}

func needs(keys []string) []any {
	var each []any
	for _, key := range keys {
		each = append(each, object{"required": []string{key}})
	}
	return each
}

func unitRule(when object, g Guardrail) object {
	margins := object{}
	for _, d := range guardrailDirections {
		if g.Direction = Direction(d); g.Kind != DistributionGuardrail || g.Direction.Contrast() {
			margins[d] = marginSchema(ruleOf(&g), g.Direction)
		}
	}
	return object{"if": when, "then": object{"properties": margins}}
}

func marginSchema(rule marginRule, d Direction) object {
	const decimal, share = `[0-9]+(\.[0-9]+)?`, `[0-9]{1,2}(\.[0-9]+)?`
	var ways []string
	add := func(unit marginUnits, way string) {
		if rule.units&unit != 0 {
			ways = append(ways, way)
		}
	}
	add(unitAny, anyWord)
	if d == Decrease {
		add(unitFactor, share+"%")
	} else {
		add(unitFactor, decimal+"%")
	}
	add(unitPoints, share+"pp")
	add(unitShare, share+"%")
	add(unitTime, decimal+"(d|h|ms|m|s|us|µs|ns)")
	add(unitNumber, decimal)
	schema := object{"type": "string", "pattern": "^(" + strings.Join(ways, "|") + ")$", "description": "write e.g. " + rule.write}
	if rule.units&unitNumber != 0 {
		schema["type"] = []string{"string", "number"}
		schema["minimum"] = 0
		if !d.Contrast() {
			delete(schema, "minimum")
			schema["exclusiveMinimum"] = 0
		}
	}
	return schema
}
