package actuators

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestAnswersThatStay: what each system means by an answer that is no success: whether it will ever take the event, and whether the system was reached.
func TestAnswersThatStay(t *testing.T) {
	k8s := func(name string) string {
		return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","details":{"name":%q,"group":"gateway.networking.k8s.io","kind":"httproutes"},"code":404}`, name)
	}
	tests := []struct {
		kind    schemas.SinkKind
		status  int
		body    string
		refused bool
		words   string
	}{
		{schemas.SinkMLflow, 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Registered Model with name=ranker not found"}`, true, "MLflow has no such thing: Registered Model with name=ranker not found: register it"},
		{schemas.SinkMLflow, 404, `<html>404 page not found</html>`, false, "the server answers 404"}, // a proxy, or a server that is starting
		{schemas.SinkMLflow, 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found"}`, false, "the server answers 404"},
		{schemas.SinkMLflow, 409, `{"error_code":"ABORTED","message":"try again"}`, false, "the server answers 409"},
		{schemas.SinkMLflow, 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid alias"}`, true, "Invalid alias"},
		{schemas.SinkHTTPRoute, 404, k8s("ranker"), false, "the cluster has no HTTPRoute of this name in this namespace: make it"},
		{schemas.SinkHTTPRoute, 404, k8s(""), false, "install the Gateway API"},
		{schemas.SinkHTTPRoute, 404, "404 page not found", false, "the server answers 404"},
		{schemas.SinkWebhook, 410, "", true, "the receiver wants no more of this"},
		{schemas.SinkWebhook, 404, "", false, "the server answers 404"},
		{schemas.SinkSlack, 410, "channel_is_archived", false, "Slack answers 410, channel_is_archived: this webhook takes no messages any more: make a new one"},
		{schemas.SinkSlack, 404, "no_service\n", false, "Slack answers 404, no_service"},
		{schemas.SinkSlack, 400, "invalid_payload", true, "invalid_payload"},
		{schemas.SinkPagerDuty, 400, `{"status":"invalid event"}`, true, "invalid event"},
		{schemas.SinkAlertmanager, 404, "404 page not found", false, "the server answers 404"},
	}
	for _, x := range tests {
		t.Run(fmt.Sprint(x.kind, " ", x.status, " ", x.words), func(t *testing.T) {
			within(t, x.kind, func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(x.status)
				fmt.Fprint(w, x.body)
				return true
			}, func(w *world) {
				if f := w.fails(w.act(), x.words); f.Refused != x.refused || !f.Reached() {
					w.Errorf("refused %t, reached %t, want %t and true: %v", f.Refused, f.Reached(), x.refused, f)
				}
			})
		})
	}
}

// TestReached: what a proxy says for a server is not the server's word.
func TestReached(t *testing.T) {
	for status, want := range map[int]bool{0: false, 500: true, 502: false, 503: false, 404: true, 429: true, 200: true} {
		if f := (&Failure{Status: status}); f.Reached() != want {
			t.Errorf("%d: reached %t", status, f.Reached())
		}
	}
}

// TestTogether: several failures are one that tells all, once; it is refused where all are.
func TestTogether(t *testing.T) {
	gone, away := conflict("move alias a", "it is gone"), &Failure{Doing: "POST tag", why: "no answer"}
	tests := []struct {
		errs    []error
		want    string
		refused bool
	}{
		{[]error{nil, gone}, "move alias a: it is gone", true},
		{[]error{gone, nil, conflict("move alias b", "it is gone")}, "move alias a: it is gone", true},
		{[]error{gone, away}, "move alias a: it is gone; and POST tag: no answer", false},
		{[]error{away, gone}, "POST tag: no answer; and move alias a: it is gone", false},
	}
	for _, x := range tests {
		var f *Failure
		if err := together(x.errs...); !errors.As(err, &f) || f.Error() != x.want || f.Refused != x.refused {
			t.Errorf("got %v, want %s (refused %t)", err, x.want, x.refused)
		}
	}
	if err := together(nil, nil); err != nil {
		t.Errorf("got %v", err)
	}
	if err := together(gone, errors.New("no JSON")); err == nil || !strings.Contains(err.Error(), "no JSON") {
		t.Errorf("got %v", err)
	}
}
