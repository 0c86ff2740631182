//go:build e2e

package serve

import (
	"net/http"
	"testing"
	"time"

	"streamcanary/ingest/kafka"
)

// TestE2EKafkaAway has a process run as it does anywhere, and its broker away for longer than an append may take.
func TestE2EKafkaAway(t *testing.T) {
	t.Parallel()
	want := undisturbed(t)
	b := newFickleBroker(t)
	s := newStage(t, b.cluster.ListenAddrs())
	var p process
	p.start(t, s, "")
	s.away(t, b, func() {
		s.ready(t, http.StatusServiceUnavailable, "events are not counted: list topics ")
		time.Sleep(kafka.AppendWithin + 5*time.Second)
		s.ready(t, http.StatusServiceUnavailable, "events are not counted: ")
	})
	s.comes(t, want)
	s.ready(t, http.StatusOK, "ok")
}

// TestE2EStopWhileKafkaIsAway stops the service while the broker is away: that takes no longer than it may, is no error, and the next
// start comes to what an undisturbed run does.
func TestE2EStopWhileKafkaIsAway(t *testing.T) {
	t.Parallel()
	want := undisturbed(t)
	b := newFickleBroker(t)
	s := newStage(t, b.cluster.ListenAddrs())
	stop := serving(t, s, pace{topics: time.Second})
	s.away(t, b, stop)
	serving(t, s, pace{})
	s.comes(t, want)
}

// TestE2ESecondRolloutJustBehind is TestSecondRollout with a first window that lies only a little behind what was read.
func TestE2ESecondRolloutJustBehind(t *testing.T) {
	t.Parallel()
	secondRolloutFrom(t, 34*time.Second)
}
