package decisions

import (
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestSnapshotTexts: what is shown of the stores' snapshots is how it stands, and a recommendation for state that doesn't go back ends when it has gone back.
func TestSnapshotTexts(t *testing.T) {
	failed := func(at, seq int64, why string) Input {
		in := ack(at, seq, "user", schemas.AckFailed)
		in.Ack.Why = why
		return in
	}
	harm, overdue := verdictOf(10, VerdictRollback), expire(40, id(1, 3)+"/freeze")
	frozen := after(begun(), harm, ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared))
	moved := after(frozen, ack(13, 4, "eu", schemas.AckApplied))
	gone := after(moved, ack(14, 5, "item", schemas.AckApplied), failed(15, 5, "no such snapshot"), expire(60, id(1, 3)+"/restore"))
	const item, user = "item can go back to snapshot item-before", "user can go back to snapshot user-before"
	for name, test := range map[string]struct {
		in      []Input
		item    string
		user    string
		forward string // code of what is recommended
	}{
		"running":              {begun(), item, user, ""},
		"a freeze that failed": {after(begun(), harm, failed(11, 3, "no disk")), item, "user has snapshot user-before, and it is not known whether it can go back to it (user answered failed to decision ranker-42.1.3 at 1970-01-01T00:00:11.000Z: no disk)", ""},
		"of a person":          {after(begun(), command(10, CommandFreeze, false), failed(11, 3, "no disk")), item, "user has snapshot user-before, and it is not known whether it can go back to it (user answered failed to decision ranker-42.1.3 at 1970-01-01T00:00:11.000Z: no disk)", ""},
		"it fails once":        {after(begun(illegible), harm, failed(11, 3, "no disk")), item, "user has snapshot user-before, and it is not known whether it can go back to it (user answered failed to decision ranker-42.1.3 at 1970-01-01T00:00:11.000Z: no disk)", ""},
		"it can't go back":     {after(begun(illegible), harm, failed(11, 3, "no disk"), overdue), item, "user has snapshot user-before, and it is not known whether it can go back to it (user answered failed to decision ranker-42.1.3 at 1970-01-01T00:00:11.000Z: no disk)", codeStateGone},
		"and can after all":    {after(begun(illegible), harm, failed(11, 3, "no disk"), overdue, ack(42, 3, "user", schemas.AckPrepared), ack(42, 3, "item", schemas.AckPrepared)), item, user, ""},
		"frozen":               {frozen, item, user, ""},
		"to be restored":       {moved, "item is to go back to snapshot item-before (item has not answered)", "user is to go back to snapshot user-before (user has not answered)", ""},
		"restored by one":      {gone, "item has gone back to snapshot item-before", "user is to go back to snapshot user-before (user answered failed to decision ranker-42.1.5 at 1970-01-01T00:00:15.000Z: no such snapshot)", codeStateGone},
		"restored":             {after(gone, ack(61, 5, "user", schemas.AckApplied)), "item has gone back to snapshot item-before", "user has gone back to snapshot user-before", ""},
		"promoted": {after(begun(), at(10, CommandPromote, true), ack(11, 3, "eu", schemas.AckApplied)),
			"item had snapshot item-before before 42; a store keeps one as long as the rollout lasts", "user had snapshot user-before before 42; a store keeps one as long as the rollout lasts", ""},
	} {
		s := stateOf(t, test.in...)
		have := s.SnapshotTexts()
		slices.Sort(have)
		if want := []string{test.item, test.user}; !slices.Equal(have, want) {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
		code := ""
		if s.Forward != nil {
			code = s.Forward.Code
		}
		if code != test.forward {
			t.Errorf("%s: recommended %q, want %q", name, code, test.forward)
		}
	}
}

// TestSentencesOfStores: one store takes, several take.
func TestSentencesOfStores(t *testing.T) {
	one, two := map[string]string{}, map[string]string{}
	sentences := func(into map[string]string, in []Input) {
		foldWith(t, func(e Effect) string {
			if e.Decision != nil {
				d := &e.Decision.Decision
				into[id(1, d.Seq)] = d.Reason.Sentence
			}
			return ""
		}, in...)
	}
	harm := verdictOf(10, VerdictRollback)
	sentences(two, after(begun(), harm, ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied),
		ack(14, 5, "item", schemas.AckApplied), ack(15, 5, "user", schemas.AckApplied)))
	sentences(one, after([]Input{applied(1, terms(stateful, oneStore)), ack(2, 1, "eu", schemas.AckPrepared), snapped(3, 1, "user"), ack(5, 2, "eu", schemas.AckApplied)},
		harm, ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied), ack(15, 5, "user", schemas.AckApplied)))
	for seq, want := range map[int64][2]string{
		4: {"user takes no more writes: all traffic goes to 41.", "item, user take no more writes: all traffic goes to 41."},
		5: {"All traffic goes to 41; user goes back to the snapshot from before 42.", "All traffic goes to 41; item, user go back to the snapshot from before 42."},
		6: {"user is restored, and told to take writes again.", "item, user are restored, and told to take writes again."},
	} {
		if have := [2]string{one[id(1, seq)], two[id(1, seq)]}; have != want {
			t.Errorf("decision %d: %q, want %q", seq, have, want)
		}
	}
}

// TestUnheeded: which answers count for nothing, and why.
func TestUnheeded(t *testing.T) {
	for name, test := range map[string]struct {
		terms  Terms
		change func(*schemas.Ack)
		want   Unheeded
	}{
		"as asked":               {terms(named), func(*schemas.Ack) {}, ""},
		"a later decision":       {terms(named), func(a *schemas.Ack) { a.Seq, a.Decision = 2, id(1, 2) }, UnheededFuture},
		"number 0":               {terms(named), func(a *schemas.Ack) { a.Seq = 0 }, UnheededDecision},
		"another rollout's id":   {terms(named), func(a *schemas.Ack) { a.Decision = "other.1.1" }, UnheededDecision},
		"a name nobody asks":     {terms(named), func(a *schemas.Ack) { a.Consumer = "asia" }, UnheededStranger},
		"any router":             {terms(), func(a *schemas.Ack) { a.Consumer = "asia" }, ""},
		"advice asks nobody":     {terms(named, advise), func(a *schemas.Ack) { a.Consumer = "asia" }, ""},
		"a store, among routers": {terms(stateful, named), func(a *schemas.Ack) { a.Consumer = "user" }, ""},
	} {
		s := stateOf(t, applied(1, test.terms))
		if test.terms.Mode == schemas.Advise {
			s.Seq = 1
		}
		in := ack(2, 1, "eu", schemas.AckPrepared)
		test.change(in.Ack)
		if have := s.Unheeded(in.Ack); have != test.want {
			t.Errorf("%s: %q, want %q", name, have, test.want)
		}
		if next, _ := Step(s, in); (test.want == UnheededFuture || test.want == UnheededDecision) && len(next.Answers) > 0 {
			t.Errorf("%s: kept %+v", name, next.Answers)
		}
	}
}

// TestFrozenWithTheReason: a freeze that ends no rollback says what a store has answered, where that is why its state can't go back, and so does what is said of the rollback then.
func TestFrozenWithTheReason(t *testing.T) {
	failed := why(ack(11, 3, "user", schemas.AckFailed), "snapshot file is corrupt")
	frozen := after(begun(illegible), verdictOf(10, VerdictRollback), failed)
	const because = "can't go back yet (item has not answered; user answered failed to decision ranker-42.1.3 at 1970-01-01T00:00:11.000Z: snapshot file is corrupt)"
	silent := after(begun(illegible), verdictOf(10, VerdictRollback), expire(40, id(1, 3)+"/freeze"))
	for name, test := range map[string]struct {
		in   []Input
		want string
	}{
		"frozen":               {frozen, "42 is to be rolled back, but 41 can't read its state, and it " + because + ": no traffic is moved"},
		"a rollback":           {after(frozen, command(12, CommandRollback, false)), "is refused: the state " + because + ", and 41 can't read what 42 wrote; "},
		"past that":            {after(frozen, command(12, CommandRollback, true)), "moved the traffic by override, although the state " + because + "."},
		"nobody says anything": {silent, "and item, user have not answered that it can go back: no traffic is moved"},
	} {
		var said []string
		foldWith(t, func(e Effect) string {
			if e.Decision != nil {
				said = append(said, e.Decision.Decision.Reason.Sentence)
			} else if e.Notice != nil {
				said = append(said, e.Notice.Sentence)
			}
			return ""
		}, test.in...)
		if !strings.Contains(strings.Join(said, "\n"), test.want) {
			t.Errorf("%s: said\n%s\nwant %s", name, strings.Join(said, "\n"), test.want)
		}
	}
}
