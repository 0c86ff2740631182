package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// foul is what a comment, a name or a reason may have: an order to the terminal, a line of its own, and text that is turned around; and how it is to be shown.
const (
	foul  = "see\x1b[2J\nstatus: promoted\u202eekaf"
	shown = `see\x1b[2J\nstatus: promoted\u202eekaf`
)

// obeyed is what of a text a terminal would obey, or that isn't seen.
func obeyed(text string) bool {
	return strings.ContainsAny(text, "\x1b\u202e\u009b") || strings.Contains(text, "\nstatus: promoted\u202e")
}

// TestShowsWhatOthersWrote: a comment of who commands, and the names and reasons of who answers, are shown by `rollout show` and obeyed by no terminal.
func TestShowsWhatOthersWrote(t *testing.T) {
	s := draining()
	s.Answers = append(s.Answers, decisions.Answer{Consumer: "ghost" + foul, Seq: 3, Status: schemas.AckApplied})
	s.Answers[1].Why = foul
	s.Why = &schemas.Reason{Code: "commanded", Sentence: "ada rolled 42 back: " + foul + "."}
	v := viewOf(&decisions.Head{State: s}, nil)
	var b strings.Builder
	if err := printView(&b, &v); err != nil {
		t.Fatal(err)
	}
	if obeyed(b.String()) {
		t.Errorf("shown raw\n%q", b.String())
	}
	for _, want := range []string{
		`decided: commanded: "ada rolled 42 back: ` + shown + `.`,
		`ack: us answered rejected to decision 3: "` + shown + `"` + "\n",
		`ack: "ghost` + shown + "\" answered applied to decision 3\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("shown\n%s\nwant\n%s", b.String(), want)
		}
	}
}

// TestPrintsWhatOthersWrote: `decisions list` and `watch` print a comment so that no terminal obeys it, and with --json to the byte; of a forgery likewise.
func TestPrintsWhatOthersWrote(t *testing.T) {
	d := &schemas.Decision{ID: "r.1.3", Model: "m", Rollout: "r", Epoch: 1, Seq: 3, Action: schemas.ActionHold, Reason: schemas.Reason{Code: "paused", Sentence: "ada paused it: " + foul + "."}}
	body, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	l := &bus.Logged{Decision: d, Signed: schemas.Signed{Body: body}, Model: "m" + foul, At: time.Unix(0, 0)}
	var out bytes.Buffer
	c := &console{out: &out, err: &out}
	if err := printLogged(c, l); err != nil || obeyed(out.String()) || !strings.Contains(out.String(), "\n    \"ada paused it: "+shown+".\"\n") {
		t.Errorf("%v: printed\n%q", err, out.String())
	}
	out.Reset()
	forged := *d
	forged.ID = foul
	if err := printRefused(c, &bus.Logged{Decision: &forged, Signed: l.Signed, Model: l.Model}, &aFinding{Why: foul}); err != nil || obeyed(out.String()) || strings.Count(out.String(), shown) != 3 {
		t.Errorf("%v: printed\n%q", err, out.String())
	}
	out.Reset()
	f := aFinding{Kind: findingChain, Message: 3, Decision: foul, Why: foul, Differences: []difference{{Path: "reason.sentence", Published: body, Computed: body}}}
	if err := writeFinding(&out, &f); err != nil || obeyed(out.String()) || strings.Count(out.String(), shown) != 2 {
		t.Errorf("%v: printed\n%q", err, out.String())
	}
	out.Reset()
	c.json = true
	if err := printLogged(c, l); err != nil || out.String() != string(body)+"\n" {
		t.Errorf("%v: printed\n%q", err, out.String())
	}
}

// TestReadableJSON: it is the same JSON.
func TestReadableJSON(t *testing.T) {
	type x struct{ A string }
	body, err := json.MarshalIndent(x{foul + "\u009b \U000e0001 é…"}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text := readableJSON(body)
	var had, has x
	if err := json.Unmarshal([]byte(text), &has); err != nil || json.Unmarshal(body, &had) != nil || has != had || obeyed(text) {
		t.Errorf("%v: %q of %q", err, text, body)
	}
	if !strings.Contains(text, "é…") || !strings.Contains(text, "\n  ") {
		t.Errorf("more is escaped than has to be: %s", text)
	}
}

// TestLineBreaksInAReason: what a router or a store gives as its reason is quoted where a refusal names it, as `rollout show` does; its lines are not taken for causes of the program's own.
func TestLineBreaksInAReason(t *testing.T) {
	const reason = "no disk\nno memory\nno hope"
	wait := &decisions.Wait{Decision: "r.1.3", Seq: 3, Want: schemas.AckApplied, Stores: []string{"users"}}
	s := decisions.State{Epoch: 1, Status: decisions.StatusRolledBack, Terms: decisions.Terms{Rollout: "r", Model: "m", Mode: schemas.Enforce},
		Saga: &decisions.Saga{Steps: []decisions.SagaStep{{Name: decisions.StepRestore, State: decisions.StepFailed, Wait: wait, Why: reason}}}}
	for name, err := range map[string]error{
		"a command": tellReply(&console{}, order{Command: schemas.Command{Do: "retry"}}, &schemas.CommandReply{Refused: s.RefusesRetry(false)}),
		"delete":    stillUndone("r", &s),
	} {
		if text := oneLine(err); !strings.Contains(text, `no disk\nno memory\nno hope`) {
			t.Errorf("%s: %s", name, text)
		}
	}
}
