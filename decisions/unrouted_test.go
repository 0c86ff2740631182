package decisions

import (
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// unrouted is a rollback of a rollout with state whose stores have frozen, and one of whose two routers doesn't answer that it follows.
func unrouted() []Input {
	return []Input{applied(1, terms(stateful, named)), ack(2, 1, "eu", schemas.AckPrepared), ack(2, 1, "us", schemas.AckPrepared), snapped(3, 1, "user"), snapped(4, 1, "item"),
		ack(5, 2, "eu", schemas.AckApplied), ack(5, 2, "us", schemas.AckApplied), verdictOf(10, VerdictRollback),
		ack(11, 3, "item", schemas.AckPrepared), ack(11, 3, "user", schemas.AckPrepared), ack(12, 4, "eu", schemas.AckApplied)}
}

// restored are the answers of the stores to a decision.
func restored(at, seq int64) []Input {
	return []Input{ack(at, seq, "item", schemas.AckApplied), ack(at, seq, "user", schemas.AckApplied)}
}

// TestUnrouted: a router that doesn't answer doesn't keep the state from going back once the stream shows that the canary has drained, or an admin says so.
func TestUnrouted(t *testing.T) {
	overdue, proof := expire(22, id(1, 3)+"/route"), windowsOf(20, 3, 1000, 0)
	late := []string{"!acks-overdue us", "again " + id(1, 4)}
	tests := []struct {
		name   string
		in     []Input
		want   []string
		frozen bool
	}{
		{"it is waited for until its deadline, whatever is seen", proof, nil, true},
		{"then for the proof", []Input{overdue}, late, true},
		{"and no longer", slices.Concat([]Input{overdue}, proof), append(late[:2:2], restore), true},
		{"the proof may come first: the next window still shows it", slices.Concat(proof, []Input{overdue, traffic(23, 1000, 0)}), append(late[:2:2], restore), true},
		{"or doesn't", slices.Concat(proof, []Input{overdue, traffic(23, 1000, 2), traffic(24, 1000, 0)}), late, true},
		{"a router that refuses isn't waited for until its deadline", slices.Concat([]Input{ack(13, 4, "us", schemas.AckRejected)}, proof), []string{"!ack-refused us", restore}, true},
		{"one decision, however many windows show it", slices.Concat([]Input{overdue}, proof, windowsOf(23, 3, 1000, 0)), append(late[:2:2], restore), true},
		{"the stores take writes again", slices.Concat([]Input{overdue}, proof, restored(24, 5)), append(late[:2:2], restore, unfreeze), false},
		{"but not while the canary is back", slices.Concat([]Input{overdue}, proof, []Input{traffic(23, 1000, 2)}, restored(24, 5)), append(late[:2:2], restore), true},
		{"until it has drained again", slices.Concat([]Input{overdue}, proof, []Input{traffic(23, 1000, 2)}, restored(24, 5), windowsOf(24, 3, 1000, 0)), append(late[:2:2], restore, unfreeze), false},
		{"or an admin says so", slices.Concat([]Input{overdue}, proof, []Input{traffic(23, 1000, 2)}, restored(24, 5), []Input{command(25, CommandRollback, true)}), append(late[:2:2], restore, unfreeze), false},
		{"the router is told of on and on", slices.Concat([]Input{overdue}, proof, restored(24, 5), restored(25, 6), []Input{expire(42, id(1, 3)+"/route")}), append(late[:2:2], restore, unfreeze, "!acks-overdue us", "again "+id(1, 6)), false},
		{"and its answer ends the rollback", slices.Concat([]Input{overdue}, proof, restored(24, 5), restored(25, 6), []Input{ack(30, 6, "us", schemas.AckApplied)}), append(late[:2:2], restore, unfreeze, "!rollback-completed  done"), false},
		{"no traffic proves nothing", []Input{overdue, expireQuiet(72, id(1, 3)+"/verify")}, late, true},
		{"until there is some", slices.Concat([]Input{overdue, expireQuiet(72, id(1, 3)+"/verify")}, windowsOf(80, 3, 1000, 0), restored(84, 5), restored(85, 6), []Input{ack(86, 6, "us", schemas.AckApplied)}),
			append(late[:2:2], restore, unfreeze, "!rollback-completed  done"), false},
		{"an admin needs no proof", []Input{overdue, command(30, CommandRollback, false), command(31, CommandRollback, true), command(32, CommandRollback, true)},
			append(late[:2:2], "!command-refused", restore, "!command-refused"), true},
		{"nor a deadline", slices.Concat([]Input{command(13, CommandRollback, true)}, restored(14, 5)), []string{restore, unfreeze}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, words := foldWith(t, saidWithState, slices.Concat(unrouted(), test.in)...)
			for i := range words {
				words[i] = strings.Replace(words[i], "| eu us", "| any", 1)
			}
			expect(t, words[3:], append([]string{route}, test.want...)...)
			if s.Frozen != test.frozen || s.Status != StatusRolledBack {
				t.Errorf("frozen %v, %s", s.Frozen, s.Status)
			}
		})
	}
}

// TestUnroutedSays: who is paged, and who asks for something else, hears that the stores take no writes, and what to do.
func TestUnroutedSays(t *testing.T) {
	s, words := foldWith(t, func(e Effect) string {
		if e.Notice != nil {
			return e.Notice.Sentence
		}
		return ""
	}, slices.Concat(unrouted(), []Input{traffic(13, 900, 100), expire(22, id(1, 3)+"/route")})...)
	const waits = "item, user take no writes until us has answered, or the stream shows that 42 has drained"
	const does = "`streamcanary rollout rollback ranker-42 --override --comment WHY` lets the state go back without waiting, which takes an admin"
	page := words[len(words)-2]
	for _, want := range []string{waits, does, "what 42 writes after that stays"} {
		if !strings.Contains(page, want) {
			t.Errorf("told %q, want %q in it", page, want)
		}
	}
	for _, refusal := range []string{s.Refuses(&Command{Do: CommandResume}, 9), s.Refuses(&Command{Do: CommandRollback}, 9), s.RefusesRetry(false), s.RefusesRetry(true)} {
		if !strings.Contains(refusal, waits+"; "+does) {
			t.Errorf("refused with %q, want %q in it", refusal, waits+"; "+does)
		}
	}
	_, effects := Step(s, command(30, CommandRollback, true))
	d := effects[0].Decision
	want := "ada let the state go back by override, although us has not answered that all traffic goes to 41. 42 still serves users: 100 of the 1000 predictions of the newest window. Move its traffic by hand now."
	if d == nil || d.Decision.Reason.Sentence != want || !slices.Equal(d.Decision.Override, []string{"us"}) {
		t.Errorf("decided %+v, want %q", effects[0], want)
	}
}

// TestBackBeforeTheUnfreeze: a canary that is back while the stores restore is shown as what keeps them from taking writes, with what to do; not before the route is late.
func TestBackBeforeTheUnfreeze(t *testing.T) {
	overdue := expire(22, id(1, 3)+"/route")
	back := slices.Concat(unrouted(), []Input{overdue}, windowsOf(20, 3, 1000, 0), []Input{traffic(23, 940, 60)}, restored(24, 5))
	s, _ := foldWith(t, said, back...)
	const served = "60 of the 1000 predictions of the newest window, up to 1970-01-01T00:00:24.000Z"
	want := "42 still serves users: " + served + ". Move its traffic by hand now. item, user take no writes until us has answered, or the stream shows that 42 has drained: then writes are taken again. " +
		"`streamcanary rollout rollback ranker-42 --override --comment WHY` lets writes be taken again without waiting, which takes an admin; what 42 writes after that stays."
	if got := s.HeldText(); got != want {
		t.Errorf("shown is\n%s\nwant\n%s", got, want)
	}
	verify := s.Saga.step(StepVerify)
	if got, want := s.StepText(verify), "42 had drained, and was seen again: it served "+served; got != want || verify.State != StepAcked {
		t.Errorf("verify is %s: %s, want %s", verify.State, got, want)
	}
	for name, in := range map[string][]Input{"before the route is late": unrouted(), "and drained again": slices.Concat(back, windowsOf(24, 3, 1000, 0))} {
		if s, _ := foldWith(t, said, in...); s.HeldText() != "" {
			t.Errorf("%s: %s", name, s.HeldText())
		}
	}
	s.EventMs += 60_000
	if got, want := s.HeldText(), "42 served users when traffic was counted last, 1m ago, and nothing is known of since: "+served; !strings.HasPrefix(got, want) {
		t.Errorf("shown is\n%s\nwant\n%s", got, want)
	}
}
