package analysis

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
)

// TestOffPlanShadow tells of a shadow that gets half of the copies that are planned, and of the end of that; harm counts all the same.
func TestOffPlanShadow(t *testing.T) {
	r := rolloutOf(errors05)
	r.Stages = []schemas.Stage{{MirrorBP: 2000, Bake: 10 * time.Second, Max: 2 * time.Minute, Then: schemas.OnHold}}
	s := newScript(t, r, Options{Phi: 1})
	half, whole := side{n: 100, shadow: 100}, side{n: 200, shadow: 200}
	s.play(4, side{n: 1000}, half)
	s.amiss()
	s.play(1, side{n: 1000}, half)
	s.amiss(codeOffPlan)
	if have, want := s.verdict.Amiss[0].Sentence, "Canary 42 gets copies of 10 % of the requests since 09:00:00, planned are copies of 20 %: nothing counts towards a pass until as many come as are planned. "+
		"Harm counts all the same. Set the mirroring to the plan, or apply a rollout that plans what is mirrored."; have != want {
		t.Errorf("told\n%s\nwant\n%s", have, want)
	}
	s.play(55, side{n: 1000}, half)
	s.wantState("errors", continues)
	s.want(VerdictContinue, codeUndecided)
	s.play(1, side{n: 1000}, whole) // the window of the change is nobody's
	s.play(4, side{n: 1000}, whole)
	s.amiss(codeOffPlan)
	s.play(1, side{n: 1000}, whole)
	s.amiss()
	s.play(30, side{n: 1000}, whole)
	s.want(VerdictPromote, codeAllPassed)

	s = newScript(t, r, Options{Phi: 1})
	s.play(120, side{n: 1000}, half)
	s.want(VerdictHold, codeInconclusive)
	if want := "nor proven within the margins of errors: a person must decide. Canary 42 gets copies of 10 % of the requests since 09:00:00, planned are copies of 20 %: "; !strings.Contains(s.verdict.Sentence, want) {
		t.Errorf("says %s", s.verdict.Sentence)
	}
}

// TestOffPlanWeights leaves it to the split's own test, where that sees it.
func TestOffPlanWeights(t *testing.T) {
	r := inStages(rolloutOf(errors05), 2000)
	r.Health.NoData = time.Minute
	s := newScript(t, r, Options{Phi: 1})
	s.play(100, side{n: 900}, side{n: 100})
	s.amiss()
	s.want(VerdictHold, codeSplitMismatch)
	if want := "planned are 20 %; the comparison may be of unlike users, or a third version has some of the traffic. Nothing counts towards a pass until it is."; !strings.HasSuffix(s.verdict.Sentence, want) {
		t.Errorf("says %s", s.verdict.Sentence)
	}

	s = newScript(t, r, Options{Phi: 1}) // units are split as planned, and have been seen: only predictions show it
	s.play(1, side{n: 800, units: 800}, side{n: 200, units: 200})
	s.play(1, side{n: 900}, side{n: 100}) // the window of the change
	s.play(57, side{n: 900}, side{n: 100})
	s.amiss()
	s.play(1, side{n: 900}, side{n: 100})
	s.amiss(codeOffPlan)
	s.want(VerdictContinue, codeUndecided)
	if have, want := s.verdict.Amiss[0].Sentence, "Canary 42 has 10.2 % of the traffic since 09:00:00, planned are 20 %: nothing counts towards a pass until it has what is planned. "+
		"Harm counts all the same. Set the routers to the plan, or apply a rollout whose stages plan what they do."; have != want {
		t.Errorf("told\n%s\nwant\n%s", have, want)
	}
}

// TestOffPlanStages: the stretch ends with its stage, whose plan it was.
func TestOffPlanStages(t *testing.T) {
	r := rolloutOf(errors05)
	for _, mirror := range []int{2000, 1000} {
		r.Stages = append(r.Stages[:len(r.Stages):len(r.Stages)], schemas.Stage{MirrorBP: mirror, Bake: 10 * time.Second, Max: time.Hour, Then: schemas.OnHold})
	}
	r.Stages = r.Stages[1:]
	s := newScript(t, r, Options{Phi: 1})
	half := side{n: 100, shadow: 100}
	s.play(20, side{n: 1000}, half)
	s.amiss(codeOffPlan)
	s.verdict = s.judge.Advance(1, s.atMs+10_000)
	s.amiss()
	s.play(60, side{n: 1000}, half) // what is half of the first plan is the second
	s.amiss()
	s.want(VerdictPromote, codeAllPassed)
}

// TestOffPlanThin: too little to tell neither begins a stretch nor ends one.
func TestOffPlanThin(t *testing.T) {
	r := rolloutOf(errors05)
	r.Stages = []schemas.Stage{{MirrorBP: 2000, Max: time.Hour, Then: schemas.OnHold}}
	s := newScript(t, r, Options{Phi: 1})
	s.play(20, side{n: 2}, side{n: 1, shadow: 1}) // 20 copies where 8 are due: 2.5 times as many, and G is still below 16
	s.amiss()
	s.play(60, side{n: 2}, side{n: 1, shadow: 1})
	s.amiss(codeOffPlan)
	s.play(1, side{n: 1000}, side{}) // it changes
	s.play(3, side{n: 3}, side{})
	s.play(20, side{}, side{})
	s.amiss(codeOffPlan)
}

// TestOffPlanSeen: what is told is what was seen since then, and without the baseline the share of copies is unknown.
func TestOffPlanSeen(t *testing.T) {
	r := rolloutOf(errors05)
	r.Stages = []schemas.Stage{{MirrorBP: 2000, Max: time.Hour, Then: schemas.OnHold}}
	s := newScript(t, r, Options{Phi: 1})
	says := func(want string) {
		t.Helper()
		if text := s.judge.plan.text(); !strings.HasPrefix(text, want) {
			t.Error(text)
		}
	}
	s.play(20, side{n: 1000}, side{n: 100, shadow: 100})
	says("Canary 42 gets copies of 10 % of the requests since 09:00:00,")
	s.judge.plan.seen = shareWatch{canary: 700}
	says("Canary 42 gets copies of unknown of the requests since 09:00:00,")
}

// TestOffPlanForgets: where little comes, no window shows that the share has changed, and yet a stretch ends soon, however long it was, and a pass is proven.
func TestOffPlanForgets(t *testing.T) {
	r := rolloutOf(errors05)
	r.Stages = []schemas.Stage{{MirrorBP: 2000, Bake: time.Minute, Max: 24 * time.Hour, Then: schemas.OnHold}}
	s := newScript(t, r, Options{Phi: 1})
	s.play(10_000, side{n: 50}, side{n: 5, shadow: 5})
	s.amiss(codeOffPlan)
	s.wantState("errors", continues)
	s.play(120, side{n: 50}, side{n: 10, shadow: 10})
	s.amiss()
	s.play(600, side{n: 50}, side{n: 10, shadow: 10})
	s.want(VerdictPromote, codeAllPassed)
}

// TestSimOffPlan: users who send several requests at once move the share of a second, and nobody is told of that; of half the share people are, in each run.
func TestSimOffPlan(t *testing.T) {
	runs := size(20, 400)
	type count struct{ wrong, missed bool }
	for _, clump := range []int64{1, 3, 10, 30} {
		counts := make([]count, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			w := &world{random: random}
			draw := func(mean float64) int64 { return clump * w.poisson(mean/float64(clump)) }
			for _, share := range []float64{.2, .1} {
				r := rolloutOf(errors05)
				r.Stages = []schemas.Stage{{MirrorBP: 2000, Max: 24 * time.Hour, Then: schemas.OnHold}}
				r.Health.Silent = 30 * time.Second // less than a clump a second of half the copies is silent for 5 s now and then
				s, told := newScript(t, r, Options{Phi: float64(clump), NoIntervals: true}), false
				for range 600 {
					copies := draw(200 * share)
					s.play(1, side{n: draw(200)}, side{n: copies, shadow: copies})
					told = told || len(s.verdict.Amiss) > 0
				}
				if share == .2 {
					counts[i].wrong = told
				} else {
					counts[i].missed = !told
				}
			}
		})
		for i, c := range counts {
			if c.wrong || c.missed {
				t.Errorf("clumps of %d, run %d: told of a share on the plan: %t; not of half of it: %t", clump, i, c.wrong, c.missed)
			}
		}
	}
}

// TestOffPlanNowhere: without a plan there is no check, and with one that fits nothing to tell.
func TestOffPlanNowhere(t *testing.T) {
	s := newScript(t, rolloutOf(errors05), Options{Phi: 1})
	if s.judge.plan != nil {
		t.Error("a rollout without a planned share is held against one")
	}
	s = newScript(t, inStages(rolloutOf(errors05), 1000), Options{Phi: 1})
	for range 100 {
		s.play(1, side{n: 900}, side{n: 100})
		s.amiss()
	}
}
