package decisions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"streamcanary/schemas"
)

// Guardrails from outside. An alert that began after the canary did does what its guardrail says: it rolls back, holds or is told. One that fired before is not the
// canary's doing, and nothing is learnt about the canary while it fires: it holds, and never rolls back.

// codeAlert is the reason of what an alert from outside asks for.
const codeAlert = "external_alert"

// whyBefore, of a guardrail's status: its alert fired before the canary began.
const whyBefore = "fired_before"

// MaxFiring bounds the alerts that are kept of a rollout, one for each guardrail that it fits. Beyond it one that can't roll back (it fired before, or is waived) makes
// room for a new one; where there is none, a new one isn't kept until it is told again. The others hold by then.
const MaxFiring = 64

// A Firing is an alert from outside that fires, and fits a guardrail.
type Firing struct {
	Guardrail   string `json:"guardrail"`
	Fingerprint string `json:"fingerprint"`
	Name        string `json:"name"`
	Summary     string `json:"summary,omitempty"`
	URL         string `json:"url,omitempty"`
	StartsMs    int64  `json:"starts_ms"`          // Alertmanager's clock
	HeardMs     int64  `json:"heard_ms,omitempty"` // wall time at which it was told first, where StartsMs was still ahead: then it counts from there
	DueMs       int64  `json:"due_ms,omitempty"`   // wall time from which on it counts; 0: it does
	StaleMs     int64  `json:"stale_ms"`           // wall time at which it counts as over, unless it is told again
	Waived      bool   `json:"waived,omitempty"`   // a person resumed the rollout although it fires; of one that only warns: people were told
}

// Concerns reports whether an alert fits a guardrail of the rollout. Beside what match says, a label rollout, model or version must be the rollout's, its model's and the
// canary's, where the alert has it and match doesn't name it. What our own sink raised concerns nobody.
func (t *Terms) Concerns(a *schemas.Alert) bool {
	return slices.ContainsFunc(t.Alerts, func(g schemas.AlertGuardrail) bool { return t.fits(&g, a) })
}

func (t *Terms) fits(g *schemas.AlertGuardrail, a *schemas.Alert) bool {
	if schemas.IsOwnAlert(a.Labels["alertname"]) || !g.Fits(a.Labels) {
		return false
	}
	for _, own := range [...][2]string{{"rollout", t.Rollout}, {"model", t.Model}, {"version", t.Canary}} {
		if value, there := a.Labels[own[0]]; there && value != own[1] && !g.Matches(own[0]) {
			return false
		}
	}
	return true
}

// alertGuardrail is the guardrail of a firing alert.
func (t *Terms) alertGuardrail(f *Firing) *schemas.AlertGuardrail {
	i := slices.IndexFunc(t.Alerts, func(g schemas.AlertGuardrail) bool { return g.Name == f.Guardrail })
	return &t.Alerts[i]
}

// before reports whether an alert fired before the canary began.
func (s *State) before(f *Firing) bool { return s.BeganMs == 0 || f.began() < s.BeganMs }

// began is when an alert began. One that starts ahead of our clock began when it was told: what fires has begun, whatever the clocks say.
func (f *Firing) began() int64 {
	if f.HeardMs > 0 {
		return f.HeardMs
	}
	return f.StartsMs
}

// HeardMs is when an alert that started ahead of our clock was told first, by what is kept of it; 0: it isn't known to have been.
func (s *State) HeardMs(a *schemas.Alert) int64 {
	for i := range s.Alerts {
		if f := &s.Alerts[i]; f.Fingerprint == a.Fingerprint && f.StartsMs == int64(a.StartsAt) {
			return f.HeardMs
		}
	}
	return 0
}

// counts reports whether an alert has fired for long enough, and nobody has waived it.
func (f *Firing) counts() bool { return f.DueMs == 0 && !f.Waived }

// harmful is the alert that asks for a rollback; nil: none does.
func (s *State) harmful() *Firing {
	return s.alertThat(func(f *Firing, on schemas.On) bool { return f.counts() && on == schemas.OnRollback && !s.before(f) })
}

// blocking is the alert that keeps the canary from getting more traffic; nil: none does. One that asks for a rollback comes first, then one that is the canary's.
func (s *State) blocking() *Firing {
	if f := s.harmful(); f != nil {
		return f
	}
	stops := func(f *Firing, on schemas.On) bool { return f.counts() && on != schemas.OnWarn }
	if f := s.alertThat(func(f *Firing, on schemas.On) bool { return stops(f, on) && !s.before(f) }); f != nil {
		return f
	}
	return s.alertThat(stops)
}

// coming reports whether an alert fires that doesn't count yet, by its guardrail's for.
func (s *State) coming() bool {
	return s.alertThat(func(f *Firing, on schemas.On) bool { return f.DueMs > 0 && !f.Waived && on != schemas.OnWarn }) != nil
}

func (s *State) alertThat(is func(f *Firing, on schemas.On) bool) *Firing {
	for i := range s.Alerts {
		if f := &s.Alerts[i]; is(f, s.Terms.alertGuardrail(f).On) {
			return f
		}
	}
	return nil
}

// Heeds reports whether an alert still matters to the rollout: it fits a guardrail, and the epoch is under way, or its traffic goes back in steps.
func (s *State) Heeds(a *schemas.Alert) bool { return s.hears() && s.Terms.Concerns(a) }

// hears reports whether alerts matter still.
func (s *State) hears() bool { return !s.Status.Ended() || s.Returning() }

// alerted takes an alert from outside. What is told again only keeps it from going stale, and an epoch that has ended hears nothing any more, once its traffic has gone back.
func (t *turn) alerted(a *schemas.Alert) {
	if !t.s.hears() {
		return
	}
	var news []string
	for i := range t.s.Terms.Alerts {
		if g := &t.s.Terms.Alerts[i]; t.s.Terms.fits(g, a) && t.hear(g, a) {
			news = append(news, g.Name)
		}
	}
	if len(news) > 0 {
		t.alarms(fmt.Sprintf("Alert %s is resolved; judging goes on.", shortName(a.Name())))
	}
}

// hear brings what is kept of an alert up to date, and reports whether that is news.
func (t *turn) hear(g *schemas.AlertGuardrail, a *schemas.Alert) bool {
	at := slices.IndexFunc(t.s.Alerts, func(f Firing) bool { return f.Guardrail == g.Name && f.Fingerprint == a.Fingerprint })
	if a.Resolved || a.EndsAt > 0 && int64(a.EndsAt) <= t.in.WallMs {
		if at < 0 || a.EndsAt > 0 && int64(a.EndsAt) < t.s.Alerts[at].StartsMs { // an earlier one's end, that comes late
			return false
		}
		t.s.Alerts = slices.Delete(t.s.Alerts, at, at+1)
		return true
	}
	f := t.firing(g, a)
	switch {
	case at < 0:
		return t.s.keep(&f)
	case f.StartsMs < t.s.Alerts[at].StartsMs: // an earlier one, that comes late
		return false
	case f.StartsMs == t.s.Alerts[at].StartsMs:
		t.s.Alerts[at].StaleMs = f.StaleMs
		return false
	}
	t.s.Alerts[at] = f // it ended, and began again
	return true
}

// firing is what is kept of an alert.
func (t *turn) firing(g *schemas.AlertGuardrail, a *schemas.Alert) Firing {
	f := Firing{
		Guardrail: g.Name, Fingerprint: a.Fingerprint, Name: shortName(a.Name()), Summary: a.Summary, URL: a.URL, StartsMs: int64(a.StartsAt),
		StaleMs: t.in.WallMs + g.StaleAfter.Milliseconds(),
	}
	if a.EndsAt > 0 {
		f.StaleMs = min(f.StaleMs, int64(a.EndsAt))
	}
	if f.HeardMs = min(t.in.HeardMs, t.in.WallMs); f.HeardMs == 0 && f.StartsMs > t.in.WallMs {
		f.HeardMs = t.in.WallMs
	}
	if due := f.began() + g.For.Milliseconds(); g.For > 0 && due > t.in.WallMs {
		f.DueMs = due
	}
	return f
}

// keep adds an alert, within the bound.
func (s *State) keep(f *Firing) bool {
	if len(s.Alerts) >= MaxFiring {
		at := slices.IndexFunc(s.Alerts, func(x Firing) bool { return x.Waived || s.before(&x) })
		if at < 0 {
			return false
		}
		s.Alerts = slices.Delete(s.Alerts, at, at+1)
	}
	s.Alerts = append(s.Alerts, *f)
	return true
}

// alarms does what the alerts ask for now; over says what has ended, if nothing is asked for any more.
func (t *turn) alarms(over string) {
	s := &t.s
	if f := s.harmful(); f != nil {
		d := draft{reason: s.alertReason(f), actor: engine, urgent: true}
		switch {
		case s.judged(), s.Status == StatusPromoting:
			t.rollback(d, f.began())
			return
		case s.Returning():
			t.graver(d)
			return
		}
	}
	if !s.judged() {
		return
	}
	t.warned()
	switch f := s.blocking(); {
	case f != nil:
		t.hold(holding{reason: s.alertReason(f)})
	case s.Hold != nil && s.Hold.Code == codeAlert:
		t.resume(schemas.Reason{Sentence: over}, schemas.Evidence{}, engine)
	}
}

// warned tells people of alerts that do no more than that, each once.
func (t *turn) warned() {
	var concerns []Concern
	for i := range t.s.Alerts {
		f := &t.s.Alerts[i]
		if f.counts() && t.s.Terms.alertGuardrail(f).On == schemas.OnWarn {
			f.Waived = true // nothing more comes of it
			concerns = append(concerns, Concern{Guardrail: f.Guardrail, State: schemas.StateFailed, Sentence: t.s.alertSentence(f)})
		}
	}
	t.concerned(concerns)
}

// heldByAlert holds the rollout instead of what the evidence asks for, and reports whether an alert wants that.
func (t *turn) heldByAlert() bool {
	f := t.s.blocking()
	if f != nil {
		t.hold(holding{reason: t.s.alertReason(f)})
	}
	return f != nil
}

// waive lets the alerts that hold the rollout count no more, until they fire anew.
func (s *State) waive() {
	for f := s.blocking(); f != nil; f = s.blocking() {
		f.Waived = true
	}
}

// alertReason is the reason of what an alert asks for; where the guardrails stand is added to every decision (decide).
func (s *State) alertReason(f *Firing) schemas.Reason {
	return schemas.Reason{Code: codeAlert, Sentence: s.alertSentence(f)}
}

func (s *State) alertSentence(f *Firing) string {
	text := fmt.Sprintf("Alert %s (guardrail %s) fires since %s", f.Name, f.Guardrail, time.UnixMilli(f.began()).UTC().Format(time.RFC3339))
	switch on := s.Terms.alertGuardrail(f).On; {
	case s.before(f) && on == schemas.OnWarn:
		text += fmt.Sprintf(", from before canary %s began", s.Terms.Canary)
	case s.before(f):
		text += fmt.Sprintf(", from before canary %s began: it holds the rollout, and is no reason to roll back", s.Terms.Canary)
	case s.Terms.alertGuardrail(f).For > 0:
		text += ", for longer than " + schemas.FormatDuration(s.Terms.alertGuardrail(f).For)
	}
	if f.Summary == "" {
		return text + "."
	}
	return text + ": " + strings.TrimRight(f.Summary, ".") + "."
}

// shortName is an alert's name, bounded.
func shortName(name string) string { return clip(name, schemas.MaxNameBytes) }

// The deadlines of an alert.
const (
	dueDeadline   = "due"
	staleDeadline = "stale"
)

func (f *Firing) deadline(what string) string {
	return strings.Join([]string{"alert", f.Guardrail, f.Fingerprint, what}, "/")
}

// alertDeadlines are when alerts begin to count, and when they go stale.
func (s *State) alertDeadlines() []Deadline {
	if !s.hears() {
		return nil
	}
	var out []Deadline
	for i := range s.Alerts {
		f := &s.Alerts[i]
		if f.DueMs > 0 {
			out = append(out, Deadline{ID: f.deadline(dueDeadline), AtMs: f.DueMs})
		}
		out = append(out, Deadline{ID: f.deadline(staleDeadline), AtMs: f.StaleMs})
	}
	if len(s.Truncated) > 0 && !s.TruncatedTold {
		out = append(out, Deadline{ID: truncatedDeadline, AtMs: s.truncatedDue()})
	}
	return out
}

// alertExpired takes a deadline of an alert, and reports whether it was one.
func (t *turn) alertExpired(id string) bool {
	if id == truncatedDeadline {
		t.tellTruncated()
		return true
	}
	for i := range t.s.Alerts {
		f := &t.s.Alerts[i]
		switch id {
		case f.deadline(dueDeadline):
			f.DueMs = 0
			t.alarms("")
			return true
		case f.deadline(staleDeadline):
			name, after := f.Name, t.s.Terms.alertGuardrail(f).StaleAfter
			t.s.Alerts = slices.Delete(t.s.Alerts, i, i+1)
			t.alarms(fmt.Sprintf("Alert %s was not told again for %s, so it counts as over; judging goes on.", name, schemas.FormatDuration(after)))
			return true
		}
	}
	return false
}

// AlertStatus tells how the guardrails from outside stand, in the rollout's order. In a replay, where nobody tells of alerts, there is nothing to say.
func (s *State) AlertStatus() []schemas.GuardrailStatus {
	if s.Terms.Unattended {
		return nil
	}
	var all []schemas.GuardrailStatus
	for i := range s.Terms.Alerts {
		all = append(all, s.alertStatus(&s.Terms.Alerts[i]))
	}
	return all
}

func (s *State) alertStatus(g *schemas.AlertGuardrail) schemas.GuardrailStatus {
	status := schemas.GuardrailStatus{Name: g.Name, State: schemas.StateContinue, On: g.On, Against: schemas.AgainstAlerts}
	for i := range s.Alerts {
		f := &s.Alerts[i]
		if f.Guardrail != g.Name {
			continue
		}
		status.AlertsFiring++
		status.Alerts = append(status.Alerts, schemas.AlertStatus{
			Name: f.Name, Fingerprint: f.Fingerprint, StartsAt: schemas.Time(f.began()), Summary: f.Summary, URL: f.URL,
			Due: schemas.Time(f.DueMs), Before: s.before(f), Waived: f.Waived && g.On != schemas.OnWarn,
		})
	}
	slices.SortStableFunc(status.Alerts, func(a, b schemas.AlertStatus) int {
		return cmp.Or(alertRank(&a)-alertRank(&b), cmp.Compare(a.StartsAt, b.StartsAt))
	})
	status.Alerts = status.Alerts[:min(len(status.Alerts), schemas.MaxAlertsShown)]
	if len(status.Alerts) > 0 {
		status.State, status.Why = alertState(&status.Alerts[0])
	}
	return status
}

// alertState is what the alert that matters most makes of its guardrail.
func alertState(a *schemas.AlertStatus) (state schemas.State, why string) {
	return [...]schemas.State{schemas.StateFailed, schemas.StateSuspect, schemas.StateInsufficient, schemas.StateContinue}[alertRank(a)],
		[...]string{2: whyBefore, 3: ""}[alertRank(a)]
}

// alertRank puts the alerts first that matter most.
func alertRank(a *schemas.AlertStatus) int {
	switch {
	case a.Waived:
		return 3
	case a.Before:
		return 2
	case a.Due > 0:
		return 1
	}
	return 0
}

// IsOfAlert reports whether an alert from outside asked for a decision.
func IsOfAlert(d *schemas.Decision) bool { return d.Reason.Code == codeAlert }
