package ingest

import (
	"context"

	"streamcanary/schemas"
)

// An Item is one event of a batch, or, where Err is set, one record that is none.
type Item struct {
	Event    schemas.Event // where Err is set, only its Kind: as far as it's known
	Offset   int64         // of the record in its partition's log
	AppendMs int64         // when the broker appended it; 0 where nobody stamped it
	Err      *Invalid

	record int32 // index in Batch.records
}

// A Batch is a run of records of one source partition, in log order. It belongs to whoever got it from
// Source.Next until Release; then its memory is used again. The zero value is an empty batch, ready to use.
type Batch struct {
	Partition int    // index in Source.Partitions
	Items     []Item // in log order; a record may have made none, one or many
	Next      int64  // offset after the batch's last record: where reading goes on
	End       bool   // the partition's log ends with this batch, which may have no items

	records []Record
	text    []byte       // scratch of decoders: unescaped strings
	release func(*Batch) // gives the memory back; nil: nobody wants it
}

// Source gives the batches of several partitions. It has one reader at a time.
type Source interface {
	// Next waits for the next batch. A finite source ends with io.EOF. After an error that is not the context's
	// the caller may ask again where the source says that this makes sense.
	Next(ctx context.Context) (*Batch, error)
	// Partitions lists the source's partitions; Batch.Partition is an index in it. Entries never move.
	Partitions() []Partition
	// Close ends the source's goroutines and gives its files and connections back.
	Close() error
}

// NewBatch returns an empty batch. Release hands it to release, which may keep it for later; nil: it is dropped.
func NewBatch(release func(*Batch)) *Batch { return &Batch{release: release} }

// Release gives the batch's memory back; nothing of it may be used afterwards.
func (b *Batch) Release() {
	if b.release != nil {
		b.release(b)
	}
}

// Record returns the record that item i came from. It is the batch's memory.
func (b *Batch) Record(i int) *Record { return &b.records[b.Items[i].record] }

// Reset empties the batch for the next run of records of a partition, keeping its memory.
func (b *Batch) Reset(partition int) {
	b.Partition, b.Next, b.End = partition, 0, false
	b.Items, b.records, b.text = b.Items[:0], b.records[:0], b.text[:0]
}

// Take decodes a record into the batch: its events become items; if it is refused, one item with the reason does, of the kind
// that the decoder gave the record's first event before it refused it.
// The batch keeps the record's slices.
func (b *Batch) Take(d Decoder, r Record) {
	first := b.add(r)
	bad := d.Decode(&b.records[len(b.records)-1], b)
	if bad != nil {
		kind := schemas.KindUnknown
		if len(b.Items) > first {
			kind = b.Items[first].Event.Kind
		}
		b.Items = b.Items[:first]
		b.NextEvent().Kind = kind
		b.Items[first].Err = bad
	}
	b.stamp(first)
}

// Refuse adds a record that is known to be bad before it is decoded, as one of a kind.
func (b *Batch) Refuse(r Record, kind schemas.Kind, bad *Invalid) {
	first := b.add(r)
	b.NextEvent().Kind = kind
	b.Items[first].Err = bad
	b.stamp(first)
}

// NextEvent adds an item and returns its event, empty, for a decoder to fill. The pointer is good until the next
// call; the slices put into the event must stay valid as long as the batch does.
func (b *Batch) NextEvent() *schemas.Event {
	n := len(b.Items)
	if n == cap(b.Items) {
		b.Items = append(b.Items, Item{})
	} else {
		b.Items = b.Items[:n+1]
	}
	item := &b.Items[n]
	item.Err = nil
	item.Event.Reset()
	return &item.Event
}

// Text returns the batch's scratch, to append to; give the longer slice back with SetText. What was
// appended stays valid as long as the batch does, wherever the scratch grows to.
func (b *Batch) Text() []byte { return b.text }

// SetText stores the scratch after appending to it.
func (b *Batch) SetText(text []byte) { b.text = text }

// add notes a record and returns the index that its first item will have.
func (b *Batch) add(r Record) int {
	b.records = append(b.records, r)
	b.Next = r.Offset + 1
	return len(b.Items)
}

// stamp fills what the items from first on have of their record.
func (b *Batch) stamp(first int) {
	at := len(b.records) - 1
	for i := first; i < len(b.Items); i++ {
		item := &b.Items[i]
		item.Offset, item.AppendMs, item.record = b.records[at].Offset, b.records[at].AppendMs, int32(at)
	}
}
