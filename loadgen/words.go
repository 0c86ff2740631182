package loadgen

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"streamcanary/schemas"
)

// A line is one statement on its way through the parser: its words, and which comes next.
type line struct {
	file   string
	number int
	words  []string
	next   int
	usage  string // of its statement, once that is known
}

// fail makes an error with the line's place in front, and the statement's usage behind.
func (l *line) fail(format string, args ...any) error {
	text := fmt.Sprintf("%s:%d: %s", l.file, l.number, fmt.Sprintf(format, args...))
	if l.usage != "" {
		text += " (usage: " + l.usage + ")"
	}
	return errors.New(text)
}

// unknown is the error for a word that nobody knows.
func (l *line) unknown(word string, allowed []string) error {
	return l.fail("unknown word %q%s; allowed: %s", word, nearestHint(word, allowed), strings.Join(allowed, ", "))
}

// word takes the next word; wanted says what it should be.
func (l *line) word(wanted string) (string, error) {
	if l.next >= len(l.words) {
		return "", l.fail("the line ends where %s should be", wanted)
	}
	l.next++
	return l.words[l.next-1], nil
}

// takes takes the next word if it is the given one.
func (l *line) takes(word string) bool {
	if l.next < len(l.words) && l.words[l.next] == word {
		l.next++
		return true
	}
	return false
}

// must takes the next word, which has to be the given one.
func (l *line) must(word string) error {
	got, err := l.word(strconv.Quote(word))
	if err == nil && got != word {
		return l.unknown(got, []string{word})
	}
	return err
}

// oneOf takes the next word, which has to be among the allowed ones.
func (l *line) oneOf(allowed ...string) (string, error) {
	got, err := l.word("one of " + strings.Join(allowed, ", "))
	if err == nil && !slices.Contains(allowed, got) {
		return "", l.unknown(got, allowed)
	}
	return got, err
}

// option takes the next word, if any is left, and refuses what isn't among the allowed ones. It returns "" at the line's end.
func (l *line) option(allowed ...string) (string, error) {
	if l.next >= len(l.words) {
		return "", nil
	}
	return l.oneOf(allowed...)
}

// end refuses words that are left over.
func (l *line) end() error {
	if l.next < len(l.words) {
		return l.fail("nothing may follow here, but %q does", l.words[l.next])
	}
	return nil
}

// name takes a name: letters, digits and ._- only, so that it is the same in every file, topic and subject.
func (l *line) name(of string) (string, error) {
	word, err := l.word("the name of " + of)
	if err != nil {
		return "", err
	}
	if len(word) > schemas.MaxNameBytes {
		return "", l.fail("the name of %s has %d bytes; at most %d", of, len(word), schemas.MaxNameBytes)
	}
	for _, c := range []byte(word) {
		if !isNameByte(c) {
			return "", l.fail("%q is no name of %s: letters, digits, '.', '_' and '-' only", word, of)
		}
	}
	return word, nil
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// share takes a percentage, and returns it as a share of 1.
func (l *line) share(of string) (float64, error) {
	word, err := l.word(of)
	if err != nil {
		return 0, err
	}
	x, ok := percent(word)
	if !ok || x > 1 || signed(word) {
		return 0, l.fail("%q is no %s: want a percentage from 0%% to 100%%", word, of)
	}
	return x, nil
}

// percent reads "12.5%" as 0.125.
func percent(word string) (float64, bool) {
	digits, ok := strings.CutSuffix(word, "%")
	x, finite := number(digits)
	return x / 100, ok && finite
}

// number reads a finite decimal number: digits, a point, a sign and an exponent; no hexadecimal, no names, no underscores.
func number(word string) (float64, bool) {
	if word == "" || strings.Trim(word, "0123456789.+-eE") != "" {
		return 0, false
	}
	x, err := strconv.ParseFloat(word, 64)
	return x, err == nil
}

// between takes a number from lo to hi.
func (l *line) between(of string, lo, hi float64) (float64, error) {
	word, err := l.word(of)
	if err != nil {
		return 0, err
	}
	x, ok := number(word)
	if !ok || x < lo || x > hi {
		return 0, l.fail("%q is no %s: want a number from %g to %g", word, of, lo, hi)
	}
	return x, nil
}

// span takes a duration from least up, and returns milliseconds.
func (l *line) span(of string, least time.Duration) (float64, error) {
	word, err := l.word(of)
	if err != nil {
		return 0, err
	}
	d, ok := duration(word)
	if !ok || signed(word) || d < least || d > MaxDuration {
		return 0, l.fail("%q is no %s: want a duration from %s to 400d, like 250ms, 10m or 1d", word, of, least)
	}
	return float64(d) / float64(time.Millisecond), nil
}

// signed says whether a word begins with a sign.
func signed(word string) bool { return strings.HasPrefix(word, "+") || strings.HasPrefix(word, "-") }

// duration reads a Go duration, with days in front or alone: 90s, 2d, 1d12h.
func duration(word string) (time.Duration, bool) {
	whole := time.Duration(0)
	if days, rest, ok := strings.Cut(word, "d"); ok {
		x, ok := number(days)
		if !ok || x < 0 || x > 1000 {
			return 0, false
		}
		whole = time.Duration(x * 24 * float64(time.Hour))
		if rest == "" || signed(rest) {
			return whole, rest == ""
		}
		word = rest
	}
	d, err := time.ParseDuration(word)
	return whole + d, err == nil
}

// nearestHint says which known word is nearest, if one is near at all.
func nearestHint(word string, known []string) string {
	best, distance := "", 1+len(word)/2
	for _, k := range known {
		if d := editDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (nearest: %q)", best)
}

// editDistance is Levenshtein's, of the first 64 bytes.
func editDistance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
