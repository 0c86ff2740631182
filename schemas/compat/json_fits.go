package compat

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Bounds of one direction's walk through two documents. Beyond them what is left is told as not compared.
const (
	maxSteps = 1_000_000 // a value that is looked at is one, a pair of schemas pairSteps
	maxDepth = 64
)

const pairSteps = 20

// walk goes through two documents together, in one direction.
type walk struct {
	pass
	written, read *tree
	seen          map[string]bool // pairs of places that were begun: a circle holds where nothing in it speaks against it
	begun         []string        // those that this walk began
	told          map[string]bool
	steps         *int
	depth         int
	found         []Finding
}

// compareJSON proves that all that fits the writer's schema fits the reader's, or tells where it can't.
func compareJSON(p pass, _ Options) ([]Finding, error) {
	written, err := parseJSON(p.writer)
	if err != nil {
		return nil, err
	}
	read, err := parseJSON(p.reader)
	if err != nil {
		return nil, err
	}
	w := walk{pass: p, written: written, read: read, seen: map[string]bool{}, told: map[string]bool{}, steps: new(int)}
	if !w.alike() {
		w.fits(place{node: written.root}, place{node: read.root})
	}
	return w.found, nil
}

// alike reports whether two documents are one, or the same word for word, and refer to nothing that may not be.
func (w *walk) alike() bool {
	if w.writer.Name == w.reader.Name && bytes.Equal(w.writer.Text, w.reader.Text) {
		return true
	}
	return w.written.draft == w.read.draft && equal(w.written.root, w.read.root) && !w.leaves(w.written.root)
}

// leaves reports whether a value has a reference out of its document to what need not be the same in both.
func (w *walk) leaves(node any) bool {
	switch n := node.(type) {
	case map[string]any:
		for key, v := range n {
			ref, is := v.(string)
			out := is && (key == "$ref" || key == "$dynamicRef" || key == "$recursiveRef") && !strings.HasPrefix(ref, "#") &&
				(w.written.elsewhere(ref) == "" || w.written.elsewhere(ref) != w.read.elsewhere(ref))
			if out || w.leaves(v) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(n, w.leaves)
	}
	return false
}

// tell notes what doesn't fit at a place of the reader's.
func (w *walk) tell(at place, change, do string) {
	w.add(Finding{Way: w.way, At: w.reader.Name + "#" + at.at, Change: change, Harm: w.harm(), Do: do})
}

// unchecked tells what can't be compared.
func (w *walk) unchecked(at place, change, do string) {
	w.add(Finding{Way: w.way, At: w.reader.Name + "#" + at.at, Change: change, Do: do, Unchecked: true})
}

func (w *walk) add(f Finding) {
	if key := f.At + "\n" + f.Change; !w.told[key] {
		w.told[key] = true
		w.found = append(w.found, f)
	}
}

// fits tells all that keeps what fits a place of the writer's from fitting one of the reader's.
func (w *walk) fits(a, b place) {
	here, why := w.read.follow(b)
	f := w.written.flat(a, 0)
	if f.never || !w.begin(f.at, here) {
		return
	}
	defer func() { w.depth-- }()
	schema, is := here.node.(map[string]any)
	switch {
	case w.same(a.node, b.node) || w.says(f, here.node):
	case why != "":
		w.unchecked(here, why, joinAdvice)
	case !is && here.node == true:
	case !is && here.node == false:
		w.tell(here, fmt.Sprintf("nothing is allowed here, and something in %s", w.writer.Name), "allow it, or keep it from being sent first")
	case !is:
		w.unchecked(here, "it is no schema", "mend it")
	case len(assertions(schema)) == 0:
	case f.unknown != "":
		w.unchecked(here, fmt.Sprintf("what %s allows is not known: %s", w.writer.Name, f.unknown), joinAdvice)
	default:
		schema = w.without(f, schema)
		if here.node = schema; !w.divided(f, here) {
			w.all(f, here, schema)
		}
	}
}

// joinAdvice is what to do about a reference that can't be followed.
const joinAdvice = "write what it points to into the document, e.g. under $defs, in both versions"

// says reports whether one of the parts of what the writer says is what a schema of the reader's says.
func (w *walk) says(f flat, schema any) bool {
	return slices.ContainsFunc(f.said, func(part any) bool { return w.same(part, schema) })
}

// saysWord reports whether one of the parts of what the writer says has a keyword of the reader's, to the same effect.
func (w *walk) saysWord(f flat, key string, value any) bool {
	return slices.ContainsFunc(f.said, func(part any) bool {
		theirs, there := object(part)[key]
		return there && w.sameWord(key, theirs, value)
	})
}

// without is the reader's schema without the alternatives that the writer names, too: they take whatever the writer allows. Where others hang on which of them fit, all stay.
func (w *walk) without(f flat, schema map[string]any) map[string]any {
	if schema["unevaluatedProperties"] != nil || schema["unevaluatedItems"] != nil {
		return schema
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if branches, there := schema[key]; there && w.saysWord(f, key, branches) {
			schema = maps.Clone(schema)
			delete(schema, key)
		}
	}
	return schema
}

// begin reports whether a pair of places is still to be looked at.
func (w *walk) begin(at string, b place) bool {
	key := at + "\n" + b.at
	if w.seen[key] {
		return false
	}
	w.seen[key] = true
	w.begun = append(w.begun, key)
	*w.steps += pairSteps
	if *w.steps > maxSteps || w.depth == maxDepth {
		w.add(Finding{Way: w.way, At: w.reader.Name + "#", Do: "keep it smaller, or flatter", Unchecked: true,
			Change: fmt.Sprintf("the schemas are too large, have too many alternatives, or are nested too deep (beyond %d) to be compared whole", maxDepth)})
		return false
	}
	w.depth++
	return true
}

// divided takes each alternative of the writer's alone, and reports whether there are any.
func (w *walk) divided(f flat, b place) bool {
	for _, key := range []string{"anyOf", "oneOf"} {
		branches, is := f.words[key].([]any)
		for i, branch := range branches {
			w.fits(f.with(fmt.Sprintf("/%s/%d", key, i), branch, key), b)
		}
		if is {
			return true
		}
	}
	return false
}

// all holds what the writer allows against everything that the reader says.
func (w *walk) all(f flat, b place, schema map[string]any) {
	a := f.place()
	if ref := schema["$ref"]; ref != nil {
		if target, why := w.read.resolve(ref); why != "" {
			w.unchecked(b, why, joinAdvice)
		} else {
			w.fits(a, target)
		}
	}
	for i, part := range list(schema["allOf"]) {
		w.fits(a, b.in(part, "allOf", strconv.Itoa(i)))
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		if branches := list(schema[key]); branches != nil {
			w.alternatives(f, b.in(branches, key))
			if key == "oneOf" && !w.apart(b.in(branches, key)) {
				w.unchecked(b.in(nil, key), "that only one of the alternatives takes it is not proven",
					"write anyOf, or let each alternative have a type of its own, or a required property with a value of its own")
			}
		}
	}
	of := typesOf(f.words)
	w.types(of, b, schema)
	w.values(f, b, schema)
	both := of & typesOf(map[string]any{"type": schema["type"]})
	w.numbers(f, b, schema, both)
	w.sizes(f, b, schema, both)
	if both&isObject != 0 {
		w.objects(f, b, schema)
	}
	if both&isArray != 0 {
		w.arrays(f, b, schema)
	}
	w.rest(f, b, schema)
}

// alternatives looks for one that takes all; where none does, the writer's values or types are taken each alone.
func (w *walk) alternatives(f flat, b place) {
	branches := list(b.node)
	for _, part := range split(f) {
		var nearest *walk
		for i, branch := range branches {
			trial := w.trial()
			trial.fits(part.place, b.in(branch, strconv.Itoa(i)))
			for _, key := range trial.begun { // what holds here need not hold where another alternative is tried
				delete(w.seen, key)
			}
			if nearest == nil || trial.nearer(nearest) {
				nearest = trial
			}
			if len(nearest.found) == 0 {
				break
			}
		}
		if nearest == nil {
			continue
		}
		harmful := Harmful(nearest.found)
		if len(harmful) == 0 {
			for _, x := range nearest.found {
				w.add(x)
			}
			continue
		}
		w.tell(b, fmt.Sprintf("no alternative takes %s, which %s allows (the nearest: %s)", part.what, w.writer.Name, harmful[0].Change), "add one that does")
	}
}

// nearer reports whether less keeps one alternative from taking all than another one.
func (w *walk) nearer(other *walk) bool {
	return cmp.Or(cmp.Compare(len(Harmful(w.found)), len(Harmful(other.found))), cmp.Compare(len(w.found), len(other.found))) < 0
}

// trial is a walk whose findings may be thrown away.
func (w *walk) trial() *walk {
	t := *w
	t.begun, t.told, t.found = nil, map[string]bool{}, nil
	return &t
}

// A piece is part of what is allowed.
type piece struct {
	place
	what string
}

// maxPieces bounds in how many pieces values are taken.
const maxPieces = 64

// split takes the writer's values each alone, or its types.
func split(f flat) []piece {
	var pieces []piece
	if values := valuesOf(f.words); values != nil && len(values) <= maxPieces {
		for i, v := range values {
			at := fmt.Sprintf("/enum/%d", i)
			pieces = append(pieces, piece{f.with(at, map[string]any{"const": v}, "enum"), text(v)})
		}
		return pieces
	}
	of := typesOf(f.words)
	for _, t := range typeNames {
		if of&t.of == t.of {
			of &^= t.of
			pieces = append(pieces, piece{f.with("/type/"+t.name, map[string]any{"type": t.name}, "type"), t.name})
		}
	}
	return pieces
}

// apart reports whether no two alternatives can take the same: their types differ, their values do, or a property that both require.
func (w *walk) apart(b place) bool {
	var all []flat
	for i, branch := range list(b.node) {
		all = append(all, w.read.flat(b.in(branch, strconv.Itoa(i)), 0))
	}
	for i := range all {
		if slices.ContainsFunc(all[i+1:], func(other flat) bool { return !w.differ(all[i].words, other.words, true) }) {
			return false
		}
	}
	return true
}

// differ reports whether nothing fits both sets of keywords; properties are looked at one level deep.
func (w *walk) differ(a, b map[string]any, deep bool) bool {
	if typesOf(a)&typesOf(b) == 0 {
		return true
	}
	if x, y := valuesOf(a), valuesOf(b); x != nil && y != nil {
		return !slices.ContainsFunc(x, func(v any) bool { return slices.ContainsFunc(y, func(u any) bool { return equal(v, u) }) })
	}
	if !deep || typesOf(a)&typesOf(b) != isObject {
		return false
	}
	both := texts(b["required"])
	return slices.ContainsFunc(texts(a["required"]), func(name string) bool {
		mine, theirs := object(a["properties"])[name], object(b["properties"])[name]
		return slices.Contains(both, name) && mine != nil && theirs != nil &&
			w.differ(w.read.flat(place{node: mine}, 0).words, w.read.flat(place{node: theirs}, 0).words, false)
	})
}
