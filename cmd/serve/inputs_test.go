package serve

import (
	"reflect"
	"testing"

	"streamcanary/cmd/engine"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// standing holds the decisions of the story to what they say that they stand on: each one to the journal from the start of the epoch on, and of the
// rollback exactly that: folded again, these records ask for it, and without the last one they don't.
func (s *stage) standing(t *testing.T) {
	t.Helper()
	head, _, err := s.bus.LoadHead(t.Context(), "story")
	if err != nil {
		t.Fatal(err)
	}
	last := schemas.Input{Topic: JournalTopic, Partition: head.From[0].Partition, From: head.From[0].Offset, To: head.From[0].Offset}
	err = s.bus.Log(t.Context(), bus.LogQuery{Model: "ranker"}, func(l bus.Logged) error {
		inputs := l.Decision.Evidence.Inputs
		if len(inputs) != 1 || inputs[0].To < last.To {
			t.Fatalf("decision %s stands on %v, the one before it on %v", l.Decision.ID, inputs, last)
		}
		last.To = inputs[0].To
		if !reflect.DeepEqual(inputs[0], last) {
			t.Errorf("decision %s stands on %v, want %v", l.Decision.ID, inputs[0], last)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if at := s.foldAgain(t, &head, last); at != last.To {
		t.Errorf("folded again, the journal asks for a rollback at offset %d; the decision stands on %v", at, last)
	}
	s.recomputed(t)
}

// foldAgain folds a range of the journal, and returns the offset of the record that asks for a rollback; -1: none does.
func (s *stage) foldAgain(t *testing.T, head *decisions.Head, in schemas.Input) int64 {
	t.Helper()
	fold := s.emptyFold(t, head)
	reader, err := s.client.Log(in.Topic, 0).ReadFrom(t.Context(), map[int32]int64{in.Partition: in.From})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for {
		record, err := reader.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if record.Partition != in.Partition {
			continue
		}
		if asksForRollback(t, fold, &record) {
			return record.Offset
		}
		if record.Offset >= in.To {
			return -1
		}
	}
}

// emptyFold is stage two of a record's epoch, before it has read anything. It knows what a desk knows that takes up the record (desk.follow), but for the stages.
func (s *stage) emptyFold(t *testing.T, head *decisions.Head) *engine.Fold {
	t.Helper()
	application, r, err := DecodeApplication(head.Applied)
	if err != nil {
		t.Fatal(err)
	}
	var from engine.Sources
	for number := range int32(3) {
		from.Predictions = append(from.Predictions, windows.Partition{Topic: s.topics.predictions, Number: number})
		from.Samples = append(from.Samples, windows.Partition{Topic: s.topics.samples, Number: number})
	}
	plan := engine.PlanOf(r, head.State.Epoch, int64(application.From))
	fold := engine.NewFold(r, &plan, from)
	fold.Begin(head.State.FromMs)
	fold.Due(head.State.DueMs, head.State.Routed())
	return fold
}

// asksForRollback folds one record of the journal.
func asksForRollback(t *testing.T, fold *engine.Fold, record *kafka.Entry) bool {
	t.Helper()
	e, err := decodeEntry(record)
	if err != nil {
		t.Fatal(err)
	}
	if e.part != nil {
		_ = fold.Add(e.key, e.part) // of another rollout, or behind a hole: not taken, as in the service
	}
	if e.input != nil && e.input.Kind == decisions.InputRuling && e.input.Ruling.Kind == decisions.RulingRelease && !e.input.Ruling.Idle {
		fold.Release(streamNamed(e.input.Ruling.Stream), e.input.Ruling.UpToMs)
	}
	asks := false
	for turn, due := fold.Next(); due; turn, due = fold.Next() {
		asks = asks || turn.Verdict != nil && turn.Verdict.Action == decisions.VerdictRollback
	}
	return asks
}
