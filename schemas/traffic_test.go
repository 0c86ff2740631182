package schemas

import (
	"reflect"
	"strings"
	"testing"
)

func TestTraffic(t *testing.T) {
	got, err := ParseTraffic("t", []byte(`kind: Traffic
requests: 200.5
share: 10%
rates: {error: 0.1%, click: 2%}
quantiles: {latency: {p99: 120ms, p50: 20ms}, margin: {p1: -3, p99.9: 5.5}}
samples: {cpu: 0.4}
means: {purchase: {mean: -3.2, deviation: 20}}
phi: {click: 1.5}
`))
	want := &Traffic{
		Requests: 200.5, Share: 0.1, Rates: map[string]float64{"error": 0.001, "click": 0.02},
		Quantiles: map[string][]QuantileValue{"latency": {{0.5, 20}, {0.99, 120}}, "margin": {{0.01, -3}, {0.999, 5.5}}},
		Samples:   map[string]float64{"cpu": 0.4}, Means: map[string]MeanValue{"purchase": {-3.2, 20}}, Phi: map[string]float64{"click": 1.5},
	}
	for q := range want.Quantiles { // 99.9/100 and 0.999 differ in the last bit
		for i, v := range got.Quantiles[q] {
			if d := v.Quantile - want.Quantiles[q][i].Quantile; d < 1e-12 && d > -1e-12 {
				got.Quantiles[q][i].Quantile = want.Quantiles[q][i].Quantile
			}
		}
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	for _, bad := range []struct{ file, want string }{
		{"kind: Traffic\n", "f:1:1: requests: missing: write requests: 200"},
		{"requests: 0\n", "f:1:11: requests: 0 is out of bounds: write a number above 0, at most 1000000000"},
		{"requests: 5\nrate: {error: 1%}\n", "f:2:1: rate: unknown key: did you mean rates?"},
		{"requests: 5\nshare: 100%\n", "f:2:8: share: 100% leaves one arm without traffic: write a share between 0% and 100%"},
		{"requests: 5\nrates: {error: 0.1}\n", `f:2:16: rates.error: "0.1" stands where a share such as 5% is wanted`},
		{"requests: 5\nquantiles: {latency: {p50: 20ms}}\n", "f:2:22: quantiles.latency: one quantile says nothing of the spread: write two or more, e.g. {p50: 20ms, p99: 120ms}"},
		{"requests: 5\nquantiles: {latency: {p50: 20ms, p90: 20ms}}\n", "f:2:22: quantiles.latency: p90 is not above p50: write higher values for higher quantiles"},
		{"requests: 5\nquantiles: {latency: {p50: 20ms, p50.0: 30ms}}\n", "f:2:22: quantiles.latency: p50 is given twice: remove one"},
		{"requests: 5\nquantiles: {latency: {p50: 20, p90: 30ms}}\n", `f:2:28: quantiles.latency.p50: "20" is no latency: write e.g. 20ms`},
		{"requests: 5\nquantiles: {tokens: {50: 20, p100: 30}}\n", "f:2:22: quantiles.tokens.50: 50 is a number here: write \"50\", in quotes\n" +
			"f:2:26: quantiles.tokens.50: \"50\" is no quantile: write e.g. p50 or p99.9\n" + `f:2:36: quantiles.tokens.p100: "p100" is no quantile: write e.g. p50 or p99.9`},
		{"requests: 5\nquantiles: {tokens: {p50: 20ms, p90: 30}}\n", `f:2:27: quantiles.tokens.p50: "20ms" is no number: write it in the unit of tokens, e.g. 250`},
		{"requests: 5\nmeans: {tokens: {mean: 20}}\n", "f:2:17: means.tokens.deviation: missing: write deviation: 20"},
		{"requests: 5\nphi: {error: 0.5}\n", "f:2:14: phi.error: 0.5 is out of bounds: write a number from 1, at most 100"},
	} {
		if _, err := ParseTraffic("f", []byte(bad.file)); err == nil || err.Error() != bad.want {
			t.Errorf("%q:\ngot  %v\nwant %s", bad.file, err, bad.want)
		}
	}
}

func TestParseShare(t *testing.T) {
	for text, want := range map[string]float64{"5%": 0.05, "0.3%": 0.003, "100%": 1, "0%": 0, "0": 0, "00": -1, ".5%": 0.005, ".%": -1, "..5%": -1, "5.%": -1, "-.5%": -1, "5": -1, "%": -1, "-5%": -1, "101%": -1, "": -1, "x%": -1} {
		got, err := ParseShare(text)
		if want >= 0 && (err != nil || got != want) || want < 0 && (err == nil || !strings.Contains(err.Error(), "is no share: write e.g. 5%")) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

func TestBucketShift(t *testing.T) {
	tests := []struct {
		b          Buckets
		margin     float64
		fail, pass int
	}{
		{Buckets{0, 1, 1000}, 0.05, 50, 50},
		{Buckets{-8.5, 8.5, 1700}, 0.07, 7, 7}, // in floats a bit more than 7 buckets
		{Buckets{0, 1, 1000}, 0.043, 43, 43},   // and here a bit less than 43
		{Buckets{0, 1, 1000}, 0.003, 3, 3},
		{Buckets{0, 1, 1000}, 0.0505, 51, 50},
		{Buckets{-8.5, 8.5, 1700}, 0.5, 50, 50},
		{Buckets{0, 100, 10}, 1, 1, 0},
		{Buckets{0, 1, 1000}, 0, 0, 0},
	}
	for _, test := range tests {
		if fail, pass := test.b.Shift(test.margin); fail != test.fail || pass != test.pass {
			t.Errorf("%+v of %v: got %d and %d, want %d and %d", test.margin, test.b, fail, pass, test.fail, test.pass)
		}
	}
}

func FuzzParseTraffic(f *testing.F) {
	f.Add([]byte("requests: 5\nquantiles: {latency: {p50: 20ms, p90: 30ms}}\nmeans: {a: {mean: 1, deviation: 2}}\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := ParseTraffic("f", file)
		if (got == nil) == (err == nil) || err != nil && len(Problems(err)) == 0 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}
