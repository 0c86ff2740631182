package decisions

import (
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// why gives an answer its reason.
func why(in Input, text string) Input {
	a := *in.Ack
	a.Why = text
	in.Ack = &a
	return in
}

// toldLast is the last notice of a kind, after some inputs; "" without one.
func toldLast(t *testing.T, kind schemas.NoticeKind, in ...Input) schemas.Notice {
	t.Helper()
	var last schemas.Notice
	foldWith(t, func(e Effect) string {
		if e.Notice != nil && e.Notice.Kind == kind {
			last = *e.Notice
		}
		return ""
	}, in...)
	return last
}

// TestPagesKeepAnswers: whoever has answered an order that can't be carried out is quoted in every later page, with when and to which decision, also where a later decision
// repeats the order: what it answers to that, or that it has only received it, takes nothing away.
func TestPagesKeepAnswers(t *testing.T) {
	const (
		before = "user answered prepared to decision ranker-42.1.1 at 1970-01-01T00:00:03.000Z, and nothing since: does it still run? Look at its log."
		odd    = "user answered failed to decision ranker-42.1.2 at 1970-01-01T00:00:06.000Z, and nothing since: does it still run? Look at its log."
		at3    = "user answered failed to decision ranker-42.1.3 at 1970-01-01T00:00:12.000Z: no disk. Mend that there: it is asked again."
		at4    = "user answered failed to decision ranker-42.1.4 at 1970-01-01T00:00:13.000Z: still none. Mend that there: it is asked again."
		hangs  = "user received decision ranker-42.1.5 at 1970-01-01T00:00:14.000Z, and has not said since what came of it: it runs, and what it was asked to do hangs: look at its log, and restart it."
	)
	harm := after(begun(illegible), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared))
	fails := why(ack(12, 3, "user", schemas.AckFailed), "no disk") // and a freeze follows, 4; the roll-forward with the deadline, 5
	page := expire(50, id(1, 3)+"/freeze")
	for name, test := range map[string]struct {
		in   []Input
		want string
	}{
		"once":                         {after(harm, fails, page), at3},
		"and again to what repeats it": {after(harm, fails, why(ack(13, 4, "user", schemas.AckFailed), "still none"), page), at4},
		"and the next is only received": {after(harm, fails, why(ack(13, 4, "user", schemas.AckFailed), "still none"),
			ack(14, 5, "user", schemas.AckReceived), page), at4},
		"received alone, of what repeats it": {after(harm, expire(40, id(1, 3)+"/freeze"), ack(14, 5, "user", schemas.AckReceived), expire(110, id(1, 3)+"/freeze")), hangs},
		"nothing":                            {after(harm, page), before},
		"refused before this order":          {after(begun(illegible), why(ack(6, 2, "user", schemas.AckFailed), "odd"), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), page), odd},
	} {
		if n := toldLast(t, schemas.NoticeAcksOverdue, test.in...); !strings.HasSuffix(n.Sentence, " "+test.want) {
			t.Errorf("%s: told\n  %s\nwant at its end\n  %s", name, n.Sentence, test.want)
		}
	}
}

// TestPageOfAStoreThatHangs: where a store hangs with the freeze, the rollback goes on without it, and what is told of the restore says what it answered last, and not that it may not run.
func TestPageOfAStoreThatHangs(t *testing.T) {
	in := after(begun(), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckReceived),
		expire(40, id(1, 3)+"/freeze"), ack(41, 4, "eu", schemas.AckApplied), ack(42, 5, "item", schemas.AckApplied), expire(71, id(1, 3)+"/restore"))
	const want = "is not acknowledged by user (deadline passed once). 41 serves all traffic with the state that 42 left, and item, user may take no writes until it is restored " +
		"(item to snapshot item-before, user to snapshot user-before): restore it by hand if the store can't, and let the store acknowledge that. " +
		"user received decision ranker-42.1.3 at 1970-01-01T00:00:12.000Z, and has answered nothing since: what that asks for hangs there, or it has stopped: look at its log, and restart it."
	if n := toldLast(t, schemas.NoticeAcksOverdue, in...); !strings.HasPrefix(n.Sentence, "Step restore of") || !strings.HasSuffix(n.Sentence, want) {
		t.Errorf("told\n  %s\nwant at its end\n  %s", n.Sentence, want)
	}
}

// TestRefusalOfARepeatedOrder: one that was silent, and refuses the order when a later decision repeats it, is told at once, and once.
func TestRefusalOfARepeatedOrder(t *testing.T) {
	var told []string
	s, _ := foldWith(t, func(e Effect) string {
		if e.Notice != nil && e.Notice.Kind == schemas.NoticeAckRefused {
			told = append(told, e.Notice.Sentence)
		}
		return ""
	}, after(begun(illegible), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), expire(40, id(1, 3)+"/freeze"),
		why(ack(41, 4, "user", schemas.AckFailed), "no disk"), why(ack(42, 5, "user", schemas.AckFailed), "no disk"))...)
	if len(told) != 1 || !strings.HasPrefix(told[0], "user answered failed to decision ranker-42.1.4: no disk. ") || s.Saga.step(StepFreeze).State != StepFailed {
		t.Errorf("step %s, told %q", s.Saga.step(StepFreeze).State, told)
	}
}

// TestPageOfAStuckFreeze: a rollback that nothing moves without a store's answer says in every page that the canary serves on, and how to move it; that command is obeyed then. All
// that is decided and told of it is critical.
func TestPageOfAStuckFreeze(t *testing.T) {
	const want = "No traffic is moved until then, since 41 can't read what 42 writes: 42 still serves 1 % of the traffic. " +
		"`streamcanary rollout rollback ranker-42 --override --comment WHY` moves it all the same, which takes an admin."
	stuck := after(begun(illegible), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), expire(40, id(1, 3)+"/freeze"), expire(100, id(1, 3)+"/freeze"))
	pages := 0
	s, _ := foldWith(t, func(e Effect) string {
		switch {
		case e.Notice != nil && e.Notice.Kind == schemas.NoticeAcksOverdue:
			if pages++; !strings.Contains(e.Notice.Sentence, want) || e.Notice.Severity != schemas.Critical {
				t.Errorf("page %d is %s: %s", pages, e.Notice.Severity, e.Notice.Sentence)
			}
		case e.Decision != nil && e.Decision.Decision.Seq > 2 && e.Decision.Decision.Severity != schemas.Critical:
			t.Errorf("decision %s (%s) is %s", e.Decision.Decision.ID, e.Decision.Decision.Action, e.Decision.Decision.Severity)
		}
		return ""
	}, stuck...)
	if pages != 2 || s.Status != StatusFrozen {
		t.Fatalf("%d pages, %s", pages, s.Status)
	}
	s, effects := Step(s, command(101, CommandRollback, true))
	if s.Status != StatusRolledBack || len(effects) == 0 || effects[0].Decision == nil || !effects[0].Decision.Routes || effects[0].Decision.Decision.Routes[0].WeightBP != fullBP {
		t.Errorf("the command that the page names: %s, %+v", s.Status, effects)
	}
}

// TestPageOfARoute: what is told of a router that doesn't take the canary's traffic away says for how long, and what the stream shows of the canary.
func TestPageOfARoute(t *testing.T) {
	page := func(at int64) Input { return expire(at, id(1, 3)+"/route") }
	serves := windowsOf(6, 2, 190, 10)
	for name, test := range map[string]struct {
		in   []Input
		want string
	}{
		"nothing was counted":         {[]Input{page(15)}, "decided 10s ago, is not acknowledged by any router (deadline passed once). Traffic may still reach 42: move it by hand if it does."},
		"it serves":                   {append(serves, page(15)), "(deadline passed once). 42 still serves users: 10 of the 200 predictions of the newest window, up to 1970-01-01T00:00:08.000Z. Move its traffic by hand now."},
		"it serves on":                {slices.Concat(serves, []Input{page(15)}, windowsOf(33, 2, 190, 10), []Input{page(35)}), "decided 30s ago, is not acknowledged by any router (deadline passed 2 times). 42 still serves users: 10 of the 200"},
		"nobody asks any more":        {append(serves, page(15), page(35)), "(deadline passed 2 times). 42 served users when traffic was counted last, 27s ago, and nothing is known of since: 10 of the 200 predictions of the newest window, up to 1970-01-01T00:00:08.000Z. Move its traffic by hand now."},
		"it is gone from the traffic": {append(windowsOf(6, 2, 200, 0), page(15)), "The newest window with traffic, up to 1970-01-01T00:00:08.000Z, shows none of 42; who has not acknowledged may still send it some."},
	} {
		if n := toldLast(t, schemas.NoticeAcksOverdue, after(rolledBack(terms()), test.in...)...); !strings.Contains(n.Sentence, test.want) || n.Severity != schemas.Critical {
			t.Errorf("%s: told (%s)\n  %s\nwant\n  %s", name, n.Severity, n.Sentence, test.want)
		}
	}
}

// TestPageOfLateEvents: where events come so late that none is of the time since routers could have followed, the page says how late, and what was known until then.
func TestPageOfLateEvents(t *testing.T) {
	const late = 600 // seconds
	by, followed := verdictOf(5, VerdictRollback), ack(9+late, 3, "eu", schemas.AckApplied)
	by.WallMs, followed.EventMs = (8+late)*1000, 0
	in := append(append(running(terms()), by, followed), windowsOf(6, 57, 37, 8)...)
	const want = "It is not proven that 42 has drained: events are read up to 1970-01-01T00:01:05.000Z, 10m3s late, and nothing is known yet of the time since routers could have followed; until then it served"
	if n := toldLast(t, schemas.NoticeDrainOverdue, append(in, expireSealed(68+late, 65, 63))...); !strings.HasPrefix(n.Sentence, want) || !strings.Contains(n.Sentence, "Are producers' clocks behind, or are old events being read?") {
		t.Errorf("told\n  %s\nwant at its beginning\n  %s", n.Sentence, want)
	}
}
