package actuators

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

const pagerKey = "0123hush456789abcdef0123456789ab"

var _ = fits(schemas.SinkPagerDuty, fixture{
	sink: schemas.Sink{Server: at(address, "")}, secret: pagerKey, use: schemas.SinkUse{Kind: schemas.SinkPagerDuty, Sink: "x"}, heeds: true,
	system: func() http.Handler { return http.HandlerFunc(enqueue) },
})

// enqueue answers as PagerDuty does: 202 with the status success, 400 with the status invalid event.
func enqueue(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/change/enqueue" {
		enqueueChange(w, r)
		return
	}
	var e pagerEvent
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/v2/enqueue":
		http.NotFound(w, r)
	case json.NewDecoder(r.Body).Decode(&e) != nil || e.RoutingKey != pagerKey || len(e.DedupKey) > 255 || e.Action == "trigger" && (e.Payload == nil || len(e.Payload.Summary) > 1024):
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"status":"invalid event","message":"Event object is invalid","errors":["?"]}`)
	default:
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"status":"success","message":"Event processed","dedup_key":%q}`, e.DedupKey)
	}
}

// enqueueChange answers likewise to a change event.
func enqueueChange(w http.ResponseWriter, r *http.Request) {
	var c pagerChange
	w.Header().Set("Content-Type", "application/json")
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&c) != nil || c.RoutingKey != pagerKey || c.Payload.Summary == "" || len(c.Payload.Summary) > 1024 {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"status":"invalid event","message":"Event object is invalid","errors":["?"]}`)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprint(w, `{"status":"success","message":"Change event processed"}`)
}

func TestPagerDuty(t *testing.T) {
	within(t, schemas.SinkPagerDuty, nil, func(w *world) {
		if err := w.act(); err != nil {
			w.Fatal(err)
		}
		var got pagerEvent
		if err := json.Unmarshal([]byte(w.all[0].body), &got); err != nil {
			w.Fatal(err)
		}
		sentence := "Canary 42 answers with more errors than <baseline> 41 & more."
		want := pagerEvent{
			RoutingKey: pagerKey, Action: "trigger", DedupKey: "streamcanary/ranker-42", Client: "streamcanary",
			Payload: &pagerAlarm{
				Summary: "rollback: rollout ranker-42 of model ranker: " + sentence, Source: "ranker", Severity: schemas.Critical, Timestamp: 1_767_000_001_500,
				Component: "42", Group: "ranker", Class: "rollback",
				Details: map[string]string{"id": anID, "why": sentence, "baseline": "41", "canary": "42", "traffic": "41 100 %, 42 0 %", "hotfix": "flag rerank=off"},
			},
			Links: []pagerLink{{"https://wiki/ranker", "runbook"}},
		}
		if !reflect.DeepEqual(got, want) {
			w.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

// beside is the end of something, while something else stands.
func beside(k schemas.NoticeKind) *Event {
	e := noticeOf(schemas.SinkPagerDuty, k, schemas.Info)
	e.Notice.Waiting = []string{"alert"}
	return e
}

// TestAlarms: what pages, what ends it, and what does neither. Everything of a rollout is one incident.
func TestAlarms(t *testing.T) {
	decided := func(a schemas.Action, s schemas.Severity) *Event { return ofAction(a, "", s) }
	deleted := func(a schemas.Action, s schemas.Severity, code string) *Event {
		d := rollback()
		d.Action, d.Phase, d.Severity, d.Reason.Code = a, schemas.PhaseAbort, s, code
		return eventOf(schemas.SinkPagerDuty, d)
	}
	begun := ofAction(schemas.ActionStart, schemas.PhaseCommit, schemas.Info)
	noticed := func(k schemas.NoticeKind, s schemas.Severity) *Event { return noticeOf(schemas.SinkPagerDuty, k, s) }
	tests := []struct {
		event *Event
		want  string
	}{
		{decided(schemas.ActionRollback, schemas.Critical), "trigger"},
		{decided(schemas.ActionHold, schemas.Warning), "trigger"},
		{decided(schemas.ActionHold, schemas.Info), ""}, // it waits for a person's approval
		{decided(schemas.ActionFreeze, schemas.Critical), "trigger"},
		{decided(schemas.ActionRollForward, schemas.Warning), "trigger"},
		{decided(schemas.ActionStart, schemas.Info), ""},
		{decided(schemas.ActionResume, schemas.Info), "resolve"},
		{decided(schemas.ActionAdvance, schemas.Info), "resolve"},
		{decided(schemas.ActionPromote, schemas.Info), "resolve"},
		{decided(schemas.ActionSupersede, schemas.Warning), "resolve"},
		{deleted(schemas.ActionStart, schemas.Warning, schemas.ReasonDeleted), "resolve"},
		{deleted(schemas.ActionStart, schemas.Warning, "pillar_failed"), "trigger"},
		{deleted(schemas.ActionRetry, schemas.Warning, "pillar_failed"), "trigger"}, // what stands goes on
		{begun, "resolve"}, // what kept it from beginning, in an epoch before
		{deleted(schemas.ActionFreeze, schemas.Critical, schemas.ReasonDeleted), "resolve"}, // the state takes no writes, and who forced that was told so
		{noticed(schemas.NoticeRollbackCompleted, schemas.Info), "resolve"},
		{noticed(schemas.NoticeRolloutDeleted, schemas.Info), "resolve"},
		{noticed(schemas.NoticeAcksOverdue, schemas.Critical), "trigger"},
		{noticed(schemas.NoticeDrainOverdue, schemas.Critical), "trigger"},
		{noticed(schemas.NoticeGuardrailSuspect, schemas.Warning), "trigger"},
		{noticed(schemas.NoticeShareOffPlan, schemas.Warning), "trigger"},
		{beside(schemas.NoticeShareAsPlanned), ""},
		{noticed(schemas.NoticeShareAsPlanned, schemas.Info), "resolve"},
		{noticed(schemas.NoticePillarFailed, schemas.Warning), "trigger"},
		{beside(schemas.NoticePillarHeld), ""},
		{noticed(schemas.NoticePillarHeld, schemas.Info), "resolve"},
		{noticed(schemas.NoticeAlertsTruncated, schemas.Warning), "trigger"},
		{beside(schemas.NoticeAlertsWhole), ""},
		{noticed(schemas.NoticeAlertsWhole, schemas.Info), "resolve"},
		{noticed(schemas.NoticeRetiredServes, schemas.Critical), "trigger"},
		{beside(schemas.NoticeRetiredOver), "resolve"}, // which is an incident of its own
		{noticed(schemas.NoticeRetiredOver, schemas.Info), "resolve"},
		{noticed(schemas.NoticeForeignDecision, schemas.Critical), "trigger"},
		{noticed(schemas.NoticeForeignOver, schemas.Info), "resolve"},
		{noticed(schemas.NoticeGuardrailWarning, schemas.Warning), ""},
		{noticed(schemas.NoticeCommandRefused, schemas.Warning), ""},
		{noticed("another-kind", schemas.Warning), ""},
	}
	within(t, schemas.SinkPagerDuty, nil, func(w *world) {
		for _, x := range tests {
			before := w.count()
			if err := w.sink.Act(w.Context(), x.event); err != nil {
				w.Fatal(err)
			}
			var got pagerEvent
			if w.count() > before {
				if err := json.Unmarshal([]byte(w.all[before].body), &got); err != nil {
					w.Fatal(err)
				}
			}
			if got.Action != x.want || got.Action != "" && got.DedupKey != firstKey(x.event) || got.Action == "resolve" && got.Payload != nil {
				w.Errorf("%s: got %+v, want %q", x.event.what(), got, x.want)
			}
		}
	})
}

// firstKey is that of the first request about an event.
func firstKey(e *Event) string {
	const key = "streamcanary/ranker-42"
	switch {
	case e.what() == string(schemas.NoticeRetiredServes), e.what() == string(schemas.NoticeRetiredOver) && len(e.Notice.Waiting) > 0:
		return key + "/retired"
	case e.alarm() == raise && e.severity() == schemas.Warning:
		return key + "/warning"
	}
	return key
}

// TestStuck: a rollback that isn't carried out becomes a second incident, with the third deadline that passed, or the first of the drain; it ends when the rollback is carried out,
// whatever else isn't done, or with a new epoch.
func TestStuck(t *testing.T) {
	passed := func(k schemas.NoticeKind, s schemas.Severity, deadlines int) *Event {
		e := noticeOf(schemas.SinkPagerDuty, k, s)
		e.Notice.Attempt = deadlines
		return e
	}
	but := noticeOf(schemas.SinkPagerDuty, schemas.NoticeRollbackCompleted, schemas.Info)
	but.Notice.Waiting = []string{"registry-mlflow"}
	retried := rollback()
	retried.Action, retried.Severity = schemas.ActionRetry, schemas.Info
	first := rollback()
	first.Action, first.Phase, first.Severity, first.Epoch = schemas.ActionStart, schemas.PhaseCommit, schemas.Info, 1
	const one, warning, two = "streamcanary/ranker-42", "streamcanary/ranker-42/warning", "streamcanary/ranker-42/stuck"
	forward := "resolve " + one + "/roll-forward"
	all := []string{"resolve " + one, "resolve " + warning, "resolve " + two, forward, "resolve " + one + "/no-refuge", "resolve " + one + "/retired", "resolve " + one + "/retired/warning"}
	tests := []struct {
		name  string
		event *Event
		want  []string
	}{
		{"the first deadline", passed(schemas.NoticeAcksOverdue, schemas.Critical, 1), []string{"trigger " + one, "resolve " + warning}},
		{"the third", passed(schemas.NoticeAcksOverdue, schemas.Critical, 3), []string{"trigger " + two}},
		{"the third of a stage", passed(schemas.NoticeAcksOverdue, schemas.Warning, 3), []string{"trigger " + warning}},
		{"the drain", passed(schemas.NoticeDrainOverdue, schemas.Critical, 1), []string{"trigger " + two}},
		{"carried out", noticeOf(schemas.SinkPagerDuty, schemas.NoticeRollbackCompleted, schemas.Info), []string{"resolve " + one, "resolve " + warning, "resolve " + two, forward}},
		{"carried out, but for a registry", but, []string{"resolve " + one, "trigger " + warning, "resolve " + two, forward}},
		{"carried out, but for a router", waiting("router-a"), []string{"resolve " + two, forward}},
		{"begun", eventOf(schemas.SinkPagerDuty, first), []string{"resolve " + one, "resolve " + warning, "resolve " + two}},
		{"begun anew", eventOf(schemas.SinkPagerDuty, retried), all},
		{"deleted", noticeOf(schemas.SinkPagerDuty, schemas.NoticeRolloutDeleted, schemas.Info), all},
	}
	within(t, schemas.SinkPagerDuty, nil, func(w *world) {
		for _, x := range tests {
			before := w.count()
			if err := w.sink.Act(w.Context(), x.event); err != nil {
				w.Fatal(err)
			}
			var got, keys []string
			for _, r := range w.all[before:] {
				var e pagerEvent
				if err := json.Unmarshal([]byte(r.body), &e); err != nil {
					w.Fatal(err)
				}
				got, keys = append(got, e.Action+" "+e.DedupKey), append(keys, r.header.Get("Idempotency-Key"))
			}
			slices.Sort(keys)
			if !slices.Equal(got, x.want) || len(slices.Compact(slices.Clone(keys))) != len(got) {
				w.Errorf("%s: got %q under the keys %q, want %q", x.name, got, keys, x.want)
			}
		}
	})
}

// waiting is the end of a rollback, with what isn't done.
func waiting(steps ...string) *Event {
	e := noticeOf(schemas.SinkPagerDuty, schemas.NoticeRollbackCompleted, schemas.Info)
	e.Notice.At, e.Notice.Waiting = 1_767_000_060_000, steps
	return e
}

// ofDecision is an event of another decision.
func ofDecision(id string, e *Event) *Event {
	e.Notice.Decision = id
	return e
}

// TestPast: what its end waits behind wakes nobody, and leaves word; that people weren't told in time is no cause for it, but where that itself is told. What isn't over wakes.
func TestPast(t *testing.T) {
	overdue := func(steps ...string) *Event {
		e := noticeOf(schemas.SinkPagerDuty, schemas.NoticeSinkOverdue, schemas.Warning)
		e.Notice.Waiting = steps
		return e
	}
	done := func(left ...string) *Event {
		e := noticeOf(schemas.SinkPagerDuty, schemas.NoticeSinkDone, schemas.Info)
		e.Notice.Waiting = left
		return e
	}
	rolledBack := eventOf(schemas.SinkPagerDuty, rollback())
	stuck := noticeOf(schemas.SinkPagerDuty, schemas.NoticeAcksOverdue, schemas.Critical)
	stuck.Notice.Attempt = stuckDeadlines
	another := waiting()
	rollout := *another.Rollout
	rollout.Name = "another"
	another.Rollout = &rollout
	forged := waiting()
	forged.Standing = []string{"foreign-decision"}
	const alert = "trigger streamcanary/ranker-42"
	const rollbackOver = "change over by now: rollback: rollout ranker-42 of model ranker: Canary 42 answers with more errors than <baseline> 41 & more."
	tests := []struct {
		name   string
		event  *Event
		behind []*Event
		want   string
	}{
		{"nothing waits", rolledBack, nil, alert},
		{"it is carried out", rolledBack, []*Event{waiting()}, rollbackOver},
		{"but for telling people", rolledBack, []*Event{waiting("alert-slack", "alert-x")}, rollbackOver},
		{"but for a registry", rolledBack, []*Event{waiting("alert-x", "registry-mlflow")}, rollbackOver}, // which goes on as a warning
		{"but for a router", rolledBack, []*Event{waiting("router-a")}, alert},
		{"while somebody forges", rolledBack, []*Event{forged}, alert},
		{"another is", rolledBack, []*Event{another}, alert},
		{"more is raised first", rolledBack, []*Event{overdue("registry-mlflow"), waiting()}, rollbackOver},
		{"it was stuck", stuck, []*Event{waiting("registry-mlflow")}, "change over by now: acks-overdue: rollout ranker-42 of model ranker: Not all is well."},
		{"people weren't told elsewhere", overdue("alert-slack"), []*Event{waiting("alert-slack")}, alert + "/warning"},
		{"and are by now", overdue("alert-slack"), []*Event{noticeOf(schemas.SinkPagerDuty, schemas.NoticeSinkDone, schemas.Info)}, "change over by now: sink-overdue: rollout ranker-42 of model ranker: Not all is well."},
		{"and are by now, before it is carried out", overdue("alert-am", "alert-slack", "alert-x"), []*Event{done("alert-slack", "alert-x", "verify"), done("alert-x", "verify")}, "change over by now: sink-overdue: rollout ranker-42 of model ranker: Not all is well."},
		{"some are", overdue("alert-am", "alert-slack", "alert-x"), []*Event{done("alert-slack", "alert-x", "verify")}, alert + "/warning"},
		{"of another decision", overdue("alert-slack"), []*Event{ofDecision("ranker-42.1.9", done("verify"))}, alert + "/warning"},
		{"people weren't told here", overdue("alert-x"), nil, ""},
		{"the end of all but what people weren't told here", waiting("alert-x"), nil, "resolve streamcanary/ranker-42"},
		{"the end of all but what people weren't told elsewhere", waiting("alert-slack"), nil, "resolve streamcanary/ranker-42"},
		{"the end of all but a router", waiting("router-a"), nil, "resolve streamcanary/ranker-42/stuck"},
	}
	within(t, schemas.SinkPagerDuty, nil, func(w *world) {
		for _, x := range tests {
			before, e := w.count(), *x.event
			if e.Behind = x.behind; e.Notice != nil {
				n := *e.Notice
				n.Sentence = "Not all is well."
				e.Notice = &n
			}
			if err := w.sink.Act(w.Context(), &e); err != nil {
				w.Fatal(err)
			}
			got := ""
			if w.count() > before {
				got = pagerSaid(w, w.all[before].body)
			}
			if got != x.want || e.Past() != strings.HasPrefix(x.want, "change") || e.Raises() != (strings.HasPrefix(x.want, "trigger") || len(e.lesser()) > 0 && e.Ends()) {
				w.Errorf("%s: got %q, want %q", x.name, got, x.want)
			}
		}
	})
}

// pagerSaid is what a request to PagerDuty says.
func pagerSaid(w *world, body string) string {
	w.Helper()
	var e pagerEvent
	var c pagerChange
	err := json.Unmarshal([]byte(body), &e)
	if err == nil && e.Action != "" {
		return e.Action + " " + e.DedupKey
	}
	if err := json.Unmarshal([]byte(body), &c); err != nil {
		w.Fatal(err)
	}
	if over := c.Payload.Details["over"]; !strings.HasPrefix(over, "20") || c.Payload.Details["id"] == "" || c.Payload.Source != "ranker" || c.Payload.Timestamp == 0 || len(c.Links) != 1 {
		w.Errorf("a change event %+v", c)
	}
	return "change " + c.Payload.Summary
}

// TestPastIsLeft: who takes no change events holds nothing up; an outage, or that who tells isn't let in, is waited for.
func TestPastIsLeft(t *testing.T) {
	for status, taken := range map[int]bool{http.StatusNotFound: true, http.StatusBadRequest: true, http.StatusForbidden: true, http.StatusUnauthorized: false, http.StatusServiceUnavailable: false, http.StatusTooManyRequests: false} {
		within(t, schemas.SinkPagerDuty, always(status), func(w *world) {
			e := eventOf(w.kind, rollback())
			e.Behind = []*Event{waiting()}
			if err := w.sink.Act(w.Context(), e); (err == nil) != taken {
				w.Errorf("%d: got %v", status, err)
			}
		})
	}
}

// TestCriticalPages: what is critical opens an incident that nobody has seen, whatever else stands; what was a warning before ends with it, what goes on as a warning is one, and all ends.
func TestCriticalPages(t *testing.T) {
	of := func(k schemas.NoticeKind, s schemas.Severity, waiting ...string) *Event {
		e := noticeOf(schemas.SinkPagerDuty, k, s)
		e.Notice.Waiting = waiting
		return e
	}
	rolledBack := eventOf(schemas.SinkPagerDuty, rollback())
	retired, suspect := of(schemas.NoticeRetiredServes, schemas.Critical), of(schemas.NoticeGuardrailSuspect, schemas.Warning)
	forward, advised := ofAction(schemas.ActionRollForward, "", schemas.Critical), ofAction(schemas.ActionRollForward, "", schemas.Warning)
	refuge, overdue := of(schemas.NoticeNoRefuge, schemas.Critical), of(schemas.NoticeSinkOverdue, schemas.Warning, "alert-slack")
	tests := []struct {
		name string
		in   []*Event
		want []string // what is open at last, but for what begins: ! has opened one that is critical
	}{
		{"no refuge while a retired version serves", []*Event{retired, refuge}, []string{"!retired", "!no-refuge"}},
		{"which is over", []*Event{retired, refuge, of(schemas.NoticeRetiredOver, schemas.Info, "no_refuge")}, []string{"!no-refuge"}},
		{"and the other one", []*Event{retired, refuge, of(schemas.NoticeNoRefugeOver, schemas.Info, "retired 42")}, []string{"!retired"}},
		{"of two retired versions one", []*Event{retired, of(schemas.NoticeRetiredOver, schemas.Info, "retired 44")}, []string{"!retired"}},
		{"a rollback while a retired version serves", []*Event{retired, rolledBack}, []string{"!retired", "!"}},
		{"which is carried out", []*Event{retired, rolledBack, waiting("retired 42")}, []string{"!retired"}},
		{"a suspicion", []*Event{suspect}, []string{"warning"}},
		{"and a rollback", []*Event{suspect, rolledBack}, []string{"!"}},
		{"which is carried out", []*Event{suspect, rolledBack, waiting()}, nil},
		{"but for what people hear by", []*Event{rolledBack, overdue, waiting("alert-slack")}, []string{"warning"}},
		{"or has become no more than that", []*Event{overdue, rolledBack, waiting("alert-slack")}, []string{"warning"}},
		{"and that is done", []*Event{rolledBack, overdue, waiting("alert-slack"), of(schemas.NoticeSinkDone, schemas.Info, "retired 42")}, nil},
		{"but for another sink", []*Event{rolledBack, overdue, waiting("alert-slack"), of(schemas.NoticeSinkDone, schemas.Info, "registry-mlflow")}, []string{"warning"}},
		{"and the baseline is no refuge", []*Event{rolledBack, forward, overdue, waiting("no_refuge", "alert-slack")}, []string{"!roll-forward", "warning"}},
		{"and people are told", []*Event{rolledBack, forward, overdue, waiting("no_refuge", "alert-slack"), of(schemas.NoticeSinkDone, schemas.Info, "no_refuge")}, []string{"!roll-forward"}},
		{"until it is one again", []*Event{rolledBack, forward, waiting("no_refuge"), of(schemas.NoticeNoRefugeOver, schemas.Info)}, nil},
		{"to roll forward is recommended behind a rollback", []*Event{rolledBack, forward}, []string{"!", "!roll-forward"}},
		{"and the rollback is carried out", []*Event{rolledBack, forward, waiting()}, nil},
		{"as a warning", []*Event{rolledBack, advised}, []string{"!", "warning"}},
		{"but for a router", []*Event{suspect, rolledBack, waiting("router-a")}, []string{"!"}},
		{"deleted", []*Event{retired, refuge, overdue, rolledBack, of(schemas.NoticeRolloutDeleted, schemas.Info, "no_refuge")}, nil},
	}
	within(t, schemas.SinkPagerDuty, nil, func(w *world) {
		for _, x := range tests {
			open := w.opened(x.name, x.in)
			if !slices.Equal(open, x.want) {
				w.Errorf("%s: open are %q, want %q", x.name, open, x.want)
			}
		}
	})
}

// opened are the incidents that are open when all these were told, but for what begins; ! has opened one that is critical.
func (w *world) opened(name string, in []*Event) []string {
	w.Helper()
	var open []string
	w.all = nil
	for _, e := range in {
		if err := w.sink.Act(w.Context(), e); err != nil {
			w.Fatal(err)
		}
	}
	for _, r := range w.all {
		var e pagerEvent
		if err := json.Unmarshal([]byte(r.body), &e); err != nil {
			w.Fatal(err)
		}
		key := strings.TrimPrefix(strings.TrimPrefix(e.DedupKey, "streamcanary/ranker-42"), "/")
		at := slices.IndexFunc(open, func(name string) bool { return strings.TrimPrefix(name, "!") == key })
		switch {
		case e.Action == "resolve" && at >= 0:
			open = slices.Delete(open, at, at+1)
		case e.Action == "trigger" && at < 0 && e.Payload.Severity == schemas.Critical:
			open = append(open, "!"+key)
		case e.Action == "trigger" && at < 0:
			open = append(open, key)
		case e.Action == "trigger" && strings.HasPrefix(open[at], "!") != (e.Payload.Severity == schemas.Critical):
			w.Errorf("%s: %s is told as more of what is %s", name, e.Payload.Summary, open[at])
		}
	}
	return open
}

// TestRetiredPages: each version that serves and is to have no users opens an incident of its own, which ends by itself.
func TestRetiredPages(t *testing.T) {
	of := func(k schemas.NoticeKind, s schemas.Severity, version string, waiting ...string) *Event {
		e := noticeOf(schemas.SinkPagerDuty, k, s)
		e.Notice.Version, e.Notice.Waiting = version, waiting
		return e
	}
	one, another := of(schemas.NoticeRetiredServes, schemas.Critical, "42"), of(schemas.NoticeRetiredServes, schemas.Critical, "a/ä")
	drained, both := of(schemas.NoticeRetiredOver, schemas.Info, "42", "retired a/ä"), []string{"!retired/42", "!retired/a=2F=C3=A4"}
	within(t, schemas.SinkPagerDuty, nil, func(w *world) {
		for name, x := range map[string]struct {
			in   []*Event
			want []string
		}{
			"two, each by its name":     {[]*Event{one, another}, both},
			"one has drained":           {[]*Event{one, another, drained}, both[1:]},
			"a rollback is carried out": {[]*Event{one, another, eventOf(w.kind, rollback()), waiting("retired 42", "retired a/ä")}, both},
			"all is deleted":            {[]*Event{one, another, of(schemas.NoticeRolloutDeleted, schemas.Info, "", "retired 42", "retired a/ä")}, nil},
			"the first is a warning":    {[]*Event{of(schemas.NoticeRetiredServes, schemas.Warning, "42"), another}, []string{"retired/42/warning", both[1]}},
		} {
			if open := w.opened(name, x.in); !slices.Equal(open, x.want) {
				w.Errorf("%s: open are %q, want %q", name, open, x.want)
			}
		}
	})
}

// TestRetiredPage: the page of such a version is about that one, and not about the canary of the rollout that tells of it.
func TestRetiredPage(t *testing.T) {
	within(t, schemas.SinkPagerDuty, nil, func(w *world) {
		e := noticeOf(w.kind, schemas.NoticeRetiredServes, schemas.Critical)
		e.Notice.Version = "40"
		if err := w.sink.Act(w.Context(), e); err != nil {
			w.Fatal(err)
		}
		var got pagerEvent
		if err := json.Unmarshal([]byte(w.all[0].body), &got); err != nil {
			w.Fatal(err)
		}
		const title = "retired-serves: rollout ranker-42 of model ranker, version 40: "
		if p := got.Payload; p.Component != "40" || p.Details["version"] != "40" || p.Details["canary"] != "42" || !strings.HasPrefix(p.Summary, title) {
			w.Errorf("%+v", p)
		}
	})
}
