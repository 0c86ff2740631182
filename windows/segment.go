package windows

import (
	"fmt"
	"slices"
	"strings"
)

// A Segment is what one segment's predictions were in a window: of both arms, in cells as the part's own but without slices. The segments of a part
// add up to it. The name "" has the predictions without a segment, and of those that aren't told apart.
type Segment struct {
	Name   string
	Served [Arms]int64 // as Traffic.Served; serving parts only
	Cells  [Arms][]Cell
}

// addSegments adds another part's segments to p's. Those that the plan doesn't tell apart are the rest: of a plan without a list, the
// greatest names beyond its bound. The names that stay are the smallest of all that were ever added, and what a rest once took up would go there in the
// end, too: so the order of additions doesn't matter.
func (p *Part) addSegments(add []Segment, plan *SegmentPlan) {
	for i := range add {
		at, found := findSegment(p.Segments, add[i].Name)
		if !found {
			p.Segments = insertSegment(p.Segments, at, add[i].Name, len(p.Metrics))
		}
		p.Segments[at].add(&add[i])
	}
	if plan != nil {
		p.Segments = trimSegments(p.Segments, plan.most(), len(p.Metrics))
	}
}

func findSegment(list []Segment, name string) (int, bool) {
	return slices.BinarySearchFunc(list, name, func(s Segment, name string) int { return strings.Compare(s.Name, name) })
}

// insertSegment puts an empty segment into a list, in the memory of one that was there once.
func insertSegment(list []Segment, at int, name string, cells int) []Segment {
	s := Segment{Name: name}
	if n := len(list); n < cap(list) {
		s.Cells = list[:n+1][n].Cells
	}
	for arm := range Arms {
		s.Cells[arm] = emptyCells(s.Cells[arm], cells)
	}
	return slices.Insert(list, at, s)
}

func (s *Segment) add(t *Segment) {
	for arm := range Arms {
		s.Served[arm] += t.Served[arm]
		for i := range t.Cells[arm] {
			s.Cells[arm][i].add(&t.Cells[arm][i])
		}
	}
}

// trimSegments moves the greatest names beyond a number to the rest.
func trimSegments(list []Segment, most, cells int) []Segment {
	named := len(list)
	if named > 0 && list[0].Name == "" {
		named--
	}
	if named <= most {
		return list
	}
	if list[0].Name != "" {
		list = insertSegment(list, 0, "", cells)
	}
	for ; named > most; named-- {
		last := len(list) - 1
		list[0].add(&list[last])
		list = list[:last]
	}
	return list
}

// checkSegments says what of a part's segments contradicts the part.
func checkSegments(p *Part) error {
	if len(p.Segments) == 0 {
		return nil
	}
	if p.Kind == Resources {
		return fmt.Errorf("%d segments of samples", len(p.Segments))
	}
	var served [Arms]int64
	for i := range p.Segments {
		s := &p.Segments[i]
		if i > 0 && s.Name <= p.Segments[i-1].Name {
			return fmt.Errorf("segment %d is out of order", i)
		}
		for arm := range Arms {
			if s.Served[arm] < 0 || len(s.Cells[arm]) != len(p.Cells[arm]) {
				return fmt.Errorf("segment %q has %d served and %d cells, not %d", s.Name, s.Served[arm], len(s.Cells[arm]), len(p.Cells[arm]))
			}
			served[arm] += s.Served[arm]
		}
	}
	for arm := range Arms {
		if served[arm] != p.Traffic[arm].Served {
			return fmt.Errorf("arm %d: the segments served %d, not %d", arm, served[arm], p.Traffic[arm].Served)
		}
		for i := range p.Cells[arm] {
			if err := checkSegmentCells(p, arm, i); err != nil {
				return fmt.Errorf("arm %d, cell %d: %w", arm, i, err)
			}
		}
	}
	return nil
}

// checkSegmentCells says which cell is odd, or that the segments' don't add up to the part's.
func checkSegmentCells(p *Part, arm, at int) error {
	var sum Cell
	for i := range p.Segments {
		c := &p.Segments[i].Cells[arm][at]
		if c.Slices != [Slices]SliceCount{} {
			return fmt.Errorf("segment %q has slices", p.Segments[i].Name)
		}
		if err := checkCell(c); err != nil {
			return fmt.Errorf("segment %q: %w", p.Segments[i].Name, err)
		}
		sum.N += c.N
		sum.K += c.K
		sum.Sum += c.Sum
		sum.Squares += c.Squares
	}
	whole := &p.Cells[arm][at]
	if sum.N != whole.N || sum.K != whole.K || sum.Sum != whole.Sum || sum.Squares != whole.Squares {
		return fmt.Errorf("the segments add up to %d, %d, %d, %d, not %d, %d, %d, %d",
			sum.N, sum.K, sum.Sum, sum.Squares, whole.N, whole.K, whole.Sum, whole.Squares)
	}
	return nil
}
