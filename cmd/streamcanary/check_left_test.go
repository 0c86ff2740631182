package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestServesYet: who checks or applies a rollout hears of a version that serves users after its end, also where a start was refused since; not of one that is the rollout's own.
func TestServesYet(t *testing.T) {
	b, _ := withoutServe(t)
	save := func(name string, s decisions.State) {
		t.Helper()
		s.Terms.Rollout, s.Terms.Model, s.Terms.Baseline, s.Terms.Canary = name, "ranker", "v1", "v9"
		body := rolloutOf(name, "ranker")
		if _, err := b.PutSpec(t.Context(), specOf(t, name, body)); err != nil {
			t.Fatal(err)
		}
		head := decisions.NewHead(0)
		head.State = s
		if _, err := b.SaveHead(t.Context(), head, 0); err != nil {
			t.Fatal(err)
		}
	}
	told := decisions.Retired{Decision: "old.4.3", Told: true, DeadlineMs: 1000, Drain: decisions.Drain{Seen: 500, LastCanary: 20, LastAll: 100, LastMs: 2000}}
	save("old", decisions.State{Epoch: 4, Status: decisions.StatusRolledBack, Saga: &decisions.Saga{Decision: "old.4.3"}, Retired: &told})
	save("before", decisions.State{Epoch: 3, Status: decisions.StatusRolledBack, Saga: &decisions.Saga{Decision: "before.3.3"}, Retired: &decisions.Retired{Version: "v5", Told: true}})
	save("refused", decisions.State{Epoch: 5, Status: decisions.StatusRefused})
	for canary, want := range map[string][]string{
		"v2": {"decision old.4.3 took all traffic from v9, and it is not proven that v9 has drained: it served 20 of the 100 predictions of the newest window, up to 1970-01-01T00:00:02.000Z. " +
			"Nobody judges what it answers: find what routes to it, and move that by hand, before another rollout begins beside it"},
		"v9": nil,
	} {
		r, err := schemas.ParseRollout("r.yaml", []byte(strings.Replace(rolloutOf("next", "ranker"), "canary: {version: v2}", "canary: {version: "+canary+"}", 1)))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		got := warnServes(t.Context(), &out, b, r)
		if !slices.Equal(got, want) || (out.Len() > 0) != (want != nil) {
			t.Errorf("canary %s: %q, told %q, want %q", canary, got, out.String(), want)
		}
	}
}

// specOf is a rollout's file as it stands in the bucket.
func specOf(t *testing.T, name, text string) bus.Spec {
	t.Helper()
	entry, err := json.Marshal(serve.Application{ID: name, File: name + ".yaml", YAML: text})
	if err != nil {
		t.Fatal(err)
	}
	return bus.Spec{Rollout: name, Body: entry}
}
