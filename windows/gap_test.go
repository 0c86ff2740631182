package windows

import (
	"fmt"
	"testing"

	"streamcanary/schemas"
)

// gapPlan is simplePlan with a join gap.
func gapPlan() Plan {
	p := simplePlan()
	p.Health = true
	return p
}

// named returns an outcome that names a model and a version.
func named(e *schemas.Event, model, version string) *schemas.Event {
	e.Model, e.Version = []byte(model), []byte(version)
	return e
}

// of returns a prediction of another model.
func of(model string, e *schemas.Event) *schemas.Event {
	e.Model = []byte(model)
	return e
}

// gapOf adds the gaps of a rollout's parts up: of the arms, and of the source.
func gapOf(s *Stage, rollout string) (sum [Arms + 1]JoinGap) {
	for _, p := range s.Sealed() {
		if p.Key.Rollout == rollout {
			sum[Baseline].add(p.Part.Gap[Baseline])
			sum[Canary].add(p.Part.Gap[Canary])
			sum[Arms].add(p.Part.Source)
		}
	}
	return sum
}

// TestGap: which outcomes find their prediction, and where that is counted.
func TestGap(t *testing.T) {
	shadow := prediction("a", "v1", 25_000)
	shadow.Shadow = true
	var none JoinGap
	found, lost := JoinGap{Matched: 1}, JoinGap{Unmatched: 1}
	for _, row := range []struct {
		name       string
		prediction *schemas.Event
		outcome    *schemas.Event
		want       [Arms + 1]JoinGap
	}{
		{"found", prediction("a", "v1", 25_000), click("a", 26_000), [...]JoinGap{none, none, found}},
		{"found by version", prediction("a", "v2", 25_000), named(click("a", 26_000), "", "v2"), [...]JoinGap{none, found, none}},
		{"no such id", prediction("a", "v1", 25_000), click("b", 26_000), [...]JoinGap{none, none, lost}},
		{"no such id of the model", prediction("a", "v1", 25_000), named(click("b", 26_000), "ranker", ""), [...]JoinGap{none, none, lost}},
		{"no such id of the version", prediction("a", "v1", 25_000), named(click("a", 26_000), "ranker", "v2"), [...]JoinGap{none, lost, none}},
		{"a version that is no arm", prediction("a", "v1", 25_000), named(click("a", 26_000), "ranker", "v3"), [Arms + 1]JoinGap{}},
		{"another model", prediction("a", "v1", 25_000), named(click("a", 26_000), "another", ""), [Arms + 1]JoinGap{}},
		{"beyond within", prediction("a", "v1", 25_000), click("a", 35_001), [Arms + 1]JoinGap{}},
		{"beyond reach", prediction("a", "v1", 25_000), click("a", 39_501), [...]JoinGap{none, none, lost}},
		{"of a shadow copy", shadow, click("a", 26_000), [...]JoinGap{none, none, lost}},
		{"of another model's prediction", of("another", prediction("a", "v1", 25_000)), click("a", 26_000), [Arms + 1]JoinGap{}},
		{"of another version's prediction", prediction("a", "v3", 25_000), click("a", 26_000), [Arms + 1]JoinGap{}},
		{"too near to the start", prediction("a", "v1", 5_000), click("b", 14_499), [Arms + 1]JoinGap{}},
		{"just far enough", prediction("a", "v1", 5_000), click("b", 14_500), [...]JoinGap{none, none, lost}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := simpleStage(t, Limits{}, gapPlan())
			addStamped(t, s, 0, row.prediction, 0, row.prediction.TimeMs)
			addStamped(t, s, 2, row.outcome, 0, row.outcome.TimeMs)
			s.Finish(true)
			if got := gapOf(s, "r"); got != row.want {
				t.Errorf("gap %v, want %v", got, row.want)
			}
		})
	}
}

// TestGapWindow: an outcome counts in the window that is `within` before it, in the partition of its own number.
func TestGapWindow(t *testing.T) {
	s := NewStage(Limits{})
	for _, at := range []Partition{{"o", 1}, {"o", 7}, {"p", 0}, {"p", 1}} {
		kind := schemas.KindPrediction
		if at.Topic == "o" {
			kind = schemas.KindOutcome
		}
		s.AddPartition(at, kind)
	}
	if err := s.SetPlan(gapPlan()); err != nil {
		t.Fatal(err)
	}
	for i, ms := range []int64{30_000, 30_999, 31_000} {
		addStamped(t, s, 0, click("a", ms), i, ms)
		addStamped(t, s, 1, click("a", ms), i, ms)
	}
	for place := range 2 {
		addStamped(t, s, 2+place, prediction("b", "v1", 60_000), 0, 60_000)
	}
	s.Finish(true)
	got := map[string]int64{}
	for _, p := range s.Sealed() {
		if n := p.Part.Source.Unmatched; n > 0 {
			got[fmt.Sprint(p.Key.Partition, p.Part.StartMs)] = n
		}
	}
	want := map[string]int64{"{p 1} 20000": 2, "{p 1} 21000": 1, "{p 0} 20000": 2, "{p 0} 21000": 1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("unmatched %v, want %v", got, want)
	}
}

// TestGapBesideOthers: other rollouts, and whether they go on, don't change a gap.
func TestGapBesideOthers(t *testing.T) {
	other := gapPlan()
	other.Rollout, other.Model = "other", "another"
	patient := other
	patient.LatenessMs = 8_000
	brief := other
	brief.Outcomes = []OutcomePlan{{Name: "click", WithinMs: 0}}
	brief.Health = false
	plain := other
	plain.Outcomes = nil
	prediction := func(ms int64) *schemas.Event { return of("another", prediction("a", "v1", ms)) }
	ahead, abreast := prediction(36_000), prediction(32_600)
	ahead.ID, abreast.ID = []byte("ahead"), []byte("abreast")
	failed, again := prediction(30_000), prediction(44_000)
	failed.Error, again.Error = true, true
	for _, row := range []struct {
		name        string
		predictions []*schemas.Event // of the other model
		outcomeMs   int64
		want        JoinGap
	}{
		{"on time", []*schemas.Event{prediction(30_000)}, 31_000, JoinGap{}},
		{"late for one alone", []*schemas.Event{ahead, prediction(30_000)}, 31_000, JoinGap{Unmatched: 1}},
		{"late for nobody", []*schemas.Event{abreast, prediction(30_500)}, 29_000, JoinGap{}},
		{"long before", []*schemas.Event{prediction(30_000)}, 39_500, JoinGap{}},
		{"an error", []*schemas.Event{failed}, 31_000, JoinGap{}},
		{"a copy, later", []*schemas.Event{prediction(20_000), prediction(31_000)}, 34_500, JoinGap{}},
		{"errors, one after the other", []*schemas.Event{failed, again}, 31_000, JoinGap{}},
	} {
		for name, plans := range map[string][]Plan{"alone": nil, "alike": {other}, "patient": {patient}, "brief": {brief}, "plain": {plain}} {
			for _, ends := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/ends=%v", row.name, name, ends), func(t *testing.T) {
					s := simpleStage(t, Limits{}, append([]Plan{gapPlan()}, plans...)...)
					offset := 0
					put := func(e *schemas.Event) {
						addStamped(t, s, 0, e, offset, e.TimeMs)
						offset++
					}
					for _, e := range row.predictions {
						put(e)
					}
					addStamped(t, s, 2, named(click("z", row.outcomeMs), "another", ""), 0, row.outcomeMs)
					for i := range 200 { // so that what is stale goes
						e := prediction(row.outcomeMs + int64(10*i))
						e.ID = fmt.Append(nil, i)
						put(e)
						addStamped(t, s, 1, e, i, e.TimeMs)
					}
					if ends && plans != nil {
						s.RemovePlan("other")
					}
					addStamped(t, s, 2, click("a", row.outcomeMs), 1, row.outcomeMs)
					s.Finish(true)
					if got := gapOf(s, "r")[Arms]; got != row.want {
						t.Errorf("gap %v, want %v", got, row.want)
					}
				})
			}
		}
	}
}

// TestGapOfTwoPartitions: a prediction that is in two partitions, late in one of them, is found whichever is read first.
func TestGapOfTwoPartitions(t *testing.T) {
	for _, lateFirst := range []bool{false, true} {
		s := simpleStage(t, Limits{}, gapPlan())
		late := func() {
			addStamped(t, s, 0, of("another", prediction("ahead", "v1", 36_000)), 0, 36_000)
			addStamped(t, s, 0, of("another", prediction("a", "v1", 33_500)), 1, 36_000)
		}
		if lateFirst {
			late()
		}
		addStamped(t, s, 1, of("another", prediction("a", "v1", 33_500)), 0, 33_500)
		if !lateFirst {
			late()
		}
		addStamped(t, s, 2, click("a", 34_000), 0, 34_000)
		s.Finish(true)
		if got := gapOf(s, "r"); got != [Arms + 1]JoinGap{} {
			t.Errorf("late first %v: gap %v, want none", lateFirst, got)
		}
	}
}
