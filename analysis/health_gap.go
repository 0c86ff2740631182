package analysis

import (
	"fmt"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// Outcomes whose prediction isn't found are lost to the arm whose they are: an arm that loses more of them looks worse, or better, than it is.
// Where they name a version the arms are held against each other, else their share against the rollout's margin.
var _ = registerHealth(healthKind{name: "join gap", rank: 100, checks: func(j *Judge) []check {
	var all []check
	for _, s := range j.streams {
		if s.Kind != windows.Outcomes {
			continue
		}
		arms := &armsGap{j.newContrastCheck(codeJoinGap, s.Stream, j.newPastDispersion(s))}
		arms.ends = true
		arms.listen()
		all = append(all, arms)
		doubts := []doubt{arms}
		if margin := j.rollout.Health.Unmatched; margin > 0 && margin < 1 {
			source := &sourceGap{judge: j, of: s.Stream, margin: margin, test: newLimitTest(+1)}
			all, doubts = append(all, source), append(doubts, source)
		}
		for _, g := range s.guards {
			g.doubts = append(g.doubts, doubts...)
		}
	}
	return all
}})

// armsGap contrasts the arms' shares of outcomes without a prediction.
type armsGap struct{ *contrast }

// listen makes it hear of the gaps.
func (a *armsGap) listen() {
	j, phi := a.judge, a.sides[0].phi
	share := func(g windows.JoinGap) (n, k int64) { return g.Matched + g.Unmatched, g.Unmatched }
	a.read = func(p *windows.Part, w *window) bool {
		for arm := range windows.Arms {
			w.n[arm], w.k[arm] = share(p.Gap[arm])
		}
		phi.wait()
		return !p.Overflow && w.n[windows.Baseline]+w.n[windows.Canary] > 0
	}
	a.learn = func(p *windows.Part) {
		phi.addPast(share(p.Gap[windows.Baseline]))
	}
	a.tell = func(since string, e estimate) string {
		return fmt.Sprintf("Outcomes %q of %s and %s don't find their predictions equally often: %s find none since %s. So a difference of %s may be "+
			"one of bookkeeping, and where it would look like harm nothing is rolled back for it. Nor does anything pass by %s until that is over; then it is tested anew.",
			a.of.Name, j.arm(windows.Canary), j.arm(windows.Baseline), sharesText(e), since, a.of.Name, a.of.Name)
	}
}

// voids is of the contrasts of the outcome that the gap makes look harmful: a canary that loses more outcomes seems to have fewer of them.
func (a *armsGap) voids(g *guard) bool {
	if !a.off || !g.isContrast() {
		return false
	}
	loses := a.worse() == 0 // the canary
	return g.spec.Direction == schemas.Both || loses == (g.spec.Direction == schemas.Decrease)
}

// hides is of all contrasts of the outcome, and of limits that lost outcomes keep: where the canary loses more, fewer of them are seen than there are, and where the baseline does
// more of them look like no fewer.
func (a *armsGap) hides(g *guard) bool {
	return a.off && (g.isContrast() || g.spec.Direction == schemas.Above && a.worse() == 0)
}

// sourceGap tests the share of outcomes without a prediction, of those that name no version, against a margin. Users lose several at once, so
// the tilt, which asks for each outcome's chance given those before it, would find a gap where there is none: over-dispersion is measured in
// time, and nothing is tested before it is.
type sourceGap struct {
	judge  *Judge
	of     windows.Stream
	margin float64
	phi    stats.Succession
	test   limitTest
}

func (s *sourceGap) take(p *windows.Part, _ feeding, c clock) {
	n, k := p.Source.Matched+p.Source.Unmatched, p.Source.Unmatched
	if p.Stream != s.of || n == 0 || p.Overflow {
		return
	}
	phi, measured := s.phi.Phi(1)
	if known := s.judge.options.Phi; known > 0 {
		phi, measured = known, true
	}
	if measured {
		s.test.step(limitWindow{startMs: p.StartMs, n: n, k: k, phi: phi}, s.margin, c)
		s.test.settle(s.test.mixture.LogE())
	}
	s.phi.Add(float64(n), float64(k))
}

func (s *sourceGap) sick() bool { return s.test.off }

func (s *sourceGap) holds() bool { return true }

func (s *sourceGap) alpha() float64 { return contrastAlpha }

func (s *sourceGap) code() string { return codeJoinGap }

// voids is of every contrast of the outcome: whose outcomes are lost is not known, and all of them may be one arm's.
func (s *sourceGap) voids(g *guard) bool { return s.test.off && g.isContrast() }

func (s *sourceGap) hides(g *guard) bool {
	return s.test.off && (g.isContrast() || g.spec.Direction == schemas.Above)
}

func (s *sourceGap) finding() schemas.Finding {
	since, _ := s.test.onset.began()
	t := s.test.history.since(since)
	return schemas.Finding{
		Code: codeJoinGap, LogEvidence: shown(s.test.mixture.LogE()), Threshold: contrastThreshold, Since: schemas.Time(since),
		Sentence: fmt.Sprintf("%s of the outcomes %q since %s find no prediction (%s of %s), more than the %s that are accepted (health.unmatched). They name no version, "+
			"so they may all be one arm's: nothing is rolled back for a difference of %s, nor passes by it, until that is over; then it is tested anew.",
			percentText(t.share()), s.of.Name, timeText(since, s.judge.nowMs), countText(t.canary), countText(t.all), percentText(s.margin), s.of.Name),
	}
}

func (s *sourceGap) evidence(dst []float64) []float64 { return append(dst, s.test.mixture.LogE()) }
