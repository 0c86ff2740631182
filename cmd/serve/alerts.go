package serve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"streamcanary/decisions"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// alertsPath is where Alertmanager's webhook sends its messages: one address for all rollouts.
const alertsPath = "/v1/alertmanager"

// alertsAgain is after how many seconds a message that isn't kept may come again. Alertmanager has pauses of its own.
const alertsAgain = "10"

// alertMessage is a message of Alertmanager's webhook on its way to the court. Its answer has room for one.
type alertMessage struct {
	alerts *schemas.Alerts
	answer chan heeded
}

// heeded is what came of a message: how many of its alerts are in the journal, and of which rollouts, and how many Alertmanager had left out of it.
type heeded struct {
	Alerts    int      `json:"alerts"`
	Kept      int      `json:"kept"`
	Truncated int64    `json:"truncated,omitempty"`
	Rollouts  []string `json:"rollouts,omitempty"`
	err       error
}

// alertmanager takes a message: 200 once it is journaled, or concerns no rollout; 4xx for what is wrong with it, or with who sends it, which Alertmanager doesn't send again; 503 where it
// isn't kept, and comes again.
func (e *endpoints) alertmanager(w http.ResponseWriter, r *http.Request) {
	if why := e.barred(r); why != nil {
		http.Error(w, why.Error(), denial(w, why))
		return
	}
	if !isJSON(r) {
		http.Error(w, contentTypeWanted, http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, schemas.MaxAlertsBytes+1))
	switch {
	case err != nil:
		http.Error(w, "the message can't be read: "+err.Error(), http.StatusBadRequest)
		return
	case len(body) > schemas.MaxAlertsBytes:
		http.Error(w, schemas.AlertsTooLong(len(body)).Error(), http.StatusRequestEntityTooLarge)
		return
	}
	alerts, err := schemas.DecodeAlerts(body)
	if err != nil {
		e.seen.alerts.WithLabelValues("refused").Inc()
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), commandWithin)
	defer cancel()
	came := e.tell(ctx, alerts)
	if came.err != nil {
		why := came.err.Error()
		if bad := e.uncounted(); bad != nil {
			why += ". Kafka, in which alerts are kept: " + bad.Error()
		}
		w.Header().Set("Retry-After", alertsAgain)
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(came) // the client is gone, or has it
}

// barred says why whoever asks may not tell of alerts; nil: they may.
func (e *endpoints) barred(r *http.Request) error {
	if err := e.open(); err != nil {
		return err
	}
	who, err := e.people.who(r.Header.Get("Authorization"), "")
	const what = "in http_config of Alertmanager's webhook_configs, authorization: {credentials_file: FILE} is to have the token of a line `alerter NAME TOKEN` in http.tokensFile of serve"
	switch {
	case errors.Is(err, errNoToken):
		return fmt.Errorf("%w: %s", errNoToken, what)
	case errors.Is(err, errUnknownToken):
		return fmt.Errorf("%w, as it was when serve started: %s", errUnknownToken, what)
	case err == nil && who.role != alerter && who.role < operator:
		return fmt.Errorf("%s is %s: alerts take an alerter, or an operator: %s", who.name, who.role, what)
	}
	return err
}

// hearAlerts hands a message to the court, and waits until it is kept.
func (c *court) hearAlerts(ctx context.Context, alerts *schemas.Alerts) heeded {
	m := alertMessage{alerts, make(chan heeded, 1)}
	select {
	case c.told <- m:
	case <-ctx.Done():
		return heeded{err: fmt.Errorf("the service is starting, stopping or busy: send it again")}
	}
	select {
	case came := <-m.answer:
		return came
	case <-ctx.Done():
		return heeded{err: fmt.Errorf("it isn't known whether the alerts are kept, after %s: send them again, that changes nothing", commandWithin)}
	}
}

// alerted journals a message's alerts, each for every rollout that it concerns. What is told again comes into the journal again: it is what keeps it from going stale.
func (c *court) alerted(ctx context.Context, m *alertMessage) heeded {
	came := heeded{Alerts: len(m.alerts.All), Truncated: m.alerts.Truncated}
	if m.alerts.Truncated > 0 {
		c.seen.alerts.WithLabelValues("truncated").Add(float64(m.alerts.Truncated))
		c.log.Warn().Int64("missing", m.alerts.Truncated).Str("receiver", m.alerts.Receiver).
			Str("group", m.alerts.Group).Msg("Alertmanager has cut its message: rollouts hear nothing of the rest; raise max_alerts in webhook_configs, or group by more labels")
	}
	now := time.Now()
	entries, err := c.truncated(m.alerts, now)
	came.err = err
	for i := range m.alerts.All {
		a := &m.alerts.All[i]
		c.rumours.hear(a, c.firstHeard(a, now), now)
		result := "other"
		for _, d := range c.concerned(a) {
			e, err := alertRecord(d, a, c.rumours.heardMs(a), now)
			if err != nil {
				came.err = err
				continue
			}
			if result != "kept" {
				result = "kept"
				came.Kept++
			}
			entries = append(entries, e)
			came.Rollouts = append(came.Rollouts, d.rollout.Name)
		}
		c.seen.alerts.WithLabelValues(result).Inc()
	}
	slices.Sort(came.Rollouts)
	came.Rollouts = slices.Compact(came.Rollouts)
	if err := c.appendAlerts(ctx, entries); err != nil {
		came.err = err
		c.log.Warn().Err(came.err).Int("alerts", came.Kept).Strs("rollouts", came.Rollouts).
			Msg("alerts wait for the window journal, and Alertmanager sends them again; look at Kafka (its disk, ACLs, the topic's settings)")
	}
	return came
}

// firstHeard is when an alert was told first, as far as that is known: by what is remembered of it, or, after a restart, by the record of a rollout that took it as ahead of our clock.
func (c *court) firstHeard(a *schemas.Alert, now time.Time) time.Time {
	if x, known := c.rumours[a.Fingerprint]; known && x.alert.StartsAt == a.StartsAt {
		return x.first
	}
	first := now
	for _, d := range c.desks {
		if ms := d.head.State.HeardMs(a); ms > 0 && ms < first.UnixMilli() {
			first = time.UnixMilli(ms)
		}
	}
	return first
}

// concerned are the desks of the rollouts to which an alert matters, by name.
func (c *court) concerned(a *schemas.Alert) []*desk {
	var desks []*desk
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; d.head.State.Heeds(a) {
			desks = append(desks, d)
		}
	}
	return desks
}

// alertRecord is the journal record of an alert for one rollout. Where another process decides for that, it is the one to tell.
func alertRecord(d *desk, a *schemas.Alert, heardMs int64, now time.Time) (kafka.Entry, error) {
	if d.lost != nil {
		return kafka.Entry{}, fmt.Errorf("another process decides for rollout %s, tell that one: %w", d.rollout.Name, d.lost)
	}
	return inputEntry(d, decisions.Input{Kind: decisions.InputAlert, WallMs: now.UnixMilli(), HeardMs: heardMs, Alert: a})
}

// inputEntry is the journal record of an input for the present epoch of a rollout.
func inputEntry(d *desk, in decisions.Input) (kafka.Entry, error) {
	value, err := decisions.EncodeInput(in)
	return kafka.Entry{Key: []byte(d.rollout.Model), Value: value, Headers: headers(inputRecord, d.rollout.Name, d.head.State.Epoch)}, err
}

// appendAlerts journals alerts, all at once: a storm of them must not keep windows from being judged.
func (c *court) appendAlerts(ctx context.Context, entries []kafka.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if _, err := c.journal.AppendAll(ctx, entries); err != nil {
		return fmt.Errorf("%w: append to %s: %w", errUnjournaled, JournalTopic, err)
	}
	return nil
}

// repeatRumours lets an epoch that begins hear of the alerts that fire by then, and of those that Alertmanager left out. One that can't be journaled is heard of again when Alertmanager repeats it.
func (c *court) repeatRumours(ctx context.Context, d *desk) {
	var entries []kafka.Entry
	now := time.Now()
	for _, a := range c.rumours.firing(now) {
		if !d.head.State.Terms.Concerns(a) {
			continue
		}
		if e, err := alertRecord(d, a, c.rumours.heardMs(a), now); err == nil { // what was heard is within its bounds
			entries = append(entries, e)
		}
	}
	for _, group := range c.truncations.lasting(now) {
		missing := c.truncations[group].missing
		if e, err := truncatedRecord(d, group, missing, now); err == nil && d.head.State.HeedsTruncated(group, missing) {
			entries = append(entries, e)
		}
	}
	if err := c.appendAlerts(ctx, entries); err != nil && ctx.Err() == nil {
		c.log.Warn().Err(err).Str("rollout", d.rollout.Name).Int("alerts", len(entries)).
			Msg("alerts that fire are not journaled: the rollout doesn't hear of them until Alertmanager repeats them; look at Kafka (its disk, ACLs, the topic's settings)")
	}
}

// overheard hears again what an epoch that is under way was told of alerts before this process decided for it: the next epoch is to know of what fires, too.
func (c *court) overheard(in *decisions.Input) {
	at := time.UnixMilli(in.WallMs)
	switch {
	case in.Kind == decisions.InputAlert:
		x, known := c.rumours[in.Alert.Fingerprint]
		if known && x.at.After(at) { // this process was told since
			return
		}
		first := at
		if in.HeardMs > 0 {
			first = time.UnixMilli(in.HeardMs)
		}
		if known && x.alert.StartsAt == in.Alert.StartsAt && x.first.Before(first) {
			first = x.first
		}
		c.rumours.hear(in.Alert, first, at)
	case in.Kind == decisions.InputRuling && in.Ruling.Kind == decisions.RulingTruncated:
		if c.truncations[in.Ruling.Group].at.After(at) {
			return
		}
		c.truncations.hear(&schemas.Alerts{Group: in.Ruling.Group, Truncated: in.Ruling.Missing}, at)
	}
}

// rumours are the alerts that fire, whether or not they concern a rollout by now: one that begins must know of them, and Alertmanager repeats them after hours. They are
// in memory: after a restart those are known that an epoch under way was told of, by its journal (overheard); the others are heard of when they are repeated.
type rumours map[string]rumour // by fingerprint

type rumour struct {
	alert *schemas.Alert
	first time.Time // it was told first
	at    time.Time // it was told last
}

// maxRumours bounds them; beyond it the one that was told longest ago is forgotten. rumoursFor is how long one is believed: more than Alertmanager's repeat_interval.
const (
	maxRumours = 1000
	rumoursFor = 5 * time.Hour
)

func (r rumours) hear(a *schemas.Alert, first, now time.Time) {
	before, known := r[a.Fingerprint]
	if a.Resolved {
		if known && (a.EndsAt == 0 || a.EndsAt >= before.alert.StartsAt) { // else the end of an earlier one, that comes late
			delete(r, a.Fingerprint)
		}
		return
	}
	if !known && len(r) >= maxRumours {
		delete(r, r.oldest())
	}
	r[a.Fingerprint] = rumour{a, first, now}
}

// heardMs is when an alert was told first, where it starts ahead of that: all rollouts count it from there. 0 elsewhere.
func (r rumours) heardMs(a *schemas.Alert) int64 {
	x, known := r[a.Fingerprint]
	if !known || x.alert.StartsAt != a.StartsAt || int64(a.StartsAt) <= x.first.UnixMilli() {
		return 0
	}
	return x.first.UnixMilli()
}

func (r rumours) oldest() string {
	least := ""
	for fingerprint, x := range r {
		if least == "" || cmp.Or(x.at.Compare(r[least].at), cmp.Compare(fingerprint, least)) < 0 {
			least = fingerprint
		}
	}
	return least
}

// firing are those that are believed to fire, by fingerprint.
func (r rumours) firing(now time.Time) []*schemas.Alert {
	var all []*schemas.Alert
	for fingerprint, x := range r {
		if ended := x.alert.EndsAt > 0 && int64(x.alert.EndsAt) <= now.UnixMilli(); ended || now.Sub(x.at) > rumoursFor {
			delete(r, fingerprint)
			continue
		}
		all = append(all, x.alert)
	}
	slices.SortFunc(all, func(a, b *schemas.Alert) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) })
	return all
}
