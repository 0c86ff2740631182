package embed

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kgo"
)

// childDir makes the test binary the process that is killed.
const childDir = "STREAMCANARY_EMBED_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

func options(dir string) Options {
	return Options{Dir: dir, Broker: true, NATS: true, Topics: []Topic{{Name: "predictions", Partitions: 2}}}
}

func start(t *testing.T, o Options) *Servers {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// child writes to both servers until it is killed, and says what was acknowledged.
func child(dir string) {
	s, err := Start(options(dir))
	if err != nil {
		fmt.Println("error", err)
		return
	}
	kafka, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers()...), kgo.DefaultProduceTopic("predictions"))
	if err != nil {
		fmt.Println("error", err)
		return
	}
	conn, err := nats.Connect(s.NATSURL())
	if err != nil {
		fmt.Println("error", err)
		return
	}
	js, _ := jetstream.New(conn)
	ctx := context.Background()
	if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		fmt.Println("error", err)
		return
	}
	for i := 0; ; i++ {
		value := []byte(fmt.Sprint(i))
		if err := kafka.ProduceSync(ctx, &kgo.Record{Partition: 0, Key: []byte("k"), Value: value}).FirstErr(); err != nil {
			fmt.Println("error", err)
			return
		}
		if _, err := js.Publish(ctx, "s", value); err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println("acked", i)
	}
}

// TestSurvivesKill kills a process that writes, twice on one folder, and finds all that was acknowledged.
func TestSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	acked := 0
	for range 2 {
		acked += killed(t, dir, 20)
	}
	s := start(t, options(dir))
	if have := countKafka(t, s); have < acked {
		t.Errorf("Kafka holds %d records, %d were acknowledged", have, acked)
	}
	conn, err := nats.Connect(s.NATSURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, _ := jetstream.New(conn)
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if have := int(stream.CachedInfo().State.Msgs); have < acked {
		t.Errorf("NATS holds %d messages, %d were acknowledged", have, acked)
	}
}

// killed runs a child until it has acknowledged some writes, kills it, and returns how many it had.
func killed(t *testing.T, dir string, after int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	count := 0
	lines := bufio.NewScanner(out)
	for count < after && lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "acked") {
			t.Errorf("child: %s", lines.Text())
			break
		}
		count++
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		count++
	}
	_ = cmd.Wait()
	return count
}

func countKafka(t *testing.T, s *Servers) int {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers()...), kgo.ConsumeTopics("predictions"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	count := 0
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		fetches := client.PollFetches(ctx)
		cancel()
		if fetches.NumRecords() == 0 {
			return count
		}
		count += fetches.NumRecords()
	}
}

func TestStartRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	busy := t.TempDir()
	start(t, Options{Dir: busy})
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"broker's port in use", Options{Dir: t.TempDir(), Broker: true, BrokerPort: port}, fmt.Sprintf("start embedded Kafka: port %d:", port)},
		{"NATS' port in use", Options{Dir: t.TempDir(), NATS: true, NATSPort: port}, fmt.Sprintf("start embedded NATS: port %d:", port)},
		{"a file where the folder should be", Options{Dir: plain, NATS: true}, "start embedded servers: mkdir " + plain},
		{"the folder of another", Options{Dir: busy, NATS: true}, "folder " + busy + " is in use by another process"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := Start(test.o)
			if err == nil {
				_ = s.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line with %q", err, test.want)
			}
		})
	}
}

func TestNothingAsked(t *testing.T) {
	s := start(t, Options{Dir: t.TempDir()})
	if s.Brokers() != nil || s.NATSURL() != "" {
		t.Errorf("brokers %v, NATS %q, nothing was asked for", s.Brokers(), s.NATSURL())
	}
}

// TestRestart keeps ports and topics over an orderly restart.
func TestRestart(t *testing.T) {
	o := options(t.TempDir())
	s := start(t, o)
	first := s.Brokers()
	o.BrokerPort = portOf(t, first[0])
	o.Topics[0].Partitions = 5 // an existing topic stays as it is
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, o)
	if !reflect.DeepEqual(s.Brokers(), first) {
		t.Errorf("brokers %v after the restart, %v before", s.Brokers(), first)
	}
	if n := len(s.broker.cluster.PartitionInfos("predictions")); n != 2 {
		t.Errorf("%d partitions after the restart, 2 before", n)
	}
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port
}
