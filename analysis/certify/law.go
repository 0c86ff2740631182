package certify

import (
	"math"
	"slices"

	"streamcanary/windows"
)

// lawBits is how many equally likely values a law has, as a power of two: enough that p99.9 has 16 values beyond it.
const lawBits = 14

// A law is a distribution of latencies in milliseconds: its values, ascending, each as likely as any other, as they stand in 64ths of a doubling.
type law struct{ log []float64 }

// lawOf makes a law of its quantile function.
func lawOf(quantile func(u float64) float64) *law {
	l := &law{log: make([]float64, 1<<lawBits)}
	for i := range l.log {
		l.log[i] = inBuckets(quantile((float64(i) + .5) / float64(len(l.log))))
	}
	return l
}

// inBuckets is a number on the scale of the histograms' buckets: value x lies in bucket ceil(inBuckets(x)) - 1.
func inBuckets(x float64) float64 { return bucketsPerDoubling * math.Log2(x) }

const bucketsPerDoubling = 64 // the histograms' scale

func normalQuantile(u float64) float64 { return math.Sqrt2 * math.Erfinv(2*u-1) }

func normalTail(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }

// The laws of the worlds.
var (
	lognormalHalf  = lawOf(func(u float64) float64 { return 20 * math.Exp(.5*normalQuantile(u)) })
	lognormalWide  = lawOf(func(u float64) float64 { return 20 * math.Exp(.7*normalQuantile(u)) })
	paretoHeavy    = lawOf(func(u float64) float64 { return 5 * math.Pow(1-u, -1/1.5) })
	bimodalCache   = lawOf(bimodal)
	bimodalCoarse  = lawOf(func(u float64) float64 { return 5 * max(1, math.Round(bimodal(u)/5)) }) // what a clock of 5 ms makes of it
	lognormalSpike = spiked(lognormalHalf, .005, 10)
	lognormalTail  = stretched(lognormalHalf, .95, 1.5)
)

// bimodal is a cache: 80 % hits around 4 ms, the rest around 60 ms.
func bimodal(u float64) float64 {
	if u < .8 {
		return 4 * math.Exp(.3*normalQuantile(u/.8))
	}
	return 60 * math.Exp(.4*normalQuantile((u-.8)/.2))
}

// spiked has one share of its values multiplied, the others as before: which ones doesn't depend on their size.
func spiked(l *law, share, factor float64) *law {
	s := &law{log: slices.Clone(l.log)}
	every := int(math.Round(1 / share))
	for i := every / 2; i < len(s.log); i += every {
		s.log[i] += inBuckets(factor)
	}
	slices.Sort(s.log)
	return s
}

// stretched has its values beyond one quantile multiplied.
func stretched(l *law, from, factor float64) *law {
	s := &law{log: slices.Clone(l.log)}
	for i := int(from * float64(len(s.log))); i < len(s.log); i++ {
		s.log[i] += inBuckets(factor)
	}
	return s
}

// A layer is one of the histograms that are drawn at once: of all latencies of an arm, of the baseline's slice 0, and of the segment at hand.
type layer int

const (
	none layer = iota
	whole
	half
	part
	partHalf
	layers
)

// drawn are the layers of all traffic, or of the segment at hand.
type drawn struct{ all, half layer }

var ofAll, ofPart = drawn{whole, half}, drawn{part, partHalf}

// A stopwatch draws the latencies of one arm in one window into histograms. It keeps its memory.
type stopwatch struct {
	counts   [layers][]uint32
	lowest   int // bucket of place 0
	from, to int // places that hold anything: from <= i < to
}

// a timing says what is drawn.
type timing struct {
	law    *law
	factor float64   // every latency is multiplied by it
	grid   float64   // ms, to which producers round; 0: they don't
	limits []float64 // on the scale of buckets: for each, how many are above is counted
	above  []int64   // of what was drawn since it was counted last
}

// begin makes room for the buckets of a timing, and a step of rounding around them.
func (s *stopwatch) begin(t *timing) {
	const slack = 4 * bucketsPerDoubling
	shift := inBuckets(t.factor)
	from, to := int(t.law.log[0]+shift)-slack, int(t.law.log[len(t.law.log)-1]+shift)+slack
	for i := whole; i < layers; i++ {
		if len(s.counts[i]) < to-from {
			s.counts[i] = make([]uint32, to-from)
		}
	}
	s.lowest, s.from, s.to = from, to-from, 0
	clear(t.above)
}

// draw makes n latencies.
func (s *stopwatch) draw(d dice, n int64, t *timing, first bool) {
	shift := inBuckets(t.factor)
	for range n {
		s.note(t.law.log[d.Uint64()>>(64-lawBits)]+shift, t, first)
	}
}

// note counts a latency, given on the scale of buckets.
func (s *stopwatch) note(y float64, t *timing, first bool) {
	if t.grid > 0 {
		y = rounded(y, t.grid)
	}
	for i, limit := range t.limits {
		if y > limit {
			t.above[i]++
		}
	}
	at := max(0, int(math.Ceil(y))-1-s.lowest)
	s.from, s.to = min(s.from, at), max(s.to, at+1)
	s.counts[whole][at]++
	s.counts[part][at]++
	if first {
		s.counts[half][at]++
		s.counts[partHalf][at]++
	}
}

// flush appends a layer's histogram to dst, and empties the layer.
func (s *stopwatch) flush(l layer, dst []windows.Bucket) []windows.Bucket {
	for i := s.from; i < s.to; i++ {
		if n := s.counts[l][i]; n > 0 {
			dst = append(dst, windows.Bucket{Index: int32(i + s.lowest), Count: n})
			s.counts[l][i] = 0
		}
	}
	return dst
}

// rounded is a latency rounded to a grid, at least one step.
func rounded(y, grid float64) float64 {
	return inBuckets(grid * max(1, math.Round(math.Exp2(y/bucketsPerDoubling)/grid)))
}
