package main

import (
	"strings"
	"testing"

	"streamcanary/schemas"
)

func TestExemplarLines(t *testing.T) {
	slow, tokens := 812.456, 7.0
	got := exemplarLines("  ", []schemas.GuardrailStatus{
		{Name: "p99", Exemplars: []schemas.Exemplar{{ID: "a", Value: &slow, Unit: "ms"}, {ID: "b", Code: "timeout"}}},
		{Name: "cpu"},
		{Name: "errors", Segment: "de", Exemplars: []schemas.Exemplar{{ID: "a", Code: "503"}, {ID: "b"}, {ID: "c", Value: &tokens}, {ID: "d"}, {ID: "e"}}},
	})
	want := "  look up, of p99: a 812.5 ms, b (timeout)\n  look up, of errors in de: a (503), b, c 7 and 2 more\n"
	if got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	many := make([]schemas.GuardrailStatus, shownLists+2)
	for i := range many {
		many[i] = schemas.GuardrailStatus{Name: "a", Exemplars: []schemas.Exemplar{{ID: "b"}}}
	}
	if got, want := exemplarLines("", many), strings.Repeat("look up, of a: b\n", shownLists)+"and of 2 more (--json has all)\n"; got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestExemplarsOnTerminal: no id, code or segment moves a terminal's cursor, or reads otherwise than it is.
func TestExemplarsOnTerminal(t *testing.T) {
	got := exemplarLines("", []schemas.GuardrailStatus{{Name: "errors", Segment: "\x1b]0;s\a", Exemplars: []schemas.Exemplar{{ID: "\x1b[2J", Code: "\x1b[31m"}}}})
	if want := `look up, of errors in "\x1b]0;s\a": "\x1b[2J" ("\x1b[31m")` + "\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
