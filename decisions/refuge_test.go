package decisions

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// outage is the limit that the baseline is beyond.
func outage(proven bool) Beyond {
	return Beyond{Guardrail: "outage", Sentence: "Baseline 41 answers with too many errors itself (outage): 12 % since 09:00:00 (120 of 1,000), where the limit is 5 %.", Proven: proven}
}

// beyond is a verdict beside which the baseline is beyond limits.
func beyond(in Input, limits ...Beyond) Input {
	in.Verdict.Beyond = limits
	return in
}

func hotfix(t *Terms) { t.Hotfix = "more replicas" }

// TestNoRefuge: a baseline that is proven to be beyond a limit of its own is told of once, and what is rolled back to it all the same is followed by the
// recommendation that says so.
func TestNoRefuge(t *testing.T) {
	start := []Input{applied(1, terms(weight, hotfix)), ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied)}
	const want = "Baseline 41 answers with too many errors itself (outage): 12 % since 09:00:00 (120 of 1,000), where the limit is 5 %. " +
		"So it is no refuge: that all traffic goes back to it does not end this. Roll forward: more replicas."

	told := after(start, beyond(verdictOf(5, VerdictContinue), outage(true)), beyond(verdictOf(6, VerdictContinue), outage(true)),
		verdictOf(7, VerdictContinue), beyond(verdictOf(8, VerdictContinue), outage(true)))
	s, words := fold(t, told...)
	expect(t, words[2:], "!baseline-beyond")
	if !reflect.DeepEqual(s.Beyond, []Beyond{outage(true)}) || s.Forward != nil || s.Status != StatusRunning {
		t.Errorf("beyond %+v, recommended %+v", s.Beyond, s.Forward)
	}

	s, words = fold(t, after(told, beyond(failedBy(60, "p99"), outage(true)))...)
	expect(t, words[3:], "#3 rollback 41:10000 42:0 (route)", "#4 roll-forward 41:10000 42:0 (route)")
	if s.Forward.Code != "no_refuge" || s.Forward.Sentence != want || s.Why.Code != "code-rollback" {
		t.Errorf("recommended %+v, the reason is %+v", s.Forward, s.Why)
	}

	_, words = fold(t, after(start, beyond(failedBy(60, "p99"), outage(true)))...) // proven with the very same part: the recommendation tells it
	expect(t, words[2:], "#3 rollback 41:10000 42:0 (route)", "#4 roll-forward 41:10000 42:0 (route)")
	_, words = fold(t, after(start, beyond(failedBy(60, "p99"), outage(false)))...) // only seen, and not proven of it alone
	expect(t, words[2:], "#3 rollback 41:10000 42:0 (route)")
	_, words = fold(t, after(told, failedBy(60, "p99"))...) // it was, and is no more
	expect(t, words[3:], "#3 rollback 41:10000 42:0 (route)")
}

// TestNoRefugeIsSaidAgain behind a rollback, although a hold for both versions had said it: alone the rollback would read as if all were well.
func TestNoRefugeIsSaidAgain(t *testing.T) {
	both := beyond(verdictOf(5, VerdictHold), outage(false))
	both.Verdict.Reason.Code = "both_arms"
	s, words := fold(t, applied(1, terms(weight, chronic)), ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied), both)
	expect(t, words[2:], "#3 hold 41:9000 42:1000 (route)", "#4 roll-forward 41:9000 42:1000 (route)")
	if want := outage(false).Sentence + " So it is no refuge, and nothing is rolled back for that limit. Roll forward: flag ranker.rerank=off."; s.Forward.Sentence != want {
		t.Errorf("recommended %q", s.Forward.Sentence)
	}
	begin := applied(1, terms(weight, chronic))
	begin.Applied.Past = []Past{{Rollout: "a", Epoch: 1, AtMs: 500, Cause: "errors"}, {Rollout: "b", Epoch: 2, AtMs: 600, Cause: "errors"}}
	s, words = fold(t, begin, ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied), both, beyond(failedBy(60, "p99"), outage(true)))
	expect(t, words[4:], "#5 rollback 41:10000 42:0 over "+id(1, 3)+" (route)", "#6 roll-forward 41:10000 42:0 (route)")
	said := s.Recommended()
	if len(said) != 2 || said[0].Code != "no_refuge" || !strings.Contains(said[0].Sentence, "no refuge: that all traffic") || said[1].Code != "chronic" || !strings.Contains(said[1].Sentence, "Model ranker was rolled back 3 times") {
		t.Errorf("recommended %+v", said)
	}
}

// TestNoRefugeBehindARollback: a baseline that is proven to be beyond its limit only while the rollback to it is carried out is told of behind it, once; what stores are asked for then
// stands in that decision, too.
func TestNoRefugeBehindARollback(t *testing.T) {
	worse := Beyond{Guardrail: "slow", Sentence: "Baseline 41 is too slow itself (slow).", Proven: true}
	late := func(at int64, limits ...Beyond) Input { return beyond(verdictOf(at, VerdictRollback), limits...) }
	start := []Input{applied(1, terms(weight, hotfix)), ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied)}
	held := beyond(verdictOf(3, VerdictHold), outage(false))
	held.Verdict.Reason.Code = "both_arms"
	const advised = "#4 roll-forward 41:10000 42:0 (route)"
	for name, test := range map[string]struct {
		in   []Input
		want []string // behind the start
	}{
		"by evidence": {[]Input{late(60), late(61, outage(true)), late(62, outage(true)), late(63, outage(true), worse)}, []string{"#3 rollback 41:10000 42:0 (route)", advised}},
		"by a person": {[]Input{command(60, CommandRollback, false), beyond(verdictOf(61, VerdictContinue), outage(true)), beyond(verdictOf(62, VerdictContinue), outage(true))},
			[]string{"#3 rollback 41:10000 42:0 (route)", advised}},
		"told before it, over then, and proven again": {[]Input{beyond(verdictOf(5, VerdictContinue), outage(true)), late(60), late(61, outage(true))},
			[]string{"!baseline-beyond", "#3 rollback 41:10000 42:0 (route)", advised}},
		"said with a hold, and proven now": {[]Input{held, late(60), late(61, outage(true))}, []string{"#3 hold 41:9000 42:1000 (route)", "#4 roll-forward 41:9000 42:1000 (route)",
			"#5 rollback 41:10000 42:0 over " + id(1, 3) + " (route)", "#6 roll-forward 41:10000 42:0 (route)"}},
		"seen, and not proven": {[]Input{late(60), late(61, outage(false))}, []string{"#3 rollback 41:10000 42:0 (route)"}},
		"when all is done": {append(append([]Input{late(60), ack(61, 3, "eu", schemas.AckApplied)}, windowsOf(62, 3, 1000, 0)...), late(70, outage(true))),
			[]string{"#3 rollback 41:10000 42:0 (route)", "!rollback-completed  done"}},
	} {
		s, words := fold(t, after(start, test.in...)...)
		expect(t, words[2:], test.want...)
		if last := test.want[len(test.want)-1]; strings.Contains(last, "roll-forward") && (s.Forward.Code != "no_refuge" || !strings.HasSuffix(s.Forward.Sentence, "does not end this. Roll forward: more replicas.")) {
			t.Errorf("%s: recommended %+v", name, s.Forward)
		}
	}

	back := []Input{late(10), ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied), ack(14, 5, "item", schemas.AckApplied), ack(15, 5, "user", schemas.AckApplied)}
	for n, want := range map[int]string{1: "freeze", 4: "restore", 6: "unfreeze"} {
		_, effects := Step(stateOf(t, after(begun(), back[:n]...)...), late(20, outage(true)))
		if len(effects) != 1 || effects[0].Decision.Decision.Action != schemas.ActionRollForward || len(effects[0].Decision.Decision.State) != 2 || string(effects[0].Decision.Decision.State[0].Do) != want {
			t.Errorf("after %d inputs: %+v, want stores to go on with %s", n, effects, want)
		}
	}
	stuck := after(begun(illegible), late(10), ack(11, 3, "item", schemas.AckPrepared), expire(41, id(1, 3)+"/freeze"), late(42, outage(true)))
	s, words := fold(t, stuck...)
	if s.Status != StatusFrozen || s.Forward.Code != "state_gone" {
		t.Errorf("%s, recommended %+v by %q", s.Status, s.Forward, words)
	}
	if s, _ = fold(t, after(stuck, command(50, CommandRollback, true), late(51, outage(true)))...); s.Forward.Code != "no_refuge" {
		t.Errorf("once traffic moves: recommended %+v", s.Forward)
	}
}

// TestNoRefugeIsAnswered: whoever rolls back hears with the answer that it may not help, also when the command is sent again.
func TestNoRefugeIsAnswered(t *testing.T) {
	start := []Input{applied(1, terms(weight, hotfix)), ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied)}
	back := command(60, CommandRollback, false)
	back.Command.ID = "c1"
	for _, limits := range [][]Beyond{nil, {outage(true)}} {
		s, _ := fold(t, after(start, beyond(verdictOf(5, VerdictContinue), limits...), back)...)
		done, taken := s.Outcome(back.Command)
		if !taken || done.Decision != id(1, 3) || (done.Advice != "") != (limits != nil) || limits != nil && done.Advice != s.Forward.Sentence {
			t.Errorf("%d limits: answered %+v", len(limits), done)
		}
	}
}

// TestEveryRecommendationSaysWhatIsKnown of the cause, whatever its reason.
func TestEveryRecommendationSaysWhatIsKnown(t *testing.T) {
	skew := &schemas.Skew{KS: .214, PSI: .335, Proven: true, Online: 400}
	begin := func(change ...func(*Terms)) Input {
		in := applied(1, terms(append(change, weight)...))
		in.Applied.Pillars = []Pillar{NewPillar(PillarFeatures, PillarHeld, nil).Changed([]string{"feature dwell was dropped"})}
		return in
	}
	seen := func(in Input, limits ...Beyond) Input {
		in.Verdict.Reason.Skew = skew
		return beyond(in, limits...)
	}
	both := seen(verdictOf(5, VerdictHold), outage(false))
	both.Verdict.Reason.Code = "both_arms"
	started := []Input{ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied)}
	gone := func(t *Terms) {
		t.State = StateTerms{Mode: schemas.StateShared, Stores: []string{"users"}, AckWithinMs: 5000}
	}
	snapshot := ack(2, 1, "users", schemas.AckPrepared)
	snapshot.Ack.Snapshot = "s1"
	for _, test := range []struct {
		code string
		in   []Input
	}{
		{"no_refuge", append([]Input{begin()}, append(started, seen(failedBy(60, "p99"), outage(true)))...)},
		{"no_refuge", append([]Input{begin()}, append(started, both)...)},
		{"state_gone", []Input{begin(gone), ack(2, 1, "eu", schemas.AckPrepared), snapshot, seen(failedBy(60, "p99")), expire(70, id(1, 3)+"/freeze")}},
	} {
		s, words := fold(t, test.in...)
		const want = "Known of 42: its scores online differ from those offline (KS 0.21, proven; PSI 0.34); against 41 feature dwell was dropped."
		if s.Forward == nil || s.Forward.Code != test.code || !strings.Contains(s.Forward.Sentence, want) || s.Forward.Skew != skew || len(s.Forward.Changes) != 1 {
			t.Errorf("%s: recommended %+v by %q", test.code, s.Forward, words)
		}
	}
}

// TestSkewOfEarlierEpochs: what was proven of the scores in an epoch that was rolled back is told after later ones, too, whoever rolled it back.
func TestSkewOfEarlierEpochs(t *testing.T) {
	proven := &schemas.Skew{KS: .214, PSI: .335, Proven: true, Online: 400}
	first := []Input{applied(1, terms(weight)), ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied)}
	seen := verdictOf(5, VerdictContinue)
	seen.Verdict.Reason.Skew = proven
	s, _ := fold(t, after(first, seen)...)
	_, effects := Step(s, command(60, CommandRollback, false))
	past, is := PastOf(&effects[0].Decision.Decision)
	if !is || past.Skew != "KS 0.21, proven; PSI 0.34" {
		t.Fatalf("a person's rollback is remembered as %+v", past)
	}
	begin := applied(100, terms(weight, chronic))
	begin.Applied.Past = []Past{{Rollout: "a", Epoch: 1, AtMs: 500, Cause: "errors"}, past}
	again, _ := fold(t, begin, ack(2, 1, "eu", schemas.AckPrepared), ack(2, 2, "eu", schemas.AckApplied), failedBy(160, "errors"))
	if want := " Known of 42: scores online differed from those offline before, in epoch 1 of ranker-42 (KS 0.21, proven; PSI 0.34)."; again.Forward == nil || !strings.Contains(again.Forward.Sentence, want) {
		t.Errorf("recommended %+v", again.Forward)
	}
	seen.Verdict.Reason.Skew = &schemas.Skew{KS: .01, Online: 400}
	s, _ = fold(t, after(first, seen)...)
	_, effects = Step(s, failedBy(60, "p99"))
	if past, _ := PastOf(&effects[0].Decision.Decision); past.Skew != "" {
		t.Errorf("what is not proven is remembered: %+v", past)
	}
}

// TestHeirBeyond: a baseline that goes bad once a rollback has given it all users wakes people once, with what to do; it is no decision any more. It is over when nothing has shown it for five minutes of
// traffic, when nobody looks any more, and when the next epoch begins.
func TestHeirBeyond(t *testing.T) {
	hotfix := func(t *Terms) { t.Hotfix = "flag ranker.rerank=off" }
	outage := Beyond{Guardrail: "outage", Sentence: "Baseline 41 answers with too many errors itself (outage).", Proven: true}
	beyond := func(from int64, seconds int, all ...Beyond) []Input {
		in := windowsOf(from, seconds, 200, 0)
		for i := range in {
			in[i].Traffic.Beyond = all
		}
		return in
	}
	bad := beyond(30, 5, outage)
	for name, x := range map[string]struct {
		begin, in []Input
		want      []string
	}{
		"it is well":              {drained(terms(hotfix)), beyond(20, 100), nil},
		"it fails":                {drained(terms(hotfix)), slices.Concat(beyond(20, 10), bad), []string{"!no-refuge"}},
		"it fails, and again":     {drained(terms(hotfix)), slices.Concat(bad, beyond(40, 299), beyond(340, 10, outage), windowsOf(350, 400, 0, 0), beyond(750, 299)), []string{"!no-refuge"}},
		"it is well again":        {drained(terms(hotfix)), slices.Concat(bad, beyond(40, 300)), []string{"!no-refuge", "!no-refuge-over"}},
		"that comes back":         {drained(terms(hotfix)), slices.Concat(bad, beyond(40, 310), beyond(350, 1, outage)), []string{"!no-refuge", "!no-refuge-over", "!no-refuge"}},
		"nobody looks any more":   {drained(terms(hotfix)), after(bad, expire(200_000, id(1, 3)+"/retired")), []string{"!no-refuge", "!no-refuge-over"}},
		"the next epoch begins":   {drained(terms(hotfix)), after(bad, later(50, id(1, 3)+"/retired")), []string{"!no-refuge", "!no-refuge-over"}},
		"another looks on at 42":  {drained(terms(hotfix)), after(bad, laterOn(50, id(1, 3)+"/retired", "ranker-43")), []string{"!no-refuge", "!no-refuge-over"}},
		"a promotion has no such": {followed(terms(hotfix)), slices.Concat(windowsOf(6, 3, 1000, 0), bad), nil},
	} {
		_, begun := fold(t, x.begin...)
		s, words := fold(t, after(x.begin, x.in...)...)
		expectNamed(t, words[len(begun):], x.want)
		const want = "Baseline 41 answers with too many errors itself (outage). All users are with it since rollback ranker-42.1.3, so that is no refuge. Roll forward: flag ranker.rerank=off."
		stands := x.want != nil && x.want[len(x.want)-1] == "!no-refuge" // what is over is not recommended any more
		if stands != (len(s.Recommended()) == 1) || stands && s.Forward.Sentence != want {
			t.Errorf("%s: recommended %+v", name, s.Recommended())
		}
	}
}

// TestRecommendedBesideTheHeir: that the baseline keeps its limits again ends no other recommendation, also where one decision has told of both.
func TestRecommendedBesideTheHeir(t *testing.T) {
	over := func(rollback int64) []Input {
		return slices.Concat([]Input{ack(61, rollback, "eu", schemas.AckApplied)}, windowsOf(62, 3, 1000, 0), windowsOf(70, 300, 1000, 0))
	}
	often := running(terms(weight, chronic))
	often[0].Applied.Past = []Past{{Rollout: "a", Epoch: 1, AtMs: 500, Cause: "errors"}, {Rollout: "b", Epoch: 2, AtMs: 600, Cause: "errors"}}
	gone := looked(5, registryThat(PillarFailed, true, "version 41 is gone"))
	for name, x := range map[string]struct {
		begin    []Input
		rollback int64 // its number
		want     string
		stands   string
	}{
		"chronic":        {often, 3, "chronic Model ranker was rolled back 3 times", " chronic"},
		"the registry's": {after(running(terms(weight)), gone), 4, "no_refuge 41 may not be deployable any more", ""},
		"nothing":        {running(terms(weight)), 3, "", ""},
	} {
		begin := after(x.begin, beyond(verdictOf(60, VerdictRollback), outage(true)), beyond(verdictOf(60, VerdictRollback), outage(true)))
		s, words := fold(t, after(begin, over(x.rollback)...)...)
		said := ""
		for _, r := range s.Recommended() {
			said += r.Code + " " + r.Sentence
		}
		if !strings.HasPrefix(said, x.want) || (said == "") != (x.want == "") || words[len(words)-1] != "!no-refuge-over"+x.stands {
			t.Errorf("%s: recommended %q by %q", name, said, words)
		}
	}
}

// TestHeirBeyondBefore: what was told of the baseline while the rollback to it was carried out keeps the incident open behind that, and isn't told again; who deletes the rollout hears it.
func TestHeirBeyondBefore(t *testing.T) {
	bad := beyond(verdictOf(61, VerdictRollback), outage(true))
	in := after(running(terms(weight, hotfix)), verdictOf(60, VerdictRollback), bad, ack(62, 3, "eu", schemas.AckApplied))
	in = append(in, windowsOf(63, 3, 1000, 0)...)
	said := func(e Effect) string {
		if e.Notice == nil {
			return said(e)
		}
		return said(e) + " " + string(e.Notice.Severity) + ": " + e.Notice.Sentence
	}
	s, words := foldWith(t, said, in...)
	expect(t, words[2:], "#3 rollback 41:10000 42:0 (route)", "#4 roll-forward 41:10000 42:0 (route)",
		"!rollback-completed no_refuge done info: Rollback of ranker-42 is carried out: 41 serves all traffic and 42 has drained. And 41 is beyond a limit of its own (outage), which this doesn't end.")
	if s.Calm() || !slices.Equal(s.Standing(), []string{"no_refuge"}) {
		t.Errorf("calm %t, %q stands", s.Calm(), s.Standing())
	}
	gone := Deleted(&s, person)
	if want := "Baseline 41, which has all users, was beyond a limit of its own when last looked at, and nobody looks any more. Roll forward: more replicas."; gone.Severity != schemas.Warning || !strings.Contains(gone.Sentence, want) || strings.Contains(gone.Sentence, "Not done") {
		t.Errorf("%s: %s", gone.Severity, gone.Sentence)
	}
	again := windowsOf(70, 1, 1000, 0)
	again[0].Traffic.Beyond = []Beyond{outage(true)}
	_, all := foldWith(t, said, slices.Concat(in, again, windowsOf(80, 300, 1000, 0))...)
	expect(t, all[len(words):], "!no-refuge-over info: For 5m of its traffic baseline 41, which has all users since rollback ranker-42.1.3, isn't proven to be beyond a limit of its own any more. Should it be proven again, that is told.")
}

// TestHeirBeyondInBetween: what wasn't proven any more as the rollback was completed ends with that, so it is told anew when it is proven after.
func TestHeirBeyondInBetween(t *testing.T) {
	in := after(running(terms(weight, hotfix)), verdictOf(60, VerdictRollback), beyond(verdictOf(61, VerdictRollback), outage(true)), verdictOf(62, VerdictRollback), ack(62, 3, "eu", schemas.AckApplied))
	in = append(in, windowsOf(63, 4, 1000, 0)...)
	in[len(in)-1].Traffic.Beyond = []Beyond{outage(true)}
	_, words := fold(t, in...)
	expect(t, words[2:], "#3 rollback 41:10000 42:0 (route)", "#4 roll-forward 41:10000 42:0 (route)", "!rollback-completed  done", "!no-refuge")
}

// TestRecommendedUntilItIsOver: what isn't proven of the baseline any more as the rollback is completed isn't recommended for after it, and people hear that; what else has the same code, or another one, stands on.
func TestRecommendedUntilItIsOver(t *testing.T) {
	often := running(terms(weight, chronic))
	often[0].Applied.Past = []Past{{Rollout: "a", Epoch: 1, AtMs: 500, Cause: "errors"}, {Rollout: "b", Epoch: 2, AtMs: 600, Cause: "errors"}}
	gone := looked(5, registryThat(PillarFailed, true, "version 41 is gone"))
	held := beyond(verdictOf(5, VerdictHold), outage(false))
	held.Verdict.Reason.Code = "both_arms"
	const over = " That 41 is beyond a limit of its own (outage), as people were told, isn't proven any more. Should it be proven again, that is told."
	for name, x := range map[string]struct {
		begin    []Input
		rollback int64 // its number
		proven   []Input
		want     string // what is recommended
		said     string
	}{
		"it is over":                   {running(terms(weight)), 3, []Input{beyond(verdictOf(61, VerdictRollback), outage(true)), verdictOf(62, VerdictRollback)}, "", over},
		"it goes on":                   {running(terms(weight)), 3, []Input{beyond(verdictOf(61, VerdictRollback), outage(true))}, "no_refuge", " And 41 is beyond a limit of its own (outage), which this doesn't end."},
		"nobody was told":              {running(terms(weight)), 3, nil, "", ""},
		"chronic, too":                 {often, 3, []Input{beyond(verdictOf(61, VerdictRollback), outage(true)), verdictOf(62, VerdictRollback)}, "chronic", over + " That model ranker is rolled back again and again, as people were told, doesn't end with this."},
		"it can't be deployed, either": {after(running(terms(weight)), gone), 4, []Input{beyond(verdictOf(61, VerdictRollback), outage(true)), verdictOf(62, VerdictRollback)}, "no_refuge", over},
		"both versions were":           {after(running(terms(weight)), held), 5, nil, "no_refuge", ""}, // which was no proof of the baseline alone
	} {
		t.Run(name, func(t *testing.T) {
			in := slices.Concat(x.begin, []Input{verdictOf(60, VerdictRollback)}, x.proven, []Input{ack(63, x.rollback, "eu", schemas.AckApplied)}, windowsOf(64, 3, 1000, 0))
			var done *schemas.Notice
			s, _ := foldWith(t, func(e Effect) string {
				if n := e.Notice; n != nil && n.Kind == schemas.NoticeRollbackCompleted {
					done = n
				}
				return said(e)
			}, in...)
			var codes []string
			for _, r := range s.Recommended() {
				codes = append(codes, r.Code)
			}
			if done == nil || strings.Join(codes, " ") != x.want || !strings.HasSuffix(done.Sentence, "41 serves all traffic and 42 has drained."+x.said) {
				t.Errorf("recommended %q, want %q; told %+v", codes, x.want, done)
			}
		})
	}
}

// TestRefugeWhileItIsCarriedOut: what was told of the baseline behind a rollback that isn't carried out is over when nothing has shown it for five minutes of the baseline's traffic, and told anew, by an event,
// when it is proven again: there is no second decision for it.
func TestRefugeWhileItIsCarriedOut(t *testing.T) {
	begin := after(running(terms(weight, hotfix)), verdictOf(60, VerdictRollback), beyond(verdictOf(61, VerdictRollback), outage(true)))
	again, well, done := beyond(verdictOf(500, VerdictRollback), outage(true)), verdictOf(62, VerdictRollback), ack(600, 3, "eu", schemas.AckApplied)
	over, stays := windowsOf(63, 300, 900, 100), windowsOf(63, 299, 900, 100)
	for name, x := range map[string]struct {
		in   []Input
		want []string // behind the recommendation
		code string   // of what is recommended
	}{
		"it goes on":                    {over, nil, "no_refuge"},
		"nearly over":                   {after([]Input{well}, stays...), nil, "no_refuge"},
		"it is over":                    {after([]Input{well}, over...), []string{"!no-refuge-over route,verify"}, ""},
		"nothing is seen of it":         {after([]Input{well}, windowsOf(63, 400, 0, 100)...), nil, "no_refuge"},
		"and is proven again":           {after(after([]Input{well}, over...), again, again), []string{"!no-refuge-over route,verify", "!no-refuge"}, "no_refuge"},
		"and the rollback is completed": {slices.Concat([]Input{well}, over, []Input{again, done}, windowsOf(601, 3, 1000, 0)), []string{"!no-refuge-over route,verify", "!no-refuge", "!rollback-completed no_refuge done"}, "no_refuge"},
		"and over by then": {slices.Concat([]Input{well}, over, []Input{again, verdictOf(501, VerdictRollback), done}, windowsOf(601, 3, 1000, 0)),
			[]string{"!no-refuge-over route,verify", "!no-refuge", "!rollback-completed  done", "!no-refuge-over"}, ""},
		"over, and completed": {slices.Concat([]Input{well}, over, []Input{done}, windowsOf(601, 3, 1000, 0)), []string{"!no-refuge-over route,verify", "!rollback-completed  done"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, begun := fold(t, begin...)
			s, words := fold(t, after(begin, x.in...)...)
			expectNamed(t, words[len(begun):], x.want)
			code := ""
			if s.Forward != nil {
				code = s.Forward.Code
			}
			if code != x.code {
				t.Errorf("recommended %q", code)
			}
		})
	}
}

// TestNoRefugeNow: who begins a rollout hears that its baseline is none to go back to: while that is judged, while a rollback goes to it, and after it, until that is over.
func TestNoRefugeNow(t *testing.T) {
	ran := running(terms(weight))
	bad := windowsOf(30, 1, 1000, 0)
	bad[0].Traffic.Beyond = []Beyond{outage(true)}
	harmed := after(drained(terms(weight)), bad...)
	const does = "Baseline 41 answers with too many errors itself (outage): 12 % since 09:00:00 (120 of 1,000), where the limit is 5 %."
	const repair = " All users are with it since rollback ranker-42.1.3, so that is no refuge. Roll forward: repair the cause. " +
		"The rollout names no hotfix: mend 41 itself, or let a version that is well take its place, with a rollout of its own."
	looksOn := stateOf(t, harmed...)
	refused := State{Terms: terms(weight), Epoch: 2, Status: StatusRefused}
	looksOn.LooksOn(&refused, &Arms{Baseline: "41", Canary: "42"})
	for name, x := range map[string]struct {
		s    State
		want string
	}{
		"it is well":              {stateOf(t, ran...), ""},
		"it is judged":            {stateOf(t, after(ran, beyond(verdictOf(5, VerdictContinue), outage(true)))...), does},
		"it is seen":              {stateOf(t, after(ran, beyond(verdictOf(5, VerdictContinue), outage(false)))...), ""},
		"traffic goes back to it": {stateOf(t, after(ran, beyond(verdictOf(5, VerdictRollback), outage(true)))...), does + " So it is no refuge: that all traffic goes back to it does not end this. Roll forward: repair the cause."},
		"it has all users":        {stateOf(t, harmed...), does + repair},
		"and that is over":        {stateOf(t, after(harmed, windowsOf(31, 300, 1000, 0)...)...), ""},
		"a start was refused":     {refused, "41 was told to be beyond a limit of its own (event no-refuge), and it is not known that this is over."},
	} {
		if have := x.s.NoRefuge("41"); have != x.want {
			t.Errorf("%s: %q, want %q", name, have, x.want)
		}
		if have := x.s.NoRefuge("42"); have != "" {
			t.Errorf("%s: of the canary %q", name, have)
		}
	}
}
