package decisions

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// looked is what somebody found of the pillars at a second.
func looked(at int64, all ...Pillar) Input {
	return Input{Kind: InputPillars, WallMs: at * 1000, Pillars: &Checked{Pillars: all}}
}

func registryThat(state PillarState, baseline bool, why ...string) Pillar {
	p := NewPillar(PillarRegistry, state, why)
	p.Baseline = baseline
	return p
}

// TestPillarsWhileItRuns: one that fails is told and keeps the canary from more traffic, one that can't be checked does neither, and one that holds again ends that.
func TestPillarsWhileItRuns(t *testing.T) {
	const moved = "version 41 of registered model ranker had the source a, and has b now"
	held, failed := registryThat(PillarHeld, false), registryThat(PillarFailed, true, moved)
	away := registryThat(PillarUnknown, false, "MLflow does not answer")
	input := NewPillar(PillarInput, PillarFailed, []string{"/user is required"})
	start := running(terms(weight))
	for _, test := range []struct {
		name   string
		in     []Input
		want   []string
		status Status
	}{
		{"all hold", []Input{looked(10, held), verdictOf(11, VerdictPromote)}, []string{"#3 promote 41:0 42:10000 (route)"}, StatusPromoting},
		{"unknown is no failure", []Input{looked(10, away), verdictOf(11, VerdictPromote)}, []string{"#3 promote 41:0 42:10000 (route)"}, StatusPromoting},
		{"one fails, and holds again", []Input{looked(10, failed), verdictOf(11, VerdictPromote), verdictOf(12, VerdictContinue), looked(20, held), verdictOf(21, VerdictPromote)},
			[]string{"!pillar-failed", "#3 hold 41:9000 42:1000 (route)", "!pillar-held", "#4 resume 41:9000 42:1000 over " + id(1, 3) + " (route)", "#5 promote 41:0 42:10000 (route)"}, StatusPromoting},
		{"told once", []Input{looked(10, failed), looked(20, failed), looked(30, input)}, []string{"!pillar-failed", "#3 hold 41:9000 42:1000 (route)", "!pillar-failed"}, StatusHolding},
		{"what can't be checked any more stays failed", []Input{looked(10, failed), looked(20, away), verdictOf(21, VerdictPromote)}, []string{"!pillar-failed", "#3 hold 41:9000 42:1000 (route)"}, StatusHolding},
		{"a person goes past it", []Input{looked(10, failed), command(11, CommandPromote, false), command(12, CommandPromote, true)},
			[]string{"!pillar-failed", "#3 hold 41:9000 42:1000 (route)", "!command-refused", "#4 promote 41:0 42:10000 over " + id(1, 3) + " (route)"}, StatusPromoting},
		{"a person resumes, and it is waived until it fails anew", []Input{looked(10, failed), command(11, CommandResume, false), verdictOf(12, VerdictContinue), looked(20, held), looked(30, failed)},
			[]string{"!pillar-failed", "#3 hold 41:9000 42:1000 (route)", "#4 resume 41:9000 42:1000 over " + id(1, 3) + " (route)", "!pillar-held", "!pillar-failed", "#5 hold 41:9000 42:1000 (route)"}, StatusHolding},
		{"under a pause", []Input{command(9, CommandPause, false), looked(10, failed), command(11, CommandResume, false)},
			[]string{"#3 hold 41:9000 42:1000 (route)", "!pillar-failed", "#4 resume 41:9000 42:1000 over " + id(1, 3) + " (route)", "#5 hold 41:9000 42:1000 (route)"}, StatusHolding},
		{"under a pause, and holds again", []Input{command(9, CommandPause, false), looked(10, failed), looked(20, held)}, []string{"#3 hold 41:9000 42:1000 (route)", "!pillar-failed", "!pillar-held"}, StatusHolding},
		{"one of two holds again", []Input{looked(10, failed, input), looked(20, held), looked(30, NewPillar(PillarInput, PillarHeld, nil))}, []string{"!pillar-failed", "#3 hold 41:9000 42:1000 (route)",
			"!pillar-held pillar input", "!pillar-held", "#4 resume 41:9000 42:1000 over " + id(1, 3) + " (route)"}, StatusRunning},
		{"after the end", []Input{verdictOf(9, VerdictRollback), looked(10, failed)}, []string{"#3 rollback 41:10000 42:0 (route)"}, StatusRolledBack},
	} {
		s, words := fold(t, after(start, test.in...)...)
		if expect(t, words[2:], test.want...); s.Status != test.status {
			t.Errorf("%s: it is %s, want %s", test.name, s.Status, test.status)
		}
	}
}

// TestPillarsThatFailTogether: what is told names them all.
func TestPillarsThatFailTogether(t *testing.T) {
	input := NewPillar(PillarInput, PillarFailed, []string{"/user is required"})
	start := running(terms(weight))
	s, _ := fold(t, after(start, looked(10, registryThat(PillarFailed, true, "version 41 is gone"), input))...)
	if want := "Pillars hold no longer: registry and input failed: registry: version 41 is gone; input: /user is required. 42 gets no more traffic until they do, or a person resumes the rollout."; s.Hold == nil || s.Why.Sentence != want {
		t.Errorf("held for %+v, want %s", s.Why, want)
	}
	s, _ = fold(t, after(start, looked(10, input, registryThat(PillarFailed, true, "version 41 is gone")), failedBy(60, "p99"))...)
	if want := "(pillars input and registry failed: input: /user is required; registry: version 41 is gone)"; s.Forward == nil || !strings.Contains(s.Forward.Sentence, want) {
		t.Errorf("recommended %+v, want %s", s.Forward, want)
	}
}

// TestPillarsThatFailBeforeARollback: harm rolls back all the same, and what that may not help is said behind it.
func TestPillarsThatFailBeforeARollback(t *testing.T) {
	for _, test := range []struct {
		pillar Pillar
		code   string // "": nothing
		want   string
	}{
		{registryThat(PillarFailed, true, "version 41 is gone"), "no_refuge", "41 may not be deployable any more, so going back to it may not work (pillar registry failed: version 41 is gone)."},
		{registryThat(PillarFailed, false, "version 42 is gone"), "", ""},
		{NewPillar(PillarInput, PillarFailed, []string{"/user is required"}), "schema_gone", "What is made for 41 and for 42 doesn't fit each other any more, so going back to it may not work (pillar input failed: /user is required)."},
		{NewPillar(PillarInput, PillarUnknown, []string{"away"}), "", ""},
	} {
		s, words := fold(t, after(running(terms(weight)), looked(10, test.pillar), failedBy(60, "p99"))...)
		if s.Status != StatusRolledBack {
			t.Errorf("%+v: %s, %q", test.pillar, s.Status, words)
		}
		switch {
		case test.code == "" && s.Forward != nil:
			t.Errorf("%+v: recommended %+v", test.pillar, s.Forward)
		case test.code != "" && (s.Forward == nil || s.Forward.Code != test.code || !strings.HasPrefix(s.Forward.Sentence, test.want)):
			t.Errorf("%+v: recommended %+v", test.pillar, s.Forward)
		}
	}
}

// TestPillarsNews: only what differs from what is known is journaled, and what it says since when.
func TestPillarsNews(t *testing.T) {
	held, failed, away := registryThat(PillarHeld, false), registryThat(PillarFailed, true, "it is gone"), registryThat(PillarUnknown, false, "no answer")
	s, _ := fold(t, running(terms(weight))...)
	news := func(p Pillar) bool { return s.News([]Pillar{p}) }
	if news(held) || !news(failed) || !news(away) {
		t.Errorf("at first: held %v, failed %v, unknown %v", news(held), news(failed), news(away))
	}
	s, _ = Step(s, looked(10, failed))
	s, _ = Step(s, looked(20, away))
	if !news(held) || !news(failed) || news(away) {
		t.Errorf("failed, then unknown: held %v, failed %v, unknown %v", news(held), news(failed), news(away))
	}
	want := []string{"registry: FAILED since 1970-01-01T00:00:10Z: it is gone", "registry: unknown since 1970-01-01T00:00:20Z, and taken for what it was: no answer"}
	if got := s.WatchedTexts(); !reflect.DeepEqual(got, want) {
		t.Errorf("shown %q", got)
	}
	if s, _ = Step(s, looked(30, held)); fmt.Sprint(s.WatchedTexts()) != "[registry: holds again since 1970-01-01T00:00:30Z]" || news(held) {
		t.Errorf("shown %q", s.WatchedTexts())
	}
	if s, _ = fold(t, after(running(terms(weight)), verdictOf(9, VerdictRollback))...); news(failed) {
		t.Error("news of what has ended")
	}
	for name, in := range map[string]Input{
		"unchecked": looked(1, NewPillar(PillarInput, PillarUnchecked, nil)), "too many": looked(1, held, held, held, held, held), "no pillars": {Kind: InputPillars},
	} {
		if _, err := EncodeInput(in); err == nil {
			t.Errorf("%s: it is journaled", name)
		}
	}
	b, err := EncodeInput(looked(10, failed, away))
	if err != nil {
		t.Fatal(err)
	}
	if read, err := DecodeInput(b); err != nil || !reflect.DeepEqual(read, looked(10, failed, away)) {
		t.Errorf("read %+v, %v", read, err)
	}
}
