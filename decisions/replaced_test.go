package decisions

import (
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// replacing begins a rollout of 43 at second 10 over one of 42, from which decision ranker-41.1.9 took all traffic, and lets it run from second 11 on.
func replacing(change ...func(*Terms)) []Input {
	t := terms(change...)
	t.Canary = "43"
	in := running(t)
	in[0] = applied(10, t)
	in[0].Applied.Left = &Left{Version: "42", Decision: "ranker-41.1.9"}
	return in
}

// othersOf are windows with predictions of 41, 42 and 44.
func othersOf(from int64, n int, own, old, other int64) []Input {
	in := windowsOf(from, n, own, 0)
	for i := range in {
		in[i].Traffic.Others = []VersionFlow{{"42", old}, {"44", other}}
	}
	return in
}

func replacedAt(at int64) Input { return expire(at, "ranker-41.1.9/replaced") }

func replacedLater(at int64) Input {
	in := replacedAt(at)
	in.Expired.Later = true
	return in
}

// TestReplaced: the canary of an epoch that another one began over is told of as long as the stream shows it, and as soon as it has users again.
func TestReplaced(t *testing.T) {
	back, gone := othersOf(40, 5, 190, 10, 0), othersOf(60, 3, 1000, 0, 0)
	for name, x := range map[string]struct {
		begin []Input
		in    []Input
		want  []string
		text  string // of RetiredText; "": nobody looks
	}{
		"it drains":                 {replacing(), othersOf(12, 3, 1000, 0, 200), nil, "42 has drained; looked at until"},
		"it doesn't":                {replacing(), after(othersOf(12, 60, 190, 10, 0), replacedAt(72)), []string{"!retired-serves"}, "42 serves users: it served 10 of the 200 predictions"},
		"before its time":           {replacing(), after(othersOf(12, 50, 190, 10, 0), replacedAt(69)), nil, "42 is not proven to have drained yet: it served 10 of the 200"},
		"it drains late":            {replacing(), slices.Concat(othersOf(12, 60, 190, 10, 0), []Input{replacedAt(72)}, othersOf(75, 3, 1000, 0, 0)), []string{"!retired-serves", "!retired-over  done"}, "42 has drained"},
		"it is back":                {replacing(), slices.Concat(gone, othersOf(70, 5, 190, 10, 0)), []string{"!retired-serves"}, "42 serves users: it served 10 of the 200"},
		"a rollback is begun":       {replacing(), slices.Concat(gone, []Input{verdictOf(64, VerdictRollback)}, othersOf(70, 5, 190, 10, 0)), []string{"#3 rollback 41:10000 43:0 (route)", "!retired-serves"}, "42 serves users"},
		"a day later":               {replacing(), after(gone, replacedAt(90_000)), nil, ""},
		"another epoch":             {replacing(), after(gone, replacedLater(64)), nil, ""},
		"told, and another epoch":   {replacing(), slices.Concat(othersOf(12, 60, 190, 10, 0), []Input{replacedAt(72), replacedLater(80)}), []string{"!retired-serves", "!retired-over"}, ""},
		"nobody acts on decisions":  {replacing(advise), back, nil, ""},
		"another version, not it":   {replacing(), othersOf(12, 3, 1000, 0, 900), nil, "42 has drained"},
		"before the route settled":  {replacing(), othersOf(8, 2, 1000, 0, 0), nil, "42 is not proven to have drained: no prediction since"},
		"the window of the deleted": {replacing(), after(gone, command(64, CommandDelete, false)), []string{"#3 start abort"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, begun := fold(t, x.begin...)
			s, words := fold(t, after(x.begin, x.in...)...)
			expectNamed(t, words[len(begun):], x.want)
			if text := s.RetiredText(); !strings.HasPrefix(text, x.text) || (text == "") != (x.text == "") {
				t.Errorf("it says %q, want %q", text, x.text)
			}
		})
	}
}

// TestReplacedStands: it wakes people, keeps the rollout's incident open, and says which decision is not followed.
func TestReplacedStands(t *testing.T) {
	s := stateOf(t, after(replacing(), othersOf(12, 60, 190, 10, 0)...)...)
	s, effects := Step(s, replacedAt(72))
	n := effects[0].Notice
	const said = "Decision ranker-41.1.9 took all traffic from 42, over which rollout ranker-42 begins, and it is not proven that 42 has drained: it served 10 of the 200 predictions of the newest window (deadline passed once). " +
		"Routers say that they have applied: eu (decision 2). Find what still routes to it, and move that by hand. Nobody judges what 42 answers any more; its events name the hosts, where producers write them."
	if n.Severity != schemas.Critical || n.Decision != "ranker-41.1.9" || n.Sentence != said || s.Calm() || !slices.Contains(s.standing(), "retired 42") {
		t.Errorf("%+v; stands: %v", n, s.standing())
	}
}

// TestLeaves: which canary an epoch that begins over another takes users from.
func TestLeaves(t *testing.T) {
	superseded := after(running(terms(weight)), command(6, CommandSupersede, false))
	external := func(t *Terms) { t.External = true }
	shadow := func(t *Terms) { t.Stages[0].MirrorBP = 1000 }
	next := terms(weight)
	next.Canary = "43"
	chain := replacing(weight)
	for name, x := range map[string]struct {
		in     []Input
		canary string // of the next epoch
		want   *Left
	}{
		"superseded":                     {superseded, "43", &Left{"42", id(1, 3)}},
		"superseded for the same canary": {superseded, "42", nil},
		"a new epoch of a running one":   {running(terms(weight)), "43", &Left{Version: "42"}},
		"one that only prepares":         {[]Input{applied(1, terms(weight))}, "43", nil},
		"copies only":                    {running(terms(shadow)), "43", nil},
		"another controller's":           {running(terms(external)), "43", nil},
		"promoted":                       {followed(terms(weight)), "43", &Left{Version: "42"}},
		"rolled back":                    {rolledBack(terms(weight)), "43", nil},
		"advice":                         {running(terms(weight, advise)), "43", nil},
		"what it was not rid of itself":  {chain, "43", &Left{"42", "ranker-41.1.9"}},
		"its own, before that":           {chain, "44", &Left{Version: "43"}},
		"what has drained":               {after(chain, othersOf(12, 3, 1000, 0, 0)...), "43", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, to := stateOf(t, x.in...), next
			to.Canary = x.canary
			if got := s.Leaves(&to); (got == nil) != (x.want == nil) || got != nil && *got != *x.want {
				t.Errorf("%+v, want %+v", got, x.want)
			}
		})
	}
}

// TestReplacedByAnotherFile: where a file is applied anew over an epoch that runs, the new one's first decision takes the users away; where it plans no split, none does.
func TestReplacedByAnotherFile(t *testing.T) {
	for name, x := range map[string]struct {
		terms Terms
		want  string
	}{"a split": {terms(weight), id(1, 1)}, "none": {terms(), ""}} {
		t.Run(name, func(t *testing.T) {
			in := applied(1, x.terms)
			in.Applied.Left = &Left{Version: "40"}
			s := stateOf(t, in)
			got := ""
			if s.Replaced != nil {
				got = s.Replaced.Decision
			}
			if got != x.want {
				t.Errorf("%q, want %q", got, x.want)
			}
		})
	}
}
