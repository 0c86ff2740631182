package actuators

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// Two secrets, as while one is replaced by the other.
const hookSecrets = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nwhsec_aHVzaC1odXNoLWh1c2gtaHVzaC1odXNoLWh1c2g="

var _ = fits(schemas.SinkWebhook, fixture{
	sink: schemas.Sink{Server: at(address+"/hook", "f")}, secret: hookSecrets, use: schemas.SinkUse{Kind: schemas.SinkWebhook, Sink: "x"},
	system: func() http.Handler { return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}) },
})

// TestSignature has the specification's own example: key, id, time and body give this signature (standard-webhooks/standard-webhooks, the reference libraries'
// test of signing).
func TestSignature(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	signer{[][]byte{key}, "msg_p5jXN8AQM9LWM0D4loKWxJek", []byte(`{"test": 2432232314}`)}.sign(h, unix(1614265330))
	if got, want := h.Get("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if h.Get("webhook-id") != "msg_p5jXN8AQM9LWM0D4loKWxJek" || h.Get("webhook-timestamp") != "1614265330" {
		t.Errorf("%v", h)
	}
}

// TestWebhook: a decision comes as it was published, a notice as a CloudEvent, both signed with every secret, at the time of the attempt.
func TestWebhook(t *testing.T) {
	first := func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return n == 1
	}
	within(t, schemas.SinkWebhook, first, func(w *world) {
		decided, noticed := eventOf(w.kind, rollback()), noticeOf(w.kind, schemas.NoticeDrainOverdue, schemas.Critical)
		for _, e := range []*Event{decided, noticed} {
			if err := w.sink.Act(w.Context(), e); err != nil {
				w.Fatal(err)
			}
		}
		again, notice := w.all[1], w.all[2]
		if again.body != string(decided.Signed.Body) || again.header.Get("Sc-Key-Id") != "k1" || again.header.Get("Sc-Signature") == "" {
			w.Errorf("the decision came as %+v", again)
		}
		var cloud struct {
			SpecVersion, Type, ID, Subject string
			Data                           *schemas.Notice
		}
		if err := json.Unmarshal([]byte(notice.body), &cloud); err != nil || cloud.Type != schemas.NoticeSchema || cloud.ID != noticed.ID || cloud.Data.Sentence != "It is so." || cloud.Subject != "ranker" {
			w.Errorf("the notice came as %s (%v)", notice.body, err)
		}
		if w.all[0].header.Get("Webhook-Id") != again.header.Get("Webhook-Id") || again.header.Get("Webhook-Id") != "ranker-42:3:7" {
			w.Errorf("ids %v and %v", w.all[0].header, again.header)
		}
		for _, r := range w.all {
			verify(w, r)
		}
	})
}

// verify is what a receiver does.
func verify(w *world, r received) {
	w.Helper()
	if r.header.Get("Content-Type") != "application/cloudevents+json" {
		w.Errorf("content type %s", r.header.Get("Content-Type"))
	}
	if seconds := r.header.Get("Webhook-Timestamp"); seconds != unixText(r.at) {
		w.Errorf("signed at %s, sent at %s", seconds, unixText(r.at))
	}
	signatures := strings.Fields(r.header.Get("Webhook-Signature"))
	for i, secret := range strings.Fields(hookSecrets) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			w.Fatal(err)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(r.header.Get("Webhook-Id") + "." + r.header.Get("Webhook-Timestamp") + "." + r.body))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); len(signatures) != 2 || signatures[i] != want {
			w.Errorf("signatures %v, want %s in place %d", signatures, want, i)
		}
	}
}

func TestBadSecrets(t *testing.T) {
	tests := []struct {
		name, secret, want string
		kind               schemas.SinkKind
	}{
		{"no prefix", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "its secret, line 1, is not whsec_", schemas.SinkWebhook},
		{"short", hookSecrets + "\nwhsec_aHVzaA==", "its secret, line 3, is not whsec_ and then 24 to 64 bytes in base64: make one with: echo whsec_$(head", schemas.SinkWebhook},
		{"no base64", "whsec_????????????????????????????????", "its secret, line 1, is not", schemas.SinkWebhook},
		{"empty", " \n", "secret is empty", schemas.SinkWebhook},
		{"long", strings.Repeat("x", maxSecret+1), "has 16385 bytes, 16384 are allowed", schemas.SinkWebhook},
		{"no address", "xoxb-hush-hush", "its secret is no address of an incoming webhook", schemas.SinkSlack},
		{"two addresses", "https://hush-a https://hush-b", "its secret is no address of an incoming webhook", schemas.SinkSlack},
		{"two keys", "hush-a\nhush-b", "its secret is no routing key", schemas.SinkPagerDuty},
	}
	for _, x := range tests {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(x.secret), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(schemas.Sink{Name: "x", Kind: x.kind, Server: at(address, ""), Secret: schemas.SecretRef{File: path}}, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), "sink x: ") || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got %v, want %q", x.name, err, x.want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the error tells the secret: %v", x.name, err)
		}
	}
	t.Setenv("HOOK", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	for name, want := range map[string]string{"HOOK": "", "NO_HOOK": "variable NO_HOOK is empty"} {
		_, err := Open(schemas.Sink{Name: "x", Kind: schemas.SinkWebhook, Server: at(address, ""), Secret: schemas.SecretRef{Env: name}}, Options{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	for _, file := range []string{"no-such-file", "two-lines"} {
		path := filepath.Join(t.TempDir(), file)
		if file == "two-lines" {
			if err := os.WriteFile(path, []byte("a\nb\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(schemas.Sink{Name: "x", Kind: schemas.SinkMLflow, Server: at(address, path)}, Options{}); err == nil || !strings.Contains(err.Error(), "read its token") {
			t.Errorf("%s: got %v", file, err)
		}
	}
}
