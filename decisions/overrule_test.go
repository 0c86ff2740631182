package decisions

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// dayLong is a ramp's watch, with its length.
func dayLong(t *Terms) {
	watched(t)
	t.Stages[len(t.Stages)-1].WatchMs = 24 * 3600 * 1000
}

// inWatch is a rollout in its watch, which routers have followed to at second 7: its first window begins at second 11.
func inWatch() []Input {
	in := command(6, CommandPromote, false)
	in.Turn = 5
	return after(running(terms(ramp, dayLong)), in, ack(7, 3, "eu", schemas.AckApplied))
}

// at is a command with evidence before it, at a second of both clocks.
func at(second int64, do CommandKind, force bool) Input {
	in := command(second, do, force)
	in.Turn, in.EventMs = 8, second*1000
	return in
}

// TestWatchIsNotCutShort: who ends a watch before its time must say so, and the decision tells.
func TestWatchIsNotCutShort(t *testing.T) {
	const past = "`streamcanary rollout promote ranker-42 --override --comment WHY` ends it now, and the decision says so"
	const why = ": as long as 1 % of the traffic stays at 41, harm of 42 that only all of the traffic shows is proven against it, and rolled back"
	const left = "its watch takes until 1970-01-02T00:00:11.000Z, 23h59m51s more by the events" + why
	const runs = left + "; " + past
	breach := verdictOf(19, VerdictContinue)
	breach.Verdict.Breached = []string{"p99"}
	first := command(6, CommandPromote, false)
	first.Turn = 5
	later := at(20, CommandPromote, false) // by the clock: what is asked for again at once isn't told again
	later.WallMs += RefusedEvery.Milliseconds()
	for name, test := range map[string]struct {
		in   []Input
		want string // why it is refused; "": it is done
		over []string
		said string
	}{
		"promote":           {after(inWatch(), at(20, CommandPromote, false)), runs, nil, ""},
		"promote once more": {after(inWatch(), at(20, CommandPromote, false), later), runs, nil, ""},
		"advance":           {after(inWatch(), at(20, CommandAdvance, false)), "it is in its last stage, after which the canary gets all traffic: that is a promotion, which would be refused, too: " + runs, nil, ""},
		"advance, by force": {after(inWatch(), at(20, CommandAdvance, true)), "it is in its last stage, after which the canary gets all traffic: `streamcanary rollout promote ranker-42 --override --comment WHY` does that", nil, ""},
		"out of a pause":    {after(inWatch(), at(20, CommandPause, false), at(20, CommandPromote, false)), runs, nil, ""},
		"out of a freeze": {after(inWatch(), at(20, CommandFreeze, false), at(20, CommandPromote, false)), "it holds (frozen): `streamcanary rollout resume ranker-42 --comment WHY` ends that; " +
			"`streamcanary rollout promote ranker-42 --override --comment WHY` goes past it, and the decision says so. It would end the watch, too: " + left, nil, ""},
		"a pause, resumed":   {after(inWatch(), at(20, CommandPause, false), at(20, CommandResume, false), at(20, CommandPromote, false)), runs, nil, ""},
		"while harm is seen": {after(inWatch(), breach, at(20, CommandPromote, false)), "guardrails say that the canary does harm: p99; `streamcanary rollout promote ranker-42 --override --comment WHY` goes past them, and the decision says so. It would end the watch, too: " + left, nil, ""},
		"before routers follow": {after(running(terms(ramp, dayLong)), first, at(20, CommandPromote, false)),
			"decision ranker-42.1.3 is not answered by any router yet; `streamcanary rollout promote ranker-42 --override --comment WHY` doesn't wait for it, and the decision says so. It would end the watch, too: its watch of 24h has not begun" + why, nil, ""},
		"an older record, which has no length": {after(running(terms(ramp, watched)), first, ack(7, 3, "eu", schemas.AckApplied), at(20, CommandPromote, false)), "its watch is not over" + why + "; " + past, nil, ""},
		"by force":                             {after(inWatch(), at(20, CommandPromote, true)), "", []string{"watch"}, "ada promoted 42, 23h59m51s before its watch was over, by override."},
		"by force, past harm":                  {after(inWatch(), breach, at(20, CommandPromote, true)), "", []string{"p99", "watch"}, "ada promoted 42, 23h59m51s before its watch was over, by override past p99."},
		"left out by force":                    {after(running(terms(ramp, dayLong)), at(20, CommandPromote, true)), "", []string{"watch"}, "ada promoted 42 without its watch, by override."},
		"begun and cut, by force":              {after(running(terms(ramp, dayLong)), first, at(20, CommandPromote, true)), "", []string{id(1, 3), "watch"}, "ada promoted 42 without its watch, by override past ranker-42.1.3."},
		"its time is over":                     {after(inWatch(), at(24*3600+11, CommandPromote, false)), "", nil, "ada promoted 42."},
	} {
		t.Run(name, func(t *testing.T) {
			last := test.in[len(test.in)-1]
			_, effects := Step(stateOf(t, test.in[:len(test.in)-1]...), last)
			if n := effects[0].Notice; test.want != "" && (n == nil || n.Sentence != "Command "+string(last.Command.Do)+" of rollout ranker-42 is refused: "+test.want+".") {
				t.Fatalf("said %s %+v, want it refused: %s", said(effects[0]), n, test.want)
			}
			if test.want != "" {
				return
			}
			d := effects[0].Decision.Decision
			if d.Action != schemas.ActionPromote || !reflect.DeepEqual(d.Override, test.over) || d.Reason.Sentence != test.said {
				t.Errorf("%s past %q: %s, want past %q: %s", d.Action, d.Override, d.Reason.Sentence, test.over, test.said)
			}
		})
	}
}

// TestPromoteDeliveredAgain: the command that began the watch ends nothing when it comes once more.
func TestPromoteDeliveredAgain(t *testing.T) {
	in := at(6, CommandPromote, false)
	in.Command.ID = "p-1"
	again := at(20, CommandPromote, false)
	again.Command.ID = "p-1"
	_, words := fold(t, after(running(terms(ramp, dayLong)), in, again, ack(21, 3, "eu", schemas.AckApplied), again)...)
	expect(t, words[2:], "#3 advance 41:100 42:9900 (route)")
}

// TestPausedPillar: a pause doesn't hide a pillar that fails from who would give the canary more traffic.
func TestPausedPillar(t *testing.T) {
	gone := Input{Kind: InputPillars, WallMs: 6000, Pillars: &Checked{Pillars: []Pillar{NewPillar(PillarRegistry, PillarFailed, []string{"version 7 is gone"})}}}
	in := after(running(terms(ramp)), at(5, CommandPause, false), gone)
	for _, do := range []CommandKind{CommandAdvance, CommandPromote} {
		s, effects := Step(stateOf(t, in...), at(8, do, false))
		want := "a pillar holds no longer: registry failed: version 7 is gone; `streamcanary rollout " + string(do) + " ranker-42 --override --comment WHY` goes past that"
		if effects[0].Notice == nil || !strings.Contains(effects[0].Notice.Sentence, want) || s.Stage != 0 {
			t.Errorf("%s: %s, stage %d, want refused: %s", do, said(effects[0]), s.Stage, want)
		}
		_, effects = Step(stateOf(t, in...), at(8, do, true))
		if d := effects[0].Decision; d == nil || !reflect.DeepEqual(d.Decision.Override, []string{codePillarFailed}) {
			t.Errorf("%s by force: %s", do, said(effects[0]))
		}
	}
}

// TestPromoteAtAStopPastHarm: who doesn't wait for a warm cache goes past no harm either.
func TestPromoteAtAStopPastHarm(t *testing.T) {
	cold := func(t *Terms) {
		t.Cache = CacheTerms{BaselineNamespace: "b", CanaryNamespace: "c", MaxMs: 60_000, HitRate: 0.8, PromoteBP: []int{1000}}
	}
	breach := verdictOf(8, VerdictContinue)
	breach.Verdict.Breached = []string{"errors"}
	in := after(running(terms(withoutWeights, cold)), at(5, CommandPromote, false), ack(6, 3, "eu", schemas.AckApplied))
	_, words := fold(t, after(in, at(9, CommandPromote, false))...)
	expect(t, words[2:], "#3 advance 41:9000 42:1000 (route)", "#4 promote 41:0 42:10000 (route)")
	_, words = fold(t, after(in, breach, at(9, CommandPromote, false), at(10, CommandPromote, true))...)
	expect(t, words[2:], "#3 advance 41:9000 42:1000 (route)", "!command-refused", "#4 promote 41:0 42:10000 (route)")
}

// TestRollbackAndPromotion: a rollback beats a promotion until that is acknowledged. Then the way back is a rollout of its own.
func TestRollbackAndPromotion(t *testing.T) {
	in := after(running(terms(ramp)), at(5, CommandPromote, false))
	s, words := fold(t, after(in, at(6, CommandRollback, false), ack(7, 3, "eu", schemas.AckApplied))...)
	expect(t, words[2:], "#3 promote 41:0 42:10000 (route)", "#4 rollback 41:10000 42:0 over "+id(1, 3)+" (route)")
	if s.Status != StatusRolledBack || s.Saga.step(StepRoute).State != StepPending {
		t.Errorf("%s, %+v: the promotion's late answer counts for the rollback", s.Status, s.Saga.step(StepRoute))
	}
	s, effects := Step(stateOf(t, after(in, ack(6, 3, "eu", schemas.AckApplied))...), at(7, CommandRollback, true))
	want := "epoch 1 is promoted, and stays so: `streamcanary rollout back ranker-42 --comment WHY` gives 41 all traffic again, as a rollout of its own."
	if n := effects[0].Notice; s.Status != StatusPromoted || n == nil || !strings.HasSuffix(n.Sentence, want) {
		t.Errorf("%s: %s, want refused: %s", s.Status, said(effects[0]), want)
	}
}

// TestRefusedAfterARollback: who asks for more is told what is under way, and how to begin anew after it.
func TestRefusedAfterARollback(t *testing.T) {
	stays := "epoch 1 is rolled-back, and stays so: "
	for name, test := range map[string]struct {
		in   []Input
		want string
	}{
		"under way": {rolledBack(terms()), stays + "its rollback is not yet carried out (step route waits for any router); once it is, a new epoch can begin."},
		"done": {after(rolledBack(terms()), append(windowsOf(6, 3, 1000, 0), ack(9, 3, "eu", schemas.AckApplied))...),
			stays + "`rollout retry` begins a new one, and `rollout apply --new-epoch` one from a changed file."},
		"waits for the state": {after(begun(illegible), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckRejected)),
			"its rollback waits for the state (step freeze failed, and waits for item, user: no reason given); `rollout rollback ranker-42 --override --comment WHY` moves the traffic without that, which takes an admin."},
	} {
		for _, do := range []CommandKind{CommandAdvance, CommandPromote, CommandResume} {
			_, effects := Step(stateOf(t, test.in...), at(50, do, true))
			if n := effects[0].Notice; n == nil || n.Sentence != "Command "+string(do)+" of rollout ranker-42 is refused: "+test.want {
				t.Errorf("%s, %s: %+v, want %s", name, do, n, test.want)
			}
		}
	}
}

// TestBackKeepsTheState: a promotion that goes back says that no state does, and what that was before.
func TestBackKeepsTheState(t *testing.T) {
	back := func(t *Terms) {
		stateful(t)
		t.Stages = []StageTerms{{}}
		t.Back = &Back{Rollout: "ranker-43", Snapshots: []Snapshot{{"user", "user-before"}}}
	}
	start := []Input{applied(1, terms(back)), ack(2, 1, "eu", schemas.AckPrepared), snapped(3, 1, "user"), snapped(4, 1, "item"), ack(5, 2, "eu", schemas.AckApplied)}
	_, effects := Step(stateOf(t, start...), at(6, CommandPromote, false))
	want := "ada promoted 42. No state is restored: item, user keep what 41 wrote. Before ranker-43, user had snapshot user-before: to go back to that, restore it by hand, if it is still kept."
	if have := effects[0].Decision.Decision.Reason.Sentence; have != want {
		t.Errorf("said %q, want %q", have, want)
	}
	_, effects = Step(stateOf(t, running(terms(ramp, func(t *Terms) { t.Back = &Back{Rollout: "ranker-43"} }))...), at(6, CommandPromote, false))
	if have := effects[0].Decision.Decision.Reason.Sentence; have != "ada promoted 42." {
		t.Errorf("without shared state: %q", have)
	}
}

// TestBackToWhoCannotRead: traffic goes back to a version that can't read the state only where somebody says so, when the way back is applied, or now.
func TestBackToWhoCannotRead(t *testing.T) {
	way := func(override bool) []Input {
		back := func(t *Terms) {
			stateful(t)
			illegible(t)
			oneStore(t)
			t.Stages = []StageTerms{{}}
			t.Back = &Back{Rollout: "ranker-43", Unreadable: true, Override: override}
		}
		return []Input{applied(1, terms(back)), ack(2, 1, "eu", schemas.AckPrepared), snapped(3, 1, "user"), ack(5, 2, "eu", schemas.AckApplied)}
	}
	_, effects := Step(stateOf(t, way(false)...), at(6, CommandPromote, false))
	want := "Command promote of rollout ranker-42 is refused: 42 can't read what 41 wrote to user (state.compatible: false of rollout ranker-43), and no state is restored; " +
		"`streamcanary rollout promote ranker-42 --override --comment WHY` goes back all the same, and the decision says so."
	if n := effects[0].Notice; n == nil || n.Sentence != want {
		t.Errorf("said %+v, want %q", effects[0], want)
	}
	for _, test := range []struct{ before, now bool }{{true, false}, {false, true}, {true, true}} {
		_, effects := Step(stateOf(t, way(test.before)...), at(6, CommandPromote, test.now))
		const want = "ada promoted 42, by override past state_incompatible. No state is restored: user keeps what 41 wrote, which 42 can't read."
		if d := effects[0].Decision.Decision; d.Action != schemas.ActionPromote || d.Reason.Sentence != want || !slices.Equal(d.Override, []string{"state_incompatible"}) {
			t.Errorf("%+v: %s past %q: %s", test, d.Action, d.Override, d.Reason.Sentence)
		}
	}
	s := State{Terms: terms(stateful, illegible)}
	if b := BackOf(&s); !b.Unreadable || b.Override || s.RefusesBack(true) != "" {
		t.Errorf("%+v, %s", b, s.RefusesBack(true))
	}
	want = "41 can't read what 42 wrote to item, user (state.compatible: false), and a way back restores no state: it would serve all users from state that it can't read. Repair 42 (roll forward), or go back all the same: " +
		"`streamcanary rollout back ranker-42 --override --comment WHY`, which takes an admin, and the decision says so"
	if have := s.RefusesBack(false); have != want {
		t.Errorf("%s\nwant %s", have, want)
	}
	for _, change := range []func(*Terms){stateful, ramp} {
		if s := (State{Terms: terms(change)}); s.RefusesBack(false) != "" || BackOf(&s).Unreadable {
			t.Errorf("state that can be read is refused: %s", s.RefusesBack(false))
		}
	}
}

// TestAbsentCanary: who would give a canary more traffic of which nothing is heard overrules that.
func TestAbsentCanary(t *testing.T) {
	in := after(running(terms(ramp)), withAmiss(verdictOf(5, VerdictContinue), codeCanaryAbsent))
	for _, do := range []CommandKind{CommandAdvance, CommandPromote} {
		s, effects := Step(stateOf(t, in...), at(8, do, false))
		want := "nothing is heard of canary 42"
		if effects[0].Notice == nil || !strings.Contains(effects[0].Notice.Sentence, want) || s.Stage != 0 {
			t.Errorf("%s: %s, stage %d, want refused: %s", do, said(effects[0]), s.Stage, want)
		}
		_, effects = Step(stateOf(t, in...), at(8, do, true))
		i := slices.IndexFunc(effects, func(e Effect) bool { return e.Decision != nil }) // what was told of the stage ends before it
		if i < 0 || !reflect.DeepEqual(effects[i].Decision.Decision.Override, []string{codeCanaryAbsent}) {
			t.Errorf("%s by force: effects %+v", do, effects)
		}
	}
}

// TestOverText: a sentence names what a person went past, and not without end.
func TestOverText(t *testing.T) {
	for want, over := range map[string][]string{
		"":                                 nil,
		", by override":                    {"watch"},
		", by override past p99, late":     {"p99", "late", "watch"},
		", by override past any router":    {anyRouter},
		", by override past a, b, c, d, e": {"a", "b", "c", "d", "e"},
		", by override past a, b, c, d, e and 2 more": {"a", "b", "c", "d", "e", "f", "g", "watch"},
	} {
		if have := overText(over); have != want {
			t.Errorf("%q of %q, want %q", have, over, want)
		}
	}
}
