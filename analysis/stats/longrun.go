package stats

import "math"

// The rule for a long-run variance.
const (
	longRunBurnIn = 30          // blocks before there is a variance at all
	longRunStep   = 3           // from size to size: batches of 1, 3, 9, … 729 blocks
	longRunMiss   = .05         // how often a limit may be too low
	longRunZ      = dispersionZ // the same, in standard errors
)

// longRunBatches are how many batches of a size there must be before that size has a say. A few of the shorter ones, since noise that lasts shows in nothing else at first; many of the longer ones, which say little that these don't,
// and whose limits, of independent values, would double the variance for long.
var longRunBatches = [...]float64{5, 5, 5, 12, 30, 40, 50}

// LongRun measures the variance of a mean as it adds up over many blocks, autocorrelation included, from contrasts that hold no effect: of two parts of
// the baseline, the first of about the canary's size (A/A), block by block.
//
// For each batch of consecutive blocks U = x², x = sum w d / sqrt(sum w), with d a block's contrast of means and w = n1 n2/(n1+n2): the mean of U is the variance of one
// sample, if samples are independent, and more where noise lasts. The squares are not taken around their mean: the true contrast is 0, and a constant
// difference of the parts is noise attached to hosts, which a canary has, too. For batches of 1, 3, 9, … 729 blocks, each from 5 batches on, from 27 blocks on from more:
//
//	r = sum x x' / sum (x² + x'²)/2, never below 0: how alike a batch and the next one, x', are
//	F(r) = 1 + 2 sum over k < m of (1 - k/m) r^k: by how much the variance of all m batches together is more, if likeness falls as r^k
//	limit = mean(U) F(r) / floor, which a chi-square over its degrees of freedom, m / F(r²), is above in 95 %: squares are alike by r²
//
// Where the spread of U tells of fewer degrees (a few large sums), these count; there is always one. The largest limit is the variance.
//
// Claim. Each size's limit is about an upper 95 % limit of the variance of all blocks so far together: calibrated by simulation, not exact. No stretch is waited for: F goes on from what was seen
// to all that there is, and noise that lasts longer than that leaves one degree of freedom, which is worth a factor of 254.
//
// When. For noise that the parts of the baseline show, and whose likeness falls about geometrically, or sooner. TestMeanUnderAutocorrelation has hosts whose readings hang together: at a correlation of .95, .98 and .99 from block to block, of
// 6 against 24, 4 against 4 and 2 against 2 hosts, in 500 blocks at most 6 of 300 healthy runs alarm at 5 %, 6 at 1 % (by batches of 1, 5 and 25 blocks alone 8 to 49, and 4 to 39), and where users stay for 60 blocks 4 and 4. Those that do alarm do so early. What it can't see: noise that was not there yet, or that an
// even start hides by luck (of hosts that differ for good, by half of what else there is, 11 and 8 % alarm), noise of the canary's own hosts, and a canary that is noisier than the baseline without a change of its mean.
//
// Cost: 528 bytes and constant time; no allocation.
//
// Conventions: a block with an empty part is left out; NaN and infinite sizes and means panic. The variance is in the square of the metric's unit: +Inf
// before 30 blocks, 0 where no two samples differed. Sums are taken in the order of the blocks. The zero value has seen nothing and is ready.
//
// Sources: batch means, the usual variance of a mean of dependent values in simulation; the limit, Wilson, Hilferty (The distribution of chi-square, Proc. Nat. Acad. Sci.
// 17, 1931) with degrees of freedom as Satterthwaite (An approximate distribution of estimates of variance components, Biometrics Bulletin 2, 1946) has them, of values that hang together as Bartlett (On the theoretical specification and sampling properties
// of autocorrelated time-series, Suppl. J. Roy. Statist. Soc. 8, 1946). Which sizes, how many batches, which limit: chosen here, by TestMeanUnderAutocorrelation.
type LongRun struct {
	batches [len(longRunBatches)]spread
	blocks  int64
	limit   float64 // the variance, if it was reckoned since the last block
	known   bool
}

// spread is one size's open batch and what the closed ones add up to.
type spread struct {
	contrast, weight float64 // sum of w d and of w of the open batch
	held             int     // blocks in it
	m, u, uu         float64 // closed batches, the sum of their U, of U²
	last             float64 // x of the last closed one
	product, squares float64 // of neighbours: sum of x x', of (x² + x'²)/2
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
	l.known = false
	size := 1
	for i := range l.batches {
		b := &l.batches[i]
		b.contrast += w * (parts.Mc - parts.Mb)
		b.weight += w
		if b.held++; b.held == size {
			b.close()
		}
		size *= longRunStep
	}
}

func (b *spread) close() {
	x := b.contrast / math.Sqrt(b.weight)
	u := x * x
	if b.m > 0 {
		b.product += x * b.last
		b.squares += (u + b.last*b.last) / 2
	}
	b.contrast, b.weight, b.held, b.last = 0, 0, 0, x
	b.m++
	b.u += u
	b.uu += u * u
}

// Variance is the variance of one sample to test the next block with: +Inf before 30 blocks, 0 where no two samples differed.
func (l *LongRun) Variance() float64 {
	if l.blocks < longRunBurnIn {
		return math.Inf(1)
	}
	if l.known {
		return l.limit
	}
	l.limit, l.known = 0, true
	for i := range l.batches {
		if b := &l.batches[i]; b.m >= longRunBatches[i] {
			l.limit = max(l.limit, b.limit())
		}
	}
	return l.limit
}

// limit is the upper limit of the mean of U, were all batches one.
func (b *spread) limit() float64 {
	mean := b.u / b.m
	if mean == 0 {
		return 0
	}
	r := 0.0
	if b.squares > 0 {
		r = max(0, b.product/b.squares)
	}
	degrees := b.m / together(r*r, b.m)
	if noise := max(0, b.uu/b.m-mean*mean) / (b.m - 1) / (mean * mean); noise > 0 { // of the mean, relative and squared: at most 1
		degrees = min(degrees, 2/noise)
	}
	return mean * together(r, b.m) / lowChiSquare(degrees)
}

// together is F: of m values in a row, each as like the next as r, by how much the variance of their sum exceeds that of independent ones. From 1 to m.
func together(r, m float64) float64 {
	rest := 1 - r
	if m*rest < 1e-4 { // the difference would lose its digits
		return m
	}
	return min(m, (1+r)/rest-2*r*(1-math.Pow(r, m))/(m*rest*rest))
}

// lowChiSquare is what a chi-square by its degrees of freedom, one or more, is above in 95 %, or a little less: the greater of the first term of its law's series, which is close for one and two, and Wilson and
// Hilferty's, which is close for more.
func lowChiSquare(nu float64) float64 {
	gamma, _ := math.Lgamma(nu/2 + 1)
	low := 2 / nu * math.Exp((math.Log(longRunMiss)+gamma)*2/nu)
	a := 2 / (9 * nu)
	if root := 1 - a - longRunZ*math.Sqrt(a); root > 0 {
		low = max(low, root*root*root)
	}
	return low
}
