package serve

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/cmd/embed"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/subscribe"
	"streamcanary/ingest/kafka"
	"streamcanary/loadgen"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// The story that every end-to-end test tells: a rollout is applied, a router prepares, events with late ones and duplicates come, the
// canary begins to fail, the rollback is published and obeyed.

const storyScenario = `# A canary that begins to fail, with late events and duplicates
model    ranker
baseline version v1
canary   version v2
for      80s
seed     11
rate     250/s
split    30%
users    2000
latency  lognormal 40ms sigma 0.5
errors   0.5%
outcome  click 10% after exponential 3s
sample   cpu 50% every 5s noise 4%
hosts    3
transport delay exponential 50ms, late 1% by exponential 8s, duplicates 2% after exponential 2s, broken 0.2%
fault    errors canary +8pp from 45s
expect   rollback, fail errors
`

const storyRollout = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: story}
spec:
  model: ranker
  baseline: {version: v1}
  canary: {version: v2}
  outcomes: {click: {within: 10s}}
  guardrails:
    - {name: errors, rate: error, increase: 0.5pp, weight: 3}
    - {name: p99, quantile: 0.99, of: latency, increase: 20%}
    - {name: cpu, sample: cpu, limit: 0.9, increase: 5pp, on: hold}
    - {name: ctr, rate: click, decrease: 2%, prove: any, required: false}
  acks: {routers: [router-a], within: 20s}
  rollback: {drainWithin: 3s}
`

// storyTopics are the event topics of one run.
type storyTopics struct {
	run, predictions, outcomes, samples string
	more                                string // of the configuration
}

func newStoryTopics() storyTopics {
	run := fmt.Sprint(time.Now().UnixNano())
	return storyTopics{run: run, predictions: "predictions-" + run, outcomes: "outcomes-" + run, samples: "samples-" + run}
}

// group is the consumer group of the run.
func (s storyTopics) group() string { return "lag-" + s.run }

// config writes a configuration file; idle partitions are never ruled on, so that nothing depends on wall time.
func (s storyTopics) config(t *testing.T, dir, address string) string {
	t.Helper()
	text := fmt.Sprintf(`apiVersion: streamcanary.dev/v1
kind: Config
data: %s
kafka: {group: %s}
sources:
  - {topic: %s, type: prediction}
  - {topic: %s, type: outcome}
  - {topic: %s, type: sample}
time: {idleAfter: 10m}
http: {listen: "%s"}
%s`, filepath.Join(dir, "data"), s.group(), s.predictions, s.outcomes, s.samples, address, s.more)
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// freeAddress is a loopback address that nothing listens on now. Its port is one that no system gives to a connection by itself: such
// a port could be taken before the service listens on it.
func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		address := fmt.Sprint("127.0.0.1:", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
}

// stage is where a story plays: brokers, a NATS server of its own, topics of its own.
type stage struct {
	brokers []string
	nats    string
	topics  storyTopics
	dir     string
	http    string
	client  *kafka.Client
	bus     *bus.Bus
	log     logbook
	seen    struct { // of the decision log, which is read again only when it has grown
		last      uint64
		decisions []string
	}
}

// newStage starts the servers that aren't given.
func newStage(t *testing.T, brokers []string) *stage {
	t.Helper()
	s := &stage{brokers: brokers, topics: newStoryTopics(), dir: t.TempDir(), http: freeAddress(t)}
	servers, err := embed.Start(embed.Options{Dir: filepath.Join(s.dir, "servers"), Broker: len(brokers) == 0, NATS: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { servers.Close() })
	if len(brokers) == 0 {
		s.brokers = servers.Brokers()
	}
	s.nats = servers.NATSURL()
	if s.client, err = kafka.Connect(t.Context(), kafka.Connection{Brokers: s.brokers}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	for _, topic := range []string{s.topics.predictions, s.topics.outcomes, s.topics.samples} {
		if err := s.client.EnsureTopic(t.Context(), topic, 3, nil); err != nil {
			t.Fatal(err)
		}
	}
	if s.bus, err = bus.Connect(t.Context(), bus.Options{URLs: []string{s.nats}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.bus.Close)
	if err := s.bus.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// outcome is what a story came to: everything that must be the same, however often the process was killed.
type outcome struct {
	Digest    string
	Reached   schemas.Time
	Decisions []string
}

// play tells the story to a service that runs by now or will soon, and waits until it has come to rest.
func (s *stage) play(t *testing.T) outcome {
	t.Helper()
	s.tell(t)
	return s.rest(t)
}

// tell tells the story.
func (s *stage) tell(t *testing.T) {
	t.Helper()
	scenario := parsed(t, storyScenario)
	s.begin(t, scenario)
	events := s.events(t, scenario)
	for part := range storyParts {
		s.send(t, events, part)
	}
}

// parsed is a scenario's text, read.
func parsed(t *testing.T, text string) *loadgen.Scenario {
	t.Helper()
	scenario, err := loadgen.Parse("story", text)
	if err != nil {
		t.Fatal(err)
	}
	return scenario
}

// begin lets the story's rollout start, with a router.
func (s *stage) begin(t *testing.T, scenario *loadgen.Scenario) {
	t.Helper()
	s.router(t)
	s.apply(t, "story", storyRollout, Application{ID: "story-1", From: schemas.Time(scenario.StartMs)})
	s.status(t, "story", 1, decisions.StatusRunning)
}

// apply hands a rollout to the service; of the application only its id, and from when on it is judged, are the caller's.
func (s *stage) apply(t *testing.T, rollout, text string, a Application) {
	t.Helper()
	a.File, a.YAML, a.At, a.Actor = rollout+".yaml", text, a.From, schemas.Actor{Kind: "person", Name: "tester"}
	body, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	there, err := s.bus.Spec(t.Context(), rollout)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		t.Fatal(err)
	}
	spec := bus.Spec{Rollout: rollout, Body: body, Revision: there.Revision}
	if _, err := s.bus.PutSpec(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
}

// status waits until an epoch of a rollout has a status.
func (s *stage) status(t *testing.T, rollout string, epoch int64, want decisions.Status) {
	t.Helper()
	s.until(t, fmt.Sprintf("epoch %d of rollout %s is %s", epoch, rollout, want), func() bool {
		head, _, err := s.bus.LoadHead(t.Context(), rollout)
		return err == nil && head.State.Epoch == epoch && head.State.Status == want
	})
}

// router is a subscriber that does what it is told.
func (s *stage) router(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		keys, err := s.trust(ctx)
		if ctx.Err() == nil && err == nil {
			err = subscribe.Run(ctx, subscribe.Options{URLs: []string{s.nats}, Models: []string{"ranker"}, Consumer: "router-a", Trust: keys},
				func(context.Context, subscribe.Delivery) error { return nil })
		}
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("router: %v", err)
		}
	})
}

// trust waits for the file of keys, which is there as soon as the service has started once; it returns when the context ends, too.
func (s *stage) trust(ctx context.Context) (schemas.Trust, error) {
	for {
		text, err := os.ReadFile(filepath.Join(s.dir, "data", "keys", "trust.txt"))
		if err == nil && len(text) > 0 {
			return schemas.ParseTrust("trust.txt", text)
		}
		select {
		case <-ctx.Done():
			return schemas.Trust{}, nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// storySink collects events for the run's topics.
type storySink struct {
	topics storyTopics
	events []storyEvent
}

// A storyEvent is an event on its way to a topic.
type storyEvent struct {
	topic     string
	arrivalMs int64
	entry     kafka.Entry
}

func (s *storySink) Write(kind schemas.Kind, key, value []byte, arrivalMs int64) error {
	topic := map[schemas.Kind]string{schemas.KindPrediction: s.topics.predictions, schemas.KindOutcome: s.topics.outcomes, schemas.KindSample: s.topics.samples}[kind]
	s.events = append(s.events, storyEvent{topic, arrivalMs, kafka.Entry{Key: bytes.Clone(key), Value: bytes.Clone(value)}})
	return nil
}

// events are all events of some scenarios, in the order of arrival.
func (s *stage) events(t *testing.T, scenarios ...*loadgen.Scenario) []storyEvent {
	t.Helper()
	sink := &storySink{topics: s.topics}
	for _, scenario := range scenarios {
		if _, err := loadgen.Pump(loadgen.New(scenario, scenario.Seed), sink); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortStableFunc(sink.events, func(a, b storyEvent) int { return cmp.Compare(a.arrivalMs, b.arrivalMs) })
	return sink.events
}

// storyParts is in how many parts a story's events are sent.
const storyParts = 8

// send appends one part of the events: an equal one of each topic's.
func (s *stage) send(t *testing.T, events []storyEvent, part int) {
	t.Helper()
	entries := map[string][]kafka.Entry{}
	for i := range events {
		entries[events[i].topic] = append(entries[events[i].topic], events[i].entry)
	}
	for _, topic := range []string{s.topics.predictions, s.topics.outcomes, s.topics.samples} {
		all := entries[topic]
		some := all[len(all)*part/storyParts : len(all)*(part+1)/storyParts]
		if _, err := s.client.Log(topic, 0).AppendAll(t.Context(), some); err != nil {
			t.Fatal(err)
		}
	}
}

// rest waits until the rollback is published, nearly all of the story is judged, and nothing changes any more: for longer than it did between
// changes, which a slow machine doesn't show often.
func (s *stage) rest(t *testing.T) outcome {
	t.Helper()
	scenario := parsed(t, storyScenario)
	nearly := schemas.Time(scenario.StartMs + (scenario.Duration - 5*time.Second).Milliseconds())
	var last outcome
	since, quiet := time.Now(), 1500*time.Millisecond
	s.until(t, "everything is judged", func() bool {
		now, err := s.look(t, "story")
		if err != nil || len(now.Decisions) < 3 || now.Reached < nearly {
			since = time.Now()
			return false
		}
		if fmt.Sprint(now) != fmt.Sprint(last) {
			quiet = max(quiet, 2*time.Since(since))
			last, since = now, time.Now()
		}
		return time.Since(since) > quiet
	})
	return last
}

// comes waits until the story has come to an outcome that is known.
func (s *stage) comes(t *testing.T, want outcome) {
	t.Helper()
	var got outcome
	var err error
	defer func() {
		if t.Failed() {
			t.Logf("it came to\n%s\n(%v), want\n%s\nParts of the journal that the undisturbed run has not (-: that only it has):\n%s",
				got, err, want, strings.Join(s.differing(t), "\n"))
		}
	}()
	s.until(t, "the outcome is that of an undisturbed run", func() bool {
		got, err = s.look(t, "story")
		return err == nil && fmt.Sprint(got) == fmt.Sprint(want)
	})
}

// look asks the service where a rollout stands, and the decision log what was published.
func (s *stage) look(t *testing.T, rollout string) (outcome, error) {
	var o outcome
	status, text, err := s.get("/v1/rollouts/" + rollout)
	if err != nil || status != http.StatusOK {
		return o, fmt.Errorf("%d: %s %w", status, text, err)
	}
	var standing Standing
	if err := json.Unmarshal([]byte(text), &standing); err != nil {
		return o, err
	}
	o.Digest, o.Reached = standing.Digest, standing.Report.Reached
	last, err := s.bus.LastDecision(t.Context(), standing.Model)
	if err != nil || last.Sequence == s.seen.last {
		o.Decisions = s.seen.decisions
		return o, err
	}
	err = s.bus.Log(t.Context(), bus.LogQuery{Model: standing.Model}, func(l bus.Logged) error {
		d := l.Decision
		o.Decisions = append(o.Decisions, fmt.Sprintf("%s %s %s at %s: %s", d.ID, d.Action, d.Phase, d.EventTime, d.Reason.Sentence))
		return nil
	})
	if err == nil {
		s.seen.last, s.seen.decisions = last.Sequence, o.Decisions
	}
	return o, err
}

// journaled is what the journal has of the story, a line for each part and arm; marks and repetitions are left out.
func (s *stage) journaled(t *testing.T) []string {
	t.Helper()
	var lines []string
	err := EachPart(t.Context(), &schemas.Kafka{}, s.brokers, func(key windows.Key, p *windows.Part) {
		topic, run, _ := strings.Cut(key.Partition.Topic, "-")
		if p.IsMark() || run != s.topics.run {
			return
		}
		for arm := range windows.Arms {
			traffic := p.Traffic[arm]
			units := fmt.Sprint(traffic.Units)
			traffic.Units = nil
			lines = append(lines, fmt.Sprintf("%s %v %s/%d arm %d overflow %t: %v units %08x %v", schemas.Time(key.StartMs), key.Stream, topic,
				key.Partition.Number, arm, p.Overflow, traffic, crc32.ChecksumIEEE([]byte(units)), p.Cells[arm]))
		}
	})
	if err != nil {
		t.Logf("the journal can't be read: %v", err)
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// differing compares the journal with that of the undisturbed story.
func (s *stage) differing(t *testing.T) []string {
	t.Helper()
	var lines []string
	have := s.journaled(t)
	for _, line := range have {
		if _, same := slices.BinarySearch(plainStory.parts, line); !same {
			lines = append(lines, "+ "+line)
		}
	}
	for _, line := range plainStory.parts {
		if _, same := slices.BinarySearch(have, line); !same {
			lines = append(lines, "- "+line)
		}
	}
	return lines
}

// get asks the service's HTTP address.
func (s *stage) get(path string) (status int, text string, err error) {
	response, err := http.Get("http://" + s.http + path)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

func (s *stage) post(t *testing.T, path, kind, body string) (status int, text string) {
	t.Helper()
	response, err := http.Post("http://"+s.http+path, kind, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

// patience is how long a test waits for what must happen: long enough for a loaded machine and the race detector.
const patience = 3 * time.Minute

// until waits for something that must happen.
func (s *stage) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); {
		if time.Since(began) > patience {
			t.Fatalf("%s have passed, and still not: %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// check holds an outcome to what the story must come to.
func (o *outcome) check(t *testing.T) {
	t.Helper()
	if len(o.Decisions) != 3 || !strings.Contains(o.Decisions[2], "rollback") {
		t.Fatalf("decisions:\n%s\nwant a prepare, a commit and one rollback", strings.Join(o.Decisions, "\n"))
	}
	for i, id := range []string{"story.1.1 ", "story.1.2 ", "story.1.3 "} {
		if !strings.HasPrefix(o.Decisions[i], id) {
			t.Errorf("decision %d is %s, want %s", i+1, o.Decisions[i], id)
		}
	}
}

// rolloutWith is a story's rollout; without guardrails of its own it has one.
func rolloutWith(rest string) string {
	if !strings.Contains(rest, "guardrails:") {
		rest += errorsMore
	}
	if strings.Contains(rest, "  acks:") {
		return strings.Replace(storyHead, "  acks: {routers: [router-a], within: 10s}\n", "", 1) + rest
	}
	return storyHead + rest
}
