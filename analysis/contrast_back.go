package analysis

import (
	"math"
	"time"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// contrastBack tells that shares which were found to differ are alike again. Evidence of the difference doesn't forget: what ten minutes of lost outcomes have shown, much traffic has to make up for.
// So what came since is tested for being at most half as far apart as was seen, by the pass test of a rate with that margin. By Page's rule it begins anew where its evidence is below 0, and once that says 1,000 to 1, and what came since the last 0
// has lasted for five minutes and doesn't differ by more than chance (G > 16, as a change of the share), the contrast begins anew, with its own chance to err. Where it does differ, by less than before, half of that is the next margin. A difference that stays
// as it was seen, or half of it, comes back falsely once in more than 1,000 windows, and is found again.
//
// Source: Page (1954), as splitBack; the bounds are chosen here.
type contrastBack struct {
	test   *trial              // nil: nothing was found, or not how large it is
	n, k   [windows.Arms]int64 // since the last 0
	fromMs int64               // likewise; 0: now
}

// backScore is the log evidence that ends a finding.
var backScore = math.Log(1000)

// backCalm is for how long what proves that must have lasted: outcomes that get lost now and then, for a minute each time, are one fault. Each new beginning is a new chance to err before it is found.
const backCalm = 5 * time.Minute

// begin takes the difference as it was seen: the canary's share less the baseline's.
func (b *contrastBack) begin(seen float64, phi *dispersion) {
	*b = contrastBack{}
	if seen == 0 || math.IsNaN(seen) {
		return
	}
	spec := &schemas.Guardrail{Kind: schemas.RateGuardrail, Of: "error", Direction: schemas.Increase, Margin: schemas.Margin{Value: math.Abs(seen) / 2}}
	if seen < 0 {
		spec.Direction = schemas.Decrease
	}
	b.test = newTrial(newRateContrast(spec, stats.IncidentGrid), bareAccount{}, shape{components: len(stats.IncidentGrid), passes: true})
	b.test.phi = phi
}

// take takes a window and reports whether the shares are alike again.
func (b *contrastBack) take(w *window, c clock) bool {
	c.over = false // it is no pass of a stage
	if b.fromMs == 0 {
		b.fromMs = w.startMs
	}
	for arm := range windows.Arms {
		b.n[arm] += w.n[arm]
		b.k[arm] += w.k[arm]
	}
	if b.test.take(w, c); b.test.passLogE() < 0 {
		b.test.unpass()
		b.n, b.k, b.fromMs = [windows.Arms]int64{}, [windows.Arms]int64{}, 0
	}
	if b.test.passLogE() < backScore || w.endMs-b.fromMs < backCalm.Milliseconds() {
		return false
	}
	if !b.differs() {
		return true
	}
	share := func(arm windows.Arm) float64 { return float64(b.k[arm]) / float64(b.n[arm]) }
	b.begin(share(windows.Canary)-share(windows.Baseline), b.test.phi)
	return false
}

// differs reports whether what came since the last 0 is further apart than chance puts it.
func (b *contrastBack) differs() bool {
	arms := b.test.phi.arms()
	phi := max(arms[windows.Canary], arms[windows.Baseline])
	of := func(arm windows.Arm) (with, without float64) {
		return float64(b.k[arm]) / phi, float64(b.n[arm]-b.k[arm]) / phi
	}
	c, notC := of(windows.Canary)
	with, without := of(windows.Baseline)
	return shareDiffers(c, notC, with, without)
}

// mended begins the contrast anew, with the next window, once the shares are alike again.
func (c *contrast) mended(at clock) {
	phi := c.sides[0].phi
	switch {
	case !c.off:
		c.back = contrastBack{}
	case c.back.test == nil:
		worst := c.sides[c.worse()]
		since, _ := worst.began()
		e := worst.account.estimate(since)
		c.back.begin(e[windows.Canary].value-e[windows.Baseline].value, phi)
	case c.back.take(&c.window, at):
		c.off, c.back = false, contrastBack{}
		for i := range c.sides {
			c.sides[i] = contrastSide(i, phi)
			c.sides[i].renewed = true
		}
	}
}
