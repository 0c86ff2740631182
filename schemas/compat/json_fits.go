package compat

import (
	"fmt"
	"slices"
	"strconv"
)

// Bounds of one direction's walk through two documents. Beyond them what is left is told as not checked.
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
	w.fits(place{"", written.root}, place{"", read.root})
	return w.found, nil
}

// tell notes what doesn't fit at a place of the reader's.
func (w *walk) tell(at place, change, do string) {
	w.add(Finding{Way: w.way, At: w.reader.Name + "#" + at.at, Change: change, Harm: w.harm(), Do: do})
}

// unchecked tells what nobody looked at.
func (w *walk) unchecked(at place, change string) {
	w.add(Finding{Way: w.way, At: w.reader.Name + "#" + at.at, Change: change, Do: "look at it yourself", Unchecked: true})
}

func (w *walk) add(f Finding) {
	if key := f.At + "\n" + f.Change; !w.told[key] {
		w.told[key] = true
		w.found = append(w.found, f)
	}
}

// fits tells all that keeps what fits a place of the writer's from fitting one of the reader's.
func (w *walk) fits(a, b place) {
	b, why := w.read.follow(b)
	if why != "" {
		w.unchecked(b, why)
		return
	}
	f := w.written.flat(a, 0)
	if f.never || !w.begin(f.at, b) {
		return
	}
	defer func() { w.depth-- }()
	schema, is := b.node.(map[string]any)
	switch {
	case !is && b.node == true:
	case !is && b.node == false:
		w.tell(b, fmt.Sprintf("nothing is allowed here, and something in %s", w.writer.Name), "allow it, or keep it from being sent first")
	case !is:
		w.unchecked(b, "it is no schema")
	case len(assertions(schema)) == 0:
	case f.unknown != "":
		w.unchecked(b, fmt.Sprintf("what %s allows is not known: %s", w.writer.Name, f.unknown))
	case w.same(a.node, b.node, map[string]bool{}):
	case w.divided(f, b):
	default:
		w.all(f, b, schema)
	}
}

// same reports whether two schemas say the same in the same words, behind their references, too. refs are those that were looked behind.
func (w *walk) same(a, b any, refs map[string]bool) bool {
	*w.steps++
	switch a := a.(type) {
	case map[string]any:
		b, is := b.(map[string]any)
		if !is || len(a) != len(b) || a["$dynamicRef"] != nil || a["$recursiveRef"] != nil {
			return false
		}
		for _, key := range sorted(a) {
			if y, there := b[key]; !there || !w.same(a[key], y, refs) || key == "$ref" && !w.sameTargets(y, refs) {
				return false
			}
		}
		return true
	case []any:
		b, is := b.([]any)
		return is && slices.EqualFunc(a, b, func(x, y any) bool { return w.same(x, y, refs) })
	}
	return equal(a, b)
}

// sameTargets reports whether a reference means the same in both documents. Of one that leads out of them nobody knows.
func (w *walk) sameTargets(ref any, refs map[string]bool) bool {
	name, _ := ref.(string)
	if refs[name] {
		return true
	}
	refs[name] = true
	there, lost := w.written.resolve(ref)
	here, gone := w.read.resolve(ref)
	return lost == "" && gone == "" && w.same(there.node, here.node, refs)
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
		w.add(Finding{Way: w.way, At: w.reader.Name + "#", Do: "look at it yourself", Unchecked: true,
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
	a := place{f.at, f.words}
	if ref := schema["$ref"]; ref != nil {
		if target, why := w.read.resolve(ref); why != "" {
			w.unchecked(b, why)
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
				w.unchecked(b.in(nil, key), "that only one of the alternatives takes it")
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
			if nearest == nil || len(Harmful(trial.found)) < len(Harmful(nearest.found)) {
				nearest = trial
			}
			if len(Harmful(nearest.found)) == 0 {
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
			w.differ(w.read.flat(place{"", mine}, 0).words, w.read.flat(place{"", theirs}, 0).words, false)
	})
}
