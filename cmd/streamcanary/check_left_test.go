package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestServesYet: who checks or applies a rollout hears of a version that serves users after its end, also where a start was refused since; not of one that is the rollout's own. And of a
// baseline that is no refuge.
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
	told := decisions.Retired{Decision: "old.4.3", Told: true, Harmed: true, DeadlineMs: 1000, Drain: decisions.Drain{Seen: 500, LastCanary: 20, LastAll: 100, LastMs: 2000}}
	save("old", decisions.State{Epoch: 4, Status: decisions.StatusRolledBack, Saga: &decisions.Saga{Decision: "old.4.3"}, Retired: &told, Forward: &schemas.Reason{Code: "no_refuge", Sentence: "Baseline v1 is too slow itself."}})
	save("before", decisions.State{Epoch: 3, Status: decisions.StatusRolledBack, Saga: &decisions.Saga{Decision: "before.3.3"}, Retired: &decisions.Retired{Version: "v5", Told: true}})
	save("refused", decisions.State{Epoch: 5, Status: decisions.StatusRefused})
	const noRefuge = "baseline v1 is no refuge as things stand: to roll this rollout back would not end what rollout old says of it: Baseline v1 is too slow itself."
	for canary, want := range map[string][]string{
		"v2": {"decision old.4.3 took all traffic from v9, and it is not proven that v9 has drained: it served 20 of the 100 predictions of the newest window, up to 1970-01-01T00:00:02.000Z. " +
			"Nobody judges what it answers: find what routes to it, and move that by hand, before another rollout begins beside it", noRefuge},
		"v9": {noRefuge},
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

// TestLeftShut: who checks a rollout hears that it would be refused over stores that a deleted rollout has left without writes.
func TestLeftShut(t *testing.T) {
	b, _ := deciding(t)
	r, err := schemas.ParseRollout("r.yaml", []byte(rolloutOf("next", "ranker")))
	if err != nil {
		t.Fatal(err)
	}
	shut := func(want string) {
		t.Helper()
		if why, err := leftShut(t.Context(), b, r); err != nil || (why != "") != (want != "") || !strings.HasPrefix(why, want) {
			t.Errorf("%q (%v), want %q", why, err, want)
		}
	}
	shut("")
	ack := func(at, seq int64, by string, status schemas.AckStatus, snapshot string) decisions.Input {
		return decisions.Input{Kind: decisions.InputAck, WallMs: at, Ack: &schemas.Ack{Decision: fmt.Sprintf("old.1.%d", seq), Epoch: 1, Seq: seq, Consumer: by, Status: status, Snapshot: snapshot}}
	}
	command := func(at int64, do decisions.CommandKind) decisions.Input {
		return decisions.Input{Kind: decisions.InputCommand, WallMs: at, Command: &decisions.Command{Do: do, Force: do == decisions.CommandDelete, Actor: schemas.Actor{Kind: "person", Name: "ada"}}}
	}
	terms := decisions.Terms{Rollout: "old", Model: "ranker", Baseline: "v1", Canary: "v2", Mode: schemas.Enforce, Stages: []decisions.StageTerms{{WeightBP: 500}}, AckWithinMs: 1000, DrainWithinMs: 1000,
		State: decisions.StateTerms{Mode: schemas.StateShared, Stores: []string{"users"}, AckWithinMs: 1000, Compatible: true}}
	head := decides(t, b, 0, decisions.Input{Kind: decisions.InputApplied, Applied: &decisions.Applied{Terms: terms, Epoch: 1, Actor: schemas.Actor{Kind: "person"}}},
		ack(1, 1, "eu", schemas.AckPrepared, ""), ack(2, 1, "users", schemas.AckPrepared, "s1"), ack(3, 2, "eu", schemas.AckApplied, ""), command(4, decisions.CommandRollback))
	shut("")
	if head, _, err = head.Take(command(5, decisions.CommandDelete)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Deliver(t.Context(), head); err != nil {
		t.Fatal(err)
	}
	_, revision, err := b.LoadHead(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteHead(t.Context(), "old", revision); err != nil {
		t.Fatal(err)
	}
	shut("users was told to take no writes by decision old.1.4 of rollout old, which nobody follows any more, and a snapshot taken now may have what its canary wrote: " +
		"let the state go back by hand (users to snapshot s1); then apply it with --new-epoch --force")
}

// TestUnheard: who checks or applies a rollout hears of an incident that it takes over without a sink that knows of it; of none that is over, or that all of its sinks know of.
func TestUnheard(t *testing.T) {
	b, _ := withoutServe(t)
	terms := decisions.Terms{Rollout: "old", Model: "ranker", Baseline: "v1", Canary: "v2", Sinks: decisions.SinkTerms{Alert: []string{"am", "slack"}}}
	head, revision := decisions.NewHead(0), uint64(0)
	if _, err := b.PutSpec(t.Context(), specOf(t, "old", rolloutOf("old", "ranker"))); err != nil {
		t.Fatal(err)
	}
	for _, told := range []bool{true, false} {
		head.State = decisions.State{Terms: terms, Epoch: 4, Status: decisions.StatusRolledBack, Saga: &decisions.Saga{}, Retired: &decisions.Retired{Decision: "old.4.3", DeadlineMs: 1000, Harmed: told}}
		var err error
		if revision, err = b.SaveHead(t.Context(), head, revision); err != nil {
			t.Fatal(err)
		}
		for sinks, want := range map[string]bool{"": told, ", sinks: [{slack: slack}]": told, ", sinks: [{slack: slack}, {alertmanager: am}]": false} {
			r, err := schemas.ParseRollout("r.yaml", []byte(strings.Replace(rolloutOf("next", "ranker"), "canary: {version: v2}", "canary: {version: v2}"+sinks, 1)))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			warnServes(t.Context(), &out, b, r)
			if strings.Contains(out.String(), "warning: rollout old has told people of what isn't over (no_refuge), also by am") != want || (out.Len() > 0) != told { // that the baseline is no refuge is told whatever its sinks
				t.Errorf("told: %t, %q: %q", told, sinks, out.String())
			}
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
