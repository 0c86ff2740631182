package analysis

import (
	"streamcanary/schemas"
	"streamcanary/windows"
)

// figures are the numbers that a sentence shows of a failure: the estimate of a stretch that begins with the harm, at an event time.
type figures struct {
	estimate      estimate
	sinceMs, atMs int64
	tail          float64 // of a distribution by quantiles: the one that it is of
}

// figures are those of a failure as they are now; or, once the harm is over, as they were when it was told last: a failure stands for the epoch, and an estimate over what came
// after the harm would deny it, beside a bound that doesn't.
func (j *Judge) figures(g *guard) figures {
	since, _ := g.began()
	now := figures{g.estimate(since), since, j.nowMs, g.tail()}
	if g.shown == nil || g.shows(&now) {
		g.shown = &now
	}
	return *g.shown
}

// shows reports whether an estimate is the harm: beyond the margin or the limit, and nothing less than what it is at least.
func (g *guard) shows(f *figures) bool {
	e := f.estimate
	if !g.isContrast() {
		return beyondLimit(g.spec, e[windows.Canary].value)
	}
	difference, ratio := g.canary.account.intervals(displayAlpha)
	bounds := difference
	if g.unit() == unitRatio {
		bounds = ratio
	}
	short := g.spec.Direction == schemas.Increase && g.effect(e, g.unit()) < bounds.lower || g.spec.Direction == schemas.Decrease && g.effect(e, g.unit()) > bounds.upper
	return beyondMargin(g.spec, g.nearest(f.sinceMs)) && !short
}
