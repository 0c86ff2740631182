package serve

import (
	"testing"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestLeaves: what is said of the traffic of a rollout that nobody decides for is by what routers have, and says of a canary which is to be rolled back that it keeps users, and why it is.
func TestLeaves(t *testing.T) {
	split := []schemas.Route{{Version: "41", WeightBP: 8000}, {Version: "42", WeightBP: 2000}}
	back := []schemas.Route{{Version: "41", WeightBP: 10000}, {Version: "42"}}
	unpublished := func(action schemas.Action, previous, routes []schemas.Route) []decisions.Entry {
		body, err := schemas.EncodeDecision("serve", &schemas.Decision{ID: "r.9.3", Epoch: 9, Seq: 3, Model: "m", Rollout: "r", Mode: schemas.Enforce, Action: action, Severity: schemas.Warning,
			Routes: routes, PreviousRoutes: previous, Actor: schemas.Actor{Kind: "engine"}, Reason: schemas.Reason{Code: "x", Sentence: "X."}, EventTime: 1})
		if err != nil {
			t.Fatal(err)
		}
		return []decisions.Entry{{Kind: decisions.EntryDecision, ID: "r.9.2", Published: true}, {Kind: decisions.EntryDecision, ID: "r.9.3", Body: body}}
	}
	const harm = "canary 42 keeps 20 % of users though it is to be rolled back (Canary 42 errs). Nothing takes it back: move its users to 41 by hand now"
	for name, x := range map[string]struct {
		status decisions.Status
		routes []schemas.Route
		outbox []decisions.Entry
		want   string
	}{
		"a rollback that is not published":  {decisions.StatusRolledBack, back, unpublished(schemas.ActionRollback, split, back), ", and has not published [r.9.3]: routers stay as they are, so " + harm},
		"a rollback that is published":      {decisions.StatusRolledBack, back, nil, ""},
		"a rollback that stands still":      {decisions.StatusFrozen, split, nil, ": " + harm},
		"a promotion that is not published": {decisions.StatusPromoting, back, unpublished(schemas.ActionPromote, split, back), ", and has not published [r.9.3]: routers stay as they are (41 80 %, 42 20 %), and no guardrail takes the canary back"},
		"it runs":                           {decisions.StatusRunning, split, nil, ": model m keeps 41 80 %, 42 20 %, and no guardrail takes the canary back"},
		"it ended, and that isn't there":    {decisions.StatusDeleted, back, unpublished(schemas.ActionStart, split, back), ", and has not published [r.9.3]: routers stay as they are (41 80 %, 42 20 %)"},
	} {
		d := &desk{head: decisions.Head{Outbox: x.outbox, State: decisions.State{Status: x.status, Routes: x.routes, Why: &schemas.Reason{Code: "x", Sentence: "Canary 42 errs."},
			Terms: decisions.Terms{Rollout: "r", Model: "m", Baseline: "41", Canary: "42", Mode: schemas.Enforce}}}}
		if got := d.leaves(); got != x.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, x.want)
		}
	}
}
