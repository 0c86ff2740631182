package analysis

import (
	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// meanAlike measures by how much noisier a mean of predictions' values is than values that go to the arms one by one, as rankNoise does of ranks, and by its rule: slices of the baseline by unit are held
// against the smaller ones, and while each prediction so far was the first of its unit, or none names a unit, there is nothing to measure.
//
// Claim: R8 with evidence divided by phi is exact where no unit has more than phi values in a block, whatever they have to do with each other (stats.Bounded). A limit of what is seen is less than the largest
// unit: then evidence is calibrated, by TestSimAlikeMeans. The variance of a sum is at most that of independent values times sum n_u² / sum n_u, where values have the same law in all units,
// whatever their size n_u: that is reckoned with until the mean has shown its own.
type meanAlike struct {
	noise rankNoise
	open  windows.Cell // of the baseline: a block that is too small to tell yet
}

func newMeanAlike(o Options, prior float64) *meanAlike {
	return &meanAlike{noise: rankNoise{known: o.Phi, seen: stats.NewAlike(windows.Slices, meanContrasts, 0, prior)}}
}

// add takes the baseline's cell of one window, after its tests.
func (m *meanAlike) add(c *windows.Cell) {
	r, o := &m.noise, &m.open
	if r.known > 0 || !r.named || c.N == 0 {
		return
	}
	o.N, o.Sum, o.Squares = o.N+c.N, o.Sum+c.Sum, o.Squares+c.Squares
	for i, s := range c.Slices {
		o.Slices[i].N += s.N
		o.Slices[i].Sum += s.Sum
	}
	if o.N < 2*blockExposures {
		return
	}
	var sizes [windows.Slices]float64
	for i, s := range o.Slices {
		sizes[i] = float64(s.N)
	}
	scores := meanScores(o)
	r.seen.Add(sliceShares[:], sizes[:], scores[:]...)
	r.phi, r.told = 0, r.many
	*o = windows.Cell{}
}

// meanContrasts is of how many slices, from the half of the baseline on, the mean is held against that of all smaller ones, which together are as large.
const meanContrasts = 5

// meanScores is by how much each of these slices has more than the smaller ones, in values less the mean of all, beside the variance of that where the values lie in the slices as they do at random. Each value counts a
// half for its side; less the mean of a slice and the smaller ones alone, a unit that has most of these would be taken for their mean.
func meanScores(c *windows.Cell) (scores [meanContrasts]stats.Scores) {
	var all moments
	all.addCell(c)
	mean, variance := all.sum/all.n, all.variance()*all.n/(all.n-1)
	n, rest := all.n, 0.0 // of values less the mean, in this slice and smaller ones
	for i := range scores {
		own := float64(c.Slices[i].N)
		more := float64(c.Slices[i].Sum)/windows.SumUnit - own*mean
		uneven := 2*own - n
		scores[i] = stats.Scores{Excess: more - rest/2, Variance: max(0, n-uneven*uneven/all.n) / 4 * variance, Events: own}
		n, rest = n-own, rest-more
	}
	return scores
}
