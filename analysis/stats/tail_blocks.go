package stats

import (
	"fmt"

	"streamcanary/windows"
)

// tailExpected is how many of the pooled requests a tail's block must expect beyond its quantile, in millionths: 4. Fewer would blur the quantile.
const tailExpected = 4_000_000

// TailBlocks holds the open blocks of the tests of a TopKMix: for each tail the windows since its last block, added up. A block ends
// with the window at which its tail expects 4 of the pooled requests, so the median's ends at once where that of p99.9
// takes thousands of requests. Several tests share one TailBlocks: after each Add and each Cut, Step every one of them once.
//
// Claim. The end of a block depends on the pool alone: on the requests of both arms together. To wait for the first one of the canary would put it into the
// block's last window each time, and where latencies rise, make it slower than a baseline of the whole block (TestBlocksEndByThePool).
//
// When. The split between the arms is constant within a block: Cut where it changes.
//
// Cost: 176 bytes for each tail, and twice the open histograms of both arms, 8 bytes a bucket. Add takes adding up the histograms of the tails whose block a
// window doesn't fill by itself. Allocates only while the number of buckets grows.
//
// Conventions: a window that is empty adds nothing. A block that is empty of an arm, or whose tail rounds to no request, says nothing and is dropped; its
// start weight enters with the tail's next block. Ties are TopK's matter. Owned by one goroutine. The zero value has no tails; see NewTailBlocks.
//
// Source: chosen here; the claim that it serves, and its proof, are TopKMix's.
type TailBlocks struct{ tails []tailBlock }

// tailBlock is the block of one tail.
type tailBlock struct {
	ppm              int64
	canary, baseline []windows.Bucket // its own, or of the window that is a block by itself
	n, m             int64
	closed           bool // by the last Add or Cut
	sums             [windows.Arms]bucketSum
}

// NewTailBlocks returns empty blocks for tails in parts per million (MixPPM); it panics unless each is in (0, 1e6).
func NewTailBlocks(ppm []int64) *TailBlocks {
	t := &TailBlocks{tails: make([]tailBlock, len(ppm))}
	for i, p := range ppm {
		if p <= 0 || p >= 1_000_000 {
			panic(fmt.Sprintf("stats: a tail of %d ppm", p))
		}
		t.tails[i].ppm = p
	}
	return t
}

// Add takes one window (or several, added up); the histograms must stay as they are until the next Add or Cut.
func (t *TailBlocks) Add(canary, baseline []windows.Bucket) {
	n, m := total(canary), total(baseline)
	for i := range t.tails {
		t.tails[i].add(canary, baseline, n, m)
	}
}

// Cut ends all open blocks: where the share changes, or the oldest window is too old.
func (t *TailBlocks) Cut() {
	for i := range t.tails {
		t.tails[i].forget()
		t.tails[i].end()
	}
}

func (b *tailBlock) add(canary, baseline []windows.Bucket, n, m int64) {
	b.forget()
	if n+m == 0 {
		return
	}
	fresh := b.n+b.m == 0
	b.n, b.m = b.n+n, b.m+m
	full := (b.n+b.m)*b.ppm >= tailExpected
	if fresh && full {
		b.canary, b.baseline = canary, baseline
	} else {
		b.sums[windows.Canary].add(canary)
		b.sums[windows.Baseline].add(baseline)
		b.canary, b.baseline = b.sums[windows.Canary].buckets, b.sums[windows.Baseline].buckets
	}
	if full {
		b.end()
	}
}

// end closes the block, or drops it where it says nothing.
func (b *tailBlock) end() {
	b.closed = b.n > 0 && b.m > 0 && tailCount(b.n+b.m, b.ppm) > 0
	if !b.closed {
		b.clear()
	}
}

// open reports whether windows wait in the block for its end.
func (b *tailBlock) open() bool { return b.n+b.m > 0 && !b.closed }

// forget drops a block that the last Add or Cut has closed.
func (b *tailBlock) forget() {
	if b.closed {
		b.clear()
	}
}

func (b *tailBlock) clear() {
	b.n, b.m, b.closed = 0, 0, false
	b.canary, b.baseline = nil, nil
	for arm := range b.sums {
		b.sums[arm].buckets = b.sums[arm].buckets[:0]
	}
}

// bucketSum adds up ascending histograms.
type bucketSum struct{ buckets, spare []windows.Bucket }

func (s *bucketSum) add(more []windows.Bucket) {
	if len(more) == 0 {
		return
	}
	s.buckets, s.spare = windows.AppendSum(s.spare[:0], s.buckets, more), s.buckets
}
