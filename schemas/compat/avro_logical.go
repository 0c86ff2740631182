package compat

import (
	"fmt"
	"strings"

	"github.com/twmb/avro"
)

// logical holds the logical types of two schemas against each other, which schema resolution passes over: a long of milliseconds is read as one of
// microseconds. What an alias joins isn't looked at.
type logical struct {
	pass
	written, read map[string]*avro.SchemaNode // named types
	seen          map[string]bool             // pairs of named types that were begun
	found         []Finding
}

func compareLogical(p pass, writer, reader *avro.Schema) []Finding {
	w := logical{pass: p, written: map[string]*avro.SchemaNode{}, read: map[string]*avro.SchemaNode{}, seen: map[string]bool{}}
	there, here := writer.Root(), reader.Root()
	name(there, w.written)
	name(here, w.read)
	w.nodes("", there, here)
	return w.found
}

// name collects the named types under a node.
func name(n *avro.SchemaNode, all map[string]*avro.SchemaNode) {
	if n == nil {
		return
	}
	if n.Name != "" {
		all[fullName(n)] = n
	}
	name(n.Items, all)
	name(n.Values, all)
	for i := range n.Branches {
		name(&n.Branches[i], all)
	}
	for i := range n.Fields {
		name(&n.Fields[i].Type, all)
	}
}

func fullName(n *avro.SchemaNode) string {
	if n.Name == "" || n.Namespace == "" {
		return n.Name
	}
	return n.Namespace + "." + n.Name
}

// nodes holds what stands at a path in both: each branch of a union against those of its type.
func (w *logical) nodes(path string, there, here *avro.SchemaNode) {
	for _, x := range branches(there, w.written) {
		for _, y := range branches(here, w.read) {
			pair := fullName(x) + "\n" + fullName(y)
			if x.Type != y.Type || fullName(x) != fullName(y) || w.seen[pair] {
				continue
			}
			w.seen[pair] = x.Name != ""
			w.meaning(path, x, y)
			w.parts(path, x, y)
		}
	}
}

// branches are those of a union, else the node alone; names are followed.
func branches(n *avro.SchemaNode, types map[string]*avro.SchemaNode) []*avro.SchemaNode {
	if named := types[n.Type]; named != nil {
		n = named
	}
	if n.Type != "union" {
		return []*avro.SchemaNode{n}
	}
	var all []*avro.SchemaNode
	for i := range n.Branches {
		all = append(all, branches(&n.Branches[i], types)...)
	}
	return all
}

func (w *logical) parts(path string, x, y *avro.SchemaNode) {
	if x.Items != nil && y.Items != nil {
		w.nodes(path+"[]", x.Items, y.Items)
	}
	if x.Values != nil && y.Values != nil {
		w.nodes(path+"{}", x.Values, y.Values)
	}
	for i := range x.Fields {
		for j := range y.Fields {
			if x.Fields[i].Name == y.Fields[j].Name {
				w.nodes(strings.TrimPrefix(path+"."+x.Fields[i].Name, "."), &x.Fields[i].Type, &y.Fields[j].Type)
			}
		}
	}
}

// meaning tells where two nodes of one type mean different things by a value, and, where only one says what it means, that nobody knows.
func (w *logical) meaning(path string, x, y *avro.SchemaNode) {
	there, here := meant(x), meant(y)
	if there == here {
		return
	}
	f := Finding{Way: w.way, At: w.reader.Name + " at " + shown(path), Change: fmt.Sprintf("it is %s here, and %s in %s", here, there, w.writer.Name)}
	if path == "" {
		f.At += "(root)"
	}
	if x.LogicalType == "" || y.LogicalType == "" {
		f.Do, f.Unchecked = "look at it yourself", true
	} else {
		f.Harm, f.Do = w.harm(), "keep its meaning, or add a new field with a default"
	}
	w.found = append(w.found, f)
}

func meant(n *avro.SchemaNode) string {
	if n.LogicalType == "" {
		return "a plain " + n.Type
	}
	return shown(n.LogicalType)
}
