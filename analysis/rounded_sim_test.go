package analysis

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// A roundedWorld is a canary whose latencies are a factor of the baseline's, and of both arms people see multiples of a step. The step is where a quantile of the
// baseline is rounded down and the canary's is rounded up: a factor within the margin looks far beyond it.
type roundedWorld struct {
	spec      string
	segmented bool // what is looked at is the guardrail in a segment
	stratify  bool
	spread    float64 // of the log of latencies
}

// play is whether the guardrail failed by patience, with latencies of a factor, rounded to stepMs; told: the rollout says so.
func (k *roundedWorld) play(t *testing.T, random *rand.Rand, factor float64, told bool) (failed, byPatience bool) {
	const stepMs = 5
	r := rolloutOf(guardrail(k.spec))
	r.Risk.FalseRollback, r.Patience, r.Stratify = .1, 20*time.Second, k.stratify
	if told {
		r.LatencyGranularity = stepMs * time.Millisecond
	}
	if k.segmented || k.stratify {
		watching(r, 1, "de")
	}
	w := newRowWorld(t, r, random)
	n := [windows.Arms]int64{450, 50}
	for range 90 {
		p := &windows.Part{Stream: serving, StartMs: w.script.atMs}
		segment := windows.Segment{Name: "de", Served: n}
		for arm := range windows.Arms {
			w.rows = w.rows[:0]
			for range n[arm] {
				x := 7.2 * math.Exp(k.spread*random.NormFloat64())
				if windows.Arm(arm) == windows.Canary {
					x *= factor
				}
				w.rows = append(w.rows, row{stepMs * math.Round(x/stepMs), w.slice()})
			}
			p.Cells[arm] = w.cells(windows.Arm(arm), windows.Serving)
			segment.Cells[arm] = p.Cells[arm]
			p.Traffic[arm].Events, p.Traffic[arm].Served, p.Traffic[arm].SampledMin, p.Traffic[arm].SampledMax = n[arm], n[arm], 1, 1
		}
		if k.segmented || k.stratify {
			p.Segments = []windows.Segment{segment}
		}
		w.script.judge.Step(p)
		w.script.atMs += 1000
		g := w.script.guard("g")
		if k.segmented {
			g = g.segments[0]
		}
		if g.state == schemas.StateFailed {
			return true, g.patienceOut
		}
	}
	return false, false
}

// TestSimRoundedPatience holds that patience doesn't roll back what rounding alone has made of a canary within its margin, whatever it is that looks at latencies; that
// it would where nobody tells it that they are rounded; and that harm beyond the margin and the rounding is found.
func TestSimRoundedPatience(t *testing.T) {
	runs := size(10, 400)
	for _, k := range []roundedWorld{
		{spec: "g: distribution latency ks increase 20%", spread: .4},
		{spec: "g: distribution latency mann-whitney increase 20%", spread: .1},
		{spec: "g: distribution latency ks increase 20%", stratify: true, spread: .4},
		{spec: "g: distribution latency mann-whitney increase 20%", segmented: true, spread: .1},
		{spec: "g: distribution latency ks increase 20%", segmented: true, spread: .4},
		{spec: "g: quantile 0.5 latency increase 20%", spread: .4},
		{spec: "g: quantile 0.5 latency increase 20%", segmented: true, spread: .4},
	} {
		wrong, untold, found := make([]bool, runs), make([]bool, runs), make([]bool, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			wrong[i], _ = k.play(t, random, 1.15, true)
			untold[i], _ = k.play(t, random, 1.15, false)
			found[i], _ = k.play(t, random, 4, true)
		})
		t.Logf("%-52s in a segment %-5v strata %-5v: of %d within the margin %d failed, %d where nobody tells of the rounding; beyond it %d", k.spec, k.segmented, k.stratify, runs, trueOf(wrong), trueOf(untold), trueOf(found))
		if n := trueOf(wrong); n > binomialLimit(runs, .05) {
			t.Errorf("%s: %d of %d canaries within the margin failed", k.spec, n, runs)
		}
		if n := trueOf(untold); n < runs/2 {
			t.Errorf("%s: only %d of %d failed by rounding that nobody tells: this world shows nothing", k.spec, n, runs)
		}
		if n := trueOf(found); float64(n) < .95*float64(runs) {
			t.Errorf("%s: %d of %d beyond the margin failed", k.spec, n, runs)
		}
	}
}
