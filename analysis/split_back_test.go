package analysis

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestSplitIsBack: a mismatch ends soon after its cause, however long that was; before, a split that was wrong for ten seconds held a rollout for 43 minutes.
func TestSplitIsBack(t *testing.T) {
	for _, test := range []struct {
		name          string
		plan          int // bp
		wrong, right  side
		canary, after side
		windows       int
	}{
		{"the holdback has nearly all", 9500, side{n: 190}, side{n: 10}, side{n: 10}, side{n: 190}, 10},
		{"for a minute", 9500, side{n: 190}, side{n: 10}, side{n: 10}, side{n: 190}, 60},
		{"twice the plan for five minutes", 1000, side{n: 160}, side{n: 180}, side{n: 40}, side{n: 20}, 300},
	} {
		r := rolloutOf(errors05)
		r.Stages[0].WeightBP = test.plan
		r.Stages[0].Max = 10 * time.Hour
		s := newScript(t, r, Options{Phi: 1})
		s.play(20, test.right, test.after)
		s.play(test.windows, test.wrong, test.canary)
		s.want(VerdictHold, codeSplitMismatch)
		first := s.verdict.Health[0].Since
		s.play(15, test.right, test.after)
		if got := codes(s.verdict.Health); len(got) > 0 {
			t.Errorf("%s: %v after 15 windows that are as planned", test.name, got)
		}
		s.play(5, test.wrong, test.canary)
		if got := codes(s.verdict.Health); len(got) == 0 || got[0] != codeSplitMismatch {
			t.Errorf("%s: wrong again, and only %v", test.name, got)
		} else if again := s.verdict.Health[0].Since; int64(again-first) < int64(test.windows+10)*1000 {
			t.Errorf("%s: wrong again since %s, as if what was before were still counted (first %s)", test.name, again, first)
		}
	}
}

// TestSplitIsNotBack: while the split is off, by a little or in another way, the mismatch stands.
func TestSplitIsNotBack(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	s := &split{planned: .1}
	s.back.begin(splitTally{canary: 12_000, all: 100_000, due: 100_000 * 1000})
	for window := range 5000 {
		canary := 0.
		for range 20 {
			if random.Float64() < .12 {
				canary++
			}
		}
		if s.back.back(canary, 20-canary, .1) {
			t.Fatalf("12 %% instead of 10 %% is back at window %d", window)
		}
	}
	r := rolloutOf(errors05)
	r.Stages[0].WeightBP = 1000
	v := newScript(t, r, Options{Phi: 1})
	v.play(20, side{n: 180}, side{n: 20})
	v.play(30, side{n: 195}, side{n: 5})
	v.play(60, side{n: 100}, side{n: 100})
	v.want(VerdictHold, codeSplitMismatch)
}

// TestSimSplitBack: how often 12 % instead of 10 % is taken for 10 %, and how long 10 % takes to be.
func TestSimSplitBack(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	run := func(share float64, most int) int {
		var b splitBack
		b.begin(splitTally{canary: 1200, all: 10_000, due: 10_000 * 1000})
		for n := range most {
			canary := 0.
			if random.Float64() < share {
				canary = 1
			}
			if b.back(canary, 1-canary, .1) {
				return n + 1
			}
		}
		return 0
	}
	wrongly, sum := 0, 0
	const runs = 400
	for range runs {
		if run(.12, 10_000) > 0 {
			wrongly++
		}
		n := run(.1, 1_000_000)
		if n == 0 {
			t.Fatal("10 % is never back")
		}
		sum += n
	}
	t.Logf("of %d: 12 %% for 10 %% within 10,000 requests %d times; 10 %% is back after %d requests on average", runs, wrongly, sum/runs)
	if limit := runs / 20; wrongly > limit || sum/runs > 8000 {
		t.Errorf("12 %% for 10 %% %d times, limit %d; 10 %% after %d requests, limit 8,000", wrongly, limit, sum/runs)
	}
}
