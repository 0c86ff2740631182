package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"streamcanary/schemas"
)

// tree is a JSON Schema document.
type tree struct {
	name  string
	root  any
	draft int // of drafts
	named bool
	// alone: what stands beside a $ref says nothing, as in draft-07 and before.
	alone bool
	parts map[string]string // Document.Parts
	// merged counts the parts of the schema that is being flattened.
	merged int
}

// place is a schema in a document: a bool or an object.
type place struct {
	at   string // its JSON pointer
	node any
	said []any // schemas of the document that hold there, too, each as it stands: the node may say less than all of them
}

// escaped and plain are the two ways of a name in a pointer (RFC 6901, 3 and 4).
var (
	escaped = strings.NewReplacer("~", "~0", "/", "~1")
	plain   = strings.NewReplacer("~1", "/", "~0", "~")
)

// in is a schema that stands in another one.
func (p place) in(node any, keys ...string) place {
	for _, k := range keys {
		p.at += "/" + escaped.Replace(k)
	}
	return place{at: p.at, node: node}
}

func parseJSON(d Document) (*tree, error) {
	decoder := json.NewDecoder(bytes.NewReader(d.Text))
	decoder.UseNumber()
	t := &tree{name: d.Name, parts: d.Parts}
	if err := decoder.Decode(&t.root); err != nil {
		return nil, fmt.Errorf("%s is no JSON: %w%s", d.Name, err, near(d.Text, err))
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("%s is no JSON Schema: something stands behind its end, at byte %d", d.Name, decoder.InputOffset())
	}
	if err := schemas.OnceEach(d.Text); err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name, err)
	}
	switch root := t.root.(type) {
	case bool:
	case map[string]any:
		if err := t.dialect(root["$schema"]); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%s is no JSON Schema: it is neither an object nor true or false", d.Name)
	}
	if err := t.wellFormed(); err != nil {
		return nil, err
	}
	return t, t.join()
}

// near says in which line a document is broken.
func near(text []byte, err error) string {
	var broken *json.SyntaxError
	if !errors.As(err, &broken) {
		return ""
	}
	return fmt.Sprintf(", in line %d", 1+bytes.Count(text[:min(int(broken.Offset), len(text))], []byte("\n")))
}

// maxReferences bounds how many references lead from one to the next.
const maxReferences = 32

// follow goes where a schema that is but a reference points to. The text says why it can't be followed.
func (t *tree) follow(p place) (place, string) {
	for range maxReferences {
		m := object(p.node)
		if m["$ref"] == nil || !t.alone && len(assertions(m)) > 1 {
			return p, ""
		}
		target, why := t.resolve(m["$ref"])
		if why != "" {
			return p, why
		}
		p = target
	}
	return p, fmt.Sprintf("its references lead in a circle, or through more than %d", maxReferences)
}

// resolve is where a reference points to.
func (t *tree) resolve(ref any) (place, string) {
	text, _ := ref.(string)
	pointer, local := strings.CutPrefix(text, "#")
	pointer, err := url.PathUnescape(pointer)
	if !local || err != nil || pointer != "" && pointer[0] != '/' {
		return place{}, fmt.Sprintf("$ref %q points out of the document", shown(text))
	}
	p := place{at: pointer, node: t.root}
	if pointer == "" {
		return p, ""
	}
	for _, key := range strings.Split(pointer[1:], "/") {
		next, there := child(p.node, plain.Replace(key))
		if !there {
			return place{}, fmt.Sprintf("$ref %q points to nothing", shown(text))
		}
		p.node = next
	}
	return p, ""
}

func child(node any, key string) (any, bool) {
	switch n := node.(type) {
	case map[string]any:
		next, there := n[key]
		return next, there
	case []any:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(n) {
			return n[i], true
		}
	}
	return nil, false
}

// annotations are the keywords that no document is refused by.
var annotations = words(`$schema $id id $anchor $comment $defs definitions $vocabulary title description default examples example deprecated readOnly writeOnly
	contentMediaType contentEncoding contentSchema $dynamicAnchor $recursiveAnchor`)

func words(text string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(text) {
		set[w] = true
	}
	return set
}

// assertions are the keywords of a schema that say what is allowed, ascending.
func assertions(m map[string]any) []string {
	keys := slices.DeleteFunc(slices.Collect(maps.Keys(m)), func(k string) bool { return annotations[k] || strings.HasPrefix(k, "x-") })
	slices.Sort(keys)
	return keys
}

// sorted are the keys of an object, ascending; none of anything else.
func sorted(node any) []string {
	m, _ := node.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

// list are the elements of an array; none of anything else.
func list(node any) []any {
	l, _ := node.([]any)
	return l
}

// object is a map; an empty one of anything else.
func object(node any) map[string]any {
	m, _ := node.(map[string]any)
	return m
}

// maxDigits bounds a number's text, maxExponent its power of ten: both keep its exact value small.
const (
	maxDigits   = 64
	maxExponent = 400
)

// number is a number's exact value; nil of anything else, and of one beyond the bounds.
func number(node any) *big.Rat {
	n, is := node.(json.Number)
	if !is || len(n) > maxDigits {
		return nil
	}
	if i := strings.IndexAny(string(n), "eE"); i >= 0 {
		if e, err := strconv.Atoi(string(n[i+1:])); err != nil || e > maxExponent || e < -maxExponent {
			return nil
		}
	}
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		return nil
	}
	return r
}

// equal reports whether two JSON values are the same.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, is := b.(map[string]any)
		return is && maps.EqualFunc(a, b, equal)
	case []any:
		b, is := b.([]any)
		return is && slices.EqualFunc(a, b, equal)
	case json.Number:
		if x, y := number(a), number(b); x != nil && y != nil {
			return x.Cmp(y) == 0
		}
	}
	return a == b
}

// text is a JSON value for a sentence.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return shown(string(b))
}
