package decisions

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// frozenNow is a rollout that a person has frozen, and whose stores take no writes; the next decision is the fourth.
func frozenNow() []Input {
	return after(begun(), command(10, CommandFreeze, false), ack(11, 3, "item", schemas.AckApplied), ack(12, 3, "user", schemas.AckApplied))
}

// owes is a rollout of a model two of whose stores have not answered an earlier epoch that they take writes again.
func owes(names ...string) func(*Terms) {
	return func(t *Terms) { t.State.Owes(names) }
}

// What the decisions of such a rollout are.
const (
	thawed   = "#4 resume 41:9900 42:100 over ranker-42.1.3 (route) | unfreeze item@item-before user@user-before |"
	pauseTo  = " (route) | unfreeze user@user-before |"
	overdue  = "!acks-overdue user"
	promoted = "#5 promote 41:0 42:10000 (route) | unfreeze user@user-before | any"
)

// TestThaw: that stores take writes again stands in each decision until they have answered one of them.
func TestThaw(t *testing.T) {
	resume, item := command(13, CommandResume, false), ack(14, 4, "item", schemas.AckApplied)
	promote := command(20, CommandPromote, true)
	for name, test := range map[string]struct {
		in    []Input
		want  []string // after the freeze
		owing string
	}{
		"all answer": {[]Input{resume, item, ack(15, 4, "user", schemas.AckApplied), expire(43, id(1, 4)+"/thaw"), command(44, CommandPause, false)},
			[]string{thawed, "#5 hold 41:9900 42:100 (route) | |"}, ""},
		"one is away, and comes back after a promotion": {[]Input{resume, item, promote, expire(42, id(1, 4)+"/thaw"), expire(43, id(1, 4)+"/thaw"), ack(60, 5, "user", schemas.AckApplied), expire(200, id(1, 4)+"/thaw")},
			[]string{thawed, promoted, overdue, "again " + id(1, 5), "!writes-again"}, ""},
		"what it answered before doesn't count": {[]Input{resume, item, ack(15, 3, "user", schemas.AckApplied), promote}, []string{thawed, promoted}, "user"},
		"nor does a receipt":                    {[]Input{resume, item, ack(15, 4, "user", schemas.AckReceived), promote}, []string{thawed, promoted}, "user"},
		"it is told again and again":            {[]Input{resume, item, expire(43, id(1, 4)+"/thaw"), expire(103, id(1, 4)+"/thaw")}, []string{thawed, overdue, "again " + id(1, 4), overdue, "again " + id(1, 4)}, "user"},
		"one that fails is told once, and heard when it can": {[]Input{resume, item, ack(15, 4, "user", schemas.AckFailed), ack(16, 4, "user", schemas.AckFailed), promote, ack(22, 5, "user", schemas.AckFailed), ack(60, 5, "user", schemas.AckApplied)},
			[]string{thawed, "!ack-refused user", promoted, "!writes-again"}, ""},
		"a pause and its end": {[]Input{resume, item, command(16, CommandPause, false), command(17, CommandResume, false)},
			[]string{thawed, "#5 hold 41:9900 42:100" + pauseTo, "#6 resume 41:9900 42:100 over " + id(1, 5) + pauseTo}, "user"},
		"frozen once more: nobody is to write": {[]Input{resume, item, command(16, CommandFreeze, false), expire(43, id(1, 4)+"/thaw")},
			[]string{thawed, "#5 freeze 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user"}, ""},
		"frozen once more, after that was told: that ends": {[]Input{resume, item, ack(15, 4, "user", schemas.AckFailed), expire(43, id(1, 4)+"/thaw"), command(44, CommandFreeze, false), expire(103, id(1, 4)+"/thaw")},
			[]string{thawed, "!ack-refused user", overdue, "again " + id(1, 4), "#5 freeze 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user", "!handed-on frozen"}, ""},
		"rolled back: that freezes, and has a step of its own": {[]Input{resume, item, verdictOf(16, VerdictRollback), expire(43, id(1, 4)+"/thaw")},
			[]string{thawed, "#5 rollback prepare 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user"}, ""},
		"superseded": {[]Input{command(13, CommandSupersede, false), item, expire(43, id(1, 4)+"/thaw")},
			[]string{"#4 supersede abort 41:10000 42:0 over " + id(1, 3) + " (route) | unfreeze item@item-before user@user-before |", overdue, "again " + id(1, 4)}, "user"},
		"deleted": {[]Input{resume, item, command(16, CommandDelete, false)},
			[]string{thawed, "#5 start abort 41:10000 42:0 (route) | unfreeze user@user-before |"}, "user"},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := foldWith(t, saidWithState, frozenNow()...)
			if before.Thawing != nil || len(before.Owing()) > 0 {
				t.Fatalf("waits for writes already: %+v", before.Thawing)
			}
			s, words := foldWith(t, saidWithState, after(frozenNow(), test.in...)...)
			expect(t, words, append([]string{snapshot, commit, froze}, test.want...)...)
			if have := strings.Join(s.Owing(), " "); have != test.owing || (have == "") != (s.Thawing == nil) || slices.Contains(s.Missing(), "user") && have == "" && s.Saga == nil && !s.Frozen {
				t.Errorf("%q owe an answer (%+v), want %q", have, s.Thawing, test.owing)
			}
		})
	}
}

// TestFreezeEndsThaw: the notice that ends what was told of writes names the stores, and the freeze.
func TestFreezeEndsThaw(t *testing.T) {
	var said []string
	foldWith(t, func(e Effect) string {
		if n := e.Notice; n != nil && n.Kind == schemas.NoticeHandedOn {
			said = append(said, n.Sentence)
		}
		return saidWithState(e)
	}, after(frozenNow(), command(13, CommandResume, false), ack(15, 4, "user", schemas.AckFailed), command(44, CommandFreeze, false))...)
	want := "That item, user take writes again (decision ranker-42.1.4) isn't waited for any more: a freeze was asked for meanwhile (decision ranker-42.1.5), and until that ends no writes are wanted there. Where they were let in by hand, stop them."
	if len(said) != 1 || said[0] != want {
		t.Errorf("%q, want %q", said, want)
	}
}

// TestThawAfterRollback: what is decided after the last step's decision says again what that step waits for.
func TestThawAfterRollback(t *testing.T) {
	in := after(begun(func(t *Terms) { t.Chronic = ChronicTerms{1, 1000} }), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared))
	s := stateOf(t, in...)
	last := s.Seq
	in = append(in, ack(13, last, "eu", schemas.AckApplied), ack(14, last+1, "item", schemas.AckApplied), ack(14, last+1, "user", schemas.AckApplied), ack(15, last+2, "item", schemas.AckApplied))
	s = stateOf(t, in...)
	if step := s.Saga.step(StepUnfreeze); !step.begun() || !step.open() || strings.Join(s.Owing(), " ") != "user" || s.Thawing != nil {
		t.Fatalf("step %+v, owing %v, beside the step %+v", step, s.Owing(), s.Thawing)
	}
	orders := s.owed(nil)
	if want := []schemas.StateOrder{{Store: "user", Do: schemas.StateUnfreeze, Snapshot: "user-before"}}; !slices.Equal(orders, want) {
		t.Errorf("the next decision asks %+v, want %+v", orders, want)
	}
	s = stateOf(t, after(in, ack(16, last+2, "user", schemas.AckApplied))...)
	if s.Owing() != nil || s.owed(nil) != nil {
		t.Errorf("owing %v after all have answered", s.Owing())
	}
}

// TestThawInALaterEpoch: the next epoch of the model, of whatever rollout, goes on to tell the stores that have not answered.
func TestThawInALaterEpoch(t *testing.T) {
	eu := ack(4, 1, "eu", schemas.AckPrepared)
	hold := verdictOf(9, VerdictHold)
	for name, test := range map[string]struct {
		terms Terms
		in    []Input
		want  []string
		owing string
	}{
		"state of an earlier rollout": {terms(weight, owes("user")), []Input{eu, ack(5, 2, "user", schemas.AckApplied), ack(6, 2, "eu", schemas.AckApplied), hold},
			[]string{"#1 start prepare 41:10000 42:0 (route) | unfreeze user | any", "#2 start commit 41:9000 42:1000 (route) | unfreeze user | any", "#3 hold 41:9000 42:1000 (route) | |"}, ""},
		"which answers the prepare": {terms(weight, owes("user")), []Input{ack(3, 1, "user", schemas.AckPrepared), eu},
			[]string{"#1 start prepare 41:10000 42:0 (route) | unfreeze user | any", "#2 start commit 41:9000 42:1000 (route) | | any"}, ""},
		"and is no router": {terms(weight, owes("user")), []Input{ack(3, 1, "user", schemas.AckPrepared)}, []string{"#1 start prepare 41:10000 42:0 (route) | unfreeze user | any"}, ""},
		"and is told of": {terms(weight, owes("user")), []Input{expire(11, id(1, 1)+"/thaw"), eu, expire(14, id(1, 2)+"/thaw")},
			[]string{"#1 start prepare 41:10000 42:0 (route) | unfreeze user | any", overdue, "again " + id(1, 1), "#2 start commit 41:9000 42:1000 (route) | unfreeze user | any", overdue, "again " + id(1, 2)}, "user"},
		"its own store: after the snapshot": {terms(stateful, oneStore, owes("user")), []Input{snapped(3, 1, "user"), eu, ack(5, 1, "user", schemas.AckApplied)},
			[]string{"#1 start prepare 41:10000 42:0 (route) | snapshot user | any user", "#2 start commit 41:9900 42:100 (route) | unfreeze user@user-before | any"}, "user"},
		"its own, and another": {terms(stateful, oneStore, owes("older", "user")), []Input{ack(3, 1, "older", schemas.AckPrepared), snapped(3, 1, "user"), eu, ack(5, 2, "user", schemas.AckApplied), hold},
			[]string{"#1 start prepare 41:10000 42:0 (route) | snapshot user unfreeze older | any user", "#2 start commit 41:9900 42:100 (route) | unfreeze user@user-before | any", "#3 hold 41:9900 42:100 (route) | |"}, ""},
		"frozen before it begins": {terms(stateful, oneStore, owes("older", "user")), []Input{snapped(3, 1, "user"), command(3, CommandFreeze, false), eu},
			[]string{"#1 start prepare 41:10000 42:0 (route) | snapshot user unfreeze older | any user", "#2 freeze prepare 41:10000 42:0 over " + id(1, 1) + " (route) | snapshot user unfreeze older | any user"}, "older user"},
		"given up before it begins": {terms(stateful, oneStore, owes("user")), []Input{command(3, CommandDelete, false)},
			[]string{"#1 start prepare 41:10000 42:0 (route) | snapshot user | any user", "#2 start abort 41:10000 42:0 over " + id(1, 1) + " (route) | unfreeze user |"}, "user"},
		"decisions that nobody obeys": {terms(weight, advise, owes("user")), []Input{expire(40, id(1, 2)+"/thaw")},
			[]string{"#1 start prepare 41:10000 42:0 | |", "#2 start commit 41:9000 42:1000 | |"}, "user"},
	} {
		t.Run(name, func(t *testing.T) {
			s, words := foldWith(t, saidWithState, after([]Input{applied(1, test.terms)}, test.in...)...)
			expect(t, words, test.want...)
			if have := strings.Join(s.Owing(), " "); have != test.owing {
				t.Errorf("%q owe an answer (%+v), want %q", have, s.Thawing, test.owing)
			}
		})
	}
	s := stateOf(t, applied(1, terms(weight, owes("user"))), expireLater(12, id(1, 1)+"/thaw"))
	if s.Thawing != nil || len(s.Deadlines()) != 1 {
		t.Errorf("a later epoch has begun, and this one waits: %+v, %v", s.Thawing, s.Deadlines())
	}
}

func expireLater(at int64, deadline string) Input {
	in := expire(at, deadline)
	in.Expired.Later = true
	return in
}

// TestOwing: what is known of who owes an answer, and that no decision asks more than a reader takes.
func TestOwing(t *testing.T) {
	d := schemas.Decision{Mode: schemas.Enforce, State: []schemas.StateOrder{{Store: "b", Do: schemas.StateUnfreeze}, {Store: "c", Do: schemas.StateFreeze}, {Store: "a", Do: schemas.StateUnfreeze}}}
	if have := OwingOf(&d); !slices.Equal(have, []string{"a", "b"}) {
		t.Errorf("%v may owe an answer", have)
	}
	d.Mode = schemas.Advise
	if have := OwingOf(&d); have != nil {
		t.Errorf("%v may owe an answer to what nobody obeys", have)
	}
	many := make([]string, schemas.MaxStores)
	for i := range many {
		many[i] = fmt.Sprintf("old-%02d", i)
	}
	for _, change := range []func(*Terms){weight, stateful} {
		in := applied(1, terms(change, owes(slices.Concat(many, []string{"user"})...)))
		_, effects := Step(State{}, in)
		orders := effects[0].Decision.Decision.State
		if len(orders) == 0 || len(orders) > schemas.MaxStores {
			t.Errorf("%d orders", len(orders))
		}
	}
}

// TestWhatAFrozenStoreMeans: what is told and shown of a store that doesn't take writes again.
func TestWhatAFrozenStoreMeans(t *testing.T) {
	full := ack(15, 4, "user", schemas.AckFailed)
	full.Ack.Why = "no disk"
	resumed := after(frozenNow(), command(13, CommandResume, false), ack(14, 4, "item", schemas.AckApplied))
	for want, in := range map[string][]Input{
		"That user takes writes again (decision ranker-42.1.4) is not acknowledged (deadline passed once). Until then writes there may be refused: let user take them by hand if need be. Each decision asks for it until that is answered. user answered applied to decision ranker-42.1.3 at 1970-01-01T00:00:12.000Z, and nothing since: does it still run? Look at its log.": after(resumed, expire(43, id(1, 4)+"/thaw")),
		"user answered failed to decision ranker-42.1.4: no disk. Until then writes there may be refused: let user take them by hand if need be. Each decision asks for it until that is answered.":                                                                                                                                                                              after(resumed, full),
		"That user takes writes again (decision ranker-42.1.1) is not acknowledged (deadline passed once). Until then writes there may be refused: let user take them by hand if need be. Each decision asks for it until that is answered. user is told so when the start is committed.":                                                                                        {applied(1, terms(stateful, oneStore, owes("user"))), expire(31, id(1, 1)+"/thaw")},
	} {
		_, words := foldWith(t, func(e Effect) string {
			if e.Notice != nil {
				return e.Notice.Sentence
			}
			return ""
		}, in...)
		if !slices.Contains(words, want) {
			t.Errorf("told %q, want %q", words, want)
		}
	}
	for want, in := range map[string][]Input{
		"": after(resumed, ack(15, 4, "user", schemas.AckApplied)),
		"was told to take writes again by decision ranker-42.1.4, and may not do it yet: user has not answered":                                                                                      resumed,
		"was told to take writes again by decision ranker-42.1.4 (deadline passed once), and may not do it yet: user answered failed to decision ranker-42.1.4 at 1970-01-01T00:00:15.000Z: no disk": after(resumed, full, expire(43, id(1, 4)+"/thaw")),
	} {
		s := stateOf(t, in...)
		if have := s.ThawText(); have != want {
			t.Errorf("shown %q, want %q", have, want)
		}
	}
	s := stateOf(t, resumed...)
	if have := Deleted(&s, person).Sentence; !strings.HasSuffix(have, " Nobody waits for user to answer that writes are taken again: look whether they are.") {
		t.Errorf("deleted: %q", have)
	}
}
