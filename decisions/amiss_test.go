package decisions

import (
	"strings"
	"testing"

	"streamcanary/schemas"
)

// withAmiss is a verdict that tells of traffic that isn't as planned.
func withAmiss(in Input, codes ...string) Input {
	for _, code := range codes {
		in.Verdict.Amiss = append(in.Verdict.Amiss, schemas.Finding{Code: code, Sentence: "It is " + code + "."})
	}
	return in
}

// toldOf is said with a notice's sentence.
func toldOf(e Effect) string {
	if e.Notice != nil {
		return said(e) + ": " + e.Notice.Sentence
	}
	return said(e)
}

// TestAmiss tells of each stretch once, and of its end, with what else people were told of.
func TestAmiss(t *testing.T) {
	start := running(terms(weight))
	_, have := foldWith(t, toldOf, after(start,
		withAmiss(verdictOf(10, VerdictContinue), "canary_absent"),
		withAmiss(verdictOf(11, VerdictContinue), "canary_absent"),
		withAmiss(verdictOf(12, VerdictContinue), "off_plan"),
		withAmiss(verdictOf(13, VerdictHold), "off_plan"),
		verdictOf(14, VerdictHold),
		withAmiss(verdictOf(15, VerdictContinue), "off_plan"),
		verdictOf(16, VerdictContinue),
	)...)
	expect(t, have[2:],
		"!share-off-plan: It is canary_absent. Routers say that they have applied: eu (decision 2).",
		"!share-off-plan: It is off_plan. Routers say that they have applied: eu (decision 2).",
		"!share-as-planned off_plan: Canary 42 is heard of: judging begins.",
		"#3 hold 41:9000 42:1000 (route)",
		"!share-as-planned code-hold: Canary 42 has the share of the traffic that is planned: what it does counts towards a pass again.",
		"!share-off-plan: It is off_plan. Routers say that they have applied: eu (decision 2).",
		"#4 resume 41:9000 42:1000 over ranker-42.1.3 (route)",
		"!share-as-planned: Canary 42 has the share of the traffic that is planned: what it does counts towards a pass again.",
	)
}

// TestAmissStageEnds: what people were told ends with its stage, and what is amiss in the next one is told anew.
func TestAmissStageEnds(t *testing.T) {
	start := append(running(terms(ramp)), verdictOf(9, VerdictContinue))
	_, have := foldWith(t, toldOf, after(start,
		withAmiss(verdictOf(10, VerdictContinue), "off_plan"),
		withAmiss(verdictOf(11, VerdictAdvance), "off_plan"),
		verdictOf(12, VerdictContinue),
		withAmiss(verdictOf(13, VerdictContinue), "off_plan"),
		command(14, CommandPromote, true),
		withAmiss(verdictOf(15, VerdictContinue), "off_plan"),
	)...)
	var notices []string
	for _, x := range have {
		if strings.HasPrefix(x, "!") {
			notices = append(notices, x)
		}
	}
	const off = "!share-off-plan: It is off_plan. Routers say that they have applied: eu (decision 2)."
	expect(t, notices, off, "!share-as-planned: Stage 1 of 3 (1 % of the traffic) ends, and with it what was told of its share of the traffic.",
		off, "!share-as-planned: Stage 2 of 3 (10 % of the traffic) ends, and with it what was told of its share of the traffic.")
}

// TestAmissUnbegun adds what routers say to what is decided before there was a window of both, and leaves the verdict as it was.
func TestAmissUnbegun(t *testing.T) {
	for name, x := range map[string]struct {
		terms Terms
		want  string
	}{
		"a router follows": {terms(weight), "Because. Routers say that they have applied: eu (decision 2)."},
		"nobody is asked":  {terms(weight, advise), "Because. No router was asked to move traffic."},
		"only a store answered": {terms(weight, named, func(t *Terms) { t.State.Mode, t.State.Stores = schemas.StateShared, []string{"users"} }),
			"Because. No router has answered that it has applied a decision."},
	} {
		t.Run(name, func(t *testing.T) {
			in := verdictOf(10, VerdictHold)
			in.Verdict.Unbegun = true
			var s State
			for _, start := range running(x.terms) {
				s, _ = Step(s, start)
			}
			if s.Status == StatusPreparing {
				s.Status = StatusRunning
				s.Answers = []Answer{{Consumer: "users", Seq: 1, Status: schemas.AckApplied}}
			}
			_, effects := Step(s, in)
			if len(effects) != 1 || effects[0].Decision.Decision.Reason.Sentence != x.want {
				t.Errorf("effects %+v", effects)
			}
			if in.Verdict.Reason.Sentence != "Because." {
				t.Errorf("the verdict now says %s", in.Verdict.Reason.Sentence)
			}
		})
	}
}

// TestAmissUsers tells of users whom nobody answers, with what routers say in the rollback for it, and of those who reach a shadow.
func TestAmissUsers(t *testing.T) {
	back := withAmiss(verdictOf(14, VerdictRollback), "canary_unserved")
	back.Verdict.Reason.Code = "canary_missing"
	_, have := foldWith(t, toldOf, after(running(terms(weight)),
		withAmiss(verdictOf(10, VerdictContinue), "canary_unserved"),
		verdictOf(11, VerdictContinue),
		withAmiss(verdictOf(12, VerdictContinue), "shadow_users"),
		verdictOf(13, VerdictContinue),
	)...)
	expect(t, have[2:],
		"!share-off-plan: It is canary_unserved. Routers say that they have applied: eu (decision 2).",
		"!share-as-planned: Canary 42 answers users.",
		"!share-off-plan: It is shadow_users. Routers say that they have applied: eu (decision 2).",
		"!share-as-planned: No user reaches canary 42 any more: what its copies show counts towards a pass again.",
	)
	s, _ := fold(t, running(terms(weight))...)
	_, effects := Step(s, back)
	if len(effects) == 0 || effects[0].Decision == nil || effects[0].Decision.Decision.Reason.Sentence != "Because. Routers say that they have applied: eu (decision 2)." {
		t.Errorf("effects %+v", effects)
	}
}

// TestAmissManyRouters bounds the names.
func TestAmissManyRouters(t *testing.T) {
	s := State{Terms: terms(weight)}
	for _, name := range strings.Fields("a b c d e f g h i j") {
		s.Answers = append(s.Answers, Answer{Consumer: name, Seq: 2, Status: schemas.AckApplied})
	}
	if have := s.followedText(); !strings.HasSuffix(have, "g (decision 2), h (decision 2) and 2 more.") {
		t.Error(have)
	}
}

// TestDue: the first stage's traffic is due when routers have followed, not before they did at the latest, and at once where nobody asks them.
func TestDue(t *testing.T) {
	settled := func(t *Terms) { t.SettleMs = 4000 }
	for name, x := range map[string]struct {
		inputs []Input
		want   int64
		routed bool
	}{
		"asked and not followed": {[]Input{applied(1, terms(weight, settled)), ack(2, 1, "eu", schemas.AckPrepared)}, 0, true},
		"followed":               {[]Input{applied(1, terms(weight, settled)), ack(2, 1, "eu", schemas.AckPrepared), ack(5, 2, "eu", schemas.AckApplied)}, 9000, true},
		"followed by all": {[]Input{applied(1, terms(weight, settled, named)), ack(2, 1, "eu", schemas.AckPrepared), ack(2, 1, "us", schemas.AckPrepared),
			ack(5, 2, "eu", schemas.AckApplied), ack(8, 2, "us", schemas.AckApplied), ack(9, 2, "us", schemas.AckApplied)}, 12_000, true},
		"advice":   {[]Input{applied(1, terms(weight, settled, advise))}, 5000, false},
		"external": {[]Input{applied(1, terms(func(t *Terms) { t.External = true }))}, 1000, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := fold(t, x.inputs...)
			if s.DueMs != x.want || s.Routed() != x.routed {
				t.Errorf("due %d, routed %t, want %d and %t", s.DueMs, s.Routed(), x.want, x.routed)
			}
		})
	}
}
