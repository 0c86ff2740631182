package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// A fickleBroker is a Kafka that is stopped and started again, on the same port and with its data, as cmd/embed runs it.
type fickleBroker struct {
	port    int
	dir     string
	cluster *kfake.Cluster // nil: stopped
}

func newFickleBroker(t *testing.T) *fickleBroker {
	t.Helper()
	b := &fickleBroker{port: lastingPort(t), dir: filepath.Join(t.TempDir(), "broker")}
	b.start(t)
	t.Cleanup(b.stop)
	return b
}

// lastingPort is a free port that no connection gets by chance while nothing listens on it, and no other test here.
func lastingPort(t *testing.T) int {
	t.Helper()
	const first, ports = 20_000, 5_000
	for range ports {
		port := first + (os.Getpid()*7+int(lastingPorts.Add(1)))%ports
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatalf("no port from %d to %d is free", first, first+ports-1)
	return 0
}

var lastingPorts atomic.Int32 // how many were looked at

func (b *fickleBroker) start(t *testing.T) {
	t.Helper()
	var err error
	b.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(b.port), kfake.DataDir(b.dir), kfake.SyncWrites())
	if err != nil {
		t.Fatal(err)
	}
}

func (b *fickleBroker) stop() {
	if b.cluster != nil {
		b.cluster.Close()
		b.cluster = nil
	}
}

// stopInFlight stops the broker while it has refused something that the service wants to append to the journal.
func (b *fickleBroker) stopInFlight(t *testing.T, send func()) {
	t.Helper()
	refused := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: JournalTopic, Err: kerr.NotEnoughReplicas, Count: -1})
	send()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := refused.Wait(ctx, 1); err != nil {
		t.Fatalf("nothing is appended to the journal: %v", err)
	}
	b.stop()
}

// ready waits until readiness answers with a status and a text that begins so.
func (s *stage) ready(t *testing.T, status int, text string) {
	t.Helper()
	var last string
	defer func() {
		if t.Failed() {
			t.Logf("readiness is %s, want %d %s", last, status, text)
		}
	}()
	s.until(t, fmt.Sprintf("readiness answers %d", status), func() bool {
		got, body, err := s.get("/readyz")
		last = fmt.Sprint(got, " ", body, err)
		return err == nil && got == status && strings.HasPrefix(body, text)
	})
}

// again is what stage one logs when it couldn't store what it had counted.
const again = "reading events again from the last recovery point"

// TestGroup: how far events are counted is committed to the group that the configuration names, and to no other.
func TestGroup(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	serving(t, s, pace{recovery: 100 * time.Millisecond})
	s.tell(t)
	s.comes(t, undisturbed(t))
	ends, err := s.client.EndOffsets(t.Context(), s.topics.predictions, s.topics.outcomes, s.topics.samples)
	if err != nil {
		t.Fatal(err)
	}
	s.until(t, fmt.Sprintf("all is committed, up to %v", ends), func() bool { // samples may be read after the decisions
		got, err := s.client.Committed(t.Context(), s.topics.group())
		return err == nil && reflect.DeepEqual(got, ends)
	})
	if got, err := s.client.Committed(t.Context(), schemas.DefaultGroup); len(got) > 0 {
		t.Errorf("%v is committed to the default group (%v)", got, err)
	}
}

// TestGroupRefused: where the service may not write to its group, it says so once, and everything else is as ever.
func TestGroupRefused(t *testing.T) {
	t.Parallel()
	want := undisturbed(t)
	b := newFickleBroker(t)
	refused := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	s := newStage(t, b.cluster.ListenAddrs())
	stop := serving(t, s, pace{recovery: 100 * time.Millisecond})
	s.tell(t)
	s.comes(t, want)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := refused.Wait(ctx, 3); err != nil {
		t.Errorf("the group was asked less than three times: %v", err)
	}
	stop()
	if n := s.log.times("offsets for lag tools are not committed"); n != 1 {
		t.Errorf("it is said %d times that offsets are not committed, want once", n)
	}
}

// TestJournalRefused: while the window journal takes nothing the service is not ready, also where events can be read; it is ready once something is stored.
func TestJournalRefused(t *testing.T) {
	t.Parallel()
	want := undisturbed(t)
	b := newFickleBroker(t)
	s := newStage(t, b.cluster.ListenAddrs())
	serving(t, s, pace{recovery: 100 * time.Millisecond})
	scenario := parsed(t, storyScenario)
	s.begin(t, scenario)
	s.ready(t, http.StatusOK, "ok")
	refused := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: JournalTopic, Err: kerr.TopicAuthorizationFailed, Count: -1})
	events := s.events(t, scenario)
	s.send(t, events, 0)
	const text = "events are not counted: what was counted is not stored: append to the window journal"
	s.ready(t, http.StatusServiceUnavailable, text)
	s.until(t, "events are counted again three times", func() bool {
		if status, body, err := s.get("/readyz"); err != nil || status != http.StatusServiceUnavailable || !strings.HasPrefix(body, text) {
			t.Fatalf("readiness is %d %s %v while nothing is stored", status, body, err)
		}
		return s.log.times(again) >= 3
	})
	refused.Remove()
	s.ready(t, http.StatusOK, "ok")
	for part := 1; part < storyParts; part++ {
		s.send(t, events, part)
	}
	s.comes(t, want)
}

// TestKafkaAway stops the broker in the middle of the story, with windows on their way to the journal: the service stays, says that nothing is
// counted, and comes to the decisions and the digest of an undisturbed run once the broker is back.
func TestKafkaAway(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		pace  pace
		again bool // events are counted again: the broker is away for longer than an append may take
	}{
		{"for a moment", pace{topics: time.Second}, false},
		{"for long", pace{topics: time.Second, append: time.Second}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			want := undisturbed(t)
			b := newFickleBroker(t)
			s := newStage(t, b.cluster.ListenAddrs())
			serving(t, s, row.pace)
			s.away(t, b, func() {
				s.ready(t, http.StatusServiceUnavailable, "events are not counted: list topics ")
				if row.again {
					s.until(t, "events are to be counted again", func() bool { return s.log.times(again) > 0 })
				}
			})
			s.comes(t, want)
			s.ready(t, http.StatusOK, "ok")
			s.deadLetters(t)
			if !row.again && s.log.times(again) > 0 {
				t.Error("events were counted again, though nothing was lost")
			}
		})
	}
}

// away tells the story; in the middle of it the broker is stopped, and started again after meanwhile.
func (s *stage) away(t *testing.T, b *fickleBroker, meanwhile func()) {
	t.Helper()
	scenario := parsed(t, storyScenario)
	s.begin(t, scenario)
	events := s.events(t, scenario)
	for part := range storyParts {
		send := func() { s.send(t, events, part) }
		if part != storyParts/2 {
			send()
			continue
		}
		b.stopInFlight(t, send)
		meanwhile()
		b.start(t)
	}
}

// TestNothingBehindAFailure: after an append failed nothing is appended, so that no window stands in the journal behind one that is missing.
func TestNothingBehindAFailure(t *testing.T) {
	failure := fmt.Errorf("%w: the broker is away", errUnstored)
	c := &counter{failed: make(chan error, 1)} // it has no journal: an append would panic
	c.failed <- failure
	c.append(kafka.Entry{Value: []byte("behind")})
	if err := c.settled(); !errors.Is(err, failure) {
		t.Errorf("settled says %v, want %v", err, failure)
	}
}
