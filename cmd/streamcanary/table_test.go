package main

import (
	"bytes"
	"testing"

	"streamcanary/schemas"
)

func TestInterval(t *testing.T) {
	at := func(x float64) *float64 { return &x }
	tests := []struct {
		name string
		in   schemas.GuardrailStatus
		want string
	}{
		{"nothing known", schemas.GuardrailStatus{Unit: "ratio"}, "unknown"},
		{"ratio", schemas.GuardrailStatus{Unit: "ratio", Lower: at(0.9), Upper: at(1.25)}, "-10.0 % .. +25.0 %"},
		{"shares", schemas.GuardrailStatus{Unit: "share", Lower: at(-0.001), Upper: at(0.02)}, "-0.10 pp .. +2.00 pp"},
		{"milliseconds", schemas.GuardrailStatus{Unit: "ms", Lower: at(40), Upper: at(50.5)}, "40 ms .. 50.5 ms"},
		{"one side", schemas.GuardrailStatus{Unit: "ratio", Lower: at(1.1)}, "+10.0 % .. inf"},
		{"harm came later", schemas.GuardrailStatus{Unit: "ratio", Estimate: at(1.2), SinceHarm: at(1.6), Lower: at(1.414), Upper: at(1.189)},
			"first +18.9 % or less, since then +41.4 % or more"},
		{"harm went away", schemas.GuardrailStatus{Unit: "ratio", Estimate: at(1.1), Lower: at(1.414), Upper: at(1.189)},
			"first +41.4 % or more, since then +18.9 % or less"},
		{"crossed without an estimate", schemas.GuardrailStatus{Unit: "ratio", Lower: at(1.414), Upper: at(1.189)},
			"changed: once +41.4 % or more, once +18.9 % or less"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := interval(&test.in); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// TestProgressIsQuiet: nothing is drawn where there is no terminal.
func TestProgressIsQuiet(t *testing.T) {
	var out bytes.Buffer
	b := newProgress(&out)
	b.show(progress{done: 1, total: 2, events: 3})
	b.done()
	if out.Len() != 0 {
		t.Errorf("%q was written", out.String())
	}
}

func TestOneLine(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"one", "read it: gone", "read it: gone"},
		{"the same cause twice", "write x: write event 5: disk full\ndisk full", "write x: write event 5: disk full"},
		{"two", "read it: gone\nclose it: gone too", "read it: gone; close it: gone too"},
		{"many", "a\nb\nc\nd", "a; b; and 2 more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := oneLine(plain(test.in)); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// plain is an error with a given text.
type plain string

func (p plain) Error() string { return string(p) }
