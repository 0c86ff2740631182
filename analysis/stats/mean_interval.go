package stats

import (
	"fmt"
	"math"
)

// meanBets are the bets of MeanInterval: .58 is about the greatest l with psi(l) <= l/2.
var meanBets = func() (bets [BoundedPoints]float64) {
	l := 0.58
	for j := range bets {
		bets[j] = l
		l *= 0.6
	}
	return bets
}()

// MeanInterval is a confidence sequence for one arm's mean of independent values in [0, 1], from the totals of all of them: R8's test of one sample (Bounded with
// Rho0 0), inverted.
//
// Claim. Looked at after each block, as often as one likes, the lower bound is never above the greatest of the values' expectations, given what came before, and the upper one never below
// the least, with probability at least 1 - alpha. So both hold the mean where it stays as it is. With a measured phi calibrated, not exact; phi is the greatest so far.
//
// When. As Bounded with Rho0 0: not for gauges, see LevelInterval.
//
// For a limit m and a bet l a value y is paid exp(l (y-m) - psi(l) (y-m)²), at most 1 + l (y-m), as y-m >= -1. Bounded's bets are in parts of 1/m, which takes less; these are the same at each
// limit, so that the evidence for more than m falls as m grows, and what isn't excluded is an interval: its slope is -N (l - 2 psi(l) (mean - m)), and psi(l) <= l/2.
//
// Conventions: 0 and 1 of an empty arm. NaN panics, as do sums that no values in [0, 1] have; a phi below 1 is taken as 1, and an infinite one gives 0 and 1.
//
// Cost: about 1,600 exponentials. Sources: Bounded's; to invert it, Waudby-Smith and Ramdas (arXiv 2010.09686).
func MeanInterval(of Samples, phi, alpha float64) (lower, upper float64) {
	of.check()
	if !(alpha > 0 && alpha < 1) || math.IsNaN(phi) {
		panic(fmt.Sprintf("stats: interval of a mean with phi %v at alpha %v", phi, alpha))
	}
	if of.N == 0 {
		return 0, 1
	}
	phi, proof := max(1, phi), math.Log(2/alpha)
	upside := Samples{N: of.N, Sum: of.N - of.Sum, Squares: max(0, of.N-2*of.Sum+of.Squares)} // the values from above
	return meanAbove(of, phi, proof), 1 - meanAbove(upside, phi, proof)
}

// meanAbove is the greatest limit that the mean is proven to be above; 0: none.
func meanAbove(of Samples, phi, proof float64) float64 {
	proven := func(m float64) bool {
		sum, squares := of.Sum-of.N*m, of.around(m)
		var logs [BoundedPoints]float64
		for j, l := range meanBets {
			logs[j] = (l*sum - psi(l)*squares) / phi
		}
		return logSumExp(logs[:])-math.Log(BoundedPoints) >= proof
	}
	if !proven(0) {
		return 0
	}
	return bisect(of.Sum/of.N, 0, proven)
}
