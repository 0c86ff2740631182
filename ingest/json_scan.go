package ingest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"

	"streamcanary/schemas"
)

// tokenKind says what a JSON value is.
type tokenKind uint8

const (
	tokenNone tokenKind = iota
	tokenNull
	tokenFalse
	tokenTrue
	tokenNumber
	tokenString
	tokenArray
	tokenObject
)

// String returns the words that a detail uses for a value of that kind.
func (k tokenKind) String() string {
	return [...]string{"nothing", "null", "false", "true", "a number", "a string", "an array", "an object"}[k]
}

// A jsonValue is where a checked value stands in the text, and what was learnt on the way.
type jsonValue struct {
	start, end int // of a string: without its quotes
	kind       tokenKind
	escaped    bool // strings: has escapes
	number     jsonNumber
}

// A jsonKey is one key of an open object, decoded.
type jsonKey struct {
	hash uint64
	text []byte
	at   int
}

// fewKeys is how many keys one object may have before duplicates are looked for by sorting at its end instead of
// one by one: so a hostile object costs n log n, and a usual one no sort.
const fewKeys = 16

// A jsonScanner checks one JSON text completely (RFC 8259, UTF-8, depth, duplicate keys) and notes the values of the
// top level's known keys. Every method takes the position to go on from and returns the one after what it read, or
// -1 after fail.
type jsonScanner struct {
	text    []byte
	seen    uint32 // bit per known key
	values  [fieldCount]jsonValue
	keys    []jsonKey // of the open objects, innermost last: unknown keys only on the top level
	unquote []byte    // keys with escapes
	seed    maphash.Seed
	order   [orderLength]keyGuess
	escaped bool // the last string had escapes
	bad     *Invalid
}

// Of the last event, orderLength keys are remembered that are no longer than guessMax.
const (
	orderLength = 24
	guessMax    = 64
)

// A keyGuess is a key of the last event, so that an event with the same keys in the same order, which is the usual one, is recognized
// by comparing bytes.
type keyGuess struct {
	text        []byte // with quotes and colon, as it stood there; empty: no guess
	first, last uint64 // its first and its last eight bytes
	mask        uint64 // of the first ones those that it has
	field       field
	key         jsonKey // decoded, where the field is unknown
}

// set makes a guess of what was read.
func (g *keyGuess) set(raw []byte, f field, key jsonKey) {
	var word [8]byte
	copy(word[:], raw)
	g.text, g.field, g.mask = append(g.text[:0], raw...), f, ^uint64(0)
	g.key = jsonKey{hash: key.hash, text: append(g.key.text[:0], key.text...)}
	g.first = binary.LittleEndian.Uint64(word[:])
	if len(raw) < len(word) {
		g.mask = 1<<(8*len(raw)) - 1
	} else {
		g.last = binary.LittleEndian.Uint64(raw[len(raw)-len(word):])
	}
}

// at says whether the guess stands in text at i. Most keys are no longer than two words; those are compared as such.
func (g *keyGuess) at(text []byte, i int) bool {
	n := len(g.text)
	if i+max(n, 8) > len(text) || n == 0 || (binary.LittleEndian.Uint64(text[i:])^g.first)&g.mask != 0 {
		return false
	}
	if n <= 8 {
		return true
	}
	return binary.LittleEndian.Uint64(text[i+n-8:]) == g.last && (n <= 16 || string(text[i+8:i+n-8]) == string(g.text[8:n-8]))
}

// scan checks text; false: s.bad says why it's refused.
func (s *jsonScanner) scan(text []byte) bool {
	s.text, s.seen, s.bad = text, 0, nil
	s.keys, s.unquote = s.keys[:0], s.unquote[:0]
	i := s.space(0)
	if i >= len(text) || text[i] != '{' {
		s.fail(ReasonSyntax, i, "an event must be one object, found %s", s.found(i))
		return false
	}
	i = s.event(i + 1)
	if i < 0 {
		return false
	}
	if i = s.space(i); i < len(text) {
		s.fail(ReasonSyntax, i, "more after the object: %s", s.found(i))
		return false
	}
	return true
}

// event reads the members of the top-level object, after its brace.
func (s *jsonScanner) event(i int) int {
	i = s.space(i)
	if i < len(s.text) && s.text[i] == '}' {
		return i + 1
	}
	for n := 0; ; n++ {
		f, end := s.key(i, n)
		if end < 0 {
			return -1
		}
		if f != fieldUnknown {
			if s.seen&(1<<f) != 0 {
				return s.fail(ReasonDuplicateKey, i, "key %s is there twice", quote([]byte(f.String())))
			}
			s.seen |= 1 << f
		}
		i = end
		if i < len(s.text) && s.text[i] <= ' ' {
			i = s.space(i)
		}
		if i = s.value(i, 1, &s.values[f]); i < 0 {
			return -1
		}
		var more bool
		if i, more = s.next(i, '}'); i < 0 || !more {
			return s.close(i, 0)
		}
	}
}

// key reads the n-th key of the top level and its colon. An unknown one is noted, so that it isn't there twice.
func (s *jsonScanner) key(i, n int) (field, int) {
	if n < orderLength {
		if g := &s.order[n]; g.at(s.text, i) {
			if g.field == fieldUnknown && !s.remember(g.key.text, g.key.hash, i, 0) {
				return 0, -1
			}
			return g.field, i + len(g.text)
		}
	}
	text, end := s.name(i)
	if end < 0 {
		return 0, -1
	}
	f, key := fieldOf(text), jsonKey{}
	if f == fieldUnknown {
		key = jsonKey{hash: maphash.Bytes(s.seed, text), text: text}
		if !s.remember(text, key.hash, i, 0) {
			return 0, -1
		}
	}
	if n < orderLength && end-i <= guessMax {
		s.order[n].set(s.text[i:end], f, key)
	}
	return f, end
}

// name reads a key and its colon, and returns the key decoded.
func (s *jsonScanner) name(i int) ([]byte, int) {
	if i >= len(s.text) || s.text[i] != '"' {
		return nil, s.fail(ReasonSyntax, i, "a key in quotes is needed, found %s", s.found(i))
	}
	end := s.str(i + 1)
	if end < 0 {
		return nil, -1
	}
	text := s.text[i+1 : end]
	if s.escaped {
		from := len(s.unquote)
		s.unquote = appendUnescaped(s.unquote, text)
		text = s.unquote[from:]
	}
	if end = s.space(end + 1); end >= len(s.text) || s.text[end] != ':' {
		return nil, s.fail(ReasonSyntax, end, "a colon is needed after key %s, found %s", quote(text), s.found(end))
	}
	return text, end + 1
}

// remember notes a key of the object whose keys start at base, and refuses one that is there already.
func (s *jsonScanner) remember(text []byte, hash uint64, at, base int) bool {
	k := jsonKey{hash: hash, text: text, at: at}
	if len(s.keys)-base < fewKeys {
		for i := range s.keys[base:] {
			if old := &s.keys[base+i]; old.hash == k.hash && bytes.Equal(old.text, text) {
				s.fail(ReasonDuplicateKey, at, "key %s is there twice", quote(text))
				return false
			}
		}
	}
	s.keys = append(s.keys, k)
	return true
}

// close ends an object whose keys start at base: where they were many, duplicates are found now.
func (s *jsonScanner) close(i, base int) int {
	if i < 0 {
		return -1
	}
	keys := s.keys[base:]
	s.keys = s.keys[:base]
	if len(keys) <= fewKeys {
		return i
	}
	slices.SortFunc(keys, func(a, b jsonKey) int {
		if a.hash != b.hash {
			if a.hash < b.hash {
				return -1
			}
			return 1
		}
		if c := bytes.Compare(a.text, b.text); c != 0 {
			return c
		}
		return a.at - b.at
	})
	twice := -1
	for k := 1; k < len(keys); k++ {
		same := keys[k].hash == keys[k-1].hash && bytes.Equal(keys[k].text, keys[k-1].text)
		if same && (twice < 0 || keys[k].at < keys[twice].at) {
			twice = k
		}
	}
	if twice >= 0 {
		return s.fail(ReasonDuplicateKey, keys[twice].at, "key %s is there twice", quote(keys[twice].text))
	}
	return i
}

// next reads what stands after a member or an element: a comma (more) or the closing bracket.
func (s *jsonScanner) next(i int, closing byte) (int, bool) {
	if i < len(s.text) && s.text[i] <= ' ' {
		i = s.space(i)
	}
	if i < len(s.text) {
		switch s.text[i] {
		case ',':
			i++
			if i < len(s.text) && s.text[i] <= ' ' {
				i = s.space(i)
			}
			return i, true
		case closing:
			return i + 1, false
		}
	}
	return s.fail(ReasonSyntax, i, "a comma or %q is needed, found %s", closing, s.found(i)), false
}

// value reads any value at the given depth, and notes it in v.
func (s *jsonScanner) value(i, depth int, v *jsonValue) int {
	if i >= len(s.text) {
		return s.fail(ReasonSyntax, i, "a value is needed, found %s", s.found(i))
	}
	v.start = i
	switch c := s.text[i]; {
	case c == '"':
		v.kind, v.start = tokenString, i+1
		v.end = s.str(i + 1)
		v.escaped = s.escaped
		if v.end < 0 {
			return -1
		}
		return v.end + 1
	case c == '-' || c-'0' <= 9:
		v.kind = tokenNumber
		v.end = scanNumber(s.text, i, &v.number)
		if v.end < 0 {
			return s.noNumber(i)
		}
		return v.end
	case c == '{':
		v.kind, v.end = tokenObject, s.object(i+1, depth+1)
		return v.end
	case c == '[':
		v.kind, v.end = tokenArray, s.array(i+1, depth+1)
		return v.end
	}
	return s.literal(i, v)
}

// literal reads true, false or null.
func (s *jsonScanner) literal(i int, v *jsonValue) int {
	switch rest := s.text[i:]; {
	case bytes.HasPrefix(rest, []byte("false")):
		v.kind, v.end = tokenFalse, i+5
	case bytes.HasPrefix(rest, []byte("true")):
		v.kind, v.end = tokenTrue, i+4
	case bytes.HasPrefix(rest, []byte("null")):
		v.kind, v.end = tokenNull, i+4
	case bytes.HasPrefix(rest, []byte("NaN")), bytes.HasPrefix(rest, []byte("Infinity")):
		return s.noNumber(i)
	default:
		return s.fail(ReasonSyntax, i, "a value is needed, found %s", s.found(i))
	}
	return v.end
}

// noNumber refuses what stands where a number should: NaN and infinity as some programs write them, or anything.
func (s *jsonScanner) noNumber(i int) int {
	switch word := s.word(i); string(word) {
	case "NaN", "-NaN", "Infinity", "-Infinity":
		return s.fail(ReasonNotFinite, i, "%s is not finite", word)
	default:
		return s.fail(ReasonSyntax, i, "%s is no number", quote(word))
	}
}

// object reads the members of a nested object, after its brace.
func (s *jsonScanner) object(i, depth int) int {
	if depth > schemas.MaxDepth {
		return s.fail(ReasonTooDeep, i-1, "nesting is deeper than %d", schemas.MaxDepth)
	}
	base := len(s.keys)
	if i = s.space(i); i < len(s.text) && s.text[i] == '}' {
		return i + 1
	}
	for {
		text, end := s.name(i)
		if end < 0 || !s.remember(text, maphash.Bytes(s.seed, text), i, base) {
			return -1
		}
		var v jsonValue
		if i = s.value(s.space(end), depth, &v); i < 0 {
			return -1
		}
		var more bool
		if i, more = s.next(i, '}'); i < 0 || !more {
			return s.close(i, base)
		}
	}
}

// array reads the elements of an array, after its bracket.
func (s *jsonScanner) array(i, depth int) int {
	if depth > schemas.MaxDepth {
		return s.fail(ReasonTooDeep, i-1, "nesting is deeper than %d", schemas.MaxDepth)
	}
	if i = s.space(i); i < len(s.text) && s.text[i] == ']' {
		return i + 1
	}
	for {
		var v jsonValue
		if i = s.value(i, depth, &v); i < 0 {
			return -1
		}
		var more bool
		if i, more = s.next(i, ']'); i < 0 || !more {
			return i
		}
	}
}

// space skips white space.
func (s *jsonScanner) space(i int) int {
	for i < len(s.text) {
		switch s.text[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// fail notes the first refusal, of what stands at byte i.
func (s *jsonScanner) fail(r Reason, i int, format string, args ...any) int {
	if s.bad == nil {
		s.bad = Invalidf(r, "at byte %d: %s", i+1, fmt.Sprintf(format, args...))
	}
	return -1
}

// found says what stands at i, for a refusal.
func (s *jsonScanner) found(i int) string {
	if i >= len(s.text) {
		return "the end"
	}
	return quote(s.word(i))
}

// word returns the run of non-space, non-structural bytes at i, or the one structural byte there.
func (s *jsonScanner) word(i int) []byte {
	end := i
	for end < len(s.text) && bytes.IndexByte([]byte(" \t\r\n,:{}[]\""), s.text[end]) < 0 {
		end++
	}
	return s.text[i:max(end, min(i+1, len(s.text)))]
}

// quotedMax bounds what a detail quotes of an event.
const quotedMax = 40

// quote writes foreign text safely into a detail: escaped, and cut where it is long.
func quote(text []byte) string {
	if len(text) > quotedMax {
		return strconv.QuoteToASCII(string(text[:quotedMax])) + "…"
	}
	return strconv.QuoteToASCII(string(text))
}
