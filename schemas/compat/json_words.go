package compat

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"
)

// types holds the types against each other.
func (w *walk) types(of types, b place, schema map[string]any) {
	if schema["type"] == nil {
		return
	}
	here := typesOf(map[string]any{"type": schema["type"]})
	if missing := of &^ here; missing != 0 {
		w.tell(b.in(nil, "type"), fmt.Sprintf("it may be %s in %s, and here only %s", of, w.writer.Name, here),
			fmt.Sprintf("take %s here, too, or give the new type a new property", missing))
	}
}

// values holds enum and const against each other.
func (w *walk) values(f flat, b place, schema map[string]any) {
	here := valuesOf(schema)
	if here == nil {
		return
	}
	key := "enum"
	if _, one := schema["const"]; one {
		key = "const"
	}
	at := b.in(nil, key)
	all := enumerated(f.words, typesOf(f.words))
	if all == nil {
		w.tell(at, fmt.Sprintf("only %s is taken here, and %s allows more", text(here), w.writer.Name), "take the others, too, or name the values there first")
		return
	}
	var missing []any
	for _, v := range all {
		if !slices.ContainsFunc(here, func(x any) bool { return equal(x, v) }) {
			missing = append(missing, v)
		}
	}
	if missing != nil {
		w.tell(at, fmt.Sprintf("%s is not taken here, and allowed in %s", text(missing), w.writer.Name), "take it here, too")
	}
}

// numbers holds the ranges of numbers against each other.
func (w *walk) numbers(f flat, b place, schema map[string]any, both types) {
	if both&isNumber == 0 {
		return
	}
	for _, e := range []struct{ closed, open, way string }{{"minimum", "exclusiveMinimum", "lower"}, {"maximum", "exclusiveMaximum", "greater"}} {
		key := e.closed
		if number(schema[e.open]) != nil {
			key = e.open
		}
		here := end(map[string]any{e.closed: schema[e.closed], e.open: schema[e.open]}, both, e.closed, e.open)
		if end(f.words, both, e.closed, e.open).below(here) {
			w.tell(b.in(nil, key), fmt.Sprintf("%s is %s here, and %s allows %s numbers", key, text(schema[key]), w.writer.Name, e.way), "take as much here as there")
		}
	}
	step := number(schema["multipleOf"])
	if step == nil || step.Sign() <= 0 {
		return
	}
	multiple := func(v any) bool {
		r := number(v)
		return r != nil && new(big.Rat).Quo(r, step).IsInt()
	}
	values := valuesOf(f.words)
	switch {
	case multiple(f.words["multipleOf"]), values != nil && !slices.ContainsFunc(values, func(v any) bool { return typeOf(v)&isNumber != 0 && !multiple(v) }):
	case both&isFraction == 0 && new(big.Rat).Inv(step).IsInt():
	default:
		w.tell(b.in(nil, "multipleOf"), fmt.Sprintf("only multiples of %s are taken here, and %s allows others", text(schema["multipleOf"]), w.writer.Name), "take as much here as there")
	}
}

// sizeWords are the keywords that bound sizes, and of what.
var sizeWords = []struct {
	key  string
	of   types
	most bool
	what string
}{
	{"minLength", isString, false, "shorter strings"}, {"maxLength", isString, true, "longer strings"},
	{"minItems", isArray, false, "fewer items"}, {"maxItems", isArray, true, "more items"},
	{"minProperties", isObject, false, "fewer properties"}, {"maxProperties", isObject, true, "more properties"},
}

// sizes holds lengths and counts against each other.
func (w *walk) sizes(f flat, b place, schema map[string]any, both types) {
	for _, s := range sizeWords {
		here := number(schema[s.key])
		if here == nil || both&s.of == 0 {
			continue
		}
		there := sizeOf(f.words, s.key)
		fits := there != nil && (s.most && there.Cmp(here) <= 0 || !s.most && there.Cmp(here) >= 0) || !s.most && here.Sign() == 0
		if !fits {
			w.tell(b.in(nil, s.key), fmt.Sprintf("%s is %s here, and %s allows %s", s.key, text(schema[s.key]), w.writer.Name, s.what), "take as much here as there")
		}
	}
	if pattern := schema["pattern"]; pattern != nil && both&isString != 0 && !w.saysWord(f, "pattern", pattern) {
		w.pattern(f, b.in(pattern, "pattern"))
	}
	if format := schema["format"]; format != nil && both&(isString|isNumber) != 0 && !w.saysWord(f, "format", format) {
		w.unchecked(b.in(nil, "format"), fmt.Sprintf("format is %s here, and not in %s", text(format), w.writer.Name),
			"write the same format in both versions, or in none")
	}
}

// sizeOf is a bound of sizes, said or implied; nil: there is none.
func sizeOf(words map[string]any, key string) *big.Rat {
	if said := number(words[key]); said != nil {
		return said
	}
	if key == "minProperties" {
		return new(big.Rat).SetInt64(int64(len(slices.Compact(slices.Sorted(slices.Values(texts(words["required"])))))))
	}
	var size *big.Rat
	for _, v := range valuesOf(words) {
		s, is := v.(string)
		if !is {
			continue
		}
		n := new(big.Rat).SetInt64(int64(utf8.RuneCountInString(s)))
		if size == nil || (n.Cmp(size) > 0) == (key == "maxLength") {
			size = n
		}
	}
	if key == "minLength" || key == "maxLength" {
		return size
	}
	return nil
}

// pattern holds strings against a regular expression that the writer hasn't.
func (w *walk) pattern(f flat, at place) {
	source, _ := at.node.(string)
	expression := expressionOf(source)
	values := valuesOf(f.words)
	switch {
	case values != nil && expression == nil:
		w.unchecked(at, fmt.Sprintf("the pattern %s can't be tried here on the values of %s", shown(source), w.writer.Name), "write the values here, too, in place of the pattern")
	case values == nil && f.words["pattern"] != nil:
		w.unchecked(at, fmt.Sprintf("the pattern is %s here, and another one in %s", shown(source), w.writer.Name),
			"keep the pattern, or take any string here")
	case values == nil:
		w.tell(at, fmt.Sprintf("only strings like %s are taken here, and %s allows any", shown(source), w.writer.Name), "take any here, too, or write the pattern there first")
	default:
		for _, v := range values {
			if s, is := v.(string); is && !expression.MatchString(s) {
				w.tell(at, fmt.Sprintf("%s is not taken here, and allowed in %s", text(v), w.writer.Name), "take it here, too")
			}
		}
	}
}

// foreign is what Go's regular expressions and those of ECMA 262, which JSON Schema goes by, don't read alike.
var foreign = regexp.MustCompile(`\\[^dDwWbBnrtfv.*+?()\[\]{}|^$/\\-]|\(\?[^:]|\[\[:|\[\^?\]`)

// expressionOf is a pattern that can be tried here; nil: it can't.
func expressionOf(source string) *regexp.Regexp {
	expression, err := regexp.Compile(source)
	if err != nil || foreign.MatchString(source) {
		return nil
	}
	return expression
}

// texts are the strings of a list.
func texts(node any) []string {
	var all []string
	for _, v := range list(node) {
		if s, is := v.(string); is {
			all = append(all, s)
		}
	}
	return all
}

// arrays holds the elements of arrays against each other.
func (w *walk) arrays(f flat, b place, schema map[string]any) {
	if schema["uniqueItems"] == true && f.words["uniqueItems"] != true {
		w.tell(b.in(nil, "uniqueItems"), fmt.Sprintf("items must differ here, and need not in %s", w.writer.Name), "take equal ones here, too")
	}
	a := f.place()
	there, here := elements(a), elements(b)
	for i := range max(len(there.first), len(here.first)) {
		if most := number(f.words["maxItems"]); most != nil && most.Cmp(new(big.Rat).SetInt64(int64(i))) <= 0 {
			return
		}
		w.fits(there.at(i), here.at(i))
	}
	if here.rest.node != true {
		w.fits(there.rest, here.rest)
	}
}

// items are the schemas of an array's elements: of the first ones each its own, then one for all others.
type items struct {
	first []place
	rest  place
}

func (x *items) at(i int) place {
	if i < len(x.first) {
		return x.first[i]
	}
	return x.rest
}

// elements reads them in the words of any draft.
func elements(p place) items {
	words := object(p.node)
	x := items{rest: p.in(true, "items")}
	tuple, key, rest := list(words["prefixItems"]), "prefixItems", othersOf(words)
	if old, is := words["items"].([]any); is {
		tuple, key = old, "items"
	}
	for i, schema := range tuple {
		x.first = append(x.first, p.in(schema, key, strconv.Itoa(i)))
	}
	if words[rest] != nil {
		x.rest = p.in(words[rest], rest)
	}
	return x
}

// othersOf is the keyword by which a schema speaks of the elements that nothing else in it speaks of.
func othersOf(words map[string]any) string {
	rest := "items"
	if _, old := words["items"].([]any); old {
		rest = "additionalItems"
	}
	if _, said := words["unevaluatedItems"]; said && words[rest] == nil && plainly(words) {
		return "unevaluatedItems"
	}
	return rest
}
