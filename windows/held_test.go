package windows

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"streamcanary/schemas"
)

// TestHeldAside: rule 6 where nobody stamps the time.
func TestHeldAside(t *testing.T) {
	const hour = 3_600_000
	type step = heldStep
	some := func(n int, fromMs, stepMs int64, want Class) []step {
		var steps []step
		for i := range n {
			steps = append(steps, step{fromMs + int64(i)*stepMs, want})
		}
		return steps
	}
	ahead := func(n int) []step { return some(n, 2*hour, 1, Pending) }
	ordinary := func(n int) []step { return some(n, 1, 1, Counted) }
	confirms, ends := []step{{2*hour + 50, Counted}}, []step{{100, Counted}}
	upTo := func(first, last int64) (list []int64) {
		for ; first <= last; first++ {
			list = append(list, first)
		}
		return list
	}
	for _, row := range []struct {
		name     string
		steps    [][]step // after one event at 0
		counts   map[Class]int64
		rejected []int64
	}{
		{"an hour is no jump", [][]step{{{hour, Counted}}}, map[Class]int64{Pending: 1, Counted: 1}, nil},
		{"one is held", [][]step{{{hour + 1, Pending}}}, map[Class]int64{Pending: 2}, nil},
		{"19 ordinary ones don't end it", [][]step{ahead(2), ordinary(19)}, map[Class]int64{Pending: 22}, nil},
		{"20 do", [][]step{ahead(2), ordinary(20)}, map[Class]int64{Pending: 21, Invalid: 2}, []int64{1, 2}},
		{"19 don't confirm", [][]step{ahead(19)}, map[Class]int64{Pending: 20}, nil},
		{"20 in a row do", [][]step{ahead(19), confirms}, map[Class]int64{Counted: 1, Pending: 20}, nil},
		{"20 with ordinary ones between do", [][]step{ahead(10), ordinary(9), ahead(9), confirms}, map[Class]int64{Counted: 10, Pending: 20}, nil},
		{"20 outnumber 19", [][]step{ahead(1), ordinary(19), ahead(18), confirms}, map[Class]int64{Counted: 20, Pending: 20}, nil},
		{"20 ordinary ones outnumber 19", [][]step{ahead(1), ordinary(19), ahead(18), ends, ahead(1)},
			map[Class]int64{Pending: 22, Invalid: 19}, append([]int64{1}, upTo(21, 38)...)},
		{"an odd one is given up", [][]step{{{9000 * hour, Pending}}, ahead(10), ordinary(15), ahead(9), confirms},
			map[Class]int64{Counted: 16, Pending: 20, Invalid: 1}, []int64{1}},
		{"slow ones agree", [][]step{some(19, 2*hour, hour, Pending), {{21 * hour, Counted}}}, map[Class]int64{Counted: 20, Pending: 1}, nil},
		{"two clocks don't", [][]step{some(19, 9*hour, 1, Pending), ahead(19)}, map[Class]int64{Pending: 39}, nil},
		{"20 that follow each other do, however slowly; the last one waits for more", [][]step{some(20, 2*hour, 3*hour, Pending), {{90 * hour, Pending}}},
			map[Class]int64{Counted: 20, Pending: 2}, nil},
		{"one that is ahead of those isn't one of them", [][]step{some(10, 2*hour, 3*hour, Pending), {{9000 * hour, Pending}}, some(10, 40*hour, 3*hour, Pending), {{90 * hour, Pending}}},
			map[Class]int64{Counted: 20, Pending: 2, Invalid: 1}, []int64{11}},
		{"20 that follow each other don't outnumber 21 ordinary ones", [][]step{some(6, 9000*hour, -100*hour, Pending), some(20, 2*hour, 3*hour, Pending), ordinary(21), {{62 * hour, Pending}}},
			map[Class]int64{Pending: 49}, nil},
		{"at the bound all are given up", [][]step{some(MaxHeld, 1000*hour, -2*hour, Pending), {{900 * hour, Invalid}}, ahead(1)},
			map[Class]int64{Pending: 2, Invalid: MaxHeld + 1}, upTo(1, MaxHeld)},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, rejected := takeHeld(t, slices.Concat(append([][]step{{{0, Counted}}}, row.steps...)...))
			counts := s.Counts()
			for _, class := range ClassesOf(schemas.KindPrediction) {
				if got := counts.Of(schemas.KindPrediction, class); got != row.counts[class] {
					t.Errorf("%d are %v, want %d", got, class, row.counts[class])
				}
			}
			if !slices.Equal(rejected, row.rejected) {
				t.Errorf("rejected offsets %v, want %v", rejected, row.rejected)
			}
			held := s.Held(0)
			s.Finish(true)
			counts = s.Counts()
			if got := counts.Of(schemas.KindPrediction, Invalid); got != row.counts[Invalid]+int64(held) {
				t.Errorf("at the end of the log %d are invalid, want the %d held ones, too", got, held)
			}
		})
	}
}

// heldStep is one event, by its time, and what Add says of it.
type heldStep struct {
	ms   int64
	want Class
}

// takeHeld adds events to a new stage, and returns the offsets of those that were given up.
func takeHeld(t *testing.T, steps []heldStep) (s *Stage, rejected []int64) {
	t.Helper()
	s = simpleStage(t, Limits{}, simplePlan())
	for i, step := range steps {
		stamp := int64(0)
		if i == 0 {
			stamp = max(step.ms, 1) // the partition has a time from the first event on
		}
		got, err := s.Add(0, prediction(fmt.Sprint(i), "v1", step.ms), int64(i), stamp)
		if got != step.want || errors.Is(err, ErrUnconfirmed) != (got == Invalid) {
			t.Errorf("event %d at %d: %v, %v, want %v", i, step.ms, got, err, step.want)
		}
		for _, r := range s.Rejected() {
			rejected = append(rejected, r.Offset)
			if !errors.Is(r.Err, ErrUnconfirmed) {
				t.Errorf("offset %d: %v, want ErrUnconfirmed", r.Offset, r.Err)
			}
		}
	}
	return s, rejected
}

// oddClocks is a partition's log: every 500 ms an event, for ten minutes, then after a gap of two hours for ten more; and every few events one whose
// clock is off.
func oddClocks(every int, offMs int64) (log []schemas.Event, odd int) {
	for i := range 2_400 {
		ms := int64(500 * i)
		if i >= 1_200 {
			ms += 2 * 3_600_000
		}
		if i%every == every-1 {
			ms += offMs
			odd++
		}
		log = append(log, *prediction(fmt.Sprint(i), "v1", ms))
	}
	return log, odd
}

// TestOddClocks: neither one clock that is slow nor one that is fast decides for a partition.
func TestOddClocks(t *testing.T) {
	const hour = 3_600_000
	for _, row := range []struct {
		name  string
		every int
		offMs int64
		class Class // of nearly all the odd ones
		slack int64
	}{
		{"one in eleven before the gap", 11, -3 * hour, Late, 1},
		{"one in three before the gap", 3, -3 * hour, Late, 10},
		{"one in eleven a day ahead", 11, 24 * hour, Invalid, 0},
		{"one in eleven two hours ahead", 11, 2 * hour, Invalid, 5},
	} {
		t.Run(row.name, func(t *testing.T) {
			plan := simplePlan()
			plan.FromMs = -4 * hour
			s := simpleStage(t, Limits{}, plan)
			log, odd := oddClocks(row.every, row.offMs)
			for i := range log {
				if _, err := s.Add(0, &log[i], int64(i), 0); err != nil && !errors.Is(err, ErrAhead) {
					t.Fatal(err)
				}
			}
			s.Finish(true)
			counts := s.Counts()
			counted, wrong := counts.Of(schemas.KindPrediction, Counted), counts.Of(schemas.KindPrediction, row.class)
			if want := int64(len(log) - odd); counted < want-row.slack || counted > want+row.slack || wrong < int64(odd)-row.slack {
				t.Errorf("%v, want %d counted, %d %v, give or take %d", counts[schemas.KindPrediction], want, odd, row.class, row.slack)
			}
		})
	}
}

// TestRecoveryWithHeld: whoever starts again while events are held aside comes to the same parts.
func TestRecoveryWithHeld(t *testing.T) {
	for _, offMs := range []int64{-3 * 3_600_000, 24 * 3_600_000} {
		log, _ := oddClocks(11, offMs)
		read := func(s *Stage, from, to int, parts []SealedPart) []SealedPart {
			for i := from; i < to; i++ {
				if _, err := s.Add(0, &log[i], int64(i), 0); err != nil && !errors.Is(err, ErrAhead) {
					t.Fatal(err)
				}
			}
			if to == len(log) {
				s.Finish(true)
			}
			for _, p := range s.Sealed() {
				c := *p.Part
				parts = append(parts, SealedPart{p.Key, &c})
			}
			return parts
		}
		whole := simpleStage(t, Limits{}, simplePlan())
		want := partsOf(read(whole, 0, len(log), nil))
		held := 0
		for at := 1_180; at < 1_280; at += 7 {
			first := simpleStage(t, Limits{}, simplePlan())
			journal := read(first, 0, at, nil)
			held = max(held, first.Held(0))
			rec, from := first.Recovery(), 0
			again := simpleStage(t, Limits{}, simplePlan())
			if err := again.Restore(rec); err != nil {
				t.Fatal(err)
			}
			for _, src := range rec.Sources {
				if src.Partition == (Partition{"p", 0}) {
					from = int(src.Offset)
				}
			}
			got := partsOf(read(again, from, len(log), journal))
			if len(got) != len(want) {
				t.Fatalf("started again at %d: %d parts, want %d", at, len(got), len(want))
			}
			for key, part := range want {
				if got[key] != part {
					t.Fatalf("started again at %d: part %v\n got %x\nwant %x", at, key, got[key], part)
				}
			}
		}
		if held == 0 {
			t.Error("nothing was held aside where it started again")
		}
	}
}

// TestBadEvents: an event that can't be read counts in the oldest open window of its partition, for every rollout whose it can be.
func TestBadEvents(t *testing.T) {
	plan := simplePlan()
	plan.FromMs, plan.Health = 5_000, true
	s := simpleStage(t, Limits{MaxAheadMs: 500}, plan)
	offset := 0
	step := func(ms int64) {
		addStamped(t, s, 0, prediction(fmt.Sprint(offset), "v1", ms), offset, ms)
		offset++
	}
	bad := func(model string) {
		e := prediction("bad", "v1", MaxTimeMs+1)
		e.Model = []byte(model)
		if class, err := s.Add(0, e, int64(offset), 1); class != Invalid || err == nil {
			t.Errorf("%v, %v, want an error", class, err)
		}
		offset++
	}
	bad("ranker") // nothing was read before
	step(4_999)
	bad("ranker") // before the rollout
	step(5_000)
	bad("ranker")
	bad("another")
	s.CountInvalid(0, schemas.KindUnknown, int64(offset))
	s.CountInvalid(2, schemas.KindOutcome, 0) // a partition of outcomes
	step(8_000)                               // the window from 5 s is sealed
	s.CountInvalid(0, schemas.KindPrediction, int64(offset))
	step(20_000)
	bad("ranker") // nothing else is in its window
	s.Finish(true)
	got := map[int64]int64{}
	for _, p := range s.Sealed() {
		if p.Part.Bad > 0 {
			got[p.Part.StartMs] = p.Part.Bad
		}
	}
	if want := map[int64]int64{5_000: 2, 6_000: 1, 18_000: 1}; !maps.Equal(got, want) {
		t.Errorf("bad events %v, want %v", got, want)
	}
}
