package stats

import (
	"fmt"
	"math"
)

// The rule for a level's noise.
const (
	levelBurnIn = 60    // blocks before there is a variance at all
	levelPairs  = 10    // pairs of a size before that size has a say
	levelZ      = 1.645 // of the upper limit: 95 in 100
	levelStep   = 4     // from size to size
	levelRare   = 3.0   // what was never seen in n has a chance of at most 3/n, at 95 %
)

// levelSizes are the batches, in blocks: 1, 4, 16, … 1024.
const levelSizes = 6

// LevelNoise measures the variance of one arm's mean as it adds up over many blocks, autocorrelation included, from that arm alone, in time: each batch of blocks against the one before it.
//
// For batches of 1, 4, 16, … 1024 blocks U = d² w1 w2/(w1+w2), with d the difference of two batches' means and w their numbers of samples: the mean of U is the variance of one sample, if samples are
// independent, and more where noise lasts. The two neighbouring pairs with the largest U are left out, so one change of the level, which lies in one batch or between two, doesn't count as noise. Each size has its upper 95 % limit, from 10 pairs on. Noise that
// lasts longer than the largest of these batches shows as U that grows from size to size: that size's limit is taken times growth^s, where s is how many sizes larger a batch of all blocks would be, as of a walk that goes on (whose growth is 16).
// The largest limit is the variance, and what may come but was not seen yet is added: a clump of so many samples at the other end of the range, with the chance 3/n of what was not seen in n.
//
// Claim. About an upper limit of the variance: calibrated by simulation, not exact (TestSimLevel, in analysis).
//
// When. For noise that is stationary, or drifts slowly. What it can't see: a level that swings more slowly than all that was seen so far (a day, in its first hours), and clumps that are rarer and longer than
// was assumed. With correlation 0.99 from sample to sample, each 10 s, of 4 hosts, mean on the limit for 24 h, at 0.05: above in 1.2 % of the runs, below in 1.5 %.
//
// Cost: 552 bytes and constant time; no allocation.
//
// Conventions: a block without samples is left out; NaN and infinite means and negative or infinite sizes panic. The variance is in the square of the metric's unit: +Inf before 60 blocks.
//
// Sources: Succession's; to go on with the growth is chosen here, by that simulation. 3/n: Hanley, Lippman-Hand (If nothing goes wrong, is everything all right?, JAMA 249, 1983).
type LevelNoise struct {
	sizes  [levelSizes]levelPair
	blocks int64
	all    float64 // samples
	unseen float64
}

// levelPair is one size's open batch, the one before it, and what the pairs add up to.
type levelPair struct {
	n, sum, lastN, lastSum float64
	held                   int
	m, u, uu               float64
	last                   float64    // U of the pair before
	change                 [2]float64 // U of the neighbours that are left out
}

// NewLevelNoise returns the noise of a mean of values whose range is so wide, in clumps of so many samples that go together, as far as is known before.
func NewLevelNoise(span, clump float64) *LevelNoise {
	return &LevelNoise{unseen: levelRare * clump * span * span}
}

// Add takes one block: n samples and their mean. A block without samples is left out.
func (l *LevelNoise) Add(n, mean float64) {
	if !(n >= 0) || math.IsInf(n, 1) || math.IsNaN(mean) || math.IsInf(mean, 0) {
		panic(fmt.Sprintf("stats: level of %v samples with the mean %v", n, mean))
	}
	if n == 0 {
		return
	}
	l.blocks++
	l.all += n
	size := 1
	for i := range l.sizes {
		b := &l.sizes[i]
		b.n, b.sum = b.n+n, b.sum+n*mean
		if b.held++; b.held == size {
			b.close()
		}
		size *= levelStep
	}
}

func (b *levelPair) close() {
	if b.lastN > 0 {
		d := b.sum/b.n - b.lastSum/b.lastN
		u := d * d * b.n * (b.lastN / (b.n + b.lastN))
		if u+b.last > b.change[0]+b.change[1] {
			b.change = [2]float64{b.last, u}
		}
		b.last = u
		b.m++
		b.u += u
		b.uu += u * u
	}
	b.lastN, b.lastSum, b.n, b.sum, b.held = b.n, b.sum, 0, 0, 0
}

// limit is the mean of U and its upper limit.
func (b *levelPair) limit() (mean, limit float64) {
	m, x, y := b.m-2, b.change[0], b.change[1]
	mean = max(0, b.u-x-y) / m
	return mean, mean + levelZ*math.Sqrt(max(0, (b.uu-x*x-y*y)/m-mean*mean)/(m-1))
}

// Variance is the variance of one sample to test the next block with: +Inf before 60 blocks.
func (l *LevelNoise) Variance() float64 {
	if l.blocks < levelBurnIn {
		return math.Inf(1)
	}
	largest, before, size := 0.0, 0.0, 1.0
	for i := range l.sizes {
		b := &l.sizes[i]
		if b.m < levelPairs {
			break
		}
		mean, limit := b.limit()
		if last := i+1 == levelSizes || l.sizes[i+1].m < levelPairs; last && mean > before && before > 0 {
			more := math.Log(float64(l.blocks)/size) / math.Log(levelStep)
			limit *= math.Pow(min(mean/before, levelStep*levelStep), max(0, more))
		}
		largest, before, size = max(largest, limit), mean, size*levelStep
	}
	return largest + l.unseen/l.all
}

// Level is what LevelInterval takes of one arm: the mean of N samples so far, with the variance of one (LevelNoise has it). Its interval is tightest at Tuned samples, which are fixed before the first.
type Level struct{ N, Mean, Variance, Tuned float64 }

// LevelInterval is a confidence sequence for one arm's mean: R7's normal mixture.
//
// Claim. The intervals returned after each block, for one alpha, all contain the mean, weighted by samples, with probability at least 1 - alpha: asymptotic, and with a measured variance calibrated.
//
// When. As LevelNoise; where the mean moves it is that of all samples so far, and not of now. With a variance that differed from block to block, the mean of those that each sample was tested with.
//
// Conventions: -Inf and +Inf of nothing, or with a variance of +Inf. NaN comes back as NaN. Cost: two logarithms and a root.
//
// Sources: NormalMixture's.
func LevelInterval(of Level, alpha float64) (lower, upper float64) {
	if of.N == 0 || math.IsInf(of.Variance, 1) {
		return math.Inf(-1), math.Inf(1)
	}
	scale := MixtureScale(0.05, of.Tuned)
	u := 1 + scale*of.N
	half := math.Sqrt(of.Variance*u/scale*(math.Log(u)-2*math.Log(alpha))) / of.N
	return of.Mean - half, of.Mean + half
}
