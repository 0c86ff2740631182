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
	factors := [windows.Arms]float64{1, k.factor}
	for at := range windowsPlayed {
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
			if arm == windows.Canary && z > slowest {
				x = math.NaN()
			}
			return row{x, user[arm].slice}
		})
		if w.script.guard("g").state == schemas.StatePassed {
			return at
		}
	}
	return -1
}

// TestSimLacking holds that a canary on its margin doesn't pass more often than it may, whatever share of its requests, the slowest, carries no latency. Where users lack theirs together chance has a part in that share; there it
// passes in some runs, and not in most.
func TestSimLacking(t *testing.T) {
	runs, long := size(20, 100), size(200, 400)
	limit := binomialLimit(runs, .05)
	same := func(share float64) [windows.Arms]float64 { return [windows.Arms]float64{share, share} }
	more := func(share float64) [windows.Arms]float64 { return [windows.Arms]float64{windows.Baseline: share} }
	const p99, p50, ks, ranks = "g: quantile 0.99 latency increase 20%", "g: quantile 0.5 latency increase 20%", "g: distribution latency ks increase 20%", "g: distribution latency mann-whitney increase 20%"
	for _, k := range []lackingWorld{
		{p99, same(0), 1, .003, 1.2},
		{p99, same(0), 1, .01, 1.2},
		{p99, same(0), 1, .02, 1}, // whatever these were
		{p99, same(.005), 1, .01, 1.2},
		{p99, same(.005), 15, .005, 1.2}, // by users: chance has more of them
		{p50, same(.05), 1, .2, 1.2},
		{p50, same(.3), 30, 0, 1.2},
		{ks, same(0), 1, .1, 1.2},
		{ranks, same(.02), 1, .1, 1.2},
		{ranks, same(.09), 1, .1, 1.2},
		// The baseline lacks more than the canary does.
		{p99, more(.002), 1, 0, 1.2},
		{p99, more(.01), 1, 0, 1.2},
		{p99, more(.05), 15, 0, 1.2},
		{p50, more(.2), 1, 0, 1.2},
		{ks, more(.03), 1, 0, 1.2},
		{ranks, more(.05), 1, 0, 1.2},
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

// TestSimLackingCosts holds that a healthy canary passes where both arms lack the same share, and soon enough.
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
	for _, row := range []struct {
		spec  string
		share float64
		most  float64 // as a multiple of what it takes where none is lacking
	}{
		{"g: quantile 0.99 latency increase 20%", .001, 2}, {"g: quantile 0.99 latency increase 20%", .005, 4.5},
		{"g: quantile 0.99 latency increase 20%", .05, 1.4}, {"g: quantile 0.99 latency increase 20%", .5, 2.8}, // half of the values are as many in twice the time
		{"g: quantile 0.5 latency increase 20%", .01, 1.3}, {"g: distribution latency mann-whitney increase 20%", .02, 1.3},
	} {
		none, with := median(lackingWorld{spec: row.spec, many: 1, factor: 1}), median(lackingWorld{row.spec, [windows.Arms]float64{row.share, row.share}, 1, 0, 1})
		t.Logf("%-50s %4.1f %% of both: passed after %3d windows, %d where none is lacking", row.spec, 100*row.share, with, none)
		if float64(with) > row.most*float64(none)+1 {
			t.Errorf("%s: where %.1f %% of both lack a latency it takes %d windows to pass, instead of %d", row.spec, 100*row.share, with, none)
		}
	}
}
