package compat

import (
	"fmt"
	"slices"
	"strings"
)

// MaxFeatures bounds the features of a list.
const MaxFeatures = 20_000

// feature is a line of a feature list: `name`, or `name: type`; a ? behind the last word says that the model does without it.
type feature struct {
	name, kind string
	optional   bool
	line       int
}

// features reads a feature list, strictly: a feature a line; empty lines, and those that begin with #, say nothing.
func features(d Document) ([]feature, error) {
	var all []feature
	first := map[string]int{}
	for i, line := range strings.Split(string(d.Text), "\n") {
		text := strings.TrimSpace(line)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		text, optional := strings.CutSuffix(text, "?")
		name, kind, typed := strings.Cut(text, ":")
		f := feature{strings.TrimSpace(name), strings.TrimSpace(kind), optional, i + 1}
		switch before, twice := first[f.name]; {
		case f.name == "" || typed && f.kind == "" || strings.ContainsAny(f.name+f.kind, " \t:?"):
			return nil, fmt.Errorf("%s:%d: %q is no feature: write `name` or `name: type`, and a ? behind it where the model does without", d.Name, i+1, shown(line))
		case twice:
			return nil, fmt.Errorf("%s:%d: feature %s stands there already, in line %d: remove one", d.Name, i+1, shown(f.name), before)
		case len(all) == MaxFeatures:
			return nil, fmt.Errorf("%s:%d: more than %d features: name groups of them", d.Name, i+1, MaxFeatures)
		}
		first[f.name] = f.line
		all = append(all, f)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: it lists no feature", d.Name)
	}
	return all, nil
}

// compareFeatures holds what a model needs (the reader) against what is made for the other one (the writer).
func compareFeatures(p pass, o Options) ([]Finding, error) {
	made, err := features(p.writer)
	if err != nil {
		return nil, err
	}
	needed, err := features(p.reader)
	if err != nil {
		return nil, err
	}
	byName := map[string]feature{}
	for _, f := range made {
		byName[f.name] = f
	}
	var found []Finding
	tell := func(f feature, change, do string, unchecked bool) {
		x := Finding{Way: p.way, At: fmt.Sprintf("%s:%d", p.reader.Name, f.line), Change: change, Harm: p.harm(), Do: do, Unchecked: unchecked}
		if unchecked {
			x.Harm = ""
		}
		found = append(found, x)
	}
	for _, f := range needed {
		have, there := byName[f.name]
		name := shown(f.name)
		switch {
		case !there && f.optional:
		case !there:
			tell(f, fmt.Sprintf("feature %s is not in %s", name, p.writer.Name),
				fmt.Sprintf("make it for both versions, and list it in %s, too; or, if the model does without it, write a ? behind it", p.writer.Name), false)
		case have.kind == f.kind:
		case have.kind == "" || f.kind == "":
			tell(f, fmt.Sprintf("feature %s has a type in one list only", name), "write it in both lists, or in none", true)
		default:
			tell(f, fmt.Sprintf("feature %s is %s here and %s in %s", name, shown(f.kind), shown(have.kind), p.writer.Name), "give the new type a new name", false)
		}
	}
	if o.Ordered {
		found = append(found, reordered(p, made, needed)...)
	}
	return found, nil
}

// reordered is the first place at which two lists differ.
func reordered(p pass, made, needed []feature) []Finding {
	same := func(a, b feature) bool { return a.name == b.name }
	if slices.EqualFunc(made, needed, same) {
		return nil
	}
	at := 0
	for at < min(len(made), len(needed)) && same(made[at], needed[at]) {
		at++
	}
	line, here, there := needed[min(at, len(needed)-1)].line, "the end", "the end"
	if at < len(needed) {
		here = shown(needed[at].name)
	}
	if at < len(made) {
		there = shown(made[at].name)
	}
	return []Finding{{
		Way: p.way, At: fmt.Sprintf("%s:%d", p.reader.Name, line), Harm: p.harm(), Do: "keep the order, with what is new at the end of both; or leave out `ordered` where features go by name",
		Change: fmt.Sprintf("place %d is %s, and %s in %s", at+1, here, there, p.writer.Name),
	}}
}
