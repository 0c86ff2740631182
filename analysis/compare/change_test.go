package compare

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestShareChanges: a window in which the canary's share changes counts like any other, and the answer says that there was one.
func TestShareChanges(t *testing.T) {
	const ramp = "window,baseline_n,baseline_events,canary_n,canary_events\n2026-01-01,95000,1900,5000,100\n2026-01-02,90000,1800,10000,200\n" +
		"2026-01-03,75000,1500,25000,500\n2026-01-04,50000,1000,50000,1600\n"
	got, _, err := compared(Spec{Kind: Rate, Direction: schemas.Increase, Margin: "0.5pp"}, ramp)
	if err != nil {
		t.Fatal(err)
	}
	if got.Canary.N != 90_000 || got.Canary.Events != 2400 || got.Baseline.N != 310_000 {
		t.Errorf("counted %+v and %+v, and the file has more", got.Baseline, got.Canary)
	}
	if got.Verdict != schemas.StateFailed || got.Decided != "2026-01-04" || got.ShareChanges != 3 || got.ShareChanged != "2026-01-02" {
		t.Errorf("%s at %s, %d changes from %s on", got.Verdict, got.Decided, got.ShareChanges, got.ShareChanged)
	}
	if notes := strings.Join(got.notes(), " "); !strings.Contains(notes, "share changed with window 2026-01-02 and 2 more") {
		t.Errorf("notes %s", notes)
	}
	// A split that takes turns: every window has another one.
	var turns strings.Builder
	turns.WriteString("window,baseline_n,baseline_events,canary_n,canary_events\n")
	for i := range 40 {
		share := []int{1000, 5000}[i%2]
		fmt.Fprintf(&turns, "%d,%d,%d,%d,%d\n", i, 10_000-share, (10_000-share)/100, share, share/100)
	}
	got, _, err = compared(Spec{Kind: Rate, Direction: schemas.Increase, Margin: "0.5pp"}, turns.String())
	if err != nil || got.Baseline.N != 280_000 || got.Canary.N != 120_000 || got.Verdict != schemas.StatePassed {
		t.Errorf("%v: %+v, %+v: %s", err, got.Baseline, got.Canary, got.Verdict)
	}
	steady, _, err := compared(Spec{Kind: Rate, Direction: schemas.Increase, Margin: "0.5pp"}, "window,baseline_n,baseline_events,canary_n,canary_events\n0,900,9,100,1\n1,905,9,98,1\n")
	if err != nil || steady.ShareChanges != 0 || len(steady.notes()) != 0 {
		t.Errorf("%v: %d changes, notes %v", err, steady.ShareChanges, steady.notes())
	}
}

// TestSharesWithDrift: neither a ramp nor the changes of its share make an effect of a rate that drifts from window to window.
func TestSharesWithDrift(t *testing.T) {
	var text strings.Builder
	text.WriteString("window,baseline_n,baseline_events,canary_n,canary_events\n")
	for day := range 30 {
		rate, share := .01*math.Pow(1.1, float64(day)), []float64{.01, .05, .25, .5}[day%4]
		n := 100_000 * share
		b := 100_000 - n
		fmt.Fprintf(&text, "%d,%.0f,%.0f,%.0f,%.0f\n", day, b, b*rate, n, n*rate)
	}
	got, _, err := compared(Spec{Kind: Rate, Direction: schemas.Increase, Margin: "any"}, text.String())
	if err != nil || got.Verdict == schemas.StateFailed || math.Abs(*got.Estimate) > 1e-4 || got.ShareChanges < 20 {
		t.Errorf("%v: %s, estimate %v, %d changes", err, got.Verdict, *got.Estimate, got.ShareChanges)
	}
}

// TestExposureRange: exposures that the first window's steps can't count are refused, and a unit with hardly any is not.
func TestExposureRange(t *testing.T) {
	spec := Spec{Kind: Rate, Direction: schemas.Increase, Margin: "20%"}
	const head = "window,arm,unit,exposure,events\n"
	huge := head + "0,baseline,a,600000000000,90\n0,baseline,b,600000000000,90\n0,canary,c,120000000000,20\n"
	for text, want := range map[string]string{
		huge + "1,baseline,a,4000,1\n1,baseline,b,5000,2\n1,canary,c,3000,0\n":                             "window 1: an arm has less than 1/100000",
		head + "0,baseline,a,10,1\n0,canary,c,10,1\n1,baseline,a,50000000,1\n1,canary,c,10,1\n":            "window 1 has more than 100000 times",
		head + "0,baseline,a,1000,1\n0,canary,c,100,1\n1,baseline,a,1000,1\n1,canary,c,100,999999999999\n": "finer unit",
		head + "0,baseline,a,1e-320,1\n": "smaller unit",
	} {
		if _, _, err := compared(spec, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", text, err, want)
		}
	}
	tiny := head
	for w := range 60 {
		tiny += fmt.Sprintf("%d,baseline,a,5000,10\n%d,baseline,b,1e-9,2\n%d,canary,c,500,1\n", w, w, w)
	}
	if got, _, err := compared(spec, tiny); err != nil || got.Verdict == schemas.StateFailed {
		t.Errorf("a unit with hardly any exposure: %v, %+v", err, got)
	}
}

// TestShapeNamesItsNumbers: the quantile that is named is the one that estimate and interval are of.
func TestShapeNamesItsNumbers(t *testing.T) {
	same, shifts := "time,arm,value\n", "time,arm,value\n"
	for i := range 6000 {
		arm := []string{"baseline", "canary"}[i%2]
		same += fmt.Sprintf("%d,%s,7\n", 1_769_860_800+i, arm)
		x := 20 + float64(i/2%100)
		switch {
		case arm == "canary" && i < 3000:
			x *= 1.5 // all of it at first
		case arm == "canary" && i/2%100 >= 90:
			x *= 3 // later the tail alone
		case arm == "canary":
			x /= 1.5
		}
		shifts += fmt.Sprintf("%d,%s,%v\n", 1_769_860_800+i, arm, x)
	}
	spec := Spec{Kind: KS, Direction: schemas.Increase, Margin: "any"}
	got, _, err := compared(spec, same)
	if err != nil || got.AtQuantile != .5 || got.Estimate == nil || math.Abs(*got.Estimate-1) > .01 || got.Upper == nil {
		t.Errorf("%v: the same values: at %v, estimate %v, upper %v", err, got.AtQuantile, got.Estimate, got.Upper)
	}
	got, _, err = compared(spec, shifts)
	if err != nil || got.AtQuantile < .9 || !strings.Contains(got.Sentence, "at "+quantileName(got.AtQuantile)) || *got.SinceHarm < 1.5 {
		t.Errorf("%v: at %v, since %v: %s", err, got.AtQuantile, got.SinceHarm, got.Sentence)
	}
}

// TestBeyondTheCap says why nothing can be proven of a margin that capped values can't reach.
func TestBeyondTheCap(t *testing.T) {
	text := "window,arm,n,sum,squares\n"
	for w := range 30 {
		text += fmt.Sprintf("%d,baseline,900,828,775\n%d,canary,900,828,775\n", w, w)
	}
	for margin, want := range map[string]bool{"10%": true, "5%": false, "0.09": true, "0.01": false} {
		got, _, err := compared(Spec{Kind: Mean, Direction: schemas.Increase, Margin: margin, Cap: 1}, text)
		if err != nil {
			t.Fatal(err)
		}
		if have := strings.Contains(strings.Join(got.notes(), " "), "higher --cap"); have != want {
			t.Errorf("%s: a note %v, want %v (%s)", margin, have, want, got.Verdict)
		}
	}
}

// TestAtTheCap: what share of a mean's samples is at the cap is said from a half on, after each window and of all.
func TestAtTheCap(t *testing.T) {
	text := "window,arm,value,count\n"
	for w := range 30 {
		text += fmt.Sprintf("%d,baseline,3,40\n%d,baseline,8,60\n%d,canary,3,4\n%d,canary,9,6\n", w, w, w, w)
	}
	for limit, want := range map[float64]float64{8: .6, 8.5: .6, 3: 1, 10: 0} {
		got, lines, err := compared(Spec{Kind: Mean, Direction: schemas.Increase, Margin: "any", Cap: limit}, text)
		if err != nil || got.Capped != want || lines[len(lines)-1].Capped != want {
			t.Errorf("cap %v: capped %v of all, %v in the last line, want %v, %v", limit, got.Capped, lines[len(lines)-1].Capped, want, err)
		}
		if said := strings.Contains(written(t, got), "of an arm's samples are at the cap of "); said != (want > 0) {
			t.Errorf("cap %v: %s", limit, written(t, got))
		}
	}
}

// TestMeanPage: the page of a mean says of which windows its interval is, and two arms alike differ by nothing.
func TestMeanPage(t *testing.T) {
	text := "time,arm,n,sum,squares\n"
	for at := range 20 {
		for _, arm := range []string{"baseline", "canary"} {
			text += fmt.Sprintf("%d,%s,1000,%d,%d\n", at, arm, 300+at, 200)
		}
	}
	got, _, err := compared(Spec{Kind: Mean, Direction: schemas.Increase, Margin: "5%", Cap: 1}, text)
	if err != nil {
		t.Fatal(err)
	}
	page := written(t, got)
	for _, want := range []string{"the interval is of the windows behind the first ones, which tell the noise", "difference  +0 %, 95 % interval "} {
		if !strings.Contains(page, want) {
			t.Errorf("%s\nhas no %q", page, want)
		}
	}
}
