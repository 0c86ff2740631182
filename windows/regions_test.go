package windows

import (
	"reflect"
	"testing"

	"streamcanary/schemas"
)

// TestRegions: of the canary's predictions each window counts the regions, where events name them, also when it is merged from partitions.
func TestRegions(t *testing.T) {
	s := NewStage(Limits{})
	at := []Partition{{"p", 0}, {"p", 1}}
	for _, p := range at {
		s.AddPartition(p, schemas.KindPrediction)
	}
	plan := simplePlan()
	if err := s.SetPlan(plan); err != nil {
		t.Fatal(err)
	}
	for i, x := range []struct {
		source              int
		id, version, region string
	}{
		{0, "a", plan.Canary, "us"}, {0, "b", plan.Canary, "eu"}, {1, "c", plan.Canary, "us"}, {1, "d", plan.Canary, ""}, {1, "e", plan.Baseline, "eu"},
	} {
		e := schemas.Event{Kind: schemas.KindPrediction, TimeMs: 5_000, ID: []byte(x.id), Model: []byte(plan.Model), Version: []byte(x.version), Region: []byte(x.region)}
		if _, err := s.Add(x.source, &e, int64(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	s.Finish(true)
	m := NewMerger(&plan, at, nil)
	for _, x := range s.Sealed() {
		if err := m.Add(x.Key, x.Part); err != nil {
			t.Fatal(err)
		}
	}
	m.Finish()
	p := m.Next()
	if p == nil {
		t.Fatal("there is no window")
	}
	if have, want := p.Traffic[Canary].Regions, []HostCount{{"eu", 1, 0}, {"us", 2, 0}}; !reflect.DeepEqual(have, want) {
		t.Errorf("regions %v, want %v", have, want)
	}
	if len(p.Traffic[Baseline].Regions) > 0 {
		t.Errorf("regions %v of the baseline", p.Traffic[Baseline].Regions)
	}
}
