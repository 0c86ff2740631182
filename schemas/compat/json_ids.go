package compat

import (
	"fmt"
	"net/url"
	"strings"
)

// What stands in keywords: schemas by name, and values that are no schemas. All else holds schemas, or what looks like them.
var (
	byName = words(`properties patternProperties $defs definitions dependentSchemas dependencies`)
	data   = words(`enum const default examples example`)
)

// joiner finds the parts of a document that have addresses of their own, and lets references to them point to where they stand.
type joiner struct {
	*tree
	idWord string
	homes  map[string]string // the pointer of each part, by its address; "" of an address that two have
	broken error
}

// origin is the address of a document that has none.
var origin = url.URL{Scheme: "file", Path: "/"}

// join rewrites each reference to an address, or a name, that stands in the document itself as a pointer from its root.
func (t *tree) join() error {
	j := joiner{tree: t, idWord: "$id", homes: map[string]string{}}
	if t.draft == draft04 {
		j.idWord = "id"
	}
	j.visit(place{node: t.root}, &origin, j.settle)
	j.visit(place{node: t.root}, &origin, j.point)
	return j.broken
}

// visit calls do with each schema, and the address that it goes by.
func (j *joiner) visit(p place, base *url.URL, do func(p place, m map[string]any, base *url.URL)) {
	switch n := p.node.(type) {
	case []any:
		for i, v := range n {
			j.visit(p.in(v, fmt.Sprint(i)), base, do)
		}
	case map[string]any:
		base = j.address(n, base)
		do(p, n, base)
		for _, part := range p.parts() {
			j.visit(part, base, do)
		}
	}
}

// parts are what stands in a schema's keywords and isn't data.
func (p place) parts() []place {
	var all []place
	m := object(p.node)
	for _, key := range sorted(p.node) {
		if byName[key] {
			for _, name := range sorted(m[key]) {
				all = append(all, p.in(object(m[key])[name], key, name))
			}
		} else if !data[key] {
			all = append(all, p.in(m[key], key))
		}
	}
	return all
}

// address is that of a schema: its own, or that of what it stands in.
func (j *joiner) address(m map[string]any, base *url.URL) *url.URL {
	id, _ := m[j.idWord].(string)
	own, err := url.Parse(id)
	if id == "" || err != nil || id[0] == '#' {
		return base
	}
	own = base.ResolveReference(own)
	own.Fragment, own.RawFragment = "", ""
	return own
}

// settle notes by which addresses a schema goes.
func (j *joiner) settle(p place, m map[string]any, base *url.URL) {
	note := func(address string) {
		if _, twice := j.homes[address]; twice {
			j.homes[address] = ""
			return
		}
		j.homes[address] = "#" + strings.ReplaceAll(p.at, "%", "%25")
	}
	id, _ := m[j.idWord].(string)
	if p.at == "" || id != "" && id[0] != '#' {
		note(base.String())
	}
	names := []string{strings.TrimPrefix(id, "#")}
	for _, key := range []string{"$anchor", "$dynamicAnchor"} {
		name, _ := m[key].(string)
		names = append(names, name)
	}
	for _, name := range names {
		if name != "" && name != id {
			note(base.String() + "#" + name)
		}
	}
	if named, is := m["$schema"].(string); is && p.at != "" && j.broken == nil {
		other := tree{name: j.name + "#" + p.at}
		if j.broken = other.dialect(named); j.broken == nil && other.draft != j.draft {
			j.broken = fmt.Errorf("%s is of %s, and the document of %s: write both in one", other.name, draftNames[other.draft], draftNames[j.draft])
		}
	}
}

// point lets a reference point to where its target stands, if that is in the document.
func (j *joiner) point(_ place, m map[string]any, base *url.URL) {
	text, is := m["$ref"].(string)
	ref, err := url.Parse(text)
	if !is || err != nil {
		return
	}
	target := base.ResolveReference(ref)
	fragment := target.EscapedFragment()
	target.Fragment, target.RawFragment = "", ""
	home := j.homes[target.String()]
	switch {
	case fragment == "" && home != "":
		m["$ref"] = home
	case strings.HasPrefix(fragment, "/") && home != "":
		m["$ref"] = home + fragment
	case fragment != "":
		if home = j.homes[target.String()+"#"+fragment]; home != "" {
			m["$ref"] = home
		}
	}
}

// elsewhere is what a reference that leads out of the document points to, where that is known; "" where it isn't.
func (t *tree) elsewhere(ref any) string {
	text, _ := ref.(string)
	name, fragment, _ := strings.Cut(text, "#")
	if t.parts[name] == "" {
		return ""
	}
	return t.parts[name] + "#" + fragment
}
