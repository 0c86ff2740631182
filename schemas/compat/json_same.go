package compat

import "slices"

// same goes through two schemas that may say the same in the same words, whatever stands behind their references. What nobody can compare is the same in both, then.
type same struct {
	written, read *tree
	steps         *int
	begun         map[string]bool // pairs of references that were looked behind: a circle holds where nothing in it speaks against it
}

// same reports whether a schema of the writer's says what one of the reader's does.
func (w *walk) same(a, b any) bool {
	s := same{w.written, w.read, w.steps, map[string]bool{}}
	return s.schemas(a, b)
}

// sameWord reports whether one keyword says the same in both, by itself.
func (w *walk) sameWord(key string, a, b any) bool {
	s := same{w.written, w.read, w.steps, map[string]bool{}}
	return s.means(key) && s.word(key, a, b)
}

func (s *same) schemas(a, b any) bool {
	if *s.steps++; *s.steps > maxSteps {
		return false // and the walk ends, and says so
	}
	x, isX := a.(map[string]any)
	y, isY := b.(map[string]any)
	if !isX || !isY {
		return equal(a, b)
	}
	keys := assertions(x)
	if !slices.Equal(keys, assertions(y)) || x["$ref"] != nil && len(keys) > 1 && s.written.alone != s.read.alone {
		return false
	}
	return !slices.ContainsFunc(keys, func(key string) bool { return !s.means(key) || !s.word(key, x[key], y[key]) })
}

// means reports whether a keyword means the same in the drafts of both documents.
func (s *same) means(key string) bool {
	return s.written.draft == s.read.draft && s.written.named == s.read.named || inDraft(key, s.written.draft) && inDraft(key, s.read.draft)
}

// word is of one keyword: of references what stands behind them, of one that holds schemas these, and of any other its value.
func (s *same) word(key string, a, b any) bool {
	switch {
	case key == "$ref":
		return s.targets(a, b)
	case key == "$dynamicRef" || key == "$recursiveRef": // what they mean depends on where they are come from
		return false
	case byName[key]:
		x, y := object(a), object(b)
		return len(x) == len(y) && !slices.ContainsFunc(sorted(a), func(name string) bool {
			here, there := y[name]
			return !there || !s.schemas(x[name], here)
		})
	case holdsSchemas[key]:
		return s.lists(a, b)
	}
	return equal(a, b)
}

// holdsSchemas are the keywords of a schema, or of a list of them.
var holdsSchemas = words(`allOf anyOf oneOf not if then else items prefixItems additionalItems contains propertyNames additionalProperties unevaluatedItems unevaluatedProperties`)

func (s *same) lists(a, b any) bool {
	x, isX := a.([]any)
	y, isY := b.([]any)
	if isX && isY {
		return slices.EqualFunc(x, y, s.schemas)
	}
	return s.schemas(a, b)
}

// targets reports whether two references mean the same.
func (s *same) targets(a, b any) bool {
	there, lost := s.written.resolve(a)
	here, gone := s.read.resolve(b)
	if lost != "" || gone != "" {
		what := s.written.elsewhere(a)
		return lost != "" && gone != "" && what != "" && what == s.read.elsewhere(b)
	}
	pair := there.at + "\n" + here.at
	if s.begun[pair] {
		return true
	}
	s.begun[pair] = true
	return s.schemas(there.node, here.node)
}
