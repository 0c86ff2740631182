package decisions

import (
	"reflect"
	"testing"

	"streamcanary/schemas"
)

// TestMoves: a start that takes users from a version that is not on trial is refused, with what to do.
func TestMoves(t *testing.T) {
	const back = "; or `streamcanary rollout back ranker-42 --comment WHY` where going back is meant"
	const override = "; or apply it with --override to move them now, which takes an admin, and the decision says so"
	route := func(action schemas.Action, routes ...schemas.Route) *schemas.Decision {
		return &schemas.Decision{ID: "ranker-42.4.3", Rollout: "ranker-42", Epoch: 4, Action: action, Routes: routes}
	}
	share := func(version string, bp int) schemas.Route { return schemas.Route{Version: version, WeightBP: bp} }
	promoted := route(schemas.ActionPromote, share("41", 0), share("42", 10_000))
	const on42 = "100 % of users are on 42 by the routes of epoch 4 (decision ranker-42.4.3), and this rollout would move them to 41 at once: "
	canary := func(version string) func(*Terms) { return func(t *Terms) { t.Canary = version } }
	baseline := func(version string) func(*Terms) { return func(t *Terms) { t.Baseline = version } }
	shadow := func(t *Terms) { t.Stages[0].MirrorBP = 1000 }
	for name, x := range map[string]struct {
		terms Terms
		route *schemas.Decision
		retry bool
		want  string // why; "": it begins
	}{
		"nothing is routed yet":           {terms(weight), nil, false, ""},
		"the baseline serves":             {terms(weight), route(schemas.ActionRollback, share("41", 10_000), share("42", 0)), false, ""},
		"a canary that is on trial":       {terms(weight, canary("43")), route(schemas.ActionStart, share("41", 9000), share("42", 1000)), false, ""},
		"its own, after a lost record":    {terms(weight), route(schemas.ActionStart, share("41", 9000), share("42", 1000)), false, ""},
		"what was promoted is the base":   {terms(weight, baseline("42"), canary("43")), promoted, false, ""},
		"no weights are planned":          {terms(canary("43")), promoted, false, ""},
		"nobody acts on it":               {terms(weight, advise, canary("43")), promoted, false, ""},
		"in a replay":                     {terms(weight, unattended, canary("43")), promoted, false, ""},
		"a promotion":                     {terms(weight, canary("43")), promoted, false, on42 + "write `baseline: {version: 42}` where that is what serves" + back + override},
		"copies only at first":            {terms(shadow, canary("43")), promoted, false, on42 + "write `baseline: {version: 42}` where that is what serves" + back + override},
		"a promotion of its own canary":   {terms(weight), promoted, false, on42 + back[len("; or "):] + override},
		"a retry of that":                 {terms(weight), promoted, true, on42 + back[len("; or "):] + "; or `streamcanary rollout retry ranker-42 --override --comment WHY` to move them now, which takes an admin, and the decision says so"},
		"another base than the one tried": {terms(weight, baseline("40"), canary("43")), route(schemas.ActionStart, share("41", 9000), share("42", 1000)), false, "90 % of users are on 41 and 10 % on 42 by the routes of epoch 4 (decision ranker-42.4.3), and this rollout would move them to 40 at once: write `baseline: {version: 41}` where that is what serves" + override},
		"a step of a promotion":           {terms(weight, canary("43")), route(schemas.ActionPromote, share("41", 800), share("42", 9200)), false, "92 % of users are on 42 by the routes of epoch 4 (decision ranker-42.4.3), and this rollout would move them to 41 at once: write `baseline: {version: 42}` where that is what serves" + back + override},
		"a promotion told once more":      {terms(weight, canary("43")), route(schemas.ActionFreeze, share("41", 0), share("42", 10_000)), false, on42 + "write `baseline: {version: 42}` where that is what serves" + override},
	} {
		t.Run(name, func(t *testing.T) {
			if why := x.terms.RefusesMove(x.route, x.retry); why != x.want {
				t.Errorf("%q\nwant\n%q", why, x.want)
			}
			if over := x.terms.GoesPastUsers(x.route); (over != nil) != (x.want != "") {
				t.Errorf("it goes past %q", over)
			}
		})
	}
}

// TestMovesByOverride: the first decision of an epoch that takes them all the same says who is moved, and by whom.
func TestMovesByOverride(t *testing.T) {
	in := applied(1, terms(weight))
	in.Applied.Override, in.Applied.Routes = []string{codeMoves}, []schemas.Route{{Version: "39"}, {Version: "40", WeightBP: 9500}, {Version: "41", WeightBP: 500}}
	_, effects := Step(State{}, in)
	d := effects[0].Decision.Decision
	const want = "Rollout ranker-42 begins, by override past users_moved: canary 42 against baseline 41 of model ranker. Until now 95 % of users were on 40: they are moved to 41 at once."
	if d.Reason.Sentence != want || !reflect.DeepEqual(d.Override, []string{codeMoves}) {
		t.Errorf("%q, past %q", d.Reason.Sentence, d.Override)
	}
}
