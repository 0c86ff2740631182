package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// standing is a service that says where its rollouts stand, and no more.
func standing(t *testing.T, all ...serve.Standing) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(all) }))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// rolloutOf is a rollout's file.
func rolloutOf(name, model string) string {
	return "apiVersion: streamcanary.dev/v1\nkind: Rollout\nmetadata: {name: " + name + "}\nspec: {model: " + model + ", baseline: {version: v1}, canary: {version: v2}}\n"
}

// TestObstacle: what the service refuses, or has ended, keeps no other rollout of the model from being applied; what is under way, or may be taken up, does.
func TestObstacle(t *testing.T) {
	b, _ := withoutServe(t)
	entry, err := json.Marshal(serve.Application{ID: "1", File: "other.yaml", YAML: rolloutOf("other", "ranker")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.PutSpec(t.Context(), bus.Spec{Rollout: "other", Body: entry}); err != nil {
		t.Fatal(err)
	}
	refuses := serve.Addresses{HTTP: standing(t, serve.Standing{Rollout: "other", Application: "1", Refused: "model ranker has an active rollout, gone: delete that one first"})}
	idle := serve.Addresses{HTTP: standing(t)}
	own, err := schemas.ParseRollout("r.yaml", []byte(rolloutOf("own", "ranker")))
	if err != nil {
		t.Fatal(err)
	}
	const taken = "rollout other of model ranker is applied, too, and as far as is known no serve has taken it up yet: end it first with `streamcanary rollout delete other`, or apply with --supersede"
	may := func(name, want string, at serve.Addresses) {
		t.Helper()
		have := ""
		if _, err := mayApply(t.Context(), b, &application{rollout: own, again: true, at: at}); err != nil {
			have = err.Error()
		}
		if have != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
	may("refused", "", refuses)
	may("not taken up", taken, idle)
	may("nobody is asked", taken, serve.Addresses{})
	there, err := b.Spec(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	if there.Body, err = json.Marshal(serve.Application{ID: "1", File: "other.yaml", YAML: rolloutOf("other", "ranker"), Refused: "model ranker has an active rollout, gone", RefusedAt: 1000}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.PutSpec(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	may("refused, and nobody is asked", "", serve.Addresses{})
	const kept = "the service refuses it: model ranker has an active rollout, gone. That is as things were when it looked, at 1970-01-01T00:00:01.000Z: it looks again only when the rollout is applied again."
	if _, err := recordOf(t.Context(), b, &serve.Addresses{}, "other"); err == nil || !strings.Contains(err.Error(), kept) {
		t.Errorf("shown %v", err)
	}
	if l := lineOf(&there, &decisions.State{}, nil); l.Status != "refused" || l.RefusedAt != 1000 {
		t.Errorf("listed as %+v", l)
	}
	head := decisions.NewHead(0)
	head.State = decisions.State{Epoch: 1, Status: decisions.StatusRunning, Terms: decisions.Terms{Rollout: "other", Model: "ranker"}}
	if _, err := b.SaveHead(t.Context(), head, 0); err != nil {
		t.Fatal(err)
	}
	may("a refused change of what runs", "model ranker has an active rollout, other (running): end it first with `streamcanary rollout delete other`, or apply with --supersede", refuses)
}

// TestRefusedAsOf: what spoke against a rollout when the service looked may be over, and whoever looks is told so.
func TestRefusedAsOf(t *testing.T) {
	b, _ := withoutServe(t)
	if _, err := b.PutSpec(t.Context(), bus.Spec{Rollout: "r", Body: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	no := serve.Standing{Rollout: "r", Refused: "model m has an active rollout, other"}
	const want = "the service refuses it: model m has an active rollout, other. That is as things were when it looked: it looks again only when"
	if _, err := recordOf(t.Context(), b, &serve.Addresses{HTTP: standing(t, no)}, "r"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("shown %v, want %s", err, want)
	}
	var out, told bytes.Buffer
	line := lineOf(&bus.Spec{Rollout: "r"}, &decisions.State{}, &no)
	if err := printRollouts(&console{out: &out, err: &told}, []rolloutLine{line}); err != nil || !strings.Contains(told.String(), "active rollout, other. That is as things were when it looked") {
		t.Errorf("%v, told %s", err, told.String())
	}
}
