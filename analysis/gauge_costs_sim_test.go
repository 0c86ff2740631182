package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/windows"
)

// TestSimGaugeMeanCosts says how long a gauge's mean takes to be proven higher by a fifth, two thirds of a reading's deviation, from the first window on: a reading a window of each host, correlated with the host's
// next one.
func TestSimGaugeMeanCosts(t *testing.T) {
	const from = 30 // nothing is tested before
	runs := size(20, 100)
	for _, row := range []struct {
		world gaugeWorld
		most  int // windows
	}{
		{gaugeWorld{[2]int{24, 6}, 0, .1, 0}, 100}, {gaugeWorld{[2]int{24, 6}, .9, .1, 0}, 500}, {gaugeWorld{[2]int{24, 6}, .95, .1, 0}, 1000},
		{gaugeWorld{[2]int{4, 4}, 0, .1, 0}, 170}, {gaugeWorld{[2]int{4, 4}, .9, .1, 0}, 1100},
	} {
		took := make([]int, runs)
		inParallel(runs, func(i int, random *rand.Rand) { took[i] = row.world.failsAt(t, gaugeMean, random, 2000) })
		slices.Sort(took)
		median := took[runs/2]
		t.Logf("%2d hosts against %2d, correlated %.2f: %4d windows", row.world.hosts[windows.Canary], row.world.hosts[windows.Baseline], row.world.correlated, median)
		if median < from || median > row.most {
			t.Errorf("%+v: %d windows, want %d to %d", row.world, median, from, row.most)
		}
	}
}

// TestSimGaugesApart says how often a healthy canary's hosts fail by a gauge's mean, and by the share of readings above a limit, at a twentieth where hosts differ for good, by half of what else there is between readings and more: the
// baseline's parts can't show what all canary hosts have in common by chance, so this is beyond a twentieth, and documented.
func TestSimGaugesApart(t *testing.T) {
	runs := size(60, 400)
	for _, hosts := range [][windows.Arms]int{{24, 6}, {4, 4}} {
		for _, row := range []struct {
			apart   float64
			spec    string
			windows int
		}{{.5, gaugeMean, 600}, {.5, gaugeShare, size(600, 6000)}, {.7, gaugeShare, size(600, 6000)}} {
			world := gaugeWorld{hosts, 0, 0, row.apart}
			failed := make([]bool, runs)
			inParallel(runs, func(i int, random *rand.Rand) {
				failed[i] = world.failsAt(t, row.spec, random, row.windows) < row.windows
			})
			n := trueOf(failed)
			t.Logf("%d hosts against %d, that differ for good, by %g: %d of %d healthy canaries failed in %d windows (%s)", hosts[windows.Canary], hosts[windows.Baseline], row.apart, n, runs, row.windows, row.spec)
			if limit := binomialLimit(runs, .2); n > limit {
				t.Errorf("%d of %d failed; a fifth would be %d", n, runs, limit)
			}
		}
	}
}

// What a gaugeWorld's hosts are judged by: a twentieth of their readings is above the share's limit.
const gaugeMean, gaugeShare = "g: mean cpu increase any from=sample cap=1", "g: sample cpu 0.747 increase any"

// A gaugeWorld is a fleet with a reading of each host in each window, around .5 with a deviation of .15.
type gaugeWorld struct {
	hosts      [windows.Arms]int
	correlated float64 // with the host's next reading
	harm       float64 // added to the canary's
	apart      float64 // by how many deviations hosts differ for good
}

// failsAt is after how many windows the guardrail has failed, at most so many.
func (g gaugeWorld) failsAt(t *testing.T, spec string, random *rand.Rand, most int) int {
	r := rolloutOf(guardrail(spec))
	r.Risk.FalseRollback, r.Phi = .1, 1.5 // half of it is the missing canary's
	w := newRowWorld(t, r, random)
	halves := random.Perm(g.hosts[windows.Baseline]) // half of the baseline's hosts fall into each part
	var level [windows.Arms][]float64
	for arm := range windows.Arms {
		for range g.hosts[arm] {
			level[arm] = append(level[arm], .5+.15*g.apart*random.NormFloat64())
			w.hosts[arm] = append(w.hosts[arm], random.NormFloat64())
		}
	}
	for at := range most {
		for _, readings := range w.hosts {
			for h := range readings {
				readings[h] = g.correlated*readings[h] + math.Sqrt(1-g.correlated*g.correlated)*random.NormFloat64()
			}
		}
		var next [windows.Arms]int
		w.step(windows.Stream{Kind: windows.Resources}, [windows.Arms]int64{int64(g.hosts[0]), int64(g.hosts[1])}, func(arm windows.Arm) row {
			h := next[arm]
			next[arm]++
			x, slice := level[arm][h]+.15*w.hosts[arm][h], uint8(0)
			if arm == windows.Canary {
				x += g.harm
			} else if halves[h]%2 == 1 {
				slice = 1 + uint8(h%3)
			}
			return row{max(0, min(1, x)), slice}
		})
		if w.script.guard("g").state == failed {
			return at + 1
		}
	}
	return most
}
