package analysis

import (
	"math"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// lacking has the pass test of ranks count the requests that carry no value, since the canary's slowest may be those. In both arms they are taken as the worst, beyond all values; what both arms lack alike cancels,
// so it is the canary's excess that speaks against a pass.
//
// Claim. Where requests lack their value by chance, as often in both arms, the pass test errs no more often than it does without them, whichever others the canary hides. Proof: it is a test of the order of values alone, in which none is one
// more, the worst. A canary's request that is hidden goes up in it, so that the moved canary is still stochastically not smaller, as the test asks (stats.Mallows). Of a tail the K largest are as many as lack their value by the
// baseline's share so far, and of the others the tail. K is known before the block, and at a fixed K to raise a value of the canary never lowers what it has of these (stats.TopK).
//
// When. Its price is the noise of what both arms lack: some 1 + share/tail times the requests to pass. Where the baseline lacks more than the tail holds (of the bulk, more than a tenth) values are a sample, and
// those that lack are taken to do so by chance: a hidden tail couldn't be told from that in any time that a pass has. There the check of the shares alone (no_latency, no_value) can find it.
//
// Requests lack values by users, too. What that adds to the noise of the test is measured on the baseline, and a pass is divided by it: that is calibrated (TestSimLacking).
type lacking struct {
	noise  *dispersion
	ppm    int64          // of the tail; 0: ranks
	top    bool           // the worst is the largest
	shares []lackingShare // by stratum
	worst  [windows.Arms][]windows.Bucket
}

// lackingShare is how often the baseline lacked a value in the blocks before.
type lackingShare struct {
	all, none float64
	phi       float64 // after them
}

const (
	lackingBulk   = 100_000 // the most that the baseline may lack where the bulk is tested, in millionths
	lackingMemory = 1e9     // exposures times the tail in millionths after which a share counts half
)

// lackingCell is the place of what counts a guardrail's requests without a value; 0: nothing asks.
func lackingCell(r *schemas.Rollout, g *schemas.Guardrail) int {
	if !measuresValues(g) || !g.Direction.Contrast() || g.Margin.Value == 0 {
		return 0
	}
	if g.Of == ofLatency {
		return cellOf(r, noLatencyMetric{})
	}
	return cellOf(r, noValueMetric{g.Of})
}

// newLacking is for the pass test of a guardrail, at a tail of ppm millionths, or, of 0, of ranks.
func newLacking(g *schemas.Guardrail, ppm int64, noise *dispersion) *lacking {
	return &lacking{noise: noise, ppm: ppm, top: g.Direction != schemas.Decrease}
}

// most is the share above which values are a sample, in millionths.
func (l *lacking) most() int64 {
	if l.ppm == 0 {
		return lackingBulk
	}
	return min(l.ppm, 1_000_000-l.ppm)
}

// at is the share of a stratum.
func (l *lacking) at(stratum int) *lackingShare {
	for len(l.shares) <= stratum {
		l.shares = append(l.shares, lackingShare{phi: l.noise.canary()})
	}
	return &l.shares[stratum]
}

func (s *lackingShare) share() float64 {
	if s.all == 0 {
		return 0
	}
	return s.none / s.all
}

// above reports whether the share is above a limit, by more than chance has it: three standard deviations.
func (s *lackingShare) above(limit float64) bool {
	return s.none-limit*s.all > 3*math.Sqrt(s.none*max(1, s.phi))
}

// learn takes a block of the baseline, after its test.
func (l *lacking) learn(b *block) {
	s := l.at(b.stratum)
	if s.all*float64(l.most()) > lackingMemory {
		s.all, s.none = s.all/2, s.none/2
	}
	n, k := float64(b.n[windows.Baseline]), float64(b.k[windows.Baseline])
	s.all, s.none, s.phi = s.all+n+k, s.none+k, l.noise.canary()
}

// passes makes the increments of a pass test. Which test it is is known before the block: were it chosen by how many lack their value in it, blocks without the canary's slowest would have another.
func (l *lacking) passes(dst []float64, of facing, b *block) {
	s := l.at(b.stratum)
	if s.above(float64(l.most()) / 1e6) {
		of.of(dst, b, true)
		return
	}
	mine, theirs := of.sides(b, true)
	test, weight := l.withNone(of.rank, s.share())
	clear(dst) // a tail that rounds to no request says nothing
	test.Increments(dst, l.add(windows.Canary, mine, b.k[windows.Canary]), l.add(windows.Baseline, theirs, b.k[windows.Baseline]))
	divide(dst, 1+(max(1, s.phi)-1)*weight)
}

// withNone is the test of requests of which a share lacks its value, and how much of its variance is these's.
func (l *lacking) withNone(of rank, share float64) (rank, float64) {
	t, isTail := of.(tailRank)
	if !isTail {
		return of, min(1, 3*share)
	}
	none := int64(share * 1e6)
	k := t.TopK
	k.PPM = l.ppm * (1_000_000 - none) / 1_000_000 // at least 1: few lack it, or this isn't asked
	if l.top {
		k.PPM += none
		return k, share * 1e6 / float64(k.PPM)
	}
	return k, share * 1e6 / float64(1_000_000-k.PPM)
}

// add puts so many of the worst into a histogram: in memory that the arm's next one takes.
func (l *lacking) add(arm windows.Arm, hist []windows.Bucket, none int64) []windows.Bucket {
	if none == 0 {
		return hist
	}
	index := windows.ZeroBucket
	if l.top {
		index = windows.TopBucket
	}
	l.worst[arm] = windows.AppendSum(l.worst[arm][:0], hist, []windows.Bucket{{Index: index, Count: uint32(none)}})
	return l.worst[arm]
}
