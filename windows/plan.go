package windows

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"streamcanary/schemas"
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
	// Where picks part of the arms' versions: an event of the version that doesn't fit is of no arm.
	Where      [Arms]schemas.Where
	WidthMs    int64 // of a window; > 0. Windows start at multiples of it
	LatenessMs int64 // >= 0
	FromMs     int64 // the first window is the first one that starts at or after it
	Metrics    []Metric
	Outcomes   []OutcomePlan // names unique
	Segments   *SegmentPlan  // nil: segments are not told apart
	Health     bool          // parts have Bad, Gap and Source
	Exhibits   []Exhibit     // of which predictions parts name some
}

// An OutcomePlan says how long after its prediction an outcome counts, and whether its values do.
type OutcomePlan struct {
	Name     string
	WithinMs int64
	// Cap is the greatest sum of values that one prediction can have, either way: what is beyond counts as this. 0: values aren't added up.
	// Otherwise the cells' Sum, Squares and Slices.Sum are of the predictions' sums; one without outcome has 0.
	Cap float64
}

// A SegmentPlan says which segments of predictions are told apart. All others are one, with the name "": so are predictions without segment.
type SegmentPlan struct {
	List []string // these alone, if any are given; unique, none empty
	Most int      // else the smallest names of each window, at most so many: from 1 to MaxSegments
}

// MaxSegments bounds the segments that a plan tells apart.
const MaxSegments = 200

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
	more := p.more()
	switch {
	case len(p.Exhibits) > 0:
		text("streamcanary parts 4")
		number(int64(len(p.Exhibits)))
		for _, x := range p.Exhibits {
			number(int64(x.Stream.Kind))
			text(x.Stream.Name)
			text(x.Key)
			number(bit(x.Lacks))
		}
		p.writeWhere(text)
	case p.picks():
		text("streamcanary parts 3")
		p.writeWhere(text)
	case more:
		text("streamcanary parts 2")
	default:
		text("streamcanary parts 1")
	}
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
		if more {
			number(int64(math.Float64bits(o.Cap)))
		}
	}
	if more {
		number(bit(p.Health))
		p.Segments.write(number, text)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// more says whether the plan asks for what plans didn't have once: the hashes of those that don't have stayed what they were.
func (p *Plan) more() bool {
	capped := slices.ContainsFunc(p.Outcomes, func(o OutcomePlan) bool { return o.Cap != 0 })
	return capped || p.Health || p.Segments != nil || p.picks() || len(p.Exhibits) > 0
}

// picks says whether an arm is only part of its version.
func (p *Plan) picks() bool { return p.Where != [Arms]schemas.Where{} }

// writeWhere adds which parts of the versions the arms are.
func (p *Plan) writeWhere(text func(string)) {
	for _, w := range p.Where {
		text(w.Host)
		text(w.Segment)
		text(w.Region)
	}
}

func bit(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// write adds what shapes the parts to a hash: the order of the list doesn't.
func (g *SegmentPlan) write(number func(int64), text func(string)) {
	if g == nil {
		number(-1)
		return
	}
	number(int64(g.most()))
	number(int64(len(g.List)))
	list := slices.Clone(g.List)
	slices.Sort(list)
	for _, name := range list {
		text(name)
	}
}

// most returns how many segments the plan tells apart at most.
func (g *SegmentPlan) most() int {
	if len(g.List) > 0 {
		return len(g.List)
	}
	return g.Most
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
	for _, w := range p.Where {
		if err := w.Check(); err != nil {
			return fail("%s", err)
		}
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
	if err := p.Segments.check(); err != nil {
		return fail("%s", err)
	}
	if err := p.checkExhibits(); err != nil {
		return fail("%s", err)
	}
	return p.checkOutcomes(fail)
}

func (g *SegmentPlan) check() error {
	switch {
	case g == nil:
		return nil
	case len(g.List) > MaxSegments:
		return fmt.Errorf("%d segments are more than %d", len(g.List), MaxSegments)
	case len(g.List) == 0 && (g.Most < 1 || g.Most > MaxSegments):
		return fmt.Errorf("%d segments are not between 1 and %d", g.Most, MaxSegments)
	}
	for i, name := range g.List {
		if name == "" || slices.Contains(g.List[:i], name) {
			return fmt.Errorf("segment %q is empty, or there twice", name)
		}
	}
	return nil
}

func (p *Plan) checkOutcomes(fail func(string, ...any) error) error {
	seen := map[string]bool{}
	for _, o := range p.Outcomes {
		if seen[o.Name] {
			return fail("outcome %q is there twice", o.Name)
		}
		seen[o.Name] = true
		if o.Cap < 0 || math.IsNaN(o.Cap) || math.IsInf(o.Cap, 0) {
			return fail("outcome %q has a cap of %v", o.Name, o.Cap)
		}
		if o.WithinMs < 0 || o.WithinMs > MaxSpanMs {
			return fail("outcome %q within %d ms is not between 0 and %d ms", o.Name, o.WithinMs, MaxSpanMs)
		}
	}
	return nil
}

func (p *Plan) checkExhibits() error {
	if len(p.Exhibits) > maxExhibits {
		return fmt.Errorf("%d exhibits are more than %d", len(p.Exhibits), maxExhibits)
	}
	for i, x := range p.Exhibits {
		outcome := slices.ContainsFunc(p.Outcomes, func(o OutcomePlan) bool { return x.Stream == Stream{Kind: Outcomes, Name: o.Name} })
		switch {
		case slices.ContainsFunc(p.Exhibits[:i], func(o Exhibit) bool { return o.Key == x.Key }):
			return fmt.Errorf("exhibit %q is there twice", x.Key)
		case x.Stream != Stream{Kind: Serving} && !outcome:
			return fmt.Errorf("exhibit %q is of stream %v, neither serving nor an outcome", x.Key, x.Stream)
		case (x.Rank == nil) != outcome:
			return fmt.Errorf("exhibit %q is of %s: those of predictions have a rank, those of outcomes none", x.Key, x.Stream.Kind)
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
