package windows

import (
	"fmt"
	"reflect"
	"testing"

	"streamcanary/schemas"
)

// answered is a prediction of a version.
type answered struct {
	source  int
	id      string
	ms      int64
	version string
	host    string
}

// merged are the sealed parts of some predictions in two partitions, and the merged windows.
func merged(t *testing.T, plan Plan, all []answered) (sealed []SealedPart, windows []Part, digest string) {
	t.Helper()
	s := NewStage(Limits{})
	at := []Partition{{"p", 0}, {"p", 1}}
	for _, p := range at {
		s.AddPartition(p, schemas.KindPrediction)
	}
	if err := s.SetPlan(plan); err != nil {
		t.Fatal(err)
	}
	for i, x := range all {
		e := schemas.Event{Kind: schemas.KindPrediction, TimeMs: x.ms, ID: []byte(x.id), Model: []byte(plan.Model), Version: []byte(x.version), Host: []byte(x.host), Segment: []byte("s")}
		if _, err := s.Add(x.source, &e, int64(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	s.Finish(true)
	sealed = s.Sealed()
	m, d := NewMerger(&plan, at, nil), Digest{}
	for _, x := range sealed {
		bytes, err := EncodePart(x.Key, x.Part)
		if err != nil {
			t.Fatal(err)
		}
		_, part, err := DecodePart(bytes)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Add(x.Key, part); err != nil {
			t.Fatal(err)
		}
	}
	m.Finish()
	for p := m.Next(); p != nil; p = m.Next() {
		d.Part(p)
		one := *p
		one.Others, one.OtherHosts = append([]HostCount(nil), p.Others...), append([]HostCount(nil), p.OtherHosts...)
		windows = append(windows, one)
	}
	return sealed, windows, d.Sum()
}

// TestOthers: each window counts the model's other versions, through the journal and the merge; no digest has them, and a part with nothing else is a mark.
func TestOthers(t *testing.T) {
	for _, segments := range []*SegmentPlan{nil, {Most: 4}} {
		t.Run(fmt.Sprint("segments ", segments != nil), func(t *testing.T) {
			plan := simplePlan()
			plan.Segments = segments
			arms := []answered{
				{0, "a", 5_000, plan.Baseline, ""}, {1, "b", 5_100, plan.Baseline, ""}, {0, "c", 8_000, plan.Canary, ""}, {1, "d", 8_000, plan.Baseline, ""},
			}
			others := []answered{
				{0, "e", 5_000, "V2", "h1"}, {0, "e", 5_000, "V2", "h1"}, {1, "f", 5_000, "V2", ""}, {1, "g", 5_100, "v3", "h1"}, {0, "k", 5_100, "v3", "h0"},
				{0, "h", 6_500, "v3", ""}, // no version of the rollout answers in this window
				{0, "i", 8_000, "", ""},
			}
			sealed, windows, digest := merged(t, plan, append(arms[:2:2], append(others, arms[2:]...)...))
			if have, want := windows[0].Others, []HostCount{{"V2", 3, 0}, {"v3", 2, 0}}; !reflect.DeepEqual(have, want) {
				t.Errorf("others %v, want %v", have, want)
			}
			if have, want := windows[0].OtherHosts, []HostCount{{OtherHost("V2", "h1"), 2, 0}, {OtherHost("v3", "h0"), 1, 0}, {OtherHost("v3", "h1"), 1, 0}}; !reflect.DeepEqual(have, want) {
				t.Errorf("their hosts %v, want %v", have, want)
			}
			alone := 0
			for _, x := range sealed {
				if x.Part.StartMs == 6_000 && len(x.Part.Others) > 0 {
					alone++
					if !x.Part.IsMark() {
						t.Error("a part with other versions only is no mark")
					}
				}
			}
			_, same, plain := merged(t, plan, arms)
			if alone != 1 || len(same) != len(windows) || plain != digest {
				t.Errorf("%d parts with others only; %d windows, %d without the others; digests %s and %s", alone, len(windows), len(same), digest, plain)
			}
		})
	}
}

// TestOthersOfWhere: what is left of an arm's own version is no other one.
func TestOthersOfWhere(t *testing.T) {
	plan := simplePlan()
	plan.Where[Canary].Host = "new-*"
	_, windows, _ := merged(t, plan, []answered{{0, "a", 5_000, plan.Baseline, ""}, {0, "b", 5_000, plan.Canary, ""}, {0, "c", 5_000, "v9", ""}})
	if have, want := windows[0].Others, []HostCount{{"v9", 1, 0}}; !reflect.DeepEqual(have, want) {
		t.Errorf("others %v, want %v", have, want)
	}
}

// TestOddOthers: of a part in which both lists are wrong, the error is always the same.
func TestOddOthers(t *testing.T) {
	odd := []HostCount{{"v3", 1, 1}}
	for range 50 {
		if err := checkOthers(&Part{Stream: Stream{Kind: Serving}, Others: odd, OtherHosts: odd}); err == nil || err.Error() != `other version 0 is "v3" with 1 events and 1 late ones` {
			t.Fatalf("%v", err)
		}
	}
}
