package serve

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestAckWhileAway: an answer that came while no service ran is taken by the next one, however early it comes across it; with many rollouts
// there, the next one knows late whose it is.
func TestAckWhileAway(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for i := range 100 {
		if _, err := s.bus.PutSpec(t.Context(), bus.Spec{Rollout: fmt.Sprint("another-", i), Body: []byte("refused")}); err != nil {
			t.Fatal(err)
		}
	}
	stop := serving(t, s, pace{})
	s.apply(t, "story", storyRollout, Application{ID: "story-1", From: schemas.Time(parsed(t, storyScenario).StartMs)})
	s.status(t, "story", 1, decisions.StatusPreparing)
	stop()
	s.router(t)
	s.answered(t, "router-a")
	serving(t, s, pace{})
	s.status(t, "story", 1, decisions.StatusRunning)
}

// answered waits until an answer of the story's subscriber is in the stream.
func (s *stage) answered(t *testing.T, consumer string) {
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
	subject, err := schemas.AckSubject("ranker", consumer)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), schemas.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	s.until(t, consumer+" has answered", func() bool {
		_, err := stream.GetLastMsgForSubject(t.Context(), subject)
		return err == nil
	})
}
