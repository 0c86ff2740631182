package loadgen

import (
	"cmp"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"streamcanary/schemas"
)

// A Record is one event on its arrival.
type Record struct {
	// Event's slices belong to the Generator: they are good until the next call of Next.
	Event     schemas.Event
	ArrivalMs int64 // Unix milliseconds, on the scenario's clock; never less than the record's before
	Duplicate bool  // the second copy of an event (it may arrive before the first)
	Broken    bool  // its bytes are cut off: AppendJSON writes no valid JSON
}

// A Tally counts what an arm's events came to. Each event that happened is in Events, and in each of Lost, Doubled and
// Broken that applies.
type Tally struct {
	Events  int64 // that happened; of a silent arm none do
	Lost    int64 // never arrive
	Doubled int64 // arrive twice
	Broken  int64 // copies that arrive cut off
}

// A Generator makes a scenario's events in the order of their arrival. Its memory grows with what is under way, not with
// what has been. One goroutine uses it; only SetSplit may be called from another one.
//
// Everything that happens has an event time before the scenario's end; what is then still under way arrives after it.
// A prediction's time is that of its answer, so a fault changes the answers from its onset on, whenever they were asked for.
type Generator struct {
	s        *Scenario
	seed     uint64
	from     float64 // milliseconds since the start; nothing happens before
	requests *source
	marks    *cursor
	samples  *sampler
	split    atomic.Uint64 // bits of the share set from outside; noSplit: none is

	correlation float64
	answers     [Arms]answerLaw
	segments    [Arms][]float64 // cumulated shares
	names       names
	what, move  dice // what happens; what transport does
	scores      dice // what the model answers

	made     uint64 // predictions so far
	pushed   uint64
	pending  heap[flight]
	outcomes heap[flight]
	tally    [Arms][4]Tally

	id, unit [16]byte
}

// noSplit is the bits of no share between 0 and 1.
const noSplit = math.MaxUint64

// A flight is an event on its way.
type flight struct {
	timeMs  int64
	id      uint64
	unit    uint64
	number  float64 // latency or value
	score   float64 // of a prediction, where its arm has one
	host    uint16
	segment uint8
	which   uint8 // outcome or sample of the arm
	kind    schemas.Kind
	arm     uint8
	flags   uint8
}

// The flags of a flight.
const (
	flagError uint8 = 1 << iota
	flagTimeout
	flagLatency
	flagHit
	flagMiss
	flagDuplicate
	flagBroken
)

// New returns a Generator of the scenario from its start. Seed 0 takes the scenario's own. The same scenario and seed give the
// same events, bit for bit on one build and architecture, as long as SetSplit isn't called.
func New(s *Scenario, seed uint64) *Generator { return NewFrom(s, seed, 0) }

// NewFrom is New with every request and sample left out that comes less than from after the scenario's start (and with them
// the outcomes of such requests). Its events are not those that New would have made from then on, only as likely.
func NewFrom(s *Scenario, seed uint64, from time.Duration) *Generator {
	if seed == 0 {
		seed = s.Seed
	}
	begin := float64(from) / float64(time.Millisecond)
	g := &Generator{
		s: s, seed: seed, from: begin,
		requests: newSource(s, seed, begin), marks: newCursor(s), samples: newSampler(s, seed, begin),
		correlation: s.correlation(), names: namesOf(s),
		what: newDice(seed, 2), move: newDice(seed, 3), scores: newDice(seed, 6),
	}
	g.split.Store(noSplit)
	for i := range s.Arms {
		g.answers[i] = s.answerLaw(i)
		sum := 0.0
		for _, segment := range s.Arms[i].Segments {
			sum += segment.Share
			g.segments[i] = append(g.segments[i], sum)
		}
	}
	return g
}

// SetSplit sets the canary's share of the requests from now on, instead of the scenario's split: a router's hand on the
// traffic. A share outside 0..1 is cut to it, and NaN is 0. It may be called from any goroutine. Requests up to the arrival of
// the last record, and one more, keep their arm.
func (g *Generator) SetSplit(share float64) {
	if math.IsNaN(share) {
		share = 0
	}
	g.split.Store(math.Float64bits(min(max(share, 0), 1)))
}

// share is what the next request is routed by.
func (g *Generator) share() float64 {
	if bits := g.split.Load(); bits != noSplit {
		return math.Float64frombits(bits)
	}
	return g.marks.now.share
}

// Tally returns the counts of an arm's events of one kind so far; those that have happened, arrived or not.
func (g *Generator) Tally(arm int, kind schemas.Kind) Tally { return g.tally[arm][kind] }

// Pending says how many events are under way: what the Generator's memory grows with.
func (g *Generator) Pending() int {
	return len(g.pending) + len(g.outcomes) + len(g.requests.sessions)
}

// Next fills the record with the next event in the order of arrival, and says false when there are no more.
func (g *Generator) Next(r *Record) bool {
	for {
		request, sample := g.requests.peek(), g.samples.peek()
		if h := g.first(); h != nil && (*h)[0].at <= math.Floor(min(request, sample)) {
			n := h.pop()
			g.fill(r, &n)
			return true
		}
		switch {
		case math.IsInf(request, 1) && math.IsInf(sample, 1):
			return false
		case request <= sample:
			g.request(g.requests.pop())
		default:
			g.sample()
		}
	}
}

// first is the heap with the earliest arrival; nil when nothing is under way.
func (g *Generator) first() *heap[flight] {
	switch {
	case len(g.pending) == 0 && len(g.outcomes) == 0:
		return nil
	case len(g.pending) == 0:
		return &g.outcomes
	case len(g.outcomes) == 0 || g.pending[0].before(&g.outcomes[0]):
		return &g.pending
	}
	return &g.outcomes
}

// request makes what comes of a request: a prediction, and its outcomes.
func (g *Generator) request(q request) {
	if q.at < g.from {
		return
	}
	r := g.marks.at(q.at)
	arm := g.route(q.unit)
	a := &g.s.Arms[arm]
	g.made++
	if r.arms[arm].silent {
		return
	}
	f := flight{kind: schemas.KindPrediction, timeMs: int64(q.at), id: mix(g.made + mix(g.seed)), unit: q.unit, arm: uint8(arm)}
	g.answer(&f, &r.arms[arm])
	f.host = uint16(g.what.share() * float64(a.Hosts))
	f.segment = g.segment(arm, q.unit)
	if a.Score != nil {
		f.score = math.Round(min(max(r.arms[arm].score+a.Score.Noise*g.scores.NormFloat64(), 0), 1)*1e6) / 1e6
	}
	g.send(f, &a.Transport)
	if f.flags&(flagError|flagTimeout) != 0 {
		return
	}
	for i := range a.Outcomes {
		if g.chance(q.unit, saltOutcome+uint64(i)) < r.arms[arm].outcomes[i] {
			g.outcome(f, i, q.at)
		}
	}
}

// route picks the arm of a request.
func (g *Generator) route(unit uint64) int {
	u := g.what.share()
	if unit != 0 && g.s.Units.Sticky {
		u = g.lot(unit, saltArm)
	}
	if u < g.share() {
		return Canary
	}
	return Baseline
}

// chance draws from [0,1): so that two draws of the same unit and salt are one and the same number with the probability that
// gives the stated phi. Each alone is uniform, whatever the unit.
func (g *Generator) chance(unit, salt uint64) float64 {
	u := g.what.share()
	if unit == 0 || g.correlation == 0 {
		return u
	}
	if root := math.Sqrt(g.correlation); u < root {
		return g.lot(unit, salt)
	}
	return g.what.share()
}

// lot is a unit's own number in [0,1) for a purpose.
func (g *Generator) lot(unit, salt uint64) float64 {
	return shareOf(mix(mix(unit+g.seed*0x9e3779b97f4a7c15) + salt*0xd1342543de82ef95))
}

// answer draws whether and how fast a request was answered.
func (g *Generator) answer(f *flight, r *armRegime) {
	a, law := &g.s.Arms[f.arm], &g.answers[f.arm]
	x, cache := law.law.draw(g.what)
	f.number = law.shape(x, r)
	f.flags = flagLatency
	switch u := g.chance(f.unit, saltError); {
	case u < r.errors:
		f.flags |= flagError
		if a.ErrorLatency != nil {
			x, _ := a.ErrorLatency.draw(g.what)
			f.number, cache = law.rounded(x), CacheUnsaid
		}
	case u < r.errors+r.timeouts:
		f.flags, f.number, cache = flagTimeout, 0, CacheUnsaid
		if a.TimeoutMs > 0 {
			f.flags, f.number = flagTimeout|flagLatency, law.rounded(a.TimeoutMs)
		}
	}
	switch cache {
	case CacheHit:
		f.flags |= flagHit
	case CacheMiss:
		f.flags |= flagMiss
	}
}

// segment picks the segment: a unit keeps its own within an arm.
func (g *Generator) segment(arm int, unit uint64) uint8 {
	shares := g.segments[arm]
	if len(shares) == 0 {
		return 0
	}
	u := g.what.share()
	if unit != 0 {
		u = g.lot(unit, saltSegment)
	}
	for i, upTo := range shares {
		if u < upTo {
			return uint8(i)
		}
	}
	return uint8(len(shares) - 1)
}

// outcome makes an outcome of a prediction, if it happens before the scenario's end.
func (g *Generator) outcome(f flight, which int, at float64) {
	a := &g.s.Arms[f.arm]
	delay, _ := a.Outcomes[which].Delay.draw(g.what)
	if at+delay >= g.s.durationMs() {
		return
	}
	g.send(flight{kind: schemas.KindOutcome, timeMs: int64(at + delay), id: f.id, number: 1, arm: f.arm, which: uint8(which)}, &a.Transport)
}

// sample makes the next sample.
func (g *Generator) sample() {
	f, ok := g.samples.pop()
	if ok {
		g.send(f, &g.s.Arms[f.arm].Transport)
	}
}

// send hands an event to the transport: it may be lost, late, doubled, broken.
func (g *Generator) send(f flight, t *Transport) {
	tally := &g.tally[f.arm][f.kind]
	tally.Events++
	if t.Lost > 0 && g.move.share() < t.Lost {
		tally.Lost++
		return
	}
	g.launch(f, t, tally, 0)
	if t.Duplicates > 0 && g.move.share() < t.Duplicates {
		tally.Doubled++
		after, _ := t.DuplicateAfter.draw(g.move)
		f.flags |= flagDuplicate
		g.launch(f, t, tally, after)
	}
}

// launch puts one copy on its way.
func (g *Generator) launch(f flight, t *Transport, tally *Tally, after float64) {
	delay, _ := t.Delay.draw(g.move)
	if t.Late > 0 && g.move.share() < t.Late {
		by, _ := t.LateBy.draw(g.move)
		delay += by
	}
	if t.Broken > 0 && g.move.share() < t.Broken {
		f.flags |= flagBroken
		tally.Broken++
	}
	g.pushed++
	n := node[flight]{at: float64(f.timeMs) + math.Floor(delay+after), order: g.pushed, value: f}
	if f.kind == schemas.KindOutcome {
		g.outcomes.push(n)
	} else {
		g.pending.push(n)
	}
}

// fill turns a flight that has arrived into a record.
func (g *Generator) fill(r *Record, n *node[flight]) {
	f := &n.value
	e := &r.Event
	e.Reset()
	r.ArrivalMs = g.s.StartMs + int64(n.at)
	r.Duplicate, r.Broken = f.flags&flagDuplicate != 0, f.flags&flagBroken != 0
	e.Kind, e.TimeMs = f.kind, g.s.StartMs+f.timeMs
	arm := &g.names.arms[f.arm]
	if f.kind == schemas.KindOutcome {
		e.ID = hex16(g.id[:0], f.id)
		e.Name, e.Value = arm.outcomes[f.which], f.number
		return
	}
	e.Model, e.Version, e.Host = g.names.model, arm.version, arm.hosts[f.host]
	if f.kind == schemas.KindSample {
		e.Name, e.Value = arm.samples[f.which], f.number
		return
	}
	e.ID = hex16(g.id[:0], f.id)
	e.LatencyMs, e.HasLatency = f.number, f.flags&flagLatency != 0
	if g.s.Arms[f.arm].Score != nil && f.flags&(flagError|flagTimeout) == 0 {
		e.Score, e.HasScore = f.score, true
	}
	e.Error, e.Timeout = f.flags&flagError != 0, f.flags&flagTimeout != 0
	e.CacheHit, e.HasCacheHit = f.flags&flagHit != 0, f.flags&(flagHit|flagMiss) != 0
	if len(arm.segments) > 0 {
		e.Segment = arm.segments[f.segment]
	}
	if f.unit != 0 {
		e.Unit = hex16(g.unit[:0], mix(f.unit))
	}
}

// hex16 appends 16 hexadecimal digits.
func hex16(dst []byte, x uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[x>>shift&15])
	}
	return dst
}

// names are the bytes of every name, made once.
type names struct {
	model []byte
	arms  [Arms]armNames
}

type armNames struct {
	version                            []byte
	hosts, segments, outcomes, samples [][]byte
}

func namesOf(s *Scenario) names {
	n := names{model: []byte(s.Model)}
	for i := range s.Arms {
		a, to := &s.Arms[i], &n.arms[i]
		to.version = []byte(a.Version)
		for h := range a.Hosts {
			to.hosts = append(to.hosts, []byte(cmp.Or(a.HostName, a.Version)+"-"+strconv.Itoa(h)))
		}
		for _, x := range a.Segments {
			to.segments = append(to.segments, []byte(x.Name))
		}
		for _, x := range a.Outcomes {
			to.outcomes = append(to.outcomes, []byte(x.Name))
		}
		for _, x := range a.Samples {
			to.samples = append(to.samples, []byte(x.Name))
		}
	}
	return n
}
