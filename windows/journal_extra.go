package windows

import (
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// Behind the columns that every part has stand those that only some have, in the order of extrasOf; of these, only the ones in which not
// everything is zero. So parts that have none of it keep the bytes that they always had. A part with segments has the column segmentColumn first, and
// two more rows for each segment.

// segmentColumn has the segment's name; "" for the part's own rows, too, which are the first two.
const segmentColumn = "@segment"

var segmentField = arrow.Field{Name: segmentColumn, Type: arrow.BinaryTypes.Binary}

// An extra is one column that only some parts have.
type extra struct {
	field arrow.Field
	// at returns the numbers of one row: one, or as many as a list has; none where such a row has to be zero (a list: empty).
	at func(p *Part, row int) []*int64
}

// whole says whether a row is one of the part's own, and not a segment's.
func whole(row int) bool { return row < Arms }

// rowCells returns the cells of a row: the part's own for the first two, then each segment's.
func (p *Part) rowCells(row int) []Cell {
	if whole(row) {
		return p.Cells[row]
	}
	return p.Segments[row/Arms-1].Cells[row%Arms]
}

func (p *Part) rows() int { return Arms * (1 + len(p.Segments)) }

// extrasOf returns the columns that a part can have.
func extrasOf(p *Part) []extra {
	number := func(name string, at func(p *Part, row int) *int64) extra {
		return extra{arrow.Field{Name: name, Type: arrow.PrimitiveTypes.Int64}, func(p *Part, row int) []*int64 {
			if n := at(p, row); n != nil {
				return []*int64{n}
			}
			return nil
		}}
	}
	var list []extra
	for i, m := range p.Metrics {
		list = append(list,
			number(m+".sum", func(p *Part, row int) *int64 { return &p.rowCells(row)[i].Sum }),
			number(m+".squares", func(p *Part, row int) *int64 { return &p.rowCells(row)[i].Squares }),
			extra{arrow.Field{Name: m + ".slice_sums", Type: countsType}, func(p *Part, row int) []*int64 { return p.sliceSums(row, i) }})
	}
	ofArms := func(of func(p *Part, arm int) *int64) func(p *Part, row int) *int64 {
		return func(p *Part, row int) *int64 {
			if whole(row) {
				return of(p, row)
			}
			return nil
		}
	}
	ofAll := func(of func(p *Part) *int64) func(p *Part, row int) *int64 {
		return func(p *Part, row int) *int64 {
			if row == 0 {
				return of(p)
			}
			return nil
		}
	}
	return append(list,
		number("@segment_served", func(p *Part, row int) *int64 {
			if whole(row) {
				return nil
			}
			return &p.Segments[row/Arms-1].Served[row%Arms]
		}),
		number("@bad", ofAll(func(p *Part) *int64 { return &p.Bad })),
		number("@matched", ofArms(func(p *Part, arm int) *int64 { return &p.Gap[arm].Matched })),
		number("@unmatched", ofArms(func(p *Part, arm int) *int64 { return &p.Gap[arm].Unmatched })),
		number("@source_matched", ofAll(func(p *Part) *int64 { return &p.Source.Matched })),
		number("@source_unmatched", ofAll(func(p *Part) *int64 { return &p.Source.Unmatched })))
}

// sliceSums returns the sums of a cell's slices.
func (p *Part) sliceSums(row, cell int) []*int64 {
	if !whole(row) {
		return nil
	}
	list := make([]*int64, Slices)
	for i := range list {
		list[i] = &p.Cells[row][cell].Slices[i].Sum
	}
	return list
}

// present returns the columns of a part that aren't zero.
func present(p *Part) []extra {
	if len(p.Segments) == 0 && p.Bad == 0 && p.Gap == [Arms]JoinGap{} && p.Source == (JoinGap{}) && !p.hasSums() {
		return nil
	}
	var list []extra
	for _, x := range extrasOf(p) {
		if !x.isZero(p) {
			list = append(list, x)
		}
	}
	return list
}

func (x *extra) isZero(p *Part) bool {
	for row := range p.rows() {
		for _, n := range x.at(p, row) {
			if *n != 0 {
				return false
			}
		}
	}
	return true
}

// append writes the column.
func (x *extra) append(to array.Builder, p *Part) {
	for row := range p.rows() {
		numbers := x.at(p, row)
		list, isList := to.(*array.ListBuilder)
		switch {
		case isList:
			list.Append(true)
			for _, n := range numbers {
				list.ValueBuilder().(*array.Int64Builder).Append(*n)
			}
		case len(numbers) == 0:
			to.(*array.Int64Builder).Append(0)
		default:
			to.(*array.Int64Builder).Append(*numbers[0])
		}
	}
}

// appendNames writes the segments' names.
func appendNames(to *array.BinaryBuilder, p *Part) {
	for row := range p.rows() {
		name := ""
		if !whole(row) {
			name = p.Segments[row/Arms-1].Name
		}
		to.AppendString(name)
	}
}

// decodeNames makes the part's segments of the names. It says how many of the columns it took.
func decodeNames(record arrow.Record, at int, p *Part) (int, error) {
	rows := int(record.NumRows())
	if at == int(record.NumCols()) || !record.Schema().Field(at).Equal(segmentField) {
		if rows != Arms {
			return 0, fmt.Errorf("it has %d rows", rows)
		}
		return 0, nil
	}
	names := record.Column(at).(*array.Binary)
	if rows <= Arms || rows%Arms != 0 || len(names.Value(0)) != 0 || len(names.Value(1)) != 0 {
		return 0, fmt.Errorf("it has %d rows, the first of segments %q and %q", rows, names.Value(0), names.Value(1))
	}
	for row := Arms; row < rows; row += Arms {
		s := Segment{Name: strings.Clone(names.ValueString(row))}
		if next := names.ValueString(row + 1); next != s.Name {
			return 0, fmt.Errorf("its row %d is of segment %q, not %q", row+1, next, s.Name)
		}
		for arm := range Arms {
			s.Cells[arm] = make([]Cell, len(p.Metrics))
		}
		p.Segments = append(p.Segments, s)
	}
	return 1, nil
}

// decodeExtras reads the columns from at on: they must be in their order, and hold something.
func decodeExtras(record arrow.Record, at int, p *Part) error {
	end, err := decodeExemplars(record, int(record.NumCols()), p)
	if err == nil {
		end, err = decodeRegions(record, end, p)
	}
	if err == nil {
		end, err = decodeOthers(record, end, p)
	}
	if err != nil {
		return err
	}
	for _, x := range extrasOf(p) {
		if at == end {
			return nil
		}
		if !record.Schema().Field(at).Equal(x.field) {
			continue
		}
		for row := range p.rows() {
			if err := x.decode(record, at, row, p); err != nil {
				return err
			}
		}
		if x.isZero(p) {
			return fmt.Errorf("its column %d is zero", at)
		}
		at++
	}
	if at < end {
		return fmt.Errorf("its column %d is %v", at, record.Schema().Field(at))
	}
	return nil
}

func (x *extra) decode(record arrow.Record, at, row int, p *Part) error {
	numbers := x.at(p, row)
	if column, single := record.Column(at).(*array.Int64); single {
		n := column.Value(row)
		if len(numbers) == 1 {
			*numbers[0] = n
		} else if n != 0 {
			return fmt.Errorf("its column %d has %d in row %d", at, n, row)
		}
		return nil
	}
	values, from, to := listAt(record, at, row)
	if to-from != len(numbers) {
		return fmt.Errorf("its column %d has %d slices in row %d", at, to-from, row)
	}
	for i, n := range numbers {
		*n = values.(*array.Int64).Value(from + i)
	}
	return nil
}
