package analysis

import (
	"fmt"
	"math"

	"streamcanary/schemas"
	"streamcanary/windows"
)

const (
	codeBaselineBeyond = "baseline_beyond"

	// refugeAlpha is how often the baseline is said to be beyond a limit of its own in an epoch in which it keeps all of them.
	refugeAlpha = .001
)

// refuge asks whether the baseline alone is beyond an absolute limit, whatever the canary does: then going back to it doesn't help. It decides nothing by itself: no
// canary is rolled back, held or excused by it, so it takes nothing of the guardrails' budget, and has an alpha of its own (refugeAlpha for all limits of an epoch, by
// their weights).
//
// The evidence is the guardrail's own one-sample test of the baseline (newLimit), an e-process whose null is that the baseline keeps its limit: with
// rho0 = 0 no number of the canary's enters it. By Ville's inequality it ever reaches 1/a with a chance of at most a. Each new beginning of the test (guard.limitState)
// is an e-process from there on, and is held against twice as much as the one before; these chances add up to a guardrail's part of refugeAlpha. With a phi
// that is estimated, and of gauges, that is calibrated and not exact, as it is of the canary.
//
// A finding stands while its evidence does, and ends with half of it. Limits that only warn don't count: nobody goes back because of them. Neither do
// segments: all traffic goes back.
type refuge struct {
	judge     *Judge
	guard     *guard
	threshold float64 // log, of the first beginning
	off       bool
	was       shelter // after the latest part
}

var _ = registerHealth(healthKind{name: "baseline beyond its limit", rank: 130, checks: func(j *Judge) []check {
	whole := 0.0
	var limits []*guard
	for _, g := range j.guards {
		if !g.isContrast() && g.spec.On != schemas.OnWarn {
			limits, whole = append(limits, g), whole+g.spec.Weight
		}
	}
	var all []check
	for _, g := range limits {
		r := &refuge{judge: j, guard: g, threshold: math.Log(2 * whole / (refugeAlpha * g.spec.Weight))}
		j.refuges = append(j.refuges, r)
		all = append(all, r)
	}
	return all
}})

// take looks at the baseline's test after each part. It holds the present evidence against the threshold, and not its maximum: what was proven and is over can be
// proven again.
func (r *refuge) take(*windows.Part, feeding, clock) {
	now, at := r.guard.baseline.any.LogE(), r.at()
	r.off = now >= at || r.off && now >= halfway*at
}

// at is the log evidence that is proof in the present beginning.
func (r *refuge) at() float64 { return r.threshold + float64(r.guard.again)*math.Ln2 }

func (r *refuge) sick() bool { return r.off }

func (r *refuge) holds() bool { return false }

func (r *refuge) alpha() float64 { return math.Exp(-r.threshold) * 2 }

func (r *refuge) code() string { return codeBaselineBeyond }

func (r *refuge) finding() schemas.Finding {
	since, _ := r.guard.baseline.began()
	return schemas.Finding{
		Code: codeBaselineBeyond, LogEvidence: shown(r.guard.baseline.any.LogE()), Threshold: r.at(), Since: schemas.Time(since),
		Sentence: r.judge.beyondSentence(r.guard) + " Going back to it would not help.",
	}
}

// evidence has none of its own: Judge.Evidence has the guardrail's.
func (r *refuge) evidence(dst []float64) []float64 { return dst }

// A Beyond is an absolute limit that the baseline is beyond.
type Beyond struct {
	Guardrail string
	Sentence  string // the baseline's estimate, since when, and the limit
	Proven    bool   // of the baseline alone; else the canary's own failure of this limit is excused by it (both_arms)
}

// Beyond tells of every limit that the baseline is beyond now, in the rollout's order. The memory is the caller's.
func (j *Judge) Beyond() []Beyond {
	var all []Beyond
	for _, r := range j.refuges {
		if r.shelter() != keepsLimit {
			all = append(all, Beyond{Guardrail: r.guard.name(), Sentence: j.beyondSentence(r.guard), Proven: r.off})
		}
	}
	return all
}

// beyondSentence says by how much the baseline is beyond a limit.
func (j *Judge) beyondSentence(g *guard) string {
	since, _ := g.baseline.began()
	e := g.baseline.account.estimate(since)[windows.Baseline]
	return fmt.Sprintf("%s %s itself (%s): %s since %s (%s), where the limit is %s.", capital(j.arm(windows.Baseline)), g.limitText(), g.name(),
		g.valueText(e.value), timeText(since, j.nowMs), g.countText(e), marginText(g.spec.Margin.Text))
}

// shelter is what the baseline is as a refuge, by one limit.
type shelter uint8

const (
	keepsLimit shelter = iota
	excuses            // the canary's failure of the limit, by what is seen of the baseline
	isBeyond           // proven
)

func (r *refuge) shelter() shelter {
	switch {
	case r.off:
		return isBeyond
	case r.guard.bothArms:
		return excuses
	}
	return keepsLimit
}

// shelters counts changes of what Beyond tells.
func (j *Judge) shelters() {
	for _, r := range j.refuges {
		if now := r.shelter(); now != r.was {
			r.was = now
			j.verdict.Beyond++
		}
	}
}
