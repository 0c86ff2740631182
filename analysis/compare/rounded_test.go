package compare

import (
	"fmt"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// fives are windows of equal arms, with multiples of 5 alone.
func fives(windows int, values ...int) string {
	var b strings.Builder
	b.WriteString("window,arm,value,count\n")
	for i := range windows {
		for _, v := range values {
			fmt.Fprintf(&b, "%d,baseline,%d,40\n%d,canary,%d,10\n", i, v, i, v)
		}
	}
	return b.String()
}

// TestRoundedValues: of values that are rounded it is said what can't be shown, what to do, and what the numbers are of; of values that look so, that they do.
func TestRoundedValues(t *testing.T) {
	text := fives(40, 10, 15, 20, 25, 30)
	const rounded, hint = "values are rounded to 5, and what that may hide ", "all values are multiples of 5, and rounding alone can make much of a margin of 20 %: where they were rounded to that, give --granularity 5, or 10 of values that were cut off"
	for _, kind := range []Kind{Quantile, KS, MannWhitney} {
		s := Spec{Kind: kind, Direction: schemas.Increase, Margin: "20%", Quantile: .5}
		if kind != Quantile {
			s.Quantile = 0
		}
		plain, _, err := compared(s, text)
		if err != nil || plain.RoundedTo != 5 || plain.Granularity != 0 || plain.NoPass != "" || !strings.Contains(written(t, plain), hint) {
			t.Errorf("%s: %+v, %v", kind, plain, err)
		}
		s.Granularity = 5
		got, lines, err := compared(s, text)
		if err != nil {
			t.Fatal(err)
		}
		if line := lines[len(lines)-1]; lines[0].Granularity != 5 || line.Granularity != 5 {
			t.Errorf("%s: a line is of values that are rounded to %v", kind, line.Granularity)
		}
		if got.Verdict != schemas.StateContinue || got.Granularity != 5 || got.RoundedTo != 0 || !strings.HasPrefix(got.NoPass, "a canary like the baseline can't pass") ||
			!strings.Contains(got.NoPass, rounded) || !strings.Contains(got.NoPass, "Take values that are rounded less, write a margin of ") {
			t.Errorf("%s: %+v", kind, got)
		}
		if !strings.Contains(got.Sentence, "before its values were rounded: as the file has them, it may be anywhere from ") || !strings.Contains(written(t, got), "note        "+got.NoPass) {
			t.Errorf("%s: %s", kind, written(t, got))
		}
		s.Margin = "100%"
		if wide, _, err := compared(s, text); err != nil || wide.NoPass != "" || wide.RoundedTo != 0 {
			t.Errorf("%s, a wide margin: %+v, %v", kind, wide, err)
		}
	}
	fine, _, err := compared(p90(), fives(40, 10, 15, 20, 25, 31, 33))
	if err != nil || fine.RoundedTo > 1 {
		t.Errorf("not of multiples: %v, %v", fine.RoundedTo, err)
	}
	outside, _, err := compared(Spec{Kind: Quantile, Direction: schemas.Decrease, Margin: "2", Quantile: .5, Buckets: schemas.Buckets{From: 25, To: 35, Count: 100}}, text)
	if edge, _, err := compared(Spec{Kind: Quantile, Direction: schemas.Decrease, Margin: "2", Quantile: .5, Buckets: schemas.Buckets{From: 20, To: 35, Count: 100}}, text); err != nil || edge.NoPass != "" {
		t.Errorf("at the end of the buckets: %q, %v", edge.NoPass, err)
	}
	if err != nil || !strings.Contains(outside.NoPass, "the baseline's p50 is outside of its buckets, from 25 to 35: what lies there is not told apart. Write buckets that hold it") {
		t.Errorf("outside of the buckets: %q, %v", outside.NoPass, err)
	}
}

func written(t *testing.T, s *Summary) string {
	t.Helper()
	var b strings.Builder
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSplitBegan: a split that is proven and then as planned again began before it was proven.
func TestSplitBegan(t *testing.T) {
	got, _, err := compared(Spec{Kind: SRM}, "window,baseline,canary\n0,1000,100\n1,10000,500\n2,10000,500\n3,10000,500\n")
	if err != nil || got.Verdict != schemas.StateFailed || got.Decided != "1" || got.HarmBegan != "1" || !strings.Contains(got.Sentence, "4.76 % since window 1.") {
		t.Errorf("decided %s, began %s: %s, %v", got.Decided, got.HarmBegan, got.Sentence, err)
	}
}

// TestNoMargin: a margin of nothing is any.
func TestNoMargin(t *testing.T) {
	s := errorRate()
	s.Margin = "0pp"
	got, _, err := compared(s, "window,baseline_n,baseline_events,canary_n,canary_events\n0,1000,10,1000,10\n")
	if err != nil || got.Margin != "any" || strings.Contains(written(t, got), "of keeping the margin") {
		t.Errorf("margin %q: %s, %v", got.Margin, written(t, got), err)
	}
}

// TestOutsideTheBuckets: of values outside of linear buckets it is said that nothing can pass, and the tests themselves bear it out; not of a few of them.
func TestOutsideTheBuckets(t *testing.T) {
	text := fives(200, 10, 15, 20, 25, 30)
	for _, tt := range []struct {
		kind     Kind
		from, to float64
		want     string
	}{
		{MannWhitney, 40, 50, "the baseline's values are outside of its buckets, from 40 to 50: what lies there is not told apart. Write buckets that hold them"},
		{MannWhitney, 0, 9, "the baseline's values are outside of its buckets, from 0 to 9"},
		{MannWhitney, 12, 80, ""},
		{MannWhitney, 28, 80, ""},
		{KS, 40, 50, "the baseline's p50 is outside of its buckets, from 40 to 50: what lies there is not told apart. Write buckets that hold it"},
		{KS, 5, 40, ""},
	} {
		for _, way := range []schemas.Direction{schemas.Increase, schemas.Decrease} {
			got, _, err := compared(Spec{Kind: tt.kind, Direction: way, Margin: "4", Buckets: schemas.Buckets{From: tt.from, To: tt.to, Count: 100}}, text)
			if err != nil || (got.NoPass == "") != (tt.want == "") || !strings.Contains(got.NoPass, tt.want) {
				t.Errorf("%s of %v .. %v, %s: %q, %v", tt.kind, tt.from, tt.to, way, got.NoPass, err)
			}
			if passed := got.Verdict == schemas.StatePassed; passed != (tt.want == "") {
				t.Errorf("%s of %v .. %v, %s: %s with evidence %v of %v", tt.kind, tt.from, tt.to, way, got.Verdict, got.LogPass, got.ThresholdPass)
			}
		}
	}
}
