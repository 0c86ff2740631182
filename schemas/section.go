package schemas

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A section is a mapping that has been checked, for reading: a key that the file doesn't have is read from its
// field's default. What is wrong has been told by the checker, so readers return a zero value for it.
type section struct {
	problems *problems
	node     *yaml.Node // nil where the file has no such mapping
	form     *form
	path     string
}

// value returns what stands at a key, or its default, or nil.
func (s section) value(key string) *yaml.Node {
	if n := child(s.node, key); n != nil {
		return n
	}
	if f := s.field(key); f.def != "" {
		return defaultNode(f.def)
	}
	return nil
}

func (s section) field(key string) *field {
	f := s.form.find(key)
	if f == nil {
		panic(fmt.Sprintf("no key %q in the table of %s", key, s.path))
	}
	return f
}

// given says whether the file has the key.
func (s section) given(key string) bool { return child(s.node, key) != nil }

// text returns a scalar as it is written, or "".
func (s section) text(key string) string {
	if n := s.value(key); n != nil && n.Kind == yaml.ScalarNode && !isNull(n) {
		return n.Value
	}
	return ""
}

func (s section) number(key string) float64 {
	value, _ := s.field(key).form.parseNumber(strings.TrimSuffix(s.text(key), "%"))
	return value
}

func (s section) flag(key string) bool { return strings.EqualFold(s.text(key), "true") }

// duration returns Never for the word never.
func (s section) duration(key string) time.Duration {
	if s.text(key) == neverWord {
		return Never
	}
	d, _ := ParseDuration(s.text(key))
	return d
}

// under returns the mapping at a key; a missing one reads as all defaults.
func (s section) under(key string) section {
	return section{s.problems, s.value(key), &s.field(key).form, join(s.path, key)}
}

// list returns a list and its form; nil where there is none, and where it has more items than are allowed.
func (s section) list(key string) (*yaml.Node, *form) {
	n := s.value(key)
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil, nil
	}
	f := s.field(key).form.pick(n)
	if len(n.Content) > int(f.high) {
		return nil, nil
	}
	return n, f
}

// items returns the mappings of a list, or nil.
func (s section) items(key string) []section {
	n, f := s.list(key)
	if n == nil {
		return nil
	}
	sections := make([]section, len(n.Content))
	for i, item := range n.Content {
		sections[i] = section{s.problems, item, f.item, fmt.Sprintf("%s[%d]", join(s.path, key), i)}
	}
	return sections
}

// texts returns the words of a list, or nil where there is none.
func (s section) texts(key string) []string {
	n, _ := s.list(key)
	if n == nil || len(n.Content) == 0 {
		return nil
	}
	words := make([]string, len(n.Content))
	for i, item := range n.Content {
		words[i] = item.Value
	}
	return words
}

// pairs returns a mapping of names to text, or nil where there is none.
func (s section) pairs(key string) map[string]string {
	n := s.value(key)
	if n == nil || n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return nil
	}
	pairs := make(map[string]string, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		pairs[n.Content[i].Value] = n.Content[i+1].Value
	}
	return pairs
}

// refuse reports something at a key, or, if the file doesn't have the key, at the mapping around it.
func (s section) refuse(key, format string, args ...any) {
	at := s.node
	if n := child(s.node, key); n != nil {
		at = n
	}
	where := fileStart
	if at != nil {
		where = spotOf(at)
	}
	s.problems.add(where, join(s.path, key), format, args...)
}

// sound says whether nothing has been found wrong in this mapping.
func (s section) sound() bool { return !s.problems.under(s.path) }
