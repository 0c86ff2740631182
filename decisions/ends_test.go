package decisions

import (
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// later is a deadline that has passed, told when a later epoch of the model has begun.
func later(at int64, deadline string) Input {
	in := expire(at, deadline)
	in.Expired.Later = true
	return in
}

// laterOn is later where that epoch's rollout goes on to look at the version that the deadline is of.
func laterOn(at int64, deadline, rollout string) Input {
	in := later(at, deadline)
	in.Expired.On = rollout
	return in
}

// TestAnswersThatCome: who was told that answers are missing, or refusals, is told when they have come, unless a decision that follows says so; and only of those whom people were
// told of it is said that they are waited for.
func TestAnswersThatCome(t *testing.T) {
	fails := why(ack(6, 3, "eu", schemas.AckFailed), "no such backend")
	advanced := after(running(terms(ramp)), verdictOf(5, VerdictAdvance))
	promoted := after(running(terms(weight)), verdictOf(5, VerdictPromote))
	suspicion := verdictOf(4, VerdictContinue)
	suspicion.Verdict.Concerns = []Concern{{"p99", schemas.StateSuspect, "It is slow.", false}}
	const advance, promote = "#3 advance 41:9000 42:1000 (route)", "#3 promote 41:0 42:10000 (route)"
	for name, test := range map[string]struct {
		in   []Input
		want []string
	}{
		"in time":                       {after(advanced, ack(6, 3, "eu", schemas.AckApplied)), []string{advance}},
		"late":                          {after(advanced, expire(16, id(1, 3)+"/acks"), ack(17, 3, "eu", schemas.AckApplied)), []string{advance, "!acks-overdue any", "again " + id(1, 3), "!acks-complete"}},
		"refused, then done":            {after(advanced, fails, ack(7, 3, "eu", schemas.AckApplied)), []string{advance, "!ack-refused eu", "!acks-complete"}},
		"refused, then done, of an end": {after(promoted, fails, ack(7, 3, "eu", schemas.AckApplied)), []string{promote, "!ack-refused eu", "!acks-complete"}},
		"refused, then done, of an end behind a suspicion": {after(running(terms(weight)), suspicion, at(5, CommandPromote, true), fails, ack(7, 3, "eu", schemas.AckApplied)),
			[]string{"!guardrail-suspect", promote, "!ack-refused eu", "!acks-complete"}},
		"beside what is amiss": {after(advanced, fails, withAmiss(verdictOf(7, VerdictContinue), "off_plan"), ack(8, 3, "eu", schemas.AckApplied), verdictOf(9, VerdictContinue)),
			[]string{advance, "!ack-refused eu", "!share-off-plan", "!acks-complete off_plan", "!share-as-planned"}},
		"what is amiss ends first": {after(advanced, fails, withAmiss(verdictOf(7, VerdictContinue), "off_plan"), verdictOf(8, VerdictContinue), ack(9, 3, "eu", schemas.AckApplied)),
			[]string{advance, "!ack-refused eu", "!share-off-plan", "!share-as-planned any", "!acks-complete"}},
		"nobody was told that one is missing": {after(advanced, withAmiss(verdictOf(6, VerdictContinue), "off_plan"), verdictOf(7, VerdictContinue), ack(8, 3, "eu", schemas.AckApplied)),
			[]string{advance, "!share-off-plan", "!share-as-planned"}},
		"a start": {[]Input{applied(1, terms(weight)), expire(11, id(1, 1)+"/acks"), ack(12, 1, "eu", schemas.AckPrepared)},
			[]string{"!acks-overdue any", "again " + id(1, 1), "#2 start commit 41:9000 42:1000 (route)"}},
		"a start that is refused, and paused": {[]Input{applied(1, terms(weight)), ack(2, 1, "eu", schemas.AckFailed), command(3, CommandPause, false), ack(4, 2, "eu", schemas.AckPrepared)},
			[]string{"!ack-refused eu", "#2 hold prepare 41:10000 42:0 over " + id(1, 1) + " (route)", "!acks-complete"}},
		"that is late, paused and resumed": {[]Input{applied(1, terms(weight)), expire(11, id(1, 1)+"/acks"), command(12, CommandPause, false), command(13, CommandResume, false), command(14, CommandPause, false), ack(15, 4, "eu", schemas.AckPrepared)},
			[]string{"#4 hold prepare 41:10000 42:0 over " + id(1, 3) + " (route)", "!acks-complete"}},
		"that is paused, and nobody was told": {[]Input{applied(1, terms(weight)), command(3, CommandPause, false), ack(4, 2, "eu", schemas.AckPrepared)},
			[]string{"#1 start prepare 41:10000 42:0 (route)", "#2 hold prepare 41:10000 42:0 over " + id(1, 1) + " (route)"}},
	} {
		_, words := fold(t, test.in...)
		if have := words[len(words)-len(test.want):]; !slices.Equal(have, test.want) {
			t.Errorf("%s:\n  %s\nwant\n  %s", name, strings.Join(words, "\n  "), strings.Join(test.want, "\n  "))
		}
	}
}

// TestSuspicionEnds: the end of a suspicion names what else stands; a guardrail that only warns is told as a warning, suspect or failed.
func TestSuspicionEnds(t *testing.T) {
	concern := func(at int64, do VerdictAction, concerns ...Concern) Input {
		in := verdictOf(at, do)
		in.Verdict.Concerns = concerns
		return in
	}
	said := func(e Effect) string {
		if e.Notice == nil {
			return toldOf(e)
		}
		return toldOf(e) + " " + string(e.Notice.Severity) + " " + strings.Join(e.Notice.Guardrails, ",")
	}
	_, words := foldWith(t, said, after(running(terms(weight)),
		concern(10, VerdictContinue, Concern{"p99", schemas.StateSuspect, "It is slow.", false}, Concern{"ctr", schemas.StateSuspect, "Few click.", true}),
		concern(11, VerdictHold, Concern{"p99", schemas.StateContinue, "It is fast.", false}),
		concern(12, VerdictContinue, Concern{"p99", schemas.StateSuspect, "It is slow again.", false}),
		concern(13, VerdictContinue, Concern{"p99", schemas.StateContinue, "It is fast again.", false}),
	)...)
	expect(t, words[2:],
		"!guardrail-warning: Few click. warning ctr",
		"!guardrail-suspect: It is slow. warning p99",
		"!guardrail-clear: It is fast. info p99",
		"#3 hold 41:9000 42:1000 (route)",
		"!guardrail-suspect: It is slow again. warning p99",
		"#4 resume 41:9000 42:1000 over ranker-42.1.3 (route)",
		"!guardrail-clear: It is fast again. info p99",
	)
}

// TestSuspicionStands: a suspicion that comes and goes is told once, so it stands until its end is told, whatever else ends meanwhile.
func TestSuspicionStands(t *testing.T) {
	concern := func(at int64, state schemas.State, breached ...string) Input {
		in := verdictOf(at, VerdictContinue)
		in.Verdict.Concerns, in.Verdict.Breached = []Concern{{"p99", state, "It is so.", false}}, breached
		return in
	}
	gone, back := looked(12, registryThat(PillarFailed, true, "version 41 is gone")), looked(13, registryThat(PillarHeld, false))
	begin := after(running(terms(ramp)), concern(10, schemas.StateSuspect, "p99"), verdictOf(11, VerdictContinue), gone, back)
	s, words := fold(t, begin...)
	expect(t, words[2:], "!guardrail-suspect", "!pillar-failed", "#3 hold 41:9900 42:100 (route)", "!pillar-held p99", "#4 resume 41:9900 42:100 over "+id(1, 3)+" (route)")
	if !slices.Equal(s.Suspected, []string{"p99"}) || s.Calm() {
		t.Errorf("suspected %q, calm %t", s.Suspected, s.Calm())
	}
	s, words = fold(t, after(begin, at(14, CommandAdvance, true), concern(20, schemas.StateContinue))...)
	expect(t, words[7:], "#5 advance 41:9000 42:1000 (route)", "!guardrail-clear")
	if s.Suspected != nil || !s.Calm() {
		t.Errorf("suspected %q, calm %t", s.Suspected, s.Calm())
	}
}

// TestStanding: of each thing that raises an incident, which decisions leave it standing, so that they don't end that. What a decision ends has no end of its own after it: routers are asked
// anew, a stage's traffic is over, and nobody looks at a guardrail any more once the rollout goes all the way.
func TestStanding(t *testing.T) {
	concern := func(state schemas.State) Input {
		in := verdictOf(10, VerdictContinue)
		in.Verdict.Concerns = []Concern{{"p99", state, "It is so.", false}}
		return in
	}
	begins := running(terms(ramp, guarded))
	refused := after(begins, at(7, CommandAdvance, true), why(ack(8, 3, "eu", schemas.AckFailed), "no such backend"))
	overdue := after(begins, at(7, CommandAdvance, true), expire(18, id(1, 3)+"/acks"))
	held := after(begins, verdictOf(9, VerdictHold))
	engine, resumed := []Input{verdictOf(20, VerdictContinue)}, []Input{at(20, CommandPause, false), at(21, CommandResume, false)}
	advanced, promoted := []Input{at(20, CommandAdvance, true)}, []Input{at(20, CommandPromote, true)}
	for name, x := range map[string]struct {
		in                                  []Input
		stands                              string
		engine, resumed, advanced, promoted bool // it stands after the engine's resume, a person's, an advance and a promotion
	}{
		"a suspicion":             {after(held, concern(schemas.StateSuspect), verdictOf(11, VerdictHold)), "p99", true, true, true, false},
		"alerts are left out":     {after(held, leftOut(12, "a", 7)), truncatedDeadline, true, true, true, false},
		"a share":                 {after(held, withAmiss(verdictOf(12, VerdictHold), "off_plan")), "off_plan", false, true, false, false}, // with the verdict that resumes it ends
		"an answer is missing":    {after(overdue, verdictOf(19, VerdictHold)), anyRouter, true, true, false, false},
		"an answer is a refusal":  {after(refused, verdictOf(19, VerdictHold)), anyRouter, true, true, false, false},
		"a pillar fails":          {after(held, looked(12, registryThat(PillarFailed, true, "version 41 is gone"))), "pillar registry", true, true, true, false},
		"nothing but a hold does": {held, "", false, false, false, false},
	} {
		if s, words := fold(t, x.in...); s.Status != StatusHolding || strings.Join(s.Standing(), ",") != x.stands {
			t.Errorf("%s: %s, %q stands by %q", name, s.Status, s.Standing(), words)
		}
		for way, y := range map[string]struct {
			in   []Input
			want bool
		}{"the engine resumes": {engine, x.engine}, "a person resumes": {resumed, x.resumed}, "it advances": {advanced, x.advanced}, "it is promoted": {promoted, x.promoted}} {
			s, words := fold(t, after(x.in, y.in...)...)
			if (len(s.Standing()) > 0) != y.want {
				t.Errorf("%s, and %s: %s, %q stands by %q", name, way, s.Status, s.Standing(), words)
			}
		}
	}
}

// TestHandedOn: what nobody mends any more, since the model's next rollout has begun, ends; as long as none has, it stays.
func TestHandedOn(t *testing.T) {
	fails := why(ack(8, 3, "mlflow", schemas.AckFailed), "no such model")
	said := func(e Effect) string { return strings.TrimSuffix(toldOf(e), ".") }
	waits := func(s *State) []Deadline {
		return slices.DeleteFunc(s.Deadlines(), func(d Deadline) bool { return d.Later })
	} // but for what the stream shows after the end
	promoted := after(running(terms(told)), verdictOf(5, VerdictPromote), ack(6, 3, "eu", schemas.AckApplied), fails)
	s, words := foldWith(t, said, after(promoted, expire(86_400, id(1, 3)+"/registry-mlflow"), later(86_500, id(1, 3)+"/registry-mlflow"), later(86_600, id(1, 3)+"/registry-mlflow"),
		ack(86_700, 3, "mlflow", schemas.AckApplied))...)
	want := []string{
		"!sink-refused registry-mlflow: Step registry-mlflow of promotion ranker-42.1.3 has failed, and isn't tried again: no such model. Traffic doesn't wait for that. " +
			"If that can't wait, give the registry's alias or stage to 42 by hand. This counts as over with the model's next rollout, or with `streamcanary rollout delete ranker-42`",
		"!handed-on: Step registry-mlflow of promotion ranker-42.1.3, which was refused, is followed here no longer: a later rollout of model ranker has begun, and that is up to it now",
	}
	if have := words[len(words)-2:]; !slices.Equal(have, want) || len(waits(&s)) > 0 || len(s.left()) > 0 {
		t.Errorf("told\n  %s\nwant\n  %s\n%v are left", strings.Join(words, "\n  "), strings.Join(want, "\n  "), s.left())
	}
	s, _ = fold(t, promoted...)
	s.Retired = nil // what the stream shows of the baseline is looked at no longer than a day
	if len(waits(&s)) != 1 || waits(&s)[0].Due(1<<60, false) || !waits(&s)[0].Due(0, true) || s.Awaits(3*86_400_000) {
		t.Errorf("deadlines %+v", s.Deadlines())
	}
	advised := after([]Input{applied(1, terms(weight, advise))}, verdictOf(5, VerdictRollback))
	refusal := applied(1, terms(weight))
	refusal.Applied.Pillars = []Pillar{NewPillar(PillarRegistry, PillarFailed, []string{"version 41 is gone"})}
	waiting := after(running(terms(told)), verdictOf(5, VerdictPromote), ack(6, 3, "eu", schemas.AckApplied), why(ack(7, 3, "mlflow", schemas.AckReceived), "it answers 503"))
	registry, undone := id(1, 3)+"/registry-mlflow", "!handed-on: Step registry-mlflow of promotion ranker-42.1.3, which isn't done, and is tried again for a day (mlflow: it answers 503), is followed here no longer: "+
		"a later rollout of model ranker has begun, and that is up to it now"
	superseded := after(frozenNow(), command(13, CommandSupersede, false), ack(14, 4, "item", schemas.AckApplied))
	for name, x := range map[string]struct {
		in   []Input
		want string
	}{
		"people were told": {after(superseded, expire(43, id(1, 4)+"/thaw"), later(103, id(1, 4)+"/thaw")),
			"!handed-on: That user takes writes again (decision ranker-42.1.4) is followed here no longer: a later rollout of model ranker has begun, and that is up to it now"},
		"advised": {after(advised, later(100, id(1, 3)+"/next"), later(101, id(1, 3)+"/next")), "!handed-on: What decision ranker-42.1.3 told of rollout ranker-42 is followed here no longer: a later rollout of model ranker has begun, and that is up to it now"},
		// What a registry hasn't done isn't anybody's to do by hand then: the users may be with another version again.
		"a registry that is away":         {after(waiting, expire(35, registry), later(36, registry)), undone},
		"a registry, before its deadline": {after(waiting, later(34, registry)), "#3 promote 41:0 42:10000 (route)"},
		"a registry, at its deadline":     {after(waiting, later(35, registry)), undone},
		"a registry that is back late":    {after(waiting, expire(35, registry), later(36, registry), ack(40, 3, "mlflow", schemas.AckApplied)), undone},
		"none began":                      {after(advised, expire(100, id(1, 3)+"/next")), "#3 rollback 41:10000 42:0"},
		"refused":                         {[]Input{refusal, later(100, id(1, 1)+"/next")}, "!handed-on: What decision ranker-42.1.1 told of rollout ranker-42 is followed here no longer: a later rollout of model ranker has begun, and that is up to it now"},
		"nobody was told":                 {after(superseded, later(43, id(1, 4)+"/thaw")), "#4 supersede abort 41:10000 42:0 over ranker-42.1.3 (route)"},
	} {
		if _, words := foldWith(t, said, x.in...); words[len(words)-1] != x.want {
			t.Errorf("%s: told at last %q, want %q", name, words[len(words)-1], x.want)
		}
	}
}

// TestDeletedByForce: who deletes a rollout whose rollback isn't carried out is told all that nobody follows any more: of the traffic, of stores, and of state.
func TestDeletedByForce(t *testing.T) {
	fails := why(ack(12, 3, "user", schemas.AckFailed), "no disk")
	frozen := after(begun(illegible), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared))
	routed := after(begun(), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), ack(11, 3, "user", schemas.AckPrepared))
	const (
		given  = "The rollout was deleted before its rollback was carried out, and nobody follows that any more. "
		goBack = " The state may be as 42 left it: let it go back by hand (item to snapshot item-before, user to snapshot user-before), and take writes again." +
			" The next rollout of model ranker doesn't begin without an admin's --new-epoch --force, which tells item, user to take writes."
		serves  = "42 still has 1 % of the traffic: move it to 41 by hand. "
		unknown = "It is not known that all traffic has gone to 41: look whether 42 still gets some, and move that by hand."
	)
	for name, test := range map[string]struct {
		in   []Input
		want string
	}{
		"a store has failed":   {after(frozen, fails), given + serves + "It is not known whether user takes no writes: user answered failed to decision ranker-42.1.3 at 1970-01-01T00:00:12.000Z: no disk." + goBack},
		"a store is silent":    {frozen, given + serves + "It is not known whether user takes no writes: user has not answered." + goBack},
		"all take no writes":   {after(routed, ack(12, 4, "eu", schemas.AckApplied)), given + unknown + " item, user take no writes." + goBack},
		"without state":        {after(running(terms(weight)), verdictOf(10, VerdictRollback)), "ada deleted rollout ranker-42, which had ended. Not done, and not followed any more: route, verify. " + unknown},
		"in steps":             {after(running(terms(cached)), verdictOf(5, VerdictRollback)), "ada deleted rollout ranker-42, which had ended. Not done, and not followed any more: warm-10, warm-50, route, verify. 42 still has 90 % of the traffic: move it to 41 by hand."},
		"it has ended in good": {after(running(terms(weight)), verdictOf(10, VerdictPromote), ack(11, 3, "eu", schemas.AckApplied)), "ada deleted rollout ranker-42, which had ended. " + unseen},
	} {
		last := ""
		s, _ := foldWith(t, func(e Effect) string {
			if e.Decision != nil {
				last = e.Decision.Decision.Reason.Sentence
			} else if e.Notice != nil {
				last = e.Notice.Sentence
			}
			return ""
		}, after(test.in, command(60, CommandDelete, true))...)
		if last != test.want {
			t.Errorf("%s: told\n  %s\nwant\n  %s", name, last, test.want)
		}
		left := strings.TrimSuffix(strings.TrimPrefix(test.want, "ada deleted rollout ranker-42, which had ended. "), unseen)
		if have := s.DeletedLeft(); have != left {
			t.Errorf("%s: who deleted it is answered\n  %s\nwant\n  %s", name, have, left)
		}
	}
}
