package schemas

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A checker holds a document against a form: unknown keys, duplicates, types, bounds, and what isn't supported yet.
type checker struct {
	*problems
	root *form
}

// check reports what is wrong at n, whose full path is path, and inside it.
func (c checker) check(n *yaml.Node, f *form, path string) {
	f = f.pick(n)
	switch {
	case n.Kind == yaml.AliasNode: // told already
	case isNull(n):
		c.addAt(n, path, "has no value: write %s, or remove the key", f.wants())
	case f.kind == mappingForm && n.Kind == yaml.MappingNode:
		c.checkMapping(n, f, path)
	case f.kind == namesForm && n.Kind == yaml.MappingNode:
		c.checkNames(n, f, path)
	case f.kind == listForm && n.Kind == yaml.SequenceNode:
		c.checkList(n, f, path)
	case n.Kind != yaml.ScalarNode:
		c.addAt(n, path, "%s stands where %s is wanted", nodeKind(n), f.wants())
	default:
		if wrong := f.scalar(n); wrong != "" {
			c.addAt(n, path, "%s", wrong)
		}
	}
}

func (c checker) addAt(n *yaml.Node, path, format string, args ...any) {
	c.add(spotOf(n), path, format, args...)
}

// pick returns the form that fits the kind of node, or f itself if none does.
func (f *form) pick(n *yaml.Node) *form {
	for alternative := f; alternative != nil; alternative = alternative.or {
		if alternative.nodeKind() == n.Kind {
			return alternative
		}
	}
	return f
}

func (f *form) nodeKind() yaml.Kind {
	switch f.kind {
	case mappingForm, namesForm:
		return yaml.MappingNode
	case listForm:
		return yaml.SequenceNode
	}
	return yaml.ScalarNode
}

func nodeKind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(n.Value)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// isBlank says whether a node is text without anything in it.
func isBlank(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && strings.TrimSpace(n.Value) == ""
}

// maxKeys bounds the keys of one mapping; beyond it the mapping isn't looked at.
const maxKeys = 256

func (c checker) checkMapping(n *yaml.Node, f *form, path string) {
	if count := len(n.Content) / 2; count > maxKeys {
		c.addAt(n, path, "%d keys, %d are allowed", count, maxKeys)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		known := f.find(key.Value)
		switch {
		case key.Kind != yaml.ScalarNode:
			c.addAt(key, path, "a key must be a word")
			continue
		case c.repeated(n, i, at):
			continue
		case known == nil:
			c.addAt(key, at, "unknown key: %s", c.advice(key.Value, f))
			continue
		}
		if isNull(value) && known.need == required {
			c.addAt(value, at, "has no value: write %s", known.example)
			continue
		}
		if known.need == required && isBlank(value) {
			c.addAt(value, at, "is empty: write %s", known.example)
			continue
		}
		before := len(c.list)
		c.check(value, &known.form, at)
		if len(c.list) == before {
			c.checkSupport(value, known, at)
		}
	}
	for i := range f.fields {
		if missing := &f.fields[i]; missing.need == required && child(n, missing.key) == nil {
			c.addAt(n, join(path, missing.key), "missing: write %s", missing.example)
		}
	}
}

// repeated reports the key at n.Content[i] if it stands earlier, too.
func (c checker) repeated(n *yaml.Node, i int, path string) bool {
	for j := 0; j < i; j += 2 {
		if first := n.Content[j]; first.Value == n.Content[i].Value && first.Kind == yaml.ScalarNode {
			c.addAt(n.Content[i], path, "given twice, first in line %d: remove one", first.Line)
			return true
		}
	}
	return false
}

func (c checker) checkSupport(value *yaml.Node, f *field, path string) {
	if f.need == laterElse && !sameValue(value, f) {
		c.addAt(value, path, "%s is not supported yet: write %s, or remove the key", nodeText(value), f.def)
	}
}

// sameValue says whether a value that has been checked is its field's default.
func sameValue(n *yaml.Node, f *field) bool {
	if n.Kind != yaml.ScalarNode {
		return len(n.Content) == 0
	}
	if f.form.kind == durationForm {
		given, err := ParseDuration(n.Value)
		standing, _ := ParseDuration(f.def)
		return err == nil && given == standing
	}
	if a, wrong := plainNumber(strings.TrimSuffix(n.Value, "%")); wrong == "" {
		b, wrong := plainNumber(strings.TrimSuffix(f.def, "%"))
		return wrong == "" && a == b
	}
	return n.Value == f.def
}

func nodeText(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return nodeKind(n)
}

func (c checker) checkNames(n *yaml.Node, f *form, path string) {
	if count := len(n.Content) / 2; count > int(f.high) {
		c.addAt(n, path, "%d entries, %d are allowed", count, int(f.high))
		return
	}
	nameForm := text(MaxNameBytes)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		if key.Kind != yaml.ScalarNode {
			c.addAt(key, path, "a name must be text")
		} else if wrong := nameForm.scalar(key); wrong != "" {
			c.addAt(key, at, "%s", wrong)
		} else if !c.repeated(n, i, at) {
			c.check(value, f.item, at)
		}
	}
}

func (c checker) checkList(n *yaml.Node, f *form, path string) {
	switch count := len(n.Content); {
	case count > int(f.high):
		c.addAt(n, path, "%d entries, %d are allowed", count, int(f.high))
		return
	case count < int(f.low):
		c.addAt(n, path, "the list is empty: write at least %d, or remove the key", int(f.low))
	}
	for i, item := range n.Content {
		c.check(item, f.item, fmt.Sprintf("%s[%d]", path, i))
	}
}

// advice says what may have been meant by an unknown key.
func (c checker) advice(key string, f *form) string {
	keys := f.keys()
	elsewhere := c.root.homes(key, "", nil)
	switch near := nearest(key, keys); {
	case near != "":
		return fmt.Sprintf("did you mean %s?", near)
	case len(elsewhere) > 0:
		return fmt.Sprintf("it belongs to %s", orList(elsewhere))
	}
	slices.Sort(keys)
	return "known here: " + strings.Join(keys, ", ")
}

// homesShown bounds how many places of a key are told.
const homesShown = 3

// homes appends the paths of the mappings that know a key.
func (f *form) homes(key, path string, found []string) []string {
	for ; f != nil; f = f.or {
		if f.find(key) != nil && path != "" && len(found) < homesShown {
			found = append(found, path)
		}
		for i := range f.fields {
			found = f.fields[i].form.homes(key, join(path, f.fields[i].key), found)
		}
		if f.item != nil {
			found = f.item.homes(key, path+"[]", found)
		}
	}
	return found
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// child returns the value of a key, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
