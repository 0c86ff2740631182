package decisions

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// ramp plans 1 %, 10 % and 50 %; watched ends it in a watch against 1 %.
func ramp(t *Terms) {
	t.Stages = []StageTerms{{WeightBP: 100}, {WeightBP: 1000}, {WeightBP: 5000}}
	t.SettleMs = 4000
}

func watched(t *Terms)  { t.Stages = append(t.Stages, StageTerms{WeightBP: 9900, Watch: true}) }
func approved(t *Terms) { t.Stages[1].Approve, t.ApprovePromotion = true, true }

func withoutWeights(t *Terms) { t.Stages = []StageTerms{{}, {}} }

func external(t *Terms) { t.External = true }

// advance1 and its like are what a ramp says.
const (
	prepare1 = "#1 start prepare 41:10000 42:0 (route)"
	commit1  = "#2 start commit 41:9900 42:100 (route)"
	advance2 = "#3 advance 41:9000 42:1000 (route)"
)

// TestFirstWindow: where the first stage's windows begin, when its commit comes while events are read late.
func TestFirstWindow(t *testing.T) {
	for _, test := range []struct {
		name   string
		terms  Terms
		wallMs int64
		want   int64
	}{
		{"after what was routed before", terms(ramp), 25_000, 29_000},
		{"not before what was read", terms(ramp), 1_000, 5_000},
		{"routers keep their own split", terms(withoutWeights), 25_000, 5_000},
		{"another controller moves the weights", terms(external), 25_000, 5_000},
		{"a replay, which has no wall time", terms(ramp, unattended, func(t *Terms) { t.SettleMs = 0 }), 0, 5_000},
	} {
		first := applied(5, test.terms)
		prepared := ack(5, 1, "eu", schemas.AckPrepared)
		first.WallMs, prepared.WallMs = test.wallMs, test.wallMs
		if s, _ := fold(t, first, prepared); s.FromMs != test.want || s.Status != StatusRunning {
			t.Errorf("%s: from %d, %s, want %d", test.name, s.FromMs, s.Status, test.want)
		}
	}
}

func TestStages(t *testing.T) {
	ok := func(at, seq int64) Input { return ack(at, seq, "eu", schemas.AckApplied) }
	next := func(at int64) Input { return verdictOf(at, VerdictAdvance) }
	tests := []struct {
		name   string
		terms  Terms
		in     []Input
		want   []string
		status Status
		stage  int
	}{
		{"one after the other", terms(ramp), []Input{next(5), ok(6, 3), next(20), ok(21, 4), verdictOf(40, VerdictPromote), ok(41, 5)},
			[]string{advance2, "#4 advance 41:5000 42:5000 (route)", "#5 promote 41:0 42:10000 (route)"}, StatusPromoted, 2},
		{"no further before routers follow", terms(ramp), []Input{next(5), next(20), next(21)}, []string{advance2}, StatusRunning, 1},
		{"nobody follows: told, and asked again", terms(ramp), []Input{next(5), expire(15, id(1, 3)+"/acks")},
			[]string{advance2, "!acks-overdue any", "again " + id(1, 3)}, StatusRunning, 1},
		{"all that are named", terms(ramp, named), []Input{ack(2, 2, "eu", schemas.AckApplied), next(5), ack(6, 2, "us", schemas.AckApplied), next(7)},
			[]string{advance2}, StatusRunning, 1},
		{"harm while routers change over", terms(ramp), []Input{next(5), verdictOf(6, VerdictRollback)},
			[]string{advance2, "#4 rollback 41:10000 42:0 over " + id(1, 3) + " (route)"}, StatusRolledBack, 1},
		{"a hold that ends with the stage", terms(ramp), []Input{verdictOf(4, VerdictHold), next(5)},
			[]string{"#3 hold 41:9900 42:100 (route)", "#4 advance 41:9000 42:1000 over " + id(1, 3) + " (route)"}, StatusRunning, 1},
		{"a hold, while routers change over, ends although they do", terms(ramp), []Input{next(5), verdictOf(6, VerdictHold), next(7)},
			[]string{advance2, "#4 hold 41:9000 42:1000 (route)", "#5 resume 41:9000 42:1000 over " + id(1, 4) + " (route)"}, StatusRunning, 1},
		{"a gap waits for a person", terms(ramp), []Input{gap(4), next(5)}, []string{"#3 hold 41:9900 42:100 (route)"}, StatusHolding, 0},
		{"no weights: nothing to follow", terms(withoutWeights), []Input{next(5), verdictOf(20, VerdictPromote)},
			[]string{"#3 advance", "#4 promote 41:0 42:10000 (route)"}, StatusPromoting, 1},
		{"approval", terms(ramp, approved), []Input{next(5), next(6), command(9, CommandAdvance, false), ok(10, 4)},
			[]string{"#3 hold 41:9900 42:100 (route)", "#4 advance 41:9000 42:1000 over " + id(1, 3) + " (route)"}, StatusRunning, 1},
		{"approval withdrawn", terms(ramp, approved), []Input{next(5), verdictOf(6, VerdictContinue), next(7)},
			[]string{"#3 hold 41:9900 42:100 (route)", "#4 resume 41:9900 42:100 over " + id(1, 3) + " (route)", "#5 hold 41:9900 42:100 (route)"}, StatusHolding, 0},
		{"harm while a person is waited for", terms(ramp, approved), []Input{next(5), verdictOf(6, VerdictRollback), command(9, CommandAdvance, false)},
			[]string{"#3 hold 41:9900 42:100 (route)", "#4 rollback 41:10000 42:0 over " + id(1, 3) + " (route)", "!command-refused"}, StatusRolledBack, 0},
		{"an approval is no resume", terms(ramp, approved), []Input{next(5), command(9, CommandResume, false)},
			[]string{"#3 hold 41:9900 42:100 (route)", "!command-refused"}, StatusHolding, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i := range test.in {
				test.in[i].Turn = 5
			}
			s, words := fold(t, after(running(test.terms), test.in...)...)
			expect(t, words[2:], test.want...)
			if s.Status != test.status || s.Stage != test.stage {
				t.Errorf("%s in stage %d, want %s in stage %d", s.Status, s.Stage, test.status, test.stage)
			}
		})
	}
}

// TestSlowAnswers: a stage's windows begin later by as long as answers take that were routed before; where routers keep their split, and in a replay, nothing is waited for.
func TestSlowAnswers(t *testing.T) {
	for _, test := range []struct {
		name  string
		terms Terms
		slow  int64
		want  int64
	}{
		{"at once", terms(ramp), 0, 6_000 + 4_000},
		{"half a minute", terms(ramp), 30_000, 6_000 + 4_000 + 30_000},
		{"routers keep their own split", terms(withoutWeights), 30_000, 5_000},
		{"a replay", terms(ramp, unattended, func(t *Terms) { t.SettleMs = 0 }), 0, 5_000},
	} {
		advance, followed := verdictOf(5, VerdictAdvance), ack(5, 3, "eu", schemas.AckApplied)
		followed.WallMs, advance.AnswersMs, followed.AnswersMs = 6_000, test.slow, test.slow
		s, _ := fold(t, after(running(test.terms), advance, followed)...)
		if s.Stage != 1 || s.StageFromMs() != test.want {
			t.Errorf("%s: stage %d from %d, want %d", test.name, s.Stage, s.StageFromMs(), test.want)
		}
	}
}

// TestWatch: the last stage leaves a holdback, is watched, and has a rollback of its own.
func TestWatch(t *testing.T) {
	in := after(running(terms(ramp, watched)), verdictOf(5, VerdictAdvance), ack(6, 3, "eu", schemas.AckApplied),
		verdictOf(10, VerdictAdvance), ack(11, 4, "eu", schemas.AckApplied), verdictOf(20, VerdictAdvance), ack(21, 5, "eu", schemas.AckApplied))
	_, words := fold(t, after(in, verdictOf(90, VerdictPromote))...)
	expect(t, words, prepare1, commit1, advance2, "#4 advance 41:5000 42:5000 (route)", "#5 advance 41:100 42:9900 (route)", "#6 promote 41:0 42:10000 (route)")
	s, words := fold(t, after(in, verdictOf(90, VerdictRollback))...)
	expect(t, words[5:], "#6 rollback 41:10000 42:0 (route)")
	if s.Saga == nil {
		t.Error("nobody follows the rollback")
	}
}

// TestExternal: with another controller no router is waited for, and none is told a split before the end.
func TestExternal(t *testing.T) {
	s, words := fold(t, applied(1, terms(external)), verdictOf(5, VerdictRollback))
	expect(t, words, "#1 start prepare", "#2 start commit", "#3 rollback 41:10000 42:0 (route)")
	if s.Saga == nil || s.Saga.step(StepRoute).Wait == nil {
		t.Error("the rollback is not followed")
	}
}

// TestExternalUnrouted: where nobody follows, the stream alone ends a rollback that another controller carries out, once its route is late; a router that has answered, or that is named, is waited for.
func TestExternalUnrouted(t *testing.T) {
	late := []Input{expire(15, id(1, 3)+"/route")}
	proof := func(from int64) []Input { return windowsOf(from, 3, 1000, 0) }
	const told, again, done = "!acks-overdue any", "again ranker-42.1.3", "!rollback-completed  done"
	for name, test := range map[string]struct {
		terms Terms
		in    []Input
		want  []string
		text  string // what the completion says of it
	}{
		"drained, then late":        {terms(external), after(proof(6), late...), []string{done}, " 41 serves all traffic and 42 has drained. No router has answered (`stages: external`): that 42 gets nothing is up to your own controller."},
		"late, then drained":        {terms(external), after(late, proof(16)...), []string{told, again, done}, "42 has drained. No router has answered"},
		"nothing is asked":          {terms(external), after(late, expireQuiet(65, id(1, 3)+"/verify")), []string{told, again, done + "_unproven"}, "Rollback of ranker-42 is decided; no traffic came that could show that 42 has drained. No router has answered"},
		"the canary goes on":        {terms(external), after(late, windowsOf(16, 9, 1000, 500)...), []string{told, again}, ""},
		"drained, and back by then": {terms(external), slices.Concat(proof(6), windowsOf(9, 1, 1000, 500), late, proof(16)), []string{told, again, done}, "No router has answered"},
		"a router is there":         {terms(external), slices.Concat([]Input{ack(5, 2, "eu", schemas.AckApplied)}, late, proof(16)), []string{told, again}, ""},
		"a router is named":         {terms(external, named), after(late, proof(16)...), []string{"!acks-overdue eu,us", again}, ""},
		"routers were to move it":   {terms(), after(late, proof(16)...), []string{told, again}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			start := append([]Input{applied(1, test.terms)}, ack(2, 1, "eu", schemas.AckPrepared))
			if test.terms.External {
				start = start[:1]
			}
			in := slices.Concat(start, []Input{verdictOf(5, VerdictRollback)}, test.in)
			s, words := fold(t, in...)
			expect(t, words[3:], test.want...)
			if s.Saga.Done() != (test.text != "") {
				t.Errorf("done: %t", s.Saga.Done())
			}
			_, effects := Step(stateOf(t, in[:len(in)-1]...), in[len(in)-1])
			if test.text != "" && (len(effects) == 0 || !strings.Contains(effects[0].Notice.Sentence, test.text)) {
				t.Errorf("told %+v, want %q", effects, test.text)
			}
		})
	}
}

// TestExternalUnroutedState: state goes back by the same proof, and not without one.
func TestExternalUnroutedState(t *testing.T) {
	in := []Input{applied(1, terms(stateful, external)), snapped(3, 1, "user"), snapped(4, 1, "item"), verdictOf(5, VerdictRollback), ack(6, 3, "user", schemas.AckPrepared), ack(6, 3, "item", schemas.AckPrepared), expire(16, id(1, 3)+"/route")}
	s, words := fold(t, append(in, windowsOf(17, 3, 1000, 0)...)...)
	expect(t, words[4:], "!acks-overdue any", "again ranker-42.1.4", "#5 rollback commit 41:10000 42:0 (route)")
	if s.Saga.step(StepRoute).State != StepPassed {
		t.Errorf("route is %s", s.Saga.step(StepRoute).State)
	}
	s, words = fold(t, append(in, expireQuiet(66, id(1, 3)+"/verify"))...)
	expect(t, words[4:], "!acks-overdue any", "again ranker-42.1.4")
	if !s.Saga.Unproven || !s.Saga.step(StepRoute).open() {
		t.Errorf("route is %s, unproven %t", s.Saga.step(StepRoute).State, s.Saga.Unproven)
	}
}

// TestExternalUnpromoted: a promotion that no router answers ends as such a rollback does, once it is overdue and the stream has shown that the baseline has drained; harm still rolls back until then.
func TestExternalUnpromoted(t *testing.T) {
	late, moved := []Input{expire(15, id(1, 3)+"/acks")}, windowsOf(16, 3, 0, 1000)
	const told, again, over = "!acks-overdue any", "again ranker-42.1.3", "!acks-complete"
	text := "No router has answered decision ranker-42.1.3 (`stages: external`), and the stream shows that 42 has all traffic: 41 has drained."
	for name, test := range map[string]struct {
		terms  Terms
		in     []Input
		want   []string
		status Status
		text   string
	}{
		"drained, then late":            {terms(external), after(windowsOf(11, 3, 0, 1000), late...), nil, StatusPromoted, ""},
		"late, then drained":            {terms(external), after(late, moved...), []string{told, again, over}, StatusPromoted, text},
		"nothing is asked":              {terms(external), after(late, expireQuiet(80, id(1, 3)+"/acks")), []string{told, again, told, again}, StatusPromoting, "when the stream shows that 41 has drained (no prediction since then has been counted yet)"},
		"the baseline goes on":          {terms(external), after(late, windowsOf(16, 9, 500, 500)...), []string{told, again}, StatusPromoting, ""},
		"and is told of again":          {terms(external), slices.Concat(late, windowsOf(16, 9, 500, 500), []Input{expire(40, id(1, 3)+"/acks")}), []string{told, again, told, again}, StatusPromoting, "drained (it served 500 of the 1000 predictions of the newest window, up to 1970-01-01T00:00:25.000Z); `streamcanary rollout rollback ranker-42 --comment WHY` goes back."},
		"drained, and back by then":     {terms(external), slices.Concat(windowsOf(11, 3, 0, 1000), windowsOf(14, 1, 500, 500), late, moved), []string{told, again, over}, StatusPromoted, text},
		"and harm is seen":              {terms(external), slices.Concat(late, windowsOf(16, 2, 500, 500), []Input{verdictOf(20, VerdictRollback)}), []string{told, again, "#4 rollback 41:10000 42:0 over ranker-42.1.3 (route)"}, StatusRolledBack, ""},
		"drained before it was decided": {terms(external), after(late, windowsOf(2, 3, 0, 1000)...), []string{told, again}, StatusPromoting, ""},
		"a router is there":             {terms(external), slices.Concat([]Input{ack(5, 2, "eu", schemas.AckApplied)}, late, moved), []string{told, again}, StatusPromoting, ""},
		"a router is named":             {terms(external, named), after(late, moved...), []string{"!acks-overdue eu,us", again}, StatusPromoting, ""},
		"routers were to move it":       {terms(), after(late, moved...), []string{told, again}, StatusPromoting, ""},
	} {
		t.Run(name, func(t *testing.T) {
			start := append([]Input{applied(1, test.terms)}, ack(2, 1, "eu", schemas.AckPrepared))
			if test.terms.External {
				start = start[:1]
			} else {
				start = append(start, ack(3, 2, "eu", schemas.AckApplied))
			}
			in := slices.Concat(start, []Input{verdictOf(5, VerdictPromote)}, test.in)
			s, words := fold(t, in...)
			expect(t, words[3:], test.want...)
			if s.Status != test.status {
				t.Errorf("%s, want %s", s.Status, test.status)
			}
			_, effects := Step(stateOf(t, in[:len(in)-1]...), in[len(in)-1])
			if test.text != "" && (len(effects) == 0 || !strings.Contains(effects[0].Notice.Sentence, test.text)) {
				t.Errorf("told %+v, want %q", effects, test.text)
			}
		})
	}
}

// TestStageBegins: where a stage begins in the evidence, and from which event time its windows are its own.
func TestStageBegins(t *testing.T) {
	at := func(turn int64, in Input) Input {
		in.Turn = turn
		return in
	}
	begun := func(in ...Input) []StageBegin {
		s, _ := fold(t, after(running(terms(ramp)), in...)...)
		return s.Begun
	}
	advance := at(7, verdictOf(5, VerdictAdvance))
	late := at(9, ack(6, 3, "eu", schemas.AckApplied))
	ahead := at(9, ack(6, 3, "eu", schemas.AckApplied))
	ahead.EventMs = 60_000
	for name, test := range map[string]struct {
		have, want []StageBegin
	}{
		"not followed":                   {begun(advance), []StageBegin{{Turn: 7}}},
		"followed, by the wall":          {begun(advance, late), []StageBegin{{7, 10_000, 9}}},
		"followed, events are ahead":     {begun(advance, ahead), []StageBegin{{7, 60_000, 9}}},
		"followed once":                  {begun(advance, late, at(11, ack(8, 3, "us", schemas.AckApplied))), []StageBegin{{7, 10_000, 9}}},
		"a later decision's ack will do": {begun(advance, at(8, verdictOf(6, VerdictHold)), at(9, ack(6, 4, "eu", schemas.AckApplied))), []StageBegin{{7, 10_000, 9}}},
		"received is not followed":       {begun(advance, at(9, ack(6, 3, "eu", schemas.AckReceived))), []StageBegin{{Turn: 7}}},
		"an earlier one's ack won't do":  {begun(advance, at(9, ack(6, 2, "eu", schemas.AckApplied))), []StageBegin{{Turn: 7}}},
	} {
		if !reflect.DeepEqual(test.have, test.want) {
			t.Errorf("%s: %+v, want %+v", name, test.have, test.want)
		}
	}
}

// TestApprovalSentence says what to do.
func TestApprovalSentence(t *testing.T) {
	s, _ := fold(t, after(running(terms(ramp, approved)), verdictOf(5, VerdictAdvance))...)
	want := "Because. A person must say that stage 2 of 3 (10 % of the traffic) begins: streamcanary rollout advance ranker-42 --comment WHY"
	if s.Why.Code != "approval" || s.Why.Sentence != want {
		t.Errorf("%s: %q, want %q", s.Why.Code, s.Why.Sentence, want)
	}
}

func TestCommands(t *testing.T) {
	breach := verdictOf(5, VerdictContinue)
	breach.Verdict.Breached = []string{"p99"}
	promoting := command(5, CommandPromote, false)
	tests := []struct {
		name string
		in   []Input
		want []string
	}{
		{"pause, and resume", []Input{command(5, CommandPause, false), verdictOf(6, VerdictContinue), verdictOf(7, VerdictAdvance), command(8, CommandResume, false)},
			[]string{"#3 hold 41:9900 42:100 (route)", "#4 resume 41:9900 42:100 over " + id(1, 3) + " (route)"}},
		{"pause twice", []Input{command(5, CommandPause, false), command(6, CommandPause, false)}, []string{"#3 hold 41:9900 42:100 (route)", "!command-refused"}},
		{"a paused one still rolls back", []Input{command(5, CommandPause, false), verdictOf(6, VerdictRollback)},
			[]string{"#3 hold 41:9900 42:100 (route)", "#4 rollback 41:10000 42:0 over " + id(1, 3) + " (route)"}},
		{"advance without proof", []Input{command(5, CommandAdvance, false)}, []string{advance2}},
		{"advance past harm", []Input{breach, command(6, CommandAdvance, false)}, []string{"!command-refused"}},
		{"by override", []Input{breach, command(6, CommandAdvance, true)}, []string{advance2}},
		{"advance past a hold", []Input{verdictOf(5, VerdictHold), command(6, CommandAdvance, false)}, []string{"#3 hold 41:9900 42:100 (route)", "!command-refused"}},
		{"advance out of a pause", []Input{command(5, CommandPause, false), command(6, CommandAdvance, false)},
			[]string{"#3 hold 41:9900 42:100 (route)", "#4 advance 41:9000 42:1000 over " + id(1, 3) + " (route)"}},
		{"advance before routers have followed", []Input{command(5, CommandAdvance, false), command(6, CommandAdvance, false)}, []string{advance2, "!command-refused"}},
		{"promote at once", []Input{command(5, CommandPromote, false)}, []string{"#3 promote 41:0 42:10000 (route)"}},
		{"promote past harm", []Input{breach, command(6, CommandPromote, false)}, []string{"!command-refused"}},
		{"roll back", []Input{command(5, CommandRollback, false)}, []string{"#3 rollback 41:10000 42:0 (route)"}},
		{"a person's rollback beats a promotion", []Input{promoting, command(6, CommandRollback, false), ack(7, 3, "eu", schemas.AckApplied)},
			[]string{"#3 promote 41:0 42:10000 (route)", "#4 rollback 41:10000 42:0 over " + id(1, 3) + " (route)"}},
		{"and stays", []Input{command(5, CommandRollback, false), verdictOf(6, VerdictPromote), command(7, CommandPromote, true), command(8, CommandAdvance, true)},
			[]string{"#3 rollback 41:10000 42:0 (route)", "!command-refused", "!command-refused"}},
		{"roll back what was promoted", []Input{promoting, ack(6, 3, "eu", schemas.AckApplied), command(7, CommandRollback, false)},
			[]string{"#3 promote 41:0 42:10000 (route)", "!command-refused"}},
		{"what there is not", []Input{command(5, "explode", true)}, []string{"!command-refused"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i := range test.in {
				test.in[i].Turn = 5
			}
			_, words := fold(t, after(running(terms(ramp)), test.in...)...)
			expect(t, words[2:], test.want...)
		})
	}
}

// TestCommandOnce: a command that comes twice is obeyed once, what came of it is kept, and a decision says who, why and past what.
func TestCommandOnce(t *testing.T) {
	breach := verdictOf(5, VerdictContinue)
	breach.Verdict.Breached = []string{"p99", "errors"}
	do := command(6, CommandAdvance, true)
	do.Turn, do.Command.ID, do.Command.Actor.Comment = 5, "c-1", "users wait"
	s, words := fold(t, after(running(terms(ramp)), breach, do, do)...)
	expect(t, words[2:], advance2)
	if want := []Commanded{{ID: "c-1", Sum: do.Command.Sum(), Decision: id(1, 3)}}; !reflect.DeepEqual(s.Commanded, want) {
		t.Errorf("commanded %+v, want %+v", s.Commanded, want)
	}
	s, _ = fold(t, after(running(terms(ramp)), breach)...)
	_, effects := Step(s, do)
	d := effects[0].Decision.Decision
	if !reflect.DeepEqual(d.Override, []string{"p99", "errors"}) || d.Actor != do.Command.Actor || d.Stage != 1 ||
		!strings.HasPrefix(d.Reason.Sentence, "ada let the next stage begin, by override past p99, errors: users wait.") {
		t.Errorf("override %v, actor %+v, stage %d: %s", d.Override, d.Actor, d.Stage, d.Reason.Sentence)
	}
	for i := range 3 * MaxCommanded {
		again := do
		c := *do.Command
		again.Command = &c
		c.ID = strings.Repeat("x", i+1)
		s, _ = Step(s, again)
	}
	if len(s.Commanded) != MaxCommanded {
		t.Errorf("%d commands kept", len(s.Commanded))
	}
}

// TestCommandOnceForLong: an id that was obeyed is known after many others, in later epochs, too, and is obeyed no more; what was refused so long ago is looked at anew.
func TestCommandOnceForLong(t *testing.T) {
	ask := func(do CommandKind, id string) Input {
		in := command(6, do, false)
		in.Command.ID = id
		return in
	}
	turns := []CommandKind{CommandPause, CommandResume}
	s := stateOf(t, running(terms(ramp))...)
	s, _ = Step(s, ask(CommandResume, "refused"))
	last := ""
	for i := range MaxCommanded + MaxSpent {
		last = fmt.Sprint("c-", i)
		s, _ = Step(s, ask(turns[i%2], last))
	}
	again := applied(60, terms(ramp))
	again.Applied.Epoch, again.Applied.Prev, again.Applied.Retry = 2, s.Prev, true
	s, _ = Step(s, again)
	for _, test := range []struct {
		in    Input
		taken bool
		want  Commanded
	}{
		{ask(CommandPause, "c-0"), true, Commanded{Decision: id(1, 3)}},
		{ask(CommandResume, "c-1"), true, Commanded{Decision: id(1, 4)}},
		{ask(turns[(MaxCommanded+MaxSpent-1)%2], last), true, Commanded{Decision: id(1, 2+MaxCommanded+MaxSpent)}},
		{ask(CommandRollback, "c-0"), true, Commanded{Refused: "id c-0 was given to another command of this rollout: nothing is done; give this one an id of its own"}},
		{ask(CommandResume, "refused"), false, Commanded{}},
	} {
		have, taken := s.Outcome(test.in.Command)
		if have.ID, have.Sum = "", ""; taken != test.taken || have != test.want {
			t.Errorf("%s %s: %+v, %v; want %+v", test.in.Command.Do, test.in.Command.ID, have, taken, test.want)
		}
		if _, effects := Step(s, test.in); taken && len(effects) > 0 {
			t.Errorf("%s is obeyed again: %s", test.in.Command.ID, said(effects[0]))
		}
	}
	if s, _ = Step(s, ask(CommandPause, "one more")); len(s.Commanded) != MaxCommanded || len(s.Spent) != MaxSpent {
		t.Errorf("%d and %d kept", len(s.Commanded), len(s.Spent))
	}
	if _, taken := s.Outcome(ask(CommandPause, "c-0").Command); taken {
		t.Error("the oldest is not forgotten")
	}
	if b, err := json.Marshal(s.Spent); err != nil || len(b) > MaxHeadBytes/10 {
		t.Errorf("%d bytes of a record (%v)", len(b), err)
	}
}

// TestSupersede: a rollout that another one takes over from ends, and gives back what it had moved.
func TestSupersede(t *testing.T) {
	over := command(6, CommandSupersede, false)
	over.Command.For = "ranker-43"
	s, words := fold(t, after(running(terms(ramp)), over, verdictOf(7, VerdictRollback), over)...)
	expect(t, words[2:], "#3 supersede abort 41:10000 42:0 (route)", "!command-refused")
	if s.Status != StatusSuperseded || !s.Status.Ended() {
		t.Errorf("status %s", s.Status)
	}
	if want := "Rollout ranker-43 takes over from ranker-42 before that ended."; s.Why.Sentence != want {
		t.Errorf("said %q, want %q", s.Why.Sentence, want)
	}
	s, words = fold(t, applied(1, terms(ramp)), over)
	expect(t, words[1:], "#2 supersede abort 41:10000 42:0 over "+id(1, 1)+" (route)")
	if s.Status != StatusSuperseded {
		t.Errorf("while it prepares: %s", s.Status)
	}
	if s, _ = fold(t, after(rolledBack(terms(ramp)), over)...); s.Status != StatusRolledBack {
		t.Errorf("what was rolled back is %s", s.Status)
	}
}

// TestRetry: a new epoch begins with no evidence and no stage, and says which decision it is linked to.
func TestRetry(t *testing.T) {
	s, _ := fold(t, rolledBack(terms(ramp))...)
	last := s.Prev
	again := applied(60, terms(ramp))
	again.Applied.Epoch, again.Applied.Prev, again.Applied.Retry = 2, last, true
	next, effects := Step(s, again)
	d := effects[0].Decision.Decision
	if d.Action != schemas.ActionRetry || d.Phase != schemas.PhasePrepare || d.Supersedes != last.ID || d.Epoch != 2 || d.Seq != 1 {
		t.Errorf("decided %+v", d)
	}
	if next.Stage != 0 || next.Begun != nil || next.Saga != nil || next.Status != StatusPreparing {
		t.Errorf("state %+v", next)
	}
}
