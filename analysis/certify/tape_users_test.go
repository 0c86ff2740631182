package certify

import (
	"math"
	"testing"
	"time"

	"streamcanary/windows"
)

// TestLatenciesOfUsersKeepTheirLaw: what makes a user's latencies alike doesn't change the law of one of them, whatever the law; chi-square over its buckets.
func TestLatenciesOfUsersKeepTheirLaw(t *testing.T) {
	for name, l := range map[string]*law{"lognormal": lognormalHalf, "Pareto": paretoHeavy, "cache": bimodalCache} {
		const draws = 200_000
		var s stopwatch
		timing := timing{law: l, factor: 1.1}
		s.begin(&timing)
		d := testDice(3)
		for range draws {
			s.drawAlike(d, pace{n: 1, score: d.NormFloat64()}, &timing)
		}
		want, got := map[int]float64{}, map[int]float64{}
		for _, y := range l.log {
			want[int(math.Ceil(y+inBuckets(1.1)))-1] += draws / float64(len(l.log))
		}
		for _, b := range s.flush(whole, nil) {
			got[int(b.Index)] = float64(b.Count)
			if want[int(b.Index)] == 0 {
				t.Errorf("%s: %d latencies in bucket %d, where the law has none", name, b.Count, b.Index)
			}
		}
		sum, free := 0.0, -1.0
		for at, w := range want {
			if w >= 10 {
				sum += (got[at] - w) * (got[at] - w) / w
				free++
			}
		}
		if z := (sum - free) / math.Sqrt(2*free); free < 20 || math.Abs(z) > 4 {
			t.Errorf("%s: chi-square %.1f over %v buckets", name, sum, free)
		}
	}
}

// TestLatenciesAreAsAlikeAsSaid measures how much noisier the sum of the logarithms of an arm's latencies is than of independent ones, over so many windows: with half of
// the variance between users, 1 + (m-1)/2, where a user makes m predictions in them (m as one prediction sees it). Two of one user who stays are k windows apart
// both within his stay with chance 1 - k/60: over 60 windows that makes 1 + (0.5 + 39)/2.
func TestLatenciesAreAsAlikeAsSaid(t *testing.T) {
	for _, c := range []struct {
		world          string
		windows        int
		phi, tolerance float64
	}{
		{"flat", 1, 1, .1}, {"clumps", 1, 1.53, .1}, {"users of 10", 1, 5.5, .1}, {"users of 20", 1, 10.5, .1},
		{"users who stay", 1, 1.25, .1}, {"users who stay", 60, 20.75, .2},
	} {
		s := worldOf(c.world).make()
		s.share = constant(.3)
		mean, variance := 0.0, 0.0
		for _, y := range s.law.log {
			mean += y / float64(len(s.law.log))
		}
		for _, y := range s.law.log {
			variance += (y - mean) * (y - mean) / float64(len(s.law.log))
		}
		tape := NewTape(s, atAny.rollout(time.Second, .05), testSource(9))
		n, squares := 0.0, 0.0
		for range min(2000, 18_000/c.windows) {
			var sums [windows.Arms]float64
			for range c.windows {
				m := tape.Next()
				for arm := range sums {
					for _, b := range m.Serving.Cells[arm][m.indexes["latency"]].Hist {
						n += float64(b.Count)
						sums[arm] += float64(b.Count) * (float64(b.Index) + .5 - mean)
					}
				}
			}
			for _, sum := range sums {
				squares += sum * sum
			}
		}
		if got := squares / (n * variance); math.Abs(got/c.phi-1) > c.tolerance {
			t.Errorf("%s, by %d windows: phi of latencies %.2f, want %v", c.world, c.windows, got, c.phi)
		}
	}
}

// TestUsersWhoStay: as many are there all the time as make the scene's requests, each is told of once, in one arm, and then a sixtieth of them is new in each window.
func TestUsersWhoStay(t *testing.T) {
	s := worldOf("users who stay").make()
	tape := NewTape(s, atAny.rollout(time.Second, .05), testSource(2))
	const played = 3000
	var events, fresh [windows.Arms]float64
	seen := map[uint64]bool{}
	for range played {
		m := tape.Next()
		for arm, tr := range m.Serving.Traffic {
			events[arm] += float64(tr.Events)
			for _, u := range tr.Units {
				if seen[u.Unit] {
					t.Fatalf("window %d: unit %d is told of again", m.T, u.Unit)
				}
				seen[u.Unit] = true
				if m.T >= s.stays {
					fresh[arm]++
				}
			}
		}
	}
	for arm, share := range [windows.Arms]float64{.9, .1} {
		// 60 requests of a user, of whom 5 come in a window: a variance of 5·60² and a little a window.
		if want := 300 * played * share; math.Abs(events[arm]-want) > 4*math.Sqrt(5*61*61*played*share) {
			t.Errorf("arm %d: %v requests, want %v", arm, events[arm], want)
		}
		if want := 5 * float64(played-s.stays) * share; math.Abs(fresh[arm]-want) > 4*math.Sqrt(want) {
			t.Errorf("arm %d: %v users came, want %v", arm, fresh[arm], want)
		}
	}
}

// TestWholeUsersAreRouted: an arm's sizes are as noisy as a router makes them that sends users, and not single predictions, to an arm: by the sum of squares of what users make over that of what they make. In all
// there are as many predictions as the scene says.
func TestWholeUsersAreRouted(t *testing.T) {
	for name, phi := range map[string]float64{"users of 10": 10, "users of 20": 20} {
		w := worldOf(name).withoutLatencies()
		tape := NewTape(w.make(), atLosses.rollout(w.Width, .05), sourceOf(1, 2))
		const runs = 20_000
		var sums, squares [windows.Arms]float64
		for range runs {
			p := tape.Next().Serving
			for arm := range sums {
				n := float64(p.Traffic[arm].Events)
				sums[arm], squares[arm] = sums[arm]+n, squares[arm]+n*n
			}
		}
		for arm, share := range []float64{.9, .1} {
			mean := sums[arm] / runs
			if over := (squares[arm]/runs - mean*mean) / mean / phi; math.Abs(over-1) > .05 || math.Abs(mean/(300*share)-1) > .05 {
				t.Errorf("%s, arm %d: %.1f predictions a window, want %.0f; their variance is %.2f times that of whole users", name, arm, mean, 300*share, over)
			}
		}
	}
}

// TestCellsAddUp: what a window's slices and segments hold of latencies, of those above a limit, and of the baseline's half, is all that the window holds, with users and without.
func TestCellsAddUp(t *testing.T) {
	for _, name := range []string{"flat", "users of 10", "users who stay", "users in one segment"} {
		w, watched := worldOf(name), onLimits
		watched.segments, watched.guardrails = 2, watched.guardrails+"\n- {name: slower, quantile: 0.5, of: latency, increase: any}\n"
		tape := NewTape(w.make(), watched.rollout(w.Width, .05), sourceOf(1, 2))
		above := int64(0)
		for range 50 {
			p := tape.Next().Serving
			for i, r := range tape.reads {
				of := &p.Cells[windows.Baseline][i]
				if r.over >= 0 {
					above += of.K
				}
				if of, parts := sizesOf(of), summed(p, i); of != parts.segments || r.over >= 0 && (of.n != parts.slices.n || of.k != parts.slices.k) || r.layer != none && of.drawn != of.n {
					t.Fatalf("%s, metric %s: the baseline has %v, its segments %v, its slices %v", name, p.Metrics[i], of, parts.segments, parts.slices)
				}
			}
		}
		if above == 0 {
			t.Errorf("%s: nothing is above a limit", name)
		}
	}
}

// cellSizes are what a cell holds: exposures, hits, and what is in its histogram.
type cellSizes struct{ n, k, drawn int64 }

func sizesOf(c *windows.Cell) cellSizes {
	s := cellSizes{n: c.N, k: c.K}
	for _, b := range c.Hist {
		s.drawn += int64(b.Count)
	}
	return s
}

// summed are the sizes of all segments' cells of a metric, and of its slices, of the baseline.
func summed(p *windows.Part, metric int) (all struct{ segments, slices cellSizes }) {
	for s := range p.Segments {
		one := sizesOf(&p.Segments[s].Cells[windows.Baseline][metric])
		all.segments = cellSizes{all.segments.n + one.n, all.segments.k + one.k, all.segments.drawn + one.drawn}
	}
	for _, s := range p.Cells[windows.Baseline][metric].Slices {
		all.slices.n, all.slices.k = all.slices.n+s.N, all.slices.k+s.K
	}
	return all
}
