package windows

import (
	"cmp"
	"slices"

	"streamcanary/schemas"
)

// findSegments finds the names of the segments of every window.
func (w *twin) findSegments() {
	w.names = map[segmentsOf][]string{}
	if w.plan.Segments == nil {
		return
	}
	add := func(to map[segmentsOf][]string, of segmentsOf, name string) {
		if at, known := slices.BinarySearch(to[of], name); !known && name != "" {
			to[of] = slices.Insert(to[of], at, name)
		}
	}
	for i := range w.events {
		e := &w.events[i]
		of := segmentsOf{false, w.start(e.TimeMs)}
		if e.Kind != schemas.KindPrediction || e.class != Counted {
			continue
		}
		add(w.names, of, string(e.Segment))
		if of.joined = true; w.canFollow(e) {
			add(w.names, of, string(e.Segment))
		}
	}
}

// toldApart returns a name of a list, or "" if it isn't told apart.
func (w *twin) toldApart(names []string, name string) string {
	if list := w.plan.Segments.List; len(list) > 0 {
		names = list
	} else if len(names) > w.plan.Segments.Most {
		names = names[:w.plan.Segments.Most]
	}
	if slices.Contains(names, name) {
		return name
	}
	return ""
}

// segment returns a prediction's segment in a merged part; nil if the plan has none.
func (w *twin) segment(p *Part, e *twinEvent) *Segment {
	if w.plan.Segments == nil {
		return nil
	}
	name := w.toldApart(w.names[segmentsOf{p.Kind == Outcomes, p.StartMs}], string(e.Segment))
	for i := range p.Segments {
		if p.Segments[i].Name == name {
			return &p.Segments[i]
		}
	}
	s := Segment{Name: name}
	for arm := range Arms {
		s.Cells[arm] = make([]Cell, len(p.Cells[arm]))
	}
	p.Segments = append(p.Segments, s)
	slices.SortFunc(p.Segments, func(a, b Segment) int { return cmp.Compare(a.Name, b.Name) })
	return w.segment(p, e)
}

// both does something to a cell of a part and to the same of the prediction's segment, which has no slices.
func (w *twin) both(p *Part, e *twinEvent, at int, do func(*Cell)) {
	arm := w.arm(e.Version)
	do(&p.Cells[arm][at])
	if s := w.segment(p, e); s != nil {
		do(&s.Cells[arm][at])
		s.Cells[arm][at].Slices = [Slices]SliceCount{}
	}
}
