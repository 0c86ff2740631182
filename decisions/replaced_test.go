package decisions

import (
	"fmt"
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
	start := replacing()
	late := append(append(start[:1:1], othersOf(12, 8, 190, 10, 0)...), ack(20, 1, "eu", schemas.AckPrepared), ack(20, 2, "eu", schemas.AckApplied))
	again := slices.Concat(start[:1:1], othersOf(12, 3, 1000, 0, 0), othersOf(15, 5, 190, 10, 0), late[9:])
	silent := replacedAt(72)
	silent.Expired.SealedMs, silent.Expired.ServedMs = 69_000, 20_000
	later := replacedAt(82)
	later.Expired.SealedMs, later.Expired.ServedMs = 79_000, 20_000
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
		"until routers are ready":   {late, []Input{silent}, nil, "42 is not proven to have drained yet: it served 10 of the 200"},
		"and after that":            {late, after(othersOf(21, 2, 190, 10, 0), silent), []string{"!retired-serves"}, "42 serves users: it served 10 of the 200"},
		"back before that":          {again, []Input{later}, []string{"!retired-serves"}, "42 serves users: it served 10 of the 200"},
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

// TestReplacedHosts: who is told of such a version hears on which hosts it answers, those with the most predictions first, no more than people can read, and that there are others; a hold for it says how much it answers.
func TestReplacedHosts(t *testing.T) {
	in := slices.Concat(replacing(weight), othersOf(12, 60, 190, 30, 7))
	for i := range in {
		if w := in[i].Traffic; w != nil {
			w.OtherHosts = []HostFlow{{"42", Flow{"b", 3}}, {"42", Flow{"c", 4}}, {"42", Flow{"a", 3}}, {"44", Flow{"d", 7}}}
			for n := range MaxFlows {
				w.OtherHosts = append(w.OtherHosts, HostFlow{"42", Flow{fmt.Sprint("x", n), 1}})
			}
		}
	}
	const serves = "served 30 of the 227 predictions of the newest window, on c (4), a (3), b (3), x0 (1), x1 (1), x2 (1), x3 (1), x4 (1), and 3 more, and hosts that aren't known (12)"
	s, effects := Step(stateOf(t, in...), replacedAt(72))
	if n := effects[0].Notice; !strings.Contains(n.Sentence, "it "+serves+" (deadline passed once)") || !strings.HasSuffix(n.Sentence, "move that by hand. Nobody judges what 42 answers any more.") {
		t.Errorf("told %s", n.Sentence)
	}
	if text := s.RetiredText(); !strings.Contains(text, serves) {
		t.Errorf("shown %s", text)
	}
	if _, effects = Step(s, verdictOf(73, VerdictPromote)); !strings.Contains(effects[0].Decision.Decision.Reason.Sentence, ": 42 served 30 of the 227 predictions of the newest window. 43 gets") {
		t.Errorf("held: %s", effects[0].Decision.Decision.Reason.Sentence)
	}
}

// TestReplacedLongNames: however long names are, who is told hears what to do, and how many hosts there are beside those that have room.
func TestReplacedLongNames(t *testing.T) {
	for _, length := range []int{100, 500} {
		in := slices.Concat(replacing(weight), othersOf(12, 60, 190, 30, 0))
		for i := range in {
			if w := in[i].Traffic; w != nil {
				for n := range MaxFlows {
					w.OtherHosts = append(w.OtherHosts, HostFlow{"42", Flow{fmt.Sprint(n, strings.Repeat("x", length)), 3}})
				}
			}
		}
		_, effects := Step(stateOf(t, in...), replacedAt(72))
		n := effects[0].Notice
		if !strings.HasSuffix(n.Sentence, " Find what still routes to it, and move that by hand. Nobody judges what 42 answers any more.") ||
			!strings.Contains(n.Sentence, ", and 6 more, and hosts that aren't known (6) (deadline passed once). Routers say that they have applied: eu (decision 2).") {
			t.Errorf("hosts of %d bytes: told %s", length, n.Sentence)
		}
	}
	before := replacing(weight)
	before[0].Applied.Left.Told, before[0].Applied.Left.Seen = true, strings.Repeat("x", 2*MaxSentence) // as an older version has told it
	_, effects := Step(stateOf(t, before[0]), before[1])
	if n := effects[len(effects)-1].Notice; len(n.Sentence) != MaxSentence || !strings.HasSuffix(n.Sentence, "xx Find what still routes to it, and move that by hand. Nobody judges what 42 answers any more; its events name the hosts, where producers write them.") {
		t.Errorf("told %s", n.Sentence)
	}
}

// TestReplacedUnread: of a version that the epoch began over nothing was counted since the decision that took its users; the epoch itself goes on.
func TestReplacedUnread(t *testing.T) {
	_, effects := Step(stateOf(t, replacing()...), replacedAt(72))
	if n := effects[0].Notice; n == nil || !strings.Contains(n.Sentence, "that 42 has drained: no prediction since decision ranker-41.1.9 has been counted yet (deadline passed once).") {
		t.Errorf("%+v", effects)
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
	drained := slices.Concat(rolledBack(terms(weight)), []Input{ack(6, 3, "eu", schemas.AckApplied)}, windowsOf(6, 3, 1000, 0))
	back := slices.Concat(drained, windowsOf(20, 5, 190, 10))
	for name, x := range map[string]struct {
		in     []Input
		canary string // of the next epoch
		want   []Left
	}{
		"superseded":                     {superseded, "43", []Left{{Version: "42", Decision: id(1, 3)}}},
		"superseded for the same canary": {superseded, "42", nil},
		"a new epoch of a running one":   {running(terms(weight)), "43", []Left{{Version: "42"}}},
		"one that only prepares":         {[]Input{applied(1, terms(weight))}, "43", nil},
		"copies only":                    {running(terms(shadow)), "43", nil},
		"another controller's":           {running(terms(external)), "43", nil},
		"promoted":                       {followed(terms(weight)), "43", []Left{{Version: "42"}}},
		"rolled back, and given up":      {rolledBack(terms(weight)), "43", []Left{{Version: "42", Decision: id(1, 3), By: "rollback"}}},
		"rolled back":                    {drained, "43", []Left{{Version: "42", Decision: id(1, 3), By: "rollback", UntilMs: 86_411_000}}},
		"rolled back, and back":          {back, "43", []Left{{Version: "42", Decision: id(1, 3), By: "rollback", Told: true, Again: true, Seen: "it served 10 of the 200 predictions of the newest window, up to 1970-01-01T00:00:25.000Z"}}},
		"rolled back, and tried again":   {back, "42", nil},
		"advice":                         {running(terms(weight, advise)), "43", nil},
		"what it was not rid of itself":  {chain, "43", []Left{{Version: "42", Decision: "ranker-41.1.9"}}},
		"its own, before that":           {chain, "44", []Left{{Version: "43"}, {Version: "42", Decision: "ranker-41.1.9"}}},
		"what has drained":               {after(chain, othersOf(12, 3, 1000, 0, 0)...), "43", []Left{{Version: "42", Decision: "ranker-41.1.9", UntilMs: 86_410_000}}},
		"superseded twice":               {after(chain, command(12, CommandSupersede, false)), "44", []Left{{Version: "43", Decision: id(1, 3)}, {Version: "42", Decision: "ranker-41.1.9"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s, to := stateOf(t, x.in...), next
			to.Canary = x.canary
			if got := s.Leaves(&to); !slices.Equal(got, x.want) {
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

// TestLeavesAfterAPromotion: the next epoch looks on at the version that the promotion took the users from.
func TestLeavesAfterAPromotion(t *testing.T) {
	next := terms(weight)
	next.Baseline, next.Canary = "42", "43"
	s := stateOf(t, after(followed(terms(weight)), retiredAt(66))...)
	want := []Left{{Version: "41", Decision: id(1, 3), By: promotion, Told: true}}
	if got := s.Leaves(&next); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestReplacedMore: an epoch looks at each version that those before it have left, by a proof of its own, and says of what people were told of before that it goes on.
func TestReplacedMore(t *testing.T) {
	begin := replacing()
	begin[0].Applied.Leave([]Left{
		{Version: "42", Decision: "ranker-41.1.9"},
		{Version: "44", Decision: "ranker-40.1.7", By: "rollback", Told: true, Again: true, Seen: "it served 40 of the 200 predictions of the newest window, up to then"},
		{Version: "45", Decision: "ranker-39.1.3", By: promotion, UntilMs: 50_000},
	})
	s, begun := fold(t, begin...)
	expectNamed(t, begun, []string{"#1 start prepare", "#2 start commit", "!retired-serves"})
	if !slices.Equal(s.RetiredServing(), []string{"44"}) {
		t.Errorf("told of %v", s.RetiredServing())
	}
	_, effects := Step(stateOf(t, begin[0]), begin[1])
	const said = "Rollback ranker-40.1.7 took all traffic from 44 before rollout ranker-42 began, and when last looked at it was not proven that 44 has drained: " +
		"it served 40 of the 200 predictions of the newest window, up to then. Find what still routes to it, and move that by hand. Nobody judges what 44 answers any more; its events name the hosts, where producers write them."
	if n := effects[len(effects)-1].Notice; n == nil || n.Severity != schemas.Critical || n.Decision != "ranker-40.1.7" || n.Sentence != said {
		t.Errorf("%+v", n)
	}

	run := after(begin, othersOf(12, 3, 1000, 0, 200)...)
	s, words := fold(t, after(run, replacedAt(72), expire(72, "ranker-40.1.7/replaced"), expire(72, "ranker-39.1.3/replaced"))...)
	expectNamed(t, words[len(begun):], []string{"!retired-serves"}) // of 44, once more; 42 has drained, and nobody looks at 45 any more
	if s.Replaces("45") || !s.Replaces("42") || !s.Replaces("44") {
		t.Errorf("looks at %s", s.RetiredText())
	}
	later := expire(73, "ranker-40.1.7/replaced")
	later.Expired.Later, later.Expired.On = true, "ranker-46"
	s, effects = Step(s, later)
	const over = "This ends here only because a later epoch of model ranker was applied: rollout ranker-46 looks on at what 44 serves, and its own alert says so as long as that isn't over."
	if n := effects[0].Notice; n == nil || n.Kind != schemas.NoticeRetiredOver || n.Sentence != over || s.Replaces("44") || !s.Replaces("42") {
		t.Errorf("%+v", effects)
	}
}

// TestRetiredEndByName: where nobody looks any more at a version of which people were told, or another rollout does, the event that ends that names the version: each is an incident of its own.
func TestRetiredEndByName(t *testing.T) {
	told := slices.Concat(replacing(weight), othersOf(12, 60, 190, 10, 0), []Input{replacedAt(72)})
	next := func(epoch int64, canary string, pillars ...Pillar) Input {
		in := applied(80, terms(weight))
		in.Applied.Epoch, in.Applied.Terms.Canary, in.Applied.Pillars = epoch, canary, pillars
		in.Applied.Leave([]Left{{Version: "44", Decision: "ranker-41.1.9", Told: true}})
		return in
	}
	takenOverBy := func(heir Terms) Input {
		heir.Canary = "50"
		in := command(73, CommandSupersede, false)
		s := stateOf(t, told...)
		in.Command.For, in.Command.Heir = "ranker-50", s.HeirOf(&heir)
		return in
	}
	for name, x := range map[string]struct {
		serving []string // of the state that it begins with
		in      Input
		want    []string // of what ends: severity, version, decision, and what else stands
		said    string   // by the last one
	}{
		"it serves": {nil, replacedAt(73), nil, ""},
		"superseded": {nil, command(73, CommandSupersede, false), []string{"info 42 ranker-41.1.9 []"},
			"This ends here only because rollout another takes over from ranker-42: it looks on at what 42 serves, unless that is one of its own versions, and its own alert says so as long as that isn't over."},
		"superseded by what looks on": {nil, takenOverBy(terms(weight)), []string{"info 42 ranker-41.1.9 []"},
			"This ends here only because rollout ranker-50 takes over from ranker-42: once that begins, it looks on at what 42 serves, and its own alert says so as long as that isn't over. Should it not begin, nobody looks."},
		"superseded by one of it": {nil, takenOverBy(terms(weight, func(t *Terms) { t.Baseline = "42" })), []string{"info 42 ranker-41.1.9 []"},
			"This ends here only because rollout ranker-50 takes over from ranker-42: 42 is one of its two versions, and may have users again."},
		"superseded by what only advises": {nil, takenOverBy(terms(weight, advise)), []string{"warning 42 ranker-41.1.9 []"},
			"Rollout ranker-50 takes over from ranker-42, and only so this ends: it doesn't look at what 42 serves. Decision ranker-41.1.9 took all traffic from 42, over which rollout ranker-42 begins, " +
				"and 42 still had users when last looked at: it served 10 of the 200 predictions of the newest window, up to 1970-01-01T00:01:12.000Z. Nobody looks at that any more: find what routes to it, and move that by hand; " +
				"the predictions of model ranker that name version 42, with their host and region, tell whether it is over."},
		"deleted": {nil, command(73, CommandDelete, false), []string{"warning 42 ranker-41.1.9 []"}, "Rollout ranker-42 was deleted, and only so this ends. Decision ranker-41.1.9 took all traffic from 42, over which rollout ranker-42 begins, " +
			"and 42 still had users when last looked at: it served 10 of the 200 predictions of the newest window, up to 1970-01-01T00:01:12.000Z. Nobody looks at that any more: find what routes to it, and move that by hand; " +
			"the predictions of model ranker that name version 42, with their host and region, tell whether it is over."},
		"tried again, beside another": {[]string{"42", "44"}, next(2, "42"), []string{"info 42  [retired 44]"}, "This ends here only because epoch 2 of rollout ranker-42 takes the place of the one that told of it: 42 is one of its two versions, and may have users again."},
		"a start without it": {[]string{"42"}, next(2, "43"), []string{"warning 42  [retired 44]"},
			"This ends here only because epoch 2 of rollout ranker-42 takes the place of the one that told of it: nobody looks any more at what 42 serves, which was not seen to have drained. Find what still routes to it, and move that by hand."},
		"a refused start": {[]string{"42", "44"}, next(2, "43", NewPillar(PillarRegistry, PillarFailed, []string{"version 41 is gone"})), []string{"warning 42  []", "warning 44  []"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := stateOf(t, told...)
			s.Serving = x.serving
			s, effects := Step(s, x.in)
			var got []string
			last := ""
			for _, e := range effects {
				if n := e.Notice; n != nil && n.Kind == schemas.NoticeRetiredOver {
					got, last = append(got, fmt.Sprint(n.Severity, " ", n.Version, " ", n.Decision, " ", n.Waiting)), n.Sentence
				}
			}
			if !slices.Equal(got, x.want) || x.said != "" && last != x.said || s.Serving != nil {
				t.Errorf("%q, want %q; the last one says %q", got, x.want, last)
			}
		})
	}
	s := stateOf(t, after(told, command(73, CommandSupersede, false))...)
	if serving := s.RetiredServing(); serving != nil || !s.Calm() {
		t.Errorf("it is superseded, and %q serve, calm %t", serving, s.Calm())
	}
	if left := s.Leaves(&Terms{Baseline: "41", Canary: "45"}); len(left) != 2 || left[1].Version != "42" || !left[1].Told {
		t.Errorf("the next one looks on at %+v", left)
	}
}

// TestReplacedAtMost: nobody looks at more than maxLeft.
func TestReplacedAtMost(t *testing.T) {
	in := replacing()
	var left []Left
	for i := range maxLeft {
		left = append(left, Left{Version: string(rune('a' + i)), Decision: id(1, int64(i+20))})
	}
	in[0].Applied.Leave(left)
	next := terms(weight)
	next.Canary = "99"
	s := stateOf(t, after(in, command(12, CommandSupersede, false))...)
	if got := s.Leaves(&next); len(got) != maxLeft || got[0].Version != "a" {
		t.Errorf("%+v", got)
	}
}

// TestBesideRetired: a rollout gets no more traffic by itself while a version serves that is to have no users, as people were told; harm counts, and a person may go on.
func TestBesideRetired(t *testing.T) {
	told := slices.Concat(replacing(weight), othersOf(12, 60, 190, 10, 0), []Input{replacedAt(72)})
	passes, goesOn := verdictOf(73, VerdictPromote), verdictOf(74, VerdictContinue)
	promotes := "#4 promote 41:0 43:10000 over ranker-42.1.3 (route)"
	held := after(told, passes)
	for name, x := range map[string]struct {
		begin []Input
		in    []Input
		want  []string
	}{
		"nobody was told":           {slices.Concat(replacing(weight), othersOf(12, 50, 190, 10, 0)), []Input{passes}, []string{"#3 promote 41:0 43:10000 (route)"}},
		"it serves":                 {told, []Input{passes}, []string{"#3 hold 41:9000 43:1000 (route)"}},
		"and the evidence changes":  {held, []Input{goesOn}, nil},
		"harm":                      {held, []Input{verdictOf(74, VerdictRollback)}, []string{"#4 rollback 41:10000 43:0 over ranker-42.1.3 (route)"}},
		"it drains":                 {held, after(othersOf(75, 3, 1000, 0, 0), verdictOf(80, VerdictPromote)), []string{"!retired-over  done", promotes}},
		"it drains, in doubt again": {held, after(othersOf(75, 3, 1000, 0, 0), verdictOf(80, VerdictContinue)), []string{"!retired-over  done", "#4 resume 41:9000 43:1000 over ranker-42.1.3 (route)"}},
		"one window without it":     {held, after(othersOf(75, 1, 1000, 0, 0), verdictOf(77, VerdictPromote)), nil},
		"a person goes on":          {held, []Input{command(74, CommandResume, false), verdictOf(75, VerdictPromote)}, []string{"#4 resume 41:9000 43:1000 over ranker-42.1.3 (route)", "#5 promote 41:0 43:10000 (route)"}},
		"a third one, on purpose":   {slices.Concat(replacing(weight), othersOf(12, 60, 1000, 0, 900)), []Input{passes}, []string{"#3 promote 41:0 43:10000 (route)"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, begun := fold(t, x.begin...)
			_, words := fold(t, after(x.begin, x.in...)...)
			expectNamed(t, words[len(begun):], x.want)
		})
	}
	_, effects := Step(stateOf(t, told...), passes)
	const said = "Versions that are to have no users serve some: 42 served 10 of the 200 predictions of the newest window. 43 gets no more traffic until that is over, or a person resumes the rollout."
	if d := effects[0].Decision.Decision; d.Reason.Code != "retired_serves" || !strings.HasPrefix(d.Reason.Sentence, said) {
		t.Errorf("%+v", d.Reason)
	}
	_, effects = Step(stateOf(t, told...), command(74, CommandPromote, true))
	if d := effects[0].Decision.Decision; !slices.Contains(d.Override, "retired_serves") {
		t.Errorf("%+v", d.Override)
	}
}

// TestBesideRetiredByHand: a person's command meets what evidence does, also before a pass has held the rollout, and under a pause of their own.
func TestBesideRetiredByHand(t *testing.T) {
	told := slices.Concat(replacing(ramp), othersOf(12, 60, 190, 10, 0), []Input{replacedAt(72)})
	before := replacing(ramp)
	before[0].Applied.Left.Told, before[0].Applied.Left.Seen = true, "it served 40 of the 200 predictions of the newest window, up to then"
	for name, x := range map[string]struct {
		begin   []Input
		do      CommandKind
		force   bool
		refused string
		over    []string
	}{
		"nobody was told": {slices.Concat(replacing(ramp), othersOf(12, 50, 190, 10, 0)), CommandAdvance, false, "", nil},
		"before a pass": {told, CommandAdvance, false, "versions that are to have no users serve some (42 served 10 of the 200 predictions of the newest window, up to 1970-01-01T00:01:12.000Z): wait until that is over; " +
			"`streamcanary rollout advance ranker-42 --override --comment WHY` goes past it, and the decision says so", nil},
		"before a pass, a promotion": {told, CommandPromote, false, "versions that are to have no users serve some", nil},
		"told of the epoch before":   {before, CommandAdvance, false, "versions that are to have no users serve some (42 served 40 of the 200 predictions of the newest window, up to then)", nil},
		"and a window without it":    {after(before, othersOf(16, 1, 1000, 0, 0)...), CommandAdvance, false, "", nil},
		"under a pause":              {after(told, command(73, CommandPause, false)), CommandAdvance, false, "versions that are to have no users serve some", nil},
		"by override":                {told, CommandAdvance, true, "", []string{"retired_serves"}},
		"by override, under a pause": {after(told, command(73, CommandPause, false)), CommandAdvance, true, "", []string{"retired_serves"}},
		"held":                       {after(told, verdictOf(73, VerdictAdvance)), CommandAdvance, false, "it holds (retired_serves)", nil},
		"resumed in spite of it":     {after(told, verdictOf(73, VerdictAdvance), command(73, CommandResume, false)), CommandAdvance, false, "", nil},
		"it has drained":             {after(told, othersOf(75, 3, 1000, 0, 0)...), CommandAdvance, false, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			in := command(80, x.do, x.force)
			in.Turn = 70
			s := stateOf(t, x.begin...)
			why := s.Refuses(in.Command, in.Turn)
			if !strings.HasPrefix(why, x.refused) || (why == "") != (x.refused == "") {
				t.Fatalf("refused: %q, want %q", why, x.refused)
			}
			if _, effects := Step(s, in); why == "" && !slices.Equal(effects[0].Decision.Decision.Override, x.over) {
				t.Errorf("override %v, want %v", effects[0].Decision.Decision.Override, x.over)
			}
		})
	}
}

// TestReplacedOutlastsTheDay: where people were told of a version that the epoch began over, and not of the end, it is looked at, as the epoch's own is, until that is over.
func TestReplacedOutlastsTheDay(t *testing.T) {
	begin := slices.Concat(replacing(weight), othersOf(12, 60, 190, 10, 0), []Input{replacedAt(72), verdictOf(73, VerdictRollback), ack(74, 3, "eu", schemas.AckApplied)}, othersOf(75, 5, 1000, 50, 0))
	s, words := fold(t, begin...)
	if s.Retired == nil || !slices.Equal(s.RetiredServing(), []string{"42"}) {
		t.Fatalf("%q: it is %s", words, s.RetiredText())
	}
	day := expire(100_000, id(1, 3)+"/retired")
	s, more := fold(t, after(begin, day)...)
	if s.Retired == nil || !s.replacing() || len(more) != len(words) {
		t.Errorf("a day later it is %s, by %q", s.RetiredText(), more[len(words):])
	}
	s, more = fold(t, slices.Concat(begin, []Input{day}, othersOf(100_001, 3, 1000, 0, 0), []Input{expire(186_500, id(1, 3)+"/retired")})...)
	expectNamed(t, more[len(words):], []string{"!retired-over  done"})
	if s.Retired != nil || s.RetiredServing() != nil {
		t.Errorf("in the end it is %s", s.RetiredText())
	}
}
