package serve

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"streamcanary/decisions"
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
		if reply := v.request(schemas.Command{ID: "r-3", Do: "retry", Comment: "x"}); !strings.Contains(reply.Refused, "users takes no writes since it was frozen, and a new epoch would forget that: `rollout resume story") {
			t.Errorf("a retry of what is frozen: %+v", reply)
		}
		v.honest()
	})
}

// TestLookingTakesAViewer: with tokens nobody looks at rollouts without one.
func TestLookingTakesAViewer(t *testing.T) {
	e := aDoor(t, doorTokens, nil)
	for _, test := range []struct {
		path, token string
		status      int
		want        string
	}{
		{"/v1/rollouts", "", 403, "a token is needed"},
		{"/v1/rollouts", "Bearer stranger-token-123", 403, "not one of those"},
		{"/v1/rollouts", "Bearer alerter-token-1234", 403, "am is an alerter: looking at rollouts takes a viewer"},
		{"/v1/rollouts/x", "", 403, "a token is needed"},
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
