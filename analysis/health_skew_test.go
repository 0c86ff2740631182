package analysis

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// offlineOfDraws are the offline scores of n draws.
func offlineOfDraws(t *testing.T, n int, draw func() float64) *schemas.OfflineScores {
	t.Helper()
	var file strings.Builder
	for range n {
		fmt.Fprintln(&file, draw())
	}
	o, err := schemas.ReadScores("offline.csv", strings.NewReader(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// trained is a rollout with offline scores.
func trained(o *schemas.OfflineScores) *schemas.Rollout {
	r := rolloutOf(errors05)
	r.Training = &schemas.Training{Scores: "offline.csv", Offline: o}
	return r
}

func TestScoreMetric(t *testing.T) {
	o := &schemas.OfflineScores{Sha256: strings.Repeat("ab", 32), N: 100, Edges: []float64{0.1, 0.5}, Counts: []int64{40, 30, 30}}
	m := newScoreMetric(o)
	if m.Key() != "score/offline-abababababababab" || m.middle != 2 { // 40 at or below 0.1, 70 at or below 0.5
		t.Errorf("key %s, middle %d", m.Key(), m.middle)
	}
	t.Run("conforms", func(t *testing.T) { conforms(t, m) })
	var tally windows.Tally
	rows := windows.Rows{Len: 6, Arm: windows.Canary, Tally: &tally, Values: [][]float64{{0.1, 0.5, 0.51, math.NaN(), -7, 1e300}}}
	var c windows.Cell
	m.Reduce(rows, &c)
	want := []windows.Bucket{{Index: 0, Count: 2}, {Index: 1, Count: 1}, {Index: 2, Count: 2}}
	if c.N != 5 || c.K != 2 || fmt.Sprint(c.Hist) != fmt.Sprint(want) {
		t.Errorf("%+v", c)
	}
	rows.Arm, rows.Slice, c = windows.Baseline, []uint8{0, 0, 1, 1, 2, 2}, windows.Cell{}
	m.Reduce(rows, &c)
	if c.N != 5 || c.K != 2 || fmt.Sprint(c.Hist) != fmt.Sprint(want) || c.Slices[0] != (windows.SliceCount{N: 2}) || c.Slices[1] != (windows.SliceCount{N: 1, K: 1}) || c.Slices[2] != (windows.SliceCount{N: 2, K: 1}) {
		t.Errorf("%+v", c)
	}
}

// TestSkewIsTold: scores that differ are told, and nothing else comes of it.
func TestSkewIsTold(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	rollout := trained(offlineOfDraws(t, 10_000, r.Float64))
	w := newRowWorld(t, rollout, r)
	lower := false
	draw := func(arm windows.Arm) row {
		x := w.random.Float64()
		if lower && arm == windows.Canary {
			x *= 0.8
		}
		return row{x: x, slice: w.slice()}
	}
	play := func(n int) {
		for range n {
			w.step(serving, [windows.Arms]int64{100, 20}, draw)
		}
	}
	judge := w.script.judge
	if k := judge.Skew(); *k != (schemas.Skew{Threshold: skewThreshold, Offline: 10_000, OfflineSha256: rollout.Training.Offline.Sha256, Slack: k.Slack}) || judge.Skewed() {
		t.Errorf("before the first score: %+v", k)
	}
	if NewJudge(rolloutOf(errors05), Options{}).Skew() != nil {
		t.Error("there is a skew without offline scores")
	}
	play(60)
	if k := judge.Skew(); k.Proven || judge.Skewed() || k.KS > 0.05 || k.PSI > 0.05 || k.Online < 1100 || k.Offline != 10_000 || len(w.script.verdict.Health) > 0 {
		t.Errorf("while they are alike: %+v, %v", k, w.script.verdict.Health)
	}
	before := judge.Skew().Online
	lower = true
	began := w.script.atMs
	for n := 0; !judge.Skewed() && n < 60; n++ {
		play(1)
	}
	k, v := judge.Skew(), w.script.verdict
	if !k.Proven || k.LogEvidence < k.Threshold || k.Since < schemas.Time(began-5000) || k.Since > schemas.Time(began+5000) {
		t.Errorf("began %d: %+v", began, k)
	}
	if len(v.Health) != 1 || v.Health[0].Code != "score_skew" || v.Action == VerdictHold || v.Action == VerdictRollback {
		t.Errorf("%s, %+v", v.Action, v.Health)
	}
	t.Logf("after %d scores: %s", k.Online-before, k)
	play(300)
	const want = "Scores of canary 42 online differ from those that it gave offline: look at what it is fed. By itself this decides nothing."
	if k := judge.Skew(); k.KS < 0.15 || k.PSI < 0.25 || judge.findings()[0].Sentence != want {
		t.Errorf("%+v, %s", k, judge.findings()[0].Sentence)
	}
	if judge.FalseHolds() != NewJudge(rolloutOf(errors05), Options{}).FalseHolds() {
		t.Error("it has a share of the false holds")
	}
}

// TestSkewDecidesNothing: verdict and evidence of the guardrails are the same with offline scores and without, whatever these say.
func TestSkewDecidesNothing(t *testing.T) {
	run := func(rollout *schemas.Rollout) (all []string) {
		w := newRowWorld(t, rollout, rand.New(rand.NewPCG(7, 8)))
		for range 100 {
			w.step(serving, [windows.Arms]int64{100, 20}, func(windows.Arm) row { return row{x: w.random.Float64(), slice: w.slice()} })
			v := w.script.verdict
			status, err := json.Marshal(w.script.judge.Status())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprint(v.Action, v.Code, v.Sentence, v.Breached, string(status)))
		}
		return all
	}
	r := rand.New(rand.NewPCG(9, 9))
	with := run(trained(offlineOfDraws(t, 1000, func() float64 { return 5 + r.Float64() })))
	without := run(rolloutOf(errors05))
	for i := range with {
		if with[i] != without[i] {
			t.Fatalf("window %d:\n%s\nwithout offline scores\n%s", i, with[i], without[i])
		}
	}
}

// TestSimSkewCalibration: canaries whose scores are as offline, looked at after each window, their offline scores drawn anew each time. In the second world
// four scores of one user are the same; a test that takes them for independent would alarm.
func TestSimSkewCalibration(t *testing.T) {
	const alpha = .05
	runs := size(40, 400)
	for _, world := range []struct {
		name  string
		unit  int
		o     Options
		wrong bool // the test, so that the simulation can tell
	}{{"independent", 1, Options{}, false}, {"users of four", 4, Options{}, false}, {"users of four, taken for independent", 4, Options{Phi: 1}, true}} {
		alarms := 0
		for run := range runs {
			random := rand.New(rand.NewPCG(*simSeed, uint64(run)))
			rollout := trained(offlineOfDraws(t, 8_000, random.NormFloat64))
			w := newRowWorld(t, rollout, random)
			w.script.judge = NewJudge(rollout, world.o)
			var left [windows.Arms]int
			var last [windows.Arms]row
			for range 120 {
				w.step(serving, [windows.Arms]int64{100, 40}, func(arm windows.Arm) row {
					if left[arm] == 0 {
						left[arm], last[arm] = world.unit, row{x: random.NormFloat64(), slice: w.slice()}
					}
					left[arm]--
					return last[arm]
				})
			}
			if w.script.judge.skew.mixture.LogMax() >= math.Log(1/alpha) {
				alarms++
			}
		}
		limit := binomialLimit(runs, alpha+skewAlpha/2)
		if alarms > limit != world.wrong {
			t.Errorf("%s: %d of %d runs alarmed; more than %d is no accident", world.name, alarms, runs, limit)
		}
		t.Logf("%s: %d of %d runs alarmed", world.name, alarms, runs)
	}
}
