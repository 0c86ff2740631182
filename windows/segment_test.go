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
