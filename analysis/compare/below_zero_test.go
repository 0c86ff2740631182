package compare

import (
	"fmt"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestBelowZero: a margin in percent of a mean below zero is of its size, and so is what is said of the difference.
func TestBelowZero(t *testing.T) {
	for _, tt := range []struct {
		canary       float64
		margin, says string
		want         schemas.State
	}{
		{-5.8, "20%", "difference  +3.31 %, 95 % interval +1.46 % .. +5.12 %", schemas.StatePassed},
		{-5.8, "1", "difference  +0.2, 95 % interval", schemas.StatePassed},
		{-3, "20%", "difference  +49.6 %, 95 % interval +48 % .. +51.1 %", schemas.StateFailed},
		{1, "20%", "difference  +116 %", schemas.StateFailed},
	} {
		var b strings.Builder
		b.WriteString("window,arm,value\n")
		for w := range 40 {
			for i := range 60 {
				noise := float64(i%7-3) / 2
				fmt.Fprintf(&b, "%d,baseline,%g\n%d,canary,%g\n", w, noise-6, w, noise+tt.canary)
			}
		}
		got, _, err := compared(Spec{Kind: Mean, Direction: schemas.Increase, Margin: tt.margin, Cap: 10}, b.String())
		if err != nil || got.Verdict != tt.want || !strings.Contains(written(t, got), tt.says) || got.Ratio != nil {
			t.Errorf("%g, %s: %v\n%s", tt.canary, tt.margin, err, written(t, got))
		}
	}
}
