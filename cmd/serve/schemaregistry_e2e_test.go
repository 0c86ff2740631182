//go:build e2e

package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// A lexicon is a real Schema Registry on loopback: Apicurio, which has the API of Confluent's, with what it knows in memory.
type lexicon struct {
	address string
	command *exec.Cmd
	log     bytes.Buffer
}

// newLexicon starts one; STREAMCANARY_APICURIO names its jar.
func newLexicon(t *testing.T) *lexicon {
	t.Helper()
	jar := os.Getenv("STREAMCANARY_APICURIO")
	if jar == "" {
		t.Skip("STREAMCANARY_APICURIO names no jar: `make e2e` fetches one where Java and Maven are, and Maven's packages")
	}
	l := &lexicon{address: freeAddress(t)}
	_, port, _ := strings.Cut(l.address, ":")
	l.command = exec.Command("java", "-Xmx512m", "-jar", jar)
	l.command.Dir = t.TempDir()
	l.command.Env = append(os.Environ(), "QUARKUS_HTTP_HOST=127.0.0.1", "QUARKUS_HTTP_PORT="+port)
	l.command.Stdout, l.command.Stderr = &l.log, &l.log
	if err := l.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.stop()
		if t.Failed() {
			t.Logf("what Apicurio said:\n%s", l.log.String())
		}
	})
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		response, err := http.Get(l.url() + "/subjects")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				t.Logf("Apicurio answers after %s", time.Since(began).Round(time.Second))
				return l
			}
		}
		if time.Since(began) > patience {
			t.Fatalf("Apicurio doesn't answer within %s (%v)", patience, err)
		}
	}
}

func (l *lexicon) url() string { return "http://" + l.address + "/apis/ccompat/v7" }

// stop kills the registry.
func (l *lexicon) stop() {
	if l.command != nil {
		_ = l.command.Process.Kill()
		_ = l.command.Wait()
		l.command = nil
	}
}

// send changes something, as whoever registers a schema does.
func (l *lexicon) send(t *testing.T, method, path string, body map[string]string) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(method, l.url()+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: Apicurio answers %s", method, path, response.Status)
	}
}

// fill registers a subject with three versions: the second fits the first, the third has a field without a default.
func (l *lexicon) fill(t *testing.T) {
	t.Helper()
	for _, more := range []string{``, `,{"name":"age","type":"int","default":0}`, `,{"name":"age","type":"int"}`} {
		l.send(t, http.MethodPost, "/subjects/ranker-in/versions", map[string]string{"schema": `{"type":"record","name":"In","fields":[{"name":"user","type":"string"}` + more + `]}`})
	}
	l.send(t, http.MethodPut, "/config/ranker-in", map[string]string{"compatibility": "FULL"})
}

// guarded is a way to the registry that asks for a password, as usual before this one.
func (l *lexicon) guarded(t *testing.T) string {
	t.Helper()
	to, err := url.Parse("http://" + l.address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if user, password, _ := q.BasicAuth(); user != "canary" || password != "right" {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "<html>401 Authorization Required</html>", http.StatusUnauthorized)
			return
		}
		q.Header.Del("Authorization")
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(door.Close)
	return door.URL + "/apis/ccompat/v7"
}

func pillarOf(baseline, canary string) string {
	return fmt.Sprintf("  pillars:\n    input: {baseline: %q, canary: %q}\n", "subject:"+baseline, "subject:"+canary)
}

// check runs `streamcanary check --online` as a person does, and returns what it says.
func (l *lexicon) check(t *testing.T, pillar, where string) (said string, held bool) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"story.yaml": storyRollout + pillar, "config.yaml": "registries: {schemas: {retries: 0, " + where + "}}\n", "right": "right", "wrong": "wrong"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command(os.Getenv("STREAMCANARY_BINARY"), "check", "--rollout", "story.yaml", "--online", "--config", "config.yaml", "--data", "data")
	command.Dir = dir
	out, err := command.CombinedOutput()
	return string(out), err == nil
}

// TestE2ESchemaRegistry: a real Schema Registry is asked for Avro schemas, before a start by `check`, and by `serve` at it.
func TestE2ESchemaRegistry(t *testing.T) {
	l := newLexicon(t)
	l.fill(t)
	plain, guarded := fmt.Sprintf("url: %q", l.url()), fmt.Sprintf("user: canary, url: %q", l.guarded(t))
	fits := pillarOf("ranker-in@1", "ranker-in@2")
	rows := []struct {
		name, pillar, where string
		held                bool
		want                []string
	}{
		{"fits", fits, plain, true, []string{"pillar input: held", "changed: input /age was added"}},
		{"behind a password", fits, guarded + ", tokenFile: right", true, []string{"pillar input: held"}},
		{"the wrong password", fits, guarded + ", tokenFile: wrong", false, []string{"pillar input: failed", "answers 401: it doesn't let us in: look at user, and tokenFile or tokenEnv"}},
		{"no field's default", pillarOf("ranker-in@1", "ranker-in@3"), plain, false, []string{"pillar input: failed",
			"the Schema Registry (level FULL) refuses subject:ranker-in@3 after subject:ranker-in@1: Incompatible artifact: ranker-in [AVRO]",
			"rolling out: subject:ranker-in@3 at age: field of type int has no default"}},
		{"no such version", pillarOf("ranker-in@1", "ranker-in@9"), plain, false, []string{"subject:ranker-in@9 is not in the Schema Registry at " + l.url()}},
		{"no such subject", pillarOf("nobody@1", "ranker-in@2"), plain, false, []string{"subject:nobody@1 is not in the Schema Registry at " + l.url()}},
		{"another address of it", fits, fmt.Sprintf("url: %q", "http://"+l.address), false, []string{"answers 404", "is its url in registries the API's own address?"}},
	}
	for _, x := range rows {
		t.Run(x.name, func(t *testing.T) {
			said, held := l.check(t, x.pillar, x.where)
			for _, want := range x.want {
				if held != x.held || !strings.Contains(said, want) {
					t.Errorf("held %v, said\n%s\nwant %v with %s", held, said, x.held, want)
				}
			}
		})
	}
	t.Run("at a start", func(t *testing.T) { l.starts(t, fits) })
	t.Run("away", func(t *testing.T) {
		l.stop()
		if said, held := l.check(t, fits, plain); held || !strings.Contains(said, "connection refused: does it run, and is its url in registries right?") {
			t.Errorf("held %v, said\n%s", held, said)
		}
	})
}

// starts has a start that the registry refuses, and then one that it lets be.
func (l *lexicon) starts(t *testing.T, fits string) {
	t.Helper()
	s := newStage(t, nil)
	s.topics.more = fmt.Sprintf("registries: {schemas: {url: %q}}\n", l.url())
	var p process
	p.start(t, s, "")
	s.router(t)
	from := schemas.Time(parsed(t, storyScenario).StartMs)
	s.apply(t, "story", storyRollout+pillarOf("ranker-in@1", "ranker-in@3"), Application{ID: "story-1", From: from})
	s.status(t, "story", 1, decisions.StatusRefused)
	if p := s.state(t).Pillars; len(p) != 1 || p[0].State != decisions.PillarFailed || !strings.Contains(p[0].Found[0], "the Schema Registry (level FULL) refuses subject:ranker-in@3") {
		t.Errorf("pillars of what was refused: %+v", p)
	}
	s.apply(t, "story", storyRollout+fits, Application{ID: "story-2", From: from})
	s.status(t, "story", 2, decisions.StatusRunning)
	if p := s.state(t).Pillars; len(p) != 1 || p[0].State != decisions.PillarHeld {
		t.Errorf("pillars of what started: %+v", p)
	}
}
