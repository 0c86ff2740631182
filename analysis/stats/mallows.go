package stats

import (
	"fmt"

	"streamcanary/windows"
)

// MallowsThetas is the grid of Mallows: 12 times the excess of the probability index, P(canary > baseline) - 1/2, for which a component
// is best: 0.025, 0.05, 0.1, 0.2 and 0.4. Shared: callers only read it.
var MallowsThetas = []float64{0.3, 0.6, 1.2, 2.4, 4.8}

// Mallows is the exact exponential tilt of the Mann-Whitney statistic: whether the canary's values as a whole lie above the
// baseline's, or below.
//
// Claim. Move the canary's values down by Shift buckets and let U count the pairs in which the moved canary's value is the larger, ties in
// random order. With Side 1, e^increment has mean at most 1 given the past if the moved canary is stochastically not larger than the
// baseline in this block; with Side -1, if it is not smaller. For exchangeable arms the mean is 1 exactly: in finite samples, of any
// sizes, with any ties. The increment is the log of the mean, over the order within ties, of e^(lambda U) / E[e^(lambda U)], with
// lambda = Side theta/(N+1), and U is non-decreasing in each value of the canary.
//
// When. As TopK: requests are assigned at random within the block, or both arms are independent samples. The buckets at the ends stay where
// they are, as TopK's do. It sees what moves the bulk; a change of the tail alone moves U by nothing that could be seen.
//
// Cost: one walk up both histograms, and a power series for each theta and for each of at most 20 buckets that hold a large share of all requests, whatever
// the number of requests. No state, no allocation.
//
// Conventions: a block needs no more than a request of each arm; an empty one says nothing (false). Ties are exact. A theta that is NaN, or not in (0, 5],
// panics. An increment is finite.
//
// Accuracy: 1e-12 and 1e-15 of the logarithm of E[e^(lambda U)] (about theta^2 n m/(24 N)), measured against exact sums.
//
// Proof: as TopK's, with U in the place of X; E[e^(lambda U)] of exchangeable arms is the q-binomial coefficient over the binomial one, q = e^lambda.
// TestMallowsAveragesToOneOverAllLabelings counts it out.
//
// Sources: derived here; the law of U, Mann and Whitney 1947; as a model of rankings, Mallows 1957; e-values of exchangeability, Koning (arXiv 2310.01153).
type Mallows struct {
	Shift int       // the margin in buckets: FailShift or PassShift
	Side  int       // 1: evidence that the canary's values are larger; -1: that they are smaller
	Grid  []float64 // thetas, above 0 and at most 5; read only
}

// Increments writes to dst the block's log e-values, one for each theta, and reports true; it reports false and leaves dst alone when an arm
// is empty. Histograms are ascending by index; they are only read.
func (m Mallows) Increments(dst []float64, canary, baseline []windows.Bucket) bool {
	steepest := 0.0
	for _, theta := range m.Grid {
		steepest = max(steepest, theta)
		if !(theta > 0 && theta <= rankTilt) {
			panic(fmt.Sprintf("stats: Mallows with theta %v", theta))
		}
	}
	if m.Side != 1 && m.Side != -1 {
		panic(fmt.Sprintf("stats: Mallows with side %d", m.Side))
	}
	var ties rankTies
	if !ties.tiesOf(canary, baseline, m.Shift, steepest) {
		return false
	}
	requests := ties.n + ties.m
	var law rankLaw
	for j, theta := range m.Grid {
		law.tiltBy(theta/float64(requests+1), requests)
		gain := law.lambda * ties.excess / 2 * float64(m.Side)
		dst[j] = gain + ties.worth(&law) - law.log(ties.n, ties.m)
	}
	return true
}
