package actuators

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"streamcanary/schemas"
)

// A fixture is what the conformance test needs of a kind: a sink, what a rollout wants of it, and the system as it answers when all is well.
type fixture struct {
	sink   schemas.Sink
	secret string // what its file holds
	use    schemas.SinkUse
	system func() http.Handler // nil: the kind speaks to no server
	heeds  bool                // it notices an answer that isn't its system's
}

var fixtures = map[schemas.SinkKind]fixture{}

// fits adds a kind's fixture; its test file calls it for a package variable.
func fits(kind schemas.SinkKind, f fixture) bool {
	fixtures[kind] = f
	return true
}

// What the sinks of the tests have. The address is of a network inside the process.
const (
	address   = "http://127.0.0.1:8080"
	hushToken = "hush-token-1234"
	anID      = "ranker-42.3.7"
)

// at is a server, with the file of a token.
func at(url, token string) schemas.Server {
	return schemas.Server{URL: url, Token: schemas.SecretRef{File: token}}
}

var testRollout = &schemas.Rollout{
	Name: "ranker-42", Model: "ranker", Baseline: "41", Canary: "42", Mode: schemas.Enforce,
	Labels: map[string]string{"team": "feed"}, Annotations: map[string]string{"runbook": "https://wiki/ranker", "owner": "feed-oncall"}, Hotfix: "flag rerank=off",
}

func rollback() *schemas.Decision {
	return &schemas.Decision{
		Schema: schemas.DecisionSchema, ID: anID, Epoch: 3, Seq: 7, Model: "ranker", Rollout: "ranker-42", Mode: schemas.Enforce,
		Action: schemas.ActionRollback, Severity: schemas.Critical, Routes: []schemas.Route{{Version: "41", WeightBP: 10000}, {Version: "42"}},
		Reason:    schemas.Reason{Code: "guardrail_failed", Sentence: "Canary 42 answers with more errors than <baseline> 41 & more."},
		EventTime: 1_767_000_000_000, IssuedAt: 1_767_000_001_500, Actor: schemas.Actor{Kind: "engine"},
	}
}

// eventOf is a decision's event for a kind.
func eventOf(kind schemas.SinkKind, d *schemas.Decision) *Event {
	body, err := schemas.EncodeDecision("streamcanary", d)
	if err != nil {
		panic(err)
	}
	use := fixtures[kind].use
	return OfDecision(d, schemas.Signed{Body: body, KeyID: "k1", Signature: []byte("signature")}, testRollout, &use)
}

func noticeOf(kind schemas.SinkKind, n schemas.NoticeKind, severity schemas.Severity) *Event {
	use := fixtures[kind].use
	return OfNotice(&schemas.Notice{
		Schema: schemas.NoticeSchema, ID: anID + ".notice.1", Kind: n, Severity: severity, Model: "ranker", Rollout: "ranker-42", Epoch: 3, Sentence: "It is so.", At: 1_767_000_002_000,
	}, testRollout, &use)
}

// A received request.
type received struct {
	at     time.Time
	method string
	path   string
	header http.Header
	body   string
}

// A world is a sink with a server, inside a bubble of virtual time.
type world struct {
	*testing.T
	kind    schemas.SinkKind
	sink    *Sink
	network *kfake.VirtualNetwork
	server  *http.Server
	mu      sync.Mutex
	all     []received
	said    []string
	secrets []string
}

// A fault answers the n-th request (from 1) instead of the system; false: it leaves it to the system.
type fault func(n int, w http.ResponseWriter, r *http.Request) bool

// within plays in a world of a kind.
func within(t *testing.T, kind schemas.SinkKind, bad fault, play func(w *world)) {
	t.Helper()
	plays(t, kind, Options{}, bad, play)
}

func plays(t *testing.T, kind schemas.SinkKind, o Options, bad fault, play func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := fixtures[kind]
		w := &world{T: t, kind: kind, network: new(kfake.VirtualNetwork), secrets: append(strings.Fields(f.secret), hushToken)}
		if f.system != nil {
			w.serve(f.system(), bad)
		}
		o.Dial = w.network.DialContext
		if o.Say != nil {
			o.Say = func(text string) { w.said = append(w.said, text) }
		}
		var err error
		if w.sink, err = Open(w.settings(dir), o); err != nil {
			t.Fatal(err)
		}
		play(w)
		w.sink.Close()
		if w.server != nil {
			w.server.Close()
		}
		time.Sleep(time.Minute) // handlers come to their end
	})
}

// settings are the sink's, with its secrets in files.
func (w *world) settings(dir string) schemas.Sink {
	f := fixtures[w.kind]
	s := f.sink
	s.Name, s.Kind, s.Timeout, s.Retries = "x", w.kind, 3*time.Second, 3
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			w.Fatal(err)
		}
		return path
	}
	if s.Token.Given() {
		s.Token.File = write("token", hushToken+"\n")
	}
	if f.secret != "" {
		s.Secret.File = write("secret", f.secret+"\n")
	}
	if s.File != "" {
		s.File = filepath.Join(dir, s.File)
	}
	return s
}

// serve starts the system's server, with faults.
func (w *world) serve(system http.Handler, bad fault) {
	l, err := w.network.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		w.Fatal(err)
	}
	w.server = &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.all = append(w.all, received{time.Now(), r.Method, r.URL.Path, r.Header, string(body)})
		n := len(w.all)
		w.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		if bad == nil || !bad(n, rw, r) {
			system.ServeHTTP(rw, r)
		}
	})}
	go func() { _ = w.server.Serve(l) }()
}

// changes are the requests that change something.
func (w *world) changes() []received {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.all), func(r received) bool { return r.method == http.MethodGet })
}

func (w *world) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all)
}

// act brings the rollback there.
func (w *world) act() error { return w.sink.Act(w.Context(), eventOf(w.kind, rollback())) }

// fails wants an error with some words in it, and no secret.
func (w *world) fails(err error, want ...string) *Failure {
	w.Helper()
	var f *Failure
	if !errors.As(err, &f) {
		w.Fatalf("got error %v, want a Failure", err)
	}
	text := err.Error()
	for _, word := range append(want, "sink x", anID) {
		if !strings.Contains(text, word) {
			w.Errorf("%q lacks %q", text, word)
		}
	}
	w.keepsSecrets(text)
	if strings.Contains(text, "\n") {
		w.Errorf("%q is more than one line", text)
	}
	return f
}

func (w *world) keepsSecrets(text string) {
	w.Helper()
	for _, secret := range w.secrets {
		if strings.Contains(text, secret) {
			w.Errorf("%q tells the secret %q", text, secret)
		}
	}
}

// echo answers with all that the request held, as a careless server does in its errors.
func echo(w http.ResponseWriter, r *http.Request, status int) {
	body, _ := io.ReadAll(r.Body)
	w.WriteHeader(status)
	fmt.Fprintf(w, "bad request to %s, %s: %s", r.URL, r.Header.Get("Authorization"), body)
}

func TestEveryKindHasAnActuator(t *testing.T) {
	want := []schemas.SinkKind{schemas.SinkMLflow, schemas.SinkHTTPRoute, schemas.SinkEnvoy, schemas.SinkWebhook, schemas.SinkSlack, schemas.SinkPagerDuty, schemas.SinkAlertmanager}
	slices.Sort(want)
	for what, have := range map[string][]schemas.SinkKind{"actuators": slices.Sorted(maps.Keys(kinds)), "fixtures": slices.Sorted(maps.Keys(fixtures))} {
		if !slices.Equal(have, want) {
			t.Errorf("%s of %v, want %v", what, have, want)
		}
	}
	if _, err := Open(schemas.Sink{Name: "x", Kind: "fax"}, Options{}); err == nil || !strings.Contains(err.Error(), `sink x: kind "fax" has no actuator`) {
		t.Errorf("got %v", err)
	}
}

// TestActuators holds every kind to what the package promises.
func TestActuators(t *testing.T) {
	for _, kind := range slices.Sorted(maps.Keys(fixtures)) {
		for _, c := range conformance {
			if fixtures[kind].system == nil && c.server {
				continue
			}
			t.Run(string(kind)+"/"+c.name, func(t *testing.T) { plays(t, kind, c.options, c.bad, c.play) })
		}
	}
}

// conformance is a row per promise.
var conformance = []struct {
	name    string
	server  bool // it is about a server
	options Options
	bad     fault
	play    func(w *world)
}{
	{name: "delivers", play: delivers},
	{name: "advises", play: advises},
	{name: "dry run", options: Options{Say: func(string) {}}, play: dryRun},
	{name: "dry run of what is so", play: dryAgain},
	{name: "errors that pass", server: true, play: errorsThatPass, bad: func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n <= 2 {
			echo(w, r, http.StatusInternalServerError)
		}
		return n <= 2
	}},
	{name: "jitter", server: true, options: Options{Jitter: func() float64 { return 0.5 }}, play: jitter, bad: always(http.StatusBadGateway)},
	{name: "errors that stay", server: true, play: errorsThatStay, bad: always(http.StatusInternalServerError)},
	{name: "refused", server: true, play: refused, bad: always(http.StatusUnprocessableEntity)},
	{name: "not allowed", server: true, play: notAllowed, bad: always(http.StatusForbidden)},
	{name: "too many", server: true, play: tooMany, bad: func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.Header().Set("Retry-After", time.Now().Add(11*time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return n <= 2
	}},
	{name: "come back tomorrow", server: true, play: tomorrow, bad: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}},
	{name: "silent", server: true, play: silent, bad: func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	}},
	{name: "slow body", server: true, play: silent, bad: func(_ int, w http.ResponseWriter, r *http.Request) bool {
		for r.Context().Err() == nil {
			fmt.Fprint(w, " ")
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
		}
		return true
	}},
	{name: "wrong body", server: true, play: wrongBody, bad: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, "<html>Sign in, please</html>")
		return true
	}},
	{name: "endless body", server: true, play: endless, bad: func(_ int, w http.ResponseWriter, r *http.Request) bool {
		for part := make([]byte, 64<<10); r.Context().Err() == nil; {
			if _, err := w.Write(part); err != nil {
				break
			}
		}
		return true
	}},
	{name: "redirect", server: true, play: redirected, bad: func(_ int, w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "http://elsewhere:9/services/"+hushToken, http.StatusFound)
		return true
	}},
	{name: "nobody there", server: true, play: nobodyThere},
	{name: "stopped", server: true, play: stopped, bad: always(http.StatusServiceUnavailable)},
}

func always(status int) fault {
	return func(_ int, w http.ResponseWriter, r *http.Request) bool {
		echo(w, r, status)
		return true
	}
}

// delivers: the event gets there under its key, and again does no harm.
func delivers(w *world) {
	for range 2 {
		if err := w.act(); err != nil {
			w.Fatal(err)
		}
	}
	if w.server == nil {
		return
	}
	changes := w.changes()
	if len(changes) == 0 {
		w.Fatal("nothing was sent")
	}
	for _, r := range changes {
		if key := strings.Trim(r.header.Get("Idempotency-Key"), `"`); key != anID && key != anID+"/warning" { // that what was a warning is over has its own
			w.Errorf("%s %s has the idempotency key %s", r.method, r.path, key)
		}
		if agent := r.header.Get("User-Agent"); agent != "streamcanary" {
			w.Errorf("%s %s is sent by %s", r.method, r.path, agent)
		}
		if has := r.header.Get("Authorization") == "Bearer "+hushToken; has != w.sink.courier.sink.Token.Given() {
			w.Errorf("%s %s has the authorization %q", r.method, r.path, r.header.Get("Authorization"))
		}
	}
}

// advises: a rollout that only advises changes nothing.
func advises(w *world) {
	d := rollback()
	d.Mode = schemas.Advise
	e := eventOf(w.kind, d)
	r := *testRollout
	r.Mode, e.Rollout = schemas.Advise, &r
	if err := w.sink.Act(w.Context(), e); err != nil {
		w.Fatal(err)
	}
	if changes := w.changes(); w.kind.Changes() && len(changes) > 0 {
		w.Errorf("%d requests change something", len(changes))
	}
}

// dryRun: nothing is changed, what would be is said, and no secret is.
func dryRun(w *world) {
	if err := w.act(); err != nil {
		w.Fatal(err)
	}
	if changes := w.changes(); len(changes) > 0 {
		w.Errorf("%d requests change something: %+v", len(changes), changes[0])
	}
	if file := w.sink.courier.sink.File; file != "" {
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			w.Errorf("%s was written (%v)", file, err)
		}
	}
	text := strings.Join(w.said, "\n")
	if !strings.Contains(text, "would ") || !strings.Contains(text, anID) {
		w.Errorf("it says %q", text)
	}
	w.keepsSecrets(text)
}

// dryAgain: a dry run says so where nothing is to be changed, since in one nothing ever is.
func dryAgain(w *world) {
	if err := w.act(); err != nil {
		w.Fatal(err)
	}
	before := len(w.changes())
	dry, err := Open(w.sink.courier.sink, Options{Dial: w.network.DialContext, Say: func(text string) { w.said = append(w.said, text) }})
	if err != nil {
		w.Fatal(err)
	}
	defer dry.Close()
	if err := dry.Act(w.Context(), eventOf(w.kind, rollback())); err != nil {
		w.Fatal(err)
	}
	text := strings.Join(w.said, "\n")
	if w.kind.Changes() && !strings.Contains(text, "would change nothing for "+anID+": ") || len(w.changes()) != before {
		w.Errorf("%d changes, it says %q", len(w.changes())-before, text)
	}
	w.keepsSecrets(text)
}

// errorsThatPass: the same request again, after pauses that double.
func errorsThatPass(w *world) {
	if err := w.act(); err != nil {
		w.Fatal(err)
	}
	a, b, c := w.all[0], w.all[1], w.all[2]
	if a.path != b.path || a.body != b.body || b.body != c.body || a.header.Get("Idempotency-Key") != c.header.Get("Idempotency-Key") {
		w.Errorf("the request changed: %+v, %+v, %+v", a, b, c)
	}
	if first, second := b.at.Sub(a.at), c.at.Sub(b.at); first != firstPause || second != 2*firstPause {
		w.Errorf("pauses of %s and %s", first, second)
	}
}

func jitter(w *world) {
	_ = w.fails(w.act())
	if pause := w.all[1].at.Sub(w.all[0].at); pause != firstPause*3/4 {
		w.Errorf("the first pause is %s, want three quarters of %s", pause, firstPause)
	}
}

func errorsThatStay(w *world) {
	f := w.fails(w.act(), "the server answers 500", "(tried 4 times)", "127.0.0.1:8080")
	if f.Status != 500 || f.Attempts != 4 || f.Refused || w.count() != 4 {
		w.Errorf("%+v after %d requests", f, w.count())
	}
}

func refused(w *world) {
	if f := w.fails(w.act(), "the server answers 422"); !f.Refused || w.count() != 1 {
		w.Errorf("%+v after %d requests", f, w.count())
	}
}

func notAllowed(w *world) {
	if f := w.fails(w.act(), "the server answers 403", "look at the token or secret"); f.Refused || w.count() != 1 {
		w.Errorf("%+v after %d requests", f, w.count())
	}
}

// tooMany: the server's pauses are kept, in seconds and as a date.
func tooMany(w *world) {
	if err := w.act(); err != nil {
		w.Fatal(err)
	}
	first, second := w.all[1].at.Sub(w.all[0].at), w.all[2].at.Sub(w.all[1].at)
	if first != 7*time.Second || second < 10*time.Second || second > 11*time.Second { // a date has no fractions
		w.Errorf("pauses of %s and %s, want 7s and 11s", first, second)
	}
}

// tomorrow: a pause that is too long for a row ends it, and is handed on.
func tomorrow(w *world) {
	if f := w.fails(w.act(), "the server answers 503"); f.After != 24*time.Hour || w.count() != 1 {
		w.Errorf("%+v after %d requests", f, w.count())
	}
}

// silent: a server that doesn't come to an end is given its time, and no more.
func silent(w *world) {
	began := time.Now()
	f := w.fails(w.act(), "no whole answer within 3s")
	if !errors.Is(f, context.DeadlineExceeded) || f.Attempts != 4 {
		w.Errorf("%+v", f)
	}
	if took, want := time.Since(began), 4*3*time.Second+7*firstPause; took != want {
		w.Errorf("it took %s, want %s", took, want)
	}
}

func wrongBody(w *world) {
	err := w.act()
	if !fixtures[w.kind].heeds {
		if err != nil {
			w.Errorf("any answer is fine, got %v", err)
		}
		return
	}
	_ = w.fails(err, "the server answers 200, but not", "<html>Sign in, please</html>")
}

func endless(w *world) { _ = w.fails(w.act(), "but not within 4194304 bytes") }

func redirected(w *world) {
	f := w.fails(w.act(), "the server answers 302 and points to http://elsewhere:9: redirects are not followed")
	if f.Attempts != 1 || w.count() != 1 {
		w.Errorf("%+v after %d requests", f, w.count())
	}
}

func nobodyThere(w *world) {
	w.server.Close()
	synctest.Wait()
	if f := w.fails(w.act(), "127.0.0.1:8080", "(tried 4 times)"); f.Status != 0 || f.Refused {
		w.Errorf("%+v", f)
	}
}

// stopped: it ends with its context, also in a pause.
func stopped(w *world) {
	ctx, cancel := context.WithTimeout(w.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_ = w.fails(w.sink.Act(ctx, eventOf(w.kind, rollback())))
	if took := time.Since(began); took != 200*time.Millisecond {
		w.Errorf("it took %s", took)
	}
}
