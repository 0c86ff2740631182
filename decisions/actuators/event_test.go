package actuators

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// constants are the names and values of the constants of a type in a file.
func constants(t *testing.T, file, typed string) map[string]string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	ast.Inspect(tree, func(n ast.Node) bool {
		spec, is := n.(*ast.ValueSpec)
		if !is || spec.Type == nil {
			return true
		}
		if name, is := spec.Type.(*ast.Ident); is && name.Name == typed {
			all[spec.Names[0].Name], err = strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		}
		return true
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%s has %d constants of type %s (%v)", file, len(all), typed, err)
	}
	return all
}

// makers is the text of the packages that make notices.
func makers(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"../*.go", "../../cmd/serve/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(file, "_test.go") {
				all.Write(text)
			}
		}
	}
	return all.String()
}

// actionEnds is what ends what a decision has raised, likewise: a notice or a decision.
var actionEnds = map[schemas.Action]*Event{
	schemas.ActionRollback:    ofKind(schemas.NoticeRollbackCompleted),
	schemas.ActionFreeze:      ofKind(schemas.NoticeRollbackCompleted),
	schemas.ActionRollForward: ofKind(schemas.NoticeRollbackCompleted),
	schemas.ActionHold:        ofAction(schemas.ActionResume, "", schemas.Info),
	schemas.ActionStart:       ofAction(schemas.ActionStart, schemas.PhaseCommit, schemas.Info), // what an abort has raised
	schemas.ActionRetry:       ofAction(schemas.ActionStart, schemas.PhaseCommit, schemas.Info), // likewise
}

func ofKind(k schemas.NoticeKind) *Event { return noticeOf(schemas.SinkPagerDuty, k, schemas.Critical) }

func ofAction(a schemas.Action, phase schemas.Phase, severity schemas.Severity) *Event {
	d := rollback()
	d.Action, d.Phase, d.Severity = a, phase, severity
	return eventOf(schemas.SinkPagerDuty, d)
}

// TestAlarmsEnd walks over all kinds of notices and all actions: each is known, each that raises an alarm has an end, which is one, and each end ends something, and is made somewhere.
func TestAlarmsEnd(t *testing.T) {
	made := makers(t)
	ends := []schemas.NoticeKind{schemas.NoticeRolloutDeleted}
	for _, list := range ownEnds {
		ends = append(ends, list...)
	}
	for name, value := range constants(t, "../../schemas/notice.go", "NoticeKind") {
		kind := schemas.NoticeKind(value)
		what, known := alarms[kind]
		if !known || !strings.Contains(made, "schemas."+name) {
			t.Errorf("%s: known to alarms: %t; made by nobody: %t", name, known, !strings.Contains(made, "schemas."+name))
		}
		if (what == raise) != (ownEnds[kind] != nil) || (what == over) != slices.Contains(ends, kind) {
			t.Errorf("%s: it is %d to people on call (0 nothing, 1 raised, 2 over), ended by %v", name, what, ownEnds[kind])
		}
		for _, end := range ownEnds[kind] {
			if ofKind(end).alarm() != over {
				t.Errorf("%s is no end of %s", end, name)
			}
		}
	}
	for name, value := range constants(t, "../../schemas/decision.go", "Action") {
		for _, phase := range []schemas.Phase{"", schemas.PhasePrepare, schemas.PhaseCommit, schemas.PhaseAbort} {
			e := ofAction(schemas.Action(value), phase, schemas.Critical)
			if end := actionEnds[schemas.Action(value)]; e.alarm() == raise && (end == nil || end.alarm() != over) {
				t.Errorf("nothing ends %s %s", name, phase)
			}
		}
	}
}

// TestIncidentsEnd: each incident that has a name of its own is ended by what ends its cause, by a deletion, and by a new epoch.
func TestIncidentsEnd(t *testing.T) {
	overdue := func(order schemas.StateDo) *Event {
		e := ofKind(schemas.NoticeAcksOverdue)
		e.Notice.Attempt, e.Notice.Order = stuckDeadlines, order
		return e
	}
	ordered := func(k schemas.NoticeKind, order schemas.StateDo) *Event {
		e := ofKind(k)
		e.Notice.Severity, e.Notice.Order = schemas.Info, order
		return e
	}
	deleted := ofAction(schemas.ActionFreeze, schemas.PhaseAbort, schemas.Critical)
	deleted.Decision.Reason.Code = schemas.ReasonDeleted
	begun, resumed := ofAction(schemas.ActionStart, schemas.PhaseCommit, schemas.Info), ofAction(schemas.ActionResume, "", schemas.Info)
	freeze, unfreeze := schemas.StateFreeze, schemas.StateUnfreeze
	for name, x := range map[string]struct {
		raised *Event
		ends   []*Event
		stays  []*Event
	}{
		incidentStuck: {overdue(""), []*Event{ofKind(schemas.NoticeRollbackCompleted), ofKind(schemas.NoticeRolloutDeleted), deleted, begun}, []*Event{resumed, ordered(schemas.NoticeWritesAgain, unfreeze)}},
		incidentState: {overdue(freeze), []*Event{ordered(schemas.NoticeAcksComplete, freeze), ordered(schemas.NoticeWritesAgain, unfreeze), ordered(schemas.NoticeHandedOn, unfreeze),
			ofKind(schemas.NoticeRollbackCompleted), ofKind(schemas.NoticeRolloutDeleted), deleted, begun, resumed},
			[]*Event{ordered(schemas.NoticeSinkDone, ""), ordered(schemas.NoticeAckRefused, freeze), ofAction(schemas.ActionHold, "", schemas.Warning)}},
		incidentForward: {ofAction(schemas.ActionRollForward, "", schemas.Critical), []*Event{ofKind(schemas.NoticeRollbackCompleted), ofKind(schemas.NoticeNoRefugeOver), ofKind(schemas.NoticeRolloutDeleted), deleted, begun},
			[]*Event{waiting("no_refuge"), ofKind(schemas.NoticeNoRefuge), ofKind(schemas.NoticeSinkDone), resumed, ofAction(schemas.ActionRollForward, "", schemas.Warning)}},
	} {
		for _, e := range slices.Concat([]*Event{x.raised}, x.ends, x.stays) {
			shared := *e.Rollout
			shared.State.Mode, e.Rollout = schemas.StateShared, &shared
		}
		of := func(e *Event) alarm {
			for _, have := range e.incidents() {
				if have.name == name {
					return have.what
				}
			}
			return quiet
		}
		if all := x.raised.incidents(); len(all) != 1 || all[0] != (incident{name, schemas.Critical, raise, ""}) {
			t.Errorf("%s: raised as %+v", name, all)
		}
		for _, e := range x.ends {
			if of(e) != over {
				t.Errorf("%s: %s doesn't end it", name, e.title())
			}
		}
		for _, e := range x.stays {
			if of(e) != quiet {
				t.Errorf("%s: %s is %d to it", name, e.title(), of(e))
			}
		}
	}
	if deleted.Urgent() || !deleted.Ends() || (&Event{Decision: deleted.Decision}).Urgent() || !overdue(freeze).Urgent() || overdue(freeze).Ends() {
		t.Error("what ends an incident goes before what has raised it")
	}
	but := ofKind(schemas.NoticeRollbackCompleted)
	if but.Notice.Waiting = []string{"registry-mlflow"}; !but.Ends() { // that it was stuck
		t.Error("it ends nothing")
	}
	if all := overdue(unfreeze).incidents(); len(all) != 1 || all[0].name != incidentState { // of a store that an earlier rollout had
		t.Errorf("of a rollout without state: %+v", all)
	}
}

// TestWhatStands walks over all that ends a rollout's incident, decisions and events: while something else stands that people were told of, none does but a deletion. What stores were asked is
// over all the same, and so is that a rollback is stuck.
func TestWhatStands(t *testing.T) {
	var ends []*Event
	for _, action := range constants(t, "../../schemas/decision.go", "Action") {
		for _, phase := range []schemas.Phase{"", schemas.PhasePrepare, schemas.PhaseCommit, schemas.PhaseAbort} {
			ends = append(ends, ofAction(schemas.Action(action), phase, schemas.Info))
		}
	}
	for kind := range alarms {
		ends = append(ends, ofKind(kind))
	}
	over, stay := incident{severity: schemas.Critical, what: over}, 0
	for _, e := range ends {
		if e.alarm() != over.what || !slices.Contains(e.incidents(), over) {
			continue
		}
		stay++
		e.Standing = []string{"p99"}
		if slices.Contains(e.incidents(), over) != e.deletes() {
			t.Errorf("%s, while something stands: %+v", e.title(), e.incidents())
		}
	}
	if stay < 20 {
		t.Errorf("only %d end anything", stay)
	}
	e := ofAction(schemas.ActionResume, "", schemas.Info)
	e.Decision.State, e.Standing = []schemas.StateOrder{{Store: "user", Do: schemas.StateUnfreeze}}, []string{"p99"}
	if all := e.incidents(); !slices.Equal(all, []incident{{incidentState, schemas.Critical, over.what, ""}}) {
		t.Errorf("the end of a freeze: %+v", all)
	}
	e = ofKind(schemas.NoticeRollbackCompleted)
	if e.Standing = []string{"foreign-decision"}; !slices.Contains(e.incidents(), incident{incidentStuck, schemas.Critical, over.what, ""}) {
		t.Errorf("the end of a rollback: %+v", e.incidents())
	}
}

// TestAlertmanagerLinks: what the rollout links to stands beside its runbook.
func TestAlertmanagerLinks(t *testing.T) {
	e := ofKind(schemas.NoticeAcksOverdue)
	r := *e.Rollout
	r.Annotations, e.Rollout = map[string]string{"runbook": "wiki: ranker", "grafana.dashboard": "https://grafana/d/1", "trace_url": "https://t", "note": "no link"}, &r
	have := alertOf(e, &incident{severity: schemas.Critical}, 0).Annotations
	if have["runbook_url"] != "wiki: ranker" || have["grafana_dashboard_url"] != "https://grafana/d/1" || have["trace_url"] != "https://t" || len(have) != 7 {
		t.Errorf("annotations %v", have)
	}
}

// TestAlertmanagerNames: what is stuck is named for what it is.
func TestAlertmanagerNames(t *testing.T) {
	within(t, schemas.SinkAlertmanager, nil, func(w *world) {
		for order, want := range map[schemas.StateDo]string{"": "StreamcanaryRollbackStuck", schemas.StateFreeze: "StreamcanaryStateStuck", schemas.StateUnfreeze: "StreamcanaryStateStuck"} {
			e := noticeOf(w.kind, schemas.NoticeAcksOverdue, schemas.Critical)
			e.Notice.Attempt, e.Notice.Order = stuckDeadlines, order
			w.all = nil
			if err := w.sink.Act(w.Context(), e); err != nil {
				w.Fatal(err)
			}
			var raised []amAlert
			if err := json.Unmarshal([]byte(w.all[0].body), &raised); err != nil || len(raised) != 1 || raised[0].Labels["alertname"] != want {
				w.Errorf("%q: raised %+v (%v), want %s", order, raised, err, want)
			}
		}
	})
}

// TestSince: what comes late ends no incident that was raised meanwhile, and all others, and raises none that has become critical meanwhile.
func TestSince(t *testing.T) {
	begun := ofAction(schemas.ActionStart, schemas.PhaseCommit, schemas.Info)
	another := ofAction(schemas.ActionRollback, "", schemas.Critical)
	rollout := *another.Rollout
	rollout.Name = "another"
	another.Rollout = &rollout
	ends := func(since ...*Event) string {
		e := *begun
		e.Since = since
		return fmt.Sprint(e.incidents())
	}
	all := ends()
	if got := ends(another, begun); got != all {
		t.Errorf("behind what raised nothing of the rollout it ends %s, want %s", got, all)
	}
	suspect, critical := noticeOf(schemas.SinkPagerDuty, schemas.NoticeGuardrailSuspect, schemas.Warning), ofAction(schemas.ActionRollback, "", schemas.Critical)
	for _, test := range []struct {
		since  []*Event
		raises bool
	}{{nil, true}, {[]*Event{another, begun}, true}, {[]*Event{critical}, false}} {
		suspect.Since = test.since
		if suspect.Raises() != test.raises || suspect.Past() == test.raises {
			t.Errorf("behind %v what is suspect raises %v, want it to: %t", test.since, suspect.incidents(), test.raises)
		}
	}
	if got, want := ends(ofAction(schemas.ActionRollback, "", schemas.Critical)), strings.Replace(all, "{ critical 2 } ", "", 1); got != want || got == all {
		t.Errorf("behind a rollback it ends %s, want %s of %s", got, want, all)
	}
}

// TestPeopleReadWhatIsReadable: a comment that breaks lines, or turns text around, is quoted where it goes to people, and is in what was signed to the byte.
func TestPeopleReadWhatIsReadable(t *testing.T) {
	const foul = "look\n*all is well*\u202e\x1b[31m"
	const shown = `look\n*all is well*\u202e\x1b[31m`
	d := rollback()
	d.Actor = schemas.Actor{Kind: "person", Name: "ada\u202e", Comment: foul}
	d.Reason.Sentence = "ada rolled 42 back: " + foul + "."
	for kind, text := range map[schemas.SinkKind]string{
		schemas.SinkSlack:        fmt.Sprint(slackOf(eventOf(schemas.SinkSlack, d))),
		schemas.SinkPagerDuty:    fmt.Sprint(detailsOf(eventOf(schemas.SinkPagerDuty, d))),
		schemas.SinkAlertmanager: fmt.Sprint(alertOf(eventOf(schemas.SinkAlertmanager, d), &incident{severity: schemas.Critical}, 0)),
	} {
		if strings.ContainsAny(text, "\n\u202e\x1b") || !strings.Contains(text, `"ada rolled 42 back: `+shown+`."`) {
			t.Errorf("%s: %q", kind, text)
		}
	}
	if text := eventOf(schemas.SinkSlack, d).actor(); text != `"ada\u202e": "`+shown+`"` {
		t.Errorf("by %s", text)
	}
}

// TestFreezeGoesOnAsAWarning: where stores answer a person's freeze late, or that is what ends what was told of writes, what is critical is over, and a warning says what stands, and how that ends.
func TestFreezeGoesOnAsAWarning(t *testing.T) {
	for kind, order := range map[schemas.NoticeKind]schemas.StateDo{schemas.NoticeAcksComplete: schemas.StateFreeze, schemas.NoticeHandedOn: schemas.StateUnfreeze} {
		e := noticeOf(schemas.SinkPagerDuty, kind, schemas.Info)
		e.Notice.Order, e.Notice.Waiting, e.Notice.Sentence = order, []string{heldFrozen}, "It is over."
		want := []incident{{severity: schemas.Critical, what: over}, {severity: schemas.Warning, what: fallen}, {incidentState, schemas.Critical, over, ""}}
		if have := e.incidents(); !slices.Equal(have, want) {
			t.Errorf("%s: %+v, want %+v", kind, have, want)
		}
		text := "It is over. What stands of it is this: frozen. It lasts until somebody ends it: `streamcanary rollout resume ranker-42 --comment WHY`."
		if have := e.textAt(schemas.Warning); have != text {
			t.Errorf("%s: %q, want %q", kind, have, text)
		}
	}
}

// TestNamesOfTheFile: what a rollout's file calls as a sink's step, or as a person's freeze, is called isn't taken for one: the incident stays as critical as it was.
func TestNamesOfTheFile(t *testing.T) {
	files := map[string]schemas.Rollout{
		"a guardrail":              {Guardrails: []schemas.Guardrail{{Name: heldFrozen}, {Name: heldChronic}, {Name: "registry-errors"}, {Name: "alert-rate"}, {Name: "alert-pagerduty"}, {Name: "no_refuge"}, {Name: "retired 41"}}},
		"a guardrail from outside": {Alerts: []schemas.AlertGuardrail{{Name: heldFrozen}, {Name: heldChronic}, {Name: "registry-errors"}, {Name: "alert-rate"}, {Name: "alert-pagerduty"}, {Name: "no_refuge"}, {Name: "retired 41"}}},
		"a router":                 {Acks: schemas.Acks{Routers: []string{heldFrozen, heldChronic, "registry-errors", "alert-rate", "alert-pagerduty", "no_refuge", "retired 41"}}},
		"a store":                  {State: schemas.StateSpec{Stores: []string{heldFrozen, heldChronic, "registry-errors", "alert-rate", "alert-pagerduty", "no_refuge", "retired 41"}}},
		"nothing":                  {},
	}
	for what, r := range files {
		r.Name, r.Model = "ranker-42", "ranker"
		for _, name := range []string{heldFrozen, heldChronic, "registry-errors", "alert-rate", "alert-pagerduty", "no_refuge", "retired 41"} {
			e := noticeOf(schemas.SinkPagerDuty, schemas.NoticeGuardrailClear, schemas.Info)
			e.Rollout, e.Notice.Waiting = &r, []string{name}
			if have, want := e.Ends(), what == "nothing"; have != want {
				t.Errorf("%s is called %s: the end of something else ends the critical incident: %t, want %t (%+v)", what, name, have, want, e.incidents())
			}
			if have, want := e.EndsButForTelling(), what == "nothing"; have != want {
				t.Errorf("%s is called %s: it would but for telling: %t, want %t", what, name, have, want)
			}
		}
	}
}

// TestFreezeSaysHowItEnds: who is paged by a person's freeze did not do it, and only a person ends it.
func TestFreezeSaysHowItEnds(t *testing.T) {
	r := &schemas.Rollout{Name: "ranker-42", Model: "ranker"}
	for kind, want := range map[string]string{
		"person": "root froze it: why. It lasts until somebody ends it: `streamcanary rollout resume ranker-42 --comment WHY`.",
		"engine": "root froze it: why.",
	} {
		d := &schemas.Decision{Action: schemas.ActionFreeze, Actor: schemas.Actor{Kind: kind, Name: "root"}, Reason: schemas.Reason{Sentence: "root froze it: why."}}
		if have := OfDecision(d, schemas.Signed{}, r, nil).sentence(); have != want {
			t.Errorf("by %s: %q, want %q", kind, have, want)
		}
	}
}
