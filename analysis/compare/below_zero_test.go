package compare

import (
	"fmt"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestBelowZero: of a margin that is a share of a mean below zero it is said that it says nothing, and neither arm's way proves anything by it; in the unit of the values it is tested.
func TestBelowZero(t *testing.T) {
	var b strings.Builder
	b.WriteString("window,arm,value\n")
	for w := range 40 {
		for i := range 60 {
			fmt.Fprintf(&b, "%d,baseline,%g\n%d,canary,%g\n", w, -6+float64(i%7-3)/2, w, -5.8+float64(i%7-3)/2)
		}
	}
	const says = "the baseline's mean is below zero, and a share of that says nothing: give the margin in the unit of the values"
	for margin, want := range map[string]schemas.State{"20%": schemas.StateContinue, "1": schemas.StatePassed} {
		got, _, err := compared(Spec{Kind: Mean, Direction: schemas.Increase, Margin: margin, Cap: 10}, b.String())
		if err != nil || got.Verdict != want || (got.NoPass == says) != (margin == "20%") || strings.Contains(written(t, got), "note        "+says) != (margin == "20%") {
			t.Errorf("%s: %v\n%s", margin, err, written(t, got))
		}
	}
}
