package analysis

import (
	"math"
	"slices"

	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// armPhi is the over-dispersion to test with, by arm: noise attached to an arm grows with the arm.
type armPhi [windows.Arms]float64

// independent is that of independent events.
var independent = armPhi{1, 1}

// atLeast is the greater of both, by arm.
func (a armPhi) atLeast(b armPhi) armPhi { return armPhi{max(a[0], b[0]), max(a[1], b[1])} }

// swapped is for a test in which the arms change places.
func (a armPhi) swapped() armPhi { return armPhi{a[1], a[0]} }

// shards is the number of shard sizes: 1/128, 1/64, … 1/2 of the baseline.
const shards = windows.Slices - 1

// dispersion measures the over-dispersion phi of one metric on the baseline's calibration slices, for every
// size of a shard at once, so that a ramp finds the figure for its new size ready.
type dispersion struct {
	known   float64                     // > 0: given, not measured
	after   func(windows int64) float64 // likewise, and it changes; nil: it doesn't
	share   *shareNoise                 // of sizes, where no unit is named; nil: slices tell all
	units   *dispersion                 // of sizes, which bound this one until it is measured; nil: nothing does
	prior   float64                     // assumed until it is measured
	windows int64                       // measured
	blind   bool                        // the present window is the first that can be measured
	sizes   [shards]*stats.Dispersion
	seen    [shards]bool // shards that had anything while the rest had, too
	spread  *stats.Spread
	traced  *traffic          // of the stream: says how large the canary is
	past    *stats.Succession // of the baseline in time, where it may have no slices; nil: it has
	floor   float64           // phi is never below it
	whole   *dispersion       // of a segment: that of all traffic, below which it is never; past says more
	counted int64             // windows of past
	events  float64           // of the baseline
	before  float64           // of a segment: the events that all traffic had had before
	n, nn   float32           // of a segment: its exposures by window, added up, and their squares
	phis    [shards]float64   // by size, as far as they were asked for since something was measured; 0: not yet. Every test of a window asks
}

func newDispersion(o Options, prior float64, t *traffic) *dispersion {
	d := &dispersion{known: o.Phi, prior: prior, traced: t, spread: stats.NewSpread(windows.Slices)}
	if d.after = o.PhiAfter; d.after != nil {
		d.known = d.after(0)
	}
	for i := range d.sizes {
		d.sizes[i] = stats.NewDispersion()
	}
	return d
}

// newPartDispersion is for one segment, which may be noisier than all traffic: users that fail together are diluted there. Segments have no slices, so it
// goes by what their baseline did in time, and nothing is tested before that is known.
func newPartDispersion(whole *dispersion) *dispersion {
	return &dispersion{known: whole.known, whole: whole, past: &stats.Succession{}, before: whole.events}
}

// look takes the same slices as add, before the window is tested.
func (d *dispersion) look(slices *[windows.Slices]windows.SliceCount) {
	d.blind = d.known == 0 && d.windows == 0 && exposures(slices) > 0
}

// wait is look for what is measured in time: nothing is tested before that is measured, since no cross-section tells of noise sooner.
func (d *dispersion) wait() {
	_, measured := d.past.Phi(1)
	d.blind = d.known == 0 && !measured
}

func exposures(slices *[windows.Slices]windows.SliceCount) (n int64) {
	for _, s := range slices {
		n += s.N
	}
	return n
}

// add takes one window's slices, of samples a round's. A window in which a shard or the rest of the baseline had nothing tells nothing.
func (d *dispersion) add(slices *[windows.Slices]windows.SliceCount) {
	if exposures(slices) == 0 {
		return
	}
	d.windows++
	d.forget()
	if d.after != nil {
		d.known = d.after(d.windows)
	}
	var all windows.SliceCount
	for _, s := range slices {
		all.N += s.N
		all.K += s.K
	}
	d.events += float64(all.K)
	if d.known == 0 {
		d.addSpread(slices)
	}
	part := slices[windows.Slices-1]
	for i := range d.sizes {
		if part.N > 0 && part.N < all.N {
			d.seen[i] = true
			if d.known == 0 {
				d.sizes[i].Add(float64(part.N), float64(part.K), float64(all.N-part.N), float64(all.K-part.K))
			}
		}
		next := slices[windows.Slices-2-i]
		part.N, part.K = part.N+next.N, part.K+next.K
	}
}

func (d *dispersion) addSpread(slices *[windows.Slices]windows.SliceCount) {
	var n, k [windows.Slices]float64
	for i, s := range slices {
		n[i], k[i] = float64(s.N), float64(s.K)
	}
	d.spread.Add(n[:], k[:])
}

// lookSizes takes the same as addSizes, before it is tested.
func (d *dispersion) lookSizes(served *[windows.Slices]int64) {
	d.blind = d.known == 0 && (d.windows == 0 && *served != [windows.Slices]int64{} || d.share != nil && !d.share.known())
}

// addPast takes one window's counts for what is measured in time.
func (d *dispersion) addPast(n, k int64) {
	d.forget()
	if n > 0 {
		d.counted++
	}
	d.events += float64(k)
	d.n, d.nn = d.n+float32(n), d.nn+float32(n)*float32(n)
	d.past.Add(float64(n), float64(k))
}

// raise raises the floor.
func (d *dispersion) raise(floor float64) {
	d.forget()
	d.floor = max(d.floor, floor)
}

func (d *dispersion) forget() { d.phis = [shards]float64{} }

// addShares takes counts against the slices' shares: as rates of so many exposures that they are next to none.
func (d *dispersion) addShares(served *[windows.Slices]int64) {
	var k [windows.Slices]float64
	for i, c := range served {
		k[i] = float64(c)
	}
	d.spread.Add(sliceShares[:], k[:])
}

// sliceShares are so many exposures of each slice, in proportion to its share, that counts of requests are rates next to none.
var sliceShares = func() (n [windows.Slices]float64) {
	for i := range n {
		n[i] = math.Ldexp(1, 40-min(i+1, shards))
	}
	return n
}()

// addSizes takes one window's counts of served predictions themselves: of a dispersion of sizes. Use either add or addSizes.
func (d *dispersion) addSizes(served *[windows.Slices]int64) {
	if d.known > 0 {
		return
	}
	all := int64(0)
	for _, n := range served {
		all += n
	}
	d.forget()
	d.addShares(served)
	if all > 0 {
		d.windows++
	}
	part, share := served[windows.Slices-1], 1.0/(1<<shards)
	for i := range d.sizes {
		d.sizes[i].AddSizes(float64(part), float64(all-part), share)
		part += served[windows.Slices-2-i]
		share *= 2
	}
}

// arms is phi for the next block: the canary's from a shard of about its size, the baseline's from its half, which is the
// largest shard there is.
func (d *dispersion) arms() armPhi {
	if d.whole != nil {
		phi := d.whole.arms()
		return armPhi{d.ofPart(phi[0]), d.ofPart(phi[1])}
	}
	return armPhi{windows.Canary: d.of(shardSize(d.traced.ratio)), windows.Baseline: d.of(shards - 1)}
}

// canary is the canary's phi alone.
func (d *dispersion) canary() float64 {
	if d.whole != nil {
		return d.ofPart(d.whole.canary())
	}
	return d.of(shardSize(d.traced.ratio))
}

const (
	// partWindows is how long a segment's own noise is watched before it is believed: ten batches of 25 windows.
	partWindows = 250
	// partEvents is how many events of a segment tell its noise: with fewer there may be clumps that have not come yet.
	partEvents = 200
)

// told reports whether a segment's own past is believed.
func (d *dispersion) told() bool { return d.counted >= partWindows && d.events >= partEvents }

// ofPart is a segment's phi, where that of all traffic is known. What its baseline did in time tells of it, and until that was watched for long enough and had enough events, all
// the noise there is may be this segment's: then phi-1 is as many times that of all traffic as there are events of all for one of its. Once the past was watched for so long, what it has not shown are clumps that are rare, and a
// clump of a window is no larger than that: phi is at most what it is where all of a window share one fate (bound). With few events of its own, and many of others, there were no bound else.
func (d *dispersion) ofPart(whole float64) float64 {
	if d.known > 0 {
		return d.known
	}
	phi, _ := d.past.Phi(1)
	if !d.told() {
		most := 1 + (whole-1)*(d.whole.events-d.before+1)/(d.events+1)
		if d.counted >= partWindows {
			most = min(most, float64(d.nn/d.n))
		}
		phi = max(phi, most)
	}
	return max(phi, whole)
}

// of is phi at one size of a shard.
func (d *dispersion) of(size int) float64 {
	if d.known > 0 {
		return d.known
	}
	if d.phis[size] == 0 {
		d.phis[size] = d.measured(size)
	}
	return max(d.phis[size], d.bound(size))
}

// bound is the most that phi can be within a window, by what is known of sizes, until this size of a shard has seen enough events to speak for itself; 0: no bound.
//
// Claim: with units u of n_u requests and k_u events in a window, assigned at random and independent of each other, the phi of a rate is at most that of sizes, whatever
// a unit's events have to do with each other. Proof: k_u lies in [0, n_u], so with mean p n_u its variance is at most p (1-p) n_u² (Bhatia and Davis, A better bound on the
// variance, Amer. Math. Monthly 107, 2000; equality where all share one fate). Summed over units, and divided by a binomial's p (1-p) sum n_u, that is sum n_u² / sum n_u,
// and that is what AddSizes measures: on average its U is q (1-q) sum n_u², its V q (1-q) sum n_u, with q the shard's share. What comes and goes from window to window, of
// all units together, cancels in U.
//
// It is needed as R4 has no estimate without events, and the first clump may be the canary's, while sizes are many from the first window on. It holds where units
// that fail more are not those that send more: where requests are sent again because they failed, phi can be greater. The same is true of batches of windows, with a unit's
// requests in the batch, but isn't used: one batch of 25 or 125 windows has seven degrees of freedom, and users who come back would make it ten times and more what their
// errors show. So of clumps over several windows nothing is known before the rate is measured but the prior.
func (d *dispersion) bound(size int) float64 {
	if d.units == nil || d.sizes[size].Measured() {
		return 0
	}
	return d.units.spread.Window()
}

// measured is phi at one size of a shard: at least 1. Until the size has seen enough it goes by what all slices together say, and by the prior until they have
// seen enough, if that is more: noise of units is the same at all sizes, and a shard with a few events bounds it much too wide. What sizes say comes on top: see bound. Afterwards the size speaks for itself,
// but for batches that are too long for there to be ten of them.
func (d *dispersion) measured(size int) float64 {
	phi, measured := d.sizes[size].Phi(d.prior)
	if measured {
		phi = max(phi, d.spread.Few())
	} else {
		phi, _ = d.spread.Phi(d.prior)
	}
	if d.past != nil && !slices.Contains(d.seen[:], true) {
		more, _ := d.past.Phi(d.prior)
		phi = max(phi, more)
	}
	if d.share != nil {
		phi = max(phi, d.share.phi(d.prior))
	}
	return max(1, phi, d.floor)
}

// shard is the size of a shard that stands in for the canary: the smallest that is not smaller, of those that ever had anything.
func (d *dispersion) shard() int {
	size := shardSize(d.traced.ratio)
	for larger := size; larger < shards; larger++ {
		if d.seen[larger] {
			return larger
		}
	}
	return size
}

// shardSize is the index of the smallest shard that is not smaller than the canary, whose size is given as a multiple
// of the baseline's; half of the baseline is the largest there is.
func shardSize(ratio float64) int {
	share := 1.0 / (1 << shards)
	for i := range shards - 1 {
		if share >= ratio {
			return i
		}
		share *= 2
	}
	return shards - 1
}

// traffic is what a stream knows of the arms' sizes.
type traffic struct {
	watch shareWatch
	ratio float64 // canary / baseline since the share last changed (or before that, while nothing is known since)
	whole bool    // a window of a change begins the new share; else it is nobody's
	turns int64   // changes so far
}

// step takes one window's sizes, of this over-dispersion, and reports a change of the share: see shareWatch.
func (t *traffic) step(canary, baseline int64, phi float64) bool {
	changed := t.watch.step(canary, baseline, phi)
	if changed {
		t.turns++
	}
	if changed && t.whole {
		t.watch.step(canary, baseline, phi)
	}
	if t.watch.baseline > 0 && t.watch.canary > 0 {
		t.ratio = t.watch.canary / t.watch.baseline
	}
	return changed
}
