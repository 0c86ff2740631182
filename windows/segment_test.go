package windows

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// TestMergeSegments: the smallest names are told apart, the rest is one, and the order in which parts come doesn't matter.
func TestMergeSegments(t *testing.T) {
	const most = 3
	plan := &SegmentPlan{Most: most}
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		var parts [4]*Part
		sums := map[string]Segment{}
		names := []string{""}
		for i := range parts {
			parts[i] = segmentPart(r, most)
			for _, s := range parts[i].Segments {
				sum, known := sums[s.Name]
				if !known {
					sum = segmentPart(r, 0).emptySegment(s.Name)
					if s.Name != "" {
						names = append(names, s.Name)
					}
				}
				sum.add(&s)
				sums[s.Name] = sum
			}
		}
		slices.Sort(names)
		var want []Segment
		for i, name := range names {
			s := sums[name]
			switch {
			case s.Cells[0] == nil:
			case i <= most:
				want = append(want, s)
			default:
				if len(want) == most { // no rest by now
					want = slices.Insert(want, 0, parts[0].emptySegment(""))
				}
				want[0].add(&s)
			}
		}
		for range 5 {
			r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			got := &Part{Stream: serving, Metrics: []string{"a", "b"}}
			for range 2 { // in used memory, too
				got.Segments = got.Segments[:0]
				for _, p := range parts {
					got.addSegments(p.Segments, plan)
				}
			}
			if !slices.EqualFunc(got.Segments, want, sameSegment) {
				t.Fatalf("segments\n got %+v\nwant %+v", got.Segments, want)
			}
		}
	})
}

func sameSegment(a, b Segment) bool {
	return string(appendSegmentBytes(nil, []Segment{a})) == string(appendSegmentBytes(nil, []Segment{b}))
}

func (p *Part) emptySegment(name string) Segment {
	return insertSegment(nil, 0, name, 2)[0]
}

// segmentPart returns a part with up to so many named segments.
func segmentPart(r *rand.Rand, most int) *Part {
	p := &Part{Stream: serving, Metrics: []string{"a", "b"}}
	for range most * 2 {
		s := p.emptySegment([]string{"", "a", "b", "c", "d", "e", "f"}[r.IntN(7)])
		for arm := range Arms {
			s.Served[arm] = r.Int64N(5)
			s.Cells[arm][0] = Cell{N: 1 + r.Int64N(5), K: r.Int64N(2), Sum: r.Int64N(SumUnit), Squares: r.Int64N(SumUnit)}
			s.Cells[arm][1] = Cell{N: 1, Hist: []Bucket{{r.Int32N(5), 1}}}
		}
		p.addSegments([]Segment{s}, &SegmentPlan{Most: most})
	}
	return p
}

// TestMergerTakesSegments: a merger adds them up by its plan, and refuses what its plan doesn't have.
func TestMergerTakesSegments(t *testing.T) {
	plan := simplePlan()
	plan.Metrics = []Metric{errorMetric{}, latencyMetric{}}
	key, part := samplePartWithAll(Serving)
	key.Rollout, key.Epoch, key.Partition = "r", 1, Partition{"p", 0}
	part.AfterMs = NoTime // nothing is missing before it
	part.Exemplars = nil  // nor does the plan ask for any
	for _, row := range []struct {
		plan *SegmentPlan
		want []string
	}{{nil, nil}, {&SegmentPlan{Most: 1}, []string{"", "a\xff"}}, {&SegmentPlan{Most: 2}, []string{"", "a\xff", "b"}}} {
		plan.Segments, plan.FromMs = row.plan, part.StartMs
		key.Plan = plan.Hash()
		m := NewMerger(&plan, []Partition{key.Partition}, nil)
		err := m.Add(key, part)
		if row.plan == nil {
			if err == nil {
				t.Error("a part with segments is taken by a plan without")
			}
			continue
		}
		m.Finish()
		var got []string
		for _, s := range m.Next().Segments {
			got = append(got, s.Name)
		}
		if err != nil || !reflect.DeepEqual(got, row.want) {
			t.Errorf("most %d: segments %q (%v), want %q", row.plan.Most, got, err, row.want)
		}
	}
}

func TestSumUnits(t *testing.T) {
	for _, row := range []struct {
		x, limit float64
		want     int64
	}{
		{0, 1, 0}, {1, 1, SumUnit}, {-1, 1, -SumUnit}, {2, 1, SumUnit}, {-500.5, 500, -SumUnit}, {250, 500, SumUnit / 2},
		{math.Inf(1), 3, SumUnit}, {math.Inf(-1), 3, -SumUnit}, {math.NaN(), 3, 0}, {1e-9, 1, 0}, {5e-324, 5e-324, SumUnit}, {1e308, 1.7e308, 616809},
	} {
		if got := SumUnits(row.x, row.limit); got != row.want {
			t.Errorf("SumUnits(%v, %v) = %d, want %d", row.x, row.limit, got, row.want)
		}
	}
	for u, want := range map[int64]int64{0: 0, SumUnit: SumUnit, -SumUnit: SumUnit, 1023: 0, 1024: 1, -1024: 1} {
		if got := SquareUnits(u); got != want {
			t.Errorf("SquareUnits(%d) = %d, want %d", u, got, want)
		}
	}
	var c Cell
	rows := Rows{Len: 2, Slice: []uint8{3, 0}}
	c.AddValue(&rows, 0, 2048)
	rows.Slice = nil
	c.AddValue(&rows, 1, -SumUnit)
	want := Cell{N: 2, Sum: 2048 - SumUnit, Squares: 4 + SumUnit}
	want.Slices[3] = SliceCount{N: 1, Sum: 2048}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("cell %v, want %v", fmt.Sprint(c), want)
	}
}

// TestSegmentsOfAWindow: the smallest names are told apart whatever the order in which they come, also where rows are reduced before the last name
// is there; where more names come than there are places for, no prediction is lost.
func TestSegmentsOfAWindow(t *testing.T) {
	const most = 3
	for _, row := range []struct {
		name      string
		many      int // predictions
		segment   func(i int) string
		want      []string // and how many they served
		unordered bool     // what the names are isn't looked at
	}{
		{"none", 10, func(int) string { return "" }, []string{" 10"}, false},
		{"few", 10, func(i int) string { return string(rune('a' + i%2)) }, []string{"a 5", "b 5"}, false},
		{"many", 100, func(i int) string { return fmt.Sprint(i % 10) }, []string{" 70", "0 10", "1 10", "2 10"}, false},
		{"descending", 100, func(i int) string { return fmt.Sprint(9 - i/10) }, []string{" 70", "0 10", "1 10", "2 10"}, false},
		{
			"a name that gives way, and comes again", 9, func(i int) string { return []string{"d", "c", "b", "a", "d", "d", "c", "e", "e"}[i] },
			[]string{" 5", "a 1", "b 1", "c 2"}, false,
		},
		{
			"rows reduced in between", 2 * MaxRows, func(i int) string { return fmt.Sprint(9 - i*10/(2*MaxRows)) },
			[]string{" 91751", "0 13107", "1 13107", "2 13107"}, false,
		},
		{"descending for long", 3_000, func(i int) string { return fmt.Sprint(9_999 - i) }, []string{" 2997", "7953 1", "7954 1", "7955 1"}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			plan := simplePlan()
			plan.Segments = &SegmentPlan{Most: most}
			s := simpleStage(t, Limits{}, plan)
			served := map[string]int{}
			for i := range row.many {
				e := prediction(fmt.Sprint(i), "v1", 500)
				e.Segment = []byte(row.segment(i))
				served[row.segment(i)]++
				addStamped(t, s, 0, e, i, 500)
				if i%5 == 0 {
					addStamped(t, s, 2, click(fmt.Sprint(i), 500), i, 500)
				}
			}
			s.Finish(true)
			if left := s.rollouts[0].symbols.numbers; len(left) != 0 {
				t.Errorf("names %v are kept", left)
			}
			for _, p := range s.Sealed() {
				if p.Part.IsMark() {
					continue
				}
				var got []string
				total := Cell{}
				for _, g := range p.Part.Segments {
					n := g.Cells[Baseline][0].N
					got = append(got, fmt.Sprint(g.Name, " ", n))
					total.add(&g.Cells[Baseline][0])
					if g.Name != "" && n != int64(served[g.Name]) {
						t.Errorf("%v: segment %s has %d, not %d", p.Key.Stream, g.Name, n, served[g.Name])
					}
				}
				if !slices.Equal(got, row.want) && !(row.unordered && len(got) == most+1) {
					t.Errorf("%v: segments %q, want %q", p.Key.Stream, got, row.want)
				}
				if want := p.Part.Cells[Baseline][0]; total.N != want.N || total.K != want.K {
					t.Errorf("%v: the segments add up to %v, want %v", p.Key.Stream, total, want)
				}
			}
		})
	}
}

// TestSymbols: names have numbers while somebody uses them.
func TestSymbols(t *testing.T) {
	y := newSymbols()
	a, b, none := y.take([]byte("a")), y.take([]byte("b")), y.take(nil)
	if again := y.take([]byte("a")); again != a || b == a || none != 0 || a == 0 {
		t.Errorf("a is %d and %d, b %d, none %d", a, again, b, none)
	}
	y.release(none)
	y.release(a)
	if y.names[a] != "a" {
		t.Error("a name that is used once more is gone")
	}
	y.release(a)
	if c := y.take([]byte("c")); c != a || y.names[c] != "c" || len(y.numbers) != 2 {
		t.Errorf("c is %d, %v", c, y)
	}
}
