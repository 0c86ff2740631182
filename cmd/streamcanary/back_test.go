package main

import (
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// decides folds inputs into a rollout's record, publishes what was decided, and stores it.
func decides(t *testing.T, b *bus.Bus, sequence uint64, inputs ...decisions.Input) decisions.Head {
	t.Helper()
	h := decisions.NewHead(sequence)
	for _, in := range inputs {
		var err error
		if h, _, err = h.Take(in); err != nil {
			t.Fatal(err)
		}
	}
	h, err := b.Deliver(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.SaveHead(t.Context(), h, 0); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestMayGoBack: there is a way back from what is promoted and can be read, as long as nothing else was decided that has moved something.
func TestMayGoBack(t *testing.T) {
	b, _ := deciding(t)
	terms := func(rollout string) decisions.Terms {
		return decisions.Terms{Rollout: rollout, Model: "ranker", Baseline: "41", Canary: "42", Mode: schemas.Enforce, Stages: []decisions.StageTerms{{WeightBP: 500}}, AckWithinMs: 1000, DrainWithinMs: 1000}
	}
	ack := func(seq int64, status schemas.AckStatus) decisions.Input {
		id, err := schemas.DecisionID("r", 1, seq)
		if err != nil {
			t.Fatal(err)
		}
		return decisions.Input{Kind: decisions.InputAck, WallMs: seq, Ack: &schemas.Ack{Decision: id, Epoch: 1, Seq: seq, Consumer: "eu", Status: status}}
	}
	start := func(rollout string, epoch int64, prev *schemas.Prev, found ...decisions.Pillar) decisions.Input {
		return decisions.Input{Kind: decisions.InputApplied, Applied: &decisions.Applied{Terms: terms(rollout), Epoch: epoch, Prev: prev, Actor: schemas.Actor{Kind: "person"}, Pillars: found}}
	}
	promote := decisions.Input{Kind: decisions.InputCommand, Command: &decisions.Command{Do: decisions.CommandPromote, Actor: schemas.Actor{Kind: "person", Name: "ada"}}}
	h := decides(t, b, 0, start("r", 1, nil), ack(1, schemas.AckPrepared), ack(2, schemas.AckApplied), promote, ack(3, schemas.AckApplied))
	may := func(want string, change func(*decisions.State), override bool) {
		t.Helper()
		s := h.State
		if change != nil {
			change(&s)
		}
		if err := mayGoBack(t.Context(), b, &s, override); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	illegible := func(s *decisions.State) {
		s.Terms.State = decisions.StateTerms{Mode: schemas.StateShared, Stores: []string{"users"}}
	}
	may("", nil, false)
	const lost = "the decision log has lost decisions of model "
	may(lost+"ranker: it hasn't got the promotion of rollout r (epoch 2)", func(s *decisions.State) { s.Epoch = 2 }, true)
	may(lost+"other: it hasn't got the promotion of rollout r (epoch 1)", func(s *decisions.State) { s.Terms.Model = "other" }, true)
	may("rollout r is running, not promoted", func(s *decisions.State) { s.Status = decisions.StatusRunning }, true)
	ended := func(status decisions.Status) func(*decisions.State) {
		return func(s *decisions.State) { s.Status = status }
	}
	may("rollout r is superseded, not promoted: another rollout of model ranker took over from it, and moves the traffic since: `streamcanary rollout list` names it", ended(decisions.StatusSuperseded), true)
	may("rollout r is rolled-back, not promoted: 41 has all traffic again", ended(decisions.StatusRolledBack), true)
	may("rollout r is refused, not promoted: it never began", ended(decisions.StatusRefused), true)
	may("41 can't read what 42 wrote to users (state.compatible: false)", illegible, false)
	may("", illegible, true)
	gone := decisions.NewPillar(decisions.PillarRegistry, decisions.PillarFailed, []string{"it is gone"})
	other := decides(t, b, h.SubjectSeq, start("r-back", 2, h.State.Prev, gone))
	may("", nil, false) // a way back that never began has moved nothing
	began := time.Now()
	if err := begunToBack(t.Context(), b, "r-back", ""); err == nil || !strings.HasPrefix(err.Error(), "Rollout r-back does not start, and no traffic is moved: pillar registry failed: it is gone.") || time.Since(began) > backWithin/2 {
		t.Errorf("a way back that is refused is answered after %s with %v", time.Since(began), err)
	}
	decides(t, b, other.SubjectSeq, start("other", 3, other.State.Prev))
	may("rollout other has decided about model ranker since (epoch 3)", nil, true)
}
