package actuators

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"streamcanary/schemas"
)

var _ = fits(schemas.SinkSlack, fixture{
	secret: address + "/services/T0/B0/hush-hush-hush", use: schemas.SinkUse{Kind: schemas.SinkSlack, Sink: "x"}, heeds: true,
	// Slack answers 200 and ok, or a word that says why not: 400 invalid_payload, 403 action_prohibited, 404 no_service, 410 channel_is_archived.
	system: func() http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var m slackMessage
			switch {
			case r.URL.Path != "/services/T0/B0/hush-hush-hush":
				http.Error(w, "no_service", http.StatusNotFound)
			case json.NewDecoder(r.Body).Decode(&m) != nil || m.Text == "":
				http.Error(w, "invalid_payload", http.StatusBadRequest)
			default:
				fmt.Fprint(w, "ok")
			}
		})
	},
})

func TestSlack(t *testing.T) {
	d := rollback()
	d.Actor = schemas.Actor{Kind: "person", Name: "ada", Comment: "<!channel> look"}
	got := slackOf(eventOf(schemas.SinkSlack, d))
	want := slackMessage{
		Text: "*rollback: rollout ranker-42 of model ranker*",
		Attachments: []slackAttachment{{
			Color: "danger", Text: "Canary 42 answers with more errors than &lt;baseline&gt; 41 &amp; more.", MrkdwnIn: []string{"text"},
			Fields: []slackPair{
				{"Traffic", "41 100 %, 42 0 %", false}, {"By", "ada: &lt;!channel&gt; look", false}, {"Id", anID, true}, {"At", "2025-12-29T09:20:01.500Z", true}, {"Links", "<https://wiki/ranker|runbook>", false},
			},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	d.Reason.Sentence = strings.Repeat("long ", 2000)
	if text := slackOf(eventOf(schemas.SinkSlack, d)).Attachments[0].Text; len(text) > slackText || !strings.HasSuffix(text, "…") {
		t.Errorf("a text of %d bytes ends with %q", len(text), text[len(text)-9:])
	}
	notice := slackOf(noticeOf(schemas.SinkSlack, schemas.NoticeRollbackCompleted, schemas.Info))
	if notice.Attachments[0].Color != "good" || notice.Text != "*rollback-completed: rollout ranker-42 of model ranker*" {
		t.Errorf("got %+v", notice)
	}
	advised := eventOf(schemas.SinkSlack, d)
	r := *testRollout
	r.Annotations = map[string]string{"runbook": "https://wiki/a|b?x=1&y=<2>", "dashboard": "http://grafana/d/1", "note": "no link", "long": "https://" + strings.Repeat("x", slackValue), "s>o": "https://x"}
	if got, want := slackLinks(&r), "<http://grafana/d/1|dashboard> <https://wiki/a%7Cb?x=1&amp;y=&lt;2&gt;|runbook> <https://x|s&gt;o>"; got != want {
		t.Errorf("links %q, want %q", got, want)
	}
	r.Mode, advised.Rollout = schemas.Advise, &r
	if text := slackOf(advised).Text; !strings.Contains(text, "only advised: nobody acts on it") {
		t.Errorf("got %q", text)
	}
}
