package main

import (
	"strings"
	"testing"

	"streamcanary/decisions"
)

// TestStepsShown: each step of a rollback says how far it is, what keeps it, and until when it may take.
func TestStepsShown(t *testing.T) {
	state := decisions.State{Saga: &decisions.Saga{Steps: []decisions.SagaStep{
		{Name: "route", State: decisions.StepAcked, Attempt: 1, DeadlineMs: 1},
		{Name: "registry-mlflow", State: decisions.StepExpired, Attempt: 2, DeadlineMs: 1_767_225_600_000, Sink: "mlflow", Why: "the server answers 503"},
		{Name: "alert-slack", State: decisions.StepSent, Sink: "slack", DeadlineMs: 1_767_225_600_000},
		{Name: "alert-hook", State: decisions.StepFailed, Sink: "hook", Why: "the server answers 400"},
	}}}
	want := `rollback step route: acked (deadlines passed: 1)
rollback step registry-mlflow: expired (deadlines passed: 2, next 2026-01-01T00:00:00.000Z): the server answers 503
rollback step alert-slack: sent
rollback step alert-hook: failed: the server answers 400
`
	var shown strings.Builder
	printTraffic(&shown, &state)
	if !strings.HasSuffix(shown.String(), want) {
		t.Errorf("shown\n%s\nwant\n%s", &shown, want)
	}
}
