package decisions

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// terms are those of the tests: enforce, any router, 10 s for acks and 60 s to drain.
func terms(change ...func(*Terms)) Terms {
	t := Terms{
		Rollout: "ranker-42", Model: "ranker", Baseline: "41", Canary: "42", Mode: schemas.Enforce,
		Stages: []StageTerms{{}}, AckWithinMs: 10_000, DrainWithinMs: 60_000, Sha256: strings.Repeat("a", 64),
	}
	for _, c := range change {
		c(&t)
	}
	return t
}

func advise(t *Terms)            { t.Mode = schemas.Advise }
func weight(t *Terms)            { t.Stages[0].WeightBP = 1000 }
func unattended(t *Terms)        { t.Unattended = true }
func named(t *Terms)             { t.Routers = []string{"eu", "us"} }
func id(epoch, seq int64) string { return fmt.Sprintf("ranker-42.%d.%d", epoch, seq) }

var person = schemas.Actor{Kind: "person", Name: "ada"}

// Inputs at second `at` of both clocks.
func applied(at int64, t Terms) Input {
	return Input{Kind: InputApplied, EventMs: at * 1000, WallMs: at * 1000, Applied: &Applied{Terms: t, Epoch: 1, Actor: person}}
}

func ack(at, seq int64, who string, status schemas.AckStatus) Input {
	return Input{Kind: InputAck, EventMs: at * 1000, WallMs: at * 1000, Ack: &schemas.Ack{
		Decision: id(1, seq), Epoch: 1, Seq: seq, Consumer: who, Status: status,
	}}
}

func expire(at int64, deadline string) Input {
	return Input{Kind: InputExpired, WallMs: at * 1000, Expired: &Expired{Deadline: deadline}}
}

// expireQuiet is expire where all predictions were read, and none came.
func expireQuiet(at int64, deadline string) Input {
	in := expire(at, deadline)
	in.Expired.Quiet = true
	return in
}

// expireSealed is the verify step's deadline where all of the model's predictions were read up to a second, and the last were of another.
func expireSealed(at, sealed, served int64) Input {
	in := expire(at, id(1, 3)+"/verify")
	in.Expired.SealedMs, in.Expired.ServedMs = sealed*1000, served*1000
	return in
}

func verdictOf(at int64, action VerdictAction) Input {
	return Input{Kind: InputVerdict, EventMs: at * 1000, WallMs: at * 1000, Verdict: &Verdict{
		Action: action, Reason: schemas.Reason{Code: "code-" + string(action), Sentence: "Because."}, HarmBeganMs: (at - 3) * 1000,
	}}
}

func grave(in Input) Input {
	in.Verdict.Severe = true
	return in
}

func traffic(at, baseline, canary int64) Input {
	return Input{Kind: InputTraffic, EventMs: (at + 1) * 1000, WallMs: (at + 3) * 1000, Traffic: &Traffic{
		StartMs: at * 1000, EndMs: (at + 1) * 1000, Baseline: baseline, Canary: canary,
	}}
}

func command(at int64, do CommandKind, force bool) Input {
	return Input{Kind: InputCommand, WallMs: at * 1000, Command: &Command{Do: do, Actor: person, Force: force}}
}

func gap(at int64) Input {
	return Input{Kind: InputRuling, EventMs: at * 1000, WallMs: at * 1000, Ruling: &Ruling{Kind: RulingGap}}
}

// said is an effect in one line: "#seq action phase routes" of a decision, "!kind waiting attempt" of a notice, "again id".
func said(e Effect) string {
	switch {
	case e.Decision != nil:
		d := &e.Decision.Decision
		words := []string{fmt.Sprintf("#%d", d.Seq), string(d.Action)}
		if d.Phase != "" {
			words = append(words, string(d.Phase))
		}
		for _, r := range d.Routes {
			words = append(words, fmt.Sprintf("%s:%d", r.Version, r.WeightBP))
		}
		if d.Supersedes != "" {
			words = append(words, "over", d.Supersedes)
		}
		if e.Decision.Routes {
			words = append(words, "(route)")
		}
		return strings.Join(words, " ")
	case e.Notice != nil:
		return strings.TrimSpace(fmt.Sprintf("!%s %s %s", e.Notice.Kind, strings.Join(e.Notice.Waiting, ","), e.Notice.Outcome))
	}
	return "again " + e.Again
}

// fold feeds inputs one after the other, and returns the last state and every effect in words.
func fold(t *testing.T, inputs ...Input) (State, []string) {
	t.Helper()
	return foldWith(t, said, inputs...)
}

// foldWith is fold with other words.
func foldWith(t *testing.T, say func(Effect) string, inputs ...Input) (State, []string) {
	t.Helper()
	var s State
	var words []string
	for i, in := range inputs {
		if err := in.check(); err != nil {
			t.Fatalf("input %d: %v", i, err)
		}
		before := fmt.Sprintf("%+v", s)
		next, effects := Step(s, in)
		if after := fmt.Sprintf("%+v", s); after != before {
			t.Fatalf("input %d (%s) changed the state that it was given:\n%s\n%s", i, in.Kind, before, after)
		}
		s = next
		for _, e := range effects {
			words = append(words, say(e))
		}
	}
	return s, words
}

// expect compares what a fold said.
func expect(t *testing.T, have []string, want ...string) {
	t.Helper()
	if !slices.Equal(have, want) {
		t.Errorf("effects\n  %s\nwant\n  %s", strings.Join(have, "\n  "), strings.Join(want, "\n  "))
	}
}

// running is a rollout that has started.
func running(t Terms) []Input {
	in := []Input{applied(1, t)}
	if !t.awaited() {
		return in
	}
	if len(t.Routers) == 0 {
		return append(in, ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied))
	}
	for _, who := range t.Routers {
		in = append(in, ack(2, 1, who, schemas.AckPrepared))
	}
	return in
}

func after(start []Input, more ...Input) []Input { return append(slices.Clone(start), more...) }
