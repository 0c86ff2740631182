package windows

import (
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/schemas"
)

// TestRestOfVersionIsAnother: what where leaves out is treated just as another version's events are, in every part and in every class.
func TestRestOfVersionIsAnother(t *testing.T) {
	left := 0
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		s := newStream(r, shape{partitions: 2, many: 250})
		s.plan.Health = r.IntN(2) == 0
		s.plan.Where = [Arms]schemas.Where{Baseline: {Host: []string{"host1", "host*", "*3"}[r.IntN(3)]}, Canary: {Segment: []string{"", "a", "*"}[r.IntN(3)]}}
		w := &twin{stream: s}
		renamed := *s
		renamed.plan.Where = [Arms]schemas.Where{}
		renamed.logs = nil
		for _, log := range s.logs {
			log = slices.Clone(log)
			for i := range log {
				e := &log[i]
				inArm := string(e.Version) == "v1" || string(e.Version) == "v2"
				if (e.Kind == schemas.KindPrediction || e.Kind == schemas.KindSample) && inArm && !w.isPicked(e) {
					e.Version, left = []byte("v9"), left+1
				}
			}
			renamed.logs = append(renamed.logs, log)
		}
		got := s.read(t, reading{r: r, batch: 7, seal: true})
		want := renamed.read(t, reading{r: r, batch: 50, seal: true})
		compareParts(t, got.merged, want.merged)
		if got.counts != want.counts {
			t.Errorf("counts\n got %v\nwant %v", got.counts, want.counts)
		}
	})
	if left == 0 {
		t.Error("where left nothing out")
	}
}

// TestPicked is one event of each kind beside its arm: an outcome goes with its prediction, and a sample goes by its host.
func TestPicked(t *testing.T) {
	p := simplePlan()
	p.Where[Baseline].Host = "base-*"
	s := simpleStage(t, Limits{}, p)
	at := func(e schemas.Event) *schemas.Event {
		e.Model, e.SampledBy = []byte("ranker"), 1
		return &e
	}
	on := func(id, version, host string) *schemas.Event {
		return at(schemas.Event{Kind: schemas.KindPrediction, TimeMs: 5_000, ID: []byte(id), Version: []byte(version), Host: []byte(host)})
	}
	click := func(id string) *schemas.Event {
		return at(schemas.Event{Kind: schemas.KindOutcome, TimeMs: 6_000, ID: []byte(id), Name: []byte("click"), Value: 1})
	}
	cpu := func(version, host string) *schemas.Event {
		return at(schemas.Event{Kind: schemas.KindSample, TimeMs: 5_000, Version: []byte(version), Host: []byte(host), Name: []byte("cpu"), Value: .5})
	}
	for i, row := range []struct {
		partition int
		event     *schemas.Event
	}{
		{0, on("a", "v1", "base-1")}, {0, on("b", "v1", "old-1")}, {0, on("c", "v1", "")}, {0, on("d", "v2", "old-1")},
		{2, click("a")}, {2, click("b")}, {2, click("c")}, {2, click("d")}, {2, click("e")},
		{3, cpu("v1", "base-1")}, {3, cpu("v1", "old-1")}, {3, cpu("v2", "old-1")},
	} {
		if _, err := s.Add(row.partition, row.event, int64(i), 1_000_000); err != nil {
			t.Fatal(err)
		}
	}
	s.Finish(true)
	var want Counts
	want.add(schemas.KindPrediction, Counted, 2)
	want.add(schemas.KindPrediction, Other, 2)
	want.add(schemas.KindOutcome, Matched, 2)
	want.add(schemas.KindOutcome, Other, 2)
	want.add(schemas.KindOutcome, Unmatched, 1)
	want.add(schemas.KindSample, Counted, 2)
	want.add(schemas.KindSample, Other, 1)
	if got := s.Counts(); got != want {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
