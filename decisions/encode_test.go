package decisions

import (
	"math"
	"reflect"
	"testing"

	"streamcanary/schemas"
)

// TestFinite: a reason of numbers that JSON can carry stays as it is, field by field; what it can't carry becomes unknown, and the caller's stays.
func TestFinite(t *testing.T) {
	whole := full().Reason
	if got := finite(whole); !reflect.DeepEqual(got, whole) {
		t.Errorf("got %+v, want %+v", got, whole)
	}
	inf := math.Inf(1)
	endless := schemas.Reason{Guardrails: []schemas.GuardrailStatus{{Upper: &inf, LogEvidence: inf, Ratio: &schemas.Interval{Upper: &inf, Changed: true}, Difference: &schemas.Interval{Lower: &inf}}}}
	got := finite(endless).Guardrails[0]
	if got.Upper != nil || got.LogEvidence != math.MaxFloat64 || got.Ratio.Upper != nil || !got.Ratio.Changed || got.Difference.Lower != nil {
		t.Errorf("infinite: %+v, ratio %+v", got, got.Ratio)
	}
	if endless.Guardrails[0].Upper != &inf || endless.Guardrails[0].Ratio.Upper != &inf {
		t.Error("the caller's reason was changed")
	}
}
