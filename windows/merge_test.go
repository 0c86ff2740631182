package windows

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/schemas"
)

// TestMergeOrder: parts of partitions and streams in any order of arrival come out in the one canonical order, before the end wherever
// the marks allow.
func TestMergeOrder(t *testing.T) {
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		s := newStream(r, shape{partitions: 2, many: 300})
		queues := map[string][]SealedPart{} // by partition and stream
		stage := s.stage(t)
		s.interleave(reading{r: r, batch: 20}, make([]int, len(s.logs)), func(place, offset int) {
			add(t, stage, place, &s.logs[place][offset], offset)
		})
		stage.Finish(true)
		for _, p := range stage.Sealed() {
			name := fmt.Sprint(p.Key.Partition, p.Key.Stream)
			queues[name] = append(queues[name], SealedPart{p.Key, clonePart(p.Part)})
		}
		want := s.mergeAll(t, r, queues)
		for range 5 {
			got := s.mergeAll(t, r, queues)
			compareParts(t, got.merged, want.merged)
		}
	})
}

// mergeAll feeds the parts in a random order, but for that of each partition and stream.
func (s *stream) mergeAll(t *testing.T, r *rand.Rand, queues map[string][]SealedPart) result {
	t.Helper()
	m, got, at := s.merger(), result{}, map[string]int{}
	var digest Digest
	var names []string
	for name := range queues {
		names = append(names, name)
	}
	slices.Sort(names)
	for len(names) > 0 {
		i := r.IntN(len(names))
		name := names[i]
		p := queues[name][at[name]]
		if at[name]++; at[name] == len(queues[name]) {
			names = slices.Delete(names, i, i+1)
		}
		again := 1 + r.IntN(2)
		for range again { // the journal may have a record twice
			if err := m.Add(p.Key, p.Part); err != nil {
				t.Fatal(err)
			}
		}
		got.next(m, &digest)
	}
	m.Finish()
	got.next(m, &digest)
	got.digest = digest.Sum()
	if left := m.Stats().Buffered; left != 0 {
		t.Errorf("%d windows are never given out", left)
	}
	return got
}

// mergeFeed makes parts of simplePlan by hand.
type mergeFeed struct {
	*testing.T
	m    *Merger
	plan Plan
}

var (
	serving   = Stream{Kind: Serving}
	resources = Stream{Kind: Resources}
	clicks    = Stream{Kind: Outcomes, Name: "click"}
)

func newFeed(t *testing.T) *mergeFeed {
	plan := simplePlan()
	p := []Partition{{"p", 0}, {"p", 1}}
	return &mergeFeed{t, NewMerger(&plan, p, []Partition{{"s", 0}}), plan}
}

// part adds a part with n events in the baseline; a mark if n is 0.
func (f *mergeFeed) part(at Partition, s Stream, startMs, n int64) {
	f.Helper()
	p := &Part{Stream: s, StartMs: startMs}
	for arm := range Arms {
		p.Cells[arm] = make([]Cell, 1)
	}
	p.Cells[Baseline][0].N = n
	if s.Kind == Serving {
		p.Traffic[Baseline].Events = n
	}
	key := Key{Rollout: "r", Epoch: 1, Plan: f.plan.Hash(), Partition: at, Stream: s, StartMs: startMs}
	if err := f.m.Add(key, p); err != nil {
		f.Fatal(err)
	}
}

// want says which windows are due now.
func (f *mergeFeed) want(what string, windows ...string) {
	f.Helper()
	var got []string
	for p := f.m.Next(); p != nil; p = f.m.Next() {
		got = append(got, fmt.Sprintf("%s %d n=%d", p.Kind, p.StartMs, p.Cells[Baseline][0].N))
	}
	if !slices.Equal(got, windows) {
		f.Errorf("%s: %q, want %q", what, got, windows)
	}
}

func TestMergeWaits(t *testing.T) {
	p0, p1, s0 := Partition{"p", 0}, Partition{"p", 1}, Partition{"s", 0}
	f := newFeed(t)
	f.part(p0, serving, 0, 5)
	f.want("one partition of two")
	f.part(p1, serving, 0, 7)
	f.want("both: resources and clicks can only bring what is ready later", "serving 0 n=12")
	f.part(p0, serving, 0, 5)
	f.part(p1, serving, 0, 1)
	f.want("second records")
	if got := f.m.Stats(); got != (MergerStats{Dropped: 2}) {
		t.Errorf("%+v, want 2 dropped", got)
	}
	f.part(p0, serving, 45_000, 1)
	f.part(p1, serving, 46_000, 0)
	f.want("the window that ends at 46 s: resources from 1 to 16 s and clicks from 1 to 6 s go before it")
	f.part(s0, resources, 3_000, 2)
	f.want("resources of 4 s are ready at 34 s, clicks at 41 s or later", "resources 3000 n=2")
	f.part(s0, resources, 15_000, 0)
	f.want("clicks of 5 s would be ready at 45 s")
	f.part(p0, clicks, 4_000, 1)
	f.part(p1, clicks, 4_000, 1)
	f.want("clicks may still come with 6 s, at 46 s: after serving", "outcomes 4000 n=2", "serving 45000 n=1")
}

func TestMergeRelease(t *testing.T) {
	p0, p1, s0 := Partition{"p", 0}, Partition{"p", 1}, Partition{"s", 0}
	f := newFeed(t)
	f.part(p0, serving, 99_000, 1)
	f.part(p1, serving, 99_000, 1)
	f.want("the other streams hold it")
	f.m.Release(resources, 100_000)
	f.m.Release(Stream{Kind: Outcomes, Name: "unheard-of"}, 100_000)
	f.want("clicks hold it still")
	f.m.Release(clicks, 100_000)
	f.want("by ruling", "serving 99000 n=2")
	f.part(s0, resources, 0, 3)
	f.part(s0, resources, 5_000, 0)
	f.want("what was not waited for comes late", "resources 0 n=3")
}

func TestMergeEnd(t *testing.T) {
	p0, p1, s0 := Partition{"p", 0}, Partition{"p", 1}, Partition{"s", 0}
	f := newFeed(t)
	f.part(p0, serving, 99_000, 1)
	f.part(p1, serving, 99_000, 1)
	f.part(p0, serving, 100_000, 1)
	f.part(s0, resources, 50_000, 1)
	f.part(s0, resources, 90_000, 1)
	f.want("before the end")
	f.m.Finish()
	f.want("at the end, without the window that one partition lacks", "resources 50000 n=1", "serving 99000 n=2", "resources 90000 n=1")
}

func TestMergeForced(t *testing.T) {
	f := newFeed(t)
	for i := range int64(MaxBuffered - 1) {
		f.part(Partition{"p", 0}, serving, 1_000*i, 1)
	}
	f.want("below the bound")
	f.part(Partition{"p", 0}, serving, 1_000*(MaxBuffered-1), 1)
	f.want("at the bound the first one goes", "serving 0 n=1")
	f.part(Partition{"p", 1}, serving, 0, 1)
	if got := f.m.Stats(); got != (MergerStats{Buffered: MaxBuffered - 1, Forced: 1, Dropped: 1}) {
		t.Errorf("%+v, want one forced, and its other part dropped", got)
	}
}

func TestMergeRefuses(t *testing.T) {
	f := newFeed(t)
	good := Key{Rollout: "r", Epoch: 1, Plan: f.plan.Hash(), Partition: Partition{"p", 0}, Stream: serving}
	part := &Part{Stream: serving}
	for arm := range Arms {
		part.Cells[arm] = make([]Cell, 1)
	}
	for name, change := range map[string]func(*Key){
		"rollout":   func(k *Key) { k.Rollout = "x" },
		"epoch":     func(k *Key) { k.Epoch = 2 },
		"plan":      func(k *Key) { k.Plan = "x" },
		"partition": func(k *Key) { k.Partition.Number = 2 },
		"stream":    func(k *Key) { k.Stream.Name = "x" },
		"samples":   func(k *Key) { k.Stream = resources },
	} {
		key := good
		change(&key)
		if err := f.m.Add(key, part); !errors.Is(err, ErrForeign) {
			t.Errorf("another %s: %v, want ErrForeign", name, err)
		}
	}
	for name, bad := range map[string]*Part{
		"cells":    {Stream: serving},
		"stream":   {Stream: clicks, Cells: part.Cells},
		"start":    {Stream: serving, StartMs: 1, Cells: part.Cells},
		"exhibits": {Stream: serving, Cells: part.Cells, Exemplars: [][]Exemplar{{{ID: "a"}}}},
	} {
		if err := f.m.Add(good, bad); err == nil {
			t.Errorf("a part with wrong %s is taken", name)
		}
	}
	if err := f.m.Add(good, part); err != nil {
		t.Error(err)
	}
}

// TestMergeUnits: a unit counts once, in the first window, in the arm of its smallest pick.
func TestMergeUnits(t *testing.T) {
	plan := simplePlan()
	p0, p1 := Partition{"p", 0}, Partition{"p", 1}
	m := NewMerger(&plan, []Partition{p0, p1}, nil)
	put := func(at Partition, startMs int64, baseline, canary []UnitSight) {
		p := &Part{Stream: serving, StartMs: startMs}
		for arm := range Arms {
			p.Cells[arm] = make([]Cell, 1)
		}
		p.Traffic[Baseline] = Traffic{Events: 1, Units: baseline}
		p.Traffic[Canary] = Traffic{Events: 1, Units: canary}
		if err := m.Add(Key{Rollout: "r", Epoch: 1, Plan: plan.Hash(), Partition: at, Stream: serving, StartMs: startMs}, p); err != nil {
			t.Fatal(err)
		}
	}
	put(p1, 0, []UnitSight{{2, 5}, {4, 9}}, []UnitSight{{7, 1}})
	put(p0, 0, []UnitSight{{1, 8}, {7, 1}}, []UnitSight{{2, 4}, {3, 3}, {4, 9}})
	put(p0, 1_000, []UnitSight{{2, 1}, {9, 9}}, nil)
	put(p1, 1_000, nil, []UnitSight{{3, 1}, {9, 8}})
	for _, want := range [][Arms][]UnitSight{
		{{{1, 8}, {4, 9}, {7, 1}}, {{2, 4}, {3, 3}}},
		{nil, {{9, 8}}},
	} {
		p := m.Next()
		for arm := range Arms {
			if !slices.Equal(p.Traffic[arm].Units, want[arm]) {
				t.Errorf("window %d, arm %d: units %v, want %v", p.StartMs, arm, p.Traffic[arm].Units, want[arm])
			}
		}
	}
}

func TestUnitRollIsBounded(t *testing.T) {
	var roll unitRoll
	window := func(from, to uint64) [Arms]Traffic {
		var tr [Arms]Traffic
		for u := from; u < to; u++ {
			tr[Canary].Units = append(tr[Canary].Units, UnitSight{keyOf(int64(u)) | 1, 0})
		}
		return tr
	}
	all := window(0, MaxUnits)
	roll.firstOnly(&all)
	if n := len(all[Canary].Units); all[Canary].UnitsFull || n < MaxUnits-10 {
		t.Errorf("%d units, full %v, want nearly %d and not full", n, all[Canary].UnitsFull, MaxUnits)
	}
	old := window(0, 5)
	if roll.firstOnly(&old); old[Baseline].UnitsFull || len(old[Canary].Units) != 0 {
		t.Errorf("known units: %+v, want none and not full", old)
	}
	more := window(MaxUnits, MaxUnits+1_000)
	if roll.firstOnly(&more); !more[Baseline].UnitsFull || !more[Canary].UnitsFull || len(more[Canary].Units) != 0 {
		t.Errorf("beyond the bound: %d units, full %v, want none and full", len(more[Canary].Units), more[Canary].UnitsFull)
	}
}

// TestHosts: the smallest MaxHosts names are told apart, whatever the order, in one partition or merged from several.
func TestHosts(t *testing.T) {
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		n := []int{5, MaxHosts, MaxHosts + 1, 3 * MaxHosts}[r.IntN(4)]
		var sets [3]hostSet
		var one hostSet
		want := map[string]HostCount{}
		for range 2_000 {
			name := fmt.Sprintf("host-%04d", r.IntN(n))
			events, late := r.Int64N(2), r.Int64N(2)
			sets[r.IntN(len(sets))].count([]byte(name), events, late)
			one.count([]byte(name), events, late)
			w := want[name]
			want[name] = HostCount{name, w.Events + events, w.Late + late}
		}
		var all, merged []HostCount
		for _, h := range want {
			all = append(all, h)
		}
		slices.SortFunc(all, byHost)
		all = trimHosts(all)
		var names interner
		for i := range sets {
			merged = addHosts(merged, sets[i].drain(nil, &names))
		}
		if got := one.drain(nil, &names); !slices.Equal(got, all) {
			t.Errorf("one set of %d names\n got %v\nwant %v", n, got, all)
		}
		if !slices.Equal(merged, all) {
			t.Errorf("three sets of %d names\n got %v\nwant %v", n, merged, all)
		}
		if got := one.drain(nil, &names); len(got) != 0 {
			t.Errorf("a drained set holds %v", got)
		}
	})
}

// TestReady is what a reader of the journal needs to know how long streams may lag.
func TestReady(t *testing.T) {
	for _, row := range []struct {
		s    Stream
		want int64
	}{{serving, 5_000}, {resources, 35_000}, {clicks, 45_000}} {
		if got := Ready(row.s, 5_000, 10_000); got != row.want {
			t.Errorf("Ready(%v) = %d, want %d", row.s, got, row.want)
		}
	}
	if got := (&Plan{}).Streams(); !slices.Equal(got, []Stream{serving}) {
		t.Errorf("streams of an empty plan: %v", got)
	}
	plan := simplePlan()
	if got := plan.Streams(); !slices.Equal(got, []Stream{serving, resources, clicks}) {
		t.Errorf("streams: %v", got)
	}
	if counts := (&Counts{}); counts.Total(schemas.KindSample) != 0 {
		t.Error("no events, and a total")
	}
}
