package compat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/avro"
)

// logical holds the logical types of two schemas against each other, which schema resolution passes over: a long of milliseconds is read as one of
// microseconds.
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

// nodes holds what stands at a path in both: each branch of a union against those that it may be read as.
func (w *logical) nodes(path string, there, here *avro.SchemaNode) {
	for _, x := range branches(there, w.written) {
		for _, y := range readAs(x, branches(here, w.read)) {
			pair := fullName(x) + "\n" + fullName(y)
			if w.seen[pair] {
				continue
			}
			w.seen[pair] = x.Name != "" && y.Name != ""
			w.meaning(path, x, y)
			w.parts(path, x, y)
		}
	}
}

// readAs are the branches that a written one may be read as: those of its type and name, or alias; where there is none, those that its type is promoted to.
func readAs(x *avro.SchemaNode, all []*avro.SchemaNode) []*avro.SchemaNode {
	var same, promoted []*avro.SchemaNode
	for _, y := range all {
		switch {
		case x.Type == y.Type && (x.Name == "" || unqualified(x.Name) == unqualified(y.Name) || len(y.Aliases) > 0):
			same = append(same, y)
		case slices.Contains(promotions[x.Type], y.Type):
			promoted = append(promoted, y)
		}
	}
	if same != nil {
		return same
	}
	return promoted
}

// promotions are the types that a value of another one is read as (Avro 1.12 specification, "Schema Resolution").
var promotions = map[string][]string{"int": {"long", "float", "double"}, "long": {"float", "double"}, "float": {"double"}, "string": {"bytes"}, "bytes": {"string"}}

func unqualified(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

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
			if y.Fields[j].Name == x.Fields[i].Name || slices.Contains(y.Fields[j].Aliases, x.Fields[i].Name) {
				w.nodes(strings.TrimPrefix(path+"."+y.Fields[j].Name, "."), &x.Fields[i].Type, &y.Fields[j].Type)
			}
		}
	}
}

// meaning tells where two nodes of one type mean different things by a value, and, where only one says what it means, that nobody knows.
func (w *logical) meaning(path string, x, y *avro.SchemaNode) {
	if x.LogicalType == y.LogicalType {
		return
	}
	there, here := meant(x), meant(y)
	f := Finding{Way: w.way, At: w.reader.Name + " at " + shown(path), Change: fmt.Sprintf("it is %s here, and %s in %s", here, there, w.writer.Name)}
	if path == "" {
		f.At += "(root)"
	}
	if x.LogicalType == "" || y.LogicalType == "" {
		f.Do, f.Unchecked = "say what it means in both versions, or in none", true
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
