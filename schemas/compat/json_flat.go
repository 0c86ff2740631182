package compat

import (
	"maps"
	"slices"
	"strings"
)

// flat is what a writer's schema allows, in one set of keywords: references followed, allOf merged. Where two parts say different things
// of one keyword the narrower bound stands, else the first one: that allows more than both together, never less.
type flat struct {
	at      string
	never   bool   // nothing is allowed
	unknown string // why it can't be said what is allowed
	words   map[string]any
	said    []any // all that is said, each part as it stands
}

// place is where it stands, with all that is said there.
func (f *flat) place() place { return place{f.at, f.words, f.said} }

// maxMerged bounds the parts of one schema, those of its parts with them.
const maxMerged = 2000

// flat returns it. Nothing in it is shared with the document but what no one changes.
func (t *tree) flat(p place, depth int) flat {
	said := p.said
	p, why := t.follow(p)
	f := flat{at: p.at, unknown: why, words: map[string]any{}, said: slices.Clip(said)}
	if depth == 0 {
		t.merged = 0
	}
	if t.merged++; t.merged > maxMerged || depth > maxReferences {
		f.unknown = "it has too many parts, or is nested too deep"
	}
	if f.unknown != "" {
		return f
	}
	m, is := p.node.(map[string]any)
	if !is {
		allowed, bool := p.node.(bool)
		f.never = bool && !allowed
		if !bool {
			f.unknown = "it is no schema"
		}
		return f
	}
	f.said = append(f.said, m)
	maps.Copy(f.words, m)
	delete(f.words, "allOf")
	delete(f.words, "$ref")
	parts := slices.Clone(list(m["allOf"]))
	if ref := m["$ref"]; ref != nil {
		target, why := t.resolve(ref)
		f.unknown = why
		parts = append(parts, target.node)
	}
	for _, part := range parts {
		if f.unknown != "" {
			break
		}
		f.merge(t.flat(place{at: p.at, node: part}, depth+1))
	}
	return f
}

// merge adds what another part says.
func (f *flat) merge(part flat) {
	f.never = f.never || part.never
	if f.unknown == "" {
		f.unknown = part.unknown
	}
	f.said = append(f.said, part.said...)
	had := maps.Clone(f.words)
	for _, key := range sorted(part.words) {
		mine, theirs := f.words[key], part.words[key]
		switch {
		case hangs(key, had): // half of the one and half of the other would be what nobody says
		case mine == nil && theirs == true && f.words[bounds[key]] != nil: // draft-04: it is of the part's own bound, which doesn't stand
		case mine == nil:
			f.words[key] = theirs
		case key == "required":
			f.words[key] = slices.Concat(list(mine), list(theirs))
		case key == "properties" || key == "patternProperties":
			f.words[key] = mergedProperties(object(mine), object(theirs))
		case f.narrows(key, &part):
			f.words[key] = theirs
		case key == "anyOf" || key == "oneOf":
			f.words["allOf"] = slices.Concat(list(f.words["allOf"]), []any{map[string]any{key: theirs}})
		}
	}
}

// together are the keywords that say something only together.
var together = []map[string]bool{words("if then else"), words("contains minContains maxContains"), words("items prefixItems additionalItems unevaluatedItems")}

// hangs reports whether a keyword hangs on another one that stands already.
func hangs(key string, words map[string]any) bool {
	return slices.ContainsFunc(together, func(group map[string]bool) bool {
		return group[key] && slices.ContainsFunc(sorted(words), func(other string) bool { return group[other] })
	})
}

// bounds are the keywords that exclusive ones are of.
var bounds = map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}

// narrows reports whether a part's bound is the narrower one. The bounds of draft-04 are pairs of keywords, and stay as they are.
func (f *flat) narrows(key string, part *flat) bool {
	mine, theirs := number(f.words[key]), number(part.words[key])
	if mine == nil || theirs == nil {
		return false
	}
	for open := range bounds {
		if f.words[open] == true || part.words[open] == true {
			return false
		}
	}
	switch c := theirs.Cmp(mine); {
	case strings.HasPrefix(key, "min"), key == "exclusiveMinimum":
		return c > 0
	case strings.HasPrefix(key, "max"), key == "exclusiveMaximum":
		return c < 0
	}
	return false
}

// mergedProperties are the properties of both, by name or by pattern.
func mergedProperties(a, b map[string]any) map[string]any {
	both := maps.Clone(a)
	if both == nil {
		both = map[string]any{}
	}
	for _, name := range sorted(b) {
		if mine, there := both[name]; there {
			both[name] = map[string]any{"allOf": []any{mine, b[name]}}
		} else {
			both[name] = b[name]
		}
	}
	return both
}

// with is the part of what is allowed of which more is said, in place of one keyword.
func (f *flat) with(at string, more any, without string) place {
	rest := maps.Clone(f.words)
	delete(rest, without)
	if without == "anyOf" { // more than one of them may fit, and each names parts of its own
		delete(rest, "unevaluatedProperties")
		delete(rest, "unevaluatedItems")
	}
	return place{f.at + at, map[string]any{"allOf": []any{more, rest}}, f.said}
}
