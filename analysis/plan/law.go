package plan

import (
	"encoding/binary"
	"math"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// An atom is one sort of event: how probable it is, and what it says.
type atom struct {
	p     float64
	x     float64 // latency, value, reading, or an outcome's sum
	flags uint8
	hit   bool // of an outcome: it happened
}

// rateFlags are the flags of a prediction that counts and of one that doesn't.
var rateFlags = map[string][2]uint8{
	"error":      {windows.FlagError, 0},
	"timeout":    {windows.FlagTimeout, 0},
	"cache_miss": {windows.FlagHasCacheHit, windows.FlagHasCacheHit | windows.FlagCacheHit},
}

// law is how the events of a healthy arm are distributed.
func law(g *schemas.Guardrail, b *Baseline) []atom {
	switch g.Kind {
	case schemas.RateGuardrail:
		flags := rateFlags[g.Of]
		return []atom{{p: b.Rate, flags: flags[0], hit: true, x: 1}, {p: 1 - b.Rate, flags: flags[1]}}
	case schemas.GaugeGuardrail:
		return []atom{{p: 1 - b.Rate, x: g.Limit}, {p: b.Rate, x: 2*g.Limit + 1}}
	case schemas.MeanGuardrail:
		if len(b.Values) == 0 {
			return twoPoints(b.Mean)
		}
	}
	atoms := make([]atom, len(b.Values))
	for i, v := range b.Values {
		atoms[i] = atom{p: v.P, x: v.X}
	}
	return atoms
}

// twoPoints is the distribution with a mean and a deviation that has nothing but zero and one other value; of a mean of zero, two
// opposite values.
func twoPoints(m schemas.MeanValue) []atom {
	square := m.Mean*m.Mean + m.Deviation*m.Deviation
	switch {
	case m.Mean == 0:
		return []atom{{p: .5, x: -m.Deviation}, {p: .5, x: m.Deviation, hit: true}}
	case m.Deviation == 0:
		return []atom{{p: 1, x: m.Mean, hit: true}}
	}
	rate := m.Mean * m.Mean / square
	return []atom{{p: 1 - rate}, {p: rate, x: m.Mean / rate, hit: true}}
}

// mark is what one event of a sort leaves in one cell.
type mark struct {
	n, k, sum, squares int64
	bucket             int32
	ranked             bool // it is in the histogram
}

// A class is all sorts of events that leave the same marks.
type class struct {
	p     float64
	marks []mark // by cell
}

// classes reduces sorts of events to what the judge sees of them: each metric says itself, one row at a time.
func classes(g *schemas.Guardrail, metrics []windows.Metric, atoms []atom) []class {
	places := map[string]int{}
	var all []class
	for i := range atoms {
		if atoms[i].p <= 0 {
			continue
		}
		var marks []mark
		if g.IsOutcome() {
			marks = []mark{outcomeMark(g, &atoms[i])}
		}
		for _, m := range metrics {
			marks = append(marks, markOf(m, g, &atoms[i]))
		}
		key := keyOf(marks)
		at, known := places[key]
		if !known {
			at = len(all)
			places[key] = at
			all = append(all, class{marks: marks})
		}
		all[at].p += atoms[i].p
	}
	return all
}

// usualMs is the latency of a prediction where none is watched.
const usualMs = 20

func markOf(m windows.Metric, g *schemas.Guardrail, a *atom) mark {
	_, names := m.Columns()
	rows := windows.Rows{Len: 1, Latency: []float64{usualMs}, Flags: []uint8{a.flags}, Sample: []float64{a.x}, Tally: &windows.Tally{}}
	if g.Of == ofLatency {
		rows.Latency[0] = a.x
		if math.IsInf(a.x, 1) {
			rows.Latency[0], rows.Flags[0] = math.NaN(), windows.FlagTimeout
		}
	}
	for range names {
		rows.Values = append(rows.Values, []float64{a.x})
	}
	var cell windows.Cell
	m.Reduce(rows, &cell)
	one := mark{n: cell.N, k: cell.K, sum: cell.Sum, squares: cell.Squares}
	if len(cell.Hist) > 0 {
		one.bucket, one.ranked = cell.Hist[0].Index, true
	}
	return one
}

const ofLatency = "latency"

// sumUnit is a cap in the units of sums: 2^-20 of it is 1.
const sumUnit = 1 << 20

// outcomeMark is what windows makes of one prediction's outcomes.
func outcomeMark(g *schemas.Guardrail, a *atom) mark {
	one := mark{n: 1}
	if a.hit {
		one.k = 1
	}
	if g.Cap > 0 {
		u := int64(math.Round(min(max(a.x, -g.Cap), g.Cap) / g.Cap * sumUnit))
		one.sum, one.squares = u, (u*u)>>20
	}
	return one
}

func keyOf(marks []mark) string {
	var key []byte
	for _, m := range marks {
		for _, n := range []int64{m.n, m.k, m.sum, m.squares, int64(m.bucket)} {
			key = binary.AppendVarint(key, n)
		}
		if m.ranked {
			key = append(key, 1)
		}
	}
	return string(key)
}
