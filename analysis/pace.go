package analysis

import (
	"fmt"
	"math"
	"time"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// Bounds of what is said of a rate's pace.
const (
	paceWindows = 60   // in a row that must have been tested
	paceEvents  = 10   // of the baseline
	paceSlack   = 1.25 // stages: what is reckoned to take no longer may pass in time
	paceSure    = 3    // stages: what needs no longer may pass in time by luck; of what needs three about one in twenty does, as evidence varies
	paceNoise   = 4    // how many times the true noise what is reckoned may be: its upper limit is 1.74 times what ten batches show, which are seldom (2 %) above 2.2 times the truth
	paceMostMs  = 3650 * 24 * int64(time.Hour/time.Millisecond)
)

// tooSlow says of a rate that its stage may be over before a canary like the baseline (of a limit: like it is) has passed, if the traffic and its noise stay as they are, and that it
// will be, where it would be even by the least noise that there may be, and with luck: noise is reckoned from above, and sinks as more of it is measured. "" where
// it may pass, or where that isn't known. The evidence of its tests on expected counts grows in proportion to them.
func (j *Judge) tooSlow(g *guard) string {
	most, elapsed := j.stages.present().Max.Milliseconds(), g.canary.lastMs-g.canary.firstMs
	age, threshold := j.stages.age(j.nowMs), passThreshold(j.rollout)
	if most <= 0 || age <= 0 || elapsed < paceWindows*j.clock.widthMs || g.passE() >= threshold*float64(age)/float64(most) {
		return ""
	}
	o, known := j.outlook(g)
	takes := func(phi armPhi) float64 {
		o.phi = phi
		times, ofRate := o.needs(g.canary.kernel, threshold)
		known = known && ofRate
		return times * float64(elapsed)
	}
	now, less := g.canary.phiNow, armPhi{}
	for arm := range now {
		less[arm] = max(1, now[arm]/paceNoise)
	}
	needs, least, alone := takes(now), takes(less), takes(independent)
	if !known || needs <= paceSlack*float64(most) {
		return ""
	}
	if math.IsInf(alone, 1) || alone > float64(paceMostMs) {
		return g.noGrowth(o)
	}
	like := map[bool]string{true: "like the baseline", false: "as it is"}[g.isContrast()]
	todo := "greater margin, give the stage more traffic or time (max), or " + notRequired
	if least > paceSure*float64(most) {
		return fmt.Sprintf("won't pass in this stage: with the traffic and the noise so far a canary %s needs %s for that, and the stage ends after %s. Write a %s",
			like, roughText(needs), durationText(most), todo)
	}
	return fmt.Sprintf("may not pass in this stage: with the traffic and the noise so far, which is reckoned from above and may sink as more of it is measured, a canary %s needs %s for that, and the stage ends after %s. If that stays so, write a %s",
		like, roughText(needs), durationText(most), todo)
}

// noGrowth says that no traffic makes a rate pass, and what to do.
func (g *guard) noGrowth(o outlook) string {
	if g.spec.Direction.Contrast() {
		return fmt.Sprintf("can't pass by a canary like the baseline: a margin of %s is so small beside what the baseline has (%s) that no evidence for it grows. Write a greater margin, or %s",
			marginText(g.spec.Margin.Text), g.valueText(o.rate), notRequired)
	}
	return fmt.Sprintf("can't pass while the canary has %s: that is too near the limit of %s for evidence to grow. Write another limit, or %s",
		g.valueText(o.rate), marginText(g.spec.Margin.Text), notRequired)
}

// NoGrowth says of a rate, or a gauge, that a canary like the baseline can't show that it keeps its margin, or its limit, whatever the traffic, and what to do; "" where it
// can. rate is the baseline's, share the canary's of both arms.
//
// Claim. Where it says so, no bet of the tests that may be taken gains on the counts to expect, even of independent events.
//
// When. The canary is like the baseline; a better one can pass. Conventions: rates and shares are parts of 1, NaN says nothing. Source: stats.Needed.
func NoGrowth(g *schemas.Guardrail, rate, share float64) string {
	if g.Kind != schemas.RateGuardrail && g.Kind != schemas.GaugeGuardrail || !g.CanPass() || !(rate > 0 && rate < 1 && share > 0 && share < 1) {
		return ""
	}
	o := outlook{rate: rate, share: share, n: 1, phi: independent}
	var may []kernel
	switch grid := gridOf(g); {
	case !g.Direction.Contrast():
		may = append(may, newRateLimit(g, windows.Canary, grid))
	case rate > HighRate:
		may = append(may, newHighRateTrial(g, rate, keeping{}).kernel)
	default:
		may = append(may, newRateContrast(g, grid))
	}
	for _, k := range may {
		if needs, known := o.needs(k, 1); !known || !math.IsInf(needs, 1) {
			return ""
		}
	}
	return (&guard{spec: g}).noGrowth(o)
}

// outlook is what is to come of a rate, if both arms have it.
type outlook struct {
	rate, share, n float64 // of the baseline (of a limit: the canary); the canary's share of n exposures
	phi            armPhi
}

// outlook is by what was tested so far; false: that is too little.
func (j *Judge) outlook(g *guard) (outlook, bool) {
	e, share := g.estimate(0), 1-1/(1+j.find(streamOf(g.spec)).traffic.ratio)
	o := outlook{rate: e[windows.Canary].value, share: share, n: float64(e[windows.Baseline].n + e[windows.Canary].n), phi: g.canary.phiNow}
	if g.isContrast() {
		o.rate = e[windows.Baseline].value
	}
	return o, share > 0 && share < 1 && (!g.isContrast() || e[windows.Baseline].events >= paceEvents)
}

// needs is how many times as many exposures a kernel needs to pass; +Inf: no evidence grows. False: it is no rate's.
func (o outlook) needs(of kernel, threshold float64) (float64, bool) {
	c, phi := stats.Counts{Nc: o.share * o.n, Nb: (1 - o.share) * o.n}, o.phi
	c.Kc, c.Kb = o.rate*c.Nc, o.rate*c.Nb
	var test stats.Linear
	switch k := of.(type) {
	case *rateContrast:
		if test = k.pass; k.swap {
			c, phi = stats.Counts{Nc: c.Nb, Kc: c.Kb, Nb: c.Nc, Kb: c.Kc}, phi.swapped()
		}
	case *rateLimit:
		c.Nb, c.Kb, test = 0, 0, k.pass
	case *highRateContrast:
		gained := make([]float64, k.points)
		insured, _ := o.needs(k.linear, threshold)
		if !(o.rate > 0 && o.rate < 1) || !k.pass.Increments(gained, c, o.rate, max(phi[windows.Canary], phi[windows.Baseline])) {
			return insured, true
		}
		return min(insured, stats.Needed(gained, threshold)), true
	default:
		return 0, false
	}
	gained := make([]float64, len(test.Grid))
	if !(o.n > 0) || !test.Increments(gained, c, phi[windows.Canary], phi[windows.Baseline]) {
		return 0, false
	}
	return stats.Needed(gained, threshold), true
}

// roughText is about a duration: to a minute, and above two days to a day.
func roughText(ms float64) string {
	const day = 24 * time.Hour
	if ms > float64(paceMostMs) {
		return "more than ten years"
	}
	d := time.Duration(ms) * time.Millisecond
	if d > 2*day {
		return fmt.Sprintf("about %d days", d.Round(day)/day)
	}
	return "about " + durationText(d.Round(time.Minute).Milliseconds())
}
