package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"streamcanary/ingest"
)

// A Reader reads a log's entries from given offsets on, each partition in order. One goroutine uses it.
type Reader struct {
	log   *Log
	kafka *kgo.Client
	next  map[int32]int64 // offset after the last entry handed over
	ends  map[int32]int64 // as last asked for
	ready []*kgo.Record   // fetched, not handed over yet
	fault error           // a gap: final
}

// ReadFrom starts reading at the given offsets; a partition that isn't named is read from its beginning. The ends that
// CaughtUp measures by are those of now, until Refresh.
func (l *Log) ReadFrom(ctx context.Context, offsets map[int32]int64) (*Reader, error) {
	ends, err := l.EndOffsets(ctx)
	if err != nil {
		return nil, err
	}
	starts, err := l.StartOffsets(ctx)
	if err != nil {
		return nil, err
	}
	r := &Reader{log: l, ends: ends, next: make(map[int32]int64, len(ends))}
	from := make(map[int32]kgo.Offset, len(ends))
	for p := range ends {
		at, named := offsets[p]
		if !named {
			at = starts[p]
		}
		r.next[p], from[p] = at, kgo.NewOffset().At(at)
	}
	for p := range offsets {
		if _, known := ends[p]; !known {
			return nil, fmt.Errorf("read topic %s: partition %d does not exist", l.topic, p)
		}
	}
	options := append(slices.Clone(l.client.base), l.client.consuming()...)
	r.kafka, err = kgo.NewClient(append(options, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: from}))...)
	if err != nil {
		return nil, fmt.Errorf("read topic %s: %w", l.topic, err)
	}
	return r, nil
}

// Next waits for the next entry. Its memory is the caller's. A *Gap is final: entries are missing. Other errors are the
// context's, or a refusal of the broker, after which Next may be called again.
func (r *Reader) Next(ctx context.Context) (Entry, error) {
	for {
		for len(r.ready) > 0 {
			record := r.ready[0]
			r.ready = r.ready[1:]
			if record.Offset < r.next[record.Partition] {
				continue
			}
			r.next[record.Partition] = record.Offset + 1
			if !record.Attrs.IsControl() {
				return entry(record), nil
			}
		}
		if r.fault != nil {
			return Entry{}, r.fault
		}
		if err := r.poll(ctx); err != nil {
			return Entry{}, err
		}
	}
}

// entry is a record in our form.
func entry(record *kgo.Record) Entry {
	e := Entry{
		Key: record.Key, Value: record.Value, TimeMs: record.Timestamp.UnixMilli(), Partition: record.Partition, Offset: record.Offset,
	}
	for _, h := range record.Headers {
		e.Headers = append(e.Headers, ingest.Header{Key: h.Key, Value: h.Value})
	}
	return e
}

// poll fetches more.
func (r *Reader) poll(ctx context.Context) error {
	fetches := r.kafka.PollRecords(ctx, batchRecords)
	if fetches.IsClientClosed() {
		return fmt.Errorf("read topic %s: %w", r.log.topic, os.ErrClosed)
	}
	var first error
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if r.fault != nil {
			return // what comes after a gap isn't handed over
		}
		r.ready = append(r.ready, f.Records...)
		if f.Err != nil && first == nil {
			first = r.trouble(ctx, f.Partition, f.Err)
		}
	})
	switch {
	case len(r.ready) > 0:
		return nil // first what was read; an error comes again at the next fetch
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return first
}

// trouble makes a gap of what the client reports as one.
func (r *Reader) trouble(ctx context.Context, partition int32, err error) error {
	gap := &Gap{Topic: r.log.topic, Partition: partition, From: r.next[partition], To: r.next[partition], Cause: err}
	var lost *kgo.ErrDataLoss
	switch {
	case errors.As(err, &lost):
		gap.To = lost.ResetTo
	case errors.Is(err, kerr.OffsetOutOfRange):
		if starts, err := r.log.StartOffsets(ctx); err == nil {
			gap.To = starts[partition]
		}
		if ends, err := r.log.EndOffsets(ctx); err == nil && gap.To <= gap.From {
			gap.To = min(ends[partition], gap.From)
		}
	case errors.Is(err, kerr.UnknownTopicID):
		gap.To = 0
	default:
		return fmt.Errorf("read topic %s partition %d: %w", r.log.topic, partition, explain(err))
	}
	r.fault = gap
	return gap
}

// CaughtUp says that every entry that was in the log when its ends were last asked for has been handed over.
func (r *Reader) CaughtUp() bool {
	for p, end := range r.ends {
		if r.next[p] < end {
			return false
		}
	}
	return true
}

// Refresh asks for the log's ends again.
func (r *Reader) Refresh(ctx context.Context) error {
	ends, err := r.log.EndOffsets(ctx)
	if err == nil {
		r.ends = ends
	}
	return err
}

// Drain hands every entry to f until the reader has caught up, or f or reading fails.
func (r *Reader) Drain(ctx context.Context, f func(Entry) error) error {
	for !r.CaughtUp() {
		e, err := r.Next(ctx)
		if err == nil {
			err = f(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Positions returns, per partition, the offset after the last entry handed over: where a later ReadFrom goes on.
func (r *Reader) Positions() map[int32]int64 {
	positions := make(map[int32]int64, len(r.next))
	for p, at := range r.next {
		positions[p] = at
	}
	return positions
}

// Close ends reading.
func (r *Reader) Close() { r.kafka.Close() }
