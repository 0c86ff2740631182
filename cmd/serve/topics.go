package serve

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"streamcanary/ingest"
	"streamcanary/ingest/kafka"
)

// topics watches the event topics for what their reading doesn't tell: brokers that are away, for which a reader just waits, and partitions
// that are new. Its run method is the only goroutine that touches it.
type topics struct {
	client *kafka.Client
	from   []ingest.Partition // what is read: all there was when the service started
	every  time.Duration
	log    zerolog.Logger
	seen   *metrics
	grown  chan<- *kafka.Grown // gets the first topic that has new partitions
	told   bool
}

// topicsEvery is how often the brokers are asked for the topics, and how long they may take to answer.
const topicsEvery = 5 * time.Second

// run asks until the context ends.
func (w *topics) run(ctx context.Context) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			w.look(ctx)
		}
	}
}

// look asks once.
func (w *topics) look(ctx context.Context) {
	counts := partitionCounts(w.from)
	names := make([]string, 0, len(counts))
	for topic := range counts {
		names = append(names, topic)
	}
	slices.Sort(names)
	within, cancel := context.WithTimeout(ctx, w.every)
	defer cancel()
	there, err := w.client.Partitions(within, names...)
	switch was := w.seen.topics.err(); {
	case ctx.Err() != nil:
		return
	case err != nil && was == nil:
		w.log.Warn().Err(err).Strs("topics", names).Msg("the event topics are out of reach: events are not counted until they are back; trying again; look at Kafka (its brokers, ACLs)")
	case err == nil && was != nil:
		w.log.Info().Msg("the event topics are back")
	}
	w.seen.topics.is(err)
	for _, topic := range names {
		if err == nil && there[topic] > counts[topic] {
			w.tell(&kafka.Grown{Topic: topic, Was: counts[topic], Is: there[topic]})
		}
	}
}

// tell says once that something isn't read: every rollout holds for the first reason as for two.
func (w *topics) tell(g *kafka.Grown) {
	if w.told {
		return
	}
	w.told = true
	w.log.Error().Err(g).Msg("the rollouts hold: restart serve, and start their next epochs with `rollout apply --new-epoch`")
	w.grown <- g // it has room for one
}

// unread is why a rollout holds when a topic has new partitions, and what to do.
func unread(g *kafka.Grown) string {
	return fmt.Sprintf("Topic %s had %d partitions when serve began to read and has %d now: events in the new ones are not counted. "+
		"Restart serve, then start the rollout's next epoch with `streamcanary rollout apply --new-epoch`.", g.Topic, g.Was, g.Is)
}

// partitionCounts says how many partitions each topic has; a topic may be a source twice.
func partitionCounts(all []ingest.Partition) map[string]int32 {
	counts := map[string]int32{}
	for _, p := range all {
		counts[p.Topic] = max(counts[p.Topic], p.Number+1)
	}
	return counts
}
