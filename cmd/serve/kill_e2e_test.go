//go:build e2e

package serve

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// killAt lists the points and which passing of each is the last thing that the process does: some early, some in the thick of the
// traffic, some at the rollback, some when its deadline has passed.
var killAt = []string{
	"after-poll:3", "after-poll:20", "mid-batch:5", "after-count:7", "before-part-append:50", "after-part-append:120", "after-flush:4", "after-recovery-append:1", "after-recovery-append:6", "after-recovery-append:9",
	"before-commit:1", "after-commit:1", "after-applied-append:1", "after-journal-read:200", "after-judge:60", "before-head-save:1",
	"before-head-save:3", "after-head-save:1", "after-head-save:3", "after-publish:1", "after-publish:3", "after-route:1",
	"after-deliver:1", "after-deliver:3", "before-deadline-append:1", "after-event:1", "before-ack-append:1", "after-ack-append:1", "before-ack-append:3", "after-ack-append:3", "after-periodic-save:1",
}

// process is the built binary as a child, started again without the drill when the drill has killed it.
type process struct {
	mu      sync.Mutex
	command *exec.Cmd
	killed  bool
	log     bytes.Buffer
}

func (p *process) start(t *testing.T, s *stage, crashAt string) {
	t.Helper()
	binary := os.Getenv("STREAMCANARY_BINARY")
	if binary == "" {
		t.Fatal("STREAMCANARY_BINARY names no binary: run this by `make e2e`")
	}
	config := s.topics.config(t, s.dir, s.http)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for first := true; ; first = false {
			command := exec.Command(binary, "serve", "--config", config, "--kafka-brokers", strings.Join(s.brokers, ","), "--nats-urls", s.nats)
			command.Stdout, command.Stderr = &p.log, &p.log
			if first {
				command.Env = append(os.Environ(), CrashVariable+"="+crashAt)
			}
			p.mu.Lock()
			p.command = command
			err := command.Start()
			p.mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			err = command.Wait()
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL && first && crashAt != "" {
				p.mu.Lock()
				p.killed = true
				p.mu.Unlock()
				continue
			}
			if err != nil {
				t.Errorf("the process ended with %v\n%s", err, p.log.String())
			}
			return
		}
	}()
	t.Cleanup(func() {
		p.mu.Lock()
		_ = p.command.Process.Signal(syscall.SIGTERM)
		p.mu.Unlock()
		began := time.Now()
		<-ended
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("the process took %s to stop", took)
		}
		if t.Failed() {
			t.Logf("what the process said:\n%s", p.log.String())
		}
	})
}

// killStory tells the story to a process that is killed at a point and started again, and waits for what an undisturbed run came to; how
// long a restart takes is nobody's promise, so rest could be taken for an end.
func killStory(t *testing.T, brokers []string, crashAt string, undisturbed outcome) outcome {
	t.Helper()
	s := newStage(t, brokers)
	var p process
	p.start(t, s, crashAt)
	s.tell(t)
	if crashAt != "" {
		p.await(t, crashAt)
	}
	s.comes(t, undisturbed)
	o := s.rest(t) // and stays so
	s.standing(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	if strings.HasPrefix(crashAt, "after-recovery-append") && !strings.Contains(p.log.String(), "from the last recovery point") {
		t.Errorf("the restart did not go on from the recovery point:\n%s", p.log.String())
	}
	return o
}

func (p *process) await(t *testing.T, crashAt string) {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(50 * time.Millisecond) {
		p.mu.Lock()
		killed := p.killed
		p.mu.Unlock()
		if killed {
			return
		}
	}
	t.Errorf("the process never passed %s", crashAt)
}

// TestE2EKills kills the process at every point, and wants the decisions and the digest of an undisturbed run.
func TestE2EKills(t *testing.T) {
	undisturbed := undisturbed(t)
	for _, at := range killAt {
		t.Run(at, func(t *testing.T) {
			got := killStory(t, nil, at, undisturbed)
			got.check(t)
			if fmt.Sprint(got) != fmt.Sprint(undisturbed) {
				t.Errorf("killed at %s it came to\n%s\nundisturbed to\n%s", at, got, undisturbed)
			}
		})
	}
}

// TestE2ERealKafka tells the same story with a real Kafka, undisturbed and with every kill, and wants what the tests' own broker gives.
func TestE2ERealKafka(t *testing.T) {
	bootstrap := os.Getenv("KAFKA_BOOTSTRAP")
	if bootstrap == "" {
		t.Log("passed over: KAFKA_BOOTSTRAP names no broker")
		return
	}
	want := undisturbed(t)
	for _, at := range append([]string{""}, killAt...) {
		t.Run("at="+at, func(t *testing.T) {
			brokers := strings.Split(bootstrap, ",")
			emptyJournal(t, brokers)
			got := killStory(t, brokers, at, want)
			got.check(t)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("with a real Kafka it came to\n%s\nwith the tests' own to\n%s", got, want)
			}
		})
	}
}

// emptyJournal deletes what earlier stories have written into the window journal of a broker: each has a NATS of its own, in which its epoch is the first, and a journal with an epoch of that number before
// would be that of a NATS that was restored from an older backup.
func emptyJournal(t *testing.T, brokers []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(t.Context(), JournalTopic)
	if err != nil {
		t.Fatal(err)
	}
	offsets := kadm.Offsets{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil { // else there is none yet
			offsets.AddOffset(o.Topic, o.Partition, o.Offset, -1)
		}
	})
	answers, err := admin.DeleteRecords(t.Context(), offsets)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		t.Fatalf("empty the window journal: %v", err)
	}
}
