package stats

import (
	"fmt"
	"math"
)

// SplitChange tests whether the canary's share of the routing units stays what it is, when nobody planned it: the null is "one
// constant share, unknown".
//
// Testing later blocks against the share of the first one, as if that were known, alarms falsely: the estimate is off by its
// own error, and enough later units prove that. Here the share is a nuisance, handled by universal inference: the alternative is a distribution over the sequence of arms that uses only the past,
// the null gets its largest likelihood over all units so far:
//
//	E = q(arms) / max over p of p^k (1-p)^(n-k)
//
// Claim. At the true share p, E <= q(arms)/p(arms), a nonnegative martingale that starts at 1; so the chance that LogE ever reaches log(1/alpha) is at most
// alpha, at any stopping time. (E itself is no martingale.)
//
// When. Units are assigned independently with one share.
//
// q is the mean of two alternatives. Both take the share before the change as unknown (Jeffreys' prior Beta(1/2, 1/2)).
//   - The reference period has one share, what follows has another, with the same prior: for changes early on. The
//     reference is closed by counts alone: at the first block at whose end each arm has had 1,000 units, or 100 blocks
//     with units have passed; or as NewSplitChangeAfter says.
//   - From some block after that on the odds are off by one of SplitTilts factors from the estimate of all units before that
//     block: for changes later on, against all that was seen, not against a reference that has long been outgrown. The block has the weight
//     that the caller gives (the start mixture); what was given before the reference closed starts just after it.
//
// The unknown share costs about log(n)/2 nats.
//
// Cost: 528 bytes. Add takes, once the reference is closed, five elementary functions for each of the 24 tilts. No allocation.
//
// Conventions: a block that is empty of units only moves the weight. NaN panics in units; in the weight once the reference is closed, before that it isn't
// looked at. The zero value is not ready; see NewSplitChange. Owned by one goroutine.
//
// Sources: universal inference, Wasserman, Ramdas, Balakrishnan (Proc. Nat. Acad. Sci. 117, 2020; arXiv 1912.11436); the two alternatives are chosen here.
type SplitChange struct {
	atUnits    float64 // of each arm, and
	atBlocks   int     // blocks with units, either of which closes the reference
	n, k       float64 // all units, and the canary's
	refN, refK float64 // the same, of the reference once it is closed
	blocks     int
	closed     bool
	bets       bool    // the last block was played
	waiting    float64 // weight given before the reference closed
	whole      float64 // log probability of all arms under Jeffreys' prior
	tilts      *Mixture
	inc        [SplitTilts]float64
	logE       float64
}

// When the reference period of SplitChange closes: at 1,000 units the share is known to 3 % of itself, so that what can be
// proven against the reference is what matters; so many blocks keep a tiny canary from never closing it.
const (
	splitReferenceUnits  = 1000
	SplitReferenceBlocks = 100
)

// NewSplitChange returns the test before any unit, at evidence 1.
func NewSplitChange() *SplitChange {
	return NewSplitChangeAfter(splitReferenceUnits, SplitReferenceBlocks)
}

// NewSplitChangeAfter is NewSplitChange with a reference of another length, fixed beforehand: until each arm has had so many units, or so many blocks with
// units have passed. A short one finds a change where there are few units or blocks at all; a long one finds a small change early on.
func NewSplitChangeAfter(units float64, blocks int) *SplitChange {
	return &SplitChange{atUnits: units, atBlocks: blocks, tilts: NewMixture(SplitTilts)}
}

// Closed reports whether the reference is closed: before that nothing can be found.
func (s *SplitChange) Closed() bool { return s.closed }

// Add takes one block: n units first seen in it, k of them on the canary; weight of the stake on a late change starts with
// it (see Mixture.Step). A block without units only moves the weight.
func (s *SplitChange) Add(n, k, weight float64) {
	if !(k >= 0 && k <= n) || math.IsInf(n, 1) {
		panic(fmt.Sprintf("stats: split of %v units, %v on the canary", n, k))
	}
	// The probability of this block's arms given the past, under Jeffreys' prior.
	given := logRise(s.k+0.5, k) + logRise(s.n-s.k+0.5, n-k) - logRise(s.n+1, n)
	s.waiting += weight
	s.bets = s.closed
	if s.bets {
		s.bet(n, k, given)
	}
	s.whole += given
	s.n += n
	s.k += k
	s.settle(n)
	late := s.whole + s.tilts.LogE()
	early := s.whole
	if s.closed {
		early = logJeffreys(s.refN, s.refK) + logJeffreys(s.n-s.refN, s.k-s.refK)
	}
	s.logE = logAddExp(early, late) - math.Ln2 - maxLikelihood(s.n, s.k)
}

// bet lets the tilts play one block, each against what Jeffreys' prior gave its arms.
func (s *SplitChange) bet(n, k, given float64) {
	share := (s.k + 0.5) / (s.n + 1)
	constant := k*math.Log(share) + (n-k)*math.Log1p(-share) - given
	for j, d := range splitGrid {
		s.inc[j] = k*d - n*math.Log1p(share*math.Expm1(d)) + constant
	}
	s.tilts.Step(s.inc[:], s.waiting)
	s.waiting = 0
}

// settle closes the reference period at the end of a block, from counts alone.
func (s *SplitChange) settle(n float64) {
	if n > 0 {
		s.blocks++
	}
	if !s.closed && (min(s.k, s.n-s.k) >= s.atUnits || s.blocks >= s.atBlocks) {
		s.closed, s.refN, s.refK = true, s.n, s.k
	}
}

// LogE is the log evidence now: 0 before the first block.
func (s *SplitChange) LogE() float64 { return s.logE }

// Increments are the last block's log e-values, one for each of SplitTilts tilts, to date a change by; nil until the reference is
// closed. They are valid until the next Add.
func (s *SplitChange) Increments() []float64 {
	if !s.bets {
		return nil
	}
	return s.inc[:]
}

// maxLikelihood is the log of the largest p^k (1-p)^(n-k).
func maxLikelihood(n, k float64) float64 { return entropyTerm(k, n) + entropyTerm(n-k, n) }

func entropyTerm(k, n float64) float64 {
	if k == 0 {
		return 0
	}
	return k * math.Log(k/n)
}

// logJeffreys is the log probability of a sequence of n arms, k of them the canary, whose share has the prior Beta(1/2, 1/2).
func logJeffreys(n, k float64) float64 {
	return logRise(0.5, k) + logRise(0.5, n-k) - logRise(1, n)
}

// logRise is log Gamma(x+n) - log Gamma(x) for x > 0, n >= 0, without subtracting large numbers: the terms up to x = 16 one by one, and
// from there Stirling's series, whose rest is below 1e-16.
func logRise(x, n float64) float64 {
	sum := 0.0
	for ; x < 16 && n >= 1; n-- {
		sum += math.Log(x)
		x++
	}
	if n == 0 {
		return sum
	}
	if x < 16 { // a part of a step is left: counts are whole, so this is for other callers' sake
		high, _ := math.Lgamma(x + n)
		low, _ := math.Lgamma(x)
		return sum + high - low
	}
	return sum + (x-0.5)*math.Log1p(n/x) + n*math.Log(x+n) - n + stirling(x+n) - stirling(x)
}

// stirling is what log Gamma(x) has beyond (x-1/2) log x - x + log(2 pi)/2, for x >= 16.
func stirling(x float64) float64 {
	y := 1 / (x * x)
	return (1.0/12 - y*(1.0/360-y*(1.0/1260-y*(1.0/1680-y*(1.0/1188))))) / x
}
