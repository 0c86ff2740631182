package engine

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kfake"

	"streamcanary/ingest"
	"streamcanary/ingest/kafka"
)

// A finite source ends where the logs of a Kafka source ended when it was made.
type finite struct {
	*kafka.Source
	ends []int64 // per partition; 0 once it's reached
	open int     // partitions with an end that isn't reached
}

func newFinite(ctx context.Context, src *kafka.Source) (*finite, error) {
	ends, err := src.Ends(ctx)
	if err != nil {
		return nil, err
	}
	f := &finite{Source: src}
	for _, e := range ends {
		f.ends = append(f.ends, e.End)
		if e.End > e.Next {
			f.open++
		}
	}
	return f, nil
}

// Next is ingest.Source's.
func (f *finite) Next(ctx context.Context) (*ingest.Batch, error) {
	if f.open == 0 {
		return nil, io.EOF
	}
	b, err := f.Source.Next(ctx)
	if err == nil && f.ends[b.Partition] > 0 && b.Next >= f.ends[b.Partition] {
		f.ends[b.Partition] = 0
		f.open--
	}
	return b, err
}

// TestReplayFromKafka reads the same lines from Kafka and from files, in the same partitions: everything told is the same.
func TestReplayFromKafka(t *testing.T) {
	const topic, partitions = "events", 8
	lines := linesOf(t, story+noise)
	r := rolloutOf(t, storyRollout)
	dealt := make([][]line, partitions)
	var fromKafka judged
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		cluster, err := kfake.NewCluster(kfake.ListenFn(network.Listen), kfake.Ports(9092), kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic))
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		client, err := kafka.Connect(t.Context(), kafka.Connection{Brokers: cluster.ListenAddrs(), Dial: network.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for from := 0; from < len(lines); from += 1000 {
			var entries []kafka.Entry
			for _, l := range lines[from:min(from+1000, len(lines))] {
				entries = append(entries, kafka.Entry{Key: l.key, Value: l.text})
			}
			placed, err := client.Log(topic, 0).AppendAll(t.Context(), entries)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range placed {
				if at := int64(len(dealt[e.Partition])); e.Offset != at {
					t.Fatalf("partition %d: offset %d, want %d", e.Partition, e.Offset, at)
				}
				dealt[e.Partition] = append(dealt[e.Partition], line{e.Key, e.Value})
			}
		}
		src, err := client.Source(t.Context(), kafka.SourceOptions{Topics: []kafka.Topic{{Name: topic}}})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		ended, err := newFinite(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		fromKafka = judge(t, r, ended, ReplayOptions{})
	})
	var paths []string
	for i, part := range dealt {
		paths = append(paths, write(t, fmt.Sprintf("part-%d.ndjson", i), part))
	}
	fromFiles := judge(t, r, logs(t, 0, paths...), ReplayOptions{})
	if !reflect.DeepEqual(fromKafka, fromFiles) {
		t.Errorf("from Kafka: %v, digest %s, counts %v, unreadable %d\nfrom files: %v, digest %s, counts %v, unreadable %d",
			fromKafka.actions(), fromKafka.Digest, fromKafka.Counts, fromKafka.Unreadable,
			fromFiles.actions(), fromFiles.Digest, fromFiles.Counts, fromFiles.Unreadable)
	}
	if fromFiles.Counts.Total(0) != fromFiles.Unreadable || fromFiles.Unreadable == 0 {
		t.Errorf("%d unreadable: the log should have some", fromFiles.Unreadable)
	}
}
