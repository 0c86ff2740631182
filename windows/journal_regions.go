package windows

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// A part whose events name regions has them in the canary's row of a column before the one of exemplars.

var regionField = arrow.Field{Name: "@regions", Type: hostsType}

func (p *Part) hasRegions() bool { return len(p.Traffic[Canary].Regions) > 0 }

// appendRegions writes the column.
func appendRegions(to *array.ListBuilder, p *Part) {
	for row := range p.rows() {
		to.Append(true)
		if row == int(Canary) {
			appendHosts(to, p.Traffic[Canary].Regions)
		}
	}
}

// decodeRegions reads the last of so many columns, if it is theirs, and returns how many are left.
func decodeRegions(record arrow.Record, columns int, p *Part) (int, error) {
	last := columns - 1
	if !record.Schema().Field(last).Equal(regionField) {
		return columns, nil
	}
	for row := range p.rows() {
		regions := hostsAt(record, last, row)
		if p.Kind != Serving || (row == int(Canary)) != (len(regions) > 0) {
			return 0, fmt.Errorf("it names %d regions in row %d of a part of %s", len(regions), row, p.Kind)
		}
		if row == int(Canary) {
			p.Traffic[Canary].Regions = regions
		}
	}
	return last, nil
}

// checkRegions says what of a part's regions contradicts what Traffic promises.
func checkRegions(p *Part) error {
	if list := p.Traffic[Baseline].Regions; len(list) > 0 || p.Kind != Serving && p.hasRegions() {
		return fmt.Errorf("%d regions of the baseline, and %d of the canary, in a part of %s", len(list), len(p.Traffic[Canary].Regions), p.Kind)
	}
	for i, r := range p.Traffic[Canary].Regions {
		if r.Events < 0 || r.Late < 0 || i > 0 && r.Host <= p.Traffic[Canary].Regions[i-1].Host {
			return fmt.Errorf("region %d is %.100q with %d events and %d late ones", i, r.Host, r.Events, r.Late)
		}
	}
	return nil
}
