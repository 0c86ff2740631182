package windows

import (
	"math"
	"slices"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"streamcanary/schemas"
)

// scoreColumn is the name under which a metric reads a prediction's score.
const scoreColumn = "score"

// A layout says which columns the rows of one part kind have: all that the plan's metrics of that kind read.
type layout struct {
	kind    PartKind
	keys    []string
	columns Columns
	names   []string // of values, or of samples
	slices  bool
	uses    []metricUse

	segments *segmentNames // nil: not told apart
	exhibits []Exhibit     // of predictions
}

// metricUse is one metric with the places of its names in the layout's.
type metricUse struct {
	metric Metric
	names  []int
	slices bool
}

func newLayout(p *Plan, kind PartKind) layout {
	l := layout{kind: kind, keys: p.keys(kind)}
	if kind == Serving {
		l.segments, l.exhibits = newSegmentNames(p.Segments), p.exhibits(Stream{Kind: Serving})
	}
	for _, m := range p.Metrics {
		if m.Stream().Kind != kind {
			continue
		}
		columns, names := m.Columns()
		use := metricUse{metric: m}
		use.slices = m.Keeps()&KeepSlices != 0
		for _, name := range names {
			at := slices.Index(l.names, name)
			if at < 0 {
				at = len(l.names)
				l.names = append(l.names, name)
			}
			use.names = append(use.names, at)
		}
		l.columns |= columns
		l.slices = l.slices || use.slices
		l.uses = append(l.uses, use)
	}
	return l
}

// A rowSet holds the rows of one arm (and, of samples, one name) in Arrow builders, until they are reduced.
type rowSet struct {
	arm    Arm
	name   int // which sample the rows are of; 0 of predictions
	rows   int
	number *array.Float64Builder // latency, or a sample's value
	flags  *array.Uint8Builder
	slice  *array.Uint8Builder
	values []*array.Float64Builder

	segment *array.Uint16Builder // ids of the window's segmentSet; nil where the layout has none
}

func newRowSet(l *layout, mem memory.Allocator) *rowSet {
	r := &rowSet{number: array.NewFloat64Builder(mem), flags: array.NewUint8Builder(mem), slice: array.NewUint8Builder(mem)}
	if l.kind == Serving {
		for range l.names {
			r.values = append(r.values, array.NewFloat64Builder(mem))
		}
	}
	if l.segments != nil {
		r.segment = array.NewUint16Builder(mem)
	}
	return r
}

const flagColumns = ColError | ColTimeout | ColCacheHit

// addPrediction appends a prediction's row.
func (r *rowSet) addPrediction(l *layout, p placed) {
	e := p.Event
	r.rows++
	if l.columns&ColLatency != 0 {
		latency := math.NaN()
		if e.HasLatency {
			latency = e.LatencyMs
		}
		r.number.Append(latency)
	}
	if l.columns&flagColumns != 0 {
		r.flags.Append(FlagsOf(e))
	}
	if l.slices && p.slice >= 0 {
		r.slice.Append(uint8(p.slice))
	}
	if r.segment != nil {
		r.segment.Append(p.segment)
	}
	for i, builder := range r.values {
		builder.Append(ValueOf(e, l.names[i]))
	}
}

// addSample appends a sample's row.
func (r *rowSet) addSample(l *layout, e *schemas.Event, slice int) {
	r.rows++
	r.number.Append(e.Value)
	if l.slices && slice >= 0 {
		r.slice.Append(uint8(slice))
	}
}

// FlagsOf returns a prediction's Flag bits.
func FlagsOf(e *schemas.Event) uint8 {
	var f uint8
	if e.Error {
		f |= FlagError
	}
	if e.Timeout {
		f |= FlagTimeout
	}
	if e.HasCacheHit {
		f |= FlagHasCacheHit
	}
	if e.HasCacheHit && e.CacheHit {
		f |= FlagCacheHit
	}
	if e.Shadow {
		f |= FlagShadow
	}
	return f
}

// ValueOf returns the number that a prediction has under a name, or NaN.
func ValueOf(e *schemas.Event, name string) float64 {
	for i := range e.Values {
		if string(e.Values[i].Name) == name {
			return e.Values[i].Number
		}
	}
	if name == scoreColumn && e.HasScore {
		return e.Score
	}
	return math.NaN()
}

// A reducer runs a layout's metrics over row sets. It keeps scratch memory.
type reducer struct {
	tally  Tally
	all    [][]float64
	picked [][]float64
	whole  [][]float64
	sorter sorter
}

// reduce adds a row set to the cells of a window's part and of its segments, and empties it.
func (d *reducer) reduce(l *layout, r *rowSet, o *openWindow) {
	if r.rows == 0 {
		return
	}
	number, flags, slice := r.number.NewFloat64Array(), r.flags.NewUint8Array(), r.slice.NewUint8Array()
	defer number.Release()
	defer flags.Release()
	defer slice.Release()
	d.all = d.all[:0]
	for _, builder := range r.values {
		values := builder.NewFloat64Array()
		defer values.Release()
		d.all = append(d.all, values.Float64Values())
	}
	rows := Rows{Len: r.rows, Arm: r.arm, Flags: flags.Uint8Values(), Slice: slice.Uint8Values(), Tally: &d.tally}
	if l.kind == Resources {
		rows.Sample = number.Float64Values()
	} else {
		rows.Latency = number.Float64Values()
	}
	for i := range l.uses {
		if use := &l.uses[i]; l.kind == Serving || use.names[0] == r.name {
			d.run(use, rows, &o.part.Cells[r.arm][i])
		}
	}
	if r.segment != nil {
		ids := r.segment.NewUint16Array()
		defer ids.Release()
		d.reduceSegments(l, rows, ids.Uint16Values(), &o.segments)
	}
	r.rows = 0
}

// run lets a metric reduce rows, whose further numbers are in d.all.
func (d *reducer) run(use *metricUse, rows Rows, cell *Cell) {
	if !use.slices || rows.Arm != Baseline {
		rows.Slice = nil
	}
	d.picked = d.picked[:0]
	for _, at := range use.names {
		if at < len(d.all) {
			d.picked = append(d.picked, d.all[at])
		}
	}
	rows.Values = d.picked
	use.metric.Reduce(rows, cell)
}
