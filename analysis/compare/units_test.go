package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestUncalibrated: hosts of which one half is slower for good make a baseline that differs from itself. The answer says so, and proves nothing.
func TestUncalibrated(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var out strings.Builder
	out.WriteString("window,arm,unit,value\n")
	for w := range 60 {
		for host := range 32 {
			unit, slow := fmt.Sprint("host-", host), 1.0
			if windows.SliceOf(unit) == 0 {
				slow = 1.5
			}
			for range 5 {
				fmt.Fprintf(&out, "%d,baseline,%s,%.1f\n", w, unit, 20*slow*math.Exp(.5*r.NormFloat64()))
			}
		}
		for range 20 {
			fmt.Fprintf(&out, "%d,canary,host-c,%.1f\n", w, 26*math.Exp(.5*r.NormFloat64()))
		}
	}
	sum, _, err := compared(Spec{Kind: Quantile, Quantile: .9, Direction: schemas.Increase, Margin: "10%"}, out.String())
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	if err := sum.Write(&page); err != nil {
		t.Fatal(err)
	}
	if sum.Calibration != uncalibrated || sum.Verdict == schemas.StateFailed || !strings.Contains(page.String(), "the baseline differs from itself") {
		t.Errorf("%s, %q\n%s", sum.Verdict, sum.Calibration, page.String())
	}
}

// TestBaselineRate: a rate that is known to be high, from the rows before the canary's first or from the Spec, is tested by the sharper test.
func TestBaselineRate(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var rows strings.Builder
	for w := range 60 {
		fmt.Fprintf(&rows, "%d,500,%d,500,%d\n", w+1, hits(r, 500, .5), hits(r, 500, .45))
	}
	const head = "window,baseline_n,baseline_events,canary_n,canary_events\n"
	for _, effects := range []Effects{Incident, Engagement} {
		spec := Spec{Kind: Rate, Direction: schemas.Decrease, Margin: "any", Phi: 1, Effects: effects}
		blunt, _, err := compared(spec, head+rows.String())
		sharp, _, err2 := compared(spec, head+"0,1000,500,0,0\n"+rows.String())
		spec.BaselineRate = .5
		told, _, err3 := compared(spec, head+rows.String())
		if err != nil || err2 != nil || err3 != nil {
			t.Fatal(err, err2, err3)
		}
		if !(sharp.LogEvidence > 1.5*blunt.LogEvidence) || !(told.LogEvidence > 1.5*blunt.LogEvidence) {
			t.Errorf("%s: evidence %v without a rate, %v with rows before, %v told", effects, blunt.LogEvidence, sharp.LogEvidence, told.LogEvidence)
		}
	}
}
