package decisions

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// rolledBack is a rollout that was rolled back at second 5.
func rolledBack(t Terms) []Input { return after(running(t), verdictOf(5, VerdictRollback)) }

// windows are n of them from second `from` on, each with the same traffic.
func windowsOf(from int64, n int, baseline, canary int64) []Input {
	var in []Input
	for i := range n {
		in = append(in, traffic(from+int64(i), baseline, canary))
	}
	return in
}

func TestSaga(t *testing.T) {
	begun := []string{"#1 start prepare", "#2 start commit", "#3 rollback 41:10000 42:0 (route)"}
	ok := ack(6, 3, "eu", schemas.AckApplied)
	proof, verify := windowsOf(6, 3, 1000, 0), id(1, 3)+"/verify"
	tests := []struct {
		name          string
		in            []Input
		want          []string
		route, verify StepState
	}{
		{"waits", nil, nil, StepPending, StepPending},
		{"acked, then drained", append([]Input{ok}, proof...), []string{"!rollback-completed  done"}, StepAcked, StepAcked},
		{"drained, then acked", append(proof[:3:3], ok), []string{"!rollback-completed  done"}, StepAcked, StepAcked},
		{"an ack of another decision", []Input{ack(6, 2, "eu", schemas.AckApplied)}, nil, StepPending, StepPending},
		{"received is no ack", []Input{ack(6, 3, "eu", schemas.AckReceived)}, nil, StepPending, StepPending},
		{"completed once", append(append([]Input{ok}, proof...), ok, proof[0]), []string{"!rollback-completed  done"}, StepAcked, StepAcked},
		{"failed, then applied", []Input{ack(6, 3, "eu", schemas.AckFailed), ok}, []string{"!ack-refused eu"}, StepAcked, StepPending},
		{"failed", []Input{ack(6, 3, "eu", schemas.AckFailed)}, []string{"!ack-refused eu"}, StepFailed, StepPending},
		{"nobody in time", []Input{expire(15, id(1, 3)+"/route")}, []string{"!acks-overdue any", "again " + id(1, 3)}, StepExpired, StepPending},
		{"twice", []Input{expire(15, id(1, 3)+"/route"), expire(34, id(1, 3)+"/route"), expire(35, id(1, 3)+"/route")},
			[]string{"!acks-overdue any", "again " + id(1, 3), "!acks-overdue any", "again " + id(1, 3)}, StepExpired, StepPending},
		{"late, but answered", []Input{expire(15, id(1, 3)+"/route"), ok}, []string{"!acks-overdue any", "again " + id(1, 3)}, StepAcked, StepPending},
		{"not drained in time", append(windowsOf(6, 5, 1000, 10), expire(65, verify)), []string{"!drain-overdue"}, StepPending, StepExpired},
		{"and then drained", append(append(windowsOf(6, 5, 1000, 10), expire(65, verify), ok), windowsOf(66, 3, 1000, 0)...),
			[]string{"!drain-overdue", "!rollback-completed  done"}, StepAcked, StepAcked},
		{"no traffic at all", []Input{ok, expireQuiet(65, verify)}, []string{"!rollback-completed  done_unproven"}, StepAcked, StepAcked},
		{"no traffic, no ack yet", []Input{expireQuiet(65, verify)}, nil, StepPending, StepAcked},
		{"no traffic of this model in what was judged", append(windowsOf(5, 60, 0, 0), ok, expire(65, verify)),
			[]string{"!rollback-completed  done_unproven"}, StepAcked, StepAcked},
		{"empty windows, but not for long enough yet", append(windowsOf(5, 59, 0, 0), ok, expire(65, verify)), nil, StepAcked, StepPending},
		{"and then they are", append(windowsOf(5, 59, 0, 0), ok, expire(65, verify), traffic(64, 0, 0), expire(71, verify)), []string{"!rollback-completed  done_unproven"}, StepAcked, StepAcked},
		{"traffic so thin that it can't be proven yet", append(windowsOf(6, 58, 20, 0), ok, expire(65, verify)), nil, StepAcked, StepPending},
		{"and then it is", append(windowsOf(6, 58, 20, 0), ok, expire(65, verify), traffic(64, 20, 0)), []string{"!rollback-completed  done"}, StepAcked, StepAcked},
		{"thin traffic that goes on to reach it", append(windowsOf(6, 58, 20, 1), ok, expire(65, verify)), []string{"!drain-overdue"}, StepAcked, StepExpired},
		{"or reaches it now and then", append(windowsOf(6, 58, 20, 0), ok, expire(65, verify), traffic(64, 20, 1), traffic(69, 20, 0), expire(71, verify)), []string{"!drain-overdue"}, StepAcked, StepExpired},
		{"thin traffic that isn't read any more", append(windowsOf(6, 20, 20, 0), ok, expire(65, verify)), []string{"!drain-overdue"}, StepAcked, StepExpired},
		{"only other models are asked", []Input{ok, expireSealed(65, 62, 0), expireSealed(73, 70, 0)}, []string{"!rollback-completed  done_unproven"}, StepAcked, StepAcked},
		{"only other models are asked, but for how long?", []Input{ok, expireSealed(65, 62, 0), expireSealed(72, 70, 0)}, nil, StepAcked, StepPending},
		{"some of what was read isn't judged yet", []Input{ok, expireSealed(65, 62, 61), expireSealed(73, 70, 61)}, nil, StepAcked, StepPending},
		{"the model isn't asked any more, when the canary was gone", append(windowsOf(6, 3, 20, 0), ok, expireSealed(65, 62, 9), expireSealed(73, 70, 9)),
			[]string{"!rollback-completed  done_unproven"}, StepAcked, StepAcked},
		{"or wasn't yet", append(windowsOf(6, 3, 20, 1), ok, expireSealed(65, 62, 9), expireSealed(185, 180, 9)), []string{"!drain-overdue", "!rollback-completed  done_unproven"}, StepAcked, StepAcked},
		{"it stopped being read", []Input{ok, expireSealed(65, 62, 0), expireSealed(73, 62, 0)}, []string{"!drain-overdue"}, StepAcked, StepExpired},
		{"nothing was read", []Input{ok, expire(65, verify)}, []string{"!drain-overdue"}, StepAcked, StepExpired},
		{"nothing was read, then it was", append([]Input{ok, expire(65, verify)}, proof...),
			[]string{"!drain-overdue", "!rollback-completed  done"}, StepAcked, StepAcked},
		{"quiet says nothing against what was seen", append(windowsOf(6, 5, 1000, 10), expireQuiet(65, verify)), []string{"!drain-overdue"}, StepPending, StepExpired},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, words := fold(t, after(rolledBack(terms()), test.in...)...)
			expect(t, words, append(begun[:3:3], test.want...)...)
			if have := s.Saga.step(StepRoute).State; have != test.route {
				t.Errorf("route is %s, want %s", have, test.route)
			}
			if have := s.Saga.step(StepVerify).State; have != test.verify {
				t.Errorf("verify is %s, want %s", have, test.verify)
			}
		})
	}
}

// TestDrainDue: nobody is told that the canary hasn't drained before a window that began after the route could be judged, nor again before another one could.
func TestDrainDue(t *testing.T) {
	verify := id(1, 3) + "/verify"
	late := []Input{expire(15, verify), expire(36, verify), expire(37, verify), expire(68, verify), expire(69, verify)}
	s, words := fold(t, after(rolledBack(terms(briefly)), late...)...)
	expect(t, words[3:], "!drain-overdue", "!drain-overdue")
	if due := s.Saga.step(StepVerify).DeadlineMs; due != (69+4*16)*1000 {
		t.Errorf("told at 37 and 69 seconds, and next at %d ms", due)
	}
}

// TestNamedSaga: every named router must have applied the rollback.
func TestNamedSaga(t *testing.T) {
	in := after(rolledBack(terms(named)), windowsOf(6, 3, 1000, 0)...)
	in = append(in, ack(6, 3, "us", schemas.AckApplied))
	s, _ := fold(t, in...)
	if s.Saga.Done() {
		t.Fatal("done with one of two")
	}
	_, words := fold(t, append(in, expire(15, id(1, 3)+"/route"), ack(16, 3, "eu", schemas.AckApplied))...)
	expect(t, words[3:], "!acks-overdue eu", "again "+id(1, 3), "!rollback-completed  done")
}

// TestDrainHosts: what is told of a canary that doesn't drain names the hosts and regions that still answer.
func TestDrainHosts(t *testing.T) {
	flow := traffic(63, 990, 10)
	flow.Traffic.Hosts, flow.Traffic.Regions = []Flow{{"c-7", 8}, {"c-9", 2}}, []Flow{{"eu", 10}}
	s := stateOf(t, after(rolledBack(terms()), append(windowsOf(6, 57, 990, 10), flow, traffic(64, 0, 0))...)...)
	_, effects := Step(s, expire(65, id(1, 3)+"/verify"))
	want := "It is not proven that 42 has drained: it served 10 of the 1000 predictions of the newest window, on c-7 (8), c-9 (2), in eu (10) (deadline passed once). No router has answered. Find what still routes to it, and move that by hand."
	if n := effects[0].Notice; n == nil || n.Sentence != want {
		t.Errorf("told %+v, want %q", effects[0], want)
	}
}

// TestDrainManyHosts: hosts and regions that have no room are counted, and so are predictions of hosts that aren't known.
func TestDrainManyHosts(t *testing.T) {
	flow := traffic(63, 980, 20)
	for n := range MaxFlows + 2 {
		flow.Traffic.Hosts = append(flow.Traffic.Hosts, Flow{fmt.Sprint("c-", n), 1})
		flow.Traffic.Regions = append(flow.Traffic.Regions, Flow{fmt.Sprint("r", n), 2})
	}
	s := stateOf(t, after(rolledBack(terms()), append(windowsOf(6, 57, 990, 10), flow)...)...)
	_, effects := Step(s, expire(65, id(1, 3)+"/verify"))
	const want = "on c-0 (1), c-1 (1), c-2 (1), c-3 (1), c-4 (1), c-5 (1), c-6 (1), c-7 (1), and 2 more, and hosts that aren't known (10), " +
		"in r0 (2), r1 (2), r2 (2), r3 (2), r4 (2), r5 (2), r6 (2), r7 (2), and 2 more (deadline passed once)"
	if n := effects[0].Notice; n == nil || !strings.Contains(n.Sentence, want) {
		t.Errorf("told %+v, want %q", effects[0], want)
	}
}

// TestDrainOverdueOfMany: however many routers there are, and however long their names, who is told hears what to do.
func TestDrainOverdueOfMany(t *testing.T) {
	many := terms(func(t *Terms) {
		for n := range 12 {
			t.Routers = append(t.Routers, fmt.Sprint(strings.Repeat("r", 120), n))
		}
	})
	s := stateOf(t, after(rolledBack(many), windowsOf(6, 58, 20, 1)...)...)
	_, effects := Step(s, expire(65, id(1, 3)+"/verify"))
	if n := effects[0].Notice; n == nil || len(n.Sentence) != MaxSentence || !strings.HasSuffix(n.Sentence, " Find what still routes to it, and move that by hand.") {
		t.Errorf("told %+v", effects[0])
	}
}

// TestDrainOfABacklog: where events of yesterday are read, nothing is known of today: it is looked at again in a while, for as long as the reading goes on.
func TestDrainOfABacklog(t *testing.T) {
	const day = 24 * 60 * 60_000
	in := append(rolledBack(terms()), expireSealed(65, 62, 0), expireSealed(130, 130, 0), expireSealed(195, 130, 0))
	for i := range in {
		in[i].WallMs += day
	}
	s, words := fold(t, in[:len(in)-1]...)
	if have, want := s.Saga.step(StepVerify).DeadlineMs, int64(day+195_000); have != want || len(words) != 3 {
		t.Errorf("looked at again at %d, want %d (%v)", have, want, words)
	}
	_, words = fold(t, in...)
	expect(t, words[3:], "!drain-overdue")
}

// TestDrainBeforeTheRoute: a window that routers could not have followed the rollback in yet doesn't show that the canary is served still, however late it is read.
func TestDrainBeforeTheRoute(t *testing.T) {
	const day = 24 * 60 * 60
	was, by := windowsOf(5, 3, 37, 8), verdictOf(5, VerdictRollback) // decided at second 8, of what was sealed 3 s before
	by.WallMs = 8_000
	followed := ack(9, 3, "eu", schemas.AckApplied)
	today := ack(day+9, 3, "eu", schemas.AckApplied)
	today.EventMs = 0
	settles := func(ms int64) []func(*Terms) { return []func(*Terms){func(t *Terms) { t.SettleMs = ms }} }
	tests := []struct {
		name    string
		in      []Input
		want    []string
		nextMs  int64 // when it is looked at again; 0: it isn't
		changes []func(*Terms)
	}{
		{"and nobody asks after it", append(was[:3:3], followed, expireSealed(68, 65, 8)), nil, 76_000, nil},
		{"and nobody asks, nor says that it follows", append(was[:3:3], expireSealed(68, 65, 8)), nil, 76_000, nil},
		{"until that has lasted", append(was[:3:3], followed, expireSealed(68, 65, 8), expireSealed(76, 73, 8)), []string{"!rollback-completed  done_unproven"}, 0, nil},
		{"and nobody asks while answers come", append(was[:3:3], traffic(8, 37, 8), followed, traffic(9, 37, 8), expireSealed(68, 65, 10)), nil, 78_000, nil},
		{"and after it", append(was[:3:3], followed, traffic(10, 37, 8), expireSealed(68, 65, 11)), []string{"!drain-overdue"}, 188_000, nil},
		{"and after it, with nobody to say that it follows", append(was[:3:3], traffic(9, 37, 8), expireSealed(68, 65, 10)), []string{"!drain-overdue"}, 188_000, nil},
		{"and traffic that comes later reaches it", append(was[:3:3], followed, expireSealed(68, 65, 8), traffic(70, 37, 8), expireSealed(76, 73, 71)), []string{"!drain-overdue"}, 196_000, nil},
		{"and then but now and then", append(was[:3:3], followed, expireSealed(68, 65, 8), traffic(70, 37, 8), traffic(71, 37, 0), expireSealed(76, 73, 72)), []string{"!drain-overdue"}, 196_000, nil},
		{"and traffic that comes later doesn't", append(was[:3:3], followed, expireSealed(68, 65, 8), traffic(70, 37, 0)), []string{"!rollback-completed  done"}, 0, nil},
		{"and nothing is read after it", append(was[:3:3], followed, expireSealed(68, 8, 8)), []string{"!drain-overdue"}, 188_000, nil},
		{"until a router follows at last", append(append(was[:3:3], windowsOf(8, 50, 37, 8)...), ack(60, 3, "eu", schemas.AckApplied), expireSealed(68, 65, 58)), nil, 126_000, nil},
		{"a router follows only now", append(append(was[:3:3], windowsOf(8, 57, 37, 8)...), ack(67, 3, "eu", schemas.AckApplied), expireSealed(68, 65, 65)), nil, 76_000, settles(4_000)},
		{"and says so alone", append(append(was[:3:3], windowsOf(8, 57, 37, 8)...), ack(67, 3, "eu", schemas.AckApplied), expireSealed(68, 65, 65), traffic(68, 37, 8), expireSealed(76, 73, 69)), []string{"!drain-overdue"}, 196_000, settles(4_000)},
		{"wide windows take longer to tell", append(was[:3:3], followed, expireSealed(68, 65, 8), expireSealed(76, 65, 8), expireSealed(91, 85, 8)), nil, 92_000, settles(13_000)},
		{"and tell then", append(was[:3:3], followed, expireSealed(68, 65, 8), expireSealed(92, 85, 8)), []string{"!rollback-completed  done_unproven"}, 0, settles(13_000)},
		{"of yesterday, as slowly as they come", append(append(was[:3:3], windowsOf(8, 50, 37, 8)...), today, expireSealed(day+68, 58, 58)), []string{"!drain-overdue"}, (day + 188) * 1000, nil},
		{"of yesterday, and soon of today", append(was[:3:3], today, traffic(day-60, 37, 8), expireSealed(day+68, day-50, day-59)), nil, (day + 124) * 1000, nil},
		{"of yesterday, and then of today", append(was[:3:3], today, traffic(day-60, 37, 8), expireSealed(day+68, day-50, day-59), traffic(day+100, 37, 8), expireSealed(day+133, day+101, day+101)), []string{"!drain-overdue"}, (day + 253) * 1000, nil},
		{"of yesterday, and not so soon of today after all", append(was[:3:3], today, traffic(day-60, 37, 8), expireSealed(day+68, day-50, day-59), expireSealed(day+124, day-22, day-59)), []string{"!drain-overdue"}, (day + 244) * 1000, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			begin := by
			if strings.Contains(test.name, "day") {
				begin.WallMs += day * 1000
			}
			s, words := fold(t, after(running(terms(test.changes...)), append([]Input{begin}, test.in...)...)...)
			expect(t, words[3:], test.want...)
			if step := s.Saga.step(StepVerify); test.nextMs > 0 && step.DeadlineMs != test.nextMs || (test.nextMs == 0) == step.open() {
				t.Errorf("looked at again at %d, want %d (%s)", step.DeadlineMs, test.nextMs, step.State)
			}
		})
	}
}

// TestDrainOverdueSays: what is told of a canary that doesn't drain says how that is known, and who has answered.
func TestDrainOverdueSays(t *testing.T) {
	verify := id(1, 3) + "/verify"
	told := func(in ...Input) string {
		_, words := foldWith(t, func(e Effect) string {
			if e.Notice != nil {
				return e.Notice.Sentence
			}
			return ""
		}, after(rolledBack(terms(named)), in...)...)
		return words[len(words)-1]
	}
	refused := ack(7, 3, "us", schemas.AckRejected)
	refused.Ack.Why = "capacity"
	eu := ack(6, 3, "eu", schemas.AckApplied)
	for want, have := range map[string]string{
		"It is not proven that 42 has drained: it served 1 of the 21 predictions of the newest window (deadline passed once). Routers that say they have moved it: eu. us answered rejected to decision ranker-42.1.3 at 1970-01-01T00:00:07.000Z: capacity. Find what still routes to it, and move that by hand.": told(
			append(windowsOf(6, 58, 20, 1), eu, refused, expire(65, verify))...),
		"It is not proven that 42 has drained: it still answers now and then, up to 1970-01-01T00:01:05.000Z; it served 0 of the 20 predictions of the newest window (deadline passed once). Routers that say they have moved it: eu. us has not answered. Find what still routes to it, and move that by hand.": told(
			append(windowsOf(6, 58, 20, 0), eu, expire(65, verify), traffic(64, 20, 1), traffic(69, 20, 0), expire(71, verify))...),
		"It is not proven that 42 has drained: little or nothing was counted after 1970-01-01T00:00:26.000Z; until then it served 0 of the 20 predictions of the newest window (deadline passed once). eu has not answered. us has not answered. Are predictions still written, and read? /readyz and the lag of the topics tell.": told(
			append(windowsOf(6, 20, 20, 0), expire(65, verify))...),
		"It is not proven that 42 has drained: it served 46 of the 100 predictions of the newest window, up to 1970-01-01T00:00:11.000Z; the model wasn't asked after that, up to 1970-01-01T00:01:02.000Z (deadline passed once). Routers that say they have moved it: eu. us has not answered. If nobody asks the model any more, this ends by itself (done_unproven). Else find what still routes to it, and why its predictions don't come.": told(
			append(windowsOf(6, 5, 54, 46), eu, expireSealed(65, 62, 11))...),
	} {
		if have != want {
			t.Errorf("told\n  %s\nwant\n  %s", have, want)
		}
	}
}

// TestTimes: the five times, each on its clock.
func TestTimes(t *testing.T) {
	s, _ := fold(t, after(rolledBack(terms()), traffic(6, 2000, 0), traffic(7, 2000, 0))...)
	s, _ = Step(s, Input{Kind: InputAck, WallMs: 9_999, Ack: ack(0, 3, "eu", schemas.AckApplied).Ack})
	_, effects := Step(s, traffic(8, 2000, 0))
	if len(effects) != 1 || effects[0].Notice == nil {
		t.Fatalf("effects %+v", effects)
	}
	want := schemas.RollbackTimes{HarmBegan: 2000, Detected: 5000, Decided: 5000, Acked: 9999, Drained: 9000}
	if have := *effects[0].Notice.Times; have != want {
		t.Errorf("times %+v, want %+v", have, want)
	}
	if _, err := schemas.EncodeNotice(effects[0].Notice); err != nil {
		t.Error(err)
	}
}

// TestUnattended: in a replay, and where the rollout only advises, nothing is followed.
func TestUnattended(t *testing.T) {
	for name, change := range map[string]func(*Terms){"advise": advise, "replay": unattended} {
		t.Run(name, func(t *testing.T) {
			s, words := fold(t, after(running(terms(change)), append([]Input{verdictOf(5, VerdictRollback)}, windowsOf(6, 4, 1000, 0)...)...)...)
			if len(words) != 3 || s.Saga != nil || s.Wait != nil || s.Awaits(5_000) {
				t.Errorf("effects %v, state %+v", words, s)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	type window struct{ start, baseline, canary int64 }
	tests := []struct {
		name string
		in   []window
		want int // the window with which it is proven; -1: never
	}{
		{"three windows, 3,000 predictions", []window{{10, 1000, 0}, {11, 1000, 0}, {12, 1000, 0}}, 2},
		{"one prediction less", []window{{10, 1000, 0}, {11, 1000, 0}, {12, 999, 0}, {13, 1, 0}}, 3},
		{"two large ones are too few", []window{{10, 9000, 0}, {11, 9000, 0}}, -1},
		{"exactly 0.1 % is too much", []window{{10, 999, 1}, {11, 2000, 0}, {12, 2000, 0}}, -1},
		{"just below it isn't", []window{{10, 1000, 1}, {11, 1000, 0}, {12, 1000, 0}}, 2},
		{"a relapse begins again", []window{{10, 2000, 0}, {11, 2000, 0}, {12, 2000, 50}, {13, 2000, 0}, {14, 2000, 0}, {15, 2000, 0}}, 5},
		{"empty windows don't count, and don't break a row", []window{{10, 2000, 0}, {11, 0, 0}, {12, 2000, 0}, {13, 2000, 0}}, 3},
		{"windows from before the rollback don't count", []window{{8, 2000, 0}, {9, 2000, 0}, {10, 2000, 0}}, -1},
		{"thin traffic: none of it in 60 s", []window{{10, 1, 1}, {30, 1, 0}, {70, 1, 0}, {71, 1, 0}}, 2},
		{"59 s are too few", []window{{10, 1, 1}, {69, 1, 0}}, -1},
		{"silence is no proof", []window{{10, 0, 0}, {200, 0, 0}}, -1},
		{"quiet from the rollback on", []window{{10, 1, 0}, {69, 1, 0}}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := Drain{FromMs: 10_000, CleanFromMs: 10_000}
			have := -1
			for i, w := range test.in {
				if d.take(&Traffic{StartMs: w.start * 1000, EndMs: w.start*1000 + 1000, Baseline: w.baseline, Canary: w.canary}) {
					have = i
					break
				}
			}
			if have != test.want {
				t.Errorf("proven with window %d, want %d (%+v)", have, test.want, d)
			}
		})
	}
}

// TestDeadlines: what is to be watched at each point, and the growing pauses.
func TestDeadlines(t *testing.T) {
	s, _ := fold(t, rolledBack(terms())...)
	want := []Deadline{{ID: id(1, 3) + "/route", AtMs: 15_000}, {ID: id(1, 3) + "/verify", AtMs: 65_000}}
	if have := s.Deadlines(); !reflect.DeepEqual(have, want) {
		t.Errorf("deadlines %v, want %v", have, want)
	}
	var pauses []int64
	at := int64(15)
	for range 8 {
		s, _ = Step(s, expire(at, id(1, 3)+"/route"))
		next := s.Deadlines()[0].AtMs / 1000
		pauses = append(pauses, next-at)
		at = next
	}
	if have := pauses; !reflect.DeepEqual(have, []int64{20, 40, 80, 160, 320, 320, 320, 320}) {
		t.Errorf("pauses %v", have)
	}
}

// TestRollbackOfWhatNeverBegan: a person's rollback of what has not begun wakes nobody, as long as neither a decision nor the stream gives its canary traffic.
func TestRollbackOfWhatNeverBegan(t *testing.T) {
	before := applied(1, terms(weight))
	before.Applied.Routes = []schemas.Route{{Version: "41"}, {Version: "42", WeightBP: fullBP}} // it was promoted, and is tried once more
	other := applied(1, terms(weight))
	other.Applied.Routes = []schemas.Route{{Version: "40"}, {Version: "41", WeightBP: fullBP}}
	back, drained := command(2, CommandRollback, false), windowsOf(2, 4, 1000, 0)
	overdue, later := expire(12, id(1, 2)+"/route"), expire(32, id(1, 2)+"/route")
	refuses := ack(3, 2, "eu", schemas.AckRejected)
	for name, test := range map[string]struct {
		in   []Input
		want string
	}{
		"nobody has traffic":               {[]Input{applied(1, terms(weight)), back, overdue, later}, "rollback warning, acks-overdue warning, acks-overdue warning"},
		"nor by another rollout":           {[]Input{other, back, overdue}, "rollback warning, acks-overdue warning"},
		"a router refuses":                 {[]Input{applied(1, terms(weight)), back, refuses}, "rollback warning, ack-refused warning"},
		"it isn't proven":                  {[]Input{applied(1, terms(weight)), back, expire(62, id(1, 2)+"/verify")}, "rollback warning, drain-overdue warning"},
		"the stream shows none of it":      {after([]Input{applied(1, terms(weight)), back}, append(drained, overdue)...), "rollback warning, acks-overdue warning"},
		"the stream shows it":              {[]Input{applied(1, terms(weight)), back, traffic(2, 900, 100), overdue}, "rollback warning, acks-overdue critical"},
		"and shows it after it was proven": {after([]Input{applied(1, terms(weight)), back}, append(drained, overdue, traffic(20, 900, 100), later)...), "rollback warning, acks-overdue warning, acks-overdue critical"},
		"it had all before":                {[]Input{before, back, overdue}, "rollback critical, acks-overdue critical"},
		"it has begun":                     {after(running(terms(weight)), command(6, CommandRollback, false), expire(16, id(1, 3)+"/route")), "rollback critical, acks-overdue critical"},
	} {
		t.Run(name, func(t *testing.T) {
			var loud []string
			foldWith(t, func(e Effect) string {
				switch {
				case e.Notice != nil:
					loud = append(loud, fmt.Sprint(e.Notice.Kind, " ", e.Notice.Severity))
				case e.Decision != nil && e.Decision.Decision.Action == schemas.ActionRollback:
					loud = append(loud, fmt.Sprint("rollback ", e.Decision.Decision.Severity))
				}
				return ""
			}, test.in...)
			if have := strings.Join(loud, ", "); have != test.want {
				t.Errorf("%s\nwant %s", have, test.want)
			}
		})
	}
}
