package analysis

import (
	"strings"
	"testing"
)

// TestShadowUsers tells of users whom a shadow answers, beside its copies or instead of them, and of the end of that: what is seen meanwhile passes nothing.
func TestShadowUsers(t *testing.T) {
	for name, x := range map[string]struct {
		share string
		play  side
	}{
		"beside its copies": {"4.8 %", side{n: 55, shadow: 50}},
		"instead of them":   {"33.3 %", side{n: 50}},
	} {
		t.Run(name, func(t *testing.T) {
			s := shadowThenWeight(t, true)
			s.play(4, side{n: 100}, x.play)
			s.amiss()
			s.play(1, side{n: 100}, x.play)
			s.amiss(codeShadowUsers)
			if have, want := s.verdict.Amiss[0].Sentence, "Canary 42 has answered users since 09:00:00, in a stage that plans only copies for it: planned no user, observed "+x.share+" of the users' requests. "+
				"Nothing counts towards a pass until none reaches it; harm counts all the same. "+
				"Look whether the router sends it users, and whether its events say \"shadow\": true of copies: one without that is taken for a user's."; have != want {
				t.Errorf("told\n%s\nwant\n%s", have, want)
			}
			s.play(600, side{n: 100}, x.play)
			s.want(VerdictContinue, codeUndecided)
			s.wantState("errors", continues)
			s.play(59, side{n: 100}, side{n: 50, shadow: 50})
			s.amiss(codeShadowUsers)
			s.wantState("errors", continues)
			s.play(1, side{n: 100}, side{n: 50, shadow: 50})
			s.amiss()
			s.play(60, side{n: 100}, side{n: 50, shadow: 50})
			s.want(VerdictAdvance, codeAllPassed)
		})
	}
}

// TestShadowUsersHarm counts.
func TestShadowUsersHarm(t *testing.T) {
	s := shadowThenWeight(t, true)
	s.play(60, side{n: 100}, side{n: 50, errors: 10})
	s.want(VerdictRollback, codeGuardrailFailed)
}

// TestShadowUsersMax says at the end of the stage's time why nothing has passed.
func TestShadowUsersMax(t *testing.T) {
	s := shadowThenWeight(t, true)
	s.play(3600, side{n: 100}, side{n: 53, shadow: 50})
	s.want(VerdictHold, codeInconclusive)
	if !strings.Contains(s.verdict.Sentence, " Canary 42 has answered users since 09:00:00, in a stage that plans only copies for it: planned no user, observed 2.9 % of the users' requests. ") {
		t.Errorf("says %s", s.verdict.Sentence)
	}
}

// TestShadowUsersNot: a few that somebody sends by hand are nothing to tell, windows of before the copies were due go by another plan, a replay knows of none that are due, and what users
// of a later stage are answered is as planned.
func TestShadowUsersNot(t *testing.T) {
	copies, users := side{n: 50, shadow: 50}, side{n: 55, shadow: 50}
	for name, play := range map[string]func(s *script){
		"a few": func(s *script) {
			s.judge.Due(s.atMs, true)
			for range 10 {
				s.play(2, side{n: 100}, side{n: 52, shadow: 50})
				s.play(60, side{n: 100}, copies)
			}
		},
		"at once": func(s *script) {
			s.judge.Due(s.atMs, true)
			s.play(1, side{n: 100}, side{n: 150, shadow: 50})
			s.play(600, side{n: 100}, copies)
		},
		"before": func(s *script) {
			s.judge.Due(s.atMs+100_000, true)
			s.play(100, side{n: 100}, users)
		},
		"a replay": func(s *script) { s.play(100, side{n: 100}, users) },
		"later": func(s *script) {
			s.judge.Due(s.atMs, true)
			s.play(60, side{n: 100}, copies)
			s.advance(1)
			s.play(8, side{n: 90}, side{n: 10})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := shadowThenWeight(t, true).rollout
			s := newScript(t, r, Options{Phi: 1})
			play(s)
			if s.judge.users.off {
				t.Errorf("told of %d users", s.judge.users.canary)
			}
		})
	}
}

// TestShadowUsersOutcomes: outcomes of users pass nothing in a shadow stage; those of the baseline's alone are nothing to compare.
func TestShadowUsersOutcomes(t *testing.T) {
	s := shadowThenWeight(t, true)
	s.play(10, side{n: 100}, side{n: 50, shadow: 50})
	part := s.serving(side{}, side{})
	for canary, want := range map[int64]bool{0: false, 1: true} {
		if got := s.judge.users.spoils(s.judge.stream(servingStream), part, canary); got != want {
			t.Errorf("%d users: spoils %t", canary, got)
		}
	}
	var none *shadowUsers
	if none.spoils(s.judge.stream(servingStream), part, 1) || none.reached() {
		t.Error("a rollout without shares has a shadow")
	}
}
