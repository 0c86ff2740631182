package decisions

import (
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestUnfinished: what a new epoch would forget, and what to do about it.
func TestUnfinished(t *testing.T) {
	harm := verdictOf(10, VerdictRollback)
	moved := []Input{harm, ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied)}
	corrupt := ack(14, 5, "user", schemas.AckFailed)
	corrupt.Ack.Why = "snapshot corrupt"
	full := ack(11, 3, "item", schemas.AckFailed)
	full.Ack.Why = "disk full"
	frozen := command(10, CommandFreeze, false)
	for name, test := range map[string]struct {
		in           []Input
		force        bool
		want, wantTo string // "": nothing
	}{
		"running":     {begun(), false, "", ""},
		"rolled back": {rolledBack(terms()), false, "rollback of epoch 1 is not yet carried out (step route waits for any router)", "`rollout retry ranker-42 --override --comment WHY`"},
		"not drained": {after(rolledBack(terms()), ack(6, 3, "eu", schemas.AckApplied)), false, "(step verify waits until the stream shows that the canary has drained)", "`rollout apply --new-epoch --force`"},
		"given up":    {after(rolledBack(terms()), ack(6, 3, "eu", schemas.AckApplied)), true, "", ""},
		"drained":     {after(rolledBack(terms()), append(windowsOf(6, 3, 1000, 0), ack(9, 3, "eu", schemas.AckApplied))...), false, "", ""},
		"not restored, and not to be given up": {after(begun(), append(moved[:4:4], ack(14, 5, "item", schemas.AckApplied), corrupt)...), true,
			"(step restore failed, and waits for user: snapshot corrupt)", "`rollout delete ranker-42 --force` gives it up, and leaves item, user to be restored"},
		"not frozen, and not followed": {after(begun(), harm, full), true,
			"(step freeze failed, and waits for item, user: disk full; step route waits for any router), and a new epoch would forget it: mend that, and it goes on by itself", "`rollout delete ranker-42 --force` gives it up"},
		"not frozen, and followed": {after(begun(), harm, full, ack(12, 4, "eu", schemas.AckApplied)), true,
			"(step freeze failed, and waits for item, user: disk full; step restore waits for item, user), and a new epoch", ""},
		"in a cache that is warmed": {after(running(terms(cached)), harm, ack(11, 3, "eu", schemas.AckApplied)), false, "(step warm-10 is warming)", ""},
		"state that can't go back":  {after(begun(illegible), harm, ack(11, 3, "item", schemas.AckRejected)), true, "(step freeze failed", "`rollout rollback ranker-42 --override --comment WHY`"},
		"frozen by a person":        {after(begun(), frozen), true, "item, user were told to take no writes", "`rollout resume ranker-42 --comment WHY`"},
		"and resumed":               {after(begun(), frozen, command(11, CommandResume, false)), false, "", ""},
		"advice freezes nobody":     {[]Input{applied(1, terms(stateful, advise)), frozen}, false, "", ""},
		"deleted":                   {after(rolledBack(terms()), command(7, CommandDelete, true)), false, "", ""},
	} {
		s, _ := fold(t, test.in...)
		have := s.Unfinished(test.force)
		if (have == "") != (test.want == "") || !strings.Contains(have, test.want) || !strings.Contains(have, test.wantTo) {
			t.Errorf("%s: %q, want %q, and %q", name, have, test.want, test.wantTo)
		}
	}
}

// TestRefusesRetry: a retry is for what has ended, or is held for something that is wrong. Of an epoch that is well under way it takes force, which the new one's first decision says.
func TestRefusesRetry(t *testing.T) {
	const now = "`streamcanary rollout retry ranker-42 --override --comment WHY` begins anew now, and the decision says so"
	const runs = "epoch 1 is running, and a new one would forget what it has shown: `rollout rollback ranker-42 --comment WHY` ends it; " + now
	promoting := after(weighted(), verdictOf(10, VerdictPromote))
	pause := command(10, CommandPause, false)
	for name, test := range map[string]struct {
		in   []Input
		want string
		over []string
	}{
		"running":                     {weighted(), runs, []string{"running"}},
		"promoting":                   {promoting, strings.Replace(runs, "is running", "is promoting", 1), []string{"promoting"}},
		"paused by a person":          {after(weighted(), pause), strings.Replace(runs, "is running", "is holding", 1), []string{"holding"}},
		"paused, and held beneath it": {after(weighted(), found(9, "late"), pause), "", nil},
		"held for a finding":          {after(weighted(), found(10, "late")), "", nil},
		"held for a gap":              {after(weighted(), gap(10)), "", nil},
		"waiting for an approval":     {after(running(terms(ramp, approved)), verdictOf(10, VerdictAdvance)), strings.Replace(runs, "is running", "is holding", 1), []string{"holding"}},
		"preparing": {[]Input{applied(1, terms(ramp))},
			"epoch 1 has not begun: it waits for any router; `streamcanary rollout retry ranker-42 --override --comment WHY` prepares a new one all the same, and the decision says so", []string{"preparing"}},
		"rolled back, and open": {rolledBack(terms()), "the rollback of epoch 1 is not yet carried out (step route waits for any router), and a new epoch would forget it: " +
			"wait for it, or give up following it, with `rollout retry ranker-42 --override --comment WHY`, or `rollout apply --new-epoch --force`", []string{id(1, 3)}},
		"rolled back": {after(rolledBack(terms()), append(windowsOf(6, 3, 1000, 0), ack(9, 3, "eu", schemas.AckApplied))...), "", nil},
		"promoted":    {after(promoting, ack(11, 3, "eu", schemas.AckApplied)), "", []string{"promoted"}},
	} {
		s := stateOf(t, test.in...)
		if have := s.RefusesRetry(false); have != test.want {
			t.Errorf("%s: %s\nwant %s", name, have, test.want)
		}
		if why, over := s.RefusesRetry(true), s.GivesUp(true); why != "" || !slices.Equal(over, test.over) {
			t.Errorf("%s, by force: refused %q, past %q, want past %q", name, why, over, test.over)
		}
	}
	stands := stateOf(t, after(promoting, ack(11, 3, "eu", schemas.AckApplied))...)
	const back = "epoch 1 has given 42 all users, and a new one would give them to 41 again at once, with the state as it is: `streamcanary rollout back ranker-42 --comment WHY` checks and prepares that first, and then gives 41 all users, by the steps of its cache; " + now
	if why := stands.RefusesAnew(false); why != back || stands.RefusesAnew(true) != "" || (&State{Status: StatusRolledBack}).RefusesAnew(false) != "" {
		t.Errorf("a promotion that stands: %s\nwant %s", why, back)
	}
	if over := (&State{Status: StatusRunning}).GivesUp(false); over != nil {
		t.Errorf("who applies a changed file says so by --new-epoch: past %q", over)
	}
	again := applied(60, terms(ramp))
	again.Applied.Epoch, again.Applied.Retry, again.Applied.Override = 2, true, []string{"running"}
	_, effects := Step(stateOf(t, weighted()...), again)
	if d := effects[0].Decision.Decision; !slices.Equal(d.Override, []string{"running"}) || !strings.HasPrefix(d.Reason.Sentence, "Rollout ranker-42 begins anew, as epoch 2, by override past running: canary 42 ") {
		t.Errorf("past %q: %s", d.Override, d.Reason.Sentence)
	}
}

// weighted is a rollout with a weight that runs.
func weighted() []Input { return running(terms(weight)) }

// TestRollbackWhilePreparing: it ends the epoch, and the baseline gets all traffic whoever had split it; the state goes back only where each store can.
func TestRollbackWhilePreparing(t *testing.T) {
	external := func(t *Terms) { t.External, t.Stages = true, []StageTerms{{}} }
	shared := func(t *Terms) {
		t.State = StateTerms{Mode: schemas.StateShared, Stores: []string{"item", "user"}, AckWithinMs: 30_000, Compatible: true}
	}
	back := command(6, CommandRollback, false)
	for name, test := range map[string]struct {
		in   []Input
		want string
		why  string
	}{
		"routers have their own split": {[]Input{applied(1, terms()), back}, "#2 rollback 41:10000 42:0 over " + id(1, 1) + " (route)", "ada rolled 42 back before it began."},
		"a ramp":                       {[]Input{applied(1, terms(ramp)), back}, "#2 rollback 41:10000 42:0 over " + id(1, 1) + " (route)", "ada rolled 42 back before it began."},
		"another controller splits, and a store has no snapshot": {[]Input{applied(1, terms(external, shared)), snapped(2, 1, "user"), back},
			"#2 rollback 41:10000 42:0 over " + id(1, 1) + " (route)", "ada rolled 42 back before it began; not all of item, user had named a snapshot, so the state stays as it is."},
		"all stores have snapshots": {[]Input{applied(1, terms(ramp, shared)), snapped(2, 1, "user"), snapped(3, 1, "item"), back},
			"#2 rollback 41:10000 42:0 over " + id(1, 1) + " (route)", "ada rolled 42 back before it began; it has written nothing to item, user, so the state stays as it is, and no snapshot of it need be kept."},
	} {
		s, words := fold(t, append(test.in, ack(7, 1, "eu", schemas.AckPrepared), verdictOf(8, VerdictPromote))...)
		expect(t, words[1:], test.want)
		if s.Status != StatusRolledBack || s.Why.Sentence != test.why {
			t.Errorf("%s: %s, %q", name, s.Status, s.Why.Sentence)
		}
	}
}

// TestRollbackOfWhatMayHaveWritten: where another controller moves the traffic, it isn't known whether the canary had some before the start, so the state goes back.
func TestRollbackOfWhatMayHaveWritten(t *testing.T) {
	for name, change := range map[string]func(*Terms){"another controller": external, "nobody's weights": withoutWeights} {
		_, words := foldWith(t, saidWithState, applied(1, terms(stateful, change)), command(2, CommandPause, false), ack(3, 2, "eu", schemas.AckPrepared), snapped(4, 2, "user"), snapped(5, 2, "item"),
			command(6, CommandRollback, false))
		if last := words[len(words)-1]; !strings.Contains(last, "#3 rollback prepare") || !strings.Contains(last, "freeze item@item-before user@user-before") {
			t.Errorf("%s: %s", name, last)
		}
	}
}

// TestWhoIsWaitedFor: by name, with what was answered instead, and advice that fits.
func TestWhoIsWaitedFor(t *testing.T) {
	full := ack(5, 1, "user", schemas.AckFailed)
	full.Ack.Why = "no disk"
	start := []Input{applied(1, terms(stateful)), ack(2, 1, "eu", schemas.AckPrepared)}
	overdue := expire(31, id(1, 1)+"/acks")
	const silent = "Does it run, and is it allowed to acknowledge?"
	for name, test := range map[string]struct {
		in           []Input
		text, advice string
	}{
		"nobody has answered": {start, "item, user", silent},
		"one has failed":      {after(start, snapped(4, 1, "item"), full), "user (which answered failed: no disk)", "user answered failed to decision ranker-42.1.1 at 1970-01-01T00:00:05.000Z: no disk. Mend that there: it is asked again."},
		"one has failed, and one is silent": {after(start, full), "item, user (which answered failed: no disk)",
			"user answered failed to decision ranker-42.1.1 at 1970-01-01T00:00:05.000Z: no disk. Mend that there: it is asked again. And item: does it run, and is it allowed to acknowledge?"},
		"no router": {[]Input{applied(1, terms(stateful)), snapped(3, 1, "item"), snapped(4, 1, "user")}, "any router", silent},
	} {
		s, _ := fold(t, test.in...)
		if have := s.WaitingText(); have != test.text {
			t.Errorf("%s: waits for %q, want %q", name, have, test.text)
		}
		_, effects := Step(s, overdue)
		if n := effects[0].Notice; n == nil || !strings.Contains(n.Sentence, test.advice) {
			t.Errorf("%s: told %+v, want %q", name, effects[0], test.advice)
		}
		c := command(6, CommandPromote, false)
		_, effects = Step(s, c)
		if n := effects[0].Notice; !strings.Contains(n.Sentence, test.text) || !strings.Contains(n.Sentence, "`rollout rollback` ends it, and gives 41 all traffic") {
			t.Errorf("%s: refused by %q", name, n.Sentence)
		}
	}
}

// TestWhyAfterAnOverride: what a person did last is the last reason, though the rollback goes on by it.
func TestWhyAfterAnOverride(t *testing.T) {
	override := command(50, CommandRollback, true)
	override.Command.Actor.Comment = "users suffer"
	s, _ := fold(t, after(begun(illegible), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckRejected), override)...)
	if want := "ada moved the traffic by override, although the state can't go back yet (item answered rejected to decision ranker-42.1.3 at 1970-01-01T00:00:11.000Z: no reason given; user has not answered): users suffer."; s.Why.Sentence != want {
		t.Errorf("the last reason is %q, want %q", s.Why.Sentence, want)
	}
}

// TestCommandIDs: an id is of one command of its rollout, and a new epoch obeys none that was taken before it.
func TestCommandIDs(t *testing.T) {
	named := func(in Input) Input {
		c := *in.Command
		c.ID = "p-1"
		in.Command = &c
		return in
	}
	pause, back := named(command(5, CommandPause, false)), named(command(6, CommandRollback, false))
	s, words := fold(t, after(running(terms(ramp)), pause, back, pause)...)
	expect(t, words[2:], "#3 hold 41:9900 42:100 (route)")
	if done, taken := s.Outcome(pause.Command); !taken || done.Decision != id(1, 3) {
		t.Errorf("the pause: %+v", done)
	}
	if done, taken := s.Outcome(back.Command); !taken || done.Decision != "" || !strings.Contains(done.Refused, "id p-1 was given to another command") {
		t.Errorf("a rollback under its id: %+v", done)
	}
	s, _ = fold(t, after(running(terms(ramp)), back)...)
	again := applied(60, terms(ramp))
	again.Applied.Epoch, again.Applied.Prev, again.Applied.Retry = 2, s.Prev, true
	s, _ = Step(s, again)
	s, effects := Step(s, back)
	if len(effects) > 0 || s.Status != StatusPreparing {
		t.Errorf("sent again after a retry: %s, %+v", s.Status, effects)
	}
}
