package compat

import (
	"encoding/json"
	"math/big"
	"slices"
	"strings"
)

// types is a set of JSON types. Numbers are two: integers, and those with a fraction.
type types uint8

const (
	isNull types = 1 << iota
	isBoolean
	isString
	isArray
	isObject
	isInteger
	isFraction
	isNumber = isInteger | isFraction
	isAny    = isNull | isBoolean | isString | isArray | isObject | isNumber
)

var typeNames = []struct {
	name string
	of   types
}{
	{"null", isNull}, {"boolean", isBoolean}, {"string", isString}, {"array", isArray}, {"object", isObject}, {"number", isNumber}, {"integer", isInteger},
}

// String names the types.
func (s types) String() string {
	if s == isAny {
		return "anything"
	}
	var names []string
	for _, t := range typeNames {
		if s&t.of == t.of {
			names = append(names, t.name)
			s &^= t.of
		}
	}
	if s&isFraction != 0 {
		names = append(names, "a number with a fraction")
	}
	if names == nil {
		return "nothing"
	}
	return strings.Join(names, " or ")
}

// typesOf are the types that keywords allow.
func typesOf(words map[string]any) types {
	allowed := isAny
	if names := words["type"]; names != nil {
		allowed = 0
		for _, name := range slices.Concat(list(names), []any{names}) {
			allowed |= typeNamed(name)
		}
	}
	if values := valuesOf(words); values != nil {
		of := types(0)
		for _, v := range values {
			of |= typeOf(v)
		}
		allowed &= of
	}
	return allowed
}

func typeNamed(name any) types {
	for _, t := range typeNames {
		if name == t.name {
			return t.of
		}
	}
	return 0
}

func typeOf(v any) types {
	switch v := v.(type) {
	case nil:
		return isNull
	case bool:
		return isBoolean
	case string:
		return isString
	case []any:
		return isArray
	case json.Number:
		if r := number(v); r != nil && r.IsInt() {
			return isInteger
		}
		return isFraction
	}
	return isObject
}

// valuesOf are the only values that keywords allow; nil where they name none.
func valuesOf(words map[string]any) []any {
	if one, there := words["const"]; there {
		return []any{one}
	}
	if all, is := words["enum"].([]any); is {
		return all
	}
	return nil
}

// enumerated are all values that are allowed, also where that follows from the types; nil: they are too many to say.
func enumerated(words map[string]any, of types) []any {
	if values := valuesOf(words); values != nil {
		return slices.DeleteFunc(slices.Clone(values), func(v any) bool { return typeOf(v)&of == 0 })
	}
	if of&^(isNull|isBoolean) != 0 {
		return nil
	}
	values := []any{}
	if of&isNull != 0 {
		values = append(values, nil)
	}
	if of&isBoolean != 0 {
		values = append(values, true, false)
	}
	return values
}

// bound is an end of a range; nil: there is none.
type bound struct {
	at   *big.Rat
	open bool // the end itself is not in the range
}

// end is an end of the numbers that keywords allow: the narrowest of all that is said of it. Upper ends (closed is "maximum") are negated, so that
// they are compared as lower ones are.
func end(words map[string]any, of types, closed, open string) bound {
	signed := func(v any) *big.Rat {
		r := number(v)
		if r != nil && closed == "maximum" {
			return new(big.Rat).Neg(r)
		}
		return r
	}
	b := bound{signed(words[closed]), false}
	if b.at != nil {
		b.open = words[open] == true // draft-04
	}
	if x := signed(words[open]); x != nil && (b.at == nil || x.Cmp(b.at) >= 0) {
		b = bound{x, true}
	}
	least := (*big.Rat)(nil)
	for _, v := range valuesOf(words) {
		if x := signed(v); x != nil && (least == nil || x.Cmp(least) < 0) {
			least = x
		}
	}
	if least != nil && (b.at == nil || least.Cmp(b.at) > 0) {
		b = bound{least, false}
	}
	if b.at != nil && of&isFraction == 0 {
		return whole(b)
	}
	return b
}

// whole is the lower end of whole numbers.
func whole(b bound) bound {
	floor := new(big.Int)
	floor.Div(b.at.Num(), b.at.Denom()) // Euclidean: rounds down, since denominators are positive
	if !b.at.IsInt() || b.open {
		floor.Add(floor, big.NewInt(1))
	}
	return bound{at: new(big.Rat).SetInt(floor)}
}

// below reports whether a range reaches beyond the end of another one.
func (b bound) below(other bound) bool {
	switch {
	case other.at == nil:
		return false
	case b.at == nil:
		return true
	}
	c := b.at.Cmp(other.at)
	return c < 0 || c == 0 && other.open && !b.open
}
