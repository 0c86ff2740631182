package serve

import (
	"testing"
	"testing/synctest"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// TestForged: where somebody writes into a model's log, what is decided next doesn't get there. The log says whose message stands in its way, and what to do.
func TestForged(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := newChamber(t, dir)
		forged := schemas.Decision{
			ID: "story.9.9", Epoch: 9, Seq: 9, Model: "ranker", Rollout: "story", Action: schemas.ActionPromote, Severity: schemas.Info, Mode: schemas.Enforce,
			Routes: []schemas.Route{{Version: "v1"}, {Version: "v2", WeightBP: 10000}}, Actor: schemas.Actor{Kind: "person", Name: "mallory"},
			Reason: schemas.Reason{Code: "commanded", Sentence: "Trust me."},
		}
		body, err := schemas.EncodeDecision("streamcanary", &forged)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.conn.Publish("streamcanary.decision.ranker", body); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.decide(t)
		d := h.court.desks["story"]
		if d.lost == nil {
			t.Fatal("it goes on deciding")
		}
		for _, want := range []string{"the last decision in this model's log, story.9.9 (message 1 of stream STREAMCANARY), is not this serve's (verify: it is not signed", "a rollback neither", "streamcanary rollout apply --rollout FILE --new-epoch"} {
			if h.log.times(want) == 0 {
				t.Errorf("the log has not %q", want)
			}
		}
		h.court.show()
		if s := h.court.board.Standings()[0]; s.Lost == "" || s.Status != decisions.StatusPreparing {
			t.Errorf("standing %+v", s)
		}
		if got := h.metric(t, "streamcanary_rollout_lost"); got != 1 {
			t.Errorf("the metric says %v", got)
		}
		if got := h.metric(t, "streamcanary_acks_missing"); got != 1 {
			t.Errorf("acks that are missing: %v", got)
		}
	})
}
