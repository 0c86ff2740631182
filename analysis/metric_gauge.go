package analysis

import (
	"streamcanary/schemas"
	"streamcanary/windows"
)

var _ = registerMetric(metricKind{name: "gauge", needs: func(g *schemas.Guardrail) []windows.Metric {
	if g.Kind != schemas.GaugeGuardrail {
		return nil
	}
	return []windows.Metric{gaugeMetric{g.Of, g.Limit}}
}})

// gaugeMetric counts the samples of a resource that are above a limit.
type gaugeMetric struct {
	of    string
	limit float64
}

func (m gaugeMetric) Key() string { return m.of + ">" + keyNumber(m.limit) }

func (m gaugeMetric) Stream() windows.Stream { return windows.Stream{Kind: windows.Resources} }

func (m gaugeMetric) Columns() (windows.Columns, []string) { return windows.ColSample, []string{m.of} }

func (m gaugeMetric) Keeps() windows.Keep { return windows.KeepSlices }

func (m gaugeMetric) Reduce(rows windows.Rows, cell *windows.Cell) {
	for i, x := range rows.Sample[:rows.Len] {
		count(rows, cell, i, x > m.limit)
	}
}
