package actuators

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
)

func unix(seconds int64) time.Time { return time.Unix(seconds, 0) }
func unixText(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
func plain(url string) schemas.Sink {
	return schemas.Sink{Name: "x", Kind: schemas.SinkAlertmanager, Server: schemas.Server{URL: url, Timeout: 5 * time.Second}}
}

// TestCertificates has a real server: one whose certificate nobody knows gets nothing, until its certificate is named.
func TestCertificates(t *testing.T) {
	asked := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	server.Config.ErrorLog = nil
	s := plain(server.URL)
	if err := act(t, s, Options{}); err == nil || !strings.Contains(err.Error(), "certificate") || asked != 0 {
		t.Errorf("got %v after %d requests", err, asked)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	if err := act(t, s, Options{TLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}); err != nil || asked != 1 {
		t.Errorf("got %v after %d requests", err, asked)
	}
}

// TestBasic: a user and a token are basic authentication.
func TestBasic(t *testing.T) {
	t.Setenv("WORD", "open sesame")
	var user, word string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { user, word, _ = r.BasicAuth() }))
	defer server.Close()
	s := plain(server.URL)
	s.User, s.Token.Env = "ali", "WORD"
	if err := act(t, s, Options{}); err != nil || user != "ali" || word != "open sesame" {
		t.Errorf("got %v, user %q, password %q", err, user, word)
	}
}

func act(t *testing.T, s schemas.Sink, o Options) error {
	t.Helper()
	sink, err := Open(s, o)
	if err != nil {
		return err
	}
	defer sink.Close()
	return sink.Act(t.Context(), eventOf(schemas.SinkAlertmanager, rollback()))
}

func TestRetryAfter(t *testing.T) {
	now := unix(1_700_000_000)
	for text, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "-5": 0, "soon": 0, "99999999999999": 0, now.Add(time.Minute).UTC().Format(http.TimeFormat): time.Minute,
		now.Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// TestPauses: they double up to a bound, however many there are, and jitter takes at most half away.
func TestPauses(t *testing.T) {
	draw := 0.0
	c := &courier{options: Options{Jitter: func() float64 { return draw }}}
	for n, want := range map[int]time.Duration{1: firstPause, 2: time.Second, 6: 16 * time.Second, 7: longestPause, 1000: longestPause} {
		draw = 0
		if got := c.pause(n); got != want {
			t.Errorf("pause %d is %s, want %s", n, got, want)
		}
		draw = 0.999999
		if got := c.pause(n); got < want/2 || got > want*51/100 {
			t.Errorf("pause %d with much jitter is %s, want a little more than half of %s", n, got, want)
		}
	}
}

func TestShown(t *testing.T) {
	for in, want := range map[string]string{"": "", " \n": "", "a\n  b": ": a b", strings.Repeat("é", 300): ": " + strings.Repeat("é", 100) + "…", "\xff": ": ?"} {
		if got := shown([]byte(in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
