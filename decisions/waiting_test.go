package decisions

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// notices are the sentences of what people were told.
func notices(t *testing.T, in ...Input) (State, []string) {
	t.Helper()
	return foldWith(t, func(e Effect) string {
		if e.Notice == nil {
			return ""
		}
		return e.Notice.Sentence
	}, in...)
}

// of is an ack of another epoch.
func of(epoch int64, in Input) Input {
	a := *in.Ack
	a.Epoch = epoch
	in.Ack = &a
	return in
}

// second begins epoch 2 of the terms at second 10.
func second(t Terms) []Input {
	again := applied(10, t)
	again.Applied.Epoch = 2
	return append(running(t), again)
}

// TestMissing: who is waited for, what each is told who asks why nothing goes on, and what it means.
func TestMissing(t *testing.T) {
	const gives = "Until it has been carried out, nothing is judged and no traffic moves; `streamcanary rollout delete ranker-42` gives the rollout up."
	stale := of(1, ack(12, 2, "eu", schemas.AckApplied))
	tests := []struct {
		name    string
		in      []Input
		missing string
		says    string
		shows   string
	}{
		{"never", []Input{applied(1, terms(named)), expire(11, id(1, 1)+"/acks")}, "eu us",
			`Decision ranker-42.1.1 is not answered with "prepared" by eu, us (deadline passed once). Does it run, and is it allowed to acknowledge? ` + gives,
			`for eu, us to answer "prepared" to decision ranker-42.1.1 (deadline passed once), again at 1970-01-01T00:00:31.000Z`},
		{"in a dry run", []Input{applied(1, terms(named, dryly("us"))), expire(11, id(1, 1)+"/acks")}, "eu us",
			`Decision ranker-42.1.1 is not answered with "prepared" by eu, us (deadline passed once). us moves no traffic and answers nothing, since serve began this epoch in a dry run (--dry-run): ` +
				"name a router that runs in acks.routers, or apply the rollout with mode: advise. And eu: does it run, and is it allowed to acknowledge? " + gives,
			`for eu, us to answer "prepared" to decision ranker-42.1.1 (deadline passed once), again at 1970-01-01T00:00:31.000Z (us moves no traffic and answers nothing: serve began this epoch in a dry run (--dry-run))`},
		{"in a dry run, by any router", []Input{applied(1, terms(dryly("gateway"))), expire(11, id(1, 1)+"/acks")}, "any",
			`Decision ranker-42.1.1 is not answered with "prepared" by any router (deadline passed once). gateway moves no traffic and answers nothing, since serve began this epoch in a dry run (--dry-run): ` +
				"name a router that runs in acks.routers, or apply the rollout with mode: advise. And any router: does it run, and is it allowed to acknowledge? " + gives, ""},
		{"in a dry run that is over", []Input{applied(1, terms(named, dryly("us"))), ack(2, 1, "us", schemas.AckRejected), expire(11, id(1, 1)+"/acks")}, "eu us",
			`Decision ranker-42.1.1 is not answered with "prepared" by eu, us (deadline passed once). us answered rejected to decision ranker-42.1.1 at 1970-01-01T00:00:02.000Z: no reason given. Mend that there: it is asked again. ` +
				"And eu: does it run, and is it allowed to acknowledge? " + gives, ""},
		{"by a refusal", []Input{applied(1, terms(named)), ack(2, 1, "eu", schemas.AckPrepared), ack(2, 1, "us", schemas.AckRejected), expire(11, id(1, 1)+"/acks")}, "us",
			`Decision ranker-42.1.1 is not answered with "prepared" by us (deadline passed once). us answered rejected to decision ranker-42.1.1 at 1970-01-01T00:00:02.000Z: no reason given. Mend that there: it is asked again. ` + gives, ""},
		{"for an older epoch", append(second(terms(named)), stale, expire(20, id(2, 1)+"/acks")), "eu us",
			`Decision ranker-42.2.1 is not answered with "prepared" by eu, us (deadline passed once). eu answers to epoch 1, which is over, and this is epoch 2: it runs, and does what was decided then, or somebody answers in its name: look at its log, its NATS (the same one?), its trusted keys, its position and who may acknowledge; restart it. ` + gives, ""},
		{"for one that isn't there, by any router", append(second(terms()), of(9, stale), expire(20, id(2, 1)+"/acks")), "any",
			`Decision ranker-42.2.1 is not answered with "prepared" by any router (deadline passed once). eu answers to epoch 9, and this is epoch 2: it hears another installation, or somebody answers in its name: look at its NATS, its trusted keys and who may acknowledge. ` + gives, ""},
		{"a stage", after(running(terms(ramp)), verdictOf(5, VerdictAdvance), expire(15, id(1, 3)+"/acks")), "any",
			`Decision ranker-42.1.3 is not answered with "applied" by any router (deadline passed once). eu answered applied to decision ranker-42.1.2 at 1970-01-01T00:00:02.000Z, and nothing since: does it still run? Look at its log. Until it has been carried out, no stage begins or ends; harm rolls back all the same.`, ""},
		{"a promotion", after(running(terms(weight)), verdictOf(5, VerdictPromote), expire(15, id(1, 3)+"/acks")), "any",
			`Decision ranker-42.1.3 is not answered with "applied" by any router (deadline passed once). eu answered applied to decision ranker-42.1.2 at 1970-01-01T00:00:02.000Z, and nothing since: does it still run? Look at its log. Until it has been carried out, traffic may still reach 41; ` + "`streamcanary rollout rollback ranker-42 --comment WHY` goes back.", ""},
		{"a rollback", after(rolledBack(terms(weight)), expire(15, id(1, 3)+"/route")), "any",
			"Step route of rollback ranker-42.1.3, decided 10s ago, is not acknowledged by any router (deadline passed once). Traffic may still reach 42: move it by hand if it does. eu answered applied to decision ranker-42.1.2 at 1970-01-01T00:00:02.000Z, and nothing since: does it still run? Look at its log.", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, said := notices(t, test.in...)
			said = slices.DeleteFunc(said, func(x string) bool { return x == "" || !strings.Contains(x, "deadline") })
			if last := said[len(said)-1]; last != test.says {
				t.Errorf("said\n  %s\nwant\n  %s", last, test.says)
			}
			if got := strings.Join(s.Missing(), " "); got != test.missing {
				t.Errorf("missing %q, want %q", got, test.missing)
			}
			if test.shows != "" && s.WaitText() != test.shows {
				t.Errorf("shown %q, want %q", s.WaitText(), test.shows)
			}
		})
	}
}

// dryly lets serve begin in a dry run, with sinks that move traffic.
func dryly(sinks ...string) func(*Terms) {
	return func(t *Terms) { t.Sinks.Dry = sinks }
}

// TestStrays: an answer to another epoch is kept only while its consumer's own is missing, and once.
func TestStrays(t *testing.T) {
	stale := of(1, ack(12, 2, "eu", schemas.AckApplied))
	s, _ := notices(t, append(second(terms(named)), stale, stale, of(1, ack(13, 2, "other", schemas.AckApplied)))...)
	if len(s.Strays) != 1 || s.Strays[0].Consumer != "eu" {
		t.Errorf("strays %+v", s.Strays)
	}
	answered := ack(14, 1, "eu", schemas.AckPrepared)
	answered.Ack.Epoch, answered.Ack.Decision = 2, id(2, 1)
	for _, in := range []Input{answered, stale} {
		if s, _ = Step(s, in); len(s.Strays) > 0 || slices.Contains(s.Missing(), "eu") {
			t.Errorf("after its answer: strays %+v, missing %v", s.Strays, s.Missing())
		}
	}
}

// TestOutlived: an answer to an epoch that others came after counts there as long as it is waited for, and a sink's is never out of its time.
func TestOutlived(t *testing.T) {
	harm := verdictOf(5, VerdictRollback)
	for name, test := range map[string]struct {
		in   []Input
		who  string
		want bool
	}{
		"a router, all is done":             {after(running(terms(weight)), verdictOf(5, VerdictPromote), ack(6, 3, "eu", schemas.AckApplied)), "eu", true},
		"a router whose answer is missing":  {after(running(terms(named, weight)), harm, ack(6, 3, "eu", schemas.AckApplied)), "us", false},
		"and the other, which has given it": {after(running(terms(named, weight)), harm, ack(6, 3, "eu", schemas.AckApplied)), "eu", true},
		"any router":                        {after(running(terms(weight)), harm), "eu", false},
		"a store that owes an answer":       {[]Input{applied(1, terms(weight, func(t *Terms) { t.State.Owing = []string{"user"} }))}, "user", false},
		"a sink, all is done":               {after(running(terms(weight, told)), harm, ack(6, 3, "mlflow", schemas.AckApplied)), "mlflow", false},
	} {
		s, _ := fold(t, test.in...)
		if have := s.Outlived(&schemas.Ack{Consumer: test.who}); have != test.want {
			t.Errorf("%s: outlived is %v, missing are %v", name, have, s.Missing())
		}
	}
}

// TestStepText: of each step of a rollback, what it waits for.
func TestStepText(t *testing.T) {
	in := after(begun(), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied))
	failed := ack(14, 5, "user", schemas.AckFailed)
	failed.Ack.Why = "the snapshot is gone"
	s, said := notices(t, append(in, failed)...)
	var texts []string
	for i := range s.Saga.Steps {
		step := &s.Saga.Steps[i]
		texts = append(texts, strings.TrimSuffix(fmt.Sprintf("%s %s: %s", step.Name, step.State, s.StepText(step)), ": "))
	}
	want := "freeze acked; route acked; restore failed: item has not answered; user answered failed to decision ranker-42.1.5 at 1970-01-01T00:00:14.000Z: the snapshot is gone; unfreeze planned; verify pending"
	if got := strings.Join(texts, "; "); got != want || !s.Undone() {
		t.Errorf("steps\n  %s\nwant\n  %s", got, want)
	}
	want = "user answered failed to decision ranker-42.1.5: the snapshot is gone. 41 serves all traffic with the state that 42 left, and item, user may take no writes until it is restored (item to snapshot item-before, user to snapshot user-before): restore it by hand if the store can't, and let the store acknowledge that."
	if got := said[len(said)-1]; got != want {
		t.Errorf("said\n  %s\nwant\n  %s", got, want)
	}
}
