package analysis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// A metricKind makes the metrics of one sort of guardrail. To add one: a file that registers it, and nothing else.
type metricKind struct {
	name string
	// needs returns what the guardrail g reads of each window: first the metric that is tested, last the one whose
	// histogram is shown (both may be one). None: the guardrail is of another kind.
	needs func(g *schemas.Guardrail) []windows.Metric
	// rank says which predictions show the harm to a guardrail of the kind, which is that something falls, or rises. Nil, or a nil ranking: no
	// prediction does.
	rank func(g *schemas.Guardrail, falls bool) ranking
}

// metricKinds has every kind, ascending by name.
var metricKinds []metricKind

// registerMetric adds a kind; its file calls it for a package variable. It panics on a name that is taken.
func registerMetric(k metricKind) bool {
	at, taken := slices.BinarySearchFunc(metricKinds, k.name, func(k metricKind, name string) int { return strings.Compare(k.name, name) })
	if taken {
		panic(fmt.Sprintf("analysis: metric kind %q is registered twice", k.name))
	}
	metricKinds = slices.Insert(metricKinds, at, k)
	return true
}

// Metrics returns what the guardrails of a rollout need of each window, each once, in the order of the guardrails, and then what the checks of its
// input need. Outcome
// guardrails need none: windows counts outcomes by itself. It panics on a guardrail that no metric feeds, which
// schemas.ParseRollout doesn't let through.
func Metrics(r *schemas.Rollout) []windows.Metric {
	var all []windows.Metric
	add := func(m windows.Metric) {
		if !slices.ContainsFunc(all, func(o windows.Metric) bool { return o.Key() == m.Key() }) {
			all = append(all, m)
		}
	}
	for i := range r.Guardrails {
		for _, m := range slices.Concat(needsOf(&r.Guardrails[i]), edgesOf(r, &r.Guardrails[i])) {
			add(m)
		}
	}
	for _, m := range healthNeeds(r) {
		add(m)
	}
	return all
}

func needsOf(g *schemas.Guardrail) []windows.Metric {
	if isOutcome(g) {
		return nil
	}
	for _, k := range metricKinds {
		if needs := k.needs(g); len(needs) > 0 {
			return needs
		}
	}
	panic(fmt.Sprintf("analysis: no metric feeds guardrail %s (%s of %s)", g.Name, g.Kind, g.Of))
}

// isOutcome reports whether a guardrail is the rate or the mean of an outcome.
func isOutcome(g *schemas.Guardrail) bool { return g.IsOutcome() }

// streamOf is where a guardrail's numbers come from.
func streamOf(g *schemas.Guardrail) windows.Stream {
	if isOutcome(g) {
		return windows.Stream{Kind: windows.Outcomes, Name: g.Of}
	}
	return needsOf(g)[0].Stream()
}

// cellsOf are the places of a guardrail's cells in its stream's parts: the tested one, and that of the histogram.
func cellsOf(r *schemas.Rollout, g *schemas.Guardrail) (tested, shown int) {
	needs := needsOf(g)
	if len(needs) == 0 {
		return 0, 0
	}
	at := 0
	for _, m := range Metrics(r) {
		if m.Stream() != needs[0].Stream() {
			continue
		}
		if m.Key() == needs[0].Key() {
			tested = at
		}
		if m.Key() == needs[len(needs)-1].Key() {
			shown = at
		}
		at++
	}
	return tested, shown
}

// keyNumber writes a number as it stands in a metric's key: exact, the same for the same number.
func keyNumber(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
