package serve

import (
	"context"
	"os"
	"testing"

	"github.com/rs/zerolog"

	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// serving runs the service in this process until the test ends.
func serving(t *testing.T, s *stage) {
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
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{Config: config, Program: "streamcanary test", Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

// TestServe tells the story to a service in this process, twice: both must come to the same.
func TestServe(t *testing.T) {
	var first outcome
	for run := range 2 {
		s := newStage(t, nil)
		serving(t, s)
		got := s.play(t)
		got.check(t)
		s.deadLetters(t)
		if run == 0 {
			first = got
		} else if got.Digest != first.Digest || got.Decisions[2] != first.Decisions[2] {
			t.Errorf("the second run came to\n%s %v\nthe first to\n%s %v", got.Digest, got.Decisions, first.Digest, first.Decisions)
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
