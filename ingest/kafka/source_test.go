package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"streamcanary/ingest"
	"streamcanary/schemas"
)

// TestSourceReads reads two topics from given offsets, from a time, and from the beginning; and keeps the order within partitions.
func TestSourceReads(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(2, "predictions"), kfake.SeedTopics(1, "outcomes")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.produce("predictions", 0, events(0, 10)...)
		f.produce("predictions", 1, []byte("garbage"), []byte(`{"type":"outcome"}`))
		time.Sleep(time.Hour)
		since := time.Now().UnixMilli()
		f.produce("outcomes", 0, []byte(`{"type":"outcome","id":"x","ts":5,"name":"click"}`))
		s := f.source(c, SourceOptions{
			Topics: append(slices.Clone(predictions), Topic{Name: "outcomes", Want: schemas.KindOutcome}),
			Start:  Offsets{"predictions": {0: 6}},
		})
		defer s.Close()
		places := []ingest.Partition{{Topic: "predictions", Number: 0}, {Topic: "predictions", Number: 1}, {Topic: "outcomes", Number: 0}}
		if got := s.Partitions(); !slices.Equal(got, places) {
			t.Errorf("partitions %v", got)
		}
		got := items(f.T, s, 7)
		slices.Sort(got)
		if want := []string{"0:6 6", "0:7 7", "0:8 8", "0:9 9", "1:0 broken_json", "1:1 unknown_type", "2:0 x"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		f.produce("predictions", 0, events(10, 12)...)
		if got := items(f.T, s, 2); !slices.Equal(got, wanted(10, 12)) {
			t.Errorf("later: %q", got)
		}
		ends, err := s.Ends(f.Context())
		want := []End{{places[0], 12, 12}, {places[1], 2, 2}, {places[2], 1, 1}}
		if err != nil || !slices.Equal(ends, want) {
			t.Errorf("ends %v, %v", ends, err)
		}
		late := f.source(c, SourceOptions{SinceMs: since})
		defer late.Close()
		if got := items(f.T, late, 2); !slices.Equal(got, wanted(10, 12)) {
			t.Errorf("by time: %q", got)
		}
	})
}

// TestSourceRecord checks that all of a record is there, and when it was appended only where the broker says so.
func TestSourceRecord(t *testing.T) {
	inBubble(t, nil, func(f *fake) {
		c := f.connect()
		defer c.Close()
		for _, topic := range []string{"created", "appended"} {
			if err := c.EnsureTopic(f.Context(), topic, 1, nil); err != nil {
				t.Fatal(err)
			}
			if topic == "appended" {
				f.cluster.ControlKey(int16(kmsg.Produce), stampAppendTime)
				c.base = append(c.base, kgo.DisableFetchCRCValidation()) // the fake stamps, and leaves the checksum as it was
			}
			l := c.Log(topic, 0)
			headers := []ingest.Header{{Key: "a", Value: []byte("1")}, {Key: "b", Value: nil}}
			if _, err := l.Append(f.Context(), Entry{Key: []byte("k"), Value: event(1), Headers: headers, TimeMs: 1234}); err != nil {
				t.Fatal(err)
			}
			s := f.source(c, SourceOptions{Topics: []Topic{{Name: topic, Want: schemas.KindPrediction}}})
			defer s.Close()
			b, err := s.Next(f.Context())
			if err != nil {
				t.Fatal(err)
			}
			r, now := b.Record(0), time.Now().UnixMilli()
			want := [3]int64{0, 1234, 0}
			if topic == "appended" {
				want = [3]int64{now, 0, now}
			}
			if got := [3]int64{r.AppendMs, r.TimeMs, b.Items[0].AppendMs}; got != want {
				t.Errorf("%s: times %v, want %v", topic, got, want)
			}
			if string(r.Key) != "k" || string(r.Value) != string(event(1)) || len(r.Headers) != 2 || r.Headers[0].Key != "a" ||
				string(r.Headers[0].Value) != "1" || r.Headers[1].Key != "b" {
				t.Errorf("%s: record %+v", topic, r)
			}
			b.Release()
		}
	})
}

// stampAppendTime sets LogAppendTime in a batch that a client produces, which makes the fake stamp it: it doesn't look at the topic's
// configuration, as a real broker does (TestRealKafka).
func stampAppendTime(request kmsg.Request) (kmsg.Response, error, bool) {
	const crc, attributes = 17, 21 // places in a record batch
	batch := request.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records
	batch[attributes+1] |= 0x08
	binary.BigEndian.PutUint32(batch[crc:], crc32.Checksum(batch[attributes:], crc32.MakeTable(crc32.Castagnoli)))
	return nil, nil, false
}

// TestSourceBrokenBatch has a batch whose bytes don't agree with its checksum: it's reported, the partition stands at it, and
// Resume leads past it.
func TestSourceBrokenBatch(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "predictions")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.cluster.ControlKey(int16(kmsg.Produce), stampAppendTime)
		f.produce("predictions", 0, events(0, 3)...)
		s := f.source(c, SourceOptions{})
		defer s.Close()
		_, err := s.Next(f.Context())
		if want := "read topic predictions partition 0 at offset 0: encoded crc "; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Fatalf("got %v, want %s", err, want)
		}
		nothing(f.T, s)
		if err := s.Resume(s.Partitions()[0], 1); err != nil {
			t.Fatal(err)
		}
		if got := items(f.T, s, 2); !slices.Equal(got, wanted(1, 3)) {
			t.Errorf("after Resume: %q", got)
		}
	})
}

// TestSourceLeaderShuffle moves the leaders while reading: every record comes once.
func TestSourceLeaderShuffle(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094), kfake.SeedTopics(1, "predictions")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		s := f.source(c, SourceOptions{})
		defer s.Close()
		for round := range 20 {
			f.produce("predictions", 0, events(round*20, round*20+20)...)
			f.cluster.ShufflePartitionLeaders()
			if got := items(f.T, s, 20); !slices.Equal(got, wanted(round*20, round*20+20)) {
				t.Fatalf("round %d: %q", round, got)
			}
			f.cluster.ShufflePartitionLeaders()
			time.Sleep(300 * time.Millisecond)
		}
		nothing(f.T, s)
	})
}

// TestSourceGap takes the beginning of the log away, before reading and while reading is behind: a typed error, nothing skipped or
// read again, and reading goes on where Resume says.
func TestSourceGap(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(2, "predictions")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.produce("predictions", 0, events(0, 10)...)
		if err := f.cluster.DeleteRecords("predictions", 0, 7); err != nil {
			t.Fatal(err)
		}
		s := f.source(c, SourceOptions{Start: Offsets{"predictions": {0: 3, 1: 0}}})
		defer s.Close()
		gap(f.T, s, Gap{Topic: "predictions", Partition: 0, From: 3, To: 7}, "read topic predictions partition 0: offsets 3 to 6 are gone")
		nothing(f.T, s)
		f.produce("predictions", 1, events(100, 102)...)
		if got := items(f.T, s, 2); !slices.Equal(got, []string{"1:0 100", "1:1 101"}) {
			t.Errorf("the other partition: %q", got)
		}
		ends, err := s.Ends(f.Context())
		if err != nil || ends[0].Next != 3 || ends[0].End != 10 {
			t.Errorf("ends %v, %v", ends, err)
		}
		if err := s.Resume(ingest.Partition{Topic: "predictions", Number: 0}, 8); err != nil {
			t.Fatal(err)
		}
		if got := items(f.T, s, 2); !slices.Equal(got, wanted(8, 10)) {
			t.Errorf("after Resume: %q", got)
		}
		f.produce("predictions", 0, events(10, 11)...)
		if got := items(f.T, s, 1); !slices.Equal(got, wanted(10, 11)) {
			t.Errorf("later: %q", got)
		}
		if err := s.Resume(ingest.Partition{Topic: "other", Number: 0}, 8); err == nil {
			t.Error("Resume of a partition that isn't read")
		}
	})
}

// gap expects one gap from Next.
func gap(t *testing.T, s *Source, want Gap, start string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := s.Next(ctx)
	var g *Gap
	if !errors.As(err, &g) {
		t.Fatalf("got %+v, %v, want a gap", b, err)
	}
	got := *g
	got.Cause = nil
	if got != want || len(err.Error()) < len(start) || err.Error()[:len(start)] != start || g.Cause == nil {
		t.Errorf("got %+v (%v), want %+v (%s)", got, err, want, start)
	}
}

// TestSourceAnew deletes a topic that is read and makes it anew: its offsets mean something else now, so reading stands still.
func TestSourceAnew(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "predictions")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.produce("predictions", 0, events(0, 5)...)
		s := f.source(c, SourceOptions{})
		defer s.Close()
		if got := items(f.T, s, 5); !slices.Equal(got, wanted(0, 5)) {
			t.Fatalf("got %q", got)
		}
		if err := f.cluster.DeleteTopic("predictions"); err != nil {
			t.Fatal(err)
		}
		if err := f.cluster.CreateTopic("predictions", 1, nil); err != nil {
			t.Fatal(err)
		}
		f.produce("predictions", 0, events(0, 2)...)
		gap(f.T, s, Gap{Topic: "predictions", Partition: 0, From: 5, To: 2}, "read topic predictions partition 0: read up to offset 5, but the log now ends at 2")
		nothing(f.T, s)
	})
}

// TestSourceAhead starts beyond the end of the log, as after a broker's loss.
func TestSourceAhead(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "predictions")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.produce("predictions", 0, events(0, 5)...)
		s := f.source(c, SourceOptions{Start: Offsets{"predictions": {0: 9}}})
		defer s.Close()
		gap(f.T, s, Gap{Topic: "predictions", Partition: 0, From: 9, To: 5}, "read topic predictions partition 0: read up to offset 9, but the log now ends at 5")
		nothing(f.T, s)
	})
}

// TestSourceBigBatch reads past a batch that decompresses beyond the bound: one pointer record stands for it.
func TestSourceBigBatch(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "predictions")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.produce("predictions", 0, events(0, 2)...)
		p, err := kgo.NewClient(kgo.SeedBrokers(f.address), kgo.Dialer(f.network.DialContext),
			kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.ProducerBatchMaxBytes(256<<20), kgo.BrokerMaxWriteBytes(512<<20))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.ProduceSync(f.Context(), &kgo.Record{Topic: "predictions", Value: make([]byte, batchBytesMost+1)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		f.produce("predictions", 0, events(3, 5)...)
		s := f.source(c, SourceOptions{})
		defer s.Close()
		want := []string{"0:0 0", "0:1 1", "0:2 batch_too_big", "0:3 3", "0:4 4"}
		if got := items(f.T, s, 5); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		nothing(f.T, s)
	})
}

// TestSourceTransactions reads what transactions decided, passes over what they took back, and knows the end behind their markers.
func TestSourceTransactions(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "predictions")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		p, err := kgo.NewClient(kgo.SeedBrokers(f.address), kgo.Dialer(f.network.DialContext), kgo.TransactionalID("t"))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for n, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
			if err := p.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := p.ProduceSync(f.Context(), &kgo.Record{Topic: "predictions", Value: event(n)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := p.EndTransaction(f.Context(), commit); err != nil {
				t.Fatal(err)
			}
		}
		s := f.source(c, SourceOptions{})
		defer s.Close()
		if got, want := items(f.T, s, 2), []string{"0:0 0", "0:4 2"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		for range 10 {
			ctx, cancel := context.WithTimeout(f.Context(), time.Second)
			if b, err := s.Next(ctx); err == nil {
				b.Release()
			}
			cancel()
		}
		ends, err := s.Ends(f.Context())
		if err != nil || ends[0].Next != ends[0].End || ends[0].End != 6 {
			t.Errorf("ends %v, %v", ends, err)
		}
	})
}

// TestSourceGrown adds partitions to a topic that is read: Ends says so, beside the ends of those that are read. A source that is made
// later may be held to those, too.
func TestSourceGrown(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(2, "predictions")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.produce("predictions", 1, events(0, 3)...)
		s := f.source(c, SourceOptions{})
		defer s.Close()
		if _, err := c.admin.CreatePartitions(f.Context(), 3, "predictions"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		f.produce("predictions", 4, events(7, 9)...)
		held := f.source(c, SourceOptions{Partitions: map[string]int32{"predictions": 2}})
		defer held.Close()
		for _, s := range []*Source{s, held} {
			if got, want := items(f.T, s, 3), []string{"1:0 0", "1:1 1", "1:2 2"}; !slices.Equal(got, want) {
				t.Errorf("got %q", got)
			}
			nothing(f.T, s)
			ends, err := s.Ends(f.Context())
			var g *Grown
			if !errors.As(err, &g) || *g != (Grown{Topic: "predictions", Was: 2, Is: 5}) {
				t.Errorf("got %v", err)
			}
			if want := []End{{s.Partitions()[0], 0, 0}, {s.Partitions()[1], 3, 3}}; !slices.Equal(ends, want) {
				t.Errorf("ends %v, want %v", ends, want)
			}
		}
		_, err := c.Source(f.Context(), SourceOptions{Topics: predictions, Partitions: map[string]int32{"predictions": 6}})
		if err == nil || err.Error() != "topic predictions has 5 partitions, 6 are to be read" {
			t.Errorf("more than there are: %v", err)
		}
	})
}

// TestOffsetsSince: an event that comes while the first offsets are asked for is read, not passed over.
func TestOffsetsSince(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "full", "empty")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.produce("full", 0, events(1, 3)...)
		time.Sleep(time.Second)
		since := time.Now().UnixMilli()
		f.produce("full", 0, events(4, 5)...)
		asked := false
		f.cluster.ControlKey(int16(kmsg.ListOffsets), func(request kmsg.Request) (kmsg.Response, error, bool) {
			f.cluster.KeepControl()
			if at := request.(*kmsg.ListOffsetsRequest).Topics[0].Partitions[0].Timestamp; at == since {
				asked = true
			} else if asked {
				asked = false
				f.cluster.SleepControl(func() { f.produce("empty", 0, event(1)) })
			}
			return nil, nil, false
		})
		offsets, err := c.OffsetsSince(f.Context(), since, "full", "empty")
		if want := (Offsets{"full": {0: 2}, "empty": {0: 0}}); err != nil || !reflect.DeepEqual(offsets, want) {
			f.Errorf("offsets are %v (%v), want %v", offsets, err, want)
		}
		if ends, err := c.EndOffsets(f.Context(), "empty"); err != nil || ends["empty"][0] != 1 {
			f.Errorf("the event didn't come in between: %v, %v", ends, err)
		}
	})
}

// TestSourceCommit writes to a group that nobody has joined, where lag tools find it.
func TestSourceCommit(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "predictions")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.produce("predictions", 0, events(0, 5)...)
		s := f.source(c, SourceOptions{Group: "streamcanary.test"})
		defer s.Close()
		items(f.T, s, 5)
		if err := s.Commit(f.Context(), Offsets{"predictions": {0: 4}}); err != nil {
			t.Fatal(err)
		}
		got, err := c.Committed(f.Context(), "streamcanary.test")
		if err != nil || got["predictions"][0] != 4 {
			t.Errorf("committed %v, %v", got, err)
		}
		again := f.source(c, SourceOptions{Group: "streamcanary.test"})
		defer again.Close()
		if got := items(f.T, again, 5); !slices.Equal(got, wanted(0, 5)) {
			t.Errorf("a new source must not begin at the group's offset: %q", got)
		}
	})
}

// TestSourceCommitToMembers: a group that somebody else is a member of takes no offsets of ours, so the two can't be taken for one.
func TestSourceCommitToMembers(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "predictions")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.produce("predictions", 0, events(0, 5)...)
		member, err := kgo.NewClient(append(slices.Clone(c.base), kgo.ConsumerGroup("taken"), kgo.ConsumeTopics("predictions"), kgo.DisableAutoCommit())...)
		if err != nil {
			t.Fatal(err)
		}
		defer member.Close()
		if n := member.PollFetches(f.Context()).NumRecords(); n == 0 {
			t.Fatal("the other consumer reads nothing")
		}
		s := f.source(c, SourceOptions{Group: "taken"})
		defer s.Close()
		items(f.T, s, 5)
		err = s.Commit(f.Context(), Offsets{"predictions": {0: 5}})
		if !errors.Is(err, kerr.UnknownMemberID) || !strings.HasPrefix(err.Error(), "commit offsets to group taken: ") {
			t.Errorf("got %v, want a refusal that names the group", err)
		}
		if got, err := c.Committed(f.Context(), "taken"); err != nil || got["predictions"][0] != 0 {
			t.Errorf("committed %v, %v", got, err)
		}
	})
}

// TestSourceRefusal has a broker that refuses to be read: Next says so once in a while, and reads on when it's over.
func TestSourceRefusal(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "predictions")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		f.produce("predictions", 0, events(0, 3)...)
		s := f.source(c, SourceOptions{})
		defer s.Close()
		items(f.T, s, 3)
		fault := f.cluster.Fault(kfake.Fault{Count: -1, Err: kerr.TopicAuthorizationFailed, Keys: []kmsg.Key{kmsg.Fetch}})
		refusals, began := 0, time.Now()
		for time.Since(began) < 2*complainEvery {
			ctx, cancel := context.WithTimeout(f.Context(), time.Second)
			_, err := s.Next(ctx)
			cancel()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				refusals++
				want := "read topic predictions partition 0 at offset 3: TOPIC_AUTHORIZATION_FAILED"
				if !strings.HasPrefix(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
			}
		}
		if refusals < 2 || refusals > 3 {
			t.Errorf("%d refusals in %s", refusals, 2*complainEvery)
		}
		fault.Remove()
		f.produce("predictions", 0, events(3, 5)...)
		if got := items(f.T, s, 2); !slices.Equal(got, wanted(3, 5)) {
			t.Errorf("afterwards: %q", got)
		}
	})
}

// TestSourceBrokerAway cuts the network and mends it: Next waits, Ends says that nothing is proven, nothing is lost or read twice.
func TestSourceBrokerAway(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "predictions")}, func(f *fake) {
		network := &switchedNetwork{VirtualNetwork: f.network}
		c, err := Connect(f.Context(), Connection{Brokers: []string{f.address}, Dial: network.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f.produce("predictions", 0, events(0, 3)...)
		s := f.source(c, SourceOptions{})
		defer s.Close()
		items(f.T, s, 3)
		network.set(true)
		began := time.Now()
		if _, err := s.Ends(f.Context()); err == nil || time.Since(began) > requestWithin+time.Second {
			t.Errorf("ends of a broker that is away: %v, after %s", err, time.Since(began))
		}
		f.produce("predictions", 0, events(3, 5)...)
		nothing(f.T, s)
		network.set(false)
		if got := items(f.T, s, 2); !slices.Equal(got, wanted(3, 5)) {
			t.Errorf("afterwards: %q", got)
		}
		if ends, err := s.Ends(f.Context()); err != nil || ends[0].Next != 5 || ends[0].End != 5 {
			t.Errorf("ends afterwards: %v, %v", ends, err)
		}
	})
}

// TestSourceErrors has what cannot be read at all.
func TestSourceErrors(t *testing.T) {
	inBubble(t, []kfake.Opt{kfake.SeedTopics(1, "predictions")}, func(f *fake) {
		c := f.connect()
		defer c.Close()
		for _, row := range []struct {
			o    SourceOptions
			want string
		}{
			{SourceOptions{}, "read from kafka: no topic is named"},
			{SourceOptions{Topics: []Topic{{Name: "absent"}}}, "topic absent does not exist at " + f.address + ": make it (`kafka-topics.sh --bootstrap-server " + f.address + " --create --topic absent --partitions N`, with the same N for outcomes as for their predictions), " +
				"or name the right one, or the right brokers, in the configuration"},
			{SourceOptions{Topics: []Topic{{Name: "predictions", Format: "xml"}}}, `topic predictions: event format "xml" is unknown (known: json)`},
		} {
			if _, err := c.Source(f.Context(), row.o); err == nil || err.Error() != row.want {
				t.Errorf("got %v, want %s", err, row.want)
			}
		}
	})
}
