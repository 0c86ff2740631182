package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// TestGrown gives a topic new partitions while serve runs. What they carry is counted by nobody, so the rollout holds, and says what to do. A
// new epoch alone doesn't help, not even where the topics are read again for it; a restart and a new epoch do.
func TestGrown(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	stop := serving(t, s, pace{topics: 100 * time.Millisecond})
	scenario := parsed(t, storyScenario)
	from := schemas.Time(scenario.StartMs)
	events := s.events(t, scenario)
	s.begin(t, scenario)
	for part := range storyParts / 2 {
		s.send(t, events, part)
	}
	s.until(t, "the first windows are judged", func() bool {
		o, err := s.look(t, "story")
		return err == nil && o.Reached > from
	})
	s.grow(t, 5)
	s.status(t, "story", 1, decisions.StatusHolding)
	s.apply(t, "story", storyRollout, Application{ID: "story-2", From: from})
	s.status(t, "story", 2, decisions.StatusHolding)
	if n := s.log.times("passed over"); n > 0 {
		t.Errorf("the journal has windows of partitions that nobody judges: said %d times", n)
	}
	stop()

	serving(t, s, pace{topics: 100 * time.Millisecond})
	s.apply(t, "story", storyRollout, Application{ID: "story-3", From: from})
	s.status(t, "story", 3, decisions.StatusRunning)
	s.reconnect(t)
	for part := storyParts / 2; part < storyParts; part++ {
		s.send(t, events, part)
	}
	s.status(t, "story", 3, decisions.StatusRolledBack)

	topic := s.topics.predictions
	hold := fmt.Sprintf("hold input_gap: Topic %s had 3 partitions when serve began to read and has 5 now: events in the new ones are not counted. "+
		"Restart serve, then start the rollout's next epoch with `streamcanary rollout apply --new-epoch`.", topic)
	want := []string{
		"story.1.1 start prepare", "story.1.2 start commit", "story.1.3 " + hold,
		"story.2.1 start prepare", "story.2.2 start commit", "story.2.3 " + hold,
		"story.3.1 start prepare", "story.3.2 start commit", "story.3.3 rollback",
	}
	s.until(t, "the rollback is in the log, too", func() bool { return len(s.decided(t)) >= len(want) }) // the record is written first
	got := s.decided(t)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("decisions\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// grow gives the predictions' topic more partitions.
func (s *stage) grow(t *testing.T, partitions int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answers, err := kadm.NewClient(client).UpdatePartitions(t.Context(), partitions, s.topics.predictions)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// reconnect makes the producer see the topics as they are now.
func (s *stage) reconnect(t *testing.T) {
	t.Helper()
	client, err := kafka.Connect(t.Context(), kafka.Connection{Brokers: s.brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.client = client
}

// decided are the model's decisions; of a hold with why.
func (s *stage) decided(t *testing.T) []string {
	t.Helper()
	var all []string
	err := s.bus.Log(t.Context(), bus.LogQuery{Model: "ranker"}, func(l bus.Logged) error {
		d := l.Decision
		text := fmt.Sprintf("%s %s", d.ID, d.Action)
		if d.Phase != "" {
			text += " " + string(d.Phase)
		}
		if d.Action == schemas.ActionHold {
			text += fmt.Sprintf(" %s: %s", d.Reason.Code, d.Reason.Sentence)
		}
		all = append(all, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
