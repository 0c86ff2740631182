package compare

import (
	"testing"

	"streamcanary/schemas"
)

// TestPointsBetweenThousands: in a file with semicolons, where a number may be another one than is read, it is refused.
func TestPointsBetweenThousands(t *testing.T) {
	areRefused(t, []wrong{
		{"round thousands, as spreadsheets group them", errorRate(), "window;arm;n;events\n1;baseline;12.000;1.000\n1;canary;11.000;2.000\n",
			`f.csv:2:12: n "12.000" can be 12.000 or 12000 (in a file with semicolons points may stand between thousands): write it without a point`},
		{"events in thousands", errorRate(), "window;arm;n;events\n1;baseline;12000;1.250\n",
			`f.csv:2:18: events "1.250" can be 1.250 or 1250 (in a file with semicolons points may stand between thousands): write it without a point`},
		{"millions", errorRate(), "window;arm;n;events\n1;baseline;1.200.000;1\n",
			`f.csv:2:12: n "1.200.000" can be 1.200.000 or 1200000 (in a file with semicolons points may stand between thousands): write it without a point`},
		{"values in thousands", p90(), "time;arm;value\n1;baseline;987\n1;canary;1.012\n2;canary;2.000\n",
			`f.csv:3:10: value "1.012" can be 1.012 or 1012 (in a file with semicolons points may stand between thousands), and no number in its column tells which: write 1.0120 or 1012`},
		{"times in thousands", p90(), "time;arm;value\n987;baseline;1\n1.012;canary;2\n",
			`f.csv:3:1: time "1.012" is before that of the line above: sort the rows by it, both arms together`},
		{"all times in thousands", p90(), "time;arm;value\n1.012;baseline;1\n1.015;canary;2\n",
			`f.csv:2:1: time "1.012" can be 1.012 or 1012 (in a file with semicolons points may stand between thousands), and no number in its column tells which: write 1.0120 or 1012`},
		{"exposure in thousands", perHour(), "window;baseline_exposure;baseline_events;canary_exposure;canary_events\n1;0.5;1;2.500;1\n",
			`f.csv:2:9: exposure "2.500" can be 2.500 or 2500 (in a file with semicolons points may stand between thousands), and no number in its column tells which: write 2.5000 or 2500`},
		{"sums in thousands", Spec{Kind: Mean, Direction: schemas.Increase, Margin: "any", Cap: 500}, "window;arm;n;sum;squares\n1;baseline;20;-2.500;9.5\n1;canary;20;17;900.5\n",
			`f.csv:2:15: sum "-2.500" can be -2.500 or -2500 (in a file with semicolons points may stand between thousands), and no number in its column tells which: write -2.5000 or -2500`},
		{"millions of a real number", perHour(), "window,arm,exposure,events\n1,baseline,1.200.000,1\n",
			`f.csv:2:12: exposure "1.200.000" is not a number from 0 to 1e18: write e.g. 37.5, with a decimal point and without a separator of thousands`},
	})
}

// TestDecimalPoints: in a file with semicolons any number of a column that can't have its point between thousands tells that of the others, wherever it stands.
func TestDecimalPoints(t *testing.T) {
	for _, tells := range []string{"0.981", "38.12", "1038.125", ".125", "38.1250", "-0.5", "3.5e1"} {
		for _, in := range []string{"1;baseline;38.125\n1;canary;" + tells + "\n", "1;baseline;" + tells + "\n1;canary;38.125\n"} {
			spec := Spec{Kind: KS, Buckets: schemas.Buckets{From: -100, To: 2000, Count: 100}}
			if _, _, err := compared(spec, "time;arm;value\n"+in); err != nil {
				t.Errorf("%q: %v", in, err)
			}
		}
	}
}
