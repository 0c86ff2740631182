package stats

import (
	"fmt"
	"math"
)

// The rule for how long a prior dispersion holds, and how the measured one is bounded.
const (
	dispersionEvents  = 200   // expected events in the shard before a measured phi stands alone
	dispersionWindows = 50    // windows before it does
	dispersionBatches = 10    // batches of a size before that size has a say
	dispersionZ       = 1.645 // standard errors above the point: a one-sided 95 % limit
)

// dispersionSizes are the batches, in windows, whose largest limit counts: noise that lasts longer than a window shows
// only in longer batches.
var dispersionSizes = [...]int{1, 5, 25, 125}

// Dispersion measures by how much the variance of a rate exceeds that of independent events, from a split of the baseline
// by routing unit into a shard (1) of about the canary's size and the rest (2).
//
// For each batch U = (k1/n1 - k2/n2)² and V = p(1-p)(1/n1 + 1/n2), p the pooled rate: phi = sum U / sum V,
// se = sqrt(m/(m-1) sum (U - phi V)²) / sum V, limit phi + 1.645 se. The largest limit over batches of 1, 5, 25 and 125 windows,
// each from 10 batches on, is the measured phi; never below 1. (Not the mean of U/V: that is biased low at rare rates.)
//
// Claim. Each size's limit is about a one-sided 95 % limit of the true ratio: calibrated by simulation, not exact.
//
// When. For noise that both parts of the split show, at the shard's size: start a new one when the canary's share changes much. It can't see noise that
// belongs to the canary's own pods, nor clumps that are longer than 125 windows; noise
// that lasts for a hundred windows (correlated .99 from one to the next) it takes for too little already.
//
// Cost: 368 bytes, a dozen sums for each of the 4 sizes, and constant time; no allocation.
//
// Conventions: a window with an empty side is left out, of sizes one without events. Negative or NaN counts, and more events than exposures, panic; that
// exposures are finite isn't looked at. Before there is a measured phi a NaN prior comes back. Sums are taken in the order of the windows. Use either Add or
// AddSizes on one Dispersion. The zero value is not ready; see NewDispersion.
//
// Sources: a ratio of sums with its linearized standard error is the ratio estimate of survey sampling (Cochran, Sampling Techniques, 1977, chapter 6). Which sizes,
// how many batches, which limit: chosen here, by TestDispersionFindsPhi and by SimCalibration in package analysis.
type Dispersion struct {
	batches  [len(dispersionSizes)]batch
	windows  int64
	expected float64 // expected events in the shard, at the pooled rate
}

// batch is one size's open batch and what the closed ones add up to.
type batch struct {
	open             [4]float64 // n1, k1, n2, k2
	held             int        // windows in open
	m                float64    // closed batches
	u, v, uu, uv, vv float64
}

// NewDispersion returns one that has seen nothing.
func NewDispersion() *Dispersion { return &Dispersion{} }

// Add takes one window: n exposures and k events of the shard (1) and of the rest (2). k may not exceed n.
func (d *Dispersion) Add(n1, k1, n2, k2 float64) {
	if !(k1 >= 0 && k1 <= n1 && k2 >= 0 && k2 <= n2) {
		panic(fmt.Sprintf("stats: dispersion of %v of %v and %v of %v", k1, n1, k2, n2))
	}
	if n1 == 0 || n2 == 0 {
		return
	}
	d.add([4]float64{n1, k1, n2, k2}, rateContrast)
	d.expected += n1 * (k1 + k2) / (n1 + n2)
}

// AddSizes takes one window's event counts themselves: n1 in the shard, n2 in the rest, where the shard has the known
// share (in (0, 1)) of the units. What it measures is the dispersion of sizes: U = (n1 - share N)², V = share (1-share) N.
func (d *Dispersion) AddSizes(n1, n2, share float64) {
	if !(n1 >= 0 && n2 >= 0 && share > 0 && share < 1) {
		panic(fmt.Sprintf("stats: dispersion of sizes %v and %v at share %v", n1, n2, share))
	}
	if n1+n2 == 0 {
		return
	}
	n := n1 + n2
	d.add([4]float64{n1 - share*n, share * (1 - share) * n, 0, 0}, sizeContrast)
	d.expected += share * n
}

func (d *Dispersion) add(window [4]float64, contrast func([4]float64) (u, v float64)) {
	d.windows++
	for i := range d.batches {
		b := &d.batches[i]
		for j, x := range window {
			b.open[j] += x
		}
		if b.held++; b.held == dispersionSizes[i] {
			b.close(contrast(b.open))
		}
	}
}

func rateContrast(b [4]float64) (u, v float64) {
	n1, k1, n2, k2 := b[0], b[1], b[2], b[3]
	p := (k1 + k2) / (n1 + n2)
	diff := k1/n1 - k2/n2
	return diff * diff, p * (1 - p) * (1/n1 + 1/n2)
}

func sizeContrast(b [4]float64) (u, v float64) { return b[0] * b[0], b[1] }

func (b *batch) close(u, v float64) {
	b.open, b.held = [4]float64{}, 0
	b.m++
	b.u += u
	b.v += v
	b.uu += u * u
	b.uv += u * v
	b.vv += v * v
}

// estimate is the point and its standard error; zeros when there was nothing to measure (no variance, or one batch).
func (b *batch) estimate() (phi, se float64) {
	if b.v == 0 || b.m < 2 {
		return 0, 0
	}
	phi = b.u / b.v
	squares := max(0, b.uu-2*phi*b.uv+phi*phi*b.vv)
	return phi, math.Sqrt(b.m/(b.m-1)*squares) / b.v
}

// limit is the largest upper limit over the batch sizes that have 10 batches or more; 1 when none has, and never less.
func (d *Dispersion) limit() float64 {
	largest := 1.0
	for i := range d.batches {
		largest = max(largest, d.batches[i].limit())
	}
	return largest
}

// limit is one size's upper limit; 1 while it has less than 10 batches.
func (b *batch) limit() float64 {
	if b.m < dispersionBatches {
		return 1
	}
	phi, se := b.estimate()
	return phi + dispersionZ*se
}

// Phi is the dispersion factor to test with: once the shard has had 200 expected events in 50 windows the measured one (measured is true), before that
// the prior or what is measured so far, whichever is greater. Never below 1.
func (d *Dispersion) Phi(prior float64) (phi float64, measured bool) {
	if d.Measured() {
		return d.limit(), true
	}
	return max(1, prior, d.limit()), false
}

// Measured reports whether the measured phi stands alone, without a prior.
func (d *Dispersion) Measured() bool {
	return d.expected >= dispersionEvents && d.windows >= dispersionWindows
}

// Point is what is likely, where Phi is on the safe side: the greatest of the ratios sum U / sum V over the batch sizes that have 50 batches or more, never below
// 1; measured as Phi's is, else phi is 1. It is for drawing events like those that were seen, not for testing.
func (d *Dispersion) Point() (phi float64, measured bool) {
	if !d.Measured() {
		return 1, false
	}
	phi = 1
	for i := range d.batches {
		if d.batches[i].m >= dispersionWindows {
			point, _ := d.batches[i].estimate()
			phi = max(phi, point)
		}
	}
	return phi, true
}
