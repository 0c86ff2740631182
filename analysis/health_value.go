package analysis

import (
	"fmt"
	"math"
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

const codeNoValue = "no_value"

// Predictions without a number that a guardrail compares: a score, or one of their values. Without it, a canary that stops sending one is held against nothing.
var _ = registerHealth(healthKind{
	name: "share without a value", rank: 95,
	needs: func(r *schemas.Rollout) []windows.Metric {
		var all []windows.Metric
		for _, of := range comparedValues(r) {
			all = append(all, noValueMetric{of})
		}
		return all
	},
	checks: func(j *Judge) []check {
		var all []check
		for _, of := range comparedValues(j.rollout) {
			cell := cellOf(j.rollout, noValueMetric{of})
			c := j.newContrastCheck(codeNoValue, servingStream, j.dispersion(j.stream(servingStream), cell))
			c.read = func(p *windows.Part, w *window) bool { return w.cells(p, cell) }
			c.tell = func(since string, e estimate) string {
				return fmt.Sprintf("Answers of %s carry no %s more or less often than those of %s: %s since %s; it is compared of those that have it.",
					j.arm(windows.Canary), schemas.Readable(of), j.arm(windows.Baseline), sharesText(e), since)
			}
			all = append(all, c)
		}
		return all
	},
})

// comparedValues are the numbers of predictions, beside the latency, that guardrails compare.
func comparedValues(r *schemas.Rollout) []string {
	var all []string
	for i := range r.Guardrails {
		g := &r.Guardrails[i]
		of := g.Kind == schemas.MeanGuardrail && g.From == schemas.KindPrediction || measuresValues(g)
		if of && g.Of != ofLatency && !slices.Contains(all, g.Of) {
			all = append(all, g.Of)
		}
	}
	return all
}

// noValueMetric counts the predictions without a number.
type noValueMetric struct{ of string }

func (m noValueMetric) Key() string { return codeNoValue + "." + m.of }

func (noValueMetric) Stream() windows.Stream { return servingStream }

func (m noValueMetric) Columns() (windows.Columns, []string) { return measured(m).Columns() }

func (noValueMetric) Keeps() windows.Keep { return windows.KeepSlices }

func (m noValueMetric) Reduce(rows windows.Rows, cell *windows.Cell) {
	for i, x := range rows.Values[0][:rows.Len] {
		count(rows, cell, i, math.IsNaN(x))
	}
}
