package certify

import (
	"math"
	"testing"
	"time"

	"streamcanary/windows"
)

// TestScoresAreAsAlikeAsSaid measures of scores what TestLatenciesAreAsAlikeAsSaid does of latencies, and their mean and variance.
func TestScoresAreAsAlikeAsSaid(t *testing.T) {
	for _, c := range []struct {
		world          string
		windows        int
		phi, tolerance float64
	}{
		{"flat", 1, 1, .1}, {"clumps", 1, 1.53, .1}, {"users of 10", 1, 5.5, .1}, {"users of 20", 1, 10.5, .1},
		{"users who stay", 1, 1.25, .1}, {"users who stay", 60, 20.75, .2},
		{"users in one segment", 1, 1 + .2*9.5, .15},
	} {
		s := worldOf(c.world).make()
		s.share, s.law = constant(.3), nil
		s.harm.Score = -.04
		tape := NewTape(s, atAny.rollout(time.Second, .05), testSource(9))
		at, n, sum, squares, between := tape.scores.metric, 0.0, 0.0, 0.0, 0.0
		for range min(2000, 18_000/c.windows) {
			var sums [windows.Arms]float64
			for range c.windows {
				m := tape.Next()
				for arm := range sums {
					cell, level := &m.Serving.Cells[arm][at], scoreLevel-.04*float64(arm)
					k, all, square := float64(cell.N), float64(cell.Sum)/windows.SumUnit, float64(cell.Squares)/windows.SumUnit
					n, sum, squares, sums[arm] = n+k, sum+all-k*level, squares+square-2*level*all+k*level*level, sums[arm]+all-k*level
				}
			}
			for _, x := range sums {
				between += x * x
			}
		}
		variance := squares / n
		if math.Abs(sum/n) > 5*scoreSpread*math.Sqrt(21/n) || math.Abs(variance/scoreSpread/scoreSpread-1) > .03 {
			t.Errorf("%s: a score is %.5f beside its level, its variance %.4f", c.world, sum/n, variance)
		}
		if got := between / (n * variance); math.Abs(got/c.phi-1) > c.tolerance {
			t.Errorf("%s, by %d windows: phi of scores %.2f, want %v", c.world, c.windows, got, c.phi)
		}
	}
}

// TestScoresChangeNothingElse: a rollout that asks for scores sees the same requests, hits and latencies as one that doesn't.
func TestScoresChangeNothingElse(t *testing.T) {
	for _, world := range []string{"flat", "users of 20", "users who stay"} {
		bare := Setting{patience: "never", guardrails: "\n- {name: errors, rate: error, increase: any}\n- {name: p99, quantile: 0.99, of: latency, increase: any}\n"}
		scored := bare
		scored.guardrails += "- {name: quality, mean: score, cap: 1, decrease: any}\n"
		one, other := NewTape(worldOf(world).make(), bare.rollout(time.Second, .05), testSource(3)), NewTape(worldOf(world).make(), scored.rollout(time.Second, .05), testSource(3))
		for range 50 {
			a, b := one.Next(), other.Next()
			for arm := range windows.Arms {
				for _, key := range []string{"error", "latency"} {
					x, y := &a.Serving.Cells[arm][a.indexes[key]], &b.Serving.Cells[arm][b.indexes[key]]
					if x.N != y.N || x.K != y.K || len(x.Hist) != len(y.Hist) {
						t.Fatalf("%s, window %d, arm %d: %s is %d of %d in %d buckets, with scores %d of %d in %d", world, a.T, arm, key, x.K, x.N, len(x.Hist), y.K, y.N, len(y.Hist))
					}
				}
				if cell := &b.Serving.Cells[arm][b.indexes[scoreMetric]]; cell.N != b.Serving.Traffic[arm].Events {
					t.Fatalf("%s: %d scores of %d predictions", world, cell.N, b.Serving.Traffic[arm].Events)
				}
			}
		}
	}
}

// TestGaugesAreOnBothMargins: the share of the canary's readings above the limit, and their mean, are as far from the baseline's as the guardrails of "margins" allow.
func TestGaugesAreOnBothMargins(t *testing.T) {
	s := worldOf("flat").make()
	setting := atMargins.allOn()
	s.law, s.gauges = nil, setting.gauges
	s.gauges.hosts, s.gauges.every, s.gauges.keeps = [2]int{400, 400}, 1, 0
	tape := NewTape(s, setting.rollout(time.Second, .05), testSource(4))
	var n, k, sum [windows.Arms]float64
	for range 1000 {
		p := tape.Next().Parts[1]
		for arm := range windows.Arms {
			share, mean := &p.Cells[arm][0], &p.Cells[arm][1]
			n[arm], k[arm], sum[arm] = n[arm]+float64(mean.N), k[arm]+float64(share.K), sum[arm]+2*float64(mean.Sum)/windows.SumUnit
		}
	}
	if share := k[1]/n[1] - k[0]/n[0]; math.Abs(share-.05) > .002 {
		t.Errorf("%.4f more are above the limit, want 0.05", share)
	}
	if mean := sum[1]/n[1] - sum[0]/n[0]; math.Abs(mean-gaugeMargin) > .001 {
		t.Errorf("the mean is %.4f more, want %v", mean, gaugeMargin)
	}
}

// TestSegmentsWithUsers: where only one segment has users, they are there whether or not the rollout tells segments apart, and nothing else names one.
func TestSegmentsWithUsers(t *testing.T) {
	for _, apart := range []bool{false, true} {
		setting := atAny
		if apart {
			setting = setting.allOn()
		}
		s := worldOf("users in one segment").make()
		tape := NewTape(s, setting.rollout(time.Second, .05), testSource(6))
		events, named := 0.0, 0.0
		for range 300 {
			for _, tr := range tape.Next().Serving.Traffic {
				events, named = events+float64(tr.Events), named+20*float64(len(tr.Units))
			}
		}
		if share := named / events; math.Abs(share-.2) > .02 {
			t.Errorf("segments told apart: %v: %.3f of the predictions are of users", apart, share)
		}
		if told := len(tape.serving.Segments) > 0; told != apart {
			t.Errorf("segments told apart: %v, in the part: %v", apart, told)
		}
	}
}
