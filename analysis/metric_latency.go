package analysis

import (
	"fmt"
	"math"
	"time"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// ofLatency is the `of` of latency quantiles; any other is one of a prediction's `values`.
const ofLatency = "latency"

// valuePrefix keeps the keys of `values` apart from those of other metrics, whatever producers call them.
const valuePrefix = "values."

var _ = registerMetric(metricKind{name: "latency", needs: func(g *schemas.Guardrail) []windows.Metric {
	if !measuresValues(g) {
		return nil
	}
	hist := histMetric{measured: measured{g.Of}, scale: scaleOf(g)}
	if g.Direction.Contrast() {
		return []windows.Metric{hist}
	}
	return []windows.Metric{exceedMetric{measured{g.Of}, g.Margin.Value}, hist}
}, rank: func(g *schemas.Guardrail, falls bool) ranking { return measured{g.Of}.rank(falls) }})

// stepOf is what the values of a guardrail are rounded to, in their unit; 0: they aren't.
func stepOf(r *schemas.Rollout, g *schemas.Guardrail) float64 {
	switch {
	case !measuresValues(g):
		return 0
	case g.Of == ofLatency:
		return milliseconds(r.LatencyGranularity)
	}
	return g.Granularity
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// edgesOf are the histograms of values as low, and as high, as they may have been before they were rounded: none where they aren't, and
// where there is no margin that rounding could move. stats.RoundingOffsets says which arm's a test takes, and why it holds.
func edgesOf(r *schemas.Rollout, g *schemas.Guardrail) []windows.Metric {
	step := stepOf(r, g)
	if step == 0 || !g.Direction.Contrast() || g.Margin.Value == 0 {
		return nil
	}
	down, up := stats.RoundingOffsets(step, true)
	low := histMetric{measured: measured{g.Of}, scale: scaleOf(g), by: down}
	high := low
	high.by = up
	return []windows.Metric{low, high}
}

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

// ofEvent is value for an event: NaN where it has none.
func (m measured) ofEvent(e *schemas.Event) float64 {
	switch {
	case m.of != ofLatency:
		return windows.ValueOf(e, m.of)
	case e.HasLatency:
		return e.LatencyMs
	case e.Timeout:
		return math.Inf(1)
	}
	return math.NaN()
}

// rank is the number; where it must not fall, the smallest is first.
func (m measured) rank(falls bool) ranking {
	return func(e *schemas.Event) (float64, bool) {
		x := m.ofEvent(e)
		if falls {
			x = -x
		}
		return x, !math.IsNaN(x)
	}
}

// histMetric keeps the histogram of a number, moved by a fixed amount. Errors count like any other prediction.
type histMetric struct {
	measured
	scale scale
	by    float64
}

func (m histMetric) Key() string {
	key := m.key() + m.scale.key()
	if m.by == 0 {
		return key
	}
	return fmt.Sprintf("%s%+g", key, m.by)
}

func (m histMetric) Keeps() windows.Keep { return windows.KeepHist }

func (m histMetric) Reduce(rows windows.Rows, cell *windows.Cell) {
	for i := range rows.Len {
		if x := m.value(rows, i); !math.IsNaN(x) {
			rows.Tally.Add(m.scale.bucket(x + m.by))
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

func (m exceedMetric) Keeps() windows.Keep { return windows.KeepSlices }

func (m exceedMetric) Reduce(rows windows.Rows, cell *windows.Cell) {
	for i := range rows.Len {
		if x := m.value(rows, i); !math.IsNaN(x) {
			count(rows, cell, i, x > m.limit)
		}
	}
}
