package analysis

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
)

// heard plays windows of a canary with so many errors of 1,000, and returns what people hear.
func (s *script) heard(times int, errors int64) []Concern {
	var all []Concern
	for range times {
		s.play(1, side{n: 9_000, errors: 9}, side{n: 1_000, errors: errors})
		all = append(all, s.verdict.Concerns...)
	}
	return all
}

// TestConcerns: a suspicion is told once, however often it comes and goes, and a failure is not told beside the decision.
func TestConcerns(t *testing.T) {
	r := rolloutOf(guardrail("errors: rate error increase 0.5pp"))
	r.Patience = 10 * time.Second
	s := newScript(t, r, Options{Phi: 1})
	if got := s.heard(30, 1); got != nil {
		t.Fatalf("a healthy canary gives cause for %+v", got)
	}
	got := s.heard(60, 7)
	if len(got) != 1 || got[0].Guardrail != "errors" || got[0].State != schemas.StateSuspect || !strings.Contains(got[0].Sentence, "If it stays so until ") {
		t.Errorf("concerns %+v", got)
	}
	if s.verdict.Action != VerdictRollback || s.verdict.Code != codePatience {
		t.Errorf("%s (%s): %s", s.verdict.Action, s.verdict.Code, s.verdict.Sentence)
	}
}

// TestConcernsThatEnd: that a guardrail is suspect no more is told, once that has been so for long enough to be no flutter, and what is suspect after that is told anew. One that only warns has
// woken nobody, and ends without a word.
func TestConcernsThatEnd(t *testing.T) {
	warns := guardrail("warns: rate error increase 0.5pp")
	warns.On, warns.Required = schemas.OnWarn, false
	s := newScript(t, rolloutOf(errors05, warns), Options{Phi: 1})
	var told []string
	for _, is := range []struct {
		minute int64
		state  schemas.State
	}{{0, suspect}, {1, suspect}, {2, schemas.StateContinue}, {5, schemas.StatePassed}, {6, suspect}, {7, schemas.StateContinue}, {11, suspect},
		{12, schemas.StateInsufficient}, {17, schemas.StatePassed}, {18, schemas.StateContinue}, {19, suspect}, {20, suspect}} {
		for _, g := range s.judge.all {
			g.state = is.state
		}
		s.judge.nowMs = is.minute * 60_000
		for _, c := range s.judge.concerns() {
			told = append(told, fmt.Sprintf("%d: %s %s", is.minute, c.Guardrail, c.State))
			if c.Warns != (c.Guardrail == "warns") || c.State == schemas.StateContinue && c.Sentence != "Guardrail errors is suspect no more, for 5m: it has passed." {
				t.Errorf("told %+v", c)
			}
		}
	}
	if want := []string{"0: errors suspect", "0: warns suspect", "17: errors continue", "19: errors suspect"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// TestConcernsOfWarnings: a guardrail that only warns is told as suspect, and as failed.
func TestConcernsOfWarnings(t *testing.T) {
	g := guardrail("errors: rate error increase 0.5pp")
	g.On, g.Required = schemas.OnWarn, false
	r := rolloutOf(g, guardrail("outage: rate error above 50%"))
	r.Patience = 10 * time.Second
	s := newScript(t, r, Options{Phi: 1})
	got := append(s.heard(30, 1), s.heard(60, 7)...)
	if len(got) != 2 || got[0].State != schemas.StateSuspect || got[1].State != schemas.StateFailed {
		t.Fatalf("concerns %+v", got)
	}
	for i, want := range []string{"that is a warning, and nothing more.", "It only warns: by itself that changes nothing."} {
		if !strings.HasSuffix(got[i].Sentence, want) {
			t.Errorf("sentence %q, want it to end with %q", got[i].Sentence, want)
		}
	}
	if s.verdict.Action == VerdictRollback || s.verdict.Action == VerdictHold && s.verdict.Guardrail != "" {
		t.Errorf("a warning made it %s", s.verdict.Action)
	}
}

// TestNoConcernBesideARollback: what fails at once is decided on, not told as suspect.
func TestNoConcernBesideARollback(t *testing.T) {
	s := newScript(t, rolloutOf(guardrail("errors: rate error increase 0.5pp")), Options{Phi: 1})
	s.heard(30, 1)
	s.play(1, side{n: 9_000, errors: 9}, side{n: 1_000, errors: 500})
	if s.verdict.Action != VerdictRollback || s.verdict.Concerns != nil {
		t.Errorf("%s with concerns %+v", s.verdict.Action, s.verdict.Concerns)
	}
}

// TestNoSuspicionBesideARollback: nor is another guardrail that the same part makes suspect.
func TestNoSuspicionBesideARollback(t *testing.T) {
	s := newScript(t, rolloutOf(guardrail("errors: rate error increase 0.5pp"), guardrail("loose: rate error increase 49pp")), Options{Phi: 1})
	s.heard(30, 1)
	s.play(1, side{n: 9_000, errors: 9}, side{n: 1_000, errors: 500})
	if states := s.judge.States(nil); s.verdict.Action != VerdictRollback || states[1] != schemas.StateSuspect || s.verdict.Concerns != nil {
		t.Errorf("%s, %v, with concerns %+v", s.verdict.Action, states, s.verdict.Concerns)
	}
}

// TestConcernsOfHolds: what holds the rollout is decided on when it fails, and told as suspect only.
func TestConcernsOfHolds(t *testing.T) {
	g := guardrail("errors: rate error increase 0.5pp")
	g.On = schemas.OnHold
	r := rolloutOf(g)
	r.Patience = 10 * time.Second
	s := newScript(t, r, Options{Phi: 1})
	got := append(s.heard(30, 1), s.heard(60, 7)...)
	if len(got) != 1 || got[0].State != schemas.StateSuspect || s.verdict.Action != VerdictHold {
		t.Errorf("%s with concerns %+v", s.verdict.Action, got)
	}
}

// TestNoConcernInDoubt: while a finding says that nothing follows from a guardrail's numbers, its suspicion isn't told to lead to anything.
func TestNoConcernInDoubt(t *testing.T) {
	s := newScript(t, rolloutOf(errors05), Options{Phi: 1})
	g := s.guard("errors")
	g.doubts = []doubt{&doubtful{on: true}}
	for range 300 {
		if s.play(1, side{n: 900}, side{n: 100, errors: 2}); len(s.verdict.Concerns) > 0 {
			t.Fatalf("told %+v", s.verdict.Concerns)
		}
	}
	if g.state != schemas.StateSuspect {
		t.Fatalf("state %s: the test shows nothing", g.state)
	}
	g.doubts = nil
	told := 0
	for range 300 {
		s.play(1, side{n: 900, errors: 1}, side{n: 100, errors: 1})
		told += len(s.verdict.Concerns)
	}
	if told > 1 {
		t.Errorf("told %d times once the doubt is gone", told)
	}
}
