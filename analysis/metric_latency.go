package analysis

import (
	"math"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// ofLatency is the `of` of latency quantiles; any other is one of a prediction's `values`.
const ofLatency = "latency"

// valuePrefix keeps the keys of `values` apart from those of other metrics, whatever producers call them.
const valuePrefix = "values."

var _ = registerMetric(metricKind{name: "latency", needs: func(g *schemas.Guardrail) []windows.Metric {
	if g.Kind != schemas.QuantileGuardrail {
		return nil
	}
	hist := histMetric{measured{g.Of}}
	if g.Direction == schemas.Increase || g.Direction == schemas.Decrease {
		return []windows.Metric{hist}
	}
	return []windows.Metric{exceedMetric{measured{g.Of}, g.Margin.Value}, hist}
}})

// measured is a number of predictions: their latency, or one of their values.
type measured struct{ of string }

func (m measured) Stream() windows.Stream { return windows.Stream{Kind: windows.Serving} }

func (m measured) Columns() (windows.Columns, []string) {
	if m.of == ofLatency {
		return windows.ColLatency | windows.ColTimeout, nil
	}
	return 0, []string{m.of}
}

func (m measured) key() string {
	if m.of == ofLatency {
		return ofLatency
	}
	return valuePrefix + m.of
}

// value is row i's number; a timeout without a latency is beyond all numbers. NaN: the event has none, and isn't counted.
func (m measured) value(rows windows.Rows, i int) float64 {
	if m.of != ofLatency {
		return rows.Values[0][i]
	}
	x := rows.Latency[i]
	if math.IsNaN(x) && rows.Flags[i]&windows.FlagTimeout != 0 {
		return math.Inf(1)
	}
	return x
}

// histMetric keeps the histogram of a number. Errors count like any other prediction.
type histMetric struct{ measured }

func (m histMetric) Key() string { return m.key() }

func (m histMetric) Keeps() windows.Keep { return windows.KeepHist }

func (m histMetric) Reduce(rows windows.Rows, cell *windows.Cell) {
	for i := range rows.Len {
		if x := m.value(rows, i); !math.IsNaN(x) {
			rows.Tally.Add(windows.BucketOf(x))
			cell.N++
		}
	}
	rows.Tally.Flush(cell)
}

// exceedMetric counts exactly how often a number is above a limit.
type exceedMetric struct {
	measured
	limit float64
}

func (m exceedMetric) Key() string { return m.key() + ">" + keyNumber(m.limit) }

func (m exceedMetric) Keeps() windows.Keep { return 0 }

func (m exceedMetric) Reduce(rows windows.Rows, cell *windows.Cell) {
	for i := range rows.Len {
		if x := m.value(rows, i); !math.IsNaN(x) {
			count(rows, cell, i, x > m.limit)
		}
	}
}
