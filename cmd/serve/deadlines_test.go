package serve

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestNobodyIsMissedAfterARestart: deadlines that passed while nobody heard the answers are told only once those that come with the restart were heard: of a sink that is
// told then, and of a router that answered meanwhile, there is no page at all.
func TestNobodyIsMissedAfterARestart(t *testing.T) {
	inVillage(t, rolloutWith(atOnce+betweenWindows+pagers), sinksOutside, func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(20 * time.Second)
		v.ask("rollback", false)
		v.stopService() // the router hears of it, and nobody else yet
		v.wait(5 * time.Minute)
		v.stopService = v.service()
		v.wait(time.Minute)
		for _, kind := range []schemas.NoticeKind{schemas.NoticeSinkOverdue, schemas.NoticeAcksOverdue} {
			if told := v.notices(kind); len(told) > 0 {
				t.Errorf("told %d times: %s", len(told), told[0].Sentence)
			}
		}
		v.completed()
	})
}

// TestNobodyLooksTooEarly: until what was judged before a restart is known again, who asks hears that, and nothing that would have less in it.
func TestNobodyLooksTooEarly(t *testing.T) {
	e := aDoor(t, doorTokens, nil)
	look := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/v1/rollouts", nil)
		r.Header.Set("Authorization", "Bearer viewer-token-12345")
		w := httptest.NewRecorder()
		e.server.Handler.ServeHTTP(w, r)
		return w
	}
	e.board.catching.Store(true)
	if w := look(); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "catches up with what was judged before: ask again in a moment") {
		t.Errorf("too early: %d %s", w.Code, w.Body)
	}
	c := &court{board: e.board, seen: e.seen, desks: map[string]*desk{"one": {}}, catching: true}
	c.show() // of a desk that is being folded, nothing is shown
	delete(c.desks, "one")
	c.caughtUp()
	if w := look(); w.Code != http.StatusOK || w.Body.String() != "[]\n" {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}
