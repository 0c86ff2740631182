package schemas

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// gates lists what files may say by the tables of keys, while nothing carries it out yet: it is parsed and checked like
// everything else, and then refused. A gate is named after the key or the word that it shuts. Whoever builds what is behind
// one deletes its line, writes the JSON Schema and the explained files anew (go test ./schemas -update), and that is all.
var gates []string

func isShut(gate string) bool { return slices.Contains(gates, gate) }

// standing is what a field needs now: one behind a gate that has been opened is like any other.
func (f *field) standing() need {
	if f.gate != "" && !isShut(f.gate) {
		return optional
	}
	return f.need
}

// shutWords are the values of a field that are behind gates.
func (f *field) shutWords() []string {
	var shut []string
	for _, word := range f.gated {
		if isShut(word) {
			shut = append(shut, word)
		}
	}
	return shut
}

// checkGates refuses what is behind gates, at n and inside it. It comes last, so that what is wrong with such keys is told, too.
func (c checker) checkGates(n *yaml.Node, f *form, path string) {
	f = f.pick(n)
	switch {
	case f.kind == mappingForm && n.Kind == yaml.MappingNode && len(n.Content)/2 <= maxKeys:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if known := f.find(n.Content[i].Value); known != nil && n.Content[i].Kind == yaml.ScalarNode {
				at := join(path, known.key)
				c.checkGate(n.Content[i], n.Content[i+1], known, at)
				c.checkGates(n.Content[i+1], &known.form, at)
			}
		}
	case f.kind == namesForm && n.Kind == yaml.MappingNode && len(n.Content)/2 <= int(f.high):
		for i := 0; i+1 < len(n.Content); i += 2 {
			c.checkGates(n.Content[i+1], f.item, join(path, n.Content[i].Value))
		}
	case f.kind == listForm && n.Kind == yaml.SequenceNode && len(n.Content) <= int(f.high):
		for i, item := range n.Content {
			c.checkGates(item, f.item, fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

func (c checker) checkGate(key, value *yaml.Node, f *field, path string) {
	if f.gate != "" {
		c.checkSupport(key, value, f, path)
	}
	if value.Kind == yaml.ScalarNode && slices.Contains(f.shutWords(), value.Value) {
		c.addAt(value, path, "%s is not supported yet: remove it", value.Value)
	}
}
