package actuators

import (
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestRouteOutsideAPod: a service account's token is there in a pod only, so the error says what to name elsewhere.
func TestRouteOutsideAPod(t *testing.T) {
	sink := schemas.Sink{Name: "gateway", Kind: schemas.SinkHTTPRoute}
	sink.URL, sink.Token.File = "https://api:6443", t.TempDir()+"/none"
	_, err := Open(sink, Options{})
	if err == nil || !strings.HasSuffix(err.Error(), "elsewhere name one by tokenFile or tokenEnv") {
		t.Errorf("opened without a token: %v", err)
	}
	sink.Kind = schemas.SinkWebhook
	if _, err := Open(sink, Options{}); err == nil || strings.Contains(err.Error(), "in a pod") {
		t.Errorf("a webhook without its secret: %v", err)
	}
}
