package windows

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/cespare/xxhash/v2"
)

// The journal bytes of a part are one Arrow IPC stream: a schema, and one record with a row per arm. For each cell it has the
// columns `<metric>.n`, `<metric>.k` (int64), `<metric>.hist` (list of struct bucket int32, count uint32) and `<metric>.slices` (list of
// struct n, k int64; empty where all are zero); a serving part has those of trafficFields behind them. What only some parts have, journal_extra.go and journal_exemplars.go add. The key is in the schema's
// metadata. Behind the stream's end, where Arrow readers look no more, stand eight bytes: the xxhash64 of all before, little-endian. It is
// looked at first, since Arrow's reader trusts lengths in its input and can ask for any amount of memory. It finds damage; it is no
// defence against somebody who may write to the journal.

// The metadata's keys, in their order; journalVersion is the format's.
var metadataKeys = []string{"format", "rollout", "epoch", "plan", "topic", "partition", "kind", "name", "start_ms", "overflow", "after_ms"}

const sumBytes = 8

const journalVersion = "streamcanary part 2"

// ErrDamaged is DecodePart's error for bytes that EncodePart didn't write.
var ErrDamaged = errors.New("not a part, or damaged")

var (
	histType   = arrow.ListOfNonNullable(structOf("bucket", arrow.PrimitiveTypes.Int32, "count", arrow.PrimitiveTypes.Uint32))
	sliceType  = arrow.ListOfNonNullable(structOf("n", arrow.PrimitiveTypes.Int64, "k", arrow.PrimitiveTypes.Int64))
	unitsType  = arrow.ListOfNonNullable(structOf("unit", arrow.PrimitiveTypes.Uint64, "pick", arrow.PrimitiveTypes.Uint64))
	hostsType  = arrow.ListOfNonNullable(structOf("host", arrow.BinaryTypes.Binary, "events", arrow.PrimitiveTypes.Int64, "late", arrow.PrimitiveTypes.Int64))
	countsType = arrow.ListOfNonNullable(arrow.PrimitiveTypes.Int64)
)

// trafficFields are the columns of a serving part beside its cells.
var trafficFields = []arrow.Field{
	{Name: "@events", Type: arrow.PrimitiveTypes.Int64},
	{Name: "@served", Type: arrow.PrimitiveTypes.Int64},
	{Name: "@late", Type: arrow.PrimitiveTypes.Int64},
	{Name: "@sampled_min", Type: arrow.PrimitiveTypes.Float64},
	{Name: "@sampled_max", Type: arrow.PrimitiveTypes.Float64},
	{Name: "@slices", Type: countsType},
	{Name: "@units", Type: unitsType},
	{Name: "@hosts", Type: hostsType},
	{Name: "@units_full", Type: arrow.FixedWidthTypes.Boolean},
}

// structOf returns a struct type of pairs of a name and a type.
func structOf(pairs ...any) arrow.DataType {
	var fields []arrow.Field
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, arrow.Field{Name: pairs[i].(string), Type: pairs[i+1].(arrow.DataType)})
	}
	return arrow.StructOf(fields...)
}

const cellFields = 4

// fieldsOf returns the columns of a part with these cells.
func fieldsOf(kind PartKind, metrics []string) []arrow.Field {
	var fields []arrow.Field
	for _, m := range metrics {
		fields = append(fields,
			arrow.Field{Name: m + ".n", Type: arrow.PrimitiveTypes.Int64},
			arrow.Field{Name: m + ".k", Type: arrow.PrimitiveTypes.Int64},
			arrow.Field{Name: m + ".hist", Type: histType},
			arrow.Field{Name: m + ".slices", Type: sliceType})
	}
	if kind == Serving {
		fields = append(fields, trafficFields...)
	}
	return fields
}

// EncodePart returns the journal bytes of a part: an Arrow IPC stream that is complete in itself. The error says what
// of the part has no place there.
func EncodePart(key Key, part *Part) ([]byte, error) {
	if err := checkPart(key, part); err != nil {
		return nil, fmt.Errorf("encode part of %v at %d: %w", part.Stream, part.StartMs, err)
	}
	metadata := arrow.NewMetadata(metadataKeys, metadataOf(key, part))
	fields, extras := fieldsOf(part.Kind, part.Metrics), present(part)
	base := len(fields)
	if len(part.Segments) > 0 {
		fields = append(fields, segmentField)
	}
	for _, x := range extras {
		fields = append(fields, x.field)
	}
	otherHosts := len(fields)
	if len(part.OtherHosts) > 0 {
		fields = append(fields, otherHostsField)
	}
	others := len(fields)
	if len(part.Others) > 0 {
		fields = append(fields, othersField)
	}
	regions := len(fields)
	if part.hasRegions() {
		fields = append(fields, regionField)
	}
	if part.shows() {
		fields = append(fields, exemplarField)
	}
	schema := arrow.NewSchema(fields, &metadata)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	appendRows(b, part)
	if len(part.Segments) > 0 {
		appendNames(b.Field(base).(*array.BinaryBuilder), part)
		base++
	}
	for i := range extras {
		extras[i].append(b.Field(base+i), part)
	}
	if len(part.OtherHosts) > 0 {
		appendOthers(b.Field(otherHosts).(*array.ListBuilder), part, part.OtherHosts)
	}
	if len(part.Others) > 0 {
		appendOthers(b.Field(others).(*array.ListBuilder), part, part.Others)
	}
	if part.hasRegions() {
		appendRegions(b.Field(regions).(*array.ListBuilder), part)
	}
	if part.shows() {
		appendExemplars(b.Field(len(fields)-1).(*array.ListBuilder), part)
	}
	record := b.NewRecord()
	defer record.Release()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := w.Write(record); err != nil {
		return nil, fmt.Errorf("encode part of %v at %d: %w", part.Stream, part.StartMs, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encode part of %v at %d: %w", part.Stream, part.StartMs, err)
	}
	return binary.LittleEndian.AppendUint64(out.Bytes(), xxhash.Sum64(out.Bytes())), nil
}

// appendRows writes the columns that every part has.
func appendRows(b *array.RecordBuilder, part *Part) {
	for row := range part.rows() {
		cells := part.rowCells(row)
		for i := range cells {
			appendCell(b, i*cellFields, &cells[i])
		}
		switch {
		case part.Kind != Serving:
		case whole(row):
			appendTraffic(b, len(part.Metrics)*cellFields, &part.Traffic[row], part.Traffic[row].Slices[:])
		default:
			appendTraffic(b, len(part.Metrics)*cellFields, &Traffic{}, nil)
		}
	}
}

func metadataOf(key Key, part *Part) []string {
	return []string{
		journalVersion, key.Rollout, strconv.FormatInt(key.Epoch, 10), key.Plan, key.Partition.Topic,
		strconv.FormatInt(int64(key.Partition.Number), 10), part.Kind.String(), part.Name,
		strconv.FormatInt(part.StartMs, 10), strconv.FormatBool(part.Overflow), strconv.FormatInt(part.AfterMs, 10),
	}
}

func appendCell(b *array.RecordBuilder, at int, c *Cell) {
	b.Field(at).(*array.Int64Builder).Append(c.N)
	b.Field(at + 1).(*array.Int64Builder).Append(c.K)
	hist := b.Field(at + 2).(*array.ListBuilder)
	hist.Append(true)
	buckets := hist.ValueBuilder().(*array.StructBuilder)
	index, count := buckets.FieldBuilder(0).(*array.Int32Builder), buckets.FieldBuilder(1).(*array.Uint32Builder)
	buckets.Reserve(len(c.Hist))
	for _, bucket := range c.Hist {
		buckets.Append(true)
		index.Append(bucket.Index)
		count.Append(bucket.Count)
	}
	slices := b.Field(at + 3).(*array.ListBuilder)
	slices.Append(true)
	if c.Slices == [Slices]SliceCount{} {
		return
	}
	for _, count := range c.Slices {
		appendPair(slices, count.N, count.K)
	}
}

func appendPair(list *array.ListBuilder, a, b int64) {
	s := list.ValueBuilder().(*array.StructBuilder)
	s.Append(true)
	s.FieldBuilder(0).(*array.Int64Builder).Append(a)
	s.FieldBuilder(1).(*array.Int64Builder).Append(b)
}

// appendHosts adds to a list's present row.
func appendHosts(list *array.ListBuilder, hosts []HostCount) {
	s := list.ValueBuilder().(*array.StructBuilder)
	for _, h := range hosts {
		s.Append(true)
		s.FieldBuilder(0).(*array.BinaryBuilder).AppendString(h.Host)
		s.FieldBuilder(1).(*array.Int64Builder).Append(h.Events)
		s.FieldBuilder(2).(*array.Int64Builder).Append(h.Late)
	}
}

func appendTraffic(b *array.RecordBuilder, at int, t *Traffic, slices []int64) {
	for i, n := range []int64{t.Events, t.Served, t.Late} {
		b.Field(at + i).(*array.Int64Builder).Append(n)
	}
	b.Field(at + 3).(*array.Float64Builder).Append(t.SampledMin)
	b.Field(at + 4).(*array.Float64Builder).Append(t.SampledMax)
	counts := b.Field(at + 5).(*array.ListBuilder)
	counts.Append(true)
	counts.ValueBuilder().(*array.Int64Builder).AppendValues(slices, nil)
	units := b.Field(at + 6).(*array.ListBuilder)
	units.Append(true)
	sights := units.ValueBuilder().(*array.StructBuilder)
	unit, pick := sights.FieldBuilder(0).(*array.Uint64Builder), sights.FieldBuilder(1).(*array.Uint64Builder)
	sights.Reserve(len(t.Units))
	for _, u := range t.Units {
		sights.Append(true)
		unit.Append(u.Unit)
		pick.Append(u.Pick)
	}
	hosts := b.Field(at + 7).(*array.ListBuilder)
	hosts.Append(true)
	appendHosts(hosts, t.Hosts)
	b.Field(at + 8).(*array.BooleanBuilder).Append(t.UnitsFull)
}

// DecodePart reads what EncodePart wrote. Anything else is ErrDamaged. The part is the caller's.
func DecodePart(b []byte) (key Key, part *Part, err error) {
	defer func() {
		if r := recover(); r != nil { // Arrow's reader trusts the offsets in its input
			key, part, err = Key{}, nil, fmt.Errorf("decode part of %d bytes: %w: %v", len(b), ErrDamaged, r)
		}
	}()
	key, part, err = decodePart(b)
	if err != nil {
		return Key{}, nil, fmt.Errorf("decode part of %d bytes: %w: %w", len(b), ErrDamaged, err)
	}
	return key, part, nil
}

func decodePart(b []byte) (Key, *Part, error) {
	end := len(b) - sumBytes
	if end < 0 || binary.LittleEndian.Uint64(b[end:]) != xxhash.Sum64(b[:end]) {
		return Key{}, nil, errors.New("its sum doesn't fit")
	}
	rest := bytes.NewReader(b[:end])
	r, err := ipc.NewReader(rest)
	if err != nil {
		return Key{}, nil, err
	}
	defer r.Release()
	record, err := r.Read()
	if err != nil {
		return Key{}, nil, err
	}
	key, part, err := decodeSchema(record.Schema())
	if err != nil {
		return Key{}, nil, err
	}
	if err := decodeRows(record, part); err != nil {
		return Key{}, nil, err
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) || rest.Len() > 0 {
		return Key{}, nil, errors.New("it holds more than one record")
	}
	return key, part, checkPart(key, part)
}
