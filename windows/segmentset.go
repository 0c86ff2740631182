package windows

import (
	"bytes"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// segmentNames is a plan's segments, prepared.
type segmentNames struct {
	most   int
	list   []string
	places map[string]uint16 // of the list: 1 + place
}

func newSegmentNames(g *SegmentPlan) *segmentNames {
	if g == nil {
		return nil
	}
	n := &segmentNames{most: g.most(), list: g.List}
	if len(g.List) > 0 {
		n.places = map[string]uint16{}
		for i, name := range g.List {
			n.places[name] = uint16(i + 1)
		}
	}
	return n
}

// maxSegmentIDs bounds the names that a window of a partition has places for. A name that gives way to a smaller one keeps its place; where there
// are none left, further names are the rest, whichever they are: then it depends on the partition's log, and no longer on the set of its
// events alone, which names are told apart.
const maxSegmentIDs = 1<<segmentBits - 1

// A segmentSet is the segments of one open window (or of those of its predictions that outcomes can follow): those of the plan's list, or its smallest names. Every name has an id; id 0 is the rest, to
// which names belong that aren't told apart. Emptied and used again.
type segmentSet struct {
	entries  []segmentEntry // by id
	names    []byte         // all names, end to end
	index    []uint16       // open addressing by hash: id; 0 is free
	kept     int
	greatest uint16 // id of the greatest name that is kept
}

type segmentEntry struct {
	hash     uint64
	from, to uint32  // in names
	gone     bool    // it gave way to a smaller name: what it counted is the rest's
	rows     int64   // predictions
	sum      Segment // what is reduced of them; nameless
}

const segmentSlots = 2 * (maxSegmentIDs + 1)

// id returns the id of a prediction's segment, and counts it there.
func (g *segmentSet) id(plan *segmentNames, p placed) uint16 {
	for len(g.entries) < 1+len(plan.list) {
		g.push(segmentEntry{})
	}
	id := g.find(plan, p.Segment)
	e := &g.entries[id]
	e.rows++
	if !p.Shadow {
		e.sum.Served[p.arm]++
	}
	return id
}

func (g *segmentSet) find(plan *segmentNames, name []byte) uint16 {
	switch {
	case len(name) == 0:
		return 0
	case plan.places != nil:
		return plan.places[string(name)]
	case g.index == nil:
		g.index = make([]uint16, segmentSlots)
	}
	hash := xxhash.Sum64(name)
	i := hash % segmentSlots
	for ; g.index[i] != 0; i = (i + 1) % segmentSlots {
		if e := &g.entries[g.index[i]]; e.hash == hash && bytes.Equal(g.name(e), name) {
			if e.gone {
				return 0
			}
			return g.index[i]
		}
	}
	if len(g.entries) > maxSegmentIDs || (g.kept == plan.most && bytes.Compare(name, g.name(&g.entries[g.greatest])) > 0) {
		return 0
	}
	if g.kept == plan.most {
		g.entries[g.greatest].gone = true
		g.kept--
		g.findGreatest()
	}
	from, id := uint32(len(g.names)), uint16(len(g.entries))
	g.names = append(g.names, name...)
	g.push(segmentEntry{hash: hash, from: from, to: uint32(len(g.names))})
	if g.greatest == 0 || bytes.Compare(name, g.name(&g.entries[g.greatest])) > 0 {
		g.greatest = id
	}
	g.kept++
	g.index[i] = id
	return id
}

func (g *segmentSet) name(e *segmentEntry) []byte { return g.names[e.from:e.to] }

// findGreatest looks for the greatest name that is kept: one of few, and seldom.
func (g *segmentSet) findGreatest() {
	g.greatest = 0
	for id := 1; id < len(g.entries); id++ {
		e := &g.entries[id]
		if !e.gone && (g.greatest == 0 || bytes.Compare(g.name(e), g.name(&g.entries[g.greatest])) > 0) {
			g.greatest = uint16(id)
		}
	}
}

// push adds an entry, in the memory of an earlier one.
func (g *segmentSet) push(e segmentEntry) {
	if n := len(g.entries); n < cap(g.entries) {
		e.sum.Cells = g.entries[:n+1][n].sum.Cells
		for arm := range Arms {
			e.sum.Cells[arm] = e.sum.Cells[arm][:0]
		}
	}
	g.entries = append(g.entries, e)
}

// cells returns the cells of an id and arm.
func (g *segmentSet) cells(id, arm, n int) []Cell {
	s := &g.entries[id].sum
	if len(s.Cells[arm]) == 0 {
		s.Cells[arm] = emptyCells(s.Cells[arm], n)
	}
	return s.Cells[arm]
}

// text returns the name of an id: "" of one that is the rest.
func (g *segmentSet) text(plan *segmentNames, id int) []byte {
	e := &g.entries[id]
	switch {
	case id == 0 || e.gone:
		return nil
	case plan.list != nil:
		return []byte(plan.list[id-1])
	}
	return g.name(e)
}

// drain adds all to a part, and empties the set.
func (g *segmentSet) drain(plan *segmentNames, p *Part, intern *interner) {
	for id := range g.entries {
		e := &g.entries[id]
		if e.rows == 0 {
			continue
		}
		p.segment(intern.text(g.text(plan, id))).add(&e.sum)
	}
	g.empty()
}

func (g *segmentSet) empty() {
	if g.index != nil {
		clear(g.index)
	}
	g.entries, g.names, g.kept, g.greatest = g.entries[:0], g.names[:0], 0, 0
}

// segment returns a part's segment of a name, made if it isn't there.
func (p *Part) segment(name string) *Segment {
	at, found := findSegment(p.Segments, name)
	if !found {
		p.Segments = insertSegment(p.Segments, at, name, len(p.Metrics))
	}
	return &p.Segments[at]
}

// A sorter puts rows together by the id of their segment. It keeps its memory.
type sorter struct {
	starts  []int32 // by id, and the end
	order   []int32 // rows, by id
	numbers [][]float64
	flags   []uint8
	slices  []uint8
}

// sort works out the order of rows with ids below n.
func (o *sorter) sort(ids []uint16, n int) {
	o.starts = slices.Grow(o.starts[:0], n+1)[:n+1]
	clear(o.starts)
	for _, id := range ids {
		o.starts[id+1]++
	}
	for id := range n {
		o.starts[id+1] += o.starts[id]
	}
	o.order = slices.Grow(o.order[:0], len(ids))[:len(ids)]
	for row := len(ids) - 1; row >= 0; row-- {
		id := ids[row]
		o.starts[id+1]--
		o.order[o.starts[id+1]] = int32(row)
	}
	// Every start has become that of the id before it; the first rows have id 0.
	copy(o.starts, o.starts[1:])
	o.starts[n] = int32(len(ids))
}

// pick returns one column's numbers of some rows.
func (o *sorter) pick(column int, from []float64, rows []int32) []float64 {
	for len(o.numbers) <= column {
		o.numbers = append(o.numbers, nil)
	}
	to := o.numbers[column][:0]
	if len(from) > 0 {
		for _, row := range rows {
			to = append(to, from[row])
		}
	}
	o.numbers[column] = to
	return to
}

// pickFlags is pick for flags.
func (o *sorter) pickFlags(from []uint8, rows []int32) []uint8 {
	o.flags = o.flags[:0]
	if len(from) > 0 {
		for _, row := range rows {
			o.flags = append(o.flags, from[row])
		}
	}
	return o.flags
}

// pickSlices is pick for calibration slices; nil stays nil.
func (o *sorter) pickSlices(from []uint8, rows []int32) []uint8 {
	if from == nil {
		return nil
	}
	o.slices = o.slices[:0]
	for _, row := range rows {
		o.slices = append(o.slices, from[row])
	}
	return o.slices
}

// reduceSegments runs the metrics over the rows of each segment.
func (d *reducer) reduceSegments(l *layout, rows Rows, ids []uint16, g *segmentSet) {
	all := append(d.whole[:0], d.all...)
	d.whole = all
	d.sorter.sort(ids, len(g.entries))
	for id := range g.entries {
		picked := d.sorter.order[d.sorter.starts[id]:d.sorter.starts[id+1]]
		if len(picked) == 0 {
			continue
		}
		some := rows
		some.Len = len(picked)
		some.Slice = d.sorter.pickSlices(rows.Slice, picked) // what a metric counts may depend on it
		some.Latency = d.sorter.pick(0, rows.Latency, picked)
		some.Flags = d.sorter.pickFlags(rows.Flags, picked)
		for i := range all {
			d.all[i] = d.sorter.pick(i+1, all[i], picked)
		}
		cells := g.cells(id, int(rows.Arm), len(l.keys))
		for i := range l.uses {
			d.run(&l.uses[i], some, &cells[i])
			cells[i].Slices = [Slices]SliceCount{}
		}
	}
	clear(d.whole)
}
