package decisions

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// pillared is an applied rollout with what was found of its pillars.
func pillared(all ...Pillar) Input {
	in := applied(1, terms(weight))
	in.Applied.Pillars = all
	return in
}

func TestPillarsThatHold(t *testing.T) {
	pin := Pin{Model: "ranker", Version: "42", RunID: "r"}
	in := pillared(NewPillar(PillarRegistry, PillarHeld, nil, pin), NewPillar(PillarInput, PillarHeld, []string{"not checked: x"}))
	s, words := fold(t, in, ack(2, 1, "eu", schemas.AckPrepared))
	expect(t, words, "#1 start prepare 41:10000 42:0 (route)", "#2 start commit 41:9000 42:1000 (route)")
	if s.Status != StatusRunning || !reflect.DeepEqual(s.Pillars, in.Applied.Pillars) || !slices.Equal(PinsOf(&s), []Pin{pin}) {
		t.Errorf("status %s, pillars %+v, pins %+v", s.Status, s.Pillars, PinsOf(&s))
	}
}

// TestFailedPillars: which ones, and of each why, within bounds.
func TestFailedPillars(t *testing.T) {
	failed := func(name PillarName, why ...string) Pillar { return NewPillar(name, PillarFailed, why) }
	long, words := strings.Repeat("x", MaxFoundBytes), strings.Repeat("word, ", MaxFoundBytes)
	for _, test := range []struct {
		all  []Pillar
		want string
	}{
		{nil, ""},
		{[]Pillar{NewPillar(PillarInput, PillarHeld, nil)}, ""},
		{[]Pillar{failed(PillarInput)}, "pillar input failed"},
		{[]Pillar{failed(PillarInput, "a.", "b")}, "pillar input failed: a (and 1 more)"},
		{[]Pillar{failed(PillarRegistry, "gone."), failed(PillarInput, "a"), failed(PillarOutput, "b", "c", "d")}, "pillars registry, input and output failed: registry: gone; input: a; output: b (and 2 more)"},
		{[]Pillar{failed(PillarInput, words), failed(PillarOutput, "b")}, "pillars input and output failed: input: " + strings.Repeat("word, ", 43) + "word …; output: b"},
	} {
		if got := FailedPillars(test.all); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	all := []Pillar{failed(PillarRegistry, long), failed(PillarInput, long), failed(PillarOutput, long), failed(PillarFeatures, "age is gone")}
	if got := FailedPillars(all); len(got) > MaxFoundBytes || !strings.HasSuffix(got, "; features: age is gone") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

// TestPillarsThatFail refuses the start: one decision that moves nothing, and the epoch has ended, whatever comes.
func TestPillarsThatFail(t *testing.T) {
	in := pillared(NewPillar(PillarRegistry, PillarHeld, nil), NewPillar(PillarInput, PillarFailed, []string{"x is required.", "y is gone"}), NewPillar(PillarOutput, PillarFailed, []string{"z"}))
	s, words := fold(t, in, ack(2, 1, "eu", schemas.AckPrepared), verdictOf(3, VerdictRollback), traffic(4, 10, 10), gap(5), command(6, CommandResume, true))
	expect(t, words, "#1 start abort", "!command-refused")
	want := schemas.Reason{Code: "pillar_failed", Sentence: "Rollout ranker-42 does not start, and no traffic is moved: pillars input and output failed: input: x is required (and 1 more); output: z. " +
		"Mend it, then apply the rollout again; `streamcanary rollout show ranker-42` has all reasons."}
	if s.Status != StatusRefused || !s.Status.Ended() || s.Routes != nil || s.Awaits(1) || !reflect.DeepEqual(*s.Why, want) {
		t.Errorf("status %s, routes %v, deadlines %v, why %+v", s.Status, s.Routes, s.Deadlines(), s.Why)
	}
	if len(PinsOf(&s)) > 0 {
		t.Errorf("pins %v", PinsOf(&s))
	}
	in.Applied.Terms.Back = &Back{Rollout: "ranker-41"}
	if s, _ = fold(t, in); !strings.Contains(s.Why.Sentence, "Mend it, then go back again, with `streamcanary rollout back ranker-41 --comment WHY` (where users can't wait for that, `streamcanary rollout back ranker-41 --override --comment WHY` goes past it,") {
		t.Errorf("a way back: %s", s.Why.Sentence)
	}
	in.Applied.Terms.Back = nil
	again := applied(9, terms(weight))
	again.Applied.Epoch, again.Applied.Prev, again.Applied.Retry = 2, s.Prev, true
	again.Applied.Pillars = in.Applied.Pillars
	if s, words = fold(t, in, again); s.Status != StatusRefused || len(words) != 2 || !strings.HasPrefix(words[1], "#1 retry abort") {
		t.Errorf("a retry is %s: %q", s.Status, words)
	}
}

// TestBackPastPillars: an admin who goes back past pillars that fail begins, and the decision names them; who begins something else does not.
func TestBackPastPillars(t *testing.T) {
	in := pillared(NewPillar(PillarRegistry, PillarFailed, []string{"no answer"}), NewPillar(PillarInput, PillarHeld, nil), NewPillar(PillarOutput, PillarFailed, []string{"z"}))
	in.Applied.Terms.Back = &Back{Rollout: "ranker-41", Override: true}
	s, effects := Step(State{}, in)
	d := effects[0].Decision.Decision
	if s.Status == StatusRefused || d.Phase == schemas.PhaseAbort || !slices.Equal(d.Override, []string{"pillar registry", "pillar output"}) || !strings.HasPrefix(d.Reason.Sentence, "Rollout ranker-42 begins, by override past pillar registry, pillar output: ") {
		t.Errorf("status %s, past %q: %s", s.Status, d.Override, d.Reason.Sentence)
	}
	still := []Pillar{NewPillar(PillarRegistry, PillarFailed, []string{"no answer"}), NewPillar(PillarOutput, PillarUnknown, []string{"no answer"})}
	s, words := fold(t, in, ack(2, 1, "eu", schemas.AckPrepared), Input{Kind: InputPillars, WallMs: 400_000, Pillars: &Checked{Pillars: still}})
	if s.gone() != nil || s.Hold != nil || strings.Contains(strings.Join(words, "\n"), "pillar") {
		t.Errorf("what was gone past holds, or is told: %q", words)
	}
	s, words = fold(t, in, ack(2, 1, "eu", schemas.AckPrepared), Input{Kind: InputPillars, WallMs: 400_000, Pillars: &Checked{Pillars: []Pillar{NewPillar(PillarRegistry, PillarHeld, nil)}}},
		Input{Kind: InputPillars, WallMs: 800_000, Pillars: &Checked{Pillars: still[:1]}})
	if len(s.gone()) != 1 || s.Hold == nil || !slices.Contains(words, "!pillar-failed") {
		t.Errorf("what fails anew doesn't hold: %q", words)
	}
	in.Applied.Pillars[0].Away = true
	gone := NewPillar(PillarRegistry, PillarFailed, []string{"version 41 is not in MLflow"})
	gone.Baseline = true
	s, words = fold(t, in, ack(2, 1, "eu", schemas.AckPrepared), Input{Kind: InputPillars, WallMs: 400_000, Pillars: &Checked{Pillars: []Pillar{gone, still[1]}}})
	if len(s.gone()) != 1 || s.Hold == nil || !slices.Contains(words, "!pillar-failed") {
		t.Errorf("what nobody could be asked about at the start, and is gone, is no news: %q", words)
	}
	s, words = fold(t, in, ack(2, 1, "eu", schemas.AckPrepared), Input{Kind: InputPillars, WallMs: 400_000, Pillars: &Checked{Pillars: []Pillar{NewPillar(PillarRegistry, PillarHeld, nil)}}})
	if s.Hold != nil || strings.Contains(strings.Join(words, "\n"), "pillar") || len(s.WatchedTexts()) != 1 {
		t.Errorf("what nobody could be asked about at the start, and holds, is told: %q, %q", words, s.WatchedTexts())
	}
	in.Applied.Terms.Back = nil
	if s, _ = Step(State{}, in); s.Status != StatusRefused {
		t.Errorf("what doesn't go back is %s", s.Status)
	}
}

// TestPillarsChanges keeps what differs between the versions within its bounds.
func TestPillarsChanges(t *testing.T) {
	many := make([]string, MaxChanges+3)
	for i := range many {
		many[i] = strings.Repeat("x", MaxChangeSize+1)
	}
	p := NewPillar(PillarInput, PillarHeld, nil).Changed(many)
	if len(p.Changes) != MaxChanges || p.Changes[MaxChanges-1] != "and 4 more" || len(p.Changes[0]) != MaxChangeSize {
		t.Errorf("%d changes, the last %q", len(p.Changes), p.Changes[len(p.Changes)-1])
	}
	if p = p.Changed(many[:MaxChanges]); len(p.Changes) != MaxChanges || p.Changes[MaxChanges-1] != p.Changes[0] {
		t.Errorf("as many as there may be: %q", p.Changes)
	}
	in := pillared(p)
	in.Applied.Pillars[0].Changes = many
	if _, err := EncodeInput(in); err == nil || !strings.Contains(err.Error(), "15 changes") {
		t.Errorf("too many are journaled: %v", err)
	}
}

// TestPillarsAreJournaled has the same decisions after the journal as before it.
func TestPillarsAreJournaled(t *testing.T) {
	for _, state := range []PillarState{PillarHeld, PillarFailed} {
		in := pillared(NewPillar(PillarFeatures, state, []string{"a sentence"}, Pin{Model: "m", Version: "1", Source: "s", RunID: "r", Tag: "t", Digest: "d"}))
		b, err := EncodeInput(in)
		if err != nil {
			t.Fatal(err)
		}
		read, err := DecodeInput(b)
		if err != nil {
			t.Fatal(err)
		}
		s, effects := Step(State{}, in)
		again, same := Step(State{}, read)
		if !reflect.DeepEqual(s, again) || !reflect.DeepEqual(effects, same) {
			t.Errorf("%s: %+v %+v, after the journal %+v %+v", state, s, effects, again, same)
		}
		head := NewHead(0)
		head.State = s
		if b, err = EncodeHead(head); err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeHead(b); err != nil || !reflect.DeepEqual(back.State.Pillars, s.Pillars) {
			t.Errorf("the record has %+v (%v)", back.State.Pillars, err)
		}
	}
}

func TestPillarsAreBounded(t *testing.T) {
	long := strings.Repeat("ä", MaxFoundBytes)
	p := NewPillar(PillarInput, PillarFailed, slices.Repeat([]string{long}, 40), Pin{Source: strings.Repeat("s", 5000)}, Pin{}, Pin{})
	if len(p.Found) != MaxFound || p.Found[MaxFound-1] != "and 29 more" || len(p.Found[0]) > MaxFoundBytes || len(p.Pins) != MaxPins || len(p.Pins[0].Source) > MaxPinBytes {
		t.Errorf("%d sentences, the last %s; %d pins", len(p.Found), p.Found[len(p.Found)-1], len(p.Pins))
	}
	s, _ := fold(t, pillared(p, p, p, p))
	if len(s.Why.Sentence) > MaxSentence || !strings.Contains(s.Why.Sentence, "Mend it") {
		t.Errorf("why: %s", s.Why.Sentence)
	}
	bad := map[string][]Pillar{
		"too many":  {p, p, p, p, p},
		"unchecked": {NewPillar(PillarInput, PillarUnchecked, nil)},
		"too much":  {{Name: PillarInput, State: PillarHeld, Found: make([]string, MaxFound+1)}},
		"no state":  {{Name: PillarInput}},
	}
	for name, all := range bad {
		if _, err := EncodeInput(pillared(all...)); err == nil || !strings.Contains(err.Error(), "pillar") {
			t.Errorf("%s: %v", name, err)
		}
	}
	b, _ := json.Marshal(pillared(bad["too many"]...))
	if _, err := DecodeInput(b); err == nil {
		t.Error("too many pillars were read")
	}
}

func TestRouting(t *testing.T) {
	current := func(change ...func(*State)) *State {
		s, _ := fold(t, running(terms(weight))...)
		for _, c := range change {
			c(&s)
		}
		return &s
	}
	silent := func(s *State) { s.Answers = nil }
	late := func(s *State) { s.Answers[0].Status = schemas.AckReceived }
	store := func(s *State) { s.Terms.State.Stores = []string{"eu"} }
	ghost := func(s *State) { // a name that its acks.routers doesn't have
		s.Terms.Routers = []string{"eu"}
		s.Answers = append(s.Answers, Answer{Consumer: "ghost", Status: schemas.AckApplied})
	}
	unnamed := func(s *State) {
		ghost(s)
		s.Answers = s.Answers[1:]
	}
	for _, test := range []struct {
		name    string
		terms   Terms
		current *State
		state   PillarState
		want    string
	}{
		{"any router", terms(), current(), PillarHeld, "epoch 1 of model ranker was answered by eu"},
		{"nobody", terms(), current(silent), PillarFailed, "epoch 1 of model ranker (rollout ranker-42) was not answered by any router: does it run"},
		{"only received", terms(), current(late), PillarFailed, "was not answered by any router"},
		{"only a store", terms(), current(store), PillarFailed, "was not answered by any router"},
		{"not all", terms(named), current(), PillarFailed, "was not answered by us: does it run"},
		{"a stranger, too", terms(func(t *Terms) { t.Routers = []string{"eu"} }), current(ghost), PillarHeld, "epoch 1 of model ranker was answered by eu (answers of names that acks.routers doesn't have: ghost)"},
		{"a stranger, for any", terms(), current(ghost), PillarHeld, "was answered by eu (answers of names that acks.routers doesn't have: ghost)"},
		{"only a stranger", terms(func(t *Terms) { t.Routers = []string{"eu"} }), current(unnamed), PillarFailed, "was not answered by eu (answers of names that acks.routers doesn't have: ghost): does it run"},
		{"only a stranger, for any", terms(), current(unnamed), PillarFailed, "was not answered by any router (answers of names"},
		{"asked from now on", terms(func(t *Terms) { t.Routers = []string{"ghost"} }), current(ghost), PillarHeld, "was answered by ghost"},
		{"the first rollout, or those before are deleted", terms(), nil, PillarUnchecked, "no rollout of model ranker is there, running or ended, that its routers have answered: the start waits until its routers have answered"},
		{"advice", terms(advise), nil, PillarHeld, "mode: advise needs no router"},
		{"another controller", terms(func(t *Terms) { t.External = true }), current(silent), PillarHeld, "stages: external needs no router"},
	} {
		p := RoutingPillar(&test.terms, test.current)
		if p.Name != PillarRouting || p.State != test.state || len(p.Found) != 1 || !strings.Contains(p.Found[0], test.want) {
			t.Errorf("%s: %+v, want %s: %s", test.name, p, test.state, test.want)
		}
	}
}
