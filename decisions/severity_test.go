package decisions

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// severed is an effect with its severity: "rollback critical"; "" of what nobody is told.
func severed(e Effect) string {
	switch {
	case e.Decision != nil:
		return string(e.Decision.Decision.Action) + " " + string(e.Decision.Decision.Severity)
	case e.Notice != nil:
		return string(e.Notice.Kind) + " " + string(e.Notice.Severity)
	}
	return ""
}

// A severityRow is a history, and how loud the last of what it says is.
type severityRow struct {
	name string
	in   []Input
	want string
}

// couldNot is an answer of a router or a store that it couldn't.
func couldNot(at, seq int64, who string) Input {
	return why(ack(at, seq, who, schemas.AckFailed), "no such backend")
}

// decidedRows are how loud decisions are.
func decidedRows() []severityRow {
	ran, ramped := running(terms(weight)), running(terms(ramp))
	refusal, again := applied(1, terms(weight)), applied(40, terms(weight))
	refusal.Applied.Pillars = []Pillar{registryThat(PillarFailed, true, "version 41 is gone")}
	again.Applied.Epoch, again.Applied.Retry = 2, true
	both := beyond(verdictOf(5, VerdictHold), outage(false))
	both.Verdict.Reason.Code = codeBothArms
	return []severityRow{
		{"a start", ran, "start info, start info"},
		{"a start that a pillar keeps from beginning", []Input{refusal}, "start warning"},
		{"once more", after(drained(terms(weight)), again), "retry info"},
		{"more traffic", after(ramped, verdictOf(5, VerdictAdvance)), "advance info"},
		{"all traffic", after(ran, verdictOf(5, VerdictPromote)), "promote info"},
		{"it gives way", after(ran, command(5, CommandSupersede, false)), "supersede warning"},
		{"no data", after(ran, noData(5)), "hold warning"},
		{"a person is waited for", after(running(terms(ramp, approved)), verdictOf(5, VerdictAdvance), verdictOf(6, VerdictAdvance)), "hold info"},
		{"a person pauses it", after(ran, command(5, CommandPause, false), command(6, CommandResume, false)), "hold info, resume info"},
		{"before it begins", []Input{applied(1, terms(weight)), command(2, CommandPause, false)}, "hold info"},
		{"a person ends a pause under which it is held", after(ran, found(4, "late"), command(5, CommandPause, false), command(6, CommandResume, false)), "hold warning, hold info, hold warning"},
		{"a person freezes it: users' writes aren't taken", after(begun(), command(10, CommandFreeze, false)), "freeze warning"},
		{"before it begins, likewise", []Input{applied(1, terms(stateful)), command(2, CommandFreeze, false)}, "freeze warning"},
		{"harm", after(ran, verdictOf(5, VerdictRollback)), "rollback critical"},
		{"given up before it begins", []Input{applied(1, terms(weight)), command(2, CommandRollback, false)}, "rollback warning"},
		{"state that can't go back", after(begun(illegible), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckRejected)), "rollback critical, ack-refused critical, freeze critical, roll-forward critical"},
		{"no refuge", after(ran, both), "hold warning, roll-forward warning"},
		{"no refuge to go back to", after(ran, beyond(verdictOf(5, VerdictRollback), outage(true))), "rollback critical, roll-forward critical"},
		{"proven while that is carried out", after(ran, verdictOf(5, VerdictRollback), beyond(verdictOf(6, VerdictRollback), outage(true))), "rollback critical, roll-forward critical"},
		{"by a person", after(ran, command(5, CommandRollback, false), beyond(verdictOf(6, VerdictContinue), outage(true))), "rollback critical, roll-forward critical"},
		{"of what only advises", after(running(terms(weight, advise)), beyond(verdictOf(5, VerdictRollback), outage(true))), "rollback critical, roll-forward warning"},
		{"both are beyond it, as far as is seen", after(ran, both, beyond(verdictOf(6, VerdictRollback), outage(false))), "roll-forward warning, rollback critical"},
	}
}

// askedRows are how loud it is that what was asked isn't done.
func askedRows() []severityRow {
	ran, ramped := running(terms(weight)), running(terms(ramp))
	routed := after(begun(), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied))
	return []severityRow{
		{"a start is refused", []Input{applied(1, terms(weight)), couldNot(2, 1, "eu")}, "ack-refused warning"},
		{"its weights are", []Input{applied(1, terms(weight)), ack(2, 1, "eu", schemas.AckPrepared), couldNot(3, 2, "eu")}, "ack-refused warning"},
		{"a snapshot is", []Input{applied(1, terms(stateful)), couldNot(2, 1, "user")}, "ack-refused warning"},
		{"more traffic is", after(ramped, verdictOf(5, VerdictAdvance), couldNot(6, 3, "eu")), "advance info, ack-refused warning"},
		{"all traffic is", after(ran, verdictOf(5, VerdictPromote), couldNot(6, 3, "eu")), "promote info, ack-refused warning"},
		{"a rollback is", after(ran, verdictOf(5, VerdictRollback), couldNot(6, 3, "eu")), "ack-refused critical"},
		{"one of what was never tried is", []Input{applied(1, terms(weight)), command(2, CommandRollback, false), couldNot(3, 2, "eu")}, "ack-refused warning"},
		{"a restore is", after(routed, couldNot(14, 5, "user")), "ack-refused critical"},
		{"a freeze is", after(begun(), command(10, CommandFreeze, false), couldNot(11, 3, "user")), "ack-refused critical"},
		{"that stores take writes again is", after(frozenNow(), command(13, CommandResume, false), couldNot(14, 4, "user")), "ack-refused critical"},
		{"a start is not answered", []Input{applied(1, terms(weight)), expire(11, id(1, 1)+"/acks")}, "acks-overdue warning"},
		{"more traffic isn't, and is at last", after(ramped, verdictOf(5, VerdictAdvance), expire(15, id(1, 3)+"/acks"), ack(16, 3, "eu", schemas.AckApplied)), "acks-overdue warning, acks-complete info"},
		{"all traffic isn't", after(ran, verdictOf(5, VerdictPromote), expire(15, id(1, 3)+"/acks")), "acks-overdue warning"},
		{"a rollback isn't", after(ran, verdictOf(5, VerdictRollback), expire(15, id(1, 3)+"/route")), "acks-overdue critical"},
		{"a freeze isn't", after(begun(), command(10, CommandFreeze, false), expire(40, id(1, 3)+"/acks")), "acks-overdue critical"},
		{"that stores take writes again isn't, and is at last", after(frozenNow(), command(13, CommandResume, false), ack(14, 4, "item", schemas.AckApplied), expire(43, id(1, 4)+"/thaw"), ack(44, 4, "user", schemas.AckApplied)),
			"acks-overdue critical, writes-again info"},
	}
}

// noticedRows are how loud the other notices are.
func noticedRows() []severityRow {
	ran := running(terms(weight))
	suspect := func(at int64, state schemas.State, warns bool) Input {
		in := verdictOf(at, VerdictContinue)
		in.Verdict.Concerns = []Concern{{"p99", state, "It is slow.", warns}}
		return in
	}
	gone := registryThat(PillarFailed, true, "version 41 is gone")
	heirs := windowsOf(20, 1, 200, 0)
	heirs[0].Traffic.Beyond = []Beyond{outage(true)}
	return []severityRow{
		{"the canary stays in the stream", after(rolledBack(terms(weight)), ack(6, 3, "eu", schemas.AckApplied), expire(66, id(1, 3)+"/verify")), "drain-overdue critical"},
		{"it has drained", drained(terms(weight)), "rollback-completed info"},
		{"a rolled back version has users again", after(drained(terms()), windowsOf(20, 5, 190, 10)...), "retired-serves critical"},
		{"a baseline stays, and goes", after(followed(terms()), after(windowsOf(60, 5, 20, 180), retiredAt(66), quietAt(186))...), "retired-serves warning, retired-over info"},
		{"a sink is late", after(rolledBack(terms(weight, told)), expire(35, id(1, 3)+"/registry-mlflow"), ack(36, 3, "mlflow", schemas.AckApplied)), "sink-overdue warning, sink-done info"},
		{"a sink refuses", after(rolledBack(terms(weight, told)), couldNot(8, 3, "mlflow")), "sink-refused warning"},
		{"and the next rollout has begun", after(running(terms(told)), verdictOf(5, VerdictPromote), ack(6, 3, "eu", schemas.AckApplied), couldNot(8, 3, "mlflow"), later(9, id(1, 3)+"/registry-mlflow")),
			"sink-refused warning, handed-on info"},
		{"a person is refused", after(ran, command(5, CommandResume, false)), "command-refused warning"},
		{"it is deleted after its end", after(drained(terms(weight)), command(30, CommandDelete, false)), "rollout-deleted info"},
		{"a guardrail is suspect", after(ran, suspect(5, schemas.StateSuspect, false), suspect(6, schemas.StateContinue, false)), "guardrail-suspect warning, guardrail-clear info"},
		{"one that only warns", after(ran, suspect(5, schemas.StateFailed, true)), "guardrail-warning warning"},
		{"alerts are left out", after(running(terms(guarded)), leftOut(20, "a", 7), leftOut(21, "a", 0)), "alerts-truncated warning, alerts-whole info"},
		{"the baseline is beyond its limit", after(ran, beyond(verdictOf(5, VerdictContinue), outage(true))), "baseline-beyond warning"},
		{"and has all users", slices.Concat(drained(terms(weight)), heirs, windowsOf(30, 300, 200, 0)), "no-refuge critical, no-refuge-over info"},
		{"the share is amiss", after(ran, withAmiss(verdictOf(5, VerdictContinue), "off_plan"), verdictOf(6, VerdictContinue)), "share-off-plan warning, share-as-planned info"},
		{"a pillar fails", after(ran, looked(10, gone), looked(20, registryThat(PillarHeld, false))), "pillar-failed warning, hold warning, pillar-held info, resume info"},
	}
}

// TestSeverities: how loud something is follows what becomes of users. Critical: harm stays, or their writes are lost. A warning: the canary gets no more traffic, or something is amiss, and
// users are served as before. What a person does to a rollout that changes nothing for users, and the end of something, is info. Every action and every kind of notice has a row.
func TestSeverities(t *testing.T) {
	said := map[string]bool{}
	for _, row := range slices.Concat(decidedRows(), askedRows(), noticedRows()) {
		_, words := foldWith(t, severed, row.in...)
		words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
		want := strings.Split(row.want, ", ")
		if have := words[max(0, len(words)-len(want)):]; !slices.Equal(have, want) {
			t.Errorf("%s: %s, want %s", row.name, strings.Join(words, ", "), row.want)
		}
		for _, w := range want {
			name, _, _ := strings.Cut(w, " ")
			said[name] = true
		}
	}
	elsewhere := []string{string(schemas.NoticeRolloutLost), string(schemas.NoticeRolloutFound), string(schemas.NoticeForeignDecision), string(schemas.NoticeForeignOver)} // cmd/serve, TestSeveritiesBeside
	for _, name := range slices.Concat(namesOfType(t, "notice.go", "NoticeKind"), namesOfType(t, "decision.go", "Action")) {
		if said[name] == slices.Contains(elsewhere, name) {
			t.Errorf("%s: has a row here: %t", name, said[name])
		}
	}
}

// namesOfType are the values of the constants of a type in a file of schemas.
func namesOfType(t *testing.T, file, typed string) []string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), "../schemas/"+file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(tree, func(n ast.Node) bool {
		spec, is := n.(*ast.ValueSpec)
		if !is || spec.Type == nil {
			return true
		}
		if name, is := spec.Type.(*ast.Ident); is && name.Name == typed {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, value)
		}
		return true
	})
	if len(all) == 0 {
		t.Fatalf("%s has no constants of type %s", file, typed)
	}
	return all
}
