package serve

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"
	"github.com/rs/zerolog"

	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

func TestMain(m *testing.M) {
	ats.Register() // the clock of NATS must not be born inside a bubble
	os.Exit(m.Run())
}

// serving runs the service in this process until the test ends, or stop is called.
func serving(t *testing.T, s *stage, p pace) (stop func()) {
	t.Helper()
	path := s.topics.config(t, s.dir, s.http)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	config, err := schemas.ParseConfig(path, text)
	if err != nil {
		t.Fatal(err)
	}
	config.Kafka.Brokers, config.NATS.URLs = s.brokers, []string{s.nats}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		test := &zerolog.FilteredLevelWriter{Writer: zerolog.LevelWriterAdapter{Writer: zerolog.NewTestWriter(t)}, Level: zerolog.WarnLevel}
		log := zerolog.New(zerolog.MultiLevelWriter(test, &s.log)).Level(zerolog.InfoLevel)
		if err := Run(ctx, Options{Config: config, Program: "streamcanary test", Log: log, pace: p}); err != nil {
			t.Errorf("serve: %v", err)
		}
		if ctx.Err() == nil {
			t.Error("serve: it ended, and nobody had stopped it")
		}
	}()
	stop = func() {
		cancel()
		began := time.Now()
		<-ended
		if took := time.Since(began); took > stopWithin {
			t.Errorf("serve took %s to stop", took)
		}
	}
	t.Cleanup(stop)
	return stop
}

// A logbook keeps what a service logs.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// times is how often something was logged.
func (l *logbook) times(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// undisturbed is the outcome of the story when nothing comes between: it is played once for all tests.
func undisturbed(t *testing.T) outcome {
	t.Helper()
	plainStory.once.Do(func() {
		s := newStage(t, nil)
		serving(t, s, pace{})
		plainStory.outcome = s.play(t)
		plainStory.outcome.check(t)
		plainStory.parts = s.journaled(t)
		s.deadLetters(t)
	})
	if len(plainStory.outcome.Decisions) == 0 {
		t.Fatal("the undisturbed story came to nothing, in the test that played it first")
	}
	return plainStory.outcome
}

var plainStory struct {
	once    sync.Once
	outcome outcome
	parts   []string
}

// TestServe tells the story to a service in this process, twice: both must come to the same.
func TestServe(t *testing.T) {
	first := undisturbed(t)
	s := newStage(t, nil)
	serving(t, s, pace{})
	s.tell(t)
	s.comes(t, first)
	s.deadLetters(t)
	s.measured(t)
	s.standing(t)
}

// measured wants the story in the metrics: what is counted, remembered, judged and decided, and that no bound cost anything.
func (s *stage) measured(t *testing.T) {
	t.Helper()
	status, text, err := s.get("/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("metrics: %d, %v", status, err)
	}
	for _, want := range []string{
		`streamcanary_events{class="counted",kind="prediction"} [1-9]`, `streamcanary_events{class="invalid",kind="prediction"} [1-9]`,
		`streamcanary_join_remembered{what="predictions"} [1-9]`, `streamcanary_join_limit{what="predictions"} 2e\+07`, `streamcanary_join_lost{what="predictions"} 0`,
		`streamcanary_windows_waiting{rollout="story"} \d`, `streamcanary_windows_forced{rollout="story"} 0`, `streamcanary_recounts_total 0`,
		`streamcanary_decisions_total{action="rollback",model="ranker",rollout="story"} 1`, `streamcanary_guardrail_log_evidence{guardrail="errors",rollout="story",segment=""} [1-9]`,
	} {
		if !regexp.MustCompile("(?m)^" + want).MatchString(text) {
			t.Errorf("no line is %s in\n%s", want, text)
		}
	}
}

// deadLetters wants the scenario's broken events on the dead-letter topic, whole, with the reason beside them.
func (s *stage) deadLetters(t *testing.T) {
	t.Helper()
	reader, err := s.client.Log(DeadLetterTopic, 0).ReadFrom(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	letters := 0
	err = reader.Drain(t.Context(), func(e kafka.Entry) error {
		letters++
		if header(&e, "sc-error") != "broken_json" || header(&e, "sc-topic") == "" || header(&e, "sc-offset") == "" || len(e.Value) == 0 {
			t.Errorf("dead letter %q has headers %v", e.Value, e.Headers)
		}
		return nil
	})
	if err != nil || letters < 10 {
		t.Errorf("%d dead letters, %v; the scenario breaks one event in 500", letters, err)
	}
}
