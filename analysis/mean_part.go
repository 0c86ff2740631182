package analysis

import "math"

// partMean is what is known of one segment's values of the baseline, which have no slices: how much they vary by themselves. The noise of all traffic says the rest.
type partMean struct {
	values moments // of the blocks before
	from   float64 // one more than values of all traffic there were when the first block began; 0: none has
}

// begin takes note of a block that opens.
func (p *partMean) begin(whole *meanNoise) {
	if p.from == 0 {
		p.from = whole.values.n + 1
	}
}

// arms is the segment's noise for the next block, where that of all traffic is known; +Inf, with which nothing is tested, while nothing was seen of the segment.
//
// A variance is no less than that of the segment's own values. Phi goes by ofPart's rule, with variances in the place of events: what units add to the variance of the sum of all values may be this
// segment's alone, so phi-1 is as many times that of all traffic as all values' variances add up to more than the segment's. Where units have single values they add nothing.
func (p *partMean) arms(whole *meanNoise) armPhi {
	arms := whole.arms()
	switch {
	case whole.ratio && !whole.clumped():
		return arms
	case p.values.n == 0:
		return armPhi{math.Inf(1), math.Inf(1)}
	case !whole.ratio:
		return arms.atLeast(armPhi{p.values.variance(), p.values.variance()})
	}
	all, one := whole.values.n-(p.from-1), whole.values.variance()
	larger := (all + 1) * one / (p.values.n*p.values.variance() + one)
	if one == 0 {
		larger = (all + 1) / (p.values.n + 1)
	}
	larger = max(1, larger)
	return armPhi{1 + (arms[0]-1)*larger, 1 + (arms[1]-1)*larger}
}
