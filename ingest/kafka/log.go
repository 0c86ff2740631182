package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"streamcanary/ingest"
)

// Bounds of appending.
const (
	// AppendWithin is how long an append may take before it's given up as unsettled.
	AppendWithin    = 30 * time.Second
	bufferedRecords = 20_000
	bufferedBytes   = 64 << 20
)

// ErrUnsettled means that an append did not end in time: the entry may stand in the log, now or later, or not.
// Appending it again may put it there twice, in either order with other entries.
var ErrUnsettled = errors.New("no acknowledgement in time: the entry may or may not be in the log")

// ErrTooBig means that an entry is larger than the broker or the client takes.
var ErrTooBig = errors.New("larger than the topic takes")

// An Entry is one record of a log.
type Entry struct {
	Key, Value []byte
	Headers    []ingest.Header
	TimeMs     int64 // Unix milliseconds; 0 when appending: the moment of the call
	// Partition and Offset say where the entry stands. Append chooses the partition by the key, as every Kafka client does.
	Partition int32
	Offset    int64
}

// A Log is one topic that is appended to and read back. It may be used by many goroutines.
type Log struct {
	client *Client
	topic  string
	within time.Duration
}

// Log returns the log of a topic, which should exist (EnsureTopic). An append is given up after within; 0: AppendWithin.
func (c *Client) Log(topic string, within time.Duration) *Log {
	if within <= 0 {
		within = AppendWithin
	}
	return &Log{client: c, topic: topic, within: within}
}

// producing are the options of the connection that appends: acknowledged by all replicas and idempotent (the client's
// defaults), sent at once, and so in small batches: snappy's cost is by their size, an LZ4 frame's by its block of 4 MB. Deadlines
// are ours (AppendAsync): the client's own counts from a record's timestamp, which may be an event time of long ago.
func producing() []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(keyPartitioner()), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.SnappyCompression(), kgo.NoCompression()),
		kgo.MaxBufferedRecords(bufferedRecords), kgo.MaxBufferedBytes(bufferedBytes),
	}
}

// keyPartitioner puts records of one key into one partition, as every Kafka client does.
func keyPartitioner() kgo.Partitioner { return kgo.StickyKeyPartitioner(nil) }

// Append puts one entry at the end of its key's partition, and returns where. It returns within the log's deadline, whatever
// the brokers do: an entry in flight cannot be taken back, so the error is then ErrUnsettled.
func (l *Log) Append(ctx context.Context, e Entry) (Entry, error) {
	type answer struct {
		entry Entry
		err   error
	}
	settled := make(chan answer, 1)
	l.AppendAsync(ctx, e, func(e Entry, err error) { settled <- answer{e, err} })
	select {
	case a := <-settled:
		return a.entry, a.err
	case <-ctx.Done():
		return e, fmt.Errorf("append to topic %s: %w: %w", l.topic, ErrUnsettled, ctx.Err())
	}
}

// AppendAsync is Append without waiting, except while the buffer is full. done is called once, from another goroutine or this
// one, at the latest after the log's deadline or when the context has ended. Entries of one partition are appended in the order of the
// calls: one that is given up is dropped together with those behind it that are not sent yet, whoever appended them. Their done is called a little later, and
// what is appended in between stands in the log without them: who can't have that must find it out when reading (windows.ErrHole).
// The entry's slices must stay unchanged until the log is closed or done was called without ErrUnsettled.
func (l *Log) AppendAsync(ctx context.Context, e Entry, done func(Entry, error)) {
	var once sync.Once
	finish := func(e Entry, err error) { once.Do(func() { done(e, err) }) }
	within, cancel := context.WithTimeout(ctx, l.within)
	kept, drop := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(within, func() {
		finish(e, fmt.Errorf("append to topic %s: %w: %w (%s at most)", l.topic, ErrUnsettled, within.Err(), l.within))
		drop()
	})
	r := &kgo.Record{Topic: l.topic, Key: e.Key, Value: e.Value}
	if e.TimeMs > 0 {
		r.Timestamp = time.UnixMilli(e.TimeMs)
	}
	for _, h := range e.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	l.client.kafka.Produce(kept, r, func(r *kgo.Record, err error) {
		stop()
		cancel()
		drop()
		if err != nil {
			finish(e, l.failed(err))
			return
		}
		placed := e
		placed.Partition, placed.Offset, placed.TimeMs = r.Partition, r.Offset, r.Timestamp.UnixMilli()
		finish(placed, nil)
	})
}

// failed names what an append met.
func (l *Log) failed(err error) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return fmt.Errorf("append to topic %s: %w: %w", l.topic, ErrTooBig, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, kgo.ErrClientClosed):
		return fmt.Errorf("append to topic %s: %w: %w", l.topic, ErrUnsettled, err)
	}
	return fmt.Errorf("append to topic %s: %w", l.topic, explain(err))
}

// AppendAll appends entries together and waits for all. The entries come back with their places; the error is the first one,
// in the entries' order, and the others may be in the log all the same.
func (l *Log) AppendAll(ctx context.Context, entries []Entry) ([]Entry, error) {
	placed := make([]Entry, len(entries))
	errs := make([]error, len(entries))
	var all sync.WaitGroup
	all.Add(len(entries))
	for i, e := range entries {
		l.AppendAsync(ctx, e, func(e Entry, err error) {
			placed[i], errs[i] = e, err
			all.Done()
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return placed, err
		}
	}
	return placed, nil
}

// EndOffsets returns where the next entries will stand.
func (l *Log) EndOffsets(ctx context.Context) (map[int32]int64, error) {
	offsets, err := l.client.EndOffsets(ctx, l.topic)
	return offsets[l.topic], err
}

// StartOffsets returns where the log begins.
func (l *Log) StartOffsets(ctx context.Context) (map[int32]int64, error) {
	offsets, err := l.client.StartOffsets(ctx, l.topic)
	return offsets[l.topic], err
}

// OffsetsSince returns the first offsets whose records have a time of at least ms; the end where there are none.
func (l *Log) OffsetsSince(ctx context.Context, ms int64) (map[int32]int64, error) {
	offsets, err := l.client.OffsetsSince(ctx, ms, l.topic)
	return offsets[l.topic], err
}

// PartitionOf is where Append puts entries of a key in a log of so many partitions.
func (l *Log) PartitionOf(key []byte, partitions int) int32 {
	return int32(keyPartitioner().ForTopic(l.topic).Partition(&kgo.Record{Key: key}, max(partitions, 1)))
}
