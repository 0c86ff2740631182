package compat

import (
	"fmt"
	"regexp"
	"slices"
)

// objects holds properties against each other.
func (w *walk) objects(f flat, b place, schema map[string]any) {
	sure := texts(f.words["required"])
	for _, name := range texts(schema["required"]) {
		if !slices.Contains(sure, name) {
			w.tell(b.in(nil, "required"), fmt.Sprintf("property %s is required here, and not in %s", shown(name), w.writer.Name),
				fmt.Sprintf("make it optional here, or require it in %s first", w.writer.Name))
		}
	}
	a := place{f.at, f.words}
	named := object(f.words["properties"])
	for _, name := range sorted(f.words["properties"]) {
		w.property(name, a.in(named[name], "properties", name), b, schema)
	}
	w.unnamed(f, b, schema)
}

// property holds one that the writer names against whatever the reader says of it.
func (w *walk) property(name string, a, b place, schema map[string]any) {
	known := false
	if here, there := object(schema["properties"])[name]; there {
		known = true
		w.fits(a, b.in(here, "properties", name))
	}
	for _, source := range sorted(schema["patternProperties"]) {
		expression, err := regexp.Compile(source)
		at := b.in(object(schema["patternProperties"])[source], "patternProperties", source)
		switch {
		case err != nil:
			known = true
			w.unchecked(at, "the pattern can't be read here")
		case expression.MatchString(name):
			known = true
			w.fits(a, at)
		}
	}
	key := othersIn(schema)
	if known || key == "" {
		return
	}
	if schema[key] == false {
		if !w.written.flat(a, 0).never {
			w.tell(b.in(nil, key), fmt.Sprintf("property %s of %s is not taken here", shown(name), w.writer.Name),
				"name it here, too, or let additional properties be")
		}
		return
	}
	w.fits(a, b.in(schema[key], key))
}

// othersIn is the keyword by which a schema speaks of the properties that nothing else in it speaks of; "": none.
func othersIn(words map[string]any) string {
	if _, said := words["additionalProperties"]; said {
		return "additionalProperties"
	}
	if _, said := words["unevaluatedProperties"]; said && plainly(words) {
		return "unevaluatedProperties"
	}
	return ""
}

// plainly reports whether no other keyword of a schema evaluates its value's parts: then unevaluated is what nothing named.
func plainly(words map[string]any) bool {
	return !slices.ContainsFunc([]string{"$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "if", "then", "else", "not", "dependentSchemas", "contains"},
		func(key string) bool { _, there := words[key]; return there })
}

// unnamed holds what is said of properties without a name against each other.
func (w *walk) unnamed(f flat, b place, schema map[string]any) {
	a := place{f.at, f.words}
	patterns := object(f.words["patternProperties"])
	for _, source := range sorted(f.words["patternProperties"]) {
		w.patterned(source, a.in(patterns[source], "patternProperties", source), b, schema)
	}
	key, theirs := othersIn(schema), othersIn(f.words)
	there := any(true)
	if theirs != "" {
		there = f.words[theirs]
	}
	at := b.in(schema[key], key)
	switch {
	case key == "" || at.node == true || there == false:
	case at.node == false:
		w.tell(at, fmt.Sprintf("additional properties are refused here, and allowed in %s", w.writer.Name), "let them be here, too, or refuse them there first")
	default:
		w.fits(a.in(there, "additionalProperties"), at)
	}
}

// patterned holds the properties that a pattern of the writer's names against whatever the reader says of them. Two patterns are taken to overlap only
// where they are the same.
func (w *walk) patterned(source string, a, b place, schema map[string]any) {
	key := othersIn(schema)
	here, same := object(schema["patternProperties"])[source]
	switch {
	case same:
		w.fits(a, b.in(here, "patternProperties", source))
	case key == "" || schema[key] == true || w.written.flat(a, 0).never:
	case schema[key] == false && schema["patternProperties"] == nil:
		w.tell(b.in(nil, key), fmt.Sprintf("properties like %s of %s are not taken here", shown(source), w.writer.Name), "name the pattern here, too, or let additional properties be")
	case schema[key] == false:
		w.unchecked(b.in(nil, key), fmt.Sprintf("properties like %s of %s may not be taken here", shown(source), w.writer.Name))
	default:
		w.fits(a, b.in(schema[key], key))
	}
}

// compared are the keywords that are looked at, and so not told.
var compared = words(`$ref allOf anyOf oneOf type enum const minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern format
	items prefixItems additionalItems minItems maxItems uniqueItems properties required additionalProperties minProperties maxProperties`)

// narrowing are those of the standard that are not: where only the writer has one, it allows less by it, and nothing is amiss.
var narrowing = words(`not if then else dependentRequired dependentSchemas dependencies propertyNames contains minContains maxContains
	unevaluatedProperties unevaluatedItems patternProperties`)

// rest tells the keywords that are not looked at, unless both say the same.
func (w *walk) rest(f flat, b place, schema map[string]any) {
	for _, key := range assertions(schema) {
		if !compared[key] && !w.sameKeyword(key, f, schema) {
			what := fmt.Sprintf("keyword %s is not understood", shown(key))
			if !equal(f.words[key], schema[key]) {
				what += ", and not the same in " + w.writer.Name
			}
			w.unchecked(b.in(nil, key), what)
		}
	}
	for _, key := range assertions(f.words) {
		if _, here := schema[key]; !here && !compared[key] && !narrowing[key] {
			w.unchecked(b, fmt.Sprintf("keyword %s of %s is not understood", shown(key), w.writer.Name))
		}
	}
}

// sameKeyword reports whether a keyword that isn't looked at says the same in both: in the same words, without a reference, and with the same of the others that
// it hangs on.
func (w *walk) sameKeyword(key string, f flat, schema map[string]any) bool {
	switch key {
	case "$dynamicRef", "$recursiveRef":
		return false
	case "unevaluatedProperties":
		return othersIn(schema) == key // then it was looked at as that of all others
	case "unevaluatedItems":
		return plainly(schema) && (othersOf(schema) == key || schema["items"] != nil)
	case "contains":
		if !equal(f.words["minContains"], schema["minContains"]) || !equal(f.words["maxContains"], schema["maxContains"]) {
			return false
		}
	}
	return equal(f.words[key], schema[key]) && !refers(schema[key])
}
