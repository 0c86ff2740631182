package main

import (
	"bytes"
	"encoding/json"
	"math"
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
		{"a mean's limit, in a decision", schemas.GuardrailStatus{Unit: "number", Against: schemas.AgainstLimit, FirstWindow: 1}, "told while it is judged"},
		{"a mean's limit, before anything was tested", schemas.GuardrailStatus{Unit: "number", Against: schemas.AgainstLimit}, "unknown"},
		{"ratio", schemas.GuardrailStatus{Unit: "ratio", Lower: at(0.9), Upper: at(1.25)}, "-10.0 % .. +25.0 %"},
		{"shares", schemas.GuardrailStatus{Unit: "share", Lower: at(-0.001), Upper: at(0.02)}, "-0.10 pp .. +2.00 pp"},
		{"milliseconds", schemas.GuardrailStatus{Unit: "ms", Lower: at(40), Upper: at(50.5)}, "40 ms .. 50.5 ms"},
		{"one side", schemas.GuardrailStatus{Unit: "ratio", Lower: at(1.1)}, "+10.0 % .. inf"},
		{"harm came later", schemas.GuardrailStatus{Unit: "ratio", Estimate: at(1.2), SinceHarm: at(1.6), Lower: at(1.414), Upper: at(1.189)},
			"first <= +18.9 %, since then >= +41.4 %"},
		{"harm went away", schemas.GuardrailStatus{Unit: "ratio", Estimate: at(1.1), Lower: at(1.414), Upper: at(1.189)},
			"changed: once >= +41.4 %, once <= +18.9 %"},
		{"harm is less", schemas.GuardrailStatus{Unit: "ratio", Estimate: at(1.6), SinceHarm: at(1.1), Lower: at(1.414), Upper: at(1.189)},
			"first >= +41.4 %, since then <= +18.9 %"},
		{"as much as can be seen", schemas.GuardrailStatus{Unit: "ratio", ProbabilityIndex: at(1), Lower: at(4), Upper: at(8)}, "+300.0 % .. >= +700.0 %"},
		{"crossed without an estimate", schemas.GuardrailStatus{Unit: "ratio", Lower: at(1.414), Upper: at(1.189)},
			"changed: once >= +41.4 %, once <= +18.9 %"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := interval(&test.in); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// TestCappedLine: of a mean whose values are at its cap a line under the table says so.
func TestCappedLine(t *testing.T) {
	g := schemas.GuardrailStatus{Name: "score", Capped: .976}
	if got := cappedLine(&g); !strings.HasPrefix(got, "score: 97 % of an arm's values are at the cap or beyond") {
		t.Error(got)
	}
	if got := cappedLine(&schemas.GuardrailStatus{Name: "score"}); got != "" {
		t.Error(got)
	}
}

// TestGuardrailTable holds what a person reads at night: a failure's row has the estimate that the verdict has, and when it began; a difference has
// its ratio's bounds beside its own; and distributions have a description under the table, of which it is said that nothing is decided by it.
func TestGuardrailTable(t *testing.T) {
	at := func(x float64) *float64 { return &x }
	const began, last = 1760000444000, 1760000460000
	all := []schemas.GuardrailStatus{
		{Name: "errors", State: schemas.StateFailed, Against: schemas.AgainstBaseline, Unit: "share", Margin: "0.5pp", Estimate: at(.0032), SinceHarm: at(.051),
			Lower: at(.001), Upper: at(.006), Ratio: &schemas.Interval{Estimate: at(1.67), Lower: at(1.234), Upper: at(2.5)}, HarmBegan: began, LastWindow: last, LogEvidence: 8, Threshold: 7.5,
			Canary: schemas.ArmCount{N: 5000, Events: 40}, Baseline: schemas.ArmCount{N: 45000, Events: 216}},
		{Name: "p99", State: schemas.StateSuspect, Against: schemas.AgainstBaseline, Unit: "ratio", Margin: "20%", Estimate: at(1.1), HarmBegan: began - 86_400_000, LastWindow: last},
		{Name: "timeouts", State: schemas.StateContinue, Against: schemas.AgainstBaseline, Unit: "share", Margin: "any", Estimate: at(-.001), SinceHarm: at(.02), HarmBegan: began, LastWindow: last},
		{Name: "outage", State: schemas.StateContinue, Why: "both_arms", Against: schemas.AgainstLimit, Unit: "share", Margin: "5%", Estimate: at(.1527),
			Lower: at(.12), Upper: at(.2), HarmBegan: began, LastWindow: last, LogEvidence: 640, Threshold: 7.2},
		{Name: "slo", State: schemas.StateContinue, MutedUntil: last, Against: schemas.AgainstLimit, Unit: "ms", Margin: "50ms", Estimate: at(41.26)},
		{Name: "shape", State: schemas.StateContinue, Calibration: schemas.CalibrationFailed, Against: schemas.AgainstBaseline, Unit: "ratio", Margin: "20%", Estimate: at(1.05), ProbabilityIndex: at(.5125), KS: at(.0731),
			MannWhitneyP: at(.04213), AtQuantile: .999, Shape: []schemas.QuantileEvidence{{Quantile: .5, LogEvidence: .25}, {Quantile: .999, LogEvidence: 3}}, Canary: schemas.ArmCount{N: 700}, Baseline: schemas.ArmCount{N: 6300}},
		{Name: "bulk", Segment: "de", State: schemas.StateInsufficient, Why: "too_few", Unit: "ratio", Margin: "20%"},
		{Name: "bulk", State: schemas.StateContinue, Against: schemas.AgainstBaseline, Unit: "ratio", Margin: "20%", Estimate: at(1), ProbabilityIndex: at(.5), KS: at(0), MannWhitneyP: at(1)},
	}
	want := `GUARDRAIL   STATE                    ESTIMATE                      INTERVAL SINCE START                  MARGIN       CANARY      BASELINE      EVIDENCE
errors      failed                   +5.10 pp since 09:00:44       +0.10 pp .. +0.60 pp (x1.23 .. x2.5)  0.5 pp       40 of 5000  216 of 45000  8.0 of 7.5
p99         suspect                  unknown since 8 Oct 09:00:44  unknown                               20 %         0 of 0      0 of 0        0.0
timeouts    continue                 -0.10 pp                      unknown                               any          0 of 0      0 of 0        0.0
outage      continue (both_arms)     15.27 %                       12.00 % .. 20.00 %                    limit 5 %    0 of 0      0 of 0        640.0 of 7.2
slo         continue (muted)         41.26 ms                      unknown                               limit 50 ms  0 of 0      0 of 0        0.0
shape       continue (uncalibrated)  +5.0 %                        unknown                               20 %         700         6300          0.0
bulk in de  insufficient (too_few)   unknown                       unknown                               20 %         0 of 0      0 of 0        0.0
bulk        continue                 +0.0 %                        unknown                               20 %         0 of 0      0 of 0        0.0
shape: the estimate is of p99.9; evidence of any harm by quantile: p50 0.2, p99.9 3.0
  in 51.2 % of pairs the canary is above the baseline; last block: Kolmogorov-Smirnov distance 0.0731, Mann-Whitney p 0.0421 (nothing is decided by these)
bulk: in 50 % of pairs the canary is above the baseline; last block: Kolmogorov-Smirnov distance 0, Mann-Whitney p 1 (nothing is decided by these)
`
	var out strings.Builder
	if err := printGuardrails(&out, all); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("table\n%swant\n%s", out.String(), want)
	}
}

func TestRatioBounds(t *testing.T) {
	at := func(x float64) *float64 { return &x }
	tests := []struct {
		name string
		in   *schemas.Interval
		want string
	}{
		{"no ratio beside the estimate", nil, ""},
		{"no event yet", &schemas.Interval{}, ""},
		{"every ratio is possible", &schemas.Interval{Estimate: at(2), Lower: at(0)}, ""},
		{"both", &schemas.Interval{Lower: at(.8541), Upper: at(1.2)}, " (x0.854 .. x1.2)"},
		{"at least", &schemas.Interval{Lower: at(2)}, " (x2 .. inf)"},
		{"at most", &schemas.Interval{Lower: at(0), Upper: at(.5)}, " (x0 .. x0.5)"},
		{"a mean's at most", &schemas.Interval{Upper: at(.5)}, " (x0 .. x0.5)"},
		{"it changed", &schemas.Interval{Lower: at(2), Upper: at(.5), Changed: true}, " (once >= x2, once <= x0.5)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := ratioBounds(test.in); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestDifferenceBounds(t *testing.T) {
	at := func(x float64) *float64 { return &x }
	tests := []struct {
		name string
		in   *schemas.Interval
		want string
	}{
		{"no difference beside the estimate", nil, ""},
		{"every difference is possible", &schemas.Interval{Estimate: at(.01), Lower: at(-1), Upper: at(1)}, ""},
		{"not kept", &schemas.Interval{Estimate: at(.01)}, ""},
		{"both", &schemas.Interval{Lower: at(-.0071), Upper: at(.0097)}, " (-0.71 pp .. +0.97 pp)"},
		{"it changed", &schemas.Interval{Estimate: at(.03), Lower: at(.02), Upper: at(.01), Changed: true}, " (changed: once >= +2.00 pp, once <= +1.00 pp)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := differenceBounds(&schemas.GuardrailStatus{Unit: "ratio", Difference: test.in}); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// TestBreaches: what a replay's decision says of a guardrail that it stands on is what its status says, the ratio and crossed bounds too.
func TestBreaches(t *testing.T) {
	at := func(x float64) *float64 { return &x }
	list := breaches([]schemas.GuardrailStatus{
		{Name: "scores", State: schemas.StateFailed, On: schemas.OnWarn},
		{Name: "errors", State: schemas.StateFailed, On: schemas.OnRollback, Unit: "share", Estimate: at(.01), Ratio: &schemas.Interval{Estimate: at(3), Lower: at(2), Upper: at(4)}},
		{Name: "ctr", State: schemas.StateContinue, Ratio: &schemas.Interval{}},
		{Name: "p99", State: schemas.StateSuspect, On: schemas.OnRollback, Unit: "ratio", Lower: at(2), Upper: at(1), Changed: true},
		{Name: "clicks", State: schemas.StateFailed, On: schemas.OnHold, Unit: "ratio", Difference: &schemas.Interval{Lower: at(-.5)}},
	})
	got, err := json.Marshal(list)
	const want = `[{"guardrail":"errors","segment":"","state":"failed","on":"rollback","against":"","estimate_since_harm":null,"estimate":0.01,"lower":null,"upper":null,` +
		`"ratio":{"estimate":3,"lower":2,"upper":4},"unit":"share","margin":"","log_evidence":0,"threshold":0},` +
		`{"guardrail":"clicks","segment":"","state":"failed","on":"hold","against":"","estimate_since_harm":null,"estimate":null,"lower":null,"upper":null,` +
		`"difference":{"estimate":null,"lower":-0.5,"upper":null},"unit":"ratio","margin":"","log_evidence":0,"threshold":0},` +
		`{"guardrail":"scores","segment":"","state":"failed","on":"warn","against":"","estimate_since_harm":null,"estimate":null,"lower":null,"upper":null,"unit":"","margin":"","log_evidence":0,"threshold":0},` +
		`{"guardrail":"p99","segment":"","state":"suspect","on":"rollback","against":"","estimate_since_harm":null,"estimate":null,"lower":2,"upper":1,"changed":true,` +
		`"unit":"ratio","margin":"","log_evidence":0,"threshold":0}]`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
}

func TestWindowMetric(t *testing.T) {
	hits, half := int64(3), .5
	tests := []struct {
		in   windowMetric
		want string
	}{
		{windowMetric{Metric: "error", N: 73, Hits: &hits}, "error: 3 of 73"}, {windowMetric{Metric: "latency", N: 73}, "latency: 73 values"},
		{windowMetric{Metric: "error", Hits: new(int64)}, "error: none"}, {windowMetric{Metric: "latency", Hits: new(int64)}, "latency: none"},
		{windowMetric{Metric: "latency", N: 73, KS: &half, MannWhitneyP: &half}, "latency: 73 values (KS 0.5, p 0.5)"},
	}
	for _, tt := range tests {
		if got := tt.in.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestPartLine: the canary's line of a part has how its values look beside the baseline's, by hand: half of them above all of the baseline's, half equal to half of those, so
// the canary is above in 7 of 8 pairs; a part that has nothing of the baseline says nothing.
func TestPartLine(t *testing.T) {
	part := windows.Part{Metrics: []string{"latency"}, Cells: [windows.Arms][]windows.Cell{
		windows.Baseline: {{N: 4, Hist: []windows.Bucket{{Index: 1, Count: 2}, {Index: 2, Count: 2}}}},
		windows.Canary:   {{N: 4, Hist: []windows.Bucket{{Index: 2, Count: 2}, {Index: 3, Count: 2}}}},
	}}
	sealed := &windows.SealedPart{Part: &part}
	deviation := math.Sqrt(16. / 12 * (9 - (6.+60+6)/56)) // U is 14 of 16, less 8, less a half
	m := partLine(sealed, int(windows.Canary)).Metrics[0]
	if m.N != 4 || m.Hits != nil || *m.KS != .5 || math.Abs(*m.MannWhitneyP-math.Erfc(5.5/deviation/math.Sqrt2)) > 1e-12 {
		t.Errorf("%s, ks %v, p %v", m, *m.KS, *m.MannWhitneyP)
	}
	if m := partLine(sealed, int(windows.Baseline)).Metrics[0]; m.KS != nil || m.MannWhitneyP != nil || m.N != 4 {
		t.Errorf("of the baseline: %s", m)
	}
	part.Cells[windows.Baseline][0] = windows.Cell{}
	if m := partLine(sealed, int(windows.Canary)).Metrics[0]; m.KS != nil || m.MannWhitneyP != nil || m.N != 4 {
		t.Errorf("without the baseline: %s", m)
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

// TestArmText: what has no events is told by how many values it has.
func TestArmText(t *testing.T) {
	x := 3.5
	tests := []struct {
		unit string
		in   schemas.ArmCount
		want string
	}{
		{"share", schemas.ArmCount{N: 700, Value: &x}, "0 of 700"}, {"number", schemas.ArmCount{N: 700, Value: &x}, "700"},
		{"ratio", schemas.ArmCount{N: 700, Value: &x}, "700"}, {"ratio", schemas.ArmCount{N: 700, Value: new(float64)}, "0 of 700"}, {"ratio", schemas.ArmCount{N: 700}, "700"}, {"number", schemas.ArmCount{N: 700, Events: 7, Value: &x}, "7 of 700"}, {"ms", schemas.ArmCount{}, "0 of 0"},
	}
	for _, tt := range tests {
		if got := armText(&schemas.GuardrailStatus{Unit: tt.unit}, &tt.in); got != tt.want {
			t.Errorf("%s %+v: %q, want %q", tt.unit, tt.in, got, tt.want)
		}
	}
}
