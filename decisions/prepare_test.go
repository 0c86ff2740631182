package decisions

import (
	"testing"

	"streamcanary/schemas"
)

// overTried begins over a canary that may have written.
func overTried(t *Terms) {
	stateful(t)
	t.State.Written = &Written{By: "42", Epoch: 7, Snapshots: []Snapshot{{"item", "item-first"}, {"user", "user-first"}}}
}

// TestHeldBeforeItBegins: who pauses or freezes a rollout that is being prepared gets it prepared, and not begun, until it is resumed.
func TestHeldBeforeItBegins(t *testing.T) {
	const (
		again   = "prepare 41:10000 42:0 over "
		resumed = "#3 start commit 41:9900 42:100 over "
		route   = " (route) | | any"
		frozen  = "freeze item@item-before user@user-before"
		asked   = " (route) | snapshot item user | any item user"
	)
	pause, freeze, resume := command(6, CommandPause, false), command(6, CommandFreeze, false), command(20, CommandResume, false)
	all := func(seq int64) []Input {
		return []Input{ack(10, seq, "eu", schemas.AckPrepared), snapped(11, seq, "user"), snapped(12, seq, "item")}
	}
	back := "rollback 41:10000 42:0 over "
	for _, test := range []struct {
		name   string
		change func(*Terms)
		in     []Input
		want   []string // after the prepare
		status Status
		frozen bool
	}{
		{"paused: prepared, and nothing more", ramp, []Input{pause, ack(7, 2, "eu", schemas.AckPrepared), verdictOf(8, VerdictRollback)},
			[]string{"#2 hold " + again + id(1, 1) + route}, StatusPreparing, false},
		{"an answer to the prepare itself comes late, and isn't that to the pause", ramp, []Input{pause, ack(7, 1, "eu", schemas.AckPrepared), resume},
			[]string{"#2 hold " + again + id(1, 1) + route, "#3 resume " + again + id(1, 2) + route}, StatusPreparing, false},
		{"resumed once it is prepared: it begins", ramp, []Input{pause, ack(7, 2, "eu", schemas.AckPrepared), resume},
			[]string{"#2 hold " + again + id(1, 1) + route, resumed + id(1, 2) + route}, StatusRunning, false},
		{"resumed before: it begins when it is prepared", ramp, []Input{pause, resume, ack(21, 3, "eu", schemas.AckPrepared)},
			[]string{"#2 hold " + again + id(1, 1) + route, "#3 resume " + again + id(1, 2) + route, "#4 start commit 41:9900 42:100 (route) | | any"}, StatusRunning, false},
		{"a deadline goes on", ramp, []Input{pause, expire(11, id(1, 1)+"/acks"), expire(16, id(1, 2)+"/acks")},
			[]string{"#2 hold " + again + id(1, 1) + route, "!acks-overdue any", "again " + id(1, 2)}, StatusPreparing, false},
		{"paused twice", ramp, []Input{pause, pause}, []string{"#2 hold " + again + id(1, 1) + route, "!command-refused"}, StatusPreparing, false},
		{"what moves traffic is refused", ramp, []Input{pause, command(7, CommandPromote, true), command(7, CommandAdvance, true)},
			[]string{"#2 hold " + again + id(1, 1) + route, "!command-refused", "!command-refused"}, StatusPreparing, false},
		{"rolled back while it is held", ramp, []Input{pause, command(7, CommandRollback, false), resume},
			[]string{"#2 hold " + again + id(1, 1) + route, "#3 " + back + id(1, 2) + route, "!command-refused"}, StatusRolledBack, false},
		{"deleted while it is held", ramp, []Input{pause, command(7, CommandDelete, false)},
			[]string{"#2 hold " + again + id(1, 1) + route, "#3 start abort 41:10000 42:0 over " + id(1, 2) + " (route) | |"}, StatusDeleted, false},
		{"nobody's weights", withoutWeights, []Input{pause, ack(7, 2, "eu", schemas.AckPrepared), resume},
			[]string{"#2 hold prepare over " + id(1, 1) + " | | any", "#3 start commit over " + id(1, 2) + " | | any"}, StatusRunning, false},
		{"without state, a freeze holds", ramp, []Input{freeze, ack(7, 2, "eu", schemas.AckPrepared), resume},
			[]string{"#2 freeze " + again + id(1, 1) + route, resumed + id(1, 2) + route}, StatusRunning, false},

		{"stores are asked again", stateful, []Input{pause}, []string{"#2 hold " + again + id(1, 1) + asked}, StatusPreparing, false},
		{"a freeze takes effect once there are snapshots", stateful, append([]Input{freeze}, all(2)...),
			[]string{"#2 freeze " + again + id(1, 1) + asked, "#3 freeze 41:10000 42:0 (route) | " + frozen + " | item user"}, StatusPreparing, true},
		{"and is over before the start", stateful, append(append([]Input{freeze}, all(2)...), ack(13, 3, "item", schemas.AckApplied), ack(14, 3, "user", schemas.AckApplied), resume),
			[]string{"#2 freeze " + again + id(1, 1) + asked, "#3 freeze 41:10000 42:0 (route) | " + frozen + " | item user",
				"#4 start commit 41:9900 42:100 over " + id(1, 3) + " (route) | unfreeze item@item-before user@user-before | any"}, StatusRunning, false},
		{"a pause that is prepared can be made a freeze", stateful, append(append([]Input{pause}, all(2)...), freeze, expire(37, id(1, 3)+"/acks")),
			[]string{"#2 hold " + again + id(1, 1) + asked, "#3 freeze 41:10000 42:0 over " + id(1, 2) + " (route) | " + frozen + " | item user",
				"!acks-overdue item,user", "again " + id(1, 3)}, StatusPreparing, true},
		{"rolled back once there are snapshots, and nothing more: nothing was written, and nothing goes back", stateful,
			[]Input{snapped(11, 1, "user"), snapped(12, 1, "item"), command(20, CommandRollback, false)}, []string{"#2 " + back + id(1, 1) + route}, StatusRolledBack, false},
		{"rolled back while it is frozen: the stores take writes, and nothing goes back", stateful, append(append([]Input{freeze}, all(2)...), command(20, CommandRollback, false), ack(21, 4, "item", schemas.AckApplied), expire(51, id(1, 4)+"/thaw")),
			[]string{"#2 freeze " + again + id(1, 1) + asked, "#3 freeze 41:10000 42:0 (route) | " + frozen + " | item user",
				"#4 " + back + id(1, 3) + " (route) | unfreeze item@item-before user@user-before | any", "!acks-overdue user", "again " + id(1, 4)}, StatusRolledBack, false},
		{"rolled back while what it begins over may have written: the state goes back", overTried, []Input{command(20, CommandRollback, false)}, []string{"#2 rollback prepare 41:10000 42:0 over " + id(1, 1) + " (route) | freeze item@item-first user@user-first | item user"}, StatusRolledBack, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, words := foldWith(t, saidWithState, append([]Input{applied(1, terms(test.change))}, test.in...)...)
			expect(t, words[1:], test.want...)
			if s.Status != test.status || s.Frozen != test.frozen {
				t.Errorf("%s, frozen %v; want %s, %v", s.Status, s.Frozen, test.status, test.frozen)
			}
		})
	}
}

// TestPreparingText: a person reads what keeps a rollout from its start, and what lets it begin.
func TestPreparingText(t *testing.T) {
	pause := command(6, CommandPause, false)
	for want, in := range map[string][]Input{
		"Nothing is judged before these have answered that they are prepared: any router.":                                                                                 nil,
		"It holds (paused) before it begins, until `streamcanary rollout resume ranker-42 --comment WHY`, and these have not answered that they are prepared: any router.": {pause},
		"It is prepared, and holds (paused): nothing is judged and no traffic moves until `streamcanary rollout resume ranker-42 --comment WHY`.":                          {pause, ack(7, 2, "eu", schemas.AckPrepared)},
	} {
		s := stateOf(t, append([]Input{applied(1, terms(ramp))}, in...)...)
		if have := s.PreparingText(); have != want {
			t.Errorf("%q\nwant %q", have, want)
		}
	}
	const waits = "Command resume of rollout ranker-42 is refused: the rollout doesn't hold: it has not begun, and it waits for any router."
	if _, effects := Step(stateOf(t, applied(1, terms(ramp))), command(8, CommandResume, false)); effects[0].Notice.Sentence != waits {
		t.Errorf("%q, want %q", effects[0].Notice.Sentence, waits)
	}
	s, _ := Step(stateOf(t, applied(1, terms(ramp)), pause), ack(7, 2, "eu", schemas.AckPrepared))
	s, effects := Step(s, command(8, CommandResume, false))
	if d := effects[0].Decision.Decision; d.Actor != person || d.Reason.Sentence != "ada ended the hold." || s.Why.Sentence != d.Reason.Sentence {
		t.Errorf("%+v: %s; the record says %s", d.Actor, d.Reason.Sentence, s.Why.Sentence)
	}
}
