package stats

import (
	"fmt"
	"math"
)

// SplitBreak tests whether the canary's share of the routing units was one and the same over a short period, such as the one that tells
// SplitChange what the share is before it can change. The null is "one constant share, unknown".
//
// The alternative is one share up to the end of some block, and another from there on: each end but the last one of the period is as likely, as is no break at
// all, and both shares are unknown (Jeffreys' prior Beta(1/2, 1/2)). As in SplitChange the null gets its largest likelihood:
//
//	E = q(arms) / max over p of p^k (1-p)^(n-k)
//
// Claim. At the true share p, E <= q(arms)/p(arms), a nonnegative martingale that starts at 1; so the chance that LogE ever reaches log(1/alpha) is at most
// alpha, at any stopping time. (E itself is no martingale.)
//
// When. Units are assigned independently with one share.
//
// Cost: 16 bytes for each block of the period; a block takes about a hundred logarithms for each one before it. No allocation after NewSplitBreak.
//
// Conventions: a block that is empty of units changes nothing, nor does one beyond the period. NaN panics. The zero value is not ready; see NewSplitBreak. Owned by
// one goroutine.
//
// Sources: as SplitChange; the alternative is the textbook's unknown change point, chosen here.
type SplitBreak struct {
	blocks int
	ends   []splitEnd // at the end of each block with units
	best   int
	logE   float64
}

// splitEnd is what there was up to the end of a block: units, and the canary's.
type splitEnd struct{ n, k float64 }

// NewSplitBreak returns the test of so many blocks with units before any of them, at evidence 1.
func NewSplitBreak(blocks int) *SplitBreak {
	return &SplitBreak{blocks: blocks, ends: make([]splitEnd, 0, blocks)}
}

// Add takes one block: n units first seen in it, k of them on the canary.
func (s *SplitBreak) Add(n, k float64) {
	if !(k >= 0 && k <= n) || math.IsInf(n, 1) {
		panic(fmt.Sprintf("stats: split of %v units, %v on the canary", n, k))
	}
	if n == 0 || len(s.ends) == s.blocks {
		return
	}
	all := splitEnd{n, k}
	if taken := len(s.ends); taken > 0 {
		all.n, all.k = all.n+s.ends[taken-1].n, all.k+s.ends[taken-1].k
	}
	// Breaks that are still to come, and none, have the same chance so far.
	q, most := math.Log(float64(s.blocks-len(s.ends)))+logJeffreys(all.n, all.k), math.Inf(-1)
	for i, end := range s.ends {
		one := logJeffreys(end.n, end.k) + logJeffreys(all.n-end.n, all.k-end.k)
		if q = logAddExp(q, one); one > most {
			s.best, most = i+1, one
		}
	}
	s.ends = append(s.ends, all)
	s.logE = q - math.Log(float64(s.blocks)) - maxLikelihood(all.n, all.k)
}

// LogE is the log evidence now: 0 before the first block.
func (s *SplitBreak) LogE() float64 { return s.logE }

// Break is the block with units, from 0, with which the other share begins most likely; 0 before the second. For people.
func (s *SplitBreak) Break() int { return s.best }

// SplitEarlyStake is the part of the stake that plays within the reference period. It costs what comes later a tenth of a nat of evidence, and what moves within so few blocks 2.3: to be proven at all it
// has to be large.
const SplitEarlyStake = .1

// SplitEvidence is the log evidence that an unplanned share is not one and the same: that it moved within the reference period, or after it, by one test of each of the same units. early says that most of it
// is of the former.
//
// Claim. The weighted mean of two e-values is at most the mean of two nonnegative martingales that start at 1, with the same null: so the chance that it ever reaches log(1/alpha) is at most alpha, at any stopping time.
//
// When. Both have taken the same blocks, the first until the second is Closed.
//
// Cost: four elementary functions. No allocation.
//
// Conventions: before any block 0.
//
// Sources: as SplitChange; the mean of e-values is Vovk and Wang's.
func SplitEvidence(within *SplitBreak, after *SplitChange) (logE float64, early bool) {
	first, later := within.LogE()+math.Log(SplitEarlyStake), after.LogE()+math.Log1p(-SplitEarlyStake)
	return logAddExp(first, later), first > later
}
