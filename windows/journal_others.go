package windows

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// A part in whose window other versions of the model answered has them in its first row of a column before the one of regions, and where their events name hosts, these in one before that.

var (
	othersField     = arrow.Field{Name: "@others", Type: hostsType}
	otherHostsField = arrow.Field{Name: "@other_hosts", Type: hostsType}
)

// appendOthers writes one of the columns.
func appendOthers(to *array.ListBuilder, p *Part, list []HostCount) {
	for row := range p.rows() {
		to.Append(true)
		if row == 0 {
			appendHosts(to, list)
		}
	}
}

// decodeOthers reads the last of so many columns, if it is theirs, and the one before that, and returns how many are left.
func decodeOthers(record arrow.Record, columns int, p *Part) (int, error) {
	for _, x := range []struct {
		field arrow.Field
		into  *[]HostCount
	}{{othersField, &p.Others}, {otherHostsField, &p.OtherHosts}} {
		last := columns - 1
		if !record.Schema().Field(last).Equal(x.field) {
			continue
		}
		for row := range p.rows() {
			list := hostsAt(record, last, row)
			if (row == 0) != (len(list) > 0) {
				return 0, fmt.Errorf("its column %s names %d in row %d", x.field.Name, len(list), row)
			}
			if row == 0 {
				*x.into = list
			}
		}
		columns = last
	}
	return columns, nil
}

// checkOthers says what of a part's other versions, and of their hosts, contradicts what Part promises.
func checkOthers(p *Part) error {
	if len(p.Others)+len(p.OtherHosts) > 0 && p.Kind != Serving {
		return fmt.Errorf("%d other versions, and %d hosts of them, in a part of %s", len(p.Others), len(p.OtherHosts), p.Kind)
	}
	for _, x := range []struct {
		what string
		list []HostCount
	}{{"other version", p.Others}, {"host of one", p.OtherHosts}} {
		for i, v := range x.list {
			if v.Events < 0 || v.Late != 0 || i > 0 && v.Host <= x.list[i-1].Host {
				return fmt.Errorf("%s %d is %.100q with %d events and %d late ones", x.what, i, v.Host, v.Events, v.Late)
			}
		}
	}
	return nil
}
