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
	others, said := schema["additionalProperties"]
	if known || !said {
		return
	}
	if others == false {
		if !w.written.flat(a, 0).never {
			w.tell(b.in(nil, "additionalProperties"), fmt.Sprintf("property %s of %s is not taken here", shown(name), w.writer.Name),
				"name it here, too, or let additional properties be")
		}
		return
	}
	w.fits(a, b.in(others, "additionalProperties"))
}

// unnamed holds what is said of properties without a name against each other.
func (w *walk) unnamed(f flat, b place, schema map[string]any) {
	here, said := schema["additionalProperties"]
	there, tells := f.words["additionalProperties"]
	closed := tells && there == false || f.words["unevaluatedProperties"] == false
	at := b.in(here, "additionalProperties")
	switch {
	case !said || here == true || closed:
	case here == false:
		w.tell(at, fmt.Sprintf("additional properties are refused here, and allowed in %s", w.writer.Name), "let them be here, too, or refuse them there first")
	case tells && there != true:
		w.fits(place{f.at, f.words}.in(there, "additionalProperties"), at)
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
		if !compared[key] && (!equal(f.words[key], schema[key]) || refers(schema[key])) {
			w.unchecked(b.in(nil, key), fmt.Sprintf("keyword %s is not understood, and not the same in %s", shown(key), w.writer.Name))
		}
	}
	for _, key := range assertions(f.words) {
		if _, here := schema[key]; !here && !compared[key] && !narrowing[key] {
			w.unchecked(b, fmt.Sprintf("keyword %s of %s is not understood", shown(key), w.writer.Name))
		}
	}
}
