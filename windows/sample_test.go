package windows

import (
	"fmt"
	"testing"

	"github.com/cespare/xxhash/v2"

	"streamcanary/schemas"
)

// A sampleBench samples for a plan that names those without a click and those that buy.
type sampleBench struct {
	joinedWindows
	plan Plan
}

func newSampleBench(withinMs int64) *sampleBench {
	b := &sampleBench{plan: simplePlan()}
	b.plan.Outcomes = []OutcomePlan{{Name: "click", WithinMs: withinMs}, {Name: "buy", WithinMs: withinMs}}
	b.plan.Exhibits = []Exhibit{
		{Key: "-click", Stream: Stream{Kind: Outcomes, Name: "click"}, Lacks: true}, {Key: "buy", Stream: Stream{Kind: Outcomes, Name: "buy"}},
	}
	b.shape(&b.plan)
	return b
}

func benchSlot(id string, arm Arm) *slot {
	return &slot{key: xxhash.Sum64String(id), what: packWhat(what{arm: arm, joinable: true})}
}

// served counts a prediction.
func (b *sampleBench) served(start int64, arm Arm, id, code, segment string) {
	e := &schemas.Event{ID: []byte(id), Code: []byte(code), Segment: []byte(segment)}
	b.count(start, benchSlot(id, arm), placed{Event: e, arm: arm, id: xxhash.Sum64String(id)})
}

// follow joins an outcome to a prediction.
func (b *sampleBench) follow(start int64, outcome int, arm Arm, id string) {
	i, _ := b.find(start)
	b.match(i, outcome, benchSlot(id, arm), false)
}

// names are what the part of an outcome has: those aside in brackets.
func (b *sampleBench) names(start int64, outcome int, overflow bool) string {
	p := &Part{Stream: Stream{Kind: Outcomes}, Overflow: overflow}
	for arm := range Arms {
		p.Cells[arm] = make([]Cell, 1)
	}
	i, _ := b.find(start)
	b.cells(i, outcome, p)
	text := ""
	for _, list := range p.Exemplars {
		for _, x := range list {
			name := x.ID + "/" + x.Code + "/" + x.Segment
			if x.Aside {
				name = "(" + name + ")"
			}
			text += name + " "
		}
	}
	return text
}

// TestSampleKnowsOutcomes: of an id one, the smallest attempt, which has what any attempt had; an outcome of the other arm's copy is not its own; and nothing is
// said where outcomes may be missing.
func TestSampleKnowsOutcomes(t *testing.T) {
	b := newSampleBench(60_000)
	b.served(1000, Canary, "a", "x", "de")
	b.follow(1000, 0, Canary, "a")
	b.served(1000, Canary, "a", "k", "jp") // another attempt, after the click
	b.served(1000, Canary, "a", "z", "")
	for _, want := range []struct {
		outcome int
		names   string
	}{{0, "(a/k/jp) "}, {1, "(a/k/jp) "}} {
		if got := b.names(1000, want.outcome, false); got != want.names {
			t.Errorf("outcome %d: %s, want %s", want.outcome, got, want.names)
		}
	}
	b.served(2000, Baseline, "b", "", "")
	b.served(2000, Canary, "b", "", "")
	b.follow(2000, 0, Baseline, "b")
	b.follow(2000, 1, Canary, "b")
	if click, buy := b.names(2000, 0, false), b.names(2000, 1, false); click != "b// " || buy != "b// " {
		t.Errorf("without a click %s, bought %s", click, buy)
	}
	if got := b.names(2000, 0, true); got != "" {
		t.Errorf("%s is named where clicks may be missing", got)
	}
}

// TestSampleIsBounded: whatever the longest within, some sampleBound predictions wait at most, and those that are done with take nothing.
func TestSampleIsBounded(t *testing.T) {
	for _, withinMs := range []int64{1_000, 3_600_000, 30 * 3_600_000} {
		b := newSampleBench(withinMs)
		waiting := int((withinMs+2*b.plan.LatenessMs)/b.plan.WidthMs) + 1
		kept := 0
		for i := range waiting {
			for k := range sampleMost + 1 {
				b.served(int64(i)*b.plan.WidthMs, Canary, fmt.Sprint(i, k), "", "")
			}
		}
		for _, list := range b.samples {
			kept += len(list)
		}
		if kept > sampleBound || 2*kept < min(sampleMost*waiting, sampleBound/4) {
			t.Errorf("within %d: %d windows keep %d predictions", withinMs, waiting, kept)
		}
	}
}

// TestSampleGoesWithItsWindow: when windows are done with, what they sampled is let go, and that of the others stays theirs.
func TestSampleGoesWithItsWindow(t *testing.T) {
	b := newSampleBench(60_000)
	for i := range 100 {
		b.served(int64(i)*1000, Canary, fmt.Sprint(i), "", "")
	}
	for _, done := range []int{10, 70, 75} {
		b.drop(int64(done) * 1000)
		kept := 0
		for _, list := range b.samples {
			kept += len(list)
		}
		if kept != 100-done {
			t.Errorf("%d windows are done with, and %d predictions kept", done, kept)
		}
		for i := done; i < 100; i++ {
			if got, want := b.names(int64(i)*1000, 0, false), fmt.Sprintf("%d// ", i); got != want {
				t.Fatalf("%d windows are done with: window %d names %s", done, i, got)
			}
		}
	}
}
