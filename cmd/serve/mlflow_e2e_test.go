//go:build e2e

package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// A tracker is a real `mlflow server` on loopback, with SQLite.
type tracker struct {
	binary, dir, address string
	stages               bool // it still has stages
	command              *exec.Cmd
	log                  bytes.Buffer
}

// newTracker starts one; STREAMCANARY_MLFLOW names its program.
func newTracker(t *testing.T) *tracker {
	t.Helper()
	m := &tracker{binary: os.Getenv("STREAMCANARY_MLFLOW"), dir: t.TempDir(), address: freeAddress(t)}
	if m.binary == "" {
		t.Skip("STREAMCANARY_MLFLOW names no mlflow: `make e2e` installs one where Python and a registry of packages are")
	}
	t.Cleanup(func() {
		m.stop()
		if t.Failed() {
			t.Logf("what MLflow said:\n%s", m.log.String())
		}
	})
	m.start(t)
	return m
}

// start starts the server, and waits until it answers.
func (m *tracker) start(t *testing.T) {
	t.Helper()
	_, port, _ := strings.Cut(m.address, ":")
	m.command = exec.Command(m.binary, "server", "--host", "127.0.0.1", "--port", port, "--workers", "1", "--gunicorn-opts=--timeout=60",
		"--backend-store-uri", "sqlite:///"+filepath.Join(m.dir, "mlflow.db"), "--default-artifact-root", filepath.Join(m.dir, "artifacts"), "--no-serve-artifacts")
	m.command.Env = append(os.Environ(), "HOME="+m.dir, "PATH="+filepath.Dir(m.binary)+":"+os.Getenv("PATH"), "MLFLOW_DISABLE_TELEMETRY=true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false")
	m.command.Stdout, m.command.Stderr = &m.log, &m.log
	m.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it has children
	if err := m.command.Start(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		response, err := http.Get("http://" + m.address + "/health")
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				t.Logf("MLflow answers after %s", time.Since(began).Round(time.Second))
				return
			}
		}
		if time.Since(began) > patience {
			t.Fatalf("MLflow doesn't answer within %s (%v)", patience, err)
		}
	}
}

// stop kills the server.
func (m *tracker) stop() {
	if m.command == nil {
		return
	}
	_ = syscall.Kill(-m.command.Process.Pid, syscall.SIGKILL)
	_ = m.command.Wait()
	m.command = nil
}

// call asks the server for something, and returns the status it answers with.
func (m *tracker) call(t *testing.T, method, path string, body, answer any) int {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(method, "http://"+m.address+"/api/2.0/mlflow/"+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if answer != nil {
		if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
			t.Fatalf("%s %s answers %d: %v", method, path, response.StatusCode, err)
		}
	}
	return response.StatusCode
}

// post changes something.
func (m *tracker) post(t *testing.T, path string, body any) {
	t.Helper()
	var said map[string]any
	if status := m.call(t, http.MethodPost, path, body, &said); status != http.StatusOK {
		t.Fatalf("POST %s: MLflow answers %d: %v", path, status, said)
	}
}

// digestOf is a digest for a version, as whoever registers it would write it.
func digestOf(version int) string { return "sha256:" + strings.Repeat(fmt.Sprint(version), 64) }

// register makes a model with two versions, the second of which serves by its alias, and by its stage where there are stages.
func (m *tracker) register(t *testing.T, model string) {
	t.Helper()
	m.post(t, "registered-models/create", map[string]any{"name": model})
	for version := 1; version <= 2; version++ {
		tags := []map[string]string{{"key": "digest", "value": digestOf(version)}}
		m.post(t, "model-versions/create", map[string]any{"name": model, "source": fmt.Sprintf("s3://models/%s/%d", model, version), "tags": tags})
	}
	m.post(t, "registered-models/alias", map[string]string{"name": model, "alias": "champion", "version": "2"})
	status := m.call(t, http.MethodPost, "model-versions/transition-stage", map[string]any{"name": model, "version": "2", "stage": "Production", "archive_existing_versions": false}, nil)
	if m.stages = status == http.StatusOK; !m.stages {
		t.Logf("this MLflow has no stages any more (it answers %d): only its aliases and tags are tested", status)
	}
}

// rollout is the story's, with the registry as a pillar and as a sink.
func (m *tracker) rollout(model string) string {
	stage := ""
	if m.stages {
		stage = "stage: Production, "
	}
	return storyRollout + fmt.Sprintf(`  pillars:
    registry: {mlflow: {name: %s, baseline: {version: "1", digest: "%s"}, canary: {version: "2", digest: "%s"}}}
  sinks: [{mlflow: {name: %s, alias: champion, candidate: challenger, %sbaseline: "1", canary: "2"}}]
`, model, digestOf(1), digestOf(2), model, stage)
}

// A shelfmark is what the registry says of a model: aliases, tags and stages, by their names, the last two of versions as "2/key".
type shelfmark map[string]string

func (m *tracker) look(t *testing.T, model string) shelfmark {
	t.Helper()
	type tag struct{ Key, Value string }
	var registered struct {
		Model struct {
			Aliases []struct{ Alias, Version string }
			Tags    []tag
		} `json:"registered_model"`
	}
	m.call(t, http.MethodGet, "registered-models/get?"+url.Values{"name": {model}}.Encode(), nil, &registered)
	now := shelfmark{}
	for _, a := range registered.Model.Aliases {
		now[a.Alias] = a.Version
	}
	for _, x := range registered.Model.Tags {
		now[x.Key] = x.Value
	}
	for _, version := range []string{"1", "2"} {
		var of struct {
			Version struct {
				Stage string `json:"current_stage"`
				Tags  []tag
			} `json:"model_version"`
		}
		m.call(t, http.MethodGet, "model-versions/get?"+url.Values{"name": {model}, "version": {version}}.Encode(), nil, &of)
		if m.stages {
			now[version+"/stage"] = of.Version.Stage
		}
		for _, x := range of.Version.Tags {
			now[version+"/"+x.Key] = x.Value
		}
	}
	return now
}

// demoted holds the registry to what a rollback leaves: all is the baseline's again, and it says what was before, and by which decision.
func (m *tracker) demoted(t *testing.T, model string) {
	t.Helper()
	want := shelfmark{
		"champion": "1", "streamcanary.previous.champion": "2", "streamcanary.previous.challenger": "2",
		"streamcanary.set.champion": "1 for ranker", "streamcanary.set.challenger": "none for ranker",
		"1/streamcanary.decision": "story.1.3", "2/streamcanary.decision": "story.1.3", "1/digest": digestOf(1), "2/digest": digestOf(2),
	}
	if m.stages {
		want["1/stage"], want["2/stage"], want["streamcanary.stage.Production"] = "Production", "Archived", "1 for ranker"
	}
	if got := m.look(t, model); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the registry has\n%v\nwant\n%v", got, want)
	}
}

// judged starts a process that judges the model's rollout, and waits until the registry knows the candidate.
func (m *tracker) judged(t *testing.T, model string) *stage {
	t.Helper()
	m.register(t, model)
	s := newStage(t, nil)
	s.topics.more = fmt.Sprintf("registries: {mlflow: {url: \"http://%s\"}}\nsinks: {mlflow: {url: \"http://%s\"}}\n", m.address, m.address)
	var p process
	p.start(t, s, "")
	s.router(t)
	s.apply(t, "story", m.rollout(model), Application{ID: "story-1", From: schemas.Time(parsed(t, storyScenario).StartMs)})
	s.status(t, "story", 1, decisions.StatusRunning)
	s.until(t, "the canary is the registry's candidate", func() bool { return m.look(t, model)["challenger"] == "2" })
	if p := s.state(t).Pillars; len(p) != 1 || p[0].State != decisions.PillarHeld || len(p[0].Pins) != 2 || p[0].Pins[1].Digest != digestOf(2) {
		t.Errorf("pillars %+v", p)
	}
	return s
}

// state is the story's record.
func (s *stage) state(t *testing.T) decisions.State {
	t.Helper()
	head, _, err := s.bus.LoadHead(t.Context(), "story")
	if err != nil {
		t.Fatal(err)
	}
	return head.State
}

// step waits until a step of the rollback has one of some states, and returns the record.
func (s *stage) step(t *testing.T, name decisions.StepName, want decisions.StepState) decisions.State {
	t.Helper()
	var state decisions.State
	s.until(t, fmt.Sprintf("step %s is %s", name, want), func() bool {
		state = s.state(t)
		return state.Saga != nil && stepOf(&state, name).State == want
	})
	return state
}

func stepOf(s *decisions.State, name decisions.StepName) decisions.SagaStep {
	for _, step := range s.Saga.Steps {
		if step.Name == name {
			return step
		}
	}
	return decisions.SagaStep{}
}

const registryStep = decisions.StepRegistry + "-mlflow"

// TestE2EMLflow: a real rollback demotes a model in a real MLflow; and where that is down, the rollback doesn't wait for it, people hear of it, and it follows when it is back.
func TestE2EMLflow(t *testing.T) {
	m := newTracker(t)
	t.Run("demoted", func(t *testing.T) {
		s := m.judged(t, "ranker")
		events := s.events(t, parsed(t, storyScenario))
		for part := range storyParts {
			s.send(t, events, part)
		}
		s.step(t, registryStep, decisions.StepAcked)
		m.demoted(t, "ranker")
		s.recomputed(t)
	})
	t.Run("away", func(t *testing.T) {
		s := m.judged(t, "another")
		events := s.events(t, parsed(t, storyScenario))
		m.stop()
		for part := range storyParts {
			s.send(t, events, part)
		}
		state := s.step(t, decisions.StepRoute, decisions.StepAcked)
		if took := time.Duration(state.Saga.Times.Acked-state.Saga.Times.Decided) * time.Millisecond; took > 10*time.Second {
			t.Errorf("the route is acknowledged %s after the rollback was decided: did it wait for the registry?", took)
		}
		if step := stepOf(&state, registryStep); step.State != decisions.StepSent {
			t.Errorf("the registry's step is %+v, and nobody can have done it", step)
		}
		state = s.step(t, registryStep, decisions.StepExpired)
		if step := stepOf(&state, registryStep); !strings.Contains(step.Why, m.address) && !strings.Contains(step.Why, "refused") {
			t.Errorf("the record doesn't say why: %+v", step)
		}
		if n := s.noticed(t, schemas.NoticeSinkOverdue); !strings.Contains(n.Sentence, "registry-mlflow") || !strings.Contains(n.Sentence, "by hand") {
			t.Errorf("people are told %q", n.Sentence)
		}
		m.start(t)
		s.step(t, registryStep, decisions.StepAcked)
		m.demoted(t, "another")
		s.noticed(t, schemas.NoticeSinkDone)
		s.recomputed(t)
	})
}

// noticed waits for a notice of a kind.
func (s *stage) noticed(t *testing.T, kind schemas.NoticeKind) *schemas.Notice {
	t.Helper()
	conn, err := nats.Connect(s.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), schemas.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := schemas.NoticeSubject("ranker", kind)
	if err != nil {
		t.Fatal(err)
	}
	var n *schemas.Notice
	s.until(t, "people hear of "+string(kind), func() bool {
		message, err := stream.GetLastMsgForSubject(t.Context(), subject)
		if err == nil {
			n, err = schemas.DecodeNotice(message.Data)
		}
		return err == nil
	})
	return n
}
