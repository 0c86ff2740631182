package analysis

import (
	"math"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestStagesOffPlan: what is seen of another share than the stage's proves no pass, and harm all the same; once the share is the planned one, it passes.
func TestStagesOffPlan(t *testing.T) {
	r := inStages(rolloutOf(errors05), 100, 5000)
	r.Health.Traffic = schemas.OnWarn
	s := newScript(t, r, Options{Phi: 1})
	s.play(300, side{n: 990}, side{n: 10})
	s.want(VerdictAdvance, codeAllPassed)
	s.advance(1)
	s.play(600, side{n: 990}, side{n: 10}) // the router says that it has followed
	s.wantState("errors", continues)
	if g := s.guard("errors"); g.passE() > 1 {
		t.Errorf("evidence %v of keeping the margin under half of the traffic, from a hundredth of it", g.passE())
	}
	s.play(60, side{n: 500}, side{n: 500})
	s.wantState("errors", passed)
	s.want(VerdictPromote, codeAllPassed)

	s = newScript(t, r, Options{Phi: 1})
	s.play(300, side{n: 990}, side{n: 10})
	s.advance(1)
	s.play(600, side{n: 990}, side{n: 10, errors: 1})
	s.want(VerdictRollback, codeGuardrailFailed)
}

// TestStagesShadow: copies are compared, by a share of their own, and the split of users is not tested.
func TestStagesShadow(t *testing.T) {
	r := inStages(rolloutOf(errors05), 0, 1000)
	r.Stages[0].MirrorBP = 2500 // of 1,000 requests 250 are copied: a fifth of all predictions
	s := newScript(t, r, Options{Phi: 1})
	copies := side{n: 250, shadow: 250}
	s.play(60, side{n: 1000}, copies)
	s.want(VerdictAdvance, codeAllPassed)
	if s.judge.split.off || s.judge.split.logE() != 0 {
		t.Errorf("the split of users is held against copies: %v", s.judge.split.logE())
	}
	s.advance(1)
	s.play(60, side{n: 900}, side{n: 100})
	s.want(VerdictPromote, codeAllPassed)
	if s.judge.split.logE() == 0 {
		t.Error("the split of users is not tested")
	}

	s = newScript(t, r, Options{Phi: 1})
	s.play(30, side{n: 1000}, copies)
	s.play(30, side{n: 1000}, side{})
	s.want(VerdictRollback, codeCanaryMissing)
}

// TestStagesWatchComes: until routers have followed to the watch, nobody knows when it ends.
func TestStagesWatchComes(t *testing.T) {
	r := inStages(rolloutOf(errors05), 1000, 9500)
	r.Stages[1].Bake, r.Stages[1].Max, r.Stages[1].Watch = 0, 0, 2*time.Minute
	s := newScript(t, r, Options{Phi: 1})
	s.play(60, side{n: 900}, side{n: 100})
	s.verdict = s.judge.Advance(1, math.MaxInt64)
	s.play(5, side{n: 900}, side{n: 100})
	if !s.judge.verdictIs("Stage 2 of 2 (95 % of the traffic) begins; until then what canary 42 does counts against it, and not for it.") {
		t.Error(s.verdict.Sentence)
	}
	s.advance(1)
	s.play(5, side{n: 50}, side{n: 950})
	if !s.judge.verdictIs("Canary 42 is watched against what stayed at baseline 41 until 09:03:05.") {
		t.Error(s.verdict.Sentence)
	}
}

// TestStagesWatch: the last stage ends by its time, unless something is suspect, and rolls back what fails against the holdback.
func TestStagesWatch(t *testing.T) {
	r := inStages(rolloutOf(errors05), 1000, 9900)
	r.Stages[1].Bake, r.Stages[1].Max, r.Stages[1].Watch = 0, 0, 2*time.Minute
	begun := func() *script {
		s := newScript(t, r, Options{Phi: 1})
		s.play(30, side{n: 900}, side{n: 100})
		s.want(VerdictAdvance, codeAllPassed)
		s.advance(1)
		return s
	}
	s := begun()
	s.play(119, side{n: 10}, side{n: 990, errors: 1})
	s.want(VerdictContinue, codeUndecided)
	if want := "Canary 42 is watched against what stayed at baseline 41 until 09:02:30."; s.verdict.Sentence != want {
		t.Errorf("said %q, want %q", s.verdict.Sentence, want)
	}
	s.play(1, side{n: 10}, side{n: 990})
	s.want(VerdictPromote, codeWatched)

	s = begun()
	s.play(110, side{n: 10}, side{n: 990, errors: 60})
	s.want(VerdictRollback, codeGuardrailFailed)
}

// TestStagesThen rolls back a stage whose time is over, where the rollout has it so.
func TestStagesThen(t *testing.T) {
	r := inStages(rolloutOf(errors05), 1000)
	r.Stages[0].Max, r.Stages[0].Then = 30*time.Second, schemas.OnRollback
	s := newScript(t, r, Options{Phi: 1})
	s.play(29, side{n: 1800}, side{n: 200, errors: 1})
	s.want(VerdictContinue, codeUndecided)
	s.play(1, side{n: 1800}, side{n: 200, errors: 1})
	s.want(VerdictRollback, codeInconclusive)
	if s.verdict.HarmBeganMs != 0 || !strings.Contains(s.verdict.Sentence, "it is rolled back, as the rollout has it (then: rollback)") {
		t.Errorf("harm since %d: %s", s.verdict.HarmBeganMs, s.verdict.Sentence)
	}
}

// TestExternal: where another controller moves the weights, a share that moves is no finding, whichever way.
func TestExternal(t *testing.T) {
	r := rolloutOf(errors05)
	r.External = true
	s := newScript(t, r, Options{Phi: 1})
	for _, canary := range []int64{10, 500, 100, 900, 20} {
		s.play(200, side{n: 1000 - canary}, side{n: canary})
		if s.judge.split.off || len(s.verdict.Health) > 0 || s.judge.silent(windows.Canary) {
			t.Fatalf("at %d of 1000: %+v", canary, s.verdict.Health)
		}
	}
	s.want(VerdictPromote, codeAllPassed)
}
