package actuators

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"streamcanary/schemas"
)

var _ = register(schemas.SinkPagerDuty, openPagerDuty)

// pagerduty raises and ends incidents by PagerDuty's Events API v2 (POST /v2/enqueue, answered by 202 and {"status": "success"}). All that is raised about a
// rollout is one incident, by its dedup_key, but that its rollback is stuck, an order to stores, a critical roll-forward, a baseline that is no refuge, and each retired version that serves: each is another, since nobody is woken by more of what
// was acknowledged. So is what is a warning, which ends when it becomes critical: a greater severity raises the urgency of an incident only where the service has dynamic notifications and nobody has acknowledged
// it, and a lesser one never lowers it. Each ends when its alarm is over. Events that are no alarm aren't sent. What is over before PagerDuty could be told of it wakes nobody, and is a change event of the service (POST /v2/change/enqueue, with the same
// key): it is seen there, and makes no incident and no notification.
type pagerduty struct{ *courier }

// maxSummary bounds a summary, in bytes.
const maxSummary = 1024

type pagerEvent struct {
	RoutingKey string      `json:"routing_key"`
	Action     string      `json:"event_action"`
	DedupKey   string      `json:"dedup_key"`
	Client     string      `json:"client"`
	Payload    *pagerAlarm `json:"payload,omitempty"`
	Links      []pagerLink `json:"links,omitempty"`
}

type pagerAlarm struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Severity  schemas.Severity  `json:"severity"`
	Timestamp schemas.Time      `json:"timestamp"`
	Component string            `json:"component"`
	Group     string            `json:"group"`
	Class     string            `json:"class"`
	Details   map[string]string `json:"custom_details"`
}

type pagerLink struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

type pagerChange struct {
	RoutingKey string      `json:"routing_key"`
	Payload    pagerPast   `json:"payload"`
	Links      []pagerLink `json:"links,omitempty"`
}

type pagerPast struct {
	Summary   string            `json:"summary"`
	Source    string            `json:"source"`
	Timestamp schemas.Time      `json:"timestamp"`
	Details   map[string]string `json:"custom_details"`
}

func openPagerDuty(c *courier) (Actuator, error) {
	p := pagerduty{c}
	_, err := p.routingKey()
	return p, err
}

func (p pagerduty) routingKey() (string, error) {
	known, err := p.secrets()
	if err == nil && len(strings.Fields(known.secret)) != 1 {
		err = errors.New("its secret is no routing key: the file holds the integration key of an Events API v2 integration, and nothing else")
	}
	return known.secret, err
}

// Act raises an alarm, or ends those that are over, or notes those that were over before.
func (p pagerduty) Act(ctx context.Context, e *Event) error {
	for _, x := range e.incidents() {
		key, err := p.routingKey()
		if err != nil {
			return &Failure{Doing: "find the routing key", why: err.Error(), cause: err}
		}
		if x.what == past {
			err = p.note(ctx, e, &x, key)
		} else {
			err = p.enqueue(ctx, e, &x, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// note leaves word of an incident that is over. It is for who looks there later, and all that is told elsewhere says it, too: so an answer that isn't about the moment, as of who takes no
// change events, holds nothing up. That the key isn't accepted (401) is no such answer: nothing is taken there.
func (p pagerduty) note(ctx context.Context, e *Event, of *incident, key string) error {
	end := e.endOf(of)
	change := pagerChange{RoutingKey: key, Links: linksOf(e.Rollout), Payload: pagerPast{
		Summary: clip("over by now: "+e.title()+": "+e.sentence(), maxSummary), Source: e.Rollout.Model, Timestamp: e.at(), Details: detailsOf(e),
	}}
	change.Payload.Details["over"] = fmt.Sprintf("%s %s: %s", end.at(), end.what(), end.sentence())
	x, err := jsonCall(http.MethodPost, p.sink.URL+"/v2/change/enqueue", e, change)
	if err != nil {
		return err
	}
	err = p.change(ctx, p.ofIncident(x, of))
	var f *Failure
	if errors.As(err, &f) && f.Status >= 300 && f.Status != http.StatusUnauthorized && !f.again {
		return nil
	}
	return err
}

// ofIncident completes a request about an incident.
func (p pagerduty) ofIncident(x *call, of *incident) *call {
	x.key += of.suffix() // of two requests about an event each has its own
	x.check = func(status int, body []byte) *Failure {
		var answer struct{ Status string }
		if json.Unmarshal(body, &answer) != nil || answer.Status != "success" {
			return unlike(status, `with PagerDuty's status "success"`, body)
		}
		return nil
	}
	return x
}

// enqueue raises or ends one incident.
func (p pagerduty) enqueue(ctx context.Context, e *Event, of *incident, key string) error {
	event := pagerEvent{RoutingKey: key, Action: "resolve", DedupKey: e.alarmKey(of), Client: p.options.Program}
	if of.what == raise || of.what == fallen {
		event.Action = "trigger"
		event.Payload = &pagerAlarm{
			Summary: clip(e.title()+": "+e.textAt(of.severity), maxSummary), Source: e.Rollout.Model, Severity: of.severity, Timestamp: e.at(),
			Component: cmp.Or(schemas.Readable(of.of), e.Rollout.Canary), Group: e.Rollout.Model, Class: e.what(), Details: detailsOf(e),
		}
		event.Links = linksOf(e.Rollout)
	}
	x, err := jsonCall(http.MethodPost, p.sink.URL+"/v2/enqueue", e, event)
	if err != nil {
		return err
	}
	if x = p.ofIncident(x, of); of.what == risen && !p.dry() { // people are told by now, and what ends all of it ends that, too
		_, _ = p.once(ctx, x)
		return nil
	}
	return p.change(ctx, x)
}

// detailsOf are an event's facts for a person.
func detailsOf(e *Event) map[string]string {
	details := map[string]string{"id": e.ID, "why": e.sentence(), "baseline": e.Rollout.Baseline, "canary": e.Rollout.Canary}
	for key, text := range map[string]string{"version": e.version(), "traffic": e.split(), "by": e.actor(), "hotfix": e.Rollout.Hotfix} {
		if text != "" {
			details[key] = text
		}
	}
	return details
}

// linksOf are the rollout's annotations that are addresses, ascending by name.
func linksOf(r *schemas.Rollout) []pagerLink {
	var links []pagerLink
	for name, text := range r.Annotations {
		if strings.HasPrefix(text, "https://") || strings.HasPrefix(text, "http://") {
			links = append(links, pagerLink{text, name})
		}
	}
	slices.SortFunc(links, func(a, b pagerLink) int { return strings.Compare(a.Text, b.Text) })
	return links
}
