package windows

import (
	"cmp"
	"fmt"
	"testing"

	"streamcanary/schemas"
)

// TestForgetsTheOldest: at the bound, clicks within ten seconds and copies are known as ever; of purchases within a day, the windows that were
// forgotten say so, and those alone.
func TestForgetsTheOldest(t *testing.T) {
	const many, bound, stepMs = 20_000, 2_000, 100
	for name, offMs := range map[string]int64{"from 1970 on": 0, "before 1970": -5_000_000} {
		t.Run(name, func(t *testing.T) {
			plan := simplePlan()
			plan.FromMs = offMs
			plan.Outcomes = append(plan.Outcomes, OutcomePlan{Name: "purchase", WithinMs: 86_400_000})
			s := simpleStage(t, Limits{PendingPredictions: bound}, plan)
			for i := range many {
				ms := offMs + int64(stepMs*i)
				e := prediction(fmt.Sprint(i), "v1", ms)
				addStamped(t, s, 0, e, 2*i, cmp.Or(ms, 1))
				if class := add(t, s, 0, e, 2*i+1); class != Duplicate {
					t.Fatalf("a copy of prediction %d is %v", i, class)
				}
				addStamped(t, s, 1, prediction(fmt.Sprint(i, "b"), "v2", ms), i, cmp.Or(ms, 1))
				add(t, s, 2, click(fmt.Sprint(i), ms+1_000), i)
				if n := s.Stats().Predictions; n > bound {
					t.Fatalf("%d predictions are remembered", n)
				}
			}
			s.Finish(true)
			if got := s.Counts(); got.Of(schemas.KindOutcome, Matched) != many {
				t.Errorf("%v, want every click matched", got[schemas.KindOutcome])
			}
			stats := s.Stats()
			if stats.LostPredictions != 2*many-int64(stats.Predictions) || stats.Predictions < bound*3/4 {
				t.Errorf("%+v: the bound isn't used, or not all that are gone are counted", stats)
			}
			keptMs := offMs + stepMs*(many-bound/2-1) // two a step: all from the next step on would fit
			for _, p := range s.Sealed() {
				purchase := p.Part.Name == "purchase" && !p.Part.IsMark()
				if p.Part.Overflow != (purchase && p.Part.StartMs < s.forgotten) {
					t.Errorf("overflow of %v: %v", p.Key, p.Part.Overflow)
				}
			}
			if s.forgotten < keptMs || s.forgotten > keptMs+stepMs*bound/8 {
				t.Errorf("what happened before %d is forgotten, want %d or up to an eighth later", s.forgotten, keptMs)
			}
		})
	}
}

// TestForgetsSeldom: room is made for many insertions at once, so that each costs little.
func TestForgetsSeldom(t *testing.T) {
	const bound = 100_000
	s := simpleStage(t, Limits{PendingPredictions: bound}, simplePlan())
	var times int
	forgotten := s.forgotten
	for i := range 4 * bound {
		s.insert(slot{key: keyOf(int64(i)), when: packWhen(int64(i/50), 0), what: packWhat(what{joinable: true})})
		if s.forgotten != forgotten {
			times, forgotten = times+1, s.forgotten
		}
	}
	if times < 20 || times > 30 {
		t.Errorf("room was made %d times for %d predictions beyond the bound, want about 24", times, 3*bound)
	}
}

// TestForgetsSmoothly: however many predictions are remembered, no single one pays for making room.
func TestForgetsSmoothly(t *testing.T) {
	for _, bound := range []int{20_000, 200_000} {
		s := simpleStage(t, Limits{PendingPredictions: bound}, simplePlan())
		looks, most := 0, 0
		stale := s.predictions.stale
		s.predictions.stale = func(e *slot) bool { looks++; return stale(e) }
		for i := range 4 * bound {
			looks = 0
			s.insert(slot{key: keyOf(int64(i)), when: packWhen(int64(i/50), 0), what: packWhat(what{joinable: true})})
			most = max(most, looks)
			if n := s.predictions.len(); n > bound {
				t.Fatalf("%d predictions are remembered, want %d at most", n, bound)
			}
		}
		if limit := 2*8*stalePeeks + 200; most > limit { // the guess at the oldest, and a share of a pass
			t.Errorf("with room for %d, one insertion looked at %d predictions, want %d at most", bound, most, limit)
		}
	}
}
