package analysis

import (
	"cmp"
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/windows"
)

// TestSimAlikeInOneSegment holds the level of segments where the users of one of them, a fifth of the requests, send 20 in a window with the same latency, and those of the other send one. Nine in ten are below 41.33 ms.
func TestSimAlikeInOneSegment(t *testing.T) {
	const falseRollback = .3
	runs, specs, users := size(12, 400), []string{"g: quantile 0.5 latency increase any", "g: distribution latency mann-whitney increase any"}, []int{20}
	if *simSize == "full" {
		specs = append(specs, "g: quantile 0.9 latency increase any", "g: distribution latency ks increase any", "g: quantile 0.9 latency above 41.4ms")
		users = append(users, 5, 1)
	}
	limit := binomialLimit(runs, falseRollback*segmentShare/3)
	for _, spec := range specs {
		for _, many := range users {
			alarms := segmentAlarms(t, spec, falseRollback, runs, clumps{many: many, share: .5})
			t.Logf("%-50s users of %2d in de: %3d of %d healthy ones failed in de, %d in us (limit %d)", spec, many, alarms[0], runs, alarms[1], limit)
			if max(alarms[0], alarms[1]) > limit {
				t.Errorf("%s, users of %d in de: of %d healthy canaries %d failed in de and %d in us, the limit is %d", spec, many, runs, alarms[0], alarms[1], limit)
			}
		}
	}
}

// TestSimAlikeStratified holds the level of contrasts within segments in that world, where the canary has four fifths of de's users and a fifth of the others: each stratum goes by its segment's noise.
func TestSimAlikeStratified(t *testing.T) {
	const falseRollback = .05
	runs := size(12, 400)
	for _, spec := range []string{"g: quantile 0.5 latency increase any", "g: distribution latency mann-whitney increase any"} {
		failedIn, level := make([]bool, runs), make([]float64, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			r := watching(rolloutOf(guardrail(spec)), 0, "de", "us")
			r.Risk.FalseRollback, r.Phi, r.Stratify = falseRollback, 1.5, true
			w := newRowWorld(t, r, random)
			for range 300 {
				w.clumped(clumps{many: 20, share: .8})
			}
			g := w.script.guard("g")
			failedIn[i], level[i] = g.state == failed, math.Exp(-g.family.any.thresholds[g.member])
		})
		alarms, limit := 0, binomialLimit(runs, level[0])
		for _, is := range failedIn {
			if is {
				alarms++
			}
		}
		t.Logf("%-50s %3d of %d healthy ones failed (limit %d)", spec, alarms, runs, limit)
		if alarms > limit {
			t.Errorf("%s: %d of %d healthy canaries failed, the limit is %d", spec, alarms, runs, limit)
		}
	}
}

// segmentAlarms is in how many of some runs of 300 windows a guardrail failed in de, and in us.
func segmentAlarms(t *testing.T, spec string, falseRollback float64, runs int, of clumps) (alarms [2]int) {
	failedIn := make([][2]bool, runs)
	inParallel(runs, func(i int, random *rand.Rand) {
		r := watching(rolloutOf(guardrail(spec)), 0, "de", "us")
		r.Risk.FalseRollback, r.Phi = falseRollback, 1.5
		w := newRowWorld(t, r, random)
		for range 300 {
			w.clumped(of)
		}
		for slot := range 2 {
			failedIn[i][slot] = w.script.guard("g").segments[slot].state == failed
		}
	})
	for _, run := range failedIn {
		for slot, is := range run {
			if is {
				alarms[slot]++
			}
		}
	}
	return alarms
}

// TestNoiseOfRanksInSegments: where all users send single requests there is none; else all that there is may be a segment's, until its own has been seen for long enough.
func TestNoiseOfRanksInSegments(t *testing.T) {
	play := func(windows int, of clumps) (whole float64, de, us *rankPart) {
		r := watching(rolloutOf(guardrail("g: quantile 0.9 latency increase any")), 0, "de", "us")
		r.Phi = 1.5
		w := newRowWorld(t, r, rand.New(rand.NewPCG(6, 5)))
		for range windows {
			w.clumped(of)
		}
		g := w.script.guard("g")
		return g.canary.ranks.arms()[0], g.segments[0].canary.apart, g.segments[1].canary.apart
	}
	near := func(what string, got, want, off float64) {
		t.Helper()
		if math.Abs(got-want) > off {
			t.Errorf("%s: %.3f, want %.3f", what, got, want)
		}
	}
	if whole, de, us := play(60, clumps{many: 1, share: .2}); whole != 1 || de.arms() != independent || us.arms() != independent {
		t.Errorf("single requests: phi %v, %v, %v", whole, de.arms(), us.arms())
	}
	whole, de, us := play(100, clumps{many: 20, share: .2})
	near("requests of all for one of de", de.all/de.mine, 5, .7)
	if phi, most := de.over(whole), 1+(whole-1)*(de.all+1)/(de.mine+1); phi < most || phi < 20 {
		t.Errorf("phi of de is %.1f, and as if all noise were its %.1f", phi, most)
	}
	near("phi of us, as if all noise were its", us.over(whole), 1+(whole-1)*(us.all+1)/(us.mine+1), 1e-9)

	// Two users of 20 in a block are of the same half, or else as far apart as 39 times what single requests are.
	whole, de, us = play(1500, clumps{many: 20, share: .2})
	if phi := de.arms()[0]; phi < 30 || phi > 80 || us.arms()[0] != whole || whole > 12 {
		t.Errorf("once measured: phi %.1f, of de %.1f, of us %.1f", whole, phi, us.arms()[0])
	}

	// Fast users are never among the slowest tenth of all, so all traffic doesn't show that they are alike: sizes tell.
	_, de, _ = play(20, clumps{many: 20, share: .2, factor: .1})
	near("phi of fast users, by sizes", de.over(1), 1+(de.of.seen.Sizes()-1)*(de.all+1)/(de.mine+1), 1e-9)
	if phi := de.over(1); phi < 17 {
		t.Errorf("phi %.1f of fast users before it is measured", phi)
	}
	// What is seen in one window of ten is so much less of all.
	_, de, _ = play(200, clumps{many: 20, share: .2, seldom: 10})
	near("requests of all for one of de", de.all/de.mine, 50, 12)
}

// clumps are the users of segment de, who send many requests in a window: the canary has a share of them, and their latencies are larger by a factor (0: 1). They come each seldom-th window (0: each).
type clumps struct {
	many, seldom  int
	share, factor float64
}

// clumped gives the judge a window of 200 requests: 40 of segment de, and 160 of users of us who send one each, a fifth of them the canary's.
func (w *rowWorld) clumped(of clumps) {
	s := w.script
	p := &windows.Part{Stream: serving, StartMs: s.atMs}
	draw := func(users, many int, share, typical float64) (rows [windows.Arms][]row) {
		for range users {
			arm, one := windows.Baseline, row{typical * math.Exp(.566*w.random.NormFloat64()), w.slice()}
			if w.random.Float64() < share {
				arm = windows.Canary
			}
			w.users[arm]++
			for range many {
				rows[arm] = append(rows[arm], one)
			}
		}
		return rows
	}
	if of.seldom == 0 || s.atMs/s.judge.clock.widthMs%int64(of.seldom) == 0 {
		w.addRows(p, "de", draw(40/of.many, of.many, of.share, 20*cmp.Or(of.factor, 1)))
	}
	w.addRows(p, "us", draw(160, 1, .2, 20))
	s.verdict = s.judge.Step(p)
	s.atMs += s.judge.clock.widthMs
}

// addRows adds a segment to a part: its rows, of users that came since the one before.
func (w *rowWorld) addRows(p *windows.Part, name string, rows [windows.Arms][]row) {
	s := w.script
	one := s.serving(side{n: int64(len(rows[0])), units: w.users[0]}, side{n: int64(len(rows[1])), units: w.users[1]})
	segment := windows.Segment{Name: name}
	for arm := range windows.Arms {
		w.rows, w.users[arm] = rows[arm], 0
		segment.Served[arm] = int64(len(rows[arm]))
		segment.Cells[arm], one.Cells[arm] = w.cells(windows.Arm(arm), windows.Serving), w.cells(windows.Arm(arm), windows.Serving)
	}
	for _, r := range rows[windows.Baseline] {
		one.Traffic[windows.Baseline].Slices[r.slice]++
	}
	if len(p.Segments) == 0 {
		p.Cells, p.Traffic = one.Cells, one.Traffic
	} else {
		addPart(p, one)
		for arm := range windows.Arms {
			p.Traffic[arm].Units = append(p.Traffic[arm].Units, one.Traffic[arm].Units...)
			for i := range p.Traffic[arm].Slices {
				p.Traffic[arm].Slices[i] += one.Traffic[arm].Slices[i]
			}
			for i := range p.Cells[arm] {
				for k := range p.Cells[arm][i].Slices {
					to, more := &p.Cells[arm][i].Slices[k], one.Cells[arm][i].Slices[k]
					to.N, to.K, to.Sum = to.N+more.N, to.K+more.K, to.Sum+more.Sum
				}
			}
		}
	}
	p.Segments = append(p.Segments, segment)
}
