package analysis

import (
	"time"

	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// Sizes of a block. They depend on counts of exposures only, never on results.
const (
	blockExposures = 8         // predictions or samples that each arm must have
	blockPPM       = 4_000_000 // of a quantile: 4 expected on its rarer side, in millionths
	blockMaxMs     = int64(time.Hour / time.Millisecond)
)

// tailFull reports whether n values of both arms are enough for a block of the quantile below a tail of ppm millionths. What is rare may lie on either side of it:
// were all of a block its tail, none of them could tell the arms apart, and a low quantile would never have any evidence.
func tailFull(n, ppm int64) bool { return n*min(ppm, 1_000_000-ppm) >= blockPPM }

// clock counts the windows of an epoch.
type clock struct {
	startMs int64 // of the epoch's first window
	widthMs int64
	horizon int64  // planned life, in windows
	over    bool   // the present window's stage is over, or its share isn't the planned one: what it shows proves no pass
	spare   *block // scratch for a window that is a block by itself; nil: it is copied
}

// window is the number of the window that starts at startMs; the epoch's first is 0.
func (c clock) window(startMs int64) int64 { return (startMs - c.startMs) / c.widthMs }

// startWeights hands out the start mixture's weights: each window's once, in order. Windows that no block holds
// (left out, skipped, or without any event) go with the next block that is tested.
type startWeights struct{ next int64 }

// through is the sum of the weights of all windows up to and with the given one that were not handed out yet.
func (s *startWeights) through(window, horizon int64) float64 {
	if window < s.next {
		return 0
	}
	sum := stats.StartSum(s.next, window+1, horizon)
	s.next = window + 1
	return sum
}

// block is consecutive windows that one test takes together, added up. Its memory is used again.
type block struct {
	fromMs, toMs int64               // start of the first window, end of the last; toMs 0: no window yet
	stratum      int                 // 0 without strata
	n, k         [windows.Arms]int64 // of ranks that can pass, k are the requests that have no value
	sum, squares [windows.Arms]int64
	hist         [windows.Arms]histogram
	edges        *edges // nil: values are what they are told to be
}

// edges are the histograms of values as low, and as high, as they may have been before they were rounded.
type edges struct{ low, high [windows.Arms]histogram }

// towardEachOther are the arms' histograms as they speak least for a canary whose values are the larger ones (up), or the smaller ones.
func (e *edges) towardEachOther(up bool) (canary, baseline *histogram) {
	if up {
		return &e.low[windows.Canary], &e.high[windows.Baseline]
	}
	return &e.high[windows.Canary], &e.low[windows.Baseline]
}

func (b *block) empty() bool { return b.toMs == 0 }

// fits reports whether a window that ends at endMs still belongs to this block: no block is longer than an hour
// of event time.
func (b *block) fits(endMs int64) bool { return b.empty() || endMs-b.fromMs <= blockMaxMs }

// add takes one window in.
func (b *block) add(w *window) {
	if b.empty() {
		b.fromMs = w.startMs
	}
	b.toMs = w.endMs
	for arm := range windows.Arms {
		b.n[arm] += w.n[arm]
		b.k[arm] += w.k[arm]
		b.sum[arm] += w.sum[arm]
		b.squares[arm] += w.squares[arm]
		b.hist[arm].add(w.hist[arm])
	}
	if !w.rounded {
		return
	}
	if b.edges == nil {
		b.edges = &edges{}
	}
	for arm := range windows.Arms {
		b.edges.low[arm].add(w.low[arm])
		b.edges.high[arm].add(w.high[arm])
	}
}

// join takes in a later block, without its edges.
func (b *block) join(o *block) {
	if b.empty() {
		b.fromMs = o.fromMs
	}
	b.toMs = o.toMs
	for arm := range windows.Arms {
		b.n[arm] += o.n[arm]
		b.k[arm] += o.k[arm]
		b.sum[arm] += o.sum[arm]
		b.squares[arm] += o.squares[arm]
		b.hist[arm].add(o.hist[arm].buckets)
	}
}

func (b *block) clear() {
	b.fromMs, b.toMs = 0, 0
	for arm := range windows.Arms {
		b.n[arm], b.k[arm], b.sum[arm], b.squares[arm] = 0, 0, 0, 0
		b.hist[arm].clear()
		if b.edges != nil {
			b.edges.low[arm].clear()
			b.edges.high[arm].clear()
		}
	}
}

// window is what one guardrail sees of one part: counts of both arms, and their histograms where it tests one
// (these alias the part).
type window struct {
	startMs, endMs int64
	n, k           [windows.Arms]int64
	sum, squares   [windows.Arms]int64
	hist           [windows.Arms][]windows.Bucket
	rounded        bool // values are rounded: low and high have what they may have been
	low, high      [windows.Arms][]windows.Bucket
}

// histogram adds up sorted buckets. Adding allocates only while the number of distinct buckets grows.
type histogram struct{ buckets, spare []windows.Bucket }

func (h *histogram) add(more []windows.Bucket) {
	if len(more) == 0 {
		return
	}
	h.buckets, h.spare = windows.AppendSum(h.spare[:0], h.buckets, more), h.buckets
}

func (h *histogram) clear() { h.buckets = h.buckets[:0] }
