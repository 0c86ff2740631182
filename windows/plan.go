package windows

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// MaxOutcomes bounds the outcomes of one plan: a pending prediction has one bit for each.
const MaxOutcomes = 16

// maxOpenWindows bounds lateness over width: how many windows of one partition can be open at a time.
const maxOpenWindows = 1 << 16

// A Plan is what stage one must know of a rollout: whose events to count, in which windows, for which metrics.
// It is not changed after SetPlan or NewMerger.
type Plan struct {
	Rollout          string
	Epoch            int64
	Model            string
	Baseline, Canary string // versions
	WidthMs          int64  // of a window; > 0. Windows start at multiples of it
	LatenessMs       int64  // >= 0
	FromMs           int64  // the first window is the first one that starts at or after it
	Metrics          []Metric
	Outcomes         []OutcomePlan // names unique
}

// An OutcomePlan says how long after its prediction an outcome counts.
type OutcomePlan struct {
	Name     string
	WithinMs int64
}

// Streams returns the plan's streams in canonical order: Serving, Resources where a metric reads samples, and the outcomes in
// the plan's order.
func (p *Plan) Streams() []Stream {
	streams := []Stream{{Kind: Serving}}
	if len(p.keys(Resources)) > 0 {
		streams = append(streams, Stream{Kind: Resources})
	}
	for _, o := range p.Outcomes {
		streams = append(streams, Stream{Kind: Outcomes, Name: o.Name})
	}
	return streams
}

// CellKeys names the cells of a stream's parts, in their order: metrics' keys, or the outcome's name.
func (p *Plan) CellKeys(s Stream) []string {
	if s.Kind == Outcomes {
		return []string{s.Name}
	}
	return p.keys(s.Kind)
}

// Hash returns 32 hex digits over everything that shapes the plan's parts. Plans with the same hash make the same parts of the
// same logs; the rollout's name and epoch are not in it.
func (p *Plan) Hash() string {
	h := sha256.New()
	text := func(s string) {
		h.Write(binary.AppendUvarint(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	number := func(n int64) { h.Write(binary.AppendVarint(nil, n)) }
	text("streamcanary parts 1")
	text(p.Model)
	text(p.Baseline)
	text(p.Canary)
	number(p.WidthMs)
	number(p.LatenessMs)
	number(p.FromMs)
	number(int64(len(p.Metrics)))
	for _, m := range p.Metrics {
		number(int64(m.Stream().Kind))
		text(m.Key())
	}
	for _, o := range p.Outcomes {
		text(o.Name)
		number(o.WithinMs)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Check says what is wrong with the plan, or nil.
func (p *Plan) Check() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("plan of rollout %q: %s", p.Rollout, fmt.Sprintf(format, args...))
	}
	switch {
	case p.WidthMs <= 0:
		return fail("window of %d ms is not positive", p.WidthMs)
	case p.LatenessMs < 0:
		return fail("lateness of %d ms is negative", p.LatenessMs)
	case p.LatenessMs/p.WidthMs > maxOpenWindows:
		return fail("lateness of %d ms is more than %d windows of %d ms", p.LatenessMs, maxOpenWindows, p.WidthMs)
	case p.Baseline == p.Canary:
		return fail("both arms are version %q", p.Baseline)
	case p.WidthMs > MaxSpanMs || p.LatenessMs > MaxSpanMs:
		return fail("window of %d ms or lateness of %d ms is beyond %d ms", p.WidthMs, p.LatenessMs, MaxSpanMs)
	case p.FromMs > MaxTimeMs || p.FromMs < -MaxTimeMs:
		return fail("start %d is not a time", p.FromMs)
	case len(p.Outcomes) > MaxOutcomes:
		return fail("%d outcomes are more than %d", len(p.Outcomes), MaxOutcomes)
	}
	seen := map[string]bool{}
	for _, m := range p.Metrics {
		if seen[m.Key()] {
			return fail("metric %q is there twice", m.Key())
		}
		seen[m.Key()] = true
		if err := checkMetric(m); err != nil {
			return fail("%s", err)
		}
	}
	return p.checkOutcomes(fail)
}

func (p *Plan) checkOutcomes(fail func(string, ...any) error) error {
	seen := map[string]bool{}
	for _, o := range p.Outcomes {
		if seen[o.Name] {
			return fail("outcome %q is there twice", o.Name)
		}
		seen[o.Name] = true
		if o.WithinMs < 0 || o.WithinMs > MaxSpanMs {
			return fail("outcome %q within %d ms is not between 0 and %d ms", o.Name, o.WithinMs, MaxSpanMs)
		}
	}
	return nil
}

func checkMetric(m Metric) error {
	kind := m.Stream().Kind
	_, names := m.Columns()
	switch {
	case kind != Serving && kind != Resources:
		return fmt.Errorf("metric %q is of stream %q, neither serving nor resources", m.Key(), kind)
	case kind == Resources && len(names) != 1:
		return fmt.Errorf("metric %q reads %d samples, not one", m.Key(), len(names))
	}
	return nil
}

// first returns the start of the plan's first window.
func (p *Plan) first() int64 { return ceilTo(p.FromMs, p.WidthMs) }

func (p *Plan) keys(kind PartKind) []string {
	var keys []string
	for _, m := range p.Metrics {
		if m.Stream().Kind == kind {
			keys = append(keys, m.Key())
		}
	}
	return keys
}
