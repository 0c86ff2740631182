package schemas

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const stagedHead = "apiVersion: streamcanary.dev/v1\nkind: Rollout\nmetadata: {name: r}\nspec:\n  model: m\n  baseline: {version: \"1\"}\n  canary: {version: \"2\"}\n"

func TestStages(t *testing.T) {
	hour, day := time.Hour, 24*time.Hour
	tests := []struct {
		name, text string
		want       []Stage
		external   bool
		approve    bool
	}{
		{"the contract's", "stages: [{weight: 1, bake: 10m, pass: [errors, timeouts]}, {weight: 10, bake: 30m, pass: [p99, errors, timeouts]}, " +
			"{weight: 50, pass: all, max: 96h, then: hold}, {weight: 100, approve: true, watch: 24h, holdback: 1}]", []Stage{
			{WeightBP: 100, Bake: 10 * time.Minute, Pass: []string{"errors", "timeouts"}, Max: day, Then: OnHold},
			{WeightBP: 1000, Bake: 30 * time.Minute, Pass: []string{"p99", "errors", "timeouts"}, Max: day, Then: OnHold},
			{WeightBP: 5000, Bake: 10 * time.Minute, Max: 96 * hour, Then: OnHold},
			{WeightBP: 9900, Watch: day, Then: OnHold, Approve: true},
		}, false, false},
		{"a shadow, then a weight", "stages: [{weight: 0, mirror: 20, pass: [errors]}, {weight: 25}]", []Stage{
			{MirrorBP: 2000, Bake: 10 * time.Minute, Pass: []string{"errors"}, Max: day, Then: OnHold},
			{WeightBP: 2500, Bake: 10 * time.Minute, Max: day, Then: OnHold},
		}, false, false},
		{"copies of all, unless said", "stages: [{weight: 0, pass: [errors]}, {weight: 25}]", []Stage{
			{MirrorBP: 10000, Bake: 10 * time.Minute, Pass: []string{"errors"}, Max: day, Then: OnHold},
			{WeightBP: 2500, Bake: 10 * time.Minute, Max: day, Then: OnHold},
		}, false, false},
		{"a promotion that a person gives", "stages: [{weight: 5, then: rollback}, {weight: 100, approve: true}]",
			[]Stage{{WeightBP: 500, Bake: 10 * time.Minute, Max: day, Then: OnRollback}}, false, true},
		{"no weights", "stages: [{pass: [errors]}, {approve: true}]", []Stage{
			{Bake: 10 * time.Minute, Pass: []string{"errors"}, Max: day, Then: OnHold},
			{Bake: 10 * time.Minute, Max: day, Then: OnHold, Approve: true},
		}, false, false},
		{"another controller", "stages: external", []Stage{{Bake: 10 * time.Minute, Max: day, Then: OnHold}}, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := ParseRollout("r.yaml", []byte(stagedHead+"  "+test.text+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(r.Stages, test.want) || r.External != test.external || r.ApprovePromotion != test.approve {
				t.Errorf("stages %+v, external %v, approve %v\nwant   %+v", r.Stages, r.External, r.ApprovePromotion, test.want)
			}
			explained := Explain(r)
			again, err := ParseRollout("explained.yaml", explained)
			if err != nil {
				t.Fatalf("explained: %v\n%s", err, explained)
			}
			if !reflect.DeepEqual(again.Stages, r.Stages) || again.External != r.External || again.ApprovePromotion != r.ApprovePromotion {
				t.Errorf("explained and read again: %+v", again.Stages)
			}
		})
	}
	watched := Rollout{Stages: []Stage{{Max: hour}, {Watch: day}}}
	if watched.Life() != 25*hour {
		t.Errorf("life %s", watched.Life())
	}
}

// TestStagesRefused: what can't work is refused where it stands, with what to write.
func TestStagesRefused(t *testing.T) {
	for text, want := range map[string]string{
		"[{weight: 100}]":                                          "leaves no baseline",
		"[{weight: 100}, {weight: 5}]":                             "let it be the last one",
		"[{weight: 10}, {weight: 5}]":                              "stages go up",
		"[{weight: 10}, {bake: 5m}]":                               "either every stage has a weight or none has",
		"[{weight: 0, pass: [errors]}]":                            "0 in every stage",
		"[{weight: 0, pass: [ctr]}, {weight: 5}]":                  "no user sees a copy's answer",
		"[{weight: 5, mirror: 20}]":                                "only a stage with weight: 0",
		"[{weight: 5, watch: 1h}]":                                 "only a promotion is watched",
		"[{weight: 5, holdback: 1}]":                               "only a promotion is watched",
		"[{weight: 5}, {weight: 100, holdback: 1}]":                "add watch: 24h",
		"[{weight: 5}, {weight: 100, watch: 1h, pass: [errors]}]":  "nothing has to pass in it",
		"[{weight: 5}, {weight: 100, watch: 1h, holdback: 60}]":    "at most 50",
		"[{weight: 5}, {weight: 100, watch: 1h, holdback: 0.001}]": "finer than 0.01",
		"[{weight: 5, approve: true}]":                             "begins with `rollout apply`",
		"[{bake: 5m, pass: [errors]}, {weight: 100, watch: 1h}]":   "give each a weight",
		"[{weight: 5, then: promote}]":                             "hold or rollback",
		"[{weight: 5, max: 5m}]":                                   "is shorter than bake 10m",
		"[{weight: 5}, {weight: 100}, {weight: 100}]":              "let it be the last one",
		"[{weight: 0, mirror: 0, pass: [errors]}, {weight: 5}]":    "mirror",
		"[{weight: 0, pass: []}, {weight: 5}]":                     "stages[0].pass: the list is empty",
		"internal":                                                 "external",
	} {
		_, err := ParseRollout("r.yaml", []byte(stagedHead+"  stages: "+text+"\n"))
		if err == nil {
			t.Errorf("%s is accepted", text)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q in it", text, err, want)
		} else if strings.Contains(text, "pass: []") && strings.Contains(err.Error(), "either every stage") {
			t.Errorf("%s: what follows from the empty list is told, too: %v", text, err)
		}
	}
}
