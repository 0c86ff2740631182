package analysis

import (
	"math"
	"slices"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestLackingExcess: only what the canary lacks beyond the baseline's share counts, over all blocks; credit evens chance out, and lasts no longer than chance has it.
func TestLackingExcess(t *testing.T) {
	type counts struct{ k, n [windows.Arms]int64 } // baseline, canary
	at := func(baseline, canary int64) counts {
		return counts{[windows.Arms]int64{windows.Baseline: baseline, windows.Canary: canary}, [windows.Arms]int64{windows.Baseline: 900 - baseline, windows.Canary: 300 - canary}}
	}
	for _, test := range []struct {
		name   string
		blocks []counts
		want   []int64
	}{
		{"nothing is lacking", []counts{at(0, 0), at(0, 0)}, []int64{0, 0}},
		{"the canary alone", []counts{at(0, 2), at(0, 0), at(0, 1)}, []int64{2, 0, 1}},
		{"as often in both", []counts{at(3, 1), at(6, 2)}, []int64{0, 0}},
		{"by turns", []counts{at(3, 0), at(3, 2), at(3, 0), at(3, 2)}, []int64{0, 0, 0, 0}},
		{"parts add up", []counts{at(2, 1), at(2, 1), at(2, 1)}, []int64{0, 0, 1}},
		{"the baseline more often, and then the canary", slices.Concat(slices.Repeat([]counts{at(6, 0)}, 50), []counts{at(0, 100)}), slices.Concat(slices.Repeat([]int64{0}, 50), []int64{100 - 35})},
	} {
		l := newLacking(&schemas.Guardrail{Direction: schemas.Increase}, 0)
		var have []int64
		for _, c := range test.blocks {
			l.count(c.n, c.k)
			have = append(have, l.excess())
		}
		if !slices.Equal(have, test.want) {
			t.Errorf("%s: %v, want %v", test.name, have, test.want)
		}
	}
}

// TestLackingSample: where the baseline lacks more than the tail holds, values are a sample, and nothing counts.
func TestLackingSample(t *testing.T) {
	for _, test := range []struct {
		ppm      int64
		baseline int64 // of 1,000
		counts   bool
	}{{10_000, 5, true}, {10_000, 100, false}, {990_000, 5, true}, {990_000, 100, false}, {0, 50, true}, {0, 300, false}} {
		l := newLacking(&schemas.Guardrail{Direction: schemas.Increase}, test.ppm)
		for range 3 {
			l.count([windows.Arms]int64{1000 - test.baseline, 500}, [windows.Arms]int64{test.baseline, 500})
		}
		if n := l.excess(); (n > 0) != test.counts {
			t.Errorf("a tail of %d millionths, %d of 1,000 lacking: %d count", test.ppm, test.baseline, n)
		}
	}
}

// TestLackingWorst: what is lacking is the largest, or where harm is to be smaller the least there is.
func TestLackingWorst(t *testing.T) {
	hist := []windows.Bucket{{Index: 7, Count: 3}}
	for direction, want := range map[schemas.Direction][]windows.Bucket{
		schemas.Increase: {{Index: 7, Count: 3}, {Index: windows.TopBucket, Count: 2}},
		schemas.Decrease: {{Index: windows.ZeroBucket, Count: 2}, {Index: 7, Count: 3}},
	} {
		if have := newLacking(&schemas.Guardrail{Direction: direction}, 10_000).add(hist, 2); !slices.Equal(have, want) {
			t.Errorf("%s: %v, want %v", direction, have, want)
		}
	}
	if have := newLacking(&schemas.Guardrail{Direction: schemas.Increase}, 10_000).add([]windows.Bucket{{Index: windows.TopBucket, Count: 5}}, math.MaxInt64); len(have) != 1 || have[0].Count != math.MaxUint32 {
		t.Errorf("more than a bucket holds: %v", have)
	}
}

// TestLackingOutside: what is lacking in windows without any value, and in blocks that aren't tested, counts; nothing of it lasts beyond a stage.
func TestLackingOutside(t *testing.T) {
	r := rolloutOf(guardrail("p99: quantile 0.99 latency increase 20%"), guardrail("shape: distribution latency ks increase 20%"))
	s := newScript(t, r, Options{Phi: 1})
	cell := cellOf(r, noLatencyMetric{})
	step := func(baseline, canary side, none [windows.Arms]int64) {
		p := s.serving(baseline, canary)
		for arm := range windows.Arms {
			for len(p.Cells[arm]) <= cell {
				p.Cells[arm] = append(p.Cells[arm], windows.Cell{})
			}
			p.Cells[arm][cell] = windows.Cell{N: p.Traffic[arm].Events, K: none[arm]}
		}
		s.verdict = s.judge.Step(p)
		s.atMs += 1000
	}
	for range 60 {
		step(side{n: 900, latencyMs: 20}, side{n: 100, latencyMs: 20}, [windows.Arms]int64{})
	}
	step(side{n: 900}, side{n: 100}, [windows.Arms]int64{900, 100}) // an outage of both
	for range 3 {
		step(side{}, side{n: 5}, [windows.Arms]int64{0, 5})
	}
	for _, name := range []string{"p99", "shape"} {
		for _, trial := range s.guard(name).trials() {
			l := trial.kernel.(*rankContrast).lacking
			if l.isSample() {
				t.Errorf("%s: one window without any latency makes a sample of all: %+v", name, *l)
			}
			if l.credit > -7 || l.credit < -15 { // of those without a baseline beside them its share so far is taken off
				t.Errorf("%s: %+v", name, *l)
			}
		}
		s.guard(name).unpass()
		if l := s.guard(name).canary.kernel.(*rankContrast).lacking; l.credit != 0 || l.all != 0 {
			t.Errorf("%s, in the next stage: %+v", name, *l)
		}
	}
}
