package analysis

import (
	"cmp"
	"slices"
	"strings"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

const (
	// otherSegment is what people read for all that no watched segment holds.
	otherSegment = "other"
	// rosterWindows is how many serving windows with predictions choose the greatest segments.
	rosterWindows = 30
	// rosterNames bounds the names that are counted meanwhile; those that come later are not chosen.
	rosterNames = 4096
	// segmentFDR is the share of segments that may be named by mistake among those that are told to be harmed.
	segmentFDR = .1
)

// A roster says which segments are watched: those of a list, or the greatest by the baseline's predictions in the first windows, from then on for the whole
// epoch. Sizes alone choose, so the tests stay what they are. Each segment has a slot; the last one is of all others.
type roster struct {
	most   int      // segments beside the others
	names  []string // by slot, ascending
	frozen bool
	seen   int              // windows
	counts map[string]int64 // of the baseline; nil once frozen
}

func newRoster(s *schemas.Segments) *roster {
	if len(s.List) > 0 {
		return &roster{most: len(s.List), names: slices.Sorted(slices.Values(s.List)), frozen: true}
	}
	return &roster{most: s.Top, counts: map[string]int64{}}
}

// slots is how many there are, the others' included.
func (r *roster) slots() int { return r.most + 1 }

// slot is where a segment belongs.
func (r *roster) slot(name string) int {
	if at, ok := slices.BinarySearch(r.names, name); ok && name != "" {
		return at
	}
	return r.most
}

// name is a slot's; empty while it has none.
func (r *roster) name(slot int) string {
	switch {
	case slot == r.most:
		return otherSegment
	case slot < len(r.names):
		return r.names[slot]
	}
	return ""
}

// count takes a serving part before the segments are chosen.
func (r *roster) count(p *windows.Part) {
	if r.frozen || p.Traffic[windows.Baseline].Events+p.Traffic[windows.Canary].Events == 0 {
		return
	}
	for i := range p.Segments {
		s := &p.Segments[i]
		if _, known := r.counts[s.Name]; s.Name != "" && (known || len(r.counts) < rosterNames) {
			r.counts[strings.Clone(s.Name)] += s.Served[windows.Baseline]
		}
	}
	if r.seen++; r.seen == rosterWindows {
		r.freeze()
	}
}

func (r *roster) freeze() {
	type counted struct {
		name string
		n    int64
	}
	all := make([]counted, 0, len(r.counts))
	for name, n := range r.counts {
		all = append(all, counted{name, n})
	}
	slices.SortFunc(all, func(a, b counted) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name)) })
	for _, c := range all[:min(len(all), r.most)] {
		r.names = append(r.names, c.name)
	}
	slices.Sort(r.names)
	r.frozen, r.counts = true, nil
}

// strips are one stream's segments: those of the present part, by slot and as strata, and what is known of their sizes.
type strips struct {
	now     []*windows.Segment // by slot; nil: nothing in this window
	cut     []bool             // by slot: its share changed in this window
	traffic []traffic          // by slot
	other   segmentSum         // where several segments are the others
	noises  [][]*dispersion    // by cell and slot; nil where no guardrail needs one
	rest    histogram          // scratch

	strata *roll // nil: contrasts are not made within segments
}

// A roll has a place for each segment by its own name, watched or not, and the first one for predictions that have none. What may be several segments has none: those beyond the bound, those that a list
// leaves out, and in a window with more names than are told apart those without name. Their mix may differ between the arms, so nothing is compared there.
type roll struct {
	listed  bool // segments are those of a list
	places  map[string]int
	now     []placedSegment // of the present part: each place at most once
	traffic []traffic
	full    bool               // a name had no place
	by      []*windows.Segment // the present ones by place; nil: nothing in this part
	noise   strataNoise

	placed, left float64 // requests of the baseline so far: at places, and without one
}

// placedSegment is a segment of the present part at its place.
type placedSegment struct {
	*windows.Segment
	place   int
	changed bool // its share changed in this window
}

// strataMost bounds the strata of a stream: segments that come later are compared nowhere, and the rollout holds.
const strataMost = 256

// newRoll makes one without places but the first.
func newRoll(listed bool) *roll { return &roll{listed: listed, places: map[string]int{"": 0}} }

func newStrips(slots int, r *schemas.Rollout) *strips {
	s := &strips{now: make([]*windows.Segment, slots), cut: make([]bool, slots), traffic: make([]traffic, slots)}
	if r.Stratify {
		s.strata = newRoll(len(r.Segments.List) > 0)
	}
	return s
}

// noise finds or adds what measures one cell's over-dispersion in one slot.
func (s *strips) noise(cell, slot int, whole *dispersion) *dispersion {
	for len(s.noises) <= cell {
		s.noises = append(s.noises, nil)
	}
	if s.noises[cell] == nil {
		s.noises[cell] = make([]*dispersion, len(s.now))
	}
	if s.noises[cell][slot] == nil {
		s.noises[cell][slot] = newPartDispersion(whole)
	}
	return s.noises[cell][slot]
}

// eachNoise calls fn with every measure, and the baseline's cell that it is of; nil: the slot has nothing in this window.
func (s *strips) eachNoise(fn func(*dispersion, *windows.Cell)) {
	for cell, slots := range s.noises {
		for slot, d := range slots {
			switch now := s.now[slot]; {
			case d == nil:
			case now == nil || cell >= len(now.Cells[windows.Baseline]):
				fn(d, nil)
			default:
				fn(d, &now.Cells[windows.Baseline][cell])
			}
		}
	}
}

// see takes a part's segments.
func (r *roll) see(segments []windows.Segment) {
	r.now = r.now[:0]
	clear(r.by)
	if len(r.by) == 0 { // by now all tests are there
		r.open()
	}
	for i := range segments {
		place, ok := r.place(segments[i].Name)
		n := float64(sizesOf(&segments[i])[windows.Baseline])
		if !ok || place == 0 && (r.listed || crowded(segments)) {
			r.left += n
			continue
		}
		r.placed += n
		s := placedSegment{Segment: &segments[i], place: place}
		r.by[place] = s.Segment
		r.now = append(r.now, s)
	}
}

// follow looks for changes of the present segments' shares, whose sizes are so noisy.
func (r *roll) follow(phi float64) {
	for i := range r.now {
		s := &r.now[i]
		n := sizesOf(s.Segment)
		s.changed = r.traffic[s.place].step(n[windows.Canary], n[windows.Baseline], phi)
	}
	r.noise.lean(r.traffic, (r.placed+r.left+1)/(r.placed+1))
}

// place finds or adds a name's place; false where there is none left.
func (r *roll) place(name string) (at int, ok bool) {
	if at, ok = r.places[name]; ok {
		return at, true
	}
	if len(r.places) == strataMost {
		r.full = true
		return 0, false
	}
	at = len(r.places)
	r.places[strings.Clone(name)] = at
	r.open()
	return at, true
}

// open adds a place.
func (r *roll) open() {
	r.traffic, r.by = append(r.traffic, traffic{}), append(r.by, nil)
	r.noise.open()
}

// crowded reports whether a part has all names that are told apart, and the rest.
func crowded(segments []windows.Segment) bool { return len(segments) > windows.MaxSegments }

// muster counts a part's segments before they are chosen. Serving parts choose, whatever the guardrails read: that of an outcome alone has strips of its own stream only.
func (j *Judge) muster(p *windows.Part) {
	if j.roster == nil {
		return
	}
	watched := func(s *stream) bool { return s.strips != nil }
	if crowded(p.Segments) && slices.ContainsFunc(j.streams, watched) {
		j.crowded = true
	}
	if p.Kind == windows.Serving {
		j.unlisted.count(p)
	}
	if p.Kind == windows.Serving && !j.roster.frozen {
		j.roster.count(p)
		j.nameSegments()
	}
}

// unlisted is how many predictions have a segment that is in no list, or none, while others are compared within theirs.
type unlisted struct {
	watched   bool // some guardrail compares within segments of a list
	some, all int64
}

func (u *unlisted) count(p *windows.Part) {
	if !u.watched {
		return
	}
	for i := range p.Segments {
		n := p.Segments[i].Served[windows.Canary] + p.Segments[i].Served[windows.Baseline]
		if u.all += n; p.Segments[i].Name == "" {
			u.some += n
		}
	}
}

// unplaced reports whether there were more segments than are compared.
func (j *Judge) unplaced() bool {
	return slices.ContainsFunc(j.streams, func(s *stream) bool { return s.strips != nil && s.strips.strata != nil && s.strips.strata.full })
}

// sift sorts a part's segments.
func (j *Judge) sift(s *stream, p *windows.Part) {
	if s.strips == nil {
		return
	}
	phi := j.sizesPhi(s)
	if s.strips.strata != nil {
		s.strips.strata.see(p.Segments)
		s.strips.strata.follow(phi)
	}
	clear(s.strips.now)
	if j.roster.frozen {
		s.strips.sort(p.Segments, j.roster, phi)
	}
	s.strips.eachNoise(func(d *dispersion, _ *windows.Cell) { d.wait() })
}

// sort puts segments, whose sizes are so noisy, into slots.
func (s *strips) sort(segments []windows.Segment, r *roster, phi float64) {
	for i := range segments {
		switch slot := r.slot(segments[i].Name); s.now[slot] {
		case nil:
			s.now[slot] = &segments[i]
		default:
			s.now[slot] = s.other.with(s.now[slot], &segments[i])
		}
	}
	for slot, now := range s.now {
		if now != nil {
			n := sizesOf(now)
			s.cut[slot] = s.traffic[slot].step(n[windows.Canary], n[windows.Baseline], phi)
		}
	}
}

// A segmentSum adds segments of one window up, in memory of its own.
type segmentSum struct {
	windows.Segment
	hists [windows.Arms][]histogram
}

// with returns the sum of what was there, which may be the sum so far, and one more.
func (s *segmentSum) with(there, more *windows.Segment) *windows.Segment {
	if there != &s.Segment {
		s.begin(len(there.Cells[windows.Baseline]))
		s.add(there)
	}
	s.add(more)
	return &s.Segment
}

func (s *segmentSum) begin(cells int) {
	for arm := range windows.Arms {
		for len(s.hists[arm]) < cells {
			s.hists[arm] = append(s.hists[arm], histogram{})
			s.Cells[arm] = append(s.Cells[arm], windows.Cell{})
		}
		for i := range s.Cells[arm] {
			s.hists[arm][i].clear()
			s.Cells[arm][i] = windows.Cell{}
		}
	}
}

func (s *segmentSum) add(segment *windows.Segment) {
	for arm := range windows.Arms {
		for i := range segment.Cells[arm] {
			c, more := &s.Cells[arm][i], &segment.Cells[arm][i]
			c.N, c.K, c.Sum, c.Squares = c.N+more.N, c.K+more.K, c.Sum+more.Sum, c.Squares+more.Squares
			s.hists[arm][i].add(more.Hist)
			c.Hist = s.hists[arm][i].buckets
		}
	}
}

// nameSegments tells the guardrails' segments what they are called, as far as it is known.
func (j *Judge) nameSegments() {
	if j.roster == nil || !j.roster.frozen {
		return
	}
	for _, g := range j.guards {
		for slot, part := range g.segments {
			part.segment = j.roster.name(slot)
		}
	}
}

// feedAll gives one window to a guardrail, and to the same one by segment.
func (j *Judge) feedAll(s *stream, g *guard, p *windows.Part, f feeding) {
	j.window.startMs, j.window.endMs = p.StartMs, p.StartMs+j.clock.widthMs
	j.feed(s, g, p, f)
	for slot, part := range g.segments {
		part.blind, part.waiting = g.blind, g.waiting
		if now := s.strips.now[slot]; now != nil && !part.several {
			f.cut = s.strips.cut[slot]
			j.feedOne(part, (*cells)(&now.Cells), f)
		}
	}
}

// feedOne gives one window of cells to a guardrail without strata.
func (j *Judge) feedOne(g *guard, of *cells, f feeding) {
	if !g.see(&j.window, of) {
		if !f.unequal && !f.leave {
			g.lack(&j.window)
		}
		return
	}
	j.choose(g)
	g.unequal = f.unequal
	switch {
	case f.unequal || f.leave:
	case f.cut && g.isContrast():
		g.part(j.clock)
		if f.whole {
			g.take(&j.window, j.clock)
		}
	default:
		g.take(&j.window, j.clock)
	}
}

// feed gives one window to a guardrail on all of the traffic.
func (j *Judge) feed(s *stream, g *guard, p *windows.Part, f feeding) {
	if g.canary.strata == nil {
		j.feedOne(g, (*cells)(&p.Cells), f)
		return
	}
	if !g.see(&j.window, (*cells)(&p.Cells)) {
		return
	}
	j.choose(g)
	if g.unequal = f.unequal; f.unequal || f.leave {
		return
	}
	for _, at := range s.strips.strata.now {
		if g.see(&j.window, (*cells)(&at.Cells)) {
			g.takeStratum(at.place, at.changed, &j.window, j.clock)
		} else {
			g.lack(&j.window)
		}
	}
	g.settle(j.clock)
}

// harmed are the segments of a guardrail that are hurt, ascending: by e-BH on what their evidence of any harm is now.
func (g *guard) harmed() []string {
	if len(g.segments) == 0 {
		return nil
	}
	logE := make([]float64, len(g.segments))
	for i, part := range g.segments {
		logE[i] = part.anyE()
	}
	var names []string
	for _, i := range stats.EBH(logE, segmentFDR) {
		names = append(names, g.segments[i].segment)
	}
	slices.Sort(names)
	return names
}
