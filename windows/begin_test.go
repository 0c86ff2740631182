package windows

import (
	"fmt"
	"testing"

	"streamcanary/schemas"
)

// TestFirstEventAhead: an event that is first in its partition and a month ahead drags nothing with it.
func TestFirstEventAhead(t *testing.T) {
	const month = 30 * 86_400_000
	for _, row := range []struct {
		name    string
		odd     []int // places in the log of events that are a month ahead
		many    int
		invalid int64
	}{
		{"the first", []int{0}, 50, 1},
		{"the first two", []int{0, 1}, 50, 2},
		{"the first and the third", []int{0, 2}, 50, 2},
		{"the first of two: the last one is believed", []int{0}, 2, 1},
		{"none", nil, 50, 0},
		{"the only one there is", []int{0}, 1, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := simpleStage(t, Limits{}, simplePlan())
			for i := range row.many {
				ms := int64(100 * i)
				for _, odd := range row.odd {
					if i == odd {
						ms += month
					}
				}
				add(t, s, 0, prediction(fmt.Sprint(i), "v1", ms), i)
			}
			s.Finish(true)
			counts := s.Counts()
			counted, invalid := counts.Of(schemas.KindPrediction, Counted), counts.Of(schemas.KindPrediction, Invalid)
			if counted != int64(row.many)-row.invalid || invalid != row.invalid {
				t.Errorf("%v, want %d counted and %d invalid", counts[schemas.KindPrediction], int64(row.many)-row.invalid, row.invalid)
			}
		})
	}
}

// TestSparsePartitions: partitions with hours between their events lose none of them, at the end of the log by what other partitions have come to.
func TestSparsePartitions(t *testing.T) {
	const hour = 3_600_000
	s := simpleStage(t, Limits{}, simplePlan())
	for i := range 500 {
		ms := int64(i) * hour / 10
		add(t, s, 0, prediction(fmt.Sprint(i), "v1", ms), i)
		if i%40 == 0 {
			add(t, s, 1, prediction(fmt.Sprint(i), "v2", ms), i)
			add(t, s, 2, click(fmt.Sprint(i), ms+1_000), i)
		}
	}
	s.Finish(true)
	counts := s.Counts()
	if got := counts.Of(schemas.KindPrediction, Counted); got != 513 {
		t.Errorf("%d predictions are counted of 513: %v", got, counts)
	}
	if got := counts.Of(schemas.KindOutcome, Matched); got != 13 {
		t.Errorf("%d clicks are matched of 13: %v", got, counts)
	}
}

// TestOneIDForAll: a producer that gives every prediction the same id is no more work than others.
func TestOneIDForAll(t *testing.T) {
	plan := simplePlan()
	plan.Outcomes = append(plan.Outcomes, OutcomePlan{Name: "purchase", WithinMs: 86_400_000})
	for _, model := range []string{"ranker", "another"} {
		s := simpleStage(t, Limits{}, plan)
		for i := range 20_000 {
			e := prediction("-", "v1", int64(100*i))
			e.Model = []byte(model)
			e.Error = i%7 == 0
			add(t, s, 0, e, i)
			if n := s.Stats().Predictions; n > maxOthers {
				t.Fatalf("model %s: the id is remembered %d times", model, n)
			}
		}
	}
}
