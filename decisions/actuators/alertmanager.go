package actuators

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"streamcanary/schemas"
)

var _ = register(schemas.SinkAlertmanager, openAlertmanager)

// alertmanager posts alerts to Alertmanager's API (POST /api/v2/alerts). Labels are an alert's identity: alertname StreamcanaryRollout, model, rollout, severity, and the
// labels of the rollout; that a rollback is stuck has the alertname StreamcanaryRollbackStuck, and that stores don't answer a freeze, or
// that they take writes again, StreamcanaryStateStuck, since Alertmanager doesn't notify anew of an alert that fires already. An alert ends when the alarm is over, or a day after it was raised last: it isn't sent again meanwhile, and Alertmanager keeps
// alerts in memory alone: one that restarts forgets it, after it has told of it.
type alertmanager struct{ *courier }

// alertLife is how long an alert is active that nobody ends.
const alertLife = 24 * time.Hour

type amAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    schemas.Time      `json:"startsAt"`
	EndsAt      schemas.Time      `json:"endsAt"`
}

func openAlertmanager(c *courier) (Actuator, error) { return alertmanager{c}, nil }

// amNames are the names of alerts, by incident.
var amNames = map[string]string{"": schemas.OwnAlert, incidentStuck: schemas.OwnAlertStuck, incidentState: schemas.OwnAlertState}

// Act raises the alert of the event's severity, or ends those of both; likewise what has an alert of its own.
func (a alertmanager) Act(ctx context.Context, e *Event) error {
	var alerts []amAlert
	later := e.at() + schemas.Time(alertLife.Milliseconds())
	for _, x := range e.incidents() {
		name := amNames[x.name]
		switch {
		case x.what == raise:
			alerts = append(alerts, alertOf(e, name, e.severity(), later))
		case x.name == "":
			alerts = append(alerts, alertOf(e, name, schemas.Critical, e.at()), alertOf(e, name, schemas.Warning, e.at()))
		default:
			alerts = append(alerts, alertOf(e, name, schemas.Critical, e.at()))
		}
	}
	if alerts == nil {
		return nil
	}
	x, err := jsonCall(http.MethodPost, a.sink.URL+"/api/v2/alerts", e, alerts)
	if err != nil {
		return err
	}
	return a.change(ctx, x)
}

func alertOf(e *Event, name string, severity schemas.Severity, ends schemas.Time) amAlert {
	labels := map[string]string{}
	for name, value := range e.Rollout.Labels {
		labels[labelName(name)] = value
	}
	labels["alertname"], labels["severity"] = name, string(severity)
	labels["model"], labels["rollout"] = e.Rollout.Model, e.Rollout.Name
	annotations := map[string]string{"summary": e.title(), "description": e.sentence(), "id": e.ID, "epoch": fmt.Sprint(e.epoch())}
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
