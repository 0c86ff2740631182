package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// A lackingWorld is two arms of which requests lack their latency: a share of either by chance, and of the canary's the slowest.
type lackingWorld struct {
	spec   string
	share  [windows.Arms]float64 // of either arm's
	many   int                   // requests that have the same fate in that
	hidden float64               // of the canary's requests, the slowest
	factor float64               // the canary's latencies, as a multiple
	before int                   // windows of a stage before, in which it hides none, and keeps its margin
	outage bool                  // in the stage's first window nothing of either arm has a latency
}

// play is in which window the guardrail passed; -1: in none.
func (k *lackingWorld) play(t *testing.T, random *rand.Rand, windowsPlayed int) int {
	r := rolloutOf(guardrail(k.spec))
	r.Phi = 1.5
	w := newRowWorld(t, r, random)
	slowest := math.Inf(1)
	if k.hidden > 0 {
		slowest = math.Sqrt2 * math.Erfinv(1-2*k.hidden)
	}
	for at := -k.before; at < windowsPlayed; at++ {
		factors, hides := [windows.Arms]float64{1, k.factor}, at >= 0
		if !hides {
			factors[windows.Canary] = 1
		}
		if at == 0 {
			w.script.guard("g").unpass()
		}
		var user [windows.Arms]row // x: it has none; of the latest requests
		var left [windows.Arms]int
		w.step(serving, [windows.Arms]int64{450, 150}, func(arm windows.Arm) row {
			if left[arm]--; left[arm] < 0 {
				left[arm], user[arm] = k.many-1, row{1, w.slice()}
				if random.Float64() < k.share[arm] {
					user[arm].x = math.NaN()
				}
			}
			z := random.NormFloat64()
			x := 20 * math.Exp(.5*z) * factors[arm] * user[arm].x
			if arm == windows.Canary && z > slowest && hides || k.outage && at == 0 {
				x = math.NaN()
			}
			return row{x, user[arm].slice}
		})
		if hides && w.script.guard("g").state == schemas.StatePassed {
			return at
		}
	}
	return -1
}

// TestSimLacking holds that a canary on its margin doesn't pass more often than it may, whatever share of its requests, the slowest, carries no latency. Where users lack theirs together chance has a part in that share; there it
// passes in some runs, and not in most.
func TestSimLacking(t *testing.T) {
	runs, long := size(20, 100), size(100, 400)
	limit := binomialLimit(runs, .05)
	same := func(share float64) [windows.Arms]float64 { return [windows.Arms]float64{share, share} }
	more := func(share float64) [windows.Arms]float64 { return [windows.Arms]float64{windows.Baseline: share} }
	const p99, p50, ks, ranks = "g: quantile 0.99 latency increase 20%", "g: quantile 0.5 latency increase 20%", "g: distribution latency ks increase 20%", "g: distribution latency mann-whitney increase 20%"
	for _, k := range []lackingWorld{
		{spec: p99, many: 1, hidden: .003, factor: 1.2},
		{spec: p99, share: same(0), many: 1, hidden: .01, factor: 1.2},
		{spec: p99, share: same(0), many: 1, hidden: .02, factor: 1}, // whatever these were
		{spec: p99, share: same(.005), many: 1, hidden: .01, factor: 1.2},
		{spec: p99, share: same(.005), many: 15, hidden: .005, factor: 1.2}, // by users: chance has more of them
		{spec: p50, share: same(.05), many: 1, hidden: .2, factor: 1.2},
		{spec: p50, share: same(.3), many: 30, hidden: 0, factor: 1.2},
		{spec: ks, share: same(0), many: 1, hidden: .1, factor: 1.2},
		{spec: ranks, share: same(.02), many: 1, hidden: .1, factor: 1.2},
		{spec: ranks, share: same(.09), many: 1, hidden: .1, factor: 1.2},
		{spec: p99, share: same(.005), many: 1, hidden: .01, factor: 1.2, before: 300},
		{spec: p99, many: 1, hidden: .01, factor: 1.2, outage: true},
		// The baseline lacks more than the canary does.
		{spec: p99, share: more(.002), many: 1, hidden: 0, factor: 1.2},
		{spec: p99, share: more(.01), many: 1, hidden: 0, factor: 1.2},
		{spec: p99, share: more(.05), many: 15, hidden: 0, factor: 1.2},
		{spec: p50, share: more(.2), many: 1, hidden: 0, factor: 1.2},
		{spec: ks, share: more(.03), many: 1, hidden: 0, factor: 1.2},
		{spec: ranks, share: more(.05), many: 1, hidden: 0, factor: 1.2},
	} {
		at := make([]int, runs)
		inParallel(runs, func(i int, random *rand.Rand) { at[i] = k.play(t, random, long) })
		wrong, most := 0, limit
		if k.many > 1 && k.hidden > 0 {
			most = runs / 2
		}
		for _, x := range at {
			if x >= 0 {
				wrong++
			}
		}
		t.Logf("%-50s %4.1f %% of the baseline, %4.1f %% of the canary, by %2d, and its slowest %4.1f %%, of %.1f: %3d of %d passed (limit %d)", k.spec, 100*k.share[windows.Baseline], 100*k.share[windows.Canary], k.many, 100*k.hidden, k.factor, wrong, runs, most)
		if wrong > most {
			t.Errorf("%s: %d of %d canaries on the margin, or beyond it, passed, the limit is %d", k.spec, wrong, runs, most)
		}
	}
}

// TestSimLackingCosts holds that a healthy canary passes where requests lack their latency by chance, and soon enough.
func TestSimLackingCosts(t *testing.T) {
	runs := size(41, 200)
	median := func(k lackingWorld) int {
		at := make([]int, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			if at[i] = k.play(t, random, 600); at[i] < 0 {
				at[i] = 600
			}
		})
		slices.Sort(at)
		return at[runs/2] + 1
	}
	const p99 = "g: quantile 0.99 latency increase 20%"
	for _, row := range []struct {
		spec             string
		baseline, canary float64
		most             float64 // as a multiple of what it takes where none is lacking
	}{
		{p99, .001, .001, 2}, {p99, .005, .005, 2.5}, {p99, .05, .05, 1.4}, {p99, .5, .5, 2.8}, // half of the values are as many in twice the time
		{p99, .005, .006, 3}, {p99, 0, .003, 6}, {p99, .005, 0, 1.1},
		{"g: quantile 0.5 latency increase 20%", .01, .01, 1.3}, {"g: distribution latency mann-whitney increase 20%", .02, .02, 1.3},
	} {
		none, with := median(lackingWorld{spec: row.spec, many: 1, factor: 1}), median(lackingWorld{spec: row.spec, share: [windows.Arms]float64{row.baseline, row.canary}, many: 1, factor: 1})
		t.Logf("%-50s %4.1f %% of the baseline, %4.1f %% of the canary: passed after %3d windows, %d where none is lacking", row.spec, 100*row.baseline, 100*row.canary, with, none)
		if float64(with) > row.most*float64(none)+1 {
			t.Errorf("%s: where %.1f and %.1f %% lack a latency it takes %d windows to pass, instead of %d", row.spec, 100*row.baseline, 100*row.canary, with, none)
		}
	}
}
