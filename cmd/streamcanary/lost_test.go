package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestLostFirst: that the service no longer decides for a rollout, or that a decision isn't published, stands before all else that is shown of it.
func TestLostFirst(t *testing.T) {
	head := decisions.Head{State: decisions.State{Terms: decisions.Terms{Rollout: "r", Model: "m", Mode: schemas.Enforce}, Epoch: 1, Status: decisions.StatusRolledBack}}
	unpublished := head
	unpublished.Outbox = []decisions.Entry{{Kind: decisions.EntryDecision, ID: "r.1.2", Published: true}, {Kind: decisions.EntryNotice, ID: "n"}, {Kind: decisions.EntryDecision, ID: "r.1.3"}}
	lost := &serve.Standing{Rollout: "r", Epoch: 1, Lost: "another one decides"}
	for _, row := range []struct {
		name string
		head decisions.Head
		live *serve.Standing
		want string
	}{
		{"nothing", head, &serve.Standing{Rollout: "r", Epoch: 1}, "r: model m"},
		{"lost", unpublished, lost, "LOST: another one decides\n\nr: model m"},
		{"standing by", unpublished, &serve.Standing{Rollout: "r", Epoch: 1, Lost: "another one decides", StandsBy: true}, "STANDS BY: another one decides\n\nr: model m"},
		{"not published", unpublished, nil, "NOT PUBLISHED: r.1.3: decided and stored"},
	} {
		v := viewOf(&row.head, row.live)
		var out bytes.Buffer
		if err := printView(&out, &v); err != nil || !strings.HasPrefix(out.String(), row.want) {
			t.Errorf("%s: shown is (%v)\n%s\nwant first\n%s", row.name, err, out.String(), row.want)
		}
	}
	var out, told bytes.Buffer
	line := lineOf(&bus.Spec{Rollout: "r"}, &head.State, lost)
	if err := printRollouts(&console{out: &out, err: &told}, []rolloutLine{line}); err != nil || told.String() != "rollout r is LOST: another one decides\n" || !strings.Contains(out.String(), "LOST, rolled-back") {
		t.Errorf("listed is (%v)\n%s%s", err, told.String(), out.String())
	}
	out.Reset()
	told.Reset()
	beside := line
	beside.StandsBy = true
	if err := printRollouts(&console{out: &out, err: &told}, []rolloutLine{beside}); err != nil || strings.Contains(told.String()+out.String(), "LOST") || !strings.Contains(told.String(), "another serve than the one that was asked: another one decides") {
		t.Errorf("listed is (%v)\n%s%s", err, told.String(), out.String())
	}
	out.Reset()
	told.Reset()
	const together = "rollouts r, r are decided for by another serve than the one that was asked: `streamcanary rollout show NAME` says of each by which, and when this one goes on\nrollout r is LOST: another one decides\n"
	if err := printRollouts(&console{out: &out, err: &told}, []rolloutLine{beside, line, beside}); err != nil || told.String() != together {
		t.Errorf("told of several (%v)\n%s\nwant\n%s", err, told.String(), together)
	}
	out.Reset()
	if err := printRollouts(&console{out: &out, err: &told, json: true}, []rolloutLine{line}); err != nil || !strings.Contains(out.String(), `"status":"rolled-back","lost":"another one decides"`) {
		t.Errorf("listed is (%v) %s", err, out.String())
	}
}

// TestRoutesOfTheLost: the record's routes are no word of what routers have where nobody decides any more, or where they are not published.
func TestRoutesOfTheLost(t *testing.T) {
	split, back := []schemas.Route{{Version: "41", WeightBP: 8000}, {Version: "42", WeightBP: 2000}}, []schemas.Route{{Version: "41", WeightBP: 10000}, {Version: "42"}}
	body, err := schemas.EncodeDecision("serve", &schemas.Decision{ID: "r.1.3", Epoch: 1, Seq: 3, Model: "m", Rollout: "r", Mode: schemas.Enforce, Action: schemas.ActionRollback, Severity: schemas.Warning,
		Routes: back, PreviousRoutes: split, Actor: schemas.Actor{Kind: "engine"}, Reason: schemas.Reason{Code: "x", Sentence: "X."}, EventTime: 1})
	if err != nil {
		t.Fatal(err)
	}
	head := decisions.Head{State: decisions.State{Terms: decisions.Terms{Rollout: "r", Model: "m"}, Epoch: 1, Status: decisions.StatusRolledBack, Routes: back}}
	unpublished := head
	unpublished.Outbox = []decisions.Entry{{Kind: decisions.EntryDecision, ID: "r.1.3", Body: body}}
	const routes = "routes: 41 100.00 %, 42 0.00 %\n"
	for name, x := range map[string]struct {
		head decisions.Head
		lost string
		want string
	}{
		"it is decided for":  {head, "", "judged up to -\n" + routes},
		"it is lost":         {head, "the log is gone", "routers: may have others than the routes below, which are the record's: see LOST\n" + routes},
		"it isn't published": {unpublished, "", "routers: were told last 41 80.00 %, 42 20.00 %: the routes below are decided, and not published\n" + routes},
	} {
		v := viewOf(&x.head, &serve.Standing{Rollout: "r", Epoch: 1, Lost: x.lost})
		var out bytes.Buffer
		if err := printView(&out, &v); err != nil || !strings.Contains(out.String(), x.want) {
			t.Errorf("%s: shown is (%v)\n%s\nwant in it\n%s", name, err, out.String(), x.want)
		}
	}
}

// TestUnchangedAndLost: a file that is applied again to a rollout that is lost isn't told to run.
func TestUnchangedAndLost(t *testing.T) {
	for standing, want := range map[string]string{
		`{"rollout":"r","lost":"the log is gone"}`:                      "rollout r (running, epoch 3) is of this very file, so nothing is changed, and it is LOST: the log is gone",
		`{"rollout":"r"}`:                                               "",
		`{"rollout":"r","lost":"another one decides","stands_by":true}`: "",
	} {
		live := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[" + standing + "]")) }))
		var told bytes.Buffer
		a := application{rollout: &schemas.Rollout{Name: "r"}, at: serve.Addresses{HTTP: live.Listener.Addr().String()}}
		err := unchanged(t.Context(), &console{out: &told, err: &told}, &a, &place{head: decisions.Head{State: decisions.State{Epoch: 3, Status: decisions.StatusRunning}}})
		live.Close()
		if (err == nil) != (want == "") || err != nil && err.Error() != want || err == nil && !strings.Contains(told.String(), "runs already") {
			t.Errorf("%s: %v, told %s", standing, err, told.String())
		}
	}
}

// TestForgottenLines: what the service knows to be under way, and nobody has a file of, is listed; what was refused, has ended, or has a file, is no such thing. Of a file without a record it says where its rollout stands.
func TestForgottenLines(t *testing.T) {
	live := map[string]*serve.Standing{
		"b": {Rollout: "b", Model: "m", Status: "unknown", Epoch: 2, Seq: 3, Lost: "its record is gone"}, "a": {Rollout: "a", Lost: "another one decides"}, "c": {Rollout: "c", Refused: "no"},
		"d": {Rollout: "d", Status: decisions.StatusRunning, Epoch: 4, Seq: 2}, "e": {Rollout: "e", Status: decisions.StatusRolledBack},
	}
	lines := forgottenLines([]bus.Spec{{Rollout: "a"}}, live)
	if len(lines) != 2 || lines[1].Rollout != "d" || lines[1].Status != "running" || lines[1].Epoch != 4 || lines[0].Rollout != "b" || lines[0].Status != "unknown" || lines[0].Lost != "its record is gone" || lines[0].Seq != 3 {
		t.Errorf("listed are %+v", lines)
	}
	if line := lineOf(&bus.Spec{Rollout: "b"}, &decisions.State{}, live["b"]); line.Status != "unknown" || line.Lost == "" || line.Epoch != 2 || line.Seq != 3 {
		t.Errorf("a file without a record: %+v", line)
	}
}

// TestListOfWhatStands: the list has what people were told of and isn't over, beside whose answers are waited for, also of what has ended.
func TestListOfWhatStands(t *testing.T) {
	harmed := decisions.State{Terms: decisions.Terms{Mode: schemas.Enforce}, Status: decisions.StatusRolledBack, Saga: &decisions.Saga{}, Retired: &decisions.Retired{Harmed: true}}
	gone := harmed
	gone.Status = decisions.StatusDeleted
	suspect := decisions.State{Status: decisions.StatusRunning, Suspected: []string{"errors"}, Wait: &decisions.Wait{Stores: []string{"router-a"}, NoRouter: true, Told: true}}
	for name, x := range map[string]struct {
		state      decisions.State
		text, json string
	}{
		"all users are harmed": {harmed, "stands: no_refuge\n", `"stands":["no_refuge"]`},
		"it was only advised":  {decisions.State{Terms: decisions.Terms{Mode: schemas.Advise}, Status: decisions.StatusRolledBack}, "stands: advised rollback\n", `"stands":["advised rollback"]`},
		"it was deleted":       {gone, "-\n", ""},
		"suspect":              {suspect, "router-a; stands: errors, router-a\n", `"stands":["errors","router-a"]`},
		"an approval":          {decisions.State{Status: decisions.StatusHolding, Hold: &decisions.Hold{Code: "approval"}}, "a person (approval)\n", ""},
		"a pause, and an answer that is missing": {decisions.State{Status: decisions.StatusHolding, Hold: &decisions.Hold{Code: "paused", Sticky: true}, Wait: &decisions.Wait{Stores: []string{"router-a"}, NoRouter: true}},
			"router-a, a person (paused)\n", ""},
		"a hold of the engine": {decisions.State{Status: decisions.StatusHolding, Hold: &decisions.Hold{Code: "undecided"}}, "-\n", ""},
		"nothing":              {decisions.State{Status: decisions.StatusPromoted}, "-\n", ""},
	} {
		line := lineOf(&bus.Spec{Rollout: "r"}, &x.state, nil)
		var text, lines, told bytes.Buffer
		if err := errors.Join(printRollouts(&console{out: &text, err: &told}, []rolloutLine{line}), printRollouts(&console{out: &lines, err: &told, json: true}, []rolloutLine{line})); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(text.String(), " "+x.text) || !strings.Contains(lines.String(), x.json) || strings.Contains(lines.String(), "stands") != (x.json != "") {
			t.Errorf("%s: %q and %s", name, text.String(), lines.String())
		}
	}
}
