package compare

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"streamcanary/windows"
)

// Bounds of one row.
const (
	countMost    = 1e12 // of n and events
	exposureMost = 1e18
	samplesMost  = 100_000_000
)

// window is what the rows of one window add up to.
type window struct {
	label   string
	startMs int64
	share   float64 // the canary's planned one; 0: the file doesn't say
	rows    int64
	arms    [windows.Arms]counts
}

// counts are one arm's: a cell for each metric, of which the first is the compared one. A real-valued exposure stands beside the cells,
// whose n is filled in when its scale is known.
type counts struct {
	cells    []windows.Cell
	exposure float64
	slices   [windows.Slices]float64 // exposure by calibration slice
	samples  [windows.Slices]int64   // likewise
	units    int                     // of samples and sums: how many rows name a unit that no row before did; while none had several values
	first    place                   // of events
}

// place is where in the file something stands first; the zero value is nowhere.
type place struct {
	line   int64
	column int
}

// clear makes room for a window whose arms have that many cells, in the memory of the one before.
func (w *window) clear(cells int) {
	for arm := range w.arms {
		c := &w.arms[arm]
		if len(c.cells) != cells {
			c.cells = make([]windows.Cell, cells)
		}
		for i := range c.cells {
			c.cells[i] = windows.Cell{Hist: c.cells[i].Hist[:0]}
		}
		c.exposure, c.slices, c.samples, c.units, c.first = 0, [windows.Slices]float64{}, [windows.Slices]int64{}, 0, place{}
	}
	w.rows, w.share = 0, 0
}

// samplesHeld is how many samples of an arm are held before its metrics take them.
const samplesHeld = 4096

// unread are values of one arm that its metrics haven't taken yet.
type unread struct {
	values []float64
	slices []uint8 // of the baseline
}

// rows makes windows of a file's rows.
type rows struct {
	spec    *Spec
	lines   *lines
	columns columns
	widthMs int64 // of binned times
	timing  timing
	layout  string // of times that are dates
	last    string // the text of the last row's time
	lastMs  int64
	ahead   bool // the line's row is the next window's first

	metrics []windows.Metric // of samples: what makes cells of them
	held    [windows.Arms]unread
	known   knownUnits // of the baseline
	tally   windows.Tally

	read, other int64              // rows; those of other versions
	seen        [windows.Arms]bool // the arm had a row
	points      []points           // by column, of a file with semicolons
	spacingMs   int64              // from the first window to the second; 0: unknown
	firstMs     int64
}

// next fills w with the next window; io.EOF at the end of the file. It reads one row more than the window has: where the next
// one begins.
func (r *rows) next(w *window) error {
	w.clear(max(1, len(r.metrics)))
	err := r.fill(w)
	for arm := range w.arms {
		r.reduce(&w.arms[arm], windows.Arm(arm))
	}
	if err == nil && r.columns.exposure {
		err = r.exposed(w)
	}
	return err
}

// exposed refuses events of an arm that had no exposure in their window: nothing tests these, so they would be lost.
func (r *rows) exposed(w *window) error {
	for arm, name := range [windows.Arms]string{r.spec.Baseline, r.spec.Canary} {
		c := &w.arms[arm]
		events := c.cells[0].K
		if events == 0 || c.exposure > 0 {
			continue
		}
		wider := ""
		if r.columns.binned {
			wider = "take windows that hold both, with --window, "
		}
		return &InputError{r.lines.file, c.first.line, c.first.column, fmt.Sprintf("%s has %d %s in window %s, and no exposure there: write what they happened in, %sor leave the window's rows out",
			name, events, plural(events, "event"), w.label, wider)}
	}
	return nil
}

func (r *rows) fill(w *window) error {
	for begun := false; ; {
		if !r.ahead {
			if err := r.lines.next(); errors.Is(err, io.EOF) && begun {
				return nil
			} else if err != nil {
				return err
			}
		}
		startMs, err := r.start()
		if err != nil {
			return err
		}
		if begun && startMs != w.startMs {
			r.ahead = true
			if r.spacingMs == 0 {
				r.spacingMs = startMs - r.firstMs
			}
			return nil
		}
		if !begun && r.read == 0 {
			r.firstMs = startMs
		}
		if !begun {
			w.startMs, w.label, begun = startMs, r.label(startMs), true
		}
		r.ahead = false
		r.read++
		w.rows++
		if err := r.add(w); err != nil {
			return err
		}
	}
}

// start is the start of the window that the line's row belongs to. Windows come in order.
func (r *rows) start() (int64, error) {
	l := r.lines
	if len(l.fields) != r.columns.width {
		return 0, l.fail(field{}, "%d fields where the first line has %d: is a quote or a separator missing?", len(l.fields), r.columns.width)
	}
	f := l.fields[r.columns.time]
	if f.text == r.last && r.timing != timingUnknown {
		return r.lastMs, nil
	}
	r.see(r.columns.time, r.timeColumn())
	ms, how, ok := readTime(f.text)
	switch {
	case !ok:
		return 0, l.fail(f, "%s %q is no number and no time: write e.g. 17, 2026-01-31T12:00:00Z or 1769860800", r.timeColumn(), f.text)
	case r.timing != timingUnknown && how != r.timing:
		return 0, l.fail(f, "%s %q is %s, but the first row's is %s: write all of them alike", r.timeColumn(), f.text, timingNames[how], timingNames[r.timing])
	}
	if r.columns.binned {
		ms = floorTo(ms, r.widthMs)
	}
	if r.timing != timingUnknown && ms < r.lastMs {
		return 0, l.fail(f, "%s %q is before that of the line above: sort the rows by it, both arms together", r.timeColumn(), f.text)
	}
	if r.timing == timingUnknown {
		r.layout = layoutOf(f.text)
	}
	r.timing, r.last, r.lastMs = how, f.text, ms
	return ms, nil
}

func (r *rows) timeColumn() string {
	if r.columns.binned {
		return colTime
	}
	return colWindow
}

func (r *rows) label(startMs int64) string {
	if r.columns.binned {
		return timeName(startMs, r.timing)
	}
	return r.lines.fields[r.columns.time].text
}

// name writes the start of a window that is past, in the file's own way where it names windows.
func (r *rows) name(startMs int64) string {
	switch {
	case r.columns.binned || r.timing == timingNumber:
		return timeName(startMs, r.timing)
	case r.timing == timingText:
		return time.UnixMilli(startMs).UTC().Format(r.layout)
	case r.timing == timingSeconds:
		return strconv.FormatFloat(float64(startMs)/1000, 'f', -1, 64)
	}
	return strconv.FormatInt(startMs, 10)
}

func floorTo(x, step int64) int64 {
	r := x % step
	if r < 0 {
		r += step
	}
	return x - r
}

// add takes the line's row into its window.
func (r *rows) add(w *window) error {
	if r.columns.share != none {
		if err := r.planned(w); err != nil {
			return err
		}
	}
	if r.columns.arm == none {
		for arm := range windows.Arm(windows.Arms) {
			r.seen[arm] = true
			if err := r.tell(&w.arms[arm], arm); err != nil {
				return err
			}
		}
		return nil
	}
	f := r.lines.fields[r.columns.arm]
	arm, known := r.spec.armOf(f.text)
	switch {
	case !known && r.spec.named:
		r.other++
		return nil
	case !known:
		return r.lines.fail(f, "%q is neither %q nor %q: name the two as the file does, with --baseline and --canary", f.text, r.spec.Baseline, r.spec.Canary)
	}
	r.seen[arm] = true
	if r.columns.value != none {
		return r.sample(&w.arms[arm], arm)
	}
	return r.tell(&w.arms[arm], arm)
}

// planned reads the canary's planned share.
func (r *rows) planned(w *window) error {
	f := r.lines.fields[r.columns.share]
	x, err := ParseShare(f.text)
	switch {
	case err != nil:
		return r.lines.fail(f, "%s %v", colShare, err)
	case w.share != 0 && w.share != x:
		return r.lines.fail(f, "share %s is another than before in the same window: a plan changes between windows", f.text)
	}
	w.share = x
	return nil
}

// ParseShare reads a share of traffic: 10%, or 0.1. It is above 0 and below 1; the error says what to write.
func ParseShare(text string) (float64, error) {
	number, unit := text, 1.0
	if n := len(text); n > 0 && text[n-1] == '%' {
		number, unit = text[:n-1], 100
	}
	x, err := strconv.ParseFloat(number, 64)
	if err != nil || !(x > 0 && x < unit) {
		return 0, errors.New(strconv.Quote(text) + " is no share: write e.g. 10% or 0.1")
	}
	return x / unit, nil
}

// tell adds a row of counts or sums to an arm.
func (r *rows) tell(c *counts, arm windows.Arm) error {
	if r.columns.sum[arm] != none {
		return r.sums(c, arm)
	}
	return r.count(c, arm)
}

// count adds a row of counts to an arm.
func (r *rows) count(c *counts, arm windows.Arm) error {
	n, events, exposure := int64(1), int64(0), 0.0
	var err error
	if at := r.columns.n[arm]; at != none && r.columns.exposure {
		r.see(at, colExposure)
		exposure, err = r.exposure(r.lines.fields[at])
	} else if at != none {
		n, err = r.whole(r.lines.fields[at], colN, "round it (PromQL's increase extrapolates); or, if it is a real exposure such as hours, call the column exposure")
	}
	if at := r.columns.events[arm]; at != none && err == nil {
		f := r.lines.fields[at]
		events, err = r.whole(f, colEvents, "count whole events (PromQL's increase extrapolates: round it)")
		if err == nil && events > n && !r.columns.exposure {
			err = r.lines.fail(f, "%d events of n = %d: each of n has one at most; where it may have several, call the column exposure", events, n)
		}
		if c.first.line == 0 && events > 0 {
			c.first = place{r.lines.number, f.at}
		}
	}
	if err != nil {
		return err
	}
	c.exposure += exposure
	if r.columns.exposure {
		n = 0
	}
	cell := &c.cells[0]
	cell.N += n
	cell.K += events
	if r.columns.unit != none && arm == windows.Baseline {
		at := windows.SliceOf(r.lines.fields[r.columns.unit].text)
		c.units++
		c.slices[at] += exposure
		cell.Slices[at].N += n
		cell.Slices[at].K += events
	}
	return nil
}

// whole reads a count.
func (r *rows) whole(f field, name, todo string) (int64, error) {
	if r.ambiguous(f) {
		return 0, r.lines.fail(f, "%s %q can be %s or %s (%s): write it without a point", name, f.text, f.text, strings.ReplaceAll(f.text, ".", ""), semicolonsHint)
	}
	x, err := strconv.ParseInt(f.text, 10, 64)
	if err == nil && x >= 0 && x <= countMost {
		return x, nil
	}
	y, err := strconv.ParseFloat(f.text, 64)
	switch {
	case f.text == "":
		return 0, r.lines.fail(f, "%s is empty: write 0 where nothing was counted", name)
	case err != nil:
		return 0, r.lines.fail(f, "%s %q is not a number: write a count such as 120%s", name, f.text, pointHint(f.text))
	case !(y >= 0 && y <= countMost):
		return 0, r.lines.fail(f, "%s %q is not between 0 and a million million", name, f.text)
	case y != math.Trunc(y):
		return 0, r.lines.fail(f, "%s %q is not a whole number: %s", name, f.text, todo)
	}
	return int64(y), nil
}

func (r *rows) exposure(f field) (float64, error) {
	x, err := strconv.ParseFloat(f.text, 64)
	switch {
	case f.text == "":
		return 0, r.lines.fail(f, "exposure is empty: write 0 where there was none")
	case err != nil || !(x >= 0 && x <= exposureMost):
		return 0, r.lines.fail(f, "exposure %q is not a number from 0 to 1e18: write e.g. 37.5%s", f.text, pointHint(f.text))
	case x > 0 && x < 1/exposureMost:
		return 0, r.lines.fail(f, "exposure %q is below 1e-18: count it in a smaller unit", f.text)
	}
	return x, nil
}

// sample adds a row of a sample to an arm.
func (r *rows) sample(c *counts, arm windows.Arm) error {
	r.see(r.columns.value, colValue)
	f := r.lines.fields[r.columns.value]
	x, err := strconv.ParseFloat(f.text, 64)
	if err != nil && !math.IsInf(x, 1) || math.IsNaN(x) || math.IsInf(x, -1) {
		return r.lines.fail(f, "value %q is not a number: write e.g. 38.2, and +Inf for what never ended%s; leave rows without a value out", f.text, pointHint(f.text))
	}
	if x < 0 && r.spec.ranked() && !r.spec.Buckets.Linear() {
		return r.lines.fail(f, "value %s is below zero, where no percentage means anything: give --buckets FROM:TO:COUNT, e.g. -10:10:1000; margins are differences then", f.text)
	}
	n := int64(1)
	if r.columns.count != none {
		f = r.lines.fields[r.columns.count]
		n, err = r.whole(f, colCount, "count whole samples")
		if err == nil && n > samplesMost {
			err = r.lines.fail(f, "count %d is more than %d: use shorter windows", n, int64(samplesMost))
		}
		if err != nil {
			return err
		}
	}
	slice := 0
	if r.columns.unit != none {
		slice = windows.SliceOf(r.unitOf(c, arm, n))
		c.samples[slice] += n
	}
	h := &r.held[arm]
	for range n {
		if len(h.values) == samplesHeld {
			r.reduce(c, arm)
		}
		h.values = append(h.values, x)
		if arm == windows.Baseline && r.columns.unit != none {
			h.slices = append(h.slices, uint8(slice))
		}
	}
	return nil
}

// unitOf is what the line's n values belong to: as in a stream, a line that names no unit is by itself.
func (r *rows) unitOf(c *counts, arm windows.Arm, n int64) string {
	name := r.lines.fields[r.columns.unit].text
	switch {
	case !r.spec.ranked() && r.spec.Kind != Mean || r.spec.Gauge || arm != windows.Baseline || n == 0:
		return name
	case name == "":
		return strconv.FormatInt(r.lines.number, 10)
	case r.known.fresh(name):
		c.units++
	}
	if n > 1 {
		r.known.of, r.known.again = nil, true
	}
	return name
}

// knownUnits tell whether every row was the first of its unit so far: then there is nothing that could be alike. They are forgotten with the first that wasn't.
type knownUnits struct {
	of    map[uint64]struct{}
	again bool // some unit had several rows or values, or there were windows.MaxUnits
}

func (k *knownUnits) fresh(name string) bool {
	if k.again {
		return false
	}
	unit := windows.UnitOf(name)
	if _, k.again = k.of[unit]; k.again || len(k.of) == windows.MaxUnits {
		k.of, k.again = nil, true
		return false
	}
	if k.of == nil {
		k.of = map[uint64]struct{}{}
	}
	k.of[unit] = struct{}{}
	return true
}

// reduce gives the samples held of an arm to its metrics.
func (r *rows) reduce(c *counts, arm windows.Arm) {
	h := &r.held[arm]
	if len(h.values) == 0 {
		return
	}
	in := windows.Rows{Len: len(h.values), Arm: arm, Values: [][]float64{h.values}, Sample: h.values, Tally: &r.tally}
	if len(h.slices) > 0 {
		in.Slice = h.slices
	}
	for i, m := range r.metrics {
		m.Reduce(in, &c.cells[i])
	}
	h.values, h.slices = h.values[:0], h.slices[:0]
}

// end checks the whole file, when it has been read.
func (r *rows) end() error {
	names := [windows.Arms]string{r.spec.Baseline, r.spec.Canary}
	fail := func(text string) error { return &InputError{File: r.lines.file, Text: text} }
	switch {
	case r.read == 0:
		return fail("no row but the header: nothing to compare")
	case !r.seen[windows.Baseline] && !r.seen[windows.Canary]:
		return fail("no row is of " + strconv.Quote(names[0]) + " or " + strconv.Quote(names[1]) + ": name the arms as the file does, with --baseline and --canary")
	}
	for arm, seen := range r.seen {
		if !seen {
			return fail("no row is of " + strconv.Quote(names[arm]) + ", so there is nothing to compare: name the arms as the file does, with --baseline and --canary")
		}
	}
	return r.doubtful()
}
