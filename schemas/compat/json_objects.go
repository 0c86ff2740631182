package compat

import (
	"encoding/json"
	"fmt"
	"maps"
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
	a := f.place()
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
		expression := expressionOf(source)
		at := b.in(object(schema["patternProperties"])[source], "patternProperties", source)
		switch {
		case expression == nil:
			known = true
			w.unchecked(at, fmt.Sprintf("whether the pattern is of property %s can't be tried here", shown(name)), "write a simpler pattern, in both versions")
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
	a := f.place()
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
	w.namedHere(a, there, b, schema)
}

// namedHere holds what the writer says of properties by pattern, and of all others, against what the reader says of those that only it names, and only by its own patterns.
func (w *walk) namedHere(a place, others any, b place, schema map[string]any) {
	words := object(a.node)
	named, patterns := object(words["properties"]), object(words["patternProperties"])
	for _, name := range sorted(schema["properties"]) {
		if _, there := named[name]; there {
			continue
		}
		at := b.in(object(schema["properties"])[name], "properties", name)
		for _, source := range sorted(words["patternProperties"]) {
			if expression := expressionOf(source); expression == nil || expression.MatchString(name) {
				w.fits(a.in(patterns[source], "patternProperties", source), at)
			}
		}
		if len(assertions(object(others))) > 0 { // of a schema that lets any others be, nobody sends them (see the limits)
			w.fits(a.in(others, "additionalProperties"), at)
		}
	}
	for _, source := range sorted(schema["patternProperties"]) {
		if _, there := patterns[source]; there {
			continue
		}
		at := b.in(object(schema["patternProperties"])[source], "patternProperties", source)
		w.fits(a.in(others, "additionalProperties"), at)
		for _, other := range sorted(words["patternProperties"]) {
			w.fits(a.in(patterns[other], "patternProperties", other), at)
		}
	}
}

// patterned holds the properties that a pattern of the writer's names against whatever the reader says of them.
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
		w.unchecked(b.in(nil, key), fmt.Sprintf("properties like %s of %s may not be taken here", shown(source), w.writer.Name),
			"name the pattern here, too, or let additional properties be")
	default:
		w.fits(a, b.in(schema[key], key))
	}
}

// compared are the keywords that are looked at, and so not told.
var compared = words(`$ref allOf anyOf oneOf type enum const minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern format
	items prefixItems additionalItems minItems maxItems uniqueItems properties patternProperties required additionalProperties minProperties maxProperties`)

// narrowing are those of the standard that are not: where only the writer has one, it allows less by it, and nothing is amiss.
var narrowing = words(`not if then else dependentRequired dependentSchemas dependencies propertyNames contains minContains maxContains
	unevaluatedProperties unevaluatedItems $dynamicRef $recursiveRef`)

// rest tells the keywords that are not looked at, unless both say the same.
func (w *walk) rest(f flat, b place, schema map[string]any) {
	for _, key := range assertions(schema) {
		at, value := b.in(nil, key), schema[key]
		big, is := value.(json.Number)
		switch {
		case !w.read.knows(key):
			w.unchecked(at, strange(w.read, key), "name the draft that has it, or leave it out")
		case is && number(big) == nil && !equal(f.words[key], value):
			w.unchecked(at, fmt.Sprintf("%s is too large, or has too many digits, to be compared", key), "write a number that a double can hold")
		case compared[key], w.sameKeyword(key, f, schema):
		default:
			w.unchecked(at, fmt.Sprintf("keyword %s is not compared, and not known to say the same in %s", shown(key), w.writer.Name), keywordAdvice)
		}
	}
	for _, key := range assertions(f.words) {
		_, here := schema[key]
		switch {
		case !w.written.knows(key):
			w.unchecked(b, strange(w.written, key), "name the draft that has it, or leave it out")
		case !here && !compared[key] && !narrowing[key]:
			w.unchecked(b, fmt.Sprintf("keyword %s of %s is not known here", shown(key), w.writer.Name), keywordAdvice)
		}
	}
}

// keywordAdvice is what to do about a keyword that isn't compared.
const keywordAdvice = "write it alike in both versions, or say it in keywords that are compared, or in a description"

func strange(t *tree, key string) string {
	return fmt.Sprintf("keyword %s says nothing in %s, which is of %s", shown(key), t.name, draftNames[t.draft])
}

// sameKeyword reports whether a keyword that isn't looked at says the same in both: one part of what the writer says has it, and the others that it hangs on, to the
// same effect.
func (w *walk) sameKeyword(key string, f flat, schema map[string]any) bool {
	switch key {
	case "unevaluatedProperties":
		return othersIn(schema) == key // then it was looked at as that of all others
	case "unevaluatedItems":
		return plainly(schema) && (othersOf(schema) == key || schema["items"] != nil)
	}
	group := map[string]bool{key: true}
	for _, all := range together {
		if all[key] {
			group = all
		}
	}
	return slices.ContainsFunc(f.said, func(part any) bool {
		theirs := object(part)
		return !slices.ContainsFunc(slices.Collect(maps.Keys(group)), func(k string) bool {
			a, there := theirs[k]
			b, here := schema[k]
			return there != here || there && !w.sameWord(k, a, b)
		})
	})
}
