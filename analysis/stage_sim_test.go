package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/schemas"
)

// TestSimStagesSplit counts how often a ramp that routers follow is taken for one that they don't: by the level 5 %, since the test's own is too rare to be counted.
func TestSimStagesSplit(t *testing.T) {
	const each = 60
	shares := []float64{.01, .1, .5}
	runs := size(100, 2000)
	followed, ignored := make([]bool, runs), make([]bool, runs)
	inParallel(runs, func(i int, random *rand.Rand) {
		for _, follows := range []bool{true, false} {
			r := inStages(rolloutOf(errors05), 100, 1000, 5000)
			r.Risk.FalseRollback = 1e-30    // no chance ends a run
			r.Health.Silent = schemas.Never // two predictions a window, where a hundred are planned, are silent for five windows now and then
			w := &world{random: random, requests: 200, drift: constant(1), rates: [2]float64{.01, 0}, slower: 1, metrics: Metrics(r)}
			w.share = func(t int) float64 { return shares[t/each] }
			if !follows {
				w.share = constant(shares[0])
			}
			j, most := NewJudge(r, Options{NoIntervals: true, Phi: 1}), 0.0
			for at := range each * len(shares) {
				if at > 0 && at%each == 0 && j.begun {
					j.Advance(at/each, startMs+int64(at)*1000)
				}
				j.Step(w.window(at, startMs+int64(at)*1000))
				most = max(most, j.split.logE())
			}
			if follows {
				followed[i] = most >= math.Log(20)
			} else {
				ignored[i] = most >= splitThreshold
			}
		}
	})
	count := func(all []bool) (n int) {
		for _, one := range all {
			if one {
				n++
			}
		}
		return n
	}
	limit := binomialLimit(runs, .05)
	t.Logf("a ramp that is followed: %d of %d beyond 5 %%, limit %d; one that isn't: %d found", count(followed), runs, limit, count(ignored))
	if count(followed) > limit || count(ignored) < runs {
		t.Errorf("a ramp that is followed: %d of %d beyond 5 %%, limit %d; one that isn't: %d found", count(followed), runs, limit, count(ignored))
	}
}

// TestSimStagesPass counts, in each of three stages, canaries exactly on the margin that pass in it, and those without harm.
func TestSimStagesPass(t *testing.T) {
	const each = 120
	shares := []float64{.1, .25, .5}
	runs := size(100, 1000)
	for _, plus := range []float64{.005, 0} {
		passes := make([][3]bool, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			r := inStages(rolloutOf(errors05), 1000, 2500, 5000)
			w := &world{random: random, requests: 400, drift: swing(each, .5), rates: [2]float64{.005, 0}, plus: [2]float64{plus, 0}, slower: 1, metrics: Metrics(r)}
			w.share = func(t int) float64 { return shares[t/each] }
			j := NewJudge(r, Options{NoIntervals: true, Phi: 1})
			for at := range each * len(shares) {
				stage := at / each
				if stage > 0 && at%each == 0 {
					j.Advance(stage, startMs+int64(at)*1000)
				}
				if j.Step(w.window(at, startMs+int64(at)*1000)).Action == VerdictRollback {
					break
				}
				passes[i][stage] = passes[i][stage] || j.guards[0].passed
			}
		})
		limit := binomialLimit(runs, .05)
		for stage := range shares {
			n := 0
			for _, p := range passes {
				if p[stage] {
					n++
				}
			}
			t.Logf("errors +%.1f pp, stage %d: %d of %d passed, limit at the margin %d", 100*plus, stage+1, n, runs, limit)
			if plus > 0 && n > limit {
				t.Errorf("at the margin %d of %d passed stage %d, the limit is %d", n, runs, stage+1, limit)
			}
			if plus == 0 && stage == len(shares)-1 && n < runs*9/10 {
				t.Errorf("without harm only %d of %d passed the last stage: this check would pass anything", n, runs)
			}
		}
	}
}

// TestSimStagesTypeI counts rollbacks of harmless canaries whose stages are walked by evidence: one falseRollback is for all of them, though fail evidence is kept and
// open blocks end when the evidence of another guardrail says so.
func TestSimStagesTypeI(t *testing.T) {
	streams, total := size(60, 1000), size(150, 600)
	shares := []float64{.05, .25, .5}
	ends, walked := make([]bool, streams), make([]int, streams)
	inParallel(streams, func(i int, random *rand.Rand) {
		r := inStages(rolloutOf(append(simGuards(true), guardrail("slow: quantile 0.9 latency increase 50%"))...), 500, 2500, 5000)
		for stage := range r.Stages {
			r.Stages[stage].Pass = []string{"slow"}
		}
		w := &world{random: random}
		variety(w, i, total)
		j := NewJudge(r, Options{NoIntervals: true})
		w.metrics, w.share = Metrics(r), func(int) float64 { return shares[j.stages.now] }
		for at := range total {
			switch v := j.Step(w.window(at, startMs+int64(at)*1000)); v.Action {
			case VerdictAdvance:
				j.Advance(v.Stage+1, startMs+int64(at+1)*1000)
				walked[i]++
			case VerdictRollback:
				ends[i] = true
				return
			}
		}
	})
	rolled, limit := 0, binomialLimit(streams, .05)
	for _, end := range ends {
		if end {
			rolled++
		}
	}
	far := len(slices.DeleteFunc(walked, func(n int) bool { return n < len(shares)-1 }))
	t.Logf("%d of %d harmless streams rolled back, limit %d; %d came to the last stage", rolled, streams, limit, far)
	if rolled > limit || far < streams/2 {
		t.Errorf("%d of %d harmless streams rolled back, limit %d; %d came to the last stage", rolled, streams, limit, far)
	}
}
