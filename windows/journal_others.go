package windows

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// A part in whose window other versions of the model answered has them in its first row of a column before the one of regions.

var othersField = arrow.Field{Name: "@others", Type: hostsType}

// appendOthers writes the column.
func appendOthers(to *array.ListBuilder, p *Part) {
	for row := range p.rows() {
		to.Append(true)
		if row == 0 {
			appendHosts(to, p.Others)
		}
	}
}

// decodeOthers reads the last of so many columns, if it is theirs, and returns how many are left.
func decodeOthers(record arrow.Record, columns int, p *Part) (int, error) {
	last := columns - 1
	if !record.Schema().Field(last).Equal(othersField) {
		return columns, nil
	}
	for row := range p.rows() {
		others := hostsAt(record, last, row)
		if (row == 0) != (len(others) > 0) {
			return 0, fmt.Errorf("it names %d other versions in row %d", len(others), row)
		}
		if row == 0 {
			p.Others = others
		}
	}
	return last, nil
}

// checkOthers says what of a part's other versions contradicts what Part promises.
func checkOthers(p *Part) error {
	if len(p.Others) > 0 && p.Kind != Serving {
		return fmt.Errorf("%d other versions in a part of %s", len(p.Others), p.Kind)
	}
	for i, v := range p.Others {
		if v.Events < 0 || v.Late != 0 || i > 0 && v.Host <= p.Others[i-1].Host {
			return fmt.Errorf("other version %d is %.100q with %d events and %d late ones", i, v.Host, v.Events, v.Late)
		}
	}
	return nil
}
