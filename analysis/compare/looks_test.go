package compare

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestLooks: each window's line has the distance and the p-value of that window's samples alone, by hand: the canary's 4, 16, 16 against 1, 2, 4, 8 is
// above in 10.5 of 12 pairs. Nothing else of the window before is left in them.
func TestLooks(t *testing.T) {
	const in = `window,arm,value
0,baseline,1
0,baseline,2
0,baseline,4
0,baseline,8
0,canary,4
0,canary,16
0,canary,16
1,baseline,3
1,baseline,5
2,baseline,7
2,canary,7
`
	deviation := math.Sqrt(12. / 12 * (8 - 12./42)) // two pairs of equal values among seven
	above := func(excess float64) float64 { return math.Erfc((excess-.5)/deviation/math.Sqrt2) / 2 }
	for _, tt := range []struct {
		harm schemas.Direction
		p    float64
	}{{schemas.Increase, above(4.5)}, {schemas.Decrease, above(-4.5)}, {schemas.Both, 2 * above(4.5)}} {
		for _, kind := range []Kind{KS, MannWhitney} {
			_, windows, err := compared(Spec{Kind: kind, Direction: tt.harm, Margin: "any"}, in)
			if err != nil {
				t.Fatal(err)
			}
			near := func(got *float64, want float64) bool { return got != nil && math.Abs(*got-want) < 1e-12 }
			if w := windows[0]; !near(w.KSDistance, 2./3) || !near(w.MannWhitneyP, tt.p) {
				t.Errorf("%s %s: %s, want %.4f and %.4f", kind, tt.harm, line(t, w), 2./3, tt.p)
			}
			if w := windows[1]; w.KSDistance != nil || w.MannWhitneyP != nil {
				t.Errorf("%s %s, no sample of the canary: %s", kind, tt.harm, line(t, w))
			}
			if w := windows[2]; !near(w.KSDistance, 0) || !near(w.MannWhitneyP, 1) {
				t.Errorf("%s %s, nothing differs: %s", kind, tt.harm, line(t, w))
			}
		}
	}
}

func line(t *testing.T, w Window) string {
	t.Helper()
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestIndexOfWindows: a line's probability index is of all blocks so far, the last one's the summary's. Other comparisons than those of distributions have none of
// these.
func TestIndexOfWindows(t *testing.T) {
	got, windows, err := compared(Spec{Kind: MannWhitney, Direction: schemas.Increase, Margin: "20%"}, shifting(1, 1.5))
	if err != nil {
		t.Fatal(err)
	}
	first, last := windows[0].ProbabilityIndex, windows[len(windows)-1].ProbabilityIndex
	if first == nil || last == nil || *first != .5 || *last <= .5 || *last != *got.ProbabilityIndex {
		t.Errorf("first %v, last %v, summary %v", first, last, got.ProbabilityIndex)
	}
	_, windows, err = compared(p90(), shifting(1, 1.5))
	if err != nil || strings.Contains(line(t, windows[0]), "ks") || windows[0].Looks != (Looks{}) {
		t.Errorf("a quantile: %s, %v", line(t, windows[0]), err)
	}
}

// TestChangedLines: lines whose bounds crossed say so in JSON, and no others.
func TestChangedLines(t *testing.T) {
	median := p90()
	median.Quantile = .5
	for _, spec := range []Spec{median, {Kind: MannWhitney, Direction: schemas.Increase, Margin: "20%"}} {
		got, windows, err := compared(spec, shifting(1, 2))
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range windows {
			crossed := schemas.Crossed(w.Lower, w.Upper)
			if text := line(t, w); crossed != w.Changed || crossed != strings.Contains(text, `"changed":true`) || crossed && i < len(windows)/2 {
				t.Errorf("%s, window %d: %s", spec.Kind, i, text)
			}
		}
		if !got.Changed || !windows[len(windows)-1].Changed {
			t.Errorf("%s: at the end %s", spec.Kind, line(t, windows[len(windows)-1]))
		}
	}
}

// shifting is a file of samples: in its first half the canary's are those of the baseline times the first factor, then the second.
func shifting(factors ...float64) string {
	var b strings.Builder
	b.WriteString("window,arm,value,count\n")
	for i := range 30 * len(factors) {
		for v := 10; v < 60; v++ {
			fmt.Fprintf(&b, "%d,baseline,%d,8\n%d,canary,%g,2\n", i, v, i, float64(v)*factors[i/30])
		}
	}
	return b.String()
}

// TestPassOfBulk: a pass by Mann-Whitney says that it is of the bulk; here a tenth of the canary's values never end, which ks doesn't let pass.
func TestPassOfBulk(t *testing.T) {
	var b strings.Builder
	b.WriteString("window,arm,value,count\n")
	for i := range 60 {
		for v := 10; v < 60; v++ {
			fmt.Fprintf(&b, "%d,baseline,%d,36\n%d,canary,%d,9\n", i, v, i, v)
		}
		fmt.Fprintf(&b, "%d,canary,+Inf,50\n", i)
	}
	got, _, err := compared(Spec{Kind: MannWhitney, Direction: schemas.Increase, Margin: "20%"}, b.String())
	want := "The canary's values don't tend to be higher than the baseline's by more than 20 %. That is of their bulk: the tail is not looked at."
	if err != nil || got.Verdict != schemas.StatePassed || got.Sentence != want {
		t.Errorf("%s: %s, %v, want passed: %s", got.Verdict, got.Sentence, err, want)
	}
	if got, _, err = compared(Spec{Kind: MannWhitney, Direction: schemas.Increase, Margin: "20%"}, shifting(1, 2)); err != nil ||
		!strings.HasPrefix(got.Sentence, "The canary's values tend to be higher than the baseline's by more than 20 %. Since window 30 they are shifted by +") {
		t.Errorf("shifted: %s, %v", got.Sentence, err)
	}
	if got, _, err = compared(Spec{Kind: KS, Direction: schemas.Increase, Margin: "20%"}, b.String()); err != nil || got.Verdict != schemas.StateFailed {
		t.Errorf("ks: %s, %v, want failed", got.Verdict, err)
	}
}
