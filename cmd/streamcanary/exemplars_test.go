package main

import (
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
}
