package windows

import (
	"testing"

	"streamcanary/schemas"
)

// joinCase is predictions and one outcome: its class, and the predictions with a click per arm.
type joinCase struct {
	name        string
	predictions []*schemas.Event
	outcome     *schemas.Event
	want        Class
	k           [Arms]int64
}

func joinCases() []joinCase {
	shadow := prediction("a", "v1", 5_000)
	shadow.Shadow = true
	failed := prediction("a", "v1", 5_000)
	failed.Error = true
	timedOut := prediction("a", "v1", 5_000)
	timedOut.Timeout = true
	retry := prediction("a", "v2", 5_000)
	retry.Attempt = 1
	version := click("a", 6_000)
	version.Version = []byte("v2")
	model := click("a", 6_000)
	model.Model = []byte("another")
	unnamed := click("a", 6_000)
	unnamed.Name = []byte("scroll")
	another := prediction("a", "v1", 5_000)
	another.Model = []byte("another")
	first, second := prediction("a", "v1", 5_000), prediction("a", "v2", 5_000)
	return []joinCase{
		{"at the same time", []*schemas.Event{first}, click("a", 5_000), Matched, [Arms]int64{1, 0}},
		{"at the end of within", []*schemas.Event{first}, click("a", 15_000), Matched, [Arms]int64{1, 0}},
		{"beyond within", []*schemas.Event{first}, click("a", 15_001), Outside, [Arms]int64{}},
		{"at the end of reach", []*schemas.Event{first}, click("a", 5_000+12_500+2_000), Outside, [Arms]int64{}},
		{"beyond reach", []*schemas.Event{first}, click("a", 5_000+12_500+2_001), Unmatched, [Arms]int64{}},
		{"lateness before", []*schemas.Event{first}, click("a", 3_000), Matched, [Arms]int64{1, 0}},
		{"more before", []*schemas.Event{first}, click("a", 2_999), Unmatched, [Arms]int64{}},
		{"another id", []*schemas.Event{first}, click("b", 5_000), Unmatched, [Arms]int64{}},
		{"of a shadow copy", []*schemas.Event{shadow}, click("a", 6_000), Unmatched, [Arms]int64{}},
		{"of an error", []*schemas.Event{failed}, click("a", 6_000), Unmatched, [Arms]int64{}},
		{"of a timeout", []*schemas.Event{timedOut}, click("a", 6_000), Unmatched, [Arms]int64{}},
		{"the highest attempt", []*schemas.Event{retry, first}, click("a", 6_000), Matched, [Arms]int64{0, 1}},
		{"the greater version of equals", []*schemas.Event{second, first}, click("a", 6_000), Matched, [Arms]int64{0, 1}},
		{"the later of two", []*schemas.Event{prediction("a", "v1", 5_001), second}, click("a", 6_000), Matched, [Arms]int64{1, 0}},
		{"only one of two is in time", []*schemas.Event{retry, prediction("a", "v1", 1_000)}, click("a", 2_000), Matched, [Arms]int64{1, 0}},
		{"it names the version", []*schemas.Event{first, second}, version, Matched, [Arms]int64{0, 1}},
		{"it names a version that isn't there", []*schemas.Event{first}, version, Unmatched, [Arms]int64{}},
		{"it names another model", []*schemas.Event{first}, model, Unused, [Arms]int64{}},
		{"a name of no rollout", []*schemas.Event{first}, unnamed, Unused, [Arms]int64{}},
		{"of another model's prediction", []*schemas.Event{another}, click("a", 6_000), Other, [Arms]int64{}},
	}
}

// TestJoin: which prediction an outcome counts for, and its class, whichever is read first.
func TestJoin(t *testing.T) {
	for _, row := range joinCases() {
		for _, order := range []string{"prediction first", "outcome first"} {
			t.Run(row.name+", "+order, func(t *testing.T) {
				s := simpleStage(t, Limits{}, simplePlan())
				if order == "outcome first" {
					add(t, s, 2, row.outcome, 0)
				}
				for i, p := range row.predictions {
					add(t, s, i%2, p, i)
				}
				if order != "outcome first" {
					add(t, s, 2, row.outcome, 0)
				}
				s.Finish(true)
				if counts := s.Counts(); counts.Of(schemas.KindOutcome, row.want) != 1 {
					t.Errorf("counts %v, want one that is %v", counts[schemas.KindOutcome], row.want)
				}
				var k [Arms]int64
				for _, p := range s.Sealed() {
					for arm := range Arms {
						if p.Part.Kind == Outcomes {
							k[arm] += p.Part.Cells[arm][0].K
						}
					}
				}
				if k != row.k {
					t.Errorf("predictions with a click: %v, want %v", k, row.k)
				}
			})
		}
	}
}

// TestJoinTie: of predictions that differ in nothing but where they were read, the greater partition's gets the outcome, whichever was read first.
func TestJoinTie(t *testing.T) {
	for _, row := range []struct {
		places [2]Partition
		want   int // which of them
	}{
		{[2]Partition{{"p", 0}, {"p", 1}}, 1},
		{[2]Partition{{"p", 2}, {"p", 1}}, 0},
		{[2]Partition{{"p", 7}, {"q", 0}}, 1},
	} {
		for _, order := range [][2]int{{0, 1}, {1, 0}} {
			s := NewStage(Limits{})
			for _, at := range row.places {
				s.AddPartition(at, schemas.KindPrediction)
			}
			outcomes := s.AddPartition(Partition{"o", 0}, schemas.KindOutcome)
			if err := s.SetPlan(simplePlan()); err != nil {
				t.Fatal(err)
			}
			for _, place := range order {
				add(t, s, place, prediction("a", "v1", 5_000), 0)
			}
			add(t, s, outcomes, click("a", 6_000), 0)
			s.Finish(true)
			for _, p := range s.Sealed() {
				if p.Part.Kind == Outcomes && p.Part.Cells[Baseline][0].K > 0 && p.Key.Partition != row.places[row.want] {
					t.Errorf("of %v, read in the order %v, %v gets the outcome", row.places, order, p.Key.Partition)
				}
			}
			if n := s.Counts(); n.Of(schemas.KindOutcome, Matched) != 1 {
				t.Errorf("%v: %v", row.places, n)
			}
		}
	}
}
