package schemas

import (
	"strings"
	"testing"
	"time"
)

func TestMargins(t *testing.T) {
	tests := []struct {
		written string
		kind    GuardrailKind
		of      string
		d       Direction
		want    Margin
		wantErr string
	}{
		{"20%", RateGuardrail, "error", Increase, Margin{"20%", true, 0.2}, ""},
		{"0.5pp", RateGuardrail, "error", Increase, Margin{"0.5pp", false, 0.005}, ""},
		{"0.07pp", RateGuardrail, "error", Increase, Margin{"0.07pp", false, 0.0007}, ""}, // 0.07/100 would be 0.0007000000000000001
		{"any", RateGuardrail, "error", Decrease, Margin{"any", false, 0}, ""},
		{"0pp", RateGuardrail, "error", Increase, Margin{"0pp", false, 0}, ""},
		{"5%", RateGuardrail, "error", Above, Margin{"5%", false, 0.05}, ""},
		{"0.1%", RateGuardrail, "click", Below, Margin{"0.1%", false, 0.001}, ""},
		{"20%", QuantileGuardrail, "latency", Increase, Margin{"20%", true, 0.2}, ""},
		{"any", QuantileGuardrail, "latency", Increase, Margin{"any", true, 0}, ""},
		{"50ms", QuantileGuardrail, "latency", Above, Margin{"50ms", false, 50}, ""},
		{"250us", QuantileGuardrail, "latency", Above, Margin{"250us", false, 0.25}, ""},
		{"1.5s", QuantileGuardrail, "latency", Below, Margin{"1.5s", false, 1500}, ""},
		{"0.9", QuantileGuardrail, "tokens", Above, Margin{"0.9", false, 0.9}, ""},
		{"5pp", GaugeGuardrail, "cpu", Increase, Margin{"5pp", false, 0.05}, ""},
		{"3%", MeanGuardrail, "purchase", Decrease, Margin{"3%", true, 0.03}, ""},
		{"0.5", MeanGuardrail, "purchase", Decrease, Margin{"0.5", false, 0.5}, ""},
		{"any", MeanGuardrail, "purchase", Decrease, Margin{"any", false, 0}, ""},
		{"40", MeanGuardrail, "purchase", Below, Margin{"40", false, 40}, ""},
		{"20%", DistributionGuardrail, "latency", Increase, Margin{"20%", true, 0.2}, ""},
		{"any", DistributionGuardrail, "latency", Decrease, Margin{"any", true, 0}, ""},
		{"50%", GaugeGuardrail, "cpu", Above, Margin{"50%", false, 0.5}, ""},

		{"", RateGuardrail, "error", Increase, Margin{}, `"" is no margin`},
		{"%", RateGuardrail, "error", Increase, Margin{}, `"%" is no margin`},
		{"1.", RateGuardrail, "error", Increase, Margin{}, `"1." is no margin`},
		{"1.2.3%", RateGuardrail, "error", Increase, Margin{}, `"1.2.3%" is no margin`},
		{"Any", RateGuardrail, "error", Increase, Margin{}, `"Any" is no margin`},
		{"5 %", RateGuardrail, "error", Increase, Margin{}, "the unit  % doesn't fit"},
		{"1e3%", RateGuardrail, "error", Increase, Margin{}, "1e3%: write the number without an exponent"},
		{"5", RateGuardrail, "error", Increase, Margin{}, "5 has no unit"},
		{"5", QuantileGuardrail, "latency", Above, Margin{}, "5 has no unit: write e.g. 50ms"},
		{"50ms", QuantileGuardrail, "latency", Increase, Margin{}, "the unit ms doesn't fit this guardrail: write e.g. 20%"},
		{"5pp", QuantileGuardrail, "latency", Increase, Margin{}, "the unit pp doesn't fit"},
		{"50%", QuantileGuardrail, "tokens", Above, Margin{}, "the unit % doesn't fit this guardrail: write e.g. 250, a number in the unit of tokens"},
		{"10001%", RateGuardrail, "error", Increase, Margin{}, "10001% is out of bounds: write at most 10000%"},
		{"100pp", RateGuardrail, "error", Increase, Margin{}, "100pp: a share can't get there: write less than 100"},
		{"100%", RateGuardrail, "click", Decrease, Margin{}, "100%: nothing can fall by that much"},
		{"5pp", MeanGuardrail, "purchase", Decrease, Margin{}, "the unit pp doesn't fit this guardrail: write e.g. 3% (of the baseline's), 0.5 (in the unit of purchase), or any"},
		{"3%", MeanGuardrail, "purchase", Below, Margin{}, "the unit % doesn't fit this guardrail: write e.g. 250, a number in the unit of purchase"},
		{"0.1", DistributionGuardrail, "latency", Increase, Margin{}, "0.1 has no unit: write e.g. 20% (of the baseline's), or any"},
		{"2h", QuantileGuardrail, "latency", Above, Margin{}, "2h is out of bounds: write at most 1h"},
		{"0ms", QuantileGuardrail, "latency", Above, Margin{}, "0ms is no limit"},
		{strings.Repeat("9", 400), QuantileGuardrail, "tokens", Above, Margin{}, "is out of range"},
	}
	for _, test := range tests {
		got, err := parseMargin(test.written, &Guardrail{Kind: test.kind, Of: test.of, Direction: test.d})
		if test.wantErr == "" && (err != nil || got != test.want) {
			t.Errorf("%s %s %s: got %+v, %v, want %+v", test.kind, test.d, test.written, got, err, test.want)
		}
		if test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
			t.Errorf("%s %s %s: got %v, want %s", test.kind, test.d, test.written, err, test.wantErr)
		}
	}
}

func TestMarginsOnLinearBuckets(t *testing.T) {
	tests := []struct {
		written string
		d       Direction
		want    Margin
		wantErr string
	}{
		{"0.05", Increase, Margin{"0.05", false, 0.05}, ""},
		{"any", Decrease, Margin{"any", false, 0}, ""},
		{"0.05", Above, Margin{"0.05", false, 0.05}, ""},
		{"20%", Increase, Margin{}, "the unit % doesn't fit this guardrail: write e.g. 0.05 (a shift, in the unit of score), or any"},
	}
	for _, kind := range []GuardrailKind{QuantileGuardrail, DistributionGuardrail} {
		for _, test := range tests {
			got, err := parseMargin(test.written, &Guardrail{Kind: kind, Of: ofScore, Direction: test.d, Buckets: scoreBuckets})
			if got != test.want || (err == nil) != (test.wantErr == "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("%s %s %s: got %+v, %v, want %+v %s", kind, test.d, test.written, got, err, test.want, test.wantErr)
			}
		}
	}
}

func FuzzMargin(f *testing.F) {
	for _, seed := range []string{"20%", "0.5pp", "50ms", "0.9", "any", "-5%", "1e3%", "9999999999999h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, written string) {
		for _, kind := range guardrailKinds {
			for _, d := range guardrailDirections {
				for _, of := range []string{ofLatency, "tokens"} {
					m, err := parseMargin(written, &Guardrail{Kind: GuardrailKind(kind), Of: of, Direction: Direction(d)})
					if err != nil && err.Error() == "" {
						t.Errorf("%q: an error without text", written)
					}
					limit := d == string(Above) || d == string(Below)
					if err == nil && (m.Text != written || m.Value < 0 || m.Value != m.Value || limit && (m.Relative || m.Value == 0)) {
						t.Errorf("%s %s of %s: %q is read as %+v", kind, d, of, written, m)
					}
				}
			}
		}
	})
}

func TestDurations(t *testing.T) {
	tests := []struct {
		text    string
		want    time.Duration
		format  string
		wantErr string
	}{
		{"0s", 0, "0s", ""},
		{"250ms", 250 * time.Millisecond, "250ms", ""},
		{"1.5s", 1500 * time.Millisecond, "1.5s", ""},
		{"90s", 90 * time.Second, "1m30s", ""},
		{"10m", 10 * time.Minute, "10m", ""},
		{"1h", time.Hour, "1h", ""},
		{"1h30m", 90 * time.Minute, "1h30m", ""},
		{"1h0m5s", time.Hour + 5*time.Second, "1h0m5s", ""},
		{"24h", 24 * time.Hour, "24h", ""},
		{"1d", 24 * time.Hour, "24h", ""},
		{"1.5d", 36 * time.Hour, "36h", ""},
		{"1d12h", 36 * time.Hour, "36h", ""},
		{"14d", 14 * 24 * time.Hour, "14d", ""},
		{"96h", 96 * time.Hour, "96h", ""},
		{"3us", 3 * time.Microsecond, "3µs", ""},
		{"3µs", 3 * time.Microsecond, "3µs", ""},
		{"", 0, "", "a duration is missing: write e.g. 10m"},
		{"5", 0, "", `"5" has no unit: write e.g. 5s, or 5m`},
		{"-5s", 0, "", `"-5s" is no duration`},
		{"5 s", 0, "", `"5 s" is no duration`},
		{"5.s", 0, "", `"5.s" is no duration`},
		{".5s", 0, "", `".5s" is no duration`},
		{"s", 0, "", `"s" is no duration`},
		{"5w", 0, "", `"5w" is no duration`},
		{"1h5", 0, "", `"1h5" is no duration`},
		{"5sm", 0, "", `"5sm" is no duration`},
		{"never", 0, "", `"never" is no duration`},
		{"1e3s", 0, "", `"1e3s" is no duration`},
		{"106752d", 0, "", `duration "106752d" is too long`},
		{"106751d106751d", 0, "", "is too long"},
		{"99999999999999999999s", 0, "", "is too long"},
	}
	for _, test := range tests {
		got, err := ParseDuration(test.text)
		if test.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("%q: got %v, want %s", test.text, err, test.wantErr)
			}
			continue
		}
		if err != nil || got != test.want || FormatDuration(got) != test.format {
			t.Errorf("%q: got %v, %v, written %q", test.text, got, err, FormatDuration(got))
		}
		if again, err := ParseDuration(FormatDuration(got)); err != nil || again != got {
			t.Errorf("%q comes back as %v, %v", FormatDuration(got), again, err)
		}
	}
	if got := FormatDuration(Never); got != "never" {
		t.Errorf("got %q", got)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"window", "lateness", "warmup", "model", "mode", "passwordFile"}
	tests := []struct{ word, want string }{
		{"windows", "window"}, {"widnow", "window"}, {"WINDOW", "window"}, {"latness", "lateness"}, {"warm", "warmup"},
		{"modl", "model"}, // one letter from mode, too: the first wins
		{"password", "passwordFile"}, {"xyz", ""}, {"", ""}, {"q", ""}, {strings.Repeat("window", 100), ""},
	}
	for _, test := range tests {
		if got := nearest(test.word, known); got != test.want {
			t.Errorf("%q: got %q, want %q", test.word, got, test.want)
		}
	}
	if got := nearest("a", []string{"b", "c"}); got != "" {
		t.Errorf("every letter is near: %q", got)
	}
}
