package engine

import (
	"bytes"
	"context"
	"errors"

	"streamcanary/ingest"
	"streamcanary/windows"
)

// An Intake hands the items of batches to a stage, and what is bad to the dead letters, with its record as it was
// found. The stage's partitions must have the source's indexes.
type Intake struct {
	stage   *windows.Stage
	from    []ingest.Partition
	letters ingest.DeadLetters
	held    map[place]ingest.Record // copies of the records that the stage holds aside
	NowMs   func() int64            // wall time for dead letters; nil: none
}

// place is a record's place in the source.
type place struct {
	partition int
	offset    int64
}

// NewIntake returns an intake; letters may be nil: then bad events are only counted.
func NewIntake(stage *windows.Stage, from []ingest.Partition, letters ingest.DeadLetters) *Intake {
	return &Intake{stage: stage, from: from, letters: letters, held: map[place]ingest.Record{}}
}

// Take hands over item i of a batch. An error is one of the dead letters: reading must not go on.
func (n *Intake) Take(ctx context.Context, b *ingest.Batch, i int) error {
	it := &b.Items[i]
	if it.Err != nil {
		n.stage.CountInvalid(b.Partition, it.Event.Kind, it.Offset)
		return n.letter(ctx, b.Partition, b.Record(i), it.Err)
	}
	before := n.stage.Held(b.Partition)
	_, err := n.stage.Add(b.Partition, &it.Event, it.Offset, it.AppendMs)
	if after := n.stage.Held(b.Partition); after > before {
		n.keep(b.Partition, b.Record(i))
	} else if after < before {
		if err := n.Rejected(ctx); err != nil { // first the refused ones; what is then left was confirmed
			return err
		}
		n.forget(b.Partition)
	}
	if err != nil {
		return n.letter(ctx, b.Partition, b.Record(i), err)
	}
	return nil
}

// Rejected sends the events that were held aside and not confirmed to the dead letters.
func (n *Intake) Rejected(ctx context.Context) error {
	for _, r := range n.stage.Rejected() {
		at := place{r.Partition, r.Offset}
		record, known := n.held[at]
		if !known {
			record = ingest.Record{Offset: r.Offset}
		}
		delete(n.held, at)
		if err := n.letter(ctx, r.Partition, &record, r.Err); err != nil {
			return err
		}
	}
	return nil
}

// forget drops the copies of records that were confirmed.
func (n *Intake) forget(partition int) {
	for at := range n.held {
		if at.partition == partition {
			delete(n.held, at)
		}
	}
}

// keep copies a record: the batch's memory is used again.
func (n *Intake) keep(partition int, r *ingest.Record) {
	c := *r
	c.Key, c.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	c.Headers = make([]ingest.Header, len(r.Headers))
	for i, h := range r.Headers {
		c.Headers[i] = ingest.Header{Key: h.Key, Value: bytes.Clone(h.Value)}
	}
	n.held[place{partition, r.Offset}] = c
}

func (n *Intake) letter(ctx context.Context, partition int, r *ingest.Record, why error) error {
	if n.letters == nil {
		return nil
	}
	letter := ingest.DeadLetter{Partition: n.from[partition], Record: r, Invalid: invalid(why)}
	if n.NowMs != nil {
		letter.AtMs = n.NowMs()
	}
	return n.letters.Write(ctx, &letter)
}

// invalid says why in the terms of dead letters: what a decoder found, or a rule of time.
func invalid(why error) *ingest.Invalid {
	var bad *ingest.Invalid
	switch {
	case errors.As(why, &bad):
		return bad
	case errors.Is(why, windows.ErrUnconfirmed): // an ErrAhead, too
		return ingest.Invalidf(ingest.ReasonUnconfirmed, "%v", why)
	case errors.Is(why, windows.ErrAhead):
		return ingest.Invalidf(ingest.ReasonAhead, "%v", why)
	case errors.Is(why, windows.ErrTime):
		return ingest.Invalidf(ingest.ReasonTime, "%v", why)
	}
	return ingest.Invalidf(ingest.ReasonType, "%v", why)
}
