package embed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestBrokerOnAFullDisk: what can't be written is refused and said, once; with room again the broker goes on, and has all that it
// acknowledged, also after a restart.
func TestBrokerOnAFullDisk(t *testing.T) {
	dir := smallDisk(t)
	refused := make(chan error, 99)
	o := Options{Dir: dir, Broker: true, Topics: []Topic{{Name: "predictions", Partitions: 1}}, Refused: func(err error) { refused <- err }}
	s := start(t, o)
	client := clientOf(t, s)
	acked := produce(t, client, nil)
	rest := filepath.Join(dir, "rest")
	fill(t, rest)
	for range 2 {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Value: make([]byte, 8192)}).FirstErr(); err == nil || !strings.Contains(err.Error(), "UNKNOWN_SERVER_ERROR") {
			t.Fatalf("on a full disk: %v", err)
		}
	}
	want := fmt.Sprintf("embedded Kafka can't write to folder %s: persist batch predictions-0: write ", filepath.Join(dir, "kafka"))
	select {
	case err := <-refused:
		if !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), ": no space left on device") {
			t.Errorf("told %v, want %s", err, want)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing is told")
	}
	if len(refused) > 0 {
		t.Errorf("told again within a minute: %v", <-refused)
	}
	if err, _ := s.Err(); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	if err := os.Remove(rest); err != nil {
		t.Fatal(err)
	}
	acked = produce(t, client, acked)
	if err := next(t, refused); err != nil {
		t.Errorf("told %v after there was room again", err)
	}
	if err, _ := s.Err(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, clientOf(t, start(t, o)), acked)
}

func clientOf(t *testing.T, s *Servers) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers()...), kgo.DefaultProduceTopic("predictions"), kgo.ConsumeTopics("predictions"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// produce writes three more records, and returns all that were acknowledged.
func produce(t *testing.T, client *kgo.Client, acked []string) []string {
	t.Helper()
	for range 3 {
		value := fmt.Sprint("record ", len(acked))
		if err := client.ProduceSync(t.Context(), &kgo.Record{Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		acked = append(acked, value)
	}
	return acked
}

// holds reads as many records as were acknowledged, and compares them.
func holds(t *testing.T, client *kgo.Client, acked []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []string
	for len(got) < len(acked) && ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if fmt.Sprint(got) != fmt.Sprint(acked) {
		t.Errorf("the broker has %q, want %q", got, acked)
	}
}

// TestBrokerLog: only writes that failed are told, at most once a minute while they fail, and the end of it.
func TestBrokerLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		dir := filepath.Join(t.TempDir(), "d")
		l := &brokerLog{dir: dir, refused: func(err error) { told = append(told, strings.ReplaceAll(fmt.Sprint(err), dir, "d")) }}
		l.Logf(kfake.LogLevelInfo, "persist %s", "well")
		l.Logf(kfake.LogLevelWarn, "group %s: slow", "g")
		if l.look(); l.trouble() != nil || len(told) > 0 {
			t.Errorf("error %v, told %q, nothing failed", l.trouble(), told)
		}
		const failing = 70 * time.Second // and the folder isn't there
		for began := time.Now(); time.Since(began) < failing; time.Sleep(10 * time.Second) {
			l.Logf(kfake.LogLevelWarn, "persist %s: %v", "topics.json", os.ErrPermission)
			if l.look(); l.trouble() == nil {
				t.Errorf("no error after %s, though a write just failed", time.Since(began))
			}
		}
		if l.look(); l.trouble() == nil {
			t.Error("no error, though the folder can't be written to")
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		time.Sleep(brokerHeld)
		if l.look(); l.trouble() != nil {
			t.Errorf("error %v, though the folder can be written to and nothing failed of late", l.trouble())
		}
		l.look()
		l.Logf(kfake.LogLevelError, "persist %s: %v", "topics.json", os.ErrPermission)
		const failed = "embedded Kafka can't write to folder d: persist topics.json: permission denied"
		if want := []string{failed, failed, "<nil>", failed}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
	l := &brokerLog{dir: t.TempDir()} // nobody listens
	if l.Logf(kfake.LogLevelError, "persist nothing"); l.trouble() == nil {
		t.Error("no error")
	}
}
