package analysis

import (
	"streamcanary/schemas"
	"streamcanary/windows"
)

var _ = registerMetric(metricKind{name: "rate", needs: func(g *schemas.Guardrail) []windows.Metric {
	if g.Kind != schemas.RateGuardrail || rateFlags[g.Of] == nil {
		return nil
	}
	return []windows.Metric{rateMetric{g.Of}}
}, rank: func(g *schemas.Guardrail, falls bool) ranking {
	f := rateFlags[g.Of]
	return func(e *schemas.Event) (float64, bool) {
		flags := windows.FlagsOf(e)
		return 0, f.within(flags) && f.counts(flags) != falls
	}
}})

// rateFlag says how a prediction's flags count: whether it is looked at, and whether it is a hit.
type rateFlag struct {
	column         windows.Columns
	within, counts func(flags uint8) bool
}

// rateFlags are the rates that a prediction carries itself; every other rate is an outcome's.
var rateFlags = map[string]*rateFlag{
	"error":   {windows.ColError, always, func(f uint8) bool { return f&windows.FlagError != 0 }},
	"timeout": {windows.ColTimeout, always, func(f uint8) bool { return f&windows.FlagTimeout != 0 }},
	"cache_miss": {
		windows.ColCacheHit,
		func(f uint8) bool { return f&windows.FlagHasCacheHit != 0 },
		func(f uint8) bool { return f&windows.FlagCacheHit == 0 },
	},
}

func always(uint8) bool { return true }

// rateMetric counts one flag of predictions, shadow copies included.
type rateMetric struct{ of string }

func (m rateMetric) Key() string { return m.of }

func (m rateMetric) Stream() windows.Stream { return windows.Stream{Kind: windows.Serving} }

func (m rateMetric) Columns() (windows.Columns, []string) { return rateFlags[m.of].column, nil }

func (m rateMetric) Keeps() windows.Keep { return windows.KeepSlices }

func (m rateMetric) Reduce(rows windows.Rows, cell *windows.Cell) {
	f := rateFlags[m.of]
	for i, flags := range rows.Flags[:rows.Len] {
		if f.within(flags) {
			count(rows, cell, i, f.counts(flags))
		}
	}
}

// count adds row i to a cell and, where the rows are cut into calibration slices, to its slice.
func count(rows windows.Rows, cell *windows.Cell, i int, hit bool) {
	k := int64(0)
	if hit {
		k = 1
	}
	cell.N++
	cell.K += k
	if rows.Slice != nil {
		s := &cell.Slices[rows.Slice[i]]
		s.N++
		s.K += k
	}
}
