package decisions

import (
	"fmt"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// refusedTo is a command that somebody gives, at a second.
func refusedTo(name string, second int64, do CommandKind) Input {
	in := command(second, do, false)
	in.Command.Actor = schemas.Actor{Kind: "person", Name: name, Comment: "it must go on"}
	return in
}

// TestRefusalsAreBounded: of what is refused again and again, as to a script that tries, people are told once a minute with who it is, and then how often it was; every refusal is remembered for who
// asks.
func TestRefusalsAreBounded(t *testing.T) {
	s := stateOf(t, after(begun(), command(5, CommandPause, false))...)
	var told []*schemas.Notice
	ask := func(in Input, id string) {
		t.Helper()
		in.Command.ID = id
		var effects []Effect
		if s, effects = Step(s, in); s.Commanded[len(s.Commanded)-1].Refused == "" {
			t.Fatalf("%s isn't refused", id)
		}
		for _, e := range effects {
			told = append(told, e.Notice)
		}
	}
	for second := range int64(100) {
		ask(refusedTo("bot", 10+second, CommandPause), fmt.Sprint("bot-", second))
	}
	ask(refusedTo("bot", 111, "explode"), "bot-other")
	ask(refusedTo("ada", 112, CommandPause), "ada-1")
	if len(told) != 4 {
		t.Fatalf("told %d times, want 4", len(told))
	}
	for i, want := range []struct{ who, ends string }{
		{"bot", "until somebody resumes it."},
		{"bot", "until somebody resumes it. After 1970-01-01T00:00:10.000Z the same was asked for, refused, and not told 59 times, at last at 1970-01-01T00:01:09.000Z."},
		{"bot", "there is no such command."},
		{"ada", "until somebody resumes it."},
	} {
		if n := told[i]; n.Actor == nil || *n.Actor != (schemas.Actor{Kind: "person", Name: want.who, Comment: "it must go on"}) || !strings.HasSuffix(n.Sentence, want.ends) {
			t.Errorf("%d: told %+v, want of %s ... %s", i, n, want.who, want.ends)
		}
	}
	for name := range 3 * MaxRefusals { // whoever reaches NATS can say any name where there are no tokens
		ask(refusedTo(fmt.Sprint("nobody-", string(rune('a'+name))), 120, CommandPause), fmt.Sprint("many-", name))
	}
	if len(s.Refusals) != MaxRefusals || len(told) != 4+MaxRefusals-3 {
		t.Errorf("%d are kept, and %d told", len(s.Refusals), len(told))
	}
	told = nil
	ask(refusedTo("eve", 300, CommandPause), "eve-1")
	if len(told) != 1 || len(s.Refusals) != 1 {
		t.Errorf("a minute later %d are told, and %d kept", len(told), len(s.Refusals))
	}
}

// TestRefusalsByNumber: a reason that names how long something takes yet is the same one a second later.
func TestRefusalsByNumber(t *testing.T) {
	var s State
	c := refusedTo("ada", 1, CommandPromote).Command
	if _, told := s.refuse(c, "it takes 21s more", 1000); !told {
		t.Error("not told")
	}
	if _, told := s.refuse(c, "it takes 9s more", 2000); told {
		t.Error("told twice")
	}
	if _, told := s.refuse(c, "it holds (paused)", 3000); !told {
		t.Error("another reason isn't told")
	}
	if _, told := s.refuse(c, "it holds (paused)", 500); !told {
		t.Error("not told after the clock was set back")
	}
}
