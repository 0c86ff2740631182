package main

import (
	"bytes"
	"strings"
	"testing"

	"streamcanary/cmd/engine"
	"streamcanary/schemas"
	"streamcanary/windows"
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

// TestGuardrailTable holds what a person reads at night: a failure's row has the estimate that the verdict has, and when it began.
func TestGuardrailTable(t *testing.T) {
	at := func(x float64) *float64 { return &x }
	const began, last = 1760000444000, 1760000460000
	all := []schemas.GuardrailStatus{
		{Name: "errors", State: schemas.StateFailed, Against: schemas.AgainstBaseline, Unit: "share", Margin: "0.5pp", Estimate: at(.0032), SinceHarm: at(.051),
			Lower: at(.001), Upper: at(.006), HarmBegan: began, LastWindow: last, LogEvidence: 8, Threshold: 7.5,
			Canary: schemas.ArmCount{N: 5000, Events: 40}, Baseline: schemas.ArmCount{N: 45000, Events: 216}},
		{Name: "p99", State: schemas.StateSuspect, Against: schemas.AgainstBaseline, Unit: "ratio", Margin: "20%", Estimate: at(1.1), HarmBegan: began - 86_400_000, LastWindow: last},
		{Name: "timeouts", State: schemas.StateContinue, Against: schemas.AgainstBaseline, Unit: "share", Margin: "any", Estimate: at(-.001), SinceHarm: at(.02), HarmBegan: began, LastWindow: last},
		{Name: "outage", State: schemas.StateContinue, Why: "both_arms", Against: schemas.AgainstLimit, Unit: "share", Margin: "5%", Estimate: at(.1527),
			Lower: at(.12), Upper: at(.2), HarmBegan: began, LastWindow: last, LogEvidence: 640, Threshold: 7.2},
		{Name: "slo", State: schemas.StateContinue, Against: schemas.AgainstLimit, Unit: "ms", Margin: "50ms", Estimate: at(41.26)},
	}
	want := `GUARDRAIL  STATE                 ESTIMATE                      INTERVAL SINCE START  MARGIN       CANARY      BASELINE      EVIDENCE
errors     failed                +5.10 pp since 09:00:44       +0.10 pp .. +0.60 pp  0.5 pp       40 of 5000  216 of 45000  8.0 of 7.5
p99        suspect               unknown since 8 Oct 09:00:44  unknown               20 %         0 of 0      0 of 0        0.0
timeouts   continue              -0.10 pp                      unknown               any          0 of 0      0 of 0        0.0
outage     continue (both_arms)  15.27 %                       12.00 % .. 20.00 %    limit 5 %    0 of 0      0 of 0        640.0 of 7.2
slo        continue              41.26 ms                      unknown               limit 50 ms  0 of 0      0 of 0        0.0
`
	var out strings.Builder
	if err := printGuardrails(&out, all); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("table\n%swant\n%s", out.String(), want)
	}
}

func TestWindowMetric(t *testing.T) {
	hits := int64(3)
	tests := []struct {
		in   windowMetric
		want string
	}{
		{windowMetric{"error", 73, &hits}, "error: 3 of 73"}, {windowMetric{"latency", 73, nil}, "latency: 73 values"},
		{windowMetric{"error", 0, new(int64)}, "error: none"}, {windowMetric{"latency", 0, new(int64)}, "latency: none"},
	}
	for _, tt := range tests {
		if got := tt.in.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
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

func TestBandTable(t *testing.T) {
	lower, upper := 180.25, 240.0
	bands := []schemas.Band{
		{DisplayOnly: true, Guardrail: "p99", Version: "41", Quantile: .99, Unit: "ms", Lower: &lower, Upper: &upper, N: 1000, From: 1760000400000, To: 1760002200000},
		{DisplayOnly: true, Guardrail: "p99", Version: "42", Quantile: .99, Unit: "ms", N: 7, From: 1760000400000, To: 1760002200000},
	}
	var b strings.Builder
	if err := printBands(&b, bands); err != nil {
		t.Fatal(err)
	}
	want := `
each arm's own quantiles in the last hour at most, for display only: no decision stands on them
  p99  p99 of 41  180.2 ms .. 240 ms  1000 values since 09:00:00
  p99  p99 of 42  -inf .. inf         7 values since 09:00:00
`
	if b.String() != want {
		t.Errorf("got %s\nwant %s", b.String(), want)
	}
	b.Reset()
	if err := printBands(&b, nil); err != nil || b.Len() > 0 {
		t.Errorf("of nothing: %q, %v", b.String(), err)
	}
}

// TestNotes: what a summary says of late events that are many, and nothing of few.
func TestNotes(t *testing.T) {
	for _, row := range []struct {
		late int64
		want string
	}{{10, ""}, {11, "note: 11 of 100 predictions are late, and entered no test: one event whose time is wrong"}} {
		var s engine.Summary
		s.Counts[schemas.KindPrediction][windows.Counted], s.Counts[schemas.KindPrediction][windows.Late] = 100-row.late, row.late
		var out strings.Builder
		printNotes(&out, &s)
		if got := out.String(); row.want == "" && got != "" || !strings.HasPrefix(got, row.want) {
			t.Errorf("%d late: %q, want %q", row.late, got, row.want)
		}
	}
}
