package serve

import (
	"fmt"
	"slices"
	"testing"

	"streamcanary/schemas"
)

// skews are the metrics of scores.
func skews(t *testing.T, m *metrics) (all []string) {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, x := range f.GetMetric() {
			if f.GetName() == "streamcanary_score_skew" { // labels ascend
				all = append(all, fmt.Sprint(x.GetLabel()[0].GetValue(), " ", x.GetLabel()[1].GetValue(), " ", x.GetGauge().GetValue()))
			}
		}
	}
	return all
}

// TestSkewMetric: what is known of a canary's scores is there while it is known.
func TestSkewMetric(t *testing.T) {
	m := newMetrics("test")
	known := Standing{Rollout: "a"}
	known.Skew = &schemas.Skew{KS: 0.25, PSI: 0.5, Proven: true, LogEvidence: 9}
	m.standing([]Standing{known, {Rollout: "b"}})
	if got, want := skews(t, m), []string{"a ks 0.25", "a log_evidence 9", "a proven 1", "a psi 0.5"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	m.standing(nil)
	if got := skews(t, m); got != nil {
		t.Errorf("of nothing: %q", got)
	}
}
