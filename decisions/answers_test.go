package decisions

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestAnswersToAPrepare: what doesn't say that the start may come doesn't count, is told once, and is shown where the answer is missing.
func TestAnswersToAPrepare(t *testing.T) {
	wrong := snapped(3, 1, "user")
	wrong.Ack.Status = schemas.AckApplied
	nameless := ack(3, 1, "item", schemas.AckPrepared)
	blank := snapped(3, 1, "item")
	blank.Ack.Snapshot = " \t"
	eu := ack(2, 1, "eu", schemas.AckApplied)
	const gives = " Until it has been carried out, nothing is judged and no traffic moves; `streamcanary rollout delete ranker-42` gives the rollout up."
	const why = ": a prepare is answered with prepared, which says that the start may come; this does not count"
	const to = " to decision ranker-42.1.1"
	const applied1, applied2, applied3 = " answered applied" + to + why, " answered applied" + to + " at 1970-01-01T00:00:02.000Z" + why, " answered applied" + to + " at 1970-01-01T00:00:03.000Z" + why
	for name, test := range map[string]struct {
		start   []Input
		answers []Input
		told    []string // of the answers
		missing string
		overdue string // part of the page
	}{
		"a router": {[]Input{applied(1, terms(named))}, []Input{eu, eu, ack(4, 1, "us", schemas.AckPrepared)},
			[]string{"eu" + applied1 + "." + gives},
			"eu (which answered applied: a prepare is answered with prepared, which says that the start may come; this does not count)", "eu" + applied2 + ". Mend that there: it is asked again."},
		"any router": {[]Input{applied(1, terms())}, []Input{eu}, []string{"eu" + applied1 + "." + gives},
			"any router (eu" + applied2 + ")", "eu" + applied2 + ". Mend that there"},
		"stores, of which one names no snapshot": {[]Input{applied(1, terms(stateful)), ack(2, 1, "eu", schemas.AckPrepared)}, []Input{wrong, nameless, nameless, wrong},
			[]string{"user" + applied1 + "." + gives, "item answered prepared" + to + ": it names no snapshot that could be restored." + gives},
			"item (which answered prepared: it names no snapshot that could be restored), user (which answered applied: a prepare", "item answered prepared" + to + " at 1970-01-01T00:00:03.000Z: it names no snapshot that could be restored; user" + applied3 + ". Mend that there"},
		"a store whose snapshot has no name but blanks": {[]Input{applied(1, terms(stateful)), ack(2, 1, "eu", schemas.AckPrepared), snapped(2, 1, "user")}, []Input{blank},
			[]string{"item answered prepared" + to + ": it names no snapshot that could be restored." + gives}, "item (which answered prepared: it names no snapshot that could be restored)", "item answered prepared" + to},
		"of a stranger: nobody waits for it": {[]Input{applied(1, terms(named))}, []Input{ack(2, 1, "asia", schemas.AckApplied)}, nil, "eu, us", "by eu, us (deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			s, told := notices(t, after(test.start, test.answers...)...)
			told = slices.DeleteFunc(told, func(sentence string) bool { return sentence == "" })
			if s.Status != StatusPreparing || !slices.Equal(told, test.told) {
				t.Errorf("%s, told\n%s\nwant\n%s", s.Status, strings.Join(told, "\n"), strings.Join(test.told, "\n"))
			}
			if text := s.WaitingText(); !strings.HasPrefix(text, test.missing) {
				t.Errorf("waits for %q, want %q", text, test.missing)
			}
			_, effects := Step(s, expire(40, id(1, 1)+"/acks"))
			if n := effects[0].Notice; n == nil || n.Kind != schemas.NoticeAcksOverdue || !strings.Contains(n.Sentence, test.overdue) {
				t.Errorf("overdue: %+v, want %q", n, test.overdue)
			}
		})
	}
}

// TestPreparedIsNotCarriedOut: who answers prepared to what is to be carried out is told of with that when its deadline has passed, and shown so before; it may be the first of two answers.
func TestPreparedIsNotCarriedOut(t *testing.T) {
	const why = ": this decision is answered with applied, which says that it is carried out; this does not count"
	moved := after(begun(), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied))
	for name, test := range map[string]struct {
		in      []Input
		answer  Input
		overdue string // the deadline
		shown   string
		told    string
	}{
		"a stage": {after(running(terms(ramp)), verdictOf(5, VerdictAdvance)), ack(6, 3, "eu", schemas.AckPrepared), "acks", "for any router to answer",
			"eu answered prepared to decision ranker-42.1.3 at 1970-01-01T00:00:06.000Z" + why + ". Mend that there: it is asked again."},
		"the route of a rollback": {rolledBack(terms(weight)), ack(6, 3, "eu", schemas.AckPrepared), "route", "eu answered prepared to decision ranker-42.1.3 at 1970-01-01T00:00:06.000Z" + why,
			"eu answered prepared to decision ranker-42.1.3 at 1970-01-01T00:00:06.000Z" + why + ". Mend that there: it is asked again."},
		"a restore": {moved, ack(14, 5, "item", schemas.AckPrepared), "restore", "item answered prepared to decision ranker-42.1.5 at 1970-01-01T00:00:14.000Z" + why,
			"item answered prepared to decision ranker-42.1.5 at 1970-01-01T00:00:14.000Z" + why + ". Mend that there: it is asked again."},
	} {
		t.Run(name, func(t *testing.T) {
			before := stateOf(t, test.in...)
			s, effects := Step(before, test.answer)
			shown := ""
			if s.Saga == nil {
				shown = s.WaitText()
			} else {
				for i := range s.Saga.Steps {
					if step := &s.Saga.Steps[i]; step.begun() && step.open() && step.Wait != nil {
						shown += s.StepText(step)
					}
				}
			}
			if len(effects) > 0 || !strings.HasPrefix(shown, test.shown) {
				t.Errorf("%d effects, shown\n  %s\nwant\n  %s", len(effects), shown, test.shown)
			}
			_, effects = Step(s, expire(300, id(1, 3)+"/"+test.overdue))
			if n := effects[0].Notice; n == nil || n.Kind != schemas.NoticeAcksOverdue || !strings.Contains(n.Sentence, test.told) {
				t.Errorf("overdue: %+v, want %q", n, test.told)
			}
			done := test.answer
			answer := *done.Ack
			answer.Status, done.Ack = schemas.AckApplied, &answer
			if s, _ = Step(s, done); slices.Contains(s.Missing(), answer.Consumer) || slices.Contains(s.Missing(), anyRouter) {
				t.Errorf("once it has applied it, %v are missing", s.Missing())
			}
		})
	}
	s := stateOf(t, applied(1, terms(stateful, oneStore, owes("user"))), snapped(3, 1, "user"), ack(4, 1, "eu", schemas.AckPrepared))
	if text := s.ThawText(); !strings.Contains(text, "user") || strings.Contains(text, "applied") {
		t.Errorf("of a store that has answered the prepare with its snapshot, and owes that it takes writes, is said %q", text)
	}
}

// TestAnyRouter: where any router is enough, a name that nobody knows is one, and no store is: neither one of the rollout's own, nor one that an earlier decision asked.
func TestAnyRouter(t *testing.T) {
	knows := func(names ...string) func(*Terms) { return func(t *Terms) { t.Knows(names) } }
	for name, test := range map[string]struct {
		terms  Terms
		who    string
		begins bool
	}{
		"nobody knows it":                         {terms(ramp, knows("user")), "eu", true},
		"a store of an earlier rollout":           {terms(ramp, knows("user")), "user", false},
		"that is named as a router":               {terms(ramp, func(t *Terms) { t.Routers = []string{"user"} }, knows("user")), "user", true},
		"another than the one that is named":      {terms(ramp, named, knows("user")), "user", false},
		"a sink that tells":                       {terms(ramp, func(t *Terms) { t.Sinks.Alert = []string{"slack"} }), "slack", false},
		"a store that owes an answer from before": {terms(ramp, func(t *Terms) { t.State.Owing = []string{"user"} }), "user", false},
	} {
		s, _ := fold(t, applied(1, test.terms), ack(2, 1, test.who, schemas.AckPrepared))
		if begins := s.Status != StatusPreparing; begins != test.begins {
			t.Errorf("%s: %s", name, s.Status)
		}
	}
	s := stateOf(t, applied(1, terms(ramp, knows("user"))))
	if why := s.Unheeded(ack(2, 1, "user", schemas.AckPrepared).Ack); why != UnheededStranger {
		t.Errorf("it is counted as %q", why)
	}
}

// TestStoresOf: stores are known by the decisions that asked them, those of late, and not by what was only advised.
func TestStoresOf(t *testing.T) {
	asks := func(mode schemas.Mode, stores ...string) *schemas.Decision {
		d := &schemas.Decision{Mode: mode, State: []schemas.StateOrder{{Do: schemas.StateUse, Namespace: "n"}}}
		for _, store := range stores {
			d.State = append(d.State, schemas.StateOrder{Store: store, Do: schemas.StateFreeze})
		}
		return d
	}
	known := StoresOf(StoresOf(nil, asks(schemas.Enforce, "b", "a")), asks(schemas.Enforce, "c", "b"))
	if want := []string{"a", "c", "b"}; !slices.Equal(StoresOf(known, asks(schemas.Advise, "x")), want) {
		t.Errorf("known are %q, want %q", known, want)
	}
	for i := range 2 * MaxFormer {
		known = StoresOf(known, asks(schemas.Enforce, strings.Repeat("s", i+1)))
	}
	terms := terms(oneStore)
	if terms.Knows(append(known, "user")); len(known) != MaxFormer || len(terms.State.Former) != MaxFormer || slices.Contains(terms.State.Former, "user") {
		t.Errorf("%d known, %d kept", len(known), len(terms.State.Former))
	}
}

// TestAnswerMended: who answers as is asked after all counts, whatever it said before; and what counts is not taken back.
func TestAnswerMended(t *testing.T) {
	wrong, right := ack(2, 1, "eu", schemas.AckApplied), ack(3, 1, "eu", schemas.AckPrepared)
	for name, in := range map[string][]Input{"first wrong": {wrong, right}, "first right": {right, wrong}} {
		s, words := fold(t, append([]Input{applied(1, terms(named))}, in...)...)
		if have := (Answer{Consumer: "eu", Seq: 1, Status: schemas.AckPrepared, AtMs: right.WallMs}); name == "first wrong" && !reflect.DeepEqual(s.Answers, []Answer{have}) {
			t.Errorf("%s: %+v", name, s.Answers)
		}
		if !slices.Equal(s.Wait.Got, []string{"eu"}) {
			t.Errorf("%s: got %v after %v", name, s.Wait.Got, words)
		}
	}
	item, user := ack(2, 1, "item", schemas.AckPrepared), snapped(3, 1, "user")
	s, words := fold(t, applied(1, terms(stateful)), ack(1, 1, "eu", schemas.AckPrepared), item, user, snapped(4, 1, "item"))
	expect(t, words, "#1 start prepare 41:10000 42:0 (route)", "!ack-refused item", "#2 start commit 41:9900 42:100 (route)")
	if len(s.Snapshots) != 2 {
		t.Errorf("snapshots %v", s.Snapshots)
	}
}

// TestAnswerAnew: who fails again for another reason is shown and told of with that one and its time; the refusal is told once. A repetition changes nothing.
func TestAnswerAnew(t *testing.T) {
	failed := func(second int64, why string) Input {
		in := ack(second, 1, "eu", schemas.AckFailed)
		in.Ack.Why = why
		return in
	}
	s, told := notices(t, applied(1, terms(named)), failed(2, "no disk"), failed(3, "no disk"), failed(4, "no memory"), failed(5, "no memory"), ack(6, 1, "eu", schemas.AckReceived))
	if told = slices.DeleteFunc(told, func(sentence string) bool { return sentence == "" }); len(told) != 1 || !strings.Contains(told[0], "no disk") {
		t.Errorf("told %q", told)
	}
	if want := (Answer{Consumer: "eu", Seq: 1, Status: schemas.AckFailed, Why: "no memory", AtMs: 4000}); !reflect.DeepEqual(s.Answers, []Answer{want}) {
		t.Errorf("answers %+v", s.Answers)
	}
	rejected := ack(7, 1, "eu", schemas.AckRejected)
	rejected.Ack.Why = "no memory"
	s, _ = Step(s, rejected)
	if len(s.Answers) != 1 || s.Answers[0].Status != schemas.AckRejected || s.Answers[0].AtMs != 7000 {
		t.Errorf("answers %+v", s.Answers)
	}
	s, effects := Step(s, expire(40, id(1, 1)+"/acks"))
	if n := effects[0].Notice; n == nil || !strings.Contains(n.Sentence, "eu answered rejected to decision ranker-42.1.1 at 1970-01-01T00:00:07.000Z: no memory") {
		t.Errorf("overdue: %+v", n)
	}
	if s, _ = Step(s, ack(41, 1, "eu", schemas.AckPrepared)); s.Answers[0].Status != schemas.AckPrepared {
		t.Errorf("answers %+v", s.Answers)
	}
}

// TestFreezeDone: a store that answers applied to a freeze takes no writes, and traffic doesn't wait for another word.
func TestFreezeDone(t *testing.T) {
	_, words := fold(t, after(begun(), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckApplied), ack(12, 3, "user", schemas.AckApplied))...)
	expect(t, words[2:], "#3 rollback prepare 41:9900 42:100 (route)", "#4 rollback commit 41:10000 42:0 (route)")
}

// TestHostileAcks: what is forged, doubled, of another epoch or number, or says what nobody asked, decides nothing, tells nobody, and leaves what is waited for as it is, however far a rollout is.
func TestHostileAcks(t *testing.T) {
	saga := after(begun(named), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied), ack(14, 4, "us", schemas.AckApplied),
		ack(15, 5, "item", schemas.AckApplied), ack(16, 5, "user", schemas.AckApplied))
	saga = slices.Insert(saga, 2, ack(2, 1, "us", schemas.AckPrepared))
	for n := 1; n <= len(saga); n++ {
		s := stateOf(t, saga[:n]...)
		hostile := func(name, who string, epoch, seq int64, decision string, status schemas.AckStatus) {
			x := snapped(20, seq, who)
			x.Ack.Epoch, x.Ack.Decision, x.Ack.Status, x.Ack.At = epoch, decision, status, 1<<52
			left, effects := Step(s, x)
			left, again := Step(left, x)
			bounded := len(left.Answers) <= MaxAnswers && len(left.Strays) <= MaxStrays
			left.Answers, left.Strays, left.EventMs = s.Answers, s.Strays, s.EventMs
			if len(effects)+len(again) > 0 || !bounded || !reflect.DeepEqual(left, s) {
				t.Errorf("after %d inputs, %s of %s (%s): %d effects, state %+v\nwas %+v", n, name, who, status, len(effects)+len(again), left, s)
			}
		}
		for _, status := range []schemas.AckStatus{schemas.AckReceived, schemas.AckPrepared, schemas.AckApplied, schemas.AckRejected, schemas.AckFailed} {
			for _, who := range []string{"eu", "us", "item", "user", "nobody"} {
				hostile("an older epoch", who, 0, s.Seq, id(0, s.Seq), status)
				hostile("an older epoch's number for this one's decision", who, 0, s.Seq, id(1, s.Seq), status)
				hostile("a later epoch", who, 9, s.Seq, id(9, s.Seq), status)
				hostile("a decision that there is none of", who, 1, s.Seq+1, id(1, s.Seq+1), status)
				hostile("a number that isn't the decision's", who, 1, s.Seq, id(1, s.Seq+1), status)
				hostile("another rollout's", who, 1, s.Seq, "ranker-43.1.1", status)
				hostile("no number", who, 1, 0, id(1, 0), status)
			}
			hostile("a stranger's", "nobody", 1, s.Seq, id(1, s.Seq), status)
		}
		doubled, effects := Step(s, saga[n-1])
		if doubled.EventMs = s.EventMs; saga[n-1].Kind == InputAck && (len(effects) > 0 || !reflect.DeepEqual(doubled, s)) {
			t.Errorf("after %d inputs, the last ack once more: %d effects, %+v\nwas %+v", n, len(effects), doubled, s)
		}
	}
}

// TestAckOfTheFuture: when an answer says that it was given is nobody's time: what counts is when it came.
func TestAckOfTheFuture(t *testing.T) {
	future := ack(2, 1, "eu", schemas.AckPrepared)
	future.Ack.At = 1 << 52
	have, _ := Step(stateOf(t, applied(1, terms(ramp))), future)
	if want := stateOf(t, applied(1, terms(ramp)), ack(2, 1, "eu", schemas.AckPrepared)); !reflect.DeepEqual(have, want) {
		t.Errorf("%+v\nwant %+v", have, want)
	}
}
