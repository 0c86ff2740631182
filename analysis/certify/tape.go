package certify

import (
	"math"
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
	T       int // the window's number
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
	outcomes []*joinedTape
	samples  *sampleTape
	watch    stopwatch
	timing   timing
	serving  windows.Part
	unit     uint64
}

// reads says what a serving metric counts.
type reads struct {
	rate int // index of the scene's rates; -1: none
	hist bool
	over int // index of the timing's limits; -1: none
}

// NewTape makes the tape of one run for a rollout: its parts hold what the rollout's guardrails need. It panics on a metric
// that no scene knows.
func NewTape(s scene, r *schemas.Rollout, random *rand.Rand) *Tape {
	t := &Tape{scene: s, dice: dice{random}}
	t.moment = Moment{T: -1, widthMs: r.Window.Milliseconds(), indexes: map[string]int{}, Serving: &t.serving}
	t.serving.Stream = windows.Stream{Kind: windows.Serving}
	var gauges []windows.Metric
	for _, m := range analysis.Metrics(r) {
		if m.Stream().Kind == windows.Resources {
			gauges = append(gauges, m)
			continue
		}
		t.moment.indexes[m.Key()] = len(t.reads)
		t.serving.Metrics = append(t.serving.Metrics, m.Key())
		t.reads = append(t.reads, t.readsOf(m.Key()))
	}
	for arm := range windows.Arms {
		t.serving.Cells[arm] = make([]windows.Cell, len(t.reads))
	}
	for _, o := range r.Outcomes {
		t.outcomes = append(t.outcomes, newJoinedTape(o, t.rate(o.Name), t.moment.widthMs))
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
		return reads{rate: -1, hist: true, over: -1}
	}
	if limit, ok := strings.CutPrefix(key, "latency>"); ok {
		if x, err := strconv.ParseFloat(limit, 64); err == nil {
			t.timing.limits = append(t.timing.limits, inBuckets(x))
			t.timing.above = append(t.timing.above, 0)
			return reads{rate: -1, over: len(t.timing.limits) - 1}
		}
	}
	return reads{rate: -1, over: -1}
}

// Next plays the next window.
func (t *Tape) Next() *Moment {
	m := &t.moment
	m.T++
	at := startMs + int64(m.T)*m.widthMs
	share := t.scene.share(m.T)
	n := t.dice.poisson(t.scene.requests(m.T))
	canary := t.dice.binomial(n, share)
	if h := &t.scene.harm; h.Silent && m.T >= h.From {
		n -= canary
		canary = 0
	}
	t.serving.StartMs = at
	size := share / (1 - share)
	for _, o := range t.outcomes {
		o.begin(at)
	}
	for arm, n := range [windows.Arms]int64{n - canary, canary} {
		t.fill(windows.Arm(arm), n, size)
	}
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

// fill puts n predictions (or those of as many users as make about n) into one arm.
func (t *Tape) fill(arm windows.Arm, n int64, size float64) {
	p, tr := &t.serving, &t.serving.Traffic[arm]
	*tr = windows.Traffic{Units: tr.Units[:0]}
	for i := range p.Cells[arm] {
		c := &p.Cells[arm][i]
		*c = windows.Cell{Hist: c.Hist[:0]}
	}
	var rates [maxRates]float64
	for i, r := range t.scene.rates {
		rates[i] = t.levelOf(&r, arm)
	}
	if t.scene.users {
		for tr.Events < n {
			t.user(arm, &rates)
		}
	} else {
		tr.Events = n
		t.spread(arm, &rates, size)
	}
	tr.Served = tr.Events
	t.latencies(arm)
	if tr.Events > 0 {
		tr.SampledMin, tr.SampledMax = 1, 1
	}
}

// levelOf is a rate in this window, in one arm.
func (t *Tape) levelOf(r *rate, arm windows.Arm) float64 {
	p := r.base
	if r.drift != nil {
		p *= r.drift(t.moment.T)
	}
	if arm == windows.Canary {
		p = t.scene.harm.rateOf(r.key, p, t.moment.T)
	}
	return p
}

// crowd is how many predictions a user makes in a window: variance over mean of sums by user is (.5 + .3·4 + .2·9)/1.7 = 2.06.
var crowd = []int64{1, 1, 1, 1, 1, 2, 2, 2, 3, 3}

// user makes one user's predictions: they fail together.
func (t *Tape) user(arm windows.Arm, rates *[maxRates]float64) {
	m := crowd[t.dice.IntN(len(crowd))]
	slice := sliceOf(t.dice)
	t.unit++
	tr := &t.serving.Traffic[arm]
	tr.Events += m
	tr.Units = append(tr.Units, windows.UnitSight{Unit: t.unit})
	if arm == windows.Baseline {
		tr.Slices[slice] += m
	}
	for i := range t.scene.rates {
		k := int64(0)
		if t.dice.Float64() < rates[i] {
			k = m
		}
		t.count(tally{arm, i, slice, m, k})
	}
}

// sliceOf draws the calibration slice of a unit.
func sliceOf(d dice) int { return min(int(d.ExpFloat64()/math.Ln2), windows.Slices-1) }

// spread makes predictions that the scene's noise ties together: sizes per slice, then hits per slice.
func (t *Tape) spread(arm windows.Arm, rates *[maxRates]float64, size float64) {
	left := t.serving.Traffic[arm].Events
	if arm == windows.Canary {
		for i := range t.scene.rates {
			k := t.scene.noise.hits(t.dice, left, place{i, canaryCell, rates[i], size})
			t.count(tally{arm, i, 0, left, k})
		}
		return
	}
	share := .5
	for slice := range windows.Slices {
		n := left
		if slice < windows.Slices-1 {
			n = t.dice.binomial(left, .5)
		}
		left -= n
		t.serving.Traffic[arm].Slices[slice] = n
		for i := range t.scene.rates {
			k := t.scene.noise.hits(t.dice, n, place{i, slice, rates[i], share})
			t.count(tally{arm, i, slice, n, k})
		}
		if slice < windows.Slices-2 {
			share /= 2
		}
	}
}

// tally is n predictions of an arm (of one of the baseline's slices), of which k are hits of a rate.
type tally struct {
	arm         windows.Arm
	rate, slice int
	n, k        int64
}

// count adds a tally to every cell that reads its rate.
func (t *Tape) count(c tally) {
	for i := range t.reads {
		if t.reads[i].rate == c.rate {
			addTo(&t.serving.Cells[c.arm][i], c)
		}
	}
	for _, o := range t.outcomes {
		if o.rate == c.rate {
			addTo(&o.open.Cells[c.arm][0], c)
		}
	}
}

func addTo(cell *windows.Cell, c tally) {
	cell.N, cell.K = cell.N+c.n, cell.K+c.k
	if c.arm == windows.Baseline {
		cell.Slices[c.slice].N += c.n
		cell.Slices[c.slice].K += c.k
	}
}

func (t *Tape) latencies(arm windows.Arm) {
	if t.scene.law == nil || len(t.reads) == 0 {
		return
	}
	n := t.serving.Traffic[arm].Events
	t.timing.law, t.timing.grid, t.timing.factor = t.scene.law, t.scene.grid, 1
	clear(t.timing.above)
	if t.scene.drift != nil {
		t.timing.factor = t.scene.drift(t.moment.T)
	}
	if h := &t.scene.harm; arm == windows.Canary {
		t.timing.factor *= h.factor(t.moment.T)
		if h.Law != nil && t.moment.T >= h.From {
			t.timing.law = h.Law
		}
	}
	drawn := false
	for i, r := range t.reads {
		cell := &t.serving.Cells[arm][i]
		if r.hist {
			cell.N, cell.Hist, drawn = n, t.watch.draw(t.dice, n, &t.timing, cell.Hist), true
		}
	}
	if !drawn {
		return
	}
	for i, r := range t.reads {
		if r.over >= 0 {
			cell := &t.serving.Cells[arm][i]
			cell.N, cell.K = n, t.timing.above[r.over]
		}
	}
}
