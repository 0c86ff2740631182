package compare

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// The names of columns. Where the arms stand side by side, each arm's name and _ come before them.
const (
	colWindow   = "window"   // which window the row belongs to: its number or its start
	colTime     = "time"     // when the row happened: the program makes the windows
	colArm      = "arm"      // which arm the row belongs to
	colVersion  = "version"  // the same
	colN        = "n"        // how many could have had the event
	colExposure = "exposure" // hours, requests, bytes: what events are counted per
	colEvents   = "events"
	colSum      = "sum"     // of n values
	colSquares  = "squares" // the sum of their squares
	colValue    = "value"   // of a sample
	colCount    = "count"   // how many samples have it
	colUnit     = "unit"    // of the baseline: what the router randomizes, a host, a bucket: over-dispersion is measured between them
	colShare    = "share"   // the canary's planned share in this window
)

// none is the place of a column that the file hasn't.
const none = -1

// columns are the places of what a file's rows hold.
type columns struct {
	time     int
	binned   bool // time, not window
	arm      int  // none: the arms stand side by side
	n        [windows.Arms]int
	events   [windows.Arms]int
	exposure bool // n is real-valued
	sum      [windows.Arms]int
	squares  [windows.Arms]int
	value    int
	count    int
	unit     int
	share    int
	width    int      // of the header
	unused   []string // the file's names of what is not looked at
}

// header finds columns by their names.
type header struct {
	lines *lines
	spec  *Spec
	names []string // lower case
	used  []bool
	asked []string // our names of columns that were looked for
	err   error
}

// readColumns reads the first line.
func readColumns(l *lines, s *Spec) (columns, error) {
	h := header{lines: l, spec: s}
	for _, f := range l.fields {
		h.names = append(h.names, strings.ToLower(f.text))
	}
	h.used = make([]bool, len(h.names))
	c := columns{value: none, count: none, unit: none, share: none, width: len(h.names)}
	for arm := range c.n {
		c.n[arm], c.events[arm], c.sum[arm], c.squares[arm] = none, none, none, none
	}
	h.times(&c)
	if c.arm = h.find(colArm, colVersion); c.arm == none {
		h.wide(&c)
	} else {
		h.long(&c)
	}
	if s.Kind == SRM {
		c.share = h.find(colShare)
	}
	h.renames()
	for i, used := range h.used {
		if !used && h.names[i] != "" {
			c.unused = append(c.unused, l.fields[i].text)
		}
	}
	return c, h.err
}

// find is the place of the first of some names that the file has, or none.
func (h *header) find(names ...string) int {
	h.asked = append(h.asked, names...)
	for _, name := range names {
		theirs := name
		if renamed, ok := h.spec.Columns[name]; ok {
			theirs = strings.ToLower(renamed)
		}
		at := slices.Index(h.names, theirs)
		if at == none {
			continue
		}
		if slices.Contains(h.names[at+1:], theirs) && h.err == nil {
			h.err = h.lines.fail(h.lines.fields[at], "two columns are called %s: rename one of them", theirs)
		}
		h.used[at] = true
		return at
	}
	return none
}

// need is find for what must be there.
func (h *header) need(what string, names ...string) int {
	at := h.find(names...)
	if at != none || h.err != nil {
		return at
	}
	hint := ""
	if near := schemas.Nearest(names[0], h.free()); near != "" {
		hint = fmt.Sprintf("; is it %s? then give --column %s=%s", near, names[0], near)
	}
	h.err = h.lines.fail(field{}, "no column %s (%s); the file has %s%s", orList(names), what, strings.Join(h.names, ", "), hint)
	return none
}

// free are the file's names that nothing was read from yet.
func (h *header) free() (names []string) {
	for i, name := range h.names {
		if !h.used[i] {
			names = append(names, name)
		}
	}
	return names
}

func orList(names []string) string { return strings.Join(names, " or ") }

func (h *header) times(c *columns) {
	c.time = h.find(colWindow)
	if c.time == none {
		c.time, c.binned = h.need("the number or the start of a row's window, or when the row happened", colWindow, colTime), true
	}
}

// wide finds the columns of a file that has both arms in one row.
func (h *header) wide(c *columns) {
	for arm, name := range [windows.Arms]string{h.spec.Baseline, h.spec.Canary} {
		name = strings.ToLower(name)
		switch h.spec.Kind {
		case SRM:
			c.n[arm] = h.need("units of the "+name+"; or a column arm, for one arm a row", name, name+"_"+colN)
		case Rate:
			at := h.find(name + "_" + colExposure)
			c.exposure = c.exposure || at != none
			if at == none {
				at = h.need("of the "+name+"; or a column arm, for one arm a row", name+"_"+colN, name+"_"+colExposure)
			}
			c.n[arm], c.events[arm] = at, h.need("of the "+name, name+"_"+colEvents)
		case Mean:
			c.n[arm] = h.need("of the "+name+"; or a column arm, for one arm a row", name+"_"+colN)
			c.sum[arm] = h.need("of the "+name+"'s values", name+"_"+colSum)
			c.squares[arm] = h.need("the sum of the "+name+"'s squared values", name+"_"+colSquares)
		default:
			h.need("whose sample it is: "+h.spec.Baseline+" or "+h.spec.Canary, colArm, colVersion)
		}
	}
}

// long finds the columns of a file that has one arm in a row.
func (h *header) long(c *columns) {
	if h.spec.Gauge {
		c.unit = h.need("a host of the baseline: how much readings differ is measured between hosts", colUnit)
	}
	set := func(places *[windows.Arms]int, at int) {
		for arm := range places {
			places[arm] = at
		}
	}
	switch kind := h.spec.Kind; {
	case kind == SRM:
		set(&c.n, h.find(colN))
	case kind == Rate:
		at := h.find(colExposure)
		c.exposure = at != none
		if at == none {
			at = h.find(colN)
		}
		set(&c.n, at)
		set(&c.events, h.need("how many of them had the event", colEvents))
		c.unit = h.find(colUnit)
	case kind == Mean && h.find(colSum) != none:
		set(&c.n, h.need("how many values", colN))
		set(&c.sum, h.find(colSum))
		set(&c.squares, h.need("the sum of their squares", colSquares))
		c.unit = h.find(colUnit)
	default:
		c.value, c.count, c.unit = h.need("the sample", colValue), h.find(colCount), h.find(colUnit)
	}
}

// renames refuses names for columns that nothing asks for, and of columns that aren't there.
func (h *header) renames() {
	for _, ours := range slices.Sorted(maps.Keys(h.spec.Columns)) {
		at := slices.Index(h.names, strings.ToLower(h.spec.Columns[ours]))
		switch {
		case h.err != nil:
			return
		case at == none:
			h.err = h.lines.fail(field{}, "no column %s, which is to be %s; the file has %s", h.spec.Columns[ours], ours, strings.Join(h.names, ", "))
		case !slices.Contains(h.asked, ours):
			h.err = h.lines.fail(h.lines.fields[at], "this column is to be %s, which nothing asks for here: there are %s", ours, strings.Join(slices.Compact(slices.Sorted(slices.Values(h.asked))), ", "))
		}
	}
}
