package windows

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// decodeSchema reads the key and an empty part. The columns must be those of the part's kind.
func decodeSchema(schema *arrow.Schema) (Key, *Part, error) {
	m := schema.Metadata()
	if strings.Join(m.Keys(), " ") != strings.Join(metadataKeys, " ") {
		return Key{}, nil, fmt.Errorf("its metadata has the keys %q", m.Keys())
	}
	v := m.Values()
	if v[0] != journalVersion {
		return Key{}, nil, fmt.Errorf("its format is %q, not %q", v[0], journalVersion)
	}
	epoch, err1 := strconv.ParseInt(v[2], 10, 64)
	number, err2 := strconv.ParseInt(v[5], 10, 32)
	start, err3 := strconv.ParseInt(v[8], 10, 64)
	overflow, err4 := strconv.ParseBool(v[9])
	kind, err5 := kindOf(v[6])
	after, err6 := strconv.ParseInt(v[10], 10, 64)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return Key{}, nil, err
	}
	stream := Stream{Kind: kind, Name: v[7]}
	key := Key{Rollout: v[1], Epoch: epoch, Plan: v[3], Partition: Partition{v[4], int32(number)}, Stream: stream, StartMs: start}
	metrics, err := metricsOf(schema, kind)
	if err != nil {
		return Key{}, nil, err
	}
	part := &Part{Stream: stream, StartMs: start, AfterMs: after, Metrics: metrics, Overflow: overflow}
	for arm := range Arms {
		part.Cells[arm] = make([]Cell, len(metrics))
	}
	return key, part, nil
}

func kindOf(name string) (PartKind, error) {
	for _, k := range []PartKind{Serving, Resources, Outcomes} {
		if k.String() == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("its kind is %q", name)
}

// metricsOf reads the metrics' keys from the columns' names.
func metricsOf(schema *arrow.Schema, kind PartKind) ([]string, error) {
	var metrics []string
	for i := 0; i < schema.NumFields(); i += cellFields {
		name, ok := strings.CutSuffix(schema.Field(i).Name, ".n")
		if !ok {
			break
		}
		metrics = append(metrics, name)
	}
	fields := fieldsOf(kind, metrics)
	if len(fields) > schema.NumFields() {
		return nil, fmt.Errorf("it has %d columns", schema.NumFields())
	}
	for i, want := range fields {
		if !schema.Field(i).Equal(want) {
			return nil, fmt.Errorf("its column %d is %v, not %v", i, schema.Field(i), want)
		}
	}
	return metrics, nil
}

// decodeRows fills the part. It may panic on damaged offsets; DecodePart recovers.
func decodeRows(record arrow.Record, part *Part) error {
	for i, column := range record.Columns() {
		if column.NullN() != 0 || int64(column.Len()) != record.NumRows() {
			return fmt.Errorf("its column %d has %d nulls and %d rows", i, column.NullN(), column.Len())
		}
	}
	base := len(fieldsOf(part.Kind, part.Metrics))
	names, err := decodeNames(record, base, part)
	if err != nil {
		return err
	}
	for row := range part.rows() {
		cells := part.rowCells(row)
		for i := range cells {
			if err := decodeCell(record, i*cellFields, row, &cells[i]); err != nil {
				return err
			}
		}
		if part.Kind == Serving {
			if err := decodeTraffic(record, len(part.Metrics)*cellFields, row, part); err != nil {
				return err
			}
		}
	}
	return decodeExtras(record, base+names, part)
}

// listAt returns the values of a list column and the range of a row in them.
func listAt(record arrow.Record, column, row int) (values arrow.Array, from, to int) {
	list := record.Column(column).(*array.List)
	start, end := list.ValueOffsets(row)
	if start < 0 || end < start || end > int64(list.ListValues().Len()) {
		panic(fmt.Sprintf("column %d has a list from %d to %d of %d", column, start, end, list.ListValues().Len()))
	}
	return list.ListValues(), int(start), int(end)
}

func int64At(record arrow.Record, column, row int) int64 {
	return record.Column(column).(*array.Int64).Value(row)
}

func decodeCell(record arrow.Record, at, row int, c *Cell) error {
	c.N, c.K = int64At(record, at, row), int64At(record, at+1, row)
	values, from, to := listAt(record, at+2, row)
	hist := values.(*array.Struct)
	index, count := hist.Field(0).(*array.Int32), hist.Field(1).(*array.Uint32)
	for i := from; i < to; i++ {
		c.Hist = append(c.Hist, Bucket{index.Value(i), count.Value(i)})
	}
	values, from, to = listAt(record, at+3, row)
	if to-from != 0 && to-from != Slices {
		return fmt.Errorf("its column %d has %d slices", at+3, to-from)
	}
	pairs := values.(*array.Struct)
	n, k := pairs.Field(0).(*array.Int64), pairs.Field(1).(*array.Int64)
	for i := from; i < to; i++ {
		c.Slices[i-from] = SliceCount{N: n.Value(i), K: k.Value(i)}
	}
	return nil
}

// decodeTraffic reads the traffic of one of the part's own rows; that of a segment's must be empty.
func decodeTraffic(record arrow.Record, at, row int, p *Part) error {
	if whole(row) {
		return decodeTrafficOf(record, at, row, &p.Traffic[row])
	}
	for i := range 3 {
		if n := int64At(record, at+i, row); n != 0 {
			return fmt.Errorf("its column %d has %d in the row of a segment", at+i, n)
		}
	}
	for i := 3; i < 5; i++ {
		if x := record.Column(at + i).(*array.Float64).Value(row); math.Float64bits(x) != 0 {
			return fmt.Errorf("its column %d has %v in the row of a segment", at+i, x)
		}
	}
	for i := 5; i < 8; i++ {
		if _, from, to := listAt(record, at+i, row); from != to {
			return fmt.Errorf("its column %d has %d in the row of a segment", at+i, to-from)
		}
	}
	if record.Column(at + 8).(*array.Boolean).Value(row) {
		return fmt.Errorf("its column %d is set in the row of a segment", at+8)
	}
	return nil
}

func decodeTrafficOf(record arrow.Record, at, row int, t *Traffic) error {
	t.Events, t.Served, t.Late = int64At(record, at, row), int64At(record, at+1, row), int64At(record, at+2, row)
	t.SampledMin = record.Column(at + 3).(*array.Float64).Value(row)
	t.SampledMax = record.Column(at + 4).(*array.Float64).Value(row)
	counts, from, to := listAt(record, at+5, row)
	if to-from != Slices {
		return fmt.Errorf("its column %d has %d slices", at+5, to-from)
	}
	for i := from; i < to; i++ {
		t.Slices[i-from] = counts.(*array.Int64).Value(i)
	}
	units, from, to := listAt(record, at+6, row)
	unit, pick := units.(*array.Struct).Field(0).(*array.Uint64), units.(*array.Struct).Field(1).(*array.Uint64)
	for i := from; i < to; i++ {
		t.Units = append(t.Units, UnitSight{unit.Value(i), pick.Value(i)})
	}
	t.Hosts = hostsAt(record, at+7, row)
	t.UnitsFull = record.Column(at + 8).(*array.Boolean).Value(row)
	return nil
}

// hostsAt reads a row's list of hosts, or of regions.
func hostsAt(record arrow.Record, column, row int) []HostCount {
	var list []HostCount
	values, from, to := listAt(record, column, row)
	host := values.(*array.Struct)
	name, events, late := host.Field(0).(*array.Binary), host.Field(1).(*array.Int64), host.Field(2).(*array.Int64)
	for i := from; i < to; i++ {
		list = append(list, HostCount{string(name.Value(i)), events.Value(i), late.Value(i)})
	}
	return list
}

// checkPart says what of a part contradicts itself, on both sides of the border.
func checkPart(key Key, p *Part) error {
	if key.Stream != p.Stream || key.StartMs != p.StartMs {
		return fmt.Errorf("the key says %v at %d, the part %v at %d", key.Stream, key.StartMs, p.Stream, p.StartMs)
	}
	if _, err := kindOf(p.Kind.String()); err != nil {
		return err
	}
	for arm := range Arms {
		if len(p.Cells[arm]) != len(p.Metrics) {
			return fmt.Errorf("arm %d has %d cells for %d metrics", arm, len(p.Cells[arm]), len(p.Metrics))
		}
		for i := range p.Cells[arm] {
			if err := checkCell(&p.Cells[arm][i]); err != nil {
				return fmt.Errorf("arm %d, metric %q: %w", arm, p.Metrics[i], err)
			}
		}
		if err := checkTraffic(&p.Traffic[arm]); err != nil {
			return fmt.Errorf("arm %d: %w", arm, err)
		}
	}
	if err := checkHealth(p); err != nil {
		return err
	}
	if err := checkRegions(p); err != nil {
		return err
	}
	if err := checkOthers(p); err != nil {
		return err
	}
	if err := checkExemplars(p); err != nil {
		return err
	}
	return checkSegments(p)
}

func checkHealth(p *Part) error {
	if p.Bad < 0 || (p.Bad > 0 && p.Kind != Serving) {
		return fmt.Errorf("%d bad events in a part of %s", p.Bad, p.Kind)
	}
	for _, g := range append(p.Gap[:], p.Source) {
		if g.Matched < 0 || g.Unmatched < 0 || (g != JoinGap{} && p.Kind != Outcomes) {
			return fmt.Errorf("%d matched and %d unmatched outcomes in a part of %s", g.Matched, g.Unmatched, p.Kind)
		}
	}
	return nil
}

func checkCell(c *Cell) error {
	if c.N < 0 || c.K < 0 || c.K > c.N {
		return fmt.Errorf("%d of %d", c.K, c.N)
	}
	total := int64(0)
	for i, b := range c.Hist {
		total += int64(b.Count)
		if b.Count == 0 || (i > 0 && b.Index <= c.Hist[i-1].Index) {
			return fmt.Errorf("bucket %d of the histogram is (%d, %d)", i, b.Index, b.Count)
		}
	}
	if len(c.Hist) > 0 && total != c.N {
		return fmt.Errorf("the histogram holds %d of %d", total, c.N)
	}
	if beyond(c.Sum, c.N) || c.Squares < 0 || beyond(c.Squares, c.N) {
		return fmt.Errorf("%d have a sum of %d, and %d of squares", c.N, c.Sum, c.Squares)
	}
	for i, s := range c.Slices {
		if s.K < 0 || s.K > s.N || beyond(s.Sum, s.N) {
			return fmt.Errorf("slice %d has %d of %d, and a sum of %d", i, s.K, s.N, s.Sum)
		}
	}
	return nil
}

// beyond says that n numbers can't have this sum.
func beyond(sum, n int64) bool {
	size := uint64(max(sum, -sum)) // right for the smallest int64, too
	return (size+SumUnit-1)>>sumBits > uint64(n)
}

func checkTraffic(t *Traffic) error {
	if t.Events < 0 || t.Late < 0 || t.Served < 0 || t.Served > t.Events {
		return fmt.Errorf("%d events, %d served, %d late", t.Events, t.Served, t.Late)
	}
	if math.IsNaN(t.SampledMin) || math.IsNaN(t.SampledMax) || t.SampledMin > t.SampledMax {
		return fmt.Errorf("sampled by %v to %v", t.SampledMin, t.SampledMax)
	}
	for i := 1; i < len(t.Units); i++ {
		if t.Units[i].Unit <= t.Units[i-1].Unit {
			return fmt.Errorf("unit %d is out of order", i)
		}
	}
	for i := 1; i < len(t.Hosts); i++ {
		if t.Hosts[i].Host <= t.Hosts[i-1].Host {
			return fmt.Errorf("host %d is out of order", i)
		}
	}
	return nil
}
