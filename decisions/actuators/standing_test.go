package actuators

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
)

// raising is an event that raises an incident of a rollout at a second: its own, or that its rollback is stuck.
func raising(rollout, incident string, severity schemas.Severity, second int64) *Event {
	n := schemas.Notice{ID: fmt.Sprint(rollout, second), Kind: schemas.NoticeAcksOverdue, Severity: severity, Model: "ranker", Rollout: rollout, Epoch: 1, Sentence: "S.", At: schemas.Time(second * 1000)}
	if incident == incidentStuck {
		n.Attempt = stuckDeadlines
	}
	return OfNotice(&n, &schemas.Rollout{Name: rollout, Model: "ranker", Mode: schemas.Enforce}, &schemas.SinkUse{Kind: schemas.SinkAlertmanager, Sink: "x"})
}

// ending is one that ends all of them.
func ending(rollout string, second int64) *Event {
	e := raising(rollout, "", schemas.Info, second)
	e.Notice.Kind = schemas.NoticeRollbackCompleted
	return e
}

// leaving is the end of a rollback that leaves something.
func leaving(rollout string, second int64, waiting ...string) *Event {
	e := ending(rollout, second)
	e.Notice.Waiting = waiting
	return e
}

func critical(e *Event) *Event {
	e.Notice.Severity = schemas.Critical
	return e
}

// suspecting tells that guardrails are suspect.
func suspecting(rollout string, second int64, names ...string) *Event {
	e := raising(rollout, "", schemas.Critical, second)
	e.Notice.Kind, e.Notice.Guardrails = schemas.NoticeGuardrailSuspect, names
	return e
}

// clearing tells that one isn't any more, and what else stands; nil: all is over.
func clearing(rollout string, second int64, name string, waiting ...string) *Event {
	e := suspecting(rollout, second, name)
	e.Notice.Kind, e.Notice.Severity, e.Notice.Waiting = schemas.NoticeGuardrailClear, schemas.Info, waiting
	return e
}

// resuming is a person's word that a rollout goes on.
func resuming(rollout string, second int64) *Event {
	e := ofAction(schemas.ActionResume, "", schemas.Info)
	r := *e.Rollout
	r.Name, r.Labels, e.Rollout = rollout, nil, &r
	e.Decision.Epoch, e.Decision.IssuedAt = 1, schemas.Time(second*1000)
	e.Standing = []string{"what the record has now"}
	return e
}

// holding is a decision that holds a rollout, and promoting one that ends it.
func holding(rollout string, second int64) *Event {
	e := resuming(rollout, second)
	e.Decision.Action, e.Decision.Severity = schemas.ActionHold, schemas.Warning
	return e
}

func promoting(rollout string, second int64) *Event {
	e := resuming(rollout, second)
	e.Decision.Action = schemas.ActionPromote
	return e
}

// ordering is a decision with what it asks of a store; commanding an event of an order that isn't answered, or is.
func ordering(do schemas.StateDo, e *Event) *Event {
	e.Decision.State = []schemas.StateOrder{{Store: "user", Do: do}}
	return e
}

func commanding(order schemas.StateDo, e *Event) *Event {
	e.Notice.Order = order
	return e
}

// completing tells that all answers have come, and what else stands.
func completing(rollout string, second int64, waiting ...string) *Event {
	e := leaving(rollout, second, waiting...)
	e.Notice.Kind = schemas.NoticeAcksComplete
	return e
}

// ofFirst is an event of a rollout's first epoch, and asking a decision that routers must answer.
func ofFirst(e *Event) *Event {
	e.Decision.Epoch = 1
	return e
}

func asking(e *Event) *Event {
	e.Decision.Acks = []string{"any"}
	return e
}

// forwarding recommends to roll forward, as behind a rollback that doesn't help.
func forwarding(rollout string, second int64) *Event {
	e := holding(rollout, second)
	e.Decision.Action, e.Decision.Severity = schemas.ActionRollForward, schemas.Critical
	return e
}

// beginning is the start of a rollout's next epoch.
func beginning(rollout string, second int64) *Event {
	e := resuming(rollout, second)
	e.Decision.Action, e.Decision.Phase, e.Decision.Epoch = schemas.ActionStart, schemas.PhaseCommit, 2
	return e
}

// telling is an event of a kind that raises, or ends, an incident.
func telling(rollout string, second int64, kind schemas.NoticeKind) *Event {
	e := raising(rollout, "", schemas.Warning, second)
	e.Notice.Kind = kind
	return e
}

// serving is that of a version which is to have no users, or of its end.
func serving(rollout string, second int64, kind schemas.NoticeKind, version string) *Event {
	e := critical(telling(rollout, second, kind))
	e.Notice.Version = version
	return e
}

// ofTeam is an event of a rollout whose file has the label of a team by now, and a decision's that it had another one then; "": none.
func ofTeam(now, then string, e *Event) *Event {
	team := func(name string) map[string]string {
		if name == "" {
			return nil
		}
		return map[string]string{"team": name}
	}
	r := *e.Rollout
	r.Labels, r.Sha256 = team(now), "of "+now
	e.Rollout = &r
	if e.Decision != nil {
		e.Decision.Labels, e.Decision.Evidence.RolloutSha256 = team(then), "of "+then
	}
	return e
}

// ofModel is a decision of a file that names another model.
func ofModel(model string, e *Event) *Event {
	r := *e.Rollout
	r.Model, e.Decision.Model, e.Rollout = model, model, &r
	return e
}

// roomless is a decision whose reason left no room for its labels.
func roomless(e *Event) *Event {
	e.Decision.Labels = nil
	return e
}

// stand is what a Standing has, each with the seconds at which it was raised first, told last, and ended.
func stand(s *Standing) string {
	var all []string
	for i := range s.all {
		x := &s.all[i]
		text := fmt.Sprintf("%s/%s %s %d-%d", x.last.Rollout.Name, strings.TrimPrefix((&incident{name: x.name, of: x.of}).suffix(), "/"), x.severity, x.since/1000, x.last.at()/1000)
		if team := x.last.Rollout.Labels["team"]; team != "" {
			text += " of " + team
		}
		if x.ended != nil {
			text += fmt.Sprintf(" over %d", x.ended.at()/1000)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func TestStanding(t *testing.T) {
	repeated := &Event{}
	tests := []struct {
		name string
		in   []*Event // repeated: all is repeated, and that fails, so what is over stays
		want string
	}{
		{"nothing", nil, ""},
		{"raised", []*Event{raising("a", "", schemas.Critical, 1)}, "a/ critical 1-1"},
		{"raised again", []*Event{raising("a", "", schemas.Critical, 1), raising("a", "", schemas.Critical, 5)}, "a/ critical 1-5"},
		{"at two severities", []*Event{raising("a", "", schemas.Warning, 1), raising("a", "", schemas.Critical, 2), raising("a", "", schemas.Warning, 3)}, "a/ critical 2-2, a/ warning 3-3"},
		{"at a greater severity", []*Event{raising("a", "", schemas.Warning, 1), raising("a", "", schemas.Critical, 2)}, "a/ warning 1-1 over 2, a/ critical 2-2"},
		{"and over before it was repeated", []*Event{raising("a", "", schemas.Warning, 1), raising("a", "", schemas.Critical, 2), ending("a", 3)}, ""},
		{"carried out but for a sink", []*Event{raising("a", "", schemas.Critical, 1), leaving("a", 2, "alert-slack")}, "a/ warning 2-2"},
		{"and repeated", []*Event{raising("a", "", schemas.Critical, 1), repeated, leaving("a", 2, "alert-slack")}, "a/ critical 1-1 over 2, a/ warning 2-2"},
		{"and for two", []*Event{telling("a", 1, schemas.NoticeSinkOverdue), leaving("a", 2, "alert-slack", "registry-mlflow"), leaving("a", 3, "alert-slack")}, "a/ warning 1-3"},
		{"and then that is done", []*Event{raising("a", "", schemas.Critical, 1), leaving("a", 2, "alert-slack"), ending("a", 3)}, ""},
		{"while it is no refuge", []*Event{raising("a", "", schemas.Critical, 1), telling("a", 2, schemas.NoticeSinkOverdue), forwarding("a", 3), leaving("a", 4, "no_refuge")}, "a/roll-forward critical 3-3"},
		{"until that is over", []*Event{raising("a", "", schemas.Critical, 1), forwarding("a", 3), leaving("a", 4, "no_refuge"), telling("a", 5, schemas.NoticeNoRefugeOver)}, ""},
		{"no refuge beside a retired version", []*Event{critical(telling("a", 1, schemas.NoticeRetiredServes)), critical(telling("a", 2, schemas.NoticeNoRefuge)), ending("a", 3)},
			"a/retired critical 1-1, a/no-refuge critical 2-2"},
		{"and it is over", []*Event{critical(telling("a", 1, schemas.NoticeRetiredServes)), critical(telling("a", 2, schemas.NoticeNoRefuge)), telling("a", 3, schemas.NoticeNoRefugeOver)}, "a/retired critical 1-1"},
		{"a sink is overdue, and the rollout goes on", []*Event{critical(telling("a", 1, schemas.NoticeForeignDecision)), telling("a", 2, schemas.NoticeSinkOverdue), resuming("a", 3)}, "a/ critical 1-1, a/ warning 2-2"},
		{"of another rollout at a greater severity", []*Event{raising("a", "", schemas.Warning, 1), raising("b", "", schemas.Critical, 2)}, "a/ warning 1-1, b/ critical 2-2"},
		{"stuck beside a warning", []*Event{raising("a", "", schemas.Warning, 1), raising("a", incidentStuck, schemas.Critical, 2)}, "a/ warning 1-1, a/stuck critical 2-2"},
		{"over before it was repeated", []*Event{raising("a", "", schemas.Critical, 1), ending("a", 2)}, ""},
		{"over", []*Event{raising("a", "", schemas.Critical, 1), raising("a", incidentStuck, schemas.Critical, 2), repeated, ending("a", 3)}, "a/ critical 1-1 over 3, a/stuck critical 2-2 over 3"},
		{"over twice", []*Event{raising("a", "", schemas.Critical, 1), repeated, ending("a", 3), ending("a", 4)}, "a/ critical 1-1 over 3"},
		{"over, and raised anew", []*Event{raising("a", "", schemas.Critical, 1), repeated, ending("a", 3), raising("a", "", schemas.Critical, 4)}, "a/ critical 4-4"},
		{"of another rollout", []*Event{raising("a", "", schemas.Critical, 1), raising("b", "", schemas.Critical, 2), ending("b", 3)}, "a/ critical 1-1"},
		{"gone on with while it is suspected", []*Event{raising("a", "", schemas.Warning, 1), suspecting("a", 2, "p99", "errors"), clearing("a", 3, "p99", "errors"), resuming("a", 4)},
			"a/ warning 1-1 over 2, a/ critical 2-2"},
		{"gone on with before", []*Event{holding("a", 1), resuming("a", 2), suspecting("a", 3, "p99")}, "a/ critical 3-3"},
		{"gone on with after", []*Event{holding("a", 1), suspecting("a", 2, "p99"), clearing("a", 3, "p99"), holding("a", 4), resuming("a", 5)}, ""},
		{"promoted while it is suspected", []*Event{suspecting("a", 2, "p99"), promoting("a", 3)}, ""},
		{"gone on with while alerts are left out", []*Event{telling("a", 1, schemas.NoticeAlertsTruncated), resuming("a", 2)}, "a/ warning 1-1"},
		{"and until they aren't", []*Event{telling("a", 1, schemas.NoticeAlertsTruncated), resuming("a", 2), telling("a", 3, schemas.NoticeAlertsWhole)}, ""},
		{"begun anew while alerts are left out", []*Event{telling("a", 1, schemas.NoticeAlertsTruncated), beginning("a", 2)}, ""},
		{"begun anew while somebody forges", []*Event{telling("a", 1, schemas.NoticeForeignDecision), beginning("a", 2)}, "a/ warning 1-1"},
		{"and until nobody does", []*Event{telling("a", 1, schemas.NoticeForeignDecision), beginning("a", 2), telling("a", 3, schemas.NoticeForeignOver)}, ""},
		{"no end of another kind", []*Event{telling("a", 1, schemas.NoticeForeignDecision), telling("a", 3, schemas.NoticeAlertsWhole)}, "a/ warning 1-1"},
		{"ended under another label", []*Event{ofTeam("a", "a", holding("a", 1)), ofTeam("b", "b", resuming("a", 2))}, "a/ warning 1-1 of a over 2"},
		{"likewise after a restart", []*Event{ofTeam("b", "a", holding("a", 1)), ofTeam("b", "b", resuming("a", 2))}, "a/ warning 1-1 of a over 2"},
		{"raised under its first label, after a restart", []*Event{ofTeam("b", "", holding("a", 1)), ofTeam("b", "b", resuming("a", 2))}, "a/ warning 1-1 over 2"},
		{"a notice between, after a restart", []*Event{ofTeam("b", "a", resuming("a", 1)), ofTeam("b", "", telling("a", 2, schemas.NoticePillarFailed)), ofTeam("b", "b", beginning("a", 3)), ofTeam("b", "", telling("a", 4, schemas.NoticePillarFailed))},
			"a/ warning 2-2 of a over 3, a/ warning 4-4 of b"},
		{"raised again under another label", []*Event{ofTeam("b", "a", holding("a", 1)), ofTeam("b", "b", holding("a", 2)), ofTeam("b", "b", holding("a", 3))}, "a/ warning 1-1 of a over 2, a/ warning 2-3 of b"},
		{"and back", []*Event{ofTeam("a", "a", holding("a", 1)), ofTeam("b", "b", holding("a", 2)), ofTeam("a", "a", holding("a", 3))}, "a/ warning 2-2 of b over 3, a/ warning 3-3 of a"},
		{"ended under another model", []*Event{holding("a", 1), ofModel("scorer", resuming("a", 2))}, "a/ warning 1-1 over 2"},
		{"a decision without room for its labels", []*Event{ofTeam("a", "a", holding("a", 1)), roomless(ofTeam("a", "a", resuming("a", 2)))}, ""},
		{"nothing is to be done", []*Event{noticeOf(schemas.SinkAlertmanager, schemas.NoticeCommandRefused, schemas.Warning)}, ""},
	}
	for _, x := range tests {
		var s Standing
		for _, e := range x.in {
			if e == repeated {
				for i := range s.all {
					s.all[i].repeated = true
				}
			} else if !s.Hear(e) {
				t.Errorf("%s: it is full", x.name)
			}
		}
		if got := stand(&s); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

func ofPhase(phase schemas.Phase, e *Event) *Event {
	e.Decision.Phase = phase
	return e
}

// TestStandingOfAnswers: answers that are missing, and refusals, are over with a decision after which nobody waits for them.
func TestStandingOfAnswers(t *testing.T) {
	repeated := &Event{}
	for _, x := range []struct {
		name string
		in   []*Event // repeated: as in TestStanding
		want string
	}{
		{"begun behind a prepare that is late", []*Event{raising("a", "", schemas.Warning, 1), ofFirst(beginning("a", 2))}, ""},
		{"begun behind one that is refused", []*Event{telling("a", 1, schemas.NoticeAckRefused), repeated, ofFirst(asking(beginning("a", 2)))}, "a/ warning 1-1 over 2"},
		{"refused before it begins, paused and resumed", []*Event{telling("a", 1, schemas.NoticeAckRefused), ofPhase(schemas.PhasePrepare, asking(holding("a", 2))), ofPhase(schemas.PhasePrepare, asking(resuming("a", 3)))}, "a/ warning 1-2"},
		{"and then all answer", []*Event{telling("a", 1, schemas.NoticeAckRefused), ofPhase(schemas.PhasePrepare, asking(holding("a", 2))), ofPhase(schemas.PhasePrepare, asking(resuming("a", 3))), ofFirst(asking(beginning("a", 4)))}, ""},
		{"promoted while an answer is missing", []*Event{raising("a", "", schemas.Warning, 1), asking(promoting("a", 2))}, ""},
		{"gone on with while an answer is missing", []*Event{raising("a", "", schemas.Warning, 1), holding("a", 2), resuming("a", 3)}, "a/ warning 1-2"},
		{"a freeze that isn't answered, and goes on", []*Event{commanding(schemas.StateFreeze, critical(telling("a", 1, schemas.NoticeAckRefused))), repeated, ordering(schemas.StateUnfreeze, resuming("a", 2))}, "a/ critical 1-1 over 2"},
		{"a freeze that is answered late", []*Event{ordering(schemas.StateFreeze, holding("a", 1)), commanding(schemas.StateFreeze, critical(raising("a", "", "", 2))), commanding(schemas.StateFreeze, completing("a", 3, "frozen"))}, "a/ warning 3-3"},
		{"and then goes on", []*Event{ordering(schemas.StateFreeze, holding("a", 1)), commanding(schemas.StateFreeze, critical(raising("a", "", "", 2))), commanding(schemas.StateFreeze, completing("a", 3, "frozen")), ordering(schemas.StateUnfreeze, resuming("a", 4))}, ""},
		{"answered late beside a suspicion", []*Event{commanding(schemas.StateFreeze, critical(raising("a", "", "", 2))), commanding(schemas.StateFreeze, completing("a", 3, "frozen", "p99"))}, "a/ critical 2-2"},
		{"beside an answer that is missing", []*Event{raising("a", "", schemas.Warning, 1), commanding(schemas.StateFreeze, critical(telling("a", 2, schemas.NoticeAckRefused))), ordering(schemas.StateUnfreeze, resuming("a", 3))}, "a/ warning 1-1 over 2, a/ critical 2-2"},
		{"writes aren't taken again, and it is promoted", []*Event{commanding(schemas.StateUnfreeze, critical(raising("a", "", "", 1))), ordering(schemas.StateUnfreeze, asking(promoting("a", 2)))}, "a/ critical 1-1"},
		{"and then they are", []*Event{commanding(schemas.StateUnfreeze, critical(raising("a", "", "", 1))), ordering(schemas.StateUnfreeze, asking(promoting("a", 2))), commanding(schemas.StateUnfreeze, telling("a", 3, schemas.NoticeWritesAgain))}, ""},
	} {
		var s Standing
		for _, e := range x.in {
			if e != repeated {
				s.Hear(e)
				continue
			}
			for i := range s.all {
				s.all[i].repeated = true
			}
		}
		if got := stand(&s); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

// TestStandingTellsVersionsApart: each version that serves and is to have no users stands by itself; what an older serve told, without a version, ends with the first of them.
func TestStandingTellsVersionsApart(t *testing.T) {
	for _, x := range []struct {
		name string
		in   []*Event
		want string
	}{
		{"two retired versions", []*Event{serving("a", 1, schemas.NoticeRetiredServes, "42"), serving("a", 2, schemas.NoticeRetiredServes, "43"), serving("a", 3, schemas.NoticeRetiredServes, "42")}, "a/retired/42 critical 1-3, a/retired/43 critical 2-2"},
		{"and one has drained", []*Event{serving("a", 1, schemas.NoticeRetiredServes, "42"), serving("a", 2, schemas.NoticeRetiredServes, "43"), serving("a", 3, schemas.NoticeRetiredOver, "42")}, "a/retired/43 critical 2-2"},
		{"of which an older serve told", []*Event{telling("a", 1, schemas.NoticeRetiredServes), serving("a", 3, schemas.NoticeRetiredOver, "42")}, "a/retired warning 1-1 over 3"},
		{"a retired version, and a new epoch", []*Event{serving("a", 1, schemas.NoticeRetiredServes, "42"), beginning("a", 2)}, "a/retired/42 critical 1-1"},
	} {
		var s Standing
		for _, e := range x.in {
			s.Hear(e)
		}
		if got := stand(&s); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

// TestStandingIsBounded: what comes beyond is said not to be kept, and has room again when something is dropped.
func TestStandingIsBounded(t *testing.T) {
	var s Standing
	for n := range standMost {
		if !s.Hear(raising(fmt.Sprint("r", n), "", schemas.Critical, 1)) {
			t.Fatalf("full after %d", n)
		}
	}
	if s.Hear(raising("more", "", schemas.Critical, 1)) || !s.Hear(raising("r7", "", schemas.Critical, 2)) || len(s.Rollouts()) != standMost {
		t.Errorf("%d stand", len(s.all))
	}
	s.Drop("r7")
	if !s.Hear(raising("more", "", schemas.Critical, 1)) || slices.ContainsFunc(s.Rollouts(), func(r *schemas.Rollout) bool { return r.Name == "r7" }) {
		t.Error("there is no room")
	}
}

// repeats has one Repeat, and returns the alerts that were sent with it.
func (w *world) repeats(s *Standing) []amAlert {
	w.Helper()
	before := w.count()
	if err := w.sink.Repeat(w.Context(), s); err != nil {
		w.Fatal(err)
	}
	var all []amAlert
	for _, r := range w.all[before:] {
		var sent []amAlert
		if err := json.Unmarshal([]byte(r.body), &sent); err != nil || r.header.Get("Idempotency-Key") != "" {
			w.Fatalf("%s, with key %q: %v", r.body, r.header.Get("Idempotency-Key"), err)
		}
		all = append(all, sent...)
	}
	return all
}

// TestAlertmanagerRepeats: what stands is the same alert again, that ends later; its end comes once more, and then nothing.
func TestAlertmanagerRepeats(t *testing.T) {
	within(t, schemas.SinkAlertmanager, nil, func(w *world) {
		var s Standing
		if !w.sink.Repeats() || w.repeats(&s) != nil {
			w.Error("it repeats what isn't there")
		}
		e := eventOf(w.kind, rollback())
		s.Hear(e)
		w.all = nil
		if err := w.sink.Act(w.Context(), e); err != nil {
			w.Fatal(err)
		}
		var first []amAlert
		if err := json.Unmarshal([]byte(w.all[0].body), &first); err != nil {
			w.Fatal(err)
		}
		time.Sleep(time.Until(time.UnixMilli(int64(e.at())).Add(36 * time.Hour)))
		again := w.repeats(&s)
		if len(again) != 1 || fmt.Sprint(again[0].Labels, again[0].StartsAt) != fmt.Sprint(first[0].Labels, first[0].StartsAt) || again[0].EndsAt != schemas.Time(time.Now().Add(alertLife).UnixMilli()) {
			w.Errorf("got  %+v\nwant %+v, with a later end", again, first)
		}
		end := noticeOf(w.kind, schemas.NoticeRollbackCompleted, schemas.Info)
		s.Hear(end)
		over := w.repeats(&s)
		if len(over) != 1 || over[0].EndsAt != end.at() || fmt.Sprint(over[0].Labels, over[0].StartsAt) != fmt.Sprint(first[0].Labels, first[0].StartsAt) {
			w.Errorf("its end: %+v", over)
		}
		if more := w.repeats(&s); more != nil {
			w.Errorf("after that: %+v", more)
		}
	})
}

// TestRepeatsInParts: no request has more alerts than repeatMost.
func TestRepeatsInParts(t *testing.T) {
	within(t, schemas.SinkAlertmanager, nil, func(w *world) {
		var s Standing
		for n := range repeatMost + 1 {
			s.Hear(raising(fmt.Sprint("r", n), "", schemas.Critical, 1))
		}
		if all := w.repeats(&s); len(all) != repeatMost+1 || w.count() != 2 {
			w.Errorf("%d alerts in %d requests", len(all), w.count())
		}
	})
}

// TestRepeatsThatFail: it is tried once, says why, and what has ended is told the next time. A dry run, and what doesn't forget, repeat nothing.
func TestRepeatsThatFail(t *testing.T) {
	var s Standing
	s.Hear(raising("a", "", schemas.Critical, 1))
	within(t, schemas.SinkAlertmanager, always(http.StatusServiceUnavailable), func(w *world) {
		for range 2 {
			err := w.sink.Repeat(w.Context(), &s)
			if err == nil || !strings.Contains(err.Error(), "POST "+address+"/am/api/v2/alerts: the server answers 503") {
				w.Errorf("got %v", err)
			}
			w.keepsSecrets(fmt.Sprint(err))
			s.Hear(ending("a", 2))
		}
		if w.count() != 2 || stand(&s) != "a/ critical 1-1 over 2" {
			w.Errorf("after %d requests: %s", w.count(), stand(&s))
		}
	})
	plays(t, schemas.SinkAlertmanager, Options{Say: func(string) {}}, nil, func(w *world) {
		if err := w.sink.Repeat(w.Context(), &s); err != nil || w.sink.Repeats() || w.count() > 0 || len(w.said) > 0 {
			w.Errorf("%d requests in a dry run, and said %q: %v", w.count(), w.said, err)
		}
	})
	within(t, schemas.SinkPagerDuty, nil, func(w *world) {
		if err := w.sink.Repeat(w.Context(), &s); err != nil || w.sink.Repeats() || w.count() > 0 {
			w.Errorf("%d requests to PagerDuty: %v", w.count(), err)
		}
	})
}

// TestRepeatsHoldUpNothing: what is to be told is told while a repetition hangs.
func TestRepeatsHoldUpNothing(t *testing.T) {
	within(t, schemas.SinkAlertmanager, func(n int, _ http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			<-r.Context().Done()
		}
		return n == 1
	}, func(w *world) {
		var s Standing
		s.Hear(raising("a", "", schemas.Critical, 1))
		failed := make(chan error)
		go func() { failed <- w.sink.Repeat(w.Context(), &s) }()
		time.Sleep(time.Second)
		began := time.Now()
		if err := w.act(); err != nil || time.Since(began) > 0 {
			w.Errorf("it took %s: %v", time.Since(began), err)
		}
		if err := <-failed; err == nil || !strings.Contains(err.Error(), "no whole answer within 3s") {
			w.Errorf("the repetition: %v", err)
		}
	})
}
