package kafka

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"streamcanary/ingest"
	"streamcanary/schemas"
)

// TestRealKafka does against a real broker what the fake is tested for, and what the fake cannot do.
func TestRealKafka(t *testing.T) {
	bootstrap := os.Getenv("KAFKA_BOOTSTRAP")
	if bootstrap == "" {
		t.Skip("passed over: KAFKA_BOOTSTRAP names no broker")
	}
	connect := func(t *testing.T) *Client {
		c, err := Connect(t.Context(), Connection{Brokers: []string{bootstrap}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("log", func(t *testing.T) { testLog(t, connect(t)) })
	for _, kind := range []string{"CreateTime", "LogAppendTime"} {
		t.Run(kind, func(t *testing.T) {
			c := connect(t)
			defer c.Close()
			testRealSource(t, c, kind)
		})
	}
}

// testRealSource reads a topic whose times are of one kind: from a time, from offsets, behind a gap; and commits.
func testRealSource(t *testing.T, c *Client, kind string) {
	ctx := t.Context()
	topic := fmt.Sprintf("predictions-%d", time.Now().UnixNano())
	if err := c.EnsureTopic(ctx, topic, 1, map[string]string{"message.timestamp.type": kind}); err != nil {
		t.Fatal(err)
	}
	began := time.Now().UnixMilli()
	var entries []Entry
	for n := range 10 {
		entries = append(entries, Entry{Value: event(n), TimeMs: began - 10_000 + int64(n)})
	}
	if _, err := c.Log(topic, 0).AppendAll(ctx, entries); err != nil {
		t.Fatal(err)
	}
	o := SourceOptions{Topics: []Topic{{Name: topic, Want: schemas.KindPrediction}}, SinceMs: began - 10_000 + 4, Group: "streamcanary." + topic}
	first := 4
	if kind == "LogAppendTime" {
		o.SinceMs, first = began, 0
	}
	s, err := c.Source(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if r := b.Record(0); (r.AppendMs >= began) != (kind == "LogAppendTime") || (r.TimeMs != 0) != (kind == "CreateTime") || b.Items[0].Offset != int64(first) {
		t.Errorf("first record: %+v", r)
	}
	b.Release()
	if err := s.Commit(ctx, Offsets{topic: {0: 9}}); err != nil {
		t.Error(err)
	}
	if got, err := c.Committed(ctx, o.Group); err != nil || got[topic][0] != 9 {
		t.Errorf("committed %v, %v", got, err)
	}
	testRealGap(t, c, topic)
}

// testRealGap deletes records that a source was to read.
func testRealGap(t *testing.T, c *Client, topic string) {
	ctx := t.Context()
	var to kadm.Offsets
	to.AddOffset(topic, 0, 7, -1)
	if _, err := c.admin.DeleteRecords(ctx, to); err != nil {
		t.Fatal(err)
	}
	s, err := c.Source(ctx, SourceOptions{Topics: []Topic{{Name: topic, Want: schemas.KindPrediction}}, Start: Offsets{topic: {0: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Next(ctx)
	var g *Gap
	if !errors.As(err, &g) || g.From != 2 || g.To != 7 {
		t.Fatalf("got %v", err)
	}
	if err := s.Resume(ingest.Partition{Topic: topic}, g.To); err != nil {
		t.Fatal(err)
	}
	if got := items(t, s, 3); !slices.Equal(got, wanted(7, 10)) {
		t.Errorf("after Resume: %q", got)
	}
	if ends, err := s.Ends(ctx); err != nil || ends[0].Next != 10 || ends[0].End != 10 {
		t.Errorf("ends %v, %v", ends, err)
	}
}
