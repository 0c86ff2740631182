package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// inStages gives a rollout stages with these planned shares, in hundredths of a percent.
func inStages(r *schemas.Rollout, weights ...int) *schemas.Rollout {
	r.Stages = nil
	for _, w := range weights {
		r.Stages = append(r.Stages, schemas.Stage{WeightBP: w, Bake: 10 * time.Second, Max: time.Hour, Then: schemas.OnHold})
	}
	return r
}

// advance begins a stage with the next window.
func (s *script) advance(stage int) { s.verdict = s.judge.Advance(stage, s.atMs) }

// TestStagesWalk walks a healthy canary through three stages: each must be passed by what was seen in it.
func TestStagesWalk(t *testing.T) {
	s := newScript(t, inStages(rolloutOf(errors05), 1000, 1000, 1000), Options{Phi: 1})
	for stage, done := range []VerdictAction{VerdictAdvance, VerdictAdvance, VerdictPromote} {
		if stage > 0 {
			s.advance(stage)
			s.want(VerdictContinue, codeUndecided)
			s.wantState("errors", continues)
		}
		s.play(9, side{n: 900}, side{n: 100})
		s.wantState("errors", continues)
		s.want(VerdictContinue, codeUndecided)
		if s.verdict.Stage != stage {
			t.Errorf("the verdict is of stage %d, want %d", s.verdict.Stage, stage)
		}
		s.play(20, side{n: 900}, side{n: 100})
		s.wantState("errors", passed)
		s.want(done, codeAllPassed)
	}
}

// TestStagesBake counts a stage's time from its own start, not from the epoch's nor from the call.
func TestStagesBake(t *testing.T) {
	r := inStages(rolloutOf(errors05), 1000, 1000)
	r.Stages[1].Bake = time.Minute
	s := newScript(t, r, Options{Phi: 1})
	s.play(80, side{n: 900}, side{n: 100})
	s.want(VerdictAdvance, codeAllPassed)
	s.verdict = s.judge.Advance(1, s.atMs+5000)
	s.play(64, side{n: 900}, side{n: 100})
	s.wantState("errors", passed)
	s.want(VerdictContinue, codeUndecided)
	s.play(1, side{n: 900}, side{n: 100})
	s.want(VerdictPromote, codeAllPassed)
}

// TestStagesMax holds a stage whose time is over, and not the one after it.
func TestStagesMax(t *testing.T) {
	r := inStages(rolloutOf(errors05), 1000, 1000)
	r.Stages[0].Max, r.Stages[1].Max = 30*time.Second, 40*time.Second
	s := newScript(t, r, Options{Phi: 1})
	onMargin := func(windows int) { s.play(windows, side{n: 1800}, side{n: 200, errors: 1}) }
	onMargin(29)
	s.want(VerdictContinue, codeUndecided)
	onMargin(1)
	s.want(VerdictHold, codeInconclusive)
	s.advance(1) // a person says go on
	s.want(VerdictContinue, codeUndecided)
	onMargin(39)
	s.want(VerdictContinue, codeUndecided)
	onMargin(1)
	s.want(VerdictHold, codeInconclusive)
}

// TestStagesMaxWhileHeld: what a stage has shown in time stays shown, however long something keeps it from ending; what it shows later, or shows no more, comes too late.
func TestStagesMaxWhileHeld(t *testing.T) {
	r := inStages(rolloutOf(errors05), 1000, 1000)
	r.Stages[0].Max, r.Stages[0].Then = 5*time.Minute, schemas.OnRollback
	healthy, onMargin := func(s *script, windows int) { s.play(windows, side{n: 1800, errors: 2}, side{n: 200}) }, func(s *script, windows int) { s.play(windows, side{n: 1800}, side{n: 200, errors: 1}) }
	s := newScript(t, r, Options{Phi: 1})
	healthy(s, 290)
	s.want(VerdictAdvance, codeAllPassed)
	healthy(s, 300) // an alert fires
	s.want(VerdictAdvance, codeAllPassed)
	s.advance(1)
	s.want(VerdictContinue, codeUndecided)

	r.Stages[0].Then = schemas.OnHold
	s = newScript(t, r, Options{Phi: 1})
	onMargin(s, 300)
	s.want(VerdictHold, codeInconclusive)
	healthy(s, 600)
	s.want(VerdictHold, codeInconclusive)
	s.wantState("errors", passed)
}

// TestStagesPassList asks each stage for its own guardrails.
func TestStagesPassList(t *testing.T) {
	r := inStages(rolloutOf(errors05, guardrail("timeouts: rate timeout increase 0.5pp")), 1000, 1000)
	r.Stages[0].Pass = []string{"errors"}
	s := newScript(t, r, Options{Phi: 1})
	onMargin := side{n: 200, timeouts: 1}
	s.play(40, side{n: 1800}, onMargin)
	s.wantState("timeouts", continues)
	s.want(VerdictAdvance, codeAllPassed)
	s.advance(1)
	s.play(40, side{n: 1800}, onMargin)
	s.wantState("errors", passed)
	s.want(VerdictContinue, codeUndecided)
	s.play(40, side{n: 1800}, side{n: 200})
	s.wantState("timeouts", passed)
	s.want(VerdictPromote, codeAllPassed)
}

// TestStagesFailRunsOn: four fifths of a proof in one stage and a little more in the next are a failure, where the latter alone is none.
func TestStagesFailRunsOn(t *testing.T) {
	harm := side{n: 100, errors: 2}
	stages := func() *script { return newScript(t, inStages(rolloutOf(errors05), 1000, 1000), Options{Phi: 1}) }
	s, before := stages(), 0
	g := s.guard("errors")
	need := func() float64 { return g.family.fail.thresholds[g.member] }
	for ; g.canary.beyond.LogE() < .8*need(); before++ {
		s.play(1, side{n: 900}, harm)
	}
	s.want(VerdictContinue, codeUndecided)
	kept := g.canary.beyond.LogE()
	s.advance(1)
	if got := g.canary.beyond.LogE(); got != kept {
		t.Fatalf("evidence %v after the advance, %v before", got, kept)
	}
	more := 0
	for ; s.verdict.Action != VerdictRollback && more <= before; more++ {
		s.play(1, side{n: 900}, harm)
	}
	s.want(VerdictRollback, codeGuardrailFailed)
	alone := stages()
	alone.play(more, side{n: 900}, harm)
	alone.want(VerdictContinue, codeUndecided)
	if more > before {
		t.Errorf("%d windows more after %d", more, before)
	}
}

// TestStagesPassWithdrawn withdraws a later stage's pass while evidence of harm is there, and lets it stand again; harm of an earlier stage withdraws it, too.
func TestStagesPassWithdrawn(t *testing.T) {
	s := newScript(t, inStages(rolloutOf(errors05), 1000, 1000), Options{Phi: 1})
	g := s.guard("errors")
	untilFailing := func() {
		t.Helper()
		for range 200 {
			if s.play(1, side{n: 900, errors: 90}, side{n: 100, errors: 18}); g.failing() {
				return
			}
		}
		t.Fatal("no evidence of harm")
	}
	s.play(30, side{n: 900}, side{n: 100})
	s.want(VerdictAdvance, codeAllPassed)
	untilFailing()
	s.want(VerdictContinue, codeUndecided)
	s.advance(1)
	for !g.passed {
		s.play(1, side{n: 900}, side{n: 100})
	}
	s.play(600, side{n: 900, errors: 9}, side{n: 100, errors: 1})
	s.want(VerdictPromote, codeAllPassed)
	untilFailing()
	if !g.passed || g.state == passed {
		t.Errorf("state %s, passed %v; want the pass withdrawn", g.state, g.passed)
	}
	s.want(VerdictContinue, codeUndecided)
	s.play(600, side{n: 900, errors: 9}, side{n: 100, errors: 1})
	s.want(VerdictPromote, codeAllPassed)
}

// TestStagesLateOutcomes: an outcome belongs to the stage in which its prediction was served. Those of an earlier stage prove no pass, but harm.
func TestStagesLateOutcomes(t *testing.T) {
	r := inStages(rolloutOf(errors05, guardrail("ctr: rate click decrease 5pp")), 1000, 1000, 1000)
	r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: 10 * time.Minute}}
	r.Stages[0].Pass, r.Stages[1].Pass = []string{"errors"}, []string{"errors"}
	after := func(served int) (s *script, click func(from, to int, canary int64)) {
		s = newScript(t, r, Options{Phi: 1})
		s.play(served, side{n: 900}, side{n: 100})
		s.want(VerdictAdvance, codeAllPassed)
		s.advance(1)
		s.play(served, side{n: 900}, side{n: 100})
		s.advance(2)
		s.play(1, side{n: 900}, side{n: 100})
		return s, func(from, to int, canary int64) {
			for i := from; i < to; i++ {
				s.outcomes("click", startMs+int64(i)*1000, side{n: 900, clicks: 270}, side{n: 100, clicks: canary})
			}
		}
	}
	s, click := after(200)
	g := s.guard("ctr")
	click(0, 400, 30)
	if g.passE() != 0 || g.passed || g.canary.tested != 400 {
		t.Fatalf("pass evidence %v of earlier stages' outcomes, passed %v, %d blocks", g.passE(), g.passed, g.canary.tested)
	}
	s.wantState("ctr", continues)
	click(400, 600, 30)
	s.wantState("ctr", passed)

	s, click = after(200)
	click(0, 200, 15)
	s.wantState("ctr", failed)
	s.want(VerdictRollback, codeGuardrailFailed)
}

// TestStagesCut ends every open block where a stage begins: of guardrails, of their strata, of self-tests, and of the contrasts of the input.
func TestStagesCut(t *testing.T) {
	for _, stratify := range []bool{false, true} {
		r := watching(inStages(rolloutOf(errors05, guardrail("ks: distribution latency ks increase 20%"), guardrail("outage: rate error above 5%")), 1000, 1000), 0, "de")
		r.Stratify = stratify
		s := newScript(t, r, Options{Phi: 1})
		small := segmentSides{"de", side{n: 3, latencyMs: 20, half: 1, slices: [windows.Slices]windows.SliceCount{{N: 2}, {N: 1}}}, side{n: 1, latencyMs: 20}}
		s.playSegments(5, small)
		s.advance(1)
		all := map[string]*trial{}
		for _, g := range s.judge.all {
			for _, one := range g.trials() {
				all[g.name()+" "+quantileName(quantileOf(one.ppm))] = one
			}
			if g.baseline != nil {
				all[g.name()+" of the baseline"] = g.baseline
			}
		}
		for _, c := range s.judge.checks {
			switch c := c.(type) {
			case *selfTest:
				all["self-test of "+c.names[0]] = c.sides[0][0]
			case *contrast:
				all[c.name] = c.sides[0]
			}
		}
		first := func(one *trial) int64 {
			if one.strata != nil && len(one.strata.open) > 0 {
				return one.strata.open[len(one.strata.open)-1].block.fromMs
			}
			return one.block.fromMs
		}
		var open []string
		for name, one := range all {
			if first(one) != 0 {
				open = append(open, name)
			}
		}
		begins := s.atMs
		s.playSegments(1, small)
		for _, name := range open {
			if at := first(all[name]); at != begins {
				t.Errorf("stratify %v: %s: the open block is from %d on, the stage from %d", stratify, name, at, begins)
			}
			if logE := all[name].passLogE(); logE != 0 {
				t.Errorf("stratify %v: %s: pass evidence %v before a block of the stage was tested", stratify, name, logE)
			}
		}
		for _, name := range []string{"errors p100", "errors in de p100", "ks p99", "ks in de p99", "outage p100", "outage of the baseline", "self-test of errors", "self-test of ks", codeLate} {
			if !slices.Contains(open, name) {
				t.Errorf("stratify %v: %s had no open block", stratify, name)
			}
		}
	}
}

// failEvidence is all that the epoch's chance of an error hangs on.
func (j *Judge) failEvidence() (all []float64) {
	for _, g := range j.all {
		for _, one := range g.trials() {
			all = append(all, one.any.LogE(), one.beyond.LogE())
		}
		all = append(all, g.anyMax(), g.beyondMax())
	}
	for _, m := range j.missing {
		all = append(all, m.mixture.LogE())
	}
	for _, c := range j.checks {
		all = c.evidence(all)
	}
	return append(all, j.split.logE())
}

// TestStagesKeepFailEvidence: at a share that stays, with blocks of a window, evidence of harm is bit for bit that of one stage with the same planned life.
func TestStagesKeepFailEvidence(t *testing.T) {
	rollout := func(stages ...schemas.Stage) *schemas.Rollout {
		r := rolloutOf(append(simGuards(false), guardrail("mwu: distribution latency mann-whitney increase any"))...)
		r.Stages, r.Phi, r.Risk.FalseRollback = stages, 1.5, 1e-30 // nothing ends it
		return r
	}
	one := schemas.Stage{WeightBP: 5000, Max: time.Hour}
	whole := schemas.Stage{WeightBP: 5000, Max: 3 * time.Hour}
	single, several := NewJudge(rollout(whole), Options{}), NewJudge(rollout(one, one, one), Options{})
	w := &world{
		random: rand.New(rand.NewPCG(*simSeed, 7)), requests: 2000, share: constant(.5), drift: swing(50, .3), latency: lognormal,
		rates: [2]float64{.01, .01}, plus: [2]float64{.003, .001}, slower: 1.01, metrics: Metrics(rollout(one)),
	}
	for at := range 150 {
		if at == 50 || at == 100 {
			several.Advance(at/50, startMs+int64(at)*1000)
		}
		p := w.window(at, startMs+int64(at)*1000)
		if v := single.Step(p); v.Action == VerdictRollback {
			t.Fatal(v.Sentence)
		}
		several.Step(p)
		if a, b := single.failEvidence(), several.failEvidence(); !slices.Equal(a, b) {
			t.Fatalf("window %d: one stage has %v, three have %v", at, a, b)
		}
	}
}

// TestStagesHorizon: the start mixture is told the planned life of all stages.
func TestStagesHorizon(t *testing.T) {
	r := inStages(rolloutOf(errors05), 100, 1000, 5000)
	if got := NewJudge(r, Options{}).clock.horizon; got != 3*3600 {
		t.Errorf("planned life is %d windows, want three hours", got)
	}
}

// TestStagesSplit holds the traffic against the plan of its own stage.
func TestStagesSplit(t *testing.T) {
	at := func(s *script, windows int, percent int64) {
		s.play(windows, side{n: 1000 - 10*percent}, side{n: 10 * percent})
	}
	for _, tt := range []struct {
		name string
		play func(s *script)
		sick bool
	}{
		{"as planned", func(s *script) {
			for stage, percent := range []int64{1, 10, 50} {
				if stage > 0 {
					s.advance(stage)
				}
				at(s, 100, percent)
			}
		}, false},
		{"a router that does not follow", func(s *script) {
			at(s, 100, 1)
			s.advance(1)
			at(s, 5, 1)
		}, true},
		{"one of two routers does not follow", func(s *script) {
			at(s, 100, 1)
			s.advance(1)
			at(s, 20, 6)
		}, true},
		{"a router that goes ahead", func(s *script) {
			at(s, 100, 1)
			at(s, 5, 10)
		}, true},
		{"while they change over", func(s *script) {
			at(s, 100, 1)
			s.judge.Advance(1, math.MaxInt64)
			at(s, 3, 1)
			at(s, 4, 6)
			at(s, 3, 10)
			s.advance(1)
			at(s, 100, 10)
		}, false},
	} {
		s := newScript(t, inStages(rolloutOf(errors05), 100, 1000, 5000), Options{Phi: 1})
		tt.play(s)
		if got := slices.Contains(codes(s.verdict.Health), codeSplitMismatch); got != tt.sick {
			t.Errorf("%s: mismatch %v, want %v: %s", tt.name, got, tt.sick, s.verdict.Sentence)
		}
	}
}

// TestStagesObservedShare: where no share is planned, by a plan without weights or since arms are parts of their versions, each stage has the share that it begins
// with; a change within one is found.
func TestStagesObservedShare(t *testing.T) {
	for name, set := range map[string]func(*schemas.Rollout){
		"no weights":         func(r *schemas.Rollout) { inStages(r, 0, 0) },
		"parts of a version": func(r *schemas.Rollout) { r.CanaryWhere = schemas.Where{Host: "new-*"} },
	} {
		r := inStages(rolloutOf(errors05), 1000, 5000)
		set(r)
		s := newScript(t, r, Options{Phi: 1})
		s.play(120, side{n: 900}, side{n: 100})
		if name == "no weights" {
			s.judge.Advance(1, s.atMs+5000)
			s.play(3, side{n: 900}, side{n: 100})
			s.play(2, side{n: 700}, side{n: 300})
		} else { // all routers at once: no window shows a change, since the stage's first one begins anew
			s.advance(1)
		}
		s.play(120, side{n: 500}, side{n: 500})
		s.want(VerdictPromote, codeAllPassed)
		if m := s.judge.missing[windows.Baseline]; m.share() > .5 {
			t.Errorf("%s: the baseline is to have %v of the traffic", name, m.share())
		}
		s.play(20, side{n: 600}, side{n: 400})
		s.want(VerdictHold, codeSplitMismatch)
		if got := s.judge.splitSentence(); !strings.Contains(got, "had 50 % of the") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestStagesSplitSentence names the plan of the windows that it counts.
func TestStagesSplitSentence(t *testing.T) {
	s := newScript(t, inStages(rolloutOf(errors05), 100, 1000), Options{Phi: 1})
	s.play(100, side{n: 990}, side{n: 10})
	s.advance(1)
	s.play(30, side{n: 990}, side{n: 10})
	s.want(VerdictHold, codeSplitMismatch)
	if got := s.judge.splitSentence(); !strings.Contains(got, "planned are 10 %") {
		t.Error(got)
	}
}

// TestStagesMissing: while routers change over an arm is missing by the lesser of its two shares, and afterwards by the new one.
func TestStagesMissing(t *testing.T) {
	s := newScript(t, inStages(rolloutOf(errors05), 10, 5000), Options{Phi: 1})
	m := s.judge.missing
	s.play(100, side{n: 299}, side{n: 1})
	s.judge.Advance(1, math.MaxInt64)
	if m[windows.Canary].planned != .001 || m[windows.Baseline].planned != .5 {
		t.Errorf("planned %v and %v, want the lesser of both stages", m[windows.Canary].planned, m[windows.Baseline].planned)
	}
	s.play(6, side{n: 300}, side{})
	if s.verdict.Code == codeCanaryMissing {
		t.Fatalf("rolled back when two predictions were due: %s", s.verdict.Sentence)
	}
	s.play(1, side{n: 150}, side{n: 150})
	s.advance(1)
	s.play(1, side{n: 150}, side{n: 150})
	if m[windows.Canary].planned != .5 {
		t.Errorf("planned %v, want the new share", m[windows.Canary].planned)
	}
	s.play(6, side{n: 300}, side{})
	s.want(VerdictRollback, codeCanaryMissing)
}

// TestStagesShareWatch begins a new share with a stage, also one that no single window would show: nothing is left out then, and over-dispersion is that of the new size.
func TestStagesShareWatch(t *testing.T) {
	s := newScript(t, inStages(rolloutOf(errors05), 1000, 2000), Options{Phi: 1})
	s.play(20, side{n: 90}, side{n: 10})
	s.advance(1)
	tested := s.guard("errors").canary.tested
	s.play(1, side{n: 80}, side{n: 20})
	if got := s.guard("errors").canary.tested; got != tested+1 {
		t.Errorf("%d blocks tested by the first window, want 1", got-tested)
	}
	if got := s.judge.stream(serving).traffic.ratio; got != .25 {
		t.Errorf("canary to baseline is %v, want .25", got)
	}
}

// TestStagesMoveStart: a start that wasn't known yet may be told later, as long as nothing of the stage was taken.
func TestStagesMoveStart(t *testing.T) {
	s := newScript(t, inStages(rolloutOf(errors05), 1000, 1000), Options{Phi: 1})
	s.play(30, side{n: 900}, side{n: 100})
	s.verdict = s.judge.Advance(1, math.MaxInt64)
	s.play(30, side{n: 900}, side{n: 100})
	s.wantState("errors", continues)
	if !s.judge.verdictIs("Stage 2 of 2 (10 % of the traffic) begins; until then what canary 42 does counts against it, and not for it.") {
		t.Error(s.verdict.Sentence)
	}
	s.verdict = s.judge.Advance(1, s.atMs+1000)
	s.play(2, side{n: 900}, side{n: 100})
	s.wantState("errors", continues)
	if got := s.guard("errors").passE(); got <= 0 {
		t.Errorf("pass evidence %v after a window of the stage", got)
	}
	mustPanic(t, "its first window was taken", func() { s.advance(1) })
	s.play(28, side{n: 900}, side{n: 100})
	s.want(VerdictPromote, codeAllPassed)
}

func (j *Judge) verdictIs(sentence string) bool { return j.verdict.Sentence == sentence }

func mustPanic(t *testing.T, why string, do func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("no panic: %s", why)
		}
	}()
	do()
}

// TestAdvancePanics holds what a caller must keep.
func TestAdvancePanics(t *testing.T) {
	fresh := func() *script { return newScript(t, inStages(rolloutOf(errors05), 1000, 1000, 1000), Options{Phi: 1}) }
	begun := func() *script {
		s := fresh()
		s.play(3, side{n: 900}, side{n: 100})
		return s
	}
	mustPanic(t, "the epoch has not begun", func() { fresh().advance(1) })
	mustPanic(t, "a stage is left out", func() { begun().advance(2) })
	mustPanic(t, "it is the first stage", func() { begun().advance(0) })
	mustPanic(t, "there is no such stage", func() { begun().advance(-1) })
	mustPanic(t, "its start is over", func() { s := begun(); s.judge.Advance(1, s.atMs-1) })
	mustPanic(t, "it was the last", func() {
		s := begun()
		for stage := 1; stage <= 3; stage++ {
			s.advance(stage)
			s.play(1, side{n: 900}, side{n: 100})
		}
	})
	mustPanic(t, "it is rolled back", func() {
		s := fresh()
		s.play(20, side{n: 900}, side{n: 100, errors: 50})
		s.want(VerdictRollback, codeGuardrailFailed)
		s.advance(1)
	})
	mustPanic(t, "only some stages plan a share", func() { NewJudge(inStages(rolloutOf(errors05), 1000, 0), Options{}) })
}

// TestOpenNames names what the stage waits for, and not what else is required.
func TestOpenNames(t *testing.T) {
	r := rolloutOf(errors05, guardrail("timeouts: rate timeout increase 0.5pp"), guardrail("p99: quantile 0.99 latency increase 20% optional"))
	j := NewJudge(r, Options{})
	if got := j.openNames(); got != "errors, timeouts" {
		t.Errorf("every required one: %s", got)
	}
	r.Stages[0].Pass = []string{"p99", "timeouts"}
	if got := j.openNames(); got != "timeouts, p99" {
		t.Errorf("those of the stage's list: %s", got)
	}
}

// TestStageSentences says the stage where there are several.
func TestStageSentences(t *testing.T) {
	r := inStages(rolloutOf(errors05), 1000, 2500)
	r.Stages[1].Bake, r.Stages[1].Max, r.Health.Traffic = 30*time.Second, time.Minute, schemas.OnWarn
	s := newScript(t, r, Options{Phi: 1})
	says := func(want string) {
		t.Helper()
		if s.verdict.Sentence != want {
			t.Errorf("said %q\nwant %q", s.verdict.Sentence, want)
		}
	}
	s.play(1, side{n: 900}, side{n: 100})
	says("Nothing is proven yet of canary 42 against baseline 41 in stage 1 of 2.")
	s.play(29, side{n: 900}, side{n: 100})
	says("Canary 42 keeps every margin that it was held to against baseline 41 in stage 1 of 2 (errors), after 10s of it: the next stage can begin.")
	s.verdict = s.judge.Advance(1, s.atMs+3000)
	says("Stage 2 of 2 (25 % of the traffic) begins at 09:00:33; until then what canary 42 does counts against it, and not for it.")
	s.play(4, side{n: 750}, side{n: 250})
	says("Nothing is proven yet of canary 42 against baseline 41 in stage 2 of 2.")
	s.play(20, side{n: 750}, side{n: 250})
	says("Canary 42 keeps every margin that it was held to against baseline 41 in stage 2 of 2 (errors); the stage goes on until 09:01:03.")
	s.play(20, side{n: 750}, side{n: 250})
	says("Canary 42 keeps every margin that it was held to against baseline 41 in stage 2 of 2 (errors), after 1m3s of traffic.")
	s = newScript(t, r, Options{Phi: 1})
	s.play(30, side{n: 900}, side{n: 100})
	s.advance(1)
	s.play(60, side{n: 1800}, side{n: 200, errors: 1})
	says("The 1m of stage 2 of 2 were over on 9 Oct 09:01:30, and by then canary 42 was neither proven worse than baseline 41 nor proven within the margins of errors: a person must decide. " +
		"Canary 42 has 10 % of the traffic since 09:00:30, planned are 25 %: nothing counts towards a pass until it has what is planned. Harm counts all the same. " +
		"Set the routers to the plan, or apply a rollout whose stages plan what they do.")
}
