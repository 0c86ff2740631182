package kafka

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"

	"streamcanary/ingest"
	"streamcanary/schemas"
)

// The headers that a dead letter has beside its record's own.
const (
	HeaderError     = "sc-error"  // the reason's code
	HeaderDetail    = "sc-detail" // the reason in words
	HeaderTopic     = "sc-topic"
	HeaderPartition = "sc-partition"
	HeaderOffset    = "sc-offset"
	HeaderTime      = "sc-time"    // when it was refused, RFC 3339
	HeaderOmitted   = "sc-omitted" // bytes of the value, where it's left out because the topic doesn't take so much
)

// DeadLetters is ingest.DeadLetters in a Kafka topic: the record's key, value and headers untouched, and our headers after
// them. It writes without waiting; the first letter that cannot be kept is the error of the next call, for good.
type DeadLetters struct {
	log     *Log
	pending sync.WaitGroup
	mu      sync.Mutex
	err     error
}

// NewDeadLetters writes to a log.
func NewDeadLetters(l *Log) *DeadLetters { return &DeadLetters{log: l} }

// Write is ingest.DeadLetters'. It waits only while the log's buffer is full.
func (d *DeadLetters) Write(ctx context.Context, l *ingest.DeadLetter) error {
	if err := d.failed(); err != nil {
		return err
	}
	e := Entry{Key: bytes.Clone(l.Record.Key), Value: bytes.Clone(l.Record.Value)}
	for _, h := range l.Record.Headers {
		e.Headers = append(e.Headers, ingest.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
	}
	e.Headers = append(
		e.Headers,
		ingest.Header{Key: HeaderError, Value: []byte(l.Invalid.Reason)},
		ingest.Header{Key: HeaderDetail, Value: []byte(l.Invalid.Detail)},
		ingest.Header{Key: HeaderTopic, Value: []byte(l.Partition.Topic)},
		ingest.Header{Key: HeaderPartition, Value: strconv.AppendInt(nil, int64(l.Partition.Number), 10)},
		ingest.Header{Key: HeaderOffset, Value: strconv.AppendInt(nil, l.Record.Offset, 10)},
		ingest.Header{Key: HeaderTime, Value: []byte(schemas.Time(l.AtMs).String())},
	)
	d.pending.Add(1)
	d.log.AppendAsync(ctx, e, func(e Entry, err error) {
		if errors.Is(err, ErrTooBig) {
			go d.withoutValue(ctx, e) // appending may wait for room, which this callback must not; Flush waits for both
			return
		}
		d.settle(err)
	})
	return nil
}

// withoutValue keeps a letter that is too big for its topic, with everything but the value: the record itself still stands in
// its own topic, where sc-topic, sc-partition and sc-offset lead.
func (d *DeadLetters) withoutValue(ctx context.Context, e Entry) {
	e.Headers = append(e.Headers, ingest.Header{Key: HeaderOmitted, Value: strconv.AppendInt(nil, int64(len(e.Value)), 10)})
	e.Value = nil
	d.log.AppendAsync(ctx, e, func(_ Entry, err error) { d.settle(err) })
}

// settle notes that a letter is kept, or is not.
func (d *DeadLetters) settle(err error) {
	d.mu.Lock()
	if d.err == nil {
		d.err = err
	}
	d.mu.Unlock()
	d.pending.Done()
}

// failed returns the first letter's error.
func (d *DeadLetters) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// Flush is ingest.DeadLetters'. Every letter ends within the log's deadline, so this does, too.
func (d *DeadLetters) Flush(context.Context) error {
	d.pending.Wait()
	return d.failed()
}
