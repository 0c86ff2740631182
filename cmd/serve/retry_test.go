package serve

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// request sends a command with an id of its own.
func (v *village) request(c schemas.Command) *schemas.CommandReply {
	v.Helper()
	c.By = "ada"
	reply, err := v.bus.Ask(v.Context(), "story", &c, "")
	v.must(err)
	return reply
}

// TestRetryByCommand: a retry waits for what the epoch has under way, begins one new epoch, and no command that was sent before does anything to that.
func TestRetryByCommand(t *testing.T) {
	inVillage(t, rolloutWith(atOnce+sharedAnd), "", func(v *village) {
		shelf := &shelf{}
		shelf.empty.Store(true)
		v.keeps(shelf)
		v.status(decisions.StatusRunning)
		if reply := v.request(schemas.Command{ID: "r-0", Do: "retry", Comment: "x"}); !strings.Contains(reply.Refused, "epoch 1 is running, and a new one would forget what it has shown") {
			t.Errorf("a retry of what runs: %+v", reply)
		}
		v.wait(100 * time.Millisecond)
		told := v.notices(schemas.NoticeCommandRefused)
		if len(told) != 1 || !strings.HasPrefix(told[0].Sentence, "Command retry of rollout story is refused: epoch 1 is running, ") || told[0].Actor == nil || *told[0].Actor != (schemas.Actor{Kind: "person", Name: "ada", Comment: "x"}) {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		back := schemas.Command{ID: "b-1", Do: "rollback", Comment: "users complain"}
		decided := v.request(back)
		if decided.Decision == "" {
			t.Fatalf("the rollback: %+v", decided)
		}
		v.until("restore failed", func(s *decisions.State) bool {
			return slices.ContainsFunc(s.Saga.Steps, func(x decisions.SagaStep) bool {
				return x.Name == decisions.StepRestore && x.State == decisions.StepFailed
			})
		})
		retry := schemas.Command{ID: "r-1", Do: "retry", Comment: "once more", Override: true}
		if reply := v.request(retry); !strings.Contains(reply.Refused, "step restore failed, and waits for users: the snapshot is gone") {
			t.Errorf("a retry over a rollback that is not carried out: %+v", reply)
		}
		shelf.empty.Store(false)
		v.completed()
		retry.ID = "r-2"
		for range 2 { // the second is the same request
			if reply := v.request(retry); reply.Decision != "story.2.1" {
				t.Errorf("the retry: %+v", reply)
			}
		}
		v.until("epoch 2 runs", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		v.restart()
		if reply := v.request(back); *reply != *decided {
			t.Errorf("the rollback, sent again: %+v, want %+v", reply, decided)
		}
		for _, test := range []struct {
			c    schemas.Command
			want string
		}{
			{schemas.Command{ID: "b-1", Do: "pause", Comment: "users complain"}, "id b-1 was given to another command"},
			{schemas.Command{ID: "r-2", Do: "retry", Comment: "and again"}, "id r-2 was given to another command"},
			{schemas.Command{ID: "p-1", Do: "pause", Comment: "x", Epoch: 1}, "it is meant for epoch 1, and rollout story is in epoch 2"},
		} {
			if reply := v.request(test.c); !strings.Contains(reply.Refused, test.want) {
				t.Errorf("%+v: %+v, want it refused: %s", test.c, reply, test.want)
			}
		}
		v.until("epoch 2 still runs", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		if reply := v.request(schemas.Command{ID: "f-1", Do: "freeze", Comment: "x", Epoch: 2}); reply.Decision == "" {
			t.Errorf("freeze: %+v", reply)
		}
		if reply := v.request(schemas.Command{ID: "r-3", Do: "retry", Comment: "x"}); !strings.Contains(reply.Refused, "users was told to take no writes, and a new epoch would forget that: `rollout resume story") {
			t.Errorf("a retry of what is frozen: %+v", reply)
		}
		v.request(schemas.Command{ID: "f-2", Do: "resume", Comment: "x"})
		if reply := v.request(schemas.Command{ID: "r-4", Do: "retry", Comment: "x", Override: true}); reply.Decision != "story.3.1" {
			t.Errorf("a retry of what runs, by force: %+v", reply)
		}
		if text := v.timeline(); !strings.Contains(text, "Rollout story begins anew, as epoch 3, by override past running: canary v2") {
			t.Errorf("the override isn't said:\n%s", text)
		}
		v.honest()
	})
}

// TestALateCommand: a command that waits when another epoch begins is refused, and is known to that epoch; one of another rollout under the same id waits on.
func TestALateCommand(t *testing.T) {
	var told []string
	ask := func(sum string) *asked {
		return &asked{sum: sum, replies: []func(*schemas.CommandReply){func(r *schemas.CommandReply) { told = append(told, sum+": "+r.Refused) }}}
	}
	c := &court{seen: newMetrics("test"), asking: map[request]*asked{{"one", "x"}: ask("back"), {"two", "x"}: ask("other"), {"one", "r-1"}: ask("retry")}}
	before := &desk{rollout: &schemas.Rollout{Name: "one"}, head: decisions.Head{State: decisions.State{Commanded: []decisions.Commanded{{ID: "p", Decision: "one.1.3"}}}}}
	why := "epoch 2 began before it was taken, and nothing is done: look at the rollout, then decide anew, with another id"
	have := c.leave(before, &Application{ID: "r-1"}, 2).Commanded
	want := []decisions.Commanded{{ID: "p", Decision: "one.1.3"}, {ID: "x", Sum: "back", Refused: why}}
	if !slices.Equal(have, want) || !slices.Equal(told, []string{"back: " + why}) || len(c.asking) != 2 {
		t.Errorf("taken over %+v, told %q, %d wait", have, told, len(c.asking))
	}
}

// TestLookingTakesAViewer: with tokens nobody looks at rollouts without one.
func TestLookingTakesAViewer(t *testing.T) {
	e := aDoor(t, doorTokens, nil)
	for _, test := range []struct {
		path, token string
		status      int
		want        string
	}{
		{"/v1/rollouts", "", 401, "a token is needed"},
		{"/v1/rollouts", "Bearer stranger-token-123", 401, "not one of those"},
		{"/v1/rollouts", "Bearer alerter-token-1234", 403, "am is an alerter: looking at rollouts takes a viewer"},
		{"/v1/rollouts/x", "", 401, "a token is needed"},
		{"/v1/rollouts", "Bearer viewer-token-12345", 200, "[]"},
		{"/v1/rollouts/x", "Bearer operator-token-1234", 404, "no rollout of that name"},
		{"/livez", "", 200, "ok"},
	} {
		r := httptest.NewRequest(http.MethodGet, test.path, nil)
		if test.token != "" {
			r.Header.Set("Authorization", test.token)
		}
		w := httptest.NewRecorder()
		e.server.Handler.ServeHTTP(w, r)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("%s with %q: %d %s, want %d %s", test.path, test.token, w.Code, w.Body, test.status, test.want)
		}
	}
}

// TestCommandsOfNobody: over HTTP, who has no token, or one that isn't known, is asked for one; who has one that isn't enough is denied.
func TestCommandsOfNobody(t *testing.T) {
	e := aDoor(t, doorTokens, nil)
	c := &court{bus: newChamber(t, t.TempDir()).court.bus, people: e.people, seen: e.seen, log: zerolog.Nop(), desks: map[string]*desk{}, board: &board{}}
	e.ask, e.knock = c.command, c.knock
	for _, name := range strings.Fields("l k j i h g f e d c b a") {
		c.desks[name] = &desk{}
	}
	const json, form = "application/json", "application/x-www-form-urlencoded"
	for _, test := range []struct {
		token, kind string
		status      int
		asks        string
		want        string
	}{
		{"", json, 401, "Bearer", `"denied":"a token is needed`},
		{"", form, 401, "Bearer", `"denied":"a token is needed`},
		{"Bearer stranger-token-123", json, 401, `Bearer error="invalid_token"`, `"denied":"the token is not one of those`},
		{"Bearer stranger-token-123", "", 401, `Bearer error="invalid_token"`, `"denied":"the token is not one of those`},
		{"Bearer alerter-token-1234", json, 403, "", `"denied":"am is an alerter: a command takes an operator`},
		{"Bearer viewer-token-12345", form, 403, "", `"denied":"vic is a viewer: a command takes an operator`},
		{"Bearer operator-token-1234", form, 415, "", "the Content-Type must be application/json"},
		{"Bearer operator-token-1234", json, 404, "",
			`{"refused":"no rollout x is judged here; there are a, b, c, d, e, f, g, h, i, j and 2 more: ` + "`streamcanary rollout list` or GET /v1/rollouts lists them\"}"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/rollouts/x/commands", strings.NewReader(`{"id":"1","do":"pause","comment":"c"}`))
		if test.kind != "" {
			r.Header.Set("Content-Type", test.kind)
		}
		if test.token != "" {
			r.Header.Set("Authorization", test.token)
		}
		w := httptest.NewRecorder()
		e.server.Handler.ServeHTTP(w, r)
		if w.Code != test.status || w.Header().Get("WWW-Authenticate") != test.asks || !strings.Contains(w.Body.String(), test.want) {
			t.Errorf("with %q as %q: %d %s %q, want %d %s %q", test.token, test.kind, w.Code, w.Body, w.Header().Get("WWW-Authenticate"), test.status, test.want, test.asks)
		}
	}
}

// TestHandedInByNobody: with tokens, what is written into the bucket and was announced by nobody who may is refused, and judged is what was.
func TestHandedInByNobody(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens")
	put(t, filepath.Dir(tokens), "tokens", doorTokens)
	inVillage(t, rolloutWith(atOnce), "http: {listen: \"127.0.0.1:0\", tokensFile: "+tokens+"}\n", func(v *village) {
		v.wait(5 * time.Second)
		if _, _, err := v.bus.LoadHead(v.Context(), "story"); !errors.Is(err, bus.ErrNotFound) {
			t.Fatalf("a rollout that nobody announced is judged: %v", err)
		}
		there, err := v.bus.Spec(v.Context(), "story")
		v.must(err)
		say := func(do string, body []byte, token string) *schemas.CommandReply {
			sum := sha256.Sum256(body)
			reply, err := v.bus.Ask(v.Context(), "story", &schemas.Command{ID: do, Do: do, Comment: "x", Sum: hex.EncodeToString(sum[:])}, token)
			v.must(err)
			return reply
		}
		if reply := say("apply", there.Body, "Bearer viewer-token-12345"); !strings.HasPrefix(reply.Denied, "vic is a viewer: apply takes an operator: ") {
			t.Errorf("a viewer applies: %+v", reply)
		}
		if reply := say("apply", []byte("another"), "Bearer operator-token-1234"); *reply != (schemas.CommandReply{}) {
			t.Errorf("announced: %+v", reply)
		}
		v.apply("story", rolloutWith(atOnce)) // and that is not what was announced
		v.wait(5 * time.Second)
		if _, _, err := v.bus.LoadHead(v.Context(), "story"); !errors.Is(err, bus.ErrNotFound) {
			t.Errorf("another file than the one that was announced is judged: %v", err)
		}
		a := Application{ID: "mine", From: schemas.Time(time.Now().UnixMilli()), File: "story.yaml", YAML: rolloutWith(atOnce), Actor: schemas.Actor{Kind: "person", Name: "mallory"}}
		body, err := a.Encode()
		v.must(err)
		say("apply", body, "Bearer operator-token-1234")
		there, err = v.bus.Spec(v.Context(), "story")
		v.must(err)
		_, err = v.bus.PutSpec(v.Context(), bus.Spec{Rollout: "story", Body: body, Revision: there.Revision})
		v.must(err)
		v.status(decisions.StatusRunning)
		if !strings.Contains(v.timeline(), "1.1 START prepare by ada") {
			t.Errorf("it isn't said who applied it:\n%s", v.timeline())
		}
		v.apply("story", rolloutWith(atOnce), func(a *Application) { a.Delete = true })
		v.wait(5 * time.Second)
		v.status(decisions.StatusRunning)
		a.ID, a.Force = "by force", true // which an operator may not, and doesn't announce
		body, err = a.Encode()
		v.must(err)
		say("apply", body, "Bearer operator-token-1234")
		there, err = v.bus.Spec(v.Context(), "story")
		v.must(err)
		_, err = v.bus.PutSpec(v.Context(), bus.Spec{Rollout: "story", Body: body, Revision: there.Revision})
		v.must(err)
		v.wait(5 * time.Second)
		if head, _, err := v.bus.LoadHead(v.Context(), "story"); err != nil || head.State.Epoch != 1 {
			t.Errorf("an operator begins epoch %d by force (%v)", head.State.Epoch, err)
		}
	})
}

// TestTakenAsHandedIn: an application whose start is read back while NATS doesn't answer comes again with the bytes of its file, by which whoever announced it is known.
func TestTakenAsHandedIn(t *testing.T) {
	ch := newChamber(t, t.TempDir())
	c := ch.court
	c.config, c.retention, c.rivals, c.pending = &schemas.Config{}, -1, map[string]rival{}, map[string]handed{}
	text := rolloutWith(atOnce)
	r, err := schemas.ParseRollout("story.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	a := Application{ID: "mine", File: "story.yaml", YAML: text, Actor: schemas.Actor{Kind: "person", Name: "login"}}
	body, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	a.Actor.Name = "ada" // who has announced it, by their token
	terms := decisions.TermsOf(r.Walked())
	terms.Application = a.ID
	in := decisions.Input{Kind: decisions.InputApplied, WallMs: 1, Applied: &decisions.Applied{Terms: terms, Epoch: 1, Actor: a.Actor}}
	record, err := startRecord(&start{Application: a, Instance: c.instance}, in)
	if err != nil {
		t.Fatal(err)
	}
	x := handed{bus.Spec{Rollout: "story", Body: body, Revision: 7}, a}
	c.pending["story"] = x
	ch.conn.Close()
	if err := c.applied(t.Context(), &record, &entry{rollout: "story", epoch: 1, input: &in}); err != nil {
		t.Fatal(err)
	}
	c.applyAgain(t.Context(), &x)
	if len(c.untaken) != 2 {
		t.Fatalf("%d come again", len(c.untaken))
	}
	for _, s := range c.untaken {
		if s.Rollout != "story" || !bytes.Equal(s.Body, body) {
			t.Errorf("again comes %s %s, want %s", s.Rollout, s.Body, body)
		}
	}
}

// TestUnannounced: what nobody has announced says of itself who it is from, and the refusal says what is known, and what to do.
func TestUnannounced(t *testing.T) {
	c := &court{began: time.UnixMilli(5000)}
	const known = "who handed it in isn't known, and http.tokensFile is set: it names ada, at 1970-01-01T00:00:01.000Z, and nobody has announced it to this service since that started, at 1970-01-01T00:00:05.000Z. " +
		"Hand it in again while the service runs, which says who does: "
	a := Application{ID: "x", At: 1000, File: "r.yaml", Actor: schemas.Actor{Kind: "person", Name: "ada"}}
	for want, change := range map[string]func(a *Application){
		"`rollout apply --rollout r.yaml --token-file FILE`":       func(*Application) {},
		"`rollout delete r --token-file FILE`":                     func(a *Application) { a.Delete = true },
		"`rollout retry r --id x --comment WHY --token-file FILE`": func(a *Application) { a.Retry = true },
	} {
		one := a
		change(&one)
		if have := c.unannounced("r", &one).Error(); have != known+want {
			t.Errorf("%s\nwant\n%s", have, known+want)
		}
	}
}

// TestALateRetry: a retry that the record knows to be refused begins no epoch, whatever of it still stands in the bucket; the file of the running epoch stands there again.
func TestALateRetry(t *testing.T) {
	inVillage(t, rolloutWith(atOnce), "", func(v *village) {
		v.status(decisions.StatusRunning)
		if reply := v.request(schemas.Command{ID: "late", Do: "resume", Comment: "x"}); reply.Refused == "" {
			t.Fatalf("resumed: %+v", reply)
		}
		v.stopService() // it is written while nobody reads
		v.apply("story", rolloutWith(atOnce), func(a *Application) { a.ID, a.Retry = "late", true })
		v.stopService = v.service()
		v.wait(5 * time.Second)
		there, err := v.bus.Spec(v.Context(), "story")
		v.must(err)
		a, err := ReadApplication(there.Body)
		v.must(err)
		head, _, err := v.bus.LoadHead(v.Context(), "story")
		v.must(err)
		if head.State.Epoch != 1 || a.ID != head.State.Terms.Application {
			t.Errorf("epoch %d, of application %s, and the file is that of %s", head.State.Epoch, head.State.Terms.Application, a.ID)
		}
	})
}
