package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"streamcanary/cmd/engine"
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

// TestRefusedIsNotJudged: an epoch that a pillar refused is judged up to nowhere.
func TestRefusedIsNotJudged(t *testing.T) {
	s := decisions.State{Status: decisions.StatusRefused, Epoch: 1, Seq: 1, EventMs: 5000}
	for _, live := range []*serve.Standing{nil, {Rollout: "r", Epoch: 1, Status: decisions.StatusRefused, Report: engine.Report{Reached: 7000}}} {
		if l := lineOf(&bus.Spec{Rollout: "r"}, &s, live); l.judgedText() != "-" || l.EventTime != 0 {
			t.Errorf("judged up to %s (%v)", l.judgedText(), l.EventTime)
		}
	}
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

// An entry is a rollout's, of which epoch 3 is judged by application 1, and application 2 was refused.
type entry struct {
	*testing.T
	bus             *bus.Bus
	there           place
	judged, refused serve.Application
}

const tooWide = "lateness is more than 65536 windows"

func newEntry(t *testing.T) *entry {
	t.Helper()
	b, _ := withoutServe(t)
	e := &entry{T: t, bus: b, judged: serve.Application{ID: "1", File: "r.yaml", YAML: rolloutOf("own", "ranker")}, there: place{head: decisions.NewHead(0)}}
	e.refused = serve.Application{ID: "2", File: "newer.yaml", YAML: e.judged.YAML, At: 60_000, Actor: schemas.Actor{Kind: "person", Name: "ada"}}
	e.there.head.State = decisions.State{Epoch: 3, Status: decisions.StatusRunning, Terms: decisions.Terms{Rollout: "own", Model: "ranker", Application: "1"}}
	body, err := e.judged.Encode()
	if err != nil {
		t.Fatal(err)
	}
	e.there.head.Applied = body
	if _, err := b.SaveHead(t.Context(), e.there.head, 0); err != nil {
		t.Fatal(err)
	}
	return e
}

// puts writes an application, as whoever applies it does.
func (e *entry) puts(a serve.Application) (revision uint64) {
	e.Helper()
	body, err := a.Encode()
	if err != nil {
		e.Fatal(err)
	}
	if spec, err := e.bus.Spec(e.Context(), "own"); err == nil {
		revision = spec.Revision
	}
	if revision, err = e.bus.PutSpec(e.Context(), bus.Spec{Rollout: "own", Body: body, Revision: revision}); err != nil {
		e.Fatal(err)
	}
	return revision
}

// shows wants an application to stand there, and the refusal to be told.
func (e *entry) shows(as, id string) {
	e.Helper()
	spec, err := e.bus.Spec(e.Context(), "own")
	if err != nil {
		e.Fatal(err)
	}
	var out bytes.Buffer
	v := viewOf(&e.there.head, nil)
	v.Refused = serve.RefusedOver("1", spec.Body)
	if now, err := serve.ReadApplication(spec.Body); err != nil || now.ID != id || v.Refused == nil {
		e.Fatalf("%s: %v, the entry is %+v", as, err, now)
	}
	if id == "1" {
		v.Refused.When = 65_000
	}
	const want = "newer.yaml, applied at 1970-01-01T00:01:00.000Z by ada, was refused at 1970-01-01T00:01:05.000Z, and epoch 3 stays as it is: " + tooWide + ". That is as things were then"
	if err := printView(&out, &v); err != nil || !strings.Contains(out.String(), "\nrefused: "+want) {
		e.Errorf("%s: %v, it shows %s", as, err, out.String())
	}
	note := "this is r.yaml, which epoch 3 (running) is judged by"
	if id == "2" {
		note += "; " + want
	}
	if x, err := explanationOf(e.Context(), e.bus, &serve.Addresses{}, "own"); err != nil || !strings.HasPrefix(x.note, note) {
		e.Errorf("%s: %v, explained as %+v", as, err, x)
	}
}

// TestRefusedChange: what the service refuses of a rollout that has a record is known from its entry alone, and `rollout show` tells it, also once the file of the epoch is put back; what somebody else
// has applied since stays.
func TestRefusedChange(t *testing.T) {
	e := newEntry(t)
	own, err := schemas.ParseRollout("r.yaml", []byte(e.judged.YAML))
	if err != nil {
		t.Fatal(err)
	}
	no := refused{"own", tooWide, &e.refused}
	backs := func(as string) {
		t.Helper()
		const want = "the service refuses rollout own: " + tooWide + "; epoch 3 (running) stays as it is, and so does its file"
		if err := putBack(t.Context(), e.bus, &e.there, no); err.Error() != want {
			t.Errorf("%s: %v", as, err)
		}
		e.shows(as, "1")
	}
	e.there.revision = e.puts(e.refused)
	backs("as it was applied")

	e.there.revision = e.puts(e.refused)
	marked := e.refused
	marked.Refused, marked.RefusedAt = tooWide, 65_000
	e.puts(marked)
	if state, err := takenUp(t.Context(), e.bus, &application{Application: e.refused, rollout: own}); err == nil || err.Error() != "the service refuses rollout own: "+tooWide {
		t.Errorf("known of it: %+v, %v", state, err)
	}
	e.shows("as the service leaves it", "2")
	backs("after that")

	revision := e.puts(serve.Application{ID: "3", YAML: e.judged.YAML})
	if err := putBack(t.Context(), e.bus, &e.there, no); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("somebody else has applied another since: %v", err)
	}
	if spec, err := e.bus.Spec(t.Context(), "own"); err != nil || spec.Revision != revision {
		t.Errorf("that is gone: %v", err)
	}
}
