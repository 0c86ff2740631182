package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"streamcanary/ingest"
	"streamcanary/schemas"
)

const (
	// complainEvery is how often Next repeats the same error of a partition.
	complainEvery = 30 * time.Second
	// retryAfter is how long a partition rests after an error: the client itself would ask again at once, without an end.
	retryAfter = 2 * time.Second
)

// timestampAppend is the record attribute's value for LogAppendTime.
const timestampAppend = 1

// A pump is the state of the reading goroutine, which owns it.
type pump struct {
	states []partitionState
}

// A partitionState is what the reading goroutine knows of a partition.
type partitionState struct {
	decoder    ingest.Decoder
	want       schemas.Kind // the only kind of event in it
	next       int64        // offset expected; what is below was read already
	halted     bool         // after a gap
	retry      time.Time    // resting until then after an error; zero: not
	complained time.Time
	complaint  string
}

// A batch is a batch with the client's records that its events alias, and the memory of their headers.
type batch struct {
	ingest.Batch
	headers []ingest.Header
	fetched []*kgo.Record
}

// read is the reading goroutine: it polls, decodes, and hands over until the context ends.
func (s *Source) read(ctx context.Context) {
	for ctx.Err() == nil {
		poll := s.prepare(ctx)
		fetches := s.kafka.PollRecords(poll, batchesAhead*batchRecords)
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if ctx.Err() != nil {
				return
			}
			i, ok := s.index[ingest.Partition{Topic: f.Topic, Number: f.Partition}]
			if !ok {
				return // the client's own notes, such as that the poll's context ended
			}
			if !s.pump.states[i].halted {
				s.records(ctx, i, f.Records)
			}
			if f.Err != nil && !s.pump.states[i].halted {
				s.trouble(ctx, i, f.Err)
			}
		})
	}
}

// prepare does what Resume asked for, wakes partitions that have rested, and returns the context of the next poll, which ends
// when Resume is called or the next partition has rested.
func (s *Source) prepare(ctx context.Context) context.Context {
	s.mu.Lock()
	if s.wake != nil {
		s.wake()
	}
	poll, cancel := s.untilRetry(ctx)
	s.wake = cancel
	resumes := s.resumes
	s.resumes = nil
	s.mu.Unlock()
	for i, offset := range resumes {
		state := &s.pump.states[i]
		state.next, state.halted, state.complaint, state.retry = offset, false, "", time.Time{}
		s.seek(i, kgo.EpochOffset{Epoch: -1, Offset: offset})
		s.kafka.ResumeFetchPartitions(s.one(i))
	}
	return poll
}

// untilRetry wakes the partitions that have rested, and returns a context that ends when the next one has.
func (s *Source) untilRetry(ctx context.Context) (context.Context, context.CancelFunc) {
	var first time.Time
	now := time.Now()
	for i := range s.pump.states {
		switch retry := &s.pump.states[i].retry; {
		case retry.IsZero():
		case !retry.After(now):
			*retry = time.Time{}
			s.kafka.ResumeFetchPartitions(s.one(i))
		case first.IsZero() || retry.Before(first):
			first = *retry
		}
	}
	if first.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, first)
}

// one is partition i as the client wants to hear of it.
func (s *Source) one(i int) map[string][]int32 {
	p := s.partitions[i]
	return map[string][]int32{p.Topic: {p.Number}}
}

// seek moves the client to an offset; what it has fetched of the partition is dropped.
func (s *Source) seek(i int, to kgo.EpochOffset) {
	p := s.partitions[i]
	s.kafka.SetOffsets(map[string]map[int32]kgo.EpochOffset{p.Topic: {p.Number: to}})
}

// records decodes what was fetched of partition i and hands it over.
func (s *Source) records(ctx context.Context, i int, records []*kgo.Record) {
	state := &s.pump.states[i]
	for len(records) > 0 {
		n := min(len(records), batchRecords)
		b := s.take(i)
		b.fetched = append(b.fetched, records[:n]...)
		for _, r := range b.fetched {
			if r.Offset < state.next {
				continue // read before: a broker may answer with a batch that begins earlier
			}
			state.next = r.Offset + 1
			if !r.Attrs.IsControl() {
				b.Take(state.decoder, b.record(r))
			}
		}
		b.Next = state.next
		records = records[n:]
		s.deliver(ctx, delivery{batch: &b.Batch})
	}
}

// record is a record in our form; its bytes are the client's, which keeps them as long as we do.
func (b *batch) record(r *kgo.Record) ingest.Record {
	own := ingest.Record{Key: r.Key, Value: r.Value, Offset: r.Offset}
	if r.Attrs.TimestampType() == timestampAppend {
		own.AppendMs = r.Timestamp.UnixMilli()
	} else {
		own.TimeMs = r.Timestamp.UnixMilli()
	}
	if len(r.Headers) > 0 {
		from := len(b.headers)
		for _, h := range r.Headers {
			b.headers = append(b.headers, ingest.Header{Key: h.Key, Value: h.Value})
		}
		own.Headers = b.headers[from:len(b.headers):len(b.headers)]
	}
	return own
}

// take returns an empty batch, a used one if there is any.
func (s *Source) take(partition int) *batch {
	var b *batch
	select {
	case b = <-s.free:
	default:
		b = &batch{}
		b.Batch = *ingest.NewBatch(func(*ingest.Batch) {
			b.recycle()
			select {
			case s.free <- b:
			default:
			}
		})
	}
	b.Reset(partition)
	return b
}

// recycle gives the memory of the client's records back to it.
func (b *batch) recycle() {
	for _, r := range b.fetched {
		r.Recycle()
	}
	clear(b.fetched)
	b.fetched, b.headers = b.fetched[:0], b.headers[:0]
}

// deliver hands over to Next, waiting while its buffer is full.
func (s *Source) deliver(ctx context.Context, d delivery) {
	select {
	case s.out <- d:
	case <-ctx.Done():
	}
}

// trouble turns what the client says of partition i into an error of Next, or a dead letter.
func (s *Source) trouble(ctx context.Context, i int, err error) {
	state, p := &s.pump.states[i], s.partitions[i]
	var lost *kgo.ErrDataLoss
	var large *kgo.ErrDecompressTooLarge
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return
	case errors.As(err, &large):
		s.passOver(ctx, i, large)
		return
	case errors.As(err, &lost):
		s.halt(ctx, i, &Gap{Topic: p.Topic, Partition: p.Number, From: state.next, To: lost.ResetTo, Cause: err})
		return
	case errors.Is(err, kerr.OffsetOutOfRange), errors.Is(err, kerr.UnknownTopicID):
		s.halt(ctx, i, s.outOfRange(ctx, i, err))
		return
	}
	now := time.Now()
	state.retry = now.Add(retryAfter)
	s.kafka.PauseFetchPartitions(s.one(i))
	if state.complaint != err.Error() || now.Sub(state.complained) >= complainEvery {
		state.complaint, state.complained = err.Error(), now
		s.deliver(ctx, delivery{err: fmt.Errorf("read topic %s partition %d at offset %d: %w", p.Topic, p.Number, state.next, explain(err))})
	}
}

// halt stops a partition and reports its gap.
func (s *Source) halt(ctx context.Context, i int, g *Gap) {
	s.pump.states[i].halted = true
	s.kafka.PauseFetchPartitions(s.one(i))
	s.deliver(ctx, delivery{err: g})
}

// outOfRange finds out on which side of the log the partition's next offset lies. Where no broker can tell, To is the offset
// itself: nothing is known to be missing, and the cause says why reading stopped.
func (s *Source) outOfRange(ctx context.Context, i int, cause error) *Gap {
	p, next := s.partitions[i], s.pump.states[i].next
	g := &Gap{Topic: p.Topic, Partition: p.Number, From: next, To: next, Cause: cause}
	start, err := s.client.StartOffsets(ctx, p.Topic)
	if err != nil {
		g.Cause = fmt.Errorf("%w (and the log's bounds are unknown: %w)", cause, err)
		return g
	}
	if g.To = start[p.Topic][p.Number]; g.To > next {
		return g
	}
	end, err := s.client.EndOffsets(ctx, p.Topic)
	if err != nil {
		g.Cause = fmt.Errorf("%w (and the log's bounds are unknown: %w)", cause, err)
		return g
	}
	g.To = min(end[p.Topic][p.Number], next)
	return g
}

// passOver puts one invalid item in the place of a batch that decompresses beyond the bound, and reads on after it.
func (s *Source) passOver(ctx context.Context, i int, large *kgo.ErrDecompressTooLarge) {
	state := &s.pump.states[i]
	first := max(state.next, large.Offset)
	b := s.take(i)
	b.Refuse(ingest.Record{Offset: first}, state.want, ingest.Invalidf(ingest.ReasonBatchTooBig,
		"the batch of offsets %d to %d decompresses to more than %d MiB; this letter stands for all of it",
		large.Offset, large.NextOffset-1, batchBytesMost>>20))
	state.next = large.NextOffset
	b.Next = state.next
	s.seek(i, kgo.EpochOffset{Epoch: large.Epoch, Offset: large.NextOffset})
	s.deliver(ctx, delivery{batch: &b.Batch})
}
