package actuators

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"streamcanary/schemas"
)

var _ = register(schemas.SinkSlack, openSlack)

// slack posts to an incoming webhook of Slack, whose address is the sink's secret: {"text", "attachments": [{"color", "text", "fields"}]}, answered by 200 and "ok".
// Slack knows no idempotency key: a message may come twice, and says its id.
type slack struct{ *courier }

// Limits of what Slack shows without cutting it.
const (
	slackText  = 3000
	slackValue = 500
)

type slackMessage struct {
	Text        string            `json:"text"`
	Attachments []slackAttachment `json:"attachments"`
}

type slackAttachment struct {
	Color    string      `json:"color"`
	Text     string      `json:"text"`
	MrkdwnIn []string    `json:"mrkdwn_in"`
	Fields   []slackPair `json:"fields"`
}

type slackPair struct {
	Title string `json:"title"`
	Value string `json:"value"`
	Short bool   `json:"short"`
}

func openSlack(c *courier) (Actuator, error) {
	c.explain = explainSlack
	s := slack{c}
	_, err := s.address()
	return s, err
}

// slackGone are Slack's words, in the body of 403, 404 or 410, for a webhook that takes no message any more. It is the sink that is wrong then, and no message: another
// webhook in its secret, which is read anew each time, lets them through.
var slackGone = []string{"no_service", "no_team", "no_active_hooks", "team_disabled", "invalid_token", "channel_not_found", "channel_is_archived", "action_prohibited"}

func explainSlack(f *Failure, body []byte) {
	if word := strings.TrimSpace(string(body)); slices.Contains(slackGone, word) {
		f.why = fmt.Sprintf("Slack answers %d, %s: this webhook takes no messages any more: make a new one, and write its address into the secret of this sink", f.Status, word)
	}
}

func (s slack) address() (string, error) {
	known, err := s.secrets()
	web := strings.HasPrefix(known.secret, "https://") || strings.HasPrefix(known.secret, "http://")
	if err == nil && (!web || len(strings.Fields(known.secret)) != 1) {
		err = errors.New("its secret is no address of an incoming webhook: it begins with https://hooks.slack.com/services/, and nothing else is in the file")
	}
	return known.secret, err
}

// Act posts an event.
func (s slack) Act(ctx context.Context, e *Event) error {
	address, err := s.address()
	if err != nil {
		return &Failure{Doing: "find the channel", why: err.Error(), cause: err}
	}
	x, err := jsonCall(http.MethodPost, address, e, slackOf(e))
	if err != nil {
		return err
	}
	x.hidden = true
	x.check = func(status int, body []byte) *Failure {
		if strings.TrimSpace(string(body)) != "ok" {
			return unlike(status, `with Slack's "ok"`, body)
		}
		return nil
	}
	return s.change(ctx, x)
}

// slackOf is the message of an event.
func slackOf(e *Event) slackMessage {
	color := map[schemas.Severity]string{schemas.Warning: "warning", schemas.Critical: "danger"}[e.severity()]
	if color == "" {
		color = "good"
	}
	a := slackAttachment{Color: color, Text: slackEscape(clip(e.sentence(), slackText)), MrkdwnIn: []string{"text"}}
	for _, f := range []slackPair{{"Traffic", e.split(), false}, {"By", e.actor(), false}, {"Id", e.ID, true}, {"At", e.at().String(), true}} {
		if f.Value != "" {
			f.Value = slackEscape(clip(f.Value, slackValue))
			a.Fields = append(a.Fields, f)
		}
	}
	if links := slackLinks(e.Rollout); links != "" {
		a.Fields = append(a.Fields, slackPair{"Links", links, false})
	}
	return slackMessage{Text: "*" + slackEscape(clip(e.title(), slackText)) + "*", Attachments: []slackAttachment{a}}
}

// slackLinks are the rollout's links, as many as fit: the runbook, a dashboard.
func slackLinks(r *schemas.Rollout) string {
	text := ""
	for _, l := range linksOf(r) {
		link := fmt.Sprintf("<%s|%s>", slackEscape(strings.ReplaceAll(l.Href, "|", "%7C")), slackEscape(l.Text))
		if len(text)+len(link)+1 > slackValue {
			continue
		}
		text = strings.TrimSpace(text + " " + link)
	}
	return text
}

// slackEscape keeps a text from being taken for a link or a mention.
func slackEscape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
