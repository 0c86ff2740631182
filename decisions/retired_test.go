package decisions

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// drained is a rollback that is carried out: proven by the stream at second 9.
func drained(t Terms) []Input {
	return after(rolledBack(t), after([]Input{ack(6, 3, "eu", schemas.AckApplied)}, windowsOf(6, 3, 1000, 0)...)...)
}

// followed is a promotion that routers have acknowledged at second 6.
func followed(t Terms) []Input {
	return after(running(t), verdictOf(5, VerdictPromote), ack(6, 3, "eu", schemas.AckApplied))
}

// briefly gives a promotion less time to be seen than its windows of 10 s, which wait for 5 s, take.
func briefly(t *Terms) { t.DrainWithinMs, t.SettleMs = 10_000, 16_000 }

func retiredAt(at int64) Input { return expire(at, id(1, 3)+"/retired") }

func laterAt(at int64) Input {
	in := retiredAt(at)
	in.Expired.Later = true
	return in
}

func quietAt(at int64) Input { return expireQuiet(at, id(1, 3)+"/retired") }

// TestRetired: in the windows, the version that is to have no users any more is in the canary's place.
func TestRetired(t *testing.T) {
	back, gone := windowsOf(20, 5, 190, 10), windowsOf(40, 3, 1000, 0)
	tests := []struct {
		name  string
		begin []Input
		in    []Input
		want  []string
		text  string // of RetiredText; "": it was never looked at
	}{
		{"a promotion that is seen", followed(terms()), windowsOf(6, 3, 1000, 0), nil, "41 has drained; looked at until"},
		{"one of which nothing comes", followed(terms()), after(windowsOf(60, 5, 20, 180), retiredAt(66)), []string{"!retired-serves"}, "41 serves users: it served 180 of the 200"},
		{"before its time", followed(terms()), after(windowsOf(60, 5, 20, 180), retiredAt(65)), nil, "41 is not proven to have drained yet: it served 180 of the 200"},
		{"told again, and drained at last", followed(terms()), after(after(windowsOf(60, 5, 20, 180), retiredAt(66), retiredAt(186)), windowsOf(200, 3, 1000, 0)...),
			[]string{"!retired-serves", "!retired-serves", "!retired-over  done"}, "41 has drained; looked at until"},
		{"thin traffic takes its time", followed(terms()), after(windowsOf(60, 5, 3, 0), sealedAt(66, 65, 65)), nil, "41 is not proven to have drained yet: it served 0 of the 3"},
		{"nothing is read", followed(terms()), []Input{retiredAt(66)}, []string{"!retired-serves"}, "41 is not proven to have drained: no prediction since has been counted yet (deadline passed once); people are told again at 1970-01-01T00:03:06.000Z, unless it is over"},
		{"its first window isn't due", followed(terms(briefly)), []Input{retiredAt(53)}, nil, "41 is not proven to have drained: no prediction since has been counted yet"},
		{"its first window is due", followed(terms(briefly)), []Input{retiredAt(54)}, []string{"!retired-serves"}, "41 is not proven to have drained: no prediction since has been counted yet (deadline passed once)"},
		{"nobody asks the model", followed(terms()), []Input{quietAt(66)}, nil, "41 is not proven to have drained: no traffic came that could show it; looked at until"},
		{"nobody asks any more", followed(terms()), after(windowsOf(60, 5, 20, 180), retiredAt(66), quietAt(186)), []string{"!retired-serves", "!retired-over  done_unproven"}, "41 is not proven to have drained: no traffic"},

		{"a rollback that stays", drained(terms()), windowsOf(20, 100, 200, 0), nil, "42 has drained; looked at until"},
		{"many strays at once", drained(terms()), after(windowsOf(20, 2, 0, 200), windowsOf(22, 100, 200, 0)...), nil, "42 has drained; looked at until"},
		{"a few now and then", drained(terms()), slices.Concat(windowsOf(20, 1, 199, 1), windowsOf(21, 4, 200, 0), windowsOf(25, 2, 198, 2), windowsOf(27, 60, 200, 0), windowsOf(87, 2, 198, 2)), nil, "42 has drained; looked at until"},
		{"users again", drained(terms()), back, []string{"!retired-serves"}, "42 serves users: it served 10 of the 200"},
		{"all of the few", drained(terms()), windowsOf(20, 11, 0, 1), []string{"!retired-serves"}, "42 serves users: it served 1 of the 1 "},
		{"and only just gone", drained(terms()), slices.Concat(back, windowsOf(25, 1, 200, 0)), []string{"!retired-serves"}, "42 is not proven to have drained yet: it served 0 of the 200"},
		{"and gone", drained(terms()), slices.Concat(back, gone), []string{"!retired-serves", "!retired-over  done"}, "42 has drained; looked at until"},
		{"and again", drained(terms()), slices.Concat(back, gone, windowsOf(50, 5, 190, 10)), []string{"!retired-serves", "!retired-over  done", "!retired-serves"}, "42 serves users: it served 10 of the 200"},
		{"still, past a day", drained(terms()), after(back, retiredAt(90_000)), []string{"!retired-serves", "!retired-serves"}, "42 serves users: it served 10 of the 200"},
		{"a day later", drained(terms()), []Input{retiredAt(90_000)}, nil, "42 had drained, and nobody looks any more since 1970-01-02T01:00:00.000Z"},
		{"a day after a promotion", followed(terms()), after(windowsOf(6, 3, 1000, 0), retiredAt(90_000)), nil, "41 had drained, and nobody looks any more since 1970-01-02T01:00:00.000Z; last it served 0 of the 1000 predictions"},
		{"a day later, and never asked", followed(terms()), []Input{quietAt(66), retiredAt(90_000)}, nil, "41 was not proven to have drained, and nobody looks any more since"},
		{"a later epoch", drained(terms()), []Input{laterAt(20)}, nil, "42 had drained, and nobody looks any more since 1970-01-01T00:00:20.000Z"},
		{"users again, and a later epoch", drained(terms()), after(back, laterAt(26)), []string{"!retired-serves", "!retired-over"}, "42 still served users, and nobody looks any more since 1970-01-01T00:00:26.000Z; last it served 10 of the 200"},
		{"what was seen last", drained(terms()), windowsOf(20, 2, 199, 1), nil, "42 has drained; looked at until 1970-01-02T00:00:11.000Z, should it have users again; last it served 1 of the 200 predictions of the newest window, up to 1970-01-01T00:00:22.000Z"},
		{"nobody acts on it", after(running(terms(advise)), verdictOf(5, VerdictPromote)), windowsOf(6, 3, 0, 1000), nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, begun := fold(t, test.begin...)
			s, words := fold(t, after(test.begin, test.in...)...)
			expectNamed(t, words[len(begun):], test.want)
			if text := s.RetiredText(); !strings.HasPrefix(text, test.text) || (text == "") != (test.text == "") {
				t.Errorf("it says %q, want %q", text, test.text)
			}
		})
	}
}

// sealedAt is retiredAt where all of the model's predictions were read up to a second.
func sealedAt(at, sealed, served int64) Input {
	in := retiredAt(at)
	in.Expired.SealedMs, in.Expired.ServedMs = sealed*1000, served*1000
	return in
}

// TestRetiredSeverity: a version that was rolled back, and one that is back, wake people; a promotion that isn't followed is told. What was told keeps the rollout's incident open.
func TestRetiredSeverity(t *testing.T) {
	for name, x := range map[string]struct {
		in   []Input
		want schemas.Severity
		said string
	}{
		"rolled back":                   {after(drained(terms()), windowsOf(20, 5, 190, 10)...), schemas.Critical, "42 serves users again: it served 10 of the 200"},
		"rolled back, and still there":  {after(after(drained(terms()), windowsOf(20, 5, 190, 10)...), retiredAt(90_000)), schemas.Critical, "42, which is back, isn't seen to have drained again: "},
		"promoted, and never seen":      {after(followed(terms()), retiredAt(66)), schemas.Warning, "it is not proven that 41 has drained: "},
		"promoted, and the old is back": {slices.Concat(followed(terms()), windowsOf(6, 3, 1000, 0), windowsOf(20, 5, 190, 10)), schemas.Critical, "41 serves users again: it served 10 of the 200"},
	} {
		var s State
		var last *schemas.Notice
		for _, in := range x.in {
			var effects []Effect
			if s, effects = Step(s, in); len(effects) > 0 && effects[0].Notice != nil {
				last = effects[0].Notice
			}
		}
		if last == nil || last.Kind != schemas.NoticeRetiredServes || last.Severity != x.want || last.Decision != id(1, 3) || s.Calm() || !slices.Contains(s.left(), "retired "+strings.Join(s.RetiredServing(), "")) || !strings.Contains(last.Sentence, x.said) {
			t.Errorf("%s: %+v; left to do: %v", name, last, s.left())
		}
	}
}

// TestRetiredLooksOn: what an epoch's end promises is looked at on while the rollout's next ones are refused, whatever they compare, and no longer than that.
func TestRetiredLooksOn(t *testing.T) {
	others := func(t *Terms) { t.Baseline, t.Canary = "42", "43" }
	refusal := func(at, epoch int64, found PillarState, with ...func(*Terms)) Input {
		in := applied(at, terms(with...))
		in.Applied.Epoch, in.Applied.Pillars = epoch, []Pillar{NewPillar(PillarRegistry, found, []string{"version 41 is gone"})}
		return in
	}
	next := func(s State, in Input) State {
		var begin State
		s.LooksOn(&begin, cmp.Or(s.Retired.Of, &Arms{Baseline: s.Terms.Baseline, Canary: s.Terms.Canary}))
		s, _ = Step(begin, in)
		return s
	}
	for name, x := range map[string]struct {
		in   []Input
		said string
		over string
		left string
	}{
		"rolled back": {drained(terms()), "Rollback ranker-42.1.3 gave all traffic to 41, and since 1970-01-01T00:00:20.000Z 42 serves users again: ",
			"42 has drained, as rollback ranker-42.1.3 wants it: 41 serves all users.", "Nobody looks any more whether 42 has users again"},
		"promoted": {slices.Concat(followed(terms()), windowsOf(6, 3, 1000, 0)), "Promotion ranker-42.1.3 gave all traffic to 42, and since 1970-01-01T00:00:20.000Z 41 serves users again: ",
			"41 has drained, as promotion ranker-42.1.3 wants it: 42 serves all users.", "Nobody looks any more whether 41 has users again"},
	} {
		s, _ := fold(t, x.in...)
		s = next(next(s, refusal(15, 2, PillarFailed)), refusal(16, 3, PillarFailed, others))
		var told []*schemas.Notice
		for _, in := range slices.Concat(windowsOf(20, 5, 190, 10), windowsOf(30, 3, 1000, 0)) {
			var effects []Effect
			if s, effects = Step(s, in); len(effects) > 0 {
				told = append(told, effects[0].Notice)
			}
		}
		if len(told) != 2 || !strings.HasPrefix(told[0].Sentence, x.said) || told[0].Severity != schemas.Critical || told[0].Decision != id(1, 3) || told[0].Epoch != 3 ||
			told[1].Sentence != x.over || told[1].Waiting != nil {
			t.Errorf("%s: told %+v", name, told)
		}
		if begun := next(s, refusal(50, 5, PillarHeld)); begun.Retired != nil || begun.Status == StatusRefused {
			t.Errorf("%s: it is %s, and looked at: %+v", name, begun.Status, begun.Retired)
		}
	}
	bad := windowsOf(14, 1, 1000, 0)
	bad[0].Traffic.Beyond = []Beyond{outage(true)}
	s0, _ := fold(t, slices.Concat(drained(terms()), bad)...)
	refused := next(s0, refusal(15, 2, PillarFailed))
	if _, effects := Step(refused, bad[0]); !slices.Equal(refused.Standing(), []string{codeNoRefuge}) || len(effects) > 0 { // it is known, and stands
		t.Errorf("%q stands; told %+v", refused.Standing(), effects)
	}
	if begun := next(s0, refusal(15, 2, PillarHeld)); begun.Standing() != nil || begun.BeyondTold != nil {
		t.Errorf("%q stands of an epoch that begins", begun.Standing())
	}
}

// unseen is what whoever deletes a promotion that the stream has not shown yet hears of it.
const unseen = "It is not proven that 41 has drained. Nobody looks at that any more: the predictions of model ranker that name version 41, with their host and region, tell whether it still has users."

// TestRetiredDeleted: whoever deletes the rollout hears how the version that nobody looks at any more was seen last. The status is that of before.
func TestRetiredDeleted(t *testing.T) {
	for name, x := range map[string]struct {
		in       []Input
		want     string
		severity schemas.Severity
	}{
		"it serves users": {after(followed(terms()), append(windowsOf(60, 5, 20, 180), retiredAt(66))...),
			" Promotion ranker-42.1.3 gave all traffic to 42, and 41 still had users when last looked at: it served 180 of the 200 predictions of the newest window, up to 1970-01-01T00:01:05.000Z. Nobody looks at that any more: find what routes to it, and move that by hand; ", schemas.Warning},
		"not proven yet": {followed(terms()), " " + unseen, schemas.Info},
		"drained":        {drained(terms()), " Nobody looks any more whether 42 has users again, which was to be until 1970-01-02T00:00:11.000Z: the predictions of model ranker that name version 42, with their host and region, tell.", schemas.Info},
	} {
		s, _ := fold(t, x.in...)
		s, effects := Step(s, command(100, CommandDelete, false))
		if len(effects) == 0 || effects[0].Notice == nil || s.Retired != nil {
			t.Fatalf("%s: %v", name, effects)
		}
		n, want := effects[0].Notice, "ada deleted rollout ranker-42, which had ended."+x.want
		if !strings.HasPrefix(n.Sentence, want) || n.Severity != x.severity {
			t.Errorf("%s: told (%s)\n%s\nwant (%s)\n%s", name, n.Severity, n.Sentence, x.severity, want)
		}
	}
}

// TestComebackOfStrays: a version that has half of what a drain allows, day in, day out, wakes nobody.
func TestComebackOfStrays(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var c Comeback
	for second := range int64(20 * 86_400) {
		w := Traffic{StartMs: second * 1000, EndMs: second*1000 + 1000, Baseline: 20}
		if random.IntN(2*drainShare) < 20 {
			w.Canary = 1
		}
		if c.take(&w) {
			t.Fatalf("after %d s", second)
		}
	}
}
