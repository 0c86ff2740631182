package serve

import (
	"testing"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
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
		lost   error
	}{
		"a rollback that the log has lost": {status: decisions.StatusRolledBack, routes: back, lost: bus.ErrLogRegressed, want: ": by its record, up to decision 3 of epoch 9, model m has 41 100 %. " +
			"Routers that have obeyed that keep it; one that starts anew obeys the last decision that the log has, which may be an older one and give canary 42 users: don't restart routers, and look at what they do"},
		"a rollback that is not published":  {status: decisions.StatusRolledBack, routes: back, outbox: unpublished(schemas.ActionRollback, split, back), want: ", and has not published [r.9.3]: routers stay as they are, so " + harm},
		"a rollback that is published":      {status: decisions.StatusRolledBack, routes: back, outbox: nil, want: ""},
		"a rollback that stands still":      {status: decisions.StatusFrozen, routes: split, outbox: nil, want: ": " + harm},
		"a promotion that is not published": {status: decisions.StatusPromoting, routes: back, outbox: unpublished(schemas.ActionPromote, split, back), want: ", and has not published [r.9.3]: routers stay as they are (41 80 %, 42 20 %), and no guardrail takes the canary back"},
		"it runs":                           {status: decisions.StatusRunning, routes: split, outbox: nil, want: ": model m keeps 41 80 %, 42 20 %, and no guardrail takes the canary back"},
		"it ended, and that isn't there":    {status: decisions.StatusDeleted, routes: back, outbox: unpublished(schemas.ActionStart, split, back), want: ", and has not published [r.9.3]: routers stay as they are (41 80 %, 42 20 %)"},
	} {
		d := &desk{lost: x.lost, head: decisions.Head{Outbox: x.outbox, State: decisions.State{Epoch: 9, Seq: 3, Status: x.status, Routes: x.routes, Why: &schemas.Reason{Code: "x", Sentence: "Canary 42 errs."},
			Terms: decisions.Terms{Rollout: "r", Model: "m", Baseline: "41", Canary: "42", Mode: schemas.Enforce}}}}
		if got := d.leaves(); got != x.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, x.want)
		}
	}
}
