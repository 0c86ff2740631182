package ingest

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	eachByte = 0x0101010101010101
	highBits = 0x8080808080808080
)

// str checks a string from after its opening quote on and returns where its closing quote is; s.escaped says whether
// it has escapes. Eight bytes are looked at together: the lowest flag of the four tests below is exact (a borrow can
// only come from a lower byte that is flagged itself).
func (s *jsonScanner) str(i int) int {
	s.escaped = false
	text := s.text
	for {
		if i+8 <= len(text) {
			w := binary.LittleEndian.Uint64(text[i:])
			quotes, slashes := w^('"'*eachByte), w^('\\'*eachByte)
			special := ((w-' '*eachByte)&^w | (quotes-eachByte)&^quotes | (slashes-eachByte)&^slashes | w) & highBits
			if special == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(special) >> 3
		} else {
			for i < len(text) && plain(text[i]) {
				i++
			}
			if i >= len(text) {
				return s.fail(ReasonSyntax, i, "a string has no end")
			}
		}
		if text[i] == '"' {
			return i
		}
		if i = s.oddByte(i); i < 0 {
			return -1
		}
	}
}

// plain says that a byte stands for itself in a string.
func plain(c byte) bool { return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' }

// oddByte checks what is no plain byte within a string: an escape, a character beyond ASCII, or an error.
func (s *jsonScanner) oddByte(i int) int {
	switch c := s.text[i]; {
	case c == '\\':
		s.escaped = true
		return s.escape(i)
	case c < ' ':
		return s.fail(ReasonSyntax, i, "control character %#02x in a string", c)
	}
	r, size := utf8.DecodeRune(s.text[i:])
	if r == utf8.RuneError && size == 1 {
		return s.fail(ReasonUTF8, i, "byte %#02x is not UTF-8", s.text[i])
	}
	return i + size
}

// escape checks one escape, from its backslash on.
func (s *jsonScanner) escape(i int) int {
	if i+1 < len(s.text) {
		switch s.text[i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			return i + 2
		case 'u':
			if _, ok := hex4(s.text[i+2:]); ok {
				return i + 6
			}
		}
	}
	return s.fail(ReasonSyntax, i, "%s is no escape", quote(s.text[i:min(i+6, len(s.text))]))
}

// hex4 reads four hexadecimal digits.
func hex4(text []byte) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range text[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendUnescaped appends the checked inside of a string with its escapes replaced. Half a surrogate pair becomes
// U+FFFD, as in encoding/json: programs that cut text in the middle of a character write such, mostly in fields that
// nobody reads.
func appendUnescaped(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			dst = append(dst, text[i])
			i++
			continue
		}
		switch c := text[i+1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, _ := hex4(text[i+2:])
			i += 4
			if utf16.IsSurrogate(r) {
				r, i = pair(text, r, i)
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
		i += 2
	}
	return dst
}

// pair completes a surrogate whose escape ends at i+2 with the one that follows, if it fits.
func pair(text []byte, first rune, i int) (rune, int) {
	rest := text[i+2:]
	if len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
		second, _ := hex4(rest[2:])
		if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
			return r, i + 6
		}
	}
	return utf8.RuneError, i
}
