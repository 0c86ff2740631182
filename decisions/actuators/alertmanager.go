package actuators

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"streamcanary/schemas"
)

var _ = register(schemas.SinkAlertmanager, openAlertmanager)

// alertmanager posts alerts to Alertmanager's API (POST /api/v2/alerts). Labels are an alert's identity: alertname StreamcanaryRollout, model, rollout, severity, and the
// labels of the rollout; that a rollback is stuck has the alertname StreamcanaryRollbackStuck, and that stores don't answer a freeze, or
// that they take writes again, StreamcanaryStateStuck, that to roll forward is recommended while a rollback is carried out StreamcanaryRollForward, that a baseline with all users is no refuge StreamcanaryNoRefuge, and that a retired version serves StreamcanaryRetiredServes, which has the label version, too, since Alertmanager doesn't notify anew of an alert that fires already. An alert ends when the alarm is over, or alertLife after it was sent last.
// Alertmanager keeps alerts in memory alone, so what stands is sent again and again (repeat), as Prometheus does: with the same labels and startsAt it is the same alert, of which nobody is notified anew.
type alertmanager struct{ *courier }

// alertLife is how long an alert is active after it was sent last. Prometheus lets its alerts end after four minutes without it, since it can raise them anew from what it measures. Here nobody could: if serve dies
// while a rollback isn't carried out, an end after minutes would tell people that all is well. So it is long enough for a serve that fails in the night to be seen in the morning. What is over is ended by name,
// also what stood under labels that the rollout has no more.
const alertLife = 24 * time.Hour

// repeatMost is how many alerts are sent in one request.
const repeatMost = 256

type amAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    schemas.Time      `json:"startsAt"`
	EndsAt      schemas.Time      `json:"endsAt"`
}

func openAlertmanager(c *courier) (Actuator, error) { return alertmanager{c}, nil }

// amNames are the names of alerts, by incident.
var amNames = map[string]string{
	"": schemas.OwnAlert, incidentStuck: schemas.OwnAlertStuck, incidentState: schemas.OwnAlertState, incidentForward: schemas.OwnAlertForward, incidentRefuge: schemas.OwnAlertRefuge, incidentRetired: schemas.OwnAlertRetired,
}

// Act raises the alert of the event's severity, which ends the lesser one of the same incident, or ends those that are over; likewise what has an alert of its own.
func (a alertmanager) Act(ctx context.Context, e *Event) error {
	var alerts []amAlert
	later := e.at() + schemas.Time(alertLife.Milliseconds())
	for _, x := range e.incidents() {
		ends := e.at()
		switch x.what {
		case raise, fallen:
			ends = later
		case past: // as an alert that has ended, of which nobody is notified
			ends = max(ends, e.endOf(&x).at())
		case over, risen, quiet:
		}
		alerts = append(alerts, alertOf(e, &x, ends))
	}
	if alerts == nil {
		return nil
	}
	x, err := a.post(e, alerts)
	if err != nil {
		return err
	}
	return a.change(ctx, x)
}

func (a alertmanager) post(e *Event, alerts []amAlert) (*call, error) {
	x, err := jsonCall(http.MethodPost, a.sink.URL+"/api/v2/alerts", e, alerts)
	if x != nil {
		x.check = amTaken
	}
	return x, err
}

// repeat sends what stands, and what has ended since.
func (a alertmanager) repeat(ctx context.Context, all []stands) error {
	later := schemas.Time(time.Now().Add(alertLife).UnixMilli())
	for some := range slices.Chunk(all, repeatMost) {
		var alerts []amAlert
		for i := range some {
			alerts = append(alerts, standingAlert(&some[i], later))
		}
		x, err := a.post(&Event{}, alerts)
		if err != nil {
			return err
		}
		if _, failure := a.once(ctx, x); failure != nil {
			failure.Doing, failure.Attempts = x.doing(), 1
			return failure
		}
	}
	return nil
}

// amTaken holds a success against what Alertmanager answers: nothing, or {"status": "success"} as its first API did. What stands before it, a sign-in page above all, answers otherwise.
func amTaken(status int, body []byte) *Failure {
	var answer struct {
		Status string `json:"status"`
	}
	if len(bytes.TrimSpace(body)) > 0 && (json.Unmarshal(body, &answer) != nil || answer.Status != "success") {
		return unlike(status, "with nothing, as Alertmanager does", body)
	}
	return nil
}

// standingAlert is the alert of what stands, or has ended.
func standingAlert(s *stands, later schemas.Time) amAlert {
	alert := alertOf(s.last, &s.incident, later)
	alert.StartsAt = s.since
	if s.ended != nil {
		alert.EndsAt = max(s.ended.at(), s.since)
	}
	return alert
}

func alertOf(e *Event, of *incident, ends schemas.Time) amAlert {
	labels := map[string]string{}
	for name, value := range e.labels() {
		labels[labelName(name)] = value
	}
	labels["alertname"], labels["severity"] = amNames[of.name], string(of.severity)
	labels["model"], labels["rollout"] = e.model(), e.Rollout.Name
	if of.of != "" {
		labels["version"] = of.of
	}
	annotations := map[string]string{"summary": e.title(), "description": e.textAt(of.severity), "id": e.ID, "epoch": fmt.Sprint(e.epoch())}
	for _, l := range linksOf(e.Rollout) {
		annotations[strings.TrimSuffix(labelName(l.Text), "_url")+"_url"] = l.Href
	}
	if runbook := e.Rollout.Annotations["runbook"]; runbook != "" {
		annotations["runbook_url"] = runbook
	}
	return amAlert{labels, annotations, e.at(), ends}
}

// labelName is a name as Prometheus allows it: what isn't a letter, a digit or _ becomes _.
func labelName(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, name)
	if plain == "" || '0' <= plain[0] && plain[0] <= '9' {
		return "_" + plain
	}
	return plain
}
