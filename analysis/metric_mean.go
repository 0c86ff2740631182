package analysis

import (
	"math"

	"streamcanary/schemas"
	"streamcanary/windows"
)

var _ = registerMetric(metricKind{name: "mean", needs: func(g *schemas.Guardrail) []windows.Metric {
	switch {
	case g.Kind != schemas.MeanGuardrail:
		return nil
	case g.From == schemas.KindSample:
		return []windows.Metric{gaugeSum{g.Of, g.Cap}}
	}
	return []windows.Metric{valueSum{measured{g.Of}, g.Cap}}
}, rank: func(g *schemas.Guardrail, falls bool) ranking {
	if g.From == schemas.KindSample {
		return nil
	}
	return measured{g.Of}.rank(falls)
}})

// valueSum adds up a number of predictions, cut off at a cap either way.
type valueSum struct {
	measured
	cap float64
}

func (m valueSum) Key() string { return m.key() + "~" + keyNumber(m.cap) }

func (m valueSum) Keeps() windows.Keep { return windows.KeepSlices | windows.KeepSums }

func (m valueSum) Reduce(rows windows.Rows, cell *windows.Cell) {
	for i := range rows.Len {
		if x := m.value(rows, i); !math.IsNaN(x) {
			addCapped(&rows, cell, i, windows.SumUnits(x, m.cap))
		}
	}
}

// addCapped counts a value, and as an event that it is at the cap or beyond.
func addCapped(rows *windows.Rows, cell *windows.Cell, i int, u int64) {
	cell.AddValue(rows, i, u)
	if u < windows.SumUnit && u > -windows.SumUnit {
		return
	}
	cell.K++
	if rows.Slice != nil {
		cell.Slices[rows.Slice[i]].K++
	}
}

// gaugeSum adds up the samples of a resource, cut off at a cap either way.
type gaugeSum struct {
	of  string
	cap float64
}

func (m gaugeSum) Key() string { return m.of + "~" + keyNumber(m.cap) }

func (m gaugeSum) Stream() windows.Stream { return windows.Stream{Kind: windows.Resources} }

func (m gaugeSum) Columns() (windows.Columns, []string) { return windows.ColSample, []string{m.of} }

func (m gaugeSum) Keeps() windows.Keep { return windows.KeepSlices | windows.KeepSums }

func (m gaugeSum) Reduce(rows windows.Rows, cell *windows.Cell) {
	for i, x := range rows.Sample[:rows.Len] {
		addCapped(&rows, cell, i, windows.SumUnits(x, m.cap))
	}
}
