package certify

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// TestStaggeredHosts: hosts that sample at moments of their own, in windows that hold a tenth of them each, are as good as those that sample together. The worlds are those that broke most: of ten runs six passed on their margin,
// and no harm of a mean of four hosts was found, as no window had those of both parts of the baseline.
func TestStaggeredHosts(t *testing.T) {
	few := gauging{name: "staggered, mean, harm of few", guardrail: meanOf + "0.04", hosts: [2]int{10, 4}, staggered: true}
	of := []Experiment{{Group: "gauges", Name: few.name, begin: few.harm().begin}}
	for _, e := range gaugeExperiments() {
		if slices.Contains([]string{"staggered, 5 pp, exactly, correlated 0.99", "staggered, harm, 6 hosts against 24"}, e.Name) {
			of = append(of, e)
		}
	}
	report, err := Run(context.Background(), of, Options{Seed: 7, Runs: 10})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(report.Rows); n != 7 {
		t.Fatalf("%d rows", n)
	}
	for _, row := range report.Broken() {
		t.Errorf("%s: %s: %s", row.Experiment, row.Measure, row.long())
	}
	for _, row := range report.Rows {
		if strings.HasPrefix(row.Measure, "median") && *row.Value > 60 {
			t.Errorf("%s: %s: %v", row.Experiment, row.Measure, *row.Value)
		}
	}
}
