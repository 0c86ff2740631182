package decisions

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// stateful is a rollout of a ramp with two stores of shared state; illegible: the baseline can't read what the canary wrote.
func stateful(t *Terms) {
	ramp(t)
	t.State = StateTerms{Mode: schemas.StateShared, Stores: []string{"item", "user"}, AckWithinMs: 30_000, Compatible: true}
}

func illegible(t *Terms) { t.State.Compatible = false }
func oneStore(t *Terms)  { t.State.Stores = []string{"user"} }

// snapped is a store's answer that it has a snapshot.
func snapped(at, seq int64, store string) Input {
	in := ack(at, seq, store, schemas.AckPrepared)
	in.Ack.Snapshot = store + "-before"
	return in
}

// begun is a rollout with state that runs in its first stage.
func begun(change ...func(*Terms)) []Input {
	return []Input{applied(1, terms(append([]func(*Terms){stateful}, change...)...)), ack(2, 1, "eu", schemas.AckPrepared), snapped(3, 1, "user"), snapped(4, 1, "item"),
		ack(5, 2, "eu", schemas.AckApplied)}
}

// ordered is what a decision asks of the state: "freeze item user".
func ordered(d *schemas.Decision) string {
	if len(d.State) == 0 {
		return ""
	}
	words := []string{string(d.State[0].Do)}
	for _, o := range d.State {
		if o.Do != d.State[0].Do {
			words = append(words, string(o.Do))
		}
		words = append(words, strings.TrimSuffix(o.Store+o.Namespace+"@"+o.Snapshot, "@"))
	}
	return strings.Join(words, " ")
}

// What the decisions of such a rollout are, where all goes well.
const (
	snapshot = "#1 start prepare 41:10000 42:0 (route) | snapshot item user | any item user"
	commit   = "#2 start commit 41:9900 42:100 (route) | | any"
	freeze   = "#3 rollback prepare 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user"
	route    = "#4 rollback commit 41:10000 42:0 (route) | freeze item@item-before user@user-before | any"
	restore  = "#5 rollback commit 41:10000 42:0 (route) | restore item@item-before user@user-before | item user"
	froze    = "#3 freeze 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user"
	unfreeze = "#6 rollback commit 41:10000 42:0 (route) | unfreeze item@item-before user@user-before | item user"
)

// A stateTest is a way of a rollout whose state is shared: each decision with what it asks of the state, and who must answer it.
type stateTest struct {
	name   string
	change []func(*Terms)
	in     []Input
	want   []string
	status Status
	frozen bool
}

// TestState tells the ways of a rollout whose state is shared.
func TestState(t *testing.T) {
	for _, test := range slices.Concat(restoredTests(), frozenTests()) {
		t.Run(test.name, func(t *testing.T) {
			s, words := foldWith(t, saidWithState, after(begun(test.change...), test.in...)...)
			expect(t, words, append([]string{snapshot, commit}, test.want...)...)
			if s.Status != test.status || s.Frozen != test.frozen {
				t.Errorf("%s, frozen %v; want %s, %v", s.Status, s.Frozen, test.status, test.frozen)
			}
		})
	}
}

func restoredTests() []stateTest {
	harm := verdictOf(10, VerdictRollback)
	frozen := []Input{harm, ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared)}
	moved := append(frozen[:3:3], ack(13, 4, "eu", schemas.AckApplied))
	restored := append(moved[:4:4], ack(14, 5, "item", schemas.AckApplied), ack(15, 5, "user", schemas.AckApplied))
	overdue := expire(40, id(1, 3)+"/freeze")
	return []stateTest{
		{"freeze, route, restore, unfreeze", nil, append(restored[:6:6], ack(16, 6, "item", schemas.AckApplied), ack(17, 6, "user", schemas.AckApplied)),
			[]string{freeze, route, restore, unfreeze}, StatusRolledBack, false},
		{"one store is not all", nil, frozen[:2], []string{freeze}, StatusRolledBack, true},
		{"a router's answer is no store's", nil, []Input{harm, ack(11, 3, "eu", schemas.AckPrepared), ack(12, 3, "item", schemas.AckPrepared)}, []string{freeze}, StatusRolledBack, true},
		{"a store's answer is no router's", nil, append(frozen[:3:3], ack(13, 4, "user", schemas.AckApplied)), []string{freeze, route}, StatusRolledBack, true},
		{"a silent store holds no traffic back", nil, []Input{harm, ack(11, 3, "item", schemas.AckPrepared), overdue},
			[]string{freeze, "!acks-overdue user", route}, StatusRolledBack, true},
		{"nor does one that refuses", nil, []Input{harm, ack(11, 3, "item", schemas.AckRejected)}, []string{freeze, "!ack-refused item", route}, StatusRolledBack, true},
		{"a router's refusal is no store's", nil, []Input{harm, ack(11, 3, "eu", schemas.AckRejected)}, []string{freeze}, StatusRolledBack, true},
		{"a store that was silent is asked to restore", nil, []Input{harm, ack(11, 3, "item", schemas.AckPrepared), overdue, ack(41, 4, "eu", schemas.AckApplied)},
			[]string{freeze, "!acks-overdue user", route, restore}, StatusRolledBack, true},
		{"a store that can't restore is told, and asked again", nil, append(moved[:4:4], ack(14, 5, "item", schemas.AckFailed), expire(43, id(1, 3)+"/restore")),
			[]string{freeze, route, restore, "!ack-refused item", "!acks-overdue item,user", "#6 roll-forward 41:10000 42:0 (route) | restore item@item-before user@user-before |", "again " + id(1, 6)}, StatusRolledBack, true},
		{"what restores after all has done so", nil, append(moved[:4:4], ack(14, 5, "item", schemas.AckFailed), expire(43, id(1, 3)+"/restore"), ack(50, 6, "item", schemas.AckApplied), ack(51, 5, "user", schemas.AckApplied)),
			[]string{freeze, route, restore, "!ack-refused item", "!acks-overdue item,user", "#6 roll-forward 41:10000 42:0 (route) | restore item@item-before user@user-before |", "again " + id(1, 6),
				"#7 rollback commit 41:10000 42:0 (route) | unfreeze item@item-before user@user-before | item user"}, StatusRolledBack, false},
		{"a silent router is told, and the state stays frozen", nil, append(frozen[:3:3], expire(22, id(1, 3)+"/route")),
			[]string{freeze, route, "!acks-overdue any", "again " + id(1, 4)}, StatusRolledBack, true},
	}
}

// frozenTests are those in which somebody, or what can't be undone, freezes the state.
func frozenTests() []stateTest {
	harm, overdue := verdictOf(10, VerdictRollback), expire(40, id(1, 3)+"/freeze")
	moved := []Input{harm, ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied)}
	return []stateTest{
		{"state that the baseline can't read: all stands still", []func(*Terms){illegible}, []Input{harm, ack(11, 3, "item", schemas.AckPrepared), overdue},
			[]string{freeze, "!acks-overdue user", "#4 freeze 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user", "#5 roll-forward 41:9900 42:100 (route) | freeze item@item-before user@user-before |"}, StatusFrozen, true},
		{"at once where a store refuses", []func(*Terms){illegible}, []Input{harm, ack(11, 3, "item", schemas.AckRejected)},
			[]string{freeze, "!ack-refused item", "#4 freeze 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user", "#5 roll-forward 41:9900 42:100 (route) | freeze item@item-before user@user-before |"}, StatusFrozen, true},
		{"until it answers", []func(*Terms){illegible}, []Input{harm, ack(11, 3, "item", schemas.AckPrepared), overdue, ack(50, 4, "user", schemas.AckApplied)},
			[]string{freeze, "!acks-overdue user", "#4 freeze 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user", "#5 roll-forward 41:9900 42:100 (route) | freeze item@item-before user@user-before |",
				"#6 rollback commit 41:10000 42:0 (route) | freeze item@item-before user@user-before | any"}, StatusRolledBack, true},
		{"or a person says so", []func(*Terms){illegible}, []Input{harm, ack(11, 3, "item", schemas.AckPrepared), overdue, command(50, CommandRollback, false), command(51, CommandRollback, true)},
			[]string{freeze, "!acks-overdue user", "#4 freeze 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user", "#5 roll-forward 41:9900 42:100 (route) | freeze item@item-before user@user-before |", "!command-refused",
				"#6 rollback commit 41:10000 42:0 (route) | freeze item@item-before user@user-before | any"}, StatusRolledBack, true},
		{"asked again and again", []func(*Terms){illegible}, []Input{harm, overdue, expire(100, id(1, 3)+"/freeze")},
			[]string{freeze, "!acks-overdue item,user", "#4 freeze 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user", "#5 roll-forward 41:9900 42:100 (route) | freeze item@item-before user@user-before |",
				"!acks-overdue item,user", "again " + id(1, 5)}, StatusFrozen, true},

		{"a person freezes, and resumes", nil, []Input{command(10, CommandFreeze, false), command(11, CommandFreeze, false), verdictOf(12, VerdictAdvance), command(13, CommandResume, false)},
			[]string{"#3 freeze 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user", "!command-refused",
				"#4 resume 41:9900 42:100 over " + id(1, 3) + " (route) | unfreeze item@item-before user@user-before |"}, StatusRunning, false},
		{"a store that fails a person's freeze is told, and asked again", nil, []Input{command(10, CommandFreeze, false), ack(11, 3, "item", schemas.AckFailed), ack(12, 3, "user", schemas.AckPrepared),
			expire(40, id(1, 3)+"/acks"), ack(50, 3, "item", schemas.AckPrepared), expire(100, id(1, 3)+"/acks")},
			[]string{froze, "!ack-refused item", "!acks-overdue item", "again " + id(1, 3), "!acks-complete frozen"}, StatusHolding, true},
		{"and so is a silent one", nil, []Input{command(10, CommandFreeze, false), ack(12, 3, "user", schemas.AckPrepared), expire(39, id(1, 3)+"/acks"), expire(40, id(1, 3)+"/acks"), expire(100, id(1, 3)+"/acks")},
			[]string{froze, "!acks-overdue item", "again " + id(1, 3), "!acks-overdue item", "again " + id(1, 3)}, StatusHolding, true},
		{"but not once the freeze is over", nil, []Input{command(10, CommandFreeze, false), command(13, CommandResume, false), ack(14, 3, "item", schemas.AckFailed), expire(40, id(1, 3)+"/acks")},
			[]string{froze, "#4 resume 41:9900 42:100 over " + id(1, 3) + " (route) | unfreeze item@item-before user@user-before |"}, StatusRunning, false},
		{"nor once it is rolled back: that freezes itself", nil, []Input{command(10, CommandFreeze, false), harm, expire(40, id(1, 3)+"/acks")},
			[]string{froze, "#4 rollback prepare 41:9900 42:100 over " + id(1, 3) + " (route) | freeze item@item-before user@user-before | item user"}, StatusRolledBack, true},
		{"a freeze before routers have followed waits for stores beside them", nil, []Input{verdictOf(10, VerdictAdvance), command(11, CommandFreeze, false), expire(20, id(1, 3)+"/acks"), ack(21, 3, "eu", schemas.AckApplied),
			expire(41, id(1, 4)+"/acks")}, []string{"#3 advance 41:9000 42:1000 (route) | | any", "#4 freeze 41:9000 42:1000 (route) | freeze item@item-before user@user-before | item user",
			"!acks-overdue any", "again " + id(1, 4), "!acks-complete frozen", "!acks-overdue item,user", "again " + id(1, 4)}, StatusHolding, true},
		{"a pause can be made a freeze", nil, []Input{command(10, CommandPause, false), command(11, CommandFreeze, false)},
			[]string{"#3 hold 41:9900 42:100 (route) | |", "#4 freeze 41:9900 42:100 over " + id(1, 3) + " (route) | freeze item@item-before user@user-before | item user"}, StatusHolding, true},
		{"harm rolls back what is frozen", nil, []Input{command(10, CommandFreeze, false), verdictOf(11, VerdictRollback)},
			[]string{"#3 freeze 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user",
				"#4 rollback prepare 41:9900 42:100 over " + id(1, 3) + " (route) | freeze item@item-before user@user-before | item user"}, StatusRolledBack, true},
		{"deleted before it is restored: told", nil, append(moved[:4:4], command(20, CommandDelete, true), ack(21, 5, "item", schemas.AckApplied), ack(21, 5, "user", schemas.AckApplied)),
			[]string{freeze, route, restore, "#6 freeze abort 41:10000 42:0 (route) | freeze item@item-before user@user-before |"}, StatusDeleted, true},
		{"deleted while frozen by a person: thawed", nil, []Input{command(10, CommandFreeze, false), command(11, CommandDelete, false)},
			[]string{"#3 freeze 41:9900 42:100 (route) | freeze item@item-before user@user-before | item user",
				"#4 start abort 41:10000 42:0 over " + id(1, 3) + " (route) | unfreeze item@item-before user@user-before |"}, StatusDeleted, false},
	}
}

func saidWithState(e Effect) string {
	if e.Decision == nil {
		return said(e)
	}
	d := &e.Decision.Decision
	return strings.Join(strings.Fields(said(e)+" | "+ordered(d)+" | "+strings.Join(d.Acks, " ")), " ")
}

// TestFrozenText: what is shown of stores that were asked to take no writes is what they have answered.
func TestFrozenText(t *testing.T) {
	full := ack(11, 3, "item", schemas.AckFailed)
	full.Ack.Why = "disk full"
	freeze, user := command(10, CommandFreeze, false), ack(12, 3, "user", schemas.AckPrepared)
	harm, overdue := verdictOf(10, VerdictRollback), expire(40, id(1, 3)+"/freeze")
	for want, s := range map[string]State{
		"": stateOf(t, begun()...),
		"was asked to take no writes: item has not answered; user has not answered":                                                           stateOf(t, after(begun(), freeze)...),
		"was asked to take no writes: item answered failed to decision ranker-42.1.3 at 1970-01-01T00:00:11.000Z: disk full; user takes none": stateOf(t, after(begun(), freeze, full, user)...),
		"takes no writes": stateOf(t, after(begun(), freeze, full, user, ack(13, 3, "item", schemas.AckPrepared))...),
		"was asked to take no writes: item answered failed to decision ranker-42.1.3 at 1970-01-01T00:00:11.000Z: disk full; user has not answered": stateOf(t, after(begun(illegible), harm, full, command(50, CommandRollback, true))...),
		"was asked to take no writes: user has not answered; item takes none":                                                                       stateOf(t, after(begun(), harm, ack(11, 3, "item", schemas.AckPrepared), overdue)...),
	} {
		if have := s.FrozenText(); have != want {
			t.Errorf("shown %q, want %q", have, want)
		}
	}
}

// TestWhatAStoreDoesNotDo: what is told of a store that doesn't do its step says whose it is, why, and what to do.
func TestWhatAStoreDoesNotDo(t *testing.T) {
	says := func(in ...Input) string {
		_, words := foldWith(t, func(e Effect) string {
			if e.Notice != nil {
				return e.Notice.Sentence
			}
			return ""
		}, after(begun(), in...)...)
		for _, text := range slices.Backward(words) {
			if text != "" {
				return text
			}
		}
		return ""
	}
	gone := ack(14, 5, "item", schemas.AckFailed)
	gone.Ack.Why = "the snapshot is gone"
	full := ack(11, 3, "item", schemas.AckFailed)
	full.Ack.Why = "disk full"
	moved := []Input{verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied)}
	restored := append(moved[:4:4], ack(14, 5, "item", schemas.AckApplied), ack(15, 5, "user", schemas.AckApplied), ack(16, 6, "item", schemas.AckApplied))
	for want, have := range map[string]string{
		"Step restore of rollback ranker-42.1.3, decided 33s ago, is not acknowledged by item, user (deadline passed once). 41 serves all traffic with the state that 42 left, and item, user may take no writes " +
			"until it is restored (item to snapshot item-before, user to snapshot user-before): restore it by hand if the store can't, and let the store acknowledge that. " +
			"item answered failed to decision ranker-42.1.5 at 1970-01-01T00:00:14.000Z: the snapshot is gone. Mend that there: it is asked again. user answered prepared to decision ranker-42.1.3 at 1970-01-01T00:00:12.000Z, and nothing since: does it still run? Look at its log.": says(
			append(moved[:4:4], gone, expire(43, id(1, 3)+"/restore"))...),
		"Step unfreeze of rollback ranker-42.1.3, decided 40s ago, is not acknowledged by user (deadline passed once). " +
			"The state is restored, and user may still take no writes: let it write by hand if it doesn't. user answered applied to decision ranker-42.1.5 at 1970-01-01T00:00:15.000Z, and nothing since: does it still run? Look at its log.": says(append(restored[:7:7], expire(50, id(1, 3)+"/unfreeze"))...),
		"item answered failed to decision ranker-42.1.3: disk full. What 42 writes may still change it. Stop its writes by hand, or `streamcanary rollout resume ranker-42 --comment WHY` ends the freeze.": says(
			command(10, CommandFreeze, false), full),
		"The freeze that was asked for (decision ranker-42.1.3) is not acknowledged (deadline passed once): item answered failed to decision ranker-42.1.3 at 1970-01-01T00:00:11.000Z: disk full; user has not answered. " +
			"What 42 writes may still change it. Stop its writes by hand, or `streamcanary rollout resume ranker-42 --comment WHY` ends the freeze.": says(command(10, CommandFreeze, false), full, expire(40, id(1, 3)+"/acks")),
	} {
		if have != want {
			t.Errorf("told\n  %s\nwant\n  %s", have, want)
		}
	}
}

// TestSnapshotFirst: a store that names no snapshot which it could restore keeps the rollout from starting.
func TestSnapshotFirst(t *testing.T) {
	in := begun()[:3]
	s, words := fold(t, in...)
	if s.Status != StatusPreparing || len(words) != 1 {
		t.Errorf("with one store of two: %s, %v", s.Status, words)
	}
	s, words = fold(t, after(in, ack(4, 1, "item", schemas.AckPrepared))...)
	expect(t, words[1:], "!ack-refused item")
	if s.Status != StatusPreparing {
		t.Errorf("without a snapshot: %s", s.Status)
	}
	s, words = fold(t, after(in, ack(4, 1, "item", schemas.AckPrepared), expire(31, id(1, 1)+"/acks"), snapped(32, 1, "item"))...)
	expect(t, words[2:], "!acks-overdue item", "again "+id(1, 1), "#2 start commit 41:9900 42:100 (route)")
	if want := []Snapshot{{"user", "user-before"}, {"item", "item-before"}}; !reflect.DeepEqual(s.Snapshots, want) {
		t.Errorf("snapshots %v, want %v", s.Snapshots, want)
	}
}

// TestStateExternal: where another controller moves the weights, stores are waited for all the same.
func TestStateExternal(t *testing.T) {
	_, words := fold(t, applied(1, terms(stateful, external)), snapped(3, 1, "user"), snapped(4, 1, "item"))
	expect(t, words, "#1 start prepare 41:10000 42:0 (route)", "#2 start commit 41:9900 42:100 (route)")
}

// TestNamespaced: the version that serves everybody is named with its state.
func TestNamespaced(t *testing.T) {
	named := func(t *Terms) {
		t.State = StateTerms{Mode: schemas.StateNamespaced, BaselineNamespace: "ranker:41", CanaryNamespace: "ranker:42"}
	}
	_, words := foldWith(t, saidWithState, after(running(terms(weight, named)), verdictOf(5, VerdictRollback))...)
	expect(t, words, "#1 start prepare 41:10000 42:0 (route) | use ranker:41 | any", "#2 start commit 41:9000 42:1000 (route) | | any",
		"#3 rollback 41:10000 42:0 (route) | use ranker:41 | any")
	_, words = foldWith(t, saidWithState, after(running(terms(weight, named)), verdictOf(5, VerdictPromote))...)
	expect(t, words[2:], "#3 promote 41:0 42:10000 (route) | use ranker:42 | any")
}

// TestStateTerms: what of a rollout file reaches the machine.
func TestStateTerms(t *testing.T) {
	for text, want := range map[string]StateTerms{
		"none":       {},
		"namespaced": {Mode: schemas.StateNamespaced, BaselineNamespace: "m:1", CanaryNamespace: "m:2"},
		"{mode: shared, stores: [user, item], ackWithin: 5s}": {Mode: schemas.StateShared, Stores: []string{"item", "user"}, AckWithinMs: 5000, Compatible: true},
	} {
		r, err := schemas.ParseRollout("r", []byte("kind: Rollout\nmetadata: {name: r}\nspec: {model: m, baseline: {version: \"1\"}, canary: {version: \"2\"}, state: "+text+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := TermsOf(r).State; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// TestOverriddenStaysOverridden: once a person has moved the traffic without waiting for the state, a store's refusal stops nothing any more.
func TestOverriddenStaysOverridden(t *testing.T) {
	in := after(begun(illegible), verdictOf(10, VerdictRollback), expire(40, id(1, 3)+"/freeze"), command(41, CommandRollback, true))
	s := stateOf(t, in...)
	if s.Status != StatusRolledBack {
		t.Fatalf("after the override it is %s", s.Status)
	}
	after, effects := Step(s, ack(42, 3, "user", schemas.AckFailed))
	for _, e := range effects {
		if e.Decision != nil && e.Decision.Decision.Action == schemas.ActionFreeze {
			t.Errorf("it freezes again: %s", e.Decision.Decision.Reason.Sentence)
		}
	}
	if after.Status != StatusRolledBack {
		t.Errorf("it is %s", after.Status)
	}
}

// TestFreezeThatNeverHeld: traffic that has moved without a freeze was not held by it, whatever a store answers later; that is shown.
func TestFreezeThatNeverHeld(t *testing.T) {
	harm, override := verdictOf(10, VerdictRollback), command(41, CommandRollback, true)
	refused := after(begun(illegible, oneStore), harm, ack(11, 3, "user", schemas.AckRejected), override)
	late := after(begun(illegible, oneStore), harm, ack(11, 3, "user", schemas.AckRejected), override, ack(42, 6, "eu", schemas.AckApplied), ack(43, 7, "user", schemas.AckApplied))
	silent := after(begun(oneStore), harm, expire(40, id(1, 3)+"/freeze"))
	for name, test := range map[string]struct {
		in    []Input
		state StepState
		want  string
	}{
		"by override": {refused, StepFailed, "user answered rejected to decision ranker-42.1.3 at 1970-01-01T00:00:11.000Z: no reason given; a person let the traffic move without it (decision ranker-42.1.6)"},
		"by override, and answered once it was restored": {late, StepPassed, "a person let the traffic move without it (decision ranker-42.1.6), and it was answered only later"},
		"nobody waits":                      {silent, StepExpired, "user has not answered; traffic didn't wait for it (decision ranker-42.1.4)"},
		"nobody waits, and it answers then": {after(silent, ack(42, 4, "user", schemas.AckApplied)), StepPassed, "traffic didn't wait for it (decision ranker-42.1.4), and it was answered only later"},
		"it holds":                          {after(begun(oneStore), harm, ack(11, 3, "user", schemas.AckPrepared)), StepAcked, ""},
	} {
		s := stateOf(t, test.in...)
		if step := s.Saga.step(StepFreeze); step.State != test.state || s.StepText(step) != test.want {
			t.Errorf("%s: %s: %s\nwant %s: %s", name, step.State, s.StepText(step), test.state, test.want)
		}
	}
}

// TestFreezeThatFailsOnce: a store that fails a freeze that nothing moves without tries again by itself. That all stands still is told at once; that the state can't go back only when
// the deadline has passed, once, and never where the freeze was done meanwhile: then the rollback goes on, and it is said that the standstill is over.
func TestFreezeThatFailsOnce(t *testing.T) {
	fails, frozen := ack(11, 3, "item", schemas.AckFailed), ack(13, 4, "user", schemas.AckApplied)
	begins := after(begun(illegible), verdictOf(10, VerdictRollback), fails)
	still := func(s State, step string) {
		t.Helper()
		if s.Status != StatusFrozen || s.Why.Code != codeStateNotReady || s.WhyText() != s.Why.Sentence {
			t.Errorf("%s: %s, %+v", step, s.Status, s.Why)
		}
	}
	s, words := foldWith(t, saidAction, begins...)
	expect(t, words[2:], "rollback", "!ack-refused", "freeze")
	still(s, "it fails")
	s, words = foldWith(t, saidAction, after(begins, expire(40, id(1, 3)+"/freeze"), expire(100, id(1, 3)+"/freeze"))...)
	expect(t, words[5:], "!acks-overdue", "roll-forward", "!acks-overdue", "again "+id(1, 5))
	still(s, "and is overdue")
	s, words = foldWith(t, saidAction, after(begins, ack(12, 4, "item", schemas.AckApplied), frozen)...)
	expect(t, words[5:], "rollback")
	if text := s.WhyText(); s.Status != StatusRolledBack || !strings.HasSuffix(text, "(That is over: the stores take no more writes, and the rollback goes on.)") {
		t.Errorf("%s: %s", s.Status, text)
	}
}

// saidAction is an effect in a word.
func saidAction(e Effect) string {
	switch {
	case e.Decision != nil:
		return string(e.Decision.Decision.Action)
	case e.Notice != nil:
		return "!" + string(e.Notice.Kind)
	}
	return "again " + e.Again
}

// TestUnheldText holds what a rollback says whose traffic doesn't wait for stores: who has refused is named with why, and who has only not answered yet as that.
func TestUnheldText(t *testing.T) {
	refused := ack(11, 3, "item", schemas.AckFailed)
	refused.Ack.Why = "disk full"
	for name, test := range map[string]struct {
		in   Input
		want string
	}{
		"silent":  {expire(40, id(1, 3)+"/freeze"), "item, user have not answered that no more writes are taken, and traffic doesn't wait for that: all traffic goes to 41."},
		"refused": {refused, "item answered failed to decision ranker-42.1.3 at 1970-01-01T00:00:11.000Z: disk full; user has not answered, and traffic doesn't wait for that: all traffic goes to 41."},
	} {
		var last string
		foldWith(t, func(e Effect) string {
			if e.Decision != nil {
				last = e.Decision.Decision.Reason.Sentence
			}
			return ""
		}, after(begun(), verdictOf(10, VerdictRollback), test.in)...)
		if last != test.want {
			t.Errorf("%s: %q", name, last)
		}
	}
}
