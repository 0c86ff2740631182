package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"streamcanary/cmd/embed"
	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// withoutServe is a NATS on which no service runs.
func withoutServe(t *testing.T) (*bus.Bus, string) {
	t.Helper()
	servers, err := embed.Start(embed.Options{Dir: t.TempDir(), NATS: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { servers.Close() })
	b, err := bus.Connect(t.Context(), bus.Options{URLs: []string{servers.NATSURL()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b, servers.NATSURL()
}

// deciding is a connection, beside no service, that may sign decisions.
func deciding(t *testing.T) (*bus.Bus, string) {
	t.Helper()
	_, url := withoutServe(t)
	key, err := schemas.NewSigningKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.Connect(t.Context(), bus.Options{URLs: []string{url}, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b, url
}

// TestUnreadableRecord: a record that can't be read stands in the list as that, beside the others, and is deleted by force alone.
func TestUnreadableRecord(t *testing.T) {
	b, url := withoutServe(t)
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, name := range []string{"garbled", "sound"} {
		if _, err := b.PutSpec(t.Context(), bus.Spec{Rollout: name, Body: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Request("$KV.streamcanary-rollouts.garbled.state", []byte("hello"), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	var out, told bytes.Buffer
	c := &console{out: &out, err: &told}
	list := listCommand(c)
	list.SetArgs([]string{"--nats-urls", url, "--data", t.TempDir()})
	if err := list.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "unreadable") || !strings.Contains(out.String(), "sound") ||
		!strings.Contains(told.String(), "rollout garbled is unreadable: read record of rollout garbled") {
		t.Errorf("%v\n%s%s", err, out.String(), told.String())
	}
	if err := deleteRollout(t.Context(), c, b, removal{name: "garbled"}); err == nil || !strings.Contains(err.Error(), "--force removes it") {
		t.Errorf("deleted without force: %v", err)
	}
	if err := deleteRollout(t.Context(), c, b, removal{name: "garbled", force: true}); err != nil {
		t.Error(err)
	}
	if _, _, err := b.LoadHead(t.Context(), "garbled"); !errors.Is(err, bus.ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
}

// TestDeleteWhatIsRefused: an entry that no service judges, since it can't be read or is too large, can be deleted.
func TestDeleteWhatIsRefused(t *testing.T) {
	b, _ := withoutServe(t)
	large, err := json.Marshal(serve.Application{ID: "a", YAML: strings.Repeat("#", serve.MaxApplicationBytes)})
	if err != nil {
		t.Fatal(err)
	}
	for name, entry := range map[string]string{"garbage": "hello", "refused": `{"id":"a","file":"r.yaml","yaml":"kind: Rollout"}`, "large": string(large), "empty": ""} {
		if _, err := b.PutSpec(t.Context(), bus.Spec{Rollout: name, Body: []byte(entry)}); err != nil {
			t.Fatal(err)
		}
		var told bytes.Buffer
		if err := deleteRollout(t.Context(), &console{err: &told}, b, removal{name: name, comment: "x"}); err != nil || told.String() != "rollout "+name+" is deleted\n" {
			t.Errorf("%s: error %v, told %q", name, err, told.String())
		}
		if _, err := b.Spec(t.Context(), name); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}

// TestDeleteWhileARollbackIsOpen: without force the answer comes at once, nothing is handed in that would delete the rollout later, and the rollout stays.
func TestDeleteWhileARollbackIsOpen(t *testing.T) {
	b, _ := withoutServe(t)
	const entry = `{"id":"a","file":"r.yaml","yaml":"kind: Rollout"}`
	if _, err := b.PutSpec(t.Context(), bus.Spec{Rollout: "r", Body: []byte(entry)}); err != nil {
		t.Fatal(err)
	}
	wait := &decisions.Wait{Decision: "r.1.3", Seq: 3, Names: []string{"eu", "us"}, Got: []string{"eu"}}
	head := decisions.NewHead(0)
	head.State = decisions.State{Epoch: 1, Status: decisions.StatusRolledBack, Terms: decisions.Terms{Rollout: "r", Model: "m", Mode: schemas.Enforce},
		Saga: &decisions.Saga{Decision: "r.1.3", Steps: []decisions.SagaStep{{Name: decisions.StepRoute, State: decisions.StepSent, Wait: wait}}}}
	if _, err := b.SaveHead(t.Context(), head, 0); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err := deleteRollout(t.Context(), &console{err: &bytes.Buffer{}}, b, removal{name: "r"})
	const want = "rollout r: its rollback is not yet carried out (step route waits for us): wait for it (`streamcanary rollout show r`), or give up following it with `streamcanary rollout delete r --force`"
	if took := time.Since(began); err == nil || err.Error() != want || took > deleteWithin/2 {
		t.Errorf("after %s: %v, want %s", took, err, want)
	}
	if there, err := b.Spec(t.Context(), "r"); err != nil || string(there.Body) != entry {
		t.Errorf("the entry is %s (%v)", there.Body, err)
	}
}

// TestDeleteTellsWhatWasWritten: who deletes a rollout whose canary may have written shared state is told in the answer, too.
func TestDeleteTellsWhatWasWritten(t *testing.T) {
	b, _ := withoutServe(t)
	for _, asJSON := range []bool{false, true} {
		if _, err := b.PutSpec(t.Context(), bus.Spec{Rollout: "r", Body: []byte(`{"id":"a"}`)}); err != nil {
			t.Fatal(err)
		}
		head := decisions.NewHead(0)
		head.State = decisions.State{Epoch: 1, Status: decisions.StatusDeleted, FromMs: 1, Snapshots: []decisions.Snapshot{{Store: "users", ID: "snap-1"}}, Terms: decisions.Terms{
			Rollout: "r", Model: "m", Baseline: "v1", Canary: "v2", Mode: schemas.Enforce, State: decisions.StateTerms{Mode: schemas.StateShared, Stores: []string{"users"}}}}
		if _, err := b.SaveHead(t.Context(), head, 0); err != nil {
			t.Fatal(err)
		}
		var out, told bytes.Buffer
		if err := deleteRollout(t.Context(), &console{out: &out, err: &told, json: asJSON}, b, removal{name: "r"}); err != nil {
			t.Fatal(err)
		}
		const written = "What v2 wrote to users stays there: nothing is restored. By hand it can go back to before v2 (users to snapshot snap-1): "
		want, have := "rollout r is deleted\nstate: "+written, told.String()
		if asJSON {
			want, have = `{"type":"deleted","rollout":"r","state":"`+written, out.String()
		}
		if !strings.HasPrefix(have, want) {
			t.Errorf("%q, want %q", have, want)
		}
	}
}

// TestDeleteTellsWhatIsLeft: who deletes by force a rollout whose rollback isn't carried out is told in the answer what the decision that ends it says.
func TestDeleteTellsWhatIsLeft(t *testing.T) {
	b, _ := withoutServe(t)
	const left = "The rollout was deleted before its rollback was carried out, and nobody follows that any more. users takes no writes."
	for _, asJSON := range []bool{false, true} {
		if _, err := b.PutSpec(t.Context(), bus.Spec{Rollout: "r", Body: []byte(`{"id":"a"}`)}); err != nil {
			t.Fatal(err)
		}
		head := decisions.NewHead(0)
		head.State = decisions.State{Epoch: 1, Status: decisions.StatusDeleted, Frozen: true, Why: &schemas.Reason{Code: schemas.ReasonDeleted, Sentence: left},
			Saga:  &decisions.Saga{Decision: "r.1.3", Steps: []decisions.SagaStep{{Name: decisions.StepRoute, State: decisions.StepSent}}},
			Terms: decisions.Terms{Rollout: "r", Model: "m", Baseline: "v1", Canary: "v2", Mode: schemas.Enforce, State: decisions.StateTerms{Mode: schemas.StateShared, Stores: []string{"users"}}}}
		if _, err := b.SaveHead(t.Context(), head, 0); err != nil {
			t.Fatal(err)
		}
		var out, told bytes.Buffer
		if err := deleteRollout(t.Context(), &console{out: &out, err: &told, json: asJSON}, b, removal{name: "r", force: true}); err != nil {
			t.Fatal(err)
		}
		want, have := "rollout r is deleted\nleft: "+left+"\n", told.String()
		if asJSON {
			want, have = `{"type":"deleted","rollout":"r","left":"`+left+`"}`+"\n", out.String()
		}
		if have != want {
			t.Errorf("%q, want %q", have, want)
		}
	}
}

// TestDeleteWhileTheRetiredServes: whoever ends the looking hears what is left.
func TestDeleteWhileTheRetiredServes(t *testing.T) {
	b, _ := withoutServe(t)
	if _, err := b.PutSpec(t.Context(), bus.Spec{Rollout: "r", Body: []byte(`{"id":"a","file":"r.yaml","yaml":"kind: Rollout"}`)}); err != nil {
		t.Fatal(err)
	}
	head := decisions.NewHead(0)
	head.State = decisions.State{Epoch: 1, Status: decisions.StatusPromoted, Terms: decisions.Terms{Rollout: "r", Model: "m", Baseline: "41", Canary: "42"},
		Retired: &decisions.Retired{Decision: "r.1.3", Told: true, Drain: decisions.Drain{Seen: 10, LastCanary: 3, LastAll: 10, LastMs: 1000}}}
	if _, err := b.SaveHead(t.Context(), head, 0); err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	const want = "rollout r is deleted\nretired: Promotion r.1.3 gave all traffic to 42, and 41 still had users when last looked at: it served 3 of the 10 predictions of the newest window, up to 1970-01-01T00:00:01.000Z. "
	if err := deleteRollout(t.Context(), &console{err: &told}, b, removal{name: "r"}); err != nil || !strings.HasPrefix(told.String(), want) {
		t.Errorf("%v: told\n%s\nwant\n%s", err, &told, want)
	}
}

// TestDeleteWhatWasLost: where the service takes the record of a rollout away for which it decides nothing any more, a person hears what that leaves.
func TestDeleteWhatWasLost(t *testing.T) {
	b, _ := withoutServe(t)
	if _, err := b.PutSpec(t.Context(), bus.Spec{Rollout: "r", Body: []byte(`{"id":"a","file":"r.yaml","yaml":"kind: Rollout"}`)}); err != nil {
		t.Fatal(err)
	}
	head := decisions.NewHead(0)
	head.State = decisions.State{Epoch: 1, Status: decisions.StatusRunning, Terms: decisions.Terms{Rollout: "r", Model: "m", Baseline: "41", Canary: "42"}}
	revision, err := b.SaveHead(t.Context(), head, 0)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() {
		for {
			there, err := b.Spec(t.Context(), "r")
			if a, _ := serve.ReadApplication(there.Body); err != nil || a.Delete {
				gone <- errors.Join(err, b.DeleteHead(t.Context(), "r", revision))
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	var told bytes.Buffer
	const want = "rollout r is deleted\nleft: nothing was decided for it any more, so no decision has ended it, and no traffic was moved: look at what routers of model m do, and move the traffic by hand\n"
	if err := errors.Join(deleteRollout(t.Context(), &console{err: &told}, b, removal{name: "r", force: true}), <-gone); err != nil || told.String() != want {
		t.Errorf("%v: told\n%s\nwant\n%s", err, &told, want)
	}
}

// TestDeleteWhatIsUnknown: a rollout that the service has as LOST by its last decision alone, without record, and mostly without file, is taken away by that service, by force; without, a person hears what to use, and nothing is handed in.
func TestDeleteWhatIsUnknown(t *testing.T) {
	b, _ := withoutServe(t)
	lost := []serve.Standing{{Rollout: "r", Model: "m", Status: "unknown", Lost: "it is gone.", Routes: []schemas.Route{{Version: "41", WeightBP: 7000}, {Version: "42", WeightBP: 3000}}}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all := lost
		there, err := b.Spec(r.Context(), "r")
		if a, _ := serve.ReadApplication(there.Body); err == nil && a.Delete && a.Force {
			all = nil
		}
		_ = json.NewEncoder(w).Encode(all)
	}))
	defer s.Close()
	at := serve.Addresses{HTTP: strings.TrimPrefix(s.URL, "http://")}
	var told bytes.Buffer
	const want = "rollout r is deleted\nleft: nothing was decided for it any more, so no decision has ended it, and no traffic was moved: by the last decision that is known routes are 41 70.00 %, 42 30.00 %; " +
		"look at what routers of model m do, and move the traffic by hand. Its file and record are gone, and with them which sinks it had: end incidents of it that are open by hand (PagerDuty, Alertmanager)\n"
	for _, file := range []bool{false, true} {
		told.Reset()
		if file { // and the record alone is gone
			if _, err := b.PutSpec(t.Context(), bus.Spec{Rollout: "r", Body: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
		}
		err := deleteRollout(t.Context(), &console{err: &told}, b, removal{name: "r", at: at})
		if err == nil || !strings.HasPrefix(err.Error(), "rollout r is LOST, so no decision can end it: `streamcanary rollout delete r --force`") || !strings.HasSuffix(err.Error(), "says: it is gone.") {
			t.Errorf("file %v: without force: %v", file, err)
		}
		if err := deleteRollout(t.Context(), &console{err: &told}, b, removal{name: "r", at: at, force: true}); err != nil || told.String() != want {
			t.Errorf("file %v: %v: told\n%s\nwant\n%s", file, err, &told, want)
		}
		if _, err := b.Spec(t.Context(), "r"); !errors.Is(err, bus.ErrNotFound) {
			t.Errorf("file %v: its file: %v", file, err)
		}
	}
	if err := deleteRollout(t.Context(), &console{err: &told}, b, removal{name: "other", at: at, force: true}); err == nil || !strings.HasPrefix(err.Error(), "there is no rollout other") {
		t.Errorf("another one: %v", err)
	}
	s.Close()
	const silent = "there is no rollout r in what NATS has, and serve hasn't answered whether it knows one that is LOST ("
	if err := deleteRollout(t.Context(), &console{err: &told}, b, removal{name: "r", at: at, force: true}); err == nil || !strings.HasPrefix(err.Error(), silent) {
		t.Errorf("serve doesn't answer: %v", err)
	}
}

// TestUnended: where a rollout isn't ended in time, a person hears what is known, and what to do.
func TestUnended(t *testing.T) {
	var all []serve.Standing
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(all) }))
	defer s.Close()
	at := strings.TrimPrefix(s.URL, "http://")
	open := decisions.State{Status: decisions.StatusRolledBack, Saga: &decisions.Saga{Steps: []decisions.SagaStep{{Name: decisions.StepRoute, State: decisions.StepSent}}}}
	for _, test := range []struct {
		name  string
		x     removal
		state decisions.State
		live  []serve.Standing
		want  string
	}{
		{"its rollback is open", removal{}, open, nil, "rollout r: its rollback is not yet carried out (step route is sent): wait for it (`streamcanary rollout show r`), or give up following it with `streamcanary rollout delete r --force`"},
		{"nobody is known", removal{}, decisions.State{Status: decisions.StatusRunning}, nil, "rollout r is still running after 10s, and whether a serve runs isn't known (the address of the service is not known here: name its data folder with --data): " +
			"the rollout ends as soon as one that decides for it runs on this NATS; then delete it again"},
		{"another one's", removal{at: serve.Addresses{HTTP: at}}, decisions.State{Status: decisions.StatusRunning}, nil, "rollout r is still running after 10s: the serve at " + at + " doesn't judge it; " +
			"the rollout ends as soon as the one that does runs on this NATS; then delete it again"},
		{"lost", removal{at: serve.Addresses{HTTP: at}, force: true}, open, []serve.Standing{{Rollout: "r", Lost: "It is lost: ask the other one."}}, "rollout r is still rolled-back after 10s, and the serve at " + at +
			" can't end it (when that is mended, delete it again): It is lost: ask the other one."},
		{"another one decides", removal{at: serve.Addresses{HTTP: at}}, decisions.State{Status: decisions.StatusRunning}, []serve.Standing{{Rollout: "r", Lost: "Another one has written its record.", StandsBy: true}},
			"rollout r is still running after 10s: the serve at " + at + " stands by for the one that decides for it; it ends as soon as that one has taken this up, or, where that one was killed, " +
				"as this one takes over (about 1m30s after that): then delete it again, which takes it away. It says: Another one has written its record."},
		{"refused", removal{at: serve.Addresses{HTTP: at}}, decisions.State{Status: decisions.StatusRunning}, []serve.Standing{{Rollout: "r", Refused: "who handed it in isn't known"}},
			"rollout r is still running after 10s: the serve at " + at + " refuses that: who handed it in isn't known"},
		{"slow", removal{at: serve.Addresses{HTTP: at}}, decisions.State{Status: decisions.StatusRunning}, []serve.Standing{{Rollout: "r"}},
			"rollout r is still running after 10s: the serve at " + at + " judges it, and has not ended it; look at its log, then delete it again"},
	} {
		all, test.x.name = test.live, "r"
		if have := unended(t.Context(), &test.x, &test.state).Error(); have != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", test.name, have, test.want)
		}
	}
}

// TestWaits: a wait is silent for a second, and then says what it is for, once.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told bytes.Buffer
		c := &console{err: &told}
		over := c.waits("for %s", "a store")
		time.Sleep(waitsAfter / 2)
		over()
		if told.Len() > 0 {
			t.Errorf("a short wait says %q", told.String())
		}
		over = c.waits("for %s", "a store")
		time.Sleep(5 * waitsAfter)
		over()
		if told.String() != "for a store\n" {
			t.Errorf("a long wait says %q", told.String())
		}
	})
}
