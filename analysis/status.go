package analysis

import (
	"math"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// Units of a guardrail's estimate.
const (
	unitShare  = "share"
	unitRatio  = "ratio"
	unitMillis = "ms"
	unitNumber = "number"
)

// Status tells everything that is known of every guardrail, in the rollout's order, each followed by its segments that failed or are
// suspect. It computes intervals: call it when somebody asks, not after every part. The memory is the caller's.
func (j *Judge) Status() []schemas.GuardrailStatus { return j.statuses(j.status) }

// Now is Status with what stands in no decision: the intervals of means that are held to a limit, and how many values of a mean are at its cap. The memory is the caller's.
func (j *Judge) Now() []schemas.GuardrailStatus {
	return j.statuses(func(g *guard) schemas.GuardrailStatus {
		s := j.status(g)
		if a, mean := g.canary.account.(limited); mean && a.limited() && g.canary.tested > 0 && !j.options.NoIntervals {
			g.answer(&s)
		}
		s.Capped = g.capped()
		return s
	})
}

func (j *Judge) statuses(of func(*guard) schemas.GuardrailStatus) []schemas.GuardrailStatus {
	all := make([]schemas.GuardrailStatus, 0, len(j.guards))
	for _, g := range j.guards {
		all = append(all, of(g))
		for _, part := range g.segments {
			if part.state == schemas.StateFailed || part.state == schemas.StateSuspect {
				all = append(all, of(part))
			}
		}
	}
	return all
}

func (g *guard) capped() float64 {
	if a, ok := g.canary.account.(interface{ capped() float64 }); ok {
		return a.capped()
	}
	return 0
}

// A limited account may be that of a mean that is held to a limit.
type limited interface{ limited() bool }

// An onDemand account keeps intervals that only those see who ask for them.
type onDemand interface {
	asked(alpha float64) (difference, ratio interval)
}

// Segments tells what is known of every segment that has been tested, in the order of the guardrails and then of the segments, and with stratify that the others together are not; with
// Options.SegmentRatios also the intervals of ratios. The memory is the caller's.
func (j *Judge) Segments() []schemas.GuardrailStatus {
	var all []schemas.GuardrailStatus
	for _, g := range j.guards {
		for _, part := range g.segments {
			switch {
			case part.canary.tested > 0:
				s := j.status(part)
				part.answer(&s)
				all = append(all, s)
			case part.several && part.segment != "":
				all = append(all, j.status(part))
			}
		}
	}
	return all
}

// answer fills in what is kept on demand.
func (g *guard) answer(s *schemas.GuardrailStatus) {
	a, ok := g.canary.account.(onDemand)
	if !ok {
		return
	}
	difference, ratio := a.asked(displayAlpha)
	bounds := difference
	if s.Unit == unitRatio {
		bounds = ratio
	}
	if known := finite(bounds.lower); known != nil {
		s.Lower = known
	}
	if known := finite(bounds.upper); known != nil {
		s.Upper = known
	}
	if s.Ratio != nil {
		s.Ratio = withBounds(s.Ratio.Estimate, ratio)
	}
	if s.Difference != nil {
		s.Difference = withBounds(s.Difference.Estimate, difference)
	}
	s.Changed = schemas.Crossed(s.Lower, s.Upper)
}

// States appends every guardrail's state, in the rollout's order: what Status says of them, without its cost.
func (j *Judge) States(dst []schemas.State) []schemas.State {
	for _, g := range j.guards {
		dst = append(dst, g.state)
	}
	return dst
}

// ShareChanges is how often the canary's share of what a guardrail's windows hold has changed, beyond what chance explains; guardrails are counted from 0.
func (j *Judge) ShareChanges(guardrail int) int64 {
	return j.stream(streamOf(j.guards[guardrail].spec)).traffic.turns
}

func (j *Judge) status(g *guard) schemas.GuardrailStatus {
	ladder := g.family.fail
	s := schemas.GuardrailStatus{
		Name: g.spec.Name, Segment: g.segment, Harmed: g.harmed(), State: g.state, Why: g.why, On: g.spec.On, Against: g.against(), Unit: g.unit(), Margin: g.spec.Margin.Text,
		LogEvidence: shown(ladder.max[g.member]), LogAny: shown(g.family.any.max[g.member]), LogPass: shown(g.passE()),
		Threshold: ladder.thresholds[g.member], PassThreshold: passThreshold(j.rollout),
	}
	switch {
	case g.canary.phi != nil:
		s.Phi = g.canary.phi.canary()
	case g.canary.noise != nil && g.canary.noise.ratio:
		if phi := g.canary.meanNoise()[windows.Canary]; !math.IsInf(phi, 1) {
			s.Phi = phi
		}
	case g.canary.ranks != nil && g.canary.ranks.measures():
		s.Phi = g.canary.phiNext()[windows.Canary]
	}
	if g.self != nil && g.self.off {
		s.Calibration = schemas.CalibrationFailed
	}
	if j.cold.mutes(g.spec) {
		s.MutedUntil = schemas.Time(j.cold.untilMs)
	}
	if g.canary.tested == 0 {
		return s
	}
	s.FirstWindow = schemas.Time(g.canary.firstMs)
	s.LastWindow = schemas.Time(g.canary.lastMs - j.clock.widthMs)
	g.describe(&s)
	return s
}

func (g *guard) against() schemas.Against {
	if g.isContrast() {
		return schemas.AgainstBaseline
	}
	return schemas.AgainstLimit
}

// unit is what the estimate is in: for a contrast with a relative margin, or on exponential buckets, the ratio, with another one the
// difference of the values; for a limit the canary's own value.
func (g *guard) unit() string {
	ranked := measuresValues(g.spec)
	switch {
	case g.isContrast() && (ranked && !g.spec.Buckets.Linear() || g.spec.Margin.Relative):
		return unitRatio
	case g.spec.Kind == schemas.RateGuardrail, g.spec.Kind == schemas.GaugeGuardrail:
		return unitShare
	case ranked && g.spec.Of == ofLatency:
		return unitMillis
	}
	return unitNumber
}

// apart reports whether only the effect is known, and not where the arms are.
func (g *guard) apart() bool {
	_, lean := g.canary.account.(*leanAccount)
	return lean
}

// describe fills in estimates, intervals and counts.
func (g *guard) describe(s *schemas.GuardrailStatus) {
	whole := g.estimate(0)
	s.Baseline, s.Canary = armCount(whole[windows.Baseline]), armCount(whole[windows.Canary])
	if g.apart() {
		s.Baseline.Value, s.Canary.Value = nil, nil
	}
	g.describeShape(s)
	difference, ratio := g.lead().account.intervals(displayAlpha)
	bounds := difference
	if s.Unit == unitRatio {
		bounds = ratio
	}
	s.Estimate, s.Lower, s.Upper = finite(g.effect(whole, s.Unit)), finite(bounds.lower), finite(bounds.upper)
	if g.isContrast() && measuresValues(g.spec) {
		s.Estimate = possible(s.Estimate, s.Lower, s.Upper)
	}
	s.Changed = schemas.Crossed(s.Lower, s.Upper)
	if g.isContrast() && (s.Unit == unitShare || g.spec.Kind == schemas.MeanGuardrail && s.Unit == unitNumber && whole[windows.Baseline].value >= 0) {
		s.Ratio = withBounds(finite(g.effect(whole, unitRatio)), ratio)
	}
	if s.Unit == unitRatio && (g.spec.Kind == schemas.RateGuardrail || g.spec.Kind == schemas.GaugeGuardrail) {
		s.Difference = withBounds(finite(g.effect(whole, unitShare)), difference)
	}
	if since, ok := g.began(); ok && g.stillThere() {
		s.HarmBegan = schemas.Time(since)
		s.SinceHarm = finite(g.effect(g.estimate(since), s.Unit))
		if g.state == schemas.StateFailed || g.state == schemas.StateSuspect {
			s.Exemplars = g.exemplars(since)
		}
	}
}

// withBounds is an estimate with bounds, for a reader.
func withBounds(estimate *float64, bounds interval) *schemas.Interval {
	lower, upper := finite(bounds.lower), finite(bounds.upper)
	return &schemas.Interval{Estimate: estimate, Lower: lower, Upper: upper, Changed: schemas.Crossed(lower, upper)}
}

// possible puts an estimate into its interval. The interval is of a shift of all values, the estimate of one quantile: where values are few and far between, as
// rounded ones are, that jumps from one to the next, to where the test has shown that no shift can be.
func possible(estimate, lower, upper *float64) *float64 {
	switch {
	case estimate == nil, schemas.Crossed(lower, upper):
	case lower != nil && *estimate < *lower:
		return lower
	case upper != nil && *estimate > *upper:
		return upper
	}
	return estimate
}

// effect is the estimate in a unit.
func (g *guard) effect(e estimate, unit string) float64 {
	c, b := e[windows.Canary].value, e[windows.Baseline].value
	switch {
	case !g.isContrast():
		return c
	case unit == unitRatio:
		return ratioOf(c, b)
	}
	return c - b
}

// ratioOf is the ratio of two values; to one below zero, which only a mean has here, 1 and their difference in sizes of it.
func ratioOf(c, b float64) float64 {
	if b < 0 {
		return 1 + (c-b)/-b
	}
	return c / b
}

// tail is the quantile that the most evidence is of.
func (g *guard) tail() float64 { return quantileOf(g.lead().ppm) }

func armCount(t armTally) schemas.ArmCount {
	return schemas.ArmCount{N: t.n, Events: t.events, Value: finite(t.value)}
}

// shown is log evidence for people: rounded to 1e-9, as the digest has it, so that what is nothing but rounding reads 0.
func shown(logE float64) float64 {
	if math.Abs(logE) >= 1<<32 || math.IsNaN(logE) {
		return logE
	}
	return math.RoundToEven(logE*1e9)/1e9 + 0 // never -0
}

// finite is nil for what is unknown or unbounded.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}
