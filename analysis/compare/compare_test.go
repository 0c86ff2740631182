package compare

import (
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"streamcanary/schemas"
)

// compared runs a comparison on text, and returns its windows, too.
func compared(s Spec, text string) (*Summary, []Window, error) {
	var all []Window
	sum, err := Run(s, Input{"f.csv", strings.NewReader(text)}, func(w *Window) error {
		all = append(all, *w)
		return nil
	})
	return sum, all, err
}

func errorRate() Spec {
	return Spec{Kind: Rate, Direction: schemas.Increase, Margin: "0.5pp", Phi: 1}
}

func p90() Spec {
	return Spec{Kind: Quantile, Direction: schemas.Increase, Margin: "20%", Quantile: .9}
}

// TestShapes: the same counts, however they are written, give the same answer.
func TestShapes(t *testing.T) {
	wide, long, perHost, rows := "", "", "", ""
	events := [][4]int{{40, 1, 10, 0}, {50, 0, 12, 2}, {45, 1, 9, 1}, {60, 2, 15, 3}, {52, 0, 11, 2}}
	for i, e := range events {
		at := fmt.Sprintf("2026-01-31T12:%02d:00Z", i)
		wide += fmt.Sprintf("%s,%d,%d,%d,%d\n", at, e[0], e[1], e[2], e[3])
		long += fmt.Sprintf("%s,baseline,%d,%d\n%s,canary,%d,%d\n", at, e[0], e[1], at, e[2], e[3])
		perHost += fmt.Sprintf("%d;b-1;%d;%d;41\n%d;c-1;%d;%d;42\n%d;b-2;%d;0;41\n%d;x;7;7;40\n", 1769860800+60*i, e[0]-5, e[1], 1769860800+60*i, e[2], e[3], 1769860800+60*i, 5, 1769860800+60*i)
		for arm, name := range []string{"baseline", "canary"} {
			for j := range e[2*arm] {
				hit := 0
				if j < e[2*arm+1] {
					hit = 1
				}
				rows += fmt.Sprintf("%d,%s,%d\n", 1769860800000+60000*i+j, name, hit)
			}
		}
	}
	want, windows, err := compared(errorRate(), "window,baseline_n,baseline_events,canary_n,canary_events\n"+wide)
	if err != nil || len(windows) != len(events) || want.Baseline.N != 247 || want.Canary.Events != 8 {
		t.Fatalf("%+v, %d windows, %v", want, len(windows), err)
	}
	named, columns := errorRate(), errorRate()
	named.Baseline, named.Canary, named.Columns = "41", "42", map[string]string{"n": "Requests"}
	columns.Columns = map[string]string{"window": "minute", "canary_n": "treated"}
	for _, tt := range []struct {
		name string
		spec Spec
		in   string
	}{
		{"one arm a row", errorRate(), "window,arm,n,events\n" + long},
		{"by host, versions, another separator, names of its own", named, "window;host;requests;events;Version\n" + perHost},
		{"every event a row, times in milliseconds", errorRate(), "time,arm,events\n" + rows},
		{"columns renamed, another order", columns, "Minute,BASELINE_N,baseline_events,treated,canary_events\n" + wide},
	} {
		got, gotWindows, err := compared(tt.spec, tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got.Result.LogEvidence != want.Result.LogEvidence || !reflect.DeepEqual(got.Result, want.Result) || !reflect.DeepEqual(got.Baseline, want.Baseline) || !reflect.DeepEqual(got.Canary, want.Canary) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, want)
		}
		for i := range gotWindows {
			gotWindows[i].Window = windows[i].Window
		}
		if !reflect.DeepEqual(gotWindows, windows) {
			t.Errorf("%s: windows differ", tt.name)
		}
	}
}

// TestExposure: the unit of exposure doesn't matter, and where it is whole and large, n counts the same.
func TestExposure(t *testing.T) {
	text := func(name string, unit float64) string {
		out := strings.ReplaceAll("window,baseline_X,baseline_events,canary_X,canary_events\n", "X", name)
		for i := range 40 {
			out += fmt.Sprintf("%d,%v,%d,%v,%d\n", i, unit*float64(90_000+1000*(i%3)), 90+i%7, unit*float64(10_000+100*(i%5)), 10+i%4+8*(i/20))
		}
		return out
	}
	spec := errorRate()
	spec.Margin = "20%"
	counts, _, err := compared(spec, text("n", 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range []float64{1, 1e-7, 1.0 / 3600, 1e9 / 3} {
		got, _, err := compared(spec, text("exposure", unit))
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(got.LogEvidence-counts.LogEvidence) > 1e-5 || got.Verdict != counts.Verdict || math.Abs(*got.Estimate-*counts.Estimate) > 1e-6 {
			t.Errorf("unit %v: %+v, want %+v", unit, got.Result, counts.Result)
		}
		if math.Abs(*got.Canary.Value*unit / *counts.Canary.Value - 1) > 1e-6 || math.Abs(got.Baseline.N/unit/counts.Baseline.N-1) > 1e-6 {
			t.Errorf("unit %v: %v per exposure, %v in all", unit, *got.Canary.Value, got.Baseline.N)
		}
		d, of := got.Difference, counts.Difference
		for i, pair := range [][2]*float64{{d.Estimate, of.Estimate}, {d.Lower, of.Lower}, {d.Upper, of.Upper}} {
			if math.Abs(*pair[0]*unit / *pair[1] - 1) > 1e-5 {
				t.Errorf("unit %v: number %d of the difference is %v per exposure, %v of each", unit, i, *pair[0], *pair[1])
			}
		}
	}
	spec.Margin = "0.36" // events per 3600: a thousandth of 1/10, so .0001 of each
	hours, _, err := compared(spec, text("exposure", 1.0/3600))
	spec.Margin = "0.01pp"
	shares, _, err2 := compared(spec, text("n", 1))
	if err != nil || err2 != nil || math.Abs(hours.LogEvidence-shares.LogEvidence) > 1e-5 || math.Abs(*hours.Estimate/3600 / *shares.Estimate - 1) > 1e-6 {
		t.Errorf("an absolute margin: %+v, %v; want %+v, %v", hours, err, shares, err2)
	}
	if math.Abs(*hours.Lower/3600 / *shares.Lower - 1) > 1e-5 || math.Abs(*hours.Upper/3600 / *shares.Upper - 1) > 1e-5 {
		t.Errorf("an absolute margin: %v .. %v per hour, %v .. %v of each", *hours.Lower, *hours.Upper, *shares.Lower, *shares.Upper)
	}
	if d := counts.Difference; *d.Lower != *shares.Lower || *d.Upper != *shares.Upper || *d.Estimate != *shares.Estimate || shares.Difference != nil {
		t.Errorf("beside the ratio the difference is %v in %v .. %v; alone %+v", *d.Estimate, *d.Lower, *d.Upper, shares.Result)
	}
	if hours.Unit != unitPerOne {
		t.Errorf("an absolute margin: %+v", hours)
	}
}

// TestTooLittleData: what couldn't be tested was read all the same, and says so.
func TestTooLittleData(t *testing.T) {
	for _, tt := range []struct {
		name     string
		spec     Spec
		in       string
		sentence string
		arms     [2]string
		want     Read
	}{
		{"no window of both", errorRate(), "window,arm,n,events\n1,baseline,200,3\n2,canary,1000,1\n",
			" No window has both arms: only what both had at the same time can be compared, so give rows of both in the same windows.",
			[2]string{"baseline  0  0       unknown  200 with 3 events", "canary    0  0       unknown  1,000 with 1 event"}, Read{Arm{N: 200, Events: 3}, Arm{N: 1000, Events: 1}, 0}},
		{"hours", perHour(), "window,arm,exposure,events\n1,baseline,2.5,3\n2,baseline,3,1\n3,canary,1.25,1\n", " so give rows of both in the same windows.",
			[2]string{"baseline  0         0       unknown       5.5 with 4 events", "canary    0         0       unknown       1.25 with 1 event"}, Read{Arm{N: 5.5, Events: 4}, Arm{N: 1.25, Events: 1}, 0}},
		{"samples", p90(), "time,arm,value,count\n1,baseline,5,3\n1,canary,5,1\n", " windows that are taken together need 8 of each arm, and for a tail 4 expected values.",
			[2]string{"baseline  0        0       unknown  3", "canary    0        0       unknown  1"}, Read{Arm{N: 3}, Arm{N: 1}, 1}},
		{"some windows of both", p90(), "time,arm,value\n1,baseline,5\n61,baseline,5\n61,canary,6\n", " Both arms are in 1 of 2 windows.",
			[2]string{"baseline  0        0       unknown  2", "canary    0        0       unknown  1"}, Read{Arm{N: 2}, Arm{N: 1}, 1}},
	} {
		sum, _, err := compared(tt.spec, tt.in)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := sum.Write(&out); err != nil {
			t.Fatal(err)
		}
		if sum.Verdict != schemas.StateInsufficient || !strings.HasSuffix(sum.Sentence, tt.sentence) || *sum.Read != tt.want {
			t.Errorf("%s: %s, %q, read %+v", tt.name, sum.Verdict, sum.Sentence, *sum.Read)
		}
		for _, line := range tt.arms {
			if !strings.Contains(out.String(), "\n"+line+"\n") {
				t.Errorf("%s: no line %q in\n%s", tt.name, line, out.String())
			}
		}
	}
}

// TestEventsApart: rows of a window add up, so its exposure may stand in another row than its events; and an arm without either leaves its window out.
func TestEventsApart(t *testing.T) {
	const rows = "1,baseline,90,0\n1,canary,0,2\n1,canary,10,0\n1,baseline,0,3\n2,baseline,90,4\n2,canary,0,0\n"
	sum, windows, err := compared(perHour(), "window,arm,exposure,events\n"+rows)
	if err != nil {
		t.Fatal(err)
	}
	if w := windows[0]; w.Canary != (Arm{N: 10, Events: 2}) || w.Baseline != (Arm{N: 90, Events: 3}) || sum.OneArmed != 1 {
		t.Errorf("%+v, %d windows left out", w, sum.OneArmed)
	}
}

// TestWrongInput: what is wrong, in which file, line and column, and what to do.
func TestWrongInput(t *testing.T) {
	const head = "window,arm,n,events\n1,baseline,10,0\n"
	split := Spec{Kind: SRM}
	named := errorRate()
	named.Canary = "42"
	renamed := errorRate()
	renamed.Columns = map[string]string{"value": "n"}
	lost := errorRate()
	lost.Columns = map[string]string{"n": "users"}
	tests := []wrong{
		{"empty", errorRate(), "", "f.csv: the file is empty: its first line names the columns"},
		{"only a header", errorRate(), "window,arm,n,events\n", "f.csv: no row but the header: nothing to compare"},
		{"no header", errorRate(), "1,baseline,10,0\n", "f.csv:1: no column window or time (the number or the start of a row's window, or when the row happened); the file has 1, baseline, 10, 0"},
		{"no events", errorRate(), "window,arm,n,event\n", "f.csv:1: no column events (how many of them had the event); the file has window, arm, n, event; is it event? then give --column events=event"},
		{"no arms", errorRate(), "window,n,events\n", "f.csv:1: no column baseline_n or baseline_exposure (of the baseline; or a column arm, for one arm a row); the file has window, n, events"},
		{"samples need an arm", p90(), "time,value\n", "f.csv:1: no column arm or version (whose sample it is: baseline or canary); the file has time, value"},
		{"two columns of one name", errorRate(), "window,arm,n,events,N\n", "f.csv:1:12: two columns are called n: rename one of them"},
		{"a column renamed that isn't there", lost, head, "f.csv:1: no column users, which is to be n; the file has window, arm, n, events"},
		{"a column renamed for nothing", renamed, head, "f.csv:1:12: this column is to be value, which nothing asks for here: there are arm, events, exposure, n, unit, version, window"},
		{"too few fields", errorRate(), head + "2,canary,3\n", "f.csv:3: 3 fields where the first line has 4: is a quote or a separator missing?"},
		{"no count", errorRate(), head + "2,canary,,3\n", "f.csv:3:10: n is empty: write 0 where nothing was counted"},
		{"a word", errorRate(), head + "2,canary,many,3\n", `f.csv:3:10: n "many" is not a number: write a count such as 120`},
		{"a separator of thousands", errorRate(), head + "2,canary,\"1,000\",3\n", `f.csv:3:10: n "1,000" is not a number: write a count such as 120, with a decimal point and without a separator of thousands`},
		{"a name that another column was read from", errorRate(), "window,baseline_n,canary_n,canary_events\n", "f.csv:1: no column baseline_events (of the baseline); the file has window, baseline_n, canary_n, canary_events"},
		{"negative", errorRate(), head + "2,canary,9,-3\n", `f.csv:3:12: events "-3" is not between 0 and a million million`},
		{"half of one", errorRate(), head + "2,canary,9.5,3\n", `f.csv:3:10: n "9.5" is not a whole number: round it (PromQL's increase extrapolates); or, if it is a real exposure such as hours, call the column exposure`},
		{"half an event", errorRate(), head + "2,canary,9,.5\n", `f.csv:3:12: events ".5" is not a whole number: count whole events (PromQL's increase extrapolates: round it)`},
		{"more events than n", errorRate(), head + "2,canary,9,10\n", "f.csv:3:12: 10 events of n = 9: each of n has one at most; where it may have several, call the column exposure"},
		{"an unknown arm", errorRate(), head + "2,treatment,9,1\n", `f.csv:3:3: "treatment" is neither "baseline" nor "canary": name the two as the file does, with --baseline and --canary`},
		{"one arm only", errorRate(), head, `f.csv: no row is of "canary", so there is nothing to compare: name the arms as the file does, with --baseline and --canary`},
		{"named arms that aren't there", named, "window,version,events\n1,v2,0\n", `f.csv: no row is of "baseline" or "42": name the arms as the file does, with --baseline and --canary`},
		{"no time", errorRate(), "window,arm,n,events\nmonday,canary,1,1\n", `f.csv:2:1: window "monday" is no number and no time: write e.g. 17, 2026-01-31T12:00:00Z or 1769860800`},
		{"times of two kinds", errorRate(), head + "2026-01-31,canary,1,1\n", `f.csv:3:1: window "2026-01-31" is a date, but the first row's is a small number: write all of them alike`},
		{"out of order", errorRate(), head + "0,canary,1,1\n", `f.csv:3:1: window "0" is before that of the line above: sort the rows by it, both arms together`},
		{"a margin without unit", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "5"}, head + "2,canary,9,1\n", "increase 5 has no unit: write e.g. 0.5pp (percentage points), 20% (of the baseline's), or any"},
		{"a margin that a quantile can't have", Spec{Kind: Quantile, Direction: schemas.Increase, Margin: "50ms", Quantile: .9}, "time,arm,value\n1,canary,1\n", "increase 50ms: the unit ms doesn't fit this guardrail: write e.g. 20% (of the baseline's), or any"},
		{"percentage points of exposure", errorRate(), "window,arm,exposure,events\n1,canary,1,1\n", "increase 0.5pp: events per exposure have no percentage points: write 20% (of the baseline's), a number of events per unit of exposure, or any"},
		{"exposure of a word", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "any"}, "window,arm,exposure,events\n1,canary,x,1\n", `f.csv:2:10: exposure "x" is not a number from 0 to 1e18: write e.g. 37.5`},
		{"exposure that grows beyond counting", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "any"}, "window,baseline_exposure,baseline_events,canary_exposure,canary_events\n1,1,1,1,1\n2,1e7,1,1,1\n",
			"f.csv: window 2 has more than 100000 times the exposure of the first one: leave the windows before it out"},
		{"a value that is none", p90(), "time,arm,value\n1,canary,NaN\n", `f.csv:2:10: value "NaN" is not a number: write e.g. 38.2, and +Inf for what never ended; leave rows without a value out`},
		{"a value below all", Spec{Kind: Mean, Direction: schemas.Increase, Margin: "any", Cap: 5}, "time,arm,value\n1,canary,-Inf\n", `f.csv:2:10: value "-Inf" is not a number: write e.g. 38.2, and +Inf for what never ended; leave rows without a value out`},
		{"a value too far below zero", Spec{Kind: KS, Buckets: schemas.Buckets{From: -9, To: 9, Count: 100}}, "time,arm,value\n1,canary,-1e999\n", `f.csv:2:10: value "-1e999" is not a number: write e.g. 38.2, and +Inf for what never ended; leave rows without a value out`},
		{"a value below zero without buckets for it", p90(), "time,arm,value\n1,canary,-0.5\n", "f.csv:2:10: value -0.5 is below zero, where no percentage means anything: give --buckets FROM:TO:COUNT, e.g. -10:10:1000; margins are differences then"},
		{"many samples of one size", p90(), "time,arm,value,count\n1,canary,1,4e9\n", "f.csv:2:12: count 4000000000 is more than 100000000: use shorter windows"},
		{"a share that is none", split, "window,baseline,canary,share\n1,9,1,10\n", `f.csv:2:7: share "10" is no share: write e.g. 10% or 0.1`},
		{"two plans in a window", split, "window,baseline,canary,share\n1,9,1,10%\n1,9,1,20%\n", "f.csv:3:7: share 20% is another than before in the same window: a plan changes between windows"},
		{"no such comparison", Spec{Kind: "median"}, "", "no such comparison: there are rate, quantile, mean, ks, mann-whitney and srm"},
		{"no direction", Spec{Kind: Rate, Margin: "any"}, "", "which way is harm, and how much of it is accepted: give increase or decrease, e.g. an increase of 20% or any"},
		{"a fine quantile", Spec{Kind: Quantile, Direction: schemas.Increase, Margin: "any", Quantile: .12345678}, "", "quantile 0.12345678: write one between 0 and 1 with at most six decimals, e.g. 0.99"},
		{"a chance of 2", Spec{Kind: SRM, Alpha: 2}, "", "alpha 2 is no chance of a false alarm: write e.g. 0.01"},
		{"phi below 1", Spec{Kind: Rate, Phi: .5}, "", "phi 0.5: over-dispersion is 1 (events are independent) or more, at most 100"},
		{"one name for two", Spec{Kind: SRM, Baseline: "A", Canary: "a"}, "", `both arms are called "a": name them apart`},
		{"a negative granularity", Spec{Kind: KS, Granularity: -5}, "", "a granularity of -5 is none: write what values are rounded to, e.g. 5"},
		{"a granularity of a rate", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "any", Granularity: 5}, "", "a granularity is of quantiles, ks and mann-whitney: nothing else depends on what values are rounded to"},
		{"a granularity as wide as the buckets", Spec{Kind: KS, Granularity: 1, Buckets: schemas.Buckets{From: 0, To: 1, Count: 100}}, "", "a granularity of 1 is as wide as all the buckets, from 0 to 1: write what values are rounded to, e.g. 0.01"},
		{"a horizon of 0", Spec{Kind: SRM, Horizon: "0"}, "", `horizon "0": write a number of windows, e.g. 1000, or a duration, e.g. 24h`},
	}
	areRefused(t, tests)
}

// wrong is a Spec or a file that is refused, and what is said then.
type wrong struct {
	name string
	spec Spec
	in   string
	want string
}

func areRefused(t *testing.T, tests []wrong) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := compared(tt.spec, tt.in); text(err) != tt.want {
				t.Errorf("%s\nwant %s", text(err), tt.want)
			}
		})
	}
}

func perHour() Spec { return Spec{Kind: Rate, Direction: schemas.Increase, Margin: "any", Phi: 1} }

// TestEventsWithoutExposure: nothing can test them, so they are told and not left out.
func TestEventsWithoutExposure(t *testing.T) {
	areRefused(t, []wrong{
		{"events without exposure", perHour(), "window,baseline_exposure,baseline_events,canary_exposure,canary_events\n1,9,1,1,1\n2,9,1,0,500\n",
			"f.csv:3:9: canary has 500 events in window 2, and no exposure there: write what they happened in, or leave the window's rows out"},
		{"one event without exposure, in rows", perHour(), "window,arm,exposure,events\n1,baseline,0,0\n1,baseline,0,1\n1,canary,4,1\n",
			"f.csv:3:14: baseline has 1 event in window 1, and no exposure there: write what they happened in, or leave the window's rows out"},
		{"events without exposure in windows of the program's", perHour(), "time,arm,exposure,events\n1,baseline,9,0\n1,canary,4,1\n61,canary,0,3\n",
			"f.csv:4:13: canary has 3 events in window 60, and no exposure there: write what they happened in, take windows that hold both, with --window, or leave the window's rows out"},
	})
}

func TestReadersFailure(t *testing.T) {
	broken := errors.New("the disk is gone")
	in := io.MultiReader(strings.NewReader("window,arm,n,events\n1,baseline,10,0\n"), iotest.ErrReader(broken))
	_, err := Run(errorRate(), Input{"f.csv", in}, nil)
	if !errors.Is(err, broken) || text(err) != "read f.csv: after line 2: the disk is gone" {
		t.Error(err)
	}
	full := errors.New("the disk is full")
	_, err = Run(errorRate(), Input{"f.csv", strings.NewReader("window,arm,n,events\n1,baseline,10,0\n")}, func(*Window) error { return full })
	if !errors.Is(err, full) {
		t.Error(err)
	}
}

// TestTidyFiles: what programs write into CSV files without meaning anything by it.
func TestTidyFiles(t *testing.T) {
	const rows = "1,baseline,100,1\n1,canary,100,2\n2,baseline,100,0\n2,canary,100,1\n"
	want, _, err := compared(errorRate(), "window,arm,n,events\n"+rows)
	if err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"arms in capitals":               "Window,Arm,N,Events\n" + strings.NewReplacer("canary", "Canary", "baseline", "BASELINE").Replace(rows),
		"a separator at the end":         "window,arm,n,events,\n" + strings.ReplaceAll(rows, "\n", ",\n"),
		"semicolons":                     strings.ReplaceAll("window,arm,n,events\n"+rows, ",", ";"),
		"numbers with noughts":           strings.ReplaceAll("window,arm,n,events\n"+rows, "100", "100.000"),
		"a byte order mark, and Windows": "\ufeffwindow,arm,n,events\r\n" + strings.ReplaceAll(rows, "\n", "\r\n"),
		"quotes around everything":       "\"window\",\"arm\",\"n\",\"events\"\n" + strings.ReplaceAll(strings.ReplaceAll("\""+strings.TrimSuffix(rows, "\n"), ",", "\",\""), "\n", "\"\n\"") + "\"\n",
	} {
		if got, _, err := compared(errorRate(), in); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
	named := errorRate()
	named.Canary = "42"
	if got, _, err := compared(named, "window,version,n,events\n1,baseline,100,0\n1,42,100,0\n1,Baseline,100,9\n"); err != nil || got.OtherRows != 1 || got.Baseline.Events != 0 {
		t.Errorf("named arms are named exactly: %+v, %v", got, err)
	}
}

// TestHarmBegan: the start of the harm is written as the file writes its windows.
func TestHarmBegan(t *testing.T) {
	for _, tt := range []struct {
		name, column string
		label        func(i int) string
		want         string
		since        string
	}{
		{"numbers", "window", func(i int) string { return fmt.Sprint(i) }, "0", "Since window 0 it is "},
		{"hours of a database", "window", func(i int) string { return fmt.Sprintf("20260131%02d", i) }, "2026013100", "Since window 2026013100 it is "},
		{"Unix milliseconds", "window", func(i int) string { return fmt.Sprint(1769860800000 + 60000*i) }, "1769860800000", "Since window 1769860800000 it is "},
		{"days", "window", func(i int) string { return fmt.Sprintf("2026-01-%02d", i+1) }, "2026-01-01", "Since 2026-01-01 it is "},
		{"with a zone", "window", func(i int) string { return fmt.Sprintf("2026-01-31T12:%02d:00+02:00", i) }, "2026-01-31T10:00:00Z", "Since 2026-01-31T10:00:00Z it is "},
		{"times", "time", func(i int) string { return fmt.Sprint(1769860800 + 60*i) }, "2026-01-31T12:00:00Z", "Since 2026-01-31T12:00:00Z it is "},
	} {
		in := tt.column + ",arm,n,events\n"
		for i := range 20 {
			in += fmt.Sprintf("%s,baseline,900,9\n%s,canary,100,9\n", tt.label(i), tt.label(i))
		}
		got, _, err := compared(errorRate(), in)
		if err != nil || got.HarmBegan != tt.want || !strings.Contains(got.Sentence, tt.since) {
			t.Errorf("%s: began %q, %v, want %q; %s", tt.name, got.HarmBegan, err, tt.want, got.Sentence)
		}
	}
}

// TestNeverEnded: samples that never ended leave an effect without a number, and the answer still says since when; without a margin no pass is spoken of.
func TestNeverEnded(t *testing.T) {
	in := "window,arm,value\n"
	for i := range 30 {
		for j := range 40 {
			in += fmt.Sprintf("%d,baseline,%d\n", i, 20+j)
			if j < 20 {
				in += fmt.Sprintf("%d,canary,%d\n", i, 20+2*j)
			} else if i > 4 {
				in += fmt.Sprintf("%d,canary,+Inf\n", i)
			}
		}
	}
	spec := p90()
	spec.Margin = "any"
	got, windows, err := compared(spec, in)
	if err != nil || got.Verdict != schemas.StateFailed || got.Estimate != nil || got.Sentence != "The canary's p90 is higher than the baseline's. It is so since window 5." {
		t.Errorf("%+v, %v", got, err)
	}
	if got.ThresholdPass != 0 || got.LogPass != 0 || windows[0].ThresholdPass != 0 {
		t.Errorf("without a margin: %+v", got.Result)
	}
}

// TestChangedEffect: where no one effect fits all windows, the page says what it was at first and since, instead of an interval whose ends crossed.
func TestChangedEffect(t *testing.T) {
	x := func(v float64) *float64 { return &v }
	for _, tt := range []struct {
		lower, upper, since float64
		want                string
	}{
		{1.1, 1.3, 1.2, ", 95 % interval +10 % .. +30 %"},
		{1.3, 1.1, 1.6, " over all, but it changed: at first +10 % or less, since then +30 % or more (95 %)"},
		{1.3, 1.1, 1.0, " over all, but it changed: at first +30 % or more, since then +10 % or less (95 %)"},
	} {
		s := Summary{Compare: Quantile, Result: Result{Unit: unitRatio, Lower: x(tt.lower), Upper: x(tt.upper), Estimate: x(1.2)}, SinceHarm: x(tt.since)}
		if got := s.bounds(); got != tt.want {
			t.Errorf("%v .. %v, %v now: %q, want %q", tt.lower, tt.upper, tt.since, got, tt.want)
		}
	}
}

// TestLabels: a window is called what the file calls it, or by its start.
func TestLabels(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"as written", "window,arm,n,events\n2026-01-31,baseline,9,0\n2026-01-31,canary,9,0\n2026-02-02,canary,9,0\n", []string{"2026-01-31", "2026-02-02"}},
		{"binned by the minute", "time,arm,events\n1769860801,baseline,0\n1769860859.9,canary,0\n1769860920,canary,0\n", []string{"2026-01-31T12:00:00Z", "2026-01-31T12:02:00Z"}},
		{"seconds since the start", "time,arm,events\n0.5,baseline,0\n59,canary,0\n60,canary,0\n", []string{"0", "60"}},
	}
	for _, tt := range tests {
		_, windows, err := compared(errorRate(), tt.in)
		var got []string
		for _, w := range windows {
			got = append(got, w.Window)
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

// TestEffectsAtTheEnd: an effect at the end of what is looked at is told as that, and may be more; one within isn't.
func TestEffectsAtTheEnd(t *testing.T) {
	for _, kind := range []Kind{KS, MannWhitney} {
		for _, tt := range []struct {
			canary, want string
			direction    schemas.Direction
		}{
			{"+Inf", "+700 % or more", schemas.Increase},
			{"0", "-75 % or less", schemas.Decrease},
			{"1000", "+700 % or more", schemas.Increase},
			{"30", "", schemas.Increase},
		} {
			var rows strings.Builder
			rows.WriteString("window,arm,value,count\n")
			for w := range 20 {
				fmt.Fprintf(&rows, "%d,baseline,10,30\n%d,canary,%s,30\n", w, w, tt.canary)
			}
			got, _, err := compared(Spec{Kind: kind, Direction: tt.direction, Margin: "20%"}, rows.String())
			if err != nil || got.Verdict != schemas.StateFailed {
				t.Fatalf("%s of %s: %v, %+v", kind, tt.canary, err, got)
			}
			var text strings.Builder
			if err := got.Write(&text); err != nil {
				t.Fatal(err)
			}
			line := map[Kind]string{KS: "at p50", MannWhitney: "shift"}[kind]
			_, after, _ := strings.Cut(text.String(), "\n"+line)
			if tt.want == "" {
				if said := got.Sentence + after; strings.Contains(said, "or more") || strings.Contains(said, "or less") {
					t.Errorf("%s of %s: %s\n%s", kind, tt.canary, got.Sentence, text.String())
				}
				continue
			}
			if !strings.HasSuffix(got.Sentence, " "+tt.want+".") || !strings.HasPrefix(strings.TrimSpace(after), tt.want+", ") {
				t.Errorf("%s of %s: %s\n%s", kind, tt.canary, got.Sentence, text.String())
			}
		}
	}
}
