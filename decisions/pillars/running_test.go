package pillars

import (
	"strings"
	"testing"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestRunning: of a rollout that runs, whoever can't be asked is no failure, and what is known to be wrong is one all the same.
func TestRunning(t *testing.T) {
	gone, away := answer{status: 404, body: noModel}, answer{status: 503}
	both := with(ask42, away)
	both[ask41] = []answer{away}
	half := with(ask42, away)
	half[ask41] = []answer{gone}
	registry := map[string][]answer{in1: {{body: input1}}, in2: {{body: input2}}, in3: {{body: input3}}, level: {{body: full}}, may1: {{body: yes}}, may2: {{body: yes}}, may3: {{body: yes}}}
	changed := func(key string, a answer) map[string][]answer {
		all := map[string][]answer{}
		for k, v := range registry {
			all[k] = v
		}
		all[key] = []answer{a}
		return all
	}
	for _, test := range []struct {
		name     string
		answers  map[string][]answer
		pillars  *schemas.Pillars
		baseline bool
		want     []string
	}{
		{"both are ready", ok(), mlflow(), false, []string{"registry held"}},
		{"MLflow is away", both, mlflow(), false, []string{"registry unknown", down + "503 (tried 3 times): look at its log"}},
		{"MLflow is away for one", with(ask42, away), mlflow(), false, []string{"registry unknown", down + "503"}},
		{"what is there is no MLflow", with(ask42, answer{body: "{}"}), mlflow(), false, []string{"registry unknown", what + ": MLflow at http://127.0.0.1:8081 answers something else"}},
		{"the canary is gone", with(ask42, gone), mlflow(), false, []string{"registry failed", what + " is not in MLflow"}},
		{"the baseline is gone, and the canary can't be asked about", half, mlflow(), true, []string{"registry failed", "version 41 of registered model ranker is not in MLflow"}},
		{"the baseline is another one", ok(), digest("sha256:0"), true, []string{"registry failed", "version 41 of registered model ranker has the digest"}},
		{"schemas fit", registry, subjects(1, 2), false, []string{"input held"}},
		{"a subject can't be had", changed(in2, away), subjects(1, 2), false, []string{"input unknown", "subject:ranker/in@2: "}},
		{"a subject is gone", changed(in2, answer{status: 404, body: `{"error_code": 40401}`}), subjects(1, 2), false, []string{"input failed", "subject:ranker/in@2 is not in the Schema Registry"}},
		{"nobody says whether they fit", changed(may2, away), subjects(1, 2), false, []string{"input unknown", "compatibility of subject:ranker/in@1 with subject:ranker/in@2: "}},
		{"nobody says, and our own check refuses", changed(may3, away), subjects(1, 3), false, []string{"input failed", "rolling out: ", "rolling back: "}},
		{"the registry refuses now", changed(may1, answer{body: not}), subjects(1, 2), false, []string{"input failed", "the Schema Registry (level FULL) refuses"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in(t, test.answers, func(w *town) {
				all := Check(w.Context(), w.registries(), Query{Pillars: test.pillars, Running: true})
				if expect(w.T, all, test.want...); all[0].Baseline != test.baseline {
					w.Errorf("the baseline is concerned: %v", all[0].Baseline)
				}
				begins := Check(w.Context(), w.registries(), Query{Pillars: test.pillars})
				if wantAway := all[0].State == decisions.PillarUnknown; begins[0].Away != wantAway || wantAway && begins[0].State != decisions.PillarFailed || all[0].Away {
					w.Errorf("at a start, nobody answered: %v (%s); while it runs: %v", begins[0].Away, begins[0].State, all[0].Away)
				}
			})
		})
	}
	for _, p := range []*schemas.Pillars{mlflow(), subjects(1, 2)} {
		all := Check(t.Context(), Registries{}, Query{Pillars: p, Running: true}) // it began under another configuration
		if all[0].State != decisions.PillarUnknown || !strings.HasPrefix(all[0].Found[0], "the configuration has no registries.") || !Asks(p) {
			t.Errorf("without registries: %+v", all)
		}
	}
	if Asks(&schemas.Pillars{Features: &schemas.Pair{Baseline: schemas.Reference{File: "a.txt"}, Canary: schemas.Reference{File: "b.txt"}}}) {
		t.Error("files ask somebody")
	}
}
