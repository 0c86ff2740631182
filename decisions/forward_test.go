package decisions

import (
	"strings"
	"testing"

	"streamcanary/schemas"
)

func chronic(t *Terms) {
	t.Chronic, t.Hotfix = ChronicTerms{3, 14 * 24 * 3600 * 1000}, "flag ranker.rerank=off"
}

// failedBy is a rollback for one guardrail.
func failedBy(at int64, name string) Input {
	in := verdictOf(at, VerdictRollback)
	in.Verdict.Reason.Guardrails = []schemas.GuardrailStatus{{Name: "ctr", State: schemas.StateContinue}, {Name: name, State: schemas.StateFailed, On: schemas.OnRollback}}
	return in
}

// TestForward: where going back would not help, the decision log says so, once, and what to do.
func TestForward(t *testing.T) {
	day := int64(24 * 3600 * 1000)
	begin := applied(20*day/1000, terms(weight, chronic))
	begin.Applied.Past = []Past{{Rollout: "a", Epoch: 1, AtMs: 5 * day, Cause: "errors"}, {Rollout: "b", Epoch: 2, AtMs: 7 * day, Cause: "p99", Canary: "39"}, {Rollout: "c", Epoch: 3, AtMs: 19 * day, Cause: "errors", Canary: "40"}}
	begin.Applied.Epoch = 1
	running := []Input{begin, ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied)}
	s, words := fold(t, after(running, failedBy(20*day/1000+60, "errors"))...)
	expect(t, words[2:], "#3 rollback 41:10000 42:0 (route)", "#4 roll-forward 41:10000 42:0 (route)")
	want := "Model ranker was rolled back 3 times within 14d (errors 2 times, p99 once), from 3 versions (39, 40, 42), so the cause is likely not in one version, and rolling back won't end it. Roll forward: flag ranker.rerank=off."
	if s.Forward.Sentence != want || s.Forward.Code != "chronic" || s.Why.Code != "code-rollback" {
		t.Errorf("recommended %+v, the reason is %+v", s.Forward, s.Why)
	}
	_, words = fold(t, after(running, failedBy(22*day/1000, "errors"))...) // the second is too long ago
	expect(t, words[2:], "#3 rollback 41:10000 42:0 (route)")
	_, words = fold(t, begin, command(20*day/1000+60, CommandRollback, false)) // before it began: nothing was tried
	expect(t, words[1:], "#2 rollback 41:10000 42:0 over "+id(1, 1)+" (route)")

	both := verdictOf(5, VerdictHold)
	both.Verdict.Reason.Code = "both_arms"
	s, words = fold(t, applied(1, terms(weight)), ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied), both, verdictOf(6, VerdictContinue), both)
	expect(t, words[2:], "#3 hold 41:9000 42:1000 (route)", "#4 roll-forward 41:9000 42:1000 (route)", "#5 resume 41:9000 42:1000 over "+id(1, 3)+" (route)", "#6 hold 41:9000 42:1000 (route)")
	if want := "Baseline 41 is beyond its own limit, too, so it is no refuge. Roll forward: repair the cause."; s.Forward.Sentence != want {
		t.Errorf("recommended %q", s.Forward.Sentence)
	}
}

// TestForwardSaysWhatIsKnown of the cause: how scores differ, by what a verdict told last, and what differs between the versions.
func TestForwardSaysWhatIsKnown(t *testing.T) {
	day := int64(24 * 3600 * 1000)
	changed := NewPillar(PillarFeatures, PillarHeld, nil).Changed([]string{"feature age is float, was int", "feature dwell was dropped"})
	schema := NewPillar(PillarInput, PillarHeld, nil).Changed([]string{"input /a was added", "input /b was added", "input /c was added"})
	skew := func(proven bool) *schemas.Skew {
		return &schemas.Skew{KS: 0.214, PSI: 0.335, Proven: proven, Online: 400}
	}
	const often = "Model ranker was rolled back 3 times within 14d (errors 3 times), each time from 42, so another try of it won't end that."
	const do = " Roll forward: flag ranker.rerank=off."
	for _, test := range []struct {
		name    string
		pillars []Pillar
		skew    *schemas.Skew
		want    string
	}{
		{"nothing", nil, nil, ""},
		{"skew", nil, skew(true), " Known of 42: its scores online differ from those offline (KS 0.21, proven; PSI 0.34)."},
		{"no skew", nil, skew(false), " Known of 42: its scores online are not proven to differ from those offline (KS 0.21, not proven; PSI 0.34)."},
		{"no scores", nil, &schemas.Skew{}, " Known of 42: none of its answers had a score, so nothing is known of them against those offline."},
		{"a dropped feature", []Pillar{changed}, nil, " Known of 42: against 41 feature age is float, was int, feature dwell was dropped."},
		{"all of it", []Pillar{schema, changed}, skew(true), " Known of 42: its scores online differ from those offline (KS 0.21, proven; PSI 0.34); " +
			"against 41 feature age is float, was int, feature dwell was dropped, input /a was added, input /b was added and more."},
	} {
		begin := applied(20*day/1000, terms(weight, chronic))
		begin.Applied.Past = []Past{{Rollout: "a", Epoch: 1, AtMs: 18 * day, Cause: "errors", Canary: "42"}, {Rollout: "b", Epoch: 2, AtMs: 19 * day, Cause: "errors", Canary: "42"}}
		begin.Applied.Pillars = test.pillars
		told := verdictOf(20*day/1000+30, VerdictContinue)
		told.Verdict.Reason.Skew = test.skew
		s := stateOf(t, begin, ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied), told, failedBy(20*day/1000+60, "errors"))
		if s.Forward == nil || s.Forward.Sentence != often+test.want+do || s.Forward.Skew != test.skew || len(s.Forward.Changes) != len(changesOf(test.pillars)) {
			t.Errorf("%s: recommended %+v", test.name, s.Forward)
		}
	}
}

// TestForwardKeepsWhatToDo: however much is known, what to do is never cut off.
func TestForwardKeepsWhatToDo(t *testing.T) {
	long := strings.Repeat("x", 500)
	begin := applied(1, terms(weight, chronic))
	begin.Applied.Past = []Past{{Rollout: "a", Epoch: 1, AtMs: 500, Cause: "errors"}, {Rollout: "b", Epoch: 2, AtMs: 600, Cause: "errors"}}
	begin.Applied.Pillars = []Pillar{NewPillar(PillarFeatures, PillarHeld, nil).Changed([]string{long, long, long, long, long})}
	begin.Applied.Terms.Hotfix = strings.Repeat("y", 300)
	s := stateOf(t, begin, ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied), failedBy(60, "errors"))
	if got := s.Forward.Sentence; len(got) != MaxSentence || !strings.HasSuffix(got, "x Roll forward: "+begin.Applied.Terms.Hotfix+".") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

// TestChronicNamesAlerts: a rollback that an alert asks for counts by its guardrail, as those in the decision log do.
func TestChronicNamesAlerts(t *testing.T) {
	begin := func(past ...Past) []Input {
		in := running(terms(guarded, chronic))
		in[0].Applied.Past = past
		return in
	}
	first, effects := Step(stateOf(t, begin()...), alarm(20, "page", 10))
	past, is := PastOf(&effects[0].Decision.Decision)
	if !is || past.Cause != "page" || first.Forward != nil {
		t.Fatalf("remembered as %+v, recommended %+v", past, first.Forward)
	}
	again := stateOf(t, after(begin(past, past), alarm(20, "page", 10))...)
	if want := "(page 3 times)"; again.Forward == nil || !strings.Contains(again.Forward.Sentence, want) {
		t.Errorf("recommended %+v, want %s", again.Forward, want)
	}
}

// TestRecommendationsStand: a recommendation ends with its own cause, and not with one that came after it.
func TestRecommendationsStand(t *testing.T) {
	begin := applied(1, terms(stateful, illegible, chronic))
	begin.Applied.Past = []Past{{Rollout: "a", Epoch: 1, AtMs: 500, Cause: "errors"}, {Rollout: "b", Epoch: 2, AtMs: 600, Cause: "errors"}}
	codes := func(s State) string {
		var all []string
		for _, r := range s.Recommended() {
			all = append(all, r.Code+" "+r.Sentence[:min(len(r.Sentence), 20)])
		}
		return strings.Join(all, ", ")
	}
	stuck := []Input{begin, ack(2, 1, "eu", schemas.AckPrepared), snapped(3, 1, "user"), snapped(4, 1, "item"), ack(5, 2, "eu", schemas.AckApplied),
		beyond(failedBy(10, "errors"), outage(true)), ack(11, 3, "item", schemas.AckPrepared)}
	gone := after(stuck, expire(41, id(1, 3)+"/freeze"))
	const standing, lost = "no_refuge Baseline 41 answers , chronic Model ranker was rol", "state_gone The state of ranker "
	for name, test := range map[string]struct {
		in   []Input
		want string
	}{
		"at once":            {stuck, standing},
		"the state, too":     {gone, lost + ", " + standing},
		"and it can go back": {after(gone, ack(42, 3, "user", schemas.AckPrepared)), standing},
		"and does not":       {after(gone, ack(42, 3, "user", schemas.AckPrepared), ack(43, 7, "eu", schemas.AckApplied), ack(44, 8, "user", schemas.AckFailed), expire(90, id(1, 3)+"/restore")), lost + ", " + standing},
		"and has after all": {after(gone, ack(42, 3, "user", schemas.AckPrepared), ack(43, 7, "eu", schemas.AckApplied), ack(44, 8, "user", schemas.AckFailed), expire(90, id(1, 3)+"/restore"),
			ack(95, 8, "item", schemas.AckApplied), ack(96, 8, "user", schemas.AckApplied)), standing},
	} {
		s := stateOf(t, test.in...)
		if have := codes(s); have != test.want {
			t.Errorf("%s: recommended %q, want %q", name, have, test.want)
		}
	}
	old := State{Forward: &schemas.Reason{Code: codeStateGone}} // of a record from before there could be more
	if old.returns(); old.Recommended() != nil || old.Forward != nil {
		t.Errorf("recommended %+v", old.Recommended())
	}
}

// TestPastOf: what counts as a rollback of the past.
func TestPastOf(t *testing.T) {
	_, effects := Step(stateOf(t, running(terms(weight))...), failedBy(5, "p99"))
	d := effects[0].Decision.Decision
	if p, is := PastOf(&d); !is || p != (Past{Rollout: "ranker-42", Epoch: 1, AtMs: 5000, Cause: "p99", Canary: "42"}) {
		t.Errorf("%+v, %v", p, is)
	}
	d.Mode = schemas.Advise
	if _, is := PastOf(&d); is {
		t.Error("advice counts")
	}
	d.Mode, d.Action, d.Reason.Guardrails = schemas.Enforce, schemas.ActionHold, nil
	if _, is := PastOf(&d); is {
		t.Error("a hold counts")
	}
	d.Action, d.Reason.Code = schemas.ActionRollback, strings.Repeat("x", 999)
	if p, _ := PastOf(&d); len(p.Cause) != schemas.MaxNameBytes {
		t.Errorf("a cause of %d bytes", len(p.Cause))
	}
}

func stateOf(t *testing.T, in ...Input) State {
	s, _ := fold(t, in...)
	return s
}

// TestCause: of all that had failed, the cause is what decided, wherever it stands in the rollout's file.
func TestCause(t *testing.T) {
	failed := func(name string, on schemas.On, excess float64) schemas.GuardrailStatus {
		return schemas.GuardrailStatus{Name: name, State: schemas.StateFailed, On: on, LogEvidence: 9 + excess, Threshold: 9}
	}
	fires := func(name string, on schemas.On, since schemas.Time) schemas.GuardrailStatus {
		return schemas.GuardrailStatus{Name: name, State: schemas.StateFailed, On: on, Against: schemas.AgainstAlerts, Alerts: []schemas.AlertStatus{{StartsAt: since}}}
	}
	suspect := schemas.GuardrailStatus{Name: "slow", State: schemas.StateSuspect, On: schemas.OnRollback, LogEvidence: 8, Threshold: 9}
	for name, test := range map[string]struct {
		code string
		all  []schemas.GuardrailStatus
		want string
	}{
		"the strongest proof":                      {"guardrail_failed", []schemas.GuardrailStatus{failed("p99", schemas.OnRollback, 1), failed("errors", schemas.OnRollback, 30)}, "errors"},
		"what warns had failed long before":        {"guardrail_failed", []schemas.GuardrailStatus{failed("ctr", schemas.OnWarn, 99), failed("errors", schemas.OnRollback, 1)}, "errors"},
		"what holds, too":                          {"guardrail_failed", []schemas.GuardrailStatus{failed("cpu", schemas.OnHold, 99), failed("errors", schemas.OnRollback, 1)}, "errors"},
		"patience: no proof, and all the same":     {"patience", []schemas.GuardrailStatus{suspect, failed("errors", schemas.OnRollback, -2)}, "errors"},
		"alike: the first of the file":             {"guardrail_failed", []schemas.GuardrailStatus{failed("p99", schemas.OnRollback, 1), failed("errors", schemas.OnRollback, 1)}, "p99"},
		"silence, beside a warning":                {codeCanaryMissing, []schemas.GuardrailStatus{failed("ctr", schemas.OnWarn, 9)}, codeCanaryMissing},
		"silence, beside an alert":                 {codeCanaryMissing, []schemas.GuardrailStatus{fires("page", schemas.OnRollback, 1)}, codeCanaryMissing},
		"a guardrail, beside an alert":             {"guardrail_failed", []schemas.GuardrailStatus{fires("page", schemas.OnRollback, 1), failed("errors", schemas.OnRollback, 1)}, "errors"},
		"the alert that began first":               {codeAlert, []schemas.GuardrailStatus{fires("busy", schemas.OnHold, 1), fires("page", schemas.OnRollback, 3), fires("slo", schemas.OnRollback, 2)}, "slo"},
		"a person, whatever had been said of it":   {codeCommanded, nil, codeCommanded},
		"time is over while one that warns failed": {"inconclusive", []schemas.GuardrailStatus{failed("ctr", schemas.OnWarn, 9)}, "inconclusive"},
	} {
		if have := causeOf(&schemas.Reason{Code: test.code, Guardrails: test.all}); have != test.want {
			t.Errorf("%s: %s, want %s", name, have, test.want)
		}
	}
}
