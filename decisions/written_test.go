package decisions

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestOver: what the next epoch of a model is told of shared state, by how the last one stands.
func TestOver(t *testing.T) {
	harm := verdictOf(10, VerdictRollback)
	moved := []Input{harm, ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied)}
	restored := append(moved[:4:4], ack(14, 5, "item", schemas.AckApplied), ack(15, 5, "user", schemas.AckApplied))
	promoted := after(begun(), command(10, CommandPromote, true), ack(11, 3, "eu", schemas.AckApplied))
	superseded := after(begun(), command(10, CommandSupersede, false))
	firsts := []Snapshot{{"user", "user-before"}, {"item", "item-before"}}
	handed := &Written{By: "42", Epoch: 1, Snapshots: firsts}
	lost := &Written{By: "42", Within: true}
	from := func(baseline, canary string) func(*Terms) {
		return func(t *Terms) { t.Baseline, t.Canary = baseline, canary }
	}
	within := begun()
	within[0].Applied.Terms.State.Written = lost
	kept := begun()[:1]
	kept[0].Applied.Terms.State.Written = handed
	stays := &Written{By: "42", Epoch: 1, Within: true}
	ramped := []schemas.Route{{Version: "41", WeightBP: 8000}, {Version: "42", WeightBP: 2000}}
	for name, test := range map[string]struct {
		last   []Input
		lost   bool
		routes []schemas.Route
		next   []func(*Terms)
		want   *Written
	}{
		"running":                              {last: begun(), want: handed},
		"another canary takes over":            {last: superseded, next: []func(*Terms){from("41", "43")}, want: handed},
		"held":                                 {last: after(begun(), gap(10)), want: handed},
		"not begun":                            {last: begun()[:3]},
		"not begun, over one that was":         {last: kept, want: handed},
		"once more":                            {last: append(kept[:1:1], ack(2, 1, "eu", schemas.AckPrepared), ack(3, 1, "item", schemas.AckPrepared), ack(4, 1, "user", schemas.AckPrepared)), want: handed},
		"restored":                             {last: after(begun(), restored...)},
		"restored to what was not clean":       {last: after(within, restored...), want: lost},
		"over what was not clean":              {last: within, want: &Written{By: "42", Epoch: 1, Snapshots: firsts, Within: true}},
		"deleted":                              {last: after(begun(), command(10, CommandDelete, false)), want: lost},
		"deleted before it was restored":       {last: after(begun(), append(moved[:4:4], command(14, CommandDelete, true))...), want: lost},
		"promoted, and the next one":           {last: promoted, next: []func(*Terms){from("42", "43")}},
		"promoted, and begun anew":             {last: promoted, want: lost},
		"its record is not the newest":         {last: begun(), lost: true, want: lost},
		"another baseline":                     {last: superseded, next: []func(*Terms){from("40", "43")}, want: lost},
		"what it tried is the baseline":        {last: superseded, next: []func(*Terms){from("42", "43")}},
		"other stores":                         {last: superseded, next: []func(*Terms){oneStore}, want: lost},
		"no shared state after it":             {last: superseded, next: []func(*Terms){func(t *Terms) { t.State = StateTerms{} }}, want: stays},
		"advice":                               {last: begun(), next: []func(*Terms){advise}},
		"nothing is known but routes":          {routes: ramped, want: lost},
		"nothing is known, and all is at rest": {routes: []schemas.Route{{Version: "41", WeightBP: fullBP}, {Version: "42"}}},
		"nothing was there":                    {},
	} {
		var last *State
		if test.last != nil {
			s := stateOf(t, test.last...)
			last = &s
		}
		next := terms(append([]func(*Terms){stateful}, test.next...)...)
		if next.Over(last, last != nil && !test.lost, test.routes...); !reflect.DeepEqual(next.State.Written, test.want) {
			t.Errorf("%s: %+v, want %+v", name, next.State.Written, test.want)
		}
	}
}

// over is a second epoch that begins with what the first left.
func over(w *Written, change ...func(*Terms)) Input {
	in := applied(60, terms(append([]func(*Terms){stateful}, change...)...))
	in.Applied.Epoch, in.Applied.Terms.State.Written = 2, w
	return in
}

// TestRestoresWhatWasBefore: the decisions say which snapshot a rollback goes back to, and what it may have.
func TestRestoresWhatWasBefore(t *testing.T) {
	second := func(in Input) Input {
		a := *in.Ack
		a.Epoch, a.Decision = 2, id(2, a.Seq)
		in.Ack = &a
		return in
	}
	again := func(in Input) Input {
		a := *in.Ack
		a.Snapshot = strings.Replace(a.Snapshot, "before", "again", 1)
		in.Ack = &a
		return second(in)
	}
	for name, test := range map[string]struct {
		w             *Written
		start, goes   string
		asks, restore string
	}{
		"those of the first epoch": {
			&Written{By: "42", Epoch: 1, Snapshots: []Snapshot{{"item", "item-before"}, {"user", "user-before"}}},
			" No new snapshot is taken, since 42 may have written to the state: a rollback goes back to the one from before 42 (epoch 1): item to snapshot item-before, user to snapshot user-before.",
			"item, user go back to the snapshot from before 42 (epoch 1).", "", "restore item@item-before user@user-before",
		},
		"its own": {
			&Written{By: "42", Within: true},
			" 42 may have written to the state: a rollback goes back to the snapshot from before epoch 2, which may have what 42 wrote earlier.",
			"item, user go back to the snapshot from before epoch 2, which may have what 42 wrote earlier.", "snapshot item user", "restore item@item-again user@user-again",
		},
	} {
		s := stateOf(t, begun()...)
		var decided []*schemas.Decision
		for _, in := range []Input{
			over(test.w), second(ack(61, 1, "eu", schemas.AckPrepared)), again(snapped(62, 1, "item")), again(snapped(63, 1, "user")), second(ack(64, 2, "eu", schemas.AckApplied)),
			verdictOf(70, VerdictRollback), second(ack(71, 3, "item", schemas.AckPrepared)), second(ack(72, 3, "user", schemas.AckPrepared)), second(ack(73, 4, "eu", schemas.AckApplied)),
		} {
			var effects []Effect
			s, effects = Step(s, in)
			for _, e := range effects {
				if e.Decision != nil {
					decided = append(decided, &e.Decision.Decision)
				}
			}
		}
		if len(decided) != 5 {
			t.Fatalf("%s: %d decisions", name, len(decided))
		}
		start, restore := decided[0], decided[4]
		if !strings.HasSuffix(start.Reason.Sentence, test.start) || ordered(start) != test.asks || !slices.Equal(start.Acks, []string{"any", "item", "user"}) {
			t.Errorf("%s: begins with %q, asks %q of %v", name, start.Reason.Sentence, ordered(start), start.Acks)
		}
		if !strings.HasSuffix(restore.Reason.Sentence, test.goes) || ordered(restore) != test.restore {
			t.Errorf("%s: %q, asks %q", name, restore.Reason.Sentence, ordered(restore))
		}
	}
}

// TestBackNamesWhatWasBefore: a way back names what the snapshots are from before: the rollout, or where that began over a version that may have written, what they were taken for.
func TestBackNamesWhatWasBefore(t *testing.T) {
	own := []Snapshot{{"item", "item-before"}, {"user", "user-before"}}
	for want, w := range map[string]*Written{
		"Before ranker-42, ":    nil,
		"Before 40 (epoch 1), ": {By: "40", Epoch: 1, Snapshots: own},
		"Before epoch 2, which may have what 40 wrote earlier, ": {By: "40", Within: true},
		"Before epoch 1, which may have what 40 wrote earlier, ": {By: "40", Epoch: 1, Snapshots: own, Within: true},
	} {
		s := State{Terms: terms(stateful), Epoch: 2, Snapshots: own}
		s.Terms.State.Written = w
		want = "No state is restored: item, user keep what 42 wrote. " + want + "item had snapshot item-before, user had snapshot user-before: to go back to that, restore it by hand, if it is still kept."
		if have := BackOf(&s).KeptText(s.Terms.State.Stores, "42", "41"); have != want {
			t.Errorf("%s\nwant %s", have, want)
		}
	}
}

// TestRefusesOver: what can't go back to the snapshots of what is under way doesn't begin over it, but by force.
func TestRefusesOver(t *testing.T) {
	const first = "42 may have written to item, user in epoch 1, and ranker-42 could not go back to the snapshots from before that (item to snapshot item-before, user to snapshot user-before): "
	const do = ": `rollout rollback ranker-42 --comment WHY` first, and apply it when that is carried out; or apply it with --force, which takes an admin, and the decision says so"
	for name, test := range map[string]struct {
		last []Input
		next func(*Terms)
		want string
		over []string
	}{
		"the same":              {last: begun()},
		"other stores":          {begun(), oneStore, first + "its state.stores are not theirs (item, user)" + do, []string{codeWritten}},
		"another baseline":      {begun(), func(t *Terms) { t.Baseline = "40" }, first + "its baseline is 40, and theirs 41" + do, []string{codeWritten}},
		"superseded by force":   {after(begun(), command(10, CommandSupersede, false)), oneStore, "", []string{codeWritten}},
		"its canary is chosen":  {last: begun(), next: func(t *Terms) { t.Baseline, t.Canary = "42", "43" }},
		"none is shared":        {last: begun(), next: func(t *Terms) { t.State = StateTerms{} }},
		"it has not begun":      {last: begun()[:2], next: oneStore},
		"it has ended for good": {last: after(begun(), command(10, CommandDelete, false)), next: oneStore},
	} {
		s := stateOf(t, test.last...)
		next := terms(stateful)
		if test.next != nil {
			test.next(&next)
		}
		if have := s.RefusesOver(&next); have != test.want {
			t.Errorf("%s: %s\nwant %s", name, have, test.want)
		}
		if have := s.GoesPast(&next); !slices.Equal(have, test.over) {
			t.Errorf("%s: past %q, want %q", name, have, test.over)
		}
	}
}

// TestWrittenLeft: who deletes a rollout while it is under way is told what its canary has left in shared state, and to which snapshot that could go back.
func TestWrittenLeft(t *testing.T) {
	gone := command(10, CommandDelete, false)
	const left = "What 42 wrote to item, user stays there: nothing is restored. By hand it can go back to before 42 (item to snapshot item-before, user to snapshot user-before): " +
		"look whether the snapshot is still there, stop the writes, restore it with the store's own tools, and let writes in again; what 41 wrote since then is lost, too."
	nameless := stateOf(t, after(begun(), gone)...)
	nameless.Snapshots = nil
	if text := nameless.WrittenLeft(); text != "What 42 wrote to item, user stays there: nothing is restored. Not all of item, user had named a snapshot from before that." {
		t.Errorf("without snapshots: %q", text)
	}
	for name, x := range map[string]struct {
		in   []Input
		want string
	}{
		"while it runs":           {after(begun(), gone), left},
		"while it is held":        {after(begun(), gap(8), gone), left},
		"before it began":         {after(begun()[:3], gone), ""},
		"one without state":       {after(running(terms(weight)), gone), ""},
		"advice":                  {after(running(terms(stateful, advise)), gone), ""},
		"while it goes back":      {after(begun(), verdictOf(9, VerdictRollback), command(10, CommandDelete, true)), ""},
		"what is not deleted yet": {after(begun(), command(10, CommandPause, false)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, effects := Step(stateOf(t, x.in[:len(x.in)-1]...), x.in[len(x.in)-1])
			if text := s.WrittenLeft(); text != x.want {
				t.Errorf("%q, want %q", text, x.want)
			}
			if d := effects[0].Decision; x.want != "" && d.Decision.Reason.Sentence != "The rollout was deleted before it ended. "+x.want {
				t.Errorf("its decision says %q", d.Decision.Reason.Sentence)
			}
		})
	}
}
