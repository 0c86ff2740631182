package decisions

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
)

// guarded has three guardrails from outside: page rolls back, busy holds when it has fired for 30 s, and note only tells.
func guarded(t *Terms) {
	fits := func(severity string) []schemas.Matcher {
		return []schemas.Matcher{{Label: "severity", Op: schemas.MatchEqual, Value: severity}}
	}
	t.Alerts = []schemas.AlertGuardrail{
		{Name: "page", Match: fits("page"), StaleAfter: 5 * time.Minute, On: schemas.OnRollback},
		{Name: "busy", Match: fits("busy"), For: 30 * time.Second, StaleAfter: 5 * time.Minute, On: schemas.OnHold},
		{Name: "note", Match: fits("note"), StaleAfter: 5 * time.Minute, On: schemas.OnWarn},
	}
}

// alarm is an alert of a severity, that fires since a second; changes come on top.
func alarm(at int64, severity string, since int64, change ...func(*schemas.Alert)) Input {
	a := &schemas.Alert{
		Fingerprint: "f-" + severity, Labels: map[string]string{"alertname": "A" + severity, "severity": severity}, Summary: "It is " + severity + ".",
		StartsAt: schemas.Time(since * 1000), URL: "http://prometheus/graph",
	}
	for _, c := range change {
		c(a)
	}
	return Input{Kind: InputAlert, WallMs: at * 1000, Alert: a}
}

func resolvedAt(second int64) func(*schemas.Alert) {
	return func(a *schemas.Alert) { a.Resolved, a.EndsAt = true, schemas.Time(second*1000) }
}

func labelled(name, value string) func(*schemas.Alert) {
	return func(a *schemas.Alert) { a.Labels[name] = value }
}

// saidWhy is said, with the sentence of a decision.
func saidWhy(e Effect) string {
	if e.Decision == nil {
		return strings.TrimSpace(said(e) + " " + strings.Join(e.Notice.Guardrails, ","))
	}
	d := &e.Decision.Decision
	return fmt.Sprintf("%s %s: %s", d.Action, d.Reason.Code, d.Reason.Sentence)
}

const (
	pageHarms  = "rollback external_alert: Alert Apage (guardrail page) fires since 1970-01-01T00:00:10Z: It is page."
	pageBefore = "hold external_alert: Alert Apage (guardrail page) fires since 1970-01-01T00:00:01Z, from before canary 42 began: it holds the rollout, and is no reason to roll back: It is page."
	busyHolds  = "hold external_alert: Alert Abusy (guardrail busy) fires since 1970-01-01T00:00:10Z, for longer than 30s: It is busy."
	pageOver   = "resume hold_ended: Alert Apage is resolved; judging goes on."
)

func TestAlerts(t *testing.T) {
	due := func(at int64, severity, guardrail string) Input {
		return expire(at, "alert/"+guardrail+"/f-"+severity+"/due")
	}
	stale := func(at int64, severity, guardrail string) Input {
		return expire(at, "alert/"+guardrail+"/f-"+severity+"/stale")
	}
	promote := func(at int64) Input { return verdictOf(at, VerdictPromote) }
	tests := []struct {
		name   string
		in     []Input
		want   []string
		status Status
	}{
		{"one that began after the canary rolls back", []Input{alarm(20, "page", 10)}, []string{pageHarms}, StatusRolledBack},
		{"one that fired before holds until it is over", []Input{alarm(20, "page", 1), promote(21), alarm(30, "page", 1, resolvedAt(29))},
			[]string{pageBefore, pageOver}, StatusRunning},
		{"one that fired before, and fires anew", []Input{alarm(20, "page", 1), alarm(30, "page", 10)}, []string{pageBefore, pageHarms}, StatusRolledBack},
		{"told twice, it is one", []Input{alarm(20, "page", 1), alarm(21, "page", 1), alarm(22, "page", 1)}, []string{pageBefore}, StatusHolding},
		{"an end that comes late is that of an earlier one", []Input{alarm(20, "busy", 10), alarm(21, "busy", 2, resolvedAt(5)), due(40, "busy", "busy")},
			[]string{busyHolds}, StatusHolding},
		{"a start that comes late is that of an earlier one", []Input{alarm(20, "busy", 10), alarm(21, "busy", 2), due(40, "busy", "busy")}, []string{busyHolds}, StatusHolding},
		{"an end of one that nobody heard of", []Input{alarm(20, "page", 10, resolvedAt(19))}, nil, StatusRunning},
		{"an end that lies in the past", []Input{alarm(20, "page", 10, func(a *schemas.Alert) { a.EndsAt = 15_000 })}, nil, StatusRunning},
		{"for: not before, and no promotion meanwhile", []Input{alarm(20, "busy", 10), promote(21), due(39, "busy", "busy"), due(40, "busy", "busy"), promote(41)},
			[]string{busyHolds}, StatusHolding},
		{"for: over before", []Input{alarm(20, "busy", 10), alarm(30, "busy", 10, resolvedAt(29)), due(40, "busy", "busy")}, nil, StatusRunning},
		{"for: long enough when it is told", []Input{alarm(50, "busy", 10)}, []string{busyHolds}, StatusHolding},
		{"its end is lost: it goes stale", []Input{alarm(20, "page", 1), alarm(100, "page", 1), stale(320, "page", "page"), stale(400, "page", "page")},
			[]string{pageBefore, "resume hold_ended: Alert Apage was not told again for 5m, so it counts as over; judging goes on."}, StatusRunning},
		{"one that only warns is told once", []Input{alarm(20, "note", 10), alarm(30, "note", 10), promote(31)}, []string{"!guardrail-warning note", "promote code-promote: Because."}, StatusPromoting},
		{"harm while it holds for evidence", []Input{verdictOf(5, VerdictHold), alarm(20, "page", 10)}, []string{"hold code-hold: Because.", pageHarms}, StatusRolledBack},
		{"harm while a person has paused it", []Input{command(5, CommandPause, false), alarm(20, "page", 10)}, []string{"hold paused: ada paused it.", pageHarms}, StatusRolledBack},
		{"harm while a promotion is on its way", []Input{promote(5), alarm(20, "page", 10)}, []string{"promote code-promote: Because.", pageHarms}, StatusRolledBack},
		{"promoted: too late", []Input{promote(5), ack(6, 3, "eu", schemas.AckApplied), alarm(20, "page", 10)}, []string{"promote code-promote: Because."}, StatusPromoted},
		{"evidence of harm while an alert holds", []Input{alarm(20, "page", 1), verdictOf(25, VerdictRollback)}, []string{pageBefore, "rollback code-rollback: Because."}, StatusRolledBack},
		{"evidence that is well again doesn't end an alert's hold", []Input{alarm(20, "page", 1), verdictOf(25, VerdictHold), verdictOf(26, VerdictContinue), alarm(30, "page", 1, resolvedAt(29))},
			[]string{pageBefore, "hold code-hold: Because.", pageOver}, StatusRunning},
		{"an alert that is over doesn't end the evidence's hold", []Input{alarm(20, "page", 1), verdictOf(25, VerdictHold), alarm(30, "page", 1, resolvedAt(29))},
			[]string{pageBefore, "hold code-hold: Because."}, StatusHolding},
		{"a person resumes past it", []Input{alarm(20, "page", 1), command(25, CommandResume, false), alarm(26, "page", 1), promote(27)},
			[]string{pageBefore, "resume resumed: ada ended the hold.", "promote code-promote: Because."}, StatusPromoting},
		{"a person resumes from a pause, and it holds by the alert", []Input{command(5, CommandPause, false), alarm(20, "page", 1), command(25, CommandResume, false)},
			[]string{"hold paused: ada paused it.", "resume resumed: ada ended the hold.", pageBefore}, StatusHolding},
		{"no promotion past it", []Input{alarm(20, "page", 1), command(25, CommandPromote, false)}, []string{pageBefore, "!command-refused"}, StatusHolding},
		{"a promotion past it, by force", []Input{alarm(20, "page", 1), command(25, CommandPromote, true)}, []string{pageBefore, "promote commanded: ada promoted 42, by override past page, external_alert."}, StatusPromoting},
		{"one that starts ahead of our clock has begun all the same", []Input{alarm(20, "page", 25)}, []string{strings.Replace(pageHarms, "10Z", "20Z", 1)}, StatusRolledBack},
		{"for: counted from then, also when our clock has come there", []Input{alarm(20, "busy", 25), alarm(30, "busy", 25), due(50, "busy", "busy")},
			[]string{strings.Replace(busyHolds, "10Z", "20Z", 1)}, StatusHolding},
		{"one that starts tomorrow, and its end", []Input{alarm(20, "busy", 86_420), alarm(30, "busy", 86_420, resolvedAt(86_430)), due(50, "busy", "busy")}, nil, StatusRunning},
		{"one that was over before the canary began", []Input{alarm(20, "page", 1, resolvedAt(1))}, nil, StatusRunning},
		{"of another model", []Input{alarm(20, "page", 10, labelled("model", "other"))}, nil, StatusRunning},
		{"of the baseline's version", []Input{alarm(20, "page", 10, labelled("version", "41"))}, nil, StatusRunning},
		{"of this rollout", []Input{alarm(20, "page", 10, labelled("rollout", "ranker-42"), labelled("model", "ranker"), labelled("version", "42"))}, []string{pageHarms}, StatusRolledBack},
		{"what our own sink raised", []Input{alarm(20, "page", 10, labelled("alertname", schemas.OwnAlert)), alarm(21, "page", 10, labelled("alertname", "StreamcanaryRollbackStuck")),
			alarm(22, "page", 10, labelled("alertname", "StreamcanaryStateStuck"))}, nil, StatusRunning},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, words := foldWith(t, saidWhy, after(running(terms(guarded)), test.in...)...)
			expect(t, words[2:], test.want...)
			if s.Status != test.status {
				t.Errorf("it is %s, want %s", s.Status, test.status)
			}
		})
	}
}

// TestAlertsOnTheWayBack: harm that an alert tells of while traffic goes back in steps makes the rest of the way at once; nothing else does.
func TestAlertsOnTheWayBack(t *testing.T) {
	const (
		first  = "rollback code-rollback: Because. Traffic returns to 41 in steps, as its cache may be cold: 10 % first."
		second = "rollback code-rollback: 41 answers 80 % from its cache: 50 % of the traffic goes to 41."
		all    = "rollback external_alert: Alert Apage (guardrail page) fires since 1970-01-01T00:00:20Z: It is page. That can't wait for the cache of 41: all traffic goes there."
		last   = "rollback code-rollback: 41 answers 95 % from its cache: all traffic goes to 41."
	)
	pageAfter := func(t *Terms) { t.Alerts[0].For = 30 * time.Second }
	back := []Input{verdictOf(15, VerdictRollback), ack(16, 3, "eu", schemas.AckApplied)}
	gone := after(back, answers(17, 200, 160), ack(18, 4, "eu", schemas.AckApplied), answers(19, 200, 190))
	tests := []struct {
		name   string
		change []func(*Terms)
		in     []Input
		want   []string
	}{
		{"one that rolls back", nil, after(back, alarm(21, "page", 20), alarm(22, "page", 20)), []string{first, all}},
		{"in the midst of the way", nil, after(back, answers(17, 200, 160), alarm(21, "page", 20)), []string{first, second, all}},
		{"before routers have followed", nil, []Input{back[0], alarm(21, "page", 20)}, []string{first, all}},
		{"when it has fired for long enough", []func(*Terms){pageAfter}, after(back, alarm(21, "page", 20), expire(49, "alert/page/f-page/due"), expire(50, "alert/page/f-page/due")),
			[]string{first, strings.Replace(all, "20Z", "20Z, for longer than 30s", 1)}},
		{"told before, and for long enough on the way", []func(*Terms){pageAfter}, after([]Input{alarm(21, "page", 20)}, after(back, expire(50, "alert/page/f-page/due"))...),
			[]string{first, strings.Replace(all, "20Z", "20Z, for longer than 30s", 1)}},
		{"one from before the canary", nil, after(back, alarm(21, "page", 1)), []string{first}},
		{"one that only holds", nil, after(back, alarm(60, "busy", 20)), []string{first}},
		{"one that only warns", nil, after(back, alarm(60, "note", 20)), []string{first}},
		{"once all has gone back", nil, after(gone, alarm(21, "page", 20)), []string{first, second, last}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, words := foldWith(t, saidWhy, after(running(terms(append([]func(*Terms){cached, guarded}, test.change...)...)), test.in...)...)
			for i := range words {
				words[i] = strings.Replace(words[i], "rollback code-rollback: 41 answers", "rollback code-rollback: 41 answers", 1)
			}
			expect(t, words[2:], test.want...)
			if alarmed := test.want[len(test.want)-1] != first && test.name != "once all has gone back"; alarmed && s.Returning() {
				t.Error("traffic still goes back in steps")
			}
		})
	}
}

func TestAlertsBeforeTheStart(t *testing.T) {
	for _, since := range []int64{2, 100} { // the other one is ahead of our clock
		s, words := foldWith(t, saidWhy, applied(1, terms(guarded)), alarm(2, "page", since), ack(3, 1, "eu", schemas.AckPrepared))
		if s.Status != StatusHolding || !strings.Contains(words[2], "fires since 1970-01-01T00:00:02Z, from before canary 42 began") {
			t.Errorf("%s after %q, want it to hold as soon as it begins", s.Status, words)
		}
	}
}

// TestAlertsAheadOfOurClock: one begins when it was told first, of whatever rollout, also once our clock has passed its start.
func TestAlertsAheadOfOurClock(t *testing.T) {
	for name, test := range map[string]struct {
		at, since, heard int64
		want             string
	}{
		"told first now":             {20, 50, 0, "rollback external_alert: Alert Apage (guardrail page) fires since 1970-01-01T00:00:20Z: It is page."},
		"told before the canary":     {20, 50, 1, pageBefore},
		"and its start has passed":   {60, 50, 1, pageBefore},
		"told since":                 {60, 50, 10, pageHarms},
		"our clock was set back":     {20, 50, 30, "rollback external_alert: Alert Apage (guardrail page) fires since 1970-01-01T00:00:20Z: It is page."},
		"of a journal that is older": {60, 10, 0, pageHarms},
	} {
		in := alarm(test.at, "page", test.since)
		in.HeardMs = test.heard * 1000
		s, words := foldWith(t, saidWhy, after(running(terms(guarded)), in)...)
		if last := words[len(words)-1]; last != test.want {
			t.Errorf("%s: %q, want %q", name, last, test.want)
		}
		if want := min(test.at, test.heard) * 1000; want > 0 && s.HeardMs(in.Alert) != want {
			t.Errorf("%s: heard at %d, want %d", name, s.HeardMs(in.Alert), want)
		}
	}
}

func TestWhatADecisionOfAnAlertSays(t *testing.T) {
	_, effects := Step(func() State { s, _ := fold(t, running(terms(guarded))...); return s }(), alarm(20, "page", 10))
	d := effects[0].Decision.Decision
	want := schemas.AlertStatus{Name: "Apage", Fingerprint: "f-page", StartsAt: 10_000, Summary: "It is page.", URL: "http://prometheus/graph"}
	if rows := d.Reason.Guardrails; len(rows) != 3 || rows[0].State != schemas.StateFailed || rows[1].State != schemas.StateContinue || len(rows[0].Alerts) != 1 || rows[0].Alerts[0] != want {
		t.Errorf("guardrails %+v, want page failed by %+v, the others quiet", rows, want)
	}
	if d.Actor.Kind != "engine" || !IsOfAlert(&d) || causeOf(&d.Reason) != "page" {
		t.Errorf("actor %+v, reason %s, cause %s", d.Actor, d.Reason.Code, causeOf(&d.Reason))
	}
}

// TestMoreAlertsThanAreKept: those that can't roll back make room for one that can.
func TestMoreAlertsThanAreKept(t *testing.T) {
	in := running(terms(guarded))
	for i := range MaxFiring + 3 {
		in = append(in, alarm(20, "page", 1, func(a *schemas.Alert) { a.Fingerprint = fmt.Sprint(i) }))
	}
	s, _ := fold(t, in...)
	if len(s.Alerts) != MaxFiring || s.AlertStatus()[0].AlertsFiring != MaxFiring || len(s.AlertStatus()[0].Alerts) != schemas.MaxAlertsShown {
		t.Fatalf("%d alerts are kept, %+v shown", len(s.Alerts), s.AlertStatus()[0])
	}
	if s, _ = Step(s, alarm(30, "page", 25)); s.Status != StatusRolledBack {
		t.Errorf("it is %s, want it rolled back by the alert beyond the bound", s.Status)
	}
}

// TestAlertsWatchTheirDeadlines: what is kept of alerts is watched until they are over, or the epoch is.
func TestAlertsWatchTheirDeadlines(t *testing.T) {
	names := func(s State) (out []string) {
		for _, d := range s.Deadlines() {
			out = append(out, fmt.Sprint(d.ID, " ", d.AtMs/1000))
		}
		return out
	}
	s, _ := fold(t, after(running(terms(guarded)), alarm(20, "busy", 10))...)
	expect(t, names(s), "alert/busy/f-busy/due 40", "alert/busy/f-busy/stale 320")
	s, _ = Step(s, command(30, CommandDelete, false))
	expect(t, names(s))
}
