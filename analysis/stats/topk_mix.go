package stats

import (
	"fmt"
	"math"
)

// MixPPM are the tails of a TopKMix in parts per million: of the median, p90, p95, p99 and p99.9. Together they see what happens to the bulk
// and to the tail. Shared: callers only read it.
var MixPPM = []int64{500_000, 100_000, 50_000, 10_000, 1_000}

// A RankSide is one way in which two distributions may differ: the canary's values, moved down by Shift buckets, lie above the
// baseline's (Grid FailOdds), or below (PassOdds).
type RankSide struct {
	Shift int
	Grid  []float64 // read only
}

// TopKMix is the sequential test of two whole distributions: the mean over several tails of TopK e-processes, each with blocks of
// its own, which a TailBlocks holds. With two sides (above and below), the mean of both: do the distributions differ?
//
// Claim. While for every side and every block the moved canary is stochastically not above the baseline (for PassOdds: not below), e^LogE is an
// e-process: its mean is at most 1 at any stopping time, also one that looks into blocks which are still open, and the chance
// that LogMax ever reaches log(1/alpha) is at most alpha. Two sides: while both hold, as for equal distributions.
//
// When. As TopK, in every block.
//
// For that a tail whose block is open counts nothing. The reason: evidence of a tail has mean at most 1 where its
// blocks end, and only there. Who stops within a block knows part of it, and may stop just when it goes badly; to count the evidence from
// before that block, as if nothing had been seen, is to take back a bet (a mean of e-processes of different filtrations
// is none, Choe and Ramdas, arXiv 2402.09698; TestOpenBlocksCountNothing has the numbers). Let s be the end of the
// first block of the tail at or after the stopping time: s is a stopping time of the tail's own process, and what is counted is
// at most its evidence there, whose mean is at most 1. Nothing that matters is lost: a tail counts in full when its own block ends, so LogMax is never less
// than the largest LogMax of a tail, less log of their number.
//
// Cost: 104 bytes, 32 for each tail and 8 for each odds ratio of each: 584 for MixPPM and one side. Step takes TopK for each tail whose block has ended. No
// allocation.
//
// Conventions: start weights, order and cash as Mixture. A tail whose block is open, or empty of an arm, keeps its evidence. Ties are exact. NaN panics in
// the weight. Owned by one goroutine. The zero value is not ready; see NewTopKMix.
//
// Source: the mixture over thresholds as a test of dominance, Arnold, Choe, Scarsini, Tsetlin (arXiv 2604.21851); the rest is derived here, the proof is above.
type TopKMix struct {
	sides    []RankSide
	odds     int // of all sides
	tails    []mixTail
	log      []float64 // R of each odds ratio, as Mixture's: tail by tail, side by side
	standing float64
	logE     float64
	logMax   float64
}

// mixTail is the evidence of one tail.
type mixTail struct {
	pending, cash float64 // stake that enters with the open block; stake that hasn't entered, pending included
	logE, logMax  float64
}

// NewTopKMix returns the test, before any block, for the tails of blocks; it panics when the sides have no odds ratios, or more than 16 in all.
func NewTopKMix(blocks *TailBlocks, sides ...RankSide) *TopKMix {
	m := &TopKMix{sides: sides, tails: make([]mixTail, len(blocks.tails))}
	for _, s := range sides {
		m.odds += len(s.Grid)
	}
	if m.odds == 0 || m.odds > maxOdds {
		panic(fmt.Sprintf("stats: a mixture over tails with %d odds ratios", m.odds))
	}
	for i := range m.tails {
		m.tails[i].cash = 1
	}
	m.log = make([]float64, m.odds*len(m.tails))
	for i := range m.log {
		m.log[i] = math.Inf(-1)
	}
	return m
}

// Components is the number of increments of a Step: tails times the odds ratios of all sides.
func (m *TopKMix) Components() int { return len(m.log) }

// Step takes what the last Add, or Cut, of blocks has closed. weight of the stake belongs to the window that was added (and to those skipped before
// it); it enters, for each tail, with the block that holds the window. inc, where it isn't nil, gets the
// increments, 0 for tails whose block is open: for dating harm, not for proof. It panics on a weight that is negative or NaN.
func (m *TopKMix) Step(blocks *TailBlocks, weight float64, inc []float64) {
	if !(weight >= 0) || len(blocks.tails) != len(m.tails) || inc != nil && len(inc) != len(m.log) {
		panic(fmt.Sprintf("stats: mixture of %d tails steps over %d with weight %v", len(m.tails), len(blocks.tails), weight))
	}
	clear(inc)
	for i := range m.tails {
		m.tails[i].pending += weight
		if b := &blocks.tails[i]; b.closed {
			var dst []float64
			if inc != nil {
				dst = inc[i*m.odds : (i+1)*m.odds]
			}
			m.stepTail(i, b, dst)
		}
	}
	m.count(blocks)
}

// stepTail takes the closed block of tail i.
func (m *TopKMix) stepTail(i int, b *tailBlock, inc []float64) {
	var gains [maxOdds]float64
	gain := gains[:0]
	for _, s := range m.sides {
		from := len(gain)
		gain = gain[:from+len(s.Grid)]
		TopK{b.ppm, s.Shift, s.Grid}.Increments(gain[from:], b.canary, b.baseline)
	}
	copy(inc, gain)
	t, log := &m.tails[i], m.log[i*m.odds:(i+1)*m.odds]
	enters := min(t.pending, t.cash)
	t.pending, t.cash = 0, t.cash-enters
	stake := math.Log(enters)
	for j, x := range gain {
		log[j] = logAddExp(log[j], stake) + x
	}
	t.logE = logAddExp(logSumExp(log)-math.Log(float64(m.odds)), math.Log(t.cash))
	t.logMax = max(t.logMax, t.logE)
}

// count adds up the tails.
func (m *TopKMix) count(blocks *TailBlocks) {
	m.standing, m.logE = math.Inf(-1), math.Inf(-1)
	for i := range m.tails {
		m.standing = logAddExp(m.standing, m.tails[i].logE)
		if !blocks.tails[i].open() {
			m.logE = logAddExp(m.logE, m.tails[i].logE)
		}
	}
	tails := math.Log(float64(len(m.tails)))
	m.standing, m.logE = m.standing-tails, max(m.logE-tails, nothing)
	m.logMax = max(m.logMax, m.logE)
}

// nothing is the log evidence of no evidence: e to it is the least number above 0.
const nothing = -745

// LogE is the log evidence now: of the tails whose block has just ended, or has not begun; -745 (as good as 0) while all are open. Proof
// stands on it and on LogMax.
func (m *TopKMix) LogE() float64 { return m.logE }

// LogMax is the largest LogE so far, never below 0.
func (m *TopKMix) LogMax() float64 { return m.logMax }

// Standing is the log of the mean over all tails, each at the end of its last block: what the evidence is for people, and for the question
// whether something is still there. It proves nothing by itself. 0 before the first block.
func (m *TopKMix) Standing() float64 { return m.standing }

// Shape is the largest log evidence of tail i alone, never below 0: it tells which part of the distribution has changed. By itself it proves at
// 1/alpha what the tail's test does; of several tails, at their number times 1/alpha.
func (m *TopKMix) Shape(i int) float64 { return m.tails[i].logMax }
