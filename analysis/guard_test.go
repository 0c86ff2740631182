package analysis

import (
	"math"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

const (
	insufficient = schemas.StateInsufficient
	continues    = schemas.StateContinue
	suspect      = schemas.StateSuspect
	failed       = schemas.StateFailed
	passed       = schemas.StatePassed
)

var errors05 = guardrail("errors: rate error increase 0.5pp")

func TestInsufficient(t *testing.T) {
	tests := []struct {
		name  string
		guard schemas.Guardrail
		play  func(s *script)
		state schemas.State
		why   string
	}{
		{"no canary", errors05, func(s *script) { s.play(1, side{n: 100}, side{}) }, insufficient, whyNoData},
		{"no baseline", errors05, func(s *script) { s.play(1, side{}, side{n: 100}) }, insufficient, whyNoData},
		{"seven of the canary", errors05, func(s *script) { s.play(7, side{n: 100}, side{n: 1}) }, insufficient, whyFewEvents},
		{"eight of the canary", errors05, func(s *script) { s.play(8, side{n: 100}, side{n: 1}) }, continues, ""},
		{"predictions without latency", guardrail("p99: quantile 0.99 latency increase 20%"),
			func(s *script) { s.play(9, side{n: 100}, side{n: 100}) }, insufficient, whyNoData},
		{"no samples", guardrail("cpu: sample cpu 0.9 increase 5pp"),
			func(s *script) { s.play(9, side{n: 100}, side{n: 100}) }, insufficient, whyNoData},
		{"no outcome yet", guardrail("ctr: rate click decrease 2%"),
			func(s *script) { s.play(9, side{n: 100}, side{n: 100}) }, insufficient, whyWaiting},
		{"an outcome's window without data", guardrail("ctr: rate click decrease 2%"), func(s *script) {
			s.play(9, side{n: 100}, side{n: 100})
			s.outcomes("click", startMs, side{}, side{})
		}, insufficient, whyNoData},
		{"few outcomes", guardrail("ctr: rate click decrease 2%"), func(s *script) {
			s.play(9, side{n: 100}, side{n: 100})
			s.outcomes("click", startMs, side{n: 100}, side{n: 2})
		}, insufficient, whyFewEvents},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, rolloutOf(tt.guard), Options{})
			tt.play(s)
			if g := s.guard(tt.guard.Name); g.state != tt.state || g.why != tt.why {
				t.Errorf("state %s %s, want %s %s", g.state, g.why, tt.state, tt.why)
			}
		})
	}
}

// TestStates walks a guardrail through every state and back.
func TestStates(t *testing.T) {
	s := newScript(t, rolloutOf(errors05), Options{Phi: 1})
	healthy, bad := side{n: 100, errors: 0}, side{n: 100, errors: 1}
	s.play(1, side{n: 900}, healthy)
	s.wantState("errors", continues)
	s.play(15, side{n: 900}, healthy)
	s.wantState("errors", passed)
	s.want(VerdictContinue, codeUndecided) // the bake isn't over
	s.play(60, side{n: 900}, healthy)
	s.want(VerdictPromote, codeAllPassed)
	// Harm of 0.2 pp stays within the margin: proven harm, but neither suspect nor failed, and the pass stands.
	for range 60 {
		s.play(4, side{n: 900}, healthy)
		s.play(1, side{n: 900}, bad)
	}
	if any := s.guard("errors").family.any.proven[0]; !any {
		t.Fatal("harm of 0.2 pp is not proven after 300 windows")
	}
	s.wantState("errors", passed)
	s.want(VerdictPromote, codeAllPassed)
}

// TestPassWithdrawn holds that a pass is withdrawn while current fail evidence is at half its threshold, and stands again afterwards.
func TestPassWithdrawn(t *testing.T) {
	s := newScript(t, rolloutOf(errors05), Options{Phi: 1})
	s.play(80, side{n: 900}, side{n: 100})
	s.wantState("errors", passed)
	s.want(VerdictPromote, codeAllPassed)
	g := s.guard("errors")
	// Harm that stays long enough to be suspected.
	for range 200 {
		s.play(1, side{n: 900, errors: 90}, side{n: 100, errors: 18})
		if g.failing() {
			break
		}
	}
	if g.state == passed || !g.passed {
		t.Fatalf("state %s with evidence %.2f of %.2f, passed %v", g.state, g.canary.beyond.LogE(), g.family.fail.thresholds[0], g.passed)
	}
	s.want(VerdictContinue, codeUndecided)
	s.play(600, side{n: 900, errors: 9}, side{n: 100, errors: 1})
	s.wantState("errors", passed)
	s.want(VerdictPromote, codeAllPassed)
}

func TestFailed(t *testing.T) {
	healthy := side{n: 900, latencyMs: 100, slow: 9, slowMs: 150}
	tests := []struct {
		name   string
		guard  schemas.Guardrail
		canary side
		action VerdictAction
		code   string
	}{
		{"rollback", errors05, side{n: 100, errors: 20}, VerdictRollback, codeGuardrailFailed},
		{"hold", guardrail("errors: rate error increase 0.5pp on=hold"), side{n: 100, errors: 20}, VerdictHold, codeGuardrailFailed},
		{"warn", guardrail("errors: rate error increase 0.5pp on=warn optional"), side{n: 100, errors: 20}, VerdictContinue, codeUndecided},
		{"a margin of nothing", guardrail("errors: rate error increase any"), side{n: 100, errors: 20}, VerdictRollback, codeGuardrailFailed},
		{"a relative margin", guardrail("errors: rate timeout increase 50%"), side{n: 100, timeouts: 20}, VerdictRollback, codeGuardrailFailed},
		{"a quantile", guardrail("errors: quantile 0.99 latency increase 20%"), side{n: 100, latencyMs: 100, slow: 50, slowMs: 300}, VerdictRollback, codeGuardrailFailed},
		{"a quantile that falls", guardrail("errors: quantile 0.5 latency decrease 20%"), side{n: 100, latencyMs: 50}, VerdictRollback, codeGuardrailFailed},
		{"a limit on a rate", guardrail("errors: rate error above 5%"), side{n: 100, errors: 30}, VerdictRollback, codeGuardrailFailed},
		{"a limit on a quantile", guardrail("errors: quantile 0.99 latency above 200ms"), side{n: 100, latencyMs: 100, slow: 20, slowMs: 300}, VerdictRollback, codeGuardrailFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, rolloutOf(tt.guard), Options{Phi: 1})
			s.play(20, healthy, tt.canary)
			s.wantState("errors", failed)
			s.want(tt.action, tt.code)
			first := s.verdict
			s.play(200, healthy, side{n: 100, latencyMs: 100})
			s.wantState("errors", failed) // latched
			if s.verdict.EventMs != first.EventMs || s.verdict.Action != first.Action && tt.action != VerdictContinue {
				t.Errorf("verdict went from %+v to %+v", first, s.verdict)
			}
		})
	}
}

func TestDecrease(t *testing.T) {
	ctr := guardrail("ctr: rate click decrease 5pp")
	r := rolloutOf(ctr)
	r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: time.Minute}}
	s := newScript(t, r, Options{Phi: 1})
	for range 60 {
		at := s.atMs
		s.play(1, side{n: 900}, side{n: 100})
		s.outcomes("click", at, side{n: 900, clicks: 270}, side{n: 100, clicks: 15})
	}
	s.wantState("ctr", failed)
	s.want(VerdictRollback, codeGuardrailFailed)
}

// slightly is five windows of 0.6 pp more errors, where the margin is 0.5 pp.
func slightly(s *script) {
	s.play(3, side{n: 900}, side{n: 100, errors: 1})
	s.play(2, side{n: 900}, side{n: 100})
}

// suspected plays slight harm until a guardrail is suspect: harm is proven and the estimate is beyond the margin, but harm beyond it is not proven.
func suspected(t *testing.T, patience time.Duration, guards ...schemas.Guardrail) *script {
	t.Helper()
	r := rolloutOf(guards...)
	r.Patience = patience
	s := newScript(t, r, Options{Phi: 1})
	for range 100 {
		if slightly(s); s.judge.guards[0].state == suspect {
			return s
		}
	}
	t.Fatal("never suspect")
	return nil
}

func TestPatience(t *testing.T) {
	const patience = 30 * time.Second
	s := suspected(t, patience, errors05)
	since := s.guard("errors").suspectSince
	for s.state("errors") == suspect {
		s.want(VerdictContinue, codeUndecided)
		slightly(s)
	}
	s.want(VerdictRollback, codePatience)
	if took := s.verdict.EventMs - since; took != patience.Milliseconds() {
		t.Errorf("rolled back after %d ms of suspicion, want %d", took, patience.Milliseconds())
	}
}

// TestPatienceBroken holds that a break starts patience anew.
func TestPatienceBroken(t *testing.T) {
	s := suspected(t, 30*time.Second, errors05)
	since := s.guard("errors").suspectSince
	for s.state("errors") == suspect {
		s.play(1, side{n: 900}, side{n: 100})
	}
	if s.state("errors") == failed {
		t.Fatal("failed before a break")
	}
	for s.state("errors") != suspect {
		s.play(1, side{n: 900}, side{n: 100, errors: 1})
	}
	if again := s.guard("errors").suspectSince; again <= since {
		t.Errorf("suspect since %d after a break, before it since %d", again, since)
	}
}

// TestPatienceAcrossSilence: a day without data is no day of suspicion.
func TestPatienceAcrossSilence(t *testing.T) {
	s := suspected(t, 30*time.Second, errors05)
	s.atMs += 24 * 3_600_000
	slightly(s)
	if s.wantState("errors", suspect); s.verdict.Action == VerdictRollback {
		t.Fatalf("rolled back by a silence: %s", s.verdict.Sentence)
	}
	for i := 0; s.state("errors") == suspect; i++ {
		if slightly(s); i > 40 {
			t.Fatal("patience never ends after a silence")
		}
	}
	s.want(VerdictRollback, codePatience)
}

func TestPatienceNever(t *testing.T) {
	s := suspected(t, schemas.Never, errors05)
	for range 100 {
		slightly(s)
	}
	if s.state("errors") == failed && s.guard("errors").patienceOut {
		t.Error("failed by patience")
	}
}

func TestProveAny(t *testing.T) {
	s := newScript(t, rolloutOf(guardrail("errors: rate error increase 0.5pp prove=any")), Options{Phi: 1})
	for range 100 {
		if slightly(s); s.state("errors") == suspect {
			t.Fatal("suspect, want failed at once")
		}
	}
	s.wantState("errors", failed)
	s.want(VerdictRollback, codeGuardrailFailed)
}

// TestSuspectHoldsOthersBack holds that nothing is promoted while a guardrail is suspect, though it be not required.
func TestSuspectHoldsOthersBack(t *testing.T) {
	g := errors05
	g.Required = false
	s := suspected(t, schemas.Never, g, guardrail("timeouts: rate timeout increase 5pp"))
	s.wantState("timeouts", passed)
	s.pause(2 * time.Minute)
	slightly(s)
	s.wantState("errors", suspect)
	s.want(VerdictContinue, codeUndecided)
}

// TestLateHarm holds that a regression after a long healthy stretch is suspected: the estimate is since the harm began.
func TestLateHarm(t *testing.T) {
	r := rolloutOf(errors05)
	r.Stages[0].Max = 24 * time.Hour
	s := newScript(t, r, Options{Phi: 1})
	s.play(4*3600, side{n: 900, errors: 1}, side{n: 100})
	onset := s.atMs
	for s.state("errors") != suspect && s.state("errors") != failed {
		s.play(1, side{n: 900, errors: 1}, side{n: 100, errors: 1})
		if s.atMs-onset > 120_000 {
			t.Fatalf("not suspected within 2 minutes: %s", s.state("errors"))
		}
	}
	since, _ := s.guard("errors").canary.began()
	if off := since - onset; off < -2000 || off > 2000 {
		t.Errorf("harm began %d ms from its onset", off)
	}
}

func TestBothArms(t *testing.T) {
	outage := guardrail("outage: rate error above 5%")
	t.Run("both beyond: hold", func(t *testing.T) {
		s := newScript(t, rolloutOf(outage), Options{Phi: 1})
		s.play(60, side{n: 100, errors: 30}, side{n: 100, errors: 30})
		s.want(VerdictHold, codeBothArms)
		s.wantState("outage", continues)
		if h := s.verdict.Health; len(h) != 2 || h[0].Code != codeBothArms || h[1].Code != codeBaselineBeyond {
			t.Errorf("health %+v", s.verdict.Health)
		}
	})
	t.Run("the canary's proof first, the baseline's estimate beyond: hold all the same", func(t *testing.T) {
		s := newScript(t, rolloutOf(outage), Options{Phi: 1})
		s.play(60, side{n: 9, errors: 1}, side{n: 1000, errors: 300})
		s.want(VerdictHold, codeBothArms)
	})
	t.Run("both recover: it goes on; the canary alone later: rollback", func(t *testing.T) {
		s := newScript(t, rolloutOf(outage), Options{Phi: 1})
		s.play(60, side{n: 100, errors: 30}, side{n: 100, errors: 30})
		s.want(VerdictHold, codeBothArms)
		for range 3000 {
			s.play(1, side{n: 100, errors: 1}, side{n: 100, errors: 1})
			if s.verdict.Action == VerdictRollback {
				t.Fatal("rolled back while both recover")
			}
		}
		s.want(VerdictPromote, codeAllPassed)
		s.play(30, side{n: 100, errors: 1}, side{n: 100, errors: 30})
		s.want(VerdictRollback, codeGuardrailFailed)
	})
	t.Run("the canary alone: rollback", func(t *testing.T) {
		s := newScript(t, rolloutOf(outage), Options{Phi: 1})
		s.play(60, side{n: 100, errors: 1}, side{n: 100, errors: 30})
		s.want(VerdictRollback, codeGuardrailFailed)
	})
	t.Run("the baseline alone: it goes on", func(t *testing.T) {
		s := newScript(t, rolloutOf(outage), Options{Phi: 1})
		s.play(59, side{n: 100, errors: 30}, side{n: 100})
		s.want(VerdictContinue, codeUndecided)
		s.wantState("outage", passed)
	})
}

func TestWarmup(t *testing.T) {
	r := rolloutOf(errors05, guardrail("p99: quantile 0.99 latency increase 20%"))
	r.Warmup = 30 * time.Second
	s := newScript(t, r, Options{Phi: 1})
	cold := side{n: 400, latencyMs: 900}
	s.play(5, side{}, side{n: 5}) // the warm-up runs from the canary's first event, before the epoch
	s.play(25, side{n: 400, latencyMs: 100}, cold)
	s.wantState("p99", insufficient)
	s.wantState("errors", passed)
	s.play(3, side{n: 400, latencyMs: 100}, cold)
	s.wantState("p99", failed)
	if got, want := s.guard("p99").canary.firstMs, int64(startMs+30_000); got != want {
		t.Errorf("first window tested %s, want %s", schemas.Time(got), schemas.Time(want))
	}
}

func TestEpochStart(t *testing.T) {
	r := rolloutOf(errors05, guardrail("ctr: rate click decrease 2%"), guardrail("cpu: sample cpu 0.9 increase 5pp"))
	r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: time.Minute}}
	s := newScript(t, r, Options{Phi: 1})
	s.play(10, side{n: 100}, side{})
	s.want(VerdictContinue, codeNotBegun)
	s.play(5, side{}, side{n: 100})
	s.samples(side{cpu: 50}, side{cpu: 50})
	s.want(VerdictContinue, codeNotBegun)
	begin := s.atMs
	s.play(1, side{n: 100}, side{n: 100})
	s.want(VerdictContinue, codeUndecided)
	if s.verdict.StartMs != begin {
		t.Fatalf("epoch starts at %d, want %d", s.verdict.StartMs, begin)
	}
	// What lies before the start is ignored in the other streams too, though its parts come later.
	s.outcomes("click", begin-1000, side{n: 100, clicks: 5}, side{n: 100, clicks: 5})
	s.wantState("ctr", insufficient)
	s.outcomes("click", begin, side{n: 100, clicks: 5}, side{n: 100, clicks: 5})
	s.wantState("ctr", continues)
	s.atMs = begin - 5000
	s.samples(side{cpu: 50}, side{cpu: 50})
	s.wantState("cpu", insufficient)
	s.atMs = begin
	s.samples(side{cpu: 50}, side{cpu: 50})
	s.wantState("cpu", continues)
}

func TestStageEnd(t *testing.T) {
	t.Run("inconclusive at max", func(t *testing.T) {
		s := newScript(t, rolloutOf(errors05), Options{Phi: 1})
		s.play(1, side{n: 100}, side{n: 10})
		s.pause(time.Hour - 2*time.Second)
		s.play(1, side{n: 100}, side{n: 10})
		s.want(VerdictHold, codeInconclusive)
	})
	t.Run("a default guardrail without data is not needed", func(t *testing.T) {
		r := rolloutOf(errors05, guardrail("cpu: sample cpu 0.9 increase 5pp on=hold"))
		r.DefaultGuardrails = true
		s := newScript(t, r, Options{Phi: 1})
		s.play(90, side{n: 900}, side{n: 100})
		s.want(VerdictPromote, codeAllPassed)
	})
	t.Run("a named one is", func(t *testing.T) {
		s := newScript(t, rolloutOf(errors05, guardrail("cpu: sample cpu 0.9 increase 5pp on=hold")), Options{Phi: 1})
		s.play(90, side{n: 900}, side{n: 100})
		s.want(VerdictContinue, codeUndecided)
	})
	t.Run("the stage's list says which are needed", func(t *testing.T) {
		r := rolloutOf(errors05, guardrail("cpu: sample cpu 0.9 increase 5pp on=hold"))
		r.Stages[0].Pass = []string{"errors"}
		s := newScript(t, r, Options{Phi: 1})
		s.play(90, side{n: 900}, side{n: 100})
		s.want(VerdictPromote, codeAllPassed)
	})
	t.Run("nothing required is no promotion", func(t *testing.T) {
		s := newScript(t, rolloutOf(guardrail("errors: rate error increase 0.5pp optional")), Options{Phi: 1})
		s.play(90, side{n: 900}, side{n: 100})
		s.want(VerdictContinue, codeUndecided)
	})
}

// TestRampWithDrift holds that a change of the split together with drift of the error rate proves nothing: blocks end where the share changes.
func TestRampWithDrift(t *testing.T) {
	s := newScript(t, rolloutOf(guardrail("errors: rate error increase any")), Options{Phi: 1})
	s.play(300, side{n: 9900, errors: 99}, side{n: 100, errors: 1})
	s.play(300, side{n: 5000, errors: 500}, side{n: 5000, errors: 500}) // ten times the errors, for both
	if e := s.guard("errors").canary.any.LogMax(); e > .1 {
		t.Errorf("log evidence %.2f of equal arms", e)
	}
	whole := s.guard("errors").canary.account.estimate(0)
	if d := whole[windows.Canary].value - whole[windows.Baseline].value; d < -.002 || d > .002 {
		t.Errorf("estimate of the difference %.4f", d)
	}
}

func TestBeyond(t *testing.T) {
	tests := []struct {
		guard            string
		canary, baseline float64
		want             bool
	}{
		{"a: rate error increase 0.5pp", .0151, .01, true}, {"a: rate error increase 0.5pp", .0149, .01, false},
		{"a: rate error increase 20%", .0121, .01, true}, {"a: rate error increase 20%", .0119, .01, false},
		{"a: rate error increase any", .0101, .01, true}, {"a: rate error increase any", .01, .01, false},
		{"a: rate click decrease 2%", .0979, .1, true}, {"a: rate click decrease 2%", .0981, .1, false},
		{"a: rate click decrease 1pp", .089, .1, true}, {"a: rate click decrease 1pp", .091, .1, false},
		{"a: quantile 0.99 latency increase 20%", math.Inf(1), 100, true}, {"a: quantile 0.99 latency increase 20%", math.NaN(), 100, false},
		{"a: quantile 0.99 latency increase 20%", math.Inf(1), math.Inf(1), false},
		{"a: rate error above 5%", .051, 0, true}, {"a: rate error above 5%", .05, 0, false}, {"a: rate click below 5%", .049, 0, true},
	}
	for _, tt := range tests {
		spec := guardrail(tt.guard)
		var got bool
		if spec.Direction == schemas.Increase || spec.Direction == schemas.Decrease {
			got = beyondMargin(&spec, estimate{windows.Baseline: {value: tt.baseline}, windows.Canary: {value: tt.canary}})
		} else {
			got = beyondLimit(&spec, tt.canary)
		}
		if got != tt.want {
			t.Errorf("%s: %v against %v is beyond: %v, want %v", tt.guard, tt.canary, tt.baseline, got, tt.want)
		}
	}
}

// TestBothArmsThenTheCanaryAlone: once the baseline is back within the limit, a canary that stays beyond it is rolled back, by what came since then.
func TestBothArmsThenTheCanaryAlone(t *testing.T) {
	s := newScript(t, rolloutOf(guardrail("outage: rate error above 5%")), Options{Phi: 1})
	good, bad := side{n: 100}, side{n: 100, errors: 12}
	s.play(200, good, good)
	s.play(200, bad, bad)
	s.want(VerdictHold, codeBothArms)
	back := s.atMs
	for s.verdict.Action != VerdictRollback {
		if s.play(1, good, bad); s.atMs-back > 60_000 {
			t.Fatalf("not rolled back within a minute: %s", s.state("outage"))
		}
	}
	if since := s.verdict.HarmBeganMs - back; since < 0 {
		t.Errorf("the harm is dated to %d ms before the baseline was back", -since)
	}
	// Both beyond it again and again: no rollback, however often the baseline is back for a moment.
	s = newScript(t, rolloutOf(guardrail("outage: rate error above 5%")), Options{Phi: 1})
	s.play(100, good, good)
	for range 10 {
		s.play(60, bad, bad)
		s.play(60, good, good)
		if s.verdict.Action == VerdictRollback {
			t.Fatal("rolled back what both arms did")
		}
	}
}

// TestRoundedQuantile: what rounding alone can have done is not beyond a margin, and so no suspicion.
func TestRoundedQuantile(t *testing.T) {
	r := rolloutOf(guardrail("p50: quantile 0.5 latency increase 20%"))
	r.LatencyGranularity = time.Millisecond
	g := NewJudge(r, Options{}).guards[0]
	of := func(canary, baseline float64) bool {
		var e estimate
		e[windows.Canary].value, e[windows.Baseline].value = canary, baseline
		return beyondMargin(g.spec, g.unrounded(e))
	}
	for _, test := range []struct {
		canary, baseline float64
		want             bool
	}{{3, 2, false}, {4, 2, true}, {2, 3, false}, {13, 10, false}, {14, 10, true}, {2.4, 2, false}} {
		if have := of(test.canary, test.baseline); have != test.want {
			t.Errorf("%v against %v ms, rounded to 1 ms: beyond 20 %% %v, want %v", test.canary, test.baseline, have, test.want)
		}
	}
	r.LatencyGranularity = 0
	if g = NewJudge(r, Options{}).guards[0]; !of(3, 2) {
		t.Error("3 against 2 ms, as they are, is not beyond 20 %")
	}
}
