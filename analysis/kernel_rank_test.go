package analysis

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestMarginsBeyondLinearBuckets: values outside the buckets' range are evidence neither of harm beyond a margin nor of keeping it, where the arms may be
// within it, or beyond it.
func TestMarginsBeyondLinearBuckets(t *testing.T) {
	for _, row := range []struct {
		name             string
		direction        schemas.Direction
		canary, baseline float64
		beyond, pass     bool // evidence grows
	}{
		{"within, across the upper end", schemas.Increase, 1.02, 0.98, false, false},
		{"within, across the lower end", schemas.Increase, 0.02, -0.02, false, false},
		{"both above, nobody knows by how much", schemas.Increase, 1.5, 1.1, false, false},
		{"both at the upper end", schemas.Increase, 1, 0.95, false, false},
		{"both at the lower end", schemas.Increase, 0.05, 0, false, false},
		{"within, downward, across the lower end", schemas.Decrease, -0.02, 0.02, false, false},
		{"downward, on the margin at the upper end", schemas.Decrease, 0.95, 1, false, false},
		{"beyond", schemas.Increase, 0.57, 0.5, true, false},
		{"beyond, downward", schemas.Decrease, 0.43, 0.5, true, false},
		{"kept", schemas.Increase, 0.5, 0.5, false, true},
		{"kept, downward", schemas.Decrease, 0.5, 0.5, false, true},
	} {
		g := &schemas.Guardrail{
			Kind: schemas.DistributionGuardrail, Of: "logit", Direction: row.direction,
			Margin: schemas.Margin{Text: "0.05", Value: 0.05}, Buckets: schemas.Buckets{From: 0, To: 1, Count: 100},
		}
		var b block
		for arm, x := range map[windows.Arm]float64{windows.Canary: row.canary, windows.Baseline: row.baseline} {
			b.n[arm] = 100
			b.hist[arm].add([]windows.Bucket{{Index: scaleOf(g).bucket(x), Count: 100}})
		}
		for name, tests := range map[string]ranks{"bulk": bulkRanks(), "median": quantileRanks(500_000, stats.FailOdds, stats.PassOdds)} {
			inc := newIncrements(shape{components: len(stats.FailOdds), passes: true})
			if name == "bulk" {
				inc = newIncrements(shape{components: len(stats.MallowsThetas), passes: true})
			}
			if !newRankContrast(g, tests).increments(inc, &b, independent) {
				t.Fatalf("%s: no test", row.name)
			}
			if got := inc.beyond[0] > 1e-9; got != row.beyond {
				t.Errorf("%s, %s: evidence beyond the margin %v", row.name, name, inc.beyond)
			}
			if got := inc.pass[0] > 1e-9; got != row.pass {
				t.Errorf("%s, %s: evidence of keeping it %v", row.name, name, inc.pass)
			}
		}
	}
}

// TestEstimatesBeyondLinearBuckets: a canary within its margin, just beyond the range of the buckets, while the baseline is just inside it, is not suspect:
// nobody knows by how much it is more.
func TestEstimatesBeyondLinearBuckets(t *testing.T) {
	for _, text := range []string{
		"g: quantile 0.5 score increase 0.05 buckets=0,1,100", "g: quantile 0.5 score decrease 0.05 buckets=0,1,100",
		"g: distribution score ks increase 0.05 buckets=0,1,100", "g: distribution score ks decrease 0.05 buckets=0,1,100",
		"g: distribution score mann-whitney increase 0.05 buckets=0,1,100", "g: distribution score mann-whitney decrease 0.05 buckets=0,1,100",
	} {
		for _, tt := range []struct {
			name string
			up   [windows.Arms]float64 // of a canary that is more; of one that is less, mirrored
			want schemas.State
		}{
			{"within", [windows.Arms]float64{windows.Baseline: .98, windows.Canary: 1.02}, continues},
			{"beyond", [windows.Arms]float64{windows.Baseline: .85, windows.Canary: 1.02}, failed},
		} {
			r := rolloutOf(guardrail(text))
			r.Patience = 10 * time.Second
			w := newRowWorld(t, r, rand.New(rand.NewPCG(5, 5)))
			g := w.script.guard("g")
			for range 60 {
				w.step(serving, [windows.Arms]int64{100, 100}, func(arm windows.Arm) row {
					x := tt.up[arm] + .01*(w.random.Float64()-.5)
					if g.spec.Direction == schemas.Decrease {
						x = 1 - x
					}
					return row{x, w.slice()}
				})
			}
			if g.anyE() < g.family.any.thresholds[0] {
				t.Errorf("%s, %s: no harm is proven", text, tt.name)
			}
			if g.state != tt.want {
				t.Errorf("%s, %s: %s, want %s", text, tt.name, g.state, tt.want)
			}
		}
	}
}

// TestLowQuantiles: a quantile near the least values sees harm however few come in a window, as one near the greatest does: a block waits for what is rare.
func TestLowQuantiles(t *testing.T) {
	for _, text := range []string{"g: quantile 0.01 latency decrease 20%", "g: quantile 0.05 latency decrease 20%", "g: quantile 0.01 latency decrease any", "g: quantile 0.99 latency increase 20%"} {
		for _, n := range [][windows.Arms]int64{{8, 1}, {10, 10}, {22, 23}} {
			w := newRowWorld(t, rolloutOf(guardrail(text)), rand.New(rand.NewPCG(17, uint64(n[0]))))
			g := w.script.guard("g")
			by := 1. / 3
			if g.spec.Direction == schemas.Increase {
				by = 3
			}
			for range 1500 {
				w.step(serving, n, func(arm windows.Arm) row {
					x := 20 * math.Exp(.5*w.random.NormFloat64())
					if arm == windows.Canary {
						x *= by
					}
					return row{x, w.slice()}
				})
			}
			if g.state != failed {
				t.Errorf("%s, %d values a window: %s, evidence %.1f", text, n[0]+n[1], g.state, g.anyE())
			}
		}
	}
}

// TestTailFull: a block waits for 4 values on the rarer side of its quantile; from the median on that is the tail, as it always was.
func TestTailFull(t *testing.T) {
	for _, tt := range []struct {
		ppm  int64
		want int64 // the least pool
	}{
		{1_000, 4_000}, {10_000, 400}, {50_000, 80}, {500_000, 8}, {500_001, 9}, {950_000, 80}, {990_000, 400}, {999_000, 4_000},
	} {
		if tailFull(tt.want-1, tt.ppm) || !tailFull(tt.want, tt.ppm) {
			t.Errorf("a tail of %d ppm isn't first full with a pool of %d", tt.ppm, tt.want)
		}
	}
}
