package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestSimAlike holds the level where users go to the arms with all their requests, and a user's requests are alike: half of the variance of latencies is between users. Nine in ten are below 41.33 ms.
func TestSimAlike(t *testing.T) {
	runs := size(20, 400)
	limit := binomialLimit(runs, .05)
	for _, spec := range []string{"g: quantile 0.5 latency increase any", "g: distribution latency mann-whitney increase 20%", "g: distribution latency ks increase 20%", "g: quantile 0.99 latency increase any", "g: quantile 0.9 latency above 41.4ms"} {
		for _, users := range [][2]int{{1, 1}, {10, 1}, {20, 1}, {1, 60}} {
			many, stay := users[0], users[1]
			failedAt := make([]int, runs)
			inParallel(runs, func(i int, random *rand.Rand) {
				r := rolloutOf(guardrail(spec))
				r.Risk.FalseRollback, r.Phi = .1, 1.5
				w := newRowWorld(t, r, random)
				failedAt[i] = w.alike(many, stay, 300, func(_ windows.Arm, level float64) float64 {
					return 20 * math.Exp(.4*level+.4*random.NormFloat64())
				}, failed)
			})
			alarms := 0
			for _, at := range failedAt {
				if at >= 0 {
					alarms++
				}
			}
			t.Logf("%-50s users of %2d for %2d s: %3d of %d healthy ones failed (limit %d)", spec, many, stay, alarms, runs, limit)
			if alarms > limit {
				t.Errorf("%s, users of %d for %d s: %d of %d healthy canaries failed, the limit is %d", spec, many, stay, alarms, runs, limit)
			}
		}
	}
}

// TestSimAlikeWholly does it of users who have one request in each of 60 windows, all with the same latency, where the rollout's phi says so: of ranks that they may be wholly alike (2), of limits of a tail how many of its events one user can have on end (60). Nine in ten are below 41.3 ms,
// 99 in 100 below 74.6. With the default phi of 1.5, which takes them for half alike, nothing is claimed: how often it fails is said (deploy/ROLLOUTS.md).
func TestSimAlikeWholly(t *testing.T) {
	runs := size(24, 400)
	limit := binomialLimit(runs, .05)
	for _, row := range []struct {
		spec  string
		phi   float64
		until schemas.State
	}{
		{"g: quantile 0.5 latency increase any", 2, failed}, {"g: quantile 0.99 latency increase any", 2, failed},
		{"g: distribution latency mann-whitney increase any", 2, failed}, {"g: distribution latency ks increase any", 2, failed},
		{"g: quantile 0.5 latency increase any", 1.5, failed}, {"g: distribution latency mann-whitney increase any", 1.5, failed}, {"g: distribution latency ks increase any", 1.5, failed},
		{"g: quantile 0.9 latency above 41.4ms", 2, failed}, {"g: quantile 0.99 latency above 74.8ms", 60, failed},
		{"g: quantile 0.9 latency above 41.2ms", 2, schemas.StatePassed}, {"g: quantile 0.99 latency above 74.4ms", 60, schemas.StatePassed},
	} {
		at := make([]int, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			r := rolloutOf(guardrail(row.spec))
			r.Risk.FalseRollback, r.Risk.FalsePromote, r.Phi = .1, .05, row.phi
			w := newRowWorld(t, r, random)
			at[i] = w.alike(1, 60, 300, func(_ windows.Arm, level float64) float64 { return 20 * math.Exp(.566*level) }, row.until)
		})
		wrong := 0
		for _, x := range at {
			if x >= 0 {
				wrong++
			}
		}
		t.Logf("%-50s phi %2g: %3d of %d are told %s (limit %d)", row.spec, row.phi, wrong, runs, row.until, limit)
		if claimed := row.phi != 1.5; claimed && wrong > limit {
			t.Errorf("%s, phi %g: %d of %d are told %s, the limit is %d", row.spec, row.phi, wrong, runs, row.until, limit)
		}
	}
}

// TestSimAlikeMeans does it of means: a user's predictions all have the same score, evenly between 0 and 1, or, where a canary must not pass, it is just at the margin. It stands at the limit that it must not be above.
func TestSimAlikeMeans(t *testing.T) {
	runs := size(30, 400)
	limit := binomialLimit(runs, .05)
	for _, row := range []struct {
		spec  string
		worse float64 // the canary's scores
		until schemas.State
	}{
		{"g: mean score increase any from=prediction cap=1", 0, failed}, {"g: mean score above 0.5 from=prediction cap=1", 0, failed},
		{"g: mean score increase 0.1 from=prediction cap=1", .1, schemas.StatePassed}, {"g: mean score above 0.5 from=prediction cap=1", 0, schemas.StatePassed},
	} {
		for _, users := range [][2]int{{1, 1}, {10, 1}, {20, 1}, {1, 60}} {
			many, stay := users[0], users[1]
			if *simSize != "full" && many != 20 && stay == 1 {
				continue
			}
			at := make([]int, runs)
			inParallel(runs, func(i int, random *rand.Rand) {
				r := rolloutOf(guardrail(row.spec))
				r.Risk.FalseRollback, r.Risk.FalsePromote, r.Phi = .1, .05, 1.5
				w := newRowWorld(t, r, random)
				at[i] = w.alike(many, stay, 300, func(arm windows.Arm, level float64) float64 {
					x := .9 * math.Erfc(-level/math.Sqrt2) / 2
					if row.worse == 0 {
						return x + .05
					} else if arm == windows.Canary {
						x += row.worse
					}
					return x
				}, row.until)
			})
			wrong := 0
			for _, x := range at {
				if x >= 0 {
					wrong++
				}
			}
			t.Logf("%-50s users of %2d for %2d s: %3d of %d are told %s (limit %d)", row.spec, many, stay, wrong, runs, row.until, limit)
			if wrong > limit {
				t.Errorf("%s, users of %d for %d s: %d of %d are told %s, the limit is %d", row.spec, many, stay, wrong, runs, row.until, limit)
			}
		}
	}
}

// alike plays windows of 100 requests, a fifth of them the canary's, of users who send many in each of as many windows as they stay, with values by their arm and level; it returns in which of them the guardrail got
// to a state, -1: in none.
func (w *rowWorld) alike(many, stay, windowsPlayed int, value func(arm windows.Arm, level float64) float64, until schemas.State) int {
	type user struct {
		arm    windows.Arm
		slice  uint8
		level  float64
		leaves int
	}
	users := make([]user, 100/many)
	for at := range windowsPlayed {
		var n [windows.Arms]int64
		for i := range users {
			u := &users[i]
			if at >= u.leaves {
				*u = user{windows.Baseline, w.slice(), w.random.NormFloat64(), at + stay}
				if at == 0 { // they don't leave all at once
					u.leaves = 1 + w.random.IntN(stay)
				}
				if w.random.Float64() < .2 {
					u.arm = windows.Canary
				}
				w.users[u.arm]++
			}
			n[u.arm] += int64(many)
		}
		var drawn [windows.Arms]int
		w.step(serving, n, func(arm windows.Arm) row {
			i := drawn[arm] / many
			for k := range users {
				if users[k].arm == arm {
					if i--; i < 0 {
						i = k
						break
					}
				}
			}
			drawn[arm]++
			return row{value(arm, users[i].level), users[i].slice}
		})
		if w.script.guard("g").state == until {
			return at
		}
	}
	return -1
}

// TestSimAlikeCosts says how much longer doubled values take to prove, after 100 healthy windows, where users come back but their requests aren't alike: of 500 requests a window, a fifth the canary's.
func TestSimAlikeCosts(t *testing.T) {
	runs := size(3, 15)
	for _, row := range []struct {
		spec  string
		users int
		most  int // windows
	}{
		{"g: quantile 0.5 latency increase 20%", 20, 400}, {"g: quantile 0.5 latency increase 20%", 1000, 40}, {"g: quantile 0.5 latency increase 20%", 100_000, 6},
		{"g: quantile 0.99 latency increase 20%", 1000, 180}, {"g: quantile 0.99 latency increase 20%", 100_000, 28},
		{"g: distribution latency mann-whitney increase 20%", 1000, 40}, {"g: distribution latency mann-whitney increase 20%", 100_000, 6},
		{"g: mean tokens increase 20% from=prediction cap=400", 1000, 60}, {"g: mean tokens increase 20% from=prediction cap=400", 100_000, 30},
	} {
		var median [2]int
		for i, phi := range []float64{1, 0} { // known, measured
			took := make([]int, runs)
			inParallel(runs, func(run int, random *rand.Rand) {
				r := rolloutOf(guardrail(row.spec))
				r.Phi = 1.5
				w := newRowWorld(t, r, random)
				w.script = newScript(t, r, Options{NoIntervals: true, Phi: phi})
				took[run] = w.back(row.users, 100, 400)
			})
			slices.Sort(took)
			median[i] = took[runs/2]
		}
		t.Logf("%-49s of %6d users: %3d windows, %d where it is known that no requests are alike", row.spec, row.users, median[1], median[0])
		if median[1] > row.most {
			t.Errorf("%s of %d users: values that double take %d windows to prove, want at most %d", row.spec, row.users, median[1], row.most)
		}
	}
}

// back plays windows of users who come back by chance, at the same rate each; it returns how many windows the harm that begins with one took to fail, 1000: it didn't.
func (w *rowWorld) back(users, from, windowsPlayed int) int {
	type user struct {
		arm   windows.Arm
		slice uint8
		seen  bool
	}
	all := make([]user, users)
	for i := range all {
		all[i].slice = w.slice()
		if all[i].arm = windows.Baseline; w.random.Float64() < .2 {
			all[i].arm = windows.Canary
		}
	}
	var who [windows.Arms][]int
	for at := range windowsPlayed {
		who = [windows.Arms][]int{who[0][:0], who[1][:0]}
		for range 500 {
			i := w.random.IntN(users)
			u := &all[i]
			who[u.arm] = append(who[u.arm], i)
			if !u.seen {
				u.seen = true
				w.users[u.arm]++
			}
		}
		var drawn [windows.Arms]int
		w.step(serving, [windows.Arms]int64{int64(len(who[0])), int64(len(who[1]))}, func(arm windows.Arm) row {
			u := all[who[arm][drawn[arm]]]
			drawn[arm]++
			x := 20 * math.Exp(.566*w.random.NormFloat64())
			if arm == windows.Canary && at >= from {
				x *= 2
			}
			return row{x, u.slice}
		})
		if w.script.guard("g").state == failed {
			return at - from + 1
		}
	}
	return 1000
}
