package windows

import (
	"fmt"
	"slices"
	"testing"

	"streamcanary/schemas"
)

// worth is a click of one prediction with a value.
func worth(id string, ms int64, event string, value float64) *schemas.Event {
	e := click(id, ms)
	e.EventID, e.Value = []byte(event), value
	return e
}

// sumsOf adds the sums of all parts of clicks up, per arm in units.
func sumsOf(s *Stage) (n, sum, squares [Arms]int64) {
	for _, p := range s.Sealed() {
		for arm := range Arms {
			if p.Part.Kind == Outcomes {
				c := &p.Part.Cells[arm][0]
				n[arm], sum[arm], squares[arm] = n[arm]+c.N, sum[arm]+c.Sum, squares[arm]+c.Squares
			}
		}
	}
	return n, sum, squares
}

// TestValues: what the values of one prediction's outcomes add up to, of a cap of 100.
func TestValues(t *testing.T) {
	again := prediction("a", "v1", 5_000)
	again.Attempt = 1
	for _, row := range []struct {
		name        string
		predictions []*schemas.Event
		outcomes    []*schemas.Event
		want        float64 // of the baseline, in caps
		squares     float64
	}{
		{"none", nil, nil, 0, 0},
		{"one", nil, []*schemas.Event{worth("a", 6_000, "", 25)}, .25, .0625},
		{"two", nil, []*schemas.Event{worth("a", 6_000, "1", 25), worth("a", 7_000, "2", 50)}, .75, .5625},
		{"cut off once, not each", nil, []*schemas.Event{worth("a", 6_000, "1", 250), worth("a", 7_000, "2", -200)}, .5, .25},
		{"cut off at the cap", nil, []*schemas.Event{worth("a", 6_000, "1", 99), worth("a", 7_000, "2", 2)}, 1, 1},
		{"cut off below, too", nil, []*schemas.Event{worth("a", 6_000, "1", -99), worth("a", 7_000, "2", -2)}, -1, 1},
		{"beyond 1,024 caps is 1,024", nil, []*schemas.Event{worth("a", 6_000, "1", 1e300), worth("a", 7_000, "2", -102_350)}, .5, .25},
		{"just below them", nil, []*schemas.Event{worth("a", 6_000, "1", 102_300), worth("a", 7_000, "2", -102_250)}, .5, .25},
		{"a copy", nil, []*schemas.Event{worth("a", 6_000, "1", 25), worth("a", 6_000, "1", 25)}, .25, .0625},
		{"a copy that differs", nil, []*schemas.Event{worth("a", 6_000, "1", 25), worth("a", 6_500, "1", 50)}, .25, .0625},
		{"beyond within", nil, []*schemas.Event{worth("a", 15_001, "", 25)}, 0, 0},
		{"a late one, and a copy that isn't", nil, []*schemas.Event{click("b", 9_000), worth("a", 6_000, "1", 25), worth("a", 8_000, "1", 25)}, 0, 0},
		{"the highest attempt's", []*schemas.Event{again}, []*schemas.Event{worth("a", 6_000, "1", 75), worth("a", 7_000, "2", 75)}, 1, 1},
		{
			"an id that is used again has a sum of its own", []*schemas.Event{prediction("x", "v1", 18_000), prediction("a", "v1", 16_500)},
			[]*schemas.Event{worth("a", 15_000, "1", 75), worth("a", 14_499, "2", 75)}, 1.5, 1.125,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			plan := simplePlan()
			plan.Outcomes[0].Cap = 100
			s := simpleStage(t, Limits{}, plan)
			for i, e := range append([]*schemas.Event{prediction("a", "v1", 5_000)}, row.predictions...) {
				addStamped(t, s, 0, e, i, e.TimeMs)
			}
			for i, e := range row.outcomes {
				addStamped(t, s, 2, e, i, e.TimeMs)
			}
			s.Finish(true)
			_, sum, squares := sumsOf(s)
			if want := int64(row.want * SumUnit); sum != [Arms]int64{want, 0} || squares != [Arms]int64{int64(row.squares * SumUnit), 0} {
				t.Errorf("sums %v and squares %v, want %d and %d", sum, squares, want, int64(row.squares*SumUnit))
			}
		})
	}
}

// TestValuesBeforeThePlan: a rollout knows no copy from before it, whether another rollout had the outcome read or not.
func TestValuesBeforeThePlan(t *testing.T) {
	for _, read := range []bool{false, true} {
		early, plan := simplePlan(), simplePlan()
		early.Rollout, early.Model, early.Outcomes[0].Cap = "early", "another", 1
		plan.FromMs, plan.Outcomes[0].Cap = 10_000, 100
		s := simpleStage(t, Limits{})
		if read {
			if err := s.SetPlan(early); err != nil {
				t.Fatal(err)
			}
		}
		addStamped(t, s, 2, worth("a", 7_999, "", 25), 0, 7_999)
		if err := s.SetPlan(plan); err != nil {
			t.Fatal(err)
		}
		addStamped(t, s, 2, worth("a", 8_000, "", 25), 1, 8_000)
		addStamped(t, s, 0, prediction("a", "v1", 10_000), 0, 10_000)
		s.Finish(true)
		if _, sum, _ := sumsOf(s); sum[Baseline] != SumUnit/4 {
			t.Errorf("read %v: sum %d, want %d", read, sum[Baseline], SumUnit/4)
		}
	}
}

// TestValuesBound: at the bound, sums are not kept, and the windows say so.
func TestValuesBound(t *testing.T) {
	plan := simplePlan()
	plan.Outcomes[0].Cap = 100
	s := simpleStage(t, Limits{PendingOutcomes: 40}, plan)
	for i := range 100 {
		ms := int64(1_000 + 20*i)
		addStamped(t, s, 0, prediction(fmt.Sprint(i), "v1", ms), i, ms)
		addStamped(t, s, 2, worth(fmt.Sprint(i), ms, "", 100), i, ms)
	}
	s.Finish(false)
	stats := s.Stats()
	if stats.Values > 40 || stats.LostOutcomes+stats.LostValues == 0 {
		t.Errorf("%+v, want at most 40 values, and losses", stats)
	}
	sealed := 0
	s.sealAll()
	for _, p := range s.Sealed() {
		if p.Part.Kind != Outcomes || p.Part.IsMark() {
			continue
		}
		sealed++
		if c := &p.Part.Cells[Baseline][0]; c.Sum < SumUnit*c.N && !p.Part.Overflow {
			t.Errorf("window %d: %d of %d caps, and no overflow", p.Part.StartMs, c.Sum/SumUnit, c.N)
		}
	}
	if sealed < 2 {
		t.Errorf("%d windows, want two or more", sealed)
	}
}

// TestValuesLost: where there is no room for another prediction's sum, its window says so.
func TestValuesLost(t *testing.T) {
	plan := simplePlan()
	plan.Outcomes[0].Cap = 100
	s := simpleStage(t, Limits{}, plan)
	for i := range 3 {
		ms := int64(1_000 * (i + 1))
		addStamped(t, s, 0, prediction(fmt.Sprint(i), "v1", ms), i, ms)
		addStamped(t, s, 2, worth(fmt.Sprint(i), ms, "", 100), i, ms)
	}
	s.limits.PendingOutcomes = 2
	s.Finish(true)
	var got []string
	for _, p := range s.Sealed() {
		if p.Part.Kind == Outcomes && !p.Part.IsMark() {
			got = append(got, fmt.Sprint(p.Part.Cells[Baseline][0].Sum/SumUnit, p.Part.Overflow))
		}
	}
	if want := []string{"1 false", "1 false", "0 true"}; !slices.Equal(got, want) || s.Stats().LostValues != 1 {
		t.Errorf("sums and overflow %q, want %q; %+v", got, want, s.Stats())
	}
}
