package main

import (
	"strings"
	"testing"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

func TestGuardrailsFromOutsideInTheTable(t *testing.T) {
	const at = schemas.Time(1_800_000_000_000)
	with := func(a schemas.AlertStatus, firing int) schemas.GuardrailStatus {
		a.Name, a.Fingerprint, a.StartsAt = "High\x1b", "f0", at
		return schemas.GuardrailStatus{Name: "page", Against: schemas.AgainstAlerts, AlertsFiring: firing, Alerts: []schemas.AlertStatus{a}}
	}
	tests := []struct {
		name string
		g    schemas.GuardrailStatus
		want []string
	}{
		{"quiet", schemas.GuardrailStatus{Name: "page", Against: schemas.AgainstAlerts}, []string{"page       quiet  -         external"}},
		{"firing", with(schemas.AlertStatus{Summary: "Users see errors", URL: "http://p"}, 1),
			[]string{`firing  "High\x1b" since 2027-01-15T08:00:00.000Z  external`, `page: alert "High\x1b" (f0): Users see errors: http://p`}},
		{"several", with(schemas.AlertStatus{}, 4), []string{"Z and 3 more  external"}},
		{"from before", with(schemas.AlertStatus{Before: true}, 1), []string{"firing (from before the canary)"}},
		{"not yet", with(schemas.AlertStatus{Due: at + 90_000}, 1), []string{"firing (counts from 08:01:30 on)"}},
		{"resumed past", with(schemas.AlertStatus{Before: true, Waived: true}, 1), []string{"firing (resumed past it)"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var b strings.Builder
			if err := printGuardrails(&b, []schemas.GuardrailStatus{test.g}); err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(b.String(), want) {
					t.Errorf("%q is not in\n%s", want, b.String())
				}
			}
		})
	}
}

// TestTruncatedIsShown: alerts that Alertmanager left out are shown with the rollout that may miss one.
func TestTruncatedIsShown(t *testing.T) {
	var b strings.Builder
	s := decisions.State{Status: decisions.StatusRunning, Truncated: []decisions.Truncated{{Group: "{}:{a=\"b\"}", Missing: 7, SinceMs: 1000}}}
	s.Terms.Alerts = []schemas.AlertGuardrail{{Name: "page"}}
	printTraffic(&b, &s)
	if want := "alerts: Alertmanager left 7 alerts of group {}:{a=\"b\"} out of its last message (known since 1970-01-01T00:00:01.000Z), and one that fits page may be"; !strings.Contains(b.String(), want) {
		t.Errorf("got %q, want %s", b.String(), want)
	}
}
