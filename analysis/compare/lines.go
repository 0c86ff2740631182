package compare

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// lineMost bounds a line of the file, in bytes. A longer one is refused.
const lineMost = 64 << 10

// An InputError says what is wrong in the file, where, and what to do.
type InputError struct {
	File   string
	Line   int64 // from 1; 0: of the whole file
	Column int   // of the field's first byte, from 1; 0: of the whole line
	Text   string
}

// Error returns "file:line:column: text".
func (e *InputError) Error() string {
	switch {
	case e.Line == 0:
		return e.File + ": " + e.Text
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// field is one value of a line.
type field struct {
	text string // without quotes and space around it
	at   int    // column of its first byte, from 1
}

// lines reads a CSV line by line: RFC 4180 without line ends inside of quotes. Fields are separated by what the first line has: a
// comma, a semicolon or a tab.
type lines struct {
	file      string
	in        *bufio.Reader
	number    int64 // of the last line
	separator byte  // 0: not known yet
	fields    []field
}

func newLines(file string, text io.Reader) *lines {
	return &lines{file: file, in: bufio.NewReaderSize(text, lineMost)}
}

// fail is an error at a field of the last line.
func (l *lines) fail(at field, format string, args ...any) error {
	return &InputError{l.file, l.number, at.at, fmt.Sprintf(format, args...)}
}

// next reads the next line that isn't empty into fields; io.EOF at the end. The fields are valid until the next call.
func (l *lines) next() error {
	for {
		raw, err := l.in.ReadSlice('\n')
		if len(raw) == 0 && err != nil {
			return err
		}
		l.number++
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return l.fail(field{}, "the line has more than %d bytes: is this a CSV file?", lineMost)
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
		text := strings.TrimRight(string(raw), "\r\n")
		if strings.TrimSpace(text) == "" {
			continue
		}
		if l.separator == 0 {
			text = strings.TrimPrefix(text, "\ufeff")
			if wrong := otherText(text); wrong != "" {
				return l.fail(field{}, "%s", wrong)
			}
			l.separator = separatorOf(text)
		}
		return l.split(text)
	}
}

// otherText says of a first line what kind of text it is that can't be read, and what to do; empty: none.
func otherText(line string) string {
	switch {
	case strings.ContainsRune(line, 0):
		return "this is text in UTF-16, or no text: save it as UTF-8 (PowerShell: Export-Csv -Encoding utf8)"
	case strings.Contains(line, "\r"):
		return "lines end in a carriage return alone: save the file with line feeds"
	}
	return ""
}

// separatorOf is the separator that a first line has most of.
func separatorOf(text string) byte {
	best := byte(',')
	for _, c := range []byte{';', '\t'} {
		if strings.Count(text, string(rune(c))) > strings.Count(text, string(rune(best))) {
			best = c
		}
	}
	return best
}

func (l *lines) split(text string) error {
	l.fields = l.fields[:0]
	for at := 0; ; {
		rest := text[at:]
		lead := len(rest) - len(strings.TrimLeft(rest, " "))
		if strings.HasPrefix(rest[lead:], `"`) {
			f, used, err := l.quoted(rest[lead:], at+lead+1)
			if err != nil {
				return err
			}
			l.fields = append(l.fields, f)
			at += lead + used
		} else {
			end := strings.IndexByte(rest, l.separator)
			if end < 0 {
				end = len(rest)
			}
			l.fields = append(l.fields, field{strings.TrimSpace(rest[:end]), at + 1})
			at += end
		}
		if at >= len(text) {
			return nil
		}
		at++ // the separator
	}
}

// quoted reads a field in quotes, and returns how many bytes it takes, up to the separator.
func (l *lines) quoted(text string, at int) (f field, used int, err error) {
	end := 1
	for {
		next := strings.IndexByte(text[end:], '"')
		if next < 0 {
			return f, 0, l.fail(field{at: at}, "the quote is not closed on its line")
		}
		end += next + 1
		if !strings.HasPrefix(text[end:], `"`) {
			break
		}
		end++
	}
	after := text[end:]
	space := len(after) - len(strings.TrimLeft(after, " "))
	if space < len(after) && after[space] != l.separator {
		return f, 0, l.fail(field{at: at + end + space}, "something stands behind the closing quote: put a separator there")
	}
	return field{strings.ReplaceAll(text[1:end-1], `""`, `"`), at}, end + space, nil
}
