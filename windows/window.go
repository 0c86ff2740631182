package windows

import (
	"sort"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"streamcanary/schemas"
)

// An openWindow is one window of one partition and part kind, until it is sealed.
type openWindow struct {
	part    *Part // what is reduced by now
	counted int64 // events, pending until the window is sealed
	rows    []*rowSet
	units   unitSet
	hosts   [Arms]hostSet
	regions hostSet // of the canary
	others  hostSet // versions

	otherHosts hostSet // of these

	segments segmentSet // of all; empty where the plan tells none apart
	followed segmentSet // of those that outcomes can follow
	shown    []showcase // by the layout's exhibits; shorter where nothing was shown yet
}

// A windowList is the open windows of one partition and part kind, ascending by start. Its length is bounded by lateness over
// width, and two.
type windowList []*openWindow

// at returns the window that starts at start, and its place; nil and where it belongs if there is none.
func (l windowList) at(start int64) (*openWindow, int) {
	i := len(l)
	if i > 8 {
		i = sort.Search(len(l), func(i int) bool { return l[i].part.StartMs > start })
	}
	for i > 0 && l[i-1].part.StartMs > start {
		i--
	}
	if i > 0 && l[i-1].part.StartMs == start {
		return l[i-1], i - 1
	}
	return nil, i
}

// A workshop makes parts and open windows, and takes them back to make others of the same memory.
type workshop struct {
	memory  memory.Allocator
	reducer reducer
	names   interner
	name    []byte // scratch: of a host and its version
	parts   []*Part
	windows []*openWindow
	rows    map[*layout][]*rowSet
}

func newWorkshop() workshop {
	return workshop{memory: &recycler{}, rows: map[*layout][]*rowSet{}}
}

// recycledParts bounds the parts and windows that a workshop keeps.
const recycledParts = 4096

// part returns an empty part of a stream, with a cell per key.
func (w *workshop) part(stream Stream, keys []string, start int64) *Part {
	p := &Part{}
	if n := len(w.parts); n > 0 {
		p, w.parts = w.parts[n-1], w.parts[:n-1]
	}
	p.Stream, p.StartMs, p.Metrics, p.Overflow, p.AfterMs = stream, start, keys, false, NoTime
	p.Segments, p.Bad, p.Gap, p.Source = p.Segments[:0], 0, [Arms]JoinGap{}, JoinGap{}
	p.Exemplars, p.Others, p.OtherHosts = p.Exemplars[:0], p.Others[:0], p.OtherHosts[:0]
	for arm := range Arms {
		p.Cells[arm] = emptyCells(p.Cells[arm], len(keys))
		t := &p.Traffic[arm]
		*t = Traffic{Units: t.Units[:0], Hosts: t.Hosts[:0], Regions: t.Regions[:0]}
	}
	return p
}

// emptyCells returns n empty cells in the memory of cells, histograms included.
func emptyCells(cells []Cell, n int) []Cell {
	for cap(cells) < n {
		cells = append(cells[:cap(cells)], Cell{})
	}
	cells = cells[:n]
	for i := range cells {
		cells[i] = Cell{Hist: cells[i].Hist[:0]}
	}
	return cells
}

// recycledSegments bounds the parts whose segments' memory a workshop keeps: it may be far more than the rest.
const recycledSegments = 64

// take gets a part back.
func (w *workshop) take(p *Part) {
	if len(w.parts) >= recycledSegments {
		p.Segments = nil
	}
	if len(w.parts) < recycledParts {
		w.parts = append(w.parts, p)
	}
}

// window returns an empty window.
func (w *workshop) window(stream Stream, l *layout, start int64) *openWindow {
	o := &openWindow{}
	if n := len(w.windows); n > 0 {
		o, w.windows = w.windows[n-1], w.windows[:n-1]
	}
	sets := Arms
	if l.kind == Resources {
		sets *= len(l.names)
	}
	o.part, o.counted = w.part(stream, l.keys, start), 0
	for cap(o.rows) < sets {
		o.rows = append(o.rows[:cap(o.rows)], nil)
	}
	o.rows = o.rows[:sets]
	return o
}

// rowsOf returns the row set of an arm (and sample), made when first used.
func (w *workshop) rowsOf(l *layout, o *openWindow, arm Arm, name int) *rowSet {
	place := int(arm) + Arms*name
	if o.rows[place] == nil {
		if free := w.rows[l]; len(free) > 0 {
			o.rows[place], w.rows[l] = free[len(free)-1], free[:len(free)-1]
		} else {
			o.rows[place] = newRowSet(l, w.memory)
		}
		o.rows[place].arm, o.rows[place].name = arm, name
	}
	return o.rows[place]
}

// reduceFull reduces a row set that has reached MaxRows.
func (w *workshop) reduceFull(l *layout, o *openWindow, r *rowSet) {
	if r.rows >= MaxRows {
		w.reducer.reduce(l, r, o)
	}
}

// seal reduces what is left, takes the window back, and returns its part.
func (w *workshop) seal(l *layout, o *openWindow, known *unitMemory) *Part {
	for place, r := range o.rows {
		if r == nil {
			continue
		}
		w.reducer.reduce(l, r, o)
		w.rows[l] = append(w.rows[l], r)
		o.rows[place] = nil
	}
	p := o.part
	if l.segments != nil {
		o.segments.drain(l.segments, p, &w.names)
		o.followed.empty()
	}
	o.drainShown(&w.names)
	o.units.drain(known, &p.Traffic)
	for arm := range Arms {
		p.Traffic[arm].Hosts = o.hosts[arm].drain(p.Traffic[arm].Hosts, &w.names)
	}
	p.Traffic[Canary].Regions = o.regions.drain(p.Traffic[Canary].Regions, &w.names)
	p.Others, p.OtherHosts = o.others.drain(p.Others, &w.names), o.otherHosts.drain(p.OtherHosts, &w.names)
	o.part = nil
	if len(w.windows) < recycledParts {
		w.windows = append(w.windows, o)
	}
	return p
}

// forget drops what is kept for a layout that is used no more.
func (w *workshop) forget(l *layout) { delete(w.rows, l) }

// countPrediction adds a counted prediction to its arm's traffic.
func (t *Traffic) countPrediction(e *schemas.Event, slice int) {
	if t.Events == 0 {
		t.SampledMin, t.SampledMax = e.SampledBy, e.SampledBy
	}
	t.SampledMin, t.SampledMax = min(t.SampledMin, e.SampledBy), max(t.SampledMax, e.SampledBy)
	t.Events++
	if e.Shadow {
		return
	}
	t.Served++
	if slice >= 0 {
		t.Slices[slice]++
	}
}
