package main

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/cmd/serve"
	"streamcanary/loadgen"
	"streamcanary/schemas"
)

const demoOnset = schemas.Time(100_000)

// seen is a demo in which everything has happened, but for what change leaves out.
func seen(change func(*demoScreen)) *demoScreen {
	s := &demoScreen{
		console: &console{out: io.Discard},
		rollback: &schemas.Decision{Action: schemas.ActionRollback, Reason: schemas.Reason{Sentence: "It is slower.", Guardrails: []schemas.GuardrailStatus{
			{Name: "errors", State: schemas.StateSuspect}, {Name: "p99", State: schemas.StateFailed}}}},
		acked: true, drained: true,
		complete: &schemas.Notice{Kind: schemas.NoticeRollbackCompleted, Outcome: schemas.OutcomeDone, Times: &schemas.RollbackTimes{Detected: demoOnset + 2000}},
	}
	change(s)
	return s
}

// TestDemoSteps: what a rollback was decided by is told by its first decision; those that follow tell its steps.
func TestDemoSteps(t *testing.T) {
	s := seen(func(s *demoScreen) { s.rollback = nil })
	for _, reason := range []schemas.Reason{
		{Sentence: "It is slower.", Guardrails: []schemas.GuardrailStatus{{Name: "p99", State: schemas.StateFailed}}}, {Sentence: "The store is restored."},
	} {
		s.decision(&schemas.Decision{Action: schemas.ActionRollback, Reason: reason})
	}
	if !provenBy(s.rollback, []string{"p99"}) {
		t.Errorf("the rollback is said to be decided by %q", s.rollback.Reason.Sentence)
	}
}

// TestDemoEnds: the demo goes on while anything is missing, and fails where something else happened than should have.
func TestDemoEnds(t *testing.T) {
	for _, row := range []struct {
		name           string
		change         func(*demoScreen)
		missing, wrong string
	}{
		{"all of it", func(*demoScreen) {}, "", ""},
		{"nothing", func(s *demoScreen) { s.rollback, s.acked, s.drained, s.complete = nil, false, false, nil }, "no rollback was decided", ""},
		{"no ack", func(s *demoScreen) { s.acked = false }, "the router did not obey the rollback", ""},
		{"still in the stream", func(s *demoScreen) { s.drained = false }, "the canary did not drain from the stream", ""},
		{"no notice", func(s *demoScreen) { s.complete = nil }, "the rollback was not said to be carried out", ""},
		{"not proven", func(s *demoScreen) { s.complete.Outcome = schemas.OutcomeDoneUnproven }, "", "that is not proven (outcome done_unproven)"},
		{"no times", func(s *demoScreen) { s.complete.Times = nil }, "", "that is not proven"},
		{"before the harm", func(s *demoScreen) { s.complete.Times.Detected = demoOnset - 1 }, "", "a healthy canary was rolled back"},
		{"another guardrail", func(s *demoScreen) { s.rollback.Reason.Guardrails[1].Name = "timeouts" }, "",
			"another harm than the scenario's (p99, errors): It is slower."},
		{"the missing canary", func(s *demoScreen) { s.rollback.Reason.Guardrails = nil }, "", "another harm than the scenario's"},
	} {
		s := seen(row.change)
		if got := s.missing(); got != row.missing {
			t.Errorf("%s: missing %q, want %q", row.name, got, row.missing)
		}
		if row.missing != "" {
			continue
		}
		err := s.wrong(loadgen.Truth{Onset: demoOnset, Expect: loadgen.Expect{Fail: []string{"p99", "errors"}}})
		if (err == nil) != (row.wrong == "") || err != nil && !strings.Contains(err.Error(), row.wrong) {
			t.Errorf("%s: %v, want %q", row.name, err, row.wrong)
		}
	}
}

// standingOf is a window of the demo with so many answers of the canary.
func standingOf(canary int64) []serve.Standing {
	var x serve.Standing
	x.Windows, x.Served.Baseline, x.Served.Canary = 9, 100, canary
	x.Guardrails = []schemas.GuardrailStatus{{Name: "errors", State: schemas.StateContinue, Canary: schemas.ArmCount{N: 10}}, {Name: "cpu"}}
	return []serve.Standing{x}
}

// TestDemoBlockStaysInPlace: on a terminal the guardrails are printed over, on lines that are cut off and not wrapped, so that exactly those
// lines that were printed are taken away again, whatever the width.
func TestDemoBlockStaysInPlace(t *testing.T) {
	var out bytes.Buffer
	s := newDemoScreen(&console{out: &out}, time.Now(), true)
	s.standing(standingOf(10))
	s.standing(standingOf(20))
	s.say("over")
	blocks := strings.Split(out.String(), "\x1b[3A\x1b[J") // the line of the window, the heading, one guardrail with data
	if len(blocks) != 3 {
		t.Fatalf("%d blocks, want 3:\n%q", len(blocks), out.String())
	}
	for _, block := range blocks[:2] {
		if !strings.HasPrefix(block, cutLines) || !strings.HasSuffix(block, "\n"+wrapLines) || strings.Count(block, wipeRest+"\n") != 3 {
			t.Errorf("the block is %q", block)
		}
	}
	if s.drained {
		t.Error("the canary has drained while it serves")
	}
}

// TestDemoElsewhere: where lines can't be changed, nothing tries to, and guardrails come seldom; the canary is seen to drain all the same.
func TestDemoElsewhere(t *testing.T) {
	var out bytes.Buffer
	s := newDemoScreen(&console{out: &out}, time.Now(), false)
	s.standing(standingOf(10))
	s.standing(standingOf(0))
	if s.drained {
		t.Error("drained before there was a rollback")
	}
	s.decision(&schemas.Decision{Action: schemas.ActionRollback, Reason: schemas.Reason{Sentence: "It is slower."}})
	s.standing(standingOf(0))
	if !s.drained {
		t.Error("the canary has not drained with the rollback decided and none of it in the window")
	}
	if text := out.String(); strings.Contains(text, "\x1b") || strings.Count(text, "GUARDRAIL") != 1 || !strings.Contains(text, "ROLLBACK: It is slower.\n") {
		t.Errorf("it prints %q", text)
	}
}

// TestDemoFailsOnABrokenOutput: what nobody can read was not shown.
func TestDemoFailsOnABrokenOutput(t *testing.T) {
	closed := errors.New("closed")
	s := newDemoScreen(&console{out: &brokenOnce{w: failing{closed}}}, time.Now(), false)
	s.say("something")
	if err := s.broken(); !errors.Is(err, closed) {
		t.Errorf("got %v, want %v", err, closed)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestDemoStore: what the store is told twice it does once, and what it can't go back to it refuses.
func TestDemoStore(t *testing.T) {
	var said []string
	s := newDemoStore(func(what string) { said = append(said, what) })
	ctx := t.Context()
	s.write()
	name, err := s.Snapshot(ctx)
	if err != nil || name != "rows-1" {
		t.Fatalf("%q, %v", name, err)
	}
	s.write()
	if again, _ := s.Snapshot(ctx); again != name {
		t.Errorf("a second snapshot, %s", again)
	}
	if s.wrong() == nil {
		t.Error("all is said to be restored before anything was")
	}
	for range 2 {
		if err := s.Freeze(ctx, name); err != nil {
			t.Error(err)
		}
	}
	s.write()
	if err := s.Restore(ctx, "rows-9"); err == nil {
		t.Error("it goes back to what it doesn't have")
	}
	if err := errors.Join(s.Restore(ctx, name), s.Unfreeze(ctx), s.Unfreeze(ctx), s.wrong()); err != nil {
		t.Error(err)
	}
	want := []string{"the store takes a snapshot of its 1 rows", "the store takes no more writes; it has 2 rows", "the store goes back to rows-1", "the store takes writes again, from 1 rows on"}
	if !slices.Equal(said, want) {
		t.Errorf("it said %q, want %q", said, want)
	}
}
