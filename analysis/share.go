package analysis

import "math"

// Bounds of the canary's share within one block: a window whose share differs by more than both closes the block.
const (
	shareDeviance = 16.0 // of the 2x2 table: the signed root is beyond 4
	shareOddsLow  = 0.8
	shareOddsHigh = 1.25
)

// shareWatch notices that the canary's share of the traffic has changed, from sizes alone, each divided by its over-dispersion: of users with twenty
// requests in a window three windows of ten would count as a change. Its zero value knows no share yet.
//
// The measure is the likelihood ratio G of the 2x2 table (this window against all since the last change), not the
// two-proportion z: where a window holds one or two events of a small share, z is far beyond 4 for nearly every
// canary event (one of one at a share of 1 % has z = 9.9, and G = 9.2), so that every block would be cut
// where the canary speaks.
type shareWatch struct{ canary, baseline float64 }

// share is the canary's; NaN of nothing.
func (s *shareWatch) share() float64 { return s.canary / (s.canary + s.baseline) }

// step takes one window's sizes, which are phi times as noisy as those of predictions that go to an arm one by one, and reports whether its share is another than that since the last
// change. The window of a change is nobody's: the next one begins the new share.
func (s *shareWatch) step(canary, baseline int64, phi float64) bool {
	c, b := float64(canary)/phi, float64(baseline)/phi
	if c+b == 0 {
		return false
	}
	if s.moves(shareWatch{c, b}) {
		*s = shareWatch{}
		return true
	}
	s.canary += c
	s.baseline += b
	return false
}

// moves reports whether a window's sizes have another share than all since the last change.
func (s *shareWatch) moves(now shareWatch) bool {
	return now.canary+now.baseline > 0 && s.canary+s.baseline > 0 && shareDiffers(now.canary, now.baseline, s.canary, s.baseline)
}

// shareDiffers holds one window's (c, b) against the reference (rc, rb): G > 16 and odds ratio outside 0.8..1.25.
func shareDiffers(c, b, rc, rb float64) bool {
	here, there := c*rb, b*rc
	if here >= shareOddsLow*there && here <= shareOddsHigh*there {
		return false
	}
	n, m := c+b, rc+rb
	share := (c + rc) / (n + m)
	g := 2 * (excess(c, n*share) + excess(b, n*(1-share)) + excess(rc, m*share) + excess(rb, m*(1-share)))
	return g > shareDeviance
}

// excess is observed·log(observed/expected), 0 for nothing observed.
func excess(observed, expected float64) float64 {
	if observed == 0 {
		return 0
	}
	return observed * math.Log(observed/expected)
}
