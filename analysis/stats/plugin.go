package stats

import (
	"fmt"
	"math"
)

// plugInHalfLife is after how many blocks a block counts half in a plug-in.
const plugInHalfLife = 24

// BaselineRate is the predictable plug-in of Bernoulli: the baseline's rate as far as it is known before a block, with an exponential memory in which a
// block counts half after 24 more.
//
// Claim. None of its own: it is no estimate to show, and any value of it keeps the test valid.
//
// When. Use Rate for a block first, then Add the block: a rate that has seen the block's own outcomes would break Bernoulli's claim. Add also blocks that
// the test skips.
//
// Cost: 24 bytes and constant time; no allocation.
//
// Conventions: an empty block only fades what is known. NaN, infinite and negative numbers panic, and more events than exposures. The zero value is not
// ready; see NewBaselineRate.
//
// Source: chosen here; TestThePlugInMustNotSeeTheBlock has why the order matters.
type BaselineRate struct{ plugIn }

// NewBaselineRate starts at a seed, which weighs as one event does: the baseline's rate before the canary had traffic (better: Add its blocks of that time),
// or what one would guess. It panics unless the seed is in (0, 1).
func NewBaselineRate(seed float64) *BaselineRate {
	return newBaselineRate(seed, plugInHalfLife)
}

func newBaselineRate(seed, halfLife float64) *BaselineRate {
	if !(seed > 0 && seed < 1) {
		panic(fmt.Sprintf("stats: a baseline's rate of %v", seed))
	}
	return &BaselineRate{newPlugIn(1/seed, 1, halfLife)}
}

// Add takes a block of the baseline: n exposures, k events.
func (r *BaselineRate) Add(n, k float64) { r.add(n, k) }

// Rate is the plug-in for the next block, within 1e-9 … 1-1e-6.
func (r *BaselineRate) Rate() float64 { return r.within(1e-9, 1-1e-6) }

// BaselineMean is the predictable plug-in of Bounded: the mean of the baseline's values on [0, 1], as BaselineRate is of a rate.
//
// Claim. None of its own, as BaselineRate.
//
// When. Mean first, then Add, as BaselineRate.
//
// Cost: 24 bytes and constant time; no allocation.
//
// Conventions: an empty block only fades what is known. NaN, infinite and negative sums panic, and a sum above the number of samples. The zero value is not
// ready; see NewBaselineMean.
//
// Source: as BaselineRate's.
type BaselineMean struct{ plugIn }

// NewBaselineMean starts at a seed, which weighs as five samples do. It panics unless the seed is in (0, 1).
func NewBaselineMean(seed float64) *BaselineMean {
	const samples = 5
	if !(seed > 0 && seed < 1) {
		panic(fmt.Sprintf("stats: a baseline's mean of %v", seed))
	}
	return &BaselineMean{newPlugIn(samples, samples*seed, plugInHalfLife)}
}

// Add takes a block of the baseline's samples.
func (m *BaselineMean) Add(s Samples) { m.add(s.N, s.Sum) }

// Mean is the plug-in for the next block, within 0.001 … 0.999.
func (m *BaselineMean) Mean() float64 { return m.within(0.001, 0.999) }

// plugIn is a ratio of two sums that fade by the block.
type plugIn struct{ n, sum, keep float64 }

func newPlugIn(n, sum, halfLife float64) plugIn {
	return plugIn{n, sum, math.Exp2(-1 / halfLife)}
}

func (p *plugIn) add(n, sum float64) {
	if !(n >= 0 && sum >= 0 && sum <= n) || math.IsInf(n, 1) {
		panic(fmt.Sprintf("stats: a plug-in takes %v of %v", sum, n))
	}
	p.n = p.n*p.keep + n
	p.sum = p.sum*p.keep + sum
}

func (p *plugIn) within(lo, hi float64) float64 { return max(lo, min(hi, p.sum/p.n)) }
