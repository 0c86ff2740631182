package stats

import "math"

// The rule for a long-run variance.
const (
	longRunBurnIn  = 30   // blocks before there is a variance at all
	longRunBatches = 4    // batches of a size before that size has a say
	longRunZ       = 1.28 // of the upper limit: nine in ten
)

// longRunSizes are the batches, in blocks, whose largest limit counts.
var longRunSizes = [...]int{1, 5, 25}

// LongRun measures the variance of a mean as it adds up over many blocks, autocorrelation included, from contrasts that hold no effect: of two parts of
// the baseline, the first of about the canary's size (A/A), block by block.
//
// For each batch of consecutive blocks U = (sum w d)² / sum w, with d a block's contrast of means and w = n1 n2/(n1+n2): the mean of U is the variance of one
// sample, if samples are independent, and more where noise lasts. The squares are not taken around their mean: the true contrast is 0, and a constant
// difference of the parts is noise attached to hosts, which a canary has, too. For batches of 1, 5 and 25 blocks, each from 4 batches
// on, the upper 90 % limit is mean(U) / chi², by the Wilson-Hilferty approximation with as many degrees of freedom as the
// spread of U tells (at most one for each batch); the largest limit is the variance.
//
// Claim. Each size's limit is about an upper 90 % limit of the variance: calibrated by simulation, not exact.
//
// When. For noise that the parts of the baseline show, and that lasts no longer than 25 blocks. The limits are what makes it hold from the 30th block on: 4
// batches of 25 blocks are worth little, and are taken for that. (To wait for 20 batches of a size, and take the point, lets several times alpha alarm
// meanwhile where noise is strong and lasts.) TestMeanUnderAutocorrelation has hosts whose level wobbles: where its correlation from block to block is 0.9,
// of healthy runs of 1000 blocks 0.7 % alarm at 5 %, 0.3 % at 1 %. What it can't see: noise that lasts longer than 25 blocks (7 and 4 % at a correlation of
// 0.97, 20 and 15 % at 0.99), noise of the canary's own hosts, and a canary that is noisier than the baseline without a change of its mean.
//
// Cost: 152 bytes and constant time; no allocation.
//
// Conventions: a block with an empty part is left out; NaN and infinite sizes and means panic. The variance is in the square of the metric's unit: +Inf
// before 30 blocks, 0 where no two samples differed. Sums are taken in the order of the blocks. The zero value has seen nothing and is ready.
//
// Sources: batch means, the usual variance of a mean of dependent values in simulation; the limit, Wilson, Hilferty (The distribution of chi-square, Proc. Nat. Acad. Sci.
// 17, 1931) with degrees of freedom as Satterthwaite (An approximate distribution of estimates of variance components, Biometrics Bulletin 2, 1946) has them.
// Which sizes, how many batches, which limit: chosen here, by TestMeanUnderAutocorrelation.
type LongRun struct {
	batches [len(longRunSizes)]spread
	blocks  int64
}

// spread is one size's open batch and what the closed ones add up to.
type spread struct {
	contrast, weight float64 // sum of w d and of w of the open batch
	held             int     // blocks in it
	m, u, uu         float64 // closed batches, the sum of their U, of U²
}

// Add takes one block: the first part of the baseline in the canary's place, the rest in the baseline's. A block with an empty part
// is left out. It panics on sizes and means that no block has.
func (l *LongRun) Add(parts Means) {
	parts.check()
	if parts.Nc == 0 || parts.Nb == 0 {
		return
	}
	w := parts.Nc * (parts.Nb / (parts.Nc + parts.Nb))
	l.blocks++
	for i := range l.batches {
		b := &l.batches[i]
		b.contrast += w * (parts.Mc - parts.Mb)
		b.weight += w
		if b.held++; b.held == longRunSizes[i] {
			b.close()
		}
	}
}

func (b *spread) close() {
	u := b.contrast * (b.contrast / b.weight)
	b.contrast, b.weight, b.held = 0, 0, 0
	b.m++
	b.u += u
	b.uu += u * u
}

// Variance is the variance of one sample to test the next block with: +Inf before 30 blocks, 0 where no two samples differed.
func (l *LongRun) Variance() float64 {
	if l.blocks < longRunBurnIn {
		return math.Inf(1)
	}
	largest := 0.0
	for i := range l.batches {
		if b := &l.batches[i]; b.m >= longRunBatches {
			largest = max(largest, b.limit())
		}
	}
	return largest
}

// limit is the upper limit of the mean of U.
func (b *spread) limit() float64 {
	mean := b.u / b.m
	if mean == 0 {
		return 0
	}
	noise := max(0, b.uu/b.m-mean*mean) / (b.m - 1) / (mean * mean) // of the mean, relative and squared
	degrees := min(b.m, 2/noise)
	root := 1 - 2/(9*degrees) - longRunZ*math.Sqrt(2/(9*degrees))
	if root < 0.1 { // hardly a degree of freedom: the approximation ends
		root = 0.1
	}
	return mean / (root * root * root)
}
