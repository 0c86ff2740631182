package analysis

import (
	"fmt"
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

const (
	codeBadEvents = "bad_events"

	// badShare is what share of events may be unreadable, whatever it was before.
	badShare = .01
	// The share may rise to this multiple of what it was, and by this much, or fall to one part in as many.
	badFactor = 2
	badSlack  = .001
	// badClump is the least over-dispersion that is reckoned with: a batch of a producer is bad as a whole.
	badClump = 25
	// badWindows must be known before a change can be seen.
	badWindows = 60
)

// badEvents tests the share of events that can't be read or counted. Whose they are isn't known, so the arms can't be held against each
// other. Instead, each with an alpha of its own:
//
//   - the chance of an event to be bad is at most badShare;
//   - it is at most twice what it was in the epoch's past and 0.1 pp more, and at least half of it. What it was are the limits of two
//     standard deviations of the past, which are known before each window: so this null is about numbers that anyone can read off, and
//     not about a share that nobody knows.
//
// Both are R1 with a limit (rho0 = 0), R4's factors and the start mixture; over-dispersion is measured in time. Exact for a chance that keeps the limit
// given the past and independent events, calibrated where they come in clumps. While a change is found, the past is what it was before.
type badEvents struct {
	judge *Judge
	phi   stats.Succession
	past  badPast
	since badPast // what came after it
	tests [badTests]limitTest
}

// The tests: above the stated share, above the past, below the past.
const (
	badStated = iota
	badRise
	badFall
	badTests
)

var _ = registerHealth(healthKind{name: "bad events", rank: 110, checks: func(j *Judge) []check {
	b := &badEvents{judge: j}
	for i, side := range [badTests]int{+1, +1, -1} {
		b.tests[i] = newLimitTest(side)
	}
	return []check{b}
}})

func (b *badEvents) take(p *windows.Part, _ feeding, c clock) {
	n := p.Bad
	for arm := range windows.Arms {
		n += p.Traffic[arm].Events + p.Traffic[arm].Late
	}
	if p.Stream != servingStream || n == 0 {
		return
	}
	phi, measured := b.noise()
	rise, fall := b.limits(phi)
	for i, limit := range [badTests]float64{badShare, rise, fall} {
		if limit > 0 && measured {
			b.tests[i].step(limitWindow{startMs: p.StartMs, n: n, k: p.Bad, phi: phi}, limit, c)
		}
	}
	change := logMean([]float64{b.tests[badRise].mixture.LogE(), b.tests[badFall].mixture.LogE()})
	b.tests[badStated].settle(b.tests[badStated].mixture.LogE())
	b.tests[badRise].settle(change)
	b.phi.Add(float64(n), float64(p.Bad))
	if b.tests[badRise].off {
		return
	}
	if b.since.add(badPast{1, float64(n), float64(p.Bad)}); b.since.windows >= b.past.windows || b.past.windows < badWindows {
		b.past.add(b.since)
		b.since = badPast{}
	}
}

// badPast is a stretch of windows: its events, and the bad ones. The past that a window is held against ends long enough ago for a change to
// show: it is told of what came since when that is as long as itself.
type badPast struct{ windows, n, k float64 }

func (b *badPast) add(o badPast) {
	b.windows, b.n, b.k = b.windows+o.windows, b.n+o.n, b.k+o.k
}

// noise is the over-dispersion to test with, once it is measured.
func (b *badEvents) noise() (phi float64, measured bool) {
	if known := b.judge.options.Phi; known > 0 {
		return known, true
	}
	phi, measured = b.phi.Phi(1)
	return max(phi, badClump), measured
}

// limits are what the share may rise and fall to, as the past has it; 0 while too little is known.
func (b *badEvents) limits(phi float64) (rise, fall float64) {
	if b.past.windows < badWindows {
		return 0, 0
	}
	z, k, n := 2*math.Sqrt(phi), b.past.k, b.past.n
	middle, width := k+z*z/2, z*math.Sqrt(k+z*z/4)
	return min(1, badFactor*(middle+width)/n+badSlack), max(0, middle-width) / n / badFactor
}

func (b *badEvents) sick() bool { return b.tests[badStated].off || b.tests[badRise].off }

func (b *badEvents) holds() bool { return true }

// alpha is of the stated margin, and of a change.
func (b *badEvents) alpha() float64 { return 2 * contrastAlpha }

func (b *badEvents) code() string { return codeBadEvents }

// worst is the test that the finding is about.
func (b *badEvents) worst() *limitTest {
	switch {
	case b.tests[badStated].off:
		return &b.tests[badStated]
	case b.tests[badFall].mixture.LogE() > b.tests[badRise].mixture.LogE():
		return &b.tests[badFall]
	}
	return &b.tests[badRise]
}

func (b *badEvents) finding() schemas.Finding {
	t := b.worst()
	since, _ := t.onset.began()
	now := t.history.since(since)
	text := fmt.Sprintf("%s of the events since %s can't be read or counted (%s of %s)",
		percentText(now.share()), timeText(since, b.judge.nowMs), countText(now.canary), countText(now.all))
	if t == &b.tests[badStated] {
		text += fmt.Sprintf(", more than %s", percentText(badShare))
	} else {
		text += fmt.Sprintf(", before that it was %s", percentText(b.past.k/b.past.n))
	}
	return schemas.Finding{
		Code: codeBadEvents, LogEvidence: shown(t.mixture.LogE()), Threshold: contrastThreshold, Since: schemas.Time(since),
		Sentence: text + "; whose they are isn't known, so what an arm does may be hidden. They are among the dead letters, with the reason.",
	}
}

func (b *badEvents) evidence(dst []float64) []float64 {
	for i := range b.tests {
		dst = append(dst, b.tests[i].mixture.LogE())
	}
	return dst
}
