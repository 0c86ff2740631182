package main

import (
	"errors"
	"testing"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestTwins: of two who apply the same file at one moment the second one hears of the first, which stands for both; whoever meets another thing hears what that is.
func TestTwins(t *testing.T) {
	b, _ := withoutServe(t)
	own, err := schemas.ParseRollout("r.yaml", []byte(rolloutOf("r", "ranker")))
	if err != nil {
		t.Fatal(err)
	}
	mine := application{Application: serve.Application{ID: "mine", File: "r.yaml", YAML: rolloutOf("r", "ranker"), From: 4000, At: 1000}, rollout: own}
	for _, test := range []struct {
		name   string
		change func(a *serve.Application)
		starts []string
		told   string
		err    string
	}{
		{"the same", func(*serve.Application) {}, nil, "rollout r: bob has applied this very file at the same moment (1970-01-01T00:00:01.002Z): that one stands for both, and what follows is of it", ""},
		{"from another time, which was asked for", func(*serve.Application) {}, []string{"--from"}, "", "bob has applied r.yaml at 1970-01-01T00:00:01.002Z: look with `streamcanary rollout show r` what runs, and apply yours again where it is meant"},
		{"another file", func(a *serve.Application) { a.YAML += "# more\n" }, nil, "", "bob has applied r.yaml at 1970-01-01T00:00:01.002Z: look with `streamcanary rollout show r` what runs, and apply yours again where it is meant"},
		{"another flag", func(a *serve.Application) { a.Supersede = true }, nil, "", "bob has applied r.yaml at 1970-01-01T00:00:01.002Z: look with `streamcanary rollout show r` what runs, and apply yours again where it is meant"},
		{"its end", func(a *serve.Application) { a.Delete = true }, nil, "", "bob deletes it, as of 1970-01-01T00:00:01.002Z: apply it again when that is done"},
	} {
		theirs := mine.Application
		theirs.ID, theirs.From, theirs.At, theirs.Actor.Name = "theirs", 4002, 1002, "bob"
		test.change(&theirs)
		body, err := theirs.Encode()
		if err != nil {
			t.Fatal(err)
		}
		there, _ := b.Spec(t.Context(), "r")
		revision, err := b.PutSpec(t.Context(), bus.Spec{Rollout: "r", Body: body, Revision: there.Revision})
		if err != nil {
			t.Fatal(err)
		}
		_, met := b.PutSpec(t.Context(), bus.Spec{Rollout: "r", Body: []byte("mine"), Revision: revision - 1})
		a := mine
		a.starts = test.starts
		got, err := meetsAnother(t.Context(), b, &a, met)
		if err == nil && a.twinText() != test.told || (err == nil) != (test.err == "") || err != nil && (err.Error() != met.Error()+": "+test.err || !errors.Is(err, bus.ErrConflict)) {
			t.Errorf("%s: %v, told %q, want %q and %q", test.name, err, a.twinText(), test.err, test.told)
		}
		if err == nil && (got != revision || a.ID != "theirs") {
			t.Errorf("%s: goes on with %s at revision %d, want %d", test.name, a.ID, got, revision)
		}
	}
}

// TestTakenUpLater: who has not said from when on windows are judged hears from when on they are, which may be later than it was to be.
func TestTakenUpLater(t *testing.T) {
	b, _ := withoutServe(t)
	own, err := schemas.ParseRollout("r.yaml", []byte(rolloutOf("r", "ranker")))
	if err != nil {
		t.Fatal(err)
	}
	a := application{Application: serve.Application{ID: "mine", File: "r.yaml", YAML: rolloutOf("r", "ranker"), From: 4000, At: 1000, Soon: true}, rollout: own}
	begun := a.Application
	begun.From = 14_000
	head := decisions.NewHead(0)
	if head.Applied, err = begun.Encode(); err != nil {
		t.Fatal(err)
	}
	head.State = decisions.State{Epoch: 1, Status: decisions.StatusRunning, Terms: decisions.Terms{Rollout: "r", Model: "ranker", Application: "mine"}}
	if _, err := b.SaveHead(t.Context(), head, 0); err != nil {
		t.Fatal(err)
	}
	if state, err := takenUp(t.Context(), b, &a); err != nil || state.Epoch != 1 || a.From != 14_000 {
		t.Errorf("epoch %d, from %d on (%v)", state.Epoch, a.From, err)
	}
}
