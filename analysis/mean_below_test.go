package analysis

import (
	"math/rand/v2"
	"strings"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestMeanBelowZero: a share of a mean below zero would have its edge on the wrong side. Nothing is tested against it, which is said; a margin in the unit of the values is.
func TestMeanBelowZero(t *testing.T) {
	for _, tt := range []struct {
		spec             string
		baseline, canary float64
		want             schemas.State
	}{
		{"increase 20%", -6, -5.8, schemas.StateContinue}, {"decrease 20%", -6, -6.2, schemas.StateContinue}, {"increase 20%", -6, -9, schemas.StateContinue},
		{"increase 20%", 6, 6.2, schemas.StatePassed}, {"increase 1", -6, -5.8, schemas.StatePassed}, {"increase 1", -6, -4, schemas.StateFailed}, {"decrease 20%", 6, 4, schemas.StateFailed},
	} {
		for _, kind := range []struct {
			from   string
			stream windows.Stream
		}{{"prediction", serving}, {"sample", windows.Stream{Kind: windows.Resources}}} {
			r := rolloutOf(guardrail("g: mean x " + tt.spec + " cap=10 from=" + kind.from))
			r.Phi = 1.5
			w := newRowWorld(t, r, rand.New(rand.NewPCG(16, 1)))
			for range 100 {
				w.step(kind.stream, [windows.Arms]int64{60, 40}, func(arm windows.Arm) row {
					mean := [windows.Arms]float64{windows.Baseline: tt.baseline, windows.Canary: tt.canary}[arm]
					return row{mean + w.random.NormFloat64(), w.slice()}
				})
			}
			j := w.script.judge
			if g := w.script.guard("g"); g.state != tt.want {
				t.Errorf("%s of a %s, %g against %g: %s, want %s", tt.spec, kind.from, tt.canary, tt.baseline, g.state, tt.want)
			}
			below := strings.HasSuffix(tt.spec, "%") && tt.baseline < 0
			if below && w.script.guard("g").beyondMax() > 1e-12 {
				t.Errorf("%s of a %s, %g against %g: evidence %g of more than a margin that says nothing", tt.spec, kind.from, tt.canary, tt.baseline, w.script.guard("g").beyondMax())
			}
			waits := j.Waits()
			if said := len(waits) == 1 && waits[0].Code == schemas.WaitBelowZero; said != below || j.BelowZero() != below {
				t.Errorf("%s of a %s, %g against %g: %+v", tt.spec, kind.from, tt.canary, tt.baseline, waits)
			}
		}
	}
}
