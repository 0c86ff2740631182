package decisions

import (
	"fmt"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// leftOut is the ruling that a group's message left so many alerts out.
func leftOut(at int64, group string, missing int64) Input {
	return Input{Kind: InputRuling, WallMs: at * 1000, Ruling: &Ruling{Kind: RulingTruncated, Group: group, Missing: missing}}
}

func TestTruncated(t *testing.T) {
	const told, whole = "!alerts-truncated page,busy,note", "!alerts-whole page,busy,note"
	many := func(n int) (in []Input) {
		for i := range n {
			in = append(in, leftOut(int64(20+i), fmt.Sprint("g", i), 1))
		}
		return in
	}
	tests := []struct {
		name string
		in   []Input
		want []string
		kept string
	}{
		{"it is told once", []Input{leftOut(20, "a", 7), leftOut(21, "a", 7), leftOut(22, "a", 8)}, []string{told}, "a 8"},
		{"of several groups once", []Input{leftOut(20, "a", 7), leftOut(21, "b", 1)}, []string{told}, "a 7, b 1"},
		{"it is over with a whole message of that group", []Input{leftOut(20, "a", 7), leftOut(21, "b", 1), leftOut(22, "a", 0)}, []string{told}, "b 1"},
		{"a whole message is no news", []Input{leftOut(20, "a", 0)}, nil, ""},
		{"its end is told, when the last group is whole", []Input{leftOut(20, "a", 7), leftOut(21, "b", 1), leftOut(22, "a", 0), leftOut(23, "b", 0), leftOut(24, "b", 0)}, []string{told, whole}, ""},
		{"that comes and goes is told once an hour", []Input{leftOut(20, "a", 7), leftOut(21, "a", 0), leftOut(22, "a", 7), leftOut(23, "a", 0), leftOut(3620, "a", 7)}, []string{told, whole, told}, "a 7"},
		{"that comes and stays is told when the hour is over", []Input{leftOut(20, "a", 7), leftOut(21, "a", 0), leftOut(22, "a", 7), expire(3619, truncatedDeadline), expire(3620, truncatedDeadline), leftOut(3700, "a", 0)},
			[]string{told, whole, told, whole}, ""},
		{"nothing is told again of what was told", []Input{leftOut(20, "a", 7), expire(3620, truncatedDeadline)}, []string{told}, "a 7"},
		{"no more groups than the bound", many(MaxTruncated + 2), []string{told}, "g2 1, g3 1, g4 1, g5 1, g6 1, g7 1, g8 1, g9 1"},
		{"an epoch that has ended hears nothing", []Input{command(10, CommandRollback, false), leftOut(20, "a", 7)}, []string{"rollback commanded: ada rolled 42 back."}, ""},
		{"it holds nothing up", []Input{leftOut(20, "a", 7), verdictOf(21, VerdictPromote)}, []string{told, "promote code-promote: Because."}, "a 7"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, words := foldWith(t, saidWhy, after(running(terms(guarded)), test.in...)...)
			expect(t, words[2:], test.want...)
			var kept []string
			for _, x := range s.Truncated {
				kept = append(kept, fmt.Sprint(x.Group, " ", x.Missing))
			}
			if have := strings.Join(kept, ", "); have != test.kept {
				t.Errorf("kept %s, want %s", have, test.kept)
			}
		})
	}
	s, words := fold(t, after(running(terms()), leftOut(20, "a", 7))...)
	if len(words) != 2 || s.HeedsTruncated("a", 7) {
		t.Errorf("%q: it has no guardrail from outside", words)
	}
}

// TestWhatIsSaidOfTruncated: what is told and shown says whose alerts are missing, since when, and what to do.
func TestWhatIsSaidOfTruncated(t *testing.T) {
	s, _ := fold(t, after(running(terms(guarded)), leftOut(20, `{}:{alertname="A"}`, 7), leftOut(21, "b", 1))...)
	want := `Alertmanager left 7 alerts of group {}:{alertname="A"} out of its last message (known since 1970-01-01T00:00:20.000Z), and one that fits page, busy, note may be among them: look at them there.`
	if texts := s.TruncatedTexts(); len(texts) != 2 || !strings.HasPrefix(texts[1], want) || !strings.Contains(texts[0], "left 1 alerts of group b ") {
		t.Errorf("got %q, want %s", texts, want)
	}
	if s, _ = Step(s, command(30, CommandRollback, false)); s.TruncatedTexts() != nil {
		t.Errorf("%q, although all has gone back", s.TruncatedTexts())
	}
	_, effects := Step(func() State { s, _ := fold(t, running(terms(guarded))...); return s }(), leftOut(20, "a", 7))
	if n := effects[0].Notice; n.Kind != schemas.NoticeAlertsTruncated || n.Severity != schemas.Warning || !strings.Contains(n.Sentence, "Raise max_alerts in webhook_configs") {
		t.Errorf("%+v", n)
	}
	s, _ = fold(t, after(running(terms(guarded)), verdictOf(15, VerdictHold), leftOut(20, "a", 7))...)
	_, effects = Step(s, leftOut(21, "a", 0))
	if n := effects[0].Notice; n.Kind != schemas.NoticeAlertsWhole || n.Severity != schemas.Info || len(n.Waiting) != 1 || n.Waiting[0] != "code-hold" {
		t.Errorf("%+v: the rollout holds, too", n)
	}
}

// TestCalm: nothing is calm while something stands that people were told of, and what has ended is.
func TestCalm(t *testing.T) {
	begins, advised := running(terms(guarded)), []Input{applied(1, terms(advise))}
	for name, test := range map[string]struct {
		in   []Input
		want bool
	}{
		"it prepares":         {[]Input{applied(1, terms(named))}, false},
		"it runs":             {begins, true},
		"alerts are left out": {after(begins, leftOut(20, "a", 7)), false},
		"and are whole again": {after(begins, leftOut(20, "a", 7), leftOut(21, "a", 0)), true},
		"it holds":            {after(begins, verdictOf(20, VerdictHold)), false},
		"it goes back":        {after(begins, verdictOf(20, VerdictRollback)), false},
		"it only advises":     {after(advised, verdictOf(20, VerdictRollback)), false},
		"and is handed on":    {after(advised, verdictOf(20, VerdictRollback), later(30, id(1, 3)+"/next")), true},
	} {
		if s, _ := fold(t, test.in...); s.Calm() != test.want {
			t.Errorf("%s: %v (%s, %v, %v)", name, s.Calm(), s.Status, s.standing(), s.left())
		}
	}
}
