package stats

import "math"

// MeanEffect is a confidence sequence for the difference and for the ratio of two means, from the contrasts of blocks: R7's normal mixture
// (NormalMixture) at every candidate of the ratio at once, since each is linear in the same sums.
//
// Claim. With w = Nc Nb / (Nc + Nb) a block's weight, the intervals that Difference, or Ratio, returns after each block, for one alpha, all contain the
// weighted mean of the differences, or the ratio of the weighted means, with probability at least 1 - alpha.
//
// When. Asymptotic, so calibrated: the block means of many samples, the variance an estimate (LongRun's). The first block with a known variance fixes the
// scale, for an interval that is tightest when 100 times its weight has come together, and isn't counted. Estimates for people; Mean is the test.
//
// Cost: 48 bytes. Add takes a dozen operations, Difference a logarithm and a root or two, Ratio at most 120 times that, by bisection. No allocation.
//
// Conventions: a block with an empty arm is left out, and one with a variance of 0, +Inf or NaN; NaN panics in means. Means are in the metric's unit, the
// variance in its square. alpha is in (0, 1), which isn't looked at. Sums of disjoint blocks add in any order after the first. The zero value is not ready;
// see NewMeanEffect. Owned by one goroutine.
//
// Sources: NormalMixture's; the ratio as Fieller (Some problems in interval estimation, J. R. Statist. Soc. B 16, 1954) has it for one look.
type MeanEffect struct {
	scale              float64
	weight             float64
	canary, baseline   float64 // weighted sums of means
	varCanary, varBase float64 // sums of weight² variance
}

// meanEffectTuned is at how many first blocks' weights the interval is tightest.
const meanEffectTuned = 100

// NewMeanEffect returns the sequence before any block.
func NewMeanEffect() *MeanEffect { return &MeanEffect{} }

// Add takes one block, with the variance of one sample; blocks with an empty arm or without a known variance are left out.
func (e *MeanEffect) Add(m Means, variance float64) {
	m.check()
	if m.Nc == 0 || m.Nb == 0 || !(variance > 0) || math.IsInf(variance, 1) {
		return
	}
	w := m.Nc * (m.Nb / (m.Nc + m.Nb))
	if e.scale == 0 {
		e.scale = MixtureScale(0.05, meanEffectTuned*w*variance)
		return
	}
	e.weight += w
	e.canary += w * m.Mc
	e.baseline += w * m.Mb
	e.varCanary += w * w * variance / m.Nc
	e.varBase += w * w * variance / m.Nb
}

// half is the half width of the interval of canary - rho baseline, weighted sums.
func (e *MeanEffect) half(rho, alpha float64) float64 {
	u := 1 + e.scale*(e.varCanary+rho*rho*e.varBase)
	return math.Sqrt(u / e.scale * (math.Log(u) - 2*math.Log(alpha)))
}

// Difference returns the present bounds of the difference of the means; -Inf and +Inf before the second block.
func (e *MeanEffect) Difference(alpha float64) (lower, upper float64) {
	if e.weight == 0 {
		return math.Inf(-1), math.Inf(1)
	}
	center, half := (e.canary-e.baseline)/e.weight, e.half(1, alpha)/e.weight
	return center - half, center + half
}

// Ratio returns the present bounds of the ratio of the means, 0 and +Inf where that side isn't bounded, as while the baseline's mean isn't told
// from 0. Where a mean is below zero it is of 1 + (canary - baseline) / |baseline|, which is the ratio where the baseline's isn't; with -Inf for 0.
func (e *MeanEffect) Ratio(alpha float64) (lower, upper float64) {
	least := 0.0
	if e.baseline < 0 || e.canary < 0 {
		least = math.Inf(-1)
	}
	if e.weight == 0 || e.baseline == 0 {
		return least, math.Inf(1)
	}
	const most = 1 << 20
	size := math.Abs(e.baseline)
	inside := func(ratio float64) bool {
		rho := ratio
		if e.baseline < 0 {
			rho = 2 - ratio
		}
		return math.Abs(e.canary-rho*e.baseline) <= e.half(rho, alpha)
	}
	at := e.canary / size
	if e.baseline < 0 {
		at += 2
	}
	lower, upper = least, math.Inf(1)
	if start := max(least, -most); !inside(start) && start < at {
		lower = bisect(start, at, inside)
	}
	if !inside(most) && at < most {
		upper = bisect(most, at, inside)
	}
	return lower, upper
}

// bisect is the point between one where something doesn't hold and one where it does at which that changes.
func bisect(without, with float64, holds func(float64) bool) float64 {
	const rounds = 60
	for range rounds {
		middle := (without + with) / 2
		if holds(middle) {
			with = middle
		} else {
			without = middle
		}
	}
	return with
}
