package analysis

import (
	"slices"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

func codes(findings []schemas.Finding) (codes []string) {
	for _, f := range findings {
		codes = append(codes, f.Code)
	}
	return codes
}

func TestMissing(t *testing.T) {
	both := func(s *script, times int) { s.play(times, side{n: 990}, side{n: 10}) }
	planned := func(r *schemas.Rollout) { r.Stages[0].WeightBP = 100 }
	tests := []struct {
		name   string
		plan   func(*schemas.Rollout)
		play   func(s *script)
		action VerdictAction
		code   string
	}{
		{"the canary falls silent", planned, func(s *script) { both(s, 60); s.play(10, side{n: 990}, side{}) }, VerdictRollback, codeCanaryMissing},
		{"without a planned share", nil, func(s *script) { both(s, 60); s.play(10, side{n: 990}, side{}) }, VerdictRollback, codeCanaryMissing},
		{"not yet for as long as silent", planned, func(s *script) { both(s, 60); s.play(4, side{n: 990}, side{}) }, VerdictContinue, codeUndecided},
		{"silence broken by a late event", planned, func(s *script) {
			both(s, 60)
			for range 10 {
				s.play(3, side{n: 990}, side{})
				s.play(1, side{n: 990}, side{late: 1})
			}
		}, VerdictContinue, codeUndecided},
		{"too little of the baseline to say", planned, func(s *script) { both(s, 60); s.play(19, side{n: 1}, side{}) }, VerdictContinue, codeUndecided},
		{"20 events of the baseline prove nothing at a share of 1 %", planned, func(s *script) { both(s, 55); s.play(4, side{n: 5}, side{}) }, VerdictContinue, codeUndecided},
		{"nobody speaks", planned, func(s *script) { both(s, 30); s.pause(20 * time.Second); both(s, 1) }, VerdictContinue, codeUndecided},
		{"the baseline falls silent", planned, func(s *script) { both(s, 30); s.play(29, side{}, side{n: 10}) }, VerdictHold, codeBaselineMissing},
		{"the baseline comes back", planned, func(s *script) { both(s, 30); s.play(29, side{}, side{n: 10}); both(s, 1) }, VerdictContinue, codeUndecided},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rolloutOf(errors05)
			r.Stages[0].Bake = time.Hour      // no promotion here
			r.Health.Traffic = schemas.OnWarn // a silent arm is off its planned split, too
			if tt.plan != nil {
				tt.plan(r)
			}
			s := newScript(t, r, Options{Phi: 1.5})
			tt.play(s)
			s.want(tt.action, tt.code)
		})
	}
}

// TestMissingGaps holds that windows without any event count in the start weights: after an empty stretch the same weight has been handed out as if
// its windows had come one by one.
func TestMissingGaps(t *testing.T) {
	play := func(gap func(s *script)) float64 {
		r := rolloutOf(errors05)
		r.Stages[0].WeightBP = 100
		s := newScript(t, r, Options{Phi: 1})
		s.play(10, side{n: 990}, side{n: 10})
		gap(s)
		s.play(10, side{n: 990}, side{n: 10})
		return float64(s.judge.missing[1].weights.next)
	}
	if got := play(func(s *script) { s.pause(100 * time.Second) }); got != 120 {
		t.Errorf("weights handed out up to window %v, want 120", got)
	}
}

// TestObservedShare holds that an unplanned share is learnt from what came up to the arm's last event, and only its lower limit is used.
func TestObservedShare(t *testing.T) {
	r := rolloutOf(errors05)
	s := newScript(t, r, Options{Phi: 1})
	m := s.judge.missing[1]
	s.play(1, side{n: 1}, side{n: 1}) // the first window was chosen for having both
	if m.all != 0 {
		t.Errorf("%v events observed in the first window, want none", m.all)
	}
	for range 100 { // one event a window: the canary has one of 20
		s.play(19, side{n: 1}, side{})
		s.play(1, side{}, side{n: 1})
	}
	if m.mine != 100 || m.all != 2000 {
		t.Errorf("observed %v of %v, want 100 of 2000", m.mine, m.all)
	}
	if share := m.share(); share < .03 || share >= .05 {
		t.Errorf("share %.4f, want a lower limit of .05", share)
	}
	s.want(VerdictContinue, codeUndecided)
}

func TestSplit(t *testing.T) {
	tests := []struct {
		name    string
		traffic schemas.On
		weight  int
		play    func(s *script)
		action  VerdictAction
		code    string
		health  []string
	}{
		{"as planned", schemas.OnHold, 1000, func(s *script) { s.play(50, side{n: 900}, side{n: 100}) }, VerdictContinue, codeUndecided, nil},
		{"twice the plan", schemas.OnHold, 1000, func(s *script) { s.play(50, side{n: 800}, side{n: 200}) }, VerdictHold, codeSplitMismatch, []string{codeSplitMismatch}},
		{"twice the plan, only a warning", schemas.OnWarn, 1000, func(s *script) { s.play(50, side{n: 800}, side{n: 200}) }, VerdictContinue, codeUndecided, []string{codeSplitMismatch}},
		{"events off, units as planned", schemas.OnHold, 1000,
			func(s *script) { s.play(50, side{n: 800, units: 90}, side{n: 200, units: 10}) }, VerdictContinue, codeUndecided, []string{codeOffPlan}},
		{"units off, events as planned", schemas.OnHold, 1000,
			func(s *script) { s.play(50, side{n: 900, units: 80}, side{n: 100, units: 20}) }, VerdictHold, codeSplitMismatch, []string{codeSplitMismatch}},
		{"a stall that is made up for", schemas.OnHold, 1000, func(s *script) {
			s.play(20, side{n: 900}, side{n: 100})
			s.play(3, side{n: 900}, side{})
			s.want(VerdictHold, codeSplitMismatch)
			s.play(1, side{n: 900}, side{n: 400})
			s.play(300, side{n: 900}, side{n: 100})
		}, VerdictPromote, codeAllPassed, nil},
		{"no plan, no change", schemas.OnHold, 0, func(s *script) { s.play(50, side{n: 800}, side{n: 200}) }, VerdictContinue, codeUndecided, nil},
		{"no plan, a change", schemas.OnHold, 0, func(s *script) {
			s.play(20, side{n: 800}, side{n: 200})
			s.play(30, side{n: 600}, side{n: 400})
		}, VerdictHold, codeSplitMismatch, []string{codeSplitMismatch}},
		{"too many units to remember", schemas.OnHold, 1000, func(s *script) {
			s.play(20, side{n: 900, units: 90}, side{n: 100, units: 10})
			s.play(30, side{n: 500, full: true}, side{n: 500})
		}, VerdictContinue, codeUndecided, []string{codeSplitUnwatched, codeOffPlan}},
		{"too many units to remember, as planned", schemas.OnHold, 1000, func(s *script) {
			s.play(20, side{n: 900, units: 90}, side{n: 100, units: 10})
			s.play(300, side{n: 900, full: true}, side{n: 100})
		}, VerdictPromote, codeAllPassed, []string{codeSplitUnwatched}},
		{"too many units to remember, off before", schemas.OnHold, 1000, func(s *script) {
			s.play(20, side{n: 800, units: 80}, side{n: 200, units: 20})
			s.play(300, side{n: 900, full: true}, side{n: 100})
		}, VerdictHold, codeSplitMismatch, []string{codeSplitMismatch, codeSplitUnwatched}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rolloutOf(errors05)
			r.Health.Traffic, r.Stages[0].WeightBP = tt.traffic, tt.weight
			s := newScript(t, r, Options{Phi: 1})
			tt.play(s)
			s.want(tt.action, tt.code)
			if got := codes(s.verdict.Health); !slices.Equal(got, tt.health) {
				t.Errorf("health %v, want %v", got, tt.health)
			}
		})
	}
}

// TestHealthNeverBlocksARollback holds the order of verdicts.
func TestHealthNeverBlocksARollback(t *testing.T) {
	r := rolloutOf(errors05)
	r.Stages[0].WeightBP = 1000
	s := newScript(t, r, Options{Phi: 1})
	s.play(30, side{n: 800}, side{n: 200})
	s.want(VerdictHold, codeSplitMismatch)
	s.play(30, side{n: 800}, side{n: 200, errors: 20})
	s.want(VerdictRollback, codeGuardrailFailed)
}

func TestUnequalSampling(t *testing.T) {
	r := rolloutOf(errors05, guardrail("ctr: rate click decrease 2%"))
	r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: time.Minute}}
	s := newScript(t, r, Options{Phi: 1})
	s.play(30, side{n: 900}, side{n: 100})
	s.wantState("errors", passed)
	before := s.guard("errors").canary.tested
	at := s.atMs
	s.play(3, side{n: 900, sampledBy: 10}, side{n: 100, errors: 50})
	if g := s.guard("errors"); g.state != insufficient || g.why != whyUnequalSampling || g.canary.tested != before {
		t.Fatalf("state %s %s after %d blocks, want insufficient, %d blocks", g.state, g.why, g.canary.tested, before)
	}
	s.want(VerdictHold, codeUnequalSampling)
	mixed := s.serving(side{n: 900, sampledBy: 10}, side{n: 100, sampledBy: 10, errors: 50}) // it changes within a window, in both arms alike
	for arm := range windows.Arms {
		mixed.Traffic[arm].SampledMax = 20
	}
	s.verdict = s.judge.Step(mixed)
	s.atMs += 1000
	s.want(VerdictHold, codeUnequalSampling)
	s.play(1, side{n: 900, sampledBy: 10}, side{n: 100, sampledBy: 10})
	s.wantState("errors", passed)
	s.want(VerdictContinue, codeUndecided)
	// Outcomes of a window that was sampled unequally are left out, too, however late they come.
	s.outcomes("click", at, side{n: 900, clicks: 90}, side{n: 100})
	if g := s.guard("ctr"); g.state != insufficient || g.why != whyUnequalSampling {
		t.Errorf("ctr is %s %s", g.state, g.why)
	}
	s.outcomes("click", at+4000, side{n: 900, clicks: 90}, side{n: 100, clicks: 10})
	s.wantState("ctr", continues)
}

func TestSamplingRanges(t *testing.T) {
	var m sampling
	for i := range int64(samplingRanges + 50) {
		m.remember(i*10, i*10+1)
	}
	if len(m.ranges) != samplingRanges {
		t.Fatalf("%d ranges, want %d", len(m.ranges), samplingRanges)
	}
	last := int64(samplingRanges-1) * 10
	for _, at := range []int64{0, 10, last, last + 200} {
		if !m.was(at) {
			t.Errorf("window at %d is forgotten", at)
		}
	}
	if m.was(5) {
		t.Error("window at 5 was equal")
	}
}

// TestOverflow: where outcomes may be missing, a rollout waits if it has seen such outcomes or needs them, else that guardrail alone does.
func TestOverflow(t *testing.T) {
	for _, tt := range []struct {
		name   string
		guard  string
		pass   []string
		clicks int64
		action VerdictAction
		code   string
		state  schemas.State
		why    string
	}{
		{"seen", "ctr: rate click decrease 2% optional", nil, 10, VerdictHold, codeJoinOverflow, continues, ""},
		{"required", "ctr: rate click decrease 2%", nil, 0, VerdictHold, codeJoinOverflow, continues, ""},
		{"named by the stage", "ctr: rate click decrease 2% optional", []string{"ctr"}, 0, VerdictHold, codeJoinOverflow, continues, ""},
		{"neither", "ctr: rate click decrease 2% optional", nil, 0, VerdictContinue, codeUndecided, insufficient, whyJoinOverflow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := rolloutOf(guardrail(tt.guard), guardrail("sales: rate purchase decrease 2% optional"))
			r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: time.Minute}, {Name: "purchase", Within: 2 * time.Minute}}
			r.Stages[0].Pass = tt.pass
			s := newScript(t, r, Options{Phi: 1})
			overflow := func(ms int64) {
				p := &windows.Part{Stream: windows.Stream{Kind: windows.Outcomes, Name: "click"}, StartMs: startMs + ms, Overflow: true}
				p.Cells[windows.Baseline], p.Cells[windows.Canary] = []windows.Cell{{N: 900}}, []windows.Cell{{N: 100}}
				s.verdict = s.judge.Step(p)
			}
			s.play(4, side{n: 900}, side{n: 100})
			s.outcomes("click", startMs, side{n: 900, clicks: 9 * tt.clicks}, side{n: 100, clicks: tt.clicks})
			s.wantState("ctr", continues)
			overflow(1_000)
			s.outcomes("purchase", startMs, side{n: 900, clicks: 90}, side{n: 100, clicks: 10}) // another outcome's windows change nothing
			s.want(tt.action, tt.code)
			if g := s.guard("ctr"); g.state != tt.state || g.why != tt.why {
				t.Errorf("ctr is %s %q, want %s %q", g.state, g.why, tt.state, tt.why)
			}
			s.outcomes("click", startMs+2_000, side{n: 900, clicks: 90}, side{n: 100, clicks: 10})
			s.want(VerdictContinue, codeUndecided)
			s.wantState("ctr", continues)
			overflow(3_000)
			s.want(VerdictHold, codeJoinOverflow)
		})
	}
}
