package windows

import (
	"fmt"
	"math"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// A part that names predictions has them in the last column, in the canary's row.

var exemplarField = arrow.Field{Name: "@exemplars", Type: arrow.ListOfNonNullable(structOf("exhibit", arrow.PrimitiveTypes.Int32,
	"id", arrow.BinaryTypes.Binary, "code", arrow.BinaryTypes.Binary, "segment", arrow.BinaryTypes.Binary, "rank", arrow.PrimitiveTypes.Float64, "aside", arrow.FixedWidthTypes.Boolean))}

// appendExemplars writes the column.
func appendExemplars(to *array.ListBuilder, p *Part) {
	s := to.ValueBuilder().(*array.StructBuilder)
	for row := range p.rows() {
		to.Append(true)
		if row != int(Canary) {
			continue
		}
		for i, list := range p.Exemplars {
			for _, x := range list {
				appendExemplar(s, i, x)
			}
		}
	}
}

func appendExemplar(s *array.StructBuilder, exhibit int, x Exemplar) {
	s.Append(true)
	s.FieldBuilder(0).(*array.Int32Builder).Append(int32(exhibit))
	for i, text := range []string{x.ID, x.Code, x.Segment} {
		s.FieldBuilder(1 + i).(*array.BinaryBuilder).AppendString(text)
	}
	s.FieldBuilder(4).(*array.Float64Builder).Append(x.Rank)
	s.FieldBuilder(5).(*array.BooleanBuilder).Append(x.Aside)
}

// decodeExemplars reads the last column, if it is theirs, and returns how many are left.
func decodeExemplars(record arrow.Record, columns int, p *Part) (int, error) {
	last := columns - 1
	if !record.Schema().Field(last).Equal(exemplarField) {
		return columns, nil
	}
	for row := range p.rows() {
		values, from, to := listAt(record, last, row)
		if (row == int(Canary)) != (to > from) {
			return 0, fmt.Errorf("it names %d predictions in row %d", to-from, row)
		}
		for i := from; i < to; i++ {
			if err := decodeExemplar(values.(*array.Struct), i, p); err != nil {
				return 0, err
			}
		}
	}
	return last, nil
}

func decodeExemplar(s *array.Struct, i int, p *Part) error {
	at := s.Field(0).(*array.Int32).Value(i)
	text := func(field int) string { return string(s.Field(field).(*array.Binary).Value(i)) }
	if at < 0 || int(at) < len(p.Exemplars)-1 || int(at) >= maxExhibits {
		return fmt.Errorf("its exemplar %d is of exhibit %d", i, at)
	}
	p.exhibit(int(at))
	p.Exemplars[at] = append(p.Exemplars[at], Exemplar{text(1), text(2), text(3), s.Field(4).(*array.Float64).Value(i), s.Field(5).(*array.Boolean).Value(i)})
	return nil
}

// checkExemplars says what of a part's exemplars contradicts what Part promises.
func checkExemplars(p *Part) error {
	for i, list := range p.Exemplars {
		if len(list) > MaxExemplars || i >= maxExhibits || len(list) > 0 && p.Kind == Resources {
			return fmt.Errorf("%d predictions are named for exhibit %d in a part of %s", len(list), i, p.Kind)
		}
		for k, x := range list {
			if math.IsNaN(x.Rank) || x.Aside && p.Kind != Outcomes || x.ID == "" || k > 0 && compareExemplars(list[k-1], x) >= 0 || namedBefore(list[:k], x.ID) {
				return fmt.Errorf("exemplar %d of exhibit %d is %.100q of rank %v", k, i, x.ID, x.Rank)
			}
		}
	}
	return nil
}

func namedBefore(list []Exemplar, id string) bool {
	for _, x := range list {
		if x.ID == id {
			return true
		}
	}
	return false
}
