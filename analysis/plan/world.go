package plan

import (
	"math"
	"slices"
	"sort"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// A world makes sealed windows of one guardrail's events, of a healthy baseline and of a canary that is or isn't.
type world struct {
	random    random
	run       int            // its number
	stream    windows.Stream // where the guardrail's numbers are
	perWindow float64        // events of both arms with the metric
	served    float64        // predictions of both arms
	share     float64
	laws      [windows.Arms][]class
	sums      [windows.Arms][]float64 // cumulated probabilities
	cells     int
	sliced    bool    // the baseline's cells have calibration slices: noise is measured on them
	clump     int64   // how many events of a unit go the same way; 1: each goes its own
	clumps    float64 // such units for each event

	serving, other windows.Part
	counts         []int64
	before         []windows.SliceCount
}

// worldOf is a world in windows of a width.
func worldOf(g *schemas.Guardrail, s *setting, width time.Duration, canary []atom) *world {
	w := &world{share: s.share, served: s.requests * width.Seconds(), perWindow: s.base.PerSecond * width.Seconds(), stream: s.stream}
	w.laws = [windows.Arms][]class{
		windows.Baseline: classes(g, s.metrics, s.healthy), windows.Canary: classes(g, s.metrics, canary),
	}
	w.cells = max(len(s.metrics), 1)
	if w.sliced = !ranked(g); w.sliced {
		w.clump, w.clumps = clumpsOf(s.base.Phi)
	}
	for arm, all := range w.laws {
		sum := 0.0
		for _, c := range all {
			sum += c.p
			w.sums[arm] = append(w.sums[arm], sum)
		}
	}
	return w
}

// window makes the parts of the window that starts at startMs: the serving one, and where the guardrail reads another stream, that one.
// Their memory is used again.
func (w *world) window(startMs int64) []*windows.Part {
	n := w.arms(w.served)
	p := &w.serving
	p.Stream, p.StartMs = windows.Stream{Kind: windows.Serving}, startMs
	for arm := range windows.Arms {
		p.Traffic[arm] = windows.Traffic{Events: n[arm], Served: n[arm]}
		if n[arm] > 0 {
			p.Traffic[arm].SampledMin, p.Traffic[arm].SampledMax = 1, 1
		}
	}
	if w.stream.Kind == windows.Serving {
		for arm := range windows.Arms {
			w.fill(p, windows.Arm(arm), min(n[arm], w.random.binomial(n[arm], w.perWindow/w.served)))
		}
		return []*windows.Part{p}
	}
	if w.stream.Kind == windows.Resources {
		n = w.arms(w.perWindow)
	}
	o := &w.other
	o.Stream, o.StartMs = w.stream, startMs
	for arm := range windows.Arms {
		w.fill(o, windows.Arm(arm), n[arm])
	}
	return []*windows.Part{p, o}
}

// past is what the baseline did before the canary came: so much that its rate is known.
func (w *world) past(startMs int64, rate float64) *windows.Part {
	const n = 1_000_000
	p := &windows.Part{Stream: w.stream, StartMs: startMs}
	for arm := range windows.Arms {
		p.Cells[arm] = make([]windows.Cell, w.cells)
	}
	for i := range p.Cells[windows.Baseline] {
		p.Cells[windows.Baseline][i] = windows.Cell{N: n, K: int64(rate * n)}
	}
	if w.stream.Kind == windows.Serving {
		p.Traffic[windows.Baseline] = windows.Traffic{Events: n, Served: n, SampledMin: 1, SampledMax: 1}
	}
	return p
}

// arms draws how many events each arm has.
func (w *world) arms(mean float64) (n [windows.Arms]int64) {
	all := w.random.poisson(mean)
	n[windows.Canary] = w.random.binomial(all, w.share)
	n[windows.Baseline] = all - n[windows.Canary]
	return n
}

// clumpsOf makes events over-dispersed: so many units for each event that have a clump of events each, alike, beside events that stand alone, give
// counts phi times the variance of independent ones.
func clumpsOf(phi float64) (size int64, units float64) {
	if !(phi > 1) {
		return 1, 0
	}
	size = 2 * int64(math.Ceil(phi))
	return size, (phi - 1) / float64(size-1) / float64(size)
}

// fill draws n events into one arm's cells.
func (w *world) fill(p *windows.Part, arm windows.Arm, n int64) {
	if len(p.Cells[arm]) != w.cells {
		p.Cells[arm] = make([]windows.Cell, w.cells)
	}
	for i := range p.Cells[arm] {
		p.Cells[arm][i] = windows.Cell{Hist: p.Cells[arm][i].Hist[:0]}
	}
	units := int64(0)
	if w.clump > 1 {
		units = min(w.random.binomial(n, w.clumps), n/w.clump)
	}
	alone := n - units*w.clump
	if arm != windows.Baseline || !w.sliced {
		w.put(p.Cells[arm], arm, alone, 1)
		w.put(p.Cells[arm], arm, units, w.clump)
		return
	}
	// A half of the units, a quarter, and so on are in the calibration slices, the last two alike: see windows.SliceOf.
	for slice := range windows.Slices {
		here, clumps := alone, units
		if slice < windows.Slices-1 {
			here, clumps = w.random.binomial(alone, .5), w.random.binomial(units, .5)
		}
		alone, units = alone-here, units-clumps
		before := w.totals(p.Cells[arm])
		w.put(p.Cells[arm], arm, here, 1)
		w.put(p.Cells[arm], arm, clumps, w.clump)
		for i := range p.Cells[arm] {
			c := &p.Cells[arm][i]
			c.Slices[slice] = windows.SliceCount{N: c.N - before[i].N, K: c.K - before[i].K, Sum: c.Sum - before[i].Sum}
		}
	}
}

// totals are what cells hold, in memory that is used again.
func (w *world) totals(cells []windows.Cell) []windows.SliceCount {
	w.before = w.before[:0]
	for i := range cells {
		w.before = append(w.before, windows.SliceCount{N: cells[i].N, K: cells[i].K, Sum: cells[i].Sum})
	}
	return w.before
}

// put draws units, each with so many events that are alike, into one arm's cells.
func (w *world) put(cells []windows.Cell, arm windows.Arm, units, each int64) {
	if units == 0 {
		return
	}
	for at, count := range w.draw(arm, units) {
		if count *= each; count == 0 {
			continue
		}
		for i, m := range w.laws[arm][at].marks {
			c := &cells[i]
			c.N, c.K, c.Sum, c.Squares = c.N+count*m.n, c.K+count*m.k, c.Sum+count*m.sum, c.Squares+count*m.squares
			if m.ranked {
				c.Hist = addBucket(c.Hist, m.bucket, uint32(count))
			}
		}
	}
}

// addBucket adds to a histogram, most often at its end.
func addBucket(hist []windows.Bucket, index int32, count uint32) []windows.Bucket {
	at := len(hist)
	if at > 0 && hist[at-1].Index >= index {
		at = sort.Search(len(hist), func(i int) bool { return hist[i].Index >= index })
		if hist[at].Index == index {
			hist[at].Count += count
			return hist
		}
	}
	return slices.Insert(hist, at, windows.Bucket{Index: index, Count: count})
}

// draw parts n events over the classes of an arm.
func (w *world) draw(arm windows.Arm, n int64) []int64 {
	all, sums := w.laws[arm], w.sums[arm]
	w.counts = slices.Grow(w.counts[:0], len(all))[:len(all)]
	clear(w.counts)
	whole := sums[len(sums)-1]
	if n < int64(len(all)) {
		for range n {
			at := sort.SearchFloat64s(sums, w.random.float()*whole)
			w.counts[min(at, len(all)-1)]++
		}
		return w.counts
	}
	left := whole
	for i := range all {
		k := n
		if i < len(all)-1 {
			k = w.random.binomial(n, all[i].p/left)
		}
		w.counts[i], n, left = k, n-k, left-all[i].p
	}
	return w.counts
}
