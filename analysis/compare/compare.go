package compare

import (
	"errors"
	"fmt"
	"io"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// Input is a CSV file.
type Input struct {
	Name string // for errors
	Text io.Reader
}

// A judge takes windows in order, and tells the verdict after each.
type judge interface {
	take(w *window) error // the error says what is wrong with the window
	state() schemas.State
	fill(s *Summary)
}

// A SpecError is a Spec that makes no sense, alone or with the file that it came with.
type SpecError struct{ Err error }

// Error returns what makes no sense, and what to write.
func (e *SpecError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *SpecError) Unwrap() error { return e.Err }

// Run reads a file to its end and compares. each, unless nil, is called after every window with what is known then; it keeps nothing of what it is
// given. Errors: *SpecError; *InputError; those of the reader and of each.
//
// Claim. However often one looks, the chance ever to be told "failed" where what is tested for is not there is at most Alpha in the whole file, that ever to be
// told "passed" at the margin or beyond at most FalsePromote.
//
// When. As the tests of package stats by which the kind is judged: exact or calibrated as said there, over-dispersion by the Spec until the file's units tell.
//
// Cost: one pass over the file, in memory that doesn't grow with it, but for hashes of at most windows.MaxUnits units of samples while each has one row; each costs more than the tests.
//
// Conventions: a window in which an arm is empty proves nothing. Ties as in stats; a bucket is one value. NaN is an error of the file, and so is an infinite
// number, but for a sample that never ended (+Inf). The same file and Spec give the same answer, bit for bit on one build and architecture.
//
// Source: package stats, as package analysis uses it for a rollout.
func Run(s Spec, in Input, each func(*Window) error) (*Summary, error) {
	s, err := s.complete()
	if err != nil {
		return nil, &SpecError{err}
	}
	run := &run{spec: &s, each: each}
	run.rows = rows{spec: &s, lines: newLines(in.Name, in.Text), widthMs: s.WidthMs}
	if s.WidthMs == 0 {
		run.rows.widthMs = defaultWidthMs
	}
	if err := run.all(); err != nil {
		return nil, err
	}
	return run.summary(), nil
}

// run is one pass over a file. It is one window behind the reading, since the second window tells the first one's width.
type run struct {
	spec  *Spec
	rows  rows
	each  func(*Window) error
	judge judge

	windows   int64
	seen      Read
	decided   schemas.State
	decidedAt int64
	label     string
}

func (r *run) all() error {
	l := r.rows.lines
	if err := l.next(); errors.Is(err, io.EOF) {
		return &InputError{File: l.file, Text: "the file is empty: its first line names the columns"}
	} else if err != nil {
		return r.reading(err)
	}
	columns, err := readColumns(l, r.spec)
	if err != nil {
		return err
	}
	r.rows.columns, r.spec.exposure = columns, columns.exposure
	if r.spec.Kind != SRM && r.spec.Kind != Rate {
		if r.rows.metrics, err = r.spec.metrics(); err != nil {
			return &SpecError{err}
		}
	}
	var w window
	for {
		if err := r.rows.next(&w); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return r.reading(err)
		}
		if err := r.take(&w); err != nil {
			return err
		}
	}
	return r.rows.end()
}

// reading says where the reader failed.
func (r *run) reading(err error) error {
	var input *InputError
	if errors.As(err, &input) {
		return err
	}
	return fmt.Errorf("read %s: after line %d: %w", r.rows.lines.file, r.rows.lines.number, err)
}

// take judges one window.
func (r *run) take(w *window) error {
	if r.judge == nil {
		if err := r.begin(w); err != nil {
			return &SpecError{err}
		}
	}
	r.windows++
	r.count(w)
	if err := r.judge.take(w); err != nil {
		return &InputError{File: r.rows.lines.file, Text: err.Error()}
	}
	if state := r.judge.state(); state != r.decided {
		r.decided, r.decidedAt, r.label = state, r.windows, w.label
	}
	if r.each == nil {
		return nil
	}
	return r.each(r.window(w))
}

// count adds what a window had to what was read.
func (r *run) count(w *window) {
	baseline, canary := r.arm(w, windows.Baseline), r.arm(w, windows.Canary)
	if baseline.N > 0 && canary.N > 0 {
		r.seen.Both++
	}
	r.seen.Baseline.add(baseline)
	r.seen.Canary.add(canary)
}

// arm is what a window had of one.
func (r *run) arm(w *window, arm windows.Arm) Arm {
	c := &w.arms[arm]
	if r.rows.columns.exposure {
		return Arm{N: c.exposure, Events: c.cells[0].K}
	}
	return Arm{N: float64(c.cells[0].N), Events: c.cells[0].K}
}

// begin makes the judge when the first window is known.
func (r *run) begin(w *window) (err error) {
	width := r.width()
	if r.spec.Kind == SRM {
		r.judge = newSplit(r.spec, r.spec.Share > 0 || r.rows.columns.share != none, width)
		return nil
	}
	r.judge, err = newContest(r.spec, &r.rows, w, width)
	return err
}

// width is a window's: as asked for, or as the time between the first two tells.
func (r *run) width() int64 {
	switch {
	case r.rows.columns.binned || r.spec.WidthMs > 0:
		return r.rows.widthMs
	case r.rows.timing == timingNumber:
		return numberedMs
	case r.rows.spacingMs > 0:
		return r.rows.spacingMs
	}
	return defaultWidthMs
}

func (r *run) window(w *window) *Window {
	var now Summary
	r.judge.fill(&now)
	line := &Window{Type: "window", Window: w.label, Baseline: r.arm(w, windows.Baseline), Canary: r.arm(w, windows.Canary), Result: now.Result}
	if r.spec.distribution() {
		line.ProbabilityIndex = now.ProbabilityIndex
		canary, baseline := w.arms[windows.Canary].cells[0].Hist, w.arms[windows.Baseline].cells[0].Hist
		line.KSDistance = finite(stats.KSDistance(canary, baseline))
		line.MannWhitneyP = finite(stats.MannWhitney(canary, baseline).Toward(r.spec.Direction.Side()))
	}
	return line
}

func (r *run) summary() *Summary {
	s := &Summary{Type: "summary", Compare: r.spec.Kind, Margin: r.spec.Margin, spec: *r.spec}
	r.judge.fill(s)
	if t, of := r.judge.(*contest); of {
		t.advise(s)
	}
	if r.spec.Kind != SRM { // whose arms are all that was read
		s.Read = &r.seen
	}
	s.Windows, s.Rows, s.OtherRows = r.windows, r.rows.read, r.rows.other
	s.clumped = r.rows.known.again
	s.numbered = !r.rows.columns.binned && r.rows.timing != timingText
	s.Unused, s.Measured = r.rows.columns.unused, r.rows.columns.unit != none
	if s.Verdict == schemas.StateFailed || s.Verdict == schemas.StatePassed {
		s.Decided, s.DecidedAt = r.label, r.decidedAt
	}
	if s.harmed {
		s.HarmBegan = r.rows.name(s.harmMs)
	}
	s.Sentence = s.sentence()
	return s
}
