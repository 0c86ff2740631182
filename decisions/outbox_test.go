package decisions

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// beginsBeside begins a rollout of 43 beside as many versions as an epoch looks at, which all serve users, as people were told.
func beginsBeside(change ...func(*Terms)) []Input {
	t := terms(append(change, weight)...)
	t.Canary = "43"
	in := applied(10, t)
	var left []Left
	for i := range maxLeft {
		left = append(left, Left{Version: fmt.Sprint(60 + i), Decision: fmt.Sprintf("ranker-%d.1.3", 60+i), By: "rollback", Told: true, Again: true})
	}
	in.Applied.Leave(left)
	return []Input{in, ack(11, 1, "eu", schemas.AckPrepared), ack(12, 2, "eu", schemas.AckApplied)}
}

// lastOf is the head after all inputs, the outbox of which was emptied before the last one, and what that one has led to.
func lastOf(t *testing.T, inputs ...Input) (Head, []Effect) {
	t.Helper()
	h, effects := NewHead(0), []Effect(nil)
	for _, in := range inputs {
		h.Outbox = nil
		var err error
		if h, effects, err = h.Take(in); err != nil {
			t.Fatal(err)
		}
		b, err := EncodeHead(h)
		if err != nil {
			t.Fatalf("after %d effects of input %s: %v", len(effects), in.Kind, err)
		}
		if _, err := DecodeHead(b); err != nil {
			t.Fatal(err)
		}
		if len(h.Outbox) != len(effects) || sizeOf(h.Outbox) > MaxOutboxBytes {
			t.Errorf("%d effects of input %s are %d entries of %d bytes, at most %d", len(effects), in.Kind, len(h.Outbox), sizeOf(h.Outbox), MaxOutboxBytes)
		}
	}
	return h, effects
}

// TestOneInputTellsOfAll: whatever one input leads to is decided, told and stored, also beside as many versions as an epoch looks at: that is no reason to panic at a journal, each time it is read.
func TestOneInputTellsOfAll(t *testing.T) {
	kinds := func(effects []Effect) string {
		counts := map[string]int{}
		for _, e := range effects {
			counts[strings.Fields(said(e))[0]]++
		}
		var words []string
		for word, n := range counts {
			words = append(words, fmt.Sprint(word, " ", n))
		}
		slices.Sort(words)
		return strings.Join(words, ", ")
	}
	all := func(from int64, n int, each int64, limits ...Beyond) []Input {
		in := windowsOf(from, n, 1000, 0)
		for i := range in {
			for v := range maxLeft {
				in[i].Traffic.Others = append(in[i].Traffic.Others, VersionFlow{fmt.Sprint(60 + v), each})
			}
			in[i].Traffic.Beyond = limits
		}
		return in
	}
	run := beginsBeside()
	// 43 goes back, has drained, and comes back with all others, while 41 fails.
	back := slices.Concat(run, []Input{verdictOf(20, VerdictRollback), ack(21, 3, "eu", schemas.AckApplied)}, all(22, 3, 0))
	returns := all(40, 3, 100, outage(true))
	for i := range returns {
		returns[i].Traffic.Canary = 100
	}
	for name, x := range map[string]struct {
		in   []Input
		want string // of the last
	}{
		"a start is committed":    {run[:2], "!retired-serves 8, #2 1"},
		"all have drained":        {slices.Concat(run, all(20, 3, 0)), "!retired-over 8"},
		"and a rollback is done":  {back, "!retired-over 8, !rollback-completed 1"},
		"all are back":            {slices.Concat(back, returns), "!retired-serves 9"},
		"and 41 is no refuge":     {slices.Concat(back, returns[:1]), "!no-refuge 1"},
		"all drain again":         {slices.Concat(back, returns, all(60, 3, 0)), "!retired-over 9"},
		"another takes over":      {after(run, command(20, CommandSupersede, false)), "!retired-over 8, #3 1"},
		"it is deleted":           {after(run, command(20, CommandDelete, false)), "!retired-over 8, #3 1"},
		"41 fails with the third": {slices.Concat(back, all(40, 2, 100), returns[2:]), "!no-refuge 1, !retired-serves 8"},
	} {
		if _, effects := lastOf(t, x.in...); kinds(effects) != x.want {
			t.Errorf("%s: %s, want %s", name, kinds(effects), x.want)
		}
	}
}

// TestOneInputFits: the greatest that one input can lead to fits into an empty outbox, and the head with it into its record.
func TestOneInputFits(t *testing.T) {
	long := func(i int) string { return fmt.Sprintf("%s%02d", strings.Repeat("x", schemas.MaxNameBytes-2), i) }
	sinks := func(t *Terms) {
		for i := range schemas.MaxSinks {
			t.Sinks.Registry = append(t.Sinks.Registry, long(i))
		}
	}
	full := func(in Input) Input { // as great as a decision of it can be
		for i := range 5000 {
			in.Verdict.Reason.Guardrails = append(in.Verdict.Reason.Guardrails, schemas.GuardrailStatus{Name: fmt.Sprint(long(i%100), i), State: schemas.StateFailed})
		}
		return in
	}
	// Every sink has refused its step, which the next epoch ends.
	run := beginsBeside(sinks, hotfix)
	back := after(run, full(verdictOf(20, VerdictRollback)))
	for i := range schemas.MaxSinks {
		refused := ack(21, 3, long(i), schemas.AckRejected)
		refused.Ack.Why = strings.Repeat("y", MaxWhy)
		back = append(back, refused)
	}
	next := later(30, id(1, 3)+"/registry-"+long(0))
	if _, effects := lastOf(t, after(back, next)...); len(effects) != schemas.MaxSinks {
		t.Errorf("%d effects, want one for each of %d sinks", len(effects), schemas.MaxSinks)
	}
	// A verdict has all that it can have.
	v := beyond(full(verdictOf(20, VerdictRollback)), outage(true))
	for i := range maxNamed {
		name := fmt.Sprintf("%s in %s", long(i), long(i))
		v.Verdict.Concerns = append(v.Verdict.Concerns, Concern{name, schemas.StateFailed, strings.Repeat("z", 2*MaxSentence), true}, Concern{name, schemas.StateSuspect, strings.Repeat("z", 2*MaxSentence), true},
			Concern{name, schemas.StateSuspect, strings.Repeat("z", 2*MaxSentence), false}, Concern{name, schemas.StateContinue, strings.Repeat("z", 2*MaxSentence), false})
	}
	if _, effects := lastOf(t, after(run, v)...); len(effects) != 6 {
		t.Errorf("%d effects, want four of guardrails, the rollback, and what it is followed by", len(effects))
	}
	was := verdictOf(19, VerdictHold)
	now := full(verdictOf(20, VerdictHold))
	now.Verdict.Reason.Code, now.Verdict.Concerns, now.Verdict.Beyond = codeBothArms, v.Verdict.Concerns, v.Verdict.Beyond
	for i := range 8 { // as many codes as there are
		was.Verdict.Amiss = append(was.Verdict.Amiss, schemas.Finding{Code: fmt.Sprint("was", i), Sentence: strings.Repeat("z", MaxSentence)})
		now.Verdict.Amiss = append(now.Verdict.Amiss, schemas.Finding{Code: fmt.Sprint("now", i), Sentence: strings.Repeat("z", MaxSentence)})
	}
	if _, effects := lastOf(t, after(run, was, now)...); len(effects) != 2*8+4+2 {
		t.Errorf("%d effects of a verdict", len(effects))
	}
}

// TestOutboxFull: a record of the journal may lead to many inputs before its outbox is emptied: it is full when it is as great as its record allows, however many entries that are.
func TestOutboxFull(t *testing.T) {
	h := headOf(t, rolledBack(terms())...)
	at := int64(15)
	for {
		next, _, err := h.Take(expire(at, id(1, 3)+"/route"))
		if err != nil {
			if !errors.Is(err, ErrOutboxFull) {
				t.Fatal(err)
			}
			break
		}
		h = next
		at = h.State.Deadlines()[0].AtMs/1000 + 1
		if at > 1e6 {
			t.Fatalf("%d entries and no bound", len(h.Outbox))
		}
	}
	if size := sizeOf(h.Outbox); size > MaxOutboxBytes || size < MaxOutboxBytes-MaxBodyBytes || len(h.Outbox) < 100 {
		t.Errorf("full at %d entries of %d bytes", len(h.Outbox), size)
	}
	if _, err := EncodeHead(h); err != nil {
		t.Error(err)
	}
}
