package analysis

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// Waits tells which guardrails the present stage waits for to pass although, by what is known now, they won't: for people, nothing is decided by it. The
// memory is the caller's. Call it when somebody asks: it adds up what was tested.
func (j *Judge) Waits() []schemas.Wait {
	var all []schemas.Wait
	if j.verdict.Action == VerdictRollback {
		return all
	}
	for _, g := range j.guards {
		if !j.mustPass(g, j.stages.present()) || g.state == schemas.StatePassed || g.state == schemas.StateFailed {
			continue
		}
		if code, why := j.cantPass(g); code != "" {
			all = append(all, schemas.Wait{Guardrail: g.spec.Name, Code: code, Sentence: g.spec.Name + " " + why})
		}
	}
	return all
}

// cantPass says why a guardrail won't pass in the present stage; "": it may, for all that is known.
func (j *Judge) cantPass(g *guard) (code, why string) {
	if !g.spec.CanPass() {
		return schemas.WaitNoMargin, "has no margin, so nothing can show that it is kept: give it one, or " + notRequired
	}
	at := func(float64) float64 { return math.NaN() }
	if g.canary.tested > 0 && g.spec.Kind == schemas.QuantileGuardrail {
		at = func(float64) float64 { return g.estimate(0)[windows.Baseline].value }
	}
	if why := TooCoarse(j.rollout, g.spec, at); why != "" {
		return schemas.WaitTooCoarse, why
	}
	if why := j.tooSlow(g); why != "" {
		return schemas.WaitTooSlow, why
	}
	return "", ""
}

// notRequired is what to do where a pass isn't worth its price.
const notRequired = "don't wait for it (required: false, or leave it out of the stage's `pass`)"

// TooCoarse says why a canary that is like the baseline can't show that it keeps the margin of a quantile or a distribution, however long it lasts, and what to do;
// "" where it can, or where that isn't known. at tells the baseline's quantiles; NaN: unknown.
//
// Claim. Let both arms have one law with the value v at the quantile, and let a be how many buckets lie between v as high and v as low as it may have been before it
// was rounded. Where a is no less than the margin in buckets, the canary's values as the pass test has them are stochastically not on the better side of the baseline's there, which is what it
// tests: so its evidence never grows, on average. Where v is a multiple of the step and lies in a bucket of its own the reverse is true as well: all that
// ties at v are parted, and it grows. A canary that is better than the baseline can pass all the same.
func TooCoarse(r *schemas.Rollout, g *schemas.Guardrail, at func(q float64) float64) string {
	if !measuresValues(g) || !g.Direction.Contrast() || !g.CanPass() {
		return ""
	}
	s := scaleOf(g)
	_, pass := s.shifts(g)
	pass = max(pass, -pass)
	if pass == 0 {
		return fmt.Sprintf("can't pass by a canary like the baseline: its margin of %s is finer than the buckets that values are counted in. Write a margin of %s or more, or %s",
			marginText(g.Margin.Text), s.marginOf(g, 1), notRequired)
	}
	step := float64(r.LatencyGranularity) / float64(time.Millisecond)
	if step == 0 || g.Of != ofLatency {
		return ""
	}
	for _, q := range quantilesOf(g) {
		v := at(q)
		far, known := hidden(v, step)
		if !known || far < pass {
			continue
		}
		greater := ""
		if far < math.MaxInt32 {
			greater = fmt.Sprintf(", write a margin of %s or more", s.marginOf(g, far+1))
		}
		return fmt.Sprintf("can't pass by a canary like the baseline, whose %s is about %s: latencies are rounded to %s (latencyGranularity), and what that may hide there is no less than the margin of %s. "+
			"Report latencies more finely%s, or %s", quantileName(q), latencyText(v), schemas.FormatDuration(r.LatencyGranularity), marginText(g.Margin.Text), greater, notRequired)
	}
	return ""
}

// quantilesOf are those at which a guardrail must pass; none of a distribution as a whole.
func quantilesOf(g *schemas.Guardrail) (all []float64) {
	switch {
	case g.Kind == schemas.QuantileGuardrail:
		return []float64{g.Quantile}
	case g.Test == schemas.TestKS:
		for _, ppm := range stats.MixPPM {
			all = append(all, quantileOf(ppm))
		}
	}
	return all
}

// hidden is how many exponential buckets lie between a latency as low and as high as it may have been before it was rounded to a multiple of step; MaxInt32: there is no lower
// bound above 0. Of latencies whose bucket has room for several multiples it is the least that it can be. False: not known, as is a latency beyond all numbers.
func hidden(v, step float64) (int, bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, false
	}
	if width := v * (math.Exp2(1./64) - 1); step <= width {
		return int(math.Floor(64 * math.Log2((v+step/2)/(v-step/2)))), true
	}
	if v = math.Round(v/step) * step; v == 0 {
		return math.MaxInt32, true
	}
	return int(windows.BucketOf(v+step/2) - windows.BucketOf(v-step/2)), true
}

// marginOf is the least margin, to be written, that is so many buckets wide.
func (s scale) marginOf(g *schemas.Guardrail, wide int) string {
	if s.linear.Linear() {
		return numberText(float64(wide) * s.linear.Width())
	}
	share := math.Exp2(float64(wide)/64) - 1
	if g.Direction == schemas.Decrease {
		share = 1 - math.Exp2(-float64(wide)/64)
	}
	return strconv.Itoa(int(math.Ceil(100*share))) + " %"
}

// Bounds of what is said of a rate's pace.
const (
	paceWindows = 60   // in a row that must have been tested
	paceEvents  = 10   // of the baseline
	paceSlack   = 1.25 // stages: what is reckoned to take no longer may pass in time
	paceMostMs  = 3650 * 24 * int64(time.Hour/time.Millisecond)
)

// tooSlow says of a rate that its stage will be over before a canary like the baseline (of a limit: like it is) has passed, if the traffic and its noise stay as they are; "" where
// it may pass, or where that isn't known. The evidence of its test on expected counts grows in proportion to them. Of the test for rates above 10 % it isn't
// said: it needs less.
func (j *Judge) tooSlow(g *guard) string {
	most, elapsed := j.stages.present().Max.Milliseconds(), g.canary.lastMs-g.canary.firstMs
	age := j.stages.age(j.nowMs)
	if most <= 0 || age <= 0 || elapsed < paceWindows*j.clock.widthMs || g.passE() >= passThreshold(j.rollout)*float64(age)/float64(most) {
		return ""
	}
	factor, known := j.passPace(g)
	needs := factor * float64(elapsed)
	switch {
	case !known || needs <= paceSlack*float64(most):
		return ""
	case needs > float64(paceMostMs) && g.isContrast():
		return fmt.Sprintf("can't pass by a canary like the baseline: a margin of %s is so small beside what the baseline has (%s) that no evidence for it grows. Write a greater margin, or %s",
			marginText(g.spec.Margin.Text), g.valueText(g.estimate(0)[windows.Baseline].value), notRequired)
	case needs > float64(paceMostMs):
		return fmt.Sprintf("can't pass while the canary has %s: that is too near the limit of %s for evidence to grow. Write another limit, or %s",
			g.valueText(g.estimate(0)[windows.Canary].value), marginText(g.spec.Margin.Text), notRequired)
	}
	like := map[bool]string{true: "like the baseline", false: "as it is"}[g.isContrast()]
	return fmt.Sprintf("won't pass in this stage: with the traffic and the noise so far a canary %s needs about %s for that, and the stage ends after %s. Write a greater margin, give the stage more traffic or time (max), or %s",
		like, roughText(int64(needs)), durationText(most), notRequired)
}

// passPace is how many times as long as what was tested so far a rate needs to pass; +Inf: no evidence grows.
func (j *Judge) passPace(g *guard) (float64, bool) {
	e, share := g.estimate(0), 1-1/(1+j.find(streamOf(g.spec)).traffic.ratio)
	n := float64(e[windows.Baseline].n + e[windows.Canary].n)
	c := stats.Counts{Nc: share * n, Nb: (1 - share) * n}
	phi := g.canary.phiNow
	var test stats.Linear
	switch k := g.canary.kernel.(type) {
	case *rateContrast:
		rate := e[windows.Baseline].value
		c.Kc, c.Kb, test = rate*c.Nc, rate*c.Nb, k.pass
		if e[windows.Baseline].events < paceEvents {
			return 0, false
		}
		if k.swap {
			c, phi = stats.Counts{Nc: c.Nb, Kc: c.Kb, Nb: c.Nc, Kb: c.Kc}, phi.swapped()
		}
	case *rateLimit:
		c.Kc, test = e[windows.Canary].value*c.Nc, k.pass
	default:
		return 0, false
	}
	gained := make([]float64, len(test.Grid))
	if !(share > 0 && share < 1) || !test.Increments(gained, c, phi[windows.Canary], phi[windows.Baseline]) {
		return 0, false
	}
	return stats.Needed(gained, passThreshold(j.rollout)), true
}

// roughText is a duration to a minute, and above two days to a day.
func roughText(ms int64) string {
	const day = 24 * time.Hour
	d := time.Duration(ms) * time.Millisecond
	if d > 2*day {
		return fmt.Sprintf("%d days", d.Round(day)/day)
	}
	return durationText(d.Round(time.Minute).Milliseconds())
}
