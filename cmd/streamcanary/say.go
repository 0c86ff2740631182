package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"streamcanary/schemas"
)

// say writes for people, as fmt.Fprintf does. Texts among the arguments, and errors, are quoted where a terminal would obey them, or break the line: comments, names and reasons are written
// by whoever may command, or reaches NATS. The record and --json have them to the byte.
func say(w io.Writer, format string, args ...any) {
	_ = result(w, format, args...) // that people's text can't be written nobody could be told
}

// result is say where what is written is the command's result.
func result(w io.Writer, format string, args ...any) error {
	args = slices.Clone(args)
	for i, arg := range args {
		switch x := arg.(type) {
		case string:
			args[i] = schemas.Readable(x)
		case error:
			args[i] = schemas.Readable(x.Error())
		}
	}
	_, err := fmt.Fprintf(w, format, args...)
	return err
}

// readableJSON is the same JSON, with what a terminal would obey, or not show as it is, in escapes.
func readableJSON(text json.RawMessage) string {
	var b strings.Builder
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		switch {
		case r == '\n' || strconv.IsPrint(r) && r != utf8.RuneError:
			b.WriteRune(r)
		case r >= 0x10000:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
