package certify

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"streamcanary/analysis"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// startMs is 2025-10-09T09:00:00Z: the event time at which every run begins.
const startMs = 1760000400000

// A Moment is what one window's end makes known: the merged parts that are ready by then, in the order in which a Judge takes them.
// It belongs to the Tape and is valid until the next one.
type Moment struct {
	T       int // the window's number; negative where the baseline serves alone
	Serving *windows.Part
	Parts   []*windows.Part
	Canary  int64 // canary's predictions up to and with this window
	widthMs int64
	indexes map[string]int // of serving cells, by the metric's key
}

// A Tape plays one run of a world.
type Tape struct {
	scene    scene
	dice     dice
	moment   Moment
	reads    []reads // of serving metrics
	readers  [][]int // by the scene's rates: which of these read it
	outcomes []*joinedTape
	samples  *sampleTape
	scores   *scoreTape // nil: nobody asks for them
	watch    stopwatch
	timing   timing
	serving  windows.Part
	unit     uint64
	present  [][]user          // those who stay, by segment
	paces    []pace            // of the arm that is being filled, by segment
	segments []windows.Segment // of the serving part, by the scene's segments; empty: not told apart
	sizes    []sliceSizes      // of the arm that is being filled, by segment
}

// withoutLatency is the metric of predictions that should have a latency and don't.
const withoutLatency = "no_latency"

// reads says what a serving metric counts.
type reads struct {
	rate  int   // index of the scene's rates; -1: none
	layer layer // of the latencies; none: no histogram
	over  int   // index of the timing's limits; -1: none
}

// NewTape makes the tape of one run for a rollout: its parts hold what the rollout's guardrails need. Each call of source starts the run's random numbers
// anew. It panics on a metric that no scene knows.
func NewTape(s scene, r *schemas.Rollout, source func() *rand.Rand) *Tape {
	if r.Segments == nil && !s.differs() {
		s.segments = nil
	}
	t := &Tape{scene: s, dice: dice{source()}}
	t.moment = Moment{T: -1 - s.before, widthMs: r.Window.Milliseconds(), indexes: map[string]int{}, Serving: &t.serving}
	t.serving.Stream = windows.Stream{Kind: windows.Serving}
	var gauges []windows.Metric
	for _, m := range analysis.Metrics(r) {
		if m.Stream().Kind == windows.Resources {
			gauges = append(gauges, m)
			continue
		}
		t.moment.indexes[m.Key()] = len(t.reads)
		t.serving.Metrics = append(t.serving.Metrics, m.Key())
		if m.Key() == scoreMetric {
			t.scores = &scoreTape{dice: ownDice(source), metric: len(t.reads)}
		}
		t.reads = append(t.reads, t.readsOf(m.Key()))
	}
	t.readers = make([][]int, len(s.rates))
	for i, r := range t.reads {
		if r.rate >= 0 {
			t.readers[r.rate] = append(t.readers[r.rate], i)
		}
	}
	for arm := range windows.Arms {
		t.serving.Cells[arm] = make([]windows.Cell, len(t.reads))
	}
	t.sizes = make([]sliceSizes, max(1, len(s.segments)))
	t.present = make([][]user, len(t.sizes))
	if r.Segments != nil {
		t.segments = newSegments(s.segments, len(t.reads))
	}
	for _, o := range r.Outcomes {
		t.outcomes = append(t.outcomes, newJoinedTape(t, o))
	}
	if len(gauges) > 0 && s.gauges != nil {
		t.samples = newSampleTape(s.gauges, gauges, t.dice)
	}
	return t
}

func (t *Tape) rate(key string) int {
	for i, r := range t.scene.rates {
		if r.key == key {
			return i
		}
	}
	return -1
}

// readsOf understands a metric by its key.
func (t *Tape) readsOf(key string) reads {
	if at := t.rate(key); at >= 0 {
		return reads{rate: at, over: -1}
	}
	if key == "latency" {
		return reads{rate: -1, layer: whole, over: -1}
	}
	if key == "latency/half" {
		return reads{rate: -1, layer: half, over: -1}
	}
	if limit, ok := strings.CutPrefix(key, "latency>"); ok {
		if x, err := strconv.ParseFloat(limit, 64); err == nil {
			t.timing.limits = append(t.timing.limits, inBuckets(x))
			t.timing.above = append(t.timing.above, 0)
			return reads{rate: -1, over: len(t.timing.limits) - 1}
		}
	}
	switch key {
	case withoutLatency, withoutScore, scoreMetric: // nothing is missing in scenes that don't say so, and scores are read by themselves
		return reads{rate: -1, over: -1}
	}
	panic("certify: no scene knows the metric " + key)
}

// share is the canary's in this window.
func (t *Tape) share() float64 {
	if t.moment.T < 0 {
		return 0
	}
	return t.scene.share(t.moment.T)
}

// Next plays the next window.
func (t *Tape) Next() *Moment {
	m := &t.moment
	m.T++
	at := startMs + int64(m.T)*m.widthMs
	share := t.share()
	n := t.dice.poisson(t.scene.requests(m.T))
	canary := t.dice.binomial(n, share)
	if h := &t.scene.harm; h.Silent && m.T >= h.From {
		n -= canary
		canary = 0
	}
	if t.scene.stays > 0 {
		t.turnOver()
	}
	t.serving.StartMs = at
	size := share / (1 - share)
	for _, o := range t.outcomes {
		o.begin(at)
	}
	emptySegments(t.segments)
	for arm, n := range [windows.Arms]int64{n - canary, canary} {
		t.fill(windows.Arm(arm), n, size)
	}
	t.serving.Segments = filled(t.serving.Segments[:0], t.segments)
	t.scene.noise.next(t.dice)
	m.Canary += t.serving.Traffic[windows.Canary].Events
	m.Parts = append(m.Parts[:0], &t.serving)
	if t.samples != nil {
		m.Parts = t.samples.next(t.dice, m, at)
	}
	for _, o := range t.outcomes {
		m.Parts = o.next(m.Parts)
	}
	return m
}
